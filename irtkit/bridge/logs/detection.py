"""Which format a file of predictions has, by its content; which logs a folder holds.

Names of files are a hint only where content cannot tell: HELM's runs are folders, and a table may
be anything. Nothing is parsed beyond the first line, the first kilobytes or the list of columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from irtkit.bridge.logs import every_eval_ever, helm, lighteval, lm_eval, openai_evals, py_irt
from irtkit.errors import PredictionError, count
from irtkit.io.streams import first_bytes, first_object
from irtkit.io.tables import PARQUET

TITLES = {
    "lm_eval": "lm-evaluation-harness",
    "inspect": "Inspect",
    "helm": "HELM",
    "lighteval": "lighteval",
    "every_eval_ever": "Every Eval Ever",
    "openai_evals": "OpenAI evals",
    "py_irt": "py-irt",
    "arrays": "arrays of a Hugging Face trainer",
    "table": "a table of predictions",
}
LINES = {
    "lm_eval": lm_eval,
    "py_irt": py_irt,
    "openai_evals": openai_evals,
    "every_eval_ever": every_eval_ever,
}
TEXTUAL = (".jsonl", ".jsonlines", ".ndjson")
START = 65_536  # bytes looked at
INSPECT = (re.compile(rb'"status"\s*:\s*"'), re.compile(rb'"eval"\s*:\s*\{'))
HELM = (re.compile(rb'"instance_id"\s*:'), re.compile(rb'"stats"\s*:'))
MOST_FILES = 100_000
OTHER = "other"


def found_format(path: str | Path) -> str:
    """Name the format of a file, or of a run folder of HELM.

    Parameters
    ----------
    path : path

    Returns
    -------
    str
        A key of `TITLES`; "table" for whatever is no log, be it a table or not.

    Raises
    ------
    FileError
        If it does not exist or cannot be opened.
    PredictionError
        If it is a folder, but not of a run of HELM.
    """
    path = Path(path)
    if path.is_dir():
        if (path / helm.STATISTICS).is_file():
            return "helm"
        raise PredictionError(f"{path} is a folder of several logs. Name a file, or read it all.")
    made = _format(path)
    return "table" if made == OTHER else made


def find_logs(path: str | Path) -> list[tuple[Path, str]]:
    """List the logs under a path with their formats, in the order of their names.

    Parameters
    ----------
    path : path
        A file counts whatever it is; of a folder and all below it, links aside, only logs do.

    Raises
    ------
    FileError
        If the path does not exist.
    PredictionError
        If a folder holds no log.
    """
    path = Path(path)
    if not path.is_dir():
        return [(path, found_format(path))]
    logs = list(_walked(path))
    if not logs:
        raise PredictionError(
            f"{path} holds no log of a known format: {', '.join(list(TITLES.values())[:7])}. "
            "Tables of predictions are named one by one."
        )
    return logs


def _walked(folder: Path) -> Iterator[tuple[Path, str]]:
    seen = 0
    for place, folders, files in os.walk(folder):
        folders.sort()
        seen += len(files)
        if seen > MOST_FILES:
            raise PredictionError(f"{folder} holds more than {count(MOST_FILES, 'file')}.")
        if helm.STATISTICS in files:
            yield Path(place), "helm"
            continue
        for name in sorted(files):
            path = Path(place) / name
            if path.is_symlink() or not path.is_file():
                continue
            made = _format(path)
            if made not in ("table", "arrays", OTHER):
                yield path, made


def _format(path: Path) -> str:
    """Name the format of a file by its content."""
    name = path.name.removesuffix(".gz").lower()
    start = first_bytes(path, START)
    if start.startswith(PARQUET):
        return "lighteval" if lighteval.recognised(lighteval.columns(path)) else "table"
    if start.startswith(b"PK\x03\x04") or name.endswith((".eval", ".npz")):
        return _zip_format(name)
    if name.endswith(TEXTUAL):
        return _lines_format(path)
    if name.endswith(".json"):
        if all(part.search(start) for part in INSPECT):
            return "inspect"
        return "helm" if all(part.search(start) for part in HELM) else OTHER
    return "table"


def _zip_format(name: str) -> str:
    if name.endswith(".npz"):
        return "arrays"
    return "inspect" if name.endswith(".eval") else "table"


def _lines_format(path: Path) -> str:
    """Name the format of JSON lines by the first of them."""
    line = first_object(path)
    known = (title for title, reader in LINES.items() if line and reader.recognised(line))
    return next(known, "table")
