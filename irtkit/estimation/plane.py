r"""One EM cycle of the two-dimensional 2PL, on nodes that cover the plane of two abilities.

.. math:: P(y = 1 \mid \theta) = \frac{1}{1 + \exp(-a_1 \theta_1 - a_2 \theta_2 - d)},
          \qquad \theta \sim N(0, I)

The nodes are a product of two equally spaced grids, so the E-step is that of `em.py` with other
tables. All slopes are free while cycling: turning the axes leaves the likelihood as it is, and EM
does not move along it. Starting, stopping and turning the axes are in `two_dimensions.py`.

References
----------
Bock, R. D., Gibbons, R., & Muraki, E. (1988). Full-information item factor analysis. Applied
    Psychological Measurement, 12(3), 261-280. https://doi.org/10.1177/014662168801200305
Liu, C., Rubin, D. B., & Wu, Y. N. (1998). Parameter expansion to accelerate EM: the PX-EM
    algorithm. Biometrika, 85(4), 755-770. https://doi.org/10.1093/biomet/85.4.755
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from irtkit.arrays import BoolArray, FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import Expected, Tables, e_step, log_likelihoods
from irtkit.latent import HALF_WIDTH, SPACING_PER_SD, Normal

WIDEST_SPACING = 0.6
SURVEY = 41  # nodes an axis on which information is looked at
MOST_CELLS = 8_000_000  # nodes times items
NEWTON_STEPS = 2
LONGEST_STEP = 1.0
MOST_HALVINGS = 10
ROUNDING = 1e-13
TINY = 1e-10
AT_BOUND = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Nodes that cover the plane, their weights those of two independent normal abilities.

    Attributes
    ----------
    theta : array, shape (Q, 2)
    log_weights : array, shape (Q,)
    sizes : tuple of int
        Nodes on each axis.
    """

    theta: FloatArray
    log_weights: FloatArray
    sizes: tuple[int, int]

    @classmethod
    def of(cls, first: int, second: int) -> Plane:
        """Cross two grids of so many nodes over -6 .. 6."""
        one, two = Normal().nodes(first), Normal().nodes(second)
        theta = np.stack(np.meshgrid(one.theta, two.theta, indexing="ij"), axis=-1)
        weights = one.log_weights[:, None] + two.log_weights
        return cls(theta.reshape(-1, 2), weights.ravel(), (first, second))

    def halved(self) -> Plane:
        """Nodes half as far apart."""
        return Plane.of(2 * self.sizes[0] - 1, 2 * self.sizes[1] - 1)


def sizes_needed(parameters: FloatArray, longest: BoolArray | None) -> tuple[int, int]:
    r"""Nodes on each axis, so close together that no posterior falls between them.

    The sum over nodes with spacings H = diag(h) is off by about
    :math:`2 \exp(-2 \pi^2 \lambda)`, with lambda the smallest eigenvalue of
    :math:`H^{-1} \Sigma H^{-1}` and Sigma the posterior covariance, about
    :math:`(I + J(\theta))^{-1}`. The spacings keep lambda above 1 / 1.25^2 everywhere.

    Parameters
    ----------
    parameters : array, shape (I, 3)
        Two slopes and the intercept.
    longest : array of bool, shape (n, I), or None
        Which items the persons with the most answers answered; None if somebody answered all.
    """
    theta = Plane.of(SURVEY, SURVEY).theta
    chance = expit(theta @ parameters[:, :2].T + parameters[:, 2])  # (Q, I)
    slopes = parameters[:, :2]
    parts = np.stack([slopes[:, 0] ** 2, slopes[:, 1] ** 2, slopes[:, 0] * slopes[:, 1]])
    seen = np.ones((1, len(parameters))) if longest is None else longest
    cells = (seen[:, None] * parts).reshape(-1, len(parameters))  # (3 n, I)
    one, two, both = np.moveaxis(
        ((chance * (1.0 - chance)) @ cells.T).reshape(-1, len(seen), 3), -1, 0
    )
    scale = 1.0 / math.sqrt(1.0 + one.max()), 1.0 / math.sqrt(1.0 + two.max())
    a, b = scale[0] ** 2 * (1.0 + one), scale[1] ** 2 * (1.0 + two)
    largest = 0.5 * (a + b) + np.sqrt(0.25 * (a - b) ** 2 + (scale[0] * scale[1] * both) ** 2)
    spacing = SPACING_PER_SD / math.sqrt(largest.max())
    first, second = (
        2 * math.ceil(HALF_WIDTH / min(WIDEST_SPACING, spacing * s) - 1e-9) + 1 for s in scale
    )
    return first, second


def check_size(sizes: tuple[int, int], n_items: int) -> None:
    """Refuse tests whose nodes would not fit in memory.

    Raises
    ------
    ModelError
    """
    cells = sizes[0] * sizes[1] * n_items
    if cells > MOST_CELLS:
        raise ModelError(
            f"{n_items:,} items are so informative that two dimensions need {sizes[0]} x "
            f"{sizes[1]} quadrature nodes, more than can be handled. Choose fewer items "
            f"(select_items), about {int(n_items * math.sqrt(MOST_CELLS / cells)):,} or less: "
            "information falls with the number of items, and so does the number of nodes."
        )


