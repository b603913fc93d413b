r"""What a person with a given sum over the items they saw was expected to answer to each of them.

With :math:`S_s(q)` the chance of sum s at node q over the items that were seen, and
:math:`S^{(-i)}` the same without item i,

.. math:: P(X_i = k \mid s) = \frac{\sum_q w_q P_{ik}(q) S^{(-i)}_{s-k}(q)}{\sum_q w_q S_s(q)}

Nobody needs the sums other than their own, and these cost

- up to `LONG` points: one pass forward over the items (chances of the sums so far), one pass
  backward (chances of reaching the own sum from there), many persons at a time. Only positive
  numbers are added, so the result has nearly all digits however unlikely the sum.
- beyond: the characteristic function of the sum, one person at a time, in time and memory linear
  in the number of items. Rounding leaves an error of about 1e-14 of the likeliest sum, so sums
  that no node makes likelier than `LEAST_CHANCE` are left out.

Only nodes where the own sum is not all but impossible are visited. How likely it can be is
bounded by Hoeffding's inequality (theorem 1 of 1963: n independent items with at most M points
each and an expected sum mu), :math:`S_s \le \exp(-n\,KL(s/(nM)\,\|\,\mu/(nM)))`. Nodes whose bound
is `NEGLIGIBLE` below the best in the log are left out; if what they could have added exceeds
`LEFT_OUT` of the whole, all nodes are used.

References
----------
Lord, F. M., & Wingersky, M. S. (1984). Comparison of IRT true-score and equipercentile
    observed-score "equatings". Applied Psychological Measurement, 8(4), 453-461.
Hoeffding, W. (1963). Probability inequalities for sums of bounded random variables. Journal of
    the American Statistical Association, 58(301), 13-30.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import rel_entr

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.errors import ModelError
from irtkit.scoring.summed import joint_with_long_sum, joint_with_sum
from irtkit.threads import one_thread_a_core, spread

LONG = 200  # points
LEAST_CHANCE = 1e-6
NEGLIGIBLE = 33.0
LEFT_OUT = 1e-11
BLOCK_CELLS = 16_000  # of one table of sums; it then fits the cache of a core
STORED_CELLS = 8_000_000
MOST_CELLS = 10_000_000  # about 2 GiB with all that is made of them
MOST_PATTERNS = 512
LENGTHS = 1.1  # persons in a block differ in length by at most this factor
WORTH_THREADS = 20_000  # answered cells
SMALLEST = 1e-290


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """Which items were seen and with which sum, by persons alike; cells are seen items.

    Attributes
    ----------
    pointers : array of int, shape (n + 1,)
        Where the cells of each pattern begin and end.
    items : array of int, shape (cells,)
    totals : array of int, shape (n,)
        Sum of the codes.
    """

    pointers: IntArray
    items: IntArray
    totals: IntArray

    @property
    def lengths(self) -> IntArray:
        """Number of items of each pattern, shape (n,)."""
        return np.diff(self.pointers)


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """Chances of the answers at the nodes, in the order that the passes need.

    Attributes
    ----------
    table : array, shape (I + 1, K, Q)
        Of each item and, at the end, of no item, whose one code is 0 for certain.
    mean : array, shape (I + 1, Q)
        Expected code.
    n_categories : array of int, shape (I + 1,)
    log_weights : array, shape (Q,)
        Of the nodes.
    """

    table: FloatArray
    mean: FloatArray
    n_categories: IntArray
    log_weights: FloatArray

    @classmethod
    def of(cls, chance: FloatArray, n_categories: IntArray, log_weights: FloatArray) -> Chances:
        """Arrange the chances (Q, I, K), zero where an item has no such category."""
        n_nodes, n_items, size = chance.shape
        table = np.zeros((n_items + 1, size, n_nodes))
        table[n_items, 0] = 1.0
        table[:n_items] = chance.transpose(1, 2, 0)
        mean = np.einsum("ikq,k->iq", table, np.arange(size, dtype=np.float64))
        return cls(table, mean, np.append(n_categories, 1), log_weights)


def check_size(n_cells: int, n_categories: int) -> None:
    """Refuse more cells than memory is planned for.

    Raises
    ------
    ModelError
        With the share of the persons that would do.
    """
    most = MOST_CELLS // (n_categories - 1)
    if n_cells > most:
        step = -(-n_cells // most)
        raise ModelError(
            f"Item fit would need the expectations of {n_cells:,} answers with up to "
            f"{n_categories} categories, but memory is planned for {most:,}. A part of the "
            f"persons tests the items nearly as well: take one in {step} "
            f"(responses.select_persons(slice(None, None, {step}))), or fewer items "
            "(select_items)."
        )


def expected_answers(patterns: Patterns, chances: Chances) -> FloatArray:
    """Chance of each category above the first in each cell, given the pattern's sum.

    Returns
    -------
    array, shape (cells, K - 1)
        NaN for patterns that say nothing: those with the lowest or highest possible sum or one
        item alone, and sums that are all but impossible under the model.
    """
    result = np.full((len(patterns.items), chances.table.shape[1] - 1), np.nan)
    largest = _sums(chances.n_categories[patterns.items] - 1, patterns.pointers)  # (n,)
    useful = (patterns.totals > 0) & (patterns.totals < largest) & (patterns.lengths > 1)
    long = np.flatnonzero(useful & (largest > LONG))
    blocks = _blocks(patterns, largest, useful & (largest <= LONG), chances)

    def passes(share: Sequence[IntArray]) -> None:
        for block in share:
            _fill(result, patterns, block, largest[block], chances)

    def transforms(share: Sequence[int]) -> None:
        for pattern in share:
            cells = slice(patterns.pointers[pattern], patterns.pointers[pattern + 1])
            result[cells] = _transformed(
                patterns.items[cells], int(patterns.totals[pattern]), chances
            )

    with one_thread_a_core():
        worth = len(patterns.items) > WORTH_THREADS
        spread(passes, blocks, worth)
        spread(transforms, long.tolist(), worth)
    return result


def _sums(values: IntArray, pointers: IntArray) -> IntArray:
    """Sum of the values between neighbouring pointers."""
    upto = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(upto[pointers[1:]] - upto[pointers[:-1]])


def _blocks(
    patterns: Patterns, largest: IntArray, chosen: BoolArray, chances: Chances
) -> list[IntArray]:
    """Cut the chosen patterns into blocks of similar length and sum.

    Codes are reversed where the sum is nearer to the highest possible one; patterns of a block
    agree in that.
    """
    places = np.flatnonzero(chosen)
    totals, highest = patterns.totals[places], largest[places]
    reverse = 2 * totals > highest
    near = np.where(reverse, highest - totals, totals)
    lengths = patterns.lengths[places]
    kind = 2 * np.floor(np.log(lengths) / np.log(LENGTHS)).astype(np.int64) + reverse
    order = np.lexsort((near, kind))
    places, near, lengths, kind = places[order], near[order], lengths[order], kind[order]
    starts = np.flatnonzero(np.diff(kind, prepend=-1, append=-1))
    n_nodes = len(chances.log_weights)
    blocks = []
    for first, last in pairwise(starts.tolist()):
        while first < last:
            upto = min(last, first + MOST_PATTERNS)
            cells = (near[first:upto] + 1) * np.arange(1, upto - first + 1) * (n_nodes // 2)
            longest = np.maximum.accumulate(lengths[first:upto])
            fits = (cells <= BLOCK_CELLS) & (cells * (longest + 1) <= STORED_CELLS)
            step = max(1, int(fits.sum()))
            blocks.append(places[first : first + step])
            first += step
    return blocks


def _fill(
    result: FloatArray,
    patterns: Patterns,
    block: IntArray,
    largest: IntArray,
    chances: Chances,
) -> None:
    """Fill in the expectations of a block of patterns."""
    totals, lengths = patterns.totals[block], patterns.lengths[block]
    steps = np.arange(lengths.max())[:, None]  # (n, 1)
    seen = steps < lengths  # (n, B)
    cells = np.where(seen, patterns.pointers[block] + steps, 0)
    items = np.where(seen, patterns.items[cells], len(chances.n_categories) - 1)
    mean = chances.mean[items].sum(axis=0)  # (B, Q)
    turn = None
    if 2 * totals[0] > largest[0]:
        turn = chances.n_categories[items][..., None] - 1 - np.arange(chances.table.shape[1])
        totals, mean = largest - totals, largest[:, None] - mean
    window, others = _window(totals, lengths, mean, chances)
    expected, joint = _passes(items, totals, chances, window, turn)
    if (others > LEFT_OUT * joint).any():
        expected, joint = _passes(items, totals, chances, slice(None), turn)
    result[cells[seen]] = expected[seen]


def _turned(chance: FloatArray, turn: IntArray | None) -> FloatArray:
    """Chances (n, B, K, ...) of the codes in reverse; `turn` (n, B, K) is negative for none."""
    if turn is None:
        return chance
    code = np.maximum(turn, 0).reshape(turn.shape + (1,) * (chance.ndim - 3))
    turned = np.take_along_axis(chance, code, axis=2)
    turned[turn < 0] = 0.0
    return turned


def _window(
    near: IntArray, lengths: IntArray, mean: FloatArray, chances: Chances
) -> tuple[slice, FloatArray]:
    """Nodes that the sums of some patterns need, and how much the others could add at most.

    Parameters
    ----------
    near, lengths : array of int, shape (B,)
        Sum and number of items.
    mean : array, shape (B, Q)
        Expected sum at the nodes.

    Returns
    -------
    window : slice
    others : array, shape (B,)
        A bound of the chance of the sum at the nodes outside.
    """
    most = (lengths * (chances.table.shape[1] - 1))[:, None]  # (B, 1)
    share, expected = near[:, None] / most, np.minimum(mean / most, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = rel_entr(share, expected) + rel_entr(1.0 - share, 1.0 - expected)  # (B, Q)
        bound = chances.log_weights - lengths[:, None] * np.maximum(divergence, 0.0)
        needed = (bound > bound.max(axis=1, keepdims=True) - NEGLIGIBLE).any(axis=0)
    places = np.flatnonzero(needed)
    if not len(places):
        return slice(None), np.zeros(len(near))
    window = slice(int(places[0]), int(places[-1]) + 1)
    bound[:, window] = -np.inf
    return window, np.exp(bound).sum(axis=1)


def _passes(
    items: IntArray,
    totals: IntArray,
    chances: Chances,
    window: slice,
    turn: IntArray | None,
) -> tuple[FloatArray, FloatArray]:
    """Expectations and the chance of the sum, by the passes forward and backward.

    Parameters
    ----------
    items : array of int, shape (n, B)
    totals : array of int, shape (B,)
        Sums, of the codes in reverse if `turn` says so.
    chances : Chances
    window : slice
    turn : array of int, shape (n, B, K), optional

    Returns
    -------
    expected : array, shape (n, B, K - 1)
    joint : array, shape (B,)
    """
    n, size = items.shape
    chance = _turned(chances.table[..., window][items], turn)  # (n, B, K, W)
    n_categories, width = chance.shape[2:]
    chance = np.ascontiguousarray(chance.transpose(0, 2, 1, 3)).reshape(n, n_categories, -1)
    weights = np.tile(np.exp(chances.log_weights[window]), size)  # (B W,)
    found, joint = joint_with_sum(chance, np.repeat(totals, width), weights)
    joint = joint.reshape(size, width).sum(axis=1)  # (B,)
    likely = np.where(joint > SMALLEST, joint, np.nan)
    sums = found.reshape(n, n_categories - 1, size, width).sum(axis=3)  # (n, K - 1, B)
    expected = (sums / likely).transpose(0, 2, 1)  # (n, B, K - 1)
    if turn is None:
        return expected, joint
    first = 1.0 - expected.sum(axis=2, keepdims=True)
    return _turned(np.concatenate([first, expected], axis=2), turn)[..., 1:], joint


def _transformed(items: IntArray, total: int, chances: Chances) -> FloatArray:
    """Expectations of one pattern, by the characteristic function of its sum, (n, K - 1)."""
    near, lengths = np.array([total]), np.array([len(items)])
    window, others = _window(near, lengths, chances.mean[items].sum(axis=0)[None], chances)
    for nodes in (window, slice(None)):
        weights = np.exp(chances.log_weights[nodes])
        found, sums = joint_with_long_sum(chances.table[..., nodes][items], total, weights)
        joint = sums @ weights
        if others[0] <= LEFT_OUT * joint:
            break
    if sums.max() < LEAST_CHANCE:
        return np.full(found.shape, np.nan)
    return found / joint
