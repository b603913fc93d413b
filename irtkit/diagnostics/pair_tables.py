r"""Two-way tables of item pairs, observed and expected, in blocks of items by blocks of items.

The K x L table of a pair counts the persons who answered both items; the model expects

.. math:: E_{kl} = n_{ij} \sum_q P_i(k \mid \theta_q) P_j(l \mid \theta_q) w_q

so that the tables of all pairs of two blocks are two matrix products: of category indicators over
the persons, and of category probabilities over the nodes. Every cell is such a sum; none is a
difference that could lose its digits. Missing answers are zeros in all indicators. Answers kept
sparse stay so. Counts are summed in single precision while that is exact.

Statistics of the tables are in `pair_statistics.py`, Q3 in `pair_residuals.py`; both are put
together in `local_dependence.py`.

References
----------
Chen, W.-H., & Thissen, D. (1997). Local dependence indexes for item pairs using item response
    theory. Journal of Educational and Behavioral Statistics, 22(3), 265-289.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.estimation.calibration import Calibration
from irtkit.models import Assignment
from irtkit.models.assignment import Places
from irtkit.responses import Responses
from irtkit.storage import DENSE_CELLS
from irtkit.threads import spread

# Below this a correlation's standard error is above 1/3 and a 2 x 2 table has cells of two or
# three persons: neither says anything about a pair.
FEWEST_COMMON = 10
BLOCK_COLUMNS = 512  # item categories in a block, so that its tables fit the cache
FEWEST_IN_BLOCK = 16
CHUNK_CELLS = 250_000
FEWEST_IN_CHUNK = 64
EXACT_COUNT = 2**24  # up to here single precision counts exactly
WORTH_THREADS = 100_000
SPARSE_SHARE = 0.06  # share answered at which sparse products are as fast as dense ones


@dataclass(frozen=True, slots=True, eq=False)
class ItemBlock:
    """Some items with the same number of categories.

    Attributes
    ----------
    number : int
        Place among the blocks.
    places : array of int, shape (B,)
        Which items, rising.
    n_categories : int
    assignment : Assignment
        The models of these items.
    parameters : array, shape (B, D)
    """

    number: int
    places: IntArray
    n_categories: int
    assignment: Assignment
    parameters: FloatArray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def where(self) -> Places:
        """The places as a slice if they are neighbours, which copies nothing."""
        start, stop = int(self.places[0]), int(self.places[-1]) + 1
        return slice(start, stop) if stop - start == len(self.places) else self.places


def item_blocks(calibration: Calibration) -> list[ItemBlock]:
    """Cut the items into blocks, by number of categories."""
    blocks: list[ItemBlock] = []
    sizes = calibration.assignment.n_categories
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size)
        width = max(FEWEST_IN_BLOCK, BLOCK_COLUMNS // size)
        for start in range(0, len(places), width):
            part = places[start : start + width]
            assignment = calibration.assignment.at(part)
            parameters = calibration.parameters[part]
            blocks.append(ItemBlock(len(blocks), part, size, assignment, parameters))
    return blocks


def block_pairs(blocks: Sequence[ItemBlock]) -> list[tuple[ItemBlock, ItemBlock]]:
    """Every pair of blocks once, a block with itself included."""
    return [(first, second) for first in blocks for second in blocks[first.number :]]


@dataclass(frozen=True, slots=True, eq=False)
class PairAnswers:
    """Answers ready for products of item columns.

    Attributes
    ----------
    codes : array of int8 (P, I), -1 where missing; or CSC of code + 1
    weights : array, shape (P,), or None
        How many persons each row stands for; None if all stand for one.
    complete : bool
        Whether all cells are answered.
    n_persons : float
        Sum of the weights.
    precision : dtype
        In which counts are summed.
    """

    codes: Any
    weights: FloatArray | None
    complete: bool
    n_persons: float
    precision: npt.DTypeLike

    @classmethod
    def of(cls, responses: Responses) -> PairAnswers:
        """Prepare responses, held in the way that makes the products fast."""
        weights, codes = responses.weights, _held(responses)
        total = float(weights.sum())
        exact = total <= EXACT_COUNT and not (weights % 1.0).any()
        return cls(
            codes,
            None if (weights == 1.0).all() else weights,
            not sp.issparse(codes) and bool(codes.min(initial=0) != MISSING),
            total,
            np.float32 if exact else np.float64,
        )

    def chunks(self, width: int) -> list[slice]:
        """Slices of persons whose `width` columns fit the cache; all at once if sparse."""
        n_persons = self.codes.shape[0]
        size = n_persons if sp.issparse(self.codes) else max(FEWEST_IN_CHUNK, CHUNK_CELLS // width)
        starts = range(0, n_persons, max(size, 1))
        return [slice(start, min(start + size, n_persons)) for start in starts]

    def worth_threads(self, width: int) -> bool:
        """Whether a pass over all persons is enough work for several threads."""
        return bool(self.codes.shape[0] * width > WORTH_THREADS)

    def part(self, block: ItemBlock, rows: slice) -> Any:
        """Codes of some persons on a block's items."""
        everybody = isinstance(self.codes, sp.csc_array)
        return self.codes[slice(None) if everybody else rows, block.where]

    def weighted(self, values: Any, rows: slice) -> Any:
        """Multiply the rows of `values` (p, n), dense or sparse, by the persons' weights."""
        if self.weights is None:
            return values
        heavy = self.weights[rows, None].astype(values.dtype)
        return values * heavy if isinstance(values, np.ndarray) else values.multiply(heavy).tocsc()

    def indicators(self, block: ItemBlock, rows: slice) -> Any:
        """1 where a category was chosen, shape (p, K b), the categories one after another."""
        codes = self.part(block, rows)
        if isinstance(codes, sp.csc_array):
            column = (codes.data.astype(np.int64) - 1) * len(block) + stored_columns(codes)
            ones = np.ones(len(codes.data), dtype=self.precision)
            shape = (codes.shape[0], block.n_categories * len(block))
            return sp.csc_array((ones, (codes.indices, column)), shape=shape)
        chosen = np.empty((len(codes), block.n_categories, len(block)), dtype=self.precision)
        for k in range(block.n_categories):
            np.equal(codes, k, out=chosen[:, k])
        return chosen.reshape(len(codes), -1)

    def seen(self, block: ItemBlock, rows: slice, dtype: npt.DTypeLike) -> Any:
        """1 where any category was chosen, shape (p, b)."""
        codes = self.part(block, rows)
        if isinstance(codes, sp.csc_array):
            ones = np.ones(len(codes.data), dtype=dtype)
            return sp.csc_array((ones, codes.indices, codes.indptr), shape=codes.shape)
        return (codes != MISSING).astype(dtype)


