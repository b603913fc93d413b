"""Many models on one scale: leaderboards with intervals, rank intervals, paired comparisons.

`field.py` calibrates and screens items from the models' own answers, `leaderboard.py` places the
models, `paired.py` compares them two by two, `ranks.py` bounds their ranks, `clusters.py` has the
errors of accuracies where items come in groups.
"""

from irtkit.bridge.ranking.field import screen_field
from irtkit.bridge.ranking.leaderboard import leaderboard
from irtkit.bridge.ranking.paired import paired_comparison

__all__ = ["leaderboard", "paired_comparison", "screen_field"]
