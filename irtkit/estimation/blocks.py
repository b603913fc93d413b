"""Persons in blocks, ready for repeated passes of the E-step.

A block holds the codes of some persons of one group, sorted so that neighbours have similar
abilities, and makes indicator matrices of them: for complete, incomplete and sparse answers
alike, so that the E-step is one piece of code. Sparse answers are never made dense. Where only
sums over items are needed, indicators are packed bits (`packed.py`); else floating point, which is
kept if it fits in memory and otherwise made anew on each pass, a block at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import Backend, CodeArray, FloatArray, IntArray, to_numpy
from irtkit.coding import MISSING
from irtkit.estimation.packed import PackedBits
from irtkit.storage import Codes

BLOCK_CELLS = 100_000
BLOCK_PERSONS = (64, 1024)
PACKED_BLOCK_PERSONS = 2048
INCOMPLETE_BLOCK_CELLS = 4_000_000
SPARSE_BLOCK_PERSONS = 8192
DEVICE_BLOCK_PERSONS = 262_144
KEPT_BYTES = 2**29
LARGEST_PATTERN = 2**62
SAMPLED_PERSONS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some persons of one group.

    Attributes
    ----------
    number : int
        Place among the blocks.
    rows : array of int, shape (B,)
        Which persons.
    group : int
    weights : array, shape (B,)
        How many persons each row stands for.
    codes : array (B, I) of int8, or CSR of code + 1
    complete : bool
        Whether all cells are answered.
    n_categories : int
    """

    number: int
    rows: IntArray
    group: int
    weights: Any
    codes: Any
    complete: bool
    n_categories: int


@dataclass(frozen=True, slots=True, eq=False)
class Indicators:
    """The answers of a block as matrices of zeros and ones.

    Attributes
    ----------
    chosen : tuple of array or PackedBits, each of shape (B, I)
        1 where category k was chosen, for k = 1 .. K - 1.
    answered : array, shape (B, I), or None
        1 where any category was chosen; None if all were answered.
    """

    chosen: tuple[Any, ...]
    answered: Any | None


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """All persons, block by block.

    Attributes
    ----------
    blocks : tuple of Block
    n_persons, n_items, n_groups : int
    backend : Backend
    kept : dict
        Cache of the indicators, by block number.
    total : list
        Cache of `totals`.
    windows : dict
        Cache of the nodes that each block's posteriors need, by block and grid: see `em.py`.
    keeps : bool
        Whether indicators fit in memory.
    packed : bool
        Whether the chosen categories are packed bits.
    """

    blocks: tuple[Block, ...]
    n_persons: int
    n_items: int
    n_groups: int
    backend: Backend
    keeps: bool
    packed: bool
    kept: dict[int, Indicators] = field(default_factory=dict)
    windows: dict[tuple[int, int, float], slice] = field(default_factory=dict)
    total: list[Any] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        codes: Codes,
        weights: FloatArray,
        n_categories: int,
        *,
        groups: IntArray | None = None,
        order: IntArray | None = None,
        backend: Backend | None = None,
        packed: bool = False,
    ) -> Blocks:
        """Cut persons into blocks, by group, in the given order.

        Parameters
        ----------
        codes : array of int8 (P, I), -1 where missing; or CSR of code + 1
        weights : array, shape (P,)
        n_categories : int
        groups : array of int, shape (P,), optional
        order : array of int, shape (P,), optional
            Persons of similar ability next to each other.
        backend : Backend, optional
        packed : bool
            Pack the chosen categories where they are dense NumPy arrays: for models that need
            only sums over items.
        """
        backend = backend or Backend()
        packed = packed and backend.name == "numpy" and not sp.issparse(codes)
        n_persons, n_items = codes.shape
        order = np.arange(n_persons) if order is None else order
        groups = np.zeros(n_persons, dtype=np.int64) if groups is None else groups
        n_groups = int(groups.max(initial=0)) + 1
        size = _block_size(codes, backend, packed)
        made: list[Block] = []
        for group in range(n_groups):
            members = order[groups[order] == group] if n_groups > 1 else order
            for start in range(0, len(members), size):
                rows = members[start : start + size]
                part = codes[rows]
                if sp.issparse(part):
                    complete = False
                else:
                    complete = bool((part != MISSING).all())
                    part = backend.array(part)
                weight = backend.array(weights[rows])
                made.append(Block(len(made), rows, group, weight, part, complete, n_categories))
        cells = codes.nnz if isinstance(codes, sp.csr_array) else codes.size
        width = (n_categories - 1) + any(not block.complete for block in made)
        keeps = cells * width * 8 <= KEPT_BYTES
        return cls(tuple(made), n_persons, n_items, n_groups, backend, keeps, packed)

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def complete(self) -> bool:
        """Whether everybody answered everything."""
        return all(block.complete for block in self.blocks)

    @property
    def cells(self) -> int:
        """Persons times items."""
        return self.n_persons * self.n_items

    def indicators(self, block: Block) -> Indicators:
        """Return a block's answers as matrices."""
        if block.number in self.kept:
            found = self.kept[block.number]
            if found.answered is not None or block.complete:
                return found
            return Indicators(found.chosen, _answered(block, self.backend.namespace()))
        xp = self.backend.namespace()
        made = self._packed_bits(block) if self.packed else _indicators(block, xp)
        if self.keeps:
            self.kept[block.number] = made
        elif self.packed:
            self.kept[block.number] = Indicators(made.chosen, None)
        return made

    def _packed_bits(self, block: Block) -> Indicators:
        above = range(1, block.n_categories)
        return Indicators(
            tuple(PackedBits.of(block.codes == k) for k in above), _answered(block, np)
        )

    def unpacked(self, block: Block) -> Indicators:
        """Return a block's answers as floating-point matrices, not kept."""
        return _indicators(block, self.backend.namespace())

    def totals(self) -> Any:
        """Weighted number of persons who chose each category above the first, (K - 1, I)."""
        if not self.total:
            xp = self.backend.namespace()
            sums: Any = 0.0
            for block in self.blocks:
                weight = block.weights[:, None]
                chosen = self.indicators(block).chosen
                sums = sums + xp.stack([(part.T @ weight)[:, 0] for part in chosen])
            self.total.append(sums)
        return self.total[0]

    def on_numpy(self) -> Blocks:
        """The same persons in blocks of the usual size for NumPy."""
        made: list[Block] = []
        for block in self.blocks:
            codes = np.asarray(block.codes.cpu().numpy())
            weights = to_numpy(block.weights)
            for start in range(0, len(weights), BLOCK_PERSONS[1]):
                part = slice(start, start + BLOCK_PERSONS[1])
                made.append(
                    replace(
                        block,
                        number=len(made),
                        rows=block.rows[part],
                        weights=weights[part],
                        codes=codes[part],
                    )
                )
        return Blocks(
            tuple(made), self.n_persons, self.n_items, self.n_groups, Backend(), False, False
        )

    def weight(self) -> FloatArray:
        """Sum of the person weights of each group, shape (G,)."""
        total = np.zeros(self.n_groups)
        for block in self.blocks:
            total[block.group] += float(block.weights.sum())
        return total


