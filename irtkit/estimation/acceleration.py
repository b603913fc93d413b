"""Fixed-point iteration, plain and accelerated. Nothing here knows what is estimated.

A map takes a point to a better one and reports the objective *at the point it was given*:
``step(x) -> (F(x), objective(x))``. `Plain` and `Squarem` yield one `State` a cycle; the caller
decides when to stop.

References
----------
Varadhan, R., & Roland, C. (2008). Simple and globally convergent methods for accelerating the
    convergence of any EM algorithm. Scandinavian Journal of Statistics, 35(2), 335-353.
    https://doi.org/10.1111/j.1467-9469.2007.00585.x
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from irtkit.arrays import FloatArray

Step = Callable[[FloatArray], tuple[FloatArray, float]]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where an iteration stands after a cycle.

    Attributes
    ----------
    point : array
        The newest point, F(x).
    objective : float
        The objective at x, one step before `point`.
    change : float
        Largest absolute coordinate of F(x) - x.
    n_steps : int
        How often the map was evaluated since the start.
    """

    point: FloatArray
    objective: float
    change: float
    n_steps: int


class Acceleration(Protocol):
    """A way to iterate a map to its fixed point."""

    def iterate(self, step: Step, start: FloatArray) -> Iterator[State]:
        """Yield the state after each cycle, for ever."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """Apply the map again and again."""

    def iterate(self, step: Step, start: FloatArray) -> Iterator[State]:
        """Yield the state after each application of the map."""
        point, n_steps = start, 0
        while True:
            image, objective = step(point)
            n_steps += 1
            yield State(image, objective, _largest(image - point), n_steps)
            point = image


@dataclass(frozen=True, slots=True)
class Squarem:
    r"""Squared extrapolation, scheme S3, that never lowers the objective.

    With r = F(x) - x and v = F(F(x)) - F(x) - r the point moves to
    x + 2 s r + s^2 v, s = max(1, \|r\| / \|v\|), followed by one application of the map. While
    the objective there is lower than at F(x), s is moved towards 1, which is plain iteration.

    Parameters
    ----------
    slack : float
        Relative fall of the objective that counts as rounding.
    """

    slack: float = 1e-12

    def iterate(self, step: Step, start: FloatArray) -> Iterator[State]:
        """Yield the state after each cycle of three or more applications of the map."""
        point, n_steps = start, 0
        while True:
            first, _ = step(point)
            second, objective = step(first)
            n_steps += 2
            state = self._extrapolate(step, point, first, second, objective)
            n_steps += state.n_steps
            point = state.point
            yield State(point, state.objective, state.change, n_steps)

    def _extrapolate(
        self, step: Step, point: FloatArray, first: FloatArray, second: FloatArray, floor: float
    ) -> State:
        r = first - point
        v = (second - first) - r
        curvature = float(np.linalg.norm(v))
        length = max(1.0, float(np.linalg.norm(r)) / curvature) if curvature > 0 else 1.0
        n_steps = 0
        while True:
            trial = second if length == 1.0 else point + 2 * length * r + length**2 * v
            image, objective = step(trial)
            n_steps += 1
            lowest = floor - self.slack * abs(floor)
            if length == 1.0 or (np.all(np.isfinite(image)) and objective >= lowest):
                return State(image, objective, _largest(image - trial), n_steps)
            length = max(1.0, (length + 1.0) / 2.0) if length > 1.5 else 1.0


def _largest(difference: FloatArray) -> float:
    return float(np.max(np.abs(difference), initial=0.0))
