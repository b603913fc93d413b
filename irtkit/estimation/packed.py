"""A matrix of zeros and ones, eight items a byte, that multiplies by looking bytes up.

`PackedBits` stands where the E-step needs an indicator matrix (B, I) only in products with a few
columns. ``matrix @ table`` adds up, for each person, one looked-up partial sum for each byte;
``matrix.T @ values`` counts values by byte first. Both do an eighth of the additions and read an
eighth of the memory of a product of floating-point matrices, and round no differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from irtkit.arrays import BoolArray, FloatArray

BYTE = 256
BITS = np.unpackbits(np.arange(BYTE, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(
    np.float64
)  # (256, 8)


@dataclass(frozen=True, slots=True, eq=False)
class PackedBits:
    """Zeros and ones of shape (B, I).

    Attributes
    ----------
    index : array of int, shape (G, B)
        Byte g of each person, plus 256 g.
    n_items : int
    """

    index: npt.NDArray[np.intp]
    n_items: int

    @classmethod
    def of(cls, matrix: BoolArray) -> PackedBits:
        """Pack a matrix of truth values."""
        packed = np.packbits(matrix, axis=1, bitorder="little").T  # (G, B)
        offsets = BYTE * np.arange(len(packed), dtype=np.intp)
        return cls(
            np.ascontiguousarray(packed.astype(np.intp) + offsets[:, None]), matrix.shape[1]
        )

    @property
    def T(self) -> Transposed:
        """The matrix with persons and items exchanged."""
        return Transposed(self)

    def __matmul__(self, table: FloatArray) -> FloatArray:
        """Multiply by a table (I, n), giving (B, n)."""
        n_bytes, n_persons = self.index.shape
        padded = np.zeros((8 * n_bytes, table.shape[1]))
        padded[: self.n_items] = table
        result = np.empty((n_persons, table.shape[1]))
        for column in range(table.shape[1]):
            partial = padded[:, column].reshape(n_bytes, 8) @ BITS.T  # (G, 256)
            result[:, column] = np.take(partial.ravel(), self.index).sum(axis=0)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Transposed:
    """The transpose of packed bits, for products alone."""

    matrix: PackedBits

    def __matmul__(self, values: FloatArray) -> FloatArray:
        """Multiply by values (B, n), giving (I, n)."""
        index, n_items = self.matrix.index, self.matrix.n_items
        n_bytes = len(index)
        result = np.empty((n_items, values.shape[1]))
        flat = index.ravel()
        for column in range(values.shape[1]):
            repeated = np.tile(values[:, column], n_bytes)
            by_byte = np.bincount(flat, repeated, n_bytes * BYTE).reshape(n_bytes, BYTE)
            result[:, column] = (by_byte @ BITS).ravel()[:n_items]
        return result


Matrix = Any  # of zeros and ones: a float array, a CSR array or packed bits
