"""Bad keys and bad scale files: each must be refused by name, or read as it was meant."""

import importlib
import json
import pickle

import pytest

from irtkit.coding import Coding
from irtkit.datasets import load_dataset, load_items
from irtkit.errors import IrtkitError, ResponseError, ScaleError
from irtkit.io import read_responses, read_scale, write_scale
from irtkit.io.documents import sealed, write_json
from irtkit.models import TwoPL
from irtkit.scale import build_scale, scale_document
from irtkit.screening import ItemStates, screen

# Section B: keys and labels.
ANSWERS = "id,q1,q2,q3\na,yes,no,yes\nb,no,no,yes\nc,yes,yes,no\n"
KEY_FAULTS = {
    60: ("q1,yes\nq2,no\n", "1 item without a line in it ('q3')"),
    "60-longer": ("q1,yes\nq2,no\nq3,yes\nq4,no\n", "1 item of the key not answered ('q4')"),
    "60-misspelt": ("q1,yes\nq2,no\nQ3,yes\n", "Did you mean 'q3'"),
    61: ("q1,yess\nq2,no\nq3,yes\n", "'yess' was never answered on any item.*Did you mean 'yes'"),
    62: ("q1,Yes\nq2,no\nq3,yes\n", "'Yes' and 'yes' differ only in case"),
    67: ("q1,yes\nq1,no\nq2,no\nq3,yes\n", "line 2 names item 'q1' with two labels"),
    "all-empty": ("q1,\nq2,\nq3,\n", "no gold label at all"),
    "other-words": ("q1,oui\nq2,non\nq3,oui\n", "--label-map"),
}
KEYS_ELSEWHERE = {
    59: ("tests.test_bad_scales", "test_item_with_an_empty_gold_label_is_left_out_and_named"),
    63: ("tests.test_bad_scales", "test_gold_label_that_nobody_chose_is_noted"),
    64: ("tests.test_screening", "test_planted_faults_are_dropped_each_by_its_rule"),
    65: (
        "tests.estimation.test_calibrate",
        "test_reverse_keyed_item_is_named_and_keeps_its_negative_slope",
    ),
    66: (
        "tests.estimation.test_calibrate",
        "test_sign_rule_makes_slopes_sum_to_a_positive_number",
    ),
    68: ("tests.test_scale", "test_unknown_label_is_refused_with_the_scales_labels"),
}


def answers(folder, key, **coding):
    (folder / "a.csv").write_text(ANSWERS)
    (folder / "k.csv").write_text(key)
    return read_responses(folder / "a.csv", key=folder / "k.csv", coding=Coding(**coding))


@pytest.mark.parametrize("number", KEY_FAULTS, ids=str)
def test_bad_key_is_refused(number, tmp_path):
    key, message = KEY_FAULTS[number]
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ResponseError, match=pattern):
        answers(tmp_path, key)


def test_labels_that_differ_in_case_are_one_if_declared(tmp_path):
    made = answers(tmp_path, "q1,Yes\nq2,no\nq3,YES \n", normalise_labels=True)
    assert made.label_set == ("no", "yes")
    assert made.dense().tolist() == [[1, 1, 1], [0, 1, 1], [1, 0, 0]]


def test_item_with_an_empty_gold_label_is_left_out_and_named(tmp_path):
    made = answers(tmp_path, "q1,yes\nq2,\nq3,yes\n")
    assert made.items == ("q1", "q3")
    assert made.notes == ("1 item without a gold label left out: 'q2'.",)


def test_gold_label_that_nobody_chose_is_noted(tmp_path):
    (tmp_path / "a.csv").write_text("id,q1,q2\na,yes,no\nb,yes,yes\n")
    made = read_responses(tmp_path / "a.csv", key={"q1": "no", "q2": "yes"})
    assert made.notes == ("Nobody chose the gold label of 1 item: 'q1'.",)
    assert made.dense().tolist() == [[0, 0], [0, 1]]


# Section C: scale files.
@pytest.fixture(scope="module")
def scale():
    items = load_items("crowd_nli")
    office = list(items[items["scale"] == "office"]["item"])[:8]
    answers = load_dataset("crowd_nli").select_items(office)
    return build_scale(screen(answers, TwoPL(), (ItemStates(),)), name="office")


def edited(change):
    """Write a scale whose document was changed and honestly sealed again."""

    def write(path, scale):
        document = scale_document(scale)
        change(document)
        write_json(sealed(document), path)

    return write


def raw(make):
    """Write a scale whose text was changed after it was written."""

    def write(path, scale):
        write_scale(scale, path)
        content = make(path.read_bytes())
        path.write_bytes(content)

    return write


def first(document):
    return document["items"][0]


