"""From the last EM cycle to a `Calibration`: sign, scale, states, standard errors, notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irtkit.arrays import FloatArray, to_numpy
from irtkit.errors import count, listing, shown
from irtkit.estimation.calibration import (
    AT_BOUNDARY,
    CONSTANT,
    DUPLICATE,
    EMPTY_CATEGORY,
    OK,
    REVERSE_KEYED,
    SEPARATING,
    UNANSWERED,
    Calibration,
    Convergence,
)
from irtkit.estimation.checkpoint import Checkpoint
from irtkit.estimation.cycles import Fit
from irtkit.estimation.design import duplicates, weak_links
from irtkit.estimation.em import Tables, log_likelihoods
from irtkit.estimation.m_step import Problem
from irtkit.estimation.method import MML
from irtkit.estimation.standard_errors import Uncertainty, covariance
from irtkit.latent import Histogram, Latent
from irtkit.models import Assignment, SlopeRule
from irtkit.responses import Responses
from irtkit.storage import category_counts

QUADRATURE_TOLERANCE = 0.01


def finished(
    responses: Responses,
    chosen: Responses,
    problem: Problem,
    fit: Fit,
    method: MML,
    states: list[str],
) -> tuple[Calibration, list[Latent]]:
    """Make the calibration of all items, and the groups' latents, from the fit of the usable.

    Parameters
    ----------
    responses : Responses
        All items.
    chosen : Responses
        The usable items.
    problem : Problem
    fit : Fit
    method : MML
    states : list of str
        Of all items, as far as they were known before estimation.
    """
    checkpoint = fit.checkpoint
    parameters = np.array(checkpoint.parameters)
    log_prior = float(problem.priors.log_density(problem.assignment, parameters)[0].sum())
    log_likelihood, change = checked_log_likelihood(problem, checkpoint)
    uncertainty = Uncertainty(np.full((*problem.shape, problem.shape[1]), np.nan), "", ())
    if method.standard_errors is not None and fit.converged:
        uncertainty = covariance(problem, fit, method)
    latents = problem.population.latents(checkpoint.population, checkpoint.grid)
    parameters, latents, blocks = _oriented(problem, parameters, latents, uncertainty.covariance)
    counts = category_counts(chosen.codes, chosen.n_categories, chosen.weights)
    twins = duplicates(chosen, counts)
    found = _states(problem, parameters, chosen, twins)
    every = _spread(responses, chosen, states)
    notes = _notes(problem, chosen, counts, twins, found, states, responses)
    for place, state in zip(every, found, strict=True):
        states[place] = state
    record = _record(fit, chosen, abs(change), every, responses.n_items)
    calibration = Calibration(
        assignment=_whole_assignment(responses, problem, every),
        items=responses.items,
        parameters=_scattered(parameters, every, responses.n_items),
        covariance=_scattered(blocks, every, responses.n_items),
        states=tuple(states),
        latent=latents[0],
        log_likelihood=log_likelihood,
        log_prior=log_prior,
        n_parameters=n_free(problem, fit),
        n_persons=float(chosen.weights[chosen.n_answered() > 0].sum()),
        convergence=record,
        categories=responses.categories,
        key=responses.key,
        label_set=responses.label_set,
        standard_errors=uncertainty.source,
        notes=(
            *notes,
            *uncertainty.notes,
            *_quadrature_note(log_likelihood, change, len(checkpoint.grid)),
        ),
    )
    return calibration, latents


def n_free(problem: Problem, fit: Fit) -> int:
    """Count the free parameters, those of the ability distribution included."""
    n_latent = len(problem.population.free())
    if problem.population.kind == "histogram":
        n_latent = len(fit.checkpoint.population) - 3  # sum, mean and SD are fixed
    return problem.structure.n_free + n_latent


def _oriented(
    problem: Problem, parameters: FloatArray, latents: list[Latent], blocks: FloatArray
) -> tuple[FloatArray, list[Latent], FloatArray]:
    """Fix the sign and the scale of theta, leaving every probability as it is."""
    assignment = problem.assignment
    slopes = assignment.slopes()
    scale, shift = 1.0, 0.0
    if isinstance(latents[0], Histogram) and problem.structure.movable:
        shift, scale = latents[0].mean, latents[0].standard_deviation
        latents = [latent.rescaled(1.0 / scale, -shift / scale) for latent in latents]
    if all(model.slope_rule is SlopeRule.UNIT for model in assignment.models):
        slope = float(parameters[0, 0]) * scale
        scale /= slope
        latents = [_times(latent, slope) for latent in latents]
        parameters = assignment.rescaled(parameters, shift, scale)
        parameters[:, 0] = 1.0  # not what rounding makes of slope times its inverse
        blocks = np.where(slopes[:, :, None] | slopes[:, None, :], 0.0, blocks)
    elif scale != 1.0 or shift != 0.0:
        moved = assignment.rescaled(parameters, shift, scale)
        blocks = _carried(assignment, blocks, shift, scale)
        parameters = moved
    if np.where(slopes, parameters, 0.0).sum() < 0 and problem.structure.movable:
        sign = np.where(slopes, -1.0, 1.0)
        parameters = parameters * sign
        blocks = blocks * sign[:, :, None] * sign[:, None, :]
        latents = [_times(latent, -1.0) for latent in latents]
    return parameters, latents, blocks


def _times(latent: Latent, factor: float) -> Latent:
    """The distribution of factor times theta, whatever the factor's sign."""
    if factor > 0:
        return latent.rescaled(factor, 0.0)
    if isinstance(latent, Histogram):
        latent = Histogram(-latent.theta[::-1], latent.weights[::-1])
    else:
        latent = replace(latent, mean=-latent.mean)
    return latent.rescaled(-factor, 0.0)


