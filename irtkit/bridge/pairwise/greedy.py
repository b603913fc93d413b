r"""Pairs chosen one by one, next always the pair whose difference is known least.

With A the inverse of W'W + e I, the variance of a difference of strengths is, but for a factor,

.. math:: R_{ij} = A_{ii} + A_{jj} - 2 A_{ij}

and the pair with the largest R gains the most information (the determinant of W'W). A comparison
changes A by a matrix of rank one. R never grows, so that the largest R of a row, once computed,
bounds it from then on: rows are computed again only while they may hold the largest. The changes
of rank one are gathered and applied to A in blocks.

References
----------
Liusie, A., Raina, V., Fathullah, Y., & Gales, M. (2024). Efficient LLM comparative assessment: A
    product of experts framework for pairwise comparisons. arXiv:2405.05894.
Minoux, M. (1978). Accelerated greedy algorithms for maximizing submodular set functions.
    Optimization Techniques, 234-243. https://doi.org/10.1007/BFb0006528
"""

from __future__ import annotations

import numpy as np

from irtkit.arrays import FloatArray, IntArray
from irtkit.errors import ModelError

FAINT = 1e-4  # e: what is known of each strength before the first comparison
BLOCK = 128  # changes gathered before A is renewed
MOST_ITEMS = 20_000  # A is square


def greedy_pairs(n_items: int, n_pairs: int, *, seed: int | np.random.Generator) -> IntArray:
    """Choose distinct pairs greedily by information, (C, 2).

    Parameters
    ----------
    n_items : int
    n_pairs : int
        At most n_items (n_items - 1) / 2.
    seed : int or Generator
        Breaks ties: the items are numbered in random order.

    Raises
    ------
    ModelError
        If there are more items than a square matrix of them is made for.
    """
    if n_items > MOST_ITEMS:
        raise ModelError(
            f"The greedy design keeps a square matrix of its items, and {n_items:,} are more than "
            f"{MOST_ITEMS:,}. Choose the design 'balanced'."
        )
    name = np.random.default_rng(seed).permutation(n_items)
    known = _Known(n_items)
    used: list[list[int]] = [[n] for n in range(n_items)]
    bound = np.full(n_items, 2.0 / FAINT)  # of the largest R of each row
    partner = np.full(n_items, -1)
    pairs = np.empty((n_pairs, 2), dtype=np.int64)
    for number in range(n_pairs):
        fresh = np.zeros(n_items, dtype=bool)
        row = int(np.argmax(bound))
        while not fresh[row]:
            gain = known.gains(row)
            gain[used[row]] = -np.inf
            partner[row] = np.argmax(gain)
            bound[row], fresh[row] = gain[partner[row]], True
            row = int(np.argmax(bound))
        other = int(partner[row])
        used[row].append(other)
        used[other].append(row)
        known.compare(row, other)
        pairs[number] = name[row], name[other]
    return pairs


class _Known:
    """The matrix A: one renewed now and then, and the changes since."""

    def __init__(self, n_items: int) -> None:
        self.matrix = np.eye(n_items) / FAINT  # (N, N)
        self.diagonal = np.full(n_items, 1.0 / FAINT)
        self.changes = np.zeros((n_items, BLOCK))
        self.n_changes = 0

    def row(self, item: int) -> FloatArray:
        """One row of A, (N,)."""
        recent = self.changes[:, : self.n_changes]
        found: FloatArray = self.matrix[item] - recent @ recent[item]
        return found

    def gains(self, item: int) -> FloatArray:
        """R of one item with all, (N,)."""
        found: FloatArray = self.diagonal[item] + self.diagonal - 2.0 * self.row(item)
        return found

    def compare(self, one: int, two: int) -> None:
        """Take up a comparison: A less a matrix of rank one."""
        ahead = self.row(one) - self.row(two)  # (N,)
        change = ahead / np.sqrt(1.0 + ahead[one] - ahead[two])
        self.diagonal -= change**2
        self.changes[:, self.n_changes] = change
        self.n_changes += 1
        if self.n_changes == BLOCK:
            self.matrix -= self.changes @ self.changes.T
            self.n_changes = 0
