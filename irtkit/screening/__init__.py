"""Screening: calibrate, flag, drop, recalibrate, until the rules have nothing left to say.

`sequence.py` holds the loop and the log; `objections.py` says what a rule is; rules are in
`item_rules.py` and `pair_rules.py`, notes in `observations.py`, named sequences in `presets.py`.
What to think of the result: `robustness.py`, `controls.py`, `confirmation.py`,
`before_after.py`.
"""

from irtkit.screening.before_after import before_and_after
from irtkit.screening.confirmation import confirm
from irtkit.screening.controls import screening_controls, shuffled
from irtkit.screening.item_rules import (
    Communality,
    DeadItems,
    InfitRange,
    ItemFit,
    ItemRest,
    ItemStates,
    LowInformation,
    TwinItems,
    communality,
)
from irtkit.screening.objections import Flag, Observation, Rule
from irtkit.screening.observations import Eigenvalues, LowerAsymptotes, WholeModel
from irtkit.screening.pair_rules import PairDependence
from irtkit.screening.presets import PRESETS, preset
from irtkit.screening.robustness import OrderRobustness, order_robustness
from irtkit.screening.sequence import LOG_COLUMNS, Decision, Screening, screen

__all__ = [
    "LOG_COLUMNS",
    "PRESETS",
    "Communality",
    "DeadItems",
    "Decision",
    "Eigenvalues",
    "Flag",
    "InfitRange",
    "ItemFit",
    "ItemRest",
    "ItemStates",
    "LowInformation",
    "LowerAsymptotes",
    "Observation",
    "OrderRobustness",
    "PairDependence",
    "Rule",
    "Screening",
    "TwinItems",
    "WholeModel",
    "before_and_after",
    "communality",
    "confirm",
    "order_robustness",
    "preset",
    "screen",
    "screening_controls",
    "shuffled",
]
