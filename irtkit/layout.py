"""Wide and long tables of cells: which column is the person, the weight, an item, an answer.

`cells_of` finds the ids and the answer columns of a table and refuses ambiguous ones; `with_key`
matches a key to the items. Both layouts leave here as `Cells`. What a cell means is `coding.py`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from irtkit.coding import MISSING_WORDS, Coding, Column, is_number
from irtkit.errors import ResponseError, count, listing, nearest, shown

Places = npt.NDArray[np.int32]
ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


@dataclass(frozen=True, slots=True)
class Wide:
    """One row a person, one column an item.

    Parameters
    ----------
    person : str, int or None
        Column with the person ids, by name or position; None if there is none (persons are
        then numbered from 1).
    weight : str or None
        Column with person weights, such as the frequency of a response pattern.
    """

    person: str | int | None = 0
    weight: str | None = None


@dataclass(frozen=True, slots=True)
class Long:
    """One row an answer: the names of the columns that hold person, item and answer."""

    person: str = "person"
    item: str = "item"
    answer: str = "answer"


Layout = Wide | Long


@dataclass(frozen=True, slots=True)
class Cells:
    """Answer columns with their ids.

    Wide: one column an item, one row a person; `rows` and `places` are None. Long: a single
    column, whose row r holds the answer of person `rows[r]` to item `places[r]`.
    """

    columns: tuple[Column, ...]
    persons: tuple[str, ...]
    items: tuple[str, ...]
    rows: Places | None = None
    places: Places | None = None
    weights: npt.NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def name_cell(self, column: Column, row: int) -> str:
        """Name a cell by the user's ids, to begin a sentence."""
        if self.rows is None or self.places is None:
            person, item = self.persons[row], column.name
        else:
            person, item = self.persons[self.rows[row]], self.items[self.places[row]]
        return f"The answer of person {shown(person)} to item {shown(item)}"


def cells_of(columns: Sequence[Column], layout: Layout, coding: Coding) -> Cells:
    """Find persons, items and answers among the columns of a table.

    Raises
    ------
    ResponseError
        If a column is absent or ambiguous, or a person or an answer is given twice.
    """
    cells = (
        _long(columns, layout, coding)
        if isinstance(layout, Long)
        else _wide(columns, layout, coding)
    )
    if not cells.persons:
        raise ResponseError("The table has no respondents: it holds a header and no rows.")
    if not cells.items:
        raise ResponseError("The table has no items: it holds no column of answers.")
    check_ids("person", cells.persons)
    check_ids("item", cells.items)
    return cells


def with_key(cells: Cells, key: Mapping[str, str], coding: Coding) -> tuple[Cells, dict[str, str]]:
    """Match a key to the items; leave out, and name in the notes, items without a gold label.

    Raises
    ------
    ResponseError
        If the key names other items than were answered, or no label at all.
    """
    known = set(cells.items)
    unknown = [item for item in key if item not in known]
    lacking = [item for item in cells.items if item not in key]
    if unknown or lacking:
        parts = []
        if unknown:
            parts.append(
                f"{count(len(unknown), 'item')} of the key not answered ({listing(unknown)})"
            )
        if lacking:
            parts.append(
                f"{count(len(lacking), 'item')} without a line in it ({listing(lacking)})"
            )
        raise ResponseError(
            f"The key does not fit the answers: {' and '.join(parts)}."
            f"{nearest(unknown[0], lacking) if unknown else ''} Give each answered item one line; "
            "leave its label empty if it cannot be graded."
        )
    gold = {item: _gold(str(key[item]), coding) for item in cells.items}
    empty = [item for item, label in gold.items() if not label]
    if len(empty) == len(gold):
        raise ResponseError("The key holds no gold label at all, so nothing can be graded.")
    if not empty:
        return cells, gold
    note = f"{count(len(empty), 'item')} without a gold label left out: {listing(empty)}."
    return replace(_without(cells, set(empty)), notes=(*cells.notes, note)), gold


