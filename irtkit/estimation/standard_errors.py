r"""Standard errors: observed information, cross-product of scores, sandwich.

The observed information of the marginal likelihood is the complete data's less what is missing,

.. math:: J = \sum_p \left( E[-\ddot\ell_p] - \mathrm{Cov}[\dot\ell_p] \right)

over each person's posterior of theta (Louis, 1982); Oakes' identity (1999) gives the same matrix.
Curvature of the complete data alone would overstate it. Scores of slopes are theta times those of
intercepts (`ItemModel.loading`), so only the intercepts' are multiplied out, once a node.

Where that matrix would be too large, `scalable` keeps its diagonal blocks exact and replaces the
rest by a matrix of low rank.

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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irtkit.arrays import BoolArray, FloatArray
from irtkit.estimation.blocks import Block, Blocks
from irtkit.estimation.cycles import AT_BOUND, Fit
from irtkit.estimation.em import Expected, Tables, e_step, posterior
from irtkit.estimation.m_step import Problem, derivatives
from irtkit.estimation.method import MML
from irtkit.estimation.priors import Priors
from irtkit.threads import spread

MOST_PARAMETERS = 4000
MOST_PRODUCTS = 3e12
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

    Items with a slope at its bound are held fixed; their block is NaN. Parameters held fixed have
    variance zero.
    """
    if problem.blocks.backend.name != "numpy":
        problem = replace(problem, blocks=problem.blocks.on_numpy())
    parameters = fit.checkpoint.parameters
    theta = fit.checkpoint.grid
    weights = problem.population.log_weights(fit.checkpoint.population, theta)
    tables = Tables.of(problem.assignment, parameters, theta, weights)
    expected = e_step(problem.blocks, tables)
    complete = complete_information(problem, parameters, theta, expected)  # (I, D, D)
    held = _held(problem, parameters)
    kind = method.standard_errors
    assert kind is not None
    if _too_large(problem, len(theta)):
        from irtkit.estimation.scalable import scalable_covariance

        return scalable_covariance(problem, parameters, tables, expected, complete, held, kind)
    moments = scores(problem, fit, tables)
    columns = _columns(problem, held)  # (cells + latent, free)
    whole = _assembled(problem, complete, fit, expected)
    information = columns.T @ (whole - moments.expected + moments.products) @ columns
    crossed = columns.T @ moments.products @ columns
    try:
        if kind == "cross_product":
            inverse = _inverse(crossed)
        else:
            inverse = _inverse(information)
            if kind == "sandwich":
                inverse = inverse @ crossed @ inverse
    except np.linalg.LinAlgError:
        missing = np.full(complete.shape, np.nan)
        why = (
            "there are fewer independent persons than parameters"
            if kind == "cross_product"
            else "the information matrix is not positive definite"
        )
        return Uncertainty(missing, "", (f"No standard errors: {why}.",))
    return Uncertainty(_blocks(problem, columns, inverse, held), SOURCES[kind], ())


def _too_large(problem: Problem, n_nodes: int) -> bool:
    n_items, _ = problem.shape
    width = n_items * _n_other(problem)
    products = 2.0 * problem.blocks.n_persons * n_nodes * float(width) ** 2
    return n_items * problem.shape[1] > MOST_PARAMETERS or products > MOST_PRODUCTS


