"""Predictions as arrays of a trainer, and as wide, long and joined tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.logs import read_logs, responses_of_output
from irtkit.bridge.predictions import classify, most_probable, read_predictions
from irtkit.errors import PredictionError
from tests.bridge import logs_made as made

STORY = [list(row) for row in made.RIGHT.values()]


@dataclass
class Output:
    """As `Trainer.predict` returns it."""

    predictions: Any
    label_ids: Any = None
    metrics: Any = None


LOGITS = np.array([[4.0, -1.0, 0.0], [1.0, 3.0, 2.0], [0.0, 700.0, 900.0]])


def test_the_output_of_a_trainer_becomes_labels_or_grades():
    labels = responses_of_output(
        Output((LOGITS, "hidden")), ["x", "y", "z"], labels=["yes", "no", "perhaps"], name="m"
    )
    assert [labels.label_set[place] for place in labels.labels[0]] == ["yes", "no", "perhaps"]
    graded = responses_of_output(Output(LOGITS, np.array([0, 1, 0])), ["x", "y", "z"])
    assert graded.dense().tolist() == [[1, 1, 0]]


@pytest.mark.parametrize(
    ("output", "items", "message"),
    [
        (Output(LOGITS, np.arange(3)), ["x", "y"], "2 item ids were given for 3 predictions"),
        (Output(LOGITS), ["x", "y", "z"], "no label_ids"),
        (Output(LOGITS, np.arange(2)), ["x", "y", "z"], "label_ids have shape"),
        (Output(LOGITS, np.ones(3)), ["x", "y", "z"], "type float64"),
        (Output(LOGITS[0], np.arange(3)), ["x", "y", "z"], "have shape"),
        (Output([["a"]]), ["x"], "no array of numbers"),
        (Output(LOGITS * np.nan, np.arange(3)), ["x", "y", "z"], "not finite"),
        (Output(LOGITS, np.arange(3)), ["x", "x", "z"], "elsewhere"),
    ],
)
def test_an_output_that_does_not_fit_is_refused(output, items, message):
    with pytest.raises(PredictionError, match=message):
        responses_of_output(output, items)


def test_arrays_in_a_file_are_read_and_never_unpickled(tmp_path):
    arrays = {"predictions": LOGITS, "items": ["x", "y", "z"], "label_ids": [0, 1, 0]}
    np.savez(tmp_path / "m.npz", **arrays)
    read = read_predictions(tmp_path / "m.npz")
    assert (read.persons, read.dense().tolist()) == (("m",), [[1, 1, 0]])
    np.savez(tmp_path / "m.npz", **(arrays | {"items": np.array(["x", 1, None], dtype=object)}))
    with pytest.raises(PredictionError, match="'items' is damaged or pickled"):
        read_predictions(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", predictions=LOGITS)
    with pytest.raises(PredictionError, match="It needs predictions, items"):
        read_predictions(tmp_path / "m.npz")


# Tables


def test_wide_and_long_tables_are_predictions(tmp_path):
    wide = pd.DataFrame(STORY, columns=list(made.QUESTIONS))
    wide.insert(0, "model", ["a", "b"])
    wide.to_csv(tmp_path / "wide.csv", index=False)
    long = wide.melt("model", var_name="item", value_name="answer")
    long.rename(columns={"model": "person"}).to_csv(tmp_path / "long.csv", index=False)
    wide.rename(columns={"model": "system name"}).to_csv(tmp_path / "named.csv", index=False)
    for name in ("wide", "long", "named"):
        read = read_predictions(tmp_path / f"{name}.csv")
        assert (read.persons, read.items) == (("a", "b"), tuple(made.QUESTIONS))
        assert read.dense().tolist() == STORY
        assert read.notes == ()


def test_logs_and_tables_join_in_one_table(tmp_path):
    log = made.document(tmp_path / "a.json", made.inspect_log("a", task="quiz"))
    items = [f"quiz/{item}" for item in made.QUESTIONS]
    table = tmp_path / "b.csv"
    pd.DataFrame({"item": items, "correct": made.RIGHT["b"]}).to_csv(table, index=False)
    read = read_logs([table, log])
    assert (read.persons, read.dense().tolist()) == (("org/a", "b"), STORY)
    pd.DataFrame({"item": items, "label": list("yyny")}).to_csv(table, index=False)
    with pytest.raises(PredictionError, match="Some predictions are labels"):
        read_logs([table, log])
    read = read_logs(table)
    assert [read.label_set[place] for place in read.labels[0]] == list("yyny")


def test_the_most_probable_label_counts():
    table = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    read = most_probable(table, ["x", "y", "z"], ["yes", "no"], name="m")
    assert [read.label_set[place] for place in read.labels[0]] == ["no", "no", "yes"]
    assert read.notes == ("1 row with equal largest probabilities: the first label counts.",)
    assert read.persons == ("m",)
    for labels, message in ((["yes"], "have shape"), (["item", "no"], "'item' stand twice")):
        with pytest.raises(PredictionError, match=message):
            most_probable(table, ["x", "y", "z"], labels, name="m")
    with pytest.raises(PredictionError, match="do not sum to 1"):
        most_probable(table * 0.9, ["x", "y", "z"], ["yes", "no"], name="m")


class Lengths:
    """A classifier that calls long texts long."""

    labels = ("short", "long")

    def probabilities(self, texts):
        long = texts["text"].str.len().to_numpy() > 5
        return np.where(long[:, None], [0.1, 0.9], [0.9, 0.1])


def test_a_classifier_answers_items_by_their_texts():
    texts = pd.DataFrame({"item": ["x", 7], "text": ["a", "a long text"]})
    read = classify(Lengths(), texts, name="m")
    assert (read.persons, read.items) == (("m",), ("x", "7"))
    assert [read.label_set[place] for place in read.labels[0]] == ["short", "long"]
    with pytest.raises(PredictionError, match="no column item"):
        classify(Lengths(), texts.drop(columns="item"), name="m")
