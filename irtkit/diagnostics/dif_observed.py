r"""Differential item functioning from counted answers: Mantel-Haenszel and Mantel.

With :math:`n_{gsk}` persons of group g and matching score s who chose category k, the sum of the
answers of each group is compared with its expectation given the margins of each score:

.. math:: T_g = \sum_s \Big( \sum_k k \, n_{gsk} - \frac{n_{gs}}{n_s} \sum_k k \, n_{sk} \Big),
   \qquad X^2 = T' \mathrm{Cov}(T)^{-1} T

For two groups and right or wrong answers this is the Mantel-Haenszel chi-square, which has a
continuity correction; for ordered categories Mantel's; for more groups the generalised ones.

References
----------
Mantel, N., & Haenszel, W. (1959). Statistical aspects of the analysis of data from retrospective
    studies of disease. Journal of the National Cancer Institute, 22(4), 719-748.
Mantel, N. (1963). Chi-square tests with one degree of freedom: Extensions of the Mantel-Haenszel
    procedure. Journal of the American Statistical Association, 58(303), 690-700.
Phillips, A., & Holland, P. W. (1987). Estimators of the variance of the Mantel-Haenszel log-odds-
    ratio estimate. Biometrics, 43(2), 425-431.
Zwick, R., Donoghue, J. R., & Grima, A. (1993). Assessment of differential item functioning for
    performance tasks. Journal of Educational Measurement, 30(3), 233-251.
Zwick, R., & Thayer, D. T. (1996). Evaluating the magnitude of differential item functioning in
    polytomous items. Journal of Educational and Behavioral Statistics, 21(3), 187-201.
Penfield, R. D. (2001). Assessing differential item functioning among multiple groups: A comparison
    of three Mantel-Haenszel procedures. Applied Measurement in Education, 14(3), 235-259.
Zieky, M. (1993). Practical questions in the use of DIF statistics in test development. In P. W.
    Holland & H. Wainer (Eds.), Differential item functioning (pp. 337-347). Erlbaum.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from irtkit.arrays import BoolArray, FloatArray
from irtkit.diagnostics.dif_study import ChiSquare, Effect, WordArray

DELTA = -2.35  # the ETS delta scale per log odds
SMALL_DELTA, LARGE_DELTA = 1.0, 1.5
SMALL_SMD, LARGE_SMD = 0.17, 0.25  # in standard deviations of the item


def mantel_haenszel(counts: FloatArray) -> ChiSquare:
    """Test the sum of each group's answers against its expectation within the strata.

    Parameters
    ----------
    counts : array, shape (n, G, S, K)

    Returns
    -------
    ChiSquare
        df is the number of groups less one, fewer where some group shares no stratum; NaN where
        none does.
    """
    n_groups = counts.shape[1]
    persons, scores, variance = _moments(counts)
    share = scores.sum(axis=1) / np.maximum(persons.sum(axis=1), 1e-300)  # (n, S)
    used = (variance > 0)[:, None]
    gap = np.where(used, scores - persons * share[:, None], 0.0).sum(axis=2)  # (n, G)
    spread = -np.einsum("ns,ngs,nhs->ngh", variance, persons, persons)
    both = np.einsum("ns,ngs->ng", variance * persons.sum(axis=1), persons)
    spread[:, range(n_groups), range(n_groups)] += both
    gap, spread = gap[:, 1:], spread[:, 1:, 1:]  # the last group follows from the others
    df = np.linalg.matrix_rank(spread, hermitian=True).astype(np.float64)
    if n_groups == 2:
        correction = np.where(_dichotomous(counts), 0.5, 0.0)[:, None]
        gap = np.sign(gap) * np.maximum(np.abs(gap) - correction, 0.0)
    inverse = np.linalg.pinv(spread, hermitian=True)
    statistic = np.einsum("ng,ngh,nh->n", gap, inverse, gap)
    some = df > 0
    return ChiSquare(np.where(some, statistic, np.nan), np.where(some, df, np.nan))


def mantel_effect(counts: FloatArray, p: FloatArray, level: float) -> Effect:
    """MH D-DIF of right-or-wrong items, the standardised mean difference of others.

    Negative where the item is harder for the focal group than for the first. Of several focal
    groups the one that differs most.

    Parameters
    ----------
    counts : array, shape (n, G, S, K)
    p : array, shape (n,)
        Of the test whether the groups differ.
    level : float
    """
    two = _dichotomous(counts)
    size, error, ratio = np.empty((3, counts.shape[1] - 1, len(counts)))
    for focal in range(1, counts.shape[1]):
        pair = counts[:, [0, focal]]
        odds = d_dif(pair)
        mean = standardised_mean_difference(pair)
        size[focal - 1], error[focal - 1] = np.where(two, odds, mean[:2])
        ratio[focal - 1] = mean[2]
    most = np.argmax(np.where(np.isnan(size), -np.inf, np.abs(size)), axis=0)
    size, error, ratio = (x[most, np.arange(len(two))] for x in (size, error, ratio))
    classes = np.where(two, _delta_class(size, error, level), _smd_class(ratio))
    classes = np.where((classes != "") & ~(p < level), "A", classes)
    classes = np.where(np.isnan(p), "", classes)
    names = np.where(two, "mh_d_dif", "standardised_mean_difference")
    return Effect(names, size, error, np.full(len(two), np.nan), classes)


def _moments(counts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Persons and sum of answers of each group (n, G, S); their variance per pair of persons.

    The last one, shape (n, S), times the persons inside and outside a group is the variance of
    the group's sum given all margins; 0 where nothing can differ.
    """
    k = np.arange(counts.shape[3], dtype=np.float64)
    persons, scores = counts.sum(axis=3), counts @ k  # (n, G, S)
    n, total = persons.sum(axis=1), scores.sum(axis=1)  # (n, S)
    squares = (counts @ k**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (n * squares - total**2) / (n**2 * (n - 1.0))
    shared = (n > 1.0) & ((persons > 0).sum(axis=1) > 1)
    return persons, scores, np.where(shared, np.maximum(variance, 0.0), 0.0)


def _dichotomous(counts: FloatArray) -> BoolArray:
    """Which items nobody answered above 1, shape (n,)."""
    return np.asarray(~(counts[..., 2:] > 0).any(axis=(1, 2, 3)))


def d_dif(pair: FloatArray) -> tuple[FloatArray, FloatArray]:
    r"""MH D-DIF, :math:`-2.35 \ln \hat\alpha`, of right-or-wrong items, with its standard error.

    Parameters
    ----------
    pair : array, shape (n, 2, S, K)
        Reference and focal group.
    """
    wrong, right = np.moveaxis(pair[..., :2], 3, 0)  # (n, 2, S)
    n = np.maximum((wrong + right).sum(axis=1), 1e-300)  # (n, S)
    straight, crossed = right[:, 0] * wrong[:, 1] / n, wrong[:, 0] * right[:, 1] / n  # (n, S)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = straight.sum(axis=1) / crossed.sum(axis=1)  # (n,)
        total = straight + alpha[:, None] * crossed
        along = (right[:, 0] + wrong[:, 1]) / n + alpha[:, None] * (wrong[:, 0] + right[:, 1]) / n
        variance = (total * along).sum(axis=1) / (2.0 * straight.sum(axis=1) ** 2)
        size, error = DELTA * np.log(alpha), -DELTA * np.sqrt(variance)
    return size, np.where(np.isfinite(size), error, np.nan)


def standardised_mean_difference(pair: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean answer of the focal group less that of the reference, at the focal group's scores.

    Parameters
    ----------
    pair : array, shape (n, 2, S, K)

    Returns
    -------
    size, error, ratio : array, shape (n,)
        In answer units; its standard error given all margins (Zwick & Thayer, 1996); and in
        standard deviations of the item over both groups.
    """
    persons, scores, variance = _moments(pair)
    k = np.arange(pair.shape[3], dtype=np.float64)
    shared = np.asarray((persons > 0).all(axis=1))  # (n, S)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(shared, persons[:, 1], 0.0)
        share = share / share.sum(axis=1, keepdims=True)  # (n, S)
        means = np.where(shared[:, None], scores / persons, 0.0)  # (n, 2, S)
        size = np.einsum("ns,ns->n", share, means[:, 1] - means[:, 0])
        per_person = np.where(shared, 1.0 / persons[:, 0] + 1.0 / persons[:, 1], 0.0)
        # var of the focal sum is variance x persons x persons; its share enters both means
        spread = variance * persons[:, 0] * persons[:, 1] * per_person**2
        error = np.sqrt((share**2 * spread).sum(axis=1))
        chosen = pair.sum(axis=(1, 2))  # (n, K)
        chosen = chosen / chosen.sum(axis=1, keepdims=True)
        sd = np.sqrt(chosen @ k**2 - (chosen @ k) ** 2)
        return size, error, size / sd


def _delta_class(size: FloatArray, error: FloatArray, level: float) -> WordArray:
    """A, B or C of significant items (Zieky, 1993); empty where unknown."""
    beyond = np.abs(size) + ndtri(level) * error > SMALL_DELTA
    large = (np.abs(size) > LARGE_DELTA) & beyond
    classes = np.where(large, "C", np.where(np.abs(size) < SMALL_DELTA, "A", "B"))
    return np.where(np.isnan(size) | np.isnan(error), "", classes)


def _smd_class(ratio: FloatArray) -> WordArray:
    """A, B or C of significant items, from the difference in SDs; empty where unknown."""
    size = np.abs(ratio)
    classes = np.where(size > LARGE_SMD, "C", np.where(size > SMALL_SMD, "B", "A"))
    return np.where(np.isnan(ratio), "", classes)