def _held(problem: Problem, parameters: FloatArray) -> BoolArray:
    slopes = np.where(problem.assignment.slopes(), parameters, 0.0)
    return np.asarray(np.abs(slopes).max(axis=1) >= AT_BOUND * problem.slope_bound)


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


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Sums over persons of products of their scores, over all parameters of all items.

    Attributes
    ----------
    expected : array, shape (n, n)
        Sum of the posterior means of the products of complete-data scores.
    products : array, shape (n, n)
        Sum of the products of the posterior means: cross-product of the marginal scores.
    """

    expected: FloatArray
    products: FloatArray


def _n_other(problem: Problem) -> int:
    """Largest number of parameters of an item that are no slopes."""
    return max(
        int((~family.model.slopes(family.n_parameters)).sum())
        for family in problem.assignment.families
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Residuals:
    """Derivatives of the log-probabilities by the parameters that are no slopes.

    Attributes
    ----------
    table : array, shape (Q, I, K + 1, D0)
        By category; zero in the last place, which stands for no answer.
    plain, by_theta : array, shape (I, D, D0)
        Scores are (plain + theta by_theta) residuals.
    """

    table: FloatArray
    plain: FloatArray
    by_theta: FloatArray

    @classmethod
    def of(cls, problem: Problem, parameters: FloatArray, theta: FloatArray) -> _Residuals:
        assignment = problem.assignment
        n_items, n_parameters = problem.shape
        n_other, n_categories = _n_other(problem), int(assignment.n_categories.max())
        table = np.zeros((len(theta), n_items, n_categories + 1, n_other))
        plain = np.zeros((n_items, n_parameters, n_other))
        by_theta = np.zeros_like(plain)
        for family in assignment.families:
            model, n = family.model, family.n_parameters
            slopes = model.slopes(n)
            other = np.flatnonzero(~slopes)
            gradient = model.gradient(assignment.part(family, parameters), theta[:, None])
            table[:, family.places, : family.n_categories, : len(other)] = gradient[..., other]
            one = np.zeros((n_parameters, n_other))
            one[other, range(len(other))] = 1.0
            two = np.zeros((n_parameters, n_other))
            two[:n, : len(other)] = model.loading(family.n_categories).T[:, other]
            plain[family.places], by_theta[family.places] = one, two
        return cls(table, plain, by_theta)

    def at(self, values: FloatArray, block: Block, blocks: Blocks) -> FloatArray:
        """Choose from a table (I, K + 1, D0), or one a person, by each person's answers.

        Parameters
        ----------
        values : array, shape (I, K + 1, D0) or (B, I, K + 1, D0)

        Returns
        -------
        array, shape (B, I, D0)
        """
        if values.shape[-2] == 3:  # right or wrong: no look-up needed
            found = blocks.unpacked(block)
            right = _dense(found.chosen[0])[:, :, None]  # (B, I, 1)
            step = values[..., 1, :] - values[..., 0, :]
            if found.answered is None:
                return values[..., 0, :] + right * step
            return _dense(found.answered)[:, :, None] * values[..., 0, :] + right * step
        codes = block.codes.toarray() - 1 if hasattr(block.codes, "toarray") else block.codes
        place = np.asarray(codes, dtype=np.int64)  # -1 is the last place: no answer
        items = np.arange(place.shape[1])
        if values.ndim == 3:
            return values[items, place]
        return values[np.arange(len(place))[:, None], items, place]


def _dense(matrix: FloatArray) -> FloatArray:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


def scores(problem: Problem, fit: Fit, tables: Tables) -> Scores:
    """Sum products of scores over the persons.

    Notes
    -----
    O(Q P I^2) time: one product (I, P) x (P, I) a node. O(I^2) memory beyond the input.
    """
    residuals = _Residuals.of(problem, fit.checkpoint.parameters, tables.theta)
    latent = _latent_scores(problem, fit, tables.theta)  # (G, Q, L)
    parts = spread(
        lambda share: _summed(problem, tables, residuals, latent, share),
        problem.blocks.blocks,
        problem.blocks.cells > 50_000,
    )
    moment, products, by_node, mass = (sum(pieces) for pieces in zip(*parts, strict=True))
    return Scores(
        _expected_products(problem, tables, residuals, latent, moment, by_node, mass), products
    )


def _summed(
    problem: Problem,
    tables: Tables,
    residuals: _Residuals,
    latent: FloatArray,
    share: Sequence[Block],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Sums over some blocks: residual products by powers of theta, scores, sums by node, mass."""
    blocks = problem.blocks
    n_nodes, n_items, _, n_other = residuals.table.shape
    n_parameters, n_latent = residuals.plain.shape[1], latent.shape[2]
    width = n_items * n_other
    moment = np.zeros((3, width, width))
    products = np.zeros((n_items * n_parameters + n_latent,) * 2)
    by_node = np.zeros((latent.shape[0], n_nodes, width))
    mass = np.zeros((latent.shape[0], n_nodes))
    for block in share:
        found, _ = posterior(blocks, block, tables)
        density = found.normalised()  # (W, B)
        heavy = density * block.weights  # (W, B)
        for q, weight in zip(range(found.window.start, found.window.stop), heavy, strict=True):
            residual = residuals.at(residuals.table[q], block, blocks).reshape(-1, width)
            weighted = residual * weight[:, None]
            product = weighted.T @ residual
            theta = float(tables.theta[q])
            moment[0] += product
            product *= theta
            moment[1] += product
            product *= theta
            moment[2] += product
            if n_latent:
                by_node[block.group, q] += weighted.sum(axis=0)
        mass[block.group, found.window] += heavy.sum(axis=1)
        mean = _mean_scores(tables, residuals, latent, found.window, density, block, blocks)
        products += (mean * block.weights[:, None]).T @ mean
    return moment, products, by_node, mass


def _mean_scores(
    tables: Tables,
    residuals: _Residuals,
    latent: FloatArray,
    window: slice,
    density: FloatArray,
    block: Block,
    blocks: Blocks,
) -> FloatArray:
    """Posterior mean of each person's scores, shape (B, I * D + L)."""
    table = residuals.table[window]  # (W, I, K + 1, D0)
    shape = table.shape[1:]
    flat = table.reshape(len(table), -1)
    theta = tables.theta[window]
    plain = (density.T @ flat).reshape(-1, *shape)  # (B, I, K + 1, D0)
    tilted = ((density * theta[:, None]).T @ flat).reshape(-1, *shape)
    by_item = np.einsum(
        "idc,bic->bid", residuals.plain, residuals.at(plain, block, blocks)
    ) + np.einsum("idc,bic->bid", residuals.by_theta, residuals.at(tilted, block, blocks))
    own = density.T @ latent[block.group, window]  # (B, L)
    return np.concatenate([by_item.reshape(len(by_item), -1), own], axis=1)


