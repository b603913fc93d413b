r"""Three- and four-parameter logistic models: the 2PL between a lower and an upper asymptote.

.. math:: P(y = 1 \mid \theta) = c + (u - c) F(a \theta + d), \qquad F(z) = 1 / (1 + e^{-z})

Estimated in the logits of c and u; the difficulty is :math:`b = -d / a`, as for the 2PL. Written
as :math:`c (1 - F) + u F` both answers have a log-probability that never takes the log of a
difference.

References
----------
Birnbaum, A. (1968). Some latent trait models and their use in inferring an examinee's ability.
    In F. M. Lord & M. R. Novick, Statistical theories of mental test scores. Addison-Wesley.
Barton, M. A., & Lord, F. M. (1981). An upper asymptote for the three-parameter logistic item
    response model. Educational Testing Service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit

from irtkit.arrays import BoolArray, FloatArray
from irtkit.models.divide_by_total import TwoPL, marginal_logit, ratio
from irtkit.models.item_model import ItemModel

START_LOWER = 0.15
START_UPPER = 0.95
SIGNS = np.array([-1.0, 1.0])  # what makes the right answer likelier makes the wrong one rarer


@dataclass(frozen=True, slots=True)
class ThreePL(ItemModel):
    """Three-parameter logistic model: a lower asymptote beside slope and intercept."""

    name: ClassVar[str] = "3pl"

    def parameter_names(self, n_categories: int) -> tuple[str, ...]:
        """Slope, intercept, and the logit of the lower asymptote."""
        return ("slope", "intercept", "logit_lower")

    def loading(self, n_categories: int) -> FloatArray:
        """L moves the intercept by the slope."""
        n_parameters = len(self.parameter_names(2))
        matrix = np.zeros((n_parameters, n_parameters))
        matrix[1, 0] = 1.0
        return matrix

    def log_prob(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-probability of wrong and right: parameters (..., D), theta (...) -> (..., 2)."""
        z = parameters[..., 0] * theta + parameters[..., 1]
        log_high, log_low = log_expit(z), log_expit(-z)  # log F, log(1 - F)
        logit_lower = parameters[..., 2]
        wrong = log_low + log_expit(-logit_lower)
        right = log_expit(logit_lower) + log_low
        if parameters.shape[-1] == 3:
            right = np.logaddexp(right, log_high)
        else:
            wrong = np.logaddexp(wrong, log_high + log_expit(-parameters[..., 3]))
            right = np.logaddexp(right, log_high + log_expit(parameters[..., 3]))
        return np.stack([wrong, right], axis=-1)

    def _parts(
        self, parameters: FloatArray, theta: FloatArray
    ) -> tuple[FloatArray, list[FloatArray]]:
        """F (1 - F) / P, and for each asymptote c its c (1 - c) F' / P, (..., 2) each.

        F' is 1 - F for the lower asymptote and F for the upper. As differences of logarithms: far
        from an item P may be too small for a number.
        """
        z = parameters[..., 0] * theta + parameters[..., 1]
        log_high, log_low = log_expit(z)[..., None], log_expit(-z)[..., None]
        log_prob = self.log_prob(parameters, theta)
        both = np.exp(log_high + log_low - log_prob)
        own = [
            np.exp(log_expit(logit) + log_expit(-logit) + share - log_prob)
            for logit, share in zip(
                np.moveaxis(parameters[..., 2:], -1, 0)[..., None],
                (log_low, log_high),
                strict=False,
            )
        ]
        return both, own

    def gradient(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivative of `log_prob` by each parameter, shape (..., 2, D)."""
        both, own = self._parts(parameters, theta)  # (..., 2)
        lower, upper = (part[..., None] for part in self.asymptotes(parameters))
        by_z = (upper - lower) * both
        columns = [by_z * theta[..., None], by_z, *own]
        return np.stack(np.broadcast_arrays(*columns), axis=-1) * SIGNS[:, None]

    def theta_derivatives(
        self, parameters: FloatArray, theta: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`log_prob` and its first and second derivative by theta, each of shape (..., 2)."""
        z = parameters[..., 0] * theta + parameters[..., 1]
        both, _ = self._parts(parameters, theta)
        lower, upper = self.asymptotes(parameters)
        slope = parameters[..., 0]
        first = (slope * (upper - lower))[..., None] * both * SIGNS
        second = (slope * (expit(-z) - expit(z)))[..., None] * first
        return self.log_prob(parameters, theta), first, second - first**2

    def difficulties(self, parameters: FloatArray) -> FloatArray:
        """B = -d / a, shape (..., 1)."""
        return ratio(-parameters[..., 1:2], parameters[..., :1])

    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """Derivative of b by each parameter, shape (..., 1, D)."""
        wide = np.zeros((*parameters.shape[:-1], 1, parameters.shape[-1]))
        wide[..., :2] = TwoPL().difficulty_gradient(parameters[..., :2])
        return wide

    def asymptotes(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """C and u, each of shape (...)."""
        lower = expit(parameters[..., 2])
        return lower, np.where(np.isnan(lower), np.nan, 1.0)

    def start(self, slope: FloatArray, shares: FloatArray) -> FloatArray:
        """Slope and intercept of a 2PL item that is easier to miss than this one."""
        lower = np.minimum(START_LOWER, 0.5 * shares[:, 1])
        share = (shares[:, 1] - lower) / (1.0 - lower)
        logit = np.log(lower / (1.0 - lower))
        return np.stack([slope, marginal_logit(slope, share), logit], axis=1)


@dataclass(frozen=True, slots=True)
class FourPL(ThreePL):
    """Four-parameter logistic model: both asymptotes are free."""

    name: ClassVar[str] = "4pl"

    def parameter_names(self, n_categories: int) -> tuple[str, ...]:
        """Slope, intercept, and the logits of both asymptotes."""
        return ("slope", "intercept", "logit_lower", "logit_upper")

    def asymptotes(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """C and u, each of shape (...)."""
        return expit(parameters[..., 2]), expit(parameters[..., 3])

    def feasible(self, parameters: FloatArray) -> BoolArray:
        """The upper asymptote lies above the lower."""
        finite = np.isfinite(parameters).all(axis=-1)
        return finite & (parameters[..., 3] > parameters[..., 2])

    def start(self, slope: FloatArray, shares: FloatArray) -> FloatArray:
        """As for the 3PL, with some failing for other reasons than ability."""
        upper = np.maximum(START_UPPER, 0.5 + 0.5 * shares[:, 1])
        without = ThreePL().start(slope, np.stack([1 - shares[:, 1], shares[:, 1]], axis=1))
        return np.concatenate([without, np.log(upper / (1.0 - upper))[:, None]], axis=1)
