r"""Accuracy before and after a change of the model, on the same items, by category.

Intervals are 95%. The interval of one accuracy is Wilson's; that of the change is Newcombe's for
paired proportions (method 10), which squares and adds the distances to Wilson's limits and takes
the correlation of before and after into account:

.. math::

    L = d - \sqrt{(p_2 - l_2)^2 - 2 r (p_2 - l_2)(u_1 - p_1) + (u_1 - p_1)^2}

and U likewise with :math:`u_2 - p_2` and :math:`p_1 - l_1`. A positive correlation is corrected
for continuity: its covariance is lowered by 1/(2n), to zero at most. So the interval does not
shrink to a point where nothing changed.

With several runs (seeds), p is the mean over runs, r the correlation of the items' means, and the
interval of the change is widened, by squaring and adding again, with :math:`t_{S-1} s / \sqrt S`,
s the standard deviation of the runs' changes. It then speaks of other items and other seeds; with
one run it is about other items alone. Items that share a cluster (a premise) are not independent:
n is divided by the design effect, the variance of the mean with clusters over that without, where
this is above one.

References
----------
Newcombe, R. G. (1998). Improved confidence intervals for the difference between binomial
    proportions based on paired data. Statistics in Medicine, 17(22), 2635-2650.
Zou, G. Y., & Donner, A. (2008). Construction of confidence limits about effect measures: A
    general approach. Statistics in Medicine, 27(10), 1693-1702.
Korn, E. L., & Graubard, B. I. (1998). Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data. Survey Methodology, 24(2), 193-201.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.bridge.ranking.clusters import clustered_mean
from irtkit.bridge.runs import margin_over_runs
from irtkit.diagnostics.ability_groups import wilson
from irtkit.errors import ModelError, count

ALL = "all"


def accuracy_change(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    categories: Sequence[str] = (),
    *,
    clusters: Sequence[str] = (),
) -> pd.DataFrame:
    """Compare which items are right before and after, by category.

    Parameters
    ----------
    before, after : array of bool, shape (N,) or (S, N)
        Whether each item is right; one row a run, the same runs in both.
    categories : sequence of str, length N, optional
    clusters : sequence of str, length N, optional
        Items of equal value are not independent: they share a text, say.

    Returns
    -------
    DataFrame
        Index category, sorted, then "all" for all items; n, n_runs, accuracy_before, before_low,
        before_high, accuracy_after, after_low, after_high, change, change_low, change_high, and
        the mean numbers of items a run that were wrong and became right (n_mended), and the
        other way about (n_broken). Intervals are 95%, each for its category alone.

    Raises
    ------
    ModelError
        If the shapes do not match, or there are no items.
    """
    first, second = np.atleast_2d(before), np.atleast_2d(after)  # (S, N)
    _check(first, second, categories, clusters)
    names = np.asarray(categories, dtype=object) if len(categories) else None
    groups = np.unique(clusters, return_inverse=True)[1] if len(clusters) else None  # (N,)
    whole = np.ones(first.shape[1], dtype=bool)
    parts = {} if names is None else {name: names == name for name in sorted(set(names.tolist()))}
    rows = {
        name: _row(first[:, mask], second[:, mask], None if groups is None else groups[mask])
        for name, mask in [*parts.items(), (ALL, whole)]
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("category")


def _check(
    first: BoolArray, second: BoolArray, categories: Sequence[str], clusters: Sequence[str]
) -> None:
    if first.shape != second.shape or first.ndim != 2 or not first.size:
        raise ModelError(
            f"Before and after need one shape, (items) or (runs, items); they have {first.shape} "
            f"and {second.shape}."
        )
    for part in (first, second):
        if not np.isin(part, (0, 1)).all():
            raise ModelError("Whether an item is right is true or false; give no other values.")
    for what, values in (("categories", categories), ("clusters", clusters)):
        if len(values) not in (0, first.shape[1]):
            raise ModelError(
                f"There are {count(first.shape[1], 'item')}, but {len(values):,} {what}. Give one "
                "each."
            )
    if ALL in set(categories):
        raise ModelError(f"No category may be named '{ALL}', as the row of all items is.")


def _row(before: BoolArray, after: BoolArray, clusters: IntArray | None) -> dict[str, float]:
    """Summarise one category from (S, N) before and after."""
    one, two = before.mean(axis=0), after.mean(axis=0)  # (N,)
    p1, p2 = float(one.mean()), float(two.mean())
    low1, high1 = _wilson(one, clusters)
    low2, high2 = _wilson(two, clusters)
    below, above = paired_margins(one, two, effective_size(two - one, clusters))
    spread = np.nan_to_num(margin_over_runs(after.mean(axis=1) - before.mean(axis=1)))
    return {
        "n": len(one),
        "n_runs": len(before),
        "accuracy_before": p1,
        "before_low": low1,
        "before_high": high1,
        "accuracy_after": p2,
        "after_low": low2,
        "after_high": high2,
        "change": p2 - p1,
        "change_low": max(p2 - p1 - float(np.hypot(below, spread)), -1.0),
        "change_high": min(p2 - p1 + float(np.hypot(above, spread)), 1.0),
        "n_mended": float((~before.astype(bool) & after.astype(bool)).sum(axis=1).mean()),
        "n_broken": float((before.astype(bool) & ~after.astype(bool)).sum(axis=1).mean()),
    }


def _wilson(values: FloatArray, clusters: IntArray | None) -> tuple[float, float]:
    share = np.array([values.mean()])
    low, high = wilson(share, np.array([effective_size(values, clusters)]))
    return float(low[0]), float(high[0])


def paired_margins(before: FloatArray, after: FloatArray, n: float) -> tuple[float, float]:
    """Distances from the change down and up to its 95% limits, for `n` independent items (N,)."""
    shares = np.array([before.mean(), after.mean()])
    low, high = wilson(shares, np.full(2, n))
    (down1, down2), (up1, up2) = shares - low, high - shares
    r = _correlation(before, after, n)
    below = down2**2 - 2.0 * r * down2 * up1 + up1**2
    above = up2**2 - 2.0 * r * up2 * down1 + down1**2
    return float(np.sqrt(max(below, 0.0))), float(np.sqrt(max(above, 0.0)))


def _correlation(before: FloatArray, after: FloatArray, n: float) -> float:
    """Correlation over items, corrected for continuity if positive; 0 where one is constant."""
    scale = float(before.std() * after.std())
    if scale <= 0.0:
        return 0.0
    covariance = float(((before - before.mean()) * (after - after.mean())).mean())
    return (max(covariance - 0.5 / n, 0.0) if covariance > 0.0 else covariance) / scale


def effective_size(values: FloatArray, clusters: IntArray | None) -> float:
    """Count the independent items that would give the same variance of the mean.

    Parameters
    ----------
    values : array, shape (N,)
    clusters : array of int, shape (N,), or None
        Items of one number are not independent.

    Returns
    -------
    float
        N over the design effect, between 1 and N; without any variance, the number of clusters.
    """
    size = len(values)
    if clusters is None:
        return float(size)
    number = np.unique(clusters, return_inverse=True)[1]  # (N,)
    n_clusters, variance = int(number.max()) + 1, float(values.var(ddof=1)) if size > 1 else 0.0
    if n_clusters == 1 or variance <= 0.0:
        return float(n_clusters)
    members = sp.csr_array((np.ones(size), (np.arange(size), number)))  # (N, G)
    _, error, _ = clustered_mean(values[None], members)
    return max(size / max(float(error[0]) ** 2 * size / variance, 1.0), 1.0)
