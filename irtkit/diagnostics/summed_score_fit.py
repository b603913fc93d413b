r"""S-X2 of complete answers: persons in groups of equal summed score.

Expected is the share of each category among persons with summed score s,

.. math:: E_{isk} = \frac{\sum_q w_q P_{ik}(q) S^{(-i)}_{s-k}(q)}{\sum_q w_q S_s(q)}, \qquad
          X^2_i = \sum_{s,k} N_s \frac{(O_{isk} - E_{isk})^2}{E_{isk}}

with :math:`S^{(-i)}` the likelihood of the sums of the other items. Scores that leave no choice,
none or all of the points, are left out; small groups and cells are merged (`collapsing.py`).
Incomplete answers are in `incomplete_fit.py`, the public table in `item_fit.py`.

References
----------
Orlando, M., & Thissen, D. (2000). Likelihood-based item-fit indices for dichotomous item response
    theory models. Applied Psychological Measurement, 24(1), 50-64.
Kang, T., & Chen, T. T. (2008). Performance of the generalized S-X2 item fit index for polytomous
    IRT models. Journal of Educational Measurement, 45(4), 391-406.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray
from irtkit.diagnostics.collapsing import FEWEST_EXPECTED, collapsed
from irtkit.diagnostics.given_sum import (
    SMALLEST,
    Chances,
    Patterns,
    check_size,
    expected_answers,
)
from irtkit.estimation.calibration import Calibration
from irtkit.responses import Responses
from irtkit.scoring.summed import sums_before, with_item
from irtkit.threads import one_thread_a_core, spread

LONG = 400  # points
WORTH_THREADS = 10_000  # items times points
BLOCK_PERSONS = 4096
LEAST_EXPECTED = 1e-100  # a cell, if a small one: zero stands for none


def complete_fit(responses: Responses, calibration: Calibration) -> tuple[FloatArray, FloatArray]:
    """S-X2 of each item and its degrees of freedom before any parameter is subtracted, (I,)."""
    n_categories = calibration.assignment.n_categories
    points = int((n_categories - 1).sum())
    nodes = calibration.nodes()
    chance = np.exp(calibration.log_prob(nodes.theta))  # (Q, I, K)
    scores, persons, observed = score_groups(responses, points, chance.shape[2])
    if points > LONG:
        check_size(len(scores) * len(n_categories), chance.shape[2])
        chances = Chances.of(chance, n_categories, nodes.log_weights)
        expected = expected_answers(_everything(scores, len(n_categories)), chances)
        expected = expected.reshape(len(scores), len(n_categories), -1)
    else:
        expected = expected_by_score(chance, n_categories, np.exp(nodes.log_weights), scores)
    likely = ~np.isnan(expected[:, 0, 0])
    scores, persons = scores[likely], persons[likely]
    statistic, freedom = np.empty((2, len(n_categories)))
    for size in np.unique(n_categories):
        items = np.flatnonzero(n_categories == size)
        counts = observed[likely][:, items, : size - 1]  # (G, i, K - 1)
        shares = expected[likely][:, items, : size - 1]
        groups = scores
        if 2 * (size - 1) <= points:  # else no score leaves every category possible
            groups = np.clip(scores, size - 1, points - (size - 1))
        observed_part = _with_first(counts, persons)  # (G, i, K)
        expected_part = _with_first(shares * persons[:, None, None], persons)
        tables = collapsed(observed_part, np.maximum(expected_part, LEAST_EXPECTED), groups)
        for item, table in zip(items, tables, strict=True):
            statistic[item], freedom[item] = _chi_square(*table)
    return statistic, freedom


def _with_first(counts: FloatArray, persons: FloatArray) -> FloatArray:
    """Counts of all categories (G, I, K) from those above the first and all persons (G,)."""
    first = persons[:, None] - counts.sum(axis=2)
    return np.concatenate([first[..., None], counts], axis=2)


def _everything(scores: IntArray, n_items: int) -> Patterns:
    """Each score as the pattern of those who saw all items."""
    pointers = np.arange(len(scores) + 1) * n_items
    return Patterns(pointers, np.tile(np.arange(n_items), len(scores)), scores)


def score_groups(
    responses: Responses, points: int, n_categories: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Count complete answers by summed score.

    Returns
    -------
    scores : array of int, shape (G,)
        Those that occur, without 0 and the highest possible.
    persons : array, shape (G,)
    observed : array, shape (G, I, K - 1)
        Persons who chose each category above the first.
    """
    blocks = list(responses.blocks(BLOCK_PERSONS))
    totals = np.concatenate([codes.sum(axis=1, dtype=np.int64) for _, codes in blocks])  # (P,)
    scores, group = np.unique(totals, return_inverse=True)
    persons = np.asarray(np.bincount(group, responses.weights, len(scores)), dtype=np.float64)
    observed = np.zeros((len(scores), responses.n_items, n_categories - 1))
    kind: npt.DTypeLike = np.float32 if (responses.weights == 1.0).all() else np.float64
    for rows, codes in blocks:
        weights = np.asarray(responses.weights[rows], dtype=kind)
        where = (group[rows], np.arange(len(codes)))
        member: Any = sp.csr_array((weights, where), shape=(len(scores), len(codes)))
        for k in range(1, n_categories):
            chosen = codes if n_categories == 2 else codes == k
            observed[:, :, k - 1] += member @ chosen.astype(kind)
    inside = (scores > 0) & (scores < points)
    return scores[inside], persons[inside], observed[inside]


