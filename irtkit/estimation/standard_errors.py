r"""Standard errors: observed information, cross-product of scores, sandwich.

The observed information of the marginal likelihood is the complete data's less what is missing,

.. math:: J = \sum_p \left( E[-\ddot\ell_p] - \mathrm{Cov}[\dot\ell_p] \right)

over each person's posterior of theta (Louis, 1982); Oakes' identity (1999) gives the same matrix.
Curvature of the complete data alone would overstate it. Where the matrix would be too large,
`scalable.py` takes its place.

References
----------
Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. Journal
    of the Royal Statistical Society B, 44(2), 226-233.
Oakes, D. (1999). Direct calculation of the information matrix via the EM algorithm. Journal of the
    Royal Statistical Society B, 61(2), 479-482.
Chalmers, R. P. (2018). Numerical approximation of the observed information matrix with Oakes'
    identity. British Journal of Mathematical and Statistical Psychology, 71(3), 415-436.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from irtkit.arrays import BoolArray, FloatArray
from irtkit.estimation.cycles import Fit
from irtkit.estimation.em import Expected, Tables, e_step
from irtkit.estimation.m_step import Problem, derivatives
from irtkit.estimation.method import MML
from irtkit.estimation.priors import Priors
from irtkit.estimation.scalable import scalable_covariance
from irtkit.estimation.score_products import n_other, score_products

MOST_PARAMETERS = 4000
MOST_PRODUCTS = 3e11  # multiplications and additions
DIFFERENCE = 1e-4

SOURCES = {
    "oakes": "observed information",
    "cross_product": "cross-product of the persons' scores",
    "sandwich": "sandwich of observed information and cross-product",
}


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """Covariance of the item parameters.

    Attributes
    ----------
    covariance : array, shape (I, D, D)
        Each item's block; NaN where unknown.
    source : str
        What it was computed from.
    notes : tuple of str
    """

    covariance: FloatArray
    source: str
    notes: tuple[str, ...]


def covariance(problem: Problem, fit: Fit, method: MML) -> Uncertainty:
    """Return each item's block of the covariance of the estimates.

    Items with a slope at its bound are held fixed; their block is NaN. Other fixed parameters have
    variance zero.
    """
    state = _State.of(problem, fit)
    kind = method.standard_errors
    assert kind is not None
    if _too_large(problem, len(state.tables.theta)):
        found, source = scalable_covariance(
            state.problem,
            fit.checkpoint.parameters,
            state.tables,
            state.expected,
            state.complete,
            state.stuck,
        )
        notes = [] if kind == "oakes" else [f"Standard errors are not {SOURCES[kind]}: too large."]
        if problem.structure.n_shared:
            notes.append("Standard errors take what items share as known.")
        return Uncertainty(found, source, tuple(notes))
    try:
        columns, inverse = _whole(state, fit, kind)
    except np.linalg.LinAlgError:
        missing = np.full(state.complete.shape, np.nan)
        why = (
            "there are fewer independent persons than parameters"
            if kind == "cross_product"
            else "the information matrix is not positive definite"
        )
        return Uncertainty(missing, "", (f"No standard errors: {why}.",))
    return Uncertainty(_blocks(problem, columns, inverse, state.held), SOURCES[kind], ())


def joint_covariance(problem: Problem, fit: Fit, kind: str = "oakes") -> FloatArray | None:
    """Return the covariance of all item parameters with each other, shape (I, D, I, D).

    NaN for items held at a bound and cells that items do not use. None where the information
    matrix is not positive definite, or too large.
    """
    if _too_large(problem, len(fit.checkpoint.grid)):
        return None
    state = _State.of(problem, fit)
    try:
        columns, inverse = _whole(state, fit, kind)
    except np.linalg.LinAlgError:
        return None
    n_items, n_parameters = problem.shape
    cells = columns[: n_items * n_parameters]
    found = cells @ inverse @ cells.T
    unused = (~problem.assignment.used() | state.held[:, None]).ravel()
    found[unused[:, None] | unused] = np.nan
    return found.reshape(n_items, n_parameters, n_items, n_parameters)


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What the information matrix is made of, at the end of an estimation.

    Attributes
    ----------
    problem : Problem
        On NumPy.
    tables : Tables
    expected : Expected
    complete : array, shape (I, D, D)
        Complete-data information.
    stuck : array of bool, shape (I, D)
        Cells at a bound, and all cells of held items.
    held : array of bool, shape (I,)
        Items with a slope at its bound.
    """

    problem: Problem
    tables: Tables
    expected: Expected
    complete: FloatArray
    stuck: BoolArray
    held: BoolArray

    @classmethod
    def of(cls, problem: Problem, fit: Fit) -> _State:
        if problem.blocks.backend.name != "numpy":
            problem = replace(problem, blocks=problem.blocks.on_numpy())
        parameters, theta = fit.checkpoint.parameters, fit.checkpoint.grid
        weights = problem.population.log_weights(fit.checkpoint.population, theta)
        tables = Tables.of(
            problem.assignment, parameters, theta, weights, complete=problem.blocks.complete
        )
        expected = e_step(problem.blocks, tables)
        complete = complete_information(problem, parameters, theta, expected)  # (I, D, D)
        stuck = problem.at_bound(parameters)  # (I, D)
        held = np.asarray((stuck & problem.assignment.slopes()).any(axis=1))  # (I,)
        return cls(problem, tables, expected, complete, stuck | held[:, None], held)


