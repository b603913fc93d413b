"""Posterior predictive checks: the answers beside those that the model would have given.

For each of many draws of the item parameters, new persons of the same population answer exactly
the cells that were answered (`simulate.replicated`), and a statistic of the real answers is set
beside the same statistic of the replicated ones. A p-value near 0 says that the model does not
produce what was seen. It takes the uncertainty of the items into account, is free of asymptotics,
and is somewhat too large rather than too small, because the model was fitted to the same answers.
Persons must have left out answers for reasons other than their ability.

`predictive_scores` looks at the distribution of scores, `predictive_items` at item-rest
correlations and at the course of each item over the rest score, `predictive_pairs` at odds ratios.

References
----------
Sinharay, S., Johnson, M. S., & Stern, H. S. (2006). Posterior predictive assessment of item
    response theory models. Applied Psychological Measurement, 30(4), 298-321.
Gelman, A., Meng, X.-L., & Stern, H. (1996). Posterior predictive assessment of model fitness via
    realized discrepancies. Statistica Sinica, 6, 733-760.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.diagnostics.classical import classical_table
from irtkit.errors import ModelError
from irtkit.estimation.bayes.posterior import THETA_SD, Posterior
from irtkit.latent import Normal
from irtkit.responses import Responses
from irtkit.simulate import replicated

SHARE_BINS = 10  # for incomplete answers, whose sums cannot be compared
REST_GROUPS = 5
MOST_PAIR_ITEMS = 2000
ADDED = 0.5  # to each cell of a 2 x 2 table, so that every odds ratio is finite


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The answered cells: person, item and code of each, shape (N,), and the person weights."""

    person: IntArray
    item: IntArray
    code: FloatArray
    weights: FloatArray
    n_items: int

    @classmethod
    def of(cls, responses: Responses) -> Cells:
        """List the answered cells."""
        codes = responses.codes
        if isinstance(codes, sp.csr_array):
            person = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
            item, code = codes.indices.astype(np.int64), codes.data - 1.0
        else:
            person, item = np.nonzero(codes != MISSING)
            code = codes[person, item].astype(np.float64)
        return cls(person, item, code, responses.weights, responses.n_items)

    def totals(self, values: FloatArray) -> FloatArray:
        """Sum a value of each cell over the persons' cells, shape (P,)."""
        return np.asarray(np.bincount(self.person, values, len(self.weights)), np.float64)

    def largest(self, sizes: IntArray) -> FloatArray:
        """The highest code that each cell could hold, given the items' categories (I,)."""
        return (sizes[self.item] - 1).astype(np.float64)


