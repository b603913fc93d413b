"""`sample_posterior`: from answers and a model to draws of the item parameters.

The order of work: set unusable items aside and refuse disconnected designs as `calibrate` does,
lay the coordinates out (`layout.py`), place quadrature nodes, sample (`nuts.py`, `pathfinder.py`),
turn coordinates into parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.bayes.extras import extra
from irtkit.estimation.bayes.gathering import gathered, rows_of
from irtkit.estimation.bayes.layout import Layout
from irtkit.estimation.bayes.levels import Levels
from irtkit.estimation.bayes.method import NUTS, Sampler
from irtkit.estimation.bayes.nuts import Progress, Trace, by_density, by_pymc_model
from irtkit.estimation.bayes.posterior import THETA_SD, Posterior, Sampling
from irtkit.estimation.bayes.priors import (
    BayesPriors,
    FixedPriors,
    HierarchicalPriors,
    SignedPriors,
)
from irtkit.estimation.bayes.start import centring, start_point
from irtkit.estimation.blocks import Rows
from irtkit.estimation.cycles import largest_information
from irtkit.estimation.mml import Setup
from irtkit.estimation.population import Population
from irtkit.latent import Nodes, Normal
from irtkit.models import Assignment, ItemModel
from irtkit.responses import Responses
from irtkit.threads import one_thread_a_core

if TYPE_CHECKING:
    from irtkit.estimation.bayes.density import Density

PACKAGES = ("pymc", "nutpie", "arviz")
STEEPER = 2.0  # allowance for information beyond that at the start values


def sample_posterior(
    responses: Responses,
    model: ItemModel | Mapping[str, ItemModel],
    *,
    priors: BayesPriors | None = None,
    sampler: Sampler | None = None,
    seed: int | np.random.Generator = 0,
    progress: Progress | None = None,
) -> Posterior:
    """Draw from the posterior of the item parameters.

    Theta is standard normal (for Rasch and partial credit its SD is a parameter) and is summed
    over quadrature nodes, unless the sampler's formulation is "joint".

    Parameters
    ----------
    responses : Responses
        Graded answers, complete or not. Missing answers are taken as ignorable.
    model : ItemModel, or mapping of item to ItemModel
        Any model but the nominal.
    priors : HierarchicalPriors, SignedPriors or FixedPriors, optional
        By default hierarchical and weakly informative, with positive slopes.
    sampler : NUTS or Pathfinder, optional
        By default NUTS with 4 chains of 1,000 draws.
    seed : int or Generator
    progress : callable, optional
        Called with the number of draws done and of all draws, from the sampler's threads; by
        nutpie on the marginal formulation only.

    Returns
    -------
    Posterior
        Look at its `checks()` before anything else.

    Raises
    ------
    ModelError
        As `calibrate`; for priors that do not fit the model, and where the packages of
        ``irtkit[bayes]`` are not installed.

    References
    ----------
    Bock, R. D., & Aitkin, M. (1981). Psychometrika, 46(4), 443-459.

    Patz, R. J., & Junker, B. W. (1999). A straightforward approach to Markov chain Monte Carlo
        methods for item response models. Journal of Educational and Behavioral Statistics, 24(2),
        146-178.
    """
    priors = HierarchicalPriors() if priors is None else priors
    sampler = NUTS() if sampler is None else sampler
    extra("nutpie")
    if isinstance(seed, np.random.Generator):
        seed = int(seed.integers(2**31))
    with one_thread_a_core():
        task = Task.of(responses, model, priors)
        trace = _sampled(task, sampler, seed, progress)
    made = Sampling(
        *(sampler, priors, seed, len(task.nodes.theta)),
        *(trace.compile_seconds, trace.seconds, _versions()),
    )
    return _posterior(responses, task, trace, made)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A posterior ready to be sampled.

    Attributes
    ----------
    setup : Setup
        The usable items and their answers.
    priors : BayesPriors
    density : Density
    rows : Rows
        The answers, equal rows put together.
    nodes : Nodes
    start : array, shape (n,)
        Coordinates near which chains start.
    """

    setup: Setup
    priors: BayesPriors
    density: Density
    rows: Rows
    nodes: Nodes
    start: FloatArray

    @classmethod
    def of(
        cls,
        responses: Responses,
        model: ItemModel | Mapping[str, ItemModel],
        priors: BayesPriors,
    ) -> Task:
        """Check everything against everything else, and lay it out."""
        setup = gathered(responses, model)
        problem, chosen = setup.problem, setup.chosen
        layout = Layout.of(problem.assignment, chosen.items, ())
        _check_slopes(layout, priors)
        layout = replace(layout, hyper=Levels.of(priors, layout.shared).names)
        rows = rows_of(chosen).collapsed(int(problem.assignment.n_categories.max()))
        information = STEEPER * largest_information(problem, setup.start)
        nodes = Normal().nodes(len(Population("normal").grid(np.empty(0), information)))
        likelihood = extra("irtkit.estimation.bayes.marginal").MarginalLikelihood
        made = extra("irtkit.estimation.bayes.density").Density
        weights = centring(layout, priors, setup.counts.sum(axis=1))
        density = made.of(layout, priors, weights, likelihood.of(problem, rows, nodes))
        start = start_point(layout, density.levels, weights, setup.start)
        return cls(setup, priors, density, rows, nodes, start)


