"""Strict access to the fields of a parsed JSON document, for the files that irtkit writes.

Every refusal names the place, such as ``items[3].slope``. Nothing is converted: a number that
was written as text is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import ScaleError, listing, shown


class Fields:
    """An object of a document whose fields are taken one by one; `done` refuses leftovers.

    Parameters
    ----------
    document : mapping
        A parsed JSON object.
    place : str
        Where it stands in the file, for messages; empty at the top.
    """

    def __init__(self, document: object, place: str = "") -> None:
        if not isinstance(document, Mapping):
            raise ScaleError(f"{place or 'The document'} should be an object with named fields.")
        self._left = dict(document)
        self._place = place

    def where(self, name: str) -> str:
        """Path of a field."""
        return f"{self._place}.{name}" if self._place else name

    def take(self, name: str) -> Any:
        """Return a required field of any kind."""
        if name not in self._left:
            raise ScaleError(f"The field {self.where(name)} is missing.")
        return self._left.pop(name)

    def text(self, name: str) -> str:
        """Return a required text."""
        return self._of(name, str, "text")

    def flag(self, name: str) -> bool:
        """Return a required truth value."""
        return self._of(name, bool, "true or false")

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a required finite number within a closed range."""
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ScaleError(f"{self.where(name)} is {shown(value)}; it should be a number.")
        if not math.isfinite(value) or not low <= value <= high:
            raise ScaleError(
                f"{self.where(name)} is {value!r}; it should be a number from {low:g} to {high:g}."
            )
        return float(value)

    def optional_number(
        self, name: str, low: float = -math.inf, high: float = math.inf
    ) -> float | None:
        """Return a required field that is a finite number within a closed range, or null."""
        return None if self._is_null(name) else self.number(name, low, high)

    def integer(self, name: str, low: int = 0) -> int:
        """Return a required whole number, at least `low`."""
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ScaleError(
                f"{self.where(name)} is {shown(value)}; it should be a whole number from {low}."
            )
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a required field that is text or null."""
        return None if self._is_null(name) else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a required list of texts."""
        values = self._of(name, list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise ScaleError(f"{self.where(name)} should hold nothing but text.")
        return tuple(values)

    def array(self, name: str, shape: tuple[int | None, ...]) -> FloatArray:
        """Return a required array of finite numbers; a None in `shape` admits any length."""
        values = self._of(name, list, "a list of numbers")
        flat = _numbers(values)
        array = np.array(values, dtype=np.float64) if flat else np.array(np.nan)
        wanted = len(shape) == array.ndim and all(
            n is None or n == m for n, m in zip(shape, array.shape, strict=True)
        )
        if not wanted or not np.isfinite(array).all():
            size = " x ".join("n" if n is None else str(n) for n in shape)
            raise ScaleError(f"{self.where(name)} should hold {size} finite numbers.")
        return array

    def optional_array(self, name: str, shape: tuple[int | None, ...]) -> FloatArray | None:
        """Return a required field that is an array of finite numbers or null."""
        return None if self._is_null(name) else self.array(name, shape)

    def child(self, name: str) -> Fields:
        """Return a required object."""
        return Fields(self.take(name), self.where(name))

    def children(self, name: str) -> list[Fields]:
        """Return a required list of objects."""
        values = self._of(name, list, "a list of objects")
        return [Fields(value, f"{self.where(name)}[{n}]") for n, value in enumerate(values)]

    def done(self) -> None:
        """Refuse fields that nobody took.

        Raises
        ------
        ScaleError
            With their names; a later version of irtkit may know them.
        """
        if self._left:
            place = f" in {self._place}" if self._place else ""
            raise ScaleError(
                f"Unknown fields{place}: {listing(sorted(self._left))}. The file may come from a "
                "later version of irtkit."
            )

    def _is_null(self, name: str) -> bool:
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return True
        return False

    def _of(self, name: str, kind: type, words: str) -> Any:
        value = self.take(name)
        if not isinstance(value, kind):
            raise ScaleError(f"{self.where(name)} is {shown(value)}; it should be {words}.")
        return value


def _numbers(values: Any) -> bool:
    if isinstance(values, list):
        return all(_numbers(value) for value in values) and len({_length(v) for v in values}) <= 1
    return isinstance(values, (int, float)) and not isinstance(values, bool)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else -1
