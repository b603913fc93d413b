r"""The log-posterior of the item parameters with its gradient, on the whole of R^n.

`Density` takes a flat vector of unconstrained coordinates, as a sampler moves it (`layout.py`):

- the hyperparameters: means, logs of the SDs, inverse hyperbolic tangent of the correlation;
- one coordinate a distinct slope, on the log scale unless slopes are signed;
- one a location: the intercept of a right-or-wrong item, each intercept of a graded item (the
  first, then logs of the gaps, so that they fall), each step's intercept for partial credit;
- logits of lower asymptotes, and logs of the gap from there to the upper one's logit.

A slope or location z with prior N(m, s) is not sampled itself but as y with

.. math:: z = m + s^{1 - w} (y - w m), \qquad y \sim N(w m, s^w)

which is centred for weight 1, right where the answers say much, and non-centred for 0, right where
they say little and a centred form would be a funnel. The weight does not change the posterior.

Constants are left out. The same posterior as a PyMC model is in `pymc_model.py`; a test pins one
to the other. Compiled by Numba, importing this file imports it.

References
----------
Papaspiliopoulos, O., Roberts, G. O., & Skoeld, M. (2007). A general framework for the
    parametrization of hierarchical models. Statistical Science, 22(1), 59-73.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.estimation.bayes.kernel import compiled, marginal_by_parameters
from irtkit.estimation.bayes.layout import FALLING, STEPS, Layout
from irtkit.estimation.bayes.levels import Levels
from irtkit.estimation.bayes.marginal import MarginalLikelihood
from irtkit.estimation.bayes.priors import BayesPriors
from irtkit.estimation.priors import Beta

LARGEST = 1e8  # of a parameter; beyond it nothing is probable
SLOPE_MEAN, SLOPE_SD, PLACE_MEAN, PLACE_SD, RHO = range(5)


@compiled
def read_hyper(x, numbers, flags):  # type: ignore[no-untyped-def]
    """Means, SDs and correlation at coordinates x: (slope mean, SD, place mean, SD, rho)."""
    hyper = np.zeros(5)
    slope_free, positive, place_free, _, _, correlated = flags
    at = 0
    hyper[SLOPE_MEAN], hyper[SLOPE_SD] = numbers[0], numbers[1]
    if slope_free:
        hyper[SLOPE_MEAN] = math.exp(x[0]) if positive else x[0]
        hyper[SLOPE_SD] = math.exp(x[1])
        at = 2
    hyper[PLACE_MEAN], hyper[PLACE_SD] = numbers[4], numbers[5]
    if place_free:
        hyper[PLACE_MEAN], hyper[PLACE_SD] = x[at], math.exp(x[at + 1])
        at += 2
    if correlated:
        hyper[RHO] = math.tanh(x[at])
    return hyper


@compiled
def place_prior(hyper, flags, slope, value):  # type: ignore[no-untyped-def]
    """Mean and SD of the locations of an item with this slope and value of it."""
    if not flags[4]:
        return hyper[PLACE_MEAN], hyper[PLACE_SD]
    rho, sd = hyper[RHO], hyper[PLACE_SD]
    pull = rho * sd * (value - hyper[SLOPE_MEAN]) / hyper[SLOPE_SD]
    return -slope * (hyper[PLACE_MEAN] + pull), slope * sd * math.sqrt(1.0 - rho * rho)


@compiled
def unfold(x, spec, numbers, flags, out):  # type: ignore[no-untyped-def]
    """Item parameters at coordinates x, written into `out` = (parameters, values, y, z).

    `values` (A,) are the slopes on the scale of their prior, y and z (L,) the locations.
    """
    slope_of, starts, kinds, lower, upper, weights, place_weights, ends = spec
    parameters, values, y, z = out
    hyper = read_hyper(x, numbers, flags)
    mean, sd = hyper[SLOPE_MEAN], hyper[SLOPE_SD]
    for a in range(len(values)):
        w = weights[a]
        values[a] = mean + sd ** (1.0 - w) * (x[ends[0] + a] - w * mean)
    for i in range(len(kinds)):
        value = values[slope_of[i]]
        slope = math.exp(value) if flags[3] else value
        parameters[i, 0] = slope
        mean, sd = place_prior(hyper, flags, slope, value)
        w = place_weights[i]
        stretch = sd ** (1.0 - w)
        for k in range(starts[i + 1] - starts[i]):
            here = starts[i] + k
            y[here] = x[ends[1] + here]
            if kinds[i] == FALLING and k > 0:
                y[here] = y[here - 1] - math.exp(y[here])
            z[here] = mean + stretch * (y[here] - w * mean)
            parameters[i, k + 1] = z[here]
            if kinds[i] == STEPS and k > 0:
                parameters[i, k + 1] += parameters[i, k]
    for place, i in enumerate(lower):
        parameters[i, 2] = x[ends[2] + place]
    for place, i in enumerate(upper):
        parameters[i, 3] = parameters[i, 2] + math.exp(x[ends[3] + place])
    return hyper


@compiled
def asymptote(prior, logit):  # type: ignore[no-untyped-def]
    """Log-density of the logit of an asymptote and its derivative; prior (kind, two numbers)."""
    if prior[0] > 0:  # beta, times the derivative of the asymptote by its logit
        above = math.log1p(math.exp(-abs(logit))) + max(-logit, 0.0)
        value = -(prior[1] + prior[2]) * above - prior[2] * logit
        return value, prior[1] - (prior[1] + prior[2]) / (1.0 + math.exp(-logit))
    error = (logit - prior[1]) / prior[2]
    return -0.5 * error * error, -error / prior[2]


@compiled
def fold(x, spec, numbers, flags, out, hyper, slopes, gradient):  # type: ignore[no-untyped-def]
    """Log-prior at coordinates x, and the gradient of prior plus likelihood.

    `slopes` (I, D) are the likelihood's derivatives by the parameters; `gradient` is filled.
    """
    slope_of, starts, kinds, _, _, weights, place_weights, ends = spec
    parameters, values, y, z = out
    total = 0.0
    by_value = np.zeros(len(values))
    by_hyper = np.zeros(5)  # by means, log-SDs and the correlation
    rho, place_sd, slope_sd = hyper[RHO], hyper[PLACE_SD], hyper[SLOPE_SD]
    for i in range(len(kinds)):
        value, slope = values[slope_of[i]], parameters[i, 0]
        mean, sd = place_prior(hyper, flags, slope, value)
        w = place_weights[i]
        narrow, stretch = sd**w, sd ** (1.0 - w)
        by_mean, by_log_sd, below, later = 0.0, 0.0, 0.0, 0.0
        for k in range(starts[i + 1] - starts[i] - 1, -1, -1):
            here = starts[i] + k
            by_z = slopes[i, k + 1]
            if kinds[i] == STEPS:
                later += by_z
                by_z = later
            error = (y[here] - w * mean) / narrow
            total -= 0.5 * error * error + w * math.log(sd)
            below += by_z * stretch - error / narrow
            by_mean += by_z * (1.0 - w * stretch) + w * error / narrow
            by_log_sd += by_z * (1.0 - w) * (z[here] - mean) + w * (error * error - 1.0)
            place = ends[1] + here
            if kinds[i] == FALLING and k > 0:
                gradient[place] = 1.0 - math.exp(x[place]) * below
                total += x[place]
            else:
                gradient[place] = below
                below = 0.0
        by_value[slope_of[i]] += slopes[i, 0] * (slope if flags[3] else 1.0)
        if flags[4]:
            away = -slope * place_sd * (value - hyper[SLOPE_MEAN]) / slope_sd  # mean by rho
            across = by_mean * slope * rho * place_sd / slope_sd
            by_value[slope_of[i]] += by_mean * mean + by_log_sd - across
            by_hyper[PLACE_MEAN] -= by_mean * slope
            by_hyper[PLACE_SD] += by_mean * rho * away + by_log_sd
            by_hyper[RHO] += by_mean * away - by_log_sd * rho / (1.0 - rho * rho)
            by_hyper[SLOPE_MEAN] += across
            by_hyper[SLOPE_SD] -= by_mean * rho * away
        else:
            by_hyper[PLACE_MEAN] += by_mean
            by_hyper[PLACE_SD] += by_log_sd
    mean = hyper[SLOPE_MEAN]
    for a in range(len(values)):
        w = weights[a]
        narrow, stretch = slope_sd**w, slope_sd ** (1.0 - w)
        error = (x[ends[0] + a] - w * mean) / narrow
        total -= 0.5 * error * error + w * math.log(slope_sd)
        gradient[ends[0] + a] = by_value[a] * stretch - error / narrow
        by_hyper[SLOPE_MEAN] += by_value[a] * (1.0 - w * stretch) + w * error / narrow
        by_hyper[SLOPE_SD] += by_value[a] * (1.0 - w) * (values[a] - mean)
        by_hyper[SLOPE_SD] += w * (error * error - 1.0)
    total += fold_asymptotes(x, spec, numbers, parameters, slopes, gradient)
    return total + fold_hyper(numbers, flags, hyper, by_hyper, gradient)


@compiled
def fold_asymptotes(x, spec, numbers, parameters, slopes, gradient):  # type: ignore[no-untyped-def]
    """The asymptotes' part of `fold`."""
    lower, upper, ends = spec[3], spec[4], spec[7]
    total = 0.0
    at = 0
    for place, i in enumerate(lower):
        value, by_logit = asymptote(numbers[8:11], parameters[i, 2])
        total += value
        gradient[ends[2] + place] = by_logit + slopes[i, 2]
        if at < len(upper) and upper[at] == i:
            value, by_logit = asymptote(numbers[11:14], parameters[i, 3])
            log_gap = x[ends[3] + at]
            total += value + log_gap
            by_logit += slopes[i, 3]
            gradient[ends[2] + place] += by_logit
            gradient[ends[3] + at] = by_logit * math.exp(log_gap) + 1.0
            at += 1
    return total


