"""Files in and out: responses, keys, decisions, calibrations, scales, tables.

Only this room opens files (training and posteriors, when built, open their own). `files.py` opens
and writes bytes, `text.py` and `tables.py` parse tables, `results.py` those that irtkit wrote,
`documents.py` JSON; here are the functions that people call. Every message of a reader begins with
the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from irtkit.coding import Coding
from irtkit.errors import ResponseError, ScaleError, count, listing, shown
from irtkit.estimation.calibration import Calibration
from irtkit.estimation.checkpoint import Checkpoint, checkpoint_document, checkpoint_from
from irtkit.estimation.record import calibration_document, calibration_from
from irtkit.io.documents import (
    backup_of,
    json_content,
    previous_content,
    read_json,
    sealed,
    unsealed,
    write_json,
)
from irtkit.io.files import read_bytes, write_atomically
from irtkit.io.tables import read_columns, read_table, write_table, write_tables
from irtkit.io.text import TextFormat, decoded, lines, text_rows
from irtkit.layout import Layout, Long, Wide
from irtkit.responses import Responses
from irtkit.scale import EvaluationScale, scale_document, scale_from
from irtkit.screening import Decision

__all__ = [
    "TextFormat",
    "calibration_content",
    "read_calibration",
    "read_checkpoint",
    "read_columns",
    "read_decisions",
    "read_groups",
    "read_key",
    "read_list",
    "read_responses",
    "read_scale",
    "read_table",
    "scale_content",
    "write_calibration",
    "write_checkpoint",
    "write_scale",
    "write_table",
    "write_tables",
]

KEY_SEPARATORS = ("\t", ",", ";")


def read_responses(
    path: str | Path,
    *,
    layout: Layout | None = None,
    key: str | Path | Mapping[str, str] | None = None,
    coding: Coding | None = None,
    text: TextFormat | None = None,
) -> Responses:
    """Read who answered what.

    Parameters
    ----------
    path : path
        CSV, TSV, JSONL (all may be gzipped) or Parquet.
    layout : Wide or Long, optional
        Wide with person ids in the first column by default. JSON lines that hold `subject_id`
        and `responses` (the py-irt form) are read as they are.
    key : path or mapping, optional
        The gold label of each item, or the file that holds them (`read_key`).
    coding : Coding, optional
        What the cells mean: label map, missing words, order.
    text : TextFormat, optional
        Separator, decimal mark, encoding, header.

    Raises
    ------
    FileError
        If a file cannot be read.
    ResponseError
        If the answers have no single meaning; the message names file, place and remedy.
    """
    columns = read_columns(path, text=text)
    gold = read_key(key, text) if isinstance(key, (str, Path)) else key
    text = text or TextFormat()
    if not text.header:
        names = _names(len(columns), layout or Wide())
        columns = [replace(column, name=n) for column, n in zip(columns, names, strict=True)]
    try:
        return Responses.from_columns(columns, layout=layout, key=gold, coding=coding)
    except ResponseError as error:
        raise ResponseError(f"{path}: {error}") from error


def _names(size: int, layout: Layout) -> list[str]:
    """Name the columns of a table without a header as its layout takes them."""
    if isinstance(layout, Long):
        return [layout.person, layout.item, layout.answer, *map(str, range(4, size + 1))][:size]
    names = [f"i{number}" for number in range(1, size + 1)]
    if layout.person is None:
        return names
    place = layout.person if isinstance(layout.person, int) else 0
    return [*names[:place], "person", *names[place:]][:size]


def read_key(path: str | Path, text: TextFormat | None = None) -> dict[str, str]:
    """Read the gold label of each item: `item,label`, separated by commas, tabs or blanks.

    A first line whose first field is `item` is a header. An empty label stays empty.

    Raises
    ------
    ResponseError
        If a line has more than two fields, or an item two lines.
    """
    text = text or TextFormat()
    body = _text(path, text.encoding)
    key: dict[str, str] = {}
    try:
        for number, (line, fields) in enumerate(_key_rows(body, text)):
            item, label = _gold(line, fields)
            if number == 0 and item.lower() == "item":
                continue
            if item in key:
                how = "twice" if key[item] == label else "with two labels"
                raise ResponseError(f"line {line} names item {shown(item)} {how}.")
            key[item] = label
    except ResponseError as error:
        raise ResponseError(f"{path}: {error}") from error
    if not key:
        raise ResponseError(f"{path} is empty: it holds no key.")
    return key


def _key_rows(body: str, text: TextFormat) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each line of a key that is not blank."""
    filled = [line for line in lines(body) if line.strip()]
    head = re.match(r'"?item"?\s*([\t,;|])', filled[0], re.IGNORECASE) if filled else None
    marks = [head[1]] if head else [*(text.separator or ""), *KEY_SEPARATORS]
    mark = next((m for m in marks if 2 * sum(m in line for line in filled) > len(filled)), None)
    if mark is None:
        return ((n, line.split()) for n, line in enumerate(lines(body), 1) if line.strip())
    return ((n, fields) for n, fields in text_rows(body, mark) if any(map(str.strip, fields)))


