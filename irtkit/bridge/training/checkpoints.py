"""The folder of a training run: whose run it is, and which of its checkpoints are complete.

Knows nothing of networks. A checkpoint is a folder that counts only once it is sealed: its files
are on the disk and a record, written last and at once, says how large each of them is. So a run
that is killed while it writes falls back on the checkpoint before.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irtkit.atomic import reason_of, sync_file, sync_folder
from irtkit.errors import FileError, ScaleError, listing
from irtkit.io.documents import sealed, unsealed
from irtkit.io.files import write_atomically

RUN = "run.json"
RECORD = "record.json"
SCHEMA = "irtkit/training/1"


def claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make the folder of a run, or find that it holds this very run.

    Raises
    ------
    FileError
        If it holds something else, or a run that differs; the message says in what.
    """
    content = {"schema": SCHEMA, **identity}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise FileError(f"{folder} cannot be written: {reason_of(error)}.") from error
    if RUN in names:
        known = _read(folder / RUN)
        if known is None:
            raise FileError(f"{folder / RUN} is damaged. Choose another folder for this run.")
        differs = [name for name in content if known.get(name) != content[name]]
        if differs:
            raise FileError(
                f"{folder} holds a run with other {listing(differs, 12)}, which this one cannot "
                "continue. Choose another folder; to train that result further, load its "
                "classifier and start from it."
            )
        return
    if names:
        raise FileError(f"{folder} holds {listing(names)}, and no run. Choose another folder.")
    write_atomically(folder / RUN, json.dumps(content, indent=1, sort_keys=True).encode())


def seal(checkpoint: Path, record: Mapping[str, Any], only: str | None = None) -> None:
    """Make a written checkpoint count: its files on the disk, and a record of them.

    Parameters
    ----------
    checkpoint : path
    record : mapping
        A document of JSON to keep with it.
    only : str, optional
        The one file that is needed; the others are removed afterwards.

    Raises
    ------
    FileError
        If it cannot be written; the checkpoint does not count then.
    """
    try:
        paths = [
            path
            for path in sorted(checkpoint.iterdir())
            if path.name != RECORD and not path.name.startswith(".")  # left by a killed process
        ]
        kept = [path for path in paths if only in (None, path.name)]
        sizes = {}
        for path in kept:
            sync_file(path)
            sizes[path.name] = path.stat().st_size
        sync_folder(checkpoint.parent)
        content = json.dumps(sealed({"files": sizes, "found": record}))
        write_atomically(checkpoint / RECORD, content.encode())
        for path in paths:
            if path not in kept:
                path.unlink()
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{checkpoint} cannot be written: {reason_of(error)}.") from error


def newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Find the newest complete checkpoint and its record."""
    found = []
    for path in folder.glob("checkpoint-*"):
        step = path.name.rpartition("-")[2]
        record = _record(path)
        if step.isdecimal() and record is not None and _complete(path, record["files"]):
            found.append((int(step), path, record["found"]))
    if not found:
        return None
    _, path, record = max(found, key=lambda one: one[0])
    return path, record


def keep_only(folder: Path, checkpoint: Path | None) -> None:
    """Remove the other checkpoints of a run, complete or not."""
    for path in folder.glob("checkpoint-*"):
        if path != checkpoint:
            shutil.rmtree(path, ignore_errors=True)


def _complete(checkpoint: Path, sizes: Mapping[str, int]) -> bool:
    return all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size
        for name, size in sizes.items()
    )


def _record(checkpoint: Path) -> dict[str, Any] | None:
    """Read the record of a checkpoint; None where it is absent or damaged."""
    found = _read(checkpoint / RECORD)
    if found is None:
        return None
    try:
        return unsealed(found, checkpoint / RECORD)
    except ScaleError:
        return None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
