r"""Statistics of two-way tables: Pearson's X2, likelihood ratio G2, gamma, signed Cramer V.

Tables are stacked on the last axis, (K, L, n). How they are counted is in `pair_tables.py`.

References
----------
Chen, W.-H., & Thissen, D. (1997). Local dependence indexes for item pairs using item response
    theory. Journal of Educational and Behavioral Statistics, 22(3), 265-289.
Goodman, L. A., & Kruskal, W. H. (1954). Measures of association for cross classifications.
    Journal of the American Statistical Association, 49(268), 732-764.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc, erfc, xlogy

from irtkit.arrays import FloatArray


def pearson(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Pearson's X2 of tables (K, L, n), shape (n,)."""
    terms = observed - expected  # (K, L, n)
    terms *= terms
    with np.errstate(divide="ignore"):
        np.divide(terms, expected, out=terms, where=terms > 0.0)  # nothing over nothing is 0
    return terms.sum(axis=(0, 1))


def likelihood_ratio(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Likelihood ratio G2 of tables (K, L, n), shape (n,); an empty cell adds nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(observed > 0.0, observed / expected, 1.0)
    return np.maximum(2.0 * xlogy(observed, ratio).sum(axis=(0, 1)), 0.0)


def gamma(tables: FloatArray) -> FloatArray:
    """Goodman and Kruskal's gamma of tables (K, L, n); 0 if nothing is ordered; shape (n,)."""
    concordant, discordant = _ordered(tables), _ordered(tables[:, ::-1])
    total = concordant + discordant
    return np.divide(concordant - discordant, total, out=np.zeros_like(total), where=total > 0.0)


def _ordered(tables: FloatArray) -> FloatArray:
    """Pairs of persons of whom one is higher on both items, shape (n,)."""
    beyond = tables[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
    return (tables[:-1, :-1] * beyond[1:, 1:]).sum(axis=(0, 1))


def signed_v(statistic: FloatArray, observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Cramer's V of X2, negative where gamma of the table is below gamma of the model, (n,)."""
    least = min(observed.shape[:2]) - 1
    with np.errstate(invalid="ignore"):
        size = np.sqrt(statistic / (observed.sum(axis=(0, 1)) * least))
    return np.where(gamma(observed) >= gamma(expected), size, -size)


def upper_tail(statistic: FloatArray, df: float) -> FloatArray:
    """Chance that chi-square with `df` degrees of freedom exceeds the statistic."""
    if df == 1:  # many times faster than the incomplete gamma function, and the same
        return np.asarray(erfc(np.sqrt(0.5 * statistic)))
    return np.asarray(chdtrc(df, statistic))


def standardised(statistic: FloatArray, df: FloatArray | float) -> FloatArray:
    """(X2 - df) / sqrt(2 df)."""
    return (statistic - df) / np.sqrt(2.0 * df)
