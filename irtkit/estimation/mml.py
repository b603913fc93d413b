"""`calibrate`: marginal maximum likelihood by EM, from start values to a checked optimum.

The order of work: set unusable items aside, refuse disconnected designs, start from the first
principal component (`design.py`), cycle until nothing moves (`cycles.py`), fix the sign, compute
standard errors (`standard_errors.py`), name the items' states, check the quadrature (`result.py`).
Models with asymptotes start from the 2PL nested in them and are compared with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError, NotConverged, count, listing, nearest, shown
from irtkit.estimation.blocks import Blocks, Rows
from irtkit.estimation.calibration import (
    CONSTANT,
    EMPTY_CATEGORY,
    OK,
    UNANSWERED,
    Calibration,
    check_categories,
)
from irtkit.estimation.checkpoint import Checkpoint
from irtkit.estimation.cycles import Fit, Progress, begin, iterate
from irtkit.estimation.design import check_connected, first_component
from irtkit.estimation.em import Tables, linear_sums, posterior_means
from irtkit.estimation.m_step import Problem
from irtkit.estimation.method import MML
from irtkit.estimation.population import Population
from irtkit.estimation.result import checked_log_likelihood, finished
from irtkit.estimation.structure import Fixed, Structure
from irtkit.latent import Normal
from irtkit.models import Assignment, ItemModel, SlopeRule, ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.storage import category_counts
from irtkit.threads import one_thread_a_core

LARGEST_START_LOADING = 0.8
SORTED_FROM = 2000  # persons
LONGEST_PERSONS = 100


def calibrate(
    responses: Responses,
    model: ItemModel | Mapping[str, ItemModel],
    *,
    method: MML | None = None,
    resume: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Estimate the item parameters of a model by marginal maximum likelihood.

    Parameters
    ----------
    responses : Responses
        Graded answers, complete or not. Missing answers are taken as ignorable.
    model : ItemModel, or mapping of item to ItemModel
        One model for all items, such as `TwoPL()`, or one for each.
    method : MML, optional
        Tolerance, priors, constraints, standard errors and the like.
    resume : Checkpoint, optional
        Go on from the state that `progress` was given in an interrupted run.
    progress : callable, optional
        Called with a `Checkpoint` after each accelerated cycle.

    Returns
    -------
    Calibration
        Items that everybody answered alike, or nobody answered, are named by their state and
        have no parameters. The sign of theta is such that the slopes sum to a positive number.

    Raises
    ------
    ModelError
        If fewer than three items (two for Rasch and 1PL) or two persons are usable, the design
        falls into unconnected parts, or models, constraints and answers do not fit each other.
    NotConverged
        If `method.max_cycles` EM steps were not enough; carries the last state.

    References
    ----------
    Bock, R. D., & Aitkin, M. (1981). Psychometrika, 46(4), 443-459.
    """
    method = method or MML()
    with one_thread_a_core():
        setup = prepared(responses, model, method)
        problem = setup.problem
        watched = resume is not None or progress is not None
        fingerprint = _fingerprint(responses, problem, method) if watched else ""
        if resume is not None and resume.problem != fingerprint:
            raise ModelError(
                "The checkpoint belongs to other answers, models or options, so the estimation "
                "cannot go on from it. Start afresh, or give what it was made with."
            )
        nested = None
        if any(isinstance(model, ThreePL) for model in problem.assignment.models):
            nested = _nested_fit(setup, method)
        if resume is None:
            resume = begin(problem, _start(setup, nested), fingerprint)
        fit = iterate(problem, resume, method, progress)
        calibration, _ = finished(responses, setup.chosen, problem, fit, method, setup.states)
        if nested is not None:
            note = _comparison(calibration, nested)
            calibration = replace(calibration, notes=(*calibration.notes, note))
    if not fit.converged:
        raise NotConverged(shortfall(calibration, method), calibration)
    return calibration


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """An estimation ready to begin.

    Attributes
    ----------
    chosen : Responses
        The usable items' answers.
    counts : array, shape (I, K)
        Weighted count of each category, of the usable items.
    problem : Problem
    start : array, shape (I, D)
        Rough parameters.
    states : list of str
        Of all items: ok, constant, unanswered, or an empty category.
    """

    chosen: Responses
    counts: FloatArray
    problem: Problem
    start: FloatArray
    states: list[str]