def expected_by_score(
    chance: FloatArray, n_categories: IntArray, weights: FloatArray, scores: IntArray
) -> FloatArray:
    """Expected share of each category above the first at each summed score.

    The sums of the items before and of those after an item are put together by one matrix product
    over the nodes, so only positive numbers are added.

    Parameters
    ----------
    chance : array, shape (Q, I, K)
        Chances of the categories at the nodes, zero where an item has no such category.
    n_categories : array of int, shape (I,)
    weights : array, shape (Q,)
        Of the nodes.
    scores : array of int, shape (G,)

    Returns
    -------
    array, shape (G, I, K - 1)
        NaN at scores that are all but impossible.
    """
    chances = [np.ascontiguousarray(chance[:, i, :size].T) for i, size in enumerate(n_categories)]
    before, after = sums_before(chances), sums_before(chances[::-1])[::-1]
    joint = (with_item(before[-1], chances[-1]) @ weights)[scores]  # (G,)
    joint[joint < SMALLEST] = np.nan
    expected = np.zeros((len(scores), len(chances), chance.shape[2] - 1))

    def fill(share: Sequence[int]) -> None:
        for item in share:
            for k in range(1, len(chances[item])):
                both = (before[item] * (weights * chances[item][k])) @ after[item].T
                rest = _diagonal_sums(both)  # by the sum of the other items
                inside = (scores >= k) & (scores - k < len(rest))
                expected[inside, item, k - 1] = rest[scores[inside] - k]

    with one_thread_a_core():
        spread(fill, range(len(chances)), len(chances) * len(before[-1]) > WORTH_THREADS)
    return expected / joint[:, None, None]


def _diagonal_sums(table: FloatArray) -> FloatArray:
    """Sums over the cells (a, b) of equal a + b, shape (A + B - 1,)."""
    n_rows, n_columns = table.shape
    sheared = np.zeros((n_rows, n_rows + n_columns))
    sheared[:, :n_columns] = table
    width = n_rows + n_columns - 1
    return np.asarray(sheared.ravel()[: n_rows * width].reshape(n_rows, width).sum(axis=0))


def _chi_square(observed: FloatArray, expected: FloatArray) -> tuple[float, int]:
    """The statistic and its degrees of freedom, none if a cell is still too small."""
    cells = expected > 0
    counts = expected[cells]
    gaps = (observed[cells] - counts) ** 2 / counts
    tested = len(counts) > 0 and counts.min() >= FEWEST_EXPECTED
    return float(gaps.sum()), (len(counts) - len(expected)) * tested
