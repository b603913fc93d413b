"""Item response functions: the log-probability of each answer category given theta.

One family a file. A model holds no data and no estimates: parameters come in as an array, one
row an item. `MODELS` finds a model by the name that files carry; `Assignment` says which model
each item of a set has.
"""

from irtkit.models.assignment import Assignment, Family
from irtkit.models.asymptotes import FourPL, ThreePL
from irtkit.models.divide_by_total import (
    DivideByTotal,
    GeneralizedPartialCredit,
    Nominal,
    OnePL,
    PartialCredit,
    Rasch,
    TwoPL,
)
from irtkit.models.graded import Graded
from irtkit.models.item_model import ItemModel, SlopeRule

MODELS: dict[str, ItemModel] = {
    model.name: model
    for model in (
        Rasch(),
        OnePL(),
        TwoPL(),
        ThreePL(),
        FourPL(),
        Graded(),
        PartialCredit(),
        GeneralizedPartialCredit(),
        Nominal(),
    )
}

__all__ = [
    "MODELS",
    "Assignment",
    "DivideByTotal",
    "Family",
    "FourPL",
    "GeneralizedPartialCredit",
    "Graded",
    "ItemModel",
    "Nominal",
    "OnePL",
    "PartialCredit",
    "Rasch",
    "SlopeRule",
    "ThreePL",
    "TwoPL",
]
