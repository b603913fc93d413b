r"""Abilities where the likelihood, the posterior or the weighted likelihood peaks.

MAP and ML solve :math:`\ell'(\theta) + (\log \phi)'(\theta) = 0` and :math:`\ell'(\theta) = 0`,
the weighted likelihood estimate :math:`\ell'(\theta) + J / (2 I) = 0` with
:math:`J = \sum_i \sum_k P_{ik}' P_{ik}'' / P_{ik}`, by Newton steps with the expected information,
for all persons of a block at once. They start from the best node of a grid, so that of several
peaks (3PL) the highest is found.

References
----------
Warm, T. A. (1989). Weighted likelihood estimation of ability in item response theory.
    Psychometrika, 54(3), 427-450. https://doi.org/10.1007/BF02294627
Samejima, F. (1969). Estimation of latent ability using a response pattern of graded scores.
    Psychometrika Monograph Supplement, 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import FloatArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError
from irtkit.estimation.blocks import Block, Blocks
from irtkit.estimation.calibration import Calibration
from irtkit.estimation.em import Tables, posterior
from irtkit.latent import Normal
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.threads import spread

MODAL = ("map", "ml", "wle")
MOST_STEPS = 100
LONGEST_STEP = 1.0
TOLERANCE = 1e-8  # of a step that converges quadratically, so the next is below rounding
DIFFERENCE = 1e-4
FARTHEST = 40.0  # beyond it an ability is infinite
WORTH_THREADS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Derivatives of persons' log-likelihoods at their thetas, each of shape (B,).

    Attributes
    ----------
    first : array
        Derivative of the log-likelihood.
    observed, expected : array
        Minus the second derivative, and its expectation, the Fisher information.
    warm : array
        J of the weighted likelihood.
    """

    first: FloatArray
    observed: FloatArray
    expected: FloatArray
    warm: FloatArray


def modal(
    responses: Responses, calibration: Calibration, method: str
) -> tuple[FloatArray, FloatArray]:
    """Estimate theta by "map", "ml" or "wle".

    Returns
    -------
    theta, standard_error : array, shape (P,)
        Standard errors are 1 / sqrt(curvature) of what was maximised: posterior, likelihood or
        weighted likelihood. An infinite ML estimate has an infinite one; without answers both
        are NaN.
    """
    if method == "map" and not isinstance(calibration.latent, Normal):
        raise ModelError("A histogram has no smooth density for MAP. Use 'eap', 'ml' or 'wle'.")
    n_categories = int(calibration.assignment.n_categories.max())
    blocks = Blocks.of(responses.codes, responses.weights, n_categories)
    nodes = calibration.nodes()
    tables = Tables.of(
        calibration.assignment, calibration.parameters, nodes.theta, nodes.log_weights
    )
    result = np.empty((2, responses.n_persons))

    def fill(share: Sequence[Block]) -> None:
        for block in share:
            start = _best_node(blocks, block, tables, method)
            result[:, block.rows] = _peak(block, calibration, start, method)

    spread(fill, blocks.blocks, blocks.cells > WORTH_THREADS)
    return result[0], result[1]


