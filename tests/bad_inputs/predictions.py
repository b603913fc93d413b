"""Section D: what models answered."""

import csv
import json

import pytest

from irtkit.responses import Responses
from irtkit.scale import scale_score
from tests.bad_inputs.catalogue import CASES, accepted, refused
from tests.bad_inputs.scales_made import GOLD, LABELS, WRONG, six, six_scale
from tests.bridge import logs_made

CHOICES = ("yes", "no", "no", "perhaps", "yes", "yes")  # right but for i3 and i5
RIGHT = (1, 1, 0, 1, 0, 1)


def table(column, values, items=tuple(GOLD)):
    rows = "".join(f"{item},{value}\n" for item, value in zip(items, values, strict=True))
    return f"item,{column}\n{rows}"


def chances(choice, top=0.6):
    rest = (1 - top) / 2
    return ",".join(f"{top if name == choice else rest:.4f}" for name in LABELS)


BY_LABEL = table("label", CHOICES)
BY_PROBABILITY = table("no,perhaps,yes", map(chances, CHOICES))
TABLE = "a table of predictions"


def some_probabilities(second):
    """Return probabilities of six items, those of i2 as given."""
    lines = BY_PROBABILITY.splitlines()
    lines[2] = f"i2,{second}"
    return "\n".join(lines) + "\n"


def scoring(bench, content, *options, name="model.csv"):
    """Write predictions and give the words that score them."""
    path = bench.write(name, content)
    return ["score", bench.write("six.json", six()), path, *options, "-o", "scores.csv"]


def check_scores(bench, right=RIGHT, ceiling=False, floor=False, items=tuple(GOLD)):
    """Check the row written against the score of these grades."""
    with (bench.folder / "scores.csv").open() as rows:
        (row,) = csv.DictReader(rows)
    given = Responses.from_triples(["m"] * len(items), items, right)
    expected = scale_score(given, six_scale()).table().iloc[0]
    for name in ("theta", "standard_error", "percentile", "percentile_low", "percentile_high"):
        assert float(row[name]) == pytest.approx(expected[name], abs=1e-9)
    assert row["person"] == "model"
    assert row["n_answered"] == str(len(items))
    assert (row["at_ceiling"], row["at_floor"]) == (str(ceiling), str(floor))
    low, place, high = (float(row[f"percentile{end}"]) for end in ("_low", "", "_high"))
    assert 0 < low < place < high < 100


def graded(number, content, note=TABLE, name="model.csv", **expected):
    """Register predictions that are accepted, with the scores that must come out."""
    label = f"scored_{sum(key.startswith(f'{number:03d}-scored') for key in CASES)}"

    def steps(bench):
        yield scoring(bench, content, name=name)
        check_scores(bench, **expected)

    steps.__name__ = label
    accepted(number, note, writes=["scores.csv"])(steps)


def bad(number, content, message, name="model.csv"):
    """Register predictions that are refused."""
    label = f"refused_{sum(key.startswith(f'{number:03d}-refused') for key in CASES)}"

    def words(bench):
        return scoring(bench, content, name=name)

    words.__name__ = label
    refused(number, message)(words)


