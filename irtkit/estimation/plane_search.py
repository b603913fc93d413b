"""From start values to the highest maximum of the two-dimensional likelihood that is found.

From each of several starts a few accelerated EM cycles (`plane.py`) make most of the way, and the
quasi-Newton method L-BFGS-B goes on until nothing is left to gain: its gradient comes with the
E-step, and where a second dimension is weak or an item's slope is steep it needs tens of E-steps
where EM needs many hundreds. What is made of the outcome is in `two_dimensions.py`.

References
----------
Byrd, R. H., Lu, P., Nocedal, J., & Zhu, C. (1995). A limited memory algorithm for bound
    constrained optimization. SIAM Journal on Scientific Computing, 16(5), 1190-1208.
    https://doi.org/10.1137/0916069
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize
from scipy.special import expit

from irtkit.arrays import BoolArray, FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.acceleration import Squarem
from irtkit.estimation.axes import NORMAL_METRIC, principal
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import posteriors
from irtkit.estimation.plane import (
    ItemSums,
    Plane,
    check_size,
    expand,
    expected,
    log_likelihood,
    m_step,
    sizes_needed,
    tables,
    within,
)

SLOPE_BOUND = 10.0  # in each dimension; a communality of .97
EM_CYCLES = 15
START_SLOPE_SD = 0.5
START_LOADINGS = (0.4, 0.8)
MORE_NODES = 1.5  # begin anew with a finer grid when it needs so many times the nodes
HEADROOM = 1.1  # how many more it then gets than it needs
MEMORY = 20  # corrections that L-BFGS-B keeps
NO_GAIN = 1e-12  # relative, per iteration
FLATTEST = 0.05  # against items that no node informs about
NEARLY = 10.0  # times the tolerance, where rounding stops the line search
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Search:
    """How to look for the best two dimensions; see `calibrate_two_dimensions`."""

    tolerance: float = 1e-5
    max_cycles: int = 1000
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
    """Persons in blocks, and which items those with the most answers saw (None: all)."""

    blocks: Blocks
    longest: BoolArray | None
    n_persons: float

    def plane(self, parameters: FloatArray, headroom: float = 1.0) -> Plane:
        """Nodes for these parameters, or so many times as many."""
        first, second = sizes_needed(parameters, self.longest)
        check_size((first, second), len(parameters))
        return Plane.of(round(headroom * first) | 1, round(headroom * second) | 1)

    def outgrow(self, plane: Plane, parameters: FloatArray, far: float = MORE_NODES) -> bool:
        """Whether these parameters need many more nodes."""
        sizes = sizes_needed(parameters, self.longest)
        return any(new > far * old for new, old in zip(sizes, plane.sizes, strict=True))

    def log_likelihood(self, parameters: FloatArray, plane: Plane) -> float:
        """Marginal log-likelihood of parameters (I, 3)."""
        return log_likelihood(self.blocks, parameters, plane)


@dataclass(frozen=True, slots=True, eq=False)
class Ascent:
    """How far an ascent has come.

    Attributes
    ----------
    parameters : array, shape (I, 3)
        Two slopes and the intercept.
    plane : Plane
    log_likelihood : float
    n_cycles : int
        E-steps so far.
    gradient : float
        Largest derivative of the log-likelihood per person, each parameter in units of its
        standard error if one person had been asked and their ability known.
    converged : bool
    """

    parameters: FloatArray
    plane: Plane
    log_likelihood: float = -np.inf
    n_cycles: int = 0
    gradient: float = np.inf
    converged: bool = False


def highest(
    answers: Answers,
    flat: FloatArray,
    search: Search,
    progress: Callable[[int, int], None] | None,
) -> tuple[Ascent, list[float]]:
    """Climb from each start; return the highest place, and all heights.

    Parameters
    ----------
    answers : Answers
    flat : array, shape (I, 3)
        The one-dimensional solution, with second slopes of zero.
    search : Search
    progress : callable, optional
        Called with the number of starts done and of all.
    """
    rng = np.random.default_rng(search.seed)
    found: list[Ascent] = []
    for number in range(search.n_starts):
        if number == 0:
            second = residual_component(answers.blocks, flat, answers.plane(flat))
        else:
            second = rng.normal(0.0, START_SLOPE_SD, len(flat))
        start = turned(np.column_stack([flat[:, 0], second, flat[:, 2]]))
        begun = cycled(answers, Ascent(start, answers.plane(start)), EM_CYCLES)
        found.append(ascended(answers, begun, search))
        if progress is not None:
            progress(number + 1, search.n_starts)
    heights = [ascent.log_likelihood for ascent in found]
    return found[int(np.argmax(heights))], heights


def em_cycle(answers: Answers, parameters: FloatArray, plane: Plane) -> tuple[FloatArray, float]:
    """One EM cycle with parameter expansion: better parameters, and the height of the old."""
    counts = expected(answers.blocks, parameters, plane)
    better = m_step(parameters, ItemSums.of(plane, counts))
    better = expand(better, plane, counts.mass[0], SLOPE_BOUND)
    return within(better, SLOPE_BOUND), counts.log_likelihood


def cycled(answers: Answers, start: Ascent, n_cycles: int) -> Ascent:
    """Run about so many accelerated EM cycles."""
    now = start

    def step(point: FloatArray) -> tuple[FloatArray, float]:
        parameters = within(point.reshape(-1, 3), SLOPE_BOUND)
        better, height = em_cycle(answers, parameters, now.plane)
        return better.ravel(), height

    while now.n_cycles < n_cycles:
        begun = now.n_cycles
        for state in Squarem().iterate(step, now.parameters.ravel()):
            done = begun + state.n_steps
            now = replace(now, parameters=state.point.reshape(-1, 3), n_cycles=done)
            if done >= n_cycles or answers.outgrow(now.plane, now.parameters):
                break
        now = _regridded(answers, now)
    return now


def ascended(answers: Answers, start: Ascent, search: Search) -> Ascent:
    """Run L-BFGS-B until nothing is left to gain, with more nodes whenever they are needed."""
    now = start
    while True:
        now = _regridded(answers, now)
        climb = Climb(answers, now)
        most = max(1, search.max_cycles - now.n_cycles)
        result = minimize(
            climb,
            climb.scaled(now.parameters),
            jac=True,
            method="L-BFGS-B",
            bounds=climb.bounds(),
            callback=climb.watch,
            options={
                "maxcor": MEMORY,
                "gtol": search.tolerance,
                "ftol": NO_GAIN,
                "maxfun": most,
                "maxiter": most,
            },
        )
        gradient = climb.remaining(result)
        now = replace(
            now,
            parameters=climb.unscaled(result.x),
            log_likelihood=-float(result.fun) * answers.n_persons,
            n_cycles=now.n_cycles + climb.n_calls,
            gradient=gradient,
        )
        coarse = answers.outgrow(now.plane, now.parameters, 1.0)
        if not coarse or now.n_cycles >= search.max_cycles:
            still = result.status == 0 or gradient <= NEARLY * search.tolerance
            return replace(now, converged=not coarse and still)


class Climb:
    """Minus the log-likelihood per person, with its gradient, for `minimize`.

    Each parameter is measured in units of its standard error from one person of known ability.
    """

    def __init__(self, answers: Answers, start: Ascent) -> None:
        self.answers, self.plane, self.n_calls = answers, start.plane, 1
        counts = expected(answers.blocks, start.parameters, start.plane)
        _, _, information = ItemSums.of(start.plane, counts).derivatives(start.parameters)
        curvature = np.einsum("idd->id", information) / answers.n_persons  # (I, 3)
        self.scale = np.maximum(np.sqrt(curvature), FLATTEST)

    def scaled(self, parameters: FloatArray) -> FloatArray:
        """Flatten parameters (I, 3)."""
        return (parameters * self.scale).ravel()

    def unscaled(self, point: FloatArray) -> FloatArray:
        """Return parameters (I, 3)."""
        return point.reshape(-1, 3) / self.scale

    def bounds(self) -> Bounds:
        """Slopes stay within plus and minus their bound."""
        most = self.scaled(np.where([True, True, False], SLOPE_BOUND, np.inf))
        return Bounds(-most, most)

    def __call__(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient; by Fisher's identity the gradient is that of the M-step."""
        self.n_calls += 1
        parameters, n_persons = self.unscaled(point), self.answers.n_persons
        counts = expected(self.answers.blocks, parameters, self.plane)
        _, gradient, _ = ItemSums.of(self.plane, counts).derivatives(parameters)
        slope = (gradient / self.scale).ravel() / n_persons
        return -counts.log_likelihood / n_persons, -slope

    def watch(self, intermediate_result: OptimizeResult) -> None:
        """Stop where the nodes have become too far apart for the slopes."""
        if self.answers.outgrow(self.plane, self.unscaled(intermediate_result.x)):
            raise StopIteration

    def remaining(self, result: OptimizeResult) -> float:
        """Largest derivative that does not point out of the bounds."""
        most = self.bounds().ub
        outwards = (np.abs(result.x) >= most) & (result.jac * result.x < 0)
        return float(np.abs(np.where(outwards, 0.0, result.jac)).max())


def _regridded(answers: Answers, now: Ascent) -> Ascent:
    """Give it the nodes that it needs, if there are too few.

    The axes stay, because the bounds of the slopes hang on them.
    """
    if not answers.outgrow(now.plane, now.parameters, 1.0):
        return now
    return replace(now, plane=answers.plane(now.parameters, HEADROOM))


def turned(parameters: FloatArray) -> FloatArray:
    """Turn the slopes of parameters (I, 3) to their principal axes."""
    return np.column_stack([principal(parameters[:, :2]), parameters[:, 2]])


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
