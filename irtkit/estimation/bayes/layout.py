"""Which coordinate of a sampler's flat vector is which parameter of which item.

The vector holds hyperparameters, slopes, locations, lower and upper asymptotes, in this order.
Locations stand family by family, then item by item. Nothing here knows a density.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irtkit.arrays import FloatArray, IntArray
from irtkit.errors import ModelError
from irtkit.estimation.structure import Structure
from irtkit.models import Assignment, DivideByTotal, Graded, Nominal, SlopeRule, ThreePL
from irtkit.models.assignment import Family


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The coordinates of one set of items.

    Attributes
    ----------
    assignment : Assignment
    hyper : tuple of str
        Names of the hyperparameters.
    slope_of : array of int, shape (I,)
        Which of the A distinct slopes each item has.
    item_of : array of int, shape (L,)
        The item of each location.
    lower, upper : array of int
        Items with that asymptote.
    """

    assignment: Assignment
    hyper: tuple[str, ...]
    slope_of: IntArray
    item_of: IntArray
    lower: IntArray
    upper: IntArray

    @classmethod
    def of(cls, assignment: Assignment, items: tuple[str, ...], hyper: tuple[str, ...]) -> Layout:
        """Lay out the coordinates.

        Raises
        ------
        ModelError
            For the nominal model, whose slopes have no common prior here.
        """
        if any(isinstance(model, Nominal) for model in assignment.models):
            raise ModelError(
                "The nominal model cannot be sampled: its slopes have no order and so no common "
                "prior. Use calibrate, or gpcm for ordered categories."
            )
        label = Structure.of(assignment, items).index[:, 0]
        slope_of = np.unique(label, return_inverse=True)[1].astype(np.int64)
        places = np.arange(assignment.n_items)
        item_of = [np.repeat(places[f.places], f.n_categories - 1) for f in assignment.families]
        n_asymptotes = assignment.logits().sum(axis=1)
        return cls(
            assignment,
            hyper,
            slope_of,
            np.concatenate(item_of),
            np.flatnonzero(n_asymptotes >= 1),
            np.flatnonzero(n_asymptotes >= 2),
        )

    @property
    def n_slopes(self) -> int:
        """Number of distinct slopes, A."""
        return int(self.slope_of.max()) + 1

    @property
    def unit(self) -> bool:
        """Whether the one slope is theta's SD (Rasch, partial credit)."""
        return self.assignment.models[0].slope_rule is SlopeRule.UNIT

    def parts(self) -> tuple[slice, slice, slice, slice, slice]:
        """Where hyperparameters, slopes, locations, lower and upper asymptotes stand."""
        sizes = (
            *(len(self.hyper), self.n_slopes, len(self.item_of)),
            *(len(self.lower), len(self.upper)),
        )
        ends = np.cumsum((0, *sizes)).tolist()
        one, two, three, four, five = (slice(a, b) for a, b in zip(ends, ends[1:], strict=False))
        return one, two, three, four, five

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.parts()[-1].stop

    def families(self) -> list[tuple[Family, slice]]:
        """Each family with its stretch of the locations."""
        start, found = 0, []
        for family in self.assignment.families:
            n = len(np.arange(self.assignment.n_items)[family.places])
            stop = start + n * (family.n_categories - 1)
            found.append((family, slice(start, stop)))
            start = stop
        return found

    def ordered(self, raw: FloatArray) -> FloatArray:
        """Locations (..., L) from their coordinates: those of graded items fall."""
        places = raw.copy()
        for family, part in self.families():
            if isinstance(family.model, Graded) and family.n_categories > 2:
                block = _split(raw[..., part], family)  # (..., i, K - 1)
                fall = np.cumsum(np.exp(block[..., 1:]), axis=-1)
                lower = block[..., :1] - fall
                places[..., part] = _flat(np.concatenate([block[..., :1], lower], axis=-1))
        return places

    def by_coordinates(self, raw: FloatArray, gradient: FloatArray) -> tuple[float, FloatArray]:
        """Log-Jacobian of `ordered`, and the gradient by coordinates (L,) from that by places."""
        jacobian, moved = 0.0, gradient.copy()
        for family, part in self.families():
            if isinstance(family.model, Graded) and family.n_categories > 2:
                block, slope = _split(raw[part], family), _split(gradient[part], family)
                above = np.cumsum(slope[:, ::-1], axis=1)[:, ::-1]  # sum from k on
                rest = 1.0 - np.exp(block[:, 1:]) * above[:, 1:]
                moved[part] = _flat(np.concatenate([above[:, :1], rest], axis=1))
                jacobian += float(block[:, 1:].sum())
        return jacobian, moved

    def parameters(self, slopes: FloatArray, places: FloatArray, logits: FloatArray) -> FloatArray:
        """Item parameters (..., I, D) from slopes (..., A), places (..., L), logits (..., I, 2).

        For Rasch and partial credit the slope is theta's SD, for theta on N(0, 1).
        """
        assignment = self.assignment
        shape = (*slopes.shape[:-1], assignment.n_items, assignment.n_parameters)
        parameters = np.full(shape, np.nan)
        parameters[..., 0] = slopes[..., self.slope_of]
        for family, part in self.families():
            block = _split(places[..., part], family)
            if isinstance(family.model, DivideByTotal):
                block = np.cumsum(block, axis=-1)
            parameters[..., family.places, 1 : family.n_categories] = block
            if isinstance(family.model, ThreePL):
                n = family.n_parameters - 2
                parameters[..., family.places, 2 : family.n_parameters] = logits[
                    ..., family.places, :n
                ]
        return parameters

    def by_places(self, gradient: FloatArray) -> FloatArray:
        """Gradient by the places (L,) from that by the parameters (I, D)."""
        found = np.empty(len(self.item_of))
        for family, part in self.families():
            block = gradient[family.places, 1 : family.n_categories]
            if isinstance(family.model, DivideByTotal):
                block = np.cumsum(block[:, ::-1], axis=1)[:, ::-1]
            found[part] = _flat(block)
        return found


def _split(values: FloatArray, family: Family) -> FloatArray:
    """(..., i (K - 1)) -> (..., i, K - 1)."""
    return values.reshape(*values.shape[:-1], -1, family.n_categories - 1)


def _flat(values: FloatArray) -> FloatArray:
    """(..., i, K - 1) -> (..., i (K - 1))."""
    return values.reshape(*values.shape[:-2], -1)
