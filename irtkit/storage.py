"""How a person x item matrix of codes is held: dense int8, or CSR where few cells are filled.

Dense arrays hold -1 where unanswered. CSR arrays hold code + 1, so that no stored cell is zero.
Nothing here knows ids, keys or models: see `responses.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from irtkit.arrays import CodeArray, FloatArray, frozen
from irtkit.coding import MISSING

DENSE_CELLS = 50_000_000
SPARSE_SHARE = 0.2

Codes = CodeArray | sp.csr_array


def laid_out_wide(columns: Sequence[CodeArray], n_persons: int) -> Codes:
    """Put coded columns, one an item, beside each other."""
    dense = np.empty((n_persons, len(columns)), dtype=np.int8)
    for place, column in enumerate(columns):
        dense[:, place] = column
    return dense


def laid_out_long(
    codes: CodeArray,
    rows: npt.NDArray[np.int32],
    places: npt.NDArray[np.int32],
    shape: tuple[int, int],
) -> Codes:
    """Put single coded answers in their cells: dense, or CSR if they fill little of much."""
    answered = codes != MISSING
    codes, where = codes[answered], (rows[answered], places[answered])
    cells = shape[0] * shape[1]
    if cells > DENSE_CELLS and len(codes) < SPARSE_SHARE * cells:
        return sp.csr_array((codes + np.int8(1), where), shape=shape, dtype=np.int8)
    dense = np.full(shape, MISSING, dtype=np.int8)
    dense[where] = codes
    return dense


def dense(codes: Codes) -> CodeArray:
    """Return codes as a dense array, -1 where unanswered."""
    return codes.toarray() - np.int8(1) if isinstance(codes, sp.csr_array) else codes


def blocks(codes: Codes, size: int) -> Iterator[tuple[slice, CodeArray]]:
    """Yield slices of at most `size` persons with their dense codes."""
    for start in range(0, codes.shape[0], size):
        rows = slice(start, min(start + size, codes.shape[0]))
        yield rows, dense(codes[rows])


def graded(labels: CodeArray, right: npt.NDArray[np.int64] | np.int64) -> CodeArray:
    """Code each label 1 where it is the right one, else 0; unanswered stays so."""
    return np.where(labels == MISSING, MISSING, labels == right).astype(np.int8)


def graded_matrix(labels: Codes, right: npt.NDArray[np.int64]) -> Codes:
    """Grade a matrix of labels by the right one of each item, shape (I,)."""
    if not isinstance(labels, sp.csr_array):
        return graded(labels, right)
    codes = labels.copy()
    codes.data = graded(labels.data - np.int8(1), right[labels.indices]) + np.int8(1)
    return codes


def read_only(codes: Codes) -> Codes:
    """Return codes that can no longer be changed."""
    if isinstance(codes, sp.csr_array):
        codes.sort_indices()
        for part in (codes.data, codes.indices, codes.indptr):
            part.setflags(write=False)
        return codes
    return frozen(codes, np.int8)


def category_counts(codes: Codes, n_categories: int, weights: FloatArray) -> FloatArray:
    """Sum of the person weights in each category of each item, shape (I, K)."""
    n_items = codes.shape[1]
    if isinstance(codes, sp.csr_array):
        cell = codes.indices.astype(np.int64) * n_categories + (codes.data - 1)
        heavy = np.repeat(weights, np.diff(codes.indptr))
        flat = np.asarray(np.bincount(cell, heavy, n_items * n_categories), np.float64)
        return flat.reshape(n_items, n_categories)
    counts = np.zeros((n_items, n_categories))
    for rows, block in blocks(codes, 8192):
        for k in range(n_categories):
            counts[:, k] += weights[rows] @ (block == k)
    return counts


def answers_above(
    codes: Codes, n_categories: npt.NDArray[np.int64]
) -> tuple[int, int, int] | None:
    """Find the first answer beyond its item's categories (I,): person, item and code."""
    if isinstance(codes, sp.csr_array):
        cells = np.flatnonzero(codes.data > n_categories[codes.indices])
        if not len(cells):
            return None
        person = int(np.searchsorted(codes.indptr, cells[0], side="right")) - 1
        return person, int(codes.indices[cells[0]]), int(codes.data[cells[0]]) - 1
    largest = codes.max(axis=0, initial=MISSING)  # (I,)
    items = np.flatnonzero(largest >= n_categories)
    if not len(items):
        return None
    person = int(np.argmax((codes[:, items] >= n_categories[items]).any(axis=1)))
    item = int(items[np.argmax(codes[person, items] >= n_categories[items])])
    return person, item, int(codes[person, item])
