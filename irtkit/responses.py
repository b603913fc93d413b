"""`Responses`: who answered what, coded, with ids, key and raw labels.

A `Responses` is made once, from a dataframe (`from_frame`), triples, a NumPy or a sparse array,
and never changes; `select_items`, `select_persons` and `graded_by` return new ones. How a cell
is read is `coding.py`, how a table is laid out `layout.py`; files are opened in `io/`.

Codes are held dense or sparse (`storage.py`); numerical code asks for `blocks`, the dense codes
of some persons at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from irtkit import storage
from irtkit.arrays import CodeArray, FloatArray, IntArray, frozen
from irtkit.coding import (
    MISSING,
    Coding,
    Column,
    coded,
    column_of,
    column_of_series,
    label_set,
    ordered_categories,
    tokenise,
    trimmed_note,
)
from irtkit.errors import ResponseError, count, listing, shown
from irtkit.layout import Cells, Layout, Long, Wide, cells_of, check_ids, with_key
from irtkit.storage import Codes

GRADES = ("wrong", "right")


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """Coded answers of P persons to I items, with ids, key and raw labels.

    Parameters
    ----------
    codes : array or CSR array, shape (P, I)
        Category 0 .. K-1 of each answer, -1 where unanswered (dense); code + 1 (CSR).
    persons, items : tuple of str
        Ids, each unique.
    categories : tuple of str
        What each code stands for, K names.
    key : tuple of str, or None
        The gold label of each item, where the codes were graded by a key.
    labels : array or CSR array, shape (P, I), or None
        Position of the raw label in `label_set`, stored like `codes`.
    label_set : tuple of str
        The raw labels, sorted.
    weights : array, shape (P,)
        How many persons each row stands for, positive; ones by default.
    notes : tuple of str
        What was noticed and tolerated, in sentences.

    Raises
    ------
    ResponseError
        If shapes, ids, codes or weights contradict each other.
    """

    codes: Codes
    persons: tuple[str, ...]
    items: tuple[str, ...]
    categories: tuple[str, ...] = ("0", "1")
    key: tuple[str, ...] | None = None
    labels: Codes | None = None
    label_set: tuple[str, ...] = ()
    weights: FloatArray = field(default_factory=lambda: np.empty(0))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.persons), len(self.items))
        if self.codes.shape != shape:
            raise ResponseError(
                f"The codes have shape {self.codes.shape}, but there are {shape[0]} persons and "
                f"{shape[1]} items."
            )
        check_ids("person", self.persons)
        check_ids("item", self.items)
        weights = self.weights if len(self.weights) else np.ones(shape[0])
        object.__setattr__(self, "codes", storage.read_only(self.codes))
        object.__setattr__(self, "weights", frozen(_checked_weights(weights, self.persons)))
        if self.labels is not None:
            object.__setattr__(self, "labels", storage.read_only(self.labels))

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        layout: Layout | None = None,
        key: Mapping[str, str] | None = None,
        coding: Coding | None = None,
    ) -> Responses:
        """Make responses from any dataframe (pandas, polars, PyArrow, ...).

        Parameters
        ----------
        frame : dataframe
            A wide or long table of answers.
        layout : Wide or Long, optional
            Which column holds what; by default wide with the person ids in the first column.
        key : mapping of str to str, optional
            The gold label of each item; answers are then raw labels, graded 1 where equal. An
            item with an empty label is left out and named in the notes.
        coding : Coding, optional
            What the cells mean.

        Raises
        ------
        ResponseError
            For anything in the table that has no single meaning; the message names the cell.
        """
        layout = layout or Wide()
        if isinstance(frame, pd.DataFrame) and isinstance(layout, Wide) and layout.person == 0:
            _check_index(frame)
        try:
            table = nw.from_native(frame, eager_only=True)
            named = [(str(name), table[:, place]) for place, name in enumerate(table.columns)]
        except (TypeError, nw.exceptions.NarwhalsError) as error:
            raise ResponseError(f"This is no table of answers: {error}") from error
        columns = [column_of_series(name, series) for name, series in named]
        return cls.from_columns(columns, layout=layout, key=key, coding=coding)

    @classmethod
    def from_columns(
        cls,
        columns: Sequence[Column],
        *,
        layout: Layout | None = None,
        key: Mapping[str, str] | None = None,
        coding: Coding | None = None,
    ) -> Responses:
        """Make responses from encoded columns; `from_frame` and the file readers end here."""
        coding = coding or Coding()
        cells = cells_of(columns, layout or Wide(), coding)
        gold = None
        if key is not None:
            cells, gold = with_key(cells, key, coding)
        keyed = gold is not None or coding.nominal
        words = tokenise(cells.columns, coding, keyed, cells.name_cell)
        notes = (*cells.notes, *([] if keyed else trimmed_note(cells.columns, words)))
        cells = replace(cells, columns=tuple(words), notes=notes)
        if keyed:
            return _from_labels(cells, gold, coding)
        categories = ordered_categories(words, coding, cells.name_cell)
        return _from_codes(cells, [coded(word, categories) for word in words], categories, coding)

    @classmethod
    def from_array(
        cls,
        answers: npt.ArrayLike,
        *,
        persons: Sequence[str] | None = None,
        items: Sequence[str] | None = None,
        weights: npt.ArrayLike | None = None,
        coding: Coding | None = None,
    ) -> Responses:
        """Make responses from an array of codes, shape (P, I); NaN is a missing answer.

        Persons are named "1", "2", ... and items "i1", "i2", ... unless names are given.
        """
        array = np.asarray(answers)
        if array.ndim != 2:
            raise ResponseError(
                f"The answers have {array.ndim} dimensions; give one row a person, one column "
                "an item."
            )
        names = _names(items, array.shape[1], "i", "item")
        columns = [column_of(name, array[:, place]) for place, name in enumerate(names)]
        people = _names(persons, array.shape[0], "", "person")
        person = Column("person", np.arange(len(people), dtype=np.int32), tuple(people))
        made = cls.from_columns([person, *columns], coding=coding)
        return made if weights is None else replace(made, weights=np.asarray(weights, float))

    @classmethod
    def from_triples(
        cls,
        person: Sequence[Any],
        item: Sequence[Any],
        answer: Sequence[Any],
        *,
        key: Mapping[str, str] | None = None,
        coding: Coding | None = None,
    ) -> Responses:
        """Make responses from three sequences of equal length: who, which item, which answer."""
        lengths = {len(person), len(item), len(answer)}
        if len(lengths) > 1:
            raise ResponseError(
                f"{len(person)} persons, {len(item)} items and {len(answer)} answers were given; "
                "each answer needs its person and item."
            )
        names = ("person", "item", "answer")
        columns = [
            column_of(n, _objects(v)) for n, v in zip(names, (person, item, answer), strict=True)
        ]
        return cls.from_columns(columns, layout=Long(), key=key, coding=coding)

    @classmethod
    def from_sparse(
        cls,
        matrix: Any,
        *,
        persons: Sequence[str] | None = None,
        items: Sequence[str] | None = None,
        coding: Coding | None = None,
    ) -> Responses:
        """Make responses from a scipy.sparse array; each stored cell, zeros too, is an answer."""
        cells = sp.coo_array(matrix)
        people = np.array(_names(persons, cells.shape[0], "", "person"), dtype=object)
        names = np.array(_names(items, cells.shape[1], "i", "item"), dtype=object)
        columns = [
            Column("person", cells.coords[0].astype(np.int32), tuple(people)),
            Column("item", cells.coords[1].astype(np.int32), tuple(names)),
            column_of("answer", cells.data),
        ]
        return cls.from_columns(columns, layout=Long(), coding=coding)

    @property
    def n_persons(self) -> int:
        """Number of rows; their weights may stand for more people."""
        return len(self.persons)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def n_categories(self) -> int:
        """Number of answer categories, over all items."""
        return len(self.categories)

    def blocks(self, size: int = 2048) -> Iterator[tuple[slice, CodeArray]]:
        """Yield slices of persons with their dense codes, shape (at most `size`, I)."""
        return storage.blocks(self.codes, size)

    def dense(self) -> CodeArray:
        """Return all codes as one dense array, shape (P, I), -1 where unanswered."""
        return storage.dense(self.codes)

    def n_answered(self) -> IntArray:
        """Count the answers of each person, shape (P,)."""
        if isinstance(self.codes, sp.csr_array):
            return np.diff(self.codes.indptr).astype(np.int64)
        return (self.codes != MISSING).sum(axis=1)

    def label_counts(self) -> pd.DataFrame:
        """Count each raw label per item, rows weighted; a missing answer counts nowhere.

        Raises
        ------
        ResponseError
            If the answers came as codes, so that there are no raw labels.
        """
        if self.labels is None:
            raise ResponseError(
                "These answers came as codes, not as labels, so label counts are unknown. Read "
                "the raw labels together with a key."
            )
        counts = np.zeros((self.n_items, len(self.label_set)))  # (I, L)
        for rows, block in storage.blocks(self.labels, 2048):
            for number in range(len(self.label_set)):
                counts[:, number] += self.weights[rows] @ (block == number)
        return pd.DataFrame(
            counts, index=pd.Index(self.items, name="item"), columns=self.label_set
        )

    def select_items(self, items: Sequence[str]) -> Responses:
        """Return the answers to `items` alone, in that order.

        Raises
        ------
        ResponseError
            If an item is unknown.
        """
        position = {item: number for number, item in enumerate(self.items)}
        unknown = [item for item in items if item not in position]
        if unknown:
            raise ResponseError(
                f"{count(len(unknown), 'item')} not among the answers: {listing(unknown)}."
            )
        places = np.array([position[item] for item in items], dtype=np.int64)
        key = None if self.key is None else tuple(self.key[place] for place in places)
        labels = None if self.labels is None else self.labels[:, places]
        return replace(
            self, codes=self.codes[:, places], items=tuple(items), key=key, labels=labels
        )

    def select_persons(self, rows: npt.ArrayLike) -> Responses:
        """Return the answers of some persons: positions or a truth value for each row."""
        places = np.arange(self.n_persons)[np.asarray(rows)]
        return replace(
            self,
            codes=self.codes[places],
            persons=tuple(self.persons[place] for place in places),
            labels=None if self.labels is None else self.labels[places],
            weights=self.weights[places],
        )

    def items_with_gold(self, label: str) -> list[str]:
        """List the items whose gold label is `label`, in order.

        Raises
        ------
        ResponseError
            If there is no key or no item has that label.
        """
        if self.key is None:
            raise ResponseError("Items can be chosen by gold label only where a key was given.")
        chosen = [item for item, gold in zip(self.items, self.key, strict=True) if gold == label]
        if not chosen:
            raise ResponseError(
                f"No item has the gold label {shown(label)}; the key's labels are "
                f"{listing(sorted(set(self.key)), 12)}."
            )
        return chosen

    def graded_by(self, key: Mapping[str, str]) -> Responses:
        """Grade nominal answers: 1 where the label equals the item's gold label, else 0.

        Raises
        ------
        ResponseError
            If the answers are graded already, or the key lacks an item.
        """
        if self.labels is None or self.key is not None:
            raise ResponseError("Only raw labels that are not graded yet can be graded by a key.")
        unknown = [item for item in self.items if item not in key]
        if unknown:
            raise ResponseError(f"The key has no label for {listing(unknown)}.")
        gold = tuple(key[item] for item in self.items)
        position = {label: number for number, label in enumerate(self.label_set)}
        right = np.array([position.get(label, len(position)) for label in gold])  # (I,)
        codes = storage.graded_matrix(self.labels, right)
        return replace(self, codes=codes, key=gold, categories=GRADES)

    def fingerprint(self) -> str:
        """Return the SHA-256 of ids, codes, labels, key and weights, as 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for part in (self.persons, self.items, self.categories, self.key, self.label_set):
            digest.update(repr(part).encode())
        for codes in (self.codes, self.labels):
            for _, block in () if codes is None else storage.blocks(codes, 4096):
                digest.update(np.ascontiguousarray(block).tobytes())
        digest.update(np.ascontiguousarray(self.weights).tobytes())
        return digest.hexdigest()


