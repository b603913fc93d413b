"""How a cell as written becomes an answer: missing, an ordered code, or a raw label.

`Coding` is what the analyst declares; `Column` is one column of cells, stored as its distinct
values; the functions turn columns into codes and refuse, naming the cell, whatever is
ambiguous. Nothing is repaired in silence: what is tolerated (a trimmed blank, a map that was
declared) is told in a note. Files and layouts are not known here: see `responses.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from irtkit.errors import ResponseError, listing, nearest, shown

MISSING = -1
MISSING_WORDS = frozenset({"", "NA", "na", "nan", "NaN"})
TRUTH_WORDS = frozenset({"true", "false", "yes", "no", "correct", "incorrect", "right", "wrong"})
MOST_CATEGORIES = 30
LARGEST_CODE = 2**63 - 1
INTEGER = re.compile(r"[+-]?\d+(\.0*)?")
PLAIN_TYPES = (nw.Boolean, nw.String, nw.Object, nw.Unknown)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d*")


@dataclass(frozen=True, slots=True)
class Coding:
    """What the cells of an answer table mean.

    Parameters
    ----------
    missing : tuple of str
        Words that mean "no answer", beside the empty cell, ``NA``, ``na``, ``nan``, ``NaN``.
    missing_as_wrong : bool
        Count a missing answer as wrong (code 0). Its raw label stays missing.
    label_map : mapping of str to str
        Replaces answers as written, for example ``{"e": "entailment"}`` or ``{"yes": "1"}``.
    order : tuple of str
        The ordered categories, lowest first, for answers that are not 0, 1, 2, ...
    nominal : bool
        Keep the answers as unordered labels: to be graded later, or for a nominal model.
    normalise_labels : bool
        Treat labels that differ only in case and outer blanks as one (lower case is kept).
    dedupe : bool
        Keep one of several identical rows of a person; without it they are refused.
    """

    missing: tuple[str, ...] = ()
    missing_as_wrong: bool = False
    label_map: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    nominal: bool = False
    normalise_labels: bool = False
    dedupe: bool = False

    def __post_init__(self) -> None:
        if len(set(self.order)) < len(self.order) or not all(self.order):
            raise ResponseError(
                f"The declared order {listing(self.order, 12)} names a category twice, or none. "
                "Name each category once, the lowest first."
            )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of cells: `values[index[row]]`, or no value where the index is -1."""

    name: str
    index: npt.NDArray[np.signedinteger]
    values: tuple[Any, ...]


Place = Callable[[Column, int], str]


def column_of(name: str, cells: npt.ArrayLike) -> Column:
    """Store cells by their distinct values; None and NaN are cells without a value."""
    array = np.asarray(cells)
    if array.dtype.kind != "O":
        places, values = pd.factorize(array)
        return Column(name, places.astype(np.int32), tuple(np.asarray(values).tolist()))
    seen: dict[tuple[type, object], int] = {}
    index = np.empty(len(array), dtype=np.int32)
    for row, cell in enumerate(array.tolist()):
        empty = cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))
        index[row] = -1 if empty else seen.setdefault((type(cell), cell), len(seen))
    return Column(name, index, tuple(value for _, value in seen))


def column_of_series(name: str, series: nw.Series[Any]) -> Column:
    """Store the cells of a dataframe column, refusing types that hold no answers.

    Raises
    ------
    ResponseError
        For dates, decimals, lists, structures and the like; the message names the type.
    """
    native = series.to_native()
    if isinstance(native, pd.Series) and isinstance(native.dtype, pd.CategoricalDtype):
        index = native.cat.codes.to_numpy().astype(np.int32)
        return Column(name, index, tuple(native.cat.categories.tolist()))
    kind = series.dtype
    if kind in (nw.Categorical, nw.Enum):
        series, kind = series.cast(nw.String), nw.String()
    if not (kind.is_integer() or kind.is_float() or kind in PLAIN_TYPES):
        raise ResponseError(
            f"The column {shown(name)} is of type {kind}. Answers are integers, truth values or "
            "text; convert the column."
        )
    if kind.is_numeric() and not series.is_null().any():
        return column_of(name, series.to_numpy())
    return column_of(name, np.array([None, *series.to_list()], dtype=object)[1:])


