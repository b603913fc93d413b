"""The ability distribution while it is being estimated: one vector beside the item parameters.

`Population` turns the vector into log-weights of the nodes and improves it from the persons
expected at each node. One group, or several of which the first fixes the scale:

- "normal": the first group is N(0, 1), the others have free means and SDs;
- "free": every group's mean and SD is free, for items that are held fixed on a known scale;
- "histogram": the share at each node is free; standardised at the end, not by interpolation.

References
----------
Bock, R. D., & Zimowski, M. F. (1997). Multiple group IRT. In W. J. van der Linden & R. K.
    Hambleton (Eds.), Handbook of modern item response theory (pp. 433-448). Springer.
Mislevy, R. J. (1984). Estimating latent distributions. Psychometrika, 49(3), 359-381.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.latent import FEWEST_NODES, HALF_WIDTH, SPACING_PER_SD, Histogram, Latent, Normal

KINDS = ("normal", "free", "histogram")
EMPTY = 1e-300


@dataclass(frozen=True, slots=True)
class Population:
    """What is free about the ability distribution.

    Parameters
    ----------
    kind : str
        "normal", "free" or "histogram".
    n_groups : int
    free_means : bool
        Whether the means of the groups after the first are free; else they are 0.
    """

    kind: str
    n_groups: int = 1
    free_means: bool = True

    @property
    def first_free(self) -> int:
        """The first group whose mean and SD are free."""
        return 0 if self.kind == "free" else 1

    def free(self) -> list[tuple[int, str]]:
        """Group and name of each free mean and log-SD."""
        if self.kind == "histogram":
            return []
        names = ("mean", "log_sd") if self.free_means else ("log_sd",)
        return [(g, name) for g in range(self.first_free, self.n_groups) for name in names]

    def start(self, theta: FloatArray) -> FloatArray:
        """The standard normal distribution in every group."""
        if self.kind == "histogram":
            return np.tile(np.exp(Normal().log_weights(theta)), self.n_groups)
        return np.zeros(2 * (self.n_groups - self.first_free))

    def moments(self, vector: FloatArray) -> list[tuple[float, float]]:
        """Mean and SD of each group, as far as the grid must span them."""
        if self.kind == "histogram":
            return [(0.0, 1.0)] * self.n_groups
        free = [
            (float(mean) if self.free_means else 0.0, math.exp(log_sd))
            for mean, log_sd in vector.reshape(-1, 2)
        ]
        return [(0.0, 1.0)] * self.first_free + free

    def grid(self, vector: FloatArray, largest_information: float) -> FloatArray:
        """Equally spaced nodes that span all groups, close enough for the test's length."""
        moments = self.moments(vector)
        low = min(mean - HALF_WIDTH * sd for mean, sd in moments)
        high = max(mean + HALF_WIDTH * sd for mean, sd in moments)
        spacing = min(
            min(
                2 * HALF_WIDTH * sd / (FEWEST_NODES - 1),
                SPACING_PER_SD / math.sqrt(sd**-2 + largest_information),
            )
            for _, sd in moments
        )
        half = math.ceil((high - low) / spacing / 2 - 1e-9)
        return np.linspace(low, high, 2 * half + 1)

    def log_weights(self, vector: FloatArray, theta: FloatArray) -> FloatArray:
        """Log-weights of the nodes in each group, shape (G, Q)."""
        if self.kind == "histogram":
            weights = np.maximum(vector.reshape(self.n_groups, -1), EMPTY)
            return np.log(weights / weights.sum(axis=1, keepdims=True))
        return np.stack([Normal(mean, sd).log_weights(theta) for mean, sd in self.moments(vector)])

    def improved(self, vector: FloatArray, theta: FloatArray, mass: FloatArray) -> FloatArray:
        """Maximise the expected log-density of theta, given the mass (G, Q) at the nodes."""
        if self.kind == "histogram":
            return (mass / mass.sum(axis=1, keepdims=True)).ravel()
        return np.array(
            [
                number
                for group in range(self.first_free, self.n_groups)
                for mean, sd in [self._fitted(theta, mass[group])]
                for number in (mean, math.log(sd))
            ]
        )

    def _fitted(self, theta: FloatArray, mass: FloatArray) -> tuple[float, float]:
        """Mean and SD that fit a group's mass."""
        mean, sd = moments(theta, mass)
        return (mean, sd) if self.free_means else (0.0, math.hypot(mean, sd))

    def rescaled(self, vector: FloatArray, mean: float, sd: float) -> FloatArray:
        """The same distributions of z where theta = mean + sd z; normal groups only."""
        moved = vector.reshape(-1, 2).copy()
        moved[:, 0] = (moved[:, 0] - mean) / sd
        moved[:, 1] -= math.log(sd)
        return moved.ravel()

    def regridded(self, vector: FloatArray, old: FloatArray, new: FloatArray) -> FloatArray:
        """Carry a histogram over to other nodes; the other kinds need no change."""
        if self.kind != "histogram":
            return vector
        parts = [np.interp(new, old, part) for part in vector.reshape(self.n_groups, -1)]
        return np.concatenate([part / part.sum() for part in parts])

    def latents(self, vector: FloatArray, theta: FloatArray) -> list[Latent]:
        """The distributions themselves."""
        if self.kind == "histogram":
            return [Histogram(theta, np.exp(part)) for part in self.log_weights(vector, theta)]
        return [Normal(mean, sd) for mean, sd in self.moments(vector)]


def moments(theta: FloatArray, mass: FloatArray) -> tuple[float, float]:
    """Mean and SD of a distribution that puts `mass` on the nodes `theta`."""
    share = mass / mass.sum()  # (Q,)
    mean = float(share @ theta)
    return mean, float(np.sqrt(share @ (theta - mean) ** 2))