def prepared(
    responses: Responses,
    model: ItemModel | Mapping[str, ItemModel],
    method: MML,
    *,
    groups: IntArray | None = None,
    population: Population | None = None,
) -> Setup:
    """Check responses, models and options against each other; choose what can be calibrated.

    Parameters
    ----------
    responses : Responses
    model : ItemModel, or mapping of item to ItemModel
    method : MML
    groups : array of int, shape (P,), optional
        Group of each person; their connection is left to the caller.
    population : Population, optional
        What is free about their abilities; by default what the method says, for one group.
    """
    models = _models(responses, model)
    counts = category_counts(responses.codes, responses.n_categories, responses.weights)
    sizes = _category_sizes(models, counts)
    whole = Assignment.of(models, sizes)
    check_categories(responses, whole)
    if method.backend != "numpy" and sp.issparse(responses.codes):
        raise ModelError(
            f"The {method.backend} backend takes dense answers, and these are kept sparse because "
            "few cells are filled. Use backend 'numpy', which runs over the answered cells only."
        )
    states = _item_states(models, sizes, counts)
    usable = np.flatnonzero([state == OK for state in states])
    _check_enough(responses, models, states, usable)
    chosen = responses
    if len(usable) < responses.n_items:
        chosen = responses.select_items([responses.items[place] for place in usable])
    assignment = whole.at(usable)
    _check_scales(assignment)
    if groups is None:
        check_connected(chosen)
    structure = Structure.of(assignment, chosen.items, method.constraints)
    _check_free(method, structure)
    n_categories = int(assignment.n_categories.max())
    groups = np.zeros(chosen.n_persons, dtype=np.int64) if groups is None else groups
    rows = Rows(chosen.codes, chosen.weights, groups).collapsed(n_categories)
    population = population or Population(method.latent)
    blocks = Blocks.of(
        rows.codes,
        rows.weights,
        n_categories,
        groups=rows.groups,
        backend=method.place(),
        packed=assignment.linear,
    )
    problem = Problem(
        blocks,
        assignment,
        structure,
        method.priors,
        population,
        method.slope_bound,
        _longest(chosen),
    )
    counts = counts[usable]
    start = _rough_start(assignment, first_component(chosen, counts), counts)
    if len(rows.weights) >= SORTED_FROM and isinstance(rows.codes, np.ndarray):
        problem = replace(problem, blocks=_sorted(problem, rows, start))
    return Setup(chosen, counts, problem, start, states)


def _longest(responses: Responses) -> BoolArray | None:
    """Which items the persons with the most answers answered; None if somebody answered all."""
    answered = responses.n_answered()
    if answered.max() == responses.n_items:
        return None
    chosen = np.argsort(-answered, kind="stable")[:LONGEST_PERSONS]
    codes = responses.codes[chosen]
    return np.asarray(codes.toarray() > 0 if sp.issparse(codes) else codes != MISSING)


def _models(responses: Responses, model: ItemModel | Mapping[str, ItemModel]) -> list[ItemModel]:
    if isinstance(model, ItemModel):
        return [model] * responses.n_items
    absent = [item for item in responses.items if item not in model]
    strange = [item for item in model if item not in set(responses.items)]
    if absent:
        raise ModelError(
            f"No model was given for {count(len(absent), 'item')}: {listing(absent)}."
        )
    if strange:
        raise ModelError(
            f"A model was given for item {shown(strange[0])}, which was not answered."
            f"{nearest(strange[0], responses.items)}"
        )
    return [model[item] for item in responses.items]


def _category_sizes(models: list[ItemModel], counts: FloatArray) -> list[int]:
    """Number of categories of each item: two, or up to the highest that anybody chose."""
    highest = np.where(counts > 0, np.arange(counts.shape[1]), 0).max(axis=1)
    return [
        max(2, int(top) + 1) if model.ordinal else 2
        for model, top in zip(models, highest, strict=True)
    ]


