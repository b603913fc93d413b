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

from collections.abc import Callable
from dataclasses import dataclass

from irtkit.arrays import FloatArray
from irtkit.estimation.bayes.layout import Layout
from irtkit.estimation.bayes.priors import (
    Asymptote,
    BayesPriors,
    FixedPriors,
    HierarchicalPriors,
    SignedPriors,
)
from irtkit.estimation.priors import LogNormal
from irtkit.latent import Normal

LARGEST = 1e8  # of a parameter; beyond it nothing is probable

Likelihood = Callable[[FloatArray], tuple[float, FloatArray]]


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and SD of a block of parameters: estimated, with priors, or fixed.

    Attributes
    ----------
    mean : Normal or float
        Prior of the mean, or the mean itself.
    spread : float
        Scale of the half-normal prior of the SD, or the SD itself.
    names : tuple of str
        Of mean and SD where they are estimated; else empty.
    positive : bool
        Whether the mean is kept above zero.
    """

    mean: Normal | float
    spread: float
    names: tuple[str, ...] = ()
    positive: bool = False


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
    def of(cls, priors: BayesPriors, n_slopes: int) -> Levels:
        """Read the priors; a single slope has no SD, the prior of the mean is its own."""
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
        if n_slopes == 1:
            slope = Level(mean.mean, mean.standard_deviation)
        return cls(slope, location, log, log, getattr(priors, "correlated", False))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the hyperparameters."""
        return (*self.slope.names, *self.place.names, *(("correlation",) * self.correlated))

    def hyper(self, x: FloatArray) -> dict[str, FloatArray]:
        """Means, SDs and correlation from the coordinates (..., H) of the hyperparameters."""
        found, at = {}, 0
        for name, level in (("slope", self.slope), ("place", self.place)):
            if level.names:
                mean = x[..., at]
                found[f"{name}_mean"] = np.exp(mean) if level.positive else mean
                found[f"{name}_sd"] = np.exp(x[..., at + 1])
                at += 2
            else:
                assert not isinstance(level.mean, Normal)
                found[f"{name}_mean"] = np.full(x.shape[:-1], level.mean)
                found[f"{name}_sd"] = np.full(x.shape[:-1], level.spread)
        rho = np.tanh(x[..., at]) if self.correlated else np.zeros(x.shape[:-1])
        return {**found, "correlation": rho}

    def log_prior(
        self, hyper: dict[str, FloatArray], by_hyper: dict[str, float]
    ) -> tuple[float, FloatArray]:
        """Log-prior of the hyperparameters, and the gradient by their coordinates (H,).

        `by_hyper` holds the derivatives of all else by the means, log-SDs and the correlation.
        """
        value, gradient = 0.0, []
        for name, level in (("slope", self.slope), ("place", self.place)):
            if not isinstance(level.mean, Normal):
                continue
            mean, sd = float(hyper[f"{name}_mean"]), float(hyper[f"{name}_sd"])
            error = (mean - level.mean.mean) / level.mean.standard_deviation
            by_mean = by_hyper[f"{name}_mean"] - error / level.mean.standard_deviation
            value += -0.5 * error**2 - 0.5 * (sd / level.spread) ** 2 + math.log(sd)
            if level.positive:
                value += math.log(mean)
                by_mean = by_mean * mean + 1.0
            gradient += [by_mean, by_hyper[f"{name}_sd"] - (sd / level.spread) ** 2 + 1.0]
        if self.correlated:
            rho = float(hyper["correlation"])
            value += 2.0 * math.log1p(-(rho**2))
            gradient.append(by_hyper["correlation"] * (1.0 - rho**2) - 4.0 * rho)
        return value, np.array(gradient)


