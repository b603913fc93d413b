"""Section A, the answers: who and what stands in a table, and which codes and categories."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from irtkit.coding import Coding
from irtkit.diagnostics.classical import classical_table
from irtkit.errors import ModelError, ResponseError
from irtkit.estimation import calibrate
from irtkit.estimation.groups import calibrate_groups
from irtkit.io import read_calibration, read_responses
from irtkit.models import MODELS, Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.bad_inputs.catalogue import accepted, holds, refused
from tests.bad_inputs.small_tables import (
    BASE,
    CODES,
    PERSONS,
    calibrating,
    check_calibration,
    table,
)

ORDERED = ("low", "mid", "high")
# The answers of nine persons to two items with three categories.
RATED = ((0, 1), (1, 1), (0, 0), (2, 2), (1, 2), (2, 1), (1, 0), (2, 2), (0, 0))


def rated(words=("0", "1", "2")) -> str:
    """Write the ordered answers in words."""
    rows = (f"{p},{words[x]},{words[y]}\n" for p, (x, y) in zip(PERSONS, RATED, strict=True))
    return "id,x,y\n" + "".join(rows)


def rating(bench, content, *options):
    """Give the words that calibrate ordered answers by the partial credit model."""
    path = bench.write("answers.csv", content)
    return ["calibrate", path, "--model", "pcm", *options, "-o", "c.json"]


def check_rated(bench):
    """Check that the ordered answers were read as what they are."""
    made = json.loads((bench.folder / "c.json").read_text())
    expected = calibrate(Responses.from_array(RATED, items=["x", "y"]), MODELS["pcm"])
    assert made["log_likelihood"] == expected.log_likelihood
    assert read_calibration(bench.folder / "c.json").parameters.tolist() == (
        expected.parameters.tolist()
    )
    return made


def with_column(name, values):
    """Write the table with a third item."""
    rows = [
        f"{p},{x},{y},{value}\n" for p, (x, y), value in zip(PERSONS, CODES, values, strict=True)
    ]
    return f"id,x,y,{name}\n" + "".join(rows)


def written(bench, name="c.json"):
    return json.loads((bench.folder / name).read_text("utf-8"))


def states(bench):
    return {row["item"]: row["state"] for row in written(bench)["items"]}


@accepted(1, "1 item not calibrated, because nobody answered: 'z'")
def item_that_nobody_answered(bench):
    yield calibrating(bench, with_column("z", [""] * 9))
    assert states(bench) == {"x": "ok", "y": "ok", "z": "unanswered"}
    made = written(bench)
    expected = calibrate(Responses.from_array(CODES, items=["x", "y"]), Rasch())
    assert made["log_likelihood"] == expected.log_likelihood
    assert made["items"][2]["parameters"] is None


@accepted(2, "1 person without an answer to these items left out: 'j'")
def person_without_answers(bench):
    yield calibrating(bench, BASE + "j,,\n")
    made = written(bench)
    expected = calibrate(Responses.from_array(CODES, items=["x", "y"]), Rasch())
    assert made["n_persons"] == 9
    assert made["log_likelihood"] == pytest.approx(expected.log_likelihood, abs=1e-9)


@holds(2, "accepted in Python")
def person_without_answers_keeps_the_place_with_the_prior(bench):
    answers = read_responses(bench.write("answers.csv", BASE + "j,,\n"))
    known = calibrate(answers, Rasch())
    row = score(answers, known).table().loc["j"]
    assert row["n_answered"] == 0
    assert row["theta"] == pytest.approx(known.latent.mean, abs=1e-9)
    assert row["standard_error"] == pytest.approx(known.latent.standard_deviation, rel=1e-3)


@accepted(3, "1 item not calibrated, because everybody answered alike: 'z'")
def item_that_all_got_right(bench):
    yield calibrating(bench, with_column("z", [1] * 9))
    assert states(bench) == {"x": "ok", "y": "ok", "z": "constant"}


@refused(3, "Only 0 usable items.*'x', 'y', 'z'")
def nothing_but_constant_items(bench):
    path = bench.write("answers.csv", "id,x,y,z\na,1,0,1\nb,1,0,1\nc,1,0,1\n")
    return ["calibrate", path, "-o", "c.json"]


@accepted(4, "Category 2 of item 'x' was chosen once: its parameter hangs on one answer")
def category_chosen_once(bench):
    content = rated().replace("d,2,2", "d,1,2").replace("f,2,1", "f,1,1")
    yield rating(bench, content)
    assert states(bench) == {"x": "ok", "y": "ok"}


@holds(5, "accepted in Python")
def all_right_and_all_wrong(bench):
    rng = np.random.default_rng(1)
    codes = (rng.normal(size=(60, 1)) + rng.logistic(size=(60, 5)) > 0).astype(int)
    codes[:2] = [[1] * 5, [0] * 5]
    answers = Responses.from_array(codes)
    known = calibrate(answers, Rasch())
    tables = {m: score(answers, known, method=m).table() for m in ("eap", "map", "ml")}
    for method in ("eap", "map"):
        assert np.isfinite(tables[method].loc[["1", "2"], "theta"]).all()
        assert np.isfinite(tables[method].loc[["1", "2"], "standard_error"]).all()
    assert tables["ml"]["theta"].iloc[:2].tolist() == [np.inf, -np.inf]


@refused(6, r"1 person named more than once, with identical rows \(--dedupe.*'a'")
def same_rows_twice(bench):
    return calibrating(bench, BASE + "a,0,1\n")


@accepted(6, "1 identical repeated row left out")
def same_rows_twice_deduped(bench):
    yield calibrating(bench, BASE + "a,0,1\n", "--dedupe")
    check_calibration(bench)


@refused(7, r"with different answers: 'a'")
def different_rows_of_a_person(bench):
    return calibrating(bench, BASE + "a,1,1\n", "--dedupe")


@refused(7, r"12 persons named more than once, .*'1', .*'10' and 2 more")
def at_most_ten_persons_are_listed(bench):
    rows = "".join(f"{n},{k},0\n" for n in range(1, 13) for k in (0, 1))
    return calibrating(bench, "id,x,y\n" + rows + "z,1,1\n")


@refused(8, r"1 column named more than once: 'x'")
def repeated_item_name(bench):
    return calibrating(bench, BASE.replace("x,y", "x,x"))


@holds(8, "refused in Python")
def repeated_item_name_of_a_frame(bench):
    frame = pd.DataFrame([["a", 0, 1], ["b", 1, 0]], columns=["id", "x", "x"])
    with pytest.raises(ResponseError, match="no table of answers"):
        Responses.from_frame(frame)
    with pytest.raises(ResponseError, match="item named more than once: 'x'"):
        Responses.from_array(np.eye(2), items=["x", "x"])


@refused(9, r"items 'Q1' and 'q1' differ only in case.*Rename one")
def names_that_differ_by_case(bench):
    return calibrating(bench, BASE.replace("x,y", "Q1,q1"))


@refused(9, r"items 'caf\\xe9' and 'cafe\\u0301' differ only")
def names_that_differ_by_unicode_form(bench):
    return calibrating(bench, BASE.replace("x,y", "caf\u00e9,cafe\u0301"))


@refused(9, r"items 'x' and 'x ' differ only")
def names_that_differ_by_a_blank(bench):
    return calibrating(bench, BASE.replace("x,y", "x,x "))


@refused(
    10, "answer of person 'b' to item 'y' is 2; the 2pl model knows 0 and 1.*ordered categories"
)
def third_category(bench):
    path = bench.write("answers.csv", "id,x,y,z\na,0,1,1\nb,1,2,0\nc,1,0,1\n")
    return ["calibrate", path, "--model", "2pl", "-o", "c.json"]


@accepted(11, "Numbers written like ' 0' were read as whole codes")
def integers_written_oddly(bench):
    yield calibrating(bench, BASE.replace("a,0,1", "a,0,1.0 ").replace("b,0", "b, 0"))
    check_calibration(bench)


@refused(11, r"person 'b' to item 'x' holds '1\.5'.*whole categories")
def a_half(bench):
    return calibrating(bench, BASE.replace("b,0", "b,1.5"))


@refused(12, "person 'a' to item 'x' holds 'FALSE'.*--label-map FALSE=1")
def truth_words(bench):
    return calibrating(bench, table(words=("FALSE", "TRUE")))


@accepted(12)
def truth_words_with_a_map(bench):
    yield calibrating(bench, table(words=("no", "yes")), "--label-map", "yes=1,no=0")
    check_calibration(bench)


@holds(13, "accepted in Python")
def integers_and_their_text_in_one_column(bench):
    frame = pd.DataFrame({"id": ["a", "b"], "x": [0, "1"], "y": ["1", 0]})
    assert Responses.from_frame(frame).dense().tolist() == [[0, 1], [1, 0]]
    frame = pd.DataFrame({"id": ["a", "b"], "x": [False, True], "y": [True, False]})
    assert Responses.from_frame(frame).dense().tolist() == [[0, 1], [1, 0]]


@holds(13, "refused in Python")
def truth_value_among_integers(bench):
    frame = pd.DataFrame({"id": ["a", "b"], "x": [0, True], "y": [1, 0]})
    with pytest.raises(ResponseError, match="truth value True among other kinds"):
        Responses.from_frame(frame)


@refused(13, "person 'b' to item 'x' is the truth value True among other kinds")
def truth_value_among_integers_of_json_lines(bench):
    lines = '{"id": "a", "x": 0, "y": 1}\n{"id": "b", "x": true, "y": 0}\n'
    return calibrating(bench, lines, name="answers.jsonl")


@refused(21, "Only 1 usable item: the 2pl model needs at least 3")
def one_item(bench):
    path = bench.write("answers.csv", "id,x\na,0\nb,1\nc,1\n")
    return ["calibrate", path, "-o", "c.json"]


@holds(21, "accepted in Python")
def one_item_has_a_classical_table(bench):
    answers = read_responses(bench.write("answers.csv", "id,x\na,0\nb,1\nc,1\nd,1\n"))
    (row,) = classical_table(answers).to_dict("records")
    assert (row["n_answered"], row["mean_code"]) == (4, 0.75)


@refused(22, "Only 2 usable items: the 2pl model needs at least 3.*use the Rasch model")
def two_items(bench):
    return ["calibrate", bench.write("answers.csv", BASE), "-o", "c.json"]


@accepted(22)
def two_items_by_the_rasch_model(bench):
    yield calibrating(bench, BASE)
    check_calibration(bench)


@refused(23, "1 person answered.*fewer than two persons.*stored scale")
def one_person(bench):
    path = bench.write("answers.csv", "id,x,y,z\na,0,1,0\n")
    return ["calibrate", path, "-o", "c.json"]


@accepted(24, r"Fewer persons \(9\) than items \(10\): slopes are poorly determined")
def fewer_persons_than_items(bench):
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 2, (9, 10))
    codes[0], codes[1] = 0, 1
    rows = "".join(f"{p},{','.join(map(str, c))}\n" for p, c in zip(PERSONS, codes, strict=True))
    header = ",".join(f"i{n}" for n in range(10))
    yield calibrating(bench, f"id,{header}\n" + rows)
    assert len(written(bench)["items"]) == 10


@refused(27, "holds '99999999999999999999'. That is out of range for a category")
def integer_beyond_64_bits(bench):
    return calibrating(bench, BASE.replace("b,0", "b,99999999999999999999"))


@refused(27, "holds '99999999999999999999'. That is out of range for a category")
def integer_beyond_64_bits_in_json_lines(bench):
    lines = '{"id": "a", "x": 0, "y": 1}\n{"id": "b", "x": 99999999999999999999, "y": 0}\n'
    return calibrating(bench, lines, name="answers.jsonl")


@refused(28, "person 'b' to item 'x' holds 'inf'")
def infinity(bench):
    return calibrating(bench, BASE.replace("b,0", "b,inf"))


@refused(28, "person 'b' to item 'x' holds '-inf'")
def minus_infinity(bench):
    return calibrating(bench, BASE.replace("b,0", "b,-inf"))


@refused(28, "person 'b' to item 'x' holds '1e309'")
def overflowing_number(bench):
    return calibrating(bench, BASE.replace("b,0", "b,1e309"))


@holds(28, "refused in Python")
def infinity_in_an_array(bench):
    with pytest.raises(ResponseError, match="person '2' to item 'i1' is infinite"):
        Responses.from_array([[0.0, 1.0], [-np.inf, 0.0]])


NEGATIVE = BASE.replace("a,0", "a,-9").replace("b,0,1", "b,0,-99")


@refused(29, "negative codes -99, -9, first in the answer of person 'b' to item 'y'.*--missing")
def negative_codes(bench):
    return calibrating(bench, NEGATIVE)


@accepted(29)
def negative_codes_declared_missing(bench):
    yield calibrating(bench, NEGATIVE, "--missing", "-9,-99")
    check_calibration(bench, [(-1, 1), (0, -1), *CODES[2:]])


@refused(30, "answers are 0, 1, 9: the codes leave out 2.*--missing 9")
def nine_as_omitted(bench):
    return calibrating(bench, BASE.replace("a,0", "a,9"))


@accepted(30)
def nine_declared_missing(bench):
    yield calibrating(bench, BASE.replace("a,0", "a,9"), "--missing", "9")
    check_calibration(bench, [(-1, 1), *CODES[1:]])


@refused(31, "answers are 1, 2, 3: the codes do not start at 0.*--order 1,2,3")
def codes_from_one(bench):
    return rating(bench, rated(("1", "2", "3")))


@accepted(31)
def codes_from_one_in_order(bench):
    yield rating(bench, rated(("1", "2", "3")), "--order", "1,2,3")
    assert check_rated(bench)["categories"] == ["1", "2", "3"]  # the map stands in the file


@refused(32, "answers are 0, 1, 3: the codes leave out 2")
def gap_in_the_codes(bench):
    return rating(bench, rated(("0", "1", "3")))


@accepted(32)
def gap_declared_as_order(bench):
    yield rating(bench, rated(("0", "1", "3")), "--order", "0,1,3")
    assert check_rated(bench)["categories"] == ["0", "1", "3"]


@refused(33, "holds 'high'.*--order low,mid,high")
def ordered_words_without_an_order(bench):
    return rating(bench, rated(ORDERED))


@accepted(33)
def ordered_words_with_their_order(bench):
    yield rating(bench, rated(ORDERED), "--order", "low,mid,high")
    assert check_rated(bench)["categories"] == ["low", "mid", "high"]


@refused(33, "holds 'hihg'.*Did you mean 'high'")
def word_beside_the_order(bench):
    return rating(bench, rated(ORDERED).replace("high", "hihg", 1), "--order", "low,mid,high")


@holds(33, "refused in Python")
def order_that_names_a_category_twice(bench):
    with pytest.raises(ResponseError, match="names a category twice"):
        Coding(order=("0", "0", "1"))


@refused(34, "answer of person 'b' to item 'y' is 2; the rasch model knows 0 and 1 only")
def category_that_the_calibration_never_saw(bench):
    assert bench.run(*calibrating(bench, BASE, name="old.csv")).code == 0
    bench.written.clear()
    new = bench.write("new.csv", BASE.replace("b,0,1", "b,0,2"))
    return ["diagnose", new, "c.json", "-o", "fit"]


@refused(34, "item 'y' is 2; its 2 categories end at 1.*no parameter for it")
def category_above_those_of_a_rated_item(bench):
    old = rated().replace("2", "1", 0)
    rows = [row if row[-1] != "2" else row[:-1] + "1" for row in old.splitlines()]
    assert bench.run(*rating(bench, "\n".join(rows) + "\n")).code == 0
    bench.written.clear()
    return ["diagnose", bench.write("new.csv", rated()), "c.json", "-o", "fit"]


@refused(34, "categories '0', '1', '2', and the items were calibrated with '1', '2', '3'.*--order")
def categories_that_mean_something_else(bench):
    assert bench.run(*rating(bench, rated(("1", "2", "3")), "--order", "1,2,3")).code == 0
    bench.written.clear()
    return ["diagnose", bench.write("new.csv", rated()), "c.json", "-o", "fit"]


@refused(35, "column 'year' holds 60 different answers.*identifier")
def identifier_as_item(bench):
    rows = "".join(f"p{n},{n % 2},{1900 + n}\n" for n in range(60))
    return calibrating(bench, "id,x,year\n" + rows)


@refused(55, r"persons 'ab' and 'a\\u200bb' differ only")
def zero_width_character_in_an_id(bench):
    return calibrating(bench, "id,x,y\nab,0,1\na\u200bb,1,0\n")


@accepted(55)
def right_to_left_and_homoglyph_names_are_kept(bench):
    ran = yield calibrating(bench, BASE.replace("x,y", "\u202eab,\u0430b", 1))
    check_calibration(bench, items=("\u202eab", "\u0430b"))
    assert "\u202e" not in ran.out
    assert "\\u202e" in ran.out


WEIGHTED = table("x,y,n", "{x},{y},2")


@accepted(56)
def weights_that_are_right(bench):
    yield calibrating(bench, WEIGHTED, "--no-person", "--weight", "n")
    check_calibration(bench, weights=(2.0,) * 9)


@refused(56, "weight of person '2' is -1 .*positive number")
def negative_weight(bench):
    return calibrating(bench, "x,y,n\n0,1,3\n1,0,-1\n", "--no-person", "--weight", "n")


@refused(56, r"weight of person '1' is 0 \(2 such weights\)")
def weights_of_zero(bench):
    return calibrating(bench, "x,y,n\n0,1,0\n1,0,0\n", "--no-person", "--weight", "n")


@refused(56, "weight of person '2' is nan")
def missing_weight(bench):
    return calibrating(bench, "x,y,n\n0,1,2\n1,0,nan\n", "--no-person", "--weight", "n")


@refused(56, "weight 'many' in column 'n' is not a number")
def weight_in_words(bench):
    return calibrating(bench, "x,y,n\n0,1,2\n1,0,many\n", "--no-person", "--weight", "n")


def grouping(bench, groups):
    """Give the words that look for DIF between groups of the nine persons."""
    assert bench.run(*calibrating(bench, BASE)).code == 0
    bench.written.clear()
    rows = (f"{p},{g}\n" for p, g in zip(PERSONS, groups, strict=False))
    path = bench.write("groups.csv", "person,group\n" + "".join(rows))
    return ["diagnose", "answers.csv", "c.json", "--groups", path, "-o", "fit"]


@refused(57, "All persons are in the group 'g'")
def one_group(bench):
    return grouping(bench, "ggggggggg")


@refused(57, "gives no group to 1 person who answered: 'i'. Add them")
def person_without_a_group(bench):
    return grouping(bench, "gggghhhh")


@refused(57, "1 person without a group: 'i'. Name their group, or leave them out")
def person_with_an_empty_group(bench):
    return grouping(bench, ["g", "g", "g", "g", "h", "h", "h", "h", ""])


@refused(57, "one person only in 'h': a group needs at least two.*Join small groups")
def group_of_one_person(bench):
    return grouping(bench, "gggggggg" + "h")


@holds(57, "refused in Python")
def groups_of_a_multiple_group_calibration(bench):
    answers = Responses.from_array(CODES)
    for groups in (["g"] * 9, ["g"] * 8 + ["h"], ["g"] * 8 + [None]):
        with pytest.raises((ModelError, ResponseError), match="group"):
            calibrate_groups(answers, groups, Rasch())


@accepted(58, "b.csv holds the same answers as a.csv", writes=["scales", "scales/a.json",
    "scales/a.log.csv", "scales/b.json", "scales/b.log.csv", "scales/summary.csv"])  # fmt: skip
def one_file_given_twice_under_two_names(bench):
    made = simulate(TwoPL(), n_persons=500, n_items=8, seed=1).responses
    frame = pd.DataFrame(made.dense(), columns=list(made.items), index=list(made.persons))
    for name in ("a.csv", "b.csv"):
        frame.rename_axis("person").to_csv(bench.folder / name)
    yield ["screen", "a.csv", "b.csv", "-o", "scales"]
    with (bench.folder / "scales" / "summary.csv").open() as rows:
        assert len({row["log_likelihood"] for row in csv.DictReader(rows)}) == 1


@refused(58, "Two files of answers are called answers", about=None)
def one_file_given_twice(bench):
    path = bench.write("answers.csv", BASE)
    return ["screen", path, path, "-o", "scales"]
