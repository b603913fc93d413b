r"""Priors of the Bayesian engine: hierarchical by default, fixed and wide, or with free signs.

`HierarchicalPriors` lets the items learn from each other:

.. math:: \log a_i \sim N(\mu_a, \sigma_a), \qquad b_{ik} \sim N(\mu_b, \sigma_b)

with normal priors on the means and log-normal ones on the SDs; b is the difficulty, or each
threshold (graded, in order) or step (partial credit). `SignedPriors` puts normal distributions on
slopes and intercepts instead, so that a reversed key shows as a negative slope. `FixedPriors` has
no hyperparameters.

With `theta ~ N(0, 1)` the defaults say: a typical item has a slope between 0.4 and 2.7 (95%); the
log-slopes of a test have an SD between 0.09 and 1, and its difficulties one between 0.25 and 4;
difficulties may be anywhere that a test can be. Slopes exactly alike are not expected: a density
that does not vanish at an SD of zero would say so, and make a funnel that no sampler likes. Where
one slope is meant, 1pl has it. `prior_draws` shows what priors imply.

References
----------
Fox, J.-P. (2010). Bayesian item response modeling. Springer.
Gelman, A. (2006). Prior distributions for variance parameters in hierarchical models. Bayesian
    Analysis, 1(3), 515-534.
Chung, Y., Rabe-Hesketh, S., Dorie, V., Gelman, A., & Liu, J. (2013). A nondegenerate penalized
    likelihood estimator for variance parameters in multilevel models. Psychometrika, 78(4),
    685-709.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass

from irtkit.errors import ModelError
from irtkit.estimation.priors import Beta, LogitNormal, LogNormal
from irtkit.latent import Normal

Asymptote = Beta | LogitNormal
KINDS = (Normal, LogNormal, LogitNormal)

GUESSING, SLIPPING = Beta(5.0, 17.0), Beta(17.0, 5.0)
TYPICAL_LOG_SLOPE, TYPICAL_SLOPE = Normal(0.0, 0.5), Normal(1.0, 1.0)
TYPICAL_PLACE, ANY_PLACE = Normal(0.0, 2.0), Normal(0.0, 10.0)
ANY_SLOPE = LogNormal(0.5, 1.0)
SD_LOG_SLOPE, SD_SLOPE, SD_PLACE = LogNormal(-1.2, 0.6), LogNormal(-0.7, 0.6), LogNormal(0.0, 0.7)


@dataclass(frozen=True, slots=True)
class HierarchicalPriors:
    """Items of a population whose mean and spread are estimated; slopes are positive.

    Parameters
    ----------
    mean_log_slope : Normal
        Prior of the mean of the log-slopes. A slope shared by all items (Rasch, where it is the
        SD of theta; 1PL) has this prior on its log.
    sd_log_slope : LogNormal
        Prior of their SD.
    mean_difficulty : Normal
        Prior of the mean of difficulties, thresholds or steps.
    sd_difficulty : LogNormal
        Prior of their SD.
    correlated : bool
        Whether difficulty and log-slope correlate; the correlation has density proportional to
        1 - rho^2. For right-or-wrong items with free slopes.
    lower, upper : Beta or LogitNormal
        Priors of the asymptotes.

    Raises
    ------
    ModelError
        If a spread is not positive and finite.
    """

    mean_log_slope: Normal = TYPICAL_LOG_SLOPE
    sd_log_slope: LogNormal = SD_LOG_SLOPE
    mean_difficulty: Normal = TYPICAL_PLACE
    sd_difficulty: LogNormal = SD_PLACE
    correlated: bool = False
    lower: Asymptote = GUESSING
    upper: Asymptote = SLIPPING

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class SignedPriors:
    """Items of a population whose slopes may have either sign.

    Parameters
    ----------
    mean_slope : Normal
        Prior of the mean of the slopes, cut off at zero: it decides the sign of theta.
    sd_slope : LogNormal
        Prior of their SD.
    mean_intercept : Normal
        Prior of the mean of the intercepts.
    sd_intercept : LogNormal
        Prior of their SD.
    lower, upper : Beta or LogitNormal
        Priors of the asymptotes.
    """

    mean_slope: Normal = TYPICAL_SLOPE
    sd_slope: LogNormal = SD_SLOPE
    mean_intercept: Normal = TYPICAL_PLACE
    sd_intercept: LogNormal = SD_PLACE
    lower: Asymptote = GUESSING
    upper: Asymptote = SLIPPING

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class FixedPriors:
    """Priors without hyperparameters, the same for every item; wide by default.

    Parameters
    ----------
    slope : LogNormal or Normal
        A log-normal prior keeps slopes positive; a normal one lets them have either sign. By
        default slopes lie between 0.23 and 12 (95%); posterior medians then stay close to maximum
        likelihood estimates.
    intercept : Normal or None
        Prior of each intercept (for partial credit of each step's); None if `difficulty` is
        given.
    difficulty : Normal or None
        Prior of each difficulty, threshold or step, in place of the intercept's.
    lower, upper : Beta or LogitNormal
        Priors of the asymptotes.

    Raises
    ------
    ModelError
        If both or neither of intercept and difficulty have a prior, if slopes of either sign go
        with difficulties, or if a prior is no distribution.
    """

    slope: LogNormal | Normal = ANY_SLOPE
    intercept: Normal | None = ANY_PLACE
    difficulty: Normal | None = None
    lower: Asymptote = GUESSING
    upper: Asymptote = SLIPPING

    def __post_init__(self) -> None:
        _check(self)
        if (self.intercept is None) == (self.difficulty is None):
            raise ModelError(
                "FixedPriors need a prior of the intercept or of the difficulty, one of the two: "
                "each follows from the other, so two would contradict and none be improper."
            )
        if self.difficulty is not None and isinstance(self.slope, Normal):
            raise ModelError(
                "A slope near zero has no difficulty: with slopes of either sign give the prior "
                "of the intercept, not of the difficulty."
            )


BayesPriors = HierarchicalPriors | SignedPriors | FixedPriors


def described(priors: BayesPriors) -> str:
    """Priors in words, each parameter with its distribution: mean_difficulty Normal(0, 2)."""
    parts = []
    for each in fields(priors):
        value = getattr(priors, each.name)
        name = each.name.replace("_", " ")
        if value is True:
            parts.append(name)
        elif is_dataclass(value):
            numbers = ", ".join(f"{getattr(value, own.name):g}" for own in fields(value))
            parts.append(f"{name} {type(value).__name__}({numbers})")
    return f"{type(priors).__name__} with {', '.join(parts)}"


def _check(priors: BayesPriors) -> None:
    """Refuse what is no proper distribution."""
    for field in fields(priors):
        value = getattr(priors, field.name)
        where = f"{type(priors).__name__}({field.name}={value!r})"
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, Beta):
            if not (_positive(value.alpha) and _positive(value.beta)):
                raise ModelError(f"{where}: alpha and beta must be positive and finite.")
        elif isinstance(value, LogNormal if field.name.startswith("sd_") else KINDS):
            if not (math.isfinite(value.mean) and _positive(value.standard_deviation)):
                raise ModelError(
                    f"{where}: a prior needs a finite mean and a positive, finite standard "
                    "deviation. For a very weak prior give a large one, such as 10."
                )
        else:
            raise ModelError(
                f"{where} is not the kind of prior that it should be: see the documentation of "
                f"{type(priors).__name__}."
            )


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0
