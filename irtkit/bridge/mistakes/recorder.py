"""Recording what a classifier makes of examples after each epoch of a training.

`MistakeRecorder` is an observer of `train`: after each epoch it asks the classifier about all its
examples, in evaluation mode, which costs one prediction of the set an epoch. Its findings are kept
with the checkpoints, so that a training that was killed and resumed loses none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from irtkit.arrays import BoolArray, FloatArray
from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.mistakes.record import NO_CATEGORY, MistakeRecord, check_probabilities
from irtkit.errors import PredictionError, count, listing

if TYPE_CHECKING:
    from irtkit.bridge.training.classifiers import Classifier

TEXTS = ("item", "text", "text_pair")


def label_probabilities(classifier: Classifier, examples: FinetuningSet) -> FloatArray:
    """Return a classifier's probabilities of the examples' labels, shape (N, L).

    Columns are in the order of the examples' label set, whatever the classifier's.

    Raises
    ------
    PredictionError
        If the labels differ, or the classifier gives no probabilities.
    """
    if set(classifier.labels) != set(examples.label_set):
        raise PredictionError(
            f"The classifier's labels are {listing(classifier.labels)}, those of the examples "
            f"{listing(examples.label_set)}. They must be the same."
        )
    rows = examples.rows
    order = [classifier.labels.index(label) for label in examples.label_set]
    found = np.asarray(
        classifier.probabilities(rows[[name for name in TEXTS if name in rows]]), dtype=np.float64
    )  # (N, L)
    if found.shape != (len(rows), len(order)):
        raise PredictionError(
            f"The classifier gave probabilities of shape {found.shape} for "
            f"{count(len(rows), 'text')} and {count(len(order), 'label')}."
        )
    check_probabilities(found, tuple(map(str, rows["item"])))
    return found[:, order]


def right_labels(classifier: Classifier, examples: FinetuningSet) -> BoolArray:
    """Whether the most probable label of each example is its gold label, shape (N,)."""
    gold = examples.rows["label"].to_numpy(np.int64)
    return label_probabilities(classifier, examples).argmax(axis=1) == gold


class MistakeRecorder:
    """An observer of `train` that records the mistakes after each epoch.

    Parameters
    ----------
    examples : FinetuningSet
        Whose mistakes are recorded: the training set, or any other.
    categories : mapping, optional
        Item id to category, for counts.

    Raises
    ------
    PredictionError
        If examples lack a category.
    """

    def __init__(
        self, examples: FinetuningSet, *, categories: Mapping[str, str] | None = None
    ) -> None:
        self.examples = examples
        self._items = tuple(map(str, examples.rows["item"]))
        self._categories = categories_of(self._items, categories)
        self._epochs: dict[int, FloatArray] = {}
        self._fingerprint = ""

    def after_epoch(self, epoch: int, classifier: Classifier) -> None:
        """Ask the classifier about all examples after an epoch, counted from 1.

        What was recorded of this epoch and later ones, by an earlier training, is forgotten.
        """
        table = label_probabilities(classifier, self.examples)  # (N, L)
        self._epochs = {e: known for e, known in self._epochs.items() if e < epoch}
        self._epochs[epoch] = table

    def record(self) -> MistakeRecord:
        """Return what was recorded.

        Raises
        ------
        PredictionError
            If no epoch was recorded, or one before the last was not.
        """
        if not self._epochs:
            raise PredictionError(
                "No epoch was recorded. Hand the recorder to `train` as an observer."
            )
        absent = [
            f"e{epoch}" for epoch in range(1, max(self._epochs)) if epoch not in self._epochs
        ]
        if absent:
            raise PredictionError(
                f"Not recorded: {listing(absent)}. Hand the same recorder to `train` as an "
                "observer from the first epoch on."
            )
        tables = np.stack([self._epochs[epoch] for epoch in sorted(self._epochs)])  # (E, N, L)
        gold = self.examples.rows["label"].to_numpy(np.int64)
        labels = self.examples.label_set
        return MistakeRecord(self._items, labels, gold, tables, self._categories)

    def state(self) -> dict[str, Any]:
        """Give what was recorded so far as a document of JSON, exactly."""
        return {
            "examples": self._identity(),
            "epochs": {
                str(epoch): base64.b64encode(table.astype("<f8").tobytes()).decode()
                for epoch, table in self._epochs.items()
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave.

        Raises
        ------
        PredictionError
            If it was recorded of other examples.
        """
        shape = (len(self._items), len(self.examples.label_set))
        bytes_of = {int(e): base64.b64decode(text) for e, text in state["epochs"].items()}
        sizes = {len(content) for content in bytes_of.values()}
        same = state["examples"] == self._identity()
        if not same or sizes - {8 * shape[0] * shape[1]}:
            raise PredictionError(
                "The interrupted training recorded the mistakes of other examples. Resume it with "
                "the same ones, or train into another folder."
            )
        self._epochs = {
            epoch: np.frombuffer(content, dtype="<f8").astype(np.float64).reshape(shape)
            for epoch, content in bytes_of.items()
        }

    def _identity(self) -> str:
        """Hash of the examples, made once."""
        if not self._fingerprint:
            self._fingerprint = self.examples.fingerprint()
        return self._fingerprint


def categories_of(items: tuple[str, ...], categories: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the category of each item; "all" without categories.

    Raises
    ------
    PredictionError
        If an item has none.
    """
    if categories is None:
        return (NO_CATEGORY,) * len(items)
    absent = [item for item in items if item not in categories]
    if absent:
        raise PredictionError(
            f"{count(len(absent), 'example')} without a category: {listing(absent)}. Give each "
            "example one."
        )
    return tuple(str(categories[item]) for item in items)