def _expected_products(
    problem: Problem,
    tables: Tables,
    residuals: _Residuals,
    latent: FloatArray,
    moment: FloatArray,
    by_node: FloatArray,
    mass: FloatArray,
) -> FloatArray:
    """Put the sums by powers of theta together to expected products of scores."""
    n_items, n_parameters, n_other = residuals.plain.shape
    n_cells, n_latent = n_items * n_parameters, latent.shape[2]
    split = moment.reshape(3, n_items, n_other, n_items, n_other)
    whole = np.zeros((n_cells + n_latent,) * 2)
    cells = np.zeros((n_items, n_parameters, n_items, n_parameters))
    pairs = (
        (residuals.plain, residuals.plain, 0),
        (residuals.plain, residuals.by_theta, 1),
        (residuals.by_theta, residuals.plain, 1),
        (residuals.by_theta, residuals.by_theta, 2),
    )
    for left, right, power in pairs:
        half = np.einsum("idc,icje->idje", left, split[power], optimize=True)
        cells += np.einsum("idje,jfe->idjf", half, right, optimize=True)
    whole[:n_cells, :n_cells] = cells.reshape(n_cells, n_cells)
    if n_latent:
        for power, factor in ((0, residuals.plain), (1, residuals.by_theta)):
            tilted = latent * (tables.theta**power)[None, :, None]  # (G, Q, L)
            flat = np.einsum("gqw,gql->wl", by_node, tilted)
            cross = np.einsum(
                "idc,icl->idl", factor, flat.reshape(n_items, n_other, n_latent)
            ).reshape(n_cells, n_latent)
            whole[:n_cells, n_cells:] += cross
            whole[n_cells:, :n_cells] += cross.T
        whole[n_cells:, n_cells:] = np.einsum("gq,gql,gqm->lm", mass, latent, latent)
    return whole


def _latent_scores(problem: Problem, fit: Fit, theta: FloatArray) -> FloatArray:
    """Scores of the free means and log-SDs at the nodes, shape (G, Q, L)."""
    population = problem.population
    if population.kind == "histogram":
        return np.zeros((population.n_groups, len(theta), 0))
    free = range(population.first_free, population.n_groups)
    values = np.zeros((population.n_groups, len(theta), 2 * len(free)))
    moments = population.moments(fit.checkpoint.population)
    for number, group in enumerate(free):
        mean, sd = moments[group]
        z = (theta - mean) / sd
        values[group, :, 2 * number] = z / sd
        values[group, :, 2 * number + 1] = z**2 - 1.0
    return values


def _assembled(problem: Problem, complete: FloatArray, fit: Fit, expected: Expected) -> FloatArray:
    """Complete-data information of all cells and of the population, (n, n)."""
    n_items, n_parameters = problem.shape
    n_cells = n_items * n_parameters
    population = problem.population
    n_latent = 0
    if population.kind != "histogram":
        n_latent = 2 * (population.n_groups - population.first_free)
    whole = np.zeros((n_cells + n_latent,) * 2)
    blocks = whole[:n_cells, :n_cells].reshape(n_items, n_parameters, n_items, n_parameters)
    every = np.arange(n_items)
    blocks[every, :, every, :] = complete
    moments = population.moments(fit.checkpoint.population)
    for number in range(n_latent // 2):
        group = population.first_free + number
        mean, sd = moments[group]
        z = (fit.checkpoint.grid - mean) / sd
        mass, here = expected.mass[group], n_cells + 2 * number
        whole[here, here] = mass.sum() / sd**2
        whole[here, here + 1] = whole[here + 1, here] = 2.0 * (mass @ z) / sd
        whole[here + 1, here + 1] = 2.0 * (mass @ z**2)
    return whole


def _columns(problem: Problem, held: BoolArray) -> FloatArray:
    """Derivative of all cells and the population by the free parameters."""
    index = np.where(held[:, None], -1, problem.structure.index).ravel()
    numbers = np.unique(index[index >= 0])
    rank = {number: place for place, number in enumerate(numbers.tolist())}
    population = problem.population
    n_latent = 0
    if population.kind != "histogram":
        n_latent = 2 * (population.n_groups - population.first_free)
    matrix = np.zeros((len(index) + n_latent, len(numbers) + n_latent))
    for cell in np.flatnonzero(index >= 0):
        matrix[cell, rank[int(index[cell])]] = 1.0
    if n_latent:
        matrix[len(index) :, len(numbers) :] = np.eye(n_latent)
    return matrix


def _inverse(matrix: FloatArray) -> FloatArray:
    """Invert a positive definite matrix, or raise LinAlgError."""
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