def tables(parameters: FloatArray, plane: Plane) -> Tables:
    """The item response functions at the nodes, as `e_step` takes them."""
    z = plane.theta @ parameters[:, :2].T + parameters[:, 2]  # (Q, I)
    base = log_expit(-z)
    return Tables(
        theta=plane.theta[:, 0],
        log_weights=plane.log_weights[None],
        base=base,
        base_total=base.sum(axis=1),
        scores=None,
        contrasts=(z,),
    )


def expected(blocks: Blocks, parameters: FloatArray, plane: Plane) -> Expected:
    """Expect the counts at the nodes, and the log-likelihood.

    The blocks remember which stretch of the nodes their posteriors need. On a plane such a stretch
    has no edges to watch, so it is forgotten.
    """
    blocks.windows.clear()
    return e_step(blocks, tables(parameters, plane))


def log_likelihood(blocks: Blocks, parameters: FloatArray, plane: Plane) -> float:
    """Marginal log-likelihood of parameters (I, 3) in nats."""
    blocks.windows.clear()
    weights = np.empty(blocks.n_persons)
    for block in blocks:
        weights[block.rows] = block.weights
    return float(weights @ log_likelihoods(blocks, tables(parameters, plane)))


@dataclass(frozen=True, slots=True, eq=False)
class ItemSums:
    """What the M-step needs to know of the persons.

    Attributes
    ----------
    design : array, shape (Q, 3)
        The nodes and a column of ones.
    right, answered : array, shapes (Q, I) and (Q, I) or (Q, 1)
        Expected persons at each node who were right, and who answered.
    """

    design: FloatArray
    right: FloatArray
    answered: FloatArray

    @classmethod
    def of(cls, plane: Plane, counts: Expected) -> ItemSums:
        """Take them from the E-step."""
        design = np.column_stack([plane.theta, np.ones(len(plane.theta))])  # (Q, 3)
        return cls(design, counts.counts[0], counts.answered)

    def derivatives(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Expected log-likelihood of each item (I,), gradient (I, 3), information (I, 3, 3)."""
        z = self.design @ parameters.T  # (Q, I)
        chance = expit(z)
        value = (self.right * z + self.answered * log_expit(-z)).sum(axis=0)
        gradient = (self.right - self.answered * chance).T @ self.design  # (I, 3)
        squares = (self.design[:, :, None] * self.design[:, None, :]).reshape(-1, 9)  # (Q, 9)
        information = (self.answered * chance * (1.0 - chance)).T @ squares  # (I, 9)
        return value, gradient, information.reshape(-1, 3, 3)

    def value(self, parameters: FloatArray) -> FloatArray:
        """Expected log-likelihood of each item, shape (I,)."""
        z = self.design @ parameters.T  # (Q, I)
        return np.asarray((self.right * z + self.answered * log_expit(-z)).sum(axis=0))


def m_step(parameters: FloatArray, sums: ItemSums) -> FloatArray:
    """Newton steps on the expected log-likelihood of each item, halved where they lower it.

    Parameters
    ----------
    parameters : array, shape (I, 3)
    sums : ItemSums
        From the E-step at these parameters.
    """
    for _ in range(NEWTON_STEPS):
        value, gradient, information = sums.derivatives(parameters)
        information = information + TINY * np.eye(3)
        step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]  # (I, 3)
        longest = np.abs(step).max(axis=1, keepdims=True)
        step *= np.minimum(1.0, LONGEST_STEP / np.maximum(longest, 1e-300))
        for _ in range(MOST_HALVINGS):
            worse = ~(sums.value(parameters + step) >= value - ROUNDING * np.abs(value))
            if not worse.any():
                break
            step[worse] *= 0.5
        else:
            step[worse] = 0.0
        parameters = parameters + step
    return parameters


def expand(parameters: FloatArray, plane: Plane, mass: FloatArray, bound: float) -> FloatArray:
    """Take the mean and covariance of the expected posterior out of theta (PX-EM).

    theta = m + L z leaves every probability as it is with slopes L' a and intercept d + a'm; z
    has mean 0 and covariance I again.
    """
    share = mass / mass.sum()  # (Q,)
    mean = share @ plane.theta
    centred = plane.theta - mean
    root = np.linalg.cholesky((centred * share[:, None]).T @ centred)
    if np.linalg.norm(parameters[:, :2], axis=1).max() >= AT_BOUND * bound:
        root = np.eye(2)  # a slope at its bound cannot take part in a change of scale
    moved = parameters.copy()
    moved[:, 2] += parameters[:, :2] @ mean
    moved[:, :2] = parameters[:, :2] @ root
    return moved


def within(parameters: FloatArray, bound: float) -> FloatArray:
    """Shrink items whose slope, over both dimensions, is beyond the bound; intercepts too."""
    length = np.linalg.norm(parameters[:, :2], axis=1, keepdims=True)  # (I, 1)
    return parameters * np.minimum(1.0, bound / np.maximum(length, 1e-300))


def at_bound(parameters: FloatArray, bound: float) -> BoolArray:
    """Which items have reached the bound, shape (I,)."""
    return np.asarray(np.linalg.norm(parameters[:, :2], axis=1) >= AT_BOUND * bound)
