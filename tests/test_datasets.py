"""The embedded data sets: shapes, published figures, reproducible simulation, packaging."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import irtkit.datasets
from irtkit.arrays import same
from irtkit.datasets import dataset_names, load_dataset, load_items, load_truth
from irtkit.errors import FileError, ResponseError
from irtkit.estimation import calibrate
from irtkit.models import TwoPL

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
FOLDERS = sorted(folder.name for folder in DATA.iterdir() if folder.is_dir())
GOLDEN = ROOT / ".." / "shared" / "golden" / "LSAT6.csv"

OPTIMUM = {  # two-parameter logistic, by an independent optimiser: see "A check" in each README
    "lsat6": (-2466.653, [0.826, 0.723, 0.891, 0.688, 0.657], [2.773, 0.990, 0.249, 1.285, 2.053]),
    "lsat7": (-2658.805, [0.988, 1.081, 1.707, 0.765, 0.736], [1.856, 0.808, 1.805, 0.486, 1.854]),
}
THREE_DECIMALS = 6e-4  # the figures are rounded to three decimals


@pytest.fixture(scope="module")
def crowd():
    return load_dataset("crowd_nli")


def test_every_folder_of_data_is_a_named_data_set():
    assert dataset_names() == FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_every_data_set_tells_source_licence_and_codebook(name):
    text = (DATA / name / "README.md").read_text("utf-8")
    assert "## Codebook" in text
    assert "## Licence" in text
    assert "https://doi.org/" in text or "`generate.py`" in text


@pytest.mark.parametrize("name", FOLDERS)
def test_codebook_names_every_file(name):
    text = (DATA / name / "README.md").read_text("utf-8")
    files = {path.name for path in (DATA / name).iterdir() if path.suffix in {".csv", ".json"}}
    assert files
    assert not {file for file in files if f"`{file}`" not in text}


@pytest.mark.parametrize(("name", "patterns"), [("lsat6", 30), ("lsat7", 32)])
def test_lsat_patterns_are_distinct_and_stand_for_a_thousand_persons(name, patterns):
    answers = load_dataset(name)
    codes = answers.dense()
    assert codes.shape == (patterns, 5)
    assert len(np.unique(codes, axis=0)) == patterns
    assert codes.min() == 0
    assert codes.max() == 1
    assert answers.weights.sum() == 1000
    assert answers.items == ("item1", "item2", "item3", "item4", "item5")


@pytest.mark.parametrize("name", OPTIMUM)
def test_lsat_calibrates_to_the_optimum(name):
    log_likelihood, slopes, intercepts = OPTIMUM[name]
    calibration = calibrate(load_dataset(name), TwoPL())
    table = calibration.table()
    assert calibration.log_likelihood == pytest.approx(log_likelihood, abs=THREE_DECIMALS)
    assert table["discrimination"].tolist() == pytest.approx(slopes, abs=THREE_DECIMALS)
    assert table["intercept"].tolist() == pytest.approx(intercepts, abs=THREE_DECIMALS)


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the reference copy of LSAT6")
def test_lsat6_counts_agree_with_the_reference_copy():
    answers = load_dataset("lsat6")
    counts = pd.read_csv(GOLDEN).value_counts()
    ours = dict(zip(map(tuple, answers.dense().tolist()), answers.weights, strict=True))
    assert ours == counts.to_dict()


def test_crowd_answers_are_graded_by_the_key_in_words(crowd):
    items = load_items("crowd_nli")
    assert (crowd.n_persons, crowd.n_items) == (1000, 120)
    assert crowd.items == tuple(items["item"])
    assert crowd.key == tuple(items["label"])
    assert crowd.label_set == ("contradiction", "entailment", "neutral")
    assert crowd.categories == ("wrong", "right")


def test_crowd_codes_equal_a_cell_by_cell_grading(crowd):
    table = pd.read_csv(DATA / "crowd_nli" / "answers.csv", index_col="worker")
    first = {item: label[0] for item, label in zip(crowd.items, crowd.key, strict=True)}
    right = table.eq(pd.Series(first)).to_numpy()
    expected = np.where(table.isna().to_numpy(), -1, right)
    assert np.array_equal(crowd.dense(), expected)


def test_items_have_five_balanced_topics():
    items = load_items("crowd_nli")
    assert items.columns.tolist() == ["item", "scale", "label", "text", "text_pair"]
    assert set(items.groupby(["scale", "label"]).size()) == {8}
    assert not items.isna().any(axis=None)


def test_planted_pairs_are_the_only_items_that_share_a_premise():
    items = load_items("crowd_nli")
    sharing = [sorted(group) for _, group in items.groupby("text")["item"] if len(group) > 1]
    assert sorted(sharing) == sorted(map(sorted, load_truth("crowd_nli")["dependent_pairs"]))


def test_truth_names_items_and_workers_that_exist(crowd):
    truth = load_truth("crowd_nli")
    assert truth["simulated"] is True
    assert tuple(entry["item"] for entry in truth["parameters"]) == crowd.items
    assert set(truth["misfitting_items"]) <= set(crowd.items)
    assert len({entry["worker"] for entry in truth["spammers"]} & set(crowd.persons)) == 30


def test_generator_reproduces_answers_and_truth_byte_for_byte(tmp_path):
    for file in ("generate.py", "items.csv"):
        shutil.copy(DATA / "crowd_nli" / file, tmp_path)
    subprocess.run([sys.executable, tmp_path / "generate.py"], check=True, capture_output=True)
    for file in ("answers.csv", "truth.json"):
        assert (tmp_path / file).read_bytes() == (DATA / "crowd_nli" / file).read_bytes()


def test_loading_twice_gives_the_same_responses(crowd):
    assert same(crowd, load_dataset("crowd_nli"))


def test_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ResponseError, match=r"'lsat8'.*'lsat6'.*Did you mean 'lsat"):
        load_dataset("lsat8")


def test_a_name_cannot_leave_the_data_folder():
    with pytest.raises(ResponseError, match="no data set"):
        load_dataset("../data/lsat6")


@pytest.mark.parametrize("load", [load_items, load_truth])
def test_data_set_without_texts_or_truth_says_which_has_them(load):
    with pytest.raises(ResponseError, match=r"'lsat6' comes without .* 'crowd_nli'"):
        load("lsat6")


def test_incomplete_installation_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(irtkit.datasets, "__file__", str(tmp_path / "irtkit" / "datasets.py"))
    with pytest.raises(FileError, match="install irtkit again"):
        load_dataset("lsat6")


@pytest.mark.slow
def test_wheel_carries_the_data_sets_and_loads_them(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", str(ROOT), "-w", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("irtkit-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    for path in DATA.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"irtkit/_data/{path.relative_to(DATA).as_posix()}" in packed
    program = (
        "import irtkit.datasets as d, json;"
        "print(json.dumps([d.__file__, *[load.fingerprint()"
        " for load in map(d.load_dataset, d.dataset_names())]]))"
    )
    run = [sys.executable, "-c", program]
    shown = subprocess.run(
        run, check=True, capture_output=True, text=True, cwd=tmp_path / "installed"
    )
    file, *fingerprints = json.loads(shown.stdout)
    assert Path(file).is_relative_to(tmp_path)
    assert fingerprints == [load_dataset(name).fingerprint() for name in dataset_names()]