HEAD = BY_LABEL.splitlines(keepends=True)
FOUR = {"right": RIGHT[:4], "items": tuple(GOLD)[:4]}
graded(
    87,
    "".join(HEAD[:5]),
    "2 of 6 items of the scale not answered: 'i5', 'i6'. Standard errors are larger",
    **FOUR,
)
graded(
    87,
    BY_LABEL.replace("i3,no", "i3,"),
    "'model' left 1 item unanswered: 'i3'",
    right=(1, 1, 1, 0, 1),
    items=("i1", "i2", "i4", "i5", "i6"),
)
bad(87, "".join(HEAD[:3]), "'model' answered fewer than 3 of the scale's 6 items, too few")
bad(87, table("label", [""] * 6), "answered fewer than 3")
bad(87, "item,no,perhaps,yes\n" + "i1,,,\ni2,,,\ni3,,,\n", "answered fewer than 3")
graded(88, BY_LABEL + "x1,no\nx2,no\n", "2 items not on the scale ignored: 'x1', 'x2'")
bad(89, BY_LABEL + "i1,yes\n", "1 answer to an item.*with the same answer.*model x i1")
bad(89, BY_LABEL + "i1,no\n", "answers elsewhere, differently: 'model x i1'")
bad(90, some_probabilities("0.08,0.1,0.8"), "1 row do not sum to 1, for example 0.98, items 'i2'")
bad(90, some_probabilities("0.3,0.2,0.8"), "do not sum to 1, for example 1.3, items 'i2'")
graded(90, some_probabilities("0.7996,0.1,0.1"))
bad(91, some_probabilities("-0.1,0.3,0.8"), "missing or not between 0 and 1, items 'i2'")
bad(91, some_probabilities("1.1,0,0"), "missing or not between 0 and 1, items 'i2'")
bad(91, some_probabilities("nan,0.2,0.8"), "holds 'nan', which is no probability")
bad(91, some_probabilities(",0.2,0.8"), "missing or not between 0 and 1, items 'i2'")
bad(91, some_probabilities("high,0.2,0.8"), "holds 'high', which is no probability")
bad(
    92,
    "item,no,perhaps,yes\n" + "".join(f"i{n},-1.5,0.2,{n}.5\n" for n in range(1, 7)),
    "6 rows with a value.*look like logits: apply the softmax first",
)
graded(93, BY_LABEL)
graded(93, BY_PROBABILITY)
bad(
    93,
    BY_LABEL.replace("i1,yes", "i1,yess"),
    "1 of 6 predictions name labels.*'yess' .items 'i1'.*no, perhaps, yes. Did you mean 'yes'",
)
bad(93, table("label", (2, 0, 0, 1, 2, 2)), "6 of 6 predictions name labels.*'0', '1', '2'")
bad(93, BY_PROBABILITY.replace("no", "never", 1), "the scale does not know: 'never'")
bad(93, table("correct", (0, 1, 2, 0, 1, 2)), "holds? the codes '0', '1', '2'")
bad(93, table("correct", (0.7, 1, 0, 0, 1, 1)), "to item 'i1' holds '0.7'")
bad(93, table("correct", CHOICES), "to item 'i1' holds 'yes'|to item 'i2' holds 'no'")
graded(
    94,
    some_probabilities("0.4,0.4,0.2"),
    "1 row with equal largest probabilities: the first label counts",
)
bad(95, "label\nyes\nno\nno\n", "no column item; the columns are 'label'.*never by their order")
bad(95, BY_LABEL.replace("i2", ""), "hold no item id")
ONE_LABEL = {"right": tuple(int(gold == "yes") for gold in GOLD.values())}
graded(
    97,
    table("label", ["yes"] * 6),
    "'model' gave every item the label 'yes'; its person fit lz is -?[0-9.]+",
    **ONE_LABEL,
)
GOOD = '{"item": "i1", "label": "yes"}\n'
LINES = "model.jsonl"
bad(98, GOOD + GOOD.replace("i1", "i2") + '{"item": "i3", "lab\n', "Line 3: It is not c", LINES)
bad(98, GOOD + '["i2", "no"]\n', "Line 2 is no object with fields", LINES)
bad(98, GOOD.replace('"label"', '"item": "i2", "label"'), "Line 1: The field 'item'", LINES)
bad(98, '{"item": "i1", "probabilities": {"yes": NaN}}\n', "Line 1: It holds NaN", LINES)
bad(98, '{"item": "i1", "label": ["yes"]}\n', "'label' of record 1 holds a list", LINES)
graded(
    98, "\n".join(json.dumps({"item": i, "label": c}) for i, c in zip(GOLD, CHOICES, strict=True)),
    name=LINES,
)  # fmt: skip
bad(
    99,
    BY_LABEL.replace("i", "q").replace("qtem", "item"),
    "None of the 6 predicted items is among the 6 items of the scale 'six'.*right split",
)
graded(100, table("label", GOLD.values()), right=[1] * 6, ceiling=True)
graded(100, table("correct", [1] * 6), right=[1] * 6, ceiling=True)
graded(100, table("label", [WRONG[g] for g in GOLD.values()]), right=[0] * 6, floor=True)


def logs_of_two_questions(bench):
    """Write the logs of two models, whose third documents have one id and two texts."""
    (bench.folder / "logs").mkdir()
    for model, question in (("a", "Who won?"), ("b", "Who lost?")):
        rows = [logs_made.lm_eval_line(n, f"q{n}", acc=float(n % 2)) for n in range(4)]
        rows[2]["doc_hash"] = logs_made.doc_hash(question)
        name = f"samples_quiz_{logs_made.DATE}.jsonl"
        logs_made.lines(bench.folder / "logs" / model / name, rows)
    return ["read", "logs", "-o", "out.csv"]


@accepted(96, "2 models, 5 items of 1 task", writes=["out.csv"])
def texts_that_differ_are_two_items(bench):
    """A scale holds no texts, so that it can be published; logs have hashes of them."""
    yield logs_of_two_questions(bench)
    with (bench.folder / "out.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert [sorted(row[1:]) for row in rows[1:]] == [["", "0", "0", "1", "1"]] * 2


@accepted(96, "1 item with different texts in different logs.*same questions", writes=["out.csv"])
def texts_that_differ_under_one_id(bench):
    yield [*logs_of_two_questions(bench), "--identity", "id"]
