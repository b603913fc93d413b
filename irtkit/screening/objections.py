"""What rules say: `Flag`, an objection to an item, and the protocols `Rule` and `Observation`.

A rule objects to items and `screen` acts on it; an observation only writes notes into the log.
The rules themselves are in `item_rules.py` and `pair_rules.py`, observations in
`observations.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from irtkit.estimation import Calibration
from irtkit.estimation.by_method import Method
from irtkit.responses import Responses


@dataclass(frozen=True, slots=True)
class Flag:
    """An objection to an item, with the statistic behind it.

    `partner` is the other item of a dependent pair; `item` is the one to drop.
    """

    item: str
    statistic: float
    reason: str
    df: float = np.nan
    p: float = np.nan
    p_adjusted: float = np.nan
    partner: str | None = None


@runtime_checkable
class Rule(Protocol):
    """A reason to drop items."""

    @property
    def name(self) -> str:
        """Word for the log."""
        ...

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items that the rule objects to, the worst first."""
        ...

    def step(self, flags: list[Flag]) -> list[Flag]:
        """Which of the flags go together before the items are calibrated again."""
        ...


@runtime_checkable
class Observation(Protocol):
    """Something worth knowing before the first drop and after the last; it drops nothing."""

    @property
    def name(self) -> str:
        """Word for the log."""
        ...

    @property
    def again(self) -> bool:
        """Whether it looks again after the last drop."""
        ...

    def notes(self, responses: Responses, calibration: Calibration, method: Method) -> list[Flag]:
        """Sentences with their statistics; `item` is empty where all items are meant."""
        ...


def rules_among(given: Sequence[Rule | Observation]) -> list[Rule]:
    """The rules, in order."""
    return [one for one in given if isinstance(one, Rule)]


def observations_among(given: Sequence[Rule | Observation]) -> list[Observation]:
    """The observations, in order."""
    return [one for one in given if isinstance(one, Observation)]


def p_words(value: float) -> str:
    """Write a p-value for a sentence."""
    if np.isnan(value):
        return "untested"
    return "below .0001" if value < 1e-4 else f"{value:.4f}"


def worst_first(flags: list[Flag], share: float) -> list[Flag]:
    """The worst flag, or this share of all if that is more."""
    return flags[: max(1, int(share * len(flags)))]
