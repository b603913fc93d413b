"""From start values to the highest maximum of the two-dimensional likelihood that is found.

`best_start` climbs from each of several starts until it pays little, `ascended` from one of them
until nothing moves. The map that is iterated is one EM cycle of `plane.py`; what is made of the
outcome is in `two_dimensions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit

from irtkit.arrays import BoolArray, FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.acceleration import Squarem
from irtkit.estimation.axes import NORMAL_METRIC, principal
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.cycles import NO_GAIN, STEEP
from irtkit.estimation.em import posteriors
from irtkit.estimation.plane import (
    ItemSums,
    Plane,
    at_bound,
    check_size,
    expand,
    expected,
    log_likelihood,
    m_step,
    sizes_needed,
    tables,
    within,
)

START_GAIN = 0.01  # log-likelihood in an accelerated cycle, below which a start is judged
START_CYCLES = 60
START_SLOPE_SD = 0.5
START_LOADINGS = (0.4, 0.8)
TINY = 1e-12
MORE_NODES = 1.1


@dataclass(frozen=True, slots=True)
class Search:
    """How to look for the best two dimensions; see `calibrate_two_dimensions`."""

    tolerance: float = 1e-4
    max_cycles: int = 2000
    n_starts: int = 3
    seed: int | np.random.Generator = 1

    def __post_init__(self) -> None:
        if self.n_starts < 1 or self.max_cycles < 1 or not self.tolerance > 0:
            raise ModelError(
                "Two dimensions need at least one start and one cycle and a positive tolerance, "
                f"not {self.n_starts}, {self.max_cycles} and {self.tolerance:g}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What stays the same: persons in blocks, who saw most, the bound of the slopes."""

    blocks: Blocks
    longest: BoolArray | None
    n_persons: float
    bound: float

    def plane(self, parameters: FloatArray) -> Plane:
        """Nodes for these parameters."""
        sizes = sizes_needed(parameters, self.longest)
        check_size(sizes, len(parameters))
        return Plane.of(*sizes)

    def log_likelihood(self, parameters: FloatArray, plane: Plane) -> float:
        """Marginal log-likelihood of parameters (I, 3)."""
        return log_likelihood(self.blocks, parameters, plane)


@dataclass(frozen=True, slots=True, eq=False)
class Ascent:
    """How far an ascent has come: parameters (I, 3), nodes, items put at the bound (I,)."""

    parameters: FloatArray
    plane: Plane
    bounded: BoolArray
    log_likelihood: float = -np.inf
    n_cycles: int = 0
    change: float = np.inf
    gradient: float = np.inf

    def settled(self, tolerance: float) -> bool:
        """Whether the last cycle moved nothing and no slope of the likelihood is left."""
        return self.change <= tolerance and self.gradient <= tolerance


def best_start(
    answers: Answers,
    flat: FloatArray,
    search: Search,
    progress: Callable[[int, int], None] | None,
) -> tuple[Ascent, list[float]]:
    """Climb from each start until it pays little; return the highest, and all heights."""
    rng = np.random.default_rng(search.seed)
    best: Ascent | None = None
    reached = []
    for number in range(search.n_starts):
        second = rng.normal(0.0, START_SLOPE_SD, len(flat))
        if number == 0:
            second = residual_component(answers.blocks, flat, answers.plane(flat))
        start = turned(np.column_stack([flat[:, 0], second, flat[:, 2]]))
        nobody = np.zeros(len(flat), dtype=bool)
        begun = Ascent(start, answers.plane(start), nobody)
        cycles = min(START_CYCLES, search.max_cycles)
        climbed = ascended(answers, begun, search.tolerance, START_GAIN, cycles)
        reached.append(climbed.log_likelihood)
        if best is None or climbed.log_likelihood > best.log_likelihood:
            best = climbed
        if progress is not None:
            progress(number + 1, search.n_starts + 1)
    assert best is not None
    return best, reached


class _Map:
    """One EM cycle with parameter expansion, as a map of flat vectors."""

    def __init__(self, answers: Answers, plane: Plane, bounded: BoolArray) -> None:
        self.answers, self.plane, self.bounded = answers, plane, bounded
        self.gradient = np.inf

    def __call__(self, point: FloatArray) -> tuple[FloatArray, float]:
        """Return the improved vector and the log-likelihood at the vector given."""
        bound = self.answers.bound
        parameters = within(point.reshape(-1, 3), bound)
        counts = expected(self.answers.blocks, parameters, self.plane)
        better, gradient = m_step(parameters, ItemSums.of(self.plane, counts))
        free = ~(at_bound(parameters, bound) | self.bounded)
        self.gradient = float(np.abs(gradient[free]).max(initial=0.0)) / self.answers.n_persons
        better = expand(better, self.plane, counts.mass[0], bound)
        return within(better, bound).ravel(), counts.log_likelihood


