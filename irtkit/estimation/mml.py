"""`calibrate`: marginal maximum likelihood by EM, from start values to a checked optimum.

The order of work: set unusable items aside, refuse disconnected designs, start from the first
principal component (`design.py`), cycle until nothing moves (`cycles.py`), fix the sign, name the
items' states, check the quadrature, compute standard errors (`standard_errors.py`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError, NotConverged, count, listing, shown
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
from irtkit.estimation.cycles import AT_BOUND, MML, Fit, Progress, iterate
from irtkit.estimation.design import check_connected, duplicates, first_component
from irtkit.estimation.em import Blocks, derivatives, e_step
from irtkit.estimation.standard_errors import item_covariance
from irtkit.latent import FEWEST_NODES, Normal
from irtkit.models import ItemModel, SlopeRule
from irtkit.responses import Responses

QUADRATURE_TOLERANCE = 0.01
LOGISTIC_VARIANCE = 3.29


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
    fit = iterate(blocks, model, _start(chosen, model), method, progress)
    parameters = _signed(fit.parameters)
    twins = duplicates(chosen)
    found = _states(parameters, chosen, twins, method)
    covariance = np.full((chosen.n_items, *parameters.shape[1:] * 2), np.nan)
    notes = _notes(chosen, twins, found)
    latent = Normal()
    if method.standard_errors and fit.converged:
        fixed = np.abs(parameters[:, 0]) >= AT_BOUND * method.slope_bound
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


def _states(
    parameters: FloatArray, responses: Responses, twins: dict[str, str], method: MML
) -> list[str]:
    states = []
    for item, slope in zip(responses.items, parameters[:, 0], strict=True):
        if item in twins:
            states.append(DUPLICATE)
        elif abs(slope) >= AT_BOUND * method.slope_bound:
            states.append(SEPARATING)
        else:
            states.append(REVERSE_KEYED if slope < 0 else OK)
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


def _record(fit: Fit, blocks: Blocks, model: ItemModel, responses: Responses) -> Convergence:
    """Measure the gradient and the quadrature error at the last parameters."""
    nodes = fit.nodes
    expected = e_step(blocks, model.log_prob(fit.parameters, nodes.theta), nodes.log_weights)
    _, gradient, _ = derivatives(model, fit.parameters, nodes.theta, expected.counts)
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


def _notes(responses: Responses, twins: dict[str, str], states: list[str]) -> list[str]:
    notes = []
    named = list(zip(responses.items, states, strict=True))
    reversed_items = [item for item, state in named if state == REVERSE_KEYED]
    separating = [item for item, state in named if state == SEPARATING]
    if reversed_items:
        notes.append(
            f"{count(len(reversed_items), 'item')} with a negative slope, as if the key were "
            f"reversed: {listing(reversed_items)}."
        )
    for item, original in twins.items():
        notes.append(f"Item {shown(item)} repeats every answer of item {shown(original)}.")
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
