r"""How well parameters were recovered, beside what could be had if theta were known.

The yardstick is the logistic regression of each item on the true thetas: no estimate from the
answers alone can be expected to do better. Calibrated items live on a scale where theta is
N(0, 1); the drawn persons have mean m and standard deviation s, so estimates are linked by

.. math:: a^* = a / s, \qquad b^* = s b + m

which takes out the accident of the draw (at 400 persons it is larger than the errors asked about).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.workloads import CodeArray, FloatArray, Truth, row_chunks

FEWEST_OF_EACH = 20
NEWTON_STEPS = 30
LONGEST_STEP = 1.0
REGRESSION_TOLERANCE = 1e-8
REGRESSION_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Recovery:
    """Errors over the items with at least 20 of each answer.

    Attributes
    ----------
    n_items : int
    discrimination_rmse, regression_discrimination_rmse : float
    difficulty_error, regression_difficulty_error : float
        Medians of the absolute error.
    slope_ratio : float
        Mean of estimated / true slope, divided by the same of the regression; 1 is right.
    """

    n_items: int
    discrimination_rmse: float
    regression_discrimination_rmse: float
    difficulty_error: float
    regression_difficulty_error: float
    slope_ratio: float

    def words(self) -> str:
        """One phrase for the table."""
        return (
            f"RMSE a {self.discrimination_rmse:.4f} "
            f"(theta known: {self.regression_discrimination_rmse:.4f}), "
            f"median |error b| {self.difficulty_error:.4f} "
            f"({self.regression_difficulty_error:.4f}), slopes x{self.slope_ratio:.4f}"
        )


def recovery(
    slope: FloatArray, intercept: FloatArray, truth: Truth, regressed: Regression
) -> Recovery:
    """Compare linked estimates (I,) and the regression's with the truth."""
    items = regressed.items
    mean, sd = float(truth.theta.mean()), float(truth.theta.std())
    true_slope = truth.slope[items]
    true_difficulty = -truth.intercepts[items, 0] / true_slope
    linked = slope[items] / sd
    difficulty = mean - sd * intercept[items] / slope[items]
    known = -regressed.intercept / regressed.slope
    return Recovery(
        n_items=len(items),
        discrimination_rmse=_rmse(linked - true_slope),
        regression_discrimination_rmse=_rmse(regressed.slope - true_slope),
        difficulty_error=float(np.median(np.abs(difficulty - true_difficulty))),
        regression_difficulty_error=float(np.median(np.abs(known - true_difficulty))),
        slope_ratio=float(np.mean(linked / true_slope) / np.mean(regressed.slope / true_slope)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """Logistic regressions on theta: which items, their slopes and intercepts, each (n,)."""

    items: np.ndarray
    slope: FloatArray
    intercept: FloatArray


def regression(codes: CodeArray, theta: FloatArray) -> Regression:
    """Regress each item with enough of both answers on theta, by Newton's method."""
    right = (codes == 1).sum(axis=0)
    wrong = (codes == 0).sum(axis=0)
    items = np.flatnonzero(np.minimum(right, wrong) >= FEWEST_OF_EACH)
    parts = [
        _newton(codes[:, items[part]], theta)
        for part in row_chunks(len(items), len(theta), cells=REGRESSION_CELLS)
    ]
    slope, intercept = np.concatenate(parts, axis=1)
    return Regression(items, slope, intercept)


def _newton(codes: CodeArray, theta: FloatArray) -> FloatArray:
    """Slopes and intercepts, stacked (2, n), from codes (P, n)."""
    answered = (codes >= 0).astype(np.float64)
    design = np.stack([theta, np.ones_like(theta)])  # (2, P)
    powers = np.stack([theta**2, theta, np.ones_like(theta)])  # (3, P)
    wanted = design @ (codes == 1)  # (2, n)
    line = np.stack([np.ones(codes.shape[1]), np.zeros(codes.shape[1])])  # (2, n)
    for _ in range(NEWTON_STEPS):
        chance = answered / (1.0 + np.exp(-(design.T @ line)))  # (P, n)
        gradient = wanted - design @ chance  # (2, n)
        aa, ad, dd = powers @ (chance * (1.0 - chance))  # each (n,)
        determinant = aa * dd - ad**2
        step = np.stack([dd * gradient[0] - ad * gradient[1], aa * gradient[1] - ad * gradient[0]])
        step = np.clip(step / determinant, -LONGEST_STEP, LONGEST_STEP)
        line += step
        if np.abs(step).max() < REGRESSION_TOLERANCE:
            break
    return line


def _rmse(errors: FloatArray) -> float:
    return float(np.sqrt(np.mean(errors**2)))
