r"""Statistics of two-way tables: X2, G2, gamma, signed Cramer V; expected tables given margins.

Tables are stacked on the last axis, (K, L, n). How they are counted is in `pair_tables.py`.

References
----------
Chen, W.-H., & Thissen, D. (1997). Local dependence indexes for item pairs using item response
    theory. Journal of Educational and Behavioral Statistics, 22(3), 265-289.
Deming, W. E., & Stephan, F. F. (1940). On a least squares adjustment of a sampled frequency table
    when the expected marginal totals are known. Annals of Mathematical Statistics, 11(4), 427-444.
Plackett, R. L. (1965). A class of bivariate distributions. Journal of the American Statistical
    Association, 60(310), 516-522.
Goodman, L. A., & Kruskal, W. H. (1954). Measures of association for cross classifications.
    Journal of the American Statistical Association, 49(268), 732-764.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc, erfc, xlogy

from irtkit.arrays import FloatArray

SCALINGS = 20  # rows and columns in turns; tables that are nearly right need a few


def pearson(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Pearson's X2 of tables (K, L, n), shape (n,)."""
    terms = observed - expected  # (K, L, n)
    terms *= terms
    with np.errstate(divide="ignore"):
        np.divide(terms, expected, out=terms, where=terms > 0.0)  # nothing over nothing is 0
    return terms.sum(axis=(0, 1))


def given_margins(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Scale expected tables (K, L, n) to the margins of the observed ones, keeping odds ratios.

    Persons who answered both items of a pair are a part of all persons, and their margins differ
    from the model's by chance. Compared with a table of their own margins, only the association
    counts, so (K - 1)(L - 1) degrees of freedom are right.
    """
    if observed.shape[:2] == (2, 2):
        return _plackett(observed, expected)
    scaled = expected.copy()
    by_row, by_column = observed.sum(axis=1), observed.sum(axis=0)  # (K, n), (L, n)
    for _ in range(SCALINGS):
        for axis, wanted in ((1, by_row), (0, by_column)):
            have = scaled.sum(axis=axis)
            ratio = np.divide(wanted, have, out=np.zeros_like(have), where=have > 0.0)
            scaled *= np.expand_dims(ratio, axis)
    return scaled


def _plackett(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """The table of given margins and odds ratio for 2 x 2, from a quadratic equation."""
    row, column = observed[1].sum(axis=0), observed[:, 1].sum(axis=0)  # (n,)
    total = observed.sum(axis=(0, 1))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        odds = expected[1, 1] * expected[0, 0] / (expected[0, 1] * expected[1, 0])
        most = np.minimum(row, column)
        part = total + (row + column) * (odds - 1.0)
        root = np.sqrt(np.maximum(part**2 - 4.0 * odds * (odds - 1.0) * row * column, 0.0))
        both = np.where(np.isfinite(odds), 2.0 * odds * row * column / (part + root), most)
    both = np.clip(np.nan_to_num(both), np.maximum(row + column - total, 0.0), most)
    cells = np.array([[total - row - column + both, column - both], [row - both, both]])
    return np.maximum(cells, 0.0)


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
