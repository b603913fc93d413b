"""Everything of irtkit that writes, each able to write an old and a new version of a thing."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.finetuning.files import write_finetuning_set
from irtkit.bridge.training.checkpoints import claim, keep_only, newest, seal
from irtkit.errors import FileError
from irtkit.estimation import MML, calibrate
from irtkit.io import (
    write_calibration,
    write_checkpoint,
    write_scale,
    write_table,
    write_tables,
)
from irtkit.io.documents import write_json
from irtkit.io.files import write_atomically, write_folder_atomically
from irtkit.models import TwoPL
from irtkit.scale import build_scale
from irtkit.screening import preset, screen
from irtkit.simulate import simulate


@dataclass(frozen=True)
class Writer:
    """A way to write version 0 or 1 of something into a folder.

    `seen` is what a reader makes of a tree; by default the bytes of all files.
    """

    name: str
    write: Callable[[Path, int], None]
    seen: Callable[[Path], object] | None = None
    between: tuple[str, ...] = ()  # files that may be new while the rest is still old


@lru_cache(maxsize=2)
def answers(version):
    return simulate(TwoPL(), n_persons=300 + version, n_items=5, seed=version + 1).responses


@lru_cache(maxsize=2)
def state(version):
    states = []
    calibrate(answers(version), TwoPL(), method=MML(tolerance=1e-2), progress=states.append)
    return states[-1]


@lru_cache(maxsize=2)
def calibration(version):
    return calibrate(answers(version), TwoPL(), method=MML(tolerance=1e-3))


@lru_cache(maxsize=2)
def scale(version):
    return build_scale(screen(answers(version), TwoPL(), preset("standard")), name=f"v{version}")


def table(version):
    return pd.DataFrame(
        {"theta": [0.1 + version, 1 / 3], "n_answered": [3, 4]},
        index=pd.Index(["a", "b"], name="person"),
    )


def examples(version):
    rows = {
        "item": [f"q{n}" for n in range(4 + version)],
        "text": [f"text {n}" for n in range(4 + version)],
        "label": [n % 2 for n in range(4 + version)],
        "label_distribution": [
            [1.0, 0.0] if n % 2 == 0 else [0.0, 1.0] for n in range(4 + version)
        ],
        "weight": [1.0] * (4 + version),
        "difficulty": [np.nan] * (4 + version),
        "discrimination": [np.nan] * (4 + version),
    }
    return FinetuningSet("made", "gold", ("no", "yes"), pd.DataFrame(rows))


def training_checkpoint(folder, version):
    """Claim a folder for a run, fill a checkpoint as a trainer does, and seal it."""
    run = folder / "run"
    claim(run, {"seed": 1})
    checkpoint = run / f"checkpoint-{version + 1}"
    try:
        checkpoint.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError("the trainer's own error") from error
    for name in ("weights.safetensors", "optimizer.pt"):
        (checkpoint / name).write_bytes(f"{name} {version}".encode() * 20)
    seal(checkpoint, {"step": version + 1})


def only_training_checkpoint(folder, version):
    """Go on from the newest checkpoint: make the other one, and drop the old."""
    checkpoint = folder / "run" / f"checkpoint-{version + 1}"
    found = newest(folder / "run")
    if found is None or found[0] != checkpoint:
        training_checkpoint(folder, version)
        keep_only(folder / "run", checkpoint)


def newest_checkpoint(folder):
    """What a resumed run would go on from."""
    found = newest(folder / "run")
    if found is None:
        return None
    path, record = found
    return record, {each.name: each.read_bytes() for each in path.glob("[!r.]*")}


def folder_of_files(folder, version):
    files = {"a": b"old" * 9, "in/b": b"old"} if version == 0 else {"a": b"new", "c": b"new"}
    write_folder_atomically(folder / "set", files, overwrite=True)


PARQUET = (Writer("parquet", lambda f, v: write_table(table(v), f / "scores.parquet")),)
WRITERS = (
    Writer("bytes", lambda f, v: write_atomically(f / "a", b"ab"[v : v + 1] * 1000)),
    Writer("json", lambda f, v: write_json({"cell": v}, f / "cell.json")),
    Writer("page", lambda f, v: write_atomically(f / "p.html", f"<p>{v}</p>".encode())),
    Writer("calibration", lambda f, v: write_calibration(calibration(v), f / "c.json")),
    Writer("scale", lambda f, v: write_scale(scale(v), f / "s.json"), between=("s.json.bak",)),
    Writer("scores", lambda f, v: write_table(table(v), f / "scores.csv")),
    Writer("tables", lambda f, v: write_tables({"t": table(v)}, f / "out", overwrite=True)),
    *(PARQUET if importlib.util.find_spec("pyarrow") else ()),
    Writer("folder", folder_of_files),
    Writer("checkpoint", lambda f, v: write_checkpoint(state(v), f / "state.json")),
    Writer("training checkpoint", only_training_checkpoint, newest_checkpoint),
    Writer(
        "fine-tuning set",
        lambda f, v: write_finetuning_set(
            examples(v), f / "set", data_format="jsonl", overwrite=True
        ),
    ),
)
