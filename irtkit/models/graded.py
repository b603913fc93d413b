r"""Graded response model: ordered categories, one slope, a threshold between neighbours.

.. math:: P(y \ge k \mid \theta) = F(a \theta + d_k), \qquad d_1 > d_2 > \dots > d_{K-1},
          \qquad b_k = -d_k / a

The probability of a category is a difference of two logistic functions; in log space it is the
product :math:`F(z_k) (1 - F(z_{k+1})) (1 - e^{-(d_k - d_{k+1})})`, which never cancels.

References
----------
Samejima, F. (1969). Estimation of latent ability using a response pattern of graded scores.
    Psychometrika Monograph Supplement, 17.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit

from irtkit.arrays import BoolArray, FloatArray
from irtkit.models.divide_by_total import marginal_logit, numbered, ratio
from irtkit.models.item_model import ItemModel

SMALLEST_SHARE_BETWEEN = 1e-4


@dataclass(frozen=True, slots=True)
class Graded(ItemModel):
    """Graded response model: a slope, and an intercept for each threshold."""

    name: ClassVar[str] = "graded"
    ordinal: ClassVar[bool] = True

    def parameter_names(self, n_categories: int) -> tuple[str, ...]:
        """Slope, intercept_1 .. intercept_{K-1}; a lone intercept has no number."""
        return ("slope", *numbered("intercept", n_categories - 1))

    def n_categories(self, n_parameters: int) -> int:
        """As many categories as parameters."""
        return n_parameters

    def loading(self, n_categories: int) -> FloatArray:
        """L moves every intercept by the slope."""
        matrix = np.zeros((n_categories, n_categories))
        matrix[1:, 0] = 1.0
        return matrix

    def log_prob(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-probability of each category: parameters (..., D), theta (...) -> (..., K)."""
        z = _logits(parameters, theta)  # (..., K - 1)
        log_prob = np.zeros((*z.shape[:-1], parameters.shape[-1]))  # (..., K)
        log_prob[..., 1:] += log_expit(z)
        log_prob[..., :-1] += log_expit(-z)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_prob[..., 1:-1] += np.log(-np.expm1(np.diff(parameters[..., 1:], axis=-1)))
        return log_prob

    def gradient(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivative of `log_prob` by each parameter, shape (..., K, K)."""
        z = _logits(parameters, theta)
        n = z.shape[-1]
        with np.errstate(divide="ignore", over="ignore"):
            gap = 1.0 / np.expm1(-np.diff(parameters[..., 1:], axis=-1))  # (..., K - 2)
        gradient = np.zeros((*z.shape[:-1], n + 1, n + 1))
        above, below = np.arange(1, n + 1), np.arange(n)
        gradient[..., above, above] = expit(-z)  # category k by d_k
        gradient[..., below, above] = -expit(z)  # category k by d_{k+1}
        inner = above[:-1]
        gradient[..., inner, inner] += gap
        gradient[..., inner, inner + 1] -= gap
        gradient[..., 0] = theta[..., None] * gradient[..., 1:].sum(axis=-1)
        return gradient

    def theta_derivatives(
        self, parameters: FloatArray, theta: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`log_prob` and its first and second derivative by theta, each of shape (..., K)."""
        z = _logits(parameters, theta)
        slope = parameters[..., :1]
        first = np.zeros((*z.shape[:-1], z.shape[-1] + 1))
        first[..., 1:] += expit(-z)
        first[..., :-1] -= expit(z)
        second = np.zeros_like(first)
        spread = expit(z) * expit(-z)
        second[..., 1:] -= spread
        second[..., :-1] -= spread
        return self.log_prob(parameters, theta), slope * first, slope**2 * second

    def difficulties(self, parameters: FloatArray) -> FloatArray:
        """Thresholds b_k = -d_k / a, shape (..., K - 1)."""
        return ratio(-parameters[..., 1:], parameters[..., :1])

    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """Derivative of the thresholds, shape (..., K - 1, K)."""
        slope, intercepts = parameters[..., :1], parameters[..., 1:]
        n = intercepts.shape[-1]
        by_intercept = ratio(-np.eye(n), slope[..., None])  # (..., n, n)
        return np.concatenate([ratio(intercepts, slope**2)[..., None], by_intercept], axis=-1)

    def feasible(self, parameters: FloatArray) -> BoolArray:
        """The intercepts fall."""
        falling = (np.diff(parameters[..., 1:], axis=-1) < 0).all(axis=-1)
        return np.asarray(np.isfinite(parameters).all(axis=-1) & falling)

    def start(self, slope: FloatArray, shares: FloatArray) -> FloatArray:
        """The intercepts that give each category its share."""
        kept = np.maximum(shares, SMALLEST_SHARE_BETWEEN)
        above = np.cumsum(kept[:, ::-1], axis=1)[:, ::-1] / kept.sum(axis=1, keepdims=True)
        intercepts = marginal_logit(slope[:, None], above[:, 1:])  # (I, K - 1)
        return np.concatenate([slope[:, None], intercepts], axis=1)


def _logits(parameters: FloatArray, theta: FloatArray) -> FloatArray:
    """Return a theta + d_k, shape (..., K - 1)."""
    return parameters[..., :1] * theta[..., None] + parameters[..., 1:]