def _carried(assignment: Assignment, blocks: FloatArray, shift: float, scale: float) -> FloatArray:
    """Covariance blocks of rescaled parameters; the scale itself is taken as known."""
    moved = blocks.copy()
    for family in assignment.families:
        n = family.n_parameters
        change = family.model.rescaled(np.eye(n), shift, scale).T  # new = change @ old
        part = blocks[family.places, :n, :n]
        moved[family.places, :n, :n] = change @ part @ change.T
    return moved


def _spread(responses: Responses, chosen: Responses, states: list[str]) -> list[int]:
    if chosen.n_items == responses.n_items:
        return list(range(responses.n_items))
    return [place for place, state in enumerate(states) if state == OK]


def _scattered(values: FloatArray, places: list[int], n_items: int) -> FloatArray:
    whole = np.full((n_items, *values.shape[1:]), np.nan)
    whole[places] = values
    return whole


def _whole_assignment(responses: Responses, problem: Problem, places: list[int]) -> Assignment:
    """The assignment of all items: those left out get the first usable model."""
    if len(places) == responses.n_items:
        return problem.assignment
    models = [problem.assignment.models[0]] * responses.n_items
    sizes = [int(problem.assignment.n_categories[0])] * responses.n_items
    for place, model, size in zip(
        places, problem.assignment.models, problem.assignment.n_categories, strict=True
    ):
        models[place], sizes[place] = model, int(size)
    return Assignment.of(models, sizes)


def _states(
    problem: Problem, parameters: FloatArray, responses: Responses, twins: dict[str, str]
) -> list[str]:
    stuck, slopes = problem.at_bound(parameters), problem.assignment.slopes()
    separating = np.asarray((stuck & slopes).any(axis=1))
    bare = np.asarray((stuck & ~slopes).any(axis=1))
    n_slopes = problem.assignment.slopes().sum(axis=1)
    slope = parameters[np.arange(len(parameters)), n_slopes - 1]
    return [
        DUPLICATE
        if item in twins
        else SEPARATING
        if at_bound
        else REVERSE_KEYED
        if value < 0
        else AT_BOUNDARY
        if no_asymptote
        else OK
        for item, at_bound, no_asymptote, value in zip(
            responses.items, separating, bare, slope, strict=True
        )
    ]


def _record(
    fit: Fit, responses: Responses, quadrature_change: float, places: list[int], n_items: int
) -> Convergence:
    n_persons = float(responses.weights.sum())
    checkpoint = fit.checkpoint
    return Convergence(
        converged=fit.converged,
        n_cycles=checkpoint.n_cycles,
        change=checkpoint.change,
        gradient=checkpoint.gradient,
        slowest_item=responses.items[int(np.argmax(fit.moved))],
        n_nodes=len(checkpoint.grid),
        quadrature_change=quadrature_change,
        history=checkpoint.history,
        item_change=_scattered(fit.moved, places, n_items),
        item_gradient=_scattered(np.abs(fit.gradient).max(axis=1) / n_persons, places, n_items),
    )


