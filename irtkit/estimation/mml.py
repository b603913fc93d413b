"""`calibrate`: marginal maximum likelihood by EM, from start values to a checked optimum.

The order of work: set unusable items aside, refuse disconnected designs, start from the first
principal component, iterate `em.py` under an acceleration until nothing moves, fix the sign,
name the items' states, check the quadrature, compute standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError, NotConverged, count, listing, shown
from irtkit.estimation.acceleration import Acceleration, Squarem, State
from irtkit.estimation.calibration import (
    CONSTANT,
    DUPLICATE,
    OK,
    REVERSE_KEYED,
    SEPARATING,
    UNANSWERED,
    Calibration,
    Convergence,
    check_categories,
)
from irtkit.estimation.design import check_connected, duplicates, first_component
from irtkit.estimation.em import Blocks, derivatives, e_step, expand, largest_information, m_step
from irtkit.estimation.standard_errors import item_covariance
from irtkit.latent import FEWEST_NODES, Nodes, Normal, nodes_for
from irtkit.models import ItemModel, SlopeRule
from irtkit.responses import Responses

Progress = Callable[[int, float, float], None]

QUADRATURE_TOLERANCE = 0.01
MORE_NODES = 1.1
LOGISTIC_VARIANCE = 3.29


@dataclass(frozen=True, slots=True)
class MML:
    """Marginal maximum likelihood by the EM algorithm.

    Parameters
    ----------
    tolerance : float
        Stop when no parameter moves by more than this in an EM step.
    max_cycles : int
        Give up after so many EM steps.
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