def check_ids(kind: str, ids: tuple[str, ...]) -> None:
    """Refuse empty and repeated ids, and ids that only look different.

    Raises
    ------
    ResponseError
        If an id is empty, stands twice, or differs from another in invisible ways.
    """
    if any(not name.strip() for name in ids):
        raise ResponseError(f"A {kind} has no name. Give every {kind} an id.")
    plain: dict[str, str] = {}
    repeated: dict[str, None] = {}
    for name in ids:
        form = name
        if kind == "item" or not name.isascii() or name != name.strip():
            form = unicodedata.normalize("NFC", name).translate(ZERO_WIDTH).strip()
            form = form.casefold() if kind == "item" else form
        size = len(plain)
        twin = plain.setdefault(form, name)
        if len(plain) > size:
            continue
        if twin != name:
            raise ResponseError(
                f"The {kind}s {twin!a} and {name!a} differ only in case, blanks or "
                "characters that do not show. Rename one of them."
            )
        repeated[name] = None
    if repeated:
        raise ResponseError(
            f"{count(len(repeated), kind)} named more than once: {listing(repeated, 10)}. "
            f"Each {kind} needs an id of its own."
        )


def _wide(columns: Sequence[Column], layout: Wide, coding: Coding) -> Cells:
    rest = list(columns)
    _check_header([column.name for column in rest], layout)
    if rest and rest[-1].name == "" and not _filled(rest[-1]):
        rest.pop()
    length = len(rest[0].index) if rest else 0
    person = None if layout.person is None else _take(rest, layout.person, "person")
    weight = None if layout.weight is None else _take(rest, layout.weight, "weight")
    persons = (
        tuple(str(n + 1) for n in range(length)) if person is None else _ids(person, "person")
    )
    cells = Cells(tuple(rest), persons, tuple(column.name for column in rest))
    if weight is not None:
        cells = replace(cells, weights=_weights(weight))
    return cells if len(set(persons)) == length else _deduplicated(cells, coding)


def _long(columns: Sequence[Column], layout: Long, coding: Coding) -> Cells:
    rest = list(columns)
    person = _take(rest, layout.person, "person")
    item = _take(rest, layout.item, "item")
    answer = _take(rest, layout.answer, "answer")
    persons, rows = _numbered(_ids(person, "person"))
    items, places = _numbered(_ids(item, "item"))
    cells = Cells((answer,), persons, items, rows, places)
    cell = rows.astype(np.int64) * max(len(items), 1) + places
    _, first, inverse = np.unique(cell, return_index=True, return_inverse=True)
    if len(first) == len(cell):
        return cells
    repeated = np.ones(len(cell), dtype=bool)
    repeated[first] = False
    other = repeated & (answer.index != answer.index[first][inverse])
    if other.any() or not coding.dedupe:
        pairs = [
            f"{persons[rows[r]]} x {items[places[r]]}" for r in np.flatnonzero(other | repeated)
        ]
        how = "differently" if other.any() else "with the same answer (--dedupe keeps one)"
        raise ResponseError(
            f"{count(len(pairs), 'answer')} to an item that the same person answers elsewhere, "
            f"{how}: {listing(pairs, 10)}. Keep one answer for each person and item."
        )
    kept = np.flatnonzero(~repeated)
    note = f"{count(int(repeated.sum()), 'identical repeated answer')} left out."
    return replace(_rows(cells, kept), notes=(note,))


def _rows(cells: Cells, kept: npt.NDArray[np.int64]) -> Cells:
    """Keep some rows of a long table."""
    assert cells.rows is not None
    assert cells.places is not None
    answer = replace(cells.columns[0], index=cells.columns[0].index[kept])
    return replace(cells, columns=(answer,), rows=cells.rows[kept], places=cells.places[kept])


def _without(cells: Cells, left_out: set[str]) -> Cells:
    items = tuple(item for item in cells.items if item not in left_out)
    if cells.places is None:
        kept = tuple(column for column in cells.columns if column.name not in left_out)
        return replace(cells, columns=kept, items=items)
    number = {item: place for place, item in enumerate(items)}
    moved = np.array([number.get(item, -1) for item in cells.items], dtype=np.int32)
    places = moved[cells.places]
    kept_rows = np.flatnonzero(places >= 0)
    return replace(_rows(replace(cells, places=places), kept_rows), items=items)


def _gold(label: str, coding: Coding) -> str:
    if label.strip() in MISSING_WORDS:
        return ""
    label = coding.label_map.get(label, label)
    return label.strip().lower() if coding.normalise_labels else label


