"""What the estimation engine asks of an item response function.

A family gives log-probabilities and their gradient with respect to the item parameters; E-step,
M-step, standard errors, scoring and simulation are written once, on top of these two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np

from irtkit.arrays import FloatArray


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
    parameter_names : tuple of str
        Columns of the parameter array, D names; the first is the slope.
    slope_rule : SlopeRule
        Whether slopes are free, equal or one.
    """

    name: ClassVar[str]
    parameter_names: ClassVar[tuple[str, ...]]
    slope_rule: ClassVar[SlopeRule]
    n_categories: ClassVar[int]

    @abstractmethod
    def log_prob(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-probability of each category: parameters (I, D), theta (Q,) -> (Q, I, K)."""

    @abstractmethod
    def gradient(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Derivative of `log_prob` by each parameter, shape (Q, I, K, D)."""

    def expected(
        self, parameters: FloatArray, theta: FloatArray, counts: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Expected log-likelihood of each item, its gradient and its expected information.

        This default serves every family; a family may have a faster form of the same sums.

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
        log_prob = self.log_prob(parameters, theta)  # (Q, I, K)
        slopes = self.gradient(parameters, theta)  # (Q, I, K, D)
        chance = counts.sum(axis=2, keepdims=True) * np.exp(log_prob)  # (Q, I, K)
        value = np.einsum("qik,qik->i", counts, log_prob)
        gradient = np.einsum("qik,qikd->id", counts, slopes)
        return value, gradient, np.einsum("qikd,qike->ide", slopes * chance[..., None], slopes)

    @abstractmethod
    def information(self, parameters: FloatArray, theta: FloatArray) -> FloatArray:
        """Fisher information of each item about theta, shape (Q, I)."""

    @abstractmethod
    def columns(self, parameters: FloatArray) -> dict[str, FloatArray]:
        """Parameters in the names of the calibration table, each of shape (I,)."""

    @abstractmethod
    def difficulty_gradient(self, parameters: FloatArray) -> FloatArray:
        """Derivative of the difficulty by each parameter, for the delta method, shape (I, D)."""
