"""Drawing item parameters from the priors: what they imply, before any answer is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logit
from scipy.stats import truncnorm

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.bayes.layout import FALLING, STEPS, Layout
from irtkit.estimation.bayes.levels import Level, Levels
from irtkit.estimation.bayes.priors import Asymptote, BayesPriors, HierarchicalPriors
from irtkit.estimation.priors import Beta
from irtkit.latent import Normal
from irtkit.models import Assignment, ItemModel

MOST_TRIES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class PriorDraws:
    """Item parameters as the priors would have them.

    Attributes
    ----------
    assignment : Assignment
    parameters : array, shape (S, I, D)
        For theta on N(0, 1); the slope of Rasch and partial credit items is theta's SD.
    hyperparameters : dict of str to array, shape (S,)
    """

    assignment: Assignment
    parameters: FloatArray
    hyperparameters: dict[str, FloatArray]


def prior_draws(
    model: ItemModel,
    priors: BayesPriors | None = None,
    *,
    n_items: int = 1,
    n_categories: int = 2,
    n_draws: int = 1000,
    seed: int | np.random.Generator = 0,
) -> PriorDraws:
    """Draw tests from the priors.

    Parameters
    ----------
    model : ItemModel
    priors : BayesPriors, optional
        By default the hierarchical ones.
    n_items, n_categories, n_draws : int
        Items of a test, categories of an item, tests.
    seed : int or Generator

    Raises
    ------
    ModelError
        If a number is too small, or the model has no such items.
    """
    if min(n_items, n_draws) < 1 or n_categories < 2 or (n_categories > 2 and not model.ordinal):
        raise ModelError(
            f"{n_draws} draws of {n_items} {model.name} items with {n_categories} categories: "
            "there must be one draw and item at least, and categories that the model has."
        )
    assignment = Assignment.of([model] * n_items, [n_categories] * n_items)
    items = tuple(f"i{number}" for number in range(1, n_items + 1))
    layout = Layout.of(assignment, items, ())
    priors = HierarchicalPriors() if priors is None else priors
    levels = Levels.of(priors, layout.shared)
    layout = replace(layout, hyper=levels.names)
    rng = np.random.default_rng(seed)
    parameters = np.full((n_draws, n_items, assignment.n_parameters), np.nan)
    hyper = np.zeros((n_draws, 5))
    for draw in range(n_draws):
        hyper[draw] = [*_level(levels.slope, rng), *_level(levels.place, rng), 0.0]
        if levels.correlated:
            hyper[draw, 4] = 2.0 * rng.beta(2.0, 2.0) - 1.0
        parameters[draw] = _test(layout, levels, priors, hyper[draw], rng)
    return PriorDraws(assignment, parameters, levels.named(hyper))


def _level(level: Level, rng: np.random.Generator) -> tuple[float, float]:
    """Mean and SD of a level."""
    mean, sd, log_mean, log_spread = level.numbers()
    if not isinstance(level.mean, Normal):
        return mean, sd
    if level.positive:
        drawn = float(truncnorm.rvs(-mean / sd, np.inf, mean, sd, random_state=rng))
    else:
        drawn = float(rng.normal(mean, sd))
    return drawn, float(rng.lognormal(log_mean, log_spread))


def _test(
    layout: Layout,
    levels: Levels,
    priors: BayesPriors,
    hyper: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Parameters (I, D) of one test."""
    assignment = layout.assignment
    slope_mean, slope_sd, place_mean, place_sd, rho = hyper
    error = rng.standard_normal(layout.n_slopes)
    values = slope_mean + slope_sd * error
    slopes = np.exp(values) if levels.log_slopes else values
    own = layout.slope_of[layout.item_of]
    places = place_mean + place_sd * (
        rho * error[own] + np.sqrt(1.0 - rho**2) * rng.standard_normal(layout.n_places)
    )
    if levels.difficulties:
        places = -slopes[own] * places
    parameters = np.full((assignment.n_items, assignment.n_parameters), np.nan)
    parameters[:, 0] = slopes[layout.slope_of]
    for family in assignment.families:
        block = places[layout.places(family)]  # (i, K - 1)
        kind = layout.kinds[family.places][0]
        if kind == FALLING:
            block = -np.sort(-block, axis=1)
        elif kind == STEPS:
            block = np.cumsum(block, axis=1)
        parameters[family.places, 1 : family.n_categories] = block
    if len(layout.lower):
        _asymptotes(layout, priors, parameters, rng)
    return parameters


def _asymptotes(
    layout: Layout, priors: BayesPriors, parameters: FloatArray, rng: np.random.Generator
) -> None:
    """Draw asymptotes until the upper one of each item lies above the lower."""
    for item in layout.lower:
        for _ in range(MOST_TRIES):
            parameters[item, 2] = _asymptote(priors.lower, rng)
            if item not in layout.upper:
                break
            parameters[item, 3] = _asymptote(priors.upper, rng)
            if parameters[item, 3] > parameters[item, 2]:
                break
        else:
            raise ModelError("The priors put the upper asymptote below the lower.")


def _asymptote(prior: Asymptote, rng: np.random.Generator) -> float:
    """The logit of an asymptote."""
    if isinstance(prior, Beta):
        share = float(rng.beta(prior.alpha, prior.beta))
        return float(logit(np.clip(share, 1e-300, 1.0 - 1e-16)))
    return float(rng.normal(prior.mean, prior.standard_deviation))
