"""Fine-tuning sets: columns, targets, files, and what is refused."""

import json
import os

import numpy as np
import pandas as pd
import polars as pl
import pytest

from irtkit.bridge.finetuning import card, finetuning_set, write_finetuning_set
from irtkit.datasets import load_dataset, load_items
from irtkit.errors import FileError, ScaleError
from irtkit.models import TwoPL
from irtkit.scale import build_scale
from irtkit.screening import ItemStates, preset, screen
from irtkit.simulate import simulate


@pytest.fixture(scope="module")
def texts():
    return load_items("crowd_nli")


@pytest.fixture(scope="module")
def screening(texts):
    chosen = list(texts[texts["scale"] == "travel"]["item"])
    return screen(load_dataset("crowd_nli").select_items(chosen), TwoPL(), preset("lalor2016"))


@pytest.fixture(scope="module")
def scale(screening):
    return build_scale(screening, name="travel")


def test_gold_target_puts_all_mass_on_the_key(scale, texts):
    examples = finetuning_set(scale, texts, target="gold")
    for row, gold in zip(examples.rows.itertuples(), scale.calibration.key, strict=True):
        assert examples.label_set[row.label] == gold
        assert row.label_distribution[row.label] == 1.0
        assert sum(row.label_distribution) == 1.0


def test_crowd_target_is_the_share_of_answers(screening, scale, texts):
    examples = finetuning_set(scale, texts, target="crowd")
    labels = screening.responses.labels
    for place, shares in enumerate(examples.rows["label_distribution"]):
        given = labels[:, place][labels[:, place] >= 0]
        counted = [(given == number).mean() for number in range(3)]
        assert shares == pytest.approx(counted, abs=1e-12)


def test_rows_carry_texts_and_parameters_in_the_order_of_the_scale(scale, texts):
    examples = finetuning_set(scale, texts.sample(frac=1, random_state=1))
    assert list(examples.rows["item"]) == list(scale.items)
    known = texts.set_index("item").loc[list(scale.items)]
    assert list(examples.rows["text"]) == list(known["text"])
    assert list(examples.rows["text_pair"]) == list(known["text_pair"])
    table = scale.calibration.table()
    assert examples.rows["difficulty"].to_numpy() == pytest.approx(table["difficulty"])
    assert examples.rows["discrimination"].to_numpy() == pytest.approx(table["discrimination"])


def test_polars_texts_are_taken(scale, texts):
    polars = pl.DataFrame(texts.to_dict(orient="list"))
    assert finetuning_set(scale, polars).rows.equals(finetuning_set(scale, texts).rows)


def test_faulty_texts_are_refused_with_their_items(scale, texts):
    first = scale.items[0]
    with pytest.raises(ScaleError, match=f"1 item of the scale without a text: '{first}'"):
        finetuning_set(scale, texts[texts["item"] != first])
    with pytest.raises(ScaleError, match="1 item with two texts"):
        finetuning_set(scale, pd.concat([texts, texts[texts["item"] == first]]))
    blank = texts.copy()
    blank.loc[blank["item"] == first, "text_pair"] = " "
    with pytest.raises(ScaleError, match=f"empty text: '{first}'"):
        finetuning_set(scale, blank)
    with pytest.raises(ScaleError, match="no column 'text'"):
        finetuning_set(scale, texts[["item", "label"]])
    with pytest.raises(ScaleError, match="Unknown target 'soft'"):
        finetuning_set(scale, texts, target="soft")


def test_scale_without_a_key_has_nothing_to_train_on(texts):
    made = simulate(TwoPL(), n_persons=200, n_items=5, seed=1)
    scale = build_scale(screen(made.responses, TwoPL(), (ItemStates(),)), name="codes")
    with pytest.raises(ScaleError, match="has no key"):
        finetuning_set(scale, texts)


def test_json_lines_hold_every_row(scale, texts, tmp_path):
    examples = finetuning_set(scale, texts, target="crowd")
    write_finetuning_set(examples, tmp_path / "set.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "set.jsonl").read_text().splitlines()]
    assert pd.DataFrame(rows).equals(examples.rows)
    with pytest.raises(FileError, match="--overwrite"):
        write_finetuning_set(examples, tmp_path / "set.jsonl")


def test_card_escapes_a_hostile_name(scale, texts):
    examples = finetuning_set(scale, texts)
    from dataclasses import replace

    text = card(replace(examples, name='x"\n---\nlicense: stolen'), "jsonl")
    assert text.count("\n---\n") == 1
    assert "\nlicense: stolen" not in text


@pytest.mark.slow
@pytest.mark.parametrize("data_format", ["parquet", "jsonl"])
def test_the_datasets_library_reads_the_folder(scale, texts, tmp_path, data_format, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    import datasets

    examples = finetuning_set(scale, texts, target="crowd")
    folder = tmp_path / "set"
    write_finetuning_set(examples, folder, data_format=data_format)
    assert sorted(os.listdir(folder)) == ["README.md", "data"]
    read = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert read.features["label"].names == list(examples.label_set)
    back = read.to_pandas()
    assert list(back.columns) == list(examples.rows.columns)
    assert list(back["text_pair"]) == list(examples.rows["text_pair"])
    found = np.array(back["label_distribution"].tolist())
    assert found == pytest.approx(np.array(examples.rows["label_distribution"].tolist()))
