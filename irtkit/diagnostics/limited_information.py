r"""Limited-information tests of a whole model, from first and second moments: M2, M2* and C2.

With the residual moments r, their covariance :math:`\Xi` under the model and the derivatives
:math:`\Delta` of the moments by the free parameters

.. math:: M_2 = N \max_x \{ 2 x' r - x' \Xi x : \Delta' x = 0 \}
              = N r' \Delta_c (\Delta_c' \Xi \Delta_c)^{-1} \Delta_c' r

so that one right-hand side and products with :math:`\Xi` are enough: conjugate gradients in the
null space of :math:`\Delta'`. Neither :math:`\Xi` nor :math:`\Delta`, with one row for each of the
I (I + 1) / 2 moments, is ever built.

Moments may be transformed linearly. Here they are those of standardised answers
:math:`y_i = (x_i - \pi_i) / \sigma_i`: functions of one answer, orthonormal under the model, and
products :math:`y_i y_j` divided by their standard deviation. That brings :math:`\Xi` close to the
identity. Given theta the answers are independent, so with :math:`y_i = d_i + \epsilon_i` the
covariance of two products follows from :math:`d_i` and the variances :math:`s_i` of
:math:`\epsilon_i`, and a product with :math:`\Xi` costs O(Q I^2).

A vector over moments is an array (I, A + I): A functions of each item, then the pairs as a
symmetric matrix with zero diagonal, divided by the root of two so that vectors have their usual
inner product. Where the statistics come from data, and what is made of them, is in `model_fit.py`.

References
----------
Maydeu-Olivares, A., & Joe, H. (2005). Limited- and full-information estimation and goodness-of-
    fit testing in 2^n contingency tables. Journal of the American Statistical Association,
    100(471), 1009-1020. https://doi.org/10.1198/016214504000002069
Cai, L., & Hansen, M. (2013). Limited-information goodness-of-fit testing of hierarchical item
    factor models. British Journal of Mathematical and Statistical Psychology, 66(2), 245-276.
    https://doi.org/10.1111/j.2044-8317.2012.02050.x
Cai, L., & Monroe, S. (2014). A new statistic for evaluating item response theory models for
    ordinal data (CRESST Report 839). University of California, Los Angeles.
Gould, N. I. M., Hribar, M. E., & Nocedal, J. (2001). On the solution of equality constrained
    quadratic programming problems arising in optimization. SIAM Journal on Scientific Computing,
    23(4), 1376-1395. https://doi.org/10.1137/S1064827598345667
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpstrf

from irtkit.arrays import FloatArray, IntArray
from irtkit.latent import Nodes
from irtkit.models import Assignment

ROOT2 = np.sqrt(2.0)
SAME_DIRECTION = 1e-10  # sine of the angle below which an item's derivatives coincide
DEPENDENT = 1e-11  # squared sine of the angle of a column with all others
NEARLY_DEPENDENT = 1e-3
REMAINDER = 1e-8  # of the gradient, relative; the value is off by the square
MOST_STEPS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """First and second moments of standardised answers under a model, and given theta.

    Attributes
    ----------
    codes : array, shape (I, K)
        The standardised value of each category.
    functions : array, shape (I, A, K)
        Functions of one answer, orthonormal under the model; zero where an item has fewer.
    weights : array, shape (Q,)
        Of the nodes.
    deviation, spread : array, shape (Q, I)
        Mean d and variance s of the standardised answer given theta.
    expected, cross : array, shape (Q, I, A)
        Mean of each function given theta, and its covariance with the standardised answer.
    own : array, shape (I, A, A)
        Expected covariance of an item's functions given theta.
    correlation : array, shape (I, I)
        Model-implied correlations of the codes, diagonal one.
    both : array, shape (I, I)
        Expected product of two items' variances given theta.
    scale : array, shape (I, I)
        Standard deviation of the product of two standardised answers.
    """

    codes: FloatArray
    functions: FloatArray
    weights: FloatArray
    deviation: FloatArray
    spread: FloatArray
    expected: FloatArray
    cross: FloatArray
    own: FloatArray
    correlation: FloatArray
    both: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, chance: FloatArray, weights: FloatArray, by_category: bool) -> Moments:
        """Derive the moments from probabilities of the categories (Q, I, K) at the nodes (Q,).

        First moments are the items' mean codes, or with `by_category` the shares of their
        categories, as in C2.
        """
        margin = np.tensordot(weights, chance, axes=1)  # (I, K)
        codes = _standardised(margin)
        functions = _orthonormal(margin) if by_category else codes[:, None, :]  # (I, A, K)
        deviation = np.einsum("qik,ik->qi", chance, codes)
        spread = np.einsum("qik,ik->qi", chance, codes**2) - deviation**2
        expected = np.einsum("qik,iak->qia", chance, functions)
        cross = np.einsum("qik,iak->qia", chance, functions * codes[:, None, :])
        cross -= expected * deviation[:, :, None]
        own = np.einsum("iak,ibk,ik->iab", functions, functions, margin)
        own -= np.einsum("q,qia,qib->iab", weights, expected, expected)
        correlation = _mean_products(deviation, weights)  # (I, I)
        scale = np.sqrt(_mean_products(spread + deviation**2, weights) - correlation**2)
        np.fill_diagonal(correlation, 1.0)
        np.fill_diagonal(scale, 1.0)
        both = _mean_products(spread, weights)
        return cls(
            *(codes, functions, weights, deviation, spread, expected),
            *(cross, own, correlation, both, scale),
        )

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.codes)

    @property
    def n_moments(self) -> int:
        """Number of first and second moments."""
        n_first = int(self.functions.any(axis=2).sum())
        return n_first + self.n_items * (self.n_items - 1) // 2

    def residual(self, shares: FloatArray, products: FloatArray) -> FloatArray:
        """Observed minus expected moments, a vector (I, A + I).

        Parameters
        ----------
        shares : array, shape (I, K)
            Observed share of each category.
        products : array, shape (I, I)
            Observed mean of the product of two items' standardised answers (`codes`).
        """
        first = np.einsum("iak,ik->ia", self.functions, shares)
        return _vector(first, (products - self.correlation) / self.scale)

    def covariance_times(self, vector: FloatArray) -> FloatArray:
        """Multiply the covariance of the moments of one person by a vector (I, A + I)."""
        first, pairs = _parts(vector)
        pairs = pairs / self.scale
        d, weights = self.deviation, self.weights
        pull = d @ pairs  # (Q, I)
        value = np.einsum("qia,ia->q", self.expected, first)
        value += 0.5 * (np.einsum("qi,qi->q", pull, d) - np.vdot(self.correlation, pairs))
        value *= weights  # (Q,)
        slope = np.einsum("qia,ia->qi", self.cross, first) + self.spread * pull
        moved = np.einsum("iab,ib->ia", self.own, first)
        moved += np.einsum("qia,qi->ia", self.cross, weights[:, None] * pull)
        moved += np.einsum("qia,q->ia", self.expected, value)
        half = d.T @ (weights[:, None] * slope + 0.5 * value[:, None] * d)  # (I, I)
        return _vector(moved, (2.0 * half + pairs * self.both) / self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class Tangent:
    """The directions in which free parameters move the moments, orthonormal for each item.

    A parameter of one item moves its own functions and its own pairs, so its direction is one
    row of a vector, shared evenly with the column; what several items have in common is a vector.

    Attributes
    ----------
    rows : array, shape (D, I, A + I)
        Directions of each item's own parameters; zero where there are fewer.
    shared : array, shape (n, I, A + I)
    kept : array of int, shape (rank,)
        Independent directions among the D I own and the n shared ones.
    factor : array, shape (rank, rank)
        Its lower triangle is the Cholesky factor of their inner products.
    """

    rows: FloatArray
    shared: FloatArray
    kept: IntArray
    factor: FloatArray

    @classmethod
    def of(cls, cells: FloatArray, index: IntArray) -> Tangent:
        """Gather derivatives by item and parameter (D, I, A + I) into free parameters.

        Parameters
        ----------
        cells : array, shape (D, I, A + I)
            From `derivatives`.
        index : array of int, shape (I, D)
            Number of the free parameter of each cell; -1 where there is none.
        """
        times = np.bincount(index[index >= 0], minlength=1)
        alone = (index >= 0) & (times[index] == 1)  # (I, D)
        rows = _basis(np.where(alone.T[:, :, None], cells, 0.0))
        shared = np.empty((0, *cells.shape[1:]))
        for number in np.flatnonzero(times > 1):
            vector = _balanced(np.einsum("dij,id->ij", cells, (index == number).astype(float)))
            vector /= max(float(np.linalg.norm(vector)), np.finfo(float).tiny)
            shared = np.concatenate([shared, vector[None]])
        kept, factor = _independent(_inner_products(rows, shared))
        return cls(rows, shared, kept, factor)

    @property
    def rank(self) -> int:
        """Number of independent directions."""
        return len(self.kept)

    def without(self, vector: FloatArray) -> FloatArray:
        """Project a vector onto what no parameter moves."""
        n_parameters, n_items = self.rows.shape[:2]
        n_own = n_parameters * n_items
        every = np.zeros(n_own + len(self.shared))
        close = self.factor.diagonal().min(initial=1.0) < NEARLY_DEPENDENT
        for _ in range(2 if close else 1):  # the second time removes what rounding left
            own = np.einsum("dij,ij->di", self.rows, vector)
            along = np.append(own, np.einsum("nij,ij->n", self.shared, vector))[self.kept]
            every[self.kept] = cho_solve((self.factor, True), along, check_finite=False)
            own = every[:n_own].reshape(n_parameters, n_items)
            vector = vector - _balanced(np.einsum("dij,di->ij", self.rows, own))
            vector -= np.einsum("nij,n->ij", self.shared, every[n_own:])
        return vector


@dataclass(frozen=True, slots=True)
class Solution:
    """The largest value of the quadratic form, and how it was reached.

    Attributes
    ----------
    value : float
        M2 of one person.
    n_steps : int
        Conjugate gradient steps.
    remainder : float
        Gradient left, relative to the one at the start.
    """

    value: float
    n_steps: int
    remainder: float


def derivatives(
    moments: Moments, assignment: Assignment, parameters: FloatArray, nodes: Nodes
) -> FloatArray:
    """Differentiate the moments by the parameters of each item, shape (D, I, A + I).

    An item's functions come first; its pairs with the other items follow, as in a vector.
    """
    n_items, n_functions = moments.functions.shape[:2]
    cells = np.zeros((assignment.n_parameters, n_items, n_functions + n_items))
    heavy = ROOT2 * moments.weights[:, None] * moments.deviation  # (Q, I)
    theta = nodes.theta[:, None]
    for family, places in assignment.tasks(len(nodes.theta)):
        size, n = family.n_categories, family.n_parameters
        part = parameters[places, :n]
        chance = np.exp(family.model.log_prob(part, theta))  # (Q, i, K)
        moved = family.model.gradient(part, theta) * chance[..., None]  # (Q, i, K, D)
        first = np.einsum("q,qikd->ikd", moments.weights, moved)
        functions, codes = moments.functions[places, :, :size], moments.codes[places, :size]
        cells[:n, places, :n_functions] = np.einsum("iak,ikd->dia", functions, first)
        score = np.einsum("qikd,ik->qdi", moved, codes)
        pairs = np.tensordot(score, heavy, axes=(0, 0))  # (D, i, I)
        cells[:n, places, n_functions:] = pairs / moments.scale[places]
    everyone = np.arange(n_items)
    cells[:, everyone, n_functions + everyone] = 0.0
    return cells


def largest_value(moments: Moments, tangent: Tangent, residual: FloatArray) -> Solution:
    """Maximise 2 x'r - x' Xi x over the x that no parameter moves, by conjugate gradients."""
    start = gradient = direction = tangent.without(residual)
    at = np.zeros_like(residual)
    size = first_size = float(np.vdot(gradient, gradient))
    n_steps = 0
    while n_steps < MOST_STEPS and size > REMAINDER**2 * first_size:
        image = moments.covariance_times(direction)
        step = size / float(np.vdot(direction, image))
        at = at + step * direction
        gradient = tangent.without(gradient - step * image)
        size, before = float(np.vdot(gradient, gradient)), size
        direction = gradient + (size / before) * direction
        n_steps += 1
    image = tangent.without(moments.covariance_times(at))
    value = 2.0 * np.vdot(at, start) - np.vdot(at, image)
    remainder = np.linalg.norm(start - image) / max(first_size**0.5, np.finfo(float).tiny)
    return Solution(float(value), n_steps, float(remainder))


def _mean_products(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean products of values (Q, I) over the nodes, shape (I, I), symmetric to the last bit."""
    products = values.T @ (weights[:, None] * values)
    return 0.5 * (products + products.T)


