r"""What the estimation engine asks of an item response function.

A family gives log-probabilities, their gradient by the item parameters and their derivatives by
theta; E-step, M-step, standard errors, scoring and simulation are written once, on top of these.

Every family here sees theta through slope times theta plus intercepts, so that moving theta by m
is the same as moving the intercepts: with the constant matrix :math:`L` of `ItemModel.loading`,

.. math:: \log P(\theta + m; \xi) = \log P(\theta; \xi + m L \xi), \qquad
          \partial \log P / \partial \xi_{slope} = \theta \, L^T \partial \log P / \partial \xi

Derivatives by theta, changes of scale (`rescaled`) and the factors of the standard errors follow.

Functions broadcast: parameters of shape (..., D) and theta of shape (...) give (..., K). For all
items at all nodes pass theta[:, None].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np

from irtkit.arrays import BoolArray, FloatArray


class SlopeRule(Enum):
    """How the slopes of the items hang together, and what identifies theta's scale."""

    FREE = "free"  # one slope an item; theta has mean 0 and standard deviation 1
    EQUAL = "equal"  # one slope for all items; theta has standard deviation 1
    UNIT = "unit"  # slope 1; theta's standard deviation is estimated


@dataclass(frozen=True, slots=True)
class ItemModel(ABC):
    """A family of item response functions, without data.

    Class attributes
    ----------------
    name : str
        The word in files and on the command line.
    slope_rule : SlopeRule
        Whether slopes are free, equal or one.
    ordinal : bool
        Whether items may have more than two categories.
    """

    name: ClassVar[str]
    slope_rule: ClassVar[SlopeRule] = SlopeRule.FREE
    ordinal: ClassVar[bool] = False

    @abstractmethod
    def parameter_names(self, n_categories: int) -> tuple[str, ...]:
        """Name the D parameters of an item with so many categories; slopes come first."""

    @abstractmethod
    def loading(self, n_categories: int) -> FloatArray:
        """The matrix L (D, D): moving theta by m moves the parameters by m L parameters."""

    @abstractmethod
    def log_prob(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-probability of each category: parameters (..., D), theta (...) -> (..., K)."""

    @abstractmethod
    def gradient(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivative of `log_prob` by each parameter, shape (..., K, D)."""

    @abstractmethod
    def theta_derivatives(
        self, parameters: FloatArray, theta: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`log_prob` and its first and second derivative by theta, each of shape (..., K)."""

    @abstractmethod
    def difficulties(self, parameters: FloatArray) -> FloatArray:
        """Where theta meets the item: difficulty or thresholds, (..., D) -> (..., n)."""

    @abstractmethod
    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """Derivative of `difficulties` by each parameter, shape (..., n, D)."""

    @abstractmethod
    def start(self, slope: FloatArray, shares: FloatArray) -> FloatArray:
        """Start values from a rough slope (I,) and the shares of the categories (I, K)."""

    def n_categories(self, n_parameters: int) -> int:
        """Count the categories of an item with so many parameters."""
        return 2

    def asymptotes(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower and upper asymptote of the chance of a right answer, (..., D) -> (...) twice."""
        known = np.isnan(parameters[..., 0])
        return np.where(known, np.nan, 0.0), np.where(known, np.nan, 1.0)

    def feasible(self, parameters: FloatArray) -> BoolArray:
        """Whether parameters (..., D) give probabilities at all, shape (...)."""
        return np.asarray(np.isfinite(parameters).all(axis=-1))

    def expected(
        self, parameters: FloatArray, theta: FloatArray, counts: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Expected log-likelihood of each item, its gradient and its expected information.

        Parameters
        ----------
        parameters : array, shape (I, D)
        theta : array, shape (Q,)
        counts : array, shape (Q, I, K)
            Expected number of persons at each node who chose each category.

        Returns
        -------
        value : array, shape (I,)
        gradient : array, shape (I, D)
        information : array, shape (I, D, D)
        """
        log_prob = self.log_prob(parameters, theta[:, None])  # (Q, I, K)
        slopes = self.gradient(parameters, theta[:, None])  # (Q, I, K, D)
        chance = counts.sum(axis=2, keepdims=True) * np.exp(log_prob)  # (Q, I, K)
        value = np.einsum("qik,qik->i", counts, log_prob)
        gradient = np.einsum("qik,qikd->id", counts, slopes)
        return value, gradient, np.einsum("qikd,qike->ide", slopes * chance[..., None], slopes)

    def information(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Fisher information about theta, shape (...)."""
        log_prob, first, _ = self.theta_derivatives(parameters, theta)
        return (np.exp(log_prob) * first**2).sum(axis=-1)

    def expected_score(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Expected code of the answer, shape (...); for 0/1 items the chance of success."""
        chance = np.exp(self.log_prob(parameters, theta))
        return np.asarray(chance @ np.arange(chance.shape[-1], dtype=np.float64))

    def rescaled(self, parameters: FloatArray, mean: float, sd: float) -> FloatArray:
        """Parameters for z where theta = mean + sd z: the same probabilities on another scale."""
        loading = self.loading(self.n_categories(parameters.shape[-1]))  # (D, D)
        moved = parameters + mean * parameters @ loading.T
        moved[..., self.slopes(parameters.shape[-1])] *= sd
        return moved

    def slopes(self, n_parameters: int) -> BoolArray:
        """Which parameters are slopes, shape (D,)."""
        return np.asarray(self.loading(self.n_categories(n_parameters)).any(axis=0))
