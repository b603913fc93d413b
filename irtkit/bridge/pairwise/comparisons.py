"""`Comparisons`: pairs of items with the probability that the first stands above the second.

A hard comparison is one of probability 0 or 1. Nothing is estimated here: `bradley_terry.py` turns
comparisons into strengths, `soft_pairs.py` makes them from known scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, IntArray, frozen
from irtkit.errors import ResponseError, count, listing, shown

COLUMNS = ("item_1", "item_2", "probability")
HARD_COLUMNS = ("winner", "loser")


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Who was compared with whom, and how it came out.

    Attributes
    ----------
    items : tuple of str
        All items, N of them.
    first, second : array, shape (C,)
        Positions in `items`. `first` is the one shown, or named, first.
    probability : array, shape (C,)
        That the first stands above the second: 0 to 1.
    weight : array, shape (C,)
        Of each comparison: the number of judges, where it is a share of votes.
    cluster : array, shape (C,)
        Comparisons of one cluster may err together. By default the two items of a pair are one,
        in both orders; else the numbers of the values of the column `cluster`.
    """

    items: tuple[str, ...]
    first: IntArray
    second: IntArray
    probability: FloatArray
    weight: FloatArray
    cluster: IntArray

    @classmethod
    def from_arrays(
        cls,
        items: Sequence[str],
        pairs: IntArray,
        probability: FloatArray,
        *,
        weight: FloatArray | None = None,
        cluster: IntArray | None = None,
    ) -> Comparisons:
        """Make comparisons from pairs of positions.

        Parameters
        ----------
        items : sequence of str
            N ids.
        pairs : array, shape (C, 2)
            Positions of the first and the second item.
        probability : array, shape (C,)
        weight : array, shape (C,), optional
            One each by default.
        cluster : array, shape (C,), optional

        Raises
        ------
        ResponseError
            If an item is compared with itself, or a number is out of range.
        """
        names = tuple(items)
        first, second = (frozen(np.array(pairs[:, side]), np.int64) for side in (0, 1))
        ones = np.ones(len(first))
        if cluster is None:
            cluster = unordered(first, second, len(names))
        made = cls(
            names,
            first,
            second,
            frozen(probability),
            frozen(ones if weight is None else weight),
            frozen(cluster, np.int64),
        )
        _check(made)
        return made

    @classmethod
    def from_frame(cls, frame: Any) -> Comparisons:
        """Make comparisons from a table.

        Parameters
        ----------
        frame : dataframe
            Columns item_1, item_2, probability; or winner, loser for hard comparisons. Columns
            weight and cluster, where they are, are used; others are left aside.

        Raises
        ------
        ResponseError
            If a column or an id is missing, or a number is out of range.
        """
        table = nw.from_native(frame, eager_only=True)
        hard = set(HARD_COLUMNS) <= set(table.columns) and "probability" not in table.columns
        wanted = HARD_COLUMNS if hard else COLUMNS
        lacking = [name for name in wanted if name not in table.columns]
        if lacking:
            raise ResponseError(
                f"The comparisons have no column {listing(lacking)}; their columns are "
                f"{listing(table.columns, 12)}. Name them {', '.join(COLUMNS)}, or winner and "
                "loser."
            )
        if not len(table):
            raise ResponseError("The table holds no comparisons.")
        sides = [_ids(table[name].to_list(), name) for name in wanted[:2]]
        items = tuple(dict.fromkeys(name for pair in zip(*sides, strict=True) for name in pair))
        place = {item: number for number, item in enumerate(items)}
        pairs = np.array([[place[item] for item in side] for side in sides]).T  # (C, 2)
        probability = (
            np.ones(len(table)) if hard else _numbers(table["probability"].to_list(), COLUMNS[2])
        )
        has_weight, has_cluster = ("weight" in table.columns, "cluster" in table.columns)
        weight = _numbers(table["weight"].to_list(), "weight") if has_weight else None
        names = _ids(table["cluster"].to_list(), "cluster") if has_cluster else []
        cluster = np.unique(names, return_inverse=True)[1] if has_cluster else None
        return cls.from_arrays(items, pairs, probability, weight=weight, cluster=cluster)

    def select(self, chosen: BoolArray | IntArray) -> Comparisons:
        """Keep some of the comparisons, and all items."""
        parts = (self.first, self.second, self.probability, self.weight, self.cluster)
        return Comparisons(self.items, *(frozen(part[chosen], part.dtype) for part in parts))

    def table(self) -> pd.DataFrame:
        """Lay them out: item_1, item_2, probability, weight."""
        names = np.array(self.items, dtype=object)
        return pd.DataFrame(
            {
                "item_1": names[self.first],
                "item_2": names[self.second],
                "probability": self.probability,
                "weight": self.weight,
            }
        )


def unordered(first: IntArray, second: IntArray, n_items: int) -> IntArray:
    """Number each pair of items, whichever comes first, (C,)."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    return np.asarray(low * n_items + high, dtype=np.int64)


def _ids(values: list[Any], column: str) -> list[str]:
    rows = [n for n, value in enumerate(values) if pd.isna(value) or not str(value).strip()]
    if rows:
        raise ResponseError(
            f"{count(len(rows), 'comparison')} with nothing in column {shown(column)}: row "
            f"{listing([row + 1 for row in rows])} of the table."
        )
    return [str(value) for value in values]


def _numbers(values: list[Any], column: str) -> FloatArray:
    try:
        return np.array([np.nan if value is None else float(value) for value in values])
    except (TypeError, ValueError) as error:
        raise ResponseError(
            f"Column {shown(column)} holds something that is no number: {error}."
        ) from error


def _check(made: Comparisons) -> None:
    own = made.first == made.second
    if own.any():
        raise ResponseError(
            f"{count(int(own.sum()), 'comparison')} of an item with itself: "
            f"{listing(made.items[place] for place in made.first[own])}."
        )
    with np.errstate(invalid="ignore"):
        outside = ~((made.probability >= 0.0) & (made.probability <= 1.0))  # NaN too
        unweighted = ~((made.weight >= 0.0) & np.isfinite(made.weight))
    if outside.any():
        hint = (
            " They look like logits or percentages."
            if np.nanmax(np.abs(made.probability), initial=0.0) > 1.0
            else ""
        )
        raise ResponseError(
            f"{count(int(outside.sum()), 'comparison')} whose probability is not between 0 and 1: "
            f"{_named(made, outside, made.probability)}.{hint}"
        )
    if unweighted.any():
        raise ResponseError(
            f"{count(int(unweighted.sum()), 'comparison')} whose weight is no finite number from "
            f"0 up: {_named(made, unweighted, made.weight)}."
        )
    if not (made.weight > 0).any():
        raise ResponseError("All comparisons have weight 0.")


def _named(made: Comparisons, chosen: BoolArray, values: FloatArray) -> str:
    """Show pairs with their value."""
    rows = np.flatnonzero(chosen)
    return listing(
        [f"{made.items[made.first[n]]} - {made.items[made.second[n]]}: {values[n]}" for n in rows]
    )
