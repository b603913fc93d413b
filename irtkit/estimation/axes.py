r"""The direction of two ability axes: loadings, principal axes, varimax.

The likelihood of uncorrelated abilities does not change when slopes are turned; these functions
choose among the directions. Nothing here estimates anything.

References
----------
Kaiser, H. F. (1958). The varimax criterion for analytic rotation in factor analysis.
    Psychometrika, 23(3), 187-200. https://doi.org/10.1007/BF02289233
Takane, Y., & de Leeuw, J. (1987). On the relationship between item response theory and factor
    analysis of discretized variables. Psychometrika, 52(3), 393-408.
    https://doi.org/10.1007/BF02294363
"""

from __future__ import annotations

import math

import numpy as np

from irtkit.arrays import FloatArray

NORMAL_METRIC = 1.702  # logistic slopes over this are about those of the normal ogive


def loadings(slopes: FloatArray) -> FloatArray:
    r"""Loadings of the normal variables behind the answers, shape (I, 2).

    .. math:: \lambda_k = \frac{a_k}{\sqrt{1.702^2 + a_1^2 + a_2^2}}

    Their squares sum to the communality.
    """
    return slopes / np.sqrt(NORMAL_METRIC**2 + (slopes**2).sum(axis=1, keepdims=True))


def principal(slopes: FloatArray) -> FloatArray:
    """Turn slopes (I, 2) to the principal axes of their loadings, the larger one first."""
    found = loadings(slopes)
    _, axes = np.linalg.eigh(found.T @ found)  # ascending
    return oriented(slopes @ axes[:, ::-1])


def varimax(values: FloatArray) -> FloatArray:
    r"""Rotation (2, 2) to be applied from the right so that loadings (I, 2) are simplest.

    Kaiser's criterion, the variance of squared loadings over the items in each column, each item
    first scaled to communality 1. With u = x^2 - y^2 and v = 2 x y it is largest at

    .. math:: \tan 4 \phi = \frac{2 (n \sum u v - \sum u \sum v)}
                                 {n \sum (u^2 - v^2) - (\sum u)^2 + (\sum v)^2}
    """
    length = np.linalg.norm(values, axis=1, keepdims=True)
    x, y = (values / np.where(length > 0, length, 1.0)).T
    u, v, n = x**2 - y**2, 2.0 * x * y, len(x)
    top = 2.0 * (n * (u @ v) - u.sum() * v.sum())
    bottom = n * (u @ u - v @ v) - u.sum() ** 2 + v.sum() ** 2
    angle = 0.25 * math.atan2(top, bottom)
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def oriented(values: FloatArray) -> FloatArray:
    """Turn the sign of columns whose sum is negative."""
    return values * np.where(values.sum(axis=0) < 0, -1.0, 1.0)