def _block_size(codes: Codes, backend: Backend, packed: bool) -> int:
    """Persons in a block, so that what is made of them fits the cache, or at least memory."""
    if backend.name != "numpy":
        return DEVICE_BLOCK_PERSONS
    if isinstance(codes, sp.csr_array):
        return SPARSE_BLOCK_PERSONS
    fewest, most = BLOCK_PERSONS
    if packed and codes.min(initial=0) != MISSING:
        return PACKED_BLOCK_PERSONS
    if packed:
        return min(max(INCOMPLETE_BLOCK_CELLS // codes.shape[1], fewest), PACKED_BLOCK_PERSONS)
    return min(max(BLOCK_CELLS // codes.shape[1], fewest), most)


def _indicators(block: Block, xp: Any) -> Indicators:
    codes, above = block.codes, range(1, block.n_categories)
    if isinstance(codes, sp.csr_array):
        return Indicators(
            tuple(_cells(codes, (codes.data == k + 1).astype(np.float64)) for k in above),
            _cells(codes, np.ones(codes.nnz)),
        )
    if block.complete and block.n_categories == 2:
        return Indicators((xp.astype(codes, xp.float64),), None)
    return Indicators(
        tuple(xp.astype(codes == k, xp.float64) for k in above), _answered(block, xp)
    )


def _answered(block: Block, xp: Any) -> Any | None:
    return None if block.complete else xp.astype(block.codes >= 0, xp.float64)


def _cells(codes: sp.csr_array, values: FloatArray) -> sp.csr_array:
    """Return a CSR array with the same cells and other values."""
    return sp.csr_array((values, codes.indices, codes.indptr), shape=codes.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Persons as the engine sees them: codes, weights and groups, equal rows put together.

    Attributes
    ----------
    codes : array of int8 (P, I), or CSR of code + 1
    weights : array, shape (P,)
    groups : array of int, shape (P,)
    """

    codes: Codes
    weights: FloatArray
    groups: IntArray

    def collapsed(self, n_categories: int) -> Rows:
        """Put persons with the same answers into one row, where that makes far fewer rows.

        A sample of the persons tells whether it pays; only tests short enough for a pattern to
        fit one integer are tried.
        """
        base = n_categories + 1
        n_groups = int(self.groups.max(initial=0)) + 1
        if not isinstance(self.codes, np.ndarray):
            return self
        if base ** self.codes.shape[1] * n_groups > LARGEST_PATTERN or len(self.codes) < 2:
            return self
        step = max(1, len(self.codes) // SAMPLED_PERSONS)
        sample = _patterns(self.codes[::step], self.groups[::step], base)
        if len(np.unique(sample)) > 0.5 * len(sample):
            return self
        pattern = _patterns(self.codes, self.groups, base)
        _, first, inverse = np.unique(pattern, return_index=True, return_inverse=True)
        weights = np.asarray(np.bincount(inverse, self.weights, len(first)), np.float64)
        return replace(self, codes=self.codes[first], weights=weights, groups=self.groups[first])


def _patterns(codes: CodeArray, groups: IntArray, base: int) -> IntArray:
    """Number each row's answers and group by one integer, shape (P,)."""
    number = groups.astype(np.int64)
    for column in codes.T:
        number = number * base + (column.astype(np.int64) + 1)
    return number
