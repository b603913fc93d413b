r"""Ridge regression whose penalty is chosen by leave-one-out cross-validation.

.. math:: \min_{b, \beta} \sum_n (y_n - b - x_n^T \beta)^2 + \lambda |\beta|^2

With a singular value decomposition of the centred features, the leave-one-out errors of every
penalty cost one product each. The intercept is not penalised.

References
----------
Hoerl, A. E., & Kennard, R. W. (1970). Ridge regression: Biased estimation for nonorthogonal
    problems. Technometrics, 12(1), 55-67. https://doi.org/10.1080/00401706.1970.10488634
Golub, G. H., Heath, M., & Wahba, G. (1979). Generalized cross-validation as a method for choosing
    a good ridge parameter. Technometrics, 21(2), 215-223.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irtkit.arrays import FloatArray, frozen
from irtkit.errors import ModelError

PENALTIES = tuple(float(power) for power in np.logspace(-3, 5, 33))  # times the mean eigenvalue
FEWEST = 3


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """A fitted ridge regression.

    Attributes
    ----------
    coefficients : array, shape (H,)
    intercept : float
    penalty : float
        The chosen one, in units of the mean eigenvalue of X'X.
    error : float
        Root mean square of the leave-one-out errors at that penalty.
    """

    coefficients: FloatArray
    intercept: float
    penalty: float
    error: float

    def predict(self, features: FloatArray) -> FloatArray:
        """Values for rows of features (M, H), (M,)."""
        return np.asarray(features @ self.coefficients + self.intercept)


def ridge_regression(
    features: FloatArray, values: FloatArray, *, penalties: tuple[float, ...] = PENALTIES
) -> Ridge:
    """Regress values on features, with the penalty of the least leave-one-out error.

    Parameters
    ----------
    features : array, shape (N, H)
    values : array, shape (N,)
    penalties : tuple of float
        To choose from, above 0, in units of the mean eigenvalue of X'X of the centred features.

    Raises
    ------
    ModelError
        If there are fewer than three rows, or a number is not finite.
    """
    if len(values) < FEWEST or len(features) != len(values):
        raise ModelError(
            f"{len(values)} values and {len(features)} rows of features: a regression needs as "
            f"many of both, {FEWEST} or more."
        )
    if not (np.isfinite(features).all() and np.isfinite(values).all()):
        raise ModelError("Features or values are not finite numbers.")
    centre, mean = features.mean(axis=0), float(values.mean())
    left, size, right = np.linalg.svd(features - centre, full_matrices=False)  # (N, R) (R,) (R, H)
    unit = float(size @ size) / max(1, features.shape[1]) or 1.0
    target = left.T @ (values - mean)  # (R,)
    best = (np.inf, penalties[0])
    for penalty in penalties:
        shrink = size**2 / (size**2 + penalty * unit)  # (R,)
        hat = (left**2) @ shrink + 1.0 / len(values)  # (N,), the intercept's share included
        missed = (values - mean - left @ (shrink * target)) / (1.0 - hat)
        best = min(best, (float(np.sqrt(np.mean(missed**2))), penalty))
    error, penalty = best
    weights = right.T @ (size / (size**2 + penalty * unit) * target)  # (H,)
    return Ridge(frozen(weights), mean - float(centre @ weights), penalty, error)
