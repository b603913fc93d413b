r"""Strengths in closed form: probabilities as normal variables whose mean is linear.

.. math:: p_c \sim N\big(m + (s_i - s_j) / a, \; \sigma^2 / w_c\big), \qquad
    \hat s = a (W^T V W)^{-} W^T V (p - m)

with W of +1 and -1, V the weights, and m one half or, against a pull of the first position, the
mean probability. One linear system: a start, or a check of `bradley_terry.py`. Probabilities near
0 and 1 are taken at face value, so that far items come too near each other.

References
----------
Liusie, A., Raina, V., Fathullah, Y., & Gales, M. (2024). Efficient LLM comparative assessment: A
    product of experts framework for pairwise comparisons. arXiv:2405.05894.
"""

from __future__ import annotations

import math

import numpy as np

from irtkit.arrays import FloatArray, frozen
from irtkit.bridge.pairwise.bradley_terry import (
    MOST_WITH_ERRORS,
    POSITIONS,
    differences,
    taken_part,
)
from irtkit.bridge.pairwise.comparisons import Comparisons
from irtkit.bridge.pairwise.errors_of_strengths import centred
from irtkit.bridge.pairwise.graph import check_connected, groups
from irtkit.bridge.pairwise.newton import information, inverse, solved
from irtkit.bridge.pairwise.strengths import OK, Strengths
from irtkit.errors import ModelError, listing, shown


def gaussian_strengths(
    comparisons: Comparisons, *, scale: float = 1.0, position: str = "none"
) -> Strengths:
    """Estimate strengths by weighted least squares on the probabilities.

    Parameters
    ----------
    comparisons : Comparisons
    scale : float
        a: the difference of strengths that moves a probability by one. 4 gamma makes strengths
        of near items those of Bradley-Terry.
    position : str
        "none": the mean is one half for equal items; "mean": the mean probability.

    Returns
    -------
    Strengths
        With mean 0. Standard errors take the residual variance as that of all probabilities.

    Raises
    ------
    ModelError
        If the items are not connected.
    """
    if position not in POSITIONS[:2]:
        raise ModelError(f"Unknown position {shown(position)}; there is {listing(POSITIONS[:2])}.")
    if not (scale > 0 and math.isfinite(scale)):
        raise ModelError(f"The scale {scale} is no finite number above 0.")
    live = comparisons.select(comparisons.weight > 0)
    size = len(live.items)
    check_connected(groups(live.first, live.second, size), live.items)
    middle = 0.5
    if position == "mean":
        middle = float(np.average(live.probability, weights=live.weight))
    design = differences(live)  # (C, N)
    inner = information(design[:, :-1], live.weight, np.zeros(size - 1))  # the last stays at 0
    right = design[:, :-1].T @ (live.weight * (live.probability - middle))
    strength = np.append(solved(inner, right), 0.0)
    residual = live.probability - middle - design @ strength  # (C,)
    n_comparisons, rest = len(residual), len(residual) - (size - 1)
    square = float(live.weight @ residual**2)
    variance = square / rest if rest > 0 else math.nan
    matrix = np.pad(inverse(inner), (0, 1)) if size <= MOST_WITH_ERRORS else None
    return Strengths(
        items=live.items,
        strength=frozen(scale * (strength - strength.mean())),
        covariance=None if matrix is None else frozen(scale**2 * variance * centred(matrix)),
        position=middle - 0.5,
        position_error=math.nan,
        states=(OK,) * size,
        n_comparisons=taken_part(live),
        log_likelihood=_likelihood(square, n_comparisons, live.weight),
    )


def _likelihood(square: float, n_comparisons: int, weight: FloatArray) -> float:
    """Normal log-likelihood at its largest, in nats; infinite where the residuals are 0."""
    if square == 0:
        return math.inf
    spread = square / n_comparisons
    own = float(np.log(weight).sum()) - n_comparisons * (math.log(2 * math.pi * spread) + 1.0)
    return 0.5 * own