def ascended(
    answers: Answers, start: Ascent, tolerance: float, least_gain: float, cycles: int
) -> Ascent:
    """Run accelerated EM until nothing moves, it gains too little, or so many cycles are done.

    Begins anew with more nodes where slopes have grown too steep for them, and after an item whose
    slope runs away without end has been put at the bound.
    """
    now, last_cycle = start, start.n_cycles + cycles
    while not now.settled(tolerance) and now.n_cycles < last_cycle:
        em = _Map(answers, now.plane, now.bounded)
        begun = now.n_cycles
        for state in Squarem().iterate(em, now.parameters.ravel()):
            before, now = (
                now,
                replace(
                    now,
                    parameters=state.point.reshape(-1, 3),
                    log_likelihood=state.objective,
                    n_cycles=begun + state.n_steps,
                    change=state.change,
                    gradient=em.gradient,
                ),
            )
            gain = now.log_likelihood - before.log_likelihood
            settled = now.settled(tolerance)
            runaway = _runaway(answers, before, now, gain, tolerance)
            sizes = sizes_needed(now.parameters, answers.longest)
            outgrown = _outgrown(now.plane.sizes, sizes, 1.0 if settled else MORE_NODES)
            if settled or outgrown or runaway.any() or now.n_cycles >= last_cycle:
                break
            if gain < least_gain:
                return now
        if runaway.any():
            factor = answers.bound / np.linalg.norm(now.parameters[:, :2], axis=1, keepdims=True)
            moved = np.where(runaway[:, None], factor * now.parameters, now.parameters)
            now = replace(now, parameters=moved, bounded=now.bounded | runaway, change=np.inf)
        if outgrown:
            axes = turned(now.parameters)
            now = replace(now, parameters=axes, plane=answers.plane(axes), change=np.inf)
    return now


def turned(parameters: FloatArray) -> FloatArray:
    """Turn the slopes of parameters (I, 3) to their principal axes."""
    return np.column_stack([principal(parameters[:, :2]), parameters[:, 2]])


def _outgrown(old: tuple[int, int], new: tuple[int, int], far: float) -> bool:
    return new[0] > far * old[0] or new[1] > far * old[1]


def _runaway(
    answers: Answers, before: Ascent, now: Ascent, gain: float, tolerance: float
) -> BoolArray:
    """Which items still move on steep slopes while the likelihood gains nothing, shape (I,)."""
    moving = np.abs(now.parameters - before.parameters).max(axis=1) > tolerance
    steep = np.linalg.norm(now.parameters[:, :2], axis=1) > STEEP * answers.bound
    idle = gain <= NO_GAIN * abs(now.log_likelihood)
    return np.asarray(moving & steep & ~now.bounded & idle)


def residual_component(blocks: Blocks, parameters: FloatArray, plane: Plane) -> FloatArray:
    """Second slopes (I,) from the first component of the residuals of one dimension.

    Residuals are answers less their expectation given all of the person's answers; the diagonal
    of their correlations is left out. The component is scaled to loadings of at most 0.4 to 0.8.

    Parameters
    ----------
    blocks : Blocks
    parameters : array, shape (I, 3)
        With second slopes of zero.
    plane : Plane
    """
    there = tables(parameters, plane)
    chance = expit(there.contrasts[0])  # (Q, I)
    products = np.zeros((len(parameters), len(parameters)))
    blocks.windows.clear()
    for found in posteriors(blocks, there):
        part = blocks.indicators(found.block)
        residual = found.normalised().T @ chance[found.window]  # (B, I), expected so far
        if part.answered is not None:
            residual *= _dense(part.answered)
        residual = _dense(part.chosen[0]) - residual
        products += (residual * found.block.weights[:, None]).T @ residual
    scale = np.sqrt(np.maximum(np.diag(products), TINY))
    correlations = products / np.outer(scale, scale)
    np.fill_diagonal(correlations, 0.0)
    values, vectors = np.linalg.eigh(correlations)
    component = vectors[:, -1] * np.sqrt(max(values[-1], 0.0))
    largest = max(float(np.abs(component).max()), TINY)
    loading = component / largest * np.clip(largest, *START_LOADINGS)
    return NORMAL_METRIC * loading / np.sqrt(1.0 - loading**2)


def _dense(matrix: Any) -> FloatArray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
