"""EM cycles from start values until nothing moves: the loop around `em.py` and `m_step.py`.

The state is one flat vector: the item parameters, then what is free about the population. The
loop restarts its acceleration where the map changes: with more nodes when slopes have grown too
steep for the grid, and after a slope that runs away without end has been put at its bound. It
can be told to begin from a `Checkpoint`, and hands one to its caller after every cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from irtkit.arrays import BoolArray, FloatArray
from irtkit.errors import NotConverged
from irtkit.estimation.checkpoint import Checkpoint
from irtkit.estimation.em import Tables, e_step
from irtkit.estimation.m_step import Problem, expand, m_step
from irtkit.estimation.method import MML
from irtkit.latent import Normal

MORE_NODES = 1.1  # restart with a finer grid when it needs so many times the nodes
STEEP = 0.25  # share of the bound from which a slope may be running away
STANDSTILL = 1e-10  # change of a parameter below which only rounding moves
FALL = 1e-6  # relative fall of the log-likelihood in an EM step that only a defect explains
NO_GAIN = 1e-8  # relative gain of log-likelihood in a cycle that is none


Progress = Callable[[Checkpoint], None]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Where the cycles ended.

    Attributes
    ----------
    checkpoint : Checkpoint
        The last state.
    converged : bool
    moved : array, shape (I,)
        How far the last EM step moved each item.
    gradient : array, shape (I, D)
        Of the log-posterior, before that step.
    """

    checkpoint: Checkpoint
    converged: bool
    moved: FloatArray
    gradient: FloatArray


def begin(problem: Problem, start: FloatArray, fingerprint: str) -> Checkpoint:
    """Make the state before the first cycle from start values (I, D)."""
    empty = np.zeros(2 * (problem.population.n_groups - problem.population.first_free))
    theta = problem.population.grid(empty, largest_information(problem, start))
    return Checkpoint(
        problem=fingerprint,
        n_cycles=0,
        log_likelihood=-np.inf,
        change=np.inf,
        gradient=np.inf,
        parameters=start,
        population=problem.population.start(theta),
        grid=theta,
        bounded=np.zeros(len(start), dtype=bool),
        history=np.empty((0, 2)),
    )


def iterate(problem: Problem, start: Checkpoint, method: MML, progress: Progress | None) -> Fit:
    """Run the accelerated EM until neither parameters nor likelihood move.

    Parameters
    ----------
    problem : Problem
    start : Checkpoint
        From `begin`, or an earlier run.
    method : MML
    progress : callable, optional
        Called with a `Checkpoint` after each accelerated cycle.
    """
    now = start
    if _settled(now, method):  # an interrupted run that had come to its end
        em = _Map(problem, now.grid, now.bounded)
        em(_packed(problem, now))
        return _fit(problem, now, em, True)
    while True:
        em = _Map(problem, now.grid, now.bounded)
        begun = now.n_cycles
        for state in method.acceleration.iterate(em, _packed(problem, now)):
            parameters, population = _unpacked(problem, state.point)
            history = np.vstack([now.history, [begun + state.n_steps, state.objective]])
            before, now = (
                now,
                replace(
                    now,
                    n_cycles=begun + state.n_steps,
                    log_likelihood=state.objective,
                    change=state.change,
                    gradient=em.gradient_per_person,
                    parameters=parameters,
                    population=population,
                    history=history,
                ),
            )
            if progress is not None:
                progress(now)
            over = now.n_cycles >= method.max_cycles
            settled = _settled(now, method)
            grid = problem.population.grid(
                population if problem.population.kind != "histogram" else np.empty(0),
                largest_information(problem, parameters),
            )
            outgrown = _outgrown(now.grid, grid, settled)
            runaway = _runaway(problem, before.parameters, now, method) & ~now.bounded
            if over or settled or outgrown or runaway.any():
                break
        if over or (settled and not outgrown):
            break
        if outgrown:
            population = problem.population.regridded(now.population, now.grid, grid)
            now = replace(now, grid=grid, population=population)
        if runaway.any():
            now = replace(
                now,
                bounded=now.bounded | runaway,
                parameters=_at_bound(problem, now.parameters, runaway),
            )
    return _fit(problem, now, em, settled)


def _settled(state: Checkpoint, method: MML) -> bool:
    """Whether neither the parameters nor the likelihood move any more."""
    still = state.gradient <= method.tolerance or state.change <= STANDSTILL
    return state.change <= method.tolerance and still


def _fit(problem: Problem, state: Checkpoint, em: _Map, settled: bool) -> Fit:
    moved = np.where(problem.assignment.used(), np.abs(em.change), 0.0).max(axis=1)
    return Fit(state, settled, moved, em.gradient)