def _item_states(models: list[ItemModel], sizes: list[int], counts: FloatArray) -> list[str]:
    states = []
    for size, row in zip(sizes, counts, strict=True):
        chosen = row[:size] > 0
        if not chosen.any():
            states.append(UNANSWERED)
        elif chosen.sum() < 2:
            states.append(CONSTANT)
        else:
            states.append(OK if chosen.all() else EMPTY_CATEGORY)
    return states


def _check_enough(
    responses: Responses, models: list[ItemModel], states: list[str], usable: IntArray
) -> None:
    free = any(model.slope_rule is SlopeRule.FREE for model in models)
    fewest = 3 if free else 2
    people = int((responses.n_answered() > 0).sum())
    if people < 2:
        raise ModelError(
            f"{count(people, 'person')} answered anything; items cannot be calibrated from fewer "
            "than two persons. With a stored scale a single person can be scored."
        )
    if len(usable) >= fewest:
        return
    lost = [item for item, state in zip(responses.items, states, strict=True) if state != OK]
    gone = f" Everybody answered alike, or nobody at all, on {listing(lost)}." if lost else ""
    if EMPTY_CATEGORY in states:
        gone = f" Some category was never chosen, or all were alike, on {listing(lost)}."
    name = models[0].name
    raise ModelError(
        f"Only {count(len(usable), 'usable item')}: the {name} model needs at least "
        f"{fewest}, else it is not identified.{gone} Add items or persons"
        f"{', or use the Rasch model' if len(usable) == 2 else ''}."
    )


def _check_scales(assignment: Assignment) -> None:
    """Refuse models that identify theta's scale in different ways."""
    unit = {m.name for m in assignment.models if m.slope_rule is SlopeRule.UNIT}
    other = {m.name for m in assignment.models if m.slope_rule is not SlopeRule.UNIT}
    if unit and other:
        raise ModelError(
            f"The models {listing(sorted(unit))} have slope 1 and free the variance of theta, "
            f"{listing(sorted(other))} estimate slopes and fix it: they cannot share a scale. "
            "Use 1pl (or gpcm with equal slopes) for a common slope beside free ones."
        )


def _check_free(method: MML, structure: Structure) -> None:
    fixed = np.isfinite(structure.fixed)
    if method.latent == "free" and not (fixed[:, 0] & fixed[:, 1:].any(axis=1)).any():
        raise ModelError(
            "A free mean and SD of theta need at least one item whose slope and intercept are "
            "fixed; otherwise the scale is not identified. Fix items, or use latent='normal'."
        )


def anchored(calibration: Calibration, items: tuple[str, ...]) -> tuple[Fixed, ...]:
    """Constraints that hold items at the parameters of an earlier calibration.

    With `MML(constraints=anchored(...), latent="free")` new items are placed on its scale.
    """
    place_of = {item: place for place, item in enumerate(calibration.items)}
    unknown = [i for i in items if i not in place_of or not calibration.calibrated[place_of[i]]]
    if unknown:
        raise ModelError(f"No parameters are known for {listing(unknown)}.")
    return tuple(
        Fixed(name, float(calibration.parameters[place_of[item], place]), (item,))
        for item in items
        for place, name in enumerate(calibration.assignment.names(place_of[item]))
    )


def _rough_start(assignment: Assignment, loading: FloatArray, counts: FloatArray) -> FloatArray:
    """Start values from shares and loadings on the first principal component, (I, D)."""
    loading = np.clip(loading, -LARGEST_START_LOADING, LARGEST_START_LOADING)
    slope = 1.7 * loading / np.sqrt(1.0 - loading**2)  # (I,)
    slope = np.where(slope < 0, -1.0, 1.0) * np.clip(np.abs(slope), 0.3, None)
    shares = np.clip(counts / counts.sum(axis=1, keepdims=True), 1e-3, None)
    start = np.full((assignment.n_items, assignment.n_parameters), np.nan)
    for family in assignment.families:
        here, size = family.places, family.n_categories
        own = shares[here, :size] / shares[here, :size].sum(axis=1, keepdims=True)
        own_slope = slope[here]
        if family.model.slope_rule is not SlopeRule.FREE:
            own_slope = np.ones_like(own_slope)
        start[here, : family.n_parameters] = family.model.start(own_slope, own)
    return start


