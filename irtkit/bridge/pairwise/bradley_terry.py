r"""Strengths of items from comparisons: Bradley-Terry for probabilities as for wins.

The strengths maximise the weighted expected log-likelihood of the comparisons,

.. math:: \sum_c w_c [p_c \log \sigma(\eta_c) + (1 - p_c) \log \sigma(-\eta_c)], \qquad
    \eta_c = (s_i - s_j) / \gamma + b

a product of experts in which each comparison is one. With p of 0 and 1 that is the model of
Bradley and Terry. Strengths sum to zero unless some are known (`anchors`); b is the pull of the
first position. Trained and measured models of p are elsewhere: `pair_classifier.py`.

References
----------
Bradley, R. A., & Terry, M. E. (1952). Rank analysis of incomplete block designs: I. The method of
    paired comparisons. Biometrika, 39(3/4), 324-345.
Liusie, A., Raina, V., Fathullah, Y., & Gales, M. (2024). Efficient LLM comparative assessment: A
    product of experts framework for pairwise comparisons. arXiv:2405.05894.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import logit

from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.bridge.pairwise.comparisons import Comparisons
from irtkit.bridge.pairwise.errors_of_strengths import VARIANTS, centred, covariance
from irtkit.bridge.pairwise.graph import check_connected, check_position, groups, joined, sides
from irtkit.bridge.pairwise.newton import maximum
from irtkit.bridge.pairwise.scores import checked_scores
from irtkit.bridge.pairwise.strengths import ABOVE, ANCHOR, BELOW, OK, Strengths
from irtkit.errors import ModelError, NotConverged, count, listing, shown

POSITIONS = ("none", "mean", "joint")
MOST_WITH_ERRORS = 10_000  # items, for the square matrices of the covariance
FARTHEST = 30.0  # logits of a position's pull that mean infinity


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """How strengths are estimated.

    Parameters
    ----------
    gamma : float
        Divides differences of strengths before the logistic: the gamma of the soft targets, for
        strengths in the units of the scores behind them.
    position : str
        Pull of the first position: "none"; "mean": the log-odds of the weighted mean probability,
        right where each item is as often first as second; "joint": estimated with the strengths.
    ridge : float
        Precision of a normal prior on each s / gamma around 0. With 0, strengths are those of
        maximum likelihood, and an item that wins always has none that is finite.
    standard_errors : str or None
        "sandwich": from the residuals, each pair of items taken together. "information": as if
        each probability were a share of `weight` independent votes. None: none.
    """

    gamma: float = 1.0
    position: str = "none"
    ridge: float = 0.0
    standard_errors: str | None = "sandwich"

    def __post_init__(self) -> None:
        if not (self.gamma > 0 and math.isfinite(self.gamma)):
            raise ModelError(
                f"Strengths have no unit with gamma {self.gamma}: give a number above 0. For hard "
                "comparisons, 1 is usual."
            )
        if not (self.ridge >= 0 and math.isfinite(self.ridge)):
            raise ModelError(f"The ridge {self.ridge} is no finite number from 0 up.")
        if self.position not in POSITIONS:
            raise ModelError(
                f"Unknown position {shown(self.position)}; there is {listing(POSITIONS)}."
            )
        if self.standard_errors is not None and self.standard_errors not in VARIANTS:
            raise ModelError(
                f"Unknown standard errors {shown(self.standard_errors)}; there is "
                f"{listing(VARIANTS)}, or None."
            )


def bradley_terry(
    comparisons: Comparisons,
    *,
    method: BradleyTerry | None = None,
    anchors: pd.Series | Mapping[str, float] | None = None,
) -> Strengths:
    """Estimate the strengths of compared items.

    Parameters
    ----------
    comparisons : Comparisons
    method : BradleyTerry, optional
    anchors : Series or mapping, optional
        Known strengths of some items, in the unit of gamma: they stay, and the others are placed
        among them.

    Raises
    ------
    ModelError
        If the items are not connected, or groups of them are separated; the message names them.
    NotConverged
        If Newton's method does not settle.

    Notes
    -----
    An item that won (lost) all its comparisons has the state "always above" ("always below") and
    an infinite strength; the rest is estimated without it. A ridge makes all strengths finite.
    With "sandwich", standard errors tell how far the comparisons contradict each other. They know
    nothing of errors that all comparisons share, such as those of one judge's taste.
    """
    method = method or BradleyTerry()
    items = comparisons.items
    known = _known(items, {} if anchors is None else anchors)  # (N,)
    is_known = ~np.isnan(known)
    live = comparisons.select(comparisons.weight > 0)
    if method.ridge > 0:
        first, second = joined(live.first, live.second, is_known)
        check_connected(groups(first, second, len(items)), items)
        side = np.zeros(len(items), dtype=np.int64)
    else:
        side = sides(live.first, live.second, live.probability, is_known, items)
    finite = np.flatnonzero(side == 0)
    found = _maximised(_among(live, side), known[finite], method)
    words = {0: OK, 1: ABOVE, -1: BELOW}
    strength = np.where(side > 0, np.inf, -np.inf)  # (N,)
    strength[finite] = found.strength
    return Strengths(
        items=items,
        strength=frozen(strength),
        covariance=_widened(found.covariance, finite, len(items)),
        position=found.position,
        position_error=found.position_error,
        states=tuple(
            ANCHOR if anchor else words[at]
            for at, anchor in zip(side.tolist(), is_known, strict=True)
        ),
        n_comparisons=taken_part(live),
        log_likelihood=found.log_likelihood,
    )


def _known(items: tuple[str, ...], anchors: Any) -> FloatArray:
    """Known strengths in the order of the items, NaN where there is none, (N,)."""
    if not len(anchors):
        return np.full(len(items), np.nan)
    given = checked_scores(anchors, what="known strength")
    known = given.reindex(list(items)).to_numpy(np.float64)
    if np.isnan(known).all():
        raise ModelError(
            "None of the items with a known strength was compared. Compare some of them with the "
            "others."
        )
    if not np.isnan(known).any():
        raise ModelError("All compared items have a known strength: nothing is to be estimated.")
    return known


def taken_part(comparisons: Comparisons) -> IntArray:
    """Number of comparisons of each item, (N,)."""
    both = np.concatenate([comparisons.first, comparisons.second])
    return frozen(np.bincount(both, minlength=len(comparisons.items)), np.int64)


def _among(live: Comparisons, side: IntArray) -> Comparisons:
    """Comparisons between items of finite strength, these alone."""
    kept = live.select((side[live.first] == 0) & (side[live.second] == 0))
    place = np.cumsum(side == 0) - 1
    items = tuple(live.items[number] for number in np.flatnonzero(side == 0))
    parts = (kept.probability, kept.weight, kept.cluster)
    return Comparisons(items, place[kept.first], place[kept.second], *parts)


def _widened(matrix: FloatArray | None, finite: IntArray, size: int) -> FloatArray | None:
    if matrix is None or len(finite) == size:
        return matrix
    wide = np.full((size, size), np.nan)
    wide[np.ix_(finite, finite)] = matrix
    return frozen(wide)


def differences(comparisons: Comparisons, *, position: bool = False) -> sp.csr_array:
    """Design of the comparisons: 1 for the first item, -1 for the second, (C, N).

    Parameters
    ----------
    comparisons : Comparisons
    position : bool
        Add a column of ones.
    """
    size, n_items = len(comparisons.first), len(comparisons.items)
    ones, rows = np.ones(size), np.arange(size)
    places = [comparisons.first, comparisons.second, np.full(size, n_items)][: 2 + position]
    signs = [ones, -ones, ones][: 2 + position]
    cells = (np.concatenate(signs), (np.tile(rows, 2 + position), np.concatenate(places)))
    return sp.csr_array(sp.coo_array(cells, shape=(size, n_items + position)))


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Strengths (N,) and covariance (N, N) of items that all have finite ones."""

    strength: FloatArray
    covariance: FloatArray | None
    position: float
    position_error: float
    log_likelihood: float