def _held(responses: Responses) -> Any:
    """Codes as CSC of code + 1 where few are answered or memory demands it, else dense."""
    codes, cells = responses.codes, responses.n_persons * responses.n_items
    if isinstance(codes, np.ndarray) and codes.min(initial=0) != MISSING:
        return codes
    few = responses.n_answered().sum() < SPARSE_SHARE * cells
    if isinstance(codes, sp.csr_array):
        return codes.tocsc() if few or cells > DENSE_CELLS else responses.dense()
    return sp.csc_array(codes + np.int8(1)) if few else codes


def stored_columns(codes: sp.csc_array) -> IntArray:
    """Column of each stored cell."""
    return np.repeat(np.arange(codes.shape[1]), np.diff(codes.indptr))


def product(left: Any, right: Any) -> npt.NDArray[Any]:
    """Sums over the persons of left (p, m) times right (p, n), dense, shape (m, n)."""
    sums = left.T @ right
    return sums if isinstance(sums, np.ndarray) else sums.toarray()


def observed_tables(
    answers: PairAnswers, first: ItemBlock, second: ItemBlock
) -> npt.NDArray[np.floating[Any]]:
    """Weighted counts of the persons in each cell, shape (K, L, a, b)."""
    width = sum(block.n_categories * len(block) for block in {first, second})

    def summed(share: Sequence[slice]) -> npt.NDArray[Any]:
        sums: Any = 0.0
        for rows in share:
            left = answers.indicators(first, rows)
            right = left if first is second else answers.indicators(second, rows)
            sums = sums + product(answers.weighted(left, rows), right)
        return sums

    parts = spread(summed, answers.chunks(width), answers.worth_threads(width))
    return _cells(sum(parts[1:], parts[0]), first, second)


