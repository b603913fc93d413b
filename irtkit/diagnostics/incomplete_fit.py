r"""S-X2 of incomplete answers: each person is compared with those of their own sum and items.

Given the sum over the items that person p saw, category k of item i has the chance
:math:`e_{pik}` (`given_sum.py`). The persons who saw an item are sorted by their expected score on
it and cut into ten groups of equal weight, persons with equal expectations staying together; with
O and E the observed and expected persons by category,

.. math:: X^2_i = \sum_g (O_g - E_g)' V_g^- (O_g - E_g), \qquad
          V_g = \sum_{p \in g} \mathrm{diag}(e_p) - e_p e_p'

which for right-or-wrong items is :math:`\sum_g (O_g - E_g)^2 / \sum e (1 - e)`. Small cells and
groups are merged (`collapsing.py`); the degrees of freedom are the cells that are left less the
groups. The answers that are missing must be ignorable. Persons whose sum leaves no choice (none or
all of the points, one answer alone) say nothing and are left out.

The groups hold unequal sums, so this is not the statistic of complete answers
(`summed_score_fit.py`), though its logic is the same: no ability is estimated.

References
----------
Orlando, M., & Thissen, D. (2000). Likelihood-based item-fit indices for dichotomous item response
    theory models. Applied Psychological Measurement, 24(1), 50-64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.diagnostics.collapsing import merged_cells, merged_groups, too_small
from irtkit.diagnostics.given_sum import Chances, Patterns, check_size, expected_answers
from irtkit.estimation.calibration import Calibration
from irtkit.responses import Responses

GROUPS = 10
TIED = 1e-10  # expected scores that differ by less are equal
LEAST_VARIANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The answered cells, persons with the same items and sum taken together.

    Attributes
    ----------
    patterns : Patterns
    weights : array, shape (n,)
        Persons of each pattern.
    observed : array, shape (cells, K - 1)
        Persons who chose each category above the first.
    """

    patterns: Patterns
    weights: FloatArray
    observed: FloatArray

    @classmethod
    def of(cls, responses: Responses, n_categories: int) -> Answered:
        """Gather the answers."""
        pointers, items, codes = _cells(responses)
        n_answered = np.diff(pointers)
        person = np.repeat(np.arange(responses.n_persons), n_answered)
        totals = np.bincount(person, codes, responses.n_persons).astype(np.int64)
        first, pattern = _alike(pointers, items, totals)
        lengths = n_answered[first]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(len(items)) - np.repeat(pointers[:-1], n_answered)
        cell = ends[pattern[person]] + within  # of the pattern, for each cell of a person
        place = np.arange(ends[-1]) + np.repeat(pointers[first] - ends[:-1], lengths)
        heavy = responses.weights[person]
        observed = np.empty((ends[-1], n_categories - 1))
        for k in range(1, n_categories):
            chosen = codes == k
            observed[:, k - 1] = summed(cell[chosen], heavy[chosen], ends[-1])
        weights = summed(pattern, responses.weights, len(first))
        return cls(Patterns(ends, items[place], totals[first]), weights, observed)


def summed(places: npt.NDArray[np.integer], values: FloatArray, size: int) -> FloatArray:
    """Sum of the values at each place, shape (size,)."""
    return np.asarray(np.bincount(places, values, size), dtype=np.float64)


def _cells(responses: Responses) -> tuple[IntArray, IntArray, npt.NDArray[np.int8]]:
    """Answered cells by person: where each person's begin, their items and codes."""
    codes = responses.codes
    if isinstance(codes, sp.csr_array):
        pointers, items = codes.indptr.astype(np.int64), codes.indices.astype(np.int64)
        return pointers, items, codes.data - np.int8(1)
    seen = codes != MISSING
    pointers = np.concatenate([[0], np.cumsum(seen.sum(axis=1))])
    return pointers, np.nonzero(seen)[1], codes[seen]


def _alike(
    pointers: IntArray, items: IntArray, totals: IntArray
) -> tuple[IntArray, npt.NDArray[np.intp]]:
    """Find persons with the same items and sum: the first of each kind, and each one's kind.

    Item sets are compared by the sum, modulo 2^64, of a random number an item, and by their size:
    among a million different sets two are confused once in 10^7 data sets.
    """
    number = np.random.default_rng(0).integers(0, 2**64, items.max(initial=0) + 1, np.uint64)
    upto = np.concatenate([np.zeros(1, np.uint64), np.cumsum(number[items], dtype=np.uint64)])
    sets = upto[pointers[1:]] - upto[pointers[:-1]]
    keys = (totals, np.diff(pointers), sets)
    order = np.lexsort(keys)
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    kind = np.empty(len(order), dtype=np.intp)
    kind[order] = np.cumsum(new) - 1
    return order[new], kind


