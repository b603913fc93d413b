r"""Covariance of Bradley-Terry strengths.

"information" takes each probability for the share of independent votes that its weight counts:
the inverse of the observed information H, which here is the expected one too. "sandwich" takes
nothing for granted about the spread of the probabilities and estimates it from the residuals,

.. math:: H^{-1} \Big( \sum_k g_k g_k^T \Big) H^{-1}, \qquad
    g_k = \sum_{c \in k} \frac{w_c (p_c - \sigma(\eta_c))}{1 - h_c} x_c

with one sum g_k a cluster, and h_c the leverage of a pair within its cluster (the correction
known as HC3, near to a jackknife). Where a pair stands alone, so that its residual is 0 whatever
it holds, the spread of the others is put in its place.

References
----------
White, H. (1982). Maximum likelihood estimation of misspecified models. Econometrica, 50(1), 1-25.
MacKinnon, J. G., & White, H. (1985). Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties. Journal of Econometrics, 29(3), 305-325.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from irtkit.arrays import FloatArray, IntArray
from irtkit.bridge.pairwise.comparisons import Comparisons, unordered
from irtkit.bridge.pairwise.newton import information, inverse

VARIANTS = ("sandwich", "information")
WHOLE = 1.0 - 1e-6  # leverage from which a residual tells nothing


def covariance(
    comparisons: Comparisons,
    design: sp.csr_array,
    free: IntArray,
    logit: FloatArray,
    penalty: FloatArray,
    *,
    variant: str,
) -> FloatArray:
    """Covariance of all coefficients, (D, D); 0 where a coefficient is not free.

    Parameters
    ----------
    comparisons : Comparisons
        C of them.
    design : sparse array, shape (C, D)
        One column an item, and one of ones if the position has an effect.
    free : array, shape (F,)
        The columns whose coefficients were estimated.
    logit : array, shape (C,)
        Fitted.
    penalty : array, shape (F,)
    variant : str
        "sandwich" or "information".
    """
    mean = expit(logit)
    spread = comparisons.weight * mean * (1.0 - mean)  # (C,)
    bread = np.zeros((design.shape[1],) * 2)  # (D, D)
    bread[np.ix_(free, free)] = inverse(information(design[:, free], spread, penalty))
    if variant == "information":
        return bread
    own = spread * leverage(comparisons, bread)  # (C,)
    residual = comparisons.weight * (comparisons.probability - mean)  # (C,)
    residual = _corrected(comparisons, residual, spread, own, n_free=len(free))
    _, number = np.unique(comparisons.cluster, return_inverse=True)  # (C,)
    adding = sp.csr_array((residual, (number, np.arange(len(number)))))
    scores = sp.csr_array(adding @ design)  # (G, D)
    meat = (scores.T @ scores).toarray()  # (D, D)
    found: FloatArray = bread @ meat @ bread
    return found


def leverage(comparisons: Comparisons, bread: FloatArray) -> FloatArray:
    """Quadratic form x_c' B x_c of each comparison, (C,)."""
    first, second = comparisons.first, comparisons.second
    own = np.diag(bread)
    found = own[first] + own[second] - 2.0 * bread[first, second]  # (C,)
    if len(bread) > len(comparisons.items):  # the position's column
        found = found + own[-1] + 2.0 * (bread[first, -1] - bread[second, -1])
    return np.asarray(found, dtype=np.float64)


def _corrected(
    comparisons: Comparisons,
    residual: FloatArray,
    spread: FloatArray,
    own: FloatArray,
    *,
    n_free: int,
) -> FloatArray:
    """Residuals freed of their leverage; those that it leaves nothing take the others' spread."""
    pair = unordered(comparisons.first, comparisons.second, len(comparisons.items))
    together = np.stack([comparisons.cluster, pair], axis=1)
    _, part = np.unique(together, axis=0, return_inverse=True)  # (C,)
    shared = np.bincount(part, weights=own)[part]  # (C,)
    alone = shared > WHOLE
    left = np.where(alone, 1.0, 1.0 - shared)
    freed = residual / left
    if alone.any():
        rest = ~alone & (spread > 0)
        checked = rest.any() and len(residual) > n_free
        square = residual[rest] ** 2 / left[rest] / spread[rest]
        ratio = float(square.mean()) if checked else np.nan
        lone = np.flatnonzero(alone)
        _, start, place = np.unique(part[lone], return_index=True, return_inverse=True)
        freed[lone] = 0.0  # all of a pair's spread stands on the first of its comparisons
        freed[lone[start]] = np.sqrt(ratio * np.bincount(place, weights=spread[lone]))
    return freed


def centred(covariance_of_items: FloatArray) -> FloatArray:
    """Covariance of coefficients less their mean, (N, N)."""
    rows = covariance_of_items.mean(axis=0)
    found: FloatArray = covariance_of_items - rows - rows[:, None] + rows.mean()
    return found