def checked_log_likelihood(problem: Problem, checkpoint: Checkpoint) -> tuple[float, float]:
    """Log-likelihood, and what is added to it when the spacing of the nodes is halved.

    The finer rule is the mean of the one at the nodes and the one at their midpoints, so only the
    midpoints are new. A histogram has no other nodes than its own.
    """
    population, grid = problem.population, checkpoint.grid
    moments = population.moments(checkpoint.population)
    group = np.empty(problem.blocks.n_persons, dtype=np.int64)
    weight = np.empty(problem.blocks.n_persons)
    for block in problem.blocks:
        group[block.rows] = block.group
        weight[block.rows] = to_numpy(block.weights)

    def at(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        log_weights = population.log_weights(checkpoint.population, theta)
        tables = Tables.of(
            problem.assignment,
            checkpoint.parameters,
            theta,
            log_weights,
            complete=problem.blocks.complete,
        )
        share = np.log(_density_sum(moments, theta))[group]
        return log_likelihoods(problem.blocks, tables), share

    coarse, share = at(grid)
    log_likelihood = float(weight @ coarse)
    if population.kind == "histogram":
        return log_likelihood, 0.0
    middle, other = at(0.5 * (grid[1:] + grid[:-1]))
    fine = np.logaddexp(coarse + share, middle + other) - np.logaddexp(share, other)
    return log_likelihood, float(weight @ (fine - coarse))


def _density_sum(moments: list[tuple[float, float]], theta: FloatArray) -> list[float]:
    """Sum of each group's unnormalised density over nodes."""
    return [float(np.exp(-0.5 * ((theta - mean) / sd) ** 2).sum()) for mean, sd in moments]


def _notes(
    problem: Problem,
    chosen: Responses,
    counts: FloatArray,
    twins: dict[str, str],
    found: list[str],
    states: list[str],
    responses: Responses,
) -> list[str]:
    notes = [*_left_out(responses, states), *_silent(chosen), *weak_links(chosen)]
    gaps = [i for i, s in zip(responses.items, states, strict=True) if s == EMPTY_CATEGORY]
    if gaps:
        notes.append(
            f"{count(len(gaps), 'item')} not calibrated, because nobody chose some category below "
            f"the highest: {listing(gaps)}. Join categories that are never used."
        )
    rare = (counts == 1) & (np.arange(counts.shape[1]) < problem.assignment.n_categories[:, None])
    rare &= (problem.assignment.n_categories > 2)[:, None]
    for place, code in np.argwhere(rare)[:5]:
        notes.append(
            f"Category {chosen.categories[code]} of item {shown(chosen.items[place])} was chosen "
            "once: its parameter hangs on one answer."
        )
    named = list(zip(chosen.items, found, strict=True))
    reversed_items = [item for item, state in named if state == REVERSE_KEYED]
    separating = [item for item, state in named if state == SEPARATING]
    if reversed_items:
        notes.append(
            f"{count(len(reversed_items), 'item')} with a negative slope, as if the key were "
            f"reversed: {listing(reversed_items)}."
        )
    shown_twins = list(twins.items())[:5]
    notes += [
        f"Item {shown(item)} repeats every answer of item {shown(original)}."
        for item, original in shown_twins
    ]
    if len(twins) > len(shown_twins):
        notes.append(f"{len(twins) - len(shown_twins)} more items repeat another's answers.")
    if separating:
        notes.append(
            f"The slope of {count(len(separating), 'item')} ran to its bound and has no standard "
            f"error: {listing(separating)}. Drop the item or use a prior."
        )
    bare = [item for item, state in named if state == AT_BOUNDARY]
    if bare:
        notes.append(
            f"An asymptote of {count(len(bare), 'item')} ran to 0 or 1 and has no standard error: "
            f"{listing(bare)}. The item needs a prior, or no asymptote."
        )
    people = chosen.weights.sum()
    if people < chosen.n_items and problem.priors.slope is None:
        notes.append(
            f"Fewer persons ({people:g}) than items ({chosen.n_items}): slopes are poorly "
            "determined and their standard errors large. Consider priors for small samples."
        )
    effective = problem.priors.effective(problem.assignment)
    if effective:
        notes.append(
            "Priors: " + ", ".join(f"{name} {prior}" for name, prior in effective.items()) + "."
        )
    return notes


def _left_out(responses: Responses, states: list[str]) -> list[str]:
    """Name the items that nobody answered, or that everybody answered alike."""
    words = {UNANSWERED: "because nobody answered", CONSTANT: "because everybody answered alike"}
    notes = []
    for state, why in words.items():
        items = [i for i, s in zip(responses.items, states, strict=True) if s == state]
        if items:
            number = count(len(items), "item")
            notes.append(f"{number} not calibrated, {why}: {listing(items)}.")
    return notes


def _silent(responses: Responses) -> list[str]:
    """Name the persons without an answer, who count nowhere."""
    persons = [responses.persons[row] for row in np.flatnonzero(responses.n_answered() == 0)]
    if not persons:
        return []
    number = count(len(persons), "person")
    return [f"{number} without an answer to these items left out: {listing(persons)}."]


def _quadrature_note(log_likelihood: float, change: float, n_nodes: int) -> list[str]:
    if abs(change) <= QUADRATURE_TOLERANCE:
        return []
    return [
        f"Halving the spacing of the {n_nodes} quadrature nodes changes the log-likelihood from "
        f"{log_likelihood:.3f} to {log_likelihood + change:.3f} (more than "
        f"{QUADRATURE_TOLERANCE}): some slopes are too steep for the nodes."
    ]
