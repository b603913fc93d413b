"""Prediction files in all their forms; bad ones are in the catalogue of bad inputs."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from irtkit.bridge.predictions import read_predictions
from irtkit.coding import Coding
from irtkit.errors import PredictionError
from irtkit.io import TextFormat
from irtkit.scale import scale_score
from tests.bad_inputs.scales_made import GOLD, LABELS, WRONG, six_scale


@pytest.fixture(scope="module")
def scale():
    """Six items with a key in three labels."""
    return six_scale()


def file(folder: Path, content, name="model.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(column, values, items=tuple(GOLD)):
    rows = "".join(f"{item},{value}\n" for item, value in zip(items, values, strict=True))
    return f"item,{column}\n{rows}"


def probabilities(label, top=0.6):
    """Three probabilities in the order of LABELS, the largest at `label`."""
    rest = (1 - top) / 2
    return [top if name == label else rest for name in LABELS]


CHOICES = ("yes", "no", "no", "perhaps", "yes", "yes")
BY_LABEL = table("label", CHOICES)
BY_GRADE = table("correct", (1, 1, 0, 1, 0, 1))
BY_PROBABILITY = "item,no,perhaps,yes\n" + "".join(
    f"{item}," + ",".join(f"{p:.4f}" for p in probabilities(choice)) + "\n"
    for item, choice in zip(GOLD, CHOICES, strict=True)
)
LINES = [{"item": item, "label": choice} for item, choice in zip(GOLD, CHOICES, strict=True)]
NESTED = [
    {"item": row["item"], "probabilities": dict(zip(LABELS, chances, strict=True))}
    for row in LINES
    for chances in [probabilities(row["label"])]
]
FORMS = {
    "label": ("model.csv", BY_LABEL),
    "correct": ("model.csv", BY_GRADE),
    "probabilities": ("model.csv", BY_PROBABILITY),
    "tabs": ("model.tsv", BY_LABEL.replace(",", "\t")),
    "gzip": ("model.csv.gz", gzip.compress(BY_LABEL.encode())),
    "other-columns": ("model.csv", BY_LABEL.replace(",", ",5,").replace("5", "logprob", 1)),
    "json-lines": ("model.jsonl", "\n".join(map(json.dumps, LINES))),
    "json-probabilities": ("model.jsonl", "\n".join(map(json.dumps, NESTED))),
    "json-truth-values": (
        "model.jsonl",
        "\n".join(
            json.dumps({"item": row["item"], "correct": row["label"] == GOLD[row["item"]]})
            for row in LINES
        ),
    ),
    "model-column": (
        "file.csv",
        "model,item,label\n" + "".join(f"model,{r['item']},{r['label']}\n" for r in LINES),
    ),
}


@pytest.mark.parametrize(("name", "content"), FORMS.values(), ids=list(FORMS))
def test_every_form_gives_the_same_scores(scale, tmp_path, name, content):
    plain = scale_score(read_predictions(file(tmp_path, BY_LABEL, "model.csv")), scale).table()
    made = read_predictions(file(tmp_path, content, name))
    assert made.notes == ()
    assert made.persons == ("model",)
    assert scale_score(made, scale).table().equals(plain)


def test_parquet_gives_the_same_scores(scale, tmp_path):
    plain = scale_score(read_predictions(file(tmp_path, BY_LABEL)), scale).table()
    pd.DataFrame(LINES).to_parquet(tmp_path / "model.parquet")
    made = read_predictions(tmp_path / "model.parquet")
    assert scale_score(made, scale).table().equals(plain)


def test_model_column_tells_models_apart(scale, tmp_path):
    rows = [f"{m},{i},{GOLD[i] if m == 'a' else WRONG[GOLD[i]]}\n" for i in GOLD for m in "ab"]
    made = read_predictions(file(tmp_path, "model,item,label\n" + "".join(rows)))
    scored = scale_score(made, scale).table()
    assert list(scored.index) == ["a", "b"]
    assert scored["at_ceiling"].tolist() == [True, False]
    assert scored["at_floor"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "model"),
    [("gpt-4.1.csv", "gpt-4.1"), ("llama-3.1-8b.jsonl", "llama-3.1-8b"), ("m.csv.gz", "m")],
)
def test_a_file_names_its_model_but_for_the_ending(tmp_path, name, model):
    content = "\n".join(map(json.dumps, LINES)) if name.endswith("l") else BY_LABEL
    raw = gzip.compress(content.encode()) if name.endswith("gz") else content
    assert read_predictions(file(tmp_path, raw, name)).persons == (model,)


def test_label_map_and_separator_are_obeyed(scale, tmp_path):
    short = table("label", [choice[0] for choice in CHOICES]).replace(",", ";")
    coding = Coding(label_map={"y": "yes", "n": "no", "p": "perhaps"})
    made = read_predictions(file(tmp_path, short), coding=coding, text=TextFormat(";"))
    plain = read_predictions(file(tmp_path, BY_LABEL))
    assert scale_score(made, scale).table().equals(scale_score(plain, scale).table())


def test_probabilities_of_labels_that_are_mapped_to_one_add_up(tmp_path):
    content = "item,maybe,perhaps,yes\ni1,0.35,0.25,0.4\n"
    coding = Coding(label_map={"maybe": "perhaps"})
    made = read_predictions(file(tmp_path, content), coding=coding)
    assert made.label_set[made.labels[0, 0]] == "perhaps"


def test_normalised_probability_columns_add_up(tmp_path):
    content = "item,No, no,Yes\ni1,0.35,0.25,0.4\n"
    made = read_predictions(file(tmp_path, content), coding=Coding(normalise_labels=True))
    assert made.label_set[made.labels[0, 0]] == "no"


def test_rows_without_probabilities_are_unanswered(scale, tmp_path):
    lines = BY_PROBABILITY.splitlines()
    lines[2] = "i2,,,"
    made = read_predictions(file(tmp_path, "\n".join(lines)))
    assert made.n_answered().tolist() == [5]
    assert scale_score(made, scale).notes == ("'model' left 1 item unanswered: 'i2'.",)


def test_tie_goes_to_the_first_label_in_alphabetical_order(tmp_path):
    made = read_predictions(file(tmp_path, "item,yes,no,perhaps\ni1,0.4,0.2,0.4\n"))
    assert made.label_set[made.labels[0, 0]] == "perhaps"


@pytest.mark.parametrize("total", [0.9995, 1.0005])
def test_rounded_probabilities_are_accepted(tmp_path, total):
    made = read_predictions(file(tmp_path, f"item,no,yes\ni1,0.25,{total - 0.25:.4f}\n"))
    assert made.n_answered().tolist() == [1]


def test_columns_that_are_no_form_are_named(tmp_path):
    with pytest.raises(PredictionError, match=r"model\.csv: The columns are 'item', 'answer'"):
        read_predictions(file(tmp_path, "item,answer\ni1,yes\n"))
    with pytest.raises(PredictionError, match="keep the one to score"):
        read_predictions(file(tmp_path, "item,label,correct\ni1,yes,1\n"))
    with pytest.raises(PredictionError, match="'note' holds 'sure', which is no probability"):
        read_predictions(file(tmp_path, "item,no,note,yes\ni1,0.5,sure,0.5\n"))
