"""What a pass over all pairs keeps: the leading pairs, histograms, and enough to adjust p-values.

Nothing here knows responses or models: see `local_dependence.py`. The adjusted p-value of a pair
needs the ranks of all p-values. The smallest ones are kept; the others are counted in narrow bins
of (X2 - df) / sqrt(2 df), and each counts as the largest p-value of its bin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray
from irtkit.diagnostics.multiplicity import adjust
from irtkit.diagnostics.pair_statistics import standardised, upper_tail

# columns of rows of pairs; TESTED is the X2 that p comes from
FIRST, SECOND, Q3, LD_X2, TESTED, LD_G2, DF, CRAMER_V, FEWEST, N_BOTH = range(10)
N_COLUMNS = 10

Q3_BINS = 1024  # over [-1, 1]
FINE_BINS = 2**17
FINE_LOW = -32.0
FINE_PER_UNIT = 256
SHOWN_PER_UNIT = 8  # bins of the standardised statistic in the histogram that is shown
SHOWN_HIGH = 32.0


@dataclass(slots=True, eq=False)
class Leading:
    """The rows with the largest keys seen so far; of equal keys, the earlier pairs.

    Attributes
    ----------
    n_most : int
    keys : array, shape (n,)
    rows : array, shape (n, 10)
    """

    n_most: int
    keys: FloatArray = field(default_factory=lambda: np.empty(0))
    rows: FloatArray = field(default_factory=lambda: np.empty((0, N_COLUMNS)))

    def candidates(self, keys: FloatArray) -> IntArray:
        """Which of these keys (n,) may be among the leading ones; never a NaN."""
        least = self.keys.min() if len(self.keys) == self.n_most else -np.inf
        places = np.flatnonzero(keys >= least)
        if len(places) > self.n_most:
            chosen = keys[places]
            least = np.partition(chosen, -self.n_most)[-self.n_most]
            places = places[chosen >= least]
        return places

    def add(self, keys: FloatArray, rows: FloatArray) -> None:
        """Take in rows (n, 10) and let the smallest keys go."""
        keys, rows = np.concatenate([self.keys, keys]), np.concatenate([self.rows, rows])
        order = np.lexsort((rows[:, SECOND], rows[:, FIRST], -keys))[: self.n_most]
        self.keys, self.rows = keys[order], rows[order]


@dataclass(slots=True, eq=False)
class Tally:
    """What one thread keeps of its pairs.

    Attributes
    ----------
    n_most : int
    by_df : dict of int to Leading
        The largest X2 for each number of degrees of freedom.
    by_q3 : Leading
        The largest Q3.
    fine : dict of int to array of int
        Counts of the standardised X2 in narrow bins, for each number of degrees of freedom.
    q3 : array of int, shape (`Q3_BINS`,)
        Counts of Q3.
    q3_sums : list of float
        Sum of Q3 over each pair of blocks.
    """

    n_most: int
    by_q3: Leading
    by_df: dict[int, Leading] = field(default_factory=dict)
    fine: dict[int, IntArray] = field(default_factory=dict)
    q3: IntArray = field(default_factory=lambda: np.zeros(Q3_BINS, dtype=np.int64))
    q3_sums: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, n_most: int) -> Tally:
        """Begin to count."""
        return cls(n_most, Leading(n_most))

    def count(self, statistic: FloatArray, df: int, q3: FloatArray) -> None:
        """Count the pairs of two blocks, given X2 and Q3, each of shape (n,)."""
        fine = np.bincount(_fine_bin(statistic, df), minlength=FINE_BINS)
        self.fine[df] = self.fine.get(df, 0) + fine
        known = q3[~np.isnan(q3)]
        place = ((known + 1.0) * (0.5 * Q3_BINS)).astype(np.int64)
        self.q3 += np.bincount(np.minimum(place, Q3_BINS - 1), minlength=Q3_BINS)
        self.q3_sums.append(float(known.sum()))

    def leading(self, df: int) -> Leading:
        """The largest X2 with so many degrees of freedom."""
        return self.by_df.setdefault(df, Leading(self.n_most))


def merged(tallies: Sequence[Tally]) -> Tally:
    """Put the tallies of several threads together."""
    whole = Tally.of(tallies[0].n_most)
    for tally in tallies:
        whole.by_q3.add(tally.by_q3.keys, tally.by_q3.rows)
        for df, leading in tally.by_df.items():
            whole.leading(df).add(leading.keys, leading.rows)
        for df, counts in tally.fine.items():
            whole.fine[df] = whole.fine.get(df, 0) + counts
        whole.q3 += tally.q3
        whole.q3_sums += tally.q3_sums
    return whole


def mean_q3(tally: Tally) -> float:
    """Mean of all Q3, the same however the pairs were shared out; NaN without any."""
    n_known = int(tally.q3.sum())
    return math.fsum(tally.q3_sums) / n_known if n_known else math.nan


def smallest_p(tally: Tally) -> tuple[FloatArray, FloatArray]:
    """The rows (n, 10) with the smallest p, then the largest statistic, and their p (n,)."""
    rows = np.concatenate([np.empty((0, N_COLUMNS)), *[x.rows for x in tally.by_df.values()]])
    p = p_of(rows)
    order = np.lexsort((rows[:, SECOND], rows[:, FIRST], -rows[:, TESTED], p))[: tally.n_most]
    return rows[order], p[order]


def p_of(rows: FloatArray, column: int = TESTED) -> FloatArray:
    """The p-values of a column of rows (n, 10), X2 or G2, shape (n,)."""
    p = np.full(len(rows), np.nan)
    for df in np.unique(rows[~np.isnan(rows[:, DF]), DF]):
        here = rows[:, DF] == df
        p[here] = upper_tail(rows[here, column], df)
    return p


def adjusted_among_all(p: FloatArray, tally: Tally, method: str) -> FloatArray:
    """Adjust some p-values (n,) for all pairs that were counted.

    Holm's are exact for the `n_most` smallest p-values of all, Benjamini and Hochberg's too unless
    their minimum lies beyond these. Elsewhere a p-value counts as the largest of its bin, which is
    never too small, and for one degree of freedom less than 0.5% too large.
    """
    if method == "none" or not len(p):
        return adjust(p, method)
    kept_rows, kept = smallest_p(tally)
    values, counts = [kept], [np.ones(len(kept), dtype=np.int64)]
    for df, fine in tally.fine.items():
        rest = fine.copy()
        own = kept_rows[kept_rows[:, DF] == df]
        np.subtract.at(rest, _fine_bin(own[:, TESTED], df), 1)
        filled = np.flatnonzero(rest)
        low = FINE_LOW + filled / FINE_PER_UNIT  # end of the bin where p is largest
        values.append(upper_tail(np.maximum(low * np.sqrt(2.0 * df) + df, 0.0), df))
        counts.append(rest[filled])
    value, number = np.concatenate(values), np.concatenate(counts)
    value = np.where(np.arange(len(value)) < len(kept), value, np.maximum(value, kept[-1]))
    order = np.argsort(value, kind="stable")
    value, number = value[order], number[order]
    upto = np.cumsum(number)
    total = int(upto[-1])
    if method == "holm":
        adjusted = np.maximum.accumulate((total - (upto - number)) * value)
    else:
        adjusted = np.minimum.accumulate((total * value / upto)[::-1])[::-1]
    return np.minimum(adjusted, 1.0)[np.searchsorted(value, p, side="left")]


def _fine_bin(statistic: FloatArray, df: int) -> IntArray:
    place = (standardised(statistic, df) - FINE_LOW) * FINE_PER_UNIT
    return np.clip(place, 0, FINE_BINS - 1).astype(np.int64)


def histogram(tally: Tally) -> pd.DataFrame:
    """Counts of Q3 and of the standardised X2 over all pairs, one row a bin.

    Columns statistic ("q3" or "standardised"), low, high, n_pairs; bins beyond the smallest and
    the largest value are left out.
    """
    edges = np.linspace(-1.0, 1.0, Q3_BINS + 1)
    parts = [_bins("q3", edges, tally.q3)]
    step = FINE_PER_UNIT // SHOWN_PER_UNIT
    last = int((SHOWN_HIGH - FINE_LOW) * SHOWN_PER_UNIT)
    fine = sum(tally.fine.values(), np.zeros(FINE_BINS, dtype=np.int64))
    coarse = fine.reshape(-1, step).sum(axis=1)
    coarse[last] = coarse[last:].sum()  # all that is larger
    edges = np.append(FINE_LOW + np.arange(last + 1) / SHOWN_PER_UNIT, np.inf)
    parts.append(_bins("standardised", edges, coarse[: last + 1]))
    return pd.concat(parts, ignore_index=True)


def _bins(name: str, edges: FloatArray, counts: IntArray) -> pd.DataFrame:
    filled = np.flatnonzero(counts)
    used = slice(filled[0], filled[-1] + 1) if len(filled) else slice(0)
    return pd.DataFrame(
        {
            "statistic": name,
            "low": edges[:-1][used],
            "high": edges[1:][used],
            "n_pairs": counts[used],
        }
    )
