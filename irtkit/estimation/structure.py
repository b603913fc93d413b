"""Which item parameters are free, which are held fixed, which must be equal.

Models ask for some of it (one slope for all 1PL items), analysts for more (`Fixed`, `Equal`).
`Structure` numbers the free parameters and solves Newton's equations for them: an item's own
parameters hang together with nothing but the shared ones, so the system has the shape of an
arrow and is solved item by item, with one small system for what is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.errors import ModelError, listing, shown
from irtkit.models import Assignment, SlopeRule

TINY_CURVATURE = 1e-10  # against items that no node informs about any more


@dataclass(frozen=True, slots=True)
class Fixed:
    """Hold a parameter at a value.

    Parameters
    ----------
    parameter : str
        As in the model's parameter names: "slope", "intercept", "logit_lower", ...
    value : float
    items : tuple of str
        For these items.
    """

    parameter: str
    value: float
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Equal:
    """Let items share one value of a parameter, which is estimated.

    Parameters
    ----------
    parameter : str
    items : tuple of str
    """

    parameter: str
    items: tuple[str, ...]


Constraint = Fixed | Equal


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """The free parameters of a set of items.

    Attributes
    ----------
    index : array of int, shape (I, D)
        Number of the free parameter in each cell, shared ones first; -1 where fixed or unused.
    n_shared : int
        How many free parameters stand in more than one cell.
    fixed : array, shape (I, D)
        Values of the fixed cells; NaN elsewhere.
    movable : bool
        Whether theta may change location and scale: nothing is fixed, and only slopes shared.
    """

    index: IntArray
    n_shared: int
    fixed: FloatArray
    movable: bool

    @classmethod
    def of(
        cls, assignment: Assignment, items: Sequence[str], constraints: Sequence[Constraint] = ()
    ) -> Structure:
        """Number the free parameters.

        Raises
        ------
        ModelError
            If a constraint names an item or parameter that is not there, or two contradict.
        """
        used, slopes = assignment.used(), assignment.slopes()
        label = np.where(used, np.arange(used.size).reshape(used.shape), -1)  # (I, D)
        for rule in (SlopeRule.EQUAL, SlopeRule.UNIT):
            same = np.array([model.slope_rule is rule for model in assignment.models])
            if same.any():
                label[same, 0] = label[same, 0].min()
        fixed = np.full(used.shape, np.nan)
        place_of = {item: place for place, item in enumerate(items)}
        for constraint in constraints:
            cells = [_cell(assignment, place_of, item, constraint) for item in constraint.items]
            if isinstance(constraint, Fixed):
                for cell in cells:
                    if np.isfinite(fixed[cell]) and fixed[cell] != constraint.value:
                        raise ModelError(
                            f"The {constraint.parameter} of item {shown(items[cell[0]])} is fixed "
                            f"at both {fixed[cell]:g} and {constraint.value:g}."
                        )
                    fixed[cell] = constraint.value
            elif cells:
                tied = np.isin(label, [label[cell] for cell in cells])
                label[tied] = label[cells[0]]
        for number in np.unique(label[np.isfinite(fixed)]):  # equal to a fixed one: fixed too
            values = np.unique(fixed[(label == number) & np.isfinite(fixed)])
            if len(values) > 1:
                raise ModelError(
                    f"Parameters that must be equal are fixed at {values[0]:g} and {values[1]:g}."
                )
            fixed[label == number] = values[0]
        label[np.isfinite(fixed)] = -1
        numbers, counts = np.unique(label[label >= 0], return_counts=True)
        order = np.concatenate([numbers[counts > 1], numbers[counts == 1]])
        rank = np.full(used.size + 1, -1)
        rank[order] = np.arange(len(order))
        index = np.where(label >= 0, rank[label], -1)
        n_shared = int((counts > 1).sum())
        shared_slopes_only = not ((index >= 0) & (index < n_shared) & ~slopes).any()
        movable = bool(shared_slopes_only and not np.isfinite(fixed).any())
        return cls(index, n_shared, fixed, movable)

    @property
    def n_free(self) -> int:
        """Number of free parameters."""
        return int(self.index.max(initial=-1)) + 1

    @property
    def free(self) -> BoolArray:
        """Which cells hold a free parameter, shape (I, D)."""
        return self.index >= 0

    @property
    def shared(self) -> BoolArray:
        """Which cells hold a shared parameter, shape (I, D)."""
        return (self.index >= 0) & (self.index < self.n_shared)

    def held_together(self) -> BoolArray:
        """Which items hang together with others, shape (I,)."""
        return np.asarray(self.shared.any(axis=1))

    def obeyed(self, parameters: FloatArray) -> FloatArray:
        """Return parameters with fixed values put in and shared ones averaged."""
        values = np.where(np.isfinite(self.fixed), self.fixed, parameters)
        if self.n_shared:
            cells = self.shared
            number = self.index[cells]
            mean = np.bincount(number, values[cells]) / np.bincount(number)
            values[cells] = mean[number]
        return values

    def collected(self, gradient: FloatArray) -> FloatArray:
        """Add up a gradient (I, D) over the cells of each free parameter, shape (n_free,)."""
        cells = self.free
        return np.asarray(
            np.bincount(self.index[cells], gradient[cells], minlength=self.n_free), np.float64
        )

    def newton(
        self,
        gradient: FloatArray,
        information: FloatArray,
        held: BoolArray,
        moved: FloatArray,
    ) -> FloatArray:
        """Newton's step for the free parameters.

        Parameters
        ----------
        gradient : array, shape (I, D)
        information : array, shape (I, D, D)
        held : array of bool, shape (I, D)
            Cells whose step is decided already.
        moved : array, shape (I, D)
            That step; zero elsewhere.

        Returns
        -------
        array, shape (I, D)
        """
        n_parameters = gradient.shape[1]
        own = (self.index >= self.n_shared) & ~held
        pull = gradient
        if held.any():
            pull = gradient - np.einsum("ide,ie->id", information, moved)
        eye = np.eye(n_parameters)
        matrix = np.where(own[:, :, None] & own[:, None, :], information, eye)
        matrix = matrix + TINY_CURVATURE * eye
        right = np.where(own, pull, 0.0)[:, :, None]  # (I, D, 1)
        if not self.n_shared:
            return _solved(matrix, right)[:, :, 0] + moved
        shared = self.shared & ~held
        link = np.where(own[:, :, None] & shared[:, None, :], information, 0.0)  # (I, D, D)
        both = _solved(matrix, np.concatenate([right, link], axis=2))  # (I, D, 1 + D)
        back = np.swapaxes(link, 1, 2) @ both  # (I, D, 1 + D)
        block = np.where(shared[:, :, None] & shared[:, None, :], information, 0.0) - back[..., 1:]
        rest = np.where(shared, pull, 0.0) - back[..., 0]  # (I, D)
        number = np.where(shared, self.index, 0)  # (I, D); unshared cells add zero
        system = np.zeros((self.n_shared, self.n_shared))
        np.add.at(system, (number[:, :, None], number[:, None, :]), block)
        target = np.bincount(number.ravel(), rest.ravel(), minlength=self.n_shared)
        common = np.linalg.solve(system + TINY_CURVATURE * np.eye(self.n_shared), target)
        step = np.where(shared, common[number], 0.0)
        return both[..., 0] - np.einsum("ide,ie->id", both[..., 1:], step) + step + moved


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve many small systems (I, D, D) x = (I, D, n); two by two in closed form."""
    if matrix.shape[1] != 2:
        return np.asarray(np.linalg.solve(matrix, right), float)
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    determinant = (a * d - b * c)[:, None]
    top = (d[:, None] * right[:, 0] - b[:, None] * right[:, 1]) / determinant
    bottom = (a[:, None] * right[:, 1] - c[:, None] * right[:, 0]) / determinant
    return np.stack([top, bottom], axis=1)


def _cell(
    assignment: Assignment, place_of: dict[str, int], item: str, constraint: Constraint
) -> tuple[int, int]:
    if item not in place_of:
        raise ModelError(
            f"A constraint on the {constraint.parameter} names item {shown(item)}, which is not "
            "among the items to calibrate (unknown, or everybody answered it alike)."
        )
    place = place_of[item]
    names = assignment.names(place)
    if constraint.parameter not in names:
        raise ModelError(
            f"Item {shown(item)} has no parameter {shown(constraint.parameter)}; the "
            f"{assignment.models[place].name} model has {listing(names, 12)}."
        )
    return place, names.index(constraint.parameter)