def incomplete_fit(
    responses: Responses, calibration: Calibration
) -> tuple[FloatArray, FloatArray]:
    """S-X2 of each item and its degrees of freedom before any parameter is subtracted, (I,).

    Raises
    ------
    ModelError
        If there are too many answers to hold in memory.
    """
    size = int(calibration.assignment.n_categories.max())
    check_size(int(responses.n_answered().sum()), size)
    answered = Answered.of(responses, size)
    nodes = calibration.nodes()
    chances = Chances.of(
        np.exp(calibration.log_prob(nodes.theta)),
        calibration.assignment.n_categories,
        nodes.log_weights,
    )
    expected = expected_answers(answered.patterns, chances)  # (cells, K - 1)
    used = np.flatnonzero(~np.isnan(expected[:, 0]))
    weights = np.repeat(answered.weights, answered.patterns.lengths)[used]
    return grouped_fit(
        answered.patterns.items[used],
        weights,
        answered.observed[used],
        expected[used],
        responses.n_items,
    )


def grouped_fit(
    items: IntArray, weights: FloatArray, observed: FloatArray, expected: FloatArray, n_items: int
) -> tuple[FloatArray, FloatArray]:
    """The statistic and its cells less groups, from answers with their expectations.

    Parameters
    ----------
    items : array of int, shape (n,)
    weights : array, shape (n,)
        Persons behind each row.
    observed : array, shape (n, K - 1)
        How many of them chose each category above the first.
    expected : array, shape (n, K - 1)
        Chances of these categories.
    n_items : int

    Returns
    -------
    statistic, freedom : array, shape (I,)
    """
    size = expected.shape[1] + 1
    group = items * GROUPS + _groups(items, expected @ np.arange(1.0, size), weights)  # (n,)
    n_groups = n_items * GROUPS
    heavy = weights[:, None] * expected

    def added(values: FloatArray) -> FloatArray:
        return summed(group, values, n_groups)

    persons = added(weights)  # (I G,)
    counts = np.zeros((2, n_groups, size))  # observed and expected
    spread = np.zeros((n_groups, size, size))  # V
    for k in range(1, size):
        counts[0, :, k], counts[1, :, k] = added(observed[:, k - 1]), added(heavy[:, k - 1])
        for j in range(1, k + 1):
            spread[:, k, j] = spread[:, j, k] = -added(heavy[:, k - 1] * expected[:, j - 1])
        spread[:, k, k] += counts[1, :, k]
    counts[:, :, 0] = persons - counts.sum(axis=2)
    spread[:, 0, 1:] = spread[:, 1:, 0] = -spread.sum(axis=2)[:, 1:]
    spread[:, 0, 0] = -spread[:, 0].sum(axis=1)
    labels = merged_groups(persons.reshape(n_items, -1), counts[1].reshape(n_items, -1, size))
    to = (np.arange(n_items)[:, None] * GROUPS + labels).ravel()  # (I G,)
    whole, whole_spread = np.zeros((n_groups, 2, size)), np.zeros(spread.shape)
    np.add.at(whole, to, counts.swapaxes(0, 1))
    np.add.at(whole_spread, to, spread)
    value, freedom = _quadratic_form(whole[:, 0] - whole[:, 1], whole[:, 1], whole_spread)
    return value.reshape(n_items, -1).sum(axis=1), freedom.reshape(n_items, -1).sum(axis=1)


def _groups(items: IntArray, score: FloatArray, weights: FloatArray) -> IntArray:
    """Which tenth of an item's persons, by expected score, each row belongs to, shape (n,).

    Rows of equal score are one block, which belongs to the tenth that its middle person is in.
    """
    order = np.argsort(score, kind="stable")
    small = np.int16 if items.max(initial=0) < 2**15 else np.int64  # sorted in linear time
    order = order[np.argsort(items[order].astype(small), kind="stable")]
    item, value = items[order], score[order]
    block = np.cumsum((np.diff(item, prepend=-1) != 0) | (np.diff(value, prepend=0.0) > TIED)) - 1
    size = summed(block, weights[order], 0)  # persons of each block
    place = np.zeros(len(size), dtype=np.int64)
    place[block] = item  # item of each block
    upto = np.cumsum(size)
    people = summed(items, weights, 0)  # persons of each item
    below = np.cumsum(people) - people
    middle = (upto - size / 2 - below[place]) / people[place]
    tenth = np.clip((GROUPS * middle).astype(np.int64), 0, GROUPS - 1)
    result = np.empty(len(order), dtype=np.int64)
    result[order] = tenth[block]
    return result


def _quadratic_form(
    gap: FloatArray, expected: FloatArray, spread: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weigh the gaps (R, K) by the inverse of their covariance (R, K, K), small cells merged.

    Returns
    -------
    value, freedom : array, shape (R,)
        Zero for rows that cannot be tested.
    """
    size = gap.shape[1]
    labels = merged_cells(expected)
    to = (labels[:, :, None] == np.arange(size)).astype(np.float64)  # (R, K, K): category to cell
    gap = np.einsum("rk,rkc->rc", gap, to)
    spread = to.transpose(0, 2, 1) @ spread @ to
    left = np.arange(size) < labels.max(axis=1, keepdims=True)  # all cells but the last
    variance = np.einsum("rcc->rc", spread)
    tested = ~too_small(expected) & (variance > LEAST_VARIANCE).all(axis=1, where=left)
    left &= tested[:, None]
    spread = np.where(left[:, :, None] & left[:, None, :], spread, np.eye(size))
    gap = np.where(left, gap, 0.0)
    value = np.einsum("rc,rc->r", gap, np.linalg.solve(spread, gap[..., None])[..., 0])
    return value, left.sum(axis=1).astype(np.float64)
