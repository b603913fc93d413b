"""What all methods for differential item functioning share: options, what is compared, results.

`Study` is the question, `ItemTests` the answer for all items in a row; `dif.py` makes the one and
prints the other as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.diagnostics.multiplicity import ADJUSTMENTS
from irtkit.errors import ModelError, listing
from irtkit.estimation.joint import Grouped
from irtkit.estimation.method import MML
from irtkit.models import ItemModel

MATCHINGS = ("score", "ability")

WordArray = npt.NDArray[Any]  # of str or object


@dataclass(frozen=True, slots=True)
class DIFOptions:
    """How items are compared between groups.

    Parameters
    ----------
    model : ItemModel, or mapping of item to ItemModel, optional
        For abilities; by default `TwoPL()`, and `Graded()` for items with more than two
        categories.
    estimation : MML
        How the groups are calibrated; without constraints, and with normal abilities.
    parameters : tuple of str
        For the methods that compare item parameters: which ones, such as ("intercept",); all by
        default.
    matching : str
        For the other methods: "ability" matches persons on the posterior mean from the other
        anchors, and keeps the level where groups differ in ability; "score" on the summed score,
        as is customary, or on ability where answers are missing.
    purify : bool
        Whether flagged items leave the anchors and all items are tested again, until the flags
        stay. Anchors that were named stay as they are.
    level : float
        Items with a p-value below it are flagged, and may be in the classes above the lowest.
    adjustment : str
        Of the p-values in the end: "holm", "benjamini-hochberg" or "none".
    """

    model: ItemModel | Mapping[str, ItemModel] | None = None
    estimation: MML = field(default_factory=MML)
    parameters: tuple[str, ...] = ()
    matching: str = "ability"
    purify: bool = True
    level: float = 0.05
    adjustment: str = "holm"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        if not 0.0 < self.level < 1.0:
            raise ModelError(f"The level {self.level:g} is no share between 0 and 1.")
        if self.matching not in MATCHINGS:
            raise ModelError(f"Unknown matching '{self.matching}'; there is {listing(MATCHINGS)}.")
        if self.adjustment not in ADJUSTMENTS:
            raise ModelError(
                f"Unknown adjustment '{self.adjustment}'; there is {listing(ADJUSTMENTS)}."
            )
        if self.estimation.latent != "normal" or self.estimation.constraints:
            raise ModelError(
                "Groups are compared with normal abilities and without other constraints than "
                "those that are tested; use an MML without latent and constraints."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What is compared.

    Attributes
    ----------
    grouped : Grouped
        Items that anybody answered differently, with the group of each person.
    model : ItemModel, or mapping of item to ItemModel
        Of each item.
    tested : array of bool, shape (I,)
        Which items to compare; the others may be anchors.
    options : DIFOptions
    progress : callable or None
        Called with the number of items done and of all, anew each round.
    """

    grouped: Grouped
    model: ItemModel | Mapping[str, ItemModel]
    tested: BoolArray
    options: DIFOptions
    progress: Callable[[int, int], None] | None

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.grouped.names)


@dataclass(frozen=True, slots=True, eq=False)
class ChiSquare:
    """A chi-square statistic of each item.

    Attributes
    ----------
    statistic, df : array, shape (I,)
        NaN where there is no test.
    """

    statistic: FloatArray
    df: FloatArray

    @property
    def p(self) -> FloatArray:
        """Upper tail, NaN where there is no test."""
        with np.errstate(invalid="ignore"):
            return np.asarray(chi2.sf(self.statistic, self.df), np.float64)

    @classmethod
    def none(cls, n_items: int) -> ChiSquare:
        """No test of any item."""
        return cls(np.full(n_items, np.nan), np.full(n_items, np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """How large the difference of each item is.

    Attributes
    ----------
    names : array of str, shape (I,)
        What is measured; empty where nothing is.
    size, error, unsigned : array, shape (I,)
        The measure, its standard error, and its version that does not cancel over theta; NaN
        where there is none.
    classes : array of str, shape (I,)
        A word for the size; empty where there is none.
    """

    names: WordArray
    size: FloatArray
    error: FloatArray
    unsigned: FloatArray
    classes: WordArray


@dataclass(frozen=True, slots=True, eq=False)
class ItemTests:
    """One round of tests, of all items in order.

    Attributes
    ----------
    both : ChiSquare
        Of any difference between the groups.
    uniform, nonuniform : ChiSquare
        Of a difference that is the same at all abilities, and of one that is not.
    effect : Effect
    states : array of str, shape (I,)
        "ok", or why there is no test.
    """

    both: ChiSquare
    uniform: ChiSquare
    nonuniform: ChiSquare
    effect: Effect
    states: WordArray


def gathered(parts: Sequence[tuple[IntArray, ItemTests]], n_items: int) -> ItemTests:
    """Put tests of some items in their places among all; the others have none.

    Parameters
    ----------
    parts : sequence of (array of int, ItemTests)
        Which items, and their tests.
    n_items : int
    """

    def numbers(values: Callable[[ItemTests], FloatArray]) -> FloatArray:
        whole = np.full(n_items, np.nan)
        for places, part in parts:
            whole[places] = values(part)
        return whole

    def words(values: Callable[[ItemTests], WordArray]) -> WordArray:
        whole = np.full(n_items, "", dtype=object)
        for places, part in parts:
            whole[places] = values(part)
        return whole

    def chi_square(which: Callable[[ItemTests], ChiSquare]) -> ChiSquare:
        return ChiSquare(
            numbers(lambda part: which(part).statistic), numbers(lambda part: which(part).df)
        )

    return ItemTests(
        both=chi_square(lambda part: part.both),
        uniform=chi_square(lambda part: part.uniform),
        nonuniform=chi_square(lambda part: part.nonuniform),
        effect=Effect(
            words(lambda part: part.effect.names),
            numbers(lambda part: part.effect.size),
            numbers(lambda part: part.effect.error),
            numbers(lambda part: part.effect.unsigned),
            words(lambda part: part.effect.classes),
        ),
        states=words(lambda part: part.states),
    )
