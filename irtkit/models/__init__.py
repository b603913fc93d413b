"""Item response functions: the log-probability of each answer category given theta.

One family a file. A model holds no data and no estimates: parameters come in as an array, one
row an item. `MODELS` finds a model by the name that files carry.
"""

from irtkit.models.dichotomous import OnePL, Rasch, TwoPL
from irtkit.models.item_model import ItemModel, SlopeRule

MODELS: dict[str, ItemModel] = {model.name: model for model in (Rasch(), OnePL(), TwoPL())}

__all__ = ["MODELS", "ItemModel", "OnePL", "Rasch", "SlopeRule", "TwoPL"]