def common_persons(
    answers: PairAnswers, first: ItemBlock, second: ItemBlock
) -> npt.NDArray[np.floating[Any]]:
    """Weighted count of the persons who answered both items, shape (a, b)."""
    if answers.complete:
        return np.full((len(first), len(second)), answers.n_persons)
    sums: Any = 0.0
    for rows in answers.chunks(len(first) + len(second)):
        left = answers.seen(first, rows, answers.precision)
        right = left if first is second else answers.seen(second, rows, answers.precision)
        sums = sums + product(answers.weighted(left, rows), right)
    return sums


def chances(block: ItemBlock, calibration: Calibration) -> FloatArray:
    """Category probabilities at the nodes times the root of the weight, shape (Q, K b)."""
    nodes = calibration.nodes()
    log_prob = block.assignment.log_prob(block.parameters, nodes.theta)  # (Q, b, K)
    log_prob = log_prob + 0.5 * nodes.log_weights[:, None, None]
    return np.exp(np.swapaxes(log_prob, 1, 2)).reshape(len(nodes.theta), -1)


def expected_shares(
    tables: Sequence[FloatArray], first: ItemBlock, second: ItemBlock
) -> FloatArray:
    """Model probability of each cell, from the blocks' `chances`, shape (K, L, a, b)."""
    return _cells(tables[first.number].T @ tables[second.number], first, second)


def _cells(sums: npt.NDArray[Any], first: ItemBlock, second: ItemBlock) -> npt.NDArray[Any]:
    shape = first.n_categories, len(first), second.n_categories, len(second)
    return sums.reshape(shape).transpose(0, 2, 1, 3)


@dataclass(frozen=True, slots=True, eq=False)
class PairTables:
    """Tables of some pairs of two blocks.

    Attributes
    ----------
    blocks : two ItemBlocks
    chosen : array of int, shape (n,)
        The pairs, as places in the flattened (a, b) pairs of the blocks.
    observed, expected : array, shape (K, L, n)
    n_both : array, shape (n,)
        Persons who answered both items.
    n_both_block : array, shape (a, b)
        The same for all pairs of the blocks.
    """

    blocks: tuple[ItemBlock, ItemBlock]
    chosen: IntArray
    observed: FloatArray
    expected: FloatArray
    n_both: FloatArray
    n_both_block: FloatArray

    @classmethod
    def of(
        cls,
        answers: PairAnswers,
        blocks: tuple[ItemBlock, ItemBlock],
        tables: Sequence[FloatArray],
        fewest: float,
    ) -> PairTables | None:
        """Count the pairs that at least `fewest` persons answered both of; None without any."""
        first, second = blocks
        observed = observed_tables(answers, first, second)
        n_both = observed.sum(axis=(0, 1), dtype=np.float64)  # (a, b)
        wanted = n_both >= fewest
        if first is second:
            wanted &= np.arange(len(first))[:, None] < np.arange(len(second))
        chosen = np.flatnonzero(wanted)
        if not len(chosen):
            return None
        expected = expected_shares(tables, first, second)
        counts = n_both.ravel()[chosen]
        return cls(
            blocks,
            chosen,
            _flat(observed, chosen).astype(np.float64),
            _flat(expected, chosen) * counts,
            counts,
            n_both,
        )

    @property
    def df(self) -> int:
        """Degrees of freedom, (K - 1)(L - 1)."""
        first, second = self.blocks
        return (first.n_categories - 1) * (second.n_categories - 1)

    def items(self) -> tuple[IntArray, IntArray]:
        """The two items of each pair, the earlier one first, each of shape (n,)."""
        first, second = self.blocks
        row, column = np.divmod(self.chosen, len(second))
        one, other = first.places[row], second.places[column]
        return np.minimum(one, other), np.maximum(one, other)

    def at(self, places: IntArray) -> PairTables:
        """The tables of some of the pairs."""
        return PairTables(
            self.blocks,
            self.chosen[places],
            self.observed[:, :, places],
            self.expected[:, :, places],
            self.n_both[places],
            self.n_both_block,
        )


def _flat(cells: npt.NDArray[Any], chosen: IntArray) -> npt.NDArray[Any]:
    """Cells (K, L, a, b) of the chosen pairs, shape (K, L, n)."""
    flat = cells.reshape(*cells.shape[:2], -1)
    return flat if len(chosen) == flat.shape[2] else flat[:, :, chosen]


def numbered(first: IntArray, second: IntArray, n_items: int) -> IntArray:
    """Place of each pair, first < second, among all pairs in the order of the items."""
    return first * (2 * n_items - first - 1) // 2 + second - first - 1