def _from_labels(cells: Cells, gold: Mapping[str, str] | None, coding: Coding) -> Responses:
    known = label_set(cells.columns, gold or {}, coding)
    parts = [coded(word, known) for word in cells.columns]
    labels = _laid_out(cells, parts)
    made = Responses(
        codes=labels,
        persons=cells.persons,
        items=cells.items,
        categories=known,
        labels=labels,
        label_set=known,
        weights=np.empty(0) if cells.weights is None else cells.weights,
        notes=(*cells.notes, *_shape_notes(cells)),
    )
    if gold is None:
        return made
    right = np.array([known.index(gold[item]) for item in cells.items])  # (I,)
    if cells.places is None:
        parts = [storage.graded(part, right[place]) for place, part in enumerate(parts)]
    else:
        parts = [storage.graded(parts[0], right[cells.places])]
    graded = _from_codes(cells, parts, GRADES, coding)
    graded = replace(
        graded, key=tuple(gold[i] for i in cells.items), labels=labels, label_set=known
    )
    return replace(graded, notes=(*graded.notes, *_never_chosen(graded)))


def _from_codes(
    cells: Cells, parts: list[CodeArray], categories: tuple[str, ...], coding: Coding
) -> Responses:
    notes = [*cells.notes, *_shape_notes(cells)]
    if coding.missing_as_wrong:
        empty = sum(int((part == MISSING).sum()) for part in parts)
        parts = [np.where(part == MISSING, np.int8(0), part) for part in parts]
        notes.append(f"{count(empty, 'missing answer')} counted as wrong.")
    return Responses(
        codes=_laid_out(cells, parts),
        persons=cells.persons,
        items=cells.items,
        categories=categories,
        weights=np.empty(0) if cells.weights is None else cells.weights,
        notes=tuple(notes),
    )