def _whole(state: _State, fit: Fit, kind: str) -> tuple[FloatArray, FloatArray]:
    """Derivative of all cells by the free parameters, and the covariance of these."""
    problem = state.problem
    moments = score_products(problem, fit, state.tables)
    columns = _columns(problem, state.stuck)  # (cells + latent, free)
    whole = _assembled(problem, state.complete, fit, state.expected)
    information = columns.T @ (whole - moments.expected + moments.products) @ columns
    crossed = columns.T @ moments.products @ columns
    if kind == "cross_product":
        return columns, _inverse(crossed)
    inverse = _inverse(information)
    return columns, inverse @ crossed @ inverse if kind == "sandwich" else inverse


def _too_large(problem: Problem, n_nodes: int) -> bool:
    n_items, _ = problem.shape
    blocks = problem.blocks
    two = int(problem.assignment.n_categories.max()) == 2
    passes = 6 if blocks.packed and blocks.complete and two else n_nodes
    width = float(n_items * n_other(problem))
    products = 2.0 * blocks.n_persons * passes * width**2
    return n_items * problem.shape[1] > MOST_PARAMETERS or products > MOST_PRODUCTS


def complete_information(
    problem: Problem, parameters: FloatArray, theta: FloatArray, expected: Expected
) -> FloatArray:
    """Negative second derivative of the expected log-likelihood and log-prior, (I, D, D)."""
    prior = problem.priors.log_density(problem.assignment, parameters)[2]
    bare = replace(problem, priors=Priors(lower=None, upper=None))
    if problem.assignment.linear:
        return derivatives(bare, parameters, theta, expected)[2] + prior
    hessian = np.zeros((*parameters.shape, parameters.shape[1]))
    for place in range(parameters.shape[1]):
        sides = []
        for sign in (1.0, -1.0):
            moved = parameters.copy()
            moved[:, place] += sign * DIFFERENCE
            sides.append(derivatives(bare, moved, theta, expected)[1])
        hessian[:, :, place] = (sides[0] - sides[1]) / (2.0 * DIFFERENCE)
    hessian[~np.isfinite(hessian)] = 0.0
    return prior - 0.5 * (hessian + np.swapaxes(hessian, 1, 2))


def _assembled(problem: Problem, complete: FloatArray, fit: Fit, expected: Expected) -> FloatArray:
    """Complete-data information of all cells and of the population, (n, n)."""
    n_items, n_parameters = problem.shape
    n_cells = n_items * n_parameters
    free = problem.population.free()
    whole = np.zeros((n_cells + len(free),) * 2)
    blocks = whole[:n_cells, :n_cells].reshape(n_items, n_parameters, n_items, n_parameters)
    every = np.arange(n_items)
    blocks[every, :, every, :] = complete
    moments = problem.population.moments(fit.checkpoint.population)
    for row, (group, first) in enumerate(free):
        for column, (other, second) in enumerate(free):
            if group != other:
                continue
            mean, sd = moments[group]
            z = (fit.checkpoint.grid - mean) / sd
            power = (first == "log_sd") + (second == "log_sd")
            value = (1.0 if power == 0 else 2.0) * (expected.mass[group] @ z**power)
            whole[n_cells + row, n_cells + column] = value / sd ** (2 - power)
    return whole


def _columns(problem: Problem, stuck: BoolArray) -> FloatArray:
    """Derivative of all cells and the population by the free parameters."""
    index = np.where(stuck, -1, problem.structure.index).ravel()
    numbers = np.unique(index[index >= 0])
    rank = {number: place for place, number in enumerate(numbers.tolist())}
    n_latent = len(problem.population.free())
    matrix = np.zeros((len(index) + n_latent, len(numbers) + n_latent))
    for cell in np.flatnonzero(index >= 0):
        matrix[cell, rank[int(index[cell])]] = 1.0
    if n_latent:
        matrix[len(index) :, len(numbers) :] = np.eye(n_latent)
    return matrix


def _inverse(matrix: FloatArray) -> FloatArray:
    """Invert a positive definite matrix, or raise LinAlgError."""
    if not matrix.size:
        return matrix
    scale = np.sqrt(np.diag(matrix))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise np.linalg.LinAlgError
    factor = np.linalg.cholesky(matrix / np.outer(scale, scale))
    if np.diag(factor).min() < 1e-7:
        raise np.linalg.LinAlgError
    root = np.linalg.solve(factor, np.diag(1.0 / scale))
    return np.asarray(root.T @ root)


def _blocks(
    problem: Problem, columns: FloatArray, inverse: FloatArray, held: BoolArray
) -> FloatArray:
    """Each item's block; NaN for held items and cells that items do not use."""
    n_items, n_parameters = problem.shape
    blocks = np.empty((n_items, n_parameters, n_parameters))
    for item in range(n_items):
        rows = columns[item * n_parameters : (item + 1) * n_parameters]
        used = np.flatnonzero(rows.any(axis=0))
        small = rows[:, used]
        blocks[item] = small @ inverse[np.ix_(used, used)] @ small.T
    unused = ~problem.assignment.used() | held[:, None]
    blocks[unused[:, :, None] | unused[:, None, :]] = np.nan
    return blocks
