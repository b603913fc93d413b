"""Likelihoods of summed scores, by the recursion of Lord and Wingersky.

The recursion has its one home here; the diagnostics use it too. Sums over many items are left to
the characteristic function.

References
----------
Lord, F. M., & Wingersky, M. S. (1984). Comparison of IRT true-score and equipercentile
    observed-score "equatings". Applied Psychological Measurement, 8(4), 453-461.
Hong, Y. (2013). On computing the distribution function for the Poisson binomial distribution.
    Computational Statistics & Data Analysis, 59, 41-51.
Thissen, D., Pommerich, M., Billeaud, K., & Williams, V. S. L. (1995). Item response theory for
    scores on tests including polytomous items with ordered responses. Applied Psychological
    Measurement, 19(1), 39-49.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtkit.arrays import FloatArray, IntArray

TAIL = 8.0  # standard deviations of a sum, beyond which it is out of reach of rounding
TAIL_POINTS = 20
SMALLEST_LOG = 33.0  # of the inverse of a value of the characteristic function
TINY = 1e-150


def summed_scores(chances: Sequence[FloatArray]) -> FloatArray:
    """Probability of each summed score over items with any number of categories.

    Parameters
    ----------
    chances : sequence of array, each of shape (K, ...)
        Probabilities of each item's categories 0 .. K - 1; the other axes may be nodes.

    Returns
    -------
    array, shape (largest sum + 1, ...)
    """
    sums = np.ones((1, *chances[0].shape[1:]))
    for chance in chances:
        sums = with_item(sums, chance)
    return sums


def sums_before(chances: Sequence[FloatArray]) -> list[FloatArray]:
    """Probability of each summed score over the items before each item.

    Parameters
    ----------
    chances : sequence of array, each of shape (K, ...)

    Returns
    -------
    list of array, each of shape (largest sum of the items before + 1, ...)
        One an item; the sum over no items is zero for certain.
    """
    before = [np.ones((1, *chances[0].shape[1:]))]
    for chance in chances[:-1]:
        before.append(with_item(before[-1], chance))
    return before


def with_item(sums: FloatArray, chance: FloatArray) -> FloatArray:
    """Put one more item into a summed-score likelihood.

    Parameters
    ----------
    sums : array, shape (n, ...)
        Probabilities of the sums 0 .. n - 1 so far.
    chance : array, shape (K, ...)
        Probabilities of the item's categories.

    Returns
    -------
    array, shape (n + K - 1, ...)
    """
    n, more = len(sums), len(chance) - 1
    whole = np.empty((n + more, *sums.shape[1:]))
    np.multiply(sums, chance[0], out=whole[:n])
    whole[n:] = 0.0
    for k in range(1, more + 1):
        whole[k : n + k] += sums * chance[k]
    return whole


def joint_with_sum(
    chance: FloatArray, target: IntArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Chance of each category above the first together with a given sum over all items.

    One pass forward over the items (chances of the sums so far), one backward (chances of
    reaching the given sum from there). Only positive numbers are added.

    Parameters
    ----------
    chance : array, shape (n, K, X)
        Of each item's categories; a column is, say, a person at a node.
    target : array of int, shape (X,)
        The sums.
    weights : array, shape (X,)
        Factors of the results.

    Returns
    -------
    found : array, shape (n, K - 1, X)
    joint : array, shape (X,)
        Chance of the sum.
    """
    n, n_categories, width = chance.shape
    low, high, top = int(target.min()), int(target.max()), n_categories - 1
    end = [min(high, j * top) for j in range(n + 1)]  # sums in reach before item j ...
    begin = [max(0, low - (n - j) * top) for j in range(n + 1)]  # ... that may lead to the target
    columns = np.arange(width)
    before = np.empty((n + 1, high + 1, width))
    before[0, 0] = 1.0
    spare, after, previous = np.empty((3, high + 1, width))
    for j in range(n):
        old, new = before[j], before[j + 1]
        new[max(begin[j + 1], end[j] + 1) : end[j + 1] + 1] = 0.0
        for k in range(n_categories):
            first, last = max(begin[j] + k, begin[j + 1]), min(end[j] + k, end[j + 1]) + 1
            if last > first:
                gained = new[first:last] if k == 0 else spare[: last - first]
                np.multiply(old[first - k : last - k], chance[j, k], out=gained)
                if k > 0:
                    new[first:last] += gained
    joint = before[n, target, columns] * weights
    found = np.zeros((n, top, width))
    after[begin[n] :] = 0.0
    after[target, columns] = weights
    for j in range(n - 1, -1, -1):  # `after`: chance of the target from each sum after item j
        after, previous = previous, after
        after[begin[j] : begin[j + 1]] = 0.0
        for k in range(n_categories):
            first, last = max(begin[j], begin[j + 1] - k), min(end[j], end[j + 1] - k) + 1
            if last > first:
                led = after[first:last] if k == 0 else spare[: last - first]
                np.multiply(previous[first + k : last + k], chance[j, k], out=led)
                if k > 0:
                    np.einsum("sx,sx->x", before[j, first:last], led, out=found[j, k - 1])
                    after[first:last] += led
    return found, joint


