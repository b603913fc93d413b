"""How well estimates agree with known values: RMSE, Pearson, Spearman, with intervals.

References
----------
Efron, B., & Tibshirani, R. J. (1993). An introduction to the bootstrap. Chapman & Hall.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from irtkit.arrays import FloatArray, IntArray
from irtkit.bridge.pairwise.scores import checked_scores
from irtkit.errors import ModelError, ResponseError, count, listing, shown

ALIGNMENTS = ("none", "shift", "linear")
MEASURES = ("rmse", "pearson", "spearman")
FEWEST = 3  # items, for a correlation


def agreement(
    estimates: pd.DataFrame,
    truth: pd.Series,
    *,
    align: str = "shift",
    weights: pd.Series | None = None,
    draws: int = 1000,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """Compare estimates with known values.

    Parameters
    ----------
    estimates : DataFrame
        Index item, one column a method.
    truth : Series
        Index item. Items without an estimate are not needed, and left aside.
    align : str
        What the RMSE forgives: "none"; "shift": another mean; "linear": another mean and unit
        (the residual of regressing the truth on the estimates).
    weights : Series, optional
        Of items; one each by default. Ranks are unweighted, their correlation is weighted.
    draws : int
        Bootstrap samples of items for the intervals; the same items for all methods. 0: none.
    seed : int or Generator

    Returns
    -------
    DataFrame
        Index method; n, n_left_out (no finite estimate by any one method), and rmse, pearson,
        spearman, each with _low and _high: the 95% percentile interval.

    Raises
    ------
    ModelError
        If fewer than three items are left.
    """
    if align not in ALIGNMENTS:
        raise ModelError(f"Unknown alignment {shown(align)}; there is {listing(ALIGNMENTS)}.")
    found, known, weight, left_out = _matched(estimates, truth, weights)
    rng = np.random.default_rng(seed)
    samples = [rng.integers(len(known), size=len(known)) for _ in range(draws)]
    rows = {}
    for column, name in enumerate(estimates.columns):
        values = measures(found[:, column], known, weight, align=align)
        spread = _bootstrapped(found[:, column], known, weight, samples, align)  # (3, 2)
        row: dict[str, float] = {"n": len(known), "n_left_out": left_out}
        for place, measure in enumerate(MEASURES):
            row[measure] = values[place]
            row[f"{measure}_low"], row[f"{measure}_high"] = spread[place]
        rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "method"
    return table.astype({"n": int, "n_left_out": int})


def measures(
    estimate: FloatArray, truth: FloatArray, weight: FloatArray, *, align: str
) -> FloatArray:
    """RMSE, Pearson and Spearman correlation of two columns (N,), in this order, (3,)."""
    share = weight / weight.sum()
    pearson, slope = _correlation(estimate, truth, share)
    spearman, _ = _correlation(rankdata(estimate), rankdata(truth), share)
    error = estimate - truth
    if align == "shift":
        error = error - share @ error
    elif align == "linear":
        error = (truth - share @ truth) - slope * (estimate - share @ estimate)
    return np.array([np.sqrt(share @ error**2), pearson, spearman])


def _correlation(first: FloatArray, second: FloatArray, share: FloatArray) -> tuple[float, float]:
    """Weighted correlation, and the slope of the second on the first; NaN, 0 if either is flat."""
    one, two = first - share @ first, second - share @ second
    own, other, both = share @ one**2, share @ two**2, share @ (one * two)
    flat = 1e-20 * max(float(np.max(np.abs(first))), float(np.max(np.abs(second))), 1.0) ** 2
    if own <= flat or other <= flat:
        return np.nan, 0.0
    return float(both / np.sqrt(own * other)), float(both / own)


def _bootstrapped(
    estimate: FloatArray,
    truth: FloatArray,
    weight: FloatArray,
    samples: list[IntArray],
    align: str,
) -> FloatArray:
    """Limits of the 95% interval of each measure, (3, 2)."""
    drawn = [measures(estimate[s], truth[s], weight[s], align=align) for s in samples]
    values = np.array(drawn).reshape(-1, len(MEASURES))  # (S, 3)
    kept = values[~np.isnan(values).any(axis=1)]
    if not len(kept):
        return np.full((len(MEASURES), 2), np.nan)
    return np.quantile(kept, [0.025, 0.975], axis=0).T


def _matched(
    estimates: pd.DataFrame, truth: pd.Series, weights: pd.Series | None
) -> tuple[FloatArray, FloatArray, FloatArray, int]:
    """Estimates (N, M), truth (N,), weights (N,) of the items that all have, and who was left."""
    known = checked_scores(truth, what="true value")
    names = pd.Index([str(item) for item in estimates.index])
    _check_named_once(names)
    absent = names.difference(known.index)
    if len(absent):
        raise ResponseError(
            f"{count(len(absent), 'item')} without a true value: {listing(absent)}. Leave them "
            "out, or add it."
        )
    found = estimates.to_numpy(dtype=np.float64)  # (N, M)
    usable = np.isfinite(found).all(axis=1)
    if usable.sum() < FEWEST:
        raise ModelError(
            f"{count(int(usable.sum()), 'item')} with a finite estimate by each method; "
            f"{FEWEST} are needed to say how well they agree."
        )
    chosen = names[usable]
    weight = pd.Series(1.0, index=known.index)
    if weights is not None:
        weight = checked_scores(weights, what="weight").reindex(known.index)
    own = weight.loc[chosen].to_numpy()
    if not ((own >= 0).all() and own.sum() > 0):
        raise ModelError("Weights of items are numbers from 0 up, one for each item, not all 0.")
    return found[usable], known.loc[chosen].to_numpy(), own, int((~usable).sum())


def _check_named_once(names: pd.Index) -> None:
    twice = names[names.duplicated()].unique()
    if len(twice):
        raise ResponseError(f"{count(len(twice), 'item')} with two estimates: {listing(twice)}.")
