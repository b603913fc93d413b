"""Fine-tuning sets: texts with training targets, from evaluation scales or labelled corpora.

`examples.py` has the noun, `scale_sets.py` makes it of scales, `selection.py` chooses and orders
by item parameters, `files.py` writes and `reading.py` reads, `leaks.py` finds evaluation items
among training items.
"""

from irtkit.bridge.finetuning.examples import FinetuningSet, labelled_set
from irtkit.bridge.finetuning.files import write_finetuning_set
from irtkit.bridge.finetuning.leaks import check_leak
from irtkit.bridge.finetuning.reading import read_finetuning_set
from irtkit.bridge.finetuning.scale_sets import Soft, finetuning_set, snli_texts
from irtkit.bridge.finetuning.selection import (
    balanced_examples,
    difficulty_matched,
    filtered_examples,
    first_examples,
    ordered_examples,
    random_examples,
)

__all__ = [
    "FinetuningSet",
    "Soft",
    "balanced_examples",
    "check_leak",
    "difficulty_matched",
    "filtered_examples",
    "finetuning_set",
    "first_examples",
    "labelled_set",
    "ordered_examples",
    "random_examples",
    "read_finetuning_set",
    "snli_texts",
    "write_finetuning_set",
]