def _vector(first: FloatArray, pairs: FloatArray) -> FloatArray:
    """Put first moments (I, A) and pairs (I, I) into a vector.

    The pairs are made symmetric to the last bit: what is not would grow from step to step.
    """
    pairs = (pairs + pairs.T) * (0.5 / ROOT2)
    np.fill_diagonal(pairs, 0.0)
    return np.concatenate([first, pairs], axis=1)


def _parts(vector: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Take a vector apart again."""
    n_functions = vector.shape[1] - len(vector)
    return vector[:, :n_functions], vector[:, n_functions:] * ROOT2


def _balanced(moved: FloatArray) -> FloatArray:
    """Share what stands in the rows of a vector's pairs evenly with the columns."""
    n_functions = moved.shape[1] - len(moved)
    pairs = moved[:, n_functions:]
    moved[:, n_functions:] = 0.5 * (pairs + pairs.T)
    return moved


def _standardised(margin: FloatArray) -> FloatArray:
    """Values of the categories, codes with mean zero and variance one, shape (I, K)."""
    codes = np.arange(margin.shape[1]) - (margin @ np.arange(margin.shape[1]))[:, None]
    return codes / np.sqrt((margin * codes**2).sum(axis=1, keepdims=True))


def _orthonormal(margin: FloatArray) -> FloatArray:
    """Functions that set each category against all lower ones, shape (I, K - 1, K)."""
    n_items, n_categories = margin.shape
    functions = np.zeros((n_items, n_categories - 1, n_categories))
    for k in range(1, n_categories):
        below = margin[:, :k].sum(axis=1)
        there = margin[:, k] > 0
        here = np.where(there, margin[:, k], 1.0)
        size = np.where(there, 1.0, 0.0) / np.sqrt(1.0 / here + 1.0 / below)
        functions[:, k - 1, :k] = -(size / below)[:, None]
        functions[:, k - 1, k] = size / here
    return functions


def _basis(cells: FloatArray) -> FloatArray:
    """Orthonormal directions that span those of each item (D, I, A + I), zeros for the rest."""
    n_items = cells.shape[1]
    columns = cells.transpose(1, 2, 0).copy()  # (I, A + I, D)
    columns[:, -n_items:] /= ROOT2  # half of a row's pairs moves to the columns
    size = np.linalg.norm(columns, axis=1, keepdims=True)
    columns /= np.where(size > 0, size, 1.0)
    columns, spread, _ = np.linalg.svd(columns, full_matrices=False)
    columns[:, -n_items:] *= ROOT2
    return np.ascontiguousarray(
        np.where((spread > SAME_DIRECTION)[:, None, :], columns, 0.0).transpose(2, 0, 1)
    )


def _inner_products(rows: FloatArray, shared: FloatArray) -> FloatArray:
    """Inner products of all directions, shape (D I + n, D I + n)."""
    n_parameters, n_items, _ = rows.shape
    n_own = n_parameters * n_items
    pairs = rows[:, :, -n_items:]  # (D, I, I)
    gram = np.eye(n_own + len(shared))
    gram[:n_own, :n_own] += 0.5 * np.einsum("dij,eji->diej", pairs, pairs).reshape(n_own, n_own)
    np.fill_diagonal(gram[:n_own, :n_own], rows.any(axis=2).ravel())
    gram[n_own:, :n_own] = np.einsum("dij,nij->ndi", rows, shared).reshape(-1, n_own)
    gram[:n_own, n_own:] = gram[n_own:, :n_own].T
    gram[n_own:, n_own:] = np.einsum("nij,mij->nm", shared, shared)
    return gram


def _independent(gram: FloatArray) -> tuple[IntArray, FloatArray]:
    """Choose independent directions by pivoted Cholesky; their places and the factor."""
    factor, pivots, rank, _ = dpstrf(gram, tol=DEPENDENT, lower=1)
    return pivots[:rank].astype(np.int64) - 1, np.asfortranarray(factor[:rank, :rank])