def predictive_scores(
    posterior: Posterior, *, n_draws: int = 200, seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """Compare the distribution of scores with what the model predicts.

    Parameters
    ----------
    posterior : Posterior
    n_draws : int
        Replications.
    seed : int or Generator

    Returns
    -------
    DataFrame
        Indexed by share, the score as a share of the largest possible one (for incomplete
        answers rounded to tenths): observed number of persons, expected, low and high (95%
        predictive interval), p (two-sided).
    """
    responses, sizes = _answered(posterior)
    complete = int(responses.n_answered().min()) == responses.n_items
    largest = int((sizes - 1).sum()) if complete else SHARE_BINS

    def counts(each: Responses) -> FloatArray:
        cells = Cells.of(each)
        possible = cells.totals(cells.largest(sizes))
        there = possible > 0
        share = cells.totals(cells.code)[there] / possible[there]
        place = np.rint(share * largest).astype(np.int64)
        return np.asarray(np.bincount(place, cells.weights[there], largest + 1), np.float64)

    found = _compared(counts(responses), map(counts, _replications(posterior, n_draws, seed)))
    return found.set_axis(pd.Index(np.arange(largest + 1) / largest, name="share"))


def predictive_items(
    posterior: Posterior, *, n_draws: int = 200, seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """Compare each item's correlation with the rest, and its course over the rest score.

    Parameters
    ----------
    posterior : Posterior
    n_draws : int
        Replications.
    seed : int or Generator

    Returns
    -------
    DataFrame
        Indexed by item: item_rest (observed correlation), item_rest_expected, item_rest_low and
        item_rest_high (95% predictive interval), p_item_rest (two-sided); misfit, the sum over
        groups of persons with similar rest scores of squared standardised differences of the
        mean code, and p, the share of replications with a larger one.
    """
    responses, sizes = _answered(posterior)
    bounds = _rest_bounds(Cells.of(responses), sizes)

    def both(each: Responses) -> FloatArray:
        correlation = classical_table(each, adjustment="none")["item_rest"].to_numpy()
        return np.vstack([correlation, _courses(Cells.of(each), sizes, bounds)])  # (1 + G, I)

    observed = both(responses)
    drawn = np.stack([both(each) for each in _replications(posterior, n_draws, seed)])
    correlations = _compared(observed[0], iter(drawn[:, 0]))
    misfit, p = _distances(observed[1:], drawn[:, 1:])
    names = ("item_rest", "item_rest_expected", "item_rest_low", "item_rest_high", "p_item_rest")
    table = correlations.set_axis(names, axis=1)
    return table.assign(misfit=misfit, p=p).set_axis(pd.Index(responses.items, name="item"))


def predictive_pairs(
    posterior: Posterior, *, n_draws: int = 200, seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """Compare the odds ratio of each pair of items: links between answers beyond theta.

    Parameters
    ----------
    posterior : Posterior
    n_draws : int
        Replications.
    seed : int or Generator

    Returns
    -------
    DataFrame
        Indexed by item_1 and item_2: log_odds_ratio (observed; answers above the item's mean
        against the others), expected, low and high (95% predictive interval), p (two-sided) and
        standardised, the difference in predictive SDs; pairs with the largest come first.

    Raises
    ------
    ModelError
        For more than 2,000 items.
    """
    responses, _ = _answered(posterior)
    if responses.n_items > MOST_PAIR_ITEMS:
        raise ModelError(
            f"The pairs of {responses.n_items:,} items are too many to replicate; at most "
            f"{MOST_PAIR_ITEMS:,} items. Choose items first (select_items)."
        )
    mean = classical_table(responses, adjustment="none")["mean_code"].to_numpy()
    first, second = np.triu_indices(responses.n_items, 1)

    def ratios(each: Responses) -> FloatArray:
        return _log_odds_ratios(Cells.of(each), mean)[first, second]

    observed = ratios(responses)
    drawn = np.stack([ratios(each) for each in _replications(posterior, n_draws, seed)])
    table = _compared(observed, iter(drawn)).rename(columns={"observed": "log_odds_ratio"})
    spread = drawn.std(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["standardised"] = (observed - drawn.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    names = np.array(responses.items, dtype=object)
    table.index = pd.MultiIndex.from_arrays(
        [names[first], names[second]], names=["item_1", "item_2"]
    )
    order = np.argsort(-np.abs(table["standardised"].to_numpy()), kind="stable")
    return table.iloc[order]


def _answered(posterior: Posterior) -> tuple[Responses, IntArray]:
    """The answers to the items with parameters, and the items' numbers of categories."""
    responses, places = posterior.sampled()
    return responses, posterior.assignment.n_categories[places]


def _replications(
    posterior: Posterior, n_draws: int, seed: int | np.random.Generator
) -> Iterator[Responses]:
    """Answers of new persons for evenly spaced draws of the items."""
    rng = np.random.default_rng(seed)
    responses = posterior.sampled()[0]
    chosen = posterior.spaced(n_draws)
    draws = posterior.parameters.reshape(-1, *posterior.parameters.shape[2:])[chosen]
    sd = np.ones(len(chosen))
    if THETA_SD in posterior.hyperparameters:
        sd = posterior.hyperparameters[THETA_SD].ravel()[chosen]
    calibration = posterior.calibration()
    for parameters, spread in zip(draws, sd, strict=True):
        drawn = replace(calibration, parameters=parameters, latent=Normal(0.0, float(spread)))
        yield replicated(responses, drawn, seed=rng)


def _compared(observed: FloatArray, drawn: Iterator[FloatArray]) -> pd.DataFrame:
    """Observed values beside mean, 95% interval and two-sided p of the replicated ones."""
    values = np.stack(list(drawn))  # (S, n)
    known = np.isfinite(values).any(axis=0)  # (n,)
    ends = np.full((2, values.shape[1]), np.nan)
    ends[:, known] = np.nanquantile(values[:, known], (0.025, 0.975), axis=0)
    above = (values >= observed).sum(axis=0) + 1.0
    below = (values <= observed).sum(axis=0) + 1.0
    p = np.minimum(1.0, 2.0 * np.minimum(above, below) / (len(values) + 1.0))
    return pd.DataFrame(
        {
            "observed": observed,
            "expected": _moments(values)[0],
            "low": ends[0],
            "high": ends[1],
            "p": np.where(np.isnan(observed), np.nan, p),
        }
    )


def _moments(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and SD over the first axis without NaN; NaN where nothing is left."""
    there = np.isfinite(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=0) / there.sum(axis=0)
        error = np.where(there, values - mean, 0.0)
        return mean, np.sqrt((error**2).sum(axis=0) / (there.sum(axis=0) - 1.0))


def _rest(cells: Cells, sizes: IntArray) -> FloatArray:
    """Share of the possible score on the person's other items, for each cell; NaN without any."""
    own = cells.largest(sizes)
    possible = cells.totals(own)[cells.person] - own
    rest = cells.totals(cells.code)[cells.person] - cells.code
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(possible > 0, rest / possible, np.nan)


def _rest_bounds(cells: Cells, sizes: IntArray) -> FloatArray:
    """Quantiles of the rest scores that cut the real answers into groups."""
    shares = np.arange(1, REST_GROUPS) / REST_GROUPS
    return np.unique(np.nanquantile(_rest(cells, sizes), shares))


def _courses(cells: Cells, sizes: IntArray, bounds: FloatArray) -> FloatArray:
    """Mean code of each item in groups of similar rest score, shape (G, I); NaN if empty."""
    rest = _rest(cells, sizes)
    there = np.isfinite(rest)
    n_groups = len(bounds) + 1
    group = np.searchsorted(bounds, rest[there], side="right")
    place = group * cells.n_items + cells.item[there]
    weight = cells.weights[cells.person[there]]
    size = n_groups * cells.n_items
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(place, weight * cells.code[there], size) / np.bincount(
            place, weight, size
        )
    return np.asarray(mean.reshape(n_groups, cells.n_items), np.float64)


def _distances(observed: FloatArray, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Squared standardised distance of courses (G, I) from the replicated mean, and its p."""
    mean, spread = _moments(drawn)
    scale = np.where(spread > 0, spread, np.inf)

    def distance(courses: FloatArray) -> FloatArray:
        return np.asarray(np.nansum(((courses - mean) / scale) ** 2, axis=-2))

    own, theirs = distance(observed), distance(drawn)  # (I,), (S, I)
    return own, ((theirs >= own).sum(axis=0) + 1.0) / (len(drawn) + 1.0)


def _log_odds_ratios(cells: Cells, mean: FloatArray) -> FloatArray:
    """Log-odds ratio of answers above the mean, of each pair of items, shape (I, I)."""
    shape = (len(cells.weights), cells.n_items)
    weight = cells.weights[cells.person]
    high = cells.code > mean[cells.item]
    where = (cells.person, cells.item)
    above = sp.csr_array((high.astype(np.float64), where), shape=shape)
    below = sp.csr_array(((~high).astype(np.float64), where), shape=shape)
    heavy = [
        sp.csr_array((weight * values, where), shape=shape).T
        for values in (high.astype(np.float64), (~high).astype(np.float64))
    ]
    both, neither = (heavy[0] @ above).toarray(), (heavy[1] @ below).toarray()
    one, other = (heavy[0] @ below).toarray(), (heavy[1] @ above).toarray()
    parts = [np.log(part + ADDED) for part in (both, neither, one, other)]
    return parts[0] + parts[1] - parts[2] - parts[3]
