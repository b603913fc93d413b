"""Which model each item has: one array of parameters for items of several families.

`Assignment` evaluates a whole set of items. Parameters are held in one array (I, D), D being the
largest number of parameters of an item; columns that an item does not use are NaN. Categories
that an item does not have get log-probability minus infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.models.divide_by_total import DivideByTotal
from irtkit.models.item_model import ItemModel

Places = slice | IntArray
CHUNK_CELLS = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Items that share a model and a number of categories.

    Attributes
    ----------
    model : ItemModel
    n_categories : int
    n_parameters : int
    places : slice or array of int
        Where these items stand among all.
    """

    model: ItemModel
    n_categories: int
    n_parameters: int
    places: Places


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """The model and the number of categories of each item.

    Attributes
    ----------
    models : tuple of ItemModel
        One an item.
    n_categories : array of int, shape (I,)
    families : tuple of Family
    """

    models: tuple[ItemModel, ...]
    n_categories: IntArray
    families: tuple[Family, ...]

    @classmethod
    def of(cls, models: Sequence[ItemModel], n_categories: npt.ArrayLike) -> Assignment:
        """Group the items by model and number of categories, in order of appearance."""
        sizes = np.asarray(n_categories, dtype=np.int64)  # (I,)
        groups: dict[tuple[ItemModel, int], list[int]] = {}
        for place, kind in enumerate(zip(models, sizes.tolist(), strict=True)):
            groups.setdefault(kind, []).append(place)
        families = tuple(
            Family(
                model,
                size,
                len(model.parameter_names(size)),
                slice(None) if len(groups) == 1 else np.array(places, dtype=np.int64),
            )
            for (model, size), places in groups.items()
        )
        return cls(tuple(models), frozen(sizes, np.int64), families)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.models)

    @property
    def n_parameters(self) -> int:
        """Largest number of parameters of an item, D."""
        return max(family.n_parameters for family in self.families)

    @property
    def linear(self) -> bool:
        """Whether all items are divide-by-total models."""
        return all(isinstance(family.model, DivideByTotal) for family in self.families)

    @property
    def name(self) -> str:
        """The model's name, or all names if there are several."""
        return "+".join(sorted({family.model.name for family in self.families}))

    def tasks(self, n_nodes: int) -> Iterator[tuple[Family, Places]]:
        """Cut each family into groups of items whose tables at the nodes fit the cache."""
        for family in self.families:
            width = max(1, CHUNK_CELLS // (n_nodes * (family.n_categories - 1)))
            if isinstance(family.places, slice):
                for start in range(0, self.n_items, width):
                    yield family, slice(start, min(start + width, self.n_items))
            else:
                for start in range(0, len(family.places), width):
                    yield family, family.places[start : start + width]

    def at(self, places: Sequence[int] | IntArray) -> Assignment:
        """Return the assignment of some items."""
        chosen = np.asarray(places, dtype=np.int64)
        return Assignment.of([self.models[place] for place in chosen], self.n_categories[chosen])

    def names(self, place: int) -> tuple[str, ...]:
        """Names of an item's parameters."""
        return self.models[place].parameter_names(int(self.n_categories[place]))

    def used(self) -> npt.NDArray[np.bool_]:
        """Which parameters each item has, shape (I, D)."""
        return np.arange(self.n_parameters) < self.per_item(lambda family: family.n_parameters)

    def slopes(self) -> npt.NDArray[np.bool_]:
        """Which parameters are slopes, shape (I, D)."""
        mask = np.zeros((self.n_items, self.n_parameters), dtype=bool)
        for family in self.families:
            mask[family.places, : family.n_parameters] = family.model.slopes(family.n_parameters)
        return mask

    def logits(self) -> npt.NDArray[np.bool_]:
        """Which parameters are logits of asymptotes, shape (I, D)."""
        mask = np.zeros((self.n_items, self.n_parameters), dtype=bool)
        for family in self.families:
            names = family.model.parameter_names(family.n_categories)
            for place, name in enumerate(names):
                mask[family.places, place] = name.startswith("logit_")
        return mask

    def per_item(self, number: Callable[[Family], int]) -> IntArray:
        """Spread a number of each family over its items, shape (I, 1)."""
        spread = np.empty((self.n_items, 1), dtype=np.int64)
        for family in self.families:
            spread[family.places] = number(family)
        return spread

    def part(self, family: Family, parameters: FloatArray) -> FloatArray:
        """Parameters of a family's items without the columns they do not use."""
        return parameters[family.places, : family.n_parameters]

    def spread(
        self, function: Callable[[ItemModel, FloatArray], FloatArray], parameters: FloatArray
    ) -> FloatArray:
        """Apply a function of (model, parameters) to each family and stack (..., I, n).

        The function returns items on its last axis but one; shorter last axes are filled with
        NaN.
        """
        parts = [function(f.model, self.part(f, parameters)) for f in self.families]
        if len(parts) == 1:
            return parts[0]
        widest = max(part.shape[-1] for part in parts)
        whole = np.full((*parts[0].shape[:-2], self.n_items, widest), np.nan)
        for family, part in zip(self.families, parts, strict=True):
            whole[..., family.places, : part.shape[-1]] = part
        return whole

    def log_prob(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-probability of each category: parameters (I, D), theta (Q,) -> (Q, I, K)."""
        table = self.spread(lambda model, part: model.log_prob(part, theta[:, None]), parameters)
        if len(self.families) > 1:
            absent = np.arange(table.shape[-1]) >= self.n_categories[:, None]  # (I, K)
            table[:, absent] = -np.inf
        return table

    def information(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Fisher information of each item about theta, shape (Q, I)."""
        return self.spread(
            lambda model, part: model.information(part, theta[:, None])[..., None], parameters
        )[..., 0]

    def expected_score(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Expected code of each item, shape (Q, I); for 0/1 items the chance of success."""
        return self.spread(
            lambda model, part: model.expected_score(part, theta[:, None])[..., None], parameters
        )[..., 0]

    def rescaled(self, parameters: FloatArray, mean: float, sd: float) -> FloatArray:
        """Parameters for z where theta = mean + sd z."""
        moved = parameters.copy()
        for family in self.families:
            moved[family.places, : family.n_parameters] = family.model.rescaled(
                self.part(family, parameters), mean, sd
            )
        return moved

    def feasible(self, parameters: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether each item's parameters give probabilities, shape (I,)."""
        whole = np.empty(self.n_items, dtype=bool)
        for family in self.families:
            whole[family.places] = family.model.feasible(self.part(family, parameters))
        return whole