SCALE_FAULTS = {
    69: (edited(lambda d: d.update(schema="irtkit/scale/2")), "reads version 1"),
    70: (edited(lambda d: d.update(colour="red")), "Unknown fields: 'colour'"),
    71: (edited(lambda d: first(d)["parameters"].pop("slope")), "parameters.slope is missing"),
    72: (raw(lambda c: c.replace(b'"slope": ', b'"slope": 1', 1)), "changed after irtkit wrote"),
    "72-seal": (raw(lambda c: c.replace(b'"sha256"', b'"sha257"')), "sha256 is missing"),
    73: (raw(lambda c: c.replace(b'"mean": 0.0', b'"mean": NaN')), "holds NaN"),
    "73-infinity": (raw(lambda c: c.replace(b'"mean": 0.0', b'"mean": -Infinity')), "Infinity"),
    "73-overflow": (raw(lambda c: c.replace(b'"mean": 0.0', b'"mean": 1e999')), "too large"),
    74: (edited(lambda d: first(d)["parameters"].update(slope=0.0)), "slope is 0"),
    "74-variance": (
        edited(lambda d: first(d).update(covariance=[[-1.0, 0.0], [0.0, 1.0]])),
        "no covariance matrix",
    ),
    75: (edited(lambda d: first(d)["parameters"].update(slope=1e6)), "from -1000 to 1000"),
    "75-intercept": (edited(lambda d: first(d)["parameters"].update(intercept=1e6)), "intercept"),
    "76-depth": (raw(lambda c: b'{"a": ' + b"[" * 100_000), "nested more than 64 deep"),
    77: (raw(lambda c: c.replace(b'"name"', b'"schema"')), "'schema' stands twice"),
    79: (raw(lambda c: pickle.dumps({"a": 1})), "is a Python pickle, not JSON"),
    "79-zip": (raw(lambda c: b"PK\x03\x04" + c), "is a zip archive, not JSON"),
    83: (edited(lambda d: first(d)["parameters"].update(slope="1.0")), "should be a number"),
    "83-count": (edited(lambda d: d["convergence"].update(n_cycles=3.5)), "whole number"),
    84: (raw(lambda c: c[: len(c) // 2]), "not complete JSON"),
    "84-empty": (raw(lambda c: b""), "not complete JSON"),
    86: (edited(lambda d: first(d)["parameters"].update(slope="1,5")), "should be a number"),
    "not-an-object": (raw(lambda c: b"[1]"), "not an object"),
    "not-utf-8": (raw(lambda c: b'{"a": "\xff"}'), "not UTF-8"),
}
SCALES_ELSEWHERE = {
    76: ("tests.test_bad_scales", "test_oversized_scale_is_refused_before_parsing"),
    81: ("tests.test_scale", "test_order_of_items_does_not_matter"),
    85: ("tests.test_bad_scales", "test_markup_in_names_is_kept_as_text"),
}
SCALES_NOT_YET = {
    78: "a scale is one file and names no other",
    80: "no YAML is read",
    82: "nothing mixes two scales",
}


@pytest.mark.parametrize("number", SCALE_FAULTS, ids=str)
def test_bad_scale_is_refused_with_its_name(number, scale, tmp_path):
    write, message = SCALE_FAULTS[number]
    path = tmp_path / "s.json"
    write(path, scale)
    with pytest.raises(ScaleError, match=message) as caught:
        read_scale(path)
    assert str(path) in str(caught.value)


def test_oversized_scale_is_refused_before_parsing(tmp_path, monkeypatch):
    monkeypatch.setattr("irtkit.io.documents.MOST_BYTES", 1000)
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"a": "x" * 2000}))
    with pytest.raises(ScaleError, match="at most 1,000 are read"):
        read_scale(path)


def test_markup_in_names_is_kept_as_text(scale, tmp_path):
    from dataclasses import replace

    name = "<script>alert(1)</script> \u202e [red]bold[/red] \x1b[31m"
    write_scale(replace(scale, name=name), tmp_path / "s.json")
    assert read_scale(tmp_path / "s.json").name == name


def test_failed_write_keeps_the_old_scale(scale, tmp_path, monkeypatch):
    path = tmp_path / "s.json"
    write_scale(scale, path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(IrtkitError, match="No space left"):
        write_scale(scale, path)
    assert path.read_bytes() == before


def test_every_fault_has_its_place():
    def numbers(faults):
        return {int(str(name).split("-")[0]) for name in faults if str(name)[0].isdigit()}

    assert numbers(KEY_FAULTS) | set(KEYS_ELSEWHERE) == set(range(59, 69))
    here = numbers(SCALE_FAULTS) | set(SCALES_ELSEWHERE) | set(SCALES_NOT_YET)
    assert here == set(range(69, 87))
    for module, test in [*KEYS_ELSEWHERE.values(), *SCALES_ELSEWHERE.values()]:
        assert hasattr(importlib.import_module(module), test)
