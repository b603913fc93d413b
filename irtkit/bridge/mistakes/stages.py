"""Training, then fine-tuning on what the model mistook: both stages and the record between them.

The second stage begins with the trained classifier and has a method of its own. Its learning rate
in the literature is a hundredth of the first's or less: a set of nothing but mistakes, some of
them wrong labels, undoes at the first rate what was learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.mistakes.accuracy_change import accuracy_change
from irtkit.bridge.mistakes.expressions import evaluated
from irtkit.bridge.mistakes.record import MistakeRecord, mistaken_set
from irtkit.bridge.mistakes.recorder import MistakeRecorder, categories_of, right_labels
from irtkit.bridge.training.classifiers import Classifier
from irtkit.bridge.training.train import Training, TrainingRun, train

LATER_RATE = 2.5e-7  # between the rates of the literature, 2.0e-7 and 2.7e-7
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class MistakeTraining:
    """A training and the fine-tuning on its mistakes.

    Attributes
    ----------
    first : TrainingRun
        On all examples; its classifier is the one before.
    record : MistakeRecord
        Of all examples, after each of its epochs.
    chosen : FinetuningSet
        The mistaken examples.
    second : TrainingRun
        On those; its classifier is the one after.
    """

    first: TrainingRun
    record: MistakeRecord
    chosen: FinetuningSet
    second: TrainingRun


def train_on_mistakes(
    classifier: Classifier,
    examples: FinetuningSet,
    expression: str = "e1 & e2 & e3",
    *,
    method: Training | None = None,
    again: Training | None = None,
    folder: str | Path | None = None,
) -> MistakeTraining:
    """Train on all examples, then fine-tune on those that were mistaken.

    Parameters
    ----------
    classifier : TransformerClassifier or ModuleClassifier
        Is left unchanged.
    examples : FinetuningSet
    expression : str
        Which examples the second stage has; see `chosen`.
    method : Training, optional
        Of the first stage.
    again : Training, optional
        Of the second stage; by default the first's with one epoch, a learning rate of 2.5e-7 and
        no warm-up.
    folder : path, optional
        For the checkpoints of both stages, from which the same call continues.

    Raises
    ------
    ModelError
        If the expression cannot be read or names an epoch that there will not be, before any
        training; if it chooses no example; or as `train` does.
    """
    method = Training() if method is None else method
    if again is None:
        again = replace(method, epochs=1, learning_rate=LATER_RATE, warmup=0.0)
    evaluated(expression, np.ones((method.epochs, 1), dtype=bool))
    places = [None if folder is None else Path(folder) / stage for stage in ("first", "second")]
    recorder = MistakeRecorder(examples)
    first = train(classifier, examples, method=method, folder=places[0], observers=[recorder])
    record = recorder.record()
    picked = mistaken_set(examples, record, expression)
    second = train(first.classifier, picked, method=again, folder=places[1])
    return MistakeTraining(first, record, picked, second)


def before_after(
    before: Classifier,
    after: Classifier,
    examples: FinetuningSet,
    *,
    categories: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Compare the accuracy of two classifiers on the same examples, by category.

    Examples with the same first text are not taken as independent.

    Parameters
    ----------
    before, after : Classifier
    examples : FinetuningSet
        What neither was trained on.
    categories : mapping, optional
        Item id to category.

    Returns
    -------
    DataFrame
        See `accuracy_change`, which takes several runs together.
    """
    items = tuple(map(str, examples.rows["item"]))
    named = () if categories is None else categories_of(items, categories)
    return accuracy_change(
        right_labels(before, examples),
        right_labels(after, examples),
        named,
        clusters=examples.rows["text"].tolist(),
    )