def _maximised(live: Comparisons, known: FloatArray, method: BradleyTerry) -> _Found:
    """Maximise over the free strengths and, if asked for, the position's pull."""
    size, joint = len(live.items), method.position == "joint"
    design = differences(live, position=joint)  # (C, D)
    beta = np.append(np.nan_to_num(known / method.gamma), [0.0] * joint)  # (D,)
    free = _free(known, method)  # (F,)
    if joint:
        check_position(live.first, live.second, ~np.isnan(known))
    penalty = np.where(free < size, method.ridge, 0.0)
    fixed = _mean_pull(live) if method.position == "mean" else 0.0
    offset = design @ beta + fixed
    end = maximum(design[:, free], offset, live.probability, live.weight, penalty)
    beta[free] = end.coefficients
    position = float(beta[-1]) if joint else fixed
    if abs(position) > FARTHEST:
        raise NotConverged(
            "The pull of the first position has no end: no comparison of probability 0 or 1 "
            "contradicts it. Use position 'none', or probabilities between 0 and 1."
        )
    matrix = _covariance(live, design, free, beta, fixed, penalty, method)
    relative = bool(np.isnan(known).all())
    strength = beta[:size] - beta[:size].mean() * relative
    error = math.nan if matrix is None or not joint else math.sqrt(matrix[-1, -1])
    if matrix is not None:
        matrix = matrix[:size, :size]
        matrix = frozen(method.gamma**2 * (centred(matrix) if relative else matrix))
    return _Found(method.gamma * strength, matrix, position, error, end.log_likelihood)


def _free(known: FloatArray, method: BradleyTerry) -> IntArray:
    """Columns of the design whose coefficients are estimated, (F,)."""
    estimated = np.isnan(known)  # (N,)
    if estimated.all() and method.ridge == 0:
        estimated[-1] = False  # the last item stays at 0 until the strengths are centred
    return np.flatnonzero(np.append(estimated, [True] * (method.position == "joint")))


def _mean_pull(live: Comparisons) -> float:
    """Log-odds of the mean probability of the first position."""
    mean = float(np.average(live.probability, weights=live.weight))
    if not 0.0 < mean < 1.0:
        raise ModelError(
            f"The mean probability of the first position is {mean:g}: the pull has no end. Put "
            "the pairs in random order, or use position 'none'."
        )
    return float(logit(mean))


def _covariance(
    live: Comparisons,
    design: sp.csr_array,
    free: IntArray,
    beta: FloatArray,
    fixed: float,
    penalty: FloatArray,
    method: BradleyTerry,
) -> FloatArray | None:
    if method.standard_errors is None:
        return None
    if len(live.items) > MOST_WITH_ERRORS:
        raise ModelError(
            f"Standard errors of {count(len(live.items), 'item')} need square matrices of that "
            f"size; they are made for at most {MOST_WITH_ERRORS:,}. Ask for none."
        )
    logits = design @ beta + fixed  # (C,)
    return covariance(live, design, free, logits, penalty, variant=method.standard_errors)
