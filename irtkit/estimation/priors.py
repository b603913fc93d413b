"""Priors on item parameters: Bayes modal estimation instead of maximum likelihood.

`Priors` holds one prior for each kind of parameter. By default only asymptotes have one, because
without it a 3PL can end below its nested 2PL and report success. With few persons and many items
maximum likelihood slopes run away: `Priors.small_sample()` keeps them in place.

References
----------
Mislevy, R. J. (1986). Bayes modal estimation in item response models. Psychometrika, 51(2),
    177-195.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import betaln, expit, log_expit

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError
from irtkit.latent import Normal
from irtkit.models import Assignment, Nominal

LOG_TWO_PI = math.log(2.0 * math.pi)

Density = tuple[FloatArray, FloatArray, FloatArray]  # log-density, derivative, information


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Log-normal prior on the size of a slope; the sign is left to the answers.

    Parameters
    ----------
    mean, standard_deviation : float
        Of the log of the slope's absolute value.
    """

    mean: float = 0.0
    standard_deviation: float = 0.5

    def density(self, slope: FloatArray) -> Density:
        """Log-density at slopes of any sign, its derivative and its information."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (np.log(np.abs(slope)) - self.mean) / self.standard_deviation
            value = -np.log(np.abs(slope) * self.standard_deviation) - 0.5 * (z**2 + LOG_TWO_PI)
            first = -(1.0 + z / self.standard_deviation) / slope
            return value, first, 1.0 / (self.standard_deviation * slope) ** 2


@dataclass(frozen=True, slots=True)
class Beta:
    """Beta prior on an asymptote; the density is that of the asymptote, not of its logit.

    Parameters
    ----------
    alpha, beta : float
        At least 1. The mode is (alpha - 1) / (alpha + beta - 2).
    """

    alpha: float
    beta: float

    def density(self, logit: FloatArray) -> Density:
        """Log-density at the logit of an asymptote, its derivative by the logit, information."""
        above, below = self.alpha - 1.0, self.beta - 1.0
        chance = expit(logit)
        value = above * log_expit(logit) + below * log_expit(-logit)
        value = value - betaln(self.alpha, self.beta)
        first = above * (1.0 - chance) - below * chance
        return value, first, (above + below) * chance * (1.0 - chance)


@dataclass(frozen=True, slots=True)
class LogitNormal:
    """Normal prior on the logit of an asymptote.

    Parameters
    ----------
    mean, standard_deviation : float
        Of the logit.
    """

    mean: float
    standard_deviation: float

    def density(self, logit: FloatArray) -> Density:
        """Log-density of the logit, its derivative and its information."""
        return _normal(Normal(self.mean, self.standard_deviation), logit)


def _normal(prior: Normal, values: FloatArray) -> Density:
    z = (values - prior.mean) / prior.standard_deviation
    value = -0.5 * (z**2 + LOG_TWO_PI) - math.log(prior.standard_deviation)
    information = np.full_like(values, prior.standard_deviation**-2)
    return value, -z / prior.standard_deviation, information


@dataclass(frozen=True, slots=True)
class Priors:
    """A prior for each kind of item parameter; None for none.

    Parameters
    ----------
    slope : LogNormal, optional
        On the size of each slope; not for the nominal model.
    difficulty : Normal, optional
        On the difficulty, or on each threshold or step.
    lower, upper : Beta or LogitNormal, optional
        On the asymptotes. By default Beta(5, 17), with mode .2, and Beta(17, 5), with mode .8:
        they weigh as much as 20 persons who guess or slip.
    """

    slope: LogNormal | None = None
    difficulty: Normal | None = None
    lower: Beta | LogitNormal | None = Beta(5.0, 17.0)
    upper: Beta | LogitNormal | None = Beta(17.0, 5.0)

    def __post_init__(self) -> None:
        for field in fields(self):
            prior = getattr(self, field.name)
            sizes = [] if prior is None else [getattr(prior, f.name) for f in fields(prior)]
            spread = getattr(prior, "standard_deviation", 1.0)
            if not all(math.isfinite(size) for size in sizes) or spread <= 0:
                raise ModelError(f"The prior {prior} of {field.name} is not a distribution.")
            if isinstance(prior, Beta) and min(prior.alpha, prior.beta) < 1:
                raise ModelError(
                    f"The prior {prior} of {field.name} has no single mode: alpha and beta must "
                    "be at least 1."
                )

    @classmethod
    def small_sample(cls) -> Priors:
        """Weak priors for few persons: slopes log-normal(0, 0.5), difficulties N(0, 2)."""
        return cls(slope=LogNormal(0.0, 0.5), difficulty=Normal(0.0, 2.0))

    def effective(self, assignment: Assignment) -> dict[str, str]:
        """Name the priors that touch a parameter of these items."""
        sizes = {(family.model, family.n_categories) for family in assignment.families}
        names = {name for model, size in sizes for name in model.parameter_names(size)}
        plain = any(not isinstance(model, Nominal) for model, _ in sizes)
        present = {
            "slope": plain,
            "difficulty": plain,
            "lower": "logit_lower" in names,
            "upper": "logit_upper" in names,
        }
        return {
            name: str(getattr(self, name))
            for name, touched in present.items()
            if touched and getattr(self, name) is not None
        }

    def log_density(
        self, assignment: Assignment, parameters: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log-density of each item's parameters (I,), gradient (I, D), information (I, D, D)."""
        n_items, n_parameters = parameters.shape
        value = np.zeros(n_items)
        gradient = np.zeros((n_items, n_parameters))
        information = np.zeros((n_items, n_parameters, n_parameters))
        for family in assignment.families:
            if isinstance(family.model, Nominal):
                continue
            here, part = family.places, assignment.part(family, parameters)
            names = family.model.parameter_names(family.n_categories)
            for prior, name in (
                (self.slope, "slope"),
                (self.lower, "logit_lower"),
                (self.upper, "logit_upper"),
            ):
                if prior is None or name not in names:
                    continue
                place = names.index(name)
                density, first, curvature = prior.density(part[:, place])
                value[here] += density
                gradient[here, place] += first
                information[here, place, place] += curvature
            if self.difficulty is not None:
                density, first, curvature = _normal(
                    self.difficulty, family.model.difficulties(part)
                )  # (i, n)
                by_parameter = family.model.difficulty_gradient(part)  # (i, n, d)
                size = slice(part.shape[1])
                value[here] += density.sum(axis=1)
                gradient[here, size] += np.einsum("in,ind->id", first, by_parameter)
                information[here, size, size] += np.einsum(
                    "in,ind,ine->ide", curvature, by_parameter, by_parameter
                )
        return value, gradient, information