def _check_header(names: list[str], layout: Wide) -> None:
    if names and all(is_number(name) for name in names) and layout.person is not None:
        raise ResponseError(
            f"All column names are numbers ({listing(names)}), so the first line looks like "
            "answers. If the table has no header say --no-header; else name the columns."
        )
    if names and (names[0] == "" or names[0].startswith("Unnamed:")) and layout.person == 0:
        raise ResponseError(
            "The first column has no name, as when pandas or R write their row names. If it holds "
            f"the person ids say so (--person {shown(names[0])}); else leave it out of the table."
        )
    if {"item", "answer"} <= {name.lower() for name in names}:
        raise ResponseError(
            f"The columns are {listing(names)}: one row an answer, the long layout. Say --long."
        )


def _take(columns: list[Column], which: str | int, role: str) -> Column:
    names = [column.name for column in columns]
    if isinstance(which, int):
        if which >= len(columns):
            raise ResponseError(
                f"The table has {len(columns)} columns; there is no column {which}."
            )
        return columns.pop(which)
    if names.count(which) != 1:
        number = "no" if which not in names else "more than one"
        raise ResponseError(
            f"The table has {number} column {shown(which)} for the {role}; its columns are "
            f"{listing(names, 12)}.{nearest(which, names)} Name the column (--{role})."
        )
    return columns.pop(names.index(which))


def _ids(column: Column, kind: str) -> tuple[str, ...]:
    names = [_id_text(value) for value in column.values]
    empty = np.flatnonzero((column.index < 0) | np.isin(column.index, _blank(names)))
    if len(empty):
        raise ResponseError(
            f"{count(len(empty), 'row')} of the column {shown(column.name)} hold no {kind} id, "
            f"the first is row {empty[0] + 1} below the header. Give every row its {kind}."
        )
    return tuple(names[number] for number in column.index.tolist())


def _blank(names: list[str]) -> list[int]:
    return [number for number, name in enumerate(names) if not name.strip()]


def _id_text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _deduplicated(cells: Cells, coding: Coding) -> Cells:
    """Keep the first of identical rows of a person, if that was asked for."""
    first: dict[str, int] = {}
    kept: list[int] = []
    repeated: dict[str, None] = {}
    different: dict[str, None] = {}
    for row, person in enumerate(cells.persons):
        if first.setdefault(person, row) == row:
            kept.append(row)
            continue
        repeated[person] = None
        if any(column.index[row] != column.index[first[person]] for column in cells.columns):
            different[person] = None
    if different or not coding.dedupe:
        hint = ""
        if len(cells.columns) == 2:
            hint = " Three columns with repeated ids look like the long layout (--long)."
        elif len(first) <= 2 < len(cells.persons):
            hint = " If the table has no column of person ids say --no-person."
        what = (
            "with different answers" if different else "with identical rows (--dedupe keeps one)"
        )
        raise ResponseError(
            f"{count(len(repeated), 'person')} named more than once, {what}: "
            f"{listing(different or repeated, 10)}. Each person needs one row.{hint}"
        )
    rows = np.array(kept)
    return replace(
        cells,
        columns=tuple(replace(column, index=column.index[rows]) for column in cells.columns),
        persons=tuple(first),
        weights=None if cells.weights is None else cells.weights[rows],
        notes=(f"{count(len(cells.persons) - len(rows), 'identical repeated row')} left out.",),
    )


def _weights(column: Column) -> npt.NDArray[np.float64]:
    values = [_number(value, column.name) for value in column.values]
    return np.array([*values, np.nan])[column.index]


def _number(value: object, name: str) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise ResponseError(
            f"The weight {shown(str(value))} in column {shown(name)} is not a number."
        ) from None


def _numbered(names: tuple[str, ...]) -> tuple[tuple[str, ...], Places]:
    position: dict[str, int] = {}
    numbers = (position.setdefault(name, len(position)) for name in names)
    index = np.fromiter(numbers, dtype=np.int32, count=len(names))
    return tuple(position), index


def _filled(column: Column) -> bool:
    used = {str(column.values[i]).strip() for i in np.unique(column.index).tolist() if i >= 0}
    return bool(used - MISSING_WORDS)
