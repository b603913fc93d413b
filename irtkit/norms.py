"""Percentiles: where an ability stands in the population that calibrated the scale.

Three numbers with three names. `percentile` is model-based, with an interval from the
posterior; `percentile_empirical` is the share of calibration persons whose EAP is strictly
below; `percentile_midrank` adds half of those who tie. On short easy scales they differ much.

Norms are a table of the population's EAPs without ids; `NORM_POINTS` bounds its length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, IntArray, frozen
from irtkit.latent import Latent
from irtkit.scoring import Scores

NORM_POINTS = 1000
HIGHEST = 99.9  # percentile that is told as a number
DECIMALS = 6  # EAPs equal to so many decimals are ties, on any machine


@dataclass(frozen=True, slots=True, eq=False)
class Norms:
    """Distribution of the EAPs of the calibration persons.

    Attributes
    ----------
    theta : array, shape (M,)
        Distinct EAPs, increasing, rounded to six decimals.
    below, at_or_below : array, shape (M,)
        Share of persons strictly below, and at or below.
    n_persons : float
        How many persons they come from.
    """

    theta: FloatArray
    below: FloatArray
    at_or_below: FloatArray
    n_persons: float

    def __post_init__(self) -> None:
        for name in ("theta", "below", "at_or_below"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, slots=True, eq=False)
class Percentiles:
    """Percentiles of some abilities, 0 to 100, each of shape (P,)."""

    percentile: FloatArray
    percentile_low: FloatArray
    percentile_high: FloatArray
    percentile_empirical: FloatArray
    percentile_midrank: FloatArray
    percentile_empirical_se: FloatArray

    def table(self, persons: tuple[str, ...]) -> pd.DataFrame:
        """Return one row a person."""
        names = self.__dataclass_fields__
        return pd.DataFrame(
            {name: getattr(self, name) for name in names}, index=pd.Index(persons, name="person")
        )


def percentile_words(value: float, decimals: int = 1) -> str:
    """Write a percentile of the model, which is never 0 or 100; a dash where it is unknown."""
    if np.isnan(value):
        return "\N{EN DASH}"
    if value > HIGHEST:
        return f"> {HIGHEST}"
    if value < 100.0 - HIGHEST:
        return f"< {100.0 - HIGHEST:.1f}"
    written = f"{value:.{decimals}f}"
    return f"{value:.1f}" if written in ("0", "100") else written


def norms_of(scores: Scores, weights: FloatArray) -> Norms:
    """Tabulate the EAPs of a population.

    Parameters
    ----------
    scores : Scores
        EAPs on the items of the scale. Persons without an answer are left out.
    weights : array, shape (P,)
        Person weights.
    """
    some = scores.n_answered > 0
    theta, place = np.unique(np.round(scores.theta[some], DECIMALS), return_inverse=True)
    mass = np.bincount(place, weights=weights[some])  # (M,)
    total = float(mass.sum())
    at_or_below = np.cumsum(mass) / total
    below = at_or_below - mass / total
    if len(theta) > NORM_POINTS:
        kept = np.unique(np.searchsorted(at_or_below, np.linspace(0, 1, NORM_POINTS)))
        kept = np.unique(np.concatenate([[0], np.minimum(kept, len(theta) - 1)]))
        theta, below, at_or_below = theta[kept], below[kept], at_or_below[kept]
    return Norms(theta, below, at_or_below, total)


def percentiles(
    scores: Scores, latent: Latent, norms: Norms, *, estimates: FloatArray | None = None
) -> Percentiles:
    """Place abilities in the population.

    Parameters
    ----------
    scores : Scores
        Abilities with their posterior interval.
    latent : Normal or Histogram
        The population's ability distribution, for the model-based percentile.
    norms : Norms
        Its EAPs, for the empirical ones. `percentile_empirical_se` is their sampling error,
        sqrt(p (1 - p) / N).
    estimates : array, shape (P,), optional
        EAPs made as those of the norms were, items held fixed, where `scores` are not: where they
        mix over draws of the items. They find the place among the norms.
    """

    def model_based(theta: FloatArray) -> FloatArray:
        return 100.0 * latent.cdf(theta)

    theta = np.round(scores.theta if estimates is None else estimates, DECIMALS)
    place = np.searchsorted(norms.theta, theta).astype(np.int64)  # first norm at or above
    tied = _tied(norms, theta, place)
    before = np.where(place > 0, norms.at_or_below[np.maximum(place - 1, 0)], 0.0)
    here = np.minimum(place, len(norms.theta) - 1)
    below = np.where(tied, norms.below[here], before)  # (P,)
    upto = np.where(tied, norms.at_or_below[here], before)  # (P,)
    return Percentiles(
        percentile=model_based(scores.theta),
        percentile_low=model_based(scores.low),
        percentile_high=model_based(scores.high),
        percentile_empirical=100.0 * below,
        percentile_midrank=50.0 * (below + upto),
        percentile_empirical_se=100.0 * np.sqrt(below * (1.0 - below) / norms.n_persons),
    )


def _tied(norms: Norms, theta: FloatArray, place: IntArray) -> BoolArray:
    here = np.minimum(place, len(norms.theta) - 1)
    return (place < len(norms.theta)) & (np.abs(norms.theta[here] - theta) < 0.5 * 10**-DECIMALS)