def _sorted(problem: Problem, rows: Rows, start: FloatArray) -> Blocks:
    """Blocks of persons with similar abilities, as the start values see them."""
    theta = Normal().nodes().theta
    weights = np.tile(Normal().log_weights(theta), (problem.population.n_groups, 1))
    complete = problem.blocks.complete
    tables = Tables.of(problem.assignment, start, theta, weights, complete=complete)
    if complete and tables.scores is not None:
        place = linear_sums(problem.blocks, tables)  # abilities rise with them
    else:
        place = posterior_means(problem.blocks, tables)
    order = np.argsort(place, kind="stable")
    return Blocks.of(
        rows.codes,
        rows.weights,
        problem.blocks.blocks[0].n_categories,
        groups=rows.groups,
        order=order,
        backend=problem.blocks.backend,
        packed=problem.assignment.linear,
    )


def _start(setup: Setup, nested: tuple[Fit, Problem] | None) -> FloatArray:
    problem = setup.problem
    if nested is None:
        start = setup.start
    else:
        start = np.full(problem.shape, np.nan)
        shares = setup.counts / setup.counts.sum(axis=1, keepdims=True)
        plain = nested[0].checkpoint.parameters
        for family in problem.assignment.families:
            here, size = family.places, slice(family.n_parameters)
            if isinstance(family.model, ThreePL):
                start[here, size] = family.model.start(plain[here, 0], shares[here, :2])
            else:
                start[here, size] = plain[here, size]
    return problem.structure.obeyed(start)


def _nested_fit(setup: Setup, method: MML) -> tuple[Fit, Problem]:
    """Fit the 2PL that is nested in the items with asymptotes."""
    problem = setup.problem
    plain = Assignment.of(
        [TwoPL() if isinstance(m, ThreePL) else m for m in problem.assignment.models],
        problem.assignment.n_categories,
    )
    kept = [
        constraint
        for constraint in method.constraints
        if constraint.parameter not in ("logit_lower", "logit_upper")
    ]
    nested = replace(
        problem, assignment=plain, structure=Structure.of(plain, setup.chosen.items, kept)
    )
    rough = _rough_start(plain, first_component(setup.chosen, setup.counts), setup.counts)
    start = nested.structure.obeyed(rough)
    return iterate(nested, begin(nested, start, ""), method, None), nested


def _comparison(calibration: Calibration, nested: tuple[Fit, Problem]) -> str:
    """Say whether the asymptotes are worth their parameters."""
    fit, problem = nested
    plain, _ = checked_log_likelihood(problem, fit.checkpoint)
    gain = calibration.log_likelihood - plain
    extra = calibration.n_parameters - problem.structure.n_free
    name = calibration.assignment.name
    better = 2.0 * gain > 2.0 * extra
    verdict = (
        f"The {name} model is better than its nested 2pl by AIC"
        if better
        else f"The {name} model is not better than its nested 2pl"
    )
    return (
        f"{verdict}: its log-likelihood is {abs(gain):.3f} {'higher' if gain >= 0 else 'lower'} "
        f"({calibration.log_likelihood:.3f} against {plain:.3f}) with "
        f"{extra} more parameters."
    )


def _fingerprint(responses: Responses, problem: Problem, method: MML) -> str:
    digest = hashlib.sha256()
    models = tuple(model.name for model in problem.assignment.models)
    options = (method.tolerance, method.slope_bound, method.priors, method.constraints)
    digest.update(repr((models, options, method.latent, method.acceleration)).encode())
    digest.update(responses.fingerprint().encode())
    return digest.hexdigest()


def shortfall(calibration: Calibration, method: MML) -> str:
    """Say how far an estimation is from convergence."""
    record = calibration.convergence
    return (
        f"The estimation did not converge in {record.n_cycles} EM cycles: the last one moved a "
        f"parameter by {record.change:.2g} (tolerance {method.tolerance:g}), most of all for item "
        f"{shown(record.slowest_item)}. Log-likelihood {calibration.log_likelihood:.3f}, largest "
        f"gradient per person {record.gradient:.2g}. Allow more cycles (--max-cycles), or look at "
        "that item."
    )