@compiled
def fold_hyper(numbers, flags, hyper, by_hyper, gradient):  # type: ignore[no-untyped-def]
    """The hyperparameters' part of `fold`."""
    total = 0.0
    at = 0
    for level in range(2):
        if not flags[2 * level]:
            continue
        mean, sd = hyper[2 * level], hyper[2 * level + 1]
        prior = numbers[4 * level : 4 * level + 4]
        error = (mean - prior[0]) / prior[1]
        by_mean = by_hyper[2 * level] - error / prior[1]
        log_error = (math.log(sd) - prior[2]) / prior[3]
        total -= 0.5 * (error * error + log_error * log_error)
        if level == 0 and flags[1]:
            total += math.log(mean)
            by_mean = by_mean * mean + 1.0
        gradient[at] = by_mean
        gradient[at + 1] = by_hyper[2 * level + 1] - log_error / prior[3]
        at += 2
    if flags[5]:
        rho = hyper[RHO]
        total += 2.0 * math.log1p(-rho * rho)
        gradient[at] = by_hyper[RHO] * (1.0 - rho * rho) - 4.0 * rho
    return total


@compiled
def possible(parameters):  # type: ignore[no-untyped-def]
    """Whether no parameter is absurdly large; unused cells are NaN."""
    for i in range(len(parameters)):
        for value in parameters[i]:
            if not math.isnan(value) and not abs(value) < LARGEST:
                return False
        if math.isnan(parameters[i, 0]):
            return False
    return True


