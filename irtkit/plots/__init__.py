"""Pictures: a result goes in, matplotlib axes come out; nothing is computed here.

`curves.py` holds items along ability, `persons.py` persons and items on the scale, `pairs.py`
local dependence, `course.py` screening, estimation and dimensions, `models.py` models side by
side, `posteriors.py` the Bayesian engine. `facets` puts many items in panels, `write_picture`
writes a file; the looks are in `style.py`. matplotlib is loaded with the first picture.
"""

from irtkit.plots.course import convergence, eigenvalues, screening_path
from irtkit.plots.curves import (
    category_curves,
    group_curves,
    item_curve,
    score_curve,
    score_residuals,
)
from irtkit.plots.models import finetuning_curve, label_bars, leaderboard
from irtkit.plots.pairs import dependence_graph, dependence_map
from irtkit.plots.persons import (
    ability_distribution,
    information,
    percentile_curve,
    wright_map,
)
from irtkit.plots.pictures import facets, picture, write_picture
from irtkit.plots.posteriors import (
    forest,
    item_check,
    pair_check,
    prior_curves,
    score_check,
    trace,
)

__all__ = [
    "ability_distribution",
    "category_curves",
    "convergence",
    "dependence_graph",
    "dependence_map",
    "eigenvalues",
    "facets",
    "finetuning_curve",
    "forest",
    "group_curves",
    "information",
    "item_check",
    "item_curve",
    "label_bars",
    "leaderboard",
    "pair_check",
    "percentile_curve",
    "picture",
    "prior_curves",
    "score_check",
    "score_curve",
    "score_residuals",
    "screening_path",
    "trace",
    "wright_map",
    "write_picture",
]
