"""Which coordinate of a sampler's flat vector is which parameter of which item.

The vector holds hyperparameters, slopes, locations, lower and upper asymptotes, in this order;
locations and asymptotes stand item by item. Nothing here knows a density.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from irtkit.arrays import IntArray
from irtkit.errors import ModelError
from irtkit.estimation.structure import Structure
from irtkit.models import Assignment, DivideByTotal, Graded, Nominal, SlopeRule
from irtkit.models.assignment import Family

PLAIN, FALLING, STEPS = 0, 1, 2  # how an item's intercepts follow from its locations


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
    place_starts : array of int, shape (I + 1,)
        Where each item's locations begin among all L.
    kinds : array of int, shape (I,)
        PLAIN: the location is the intercept. FALLING: the locations are intercepts and fall.
        STEPS: the intercepts are their cumulative sums.
    lower, upper : array of int
        Items with that asymptote.
    """

    assignment: Assignment
    hyper: tuple[str, ...]
    slope_of: IntArray
    place_starts: IntArray
    kinds: IntArray
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
        n_asymptotes = assignment.logits().sum(axis=1)
        kinds = assignment.per_item(_kind)[:, 0]
        return cls(
            assignment,
            hyper,
            np.unique(label, return_inverse=True)[1].astype(np.int64),
            np.concatenate([[0], np.cumsum(assignment.n_categories - 1)]),
            kinds,
            np.flatnonzero(n_asymptotes >= 1),
            np.flatnonzero(n_asymptotes >= 2),
        )

    @property
    def n_slopes(self) -> int:
        """Number of distinct slopes, A."""
        return int(self.slope_of.max()) + 1

    @property
    def n_places(self) -> int:
        """Number of locations, L."""
        return int(self.place_starts[-1])

    @property
    def item_of(self) -> IntArray:
        """The item of each location, shape (L,)."""
        return np.repeat(np.arange(len(self.kinds)), np.diff(self.place_starts))

    @property
    def shared(self) -> bool:
        """Whether all items have one slope."""
        models = self.assignment.models
        return all(model.slope_rule is not SlopeRule.FREE for model in models)

    @property
    def unit(self) -> bool:
        """Whether the one slope is theta's SD (Rasch, partial credit)."""
        return self.assignment.models[0].slope_rule is SlopeRule.UNIT

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.parts()[-1].stop

    def parts(self) -> tuple[slice, slice, slice, slice, slice]:
        """Where hyperparameters, slopes, locations, lower and upper asymptotes stand."""
        sizes = (len(self.hyper), self.n_slopes, self.n_places, len(self.lower), len(self.upper))
        ends = np.cumsum((0, *sizes)).tolist()
        one, two, three, four, five = (slice(a, b) for a, b in pairwise(ends))
        return one, two, three, four, five

    def places(self, family: Family) -> IntArray:
        """Which locations belong to a family's items, shape (i, K - 1)."""
        return self.place_starts[:-1][family.places][:, None] + np.arange(family.n_categories - 1)


def _kind(family: Family) -> int:
    if family.n_categories == 2:
        return PLAIN
    if isinstance(family.model, Graded):
        return FALLING
    assert isinstance(family.model, DivideByTotal)
    return STEPS