@dataclass(frozen=True, slots=True, eq=False)
class Centring:
    """How far each slope and each location is centred: weights between 0 and 1.

    Attributes
    ----------
    slopes : array, shape (A,)
    places : array, shape (L,)
    """

    slopes: FloatArray
    places: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Slopes or locations: coordinates y, values z = m + s^(1 - w) (y - w m).

    Attributes
    ----------
    y : array, shape (..., n)
    mean, sd : array, shape (..., n) or (..., 1)
    weight : array, shape (n,)
    """

    y: FloatArray
    mean: FloatArray
    sd: FloatArray
    weight: FloatArray

    def values(self) -> FloatArray:
        """The values z."""
        return self.mean + self.sd ** (1.0 - self.weight) * (self.y - self.weight * self.mean)

    def log_prior(self) -> float:
        """Log-density of the coordinates, up to a constant."""
        error = (self.y - self.weight * self.mean) / self.sd**self.weight
        return float(-0.5 * (error**2).sum() - (self.weight * np.log(self.sd)).sum())

    def gradient(
        self, values: FloatArray, by_values: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Derivatives by y, mean and log-SD, each (n,), of `log_prior` plus a function of z."""
        weight, narrow = self.weight, self.sd**self.weight
        stretch = self.sd ** (1.0 - weight)
        error = (self.y - weight * self.mean) / narrow
        by_y = by_values * stretch - error / narrow
        by_mean = by_values * (1.0 - weight * stretch) + weight * error / narrow
        by_log_sd = by_values * (1.0 - weight) * (values - self.mean) + weight * (error**2 - 1.0)
        return by_y, by_mean, by_log_sd


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A vector of coordinates taken apart; leading axes may hold many draws.

    Attributes
    ----------
    hyper : dict of str to array, shape (...)
        The hyperparameters by name, and the fixed means and SDs: "slope_mean", "slope_sd",
        "place_mean", "place_sd", "correlation".
    slope, place : Block
    slope_values, slopes, places : array
        Slopes on the scale of their prior (..., A), slopes, and locations (..., L).
    logits : array, shape (..., I, 2)
        Logits of the asymptotes; NaN where an item has none.
    """

    hyper: dict[str, FloatArray]
    slope: Block
    place: Block
    slope_values: FloatArray
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

    def levels(self) -> Levels:
        """Where slopes and locations come from."""
        return Levels.of(self.priors, self.layout.n_slopes)

    def point(self, x: FloatArray) -> Point:
        """Take coordinates (..., n) apart."""
        levels, layout = self.levels(), self.layout
        own, slope_part, place_part, *_ = layout.parts()
        hyper = levels.hyper(x[..., own])
        slope = Block(
            x[..., slope_part],
            hyper["slope_mean"][..., None],
            hyper["slope_sd"][..., None],
            self.centring.slopes,
        )
        values = slope.values()  # (..., A)
        slopes = np.exp(values) if levels.log_slopes else values
        mean, sd = hyper["place_mean"][..., None], hyper["place_sd"][..., None]
        if levels.difficulties:
            here = layout.slope_of[layout.item_of]  # (L,)
            scale = slopes[..., here]
            rho = hyper["correlation"][..., None]
            pull = rho * sd * (values[..., here] - slope.mean) / slope.sd
            mean, sd = -scale * (mean + pull), scale * sd * np.sqrt(1.0 - rho**2)
        place = Block(layout.ordered(x[..., place_part]), mean, sd, self.centring.places)
        logits = self._logits(x)
        return Point(hyper, slope, place, values, slopes, place.values(), logits)

    def _logits(self, x: FloatArray) -> FloatArray:
        *_, lower, upper = self.layout.parts()
        logits = np.full((*x.shape[:-1], self.layout.assignment.n_items, 2), np.nan)
        logits[..., self.layout.lower, 0] = x[..., lower]
        gap = np.exp(x[..., upper])
        logits[..., self.layout.upper, 1] = logits[..., self.layout.upper, 0] + gap
        return logits

    def parameters(self, x: FloatArray) -> FloatArray:
        """Item parameters (..., I, D) at coordinates (..., n), for theta on N(0, 1)."""
        point = self.point(x)
        return self.layout.parameters(point.slopes, point.places, point.logits)

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Log-density at coordinates (n,) and its gradient (n,); -inf and zeros where it is 0."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            point = self.point(x)
            parameters = self.layout.parameters(point.slopes, point.places, point.logits)
            used = parameters[self.layout.assignment.used()]
            if not (np.isfinite(used).all() and (np.abs(used) < LARGEST).all()):
                return -np.inf, np.zeros_like(x)
            value, by_parameters = self.likelihood(parameters)
            prior, gradient = self._prior(x, point, by_parameters)
        if not (math.isfinite(value + prior) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros_like(x)
        return value + prior, gradient

    def _prior(
        self, x: FloatArray, point: Point, by_parameters: FloatArray
    ) -> tuple[float, FloatArray]:
        """Log-prior of the coordinates, and the gradient of the whole."""
        levels, layout = self.levels(), self.layout
        own, slope_part, place_part, lower, upper = layout.parts()
        gradient = np.empty_like(x)
        by_hyper = dict.fromkeys(point.hyper, 0.0)
        by_places = layout.by_places(by_parameters)
        by_y, by_mean, by_log_sd = point.place.gradient(point.places, by_places)
        jacobian, gradient[place_part] = layout.by_coordinates(x[place_part], by_y)
        by_slopes = np.bincount(layout.slope_of, by_parameters[:, 0], layout.n_slopes)
        by_values = by_slopes * point.slopes if levels.log_slopes else by_slopes
        if levels.difficulties:
            by_values = by_values + self._through_difficulty(point, by_mean, by_log_sd, by_hyper)
        else:
            by_hyper["place_mean"] += float(by_mean.sum())
            by_hyper["place_sd"] += float(by_log_sd.sum())
        found = point.slope.gradient(point.slope_values, by_values)
        gradient[slope_part] = found[0]
        by_hyper["slope_mean"] += float(found[1].sum())
        by_hyper["slope_sd"] += float(found[2].sum())
        value = point.slope.log_prior() + point.place.log_prior() + jacobian
        hyper, gradient[own] = levels.log_prior(point.hyper, by_hyper)
        asymptotes, gradient[lower], gradient[upper] = self._asymptotes(
            x[lower], x[upper], point.logits, by_parameters
        )
        return value + hyper + asymptotes, gradient

    def _through_difficulty(
        self,
        point: Point,
        by_mean: FloatArray,
        by_log_sd: FloatArray,
        by_hyper: dict[str, float],
    ) -> FloatArray:
        """Pass derivatives by the locations' means and SDs on; return those by slope values."""
        here = self.layout.slope_of[self.layout.item_of]  # (L,)
        rho, sd = float(point.hyper["correlation"]), float(point.hyper["place_sd"])
        slope_sd = float(point.hyper["slope_sd"])
        scale = point.slopes[here]  # (L,)
        error = (point.slope_values[here] - float(point.hyper["slope_mean"])) / slope_sd
        pull = -scale * sd * error  # derivative of the mean by rho
        by_hyper["place_mean"] -= float((by_mean * scale).sum())
        by_hyper["place_sd"] += float((by_mean * rho * pull + by_log_sd).sum())
        by_hyper["correlation"] += float((by_mean * pull).sum())
        by_hyper["correlation"] -= float(by_log_sd.sum()) * rho / (1.0 - rho**2)
        across = by_mean * scale * rho * sd / slope_sd
        by_hyper["slope_mean"] += float(across.sum())
        by_hyper["slope_sd"] -= float((by_mean * rho * pull).sum())
        through = by_mean * point.place.mean + by_log_sd - across
        return np.bincount(here, through, self.layout.n_slopes)

    def _asymptotes(
        self,
        lower: FloatArray,
        log_gap: FloatArray,
        logits: FloatArray,
        by_parameters: FloatArray,
    ) -> tuple[float, FloatArray, FloatArray]:
        """Log-prior of the asymptotes; gradients by their coordinates, the likelihood's with it."""
        layout = self.layout
        value, by_lower = _asymptote_density(self.priors.lower, lower)
        by_lower = by_lower + by_parameters[layout.lower, 2 : 2 + bool(len(lower))].sum(axis=1)
        upper_value, by_upper = _asymptote_density(self.priors.upper, logits[layout.upper, 1])
        by_upper = by_upper + by_parameters[layout.upper, 3 : 3 + bool(len(log_gap))].sum(axis=1)
        by_lower[np.searchsorted(layout.lower, layout.upper)] += by_upper
        by_gap = by_upper * np.exp(log_gap) + 1.0
        return value + upper_value + float(log_gap.sum()), by_lower, by_gap


def _asymptote_density(prior: Asymptote, logit: FloatArray) -> tuple[float, FloatArray]:
    """Log-density of logits, summed, and its derivative by each."""
    value, first, _ = prior.density(logit)
    if isinstance(prior, Beta):  # the density of the asymptote becomes that of its logit
        value = value + log_expit(logit) + log_expit(-logit)
        first = first + 1.0 - 2.0 * expit(logit)
    return float(value.sum()), first
