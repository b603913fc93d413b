"""The commands `mistakes` and `encoders`: what they show, write and refuse."""

import importlib
import json

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.mistakes.data_maps import write_data_map
from irtkit.bridge.mistakes.record import MistakeRecord
from irtkit.cli import run

importlib.import_module("irtkit.cli.mistakes")
importlib.import_module("irtkit.cli.encoders")

LABELS = ("no", "yes")
N = 6


def command(*words):
    return run([str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a record of two epochs and the texts it was made on."""
    gold = np.arange(N) % 2
    right = np.array([[1, 1, 0, 0, 0, 1], [1, 0, 1, 0, 0, 1]], dtype=bool)
    of_gold = np.where(right, 0.9, 0.2)  # (E, N)
    tables = np.where(np.arange(2) == gold[:, None], of_gold[..., None], 1 - of_gold[..., None])
    items = tuple(f"q{n}" for n in range(N))
    write_data_map(MistakeRecord(items, LABELS, gold, tables), tmp_path / "record")
    pd.DataFrame(
        {
            "item": items,
            "text": [f"text {n}" for n in range(N)],
            "label": [LABELS[n] for n in gold],
            "category": ["a", "a", "b", "b", "c", "c"],
        }
    ).to_csv(tmp_path / "texts.csv", index=False)
    return tmp_path


def texts(folder):
    return ("--set", folder / "texts.csv", "--categories", folder / "texts.csv")


def test_the_mistakes_of_each_epoch_are_shown(folder, capsys):
    assert command("mistakes", folder / "record") == 0
    printed = capsys.readouterr().out
    assert "Mistakes among 6 examples" in printed
    assert "n forgotten" in printed


def test_chosen_examples_are_counted_and_written(folder, capsys):
    output, data_map = folder / "set.jsonl", folder / "map.csv"
    found = command(
        "mistakes", folder / "record", *texts(folder), "--choose", "e1 & e2", "-o", output,
        "--map", data_map, "--json",
    )  # fmt: skip
    assert found == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["n_chosen"] == 2
    assert [row["n_mistaken"] for row in shown["epochs"]] == [3, 3]
    assert {(r["category"], r["label"]): r["n_chosen"] for r in shown["counts"]} == {
        ("a", "no"): 0, ("a", "yes"): 0, ("b", "no"): 0,
        ("b", "yes"): 1, ("c", "no"): 1, ("c", "yes"): 0,
    }  # fmt: skip
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [row["item"] for row in rows] == ["q3", "q4"]
    assert [row["label"] for row in rows] == [1, 0]
    table = pd.read_csv(data_map, index_col="item")
    assert table.loc["q1", "forgetting_events"] == 1
    assert table.loc["q3", "forgetting_events"] == np.inf


def test_a_folder_is_written_that_holds_the_set(folder):
    words = ("mistakes", folder / "record", *texts(folder), "--choose", "e1", "-o")
    assert command(*words, folder / "set") == 0
    assert len(pd.read_parquet(folder / "set" / "data" / "train.parquet")) == 3
    assert command(*words, folder / "set") == 4
    assert command(*words, folder / "set", "--overwrite") == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--choose", "e1 &"], 2, "ends, where an epoch"),
        (["--choose", "e3"], 2, "there is e1 to e2"),
        (["--choose", "e1", "-o", "set.jsonl"], 2, "needs --choose and --set"),
        (["--set", "texts.csv", "--labels", "yes,no"], 2, "another gold label: 'q0'"),
        (["--set", "texts.csv", "--labels", "no,maybe,yes"], 2, "with 3 labels need"),
        (["--categories", "record/dynamics_epoch_0.jsonl"], 2, "list"),
        (["--categories", "other.csv"], 2, "no column 'category'"),
        (["--map", "map.xlsx"], 4, "written as CSV"),
        (["--map", "none/map.csv"], 4, "none"),
    ],
)
def test_what_cannot_be_done_is_refused(folder, capsys, monkeypatch, words, code, message):
    monkeypatch.chdir(folder)
    (folder / "other.csv").write_text("item,kind\nq0,a\n")
    before = sorted(path.name for path in folder.iterdir())
    assert command("mistakes", "record", *words) == code
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_record_of_other_examples_is_refused(folder, capsys):
    table = pd.read_csv(folder / "texts.csv").assign(item=[f"z{n}" for n in range(N)])
    table.to_csv(folder / "other.csv", index=False)
    words = ("mistakes", folder / "record", "--choose", "e1")
    assert command(*words, "--categories", folder / "other.csv") == 2
    assert "without a category: 'q0'" in capsys.readouterr().err
    words = (*words, "--set", folder / "other.csv", "-o", folder / "set.jsonl")
    assert command(*words) == 2
    assert "6 examples without a record: 'z0'" in capsys.readouterr().err
    assert not (folder / "set.jsonl").exists()


def test_what_was_written_can_be_chosen_from_again(folder):
    words = ("mistakes", folder / "record", "--choose")
    assert command(*words, "e1", *texts(folder), "-o", folder / "first") == 0
    assert command(*words, "e2", "--set", folder / "first", "-o", folder / "second") == 0
    assert len(pd.read_parquet(folder / "second" / "data" / "train.parquet")) == 2


def test_no_record_is_a_file_error(folder, capsys):
    assert command("mistakes", folder / "nothing") == 4
    assert "holds no training dynamics" in capsys.readouterr().err


# Encoders ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two random encoders of which one hears more of the words, and labelled texts."""
    pytest.importorskip("transformers")
    tiny = importlib.import_module("tests.bridge.tiny")
    folder = tmp_path_factory.mktemp("models")
    for name in ("one", "two"):
        tiny.encoder_folder(folder / name)
    made = tiny.examples(30, pairs=False)
    made.rows.assign(label=[tiny.LABELS[n] for n in made.rows["label"]])[
        ["item", "text", "label"]
    ].to_csv(folder / "texts.csv", index=False)
    return folder


def test_encoders_are_ranked(models, tmp_path, capsys):
    names = [str(models / name) for name in ("one", "two")]
    words = ["encoders", models / "texts.csv", "--model", names[0], "--model", names[1]]
    assert command(*words, "--json", "-o", tmp_path / "table.csv") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["n_examples"] == 30
    assert {row["encoder"] for row in shown["encoders"]} == set(names)
    assert [row["rank"] for row in shown["encoders"]] == [1, 1]  # the same weights
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["n_features"].tolist() == [32, 32]
    assert command(*words, "--most", 12, "--by", "shrunk_h_score", "--neighbours", 1) == 0
    assert "Encoders for 12 examples, ranked by shrunk_h_score" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--model", "none/there/is"], 4, "is no folder with a model"),
        (["--model", "x", "--model", "x"], 2, "the same model twice"),
        (["--model", "x", "-o", "table.json"], 4, "written as CSV"),
        (["--model", "x", "--labels", "no,yes"], 2, "'perhaps'"),
        (["--model", "x", "--by", "luck"], 2, "luck"),
    ],
)
def test_encoders_that_cannot_be_ranked_are_refused(models, capsys, words, code, message):
    assert command("encoders", models / "texts.csv", *words) == code
    assert message in capsys.readouterr().err
