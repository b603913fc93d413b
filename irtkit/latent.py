"""The distribution of ability in the population, on quadrature nodes.

`Normal` is the default, N(0, 1) on 61 equally spaced nodes over [-6, 6]. Nodes closer together
are needed for long tests, whose posterior is narrower than the spacing: at most 1.25 posterior
SDs apart, because the error falls as exp(-2 pi^2 (posterior SD / spacing)^2). The rule is applied
in `estimation/population.py`.
`Histogram` is a distribution of any shape, estimated at its nodes.

References
----------
Mislevy, R. J. (1984). Estimating latent distributions. Psychometrika, 49(3), 359-381.
Trefethen, L. N., & Weideman, J. A. C. (2014). The exponentially convergent trapezoidal rule.
    SIAM Review, 56(3), 385-458. https://doi.org/10.1137/130932132
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from irtkit.arrays import FloatArray, frozen, logsumexp

FEWEST_NODES = 61
HALF_WIDTH = 6.0
SPACING_PER_SD = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Points and log-weights of a discrete ability distribution, both of shape (Q,)."""

    theta: FloatArray
    log_weights: FloatArray

    @property
    def spacing(self) -> float:
        """Distance between neighbouring nodes."""
        return float(self.theta[1] - self.theta[0])


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal ability distribution.

    Parameters
    ----------
    mean, standard_deviation : float
        In units of theta.
    """

    mean: float = 0.0
    standard_deviation: float = 1.0

    def nodes(self, n_nodes: int = FEWEST_NODES) -> Nodes:
        """Place equally spaced nodes over mean +- 6 SD; their weights sum to one."""
        z = np.linspace(-HALF_WIDTH, HALF_WIDTH, n_nodes)  # (Q,)
        log_density = -0.5 * z**2
        theta = self.mean + self.standard_deviation * z
        return Nodes(frozen(theta), frozen(log_density - logsumexp(log_density)))

    def log_weights(self, theta: FloatArray) -> FloatArray:
        """Log-weights (Q,) of any equally spaced nodes that span the distribution."""
        log_density = -0.5 * ((theta - self.mean) / self.standard_deviation) ** 2
        return log_density - logsumexp(log_density)

    def cdf(self, theta: FloatArray) -> FloatArray:
        """Share of the population below theta."""
        return np.asarray(ndtr((theta - self.mean) / self.standard_deviation))

    def rescaled(self, slope: float, constant: float) -> Normal:
        """The distribution of slope times theta plus constant, slope > 0."""
        return Normal(slope * self.mean + constant, slope * self.standard_deviation)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """An ability distribution of any shape on equally spaced nodes.

    Parameters
    ----------
    theta, weights : array, shape (Q,)
        Nodes and the share of the population at each; the shares sum to one.
    """

    theta: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "theta", frozen(self.theta))
        object.__setattr__(self, "weights", frozen(self.weights))

    @property
    def mean(self) -> float:
        """Mean of theta."""
        return float(self.weights @ self.theta)

    @property
    def standard_deviation(self) -> float:
        """Standard deviation of theta."""
        return float(np.sqrt(self.weights @ (self.theta - self.mean) ** 2))

    def nodes(self, n_nodes: int = 0) -> Nodes:
        """Return its nodes; the histogram has no others."""
        with np.errstate(divide="ignore"):
            return Nodes(self.theta, frozen(np.log(self.weights)))

    def cdf(self, theta: FloatArray) -> FloatArray:
        """Share of the population below theta, each node's share spread over its cell."""
        half = 0.5 * (self.theta[1] - self.theta[0])
        edges = np.append(self.theta - half, self.theta[-1] + half)
        below = np.append(0.0, np.cumsum(self.weights))
        return np.interp(theta, edges, below / below[-1])

    def rescaled(self, slope: float, constant: float) -> Histogram:
        """The distribution of slope times theta plus constant, slope > 0."""
        return Histogram(slope * self.theta + constant, self.weights)


Latent = Normal | Histogram