def joint_with_long_sum(
    chance: FloatArray, total: int, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """As `joint_with_sum`, for one sum over many items, and added up over the nodes.

    The characteristic function of a sum is the product of those of the items; dividing it by an
    item's leaves that of the others. Time and memory grow with n rather than n squared, but
    rounding leaves an error of about 1e-14 of the likeliest sum.

    Parameters
    ----------
    chance : array, shape (n, K, Q)
        Of each item's categories at the nodes.
    total : int
        The sum.
    weights : array, shape (Q,)
        Of the nodes.

    Returns
    -------
    found : array, shape (n, K - 1)
        Chance of each category above the first together with the sum.
    sums : array, shape (Q,)
        Chance of the sum at each node.
    """
    number, period = _frequencies(chance, total)  # (T,)
    code = np.arange(chance.shape[1])[:, None]
    turn = np.exp(2j * np.pi / period * code * number)  # (K, T)
    both = np.where((number == 0) | (2 * number == period), 1.0, 2.0)  # with the negative one
    back = both / period * np.exp(-2j * np.pi / period * total * number)  # (T,)
    found, sums = np.zeros((len(chance), chance.shape[1] - 1)), np.empty(len(weights))
    for node, weight in enumerate(weights):
        factors = chance[:, :, node] @ turn  # (n, T)
        factors[factors == 0.0] = TINY
        whole = np.multiply.reduce(factors, axis=0) * back  # (T,)
        sums[node] = whole.real.sum()
        without = (1.0 / factors) @ (whole * turn[1:]).T  # (n, K - 1)
        found += weight * chance[:, 1:, node] * without.real
    return found, sums


def _frequencies(chance: FloatArray, total: int) -> tuple[IntArray, int]:
    r"""Frequencies at which the characteristic function of a sum is needed.

    A sum that is known modulo `period` needs the frequencies :math:`2 \pi j` / period, j from 0 to
    half the period; the period is as long as needed to keep apart the total and all sums within
    reach. The characteristic function of an item is at most
    :math:`\exp(-(1 - \cos t) \sum_k p_k p_{k+1})` at frequency t, so high ones can be left out.

    Parameters
    ----------
    chance : array, shape (n, K, Q)
    total : int

    Returns
    -------
    number : array of int, shape (T,)
        The j.
    period : int
    """
    code = np.arange(chance.shape[1], dtype=np.float64)
    mean = np.einsum("nkq,k->nq", chance, code)
    variance = (np.einsum("nkq,k->nq", chance, code**2) - mean**2).sum(axis=0)  # (Q,)
    reach = np.abs(total - mean.sum(axis=0)) + TAIL * np.sqrt(variance)
    points = len(chance) * int(code[-1]) + 1
    period = min(points, int(reach.max()) + TAIL_POINTS * int(code[-1]))
    number = np.arange(period // 2 + 1)
    step = np.einsum("nkq,nkq->q", chance[:, 1:], chance[:, :-1]).min()
    return number[step * (1.0 - np.cos(2.0 * np.pi * number / period)) <= SMALLEST_LOG], period
