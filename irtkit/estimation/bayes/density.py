r"""The log-posterior of the item parameters with its gradient, on the whole of R^n.

`Density` takes a flat vector of unconstrained coordinates, as a sampler moves it:

- the hyperparameters: means, logs of the SDs, inverse hyperbolic tangent of the correlation;
- one coordinate a distinct slope (on the log scale unless slopes are signed);
- one a location: the intercept of a right-or-wrong item, each intercept of a graded item (the
  first, then logs of the gaps, so that they fall), each step's intercept for partial credit;
- logits of lower asymptotes, and logs of the gap from there to the upper one's logit.

A slope or location z with prior N(m, s) is not sampled itself but as y with

.. math:: z = m + s^{1 - \lambda} (y - \lambda m), \qquad y \sim N(\lambda m, s^\lambda)

which is centred for weight 1, right where the answers say much, and non-centred for 0, right where
they say little and a centred form would be a funnel. The weight does not change the posterior.

Constants are left out. The same posterior as a PyMC model is in `pymc_model.py`; a test pins one
to the other. Nothing here imports PyMC.

References
----------
Papaspiliopoulos, O., Roberts, G. O., & Skoeld, M. (2007). A general framework for the
    parametrization of hierarchical models. Statistical Science, 22(1), 59-73.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from irtkit.arrays import FloatArray, IntArray
from irtkit.estimation.bayes.layout import Layout
from irtkit.estimation.bayes.priors import (
    BayesPriors,
    FixedPriors,
    HierarchicalPriors,
    SignedPriors,
)
from irtkit.estimation.priors import Beta, LogNormal
from irtkit.latent import Normal

Likelihood = Callable[[FloatArray], tuple[float, FloatArray]]


@dataclass(frozen=True, slots=True)
class Level:
    """Where a block of parameters comes from: mean and SD, estimated or fixed.

    Attributes
    ----------
    mean : Normal or float
        Prior of the mean, or the mean itself.
    spread : float
        Scale of the half-normal prior of the SD, or the SD itself.
    mean_name, spread_name : str
        Of the hyperparameters; empty where fixed.
    positive : bool
        Whether the mean is kept above zero.
    """

    mean: Normal | float
    spread: float
    mean_name: str = ""
    spread_name: str = ""
    positive: bool = False


def levels(priors: BayesPriors, n_slopes: int) -> tuple[Level, Level, bool, bool]:
    """Levels of slopes and locations; whether slopes are logs, and locations difficulties.

    A single slope has no SD: the prior of the mean is its own.
    """
    if isinstance(priors, FixedPriors):
        place = priors.intercept or priors.difficulty
        assert place is not None
        slope = Level(priors.slope.mean, priors.slope.standard_deviation)
        location = Level(place.mean, place.standard_deviation)
        log = isinstance(priors.slope, LogNormal)
        return slope, location, log, priors.difficulty is not None
    if isinstance(priors, SignedPriors):
        slope = Level(priors.mean_slope, priors.sd_slope, "mean_slope", "sd_slope", True)
        names = ("mean_intercept", "sd_intercept")
        location = Level(priors.mean_intercept, priors.sd_intercept, *names)
    else:
        names = ("mean_log_slope", "sd_log_slope")
        slope = Level(priors.mean_log_slope, priors.sd_log_slope, *names)
        names = ("mean_difficulty", "sd_difficulty")
        location = Level(priors.mean_difficulty, priors.sd_difficulty, *names)
    log = isinstance(priors, HierarchicalPriors)
    if n_slopes == 1:
        assert isinstance(slope.mean, Normal)
        slope = Level(slope.mean.mean, slope.mean.standard_deviation)
    return slope, location, log, log


@dataclass(frozen=True, slots=True, eq=False)
class Centring:
    """How far each slope and each location is centred: weights between 0 and 1.

    Attributes
    ----------
    slopes : array, shape (A,)
    locations : array, shape (L,)
    """

    slopes: FloatArray
    locations: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A vector of coordinates taken apart; leading axes may hold many draws.

    Attributes
    ----------
    hyper : dict of str to array, shape (...)
        Mean and SD of both levels under "slope_mean", "slope_sd", "place_mean", "place_sd", and
        "correlation".
    slope_y, place_y : array, shape (..., A) and (..., L)
        Coordinates y of the slopes, and of the locations in order.
    slope_z, slopes, places : array
        Slopes on the scale of their prior, slopes, and locations on the scale of intercepts.
    logits : array, shape (..., I, 2)
        Logits of the asymptotes; NaN where an item has none.
    """

    hyper: dict[str, FloatArray]
    slope_y: FloatArray
    place_y: FloatArray
    slope_z: FloatArray
    slopes: FloatArray
    places: FloatArray
    logits: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Log-posterior density of some answers, up to a constant.

    Attributes
    ----------
    layout : Layout
        Which coordinate is what.
    priors : BayesPriors
    centring : Centring
    likelihood : callable
        Log-likelihood at item parameters (I, D) and its gradient.
    """

    layout: Layout
    priors: BayesPriors
    centring: Centring
    likelihood: Likelihood
