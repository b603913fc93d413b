r"""Pairs with soft targets from known scores.

.. math:: p_{ij} = \sigma((s_i - s_j) / \gamma)

A large gamma pushes the targets towards one half, gamma = 0 makes them hard: 1, 0, and one half
for a tie. (This is irtkit's convention; some papers multiply by their gamma.)

References
----------
The soft comparisons of arXiv:2409.15979, which finds gamma around 5 best for response times and
difficulties of examination items.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import expit

from irtkit.arrays import FloatArray
from irtkit.bridge.pairwise.comparisons import Comparisons
from irtkit.bridge.pairwise.designs import design_pairs
from irtkit.bridge.pairwise.scores import checked_scores
from irtkit.errors import ModelError


def soft_target(difference: FloatArray, gamma: float) -> FloatArray:
    """Probability that the first stands above, from the difference of the scores.

    Parameters
    ----------
    difference : array
        First less second.
    gamma : float
        In the unit of the scores, from 0 (hard) up.

    Raises
    ------
    ModelError
        If gamma is negative or no number.
    """
    if not gamma >= 0 or math.isinf(gamma):
        raise ModelError(f"gamma is a number from 0 (hard targets) up, not {gamma}.")
    if gamma == 0:
        return np.asarray((np.sign(difference) + 1.0) / 2.0)
    with np.errstate(over="ignore"):
        return np.asarray(expit(difference / gamma))


def soft_pairs(
    scores: Any,
    n_pairs: int | None = None,
    *,
    design: str = "balanced",
    gamma: float = 1.0,
    seed: int | np.random.Generator,
) -> Comparisons:
    """Choose pairs of scored items and give each its soft target.

    Parameters
    ----------
    scores : Series or mapping
        Score of each item.
    n_pairs, design, seed
        As in `design_pairs`.
    gamma : float
        As in `soft_target`.

    Raises
    ------
    ResponseError
        If an item is named twice, or a score is no finite number.
    """
    known = checked_scores(scores)
    pairs = design_pairs(len(known), n_pairs, design=design, seed=seed)
    values = known.to_numpy()
    targets = soft_target(values[pairs[:, 0]] - values[pairs[:, 1]], gamma)
    return Comparisons.from_arrays(list(known.index), pairs, targets)
