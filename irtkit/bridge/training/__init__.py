"""Classifiers, and training them on fine-tuning sets.

`train.py` says what is asked for and found; the run itself, on the Transformers library's Trainer,
is `run.py`, with what happens between its steps in `listener.py`. `classifiers.py` has the nouns,
`losses.py` the losses, `nse.py` a small network trained from scratch. PyTorch and Transformers are
imported when something is trained or classified, not before.
"""

from irtkit.bridge.training.classifiers import (
    CallableClassifier,
    Classifier,
    ModuleClassifier,
    TransformerClassifier,
    read_classifier,
    write_classifier,
)
from irtkit.bridge.training.train import LoRA, Observer, Training, TrainingRun, train

__all__ = [
    "CallableClassifier",
    "Classifier",
    "LoRA",
    "ModuleClassifier",
    "Observer",
    "Training",
    "TrainingRun",
    "TransformerClassifier",
    "read_classifier",
    "train",
    "write_classifier",
]
