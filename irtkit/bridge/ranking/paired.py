"""`paired_comparison`: two models on the same items, by ability and by accuracy.

Answers of two models to one item share how hard it is. Differences item by item take that out, so
that their error is far smaller than two separate intervals suggest. (`compare_models` compares
item response models; here models are those that answered.)

References
----------
McNemar, Q. (1947). Note on the sampling error of the difference between correlated proportions or
    percentages. Psychometrika, 12(2), 153-157.
Miller, E. (2024). Adding error bars to evals: A statistical approach to language model
    evaluations. arXiv:2411.00640.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, norm, t

from irtkit import storage
from irtkit.arrays import FloatArray, IntArray
from irtkit.bridge.ranking.ability_differences import Abilities, abilities
from irtkit.bridge.ranking.clusters import clustered_mean, credits, membership
from irtkit.diagnostics.multiplicity import adjust
from irtkit.errors import ModelError, count, listing, nearest, shown
from irtkit.estimation.calibration import Calibration, matched
from irtkit.responses import Responses

MOST_PAIRS = 500_000
BLOCK_CELLS = 2_000_000
TWO_SIDED = 0.975

Columns = dict[str, FloatArray]


def paired_comparison(
    responses: Responses,
    calibration: Calibration,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    clusters: Mapping[str, str] | None = None,
    item_draws: int = 0,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """Compare models two by two.

    Parameters
    ----------
    responses : Responses
        One row a model, graded.
    calibration : Calibration
    pairs : sequence of (str, str), optional
        Names of models; by default all pairs.
    clusters : mapping of str to str, optional
        The cluster of each item, such as its passage; errors then allow for dependent answers
        within clusters.
    item_draws : int
        Draw the item parameters so often, so that errors of abilities include the items'
        uncertainty, as far as it does not cancel.
    seed : int or Generator
        For the draws.

    Returns
    -------
    DataFrame
        Indexed by model_1 and model_2: difference of theta (first less second) with
        standard_error, 95% interval, p and p_adjusted (Holm, over these pairs); n_common items
        that both answered, and on them accuracy_1, accuracy_2, their difference with error and
        interval (Student's t, clusters less one degrees of freedom), only_1 and only_2 (items
        that one did better), accuracy_p and its adjustment: McNemar's exact test of right and
        wrong answers, Student's t where there are clusters or partial credit. NaN where fewer
        than two items (clusters) are common.

    Raises
    ------
    ModelError
        If a model is unknown or paired with itself, or there are too many pairs.
    """
    known, part = matched(responses, calibration)
    first, second = _places(known, pairs)
    members = membership(known.items, clusters)
    able = abilities(known, part, item_draws=item_draws, clusters=members, seed=seed)
    table = pd.DataFrame(
        _by_ability(able, first, second) | _by_accuracy(known, part, members, first, second)
    )
    for name in ("p", "accuracy_p"):
        place = int(np.flatnonzero(table.columns == name)[0])
        table.insert(place + 1, f"{name}_adjusted", adjust(table[name].to_numpy()))
    names = np.array(known.persons, dtype=object)
    index = pd.MultiIndex.from_arrays([names[first], names[second]], names=["model_1", "model_2"])
    return table.set_axis(index)


def _places(
    responses: Responses, pairs: Sequence[tuple[str, str]] | None
) -> tuple[IntArray, IntArray]:
    """Rows of the two models of each pair."""
    size = responses.n_persons
    wanted = size * (size - 1) // 2 if pairs is None else len(pairs)
    if not wanted:
        raise ModelError("There are no two models to compare.")
    if wanted > MOST_PAIRS:
        raise ModelError(
            f"{size:,} models make {wanted:,} pairs, more than {MOST_PAIRS:,}. Name those that "
            "matter (pairs)."
        )
    if pairs is None:
        one, other = np.triu_indices(size, 1)
        return one.astype(np.int64), other.astype(np.int64)
    row = {name: place for place, name in enumerate(responses.persons)}
    unknown = sorted({name for pair in pairs for name in pair if name not in row})
    if unknown:
        raise ModelError(
            f"{count(len(unknown), 'model')} among the pairs gave no answers: {listing(unknown)}."
            f"{nearest(unknown[0], responses.persons)}"
        )
    alike = [one for one, other in pairs if one == other]
    if alike:
        raise ModelError(f"The model {shown(alike[0])} is to be compared with itself.")
    places = np.array([[row[name] for name in pair] for pair in pairs], dtype=np.int64)
    return places[:, 0], places[:, 1]


def _groups(first: IntArray, most: int) -> Iterator[tuple[int, slice]]:
    """Runs of pairs with the same first model, `most` long at most."""
    start = 0
    for row, run in groupby(first.tolist()):
        end = start + sum(1 for _ in run)
        for begin in range(start, end, most):
            yield row, slice(begin, min(begin + most, end))
        start = end


def _by_ability(able: Abilities, first: IntArray, second: IntArray) -> Columns:
    theta = able.theta
    difference = theta[first] - theta[second]
    error = np.empty(len(first))
    for row, run in _groups(first, len(first)):
        error[run] = np.sqrt(able.variances(np.array([row]), second[run])[0])
    half = norm.ppf(TWO_SIDED) * error
    return {
        "difference": difference,
        "standard_error": error,
        "difference_low": difference - half,
        "difference_high": difference + half,
        "p": 2.0 * norm.sf(np.abs(difference) / error),
    }


def _by_accuracy(
    responses: Responses,
    calibration: Calibration,
    members: Any | None,
    first: IntArray,
    second: IntArray,
) -> Columns:
    found = np.empty((8, len(first)))
    for row, run in _groups(first, max(1, BLOCK_CELLS // responses.n_items)):
        one = _credits(responses, calibration, np.array([row]))
        other = _credits(responses, calibration, second[run])
        found[:, run] = _on_common_items(one, other, members)
    mean_1, mean_2, difference, error, groups, number, only_1, only_2 = found
    with np.errstate(invalid="ignore", divide="ignore"):
        half = t.ppf(TWO_SIDED, groups - 1.0) * error
        p = _student(difference, error, groups)
    if members is None and int(calibration.assignment.n_categories.max()) == 2:
        p = np.where(number > 0, mcnemar(only_1, only_2), np.nan)
    return {
        "n_common": number.astype(np.int64),
        "accuracy_1": mean_1,
        "accuracy_2": mean_2,
        "accuracy_difference": difference,
        "accuracy_error": error,
        "accuracy_low": difference - half,
        "accuracy_high": difference + half,
        "only_1": only_1.astype(np.int64),
        "only_2": only_2.astype(np.int64),
        "accuracy_p": p,
    }


def _credits(responses: Responses, calibration: Calibration, rows: IntArray) -> FloatArray:
    return credits(storage.dense(responses.codes[rows]), calibration.assignment)


def _on_common_items(one: FloatArray, other: FloatArray, members: Any | None) -> FloatArray:
    """Means, difference, error, clusters, items, and items that one did better, (8, n)."""
    gap = one - other  # (n, I), NaN where one is unanswered
    difference, error, groups = clustered_mean(gap, members)
    seen = ~np.isnan(gap)
    number = seen.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(seen, one, 0.0).sum(axis=1) / number
        better = [(gap > 0).sum(axis=1), (gap < 0).sum(axis=1)]
    return np.stack([mean, mean - difference, difference, error, groups, number, *better])


def _student(difference: FloatArray, error: FloatArray, groups: FloatArray) -> FloatArray:
    """Two-sided p of Student's t; 1 where no item differs at all."""
    p = 2.0 * t.sf(np.abs(difference) / error, groups - 1.0)
    return np.where((difference == 0.0) & (groups > 1), np.where(error > 0.0, p, 1.0), p)


def mcnemar(only_1: FloatArray, only_2: FloatArray) -> FloatArray:
    """Exact two-sided p that each of the items that differ falls to either model by chance."""
    fewer = np.minimum(only_1, only_2)
    return np.asarray(np.minimum(1.0, 2.0 * binom.cdf(fewer, only_1 + only_2, 0.5)))