def calibrate(
    responses: Responses,
    model: ItemModel,
    *,
    method: MML | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Estimate the item parameters of a model by marginal maximum likelihood.

    Parameters
    ----------
    responses : Responses
        Graded answers, complete or not. Missing answers are taken as ignorable.
    model : ItemModel
        `Rasch()`, `OnePL()` or `TwoPL()`.
    method : MML, optional
        Tolerance, acceleration and the like.
    progress : callable, optional
        Called after each accelerated cycle with EM cycles, log-likelihood and change.

    Returns
    -------
    Calibration
        Items that everybody answered alike, or nobody answered, are named by their state and
        have no parameters. The sign of theta is such that the slopes sum to a positive number.

    Raises
    ------
    ModelError
        If fewer than three items (two for Rasch and 1PL) or two persons are usable, or the
        design falls into unconnected parts.
    NotConverged
        If `method.max_cycles` EM steps were not enough; carries the last state.

    References
    ----------
    Bock, R. D., & Aitkin, M. (1981). Psychometrika, 46(4), 443-459.
    """
    method = method or MML()
    check_categories(responses, model)
    states, usable = _usable(responses, model)
    chosen = responses if len(usable) == responses.n_items else responses.select_items(usable)
    check_connected(chosen)
    blocks = Blocks.of(chosen, model.n_categories)
    fit = _iterate(blocks, model, _start(chosen, model), method, progress)
    parameters = _signed(fit.parameters)
    found = _states(parameters, chosen, method)
    covariance = np.full((chosen.n_items, *parameters.shape[1:] * 2), np.nan)
    notes = _notes(chosen, fit, found)
    latent = Normal()
    if method.standard_errors and fit.converged:
        fixed = np.array([state == SEPARATING for state in found])
        covariance, note = item_covariance(blocks, model, parameters, fit.nodes, fixed)
        notes += note
    if model.slope_rule is SlopeRule.UNIT:
        latent = Normal(0.0, float(parameters[0, 0]))
        parameters[:, 0] = 1.0
        covariance[:, 0, :] = covariance[:, :, 0] = 0.0
    calibration = _assembled(responses, chosen, model, parameters, covariance, states, found)
    calibration = replace(
        calibration,
        latent=latent,
        log_likelihood=fit.log_likelihood,
        convergence=_record(fit, blocks, model, chosen),
    )
    calibration = replace(calibration, notes=tuple(notes + _quadrature_note(calibration)))
    if not fit.converged:
        raise NotConverged(_shortfall(calibration, method), calibration)
    return calibration


def _shortfall(calibration: Calibration, method: MML) -> str:
    record = calibration.convergence
    return (
        f"The estimation did not converge in {record.n_cycles} EM cycles: the last one moved a "
        f"parameter by {record.change:.2g} (tolerance {method.tolerance:g}), most of all for item "
        f"{shown(record.slowest_item)}. Log-likelihood {calibration.log_likelihood:.3f}, largest "
        f"gradient per person {record.gradient:.2g}. Allow more cycles (--max-cycles), or look at "
        "that item."
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    parameters: FloatArray
    nodes: Nodes
    state: State
    log_likelihood: float
    converged: bool
    history: FloatArray
    moved: FloatArray


def _iterate(
    blocks: Blocks,
    model: ItemModel,
    start: FloatArray,
    method: MML,
    progress: Progress | None,
) -> _Fit:
    """Run the accelerated EM; begin again with more nodes when growing slopes need them."""
    parameters = start
    done = 0
    history: list[tuple[float, float]] = []
    n_nodes = nodes_for(largest_information(model, parameters, Normal().nodes()))
    while True:
        nodes = Normal().nodes(n_nodes)
        step = _em_map(blocks, model, nodes, method, parameters.shape)
        for state in method.acceleration.iterate(step, parameters.ravel()):
            parameters = state.point.reshape(start.shape)
            history.append((done + state.n_steps, state.objective))
            if progress is not None:
                progress(done + state.n_steps, state.objective, state.change)
            over = done + state.n_steps >= method.max_cycles
            needed = nodes_for(largest_information(model, parameters, nodes))
            if over or state.change <= method.tolerance or needed > MORE_NODES * n_nodes:
                break
        done += state.n_steps
        if needed > n_nodes and not over:
            n_nodes = needed
            continue
        converged = state.change <= method.tolerance
        break
    log_likelihood = e_step(blocks, model.log_prob(parameters, nodes.theta), nodes.log_weights)
    moved = step(parameters.ravel())[0].reshape(start.shape) - parameters
    state = replace(state, n_steps=done)
    return _Fit(
        parameters,
        nodes,
        state,
        log_likelihood.log_likelihood,
        converged,
        np.array(history),
        np.abs(moved).max(axis=1),
    )


def _em_map(
    blocks: Blocks, model: ItemModel, nodes: Nodes, method: MML, shape: tuple[int, ...]
) -> Callable[[FloatArray], tuple[FloatArray, float]]:
    """One EM cycle with parameter expansion as a map of flat parameter vectors."""

    def step(point: FloatArray) -> tuple[FloatArray, float]:
        parameters = point.reshape(shape).copy()
        np.clip(parameters[:, 0], -method.slope_bound, method.slope_bound, out=parameters[:, 0])
        expected = e_step(blocks, model.log_prob(parameters, nodes.theta), nodes.log_weights)
        better = m_step(model, parameters, nodes.theta, expected.counts, method.slope_bound)
        expanded = expand(better, nodes.theta, expected.mass)
        steepest = max(np.abs(better[:, 0]).max(), np.abs(expanded[:, 0]).max())
        if steepest < method.slope_bound:  # at a bound the expansion could lower the likelihood
            better = expanded
        return better.ravel(), expected.log_likelihood

    return step


def _usable(responses: Responses, model: ItemModel) -> tuple[list[str], list[str]]:
    """Return a state for each item (ok, constant or unanswered) and the usable items."""
    seen = np.zeros((responses.n_items, model.n_categories))  # (I, K)
    for _, codes in responses.blocks():
        for k in range(model.n_categories):
            seen[:, k] += (codes == k).sum(axis=0)
    answered = seen.sum(axis=1)  # (I,)
    constant = (seen > 0).sum(axis=1) < 2  # (I,)
    states = [
        UNANSWERED if n == 0 else CONSTANT if same else OK
        for n, same in zip(answered, constant, strict=True)
    ]
    usable = [item for item, state in zip(responses.items, states, strict=True) if state == OK]
    fewest = 3 if model.slope_rule is SlopeRule.FREE else 2
    people = int((responses.n_answered() > 0).sum())
    if people < 2:
        raise ModelError(
            f"{count(people, 'person')} answered anything; items cannot be calibrated from fewer "
            "than two persons. With a stored scale a single person can be scored."
        )
    if len(usable) < fewest:
        lost = [item for item, state in zip(responses.items, states, strict=True) if state != OK]
        gone = f" Everybody answered alike, or nobody at all, on {listing(lost)}." if lost else ""
        raise ModelError(
            f"Only {count(len(usable), 'usable item')}: the {model.name} model needs at least "
            f"{fewest}, else it is not identified.{gone} Add items or persons"
            f"{', or use the Rasch model' if len(usable) == 2 else ''}."
        )
    return states, usable


def _start(responses: Responses, model: ItemModel) -> FloatArray:
    """Start values from item means and loadings on the first principal component."""
    loading, mean = first_component(responses)
    loading = np.clip(loading, -0.8, 0.8)
    slope = 1.7 * loading / np.sqrt(1.0 - loading**2)  # (I,)
    slope = np.where(slope < 0, -1.0, 1.0) * np.clip(np.abs(slope), 0.3, None)
    if model.slope_rule is not SlopeRule.FREE:
        slope = np.full_like(slope, 1.0)
    mean = np.clip(mean, 1e-3, 1 - 1e-3)
    intercept = np.log(mean / (1 - mean)) * np.sqrt(1 + slope**2 / LOGISTIC_VARIANCE)
    return np.stack([slope, intercept], axis=1)  # (I, 2)


def _signed(parameters: FloatArray) -> FloatArray:
    """Choose the sign of theta: the slopes sum to a positive number."""
    signed = parameters.copy()
    if signed[:, 0].sum() < 0:
        signed[:, 0] *= -1.0
    return signed


def _states(parameters: FloatArray, responses: Responses, method: MML) -> list[str]:
    twins = duplicates(responses)
    states = []
    for item, slope in zip(responses.items, parameters[:, 0], strict=True):
        if abs(slope) >= 0.999 * method.slope_bound:
            states.append(SEPARATING)
        elif slope < 0:
            states.append(REVERSE_KEYED)
        else:
            states.append(DUPLICATE if item in twins else OK)
    return states


def _assembled(
    responses: Responses,
    chosen: Responses,
    model: ItemModel,
    parameters: FloatArray,
    covariance: FloatArray,
    states: list[str],
    found: list[str],
) -> Calibration:
    """Spread the results of the usable items over all items."""
    places = [place for place, state in enumerate(states) if state == OK]
    every = np.full((responses.n_items, parameters.shape[1]), np.nan)  # (I, D)
    blocks = np.full((responses.n_items, *covariance.shape[1:]), np.nan)  # (I, D, D)
    every[places], blocks[places] = parameters, covariance
    for place, state in zip(places, found, strict=True):
        states[place] = state
    return Calibration(
        model=model,
        items=responses.items,
        parameters=every,
        covariance=blocks,
        states=tuple(states),
        latent=Normal(),
        log_likelihood=np.nan,
        n_persons=float(chosen.weights.sum()),
        convergence=Convergence(False, 0, np.nan, np.nan, "", FEWEST_NODES, np.nan, np.empty(0)),
        categories=responses.categories,
        key=responses.key,
        label_set=responses.label_set,
    )


def _record(fit: _Fit, blocks: Blocks, model: ItemModel, responses: Responses) -> Convergence:
    """Measure the gradient and the quadrature error at the last parameters."""
    nodes = fit.nodes
    expected = e_step(blocks, model.log_prob(fit.parameters, nodes.theta), nodes.log_weights)
    gradient, _ = derivatives(model, fit.parameters, nodes.theta, expected.counts)
    if model.slope_rule is not SlopeRule.FREE:
        gradient[:, 0] = gradient[:, 0].sum()
    finer = Normal().nodes(2 * len(nodes.theta) - 1)
    check = e_step(blocks, model.log_prob(fit.parameters, finer.theta), finer.log_weights)
    return Convergence(
        converged=fit.converged,
        n_cycles=fit.state.n_steps,
        change=fit.state.change,
        gradient=float(np.abs(gradient).max() / responses.weights.sum()),
        slowest_item=responses.items[int(np.argmax(fit.moved))],
        n_nodes=len(nodes.theta),
        quadrature_change=abs(check.log_likelihood - expected.log_likelihood),
        history=fit.history,
    )


def _notes(responses: Responses, fit: _Fit, states: list[str]) -> list[str]:
    notes = []
    named = list(zip(responses.items, states, strict=True))
    reversed_items = [item for item, state in named if state == REVERSE_KEYED]
    separating = [item for item, state in named if state == SEPARATING]
    if reversed_items:
        notes.append(
            f"{count(len(reversed_items), 'item')} with a negative slope, as if the key were "
            f"reversed: {listing(reversed_items)}."
        )
    if separating:
        notes.append(
            f"The slope of {count(len(separating), 'item')} ran to its bound and has no standard "
            f"error: {listing(separating)}. Drop the item or use a prior."
        )
    people = responses.weights.sum()
    if people < responses.n_items:
        notes.append(
            f"Fewer persons ({people:g}) than items ({responses.n_items}): slopes are poorly "
            "determined and their standard errors large."
        )
    return notes


def _quadrature_note(calibration: Calibration) -> list[str]:
    change = calibration.convergence.quadrature_change
    if change <= QUADRATURE_TOLERANCE:
        return []
    return [
        f"Halving the spacing of the {calibration.convergence.n_nodes} quadrature nodes changes "
        f"the log-likelihood {calibration.log_likelihood:.3f} by {change:.3f} (more than "
        f"{QUADRATURE_TOLERANCE}): some slopes are too steep for the nodes."
    ]
