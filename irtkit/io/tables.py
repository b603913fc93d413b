"""Tables of any supported kind -> columns, and tables -> files.

Text is parsed in `text.py`; Parquet by pyarrow, an extra; JSON lines here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from irtkit.coding import Column, column_of, column_of_series
from irtkit.errors import FileError, ResponseError, ScaleError, listing, shown
from irtkit.io.documents import parsed
from irtkit.io.files import kind_of, read_bytes, write_atomically, write_folder_atomically
from irtkit.io.text import TextFormat, decoded, lines, text_columns

PARQUET = b"PAR1"
PARQUET_NAMES = (".parquet", ".pq")
OTHER_NAMES = (".xlsx", ".xls", ".json", ".jsonl", ".ndjson", ".gz", ".zip", ".arrow", ".feather")
NEEDS_PYARROW = "needs pyarrow: pip install -c constraints.txt 'irtkit[parquet]'"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def read_columns(path: str | Path, *, text: TextFormat | None = None) -> list[Column]:
    """Read a table (CSV, TSV, JSONL, Parquet; text also gzipped) as columns of cells.

    Raises
    ------
    FileError
        If the file cannot be read or is not what its name says.
    ResponseError
        If the table in it is malformed; the message names the line.
    """
    path = Path(path)
    content = read_bytes(path)
    name = path.name.removesuffix(".gz").lower()
    try:
        if name.endswith(PARQUET_NAMES) or content.startswith(PARQUET):
            return parquet_columns(content)
        if name.endswith((".jsonl", ".jsonlines", ".ndjson")):
            return record_columns(records(content, (text or TextFormat()).encoding))
        return text_columns(content, text or TextFormat(), tabs=name.endswith(".tsv"))
    except (FileError, ResponseError) as error:
        raise type(error)(f"{path}: {error}") from error


def records(content: bytes, encoding: str = "utf-8") -> list[dict[str, Any]]:
    """Parse JSON lines: one object a line, blank lines left out.

    Raises
    ------
    ResponseError
        Naming the line that is no JSON object.
    """
    found = []
    body = decoded(content, encoding)
    for number, line in enumerate(map(str.rstrip, lines(body)), start=1):
        if not line:
            continue
        try:
            value = parsed(line)
        except ScaleError as error:
            raise ResponseError(f"Line {number}: {error}") from None
        if not isinstance(value, dict):
            raise ResponseError(f"Line {number} is no object with fields: {shown(line)}.")
        found.append(value)
    if not found:
        raise ResponseError("The file is empty: it holds no respondents.")
    return found


def record_columns(rows: list[dict[str, Any]]) -> list[Column]:
    """Turn records into columns; a field that a record lacks is an empty cell.

    The fields of an object inside a record (`responses` of py-irt, `probabilities`) become
    columns of their own.
    """
    fields: dict[str, tuple[list[int], list[Any]]] = {}
    for number, row in enumerate(rows):
        for name, cell in _flattened(row, number + 1).items():
            if isinstance(cell, (list, dict)):
                raise ResponseError(
                    f"The field {shown(name)} of record {number + 1} holds a list or an object, "
                    "no answer."
                )
            places, cells = fields.setdefault(name, ([], []))
            places.append(number)
            cells.append(cell)
    return [_filled(name, *held, length=len(rows)) for name, held in fields.items()]


def _filled(name: str, places: list[int], cells: list[Any], length: int) -> Column:
    """Make a column of `length` rows from the cells that some rows hold."""
    held = column_of(name, np.array([None, *cells], dtype=object)[1:])
    index = np.full(length, -1, dtype=np.min_scalar_type(-1 - len(held.values)))
    index[places] = held.index
    return Column(name, index, held.values)


def _flattened(row: dict[str, Any], number: int) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        inner = value if isinstance(value, dict) else {name: value}
        for part, cell in inner.items():
            if part in flat:
                raise ResponseError(f"Record {number} gives {shown(part)} twice.")
            flat[part] = cell
    return flat


def parquet_columns(content: bytes) -> list[Column]:
    """Parse Parquet.

    Raises
    ------
    FileError
        If it is not Parquet, damaged, or pyarrow is absent.
    """
    if not content.startswith(PARQUET):
        unnamed = "text" if _is_text(content) else "of an unknown type"
        seen = "empty" if not content else kind_of(content) or unnamed
        raise ResponseError(f"The file is named Parquet but is {seen}. Name it as what it is.")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FileError(f"Reading Parquet {NEEDS_PYARROW}") from error
    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content)).read()
        return [
            column_of_series(name, nw.from_native(cells, series_only=True))
            for name, cells in zip(table.column_names, table.columns, strict=True)
        ]
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ResponseError(f"The Parquet file is damaged: {reason}.") from error


def _is_text(content: bytes) -> bool:
    try:
        content[:4096].decode()
    except UnicodeDecodeError as error:
        return error.start > 4090
    return True


def read_table(path: str | Path, *, text: TextFormat | None = None) -> pd.DataFrame:
    """Read a table of texts and numbers as a DataFrame of its cells as written."""
    columns = read_columns(path, text=text)
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise ResponseError(f"{path}: a column is named twice among {listing(names, 12)}.")
    return pd.DataFrame(
        {
            column.name: pd.Series(
                np.array([*column.values, None], dtype=object)[column.index], dtype=object
            )
            for column in columns
        }
    )


def check_table_name(path: str | Path) -> None:
    """Refuse a name that promises another kind of file than tables are written as.

    Raises
    ------
    FileError
        For the endings of workbooks, JSON and archives.
    """
    if str(path).lower().endswith(OTHER_NAMES):
        raise FileError(
            f"{path} cannot be written: tables are written as CSV, TSV or Parquet. Choose a name "
            "with such an ending."
        )


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table atomically: Parquet where the name ends so, TSV or, by default, CSV.

    The index is written first. In CSV, text that a spreadsheet would run as a formula gets a
    leading apostrophe.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    write_atomically(path, table_content(frame, path))


def write_tables(
    tables: Mapping[str, pd.DataFrame], folder: str | Path, *, overwrite: bool = False
) -> None:
    """Write a folder of CSV tables, complete or not at all.

    Parameters
    ----------
    tables : mapping
        Name without suffix to table.
    folder : path
    overwrite : bool
        Replace an existing folder.

    Raises
    ------
    FileError
        If it cannot be written; what stood there is intact.
    """
    files = {f"{name}.csv": table_content(table, f"{name}.csv") for name, table in tables.items()}
    write_folder_atomically(folder, files, overwrite=overwrite)


def table_content(frame: pd.DataFrame, path: str | Path) -> bytes:
    """Return a table as the bytes of a file whose name says the format."""
    path = Path(path)
    check_table_name(path)
    flat = _with_index(frame, path)
    if path.name.lower().endswith(PARQUET_NAMES):
        buffer = io.BytesIO()
        try:
            flat.to_parquet(buffer, index=False, engine="pyarrow")
        except ImportError as error:
            raise FileError(f"Writing Parquet {NEEDS_PYARROW}") from error
        return buffer.getvalue()
    safe = flat.rename(columns=_escaped)
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [_escaped(value) for value in safe[name]]
    separator = "\t" if path.name.lower().endswith(".tsv") else ","
    content = safe.to_csv(index=False, lineterminator="\n", sep=separator)
    return content.encode(errors="backslashreplace")


def _with_index(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Turn the index into columns, unless it only counts the rows."""
    if isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
        return frame
    try:
        return frame.reset_index()
    except ValueError as error:
        raise FileError(f"{path} cannot be written: {error}; rename the column.") from error


def _escaped(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
