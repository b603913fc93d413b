r"""Ranks of models with intervals that hold for all of them at once.

Two models differ if

.. math:: \frac{|\hat\theta_j - \hat\theta_k|}{\sqrt{\mathrm{Var}(\theta_j - \theta_k)}}
          > \frac{q_{.95}(P, \infty)}{\sqrt 2}

with the quantile q of the range of P standard normal variables (Tukey-Kramer). All true
differences of P independent estimates lie in such intervals with probability .95 at least, however
unequal the variances (Hayter, 1984). A model's rank then lies between one more than the models
above it beyond doubt, and P less the models below it beyond doubt; as the intervals of the
differences hold together, so do these (Klein et al., 2020; Mogstad et al., 2024).

References
----------
Hayter, A. J. (1984). A proof of the conjecture that the Tukey-Kramer multiple comparisons
    procedure is conservative. Annals of Statistics, 12(1), 61-75.
Klein, M., Wright, T., & Wieczorek, J. (2020). A joint confidence region for an overall ranking of
    populations. Journal of the Royal Statistical Society C, 69(3), 589-606.
Mogstad, M., Romano, J. P., Shaikh, A. M., & Wilhelm, D. (2024). Inference for ranks with
    applications to mobility across neighbourhoods and academic achievement across countries.
    Review of Economic Studies, 91(1), 476-518.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import studentized_range

from irtkit.arrays import FloatArray, IntArray, frozen

COVERAGE = 0.95
TIE = 5e-7  # units of theta: the same answers give the same theta up to rounding
BLOCK_CELLS = 4_000_000

Variances = Callable[[IntArray, IntArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Ranks from 1, the ablest, each of shape (P,); equal thetas share the better rank.

    Attributes
    ----------
    rank, low, high : array of int
        The rank by theta, and the best and the worst rank that it may have.
    """

    rank: IntArray
    low: IntArray
    high: IntArray

    def __post_init__(self) -> None:
        for name in ("rank", "low", "high"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))


def ranks(theta: FloatArray, variances: Variances) -> Ranks:
    """Rank abilities, with intervals that hold together.

    Parameters
    ----------
    theta : array, shape (P,)
    variances : callable
        Takes places of models (n,) and (m,) and returns the variance of the difference of each
        of the first to each of the second, (n, m).
    """
    n_models = len(theta)
    everyone = np.arange(n_models)
    far = critical_distance(n_models)
    counts = np.empty((3, n_models), dtype=np.int64)  # above, clearly above, clearly below
    size = max(1, BLOCK_CELLS // n_models)
    for start in range(0, n_models, size):
        rows = everyone[start : start + size]
        gap = theta - theta[rows, None]  # (n, P)
        margin = far * np.sqrt(variances(rows, everyone))
        margin[np.arange(len(rows)), rows] = np.inf
        counts[:, rows] = [
            (table).sum(axis=1) for table in (gap > TIE, gap > margin, gap < -margin)
        ]
    return Ranks(1 + counts[0], 1 + counts[1], n_models - counts[2])


def critical_distance(n_models: int) -> float:
    """How many standard errors two of so many abilities must lie apart to differ."""
    if n_models < 2:
        return np.inf
    return float(studentized_range.ppf(COVERAGE, n_models, np.inf)) / 2.0**0.5
