"""How well items and pairs of items follow the model: (responses, calibration) -> table."""

from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.local_dependence import local_dependence
from irtkit.diagnostics.multiplicity import adjust

__all__ = ["adjust", "item_fit", "local_dependence"]
