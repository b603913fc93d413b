"""Residuals at the estimated abilities: infit and outfit of items, Q3 of pairs.

References
----------
Wright, B. D., & Masters, G. N. (1982). Rating scale analysis. MESA Press.
Yen, W. M. (1984). Effects of local item dependence on the fit and equating performance of the
    three-parameter logistic model. Applied Psychological Measurement, 8(2), 125-145.
"""

from __future__ import annotations

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError, count, listing
from irtkit.estimation.calibration import Calibration
from irtkit.responses import Responses
from irtkit.scoring import score


def infit_outfit(
    responses: Responses, calibration: Calibration, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean-square fit of each item: weighted by information (infit) and not (outfit).

    Parameters
    ----------
    responses : Responses
        Answers to exactly the items of `calibration`.
    calibration : Calibration
    theta : array, shape (P,)
        Estimated abilities.

    Returns
    -------
    infit, outfit : array, shape (I,)
        About 1 if the model holds; missing answers are left out.
    """
    squares, variances, standardised, answered = np.zeros((4, responses.n_items))
    for rows, codes in responses.blocks():
        weights = responses.weights[rows]
        right = _right(calibration, theta[rows])  # (B, I)
        seen = codes != MISSING
        square = np.where(seen, (codes - right) ** 2, 0.0)  # (B, I)
        variance = right * (1.0 - right)  # (B, I)
        squares += weights @ square
        variances += weights @ np.where(seen, variance, 0.0)
        standardised += weights @ (square / np.maximum(variance, 1e-300))
        answered += weights @ seen
    return squares / variances, standardised / answered


def q3_matrix(responses: Responses, calibration: Calibration) -> FloatArray:
    """Correlation of the residuals y - P(theta) of each pair, over persons who answered both.

    Abilities are EAPs. Pairs with fewer than three common persons are NaN; shape (I, I).
    """
    theta = score(responses, calibration).theta
    n_items = responses.n_items
    pairs, product, sums, squares = np.zeros((4, n_items, n_items))
    for rows, codes in responses.blocks():
        weights = responses.weights[rows][:, None]
        seen = (codes != MISSING).astype(np.float64)
        residual = np.where(seen > 0, codes - _right(calibration, theta[rows]), 0.0)  # (B, I)
        pairs += (seen * weights).T @ seen
        product += (residual * weights).T @ residual
        sums += (residual * weights).T @ seen  # of item i over persons who answered i and j
        squares += (residual**2 * weights).T @ seen
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / pairs
        covariance = product / pairs - mean * mean.T
        variance = squares / pairs - mean**2
        q3 = covariance / np.sqrt(variance * variance.T)
    q3[pairs < 3] = np.nan
    return q3


def _right(calibration: Calibration, theta: FloatArray) -> FloatArray:
    return np.exp(calibration.log_prob(theta)[:, :, 1])  # (B, I)


def check_dichotomous(calibration: Calibration, statistic: str) -> None:
    """Refuse items with more than two categories."""
    large = np.flatnonzero(calibration.assignment.n_categories > 2)
    if len(large):
        raise ModelError(
            f"{statistic} is for right-or-wrong items; {count(len(large), 'item')} have more "
            f"categories: {listing([calibration.items[place] for place in large])}."
        )
