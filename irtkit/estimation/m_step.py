r"""The M-step: Newton steps on the expected log-likelihood, all items at once.

An item whose step lowers its own expected log-likelihood (plus log-prior) gets half of it, again
and again; items that share a parameter are judged together. So a cycle never lowers the marginal
likelihood, or posterior. `expand` takes out the location and scale of theta that the counts imply
(parameter expansion, without which long tests stall while looking converged).

References
----------
Bock, R. D., & Aitkin, M. (1981). Marginal maximum likelihood estimation of item parameters.
    Psychometrika, 46(4), 443-459. https://doi.org/10.1007/BF02293801
Liu, C., Rubin, D. B., & Wu, Y. N. (1998). Parameter expansion to accelerate EM: the PX-EM
    algorithm. Biometrika, 85(4), 755-770. https://doi.org/10.1093/biomet/85.4.755
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import Expected
from irtkit.estimation.population import Population, moments
from irtkit.estimation.priors import Priors
from irtkit.estimation.structure import Structure
from irtkit.models import Assignment, DivideByTotal, Family
from irtkit.models.assignment import Places
from irtkit.threads import spread

WORTH_THREADS = 150_000  # cells of nodes times items
NEWTON_STEPS = 2
LONGEST_NEWTON_STEP = 1.0
MOST_HALVINGS = 10
ROUNDING = 1e-13
EXPANSIONS = (1.0, 0.5, 0.25)
LOGIT_BOUND = 12.0  # asymptotes stay 6e-6 away from 0 and 1
AT_BOUND = 0.999  # share of its bound from which a parameter counts as being there

Derivatives = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Everything that stays the same from cycle to cycle.

    Attributes
    ----------
    blocks : Blocks
        The answers.
    assignment : Assignment
        The models of the items.
    structure : Structure
        What is free, fixed and shared.
    priors : Priors
    population : Population
    slope_bound : float
        Slopes stay within plus and minus this bound.
    longest : array of bool, shape (n, I), or None
        Which items the persons with the most answers answered; None if somebody answered all.
    """

    blocks: Blocks
    assignment: Assignment
    structure: Structure
    priors: Priors
    population: Population
    slope_bound: float
    longest: BoolArray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(I, D)."""
        return self.assignment.n_items, self.assignment.n_parameters

    @property
    def bounds(self) -> FloatArray:
        """Largest absolute value of each parameter, shape (I, D)."""
        plain = np.where(self.assignment.logits(), LOGIT_BOUND, np.inf)
        return np.where(self.assignment.slopes(), self.slope_bound, plain)

    def within(self, parameters: FloatArray) -> FloatArray:
        """Return parameters cut off at their bounds."""
        bounds = self.bounds
        return np.clip(parameters, -bounds, bounds)

    def at_bound(self, parameters: FloatArray) -> BoolArray:
        """Which parameters have reached their bound, shape (I, D)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(parameters) >= AT_BOUND * self.bounds)


def derivatives(
    problem: Problem, parameters: FloatArray, theta: FloatArray, expected: Expected
) -> Derivatives:
    """Expected log-likelihood of each item (I,), its gradient (I, D), information (I, D, D).

    A few items at a time, so that their tables stay in the cache, on all threads if it pays.
    At the parameters that made the counts the gradient is that of the marginal log-likelihood
    too (Fisher's identity). For divide-by-total models the expected information is the exact
    negative second derivative. Log-priors are included.
    """
    theta, expected = _alive(theta, expected)
    n_items, n_parameters = parameters.shape
    value = np.zeros(n_items)
    gradient = np.zeros((n_items, n_parameters))
    information = np.zeros((n_items, n_parameters, n_parameters))

    def fill(tasks: Sequence[tuple[Family, Places]]) -> None:
        for family, places in tasks:
            size = slice(family.n_parameters)
            found = _family(family, places, parameters[places, size], theta, expected)
            value[places], gradient[places, size], information[places, size, size] = found

    tasks = list(problem.assignment.tasks(len(theta)))
    spread(fill, tasks, len(theta) * n_items > WORTH_THREADS)
    prior = problem.priors.log_density(problem.assignment, parameters)
    return value + prior[0], gradient + prior[1], information + prior[2]


