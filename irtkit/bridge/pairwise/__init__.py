"""Soft pairwise comparisons: pairs, judges, strengths, and difficulties of unanswered items.

A comparison is two items and the probability that the first stands above the second. `designs.py`
chooses pairs, `soft_pairs.py` makes their targets from known scores, `pair_classifier.py` trains
a model that judges them, `bradley_terry.py` and `gaussian.py` turn judgements into strengths,
`cold_start.py` predicts difficulties of items that nobody answered.
"""

from __future__ import annotations

from irtkit.bridge.pairwise.agreement import agreement
from irtkit.bridge.pairwise.bradley_terry import BradleyTerry, bradley_terry
from irtkit.bridge.pairwise.cold_start import (
    Placement,
    cross_predicted,
    difficulty_by_pairs,
    difficulty_by_regression,
)
from irtkit.bridge.pairwise.comparisons import Comparisons
from irtkit.bridge.pairwise.designs import DESIGNS, design_pairs
from irtkit.bridge.pairwise.gaussian import gaussian_strengths
from irtkit.bridge.pairwise.pair_classifier import judged, pair_set, text_of_items
from irtkit.bridge.pairwise.soft_pairs import soft_pairs, soft_target
from irtkit.bridge.pairwise.strengths import Strengths

__all__ = [
    "DESIGNS",
    "BradleyTerry",
    "Comparisons",
    "Placement",
    "Strengths",
    "agreement",
    "bradley_terry",
    "cross_predicted",
    "design_pairs",
    "difficulty_by_pairs",
    "difficulty_by_regression",
    "gaussian_strengths",
    "judged",
    "pair_set",
    "soft_pairs",
    "soft_target",
    "text_of_items",
]
