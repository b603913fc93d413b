"""`LabelCounts`: how often each label was given to each item, the workers unknown.

Some crowds are published so (ChaosNLI, SNLI). Counts make label distributions, votes and
agreement; without workers there is no ability, no Dawid-Skene and no calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.errors import ResponseError, count, listing, shown
from irtkit.layout import check_ids

NO_GOLD = -1


@dataclass(frozen=True, slots=True, eq=False)
class LabelCounts:
    """Counts of L labels on I items.

    Attributes
    ----------
    items, label_set : tuple of str
    counts : array, shape (I, L)
        How often each label was given.
    gold : array of int, shape (I,)
        Position of the gold label in `label_set`, -1 where there is none.
    texts : DataFrame or None
        Columns item, text and, for pairs, text_pair, where the file held them.
    notes : tuple of str
        What was noticed and tolerated.

    Raises
    ------
    ResponseError
        If shapes or ids contradict each other, or a count is no count.
    """

    items: tuple[str, ...]
    label_set: tuple[str, ...]
    counts: FloatArray
    gold: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    texts: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        gold = self.gold if len(self.gold) else np.full(len(self.items), NO_GOLD)
        object.__setattr__(self, "counts", frozen(self.counts))
        object.__setattr__(self, "gold", frozen(gold, np.int64))
        if self.counts.shape != (len(self.items), len(self.label_set)):
            raise ResponseError(
                f"The counts have shape {self.counts.shape}, but there are {len(self.items)} "
                f"items and {len(self.label_set)} labels."
            )
        check_ids("item", self.items)
        _check_counts(self.counts, self.items, self.label_set)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, *, gold: Mapping[str, str] | None = None
    ) -> LabelCounts:
        """Make counts from a frame indexed by item with one column of counts a label.

        Raises
        ------
        ResponseError
            If a cell is no count, or a gold label is no column.
        """
        items = tuple(str(item) for item in frame.index)
        labels = sorted(str(name) for name in frame.columns)
        named = frame.set_axis([str(name) for name in frame.columns], axis="columns")
        try:
            counts = named[labels].to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ResponseError(f"The label counts hold something else: {error}.") from error
        return cls(items, tuple(labels), counts, gold_positions(items, tuple(labels), gold or {}))

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    def n_answers(self) -> FloatArray:
        """Count the labels that each item got, shape (I,)."""
        return np.asarray(self.counts.sum(axis=1), np.float64)

    def gold_labels(self) -> dict[str, str]:
        """Return the gold label of each item that has one."""
        return gold_by_item(self.items, self.label_set, self.gold)


def gold_by_item(
    items: tuple[str, ...], label_set: tuple[str, ...], gold: IntArray
) -> dict[str, str]:
    """Name the gold label of each item that has one."""
    known = np.flatnonzero(gold != NO_GOLD).tolist()
    return {items[place]: label_set[gold[place]] for place in known}


def gold_positions(
    items: tuple[str, ...], label_set: tuple[str, ...], gold: Mapping[str, str]
) -> IntArray:
    """Position of each item's gold label, -1 where it has none.

    Raises
    ------
    ResponseError
        If a gold label is not among the labels.
    """
    position = {label: place for place, label in enumerate(label_set)}
    strange = sorted({gold[i] for i in items if i in gold} - {"", *label_set})
    if strange:
        raise ResponseError(
            f"{count(len(strange), 'gold label')} not among the labels: {listing(strange)}. The "
            f"labels are {listing(label_set, 12)}."
        )
    found = [position.get(gold.get(item, ""), NO_GOLD) for item in items]
    return np.array(found, dtype=np.int64)


def _check_counts(counts: FloatArray, items: tuple[str, ...], labels: tuple[str, ...]) -> None:
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ResponseError(
            f"The count of label {shown(labels[column])} on item {shown(items[row])} is "
            f"{counts[row, column]:g}. A count is a number, zero or more."
        )
    if not counts.size or not counts.sum():
        raise ResponseError("There are no labels: every count is zero.")
