"""Abilities of persons, given a calibration: nothing here re-estimates an item.

`score` is the verb, `Scores` its result. `summed.py` has the likelihood of summed scores,
`modal.py` MAP, ML and WLE, `information.py` what a test tells at each ability.
"""

from irtkit.scoring.information import Reliability, reliability, test_information
from irtkit.scoring.scores import Scores, plausible_values, score
from irtkit.scoring.summed import summed_scores

__all__ = [
    "Reliability",
    "Scores",
    "plausible_values",
    "reliability",
    "score",
    "summed_scores",
    "test_information",
]
