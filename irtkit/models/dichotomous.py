r"""Models for right-or-wrong answers: Rasch, one- and two-parameter logistic.

.. math:: P(y = 1 \mid \theta) = \frac{1}{1 + \exp(-(a \theta + d))}, \qquad b = -d / a

with slope (discrimination) a, intercept d and difficulty b; there is no 1.702. The three models
share this formula and differ only in what is free (`SlopeRule`).

References
----------
Birnbaum, A. (1968). Some latent trait models and their use in inferring an examinee's ability.
    In F. M. Lord & M. R. Novick, Statistical theories of mental test scores. Addison-Wesley.
Rasch, G. (1960). Probabilistic models for some intelligence and attainment tests. Copenhagen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit

from irtkit.arrays import FloatArray
from irtkit.models.item_model import ItemModel, SlopeRule


def logit(parameters: FloatArray, theta: FloatArray) -> FloatArray:
    """Return a theta + d, shape (Q, I), for parameters (I, 2) and theta (Q,)."""
    return np.multiply.outer(theta, parameters[:, 0]) + parameters[:, 1]  # (Q, I)


@dataclass(frozen=True, slots=True)
class TwoPL(ItemModel):
    """Two-parameter logistic model: each item has a slope and an intercept."""

    name: ClassVar[str] = "2pl"
    parameter_names: ClassVar[tuple[str, ...]] = ("slope", "intercept")
    slope_rule: ClassVar[SlopeRule] = SlopeRule.FREE
    n_categories: ClassVar[int] = 2

    def log_prob(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-probability of wrong and right: parameters (I, 2), theta (Q,) -> (Q, I, 2)."""
        z = logit(parameters, theta)
        both = np.empty((2, *z.shape))  # each category in one piece of memory
        log_expit(-z, out=both[0])
        log_expit(z, out=both[1])
        return np.moveaxis(both, 0, -1)  # (Q, I, 2)

    def gradient(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivative of `log_prob` by slope and intercept, shape (Q, I, 2, 2)."""
        right = expit(logit(parameters, theta))  # (Q, I)
        by_intercept = np.stack([-right, 1.0 - right], axis=-1)  # (Q, I, 2)
        by_slope = by_intercept * theta[:, None, None]  # (Q, I, 2)
        return np.stack([by_slope, by_intercept], axis=-1)  # (Q, I, 2, 2)

    def expected(
        self, parameters: FloatArray, theta: FloatArray, counts: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Expected log-likelihood, gradient and information as sums over the nodes.

        With residuals r = counts of right - n P and weights w = n P (1 - P) the gradient is the
        sum of r (theta, 1) and the information that of w (theta, 1)(theta, 1)'.
        """
        z = logit(parameters, theta)  # (Q, I)
        wrong, right = counts[:, :, 0], counts[:, :, 1]
        n = wrong + right  # (Q, I)
        tail = np.exp(-np.abs(z))  # of the less likely answer, never rounded to nothing
        large = 1.0 / (1.0 + tail)
        log_right = np.minimum(z, 0.0) - np.log1p(tail)
        value = np.einsum("qi,qi->i", n, log_right) - np.einsum("qi,qi->i", wrong, z)
        powers = np.stack([theta**2, theta, np.ones_like(theta)])  # (3, Q)
        residual = right - n * np.where(z > 0, large, tail * large)  # (Q, I)
        gradient = powers[1:] @ residual  # (2, I)
        squares = powers @ (n * tail * large**2)  # (3, I)
        return value, gradient.T, squares[[0, 1, 1, 2]].T.reshape(-1, 2, 2)

    def information(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Fisher information about theta, a^2 P (1 - P), shape (Q, I)."""
        right = expit(logit(parameters, theta))  # (Q, I)
        return parameters[:, 0] ** 2 * right * (1.0 - right)  # (Q, I)

    def columns(self, parameters: FloatArray) -> dict[str, FloatArray]:
        """Name discrimination, difficulty, intercept and the fixed asymptotes."""
        slope, intercept = parameters.T
        with np.errstate(divide="ignore", invalid="ignore"):
            difficulty = np.where(slope == 0, np.nan, -intercept / slope)
        return {
            "discrimination": slope,
            "difficulty": difficulty,
            "intercept": intercept,
            "lower": np.where(np.isnan(slope), np.nan, 0.0),
            "upper": np.where(np.isnan(slope), np.nan, 1.0),
        }

    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """Derivative of b = -d/a by a and d, shape (I, 2)."""
        slope, intercept = parameters.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([intercept / slope**2, -1.0 / slope], axis=1)  # (I, 2)


@dataclass(frozen=True, slots=True)
class OnePL(TwoPL):
    """One-parameter logistic model: one slope for all items, theta with variance 1."""

    name: ClassVar[str] = "1pl"
    slope_rule: ClassVar[SlopeRule] = SlopeRule.EQUAL


@dataclass(frozen=True, slots=True)
class Rasch(TwoPL):
    """Rasch model: slope 1 for all items, the variance of theta is estimated."""

    name: ClassVar[str] = "rasch"
    slope_rule: ClassVar[SlopeRule] = SlopeRule.UNIT
