"""What a file in a folder is, told by what it holds and not by its name.

`recognised` reads one file and says what it is: a scale, a calibration, answers, a table that
irtkit wrote, texts of items. What belongs together is decided in `folder.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from irtkit.errors import IrtkitError, ResponseError, count, listing
from irtkit.estimation.record import SCHEMA as CALIBRATION_SCHEMA
from irtkit.io import read_calibration, read_scale, read_table
from irtkit.io.documents import read_json
from irtkit.io.files import read_bytes
from irtkit.io.results import typed, unescaped
from irtkit.io.tables import records
from irtkit.scale import SCHEMA as SCALE_SCHEMA

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz")
LARGEST = 512 * 2**20  # bytes of a file that is looked into
TELLING = {  # columns that tell a table, the most telling first
    "log": {"step", "item", "decision", "rule", "reason"},
    "local_dependence": {"item_1", "item_2", "q3_adjusted"},
    "item_fit": {"item", "s_x2", "p_adjusted"},
    "item_curves": {"item", "category", "theta", "observed", "low", "high"},
    "score_curves": {"item", "score", "observed", "residual"},
    "dimensionality": {"component", "eigenvalue", "reference"},
    "model_fit": {"m2", "df", "p", "rmsea"},
    "dif": {"item", "effect_size", "effect_class"},
    "person_fit": {"person", "lz"},
    "items": {"item", "discrimination", "state"},
    "scores": {"theta", "standard_error", "percentile"},
}
WORDS = {
    "scale": "an evaluation scale",
    "calibration": "a calibration",
    "log": "the log of a screening",
    "local_dependence": "local dependence of pairs",
    "item_fit": "fit of the items",
    "item_curves": "observed item curves",
    "score_curves": "item curves by summed score",
    "dimensionality": "eigenvalues with parallel analysis",
    "model_fit": "fit of the whole model",
    "dif": "differences between groups",
    "person_fit": "fit of the persons",
    "items": "parameters of the items",
    "scores": "scored models",
    "predictions": "answers of models",
    "texts": "texts of the items",
    "key": "the key",
    "answers": "answers",
    "long": "answers, one a row",
    "unread": "not read",
    "other": "nothing for a report",
}
ITEM_COLUMNS = ("item", "item_id", "pairID", "id")
TEXT_COLUMNS = ("text", "question", "prompt", "sentence1", "premise")
PAIR_COLUMNS = ("text_pair", "sentence2", "hypothesis", "choices")


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A file and what it holds.

    Attributes
    ----------
    path : Path
    name : str
        Within the folder.
    kind : str
        A word of `WORDS`.
    content : Any
        A scale, a calibration, a table, or names of columns; of an unread file the reason.
    """

    path: Path
    name: str
    kind: str
    content: Any

    @property
    def what(self) -> str:
        """What it is, in words."""
        if self.kind == "unread":
            return f"not read: {self.content}"
        if isinstance(self.content, pd.DataFrame):
            return f"{WORDS[self.kind]} ({count(len(self.content), 'row')})"
        return WORDS[self.kind]

    def sha256(self) -> str:
        """Hash of the file's bytes."""
        return hashlib.sha256(read_bytes(self.path)).hexdigest()


def recognised(path: Path, name: str) -> Finding:
    """Tell what a file is; one that cannot be read is a finding too, with the reason.

    Raises
    ------
    ScaleError
        If it is a scale or calibration, but damaged: a report without it would mislead.
    """
    ending = path.name.lower()
    if ending.endswith(".json"):
        return _document(path, name)
    if not ending.endswith(TABLES):
        return Finding(path, name, "other", None)
    if path.stat().st_size > LARGEST:
        return Finding(path, name, "unread", f"it has more than {LARGEST:,} bytes")
    try:
        table = _table(path)
    except IrtkitError as error:
        return Finding(path, name, "unread", str(error).removeprefix(f"{path}: "))
    kind = _kind_of_table([str(column) for column in table.columns])
    return Finding(path, name, kind, typed(table) if kind in TELLING else table)


def _table(path: Path) -> pd.DataFrame:
    """Read a table; of JSON lines that hold lists only the fields that hold texts or numbers."""
    try:
        return read_table(path)
    except ResponseError:
        if ".jsonl" not in path.name.lower():
            raise
    rows = records(read_bytes(path))
    flat = [{k: v for k, v in row.items() if not isinstance(v, (list, dict))} for row in rows]
    return pd.DataFrame(flat, dtype=object)


def _document(path: Path, name: str) -> Finding:
    try:
        schema = read_json(path).get("schema")
    except IrtkitError as error:
        if _names_a_schema(path):
            raise
        return Finding(path, name, "unread", str(error).removeprefix(f"{path}: "))
    if schema == SCALE_SCHEMA:
        return Finding(path, name, "scale", read_scale(path))
    if schema == CALIBRATION_SCHEMA:
        return Finding(path, name, "calibration", read_calibration(path))
    return Finding(path, name, "other", None)


def _names_a_schema(path: Path) -> bool:
    """Whether a broken document says that it was irtkit's."""
    try:
        start = read_bytes(path)[:2000].decode("utf-8", errors="replace")
    except IrtkitError:
        return False
    return SCALE_SCHEMA in start or CALIBRATION_SCHEMA in start


def _kind_of_table(columns: Sequence[str]) -> str:
    known = set(columns)
    for kind, telling in TELLING.items():
        if known >= telling:
            return kind
    if known >= {"person", "item", "answer"}:
        return "long"
    if known & set(ITEM_COLUMNS) and known & set(TEXT_COLUMNS):
        return "texts"
    if known >= {"item", "correct"} or known >= {"item", "label", "model"}:
        return "predictions"
    if known == {"item", "label"}:
        return "key"
    return "answers" if len(columns) > 2 else "other"


def read_texts(path: str | Path) -> dict[str, str]:
    """Read the text of each item from a file.

    Raises
    ------
    ResponseError
        If it has no column of items, or none of texts.
    """
    table = _table(Path(path))
    known = set(table.columns)
    if not (known & set(ITEM_COLUMNS) and known & set(TEXT_COLUMNS)):
        raise ResponseError(
            f"{path} needs the columns item and text; its columns are "
            f"{listing(map(str, table.columns), 12)}."
        )
    return texts_of(table)


def texts_of(table: pd.DataFrame) -> dict[str, str]:
    """Return the text of each item; a pair of texts stands on lines of its own."""
    columns = [next(c for c in ITEM_COLUMNS if c in table.columns)]
    columns += [next(c for c in TEXT_COLUMNS if c in table.columns)]
    columns += [c for c in PAIR_COLUMNS if c in table.columns][:1]
    found: dict[str, str] = {}
    for item, *texts in table[columns].itertuples(index=False):
        lines = [unescaped(str(text)) for text in texts if not pd.isna(text) and str(text)]
        if lines and not pd.isna(item):
            found.setdefault(unescaped(str(item)), "\n".join(lines))
    return found
