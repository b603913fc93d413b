"""Which pretrained encoder to start from, judged by its features before any training.

`ranking.py` asks, `transferability.py` judges.
"""

from irtkit.bridge.encoders.ranking import CRITERIA, PretrainedEncoder, rank_encoders
from irtkit.bridge.encoders.transferability import (
    h_score,
    log_me,
    neighbour_accuracy,
    shrunk_h_score,
)

__all__ = [
    "CRITERIA",
    "PretrainedEncoder",
    "h_score",
    "log_me",
    "neighbour_accuracy",
    "rank_encoders",
    "shrunk_h_score",
]