def _best_node(blocks: Blocks, block: Block, tables: Tables, method: str) -> FloatArray:
    """Where posterior (MAP) or likelihood (ML, WLE) is largest on the grid, shape (B,).

    The peak of a parabola through the best node and its neighbours.
    """
    found, _ = posterior(blocks, block, tables, intercepts=False)
    theta = tables.theta[found.window]
    with np.errstate(divide="ignore"):
        height = np.log(found.density)  # (W, B)
    if method != "map":
        height -= tables.log_weights[0][found.window][:, None]
    place = np.clip(np.argmax(height, axis=0), 1, len(theta) - 2)
    person = np.arange(height.shape[1])
    before, here, after = (height[place + step, person] for step in (-1, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = 0.5 * (before - after) / (before - 2.0 * here + after)
    offset = np.where(np.isfinite(offset), np.clip(offset, -1.0, 1.0), 0.0)
    return np.asarray(theta[place] + offset * (theta[1] - theta[0]))


def _peak(block: Block, calibration: Calibration, start: FloatArray, method: str) -> FloatArray:
    """Theta and standard error of a block's persons, stacked (2, B)."""
    theta = start.astype(np.float64)
    information = np.zeros(len(theta))
    expected = np.zeros(len(theta))
    longest = np.full(len(theta), LONGEST_STEP)
    last = np.zeros(len(theta))
    active = np.arange(len(theta))
    for _ in range(MOST_STEPS):
        codes = block.codes if len(active) == len(theta) else block.codes[active]
        slopes = person_slopes(codes, calibration, theta[active], method == "wle")
        pull, curvature = _equation(slopes, calibration, theta[active], method)
        information[active], expected[active] = slopes.observed, slopes.expected
        with np.errstate(divide="ignore", invalid="ignore"):
            step = pull / curvature
        step = np.where(np.isfinite(step), step, np.sign(pull))
        turned = step * last[active] < 0
        longest[active] = np.where(turned, 0.5 * np.abs(last[active]), longest[active])
        step = np.clip(step, -longest[active], longest[active])
        last[active] = step
        theta[active] += step
        active = active[(np.abs(step) > TOLERANCE) & (np.abs(theta[active]) < FARTHEST)]
        if not len(active):
            break
    if method == "map":
        assert isinstance(calibration.latent, Normal)
        information += calibration.latent.standard_deviation**-2
    elif method == "wle":
        information = _weighted_curvature(block, calibration, theta, expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = 1.0 / np.sqrt(information)
    infinite = np.abs(theta) >= FARTHEST
    theta[infinite] = np.copysign(np.inf, theta[infinite])
    error[infinite] = np.inf
    if method != "map":
        nothing = (expected == 0.0) & ~infinite
        theta[nothing] = error[nothing] = np.nan
    return np.stack([theta, error])


def _weighted_curvature(
    block: Block, calibration: Calibration, theta: FloatArray, expected: FloatArray
) -> FloatArray:
    """Minus the derivative of the weighted likelihood equation, shape (B,)."""
    sides = []
    for sign in (1.0, -1.0):
        moved = theta + sign * DIFFERENCE
        slopes = person_slopes(block.codes, calibration, moved, True)
        sides.append(_equation(slopes, calibration, moved, "wle")[0])
    curvature = (sides[1] - sides[0]) / (2.0 * DIFFERENCE)
    return np.where(curvature > 0, curvature, expected)


def _equation(
    slopes: Slopes, calibration: Calibration, theta: FloatArray, method: str
) -> tuple[FloatArray, FloatArray]:
    """The function whose root is sought, and its curvature for Newton's step."""
    if method == "map":
        assert isinstance(calibration.latent, Normal)
        precision = calibration.latent.standard_deviation**-2
        pull = slopes.first - precision * (theta - calibration.latent.mean)
        return pull, slopes.expected + precision
    if method == "ml":
        return slopes.first, slopes.expected
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = slopes.warm / (2.0 * slopes.expected)
    return slopes.first + np.where(np.isfinite(weight), weight, 0.0), slopes.expected


def person_slopes(
    codes: FloatArray | sp.csr_array, calibration: Calibration, theta: FloatArray, warm: bool
) -> Slopes:
    """Derivatives of each person's log-likelihood at the person's own theta.

    Parameters
    ----------
    codes : array of int8 (B, I), -1 where missing; or CSR of code + 1
    calibration : Calibration
    theta : array, shape (B,)
    warm : bool
        Whether J is wanted.
    """
    families = calibration.assignment.families
    if isinstance(codes, sp.csr_array):
        return _sparse_slopes(codes, calibration, theta)
    if len(families) == 1 and isinstance(families[0].model, TwoPL):
        return _two_parameter_slopes(codes, calibration.parameters, theta, warm)
    sums = np.zeros((4, len(theta)))
    for family in families:
        part = calibration.assignment.part(family, calibration.parameters)
        own = codes[:, family.places]
        tables = family.model.theta_derivatives(part, theta[:, None])  # (B, i, K) each
        sums += _summed(own, *tables)
    return Slopes(*sums)


def _two_parameter_slopes(
    codes: FloatArray, parameters: FloatArray, theta: FloatArray, warm: bool
) -> Slopes:
    """As `_summed`, for right-or-wrong items without asymptotes: sums of a (y - P), a^2 P Q."""
    slope, intercept = parameters[:, 0], parameters[:, 1]
    z = np.multiply.outer(theta, slope)
    z += intercept  # (B, I)
    sign = np.where(codes > 0, 1.0, -1.0)  # (B, I)
    missing = codes == MISSING
    if missing.any():
        sign[missing] = 0.0
    z *= sign
    with np.errstate(over="ignore"):
        np.exp(z, out=z)
    z += 1.0
    np.divide(1.0, z, out=z)  # chance of the other answer, never rounded to nothing
    first = (z * sign) @ slope
    spread_ = z * (1.0 - z)
    if missing.any():
        spread_[missing] = 0.0
    information = spread_ @ slope**2
    if not warm:
        return Slopes(first, information, information, np.zeros_like(first))
    spread_ *= sign
    spread_ *= 2.0 * z - 1.0  # P Q (Q - P)
    return Slopes(first, information, information, spread_ @ slope**3)


def _summed(
    codes: FloatArray, log_prob: FloatArray, first: FloatArray, second: FloatArray
) -> FloatArray:
    """First derivative, observed and expected information and J, summed over items, (4, ...)."""
    seen = codes != MISSING
    place = np.where(seen, codes, 0).astype(np.int64)[..., None]
    chance = np.exp(log_prob) * seen[..., None]
    taken = [np.take_along_axis(part, place, axis=-1)[..., 0] * seen for part in (first, second)]
    return np.stack(
        [
            taken[0].sum(axis=-1),
            -taken[1].sum(axis=-1),
            (chance * first**2).sum(axis=(-1, -2)),
            (chance * first * (first**2 + second)).sum(axis=(-1, -2)),
        ]
    )


def _sparse_slopes(codes: sp.csr_array, calibration: Calibration, theta: FloatArray) -> Slopes:
    """The same sums over the answered cells only."""
    person = np.repeat(np.arange(len(theta)), np.diff(codes.indptr))
    sums = np.zeros((4, len(theta)))
    family_of = np.zeros(codes.shape[1], dtype=np.int64)
    for number, family in enumerate(calibration.assignment.families):
        family_of[family.places] = number
    for number, family in enumerate(calibration.assignment.families):
        cells = np.flatnonzero(family_of[codes.indices] == number)
        part = calibration.parameters[codes.indices[cells], : family.n_parameters]
        tables = family.model.theta_derivatives(part, theta[person[cells]])  # (n, K) each
        own = codes.data[cells] - 1
        each = _summed(own[:, None], *(table[:, None] for table in tables))  # (4, n)
        for row, values in enumerate(each):
            sums[row] += np.bincount(person[cells], values, len(theta))
    return Slopes(*sums)
