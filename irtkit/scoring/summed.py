"""Likelihoods of summed scores, by the recursion of Lord and Wingersky.

The recursion has its one home here; the diagnostics use it too.

References
----------
Lord, F. M., & Wingersky, M. S. (1984). Comparison of IRT true-score and equipercentile
    observed-score "equatings". Applied Psychological Measurement, 8(4), 453-461.
Thissen, D., Pommerich, M., Billeaud, K., & Williams, V. S. L. (1995). Item response theory for
    scores on tests including polytomous items with ordered responses. Applied Psychological
    Measurement, 19(1), 39-49.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtkit.arrays import FloatArray


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
    largest = sum(len(chance) - 1 for chance in chances)
    sums = np.zeros((largest + 1, *chances[0].shape[1:]))
    sums[0] = 1.0
    upto = 0
    for chance in chances:
        before = sums[: upto + 1].copy()
        sums[: upto + 1] *= chance[0]
        for k in range(1, len(chance)):
            sums[k : upto + k + 1] += before * chance[k]
        upto += len(chance) - 1
    return sums


def summed_score_likelihood(right: FloatArray) -> FloatArray:
    """Probability of each number of right answers, by the recursion of Lord and Wingersky.

    Parameters
    ----------
    right : array, shape (I, ...)
        Success probabilities of the items; the other axes may be nodes, persons and the like.

    Returns
    -------
    array, shape (I + 1, ...)
    """
    sums = np.zeros((len(right) + 1, *right.shape[1:]))
    sums[0] = 1.0
    for item, p in enumerate(right):
        gained = sums[: item + 1] * p
        sums[: item + 1] -= gained
        sums[1 : item + 2] += gained
    return sums


def without_item(sums: FloatArray, p: FloatArray) -> FloatArray:
    """Take one item out of a summed-score likelihood again.

    The recursion is undone upwards where the item is mostly failed and downwards where it is
    mostly solved, so that rounding never grows.

    Parameters
    ----------
    sums : array, shape (I + 1, ...)
        From `summed_score_likelihood`.
    p : array, shape (...)
        The item's success probability; broadcast against the trailing axes of `sums`.

    Returns
    -------
    array, shape (I, ...)
    """
    n_items = len(sums) - 1
    rest = np.empty((n_items, *np.broadcast_shapes(sums.shape[1:], p.shape)))
    failed, solved = 1.0 / np.maximum(1.0 - p, 0.5), 1.0 / np.maximum(p, 0.5)
    up, down = np.minimum(p, 0.5) * failed, np.minimum(1.0 - p, 0.5) * solved
    rest[0] = sums[0] * failed
    for k in range(1, n_items):
        rest[k] = sums[k] * failed - up * rest[k - 1]
    easy = p >= 0.5
    above = sums[n_items] * solved
    for k in range(n_items - 1, -1, -1):
        np.copyto(rest[k], above, where=easy)
        above = sums[k] * solved - down * above
    return rest