@compiled
def evaluated(x, spec, numbers, flags, out, nodes, answers):  # type: ignore[no-untyped-def]
    """Log-density and gradient for divide-by-total models; NaN where the kernel cannot tell."""
    gradient = np.zeros(len(x))
    hyper = unfold(x, spec, numbers, flags, out)
    if not possible(out[0]):
        return -np.inf, gradient
    value, slopes = marginal_by_parameters(out[0], spec[1], nodes, answers)
    if math.isnan(value):
        return value, gradient
    value += fold(x, spec, numbers, flags, out, hyper, slopes, gradient)
    return value, gradient


@compiled
def all_unfolded(draws, spec, numbers, flags, out, parameters, hyper):  # type: ignore[no-untyped-def]
    """`unfold` for each draw (S, n), into parameters (S, I, D) and hyperparameters (S, 5)."""
    for draw in range(len(draws)):
        hyper[draw] = unfold(draws[draw], spec, numbers, flags, out)
        parameters[draw] = out[0]


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Log-posterior density of some answers, up to a constant.

    Attributes
    ----------
    layout : Layout
        Which coordinate is what.
    levels : Levels
        The priors of slopes and locations.
    likelihood : MarginalLikelihood
    spec, numbers, flags : tuple, array, tuple
        Layout, weights and priors as the compiled functions take them.
    """

    layout: Layout
    levels: Levels
    likelihood: MarginalLikelihood
    spec: tuple[Any, ...]
    numbers: FloatArray
    flags: tuple[bool, ...]

    @classmethod
    def of(
        cls,
        layout: Layout,
        priors: BayesPriors,
        weights: tuple[FloatArray, FloatArray],
        likelihood: MarginalLikelihood,
    ) -> Density:
        """Put layout, priors and likelihood together.

        Parameters
        ----------
        layout : Layout
        priors : BayesPriors
        weights : tuple of array, shapes (A,) and (I,)
            How far each slope, and the locations of each item, are centred: from 0 to 1.
        likelihood : MarginalLikelihood
        """
        levels = Levels.of(priors, layout.shared)
        ends = np.array([part.start for part in layout.parts()[1:]], dtype=np.int64)
        spec = (
            *(layout.slope_of, layout.place_starts, layout.kinds, layout.lower, layout.upper),
            *(np.asarray(each, np.float64) for each in weights),
            ends,
        )
        numbers = [*levels.slope.numbers(), *levels.place.numbers()]
        for prior in (priors.lower, priors.upper):
            beta = isinstance(prior, Beta)
            numbers += [float(beta), *(getattr(prior, each.name) for each in fields(prior))]
        flags = (
            *(bool(levels.slope.names), levels.slope.positive, bool(levels.place.names)),
            *(levels.log_slopes, levels.difficulties, levels.correlated),
        )
        return cls(layout, levels, likelihood, spec, np.array(numbers), flags)

    def _space(self) -> tuple[FloatArray, ...]:
        """Room for what `unfold` finds."""
        layout = self.layout
        shape = (layout.assignment.n_items, layout.assignment.n_parameters)
        places = (np.zeros(layout.n_places), np.zeros(layout.n_places))
        return np.full(shape, np.nan), np.zeros(layout.n_slopes), *places

    def unfolded(self, draws: FloatArray) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Item parameters (S, I, D), for theta on N(0, 1), and hyperparameters (S,) of draws."""
        out = self._space()
        parameters = np.empty((len(draws), *out[0].shape))
        hyper = np.empty((len(draws), 5))
        draws = np.ascontiguousarray(draws)
        all_unfolded(draws, self.spec, self.numbers, self.flags, out, parameters, hyper)
        return parameters, self.levels.named(hyper)

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Log-density at coordinates (n,) and its gradient (n,); -inf and zeros where it is 0."""
        x = np.array(x, dtype=np.float64)  # one kind of array, compiled before threads begin
        answers = self.likelihood.answers
        known = (self.spec, self.numbers, self.flags, self._space())
        if answers is not None:
            nodes = self.likelihood.node_arrays()
            value, gradient = evaluated(x, *known, nodes, answers.arrays())
        if answers is None or math.isnan(value):
            value, gradient = self._by_e_step(x, *known)
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros_like(x)
        return value, gradient

    def _by_e_step(
        self,
        x: FloatArray,
        spec: tuple[Any, ...],
        numbers: FloatArray,
        flags: tuple[bool, ...],
        out: tuple[FloatArray, ...],
    ) -> tuple[float, FloatArray]:
        """The same for any model."""
        hyper = unfold(x, spec, numbers, flags, out)
        gradient = np.zeros_like(x)
        if not possible(out[0]):
            return -np.inf, gradient
        with np.errstate(all="ignore"):
            value, slopes = self.likelihood.by_e_step(out[0])
        value += fold(x, spec, numbers, flags, out, hyper, slopes, gradient)
        return value, gradient
