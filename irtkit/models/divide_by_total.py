r"""Divide-by-total models: Rasch to 2PL, partial credit, generalized partial credit, nominal.

.. math:: P(y = k \mid \theta) = \frac{\exp(s_k \theta + t_k)}{\sum_l \exp(s_l \theta + t_l)}

with :math:`s_0 = t_0 = 0` and (s, t) linear in the parameters; there is no 1.702. A right-or-wrong
item has :math:`s_1 = a, t_1 = d` and difficulty :math:`b = -d / a`; (generalized) partial credit
has :math:`s_k = k a` and :math:`t_k = d_k`, so that categories k - 1 and k are equally likely at
the step difficulty :math:`-(d_k - d_{k-1}) / a`; the nominal model leaves all of them free.

The answers enter the likelihood only through the sums of s and t, so one person's posterior needs
no table over items, and the M-step no table over persons: see `estimation/em.py`.

References
----------
Thissen, D., & Steinberg, L. (1986). A taxonomy of item response models. Psychometrika, 51(4),
    567-577.
Birnbaum, A. (1968). Some latent trait models and their use in inferring an examinee's ability.
    In F. M. Lord & M. R. Novick, Statistical theories of mental test scores. Addison-Wesley.
Rasch, G. (1960). Probabilistic models for some intelligence and attainment tests. Copenhagen.
Masters, G. N. (1982). A Rasch model for partial credit scoring. Psychometrika, 47(2), 149-174.
Muraki, E. (1992). A generalized partial credit model: Application of an EM algorithm. Applied
    Psychological Measurement, 16(2), 159-176.
Bock, R. D. (1972). Estimating item parameters and latent ability when responses are scored in
    two or more nominal categories. Psychometrika, 37(1), 29-51.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit

from irtkit.arrays import FloatArray, logsumexp
from irtkit.models.item_model import ItemModel, SlopeRule

LOGISTIC_VARIANCE = 3.29


@dataclass(frozen=True, slots=True)
class DivideByTotal(ItemModel):
    """Any model whose log-odds between categories are linear in theta and in the parameters."""

    @abstractmethod
    def score_map(self, n_categories: int) -> FloatArray:
        """The matrix (K - 1, D) that takes the parameters to s_1 .. s_{K-1}."""

    def intercept_map(self, n_categories: int) -> FloatArray:
        """The matrix (K - 1, D) that takes the parameters to t_1 .. t_{K-1}: the last ones."""
        n_parameters = len(self.parameter_names(n_categories))
        return np.eye(n_parameters)[n_parameters - n_categories + 1 :]

    def loading(self, n_categories: int) -> FloatArray:
        """L moves each intercept by its category's score."""
        return self.intercept_map(n_categories).T @ self.score_map(n_categories)

    def scores(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """S and t of the categories above the first, (..., D) -> (..., K - 1) twice."""
        n_categories = self.n_categories(parameters.shape[-1])
        return (
            parameters @ self.score_map(n_categories).T,
            parameters @ self.intercept_map(n_categories).T,
        )

    def log_prob(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-probability of each category: parameters (..., D), theta (...) -> (..., K)."""
        s, t = self.scores(parameters)
        z = s * theta[..., None] + t  # (..., K - 1)
        if z.shape[-1] == 1:
            both = np.empty((2, *z.shape[:-1]))  # each category in one piece of memory
            log_expit(-z[..., 0], out=both[0])
            log_expit(z[..., 0], out=both[1])
            return np.moveaxis(both, 0, -1)
        z = np.concatenate([np.zeros((*z.shape[:-1], 1)), z], axis=-1)  # (..., K)
        return z - logsumexp(z)[..., None]

    def log_total(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log of the denominator, minus the log-probability of the first category.

        Parameters (..., D), theta (...) -> (...), to 1e-16 absolutely rather than relatively.
        """
        s, t = self.scores(parameters)
        if s.shape[-1] > 1:
            return -self.log_prob(parameters, theta)[..., 0]
        z = s[..., 0] * theta
        z += t[..., 0]
        tail = np.exp(-np.abs(z))
        tail += 1.0
        return np.log(tail, out=tail) + np.maximum(z, 0.0, out=z)

    def gradient(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivative of `log_prob` by each parameter, shape (..., K, D)."""
        chance = np.exp(self.log_prob(parameters, theta))  # (..., K)
        n_categories = chance.shape[-1]
        residual = np.eye(n_categories) - chance[..., None, :]  # (..., K, K)
        by_t = residual[..., 1:]  # (..., K, K - 1)
        by_s = by_t * theta[..., None, None]
        return by_s @ self.score_map(n_categories) + by_t @ self.intercept_map(n_categories)

    def theta_derivatives(
        self, parameters: FloatArray, theta: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`log_prob`, s_k minus its mean, and minus the variance of s, each (..., K)."""
        s, _ = self.scores(parameters)
        s = np.concatenate([np.zeros((*s.shape[:-1], 1)), s], axis=-1)  # (..., K)
        log_prob = self.log_prob(parameters, theta)
        chance = np.exp(log_prob)
        first = s - (chance * s).sum(axis=-1, keepdims=True)
        second = -(chance * first**2).sum(axis=-1, keepdims=True)
        return log_prob, first, np.broadcast_to(second, first.shape)

    def expected(
        self, parameters: FloatArray, theta: FloatArray, counts: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Expected log-likelihood, gradient and information, from counts (Q, I, K)."""
        chosen = counts[:, :, 1:]
        return self.expected_from_sums(
            parameters,
            theta,
            np.einsum("q,qik->ik", theta, chosen),
            chosen.sum(axis=0),
            counts.sum(axis=2),
        )

    def expected_from_sums(
        self,
        parameters: FloatArray,
        theta: FloatArray,
        first: FloatArray,
        total: FloatArray,
        answered: FloatArray,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Expected log-likelihood of each item, its gradient and information, from sums.

        Parameters
        ----------
        parameters : array, shape (I, D)
        theta : array, shape (Q,)
        first : array, shape (I, K - 1)
            Sum of expected theta over the persons who chose category k.
        total : array, shape (I, K - 1)
            Number of these persons.
        answered : array, shape (Q, I) or (Q, 1)
            Expected number of persons at each node who answered.

        Returns
        -------
        value : array, shape (I,)
        gradient : array, shape (I, D)
        information : array, shape (I, D, D)
        """
        n_categories = self.n_categories(parameters.shape[-1])
        s, t = self.scores(parameters)  # (I, K - 1)
        linear = (s * first + t * total).sum(axis=1)  # (I,)
        powers = np.stack([np.ones_like(theta), theta, theta**2])  # (3, Q)
        if n_categories == 2:
            log_total, sums, moments = _two_categories(s[:, 0], t[:, 0], powers, answered)
        else:
            log_total, sums, moments = _more_categories(s, t, powers, answered)
        by_score, by_intercept = self.score_map(n_categories), self.intercept_map(n_categories)
        gradient = (first - sums[1]) @ by_score + (total - sums[0]) @ by_intercept  # (I, D)
        cross = by_intercept.T @ moments[1] @ by_score  # (I, D, D)
        information = (
            by_score.T @ moments[2] @ by_score
            + cross
            + np.swapaxes(cross, 1, 2)
            + by_intercept.T @ moments[0] @ by_intercept
        )
        return linear - log_total, gradient, information


def _two_categories(
    slope: FloatArray, intercept: FloatArray, powers: FloatArray, answered: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums over the nodes for right-or-wrong items, as `_more_categories` for K = 2."""
    z = np.multiply.outer(powers[1], slope)  # (Q, I)
    z += intercept
    tail = np.exp(-np.abs(z))  # of the less likely answer, never rounded to nothing
    whole = 1.0 + tail
    log_total = np.log(whole)
    log_total += np.maximum(z, 0.0)
    value = _node_sum(answered, log_total)  # (I,)
    large = np.divide(1.0, whole, out=whole)
    right = np.where(z > 0, large, tail * large)  # (Q, I)
    tail *= large
    tail *= large  # P (1 - P)
    if answered.shape[1] == 1:
        weighted = powers * answered[:, 0]  # (3, Q)
        sums, moments = weighted[:2] @ right, weighted @ tail
    else:
        sums, moments = powers[:2] @ (right * answered), powers @ (tail * answered)
    return value, sums[:, :, None], moments[:, :, None, None]


def _more_categories(
    s: FloatArray, t: FloatArray, powers: FloatArray, answered: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums over the nodes of log-total (I,), P (2, I, K - 1) and its covariance (3, I, K-1, K-1).

    The leading axes are the powers of theta that weight the sums.
    """
    z = powers[1][:, None, None] * s + t  # (Q, I, K - 1)
    largest = np.maximum(z.max(axis=2), 0.0)  # (Q, I)
    chance = np.exp(z - largest[:, :, None])  # (Q, I, K - 1)
    total = np.exp(-largest) + chance.sum(axis=2)  # (Q, I)
    value = _node_sum(answered, largest + np.log(total))
    chance /= total[:, :, None]
    weighted = chance * answered[:, :, None]
    sums = np.einsum("mq,qik->mik", powers[:2], weighted)
    n_items, n_other = s.shape
    moments = np.empty((3, n_items, n_other, n_other))
    for m, power in enumerate(powers):
        heavy = weighted * power[:, None, None]
        moments[m] = -np.einsum("qik,qil->ikl", heavy, chance, optimize=True)
        moments[m][:, range(n_other), range(n_other)] += heavy.sum(axis=0)
    return value, sums, moments


def _node_sum(answered: FloatArray, values: FloatArray) -> FloatArray:
    """Sum over the nodes of values (Q, I) times answered (Q, I) or (Q, 1)."""
    if answered.shape[1] == 1:
        return np.asarray(answered[:, 0] @ values)
    return np.einsum("qi,qi->i", answered, values)


@dataclass(frozen=True, slots=True)
class TwoPL(DivideByTotal):
    """Two-parameter logistic model: each item has a slope and an intercept."""

    name: ClassVar[str] = "2pl"

    def parameter_names(self, n_categories: int) -> tuple[str, ...]:
        """Slope and intercept."""
        return ("slope", "intercept")

    def score_map(self, n_categories: int) -> FloatArray:
        """s_1 is the slope."""
        return np.array([[1.0, 0.0]])

    def gradient(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivative of `log_prob` by slope and intercept, shape (..., 2, 2)."""
        right = expit(parameters[..., 0] * theta + parameters[..., 1])
        by_intercept = np.stack([-right, 1.0 - right], axis=-1)  # (..., 2)
        return np.stack([by_intercept * theta[..., None], by_intercept], axis=-1)

    def information(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Fisher information about theta, a^2 P (1 - P), shape (...)."""
        tail = np.exp(-np.abs(parameters[..., 0] * theta + parameters[..., 1]))
        return np.asarray(parameters[..., 0] ** 2 * tail / (1.0 + tail) ** 2)

    def expected_score(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Chance of success, shape (...)."""
        with np.errstate(over="ignore"):
            return np.asarray(
                1.0 / (1.0 + np.exp(-(parameters[..., 0] * theta + parameters[..., 1])))
            )

    def difficulties(self, parameters: FloatArray) -> FloatArray:
        """B = -d / a, shape (..., 1)."""
        return ratio(-parameters[..., 1:2], parameters[..., :1])

    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """Derivative of b by a and d, shape (..., 1, 2)."""
        slope, intercept = parameters[..., 0], parameters[..., 1]
        return np.stack([ratio(intercept, slope**2), ratio(-1.0, slope)], axis=-1)[..., None, :]

    def start(self, slope: FloatArray, shares: FloatArray) -> FloatArray:
        """The intercept that gives an item its share of right answers."""
        return np.stack([slope, marginal_logit(slope, shares[:, 1])], axis=1)


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


@dataclass(frozen=True, slots=True)
class GeneralizedPartialCredit(DivideByTotal):
    """Generalized partial credit model: a slope, and an intercept for each step."""

    name: ClassVar[str] = "gpcm"
    ordinal: ClassVar[bool] = True

    def parameter_names(self, n_categories: int) -> tuple[str, ...]:
        """Slope, intercept_1 .. intercept_{K-1}; a lone intercept has no number."""
        return ("slope", *numbered("intercept", n_categories - 1))

    def n_categories(self, n_parameters: int) -> int:
        """As many categories as parameters."""
        return n_parameters

    def score_map(self, n_categories: int) -> FloatArray:
        """s_k is k times the slope."""
        matrix = np.zeros((n_categories - 1, n_categories))
        matrix[:, 0] = np.arange(1, n_categories)
        return matrix

    def difficulties(self, parameters: FloatArray) -> FloatArray:
        """Step difficulties -(d_k - d_{k-1}) / a, shape (..., K - 1)."""
        steps = np.diff(parameters[..., 1:], axis=-1, prepend=0.0)
        return ratio(-steps, parameters[..., :1])

    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """Derivative of the step difficulties, shape (..., K - 1, K)."""
        slope = parameters[..., :1]
        steps = np.diff(parameters[..., 1:], axis=-1, prepend=0.0)
        n = steps.shape[-1]
        by_intercept = ratio(np.eye(n, k=-1) - np.eye(n), slope[..., None])  # (..., n, n)
        return np.concatenate([ratio(steps, slope**2)[..., None], by_intercept], axis=-1)

    def start(self, slope: FloatArray, shares: FloatArray) -> FloatArray:
        """Log-odds of each category against the first, and a slope for one step."""
        odds = np.log(shares[:, 1:] / shares[:, :1])  # (I, K - 1)
        return np.concatenate([2.0 * slope[:, None] / shares.shape[1], odds], axis=1)


@dataclass(frozen=True, slots=True)
class PartialCredit(GeneralizedPartialCredit):
    """Partial credit model: slope 1 for all items, the variance of theta is estimated."""

    name: ClassVar[str] = "pcm"
    slope_rule: ClassVar[SlopeRule] = SlopeRule.UNIT


@dataclass(frozen=True, slots=True)
class Nominal(DivideByTotal):
    """Nominal response model: each category above the first has its own slope and intercept."""

    name: ClassVar[str] = "nominal"
    ordinal: ClassVar[bool] = True

    def parameter_names(self, n_categories: int) -> tuple[str, ...]:
        """slope_1 .. slope_{K-1}, intercept_1 .. intercept_{K-1}."""
        return (*numbered("slope", n_categories - 1), *numbered("intercept", n_categories - 1))

    def n_categories(self, n_parameters: int) -> int:
        """Two parameters for each category above the first."""
        return n_parameters // 2 + 1

    def score_map(self, n_categories: int) -> FloatArray:
        """s_k is the k-th parameter."""
        return np.eye(n_categories - 1, 2 * (n_categories - 1))

    def difficulties(self, parameters: FloatArray) -> FloatArray:
        """None: the categories have no order."""
        return np.empty((*parameters.shape[:-1], 0))

    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """None: the categories have no order."""
        return np.empty((*parameters.shape[:-1], 0, parameters.shape[-1]))

    def start(self, slope: FloatArray, shares: FloatArray) -> FloatArray:
        """As for partial credit, with equal steps of the slope."""
        odds = np.log(shares[:, 1:] / shares[:, :1])  # (I, K - 1)
        step = 2.0 * slope[:, None] / shares.shape[1]
        return np.concatenate([step * np.arange(1, shares.shape[1]), odds], axis=1)


def numbered(name: str, n: int) -> tuple[str, ...]:
    """name_1 .. name_n, or the bare name if there is one."""
    return (name,) if n == 1 else tuple(f"{name}_{number}" for number in range(1, n + 1))


def ratio(above: FloatArray | float, below: FloatArray) -> FloatArray:
    """Return above / below, NaN where `below` is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, above / below)


def marginal_logit(slope: FloatArray, share: FloatArray) -> FloatArray:
    """Intercept at which a logistic item of this slope is passed by a share of N(0, 1)."""
    return np.log(share / (1.0 - share)) * np.sqrt(1.0 + slope**2 / LOGISTIC_VARIANCE)
