"""Section B: keys and labels."""

import csv
import json

import pandas as pd
import pytest

from irtkit.estimation import calibrate
from irtkit.models import Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate
from tests.bad_inputs.catalogue import accepted, holds, refused
from tests.bad_inputs.scales_made import GOLD, six
from tests.bad_inputs.small_tables import CODES, PERSONS, calibrating_file, check_calibration

# Answers that the key below grades as the codes of the small table, and a third item.
SAID = {"x": ("no", "yes"), "y": ("yes", "no")}
KEY = "item,label\nx,yes\ny,no\nz,yes\n"
THIRD = (1, 1, 0, 0, 1, 1, 0, 1, 0)


def answers(words=SAID) -> str:
    rows = (
        f"{p},{words['x'][x]},{words['y'][y]},{'yes' if z else 'no'}\n"
        for p, (x, y), z in zip(PERSONS, CODES, THIRD, strict=True)
    )
    return "id,x,y,z\n" + "".join(rows)


def keyed(bench, key=KEY, content=None, *options):
    """Write a key and answers, and give the words that calibrate them."""
    path = bench.write("key.csv", key)
    table = bench.write("answers.csv", content or answers())
    return calibrating_file(table, "--key", path, *options)


def check_graded(bench):
    check_calibration(bench, [(*c, z) for c, z in zip(CODES, THIRD, strict=True)], ("x", "y", "z"))


@accepted(59, "1 item without a gold label left out: 'y'")
def item_without_a_gold_label(bench):
    yield keyed(bench, KEY.replace("y,no", "y,"))
    check_calibration(bench, [(c[0], z) for c, z in zip(CODES, THIRD, strict=True)], ("x", "z"))


@refused(59, "no gold label at all", about="answers.csv")
def no_gold_label_at_all(bench):
    return keyed(bench, "x,\ny,\nz,\n")


@accepted(60)
def key_that_fits(bench):
    yield keyed(bench)
    check_graded(bench)


@refused(60, r"1 item without a line in it \('z'\)", about="answers.csv")
def key_shorter_than_the_answers(bench):
    return keyed(bench, "x,yes\ny,no\n")


@refused(60, r"1 item of the key not answered \('w'\)", about="answers.csv")
def key_longer_than_the_answers(bench):
    return keyed(bench, KEY + "w,yes\n")


@refused(60, r"key\.csv is empty: it holds no key")
def empty_key(bench):
    return keyed(bench, "\n")


@refused(60, r"key\.csv is empty: it holds no key")
def key_of_a_header_only(bench):
    return keyed(bench, "item,label\n")


@refused(61, r"'yess' was never answered.*Did you mean 'yes'", about="answers.csv")
def typing_error_in_the_key(bench):
    return keyed(bench, KEY.replace("x,yes", "x,yess"))


@refused(61, r"'contradiction' was never answered.*'c' stand", about="answers.csv")
def label_left_out_of_the_map(bench):
    key = "item,label\nx,entailment\ny,neutral\nz,contradiction\n"
    content = "id,x,y,z\na,e,n,c\nb,n,n,c\nc,e,c,c\n"
    return keyed(bench, key, content, "--label-map", "e=entailment,n=neutral")


@refused(62, r"'Yes' and 'yes' differ only in case.*--normalise-labels", about="answers.csv")
def labels_that_differ_in_case(bench):
    return keyed(bench, KEY.replace("z,yes", "z,Yes"))


@accepted(62)
def labels_that_differ_in_case_normalised(bench):
    yield keyed(bench, KEY.replace("z,yes", "z, Yes"), None, "--normalise-labels")
    check_graded(bench)
    assert json.loads((bench.folder / "c.json").read_text())["label_set"] == ["no", "yes"]


@accepted(63, "Nobody chose the gold label of 1 item: 'x'")
def gold_label_that_nobody_chose(bench):
    words = {"x": ("no", "no"), "y": ("yes", "no")}
    yield keyed(bench, KEY.replace("x,yes", "x,maybe"), answers(words))
    items = json.loads((bench.folder / "c.json").read_text())["items"]
    assert [item["state"] for item in items] == ["constant", "ok", "ok"]


def crowd(bench, n_items=8, **changes):
    """Write the raw labels of a simulated crowd, and a key with some labels exchanged."""
    made = simulate(TwoPL(), n_persons=500, n_items=n_items, seed=1).responses
    frame = pd.DataFrame(made.dense(), columns=list(made.items), index=list(made.persons))
    words = frame.replace({0: "no", 1: "yes"}).rename_axis("person")
    bench.write("answers.csv", words.to_csv())
    key = dict.fromkeys(made.items, "yes") | changes
    bench.write("key.csv", "item,label\n" + "".join(f"{i},{k}\n" for i, k in key.items()))
    return ["screen", "answers.csv", "--key", "key.csv", "-o", "s.json", "--log", "log.csv"]


def dropped(bench):
    with (bench.folder / "log.csv").open() as rows:
        return {r["item"]: r for r in csv.DictReader(rows) if r["decision"] == "drop"}


@accepted(64, writes=["s.json", "log.csv"])
def wrong_key(bench):
    """The item goes first, with its correlation; the options are in the label counts."""
    yield crowd(bench, i3="no")
    row = dropped(bench)["i3"]
    assert row["rule"] == "item_rest"
    assert float(row["statistic"]) < 0
    assert "key" in row["reason"]


@holds(65, "accepted, noted")
def reversed_item_is_reported_and_not_turned(bench):
    words = crowd(bench, i3="no")
    output = ["--key", "key.csv", "-o", "c.json"]
    ran = bench.run("calibrate", "answers.csv", *output)
    assert ran.code == 0
    assert "1 item with a negative slope, as if the key were reversed: 'i3'" in ran.err
    made = json.loads((bench.folder / "c.json").read_text())["items"][2]
    assert (made["state"], made["parameters"]["slope"] < 0) == ("reverse-keyed", True)
    assert words[0] == "screen"


@holds(66, "accepted")
def all_items_reversed(bench):
    """The slopes always sum to a positive number, so the sign of theta is fixed."""
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=3).responses
    turned = Responses.from_array(1 - made.dense())
    plain, other = calibrate(made, TwoPL()), calibrate(turned, TwoPL())
    assert plain.parameters[:, 0].sum() > 0
    assert other.parameters[:, 0] == pytest.approx(plain.parameters[:, 0], abs=1e-4)
    assert other.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)


@refused(67, r"key\.csv: line 5 names item 'x' with two labels")
def two_gold_labels(bench):
    return keyed(bench, KEY + "x,no\n")


@refused(67, r"key\.csv: line 5 names item 'x' twice")
def one_gold_label_twice(bench):
    return keyed(bench, KEY + "x,yes\n")


@refused(67, r"line 1 should hold an item and its label")
def answers_given_as_the_key(bench):
    return keyed(bench, answers())


@refused(68, "6 of 6 predictions name labels.*'false', 'true'.*labels are no, perhaps, yes")
def predictions_in_other_labels(bench):
    rows = "".join(f"{i},{'true' if gold == 'yes' else 'false'}\n" for i, gold in GOLD.items())
    path = bench.write("model.csv", "item,label\n" + rows)
    return ["score", bench.write("six.json", six()), path]


@holds(68, "refused in Python")
def codes_that_are_not_graded(bench):
    words = Responses.from_array(CODES).graded_by
    with pytest.raises(ValueError, match="Only raw labels that are not graded yet"):
        words({"i1": "yes"})
    assert Rasch().name == "rasch"
