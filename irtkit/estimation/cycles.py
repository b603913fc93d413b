"""EM cycles from start values until nothing moves: the loop around `em.py`.

`MML` holds the options. The loop restarts its acceleration where the map changes: with more
nodes when slopes have grown too steep for the grid, and after a slope that runs away without
end has been put at its bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from irtkit.arrays import BoolArray, FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.acceleration import Acceleration, Squarem, State
from irtkit.estimation.em import Blocks, e_step, expand, largest_information, m_step, moments
from irtkit.latent import Nodes, Normal, nodes_for
from irtkit.models import ItemModel

Progress = Callable[[int, float, float], None]

MORE_NODES = 1.1  # restart with a finer grid when it needs so many times the nodes
AT_BOUND = 0.999  # share of the bound from which a slope counts as being there
STEEP = 0.25  # share of the bound from which a slope may be running away
NO_GAIN = 1e-8  # relative gain of log-likelihood in a cycle that is none


@dataclass(frozen=True, slots=True)
class MML:
    """Marginal maximum likelihood by the EM algorithm.

    Parameters
    ----------
    tolerance : float
        Stop when no parameter moves by more than this in an EM step.
    max_cycles : int
        Give up after so many EM steps; a cycle that was begun is finished.
    acceleration : Acceleration
        `Squarem()` or `Plain()`.
    slope_bound : float
        Slopes stay within plus and minus this bound; an item that reaches it is "separating".
    standard_errors : bool
        Compute the observed information after the last cycle.
    """

    tolerance: float = 1e-6
    max_cycles: int = 5000
    acceleration: Acceleration = field(default_factory=Squarem)
    slope_bound: float = 20.0
    standard_errors: bool = True

    def __post_init__(self) -> None:
        wrong = [
            f"{name} {value!r}"
            for name, value in (
                ("tolerance", self.tolerance),
                ("max_cycles", self.max_cycles),
                ("slope_bound", self.slope_bound),
            )
            if not (value > 0 and math.isfinite(value))
        ]
        if wrong:
            raise ModelError(f"MML with {', '.join(wrong)}: these must be positive numbers.")


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Where the cycles ended.

    Attributes
    ----------
    parameters : array, shape (I, D)
    nodes : Nodes
        The last grid.
    state : State
        Of the last cycle, its steps counted from the start.
    log_likelihood : float
        At `parameters`.
    converged : bool
    history : array, shape (n, 2)
        EM steps and log-likelihood after each accelerated cycle.
    moved : array, shape (I,)
        How far one more EM step would move each item.
    """

    parameters: FloatArray
    nodes: Nodes
    state: State
    log_likelihood: float
    converged: bool
    history: FloatArray
    moved: FloatArray


def iterate(
    blocks: Blocks,
    model: ItemModel,
    start: FloatArray,
    method: MML,
    progress: Progress | None,
) -> Fit:
    """Run the accelerated EM until no parameter moves by more than the tolerance.

    Parameters
    ----------
    blocks : Blocks
        The responses.
    model : ItemModel
    start : array, shape (I, D)
    method : MML
    progress : callable, optional
        Called after each cycle with EM steps, log-likelihood and change.
    """
    parameters, n_steps = start, 0
    history: list[tuple[int, float]] = []
    n_nodes = nodes_for(largest_information(model, parameters, Normal().nodes()))
    bounded = np.zeros(len(start), dtype=bool)
    while True:
        nodes = Normal().nodes(n_nodes)
        step = em_map(blocks, model, nodes, method, start.shape)
        for state in method.acceleration.iterate(step, parameters.ravel()):
            before, parameters = parameters, state.point.reshape(start.shape)
            history.append((n_steps + state.n_steps, state.objective))
            if progress is not None:
                progress(n_steps + state.n_steps, state.objective, state.change)
            over = n_steps + state.n_steps >= method.max_cycles
            needed = nodes_for(largest_information(model, parameters, nodes))
            runaway = _runaway(before, parameters, history, method) & ~bounded
            done = over or state.change <= method.tolerance
            if done or needed > MORE_NODES * n_nodes or runaway.any():
                break
        n_steps += state.n_steps
        if over or (state.change <= method.tolerance and needed <= n_nodes):
            break
        n_nodes = max(n_nodes, needed)
        bounded |= runaway
        parameters = _at_bound(parameters, runaway, method.slope_bound)
    image, log_likelihood = step(parameters.ravel())
    moved = image.reshape(start.shape) - parameters
    return Fit(
        parameters=parameters,
        nodes=nodes,
        state=replace(state, n_steps=n_steps),
        log_likelihood=log_likelihood,
        converged=state.change <= method.tolerance,
        history=np.array(history, dtype=np.float64),
        moved=np.abs(moved).max(axis=1),
    )


def em_map(
    blocks: Blocks, model: ItemModel, nodes: Nodes, method: MML, shape: tuple[int, ...]
) -> Callable[[FloatArray], tuple[FloatArray, float]]:
    """One EM cycle with parameter expansion, as a map of flat parameter vectors."""

    def step(point: FloatArray) -> tuple[FloatArray, float]:
        parameters = point.reshape(shape).copy()
        np.clip(parameters[:, 0], -method.slope_bound, method.slope_bound, out=parameters[:, 0])
        expected = e_step(blocks, model.log_prob(parameters, nodes.theta), nodes.log_weights)
        better = m_step(model, parameters, nodes.theta, expected.counts, method.slope_bound)
        mean, sd = moments(nodes.theta, expected.mass)
        if np.abs(better[:, 0]).max() * max(sd, 1.0) >= method.slope_bound:
            sd = 1.0  # a slope at its bound cannot take part in a change of scale
        return expand(better, mean, sd).ravel(), expected.log_likelihood

    return step


def _runaway(
    before: FloatArray, after: FloatArray, history: list[tuple[int, float]], method: MML
) -> BoolArray:
    """Which items still move on steep slopes while the likelihood gains nothing.

    The likelihood of an item that separates the persons rises for ever, ever more slowly. An
    item that was merely slow comes back down from the bound by itself.
    """
    moving = np.abs(after - before).max(axis=1) > method.tolerance  # (I,)
    steep = np.abs(after[:, 0]) > STEEP * method.slope_bound
    gain = history[-1][1] - history[-2][1] if len(history) > 1 else np.inf
    if gain > NO_GAIN * abs(history[-1][1]):
        return np.zeros(len(after), dtype=bool)
    return moving & steep


def _at_bound(parameters: FloatArray, chosen: BoolArray, bound: float) -> FloatArray:
    """Put the chosen slopes at their bound, difficulties unchanged."""
    moved = parameters.copy()
    moved[chosen] *= (bound / np.abs(parameters[chosen, 0]))[:, None]
    return moved
