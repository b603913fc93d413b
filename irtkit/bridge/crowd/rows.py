"""One row an answer -> positions: what `CrowdLabels.from_frame` makes of a table.

Ids are numbered in order of appearance, labels are read by a `Coding`, several labels of one
worker for one item are refused or thinned. Nothing is known of files: see `crowd_files/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray
from irtkit.bridge.crowd.counts import gold_positions
from irtkit.coding import MISSING_WORDS, Coding, Column, coded, column_of, label_set, tokenise
from irtkit.errors import ResponseError, count, listing, shown

REPEATS = ("refuse", "first", "last")


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The fields of a `CrowdLabels`."""

    workers: tuple[str, ...]
    items: tuple[str, ...]
    label_set: tuple[str, ...]
    worker: IntArray
    item: IntArray
    label: IntArray
    gold: IntArray
    seconds: FloatArray | None
    notes: tuple[str, ...]


def encoded(frame: pd.DataFrame, gold: Mapping[str, str], coding: Coding, repeats: str) -> Encoded:
    """Number workers, items and labels; see `CrowdLabels.from_frame`."""
    _check_columns(frame, repeats)
    answered = _answered(frame, coding)
    worker, workers = _numbered(answered["worker"], "worker")
    item, items = _numbered(answered["item"], "item")
    kept = _unrepeated(worker * len(items) + item, repeats)
    if kept is None:
        raise ResponseError(_repeated(answered, worker * len(items) + item))
    words, labels, known = _labels(answered, gold, coding)
    unknown = _unlabelled(known, items)
    seconds = None
    if "seconds" in answered:
        times = pd.to_numeric(answered["seconds"], errors="coerce")
        seconds = times.to_numpy(dtype=np.float64)[kept]
    notes = [
        *_left_out(len(frame) - len(answered), "row", " without a label"),
        *_left_out(len(answered) - len(kept), "repeated label"),
        *_left_out(len(unknown), "gold label", " of items that nobody labelled"),
    ]
    return Encoded(
        workers,
        items,
        labels,
        worker[kept],
        item[kept],
        words[kept],
        gold_positions(items, labels, known),
        seconds,
        tuple(notes),
    )


def _unlabelled(gold: Mapping[str, str], items: tuple[str, ...]) -> list[str]:
    """Items with a gold label that nobody labelled; refused if that is all of them."""
    labelled = set(items)
    unknown = [item for item in gold if item not in labelled]
    if unknown and len(unknown) == len(gold):
        raise ResponseError(
            f"No item with a gold label was labelled: the gold labels are of {listing(gold)}, "
            f"the labelled items are {listing(items)}."
        )
    return unknown


def _check_columns(frame: pd.DataFrame, repeats: str) -> None:
    lacking = [name for name in ("worker", "item", "label") if name not in frame.columns]
    if lacking:
        raise ResponseError(
            f"There is no column {listing(lacking)} among {listing(frame.columns, 12)}. A row "
            "says which worker gave which item which label."
        )
    if repeats not in REPEATS:
        raise ResponseError(f"Unknown policy {shown(repeats)}; there is {listing(REPEATS)}.")


def _answered(frame: pd.DataFrame, coding: Coding) -> pd.DataFrame:
    """Leave out rows without a label."""
    missing = MISSING_WORDS | set(coding.missing)
    empty = frame["label"].isna() | frame["label"].map(lambda v: str(v).strip() in missing)
    if empty.all():
        raise ResponseError("There are no labels: every row is empty.")
    return frame[~empty]


def _numbered(ids: pd.Series, kind: str) -> tuple[IntArray, tuple[str, ...]]:
    """Number ids in order of appearance."""
    empty = int(ids.isna().sum() + (ids.astype(str).str.strip() == "").sum())
    if empty:
        raise ResponseError(
            f"{count(empty, 'label')} without a {kind} id. Give every label its {kind}."
        )
    names = ids.map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else str(v))
    places, unique = pd.factorize(names)
    return places.astype(np.int64), tuple(str(name) for name in unique)


def _unrepeated(cell: IntArray, repeats: str) -> IntArray | None:
    """Rows to keep, in order; None where repeats are refused and there are some."""
    if repeats == "last":
        _, place = np.unique(cell[::-1], return_index=True)
        return np.sort(len(cell) - 1 - place)
    _, place = np.unique(cell, return_index=True)
    return None if repeats == "refuse" and len(place) < len(cell) else np.sort(place)


def _repeated(answered: pd.DataFrame, cell: IntArray) -> str:
    again = pd.Series(cell).duplicated().to_numpy()
    pairs = (answered["worker"].astype(str) + " x " + answered["item"].astype(str))[again]
    return (
        f"{count(int(again.sum()), 'label')} for an item that the same worker labelled before: "
        f"{listing(pairs)}. A worker counts once an item: keep the first or the last "
        "(repeats='first', --repeats first)."
    )


def _labels(
    answered: pd.DataFrame, gold: Mapping[str, str], coding: Coding
) -> tuple[IntArray, tuple[str, ...], dict[str, str]]:
    """Position of each row's label, the label set, and the gold labels in its words."""

    def place(column: Column, row: int) -> str:
        found = answered.iloc[row]
        return f"The label of worker '{found['worker']}' for item '{found['item']}'"

    cells = column_of("label", answered["label"].to_numpy(dtype=object))
    (column,) = tokenise([cells], coding, True, place)
    known = {str(item): _gold(str(label), coding) for item, label in gold.items()}
    known = {item: label for item, label in known.items() if label}
    labels = label_set([column], known, coding)
    return coded(column, labels).astype(np.int64), labels, known


def _gold(label: str, coding: Coding) -> str:
    """Read a gold label; nothing where it is a word for none."""
    return "" if label.strip() in MISSING_WORDS else mapped(label, coding)


def mapped(label: str, coding: Coding) -> str:
    """Map a label as declared."""
    label = coding.label_map.get(label, label)
    return label.strip().lower() if coding.normalise_labels else label


def _left_out(number: int, what: str, more: str = "") -> list[str]:
    return [f"{count(number, what)}{more} left out."] if number else []
