"""What the readers of crowd files share: how a file is laid out, and what was found in it.

A reader takes bytes and a `CrowdLayout` and returns `Answers` (who labelled what) or `Tallies`
(how often each label was given). `read_crowd` turns them into `CrowdLabels` and `LabelCounts`.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from irtkit.coding import Column, is_number
from irtkit.errors import ResponseError, count, listing, nearest, shown

PRIVATE = ("ipaddress", "locationlatitude", "locationlongitude", "recipientemail")
NO_GOLD_WORDS = ("-", "")


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where to cut numbers into labels.

    Parameters
    ----------
    at : tuple of float
        Rising; a number at a cut goes above it.
    labels : tuple of str
        From the lowest, one more than there are cuts.
    """

    at: tuple[float, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.at or list(self.at) != sorted(set(self.at)):
            raise ResponseError(f"The cuts {listing(self.at)} do not rise.")
        if len(self.labels) != len(self.at) + 1:
            raise ResponseError(
                f"{count(len(self.at), 'cut')} makes {len(self.at) + 1} labels, but there are "
                f"{len(self.labels)}: {listing(self.labels, 12)}."
            )

    def label(self, cell: Any) -> Any:
        """Name the label of one cell; empty cells stay.

        Raises
        ------
        ResponseError
            If the cell is no finite number.
        """
        if cell is None or cell != cell or not str(cell).strip():
            return cell
        if not is_number(str(cell)) or not math.isfinite(float(cell)):
            raise ResponseError(f"The rating {shown(str(cell))} is no number, so it has no side.")
        return self.labels[bisect.bisect_right(self.at, float(cell))]


@dataclass(frozen=True, slots=True)
class CrowdLayout:
    """Which form a file has, and where in it things stand; None is the form's own place.

    Parameters
    ----------
    form : str or None
        One of `FORMS`; None finds it from the content.
    worker, item, label : str or None
        Column of the worker's id, the item's id and the label. In MTurk files `item` and
        `label` may hold ``{n}`` where several items stand in one row
        (``Input.id_{n}``, ``Answer.rating{n}``), and `label` may hold ``{label}`` where each
        label has a column of true and false (``Answer.choice.{label}``). In Label Studio,
        Argilla and Qualtrics files `label` names the question.
    gold : str or None
        Column of the gold labels.
    text, text_pair : str or None
        Column or field of the item's text, and of the second one of a pair.
    cuts : Cuts or None
        Turn numbers, such as the ratings of a slider, into labels.
    keep_rejected : bool
        Keep answers that the requester rejected.
    """

    form: str | None = None
    worker: str | None = None
    item: str | None = None
    label: str | None = None
    gold: str | None = None
    text: str | None = None
    text_pair: str | None = None
    cuts: Cuts | None = None
    keep_rejected: bool = False

    def __post_init__(self) -> None:
        if self.worker is not None and self.worker.lower() in PRIVATE:
            raise ResponseError(
                f"{shown(self.worker)} says where people are, not who they are. irtkit never "
                "reads it; take the worker's id."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Labels with their workers.

    Attributes
    ----------
    frame : DataFrame
        Columns worker, item, label and, where known, seconds.
    gold : dict of item to label
    texts : DataFrame or None
        Columns item, text and, for pairs, text_pair.
    notes : tuple of str
    """

    frame: pd.DataFrame
    gold: dict[str, str] = field(default_factory=dict)
    texts: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Tallies:
    """Counts of labels without workers: a frame indexed by item, one column a label."""

    frame: pd.DataFrame
    gold: dict[str, str] = field(default_factory=dict)
    texts: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()


def answers_of(rows: Sequence[Mapping[str, Any]], **more: Any) -> Answers:
    """Make answers from records of worker, item and label; an absent list is refused."""
    if not rows:
        raise ResponseError("The file holds no label of a worker.")
    return Answers(pd.DataFrame(list(rows)), **more)


def cells_of(column: Column) -> list[Any]:
    """Return the cells of a column as written, None where there is no value."""
    values = [*column.values, None]
    return [values[place] for place in column.index.tolist()]


def one_of(
    columns: Mapping[str, Column], names: Iterable[str], given: str | None, role: str
) -> str | None:
    """Choose the column of a role: the one given, else the first known name that is there.

    Raises
    ------
    ResponseError
        If the given one is absent, or two known names are there.
    """
    if given is not None:
        if given not in columns:
            raise ResponseError(
                f"There is no column {shown(given)} for the {role}; the columns are "
                f"{listing(columns, 30)}.{nearest(given, columns)}"
            )
        return given
    plain = {name.strip().lower(): name for name in columns}
    there = [plain[name] for name in names if name in plain]
    if len(there) > 1:
        raise ResponseError(
            f"The {role} could stand in {listing(there)}. Say which (--{role} {there[0]})."
        )
    return there[0] if there else None


def needed(
    columns: Mapping[str, Column], names: Iterable[str], given: str | None, role: str
) -> str:
    """Choose the column of a role that must be there.

    Raises
    ------
    ResponseError
        If no column fits.
    """
    found = one_of(columns, names, given, role)
    if found is None:
        raise ResponseError(
            f"No column names the {role}; the columns are {listing(columns, 30)}. Say which "
            f"(--{role} NAME)."
        )
    return found


def gold_of(items: Iterable[Any], labels: Iterable[Any]) -> dict[str, str]:
    """Gather gold labels, one an item.

    Raises
    ------
    ResponseError
        If an item has two.
    """
    gold: dict[str, str] = {}
    for item, label in zip(items, labels, strict=True):
        word = "" if label is None or label != label else id_text(label)
        if word in NO_GOLD_WORDS:
            continue
        if gold.setdefault(id_text(item), word) != word:
            raise ResponseError(
                f"The item {shown(id_text(item))} has two gold labels, {shown(word)} and "
                f"{shown(gold[id_text(item)])}. Correct the file."
            )
    return gold


def texts_of(
    items: Iterable[Any], texts: Iterable[Any], pairs: Iterable[Any] | None = None
) -> pd.DataFrame:
    """Gather the text of each item.

    Raises
    ------
    ResponseError
        If an item has two texts.
    """
    names = ["item", "text"] if pairs is None else ["item", "text", "text_pair"]
    columns = (
        [map(id_text, items), texts] if pairs is None else [map(id_text, items), texts, pairs]
    )
    frame = pd.DataFrame(dict(zip(names, map(list, columns), strict=True)), dtype=object)
    frame = frame.drop_duplicates(ignore_index=True)
    twice = frame["item"][frame["item"].duplicated()].unique()
    if len(twice):
        raise ResponseError(
            f"{count(len(twice), 'item')} with two texts: {listing(twice)}. Is the item's id "
            "the right column?"
        )
    return frame


def id_text(value: Any) -> str:
    """Write an id or a label as text; whole numbers without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def dropped(number: int, what: str) -> list[str]:
    """Say how many rows were left out, if any."""
    return [f"{count(number, 'row')} left out: {what}."] if number else []