class _Map:
    """One EM cycle with parameter expansion, as a map of flat vectors.

    Keeps the gradient that its last call met on the way, and how far it moved the parameters.
    """

    def __init__(self, problem: Problem, theta: FloatArray, bounded: BoolArray) -> None:
        self.problem, self.theta, self.bounded = problem, theta, bounded
        self.gradient = np.zeros(problem.shape)
        self.change = np.zeros(problem.shape)
        self.gradient_per_person = np.inf
        self.n_persons = float(problem.blocks.weight().sum())
        self.last: tuple[FloatArray, float] | None = None

    def __call__(self, point: FloatArray) -> tuple[FloatArray, float]:
        """Return the improved vector and the objective at the vector given."""
        problem = self.problem
        parameters, vector = _unpacked(problem, point)
        if not problem.assignment.feasible(parameters).all():
            return np.full_like(point, np.nan), -np.inf
        parameters = problem.within(parameters)
        log_weights = problem.population.log_weights(vector, self.theta)
        tables = Tables.of(
            problem.assignment,
            parameters,
            self.theta,
            log_weights,
            complete=problem.blocks.complete,
        )
        expected = e_step(problem.blocks, tables)
        step = m_step(problem, parameters, self.theta, expected)
        self._record(parameters, step.gradient)
        objective = expected.log_likelihood + float(
            problem.priors.log_density(problem.assignment, parameters)[0].sum()
        )
        vector = problem.population.improved(vector, self.theta, expected.mass)
        better = step.parameters
        if problem.population.kind == "normal" and problem.structure.movable:
            better, vector = expand(problem, better, vector, self.theta, expected.mass)
        self.change = better - parameters
        image = np.concatenate([_filled(better), vector])
        self._check_rise(point, objective)
        self.last = image, objective
        return image, objective

    def _check_rise(self, point: FloatArray, objective: float) -> None:
        """Stop where an EM step has lowered what it cannot lower, which only a defect does.

        Slopes near their bound, too steep for the nodes, and a histogram that is kept at mean 0
        and SD 1 may lower it a little.
        """
        slopes = np.where(self.problem.assignment.slopes(), _unpacked(self.problem, point)[0], 0.0)
        steep = np.abs(slopes).max() > STEEP * self.problem.slope_bound
        if self.last is None or steep or self.problem.population.kind == "histogram":
            return
        image, before = self.last
        if objective < before - FALL * abs(before) and np.array_equal(point, image):
            raise NotConverged(
                f"The log-likelihood fell from {before:.6f} to {objective:.6f} in a step that "
                "cannot lower it. That is a defect of irtkit: please report it, with what "
                "`irtkit environment` prints."
            )

    def _record(self, parameters: FloatArray, gradient: FloatArray) -> None:
        """Keep the gradient of the free parameters, those at a bound left out."""
        structure = self.problem.structure
        stuck = self.problem.at_bound(parameters)
        at_bound = (stuck & self.problem.assignment.slopes()).any(axis=1) | self.bounded
        self.gradient = np.where(at_bound[:, None] | stuck, 0.0, gradient)
        collected = structure.collected(self.gradient)
        self.gradient_per_person = float(np.abs(collected).max(initial=0.0)) / self.n_persons


def _packed(problem: Problem, state: Checkpoint) -> FloatArray:
    return np.concatenate([_filled(state.parameters), state.population])


def _filled(parameters: FloatArray) -> FloatArray:
    """Flatten parameters, zero in the cells that items do not use."""
    return np.nan_to_num(parameters, nan=0.0).ravel()


def _unpacked(problem: Problem, point: FloatArray) -> tuple[FloatArray, FloatArray]:
    size = int(np.prod(problem.shape))
    parameters = np.where(problem.assignment.used(), point[:size].reshape(problem.shape), np.nan)
    return parameters, point[size:]


def _outgrown(old: FloatArray, new: FloatArray, settled: bool) -> bool:
    """Whether the grid must be renewed: at once if far too coarse or narrow, else at the end."""
    far = MORE_NODES if not settled else 1.0
    coarse = (old[1] - old[0]) > far * (new[1] - new[0]) * (1 + 1e-12)
    reach = (far - 1.0) * 0.5 * (new[-1] - new[0]) + 1e-6
    return bool(coarse or new[0] < old[0] - reach or new[-1] > old[-1] + reach)


def largest_information(problem: Problem, parameters: FloatArray) -> float:
    """Largest information that anybody's answers hold, over the standard normal's nodes."""
    theta = Normal().nodes().theta
    longest = problem.longest
    total = np.zeros((1 if longest is None else len(longest), len(theta)))  # (n, Q)
    for family, places in problem.assignment.tasks(len(theta)):
        part = parameters[places, : family.n_parameters]
        information = family.model.information(part, theta[:, None])  # (Q, i)
        total += information.sum(axis=1) if longest is None else longest[:, places] @ information.T
    return float(total.max())


def _runaway(problem: Problem, before: FloatArray, now: Checkpoint, method: MML) -> BoolArray:
    """Which items still move on steep slopes while the likelihood gains nothing.

    The likelihood of an item that separates the persons rises for ever, ever more slowly. An
    item that was merely slow comes back down from the bound by itself.
    """
    used = problem.assignment.used()
    moving = np.abs(np.where(used, now.parameters - before, 0.0)).max(axis=1) > method.tolerance
    slopes = np.where(problem.assignment.slopes(), now.parameters, 0.0)
    steep = np.abs(slopes).max(axis=1) > STEEP * method.slope_bound
    history = now.history
    gain = history[-1, 1] - history[-2, 1] if len(history) > 1 else np.inf
    if gain > NO_GAIN * abs(history[-1, 1]) or problem.structure.n_shared:
        return np.zeros(len(before), dtype=bool)
    return moving & steep


def _at_bound(problem: Problem, parameters: FloatArray, chosen: BoolArray) -> FloatArray:
    """Put the steepest slope of the chosen items at its bound, difficulties unchanged."""
    moved = parameters.copy()
    slopes = np.where(problem.assignment.slopes(), parameters, 0.0)
    steepest = np.abs(slopes[chosen]).max(axis=1)
    scaled = problem.assignment.used() & chosen[:, None]
    for family in problem.assignment.families:
        names = family.model.parameter_names(family.n_categories)
        for place, name in enumerate(names):
            if name.startswith("logit"):
                scaled[family.places, place] = False
    factor = np.ones(len(parameters))
    factor[chosen] = problem.slope_bound / steepest
    return np.where(scaled, moved * factor[:, None], moved)
