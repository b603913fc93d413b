"""Prediction files: every form, and every fault of one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from irtkit.bridge.predictions import read_predictions
from irtkit.coding import Coding
from irtkit.datasets import load_dataset, load_items
from irtkit.errors import PredictionError
from irtkit.io import TextFormat
from irtkit.models import TwoPL
from irtkit.scale import build_scale, scale_score
from irtkit.screening import ItemStates, screen

LABELS = ("contradiction", "entailment", "neutral")


@pytest.fixture(scope="module")
def scale():
    items = load_items("crowd_nli")
    garden = list(items[items["scale"] == "garden"]["item"])
    answers = load_dataset("crowd_nli").select_items(garden)
    return build_scale(screen(answers, TwoPL(), (ItemStates(),)), name="garden")


def lines(scale, make):
    gold = zip(scale.items, scale.calibration.key, strict=True)
    return "".join(f"{make(n, item, label)}\n" for n, (item, label) in enumerate(gold))


def probabilities(label, top=0.7, order=LABELS):
    rest = (1 - top) / 2
    return ",".join(f"{top if name == label else rest:.4f}" for name in order)


def answer(number, label):
    """Give a model's label: right on two items of three."""
    return label if number % 3 else LABELS[(LABELS.index(label) + 1) % 3]


FORMS = {
    "label.csv": ("item,label\n", lambda n, item, gold: f"{item},{answer(n, gold)}"),
    "correct.csv": ("item,correct\n", lambda n, item, gold: f"{item},{int(n % 3 > 0)}"),
    "probability.csv": (
        "item,neutral,contradiction,entailment\n",
        lambda n, item, gold: (
            f"{item},"
            + probabilities(answer(n, gold), order=("neutral", "contradiction", "entailment"))
        ),
    ),
    "label.jsonl": (
        "",
        lambda n, item, gold: json.dumps({"item": item, "label": answer(n, gold)}),
    ),
    "probability.jsonl": (
        "",
        lambda n, item, gold: json.dumps(
            {
                "item": item,
                "probabilities": {
                    name: 0.6 if name == answer(n, gold) else 0.2 for name in LABELS
                },
            }
        ),
    ),
    "label.tsv": ("item\tlabel\n", lambda n, item, gold: f"{item}\t{answer(n, gold)}"),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_ability(scale, tmp_path, name):
    head, row = FORMS[name]
    path = tmp_path / name
    path.write_text(head + lines(scale, row))
    made = read_predictions(path)
    assert made.persons == (name.split(".")[0],)
    table = scale_score(made, scale).table()
    expected = tmp_path / "plain.csv"
    expected.write_text("item,label\n" + lines(scale, FORMS["label.csv"][1]))
    plain = scale_score(read_predictions(expected), scale).table()
    assert table.to_numpy(float) == pytest.approx(plain.to_numpy(float), abs=1e-12)


def test_a_column_tells_models_apart(scale, tmp_path):
    path = tmp_path / "several.csv"
    rows = lines(scale, lambda n, item, gold: f"good,{item},{gold}\nbad,{item},neutral")
    path.write_text("model,item,label\n" + rows)
    table = scale_score(read_predictions(path), scale).table()
    assert list(table.index) == ["good", "bad"]
    assert table.loc["good", "theta"] > table.loc["bad", "theta"]


def test_label_map_and_missing_answers_apply(scale, tmp_path):
    path = tmp_path / "m.csv"
    rows = lines(scale, lambda n, item, gold: f"{item},{gold[0] if n else ''}")
    path.write_text("item,label\n" + rows)
    coding = Coding(label_map={label[0]: label for label in LABELS})
    result = scale_score(read_predictions(path, coding=coding), scale)
    assert result.scores.n_answered[0] == len(scale.items) - 1
    assert f"'m' left 1 item unanswered: '{scale.items[0]}'" in " ".join(result.notes)


def test_ties_take_the_first_label_and_are_counted(scale, tmp_path):
    path = tmp_path / "tied.csv"
    rows = lines(scale, lambda n, item, gold: f"{item},0.4,0.4,0.2")
    path.write_text("item,neutral,contradiction,entailment\n" + rows)
    made = read_predictions(path)
    used = np.unique(made.labels)
    assert [made.label_set[n] for n in used] == ["contradiction"]
    assert f"{len(scale.items)} rows with equal largest probabilities" in " ".join(made.notes)


REFUSED = {
    "89-repeated-item": ("item,label\na,x\na,y\n", "answers elsewhere, differently"),
    "89-repeated-equal-item": ("item,label\na,x\na,x\n", "with the same answer"),
    "90-sum-below-one": ("item,x,y\na,0.5,0.48\nb,0.5,0.5\n", "do not sum to 1, for example 0.98"),
    "90-sum-above-one": ("item,x,y\na,0.7,0.6\n", "do not sum to 1, for example 1.3"),
    "91-negative": ("item,x,y\na,-0.2,1.2\n", "items 'a'; probabilities must be"),
    "91-empty-cell": ("item,x,y\na,,1\nb,0.5,0.5\n", "missing or not between 0 and 1, items 'a'"),
    "92-logits": ("item,x,y\na,-2.1,3.4\nb,1.7,-0.3\n", "look like logits"),
    "95-no-item-column": ("label\nx\ny\n", "no column item"),
    "95-no-form": ("item,score\na,1\n", "Give item with label, or with correct"),
    "98-bad-line": ('{"item": "a", "label": "x"}\n{"item":\n', "Line 2: It is not complete JSON"),
    "both-forms": ("item,label,correct\na,x,1\n", "label and correct"),
    "words-as-probabilities": ("item,x,y\na,high,low\n", "'high', which is no probability"),
    "half-right": ("item,correct\na,0.5\nb,1\n", "holds '0.5'"),
    "two-for-right": ("item,correct\na,2\nb,1\n", "codes do not start at 0|leave out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_fault_is_refused_by_name(tmp_path, name):
    content, message = REFUSED[name]
    path = tmp_path / ("p.jsonl" if content.startswith("{") else "p.csv")
    path.write_text(content)
    with pytest.raises(PredictionError, match=rf"p\.\w+: .*({message})"):
        read_predictions(path, text=TextFormat(separator=",") if name == "95-no-form" else None)


def test_one_class_model_is_scored_with_an_interval(scale, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("item,label\n" + lines(scale, lambda n, item, gold: f"{item},neutral"))
    row = scale_score(read_predictions(path), scale).table().iloc[0]
    assert row["percentile_low"] < row["percentile"] < row["percentile_high"] < 100


def test_notes_of_the_reader_do_not_speak_of_transposing(scale, tmp_path):
    path = tmp_path / "p.csv"
    rows = lines(scale, lambda n, item, gold: f"a,{item},{gold}\nb,{item},{gold}")
    path.write_text("model,item,label\n" + rows)
    made = read_predictions(path)
    assert made.notes == ()
    assert replace(made, notes=()).n_persons == 2