def _check_slopes(layout: Layout, priors: BayesPriors) -> None:
    """Refuse priors that contradict a model with one slope for all items."""
    if not layout.shared:
        return
    name = layout.assignment.name
    if isinstance(priors, SignedPriors) or (
        isinstance(priors, FixedPriors) and isinstance(priors.slope, Normal)
    ):
        raise ModelError(
            f"The {name} model has one slope for all items, which decides the sign of theta and "
            "must be positive. Slopes of either sign need a model with free slopes, such as 2pl."
        )
    if isinstance(priors, HierarchicalPriors) and priors.correlated:
        raise ModelError(
            f"The {name} model has one slope for all items, so it cannot correlate with "
            "difficulty. Use correlated=False, or a model with free slopes."
        )


def _sampled(task: Task, sampler: Sampler, seed: int, progress: Progress | None) -> Trace:
    """Run the sampler; the trace holds parameters, hyperparameters and perhaps theta."""
    start = task.start
    if not isinstance(sampler, NUTS):
        pathfinder = extra("irtkit.estimation.bayes.pathfinder")
        return _named(task, pathfinder.by_pathfinder(task.density, start, sampler, seed))
    if (sampler.engine, sampler.formulation) == ("nutpie", "marginal"):
        return _named(task, by_density(task.density, start, sampler, seed, progress))
    return _from_pymc(task, sampler, seed)


def _named(task: Task, trace: Trace) -> Trace:
    """Parameters and hyperparameters of the sampled coordinates, chain by chain."""
    x = trace.values["x"]  # (C, S, n)
    parts = [task.density.unfolded(chain) for chain in x]
    hyper = {name: np.stack([part[1][name] for part in parts]) for name in parts[0][1]}
    parameters = np.stack([part[0] for part in parts])
    return replace(trace, values={"parameters": parameters, **hyper})


def _from_pymc(task: Task, sampler: NUTS, seed: int) -> Trace:
    joint = sampler.formulation == "joint"
    rows = task.rows
    if joint:
        rows = rows_of(task.setup.chosen)
        if (rows.weights != 1.0).any():
            raise ModelError(
                "Persons with weights cannot be sampled one by one. Use the marginal formulation, "
                "or give each person a row."
            )
    built = extra("irtkit.estimation.bayes.pymc_model")
    density = task.density
    nodes = None if joint else task.nodes
    model = built.pymc_model(density.layout, task.priors, rows, nodes=nodes)
    names = ("parameters", *density.layout.hyper, *([built.THETA] if joint else []))
    trace = by_pymc_model(model, names, sampler, seed)
    used = task.setup.problem.assignment.used()
    parameters = np.where(used, trace.values["parameters"], np.nan)
    return replace(trace, values={**trace.values, "parameters": parameters})


def _posterior(responses: Responses, task: Task, trace: Trace, sampling: Sampling) -> Posterior:
    """Spread what was sampled over all items."""
    setup = task.setup
    known = set(setup.chosen.items)
    places = [place for place, item in enumerate(responses.items) if item in known]
    sampled = np.array(trace.values["parameters"])
    hyper = {name: trace.values[name] for name in task.density.layout.hyper}
    theta = trace.values.get("theta")
    if task.density.layout.unit:
        hyper[THETA_SD] = sampled[..., 0, 0].copy()
        sampled[..., 0] = 1.0
        theta = None if theta is None else theta * hyper[THETA_SD][..., None]
    assignment = setup.problem.assignment
    whole = _whole(assignment, places, responses.n_items)
    shape = (*sampled.shape[:2], responses.n_items, sampled.shape[3])
    parameters = np.full(shape, np.nan)
    parameters[:, :, places] = sampled
    return Posterior(
        responses,
        whole,
        tuple(setup.states),
        parameters,
        hyper,
        theta,
        trace.statistics,
        sampling,
    )


def _whole(assignment: Assignment, places: list[int], n_items: int) -> Assignment:
    """The assignment of all items; those left out get the first usable model."""
    models = [assignment.models[0]] * n_items
    sizes = [int(assignment.n_categories[0])] * n_items
    for own, place in enumerate(places):
        models[place], sizes[place] = assignment.models[own], int(assignment.n_categories[own])
    return Assignment.of(models, sizes)


def _versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, version(name)) for name in PACKAGES)
