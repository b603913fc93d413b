"""Where slopes and locations come from: means and SDs, estimated or fixed, and their prior.

`Levels` reads any of the priors of `priors.py` into one form; it knows no items and no answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from irtkit.arrays import FloatArray
from irtkit.estimation.bayes.priors import (
    BayesPriors,
    FixedPriors,
    HierarchicalPriors,
    SignedPriors,
)
from irtkit.estimation.priors import LogNormal
from irtkit.latent import Normal


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and SD of a block of parameters: estimated, with priors, or fixed.

    Attributes
    ----------
    mean : Normal or float
        Prior of the mean, or the mean itself.
    sd : LogNormal or float
        Prior of the SD, or the SD itself.
    names : tuple of str
        Of mean and SD where they are estimated; else empty.
    positive : bool
        Whether the mean is kept above zero.
    """

    mean: Normal | float
    sd: LogNormal | float
    names: tuple[str, ...] = ()
    positive: bool = False

    def numbers(self) -> tuple[float, float, float, float]:
        """Mean and SD of the mean's prior and of the log-SD's; or mean, SD and two zeros."""
        if isinstance(self.mean, Normal) and isinstance(self.sd, LogNormal):
            of_mean = self.mean.mean, self.mean.standard_deviation
            return *of_mean, self.sd.mean, self.sd.standard_deviation
        assert not isinstance(self.mean, Normal)
        assert not isinstance(self.sd, LogNormal)
        return self.mean, self.sd, 0.0, 0.0


@dataclass(frozen=True, slots=True)
class Levels:
    """Where slopes and locations come from.

    Attributes
    ----------
    slope, place : Level
    log_slopes : bool
        Whether the prior is on the logs of the slopes.
    difficulties : bool
        Whether the prior is on difficulties rather than intercepts.
    correlated : bool
        Whether difficulty and log-slope correlate.
    """

    slope: Level
    place: Level
    log_slopes: bool
    difficulties: bool
    correlated: bool = False

    @classmethod
    def of(cls, priors: BayesPriors, shared: bool) -> Levels:
        """Read the priors; a slope shared by all has no SD, the prior of the mean is its own."""
        if isinstance(priors, FixedPriors):
            place = priors.intercept or priors.difficulty
            assert place is not None
            slope = Level(priors.slope.mean, priors.slope.standard_deviation)
            location = Level(place.mean, place.standard_deviation)
            log = isinstance(priors.slope, LogNormal)
            return cls(slope, location, log, priors.difficulty is not None)
        if isinstance(priors, SignedPriors):
            mean, spread, names = priors.mean_slope, priors.sd_slope, ("mean_slope", "sd_slope")
            intercepts = ("mean_intercept", "sd_intercept")
            location = Level(priors.mean_intercept, priors.sd_intercept, intercepts)
        else:
            mean, spread = priors.mean_log_slope, priors.sd_log_slope
            names = ("mean_log_slope", "sd_log_slope")
            difficulties = ("mean_difficulty", "sd_difficulty")
            location = Level(priors.mean_difficulty, priors.sd_difficulty, difficulties)
        log = isinstance(priors, HierarchicalPriors)
        slope = Level(mean, spread, names, positive=not log)
        if shared:
            slope = Level(mean.mean, mean.standard_deviation)
        return cls(slope, location, log, log, getattr(priors, "correlated", False))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the hyperparameters."""
        return (*self.slope.names, *self.place.names, *(("correlation",) * self.correlated))

    def named(self, hyper: FloatArray) -> dict[str, FloatArray]:
        """The estimated ones of slope mean, SD, place mean, SD and correlation (S, 5), by name."""
        found = {}
        for at, level in ((0, self.slope), (2, self.place)):
            for place, name in enumerate(level.names):
                found[name] = hyper[:, at + place]
        return found | ({"correlation": hyper[:, 4]} if self.correlated else {})