def _gold(line: int, fields: list[str]) -> tuple[str, str]:
    item, label, *more = [field.strip() for field in (*fields, "")]
    if not item or any(more):
        raise ResponseError(
            f"line {line} should hold an item and its label, but holds {listing(fields)}."
        )
    return item, label


def read_decisions(path: str | Path) -> list[Decision]:
    """Read an analyst's decisions: a table with the columns item, decision, reason.

    Raises
    ------
    ResponseError
        If a column is absent, a decision is neither keep nor drop, or a reason is empty.
    """
    table = read_table(path)
    lacking = [name for name in ("item", "decision", "reason") if name not in table.columns]
    if lacking:
        raise ResponseError(
            f"{path} has no column {listing(lacking)}; it should hold item, decision and reason."
        )
    columns = (table[name].fillna("").astype(str) for name in ("item", "decision", "reason"))
    try:
        return [Decision(*row) for row in zip(*columns, strict=True)]
    except ResponseError as error:
        raise ResponseError(f"{path}: {error}") from error


def read_groups(path: str | Path, persons: Sequence[str]) -> list[str]:
    """Read the group of each person: a table with the columns person, group.

    Parameters
    ----------
    path : path
    persons : sequence of str
        Whose groups are wanted, in order; others in the file are passed over.

    Raises
    ------
    ResponseError
        If a column is absent, a person stands there twice, or has no group.
    """
    table = read_table(path)
    lacking = [name for name in ("person", "group") if name not in table.columns]
    if lacking:
        raise ResponseError(
            f"{path} has no column {listing(lacking)}; it should hold person and group."
        )
    names = table["person"].astype(str)
    twice = names[names.duplicated()].unique().tolist()
    if twice:
        raise ResponseError(f"{path} names {listing(twice)} more than once. Leave one row each.")
    known = dict(zip(names, table["group"], strict=True))
    without = [person for person in persons if person not in known or pd.isna(known[person])]
    if without:
        raise ResponseError(
            f"{path} gives no group to {count(len(without), 'person')} who answered: "
            f"{listing(without)}. Add them, or take them out of the answers."
        )
    return [str(known[person]) for person in persons]


def read_list(path: str | Path) -> list[str]:
    """Read names, one a line; blank lines are left out.

    Raises
    ------
    ResponseError
        If there is no name.
    """
    found = [line.strip() for line in lines(_text(path)) if line.strip()]
    if not found:
        raise ResponseError(f"{path} is empty: it names nothing.")
    return found


def _text(path: str | Path, encoding: str = "utf-8") -> str:
    content = read_bytes(path)
    try:
        return decoded(content, encoding)
    except ResponseError as error:
        raise ResponseError(f"{path}: {error}") from error


def write_calibration(calibration: Calibration, path: str | Path) -> None:
    """Write a calibration as JSON, atomically."""
    write_atomically(path, calibration_content(calibration, path))


def calibration_content(calibration: Calibration, path: str | Path) -> bytes:
    """Return a calibration as the bytes of its file."""
    return json_content(sealed(calibration_document(calibration)), path)


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration that `write_calibration` wrote.

    Raises
    ------
    ScaleError
        If the file was changed or damaged, or a field is missing, unknown or out of range.
    """
    document = unsealed(read_json(path), path)
    try:
        return calibration_from(document)
    except ScaleError as error:
        raise ScaleError(f"{path}: {error}") from error


def write_checkpoint(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write the state of an estimation as JSON, atomically."""
    write_json(sealed(checkpoint_document(checkpoint)), path)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a state that `write_checkpoint` wrote.

    Raises
    ------
    ScaleError
        If the file was changed or damaged, or a field is missing, unknown or out of range.
    """
    document = unsealed(read_json(path), path)
    try:
        return checkpoint_from(document)
    except ScaleError as error:
        raise ScaleError(f"{path}: {error}") from error


def write_scale(scale: EvaluationScale, path: str | Path) -> None:
    """Write a scale as JSON, atomically.

    An intact scale that was there, if it differs, is kept beside it under its name with `.bak`.

    Raises
    ------
    FileError
        If it cannot be written; what was there is intact.
    """
    content = scale_content(scale, path)
    previous = previous_content(path, content)
    if previous is not None:
        write_atomically(backup_of(path), previous)
    write_atomically(path, content)


def scale_content(scale: EvaluationScale, path: str | Path) -> bytes:
    """Return a scale as the bytes of its file."""
    return json_content(sealed(scale_document(scale)), path)


def read_scale(path: str | Path) -> EvaluationScale:
    """Read a scale that `write_scale` wrote.

    Raises
    ------
    ScaleError
        If the file was changed or damaged, or a field is missing, unknown or out of range. The
        message names the version before it, if there is one.
    """
    try:
        document = unsealed(read_json(path), path)
    except ScaleError as error:
        backup = backup_of(path)
        hint = f" The version before it is {backup}." if backup.exists() else ""
        raise ScaleError(f"{error}{hint}") from error
    try:
        return scale_from(document)
    except ScaleError as error:
        raise ScaleError(f"{path}: {error}") from error
