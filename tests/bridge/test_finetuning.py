"""Fine-tuning sets: columns, targets, texts, files, and the `datasets` library as a reader."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest

from irtkit.bridge.finetuning import finetuning_set, write_finetuning_set
from irtkit.bridge.finetuning.files import FORMATS, card, jsonl
from irtkit.coding import Coding
from irtkit.datasets import load_items
from irtkit.errors import FileError, ScaleError
from irtkit.io import read_responses
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.scale import build_scale
from irtkit.screening import ItemStates, screen
from irtkit.simulate import simulate

LABELS = ("no", "perhaps", "yes")
N_ITEMS = 6
COLUMNS = ["item", "text", "label", "label_distribution", "weight", "difficulty", "discrimination"]


@pytest.fixture(scope="module")
def answers():
    """Raw labels as a table, some missing, and their key."""
    made = simulate(TwoPL(), n_persons=400, n_items=N_ITEMS, seed=6, missing=0.1).responses
    codes = made.dense()
    key = {item: LABELS[place % 3] for place, item in enumerate(made.items)}
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"person": made.persons})
    for place, item in enumerate(made.items):
        others = [label for label in LABELS if label != key[item]]
        wrong = rng.choice(others, len(codes), p=[0.8, 0.2])
        column = np.where(codes[:, place] == 1, key[item], wrong).astype(object)
        column[codes[:, place] < 0] = None
        frame[item] = column
    return frame, key


@pytest.fixture(scope="module")
def scale(answers):
    frame, key = answers
    responses = Responses.from_frame(frame, key=key)
    return build_scale(screen(responses, TwoPL(), (ItemStates(),)), name='A "quoted" <b>name</b>')


@pytest.fixture
def texts(scale):
    """Return texts with what breaks careless writers, in another order, with an item too many."""
    odd = [
        "plain",
        'a "quote"',
        "a,comma\nand a line",
        "\u2028 separator \u0085",
        "<script>",
        "é项",
    ]
    rows = [{"item": item, "text": text} for item, text in zip(scale.items, odd, strict=True)]
    return pd.DataFrame([{"item": "other", "text": "not on the scale"}, *rows[::-1]])


def test_gold_target_has_all_mass_on_the_key(scale, texts):
    rows = finetuning_set(scale, texts).rows
    assert list(rows.columns) == COLUMNS
    assert rows["item"].tolist() == list(scale.items)
    for row, gold in zip(rows.itertuples(), scale.calibration.key, strict=True):
        assert LABELS[row.label] == gold
        assert row.label_distribution == [float(label == gold) for label in LABELS]


def test_crowd_target_is_the_share_of_the_raw_answers(answers, scale, texts):
    frame, _ = answers
    examples = finetuning_set(scale, texts, target="crowd")
    assert examples.label_set == LABELS
    for row in examples.rows.itertuples():
        given = frame[row.item].dropna()
        expected = [(given == label).sum() / len(given) for label in LABELS]
        assert row.label_distribution == pytest.approx(expected, abs=1e-12)
        assert LABELS[row.label] == scale.calibration.key[scale.items.index(row.item)]


def test_crowd_target_counts_rows_by_their_weights(answers, tmp_path):
    frame, key = answers
    weighted = Responses.from_frame(frame, key=key)
    weighted = replace(weighted, weights=np.where(np.arange(400) < 200, 3.0, 1.0))
    scale = build_scale(screen(weighted, TwoPL(), (ItemStates(),)), name="weighted")
    texts = pd.DataFrame({"item": scale.items, "text": ["t"] * N_ITEMS})
    row = finetuning_set(scale, texts, target="crowd").rows.iloc[0]
    given = pd.concat([frame[:200], frame[:200], frame])[row["item"]].dropna()
    expected = [(given == label).mean() for label in LABELS]
    assert row["label_distribution"] == pytest.approx(expected, abs=1e-12)


def test_rows_carry_the_parameters_of_the_scale(scale, texts):
    rows = finetuning_set(scale, texts).rows
    table = scale.calibration.table()
    assert rows["difficulty"].tolist() == table["difficulty"].tolist()
    assert rows["discrimination"].tolist() == table["discrimination"].tolist()
    assert set(rows["weight"]) == {1.0}


def test_texts_are_matched_by_item_from_any_dataframe(scale, texts):
    plain = finetuning_set(scale, texts).rows
    assert plain["text"].tolist() == texts["text"].tolist()[:0:-1]
    assert finetuning_set(scale, pl.DataFrame(texts)).rows.equals(plain)


def test_pairs_of_texts_have_a_column_of_their_own(scale, texts):
    rows = finetuning_set(scale, texts.assign(text_pair="second")).rows
    assert list(rows.columns) == [*COLUMNS[:2], "text_pair", *COLUMNS[2:]]
    assert set(rows["text_pair"]) == {"second"}


REFUSED = {
    "no item column": (lambda t: t.drop(columns="item"), "The texts have no column 'item'"),
    "no text column": (lambda t: t.rename(columns={"text": "t"}), "no column 'text'"),
    "a missing text": (
        lambda t: t[t["item"] != "i3"],
        "1 item of the scale .* without a text: 'i3'",
    ),
    "two texts": (lambda t: pd.concat([t, t[t["item"] == "i2"]]), "1 item with two texts: 'i2'"),
    "an empty text": (
        lambda t: t.assign(text=t["text"].replace("plain", " ")),
        "empty text: 'i1'",
    ),
    "no text": (lambda t: t.assign(text=t["text"].replace("plain", None)), "empty text: 'i1'"),
    "an empty pair": (
        lambda t: t.assign(text_pair=["second"] * (len(t) - 1) + [""]),
        "1 item with an empty text: 'i1'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_texts_with_a_fault_are_refused(name, scale, texts):
    spoil, message = REFUSED[name]
    with pytest.raises(ScaleError, match=message):
        finetuning_set(scale, spoil(texts))


def test_unknown_target_and_format_are_refused(scale, texts, tmp_path):
    with pytest.raises(ScaleError, match="Unknown target 'hard'; there is 'gold'"):
        finetuning_set(scale, texts, target="hard")
    examples = finetuning_set(scale, texts)
    with pytest.raises(FileError, match="Unknown format 'arrow'"):
        write_finetuning_set(examples, tmp_path / "set", data_format="arrow")
    assert list(tmp_path.iterdir()) == []


def test_scale_from_codes_has_nothing_to_train_on(texts):
    made = simulate(TwoPL(), n_persons=300, n_items=N_ITEMS, seed=8).responses
    scale = build_scale(screen(made, TwoPL(), (ItemStates(),)), name="codes")
    with pytest.raises(ScaleError, match="has no key, so its items have no labels"):
        finetuning_set(scale, texts)


def test_json_lines_hold_the_rows_one_a_line(scale, texts, tmp_path):
    examples = finetuning_set(scale, texts, target="crowd")
    write_finetuning_set(examples, tmp_path / "set.jsonl")
    lines = (tmp_path / "set.jsonl").read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == examples.rows.to_dict(orient="records")


def test_a_name_of_a_parquet_file_makes_that_file(scale, texts, tmp_path):
    examples = finetuning_set(scale, texts, target="crowd")
    write_finetuning_set(examples, tmp_path / "set.parquet")
    back = pd.read_parquet(tmp_path / "set.parquet")
    back["label_distribution"] = back["label_distribution"].map(list)
    assert back.to_dict(orient="records") == examples.rows.to_dict(orient="records")


def test_card_claims_a_scale_only_where_there_are_difficulties(scale, texts):
    made = finetuning_set(scale, texts)
    assert "6 items of an evaluation scale" in card(made, "parquet")
    rows = made.rows.assign(difficulty=np.nan, discrimination=np.nan)
    assert "6 labelled examples" in card(replace(made, rows=rows), "parquet")


def test_uncalibrated_item_has_null_parameters_in_json(scale, texts):
    examples = finetuning_set(scale, texts)
    rows = examples.rows.copy()
    rows.loc[2, ["difficulty", "discrimination"]] = np.nan
    records = [json.loads(line) for line in jsonl(replace(examples, rows=rows)).split(b"\n")[:-1]]
    assert records[2]["difficulty"] is None
    assert records[1]["difficulty"] == rows.loc[1, "difficulty"]
    assert b"NaN" not in jsonl(replace(examples, rows=rows))


@pytest.mark.parametrize("data_format", FORMATS)
def test_folder_holds_the_data_and_a_card(scale, texts, tmp_path, data_format):
    examples = finetuning_set(scale, texts)
    write_finetuning_set(examples, tmp_path / "set", data_format=data_format)
    found = sorted(p.relative_to(tmp_path / "set").as_posix() for p in tmp_path.rglob("*.*"))
    assert found == ["README.md", f"data/train.{data_format}"]
    assert (tmp_path / "set" / "README.md").read_text("utf-8") == card(examples, data_format)


def test_card_shows_markup_in_names_as_text(scale, texts):
    page = card(finetuning_set(scale, texts), "parquet").split("---\n")[2]
    assert page.startswith('# A "quoted" &lt;b&gt;name&lt;/b&gt;: fine-tuning set\n')
    assert "<b>" not in page


def test_existing_output_is_kept_unless_overwriting(scale, texts, tmp_path):
    examples = finetuning_set(scale, texts)
    for name in ("set", "set.jsonl"):
        write_finetuning_set(examples, tmp_path / name)
        with pytest.raises(FileError, match=r"exists\. Say --overwrite"):
            write_finetuning_set(examples, tmp_path / name)
        write_finetuning_set(examples, tmp_path / name, overwrite=True)
    write_finetuning_set(examples, tmp_path / "set", data_format="jsonl", overwrite=True)
    assert [p.name for p in (tmp_path / "set" / "data").iterdir()] == ["train.jsonl"]


def test_overwriting_never_deletes_what_is_no_finetuning_set(scale, texts, tmp_path):
    examples = finetuning_set(scale, texts)
    write_finetuning_set(examples, tmp_path / "set")
    (tmp_path / "set" / "data" / "thesis.txt").write_text("precious")
    with pytest.raises(FileError, match=r"also holds 'data/thesis\.txt'"):
        write_finetuning_set(examples, tmp_path / "set", overwrite=True)
    assert (tmp_path / "set" / "data" / "thesis.txt").read_text() == "precious"


@pytest.mark.slow
@pytest.mark.parametrize("data_format", FORMATS)
def test_datasets_library_reads_the_folder_offline(
    scale, texts, tmp_path, monkeypatch, data_format
):
    for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("USE_TORCH", "0")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    examples = finetuning_set(scale, texts.assign(text_pair="second"), target="crowd")
    write_finetuning_set(examples, tmp_path / "set", data_format=data_format)
    read = datasets.load_dataset(
        str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert read.features["label"].names == list(LABELS)
    assert read.to_list() == examples.rows.to_dict(orient="records")


def test_crowd_target_of_the_published_answers_counts_what_workers_said(shared_data, tmp_path):
    folder = shared_data / "lalor2016_snli_amt"
    words = {"e": "entailment", "n": "neutral", "c": "contradiction"}
    answers = read_responses(
        folder / "irt_file_5.csv",
        key=folder / "group_5.txt",
        coding=Coding(label_map=words, missing_as_wrong=True),
    )
    answers = answers.select_items(answers.items_with_gold("entailment"))
    scale = build_scale(screen(answers, TwoPL(), (ItemStates(),)), name="5E")
    texts = pd.DataFrame({"item": scale.items, "text": ["t"] * len(scale.items)})
    examples = finetuning_set(scale, texts, target="crowd")
    raw = pd.read_csv(folder / "irt_file_5.csv")
    for row in examples.rows.itertuples():
        shares = raw[row.item].str.strip().map(words).value_counts(normalize=True)
        expected = [shares.get(label, 0.0) for label in examples.label_set]
        assert row.label_distribution == pytest.approx(expected, abs=1e-12)


def test_embedded_items_are_texts_as_they_are(tmp_path):
    """The columns of the embedded items are those that the export takes."""
    assert {"item", "text", "text_pair"} <= set(load_items("crowd_nli").columns)
