"""The command that trains: its folder, resuming, what it reads and refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import irtkit.cli.finetune  # noqa: F401
from irtkit.bridge.finetuning.files import write_finetuning_set
from irtkit.bridge.finetuning.reading import read_finetuning_set
from irtkit.bridge.mistakes import read_data_map
from irtkit.bridge.training.classifiers import read_classifier
from irtkit.cli import run
from irtkit.errors import FileError, ScaleError
from tests.bridge.tiny import LABELS, encoder_folder, examples

ROOT = Path(__file__).parents[2]
QUICK = ["--epochs", "2", "--learning-rate", "0.003", "--batch-size", "16"]


def command(*words):
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Files of a set, a development set and an encoder."""
    folder = tmp_path_factory.mktemp("given")
    encoder_folder(folder / "encoder")
    write_finetuning_set(examples(48), folder / "set", data_format="jsonl")
    write_finetuning_set(examples(48, target="crowd"), folder / "crowd.jsonl")
    write_finetuning_set(examples(9, first=100), folder / "dev.jsonl")
    return folder


def test_command_trains_writes_and_goes_on(given, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["finetune", given / "set", "--model", given / "encoder", "-o", out, *QUICK]
    words += ["--development", given / "dev.jsonl"]
    assert command(*words) == 0
    assert "The classifier after epoch" in capsys.readouterr().out
    assert read_classifier(out / "classifier").labels == LABELS
    history = pd.read_csv(out / "history.csv")
    assert history["step"].tolist() == [3, 6]
    assert command(*words) == 4
    assert "Say --resume to go on" in capsys.readouterr().err
    assert command(*words, "--resume", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["loss"] for row in found["history"]] == pytest.approx(history["loss"].tolist())
    assert command(*words, "--resume", "--warmup", 0.1) == 4
    assert "holds a run with other 'options'" in capsys.readouterr().err


def test_trained_classifier_can_be_trained_further(given, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    start = ["--epochs", 1, "--learning-rate", 0.01]
    assert command("finetune", given / "set", "--model", "nse", "-o", first, *start) == 0
    words = ["finetune", given / "crowd.jsonl", "--labels", ",".join(LABELS), "--loss", "mse"]
    assert command(*words, "--model", first, "-o", second, *start) == 0
    rows = examples(9).rows
    before, after = (
        read_classifier(f / "classifier").probabilities(rows) for f in (first, second)
    )
    assert before.shape == (9, 3)
    assert not np.allclose(before, after)


REFUSED = {
    "device": ("set", ["--device", "cuda"], 2, "The device cuda was asked for"),
    "loss": ("set", ["--loss", "mae"], 2, "Invalid value for '--loss'"),
    "set": ("absent.csv", [], 4, "absent.csv does not exist"),
    "model": ("set", ["--model", "absent/model/here"], 4, "is no folder with a model"),
    "leak": (
        "set",
        ["--development", "{given}/set"],
        2,
        "48 items of the development set also in training",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_refused_before_a_run_is_begun(
    name, given, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    file, more, code, message = REFUSED[name]
    words = ["finetune", given / file, "--model", given / "encoder", "-o", tmp_path / "out"]
    assert command(*words, *(word.format(given=given) for word in more)) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "run").exists()


def test_folder_with_other_things_is_left_alone(given, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("all of it")
    words = ["finetune", given / "set", "--model", given / "encoder", "-o", tmp_path, "--resume"]
    assert command(*words) == 4
    assert "holds no run to go on with" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interrupted_command_writes_a_checkpoint_and_its_exit_code(name, code, given, tmp_path):
    out = tmp_path / "out"
    words = ["finetune", given / "set", "--model", given / "encoder", "-o", out]
    words += ["--epochs", 2000, "--learning-rate", 1e-4]
    program = "import irtkit.cli.finetune; from irtkit.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 120
    while not list(out.glob("run/checkpoint-*/record.json")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=60)
    assert process.returncode == code
    assert len(list(out.glob("run/checkpoint-*/record.json"))) == 1
    assert not (out / "classifier").exists()


@pytest.mark.parametrize("data_format", ["jsonl", "parquet"])
@pytest.mark.parametrize("target", ["gold", "crowd"])
def test_written_set_is_read_back(data_format, target, tmp_path):
    if data_format == "parquet":
        pytest.importorskip("pyarrow")
    made = examples(20, target=target)
    made.rows.loc[3, "weight"] = 2.5
    write_finetuning_set(made, tmp_path / "set", data_format=data_format)
    again = read_finetuning_set(tmp_path / "set")
    assert (again.name, again.target, again.label_set) == ("set", target, LABELS)
    pd.testing.assert_frame_equal(again.rows, made.rows, check_dtype=False)


def test_tables_with_labels_by_name_are_read(tmp_path):
    frame = examples(6).rows[["item", "text", "text_pair"]]
    frame["label"] = ["b", "a", "b", "a", "b", "a"]
    frame.to_csv(tmp_path / "gold.csv", index=False)
    found = read_finetuning_set(tmp_path / "gold.csv")
    assert found.label_set == ("a", "b")
    assert found.rows["label"].tolist() == [1, 0, 1, 0, 1, 0]
    assert read_finetuning_set(tmp_path / "gold.csv", labels=("b", "a")).label_set == ("b", "a")
    frame.assign(a=0.25, b=0.75).to_csv(tmp_path / "shares.csv", index=False)
    found = read_finetuning_set(tmp_path / "shares.csv")
    assert found.target == "crowd"
    assert found.distributions.tolist() == [[0.25, 0.75]] * 6


def test_sets_that_cannot_be_read_are_refused(tmp_path):
    write_finetuning_set(examples(6), tmp_path / "set", data_format="jsonl")
    write_finetuning_set(examples(6), tmp_path / "set.jsonl")
    with pytest.raises(ScaleError, match="The labels are numbers"):
        read_finetuning_set(tmp_path / "set.jsonl")
    with pytest.raises(ScaleError, match="Labels are places in 'a', 'b', and some are not"):
        read_finetuning_set(tmp_path / "set.jsonl", labels=("a", "b"))
    with pytest.raises(ScaleError, match="has the labels 'no', 'perhaps', 'yes', in this order"):
        read_finetuning_set(tmp_path / "set", labels=LABELS[::-1])
    (tmp_path / "set" / "README.md").write_text("nothing")
    with pytest.raises(FileError, match="names no labels"):
        read_finetuning_set(tmp_path / "set")
    (tmp_path / "set" / "data" / "train.jsonl").unlink()
    with pytest.raises(FileError, match="holds 0 files"):
        read_finetuning_set(tmp_path / "set")


def test_what_is_mistaken_is_recorded_for_the_command_that_chooses(given, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["finetune", given / "set", "--model", given / "encoder", "-o", out, *QUICK]
    assert command(*words, "--record") == 0
    record = read_data_map(out / "mistakes", label_set=LABELS)
    assert (record.n_epochs, len(record.items)) == (2, 48)
    chosen = tmp_path / "chosen.jsonl"
    choose = ["mistakes", out / "mistakes", "--choose", "e1", "--set", given / "set", "-o", chosen]
    assert command(*choose) == 0
    assert len(chosen.read_text().splitlines()) == record.mistaken[0].sum()
