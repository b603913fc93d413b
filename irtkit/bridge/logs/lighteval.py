"""Details that lighteval saves as Parquet -> answers.

``details/<model>/<date>/details_<task>_<date>.parquet``; a row holds the document, what the model
gave and its metrics, in columns of structures. Only the columns that count are read, some rows
at a time. Needs pyarrow, an extra.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irtkit.bridge.logs.answers import (
    Answer,
    Findings,
    ItemText,
    checksum,
    content_id,
    number,
    plain_text,
    words,
)
from irtkit.errors import FileError, PredictionError, ResponseError, shown
from irtkit.io.tables import NEEDS_PYARROW

USUAL = ("exact_match", "em", "acc", "acc_norm", "extractive_match", "pass@1", "qem", "pem")
DOCUMENTS, METRICS = ("__doc__", "doc"), ("__metric__", "metric", "metrics")
FIELDS = ("id", "task_name", "query", "choices")
NAME = re.compile(r"details_(.+?)(?:_\d{4}-\d\d-\d\dT[\d:.-]+)?")
ROWS = 1024  # read at a time

Row = dict[str, Any]


def recognised(names: list[str]) -> bool:
    """Whether a Parquet file with columns of these names is of this format."""
    return bool(set(DOCUMENTS) & set(names)) and bool(set(METRICS) & set(names))


def columns(path: Path) -> list[str]:
    """Name the columns of a Parquet file, none if it cannot be read as one."""
    try:
        return list(_file(path).schema_arrow.names)
    except (FileError, ResponseError):
        return []


def answers(path: Path, found: Findings) -> Iterator[Answer]:
    """Yield the graded answers of one file.

    Raises
    ------
    PredictionError
        If a row has no id, or the metric that counts is not there.
    """
    model = model_of(path)
    for place, document, metrics in _rows(path):
        task = _task(document, path)
        if not found.wants(task):
            continue
        item = _item(document, found.options.identity, place)
        names = [n for n, value in metrics.items() if isinstance(value, (int, float))]
        metric = found.metric(task, names, USUAL)
        score = number(metrics.get(metric), f"{place}: {metric}")
        text = checksum(plain_text(document.get("query")))
        yield Answer(model, task, item, score, text=text)


def _item(document: Row, identity: str, place: str) -> str:
    if identity == "hash":
        choices = document.get("choices") or []
        return content_id(plain_text(document.get("query")), *map(str, choices))
    return words(document.get("id"), f"{place}: id")


def _task(document: Row, path: Path) -> str:
    name = document.get("task_name")
    named = NAME.fullmatch(path.stem)
    return name if isinstance(name, str) and name else named[1] if named else path.stem


def model_of(path: Path) -> str:
    """Name of the model: what stands between the folder `details` and that of the date."""
    folders = path.absolute().parent.parts
    if "details" in folders:
        start = len(folders) - folders[::-1].index("details")
        if name := "/".join(folders[start:-1]):
            return name
    return path.stem


def _rows(path: Path) -> Iterator[tuple[str, Row, Row]]:
    """Yield place, document and metrics of each row."""
    import pyarrow

    file = _file(path)
    names = file.schema_arrow.names
    document = next((n for n in DOCUMENTS if n in names), "")
    metric = next((n for n in METRICS if n in names), "")
    wanted = [*(f"{document}.{part}" for part in FIELDS), metric]
    done = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
            for row in batch.to_pylist():
                done += 1
                place = f"{path}: Row {done}"
                held, scores = row.get(document), row.get(metric)
                if not isinstance(held, dict) or not isinstance(scores, dict):
                    raise PredictionError(
                        f"{place} holds {shown(type(held).__name__)} and "
                        f"{shown(type(scores).__name__)}, not a document and metrics with fields."
                    )
                yield place, held, scores
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ResponseError(f"{path}: The Parquet file is damaged: {_first(error)}.") from error


def _file(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FileError(f"Reading Parquet {NEEDS_PYARROW}") from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ResponseError(f"{path}: The Parquet file is damaged: {_first(error)}.") from error


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def texts(path: Path, found: Findings) -> Iterator[ItemText]:
    """Yield what each item asks."""
    for place, document, _ in _rows(path):
        task = _task(document, path)
        if not found.wants(task):
            continue
        item = _item(document, found.options.identity, place)
        choices = document.get("choices") or []
        text = plain_text(document.get("query"))
        yield ItemText(task, item, text, choices="\n".join(map(str, choices)))
