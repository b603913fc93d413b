"""A training that is killed or interrupted goes on as if nothing had been."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from transformers import BertForSequenceClassification  # noqa: E402

from irtkit.bridge.training import checkpoints, listener  # noqa: E402
from irtkit.bridge.training.checkpoints import RECORD, newest  # noqa: E402
from irtkit.bridge.training.classifiers import TransformerClassifier  # noqa: E402
from irtkit.bridge.training.train import train  # noqa: E402
from irtkit.errors import FileError  # noqa: E402
from tests.bridge.interrupted_training import METHOD, whole  # noqa: E402
from tests.bridge.tiny import LABELS, encoder_folder, examples  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return encoder_folder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def uninterrupted(encoder):
    return whole(encoder)


def strike(encoder, folder, name, when):
    """Train in a process that a signal ends, and return its exit code."""
    program = [sys.executable, "-m", "tests.bridge.interrupted_training"]
    arguments = [str(encoder), str(folder), name, when]
    return subprocess.run([*program, *arguments], cwd=ROOT, capture_output=True).returncode


def goes_on_as_uninterrupted(encoder, folder, uninterrupted):
    run, seen = whole(encoder, folder)
    expected, expected_seen = uninterrupted
    assert run.losses.tolist() == expected.losses.tolist()
    pd.testing.assert_frame_equal(run.history, expected.history, check_exact=True)
    assert seen == expected_seen
    assert run.best_epoch == expected.best_epoch
    ours, theirs = run.classifier.module.state_dict(), expected.classifier.module.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


KILLS = [
    ("step 5", 4),  # in the middle of an epoch, after a checkpoint
    pytest.param("step 1", 0, marks=pytest.mark.slow),  # before any checkpoint
    pytest.param("step 6", 4, marks=pytest.mark.slow),  # at an epoch's last step
    pytest.param("step 7", 6, marks=pytest.mark.slow),  # after an epoch
    pytest.param("observer 2", 4, marks=pytest.mark.slow),
    pytest.param("sealing 4", 3, marks=pytest.mark.slow),  # in the middle of writing
    pytest.param("sealing 6", 4, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("when", "step"), KILLS)
def test_killed_training_goes_on_with_the_same_losses(
    when, step, encoder, uninterrupted, tmp_path
):
    folder = tmp_path / "run"
    assert strike(encoder, folder, "SIGKILL", when) == -signal.SIGKILL
    found = newest(folder)
    assert (found is None and step == 0) or found[0].name == f"checkpoint-{step}"
    goes_on_as_uninterrupted(encoder, folder, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "when", "step"), [("SIGTERM", "step 5", 5), ("SIGINT", "observer 2", 6)]
)
def test_signal_writes_a_checkpoint_and_then_ends_the_program(
    name, when, step, encoder, uninterrupted, tmp_path
):
    folder = tmp_path / "run"
    assert strike(encoder, folder, name, when) == -getattr(signal, name)
    assert newest(folder)[0].name == f"checkpoint-{step}"
    goes_on_as_uninterrupted(encoder, folder, uninterrupted)


def test_signal_handlers_are_put_back(encoder, tmp_path):
    known = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    whole(encoder, tmp_path / "run")
    assert known == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_interrupt_within_a_program_is_the_usual_exception(encoder, uninterrupted, tmp_path):
    def strike():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        whole(encoder, tmp_path / "run", when="step 2", strike=strike)
    assert newest(tmp_path / "run")[0].name == "checkpoint-2"
    goes_on_as_uninterrupted(encoder, tmp_path / "run", uninterrupted)


def test_finished_training_is_read_and_not_repeated(encoder, uninterrupted, tmp_path):
    whole(encoder, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}

    def never():
        raise AssertionError

    run, seen = whole(encoder, tmp_path / "run", when="step 9", strike=never)
    assert run.losses.tolist() == uninterrupted[0].losses.tolist()
    assert seen == uninterrupted[1]
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}


def test_checkpoint_of_a_finished_training_holds_no_more_than_needed(encoder, tmp_path):
    whole(encoder, tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert names == ["best.safetensors", RECORD, "run.json"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda at: (at / "optimizer.pt").write_bytes(b"short"),
        lambda at: (at / "model.safetensors").unlink(),
        lambda at: (at / RECORD).write_text("{"),
        lambda at: (at / RECORD).unlink(),
    ],
)
def test_damaged_checkpoint_is_not_used(spoil, encoder, uninterrupted, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        whole(
            encoder,
            tmp_path / "run",
            when="step 5",
            strike=lambda: signal.raise_signal(signal.SIGINT),
        )
    spoil(newest(tmp_path / "run")[0])
    assert newest(tmp_path / "run") is None
    goes_on_as_uninterrupted(encoder, tmp_path / "run", uninterrupted)


@pytest.mark.parametrize("place", ["model", "optimizer", "best", "record"])
def test_disk_that_is_full_keeps_the_checkpoint_before(
    place, encoder, uninterrupted, tmp_path, monkeypatch
):
    folder = tmp_path / "run"

    def full_from(step):
        def write(write_really):
            def maybe(*given, **more):
                at = folder / f"checkpoint-{step}"
                if at.exists() or str(at) in map(str, given):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write_really(*given, **more)

            return maybe

        target, name = {
            "model": (BertForSequenceClassification, "save_pretrained"),
            "optimizer": (torch, "save"),
            "best": (listener, "save_file"),
            "record": (checkpoints, "write_atomically"),
        }[place]
        monkeypatch.setattr(target, name, write(getattr(target, name)))

    with pytest.raises(FileError, match="No space left") as told:
        whole(encoder, folder, when="step 3", strike=lambda: full_from(4))
    assert "The checkpoint before is kept" in str(told.value)
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-3"]
    monkeypatch.undo()
    goes_on_as_uninterrupted(encoder, folder, uninterrupted)


@pytest.mark.parametrize(
    ("given", "differs"),
    [
        ({"examples": examples(44, seed=9)}, "'training examples'"),
        ({"development": None}, "'development examples'"),
        ({"seed": 1}, "'options'"),
        ({"start": 5}, "'starting classifier'"),
    ],
)
def test_folder_of_another_run_is_refused(given, differs, encoder, tmp_path):
    def run(**given):
        train(
            TransformerClassifier.load(encoder, LABELS, seed=given.get("start", 0)),
            given.get("examples", examples(12)),
            method=type(METHOD)(epochs=1, seed=given.get("seed", 0)),
            development=given.get("development", examples(6, first=100)),
            folder=tmp_path / "run",
        )

    run()
    run()
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(FileError, match=f"holds a run with other {differs}, which"):
        run(**given)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