def tokenise(columns: Sequence[Column], coding: Coding, keyed: bool, place: Place) -> list[Column]:
    """Replace each distinct value by its canonical word, or by nothing where it is missing.

    Parameters
    ----------
    columns : sequence of Column
        The cells as they came.
    coding : Coding
        Missing words and label map.
    keyed : bool
        The answers are raw labels: they are not trimmed or read as numbers.
    place : callable
        Names a cell for a message.

    Raises
    ------
    ResponseError
        For infinite numbers, truth values among other values, and types that are no answers.
    """
    return [_tokens_of(column, coding, keyed, place) for column in columns]


def _tokens_of(column: Column, coding: Coding, keyed: bool, place: Place) -> Column:
    kinds = {type(value) for value in column.values}
    if bool in kinds and len(kinds) > 1:
        value = next(v for v in column.values if isinstance(v, bool))
        raise ResponseError(
            f"{_at(column, value, place)} is the truth value {value} among other kinds of answer. "
            "Truth values count as 0 and 1 only where a whole column holds them; write 0 and 1."
        )
    missing = MISSING_WORDS | set(coding.missing)
    words: dict[str, int] = {}
    target = np.full(len(column.values) + 1, -1, dtype=column.index.dtype)
    for number, value in enumerate(column.values):
        word = _word(column, value, keyed, place)
        if word in missing or word.strip() in missing:
            continue
        word = coding.label_map.get(word, coding.label_map.get(word.strip(), word))
        if coding.normalise_labels and (keyed or coding.nominal):
            word = word.strip().lower()
        if word not in missing:
            target[number] = words.setdefault(word, len(words))
    return replace(column, index=target[column.index], values=tuple(words))


