"""Training examples that a model mistakes, epoch by epoch, and fine-tuning on them.

`record.py` has the noun and the choice by Boolean combinations of epochs (`expressions.py`),
`recorder.py` the observer that makes it, `data_maps.py` its files and statistics, `stages.py`
trains twice, `accuracy_change.py` says what changed.
"""

from irtkit.bridge.mistakes.accuracy_change import accuracy_change
from irtkit.bridge.mistakes.data_maps import data_map, read_data_map, write_data_map
from irtkit.bridge.mistakes.record import (
    MistakeRecord,
    chosen,
    epoch_summary,
    mistake_counts,
    mistaken_set,
)
from irtkit.bridge.mistakes.recorder import MistakeRecorder
from irtkit.bridge.mistakes.stages import MistakeTraining, before_after, train_on_mistakes

__all__ = [
    "MistakeRecord",
    "MistakeRecorder",
    "MistakeTraining",
    "accuracy_change",
    "before_after",
    "chosen",
    "data_map",
    "epoch_summary",
    "mistake_counts",
    "mistaken_set",
    "read_data_map",
    "train_on_mistakes",
    "write_data_map",
]