def _alive(theta: FloatArray, expected: Expected) -> tuple[FloatArray, Expected]:
    """Drop the nodes at the ends where nobody is expected."""
    places = np.flatnonzero(expected.mass.any(axis=0))
    part = slice(int(places[0]), int(places[-1]) + 1)
    if part == slice(0, len(theta)):
        return theta, expected
    return theta[part], replace(
        expected,
        mass=expected.mass[:, part],
        answered=expected.answered[part],
        counts=tuple(counts[part] for counts in expected.counts),
    )


def _family(
    family: Family,
    places: Places,
    parameters: FloatArray,
    theta: FloatArray,
    expected: Expected,
) -> Derivatives:
    if expected.first is None or expected.total is None:
        counts = expected.category_counts(places, family.n_categories)  # (Q, i, K)
        return family.model.expected(parameters, theta, counts)
    assert isinstance(family.model, DivideByTotal)
    above = slice(family.n_categories - 1)
    shared = expected.answered.shape[1] == 1
    return family.model.expected_from_sums(
        parameters,
        theta,
        expected.first[above, places].T,
        expected.total[above, places].T,
        expected.answered if shared else expected.answered[:, places],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What an M-step found.

    Attributes
    ----------
    parameters : array, shape (I, D)
        Better ones.
    gradient : array, shape (I, D)
        Of the marginal log-posterior at the parameters it started from.
    """

    parameters: FloatArray
    gradient: FloatArray


def m_step(
    problem: Problem, parameters: FloatArray, theta: FloatArray, expected: Expected
) -> Step:
    """Improve the item parameters by Newton steps on the expected log-likelihood.

    Parameters
    ----------
    problem : Problem
    parameters : array, shape (I, D)
    theta : array, shape (Q,)
    expected : Expected
        From `e_step` at these parameters.
    """
    value, gradient, information = derivatives(problem, parameters, theta, expected)
    first_gradient = gradient
    together = problem.structure.held_together()
    for _ in range(NEWTON_STEPS):
        step = _bounded_step(problem, parameters, gradient, information)
        trial = problem.within(parameters + step)
        reached, gradient, information = _tried(problem, trial, theta, expected)
        for _ in range(MOST_HALVINGS):
            worse = _worse(value, reached, together)
            if not worse.any():
                break
            trial[worse] = 0.5 * (parameters[worse] + trial[worse])
            reached, gradient, information = _retried(
                problem, trial, theta, expected, worse, (reached, gradient, information)
            )
        else:
            worse = _worse(value, reached, together)
            trial[worse], reached[worse] = parameters[worse], value[worse]
        parameters, value = trial, reached
    return Step(parameters, first_gradient)


def _tried(
    problem: Problem, trial: FloatArray, theta: FloatArray, expected: Expected
) -> Derivatives:
    with np.errstate(all="ignore"):
        value, gradient, information = derivatives(problem, trial, theta, expected)
    value[~problem.assignment.feasible(trial)] = -np.inf
    return value, gradient, information


def _retried(
    problem: Problem,
    trial: FloatArray,
    theta: FloatArray,
    expected: Expected,
    worse: BoolArray,
    before: Derivatives,
) -> Derivatives:
    """Evaluate the items that were worse again, alone if they are few."""
    places = np.flatnonzero(worse)
    if 2 * len(places) > len(worse):
        return _tried(problem, trial, theta, expected)
    part = replace(problem, assignment=problem.assignment.at(places))
    width = part.shape[1]
    found = _tried(part, trial[places, :width], theta, _of_items(expected, places))
    for whole, piece in zip(before, found, strict=True):
        if whole.ndim == 1:
            whole[places] = piece
        elif whole.ndim == 2:
            whole[places, :width] = piece
        else:
            whole[places, :width, :width] = piece
    return before


def _of_items(expected: Expected, places: IntArray) -> Expected:
    return replace(
        expected,
        answered=expected.answered
        if expected.answered.shape[1] == 1
        else expected.answered[:, places],
        first=None if expected.first is None else expected.first[:, places],
        total=None if expected.total is None else expected.total[:, places],
        counts=tuple(counts[:, places] for counts in expected.counts),
    )


def _worse(value: FloatArray, reached: FloatArray, together: BoolArray) -> BoolArray:
    """Which items lost expected log-likelihood; those that hang together, all or none."""
    floor = value - ROUNDING * np.abs(value)
    worse = ~(reached >= floor)
    if together.any():
        sums = reached[together].sum(), floor[together].sum()
        worse[together] = not sums[0] >= sums[1]
    return worse


def _bounded_step(
    problem: Problem, parameters: FloatArray, gradient: FloatArray, information: FloatArray
) -> FloatArray:
    """Newton step (I, D) of limited length; a parameter that would pass its bound stops there."""
    structure, bounds = problem.structure, problem.bounds
    nothing = np.zeros(parameters.shape, dtype=bool)
    step = structure.newton(gradient, information, nothing, np.zeros_like(parameters))
    step = _limited(step, structure)
    with np.errstate(invalid="ignore"):
        held = structure.free & ~structure.shared & (np.abs(parameters + step) > bounds)
    if held.any():
        moved = np.where(held, np.clip(parameters + step, -bounds, bounds) - parameters, 0.0)
        step = _limited(structure.newton(gradient, information, held, moved), structure)
    return step


def _limited(step: FloatArray, structure: Structure) -> FloatArray:
    longest = np.abs(step).max(axis=1)  # (I,)
    together = structure.held_together()
    if together.any():
        longest[together] = longest[together].max()
    return step * np.minimum(1.0, LONGEST_NEWTON_STEP / (longest + 1e-300))[:, None]


def expand(
    problem: Problem,
    parameters: FloatArray,
    vector: FloatArray,
    theta: FloatArray,
    mass: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Take the mean and SD of the first group's expected posterior out of theta (PX-EM).

    theta = mean + sd z leaves every probability as it is with the parameters of `rescaled`, and z
    has mean 0 and SD 1 again. With priors the move is made only as far as it surely raises the
    log-posterior: the gain of the ability distribution's expected log-density must outweigh what
    the priors lose.

    Parameters
    ----------
    problem : Problem
    parameters : array, shape (I, D)
    vector : array
        The population's part of the state.
    theta : array, shape (Q,)
    mass : array, shape (G, Q)
        Expected persons at the nodes.
    """
    mean, sd = moments(theta, mass[0])
    if not problem.population.free_means:
        mean = 0.0
    slopes = parameters[problem.assignment.slopes()]
    if np.abs(slopes).max() * max(sd, 1.0) >= problem.slope_bound:
        sd = 1.0  # a slope at its bound cannot take part in a change of scale
    with_prior = bool(problem.priors.effective(problem.assignment))
    for share in EXPANSIONS:
        m, s = share * mean, sd**share
        moved = problem.assignment.rescaled(parameters, m, s)
        if (
            not with_prior
            or _prior_gain(problem, parameters, moved) + _mass_gain(theta, mass[0], m, s) >= 0
        ):
            return moved, problem.population.rescaled(vector, m, s)
    return parameters, vector


def _prior_gain(problem: Problem, before: FloatArray, after: FloatArray) -> float:
    priors, assignment = problem.priors, problem.assignment
    return float(
        priors.log_density(assignment, after)[0].sum()
        - priors.log_density(assignment, before)[0].sum()
    )


def _mass_gain(theta: FloatArray, mass: FloatArray, mean: float, sd: float) -> float:
    """Expected log-density of theta under N(mean, sd^2) minus that under N(0, 1)."""
    z = (theta - mean) / sd
    return float(mass @ (0.5 * theta**2 - 0.5 * z**2 - math.log(sd)))