def _word(column: Column, value: object, keyed: bool, place: Place) -> str:
    if isinstance(value, str):
        trimmed = value.strip()
        if not keyed and INTEGER.fullmatch(trimmed):
            return str(int(trimmed.partition(".")[0]))
        return value if keyed else trimmed
    if isinstance(value, (bool, int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        if math.isinf(value):
            raise ResponseError(
                f"{_at(column, value, place)} is infinite. An answer is a category; leave the "
                "cell empty where there is no answer."
            )
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    raise ResponseError(
        f"{_at(column, value, place)} is of type {type(value).__name__}, which is no answer. "
        "Answers are integers, truth values or text."
    )


def trimmed_note(before: Sequence[Column], after: Sequence[Column]) -> list[str]:
    """Say once, if at all, that numbers were read from text that is not a plain integer."""
    for old, new in zip(before, after, strict=True):
        for value in old.values:
            word = value.strip() if isinstance(value, str) else ""
            odd = INTEGER.fullmatch(word) and value != str(int(word.partition(".")[0]))
            if odd and new.values:
                return [f"Numbers written like {shown(value)} were read as whole codes."]
    return []


def ordered_categories(columns: Sequence[Column], coding: Coding, place: Place) -> tuple[str, ...]:
    """Return the ordered categories that all columns share, lowest first, or refuse.

    Without a declared order the answers must be the integers 0, 1, ... without a gap.
    """
    used = {word for column in columns for word in column.values}
    if coding.order:
        strange = sorted(used - set(coding.order))
        if strange:
            raise ResponseError(
                f"{_where(columns, strange[0], place)} holds {shown(strange[0])}, which "
                f"is not in the declared order {listing(coding.order, 12)}. Add it to the order, "
                f"or declare it as missing.{nearest(strange[0], coding.order)}"
            )
        return coding.order
    for word in sorted(used):
        _check_code(word, columns, place)
    codes = sorted(int(word) for word in used)
    negative = [code for code in codes if code < 0]
    if negative:
        raise ResponseError(
            f"The answers hold the negative codes {listing(negative)}, first in "
            f"{_inside(_where(columns, str(negative[0]), place))}. Negative codes often mean 'no "
            f"answer': declare them as missing (--missing {negative[0]}), or correct the table."
        )
    if not codes or codes[-1] <= 1:
        return ("0", "1")
    _check_gaps(codes, columns, place)
    return tuple(str(code) for code in codes)


def _check_code(word: str, columns: Sequence[Column], place: Place) -> None:
    if INTEGER.fullmatch(word):
        if abs(int(word)) <= LARGEST_CODE:
            return
        advice = "That is out of range for a category; is this column an item at all?"
    elif word.lower() in TRUTH_WORDS:
        advice = f"Say what it means, for example with --label-map {word}=1."
    elif DECIMAL_COMMA.fullmatch(word):
        advice = "That looks like a decimal comma; answers are whole numbers: try --decimal ','."
    elif is_number(word):
        advice = "Answers are whole categories 0, 1, 2, ...; round or recode them."
    else:
        advice = (
            "Give a key if the answers are labels (--key), their order if they are ordered "
            "categories (--order low,mid,high), or declare the word as missing (--missing)."
        )
    raise ResponseError(f"{_where(columns, word, place)} holds {shown(word)}. {advice}")


def _check_gaps(codes: list[int], columns: Sequence[Column], place: Place) -> None:
    for column in columns:
        if len(column.values) > MOST_CATEGORIES:
            raise ResponseError(
                f"The column {shown(column.name)} holds {len(column.values)} different answers. "
                "It looks like an identifier or a measurement, not an item; leave it out."
            )
    if codes == list(range(len(codes))):
        return
    expected = next((number for number, code in enumerate(codes) if code != number), 0)
    start = "do not start at 0" if expected == 0 else f"leave out {expected}"
    order = ",".join(str(code) for code in codes[:12])
    first = _inside(_where(columns, str(codes[expected]), place))
    raise ResponseError(
        f"The answers are {listing(codes, 12)}: the codes {start} ({codes[expected]} stands first "
        f"in {first}). If {codes[-1]} means 'no answer', say --missing {codes[-1]}; if these are "
        f"all the categories, in order, say --order {order}."
    )


def label_set(
    columns: Sequence[Column], key: Mapping[str, str], coding: Coding
) -> tuple[str, ...]:
    """Return all labels that the answers or the key use, sorted; refuse near-duplicates."""
    answered = {word for column in columns for word in column.values}
    labels = sorted(answered | {gold for gold in key.values() if gold})
    plain: dict[str, str] = {}
    for label in labels:
        twin = plain.setdefault(label.strip().casefold(), label)
        if twin != label:
            raise ResponseError(
                f"The labels {shown(twin)} and {shown(label)} differ only in case or blanks. "
                "Say --normalise-labels if they are one label, or correct the table."
            )
    for gold in sorted(set(key.values()) - answered - {""}):
        suggestion, unkeyed = nearest(gold, answered), answered - set(key.values())
        if suggestion or unkeyed:  # else an option that really nobody chose: noted, not refused
            strange = listing(sorted(unkeyed or answered), 12)
            raise ResponseError(
                f"The key's label {shown(gold)} was never answered on any item, while the answers "
                f"{strange} stand in no line of the key.{suggestion} Correct the key, or map the "
                f"labels (--label-map AS_ANSWERED={gold})."
            )
    if len(labels) > MOST_CATEGORIES:
        raise ResponseError(
            f"The answers hold {len(labels)} different labels, for example {listing(labels)}. "
            f"More than {MOST_CATEGORIES} labels look like free text, which cannot be graded by "
            "a key."
        )
    return tuple(labels)


def coded(column: Column, categories: Sequence[str]) -> npt.NDArray[np.int8]:
    """Return the position of each cell's word among `categories`, `MISSING` where none."""
    position = {word: number for number, word in enumerate(categories)}
    lookup = np.array([position[str(word)] for word in column.values] + [MISSING], dtype=np.int8)
    return lookup[column.index]  # (rows,)


def _at(column: Column, value: object, place: Place) -> str:
    number = next(
        i
        for i, v in enumerate(column.values)
        if v is value or (type(v) is type(value) and v == value)
    )
    return place(column, int(np.flatnonzero(column.index == number)[0]))


def _where(columns: Sequence[Column], word: str, place: Place) -> str:
    column = next(c for c in columns if word in c.values)
    rows = np.flatnonzero(column.index == column.values.index(word))
    return place(column, int(rows[0])) if len(rows) else f"the column {shown(column.name)}"


def _inside(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def is_number(word: str) -> bool:
    """Whether a word reads as a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