def _laid_out(cells: Cells, parts: Sequence[CodeArray]) -> Codes:
    if cells.rows is None or cells.places is None:
        return storage.laid_out_wide(parts, len(cells.persons))
    shape = (len(cells.persons), len(cells.items))
    return storage.laid_out_long(parts[0], cells.rows, cells.places, shape)


def _check_index(frame: pd.DataFrame) -> None:
    """Refuse a pandas index that seems to hold the person ids, which would be lost."""
    labels = frame.index
    if labels.name is not None or labels.nlevels > 1 or not pd.api.types.is_integer_dtype(labels):
        raise ResponseError(
            f"The frame's index holds {listing(labels[:3].tolist())}: if these are the person ids "
            "make them a column (reset_index); if not, drop the index (reset_index(drop=True))."
        )


def _shape_notes(cells: Cells) -> list[str]:
    persons, items = len(cells.persons), len(cells.items)
    if persons >= items or persons == 1:
        return []
    return [f"Fewer persons ({persons}) than items ({items}): if the rows are items, transpose."]


def _never_chosen(made: Responses) -> list[str]:
    counts = made.label_counts()
    gold = zip(made.items, made.key or (), strict=True)
    never = [item for item, label in gold if counts.at[item, label] == 0]
    if not never:
        return []
    return [f"Nobody chose the gold label of {count(len(never), 'item')}: {listing(never)}."]


def _checked_weights(weights: npt.ArrayLike, persons: tuple[str, ...]) -> FloatArray:
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (len(persons),):
        raise ResponseError(f"{array.size} weights were given for {len(persons)} persons.")
    wrong = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if len(wrong):
        raise ResponseError(
            f"The weight of person {shown(persons[wrong[0]])} is {array[wrong[0]]:g} "
            f"({count(len(wrong), 'such weight')}). A weight says how many persons a row stands "
            "for and must be a positive number; drop rows that stand for nobody."
        )
    return array


def _names(given: Sequence[str] | None, size: int, prefix: str, kind: str) -> list[str]:
    if given is None:
        return [f"{prefix}{number}" for number in range(1, size + 1)]
    if len(given) != size:
        raise ResponseError(f"{len(given)} {kind} names were given for {size} {kind}s.")
    return [str(name) for name in given]


def _objects(values: Sequence[Any]) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind in "US":  # mixed lists become text in NumPy: keep the values as they are
        array = np.array(list(values), dtype=object)
    return array
