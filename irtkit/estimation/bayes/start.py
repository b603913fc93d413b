"""Where chains start, and how each block of coordinates is centred: rough, from the answers."""

from __future__ import annotations

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.estimation.bayes.layout import FALLING, STEPS, Layout
from irtkit.estimation.bayes.levels import Levels
from irtkit.estimation.bayes.priors import BayesPriors, FixedPriors
from irtkit.latent import Normal

SLOPES = (0.3, 3.0)
SMALLEST_SD = 0.3
SMALLEST_GAP = 1e-3
WEAK_PLACE = 50.0  # answers to an item that say as much about its place as its prior does
WEAK_SLOPE = 250.0  # the same for its slope in a long test
SHORT_TEST = 15.0  # items; a shorter test says less about slopes


def centring(
    layout: Layout, priors: BayesPriors, answered: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Centre what the answers determine, and not what the prior does.

    Parameters
    ----------
    layout : Layout
    priors : BayesPriors
    answered : array, shape (I,)
        Weighted number of answers to each item.

    Returns
    -------
    tuple of array, shapes (A,) and (I,)
        Weights of the slopes and of each item's locations, from 0 to 1.
    """
    if isinstance(priors, FixedPriors):
        return np.ones(layout.n_slopes), np.ones(len(answered))
    by_slope = np.bincount(layout.slope_of, answered)  # (A,)
    weak = WEAK_SLOPE * (1.0 + SHORT_TEST / len(answered))
    slopes = np.ones(1) if layout.shared else by_slope / (by_slope + weak)
    return slopes, answered / (answered + WEAK_PLACE)


def start_point(
    layout: Layout,
    levels: Levels,
    weights: tuple[FloatArray, FloatArray],
    parameters: FloatArray,
) -> FloatArray:
    """Coordinates (n,) of rough item parameters (I, D); slopes are made moderate.

    Hyperparameters are the mean and SD of what they govern.
    """
    own, slope_part, place_part, lower, upper = layout.parts()
    x = np.zeros(layout.size)
    first = np.unique(layout.slope_of, return_index=True)[1]
    slopes = np.clip(np.abs(parameters[first, 0]), *SLOPES)  # (A,)
    if not levels.log_slopes:
        signs = np.sign(parameters[first, 0])
        slopes = slopes * signs * (1.0 if (slopes * signs).sum() >= 0 else -1.0)
    values = np.log(slopes) if levels.log_slopes else slopes
    places = _places(layout, parameters)
    here = slopes[layout.slope_of[layout.item_of]]  # (L,)
    judged = -places / here if levels.difficulties else places
    known, hyper = [], []
    for level, each in ((levels.slope, values), (levels.place, judged)):
        mean, sd = level.numbers()[:2]
        if isinstance(level.mean, Normal):
            mean, sd = float(each.mean()), max(float(each.std()), SMALLEST_SD)
            mean = max(mean, SMALLEST_SD) if level.positive else mean
            hyper += [np.log(mean) if level.positive else mean, np.log(sd)]
        known.append((mean, sd))
    x[own] = [*hyper, *([0.0] * levels.correlated)]
    (mean, sd), (place_mean, place_sd) = known
    x[slope_part] = _coordinates(values, mean, sd, weights[0])
    scale = here if levels.difficulties else 1.0
    sign = -1.0 if levels.difficulties else 1.0
    raw = _coordinates(
        places, sign * scale * place_mean, scale * place_sd, weights[1][layout.item_of]
    )
    x[place_part] = _unordered(layout, raw)
    x[lower] = parameters[layout.lower, 2:3].sum(axis=1)
    gap = parameters[layout.upper, 3:4].sum(axis=1) - parameters[layout.upper, 2:3].sum(axis=1)
    x[upper] = np.log(np.maximum(gap, SMALLEST_GAP))
    return x


def _coordinates(
    values: FloatArray, mean: FloatArray | float, sd: FloatArray | float, weight: FloatArray
) -> FloatArray:
    """Coordinates y of values z, see `density.py`."""
    return np.asarray(weight * mean + sd ** (weight - 1.0) * (values - mean))


def _places(layout: Layout, parameters: FloatArray) -> FloatArray:
    """Locations (L,) of item parameters (I, D)."""
    places = np.empty(layout.n_places)
    for family in layout.assignment.families:
        block = parameters[family.places, 1 : family.n_categories]
        steps = layout.kinds[family.places][:, None] == STEPS
        places[layout.places(family)] = np.where(steps, np.diff(block, axis=1, prepend=0), block)
    return places


def _unordered(layout: Layout, places: FloatArray) -> FloatArray:
    """Coordinates of locations, those that fall as logs of the gaps."""
    raw = places.copy()
    for family in layout.assignment.families:
        here = layout.places(family)[layout.kinds[family.places] == FALLING]
        gaps = np.maximum(-np.diff(places[here], axis=1), SMALLEST_GAP)
        raw[here[:, 1:]] = np.log(gaps)
    return raw
