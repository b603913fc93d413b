"""Training a classifier on a fine-tuning set: what is asked for, checked at the door, and found.

`train` returns a trained copy. The run itself, on the `Trainer` of the Transformers library, is
in `run.py`; the losses are in `losses.py`, the checkpoints' folder in `checkpoints.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.finetuning.leaks import check_leak
from irtkit.bridge.training.classifiers import (
    Classifier,
    ModuleClassifier,
    Trainable,
    TransformerClassifier,
    check_texts,
    usable_device,
)
from irtkit.bridge.training.extras import extra
from irtkit.errors import ModelError, count, listing, nearest, shown

LOSS_NAMES = ("cross_entropy", "mse", "soft_cross_entropy", "kl", "pairwise")
PRECISIONS = ("float32", "bfloat16", "float16")
SUM_TOLERANCE = 1e-6  # of a target distribution
FEW = 1  # examples of a label that are too few to learn it from

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LoRA:
    """Low-rank adapters: only they and the classification head are trained, then merged in.

    Attributes
    ----------
    rank : int
    alpha : float
        Adapters are scaled by alpha / rank.
    dropout : float
    modules : tuple of str
        Ends of the names of the layers to adapt; by default those that the library knows for the
        architecture.

    References
    ----------
    Hu, E. J., et al. (2022). LoRA: Low-rank adaptation of large language models. ICLR.
        arXiv:2106.09685.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Training:
    """How a classifier is trained: AdamW, a linear warm-up and a linear way down to zero.

    Attributes
    ----------
    epochs : int
    learning_rate : float
        Its largest value.
    batch_size : int
        Items that go through the network at once.
    loss : str
        One of `LOSS_NAMES`; see `losses.py`. Targets are the set's label distributions.
    weight_decay : float
        Not on biases and layer norms.
    warmup : float
        Share of the steps during which the learning rate rises.
    accumulate : int
        Batches to a step; the loss is that of one batch of all their items.
    clip : float
        Largest norm of the gradient; longer ones are scaled down.
    precision : str
        "float32", or mixed precision in "bfloat16" or "float16" (on a GPU only).
    patience : int, optional
        Stop after so many epochs without a smaller development loss.
    checkpoint_every : int, optional
        Steps between checkpoints, besides the one after each epoch.
    lora : LoRA, optional
        Train low-rank adapters instead of all weights.
    device : str
        "cpu", "cuda", "mps".
    seed : int
        Of the order of the examples, dropout and adapters.
    """

    epochs: int = 3
    learning_rate: float = 2e-5
    batch_size: int = 32
    loss: str = "cross_entropy"
    weight_decay: float = 0.01
    warmup: float = 0.06
    accumulate: int = 1
    clip: float = 1.0
    precision: str = "float32"
    patience: int | None = None
    checkpoint_every: int | None = None
    lora: LoRA | None = None
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("loss", LOSS_NAMES), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in known:
                raise ModelError(
                    f"Unknown {name} {shown(value)}; there is {listing(known)}."
                    f"{nearest(str(value), known)}"
                )
        for name in ("epochs", "batch_size", "accumulate", "patience", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ModelError(f"{name} is {shown(value)}; it must be a whole number from 1.")
        for name, low, high in (
            ("learning_rate", 0.0, 10.0),
            ("weight_decay", 0.0, 10.0),
            ("warmup", 0.0, 1.0),
            ("clip", 0.0, np.inf),
        ):
            if not low <= getattr(self, name) <= high:
                raise ModelError(
                    f"{name} is {getattr(self, name)}; it must lie between {low} and {high}."
                )


@runtime_checkable
class Observer(Protocol):
    """Who looks at the classifier after each epoch.

    After a resumption, epochs that were done before are not shown again, unless the observer also
    has the methods of `Resumable`.
    """

    def after_epoch(self, epoch: int, classifier: Classifier) -> None:
        """Look at the classifier after an epoch (from 1); it changes with the next one."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """An observer whose findings are kept with the checkpoints."""

    def state(self) -> dict[str, Any]:
        """Give the findings as a document of JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take up findings that `state` gave."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRun:
    """A trained classifier and how it came about.

    Attributes
    ----------
    classifier : Classifier
        The trained copy: after the epoch with the least development loss, or the last epoch where
        there is no development set.
    history : DataFrame
        One row an epoch: epoch, step (so far), loss (mean over the steps of the epoch),
        development_loss, development_accuracy (NaN without a development set).
    losses : array, shape (steps,)
        Loss of each step.
    best_epoch : int
        The epoch of the classifier, from 1.
    n_truncated : int
        Training texts that were cut at the classifier's length.
    method : Training
    notes : tuple of str
        What was noticed.
    """

    classifier: Trainable
    history: pd.DataFrame
    losses: np.ndarray
    best_epoch: int
    n_truncated: int
    method: Training
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What is to be done, checked."""

    classifier: Trainable
    examples: FinetuningSet
    development: FinetuningSet | None
    method: Training
    notes: tuple[str, ...]


def train(
    classifier: Classifier,
    examples: FinetuningSet,
    *,
    method: Training | None = None,
    development: FinetuningSet | None = None,
    folder: str | Path | None = None,
    observers: Sequence[Observer] = (),
    progress: Progress | None = None,
) -> TrainingRun:
    """Train a copy of a classifier on a fine-tuning set.

    Parameters
    ----------
    classifier : TransformerClassifier or ModuleClassifier
        Is left unchanged.
    examples : FinetuningSet
        Its label distributions are the targets, its weights weigh the items.
    method : Training, optional
    development : FinetuningSet, optional
        Items that are not trained on: their loss after each epoch chooses the epoch.
    folder : path, optional
        For checkpoints. The same call continues a run that was interrupted where it was; on a
        CPU, with the losses that it would have had. A finished run is read, not repeated.
    observers : sequence of Observer
        Shown the classifier after each epoch.
    progress : callable, optional
        Called after each step with the number of steps done and of all.

    Returns
    -------
    TrainingRun

    Raises
    ------
    ModelError
        If the classifier cannot be trained, its labels are not the set's, the targets are no
        distributions or of one label only, items are in both sets, or the device is not there.
    FileError
        If the folder holds another run.
    NotConverged
        If the loss is no longer a number, or memory does not suffice. The last checkpoint is kept.
    """
    method = Training() if method is None else method
    checked = _trainable(classifier)
    _check_labels(checked, examples)
    notes = _check_examples(examples, method)
    if development is not None:
        _check_labels(checked, development)
        _check_examples(development, method, of_one_label=True)
        check_leak(examples, development, what="development")
    elif method.patience is not None:
        raise ModelError("patience needs a development set, whose loss tells when to stop.")
    _check_machine(checked, method)
    work = Work(checked, examples, development, method, notes)
    place = None if folder is None else Path(folder)
    run = extra("irtkit.bridge.training.run")
    found: TrainingRun = run.trained(work, place, tuple(observers), progress)
    return found


def _trainable(classifier: Classifier) -> Trainable:
    if not isinstance(classifier, (TransformerClassifier, ModuleClassifier)):
        raise ModelError(
            f"A {type(classifier).__name__} only answers and cannot be trained. Give a "
            "TransformerClassifier or a ModuleClassifier."
        )
    return classifier


def _check_machine(classifier: Trainable, method: Training) -> None:
    """Refuse, before any work, what this machine or this network cannot do."""
    usable_device(method.device)
    if method.precision == "float16" and method.device != "cuda":
        raise ModelError("float16 needs a GPU (device cuda); bfloat16 runs on a CPU too.")
    if method.lora is not None:
        if not isinstance(classifier, TransformerClassifier):
            raise ModelError("lora is for a TransformerClassifier; train all of your own network.")
        extra("peft")


def _check_labels(classifier: Classifier, examples: FinetuningSet) -> None:
    if set(classifier.labels) != set(examples.label_set):
        raise ModelError(
            f"The classifier knows the labels {listing(classifier.labels, 12)}, and the set "
            f"'{examples.name}' has {listing(examples.label_set, 12)}. Both must be the same."
        )


def targets_of(examples: FinetuningSet, labels: Sequence[str]) -> np.ndarray:
    """Give the label distributions (N, L) in the order of `labels`."""
    order = [examples.label_set.index(label) for label in labels]
    return examples.distributions[:, order]  # (N, L)


def gold_of(examples: FinetuningSet, labels: Sequence[str]) -> np.ndarray:
    """Give the place of each gold label in `labels`, (N,)."""
    places = np.array([list(labels).index(label) for label in examples.label_set])
    return np.asarray(places[examples.rows["label"].to_numpy(int)])


def _check_examples(
    examples: FinetuningSet, method: Training, *, of_one_label: bool = False
) -> tuple[str, ...]:
    """Refuse what cannot be trained on, and note labels that can hardly be learnt."""
    rows = examples.rows
    if rows.empty:
        raise ModelError(f"The set '{examples.name}' is empty: there is nothing to train on.")
    check_texts(rows)
    _check_targets(examples, method)
    weights = rows["weight"].to_numpy(float)
    if not (np.isfinite(weights) & (weights >= 0)).all() or weights.sum() <= 0:
        raise ModelError(
            f"Weights of the set '{examples.name}' are negative, not finite or all zero. Weights "
            "say how much an item counts: zero or more."
        )
    mass = (targets_of(examples, examples.label_set) * weights[:, None]).sum(axis=0)  # (L,)
    found = [label for label, has in zip(examples.label_set, mass, strict=True) if has > 0]
    if len(found) < 2 and not of_one_label:
        raise ModelError(
            f"Every example of the set '{examples.name}' has the label {listing(found)}: a "
            "classifier trained on it would learn to say nothing else. Add examples of another "
            "label."
        )
    tally = np.bincount(rows["label"].to_numpy(int), minlength=len(examples.label_set))
    return tuple(
        f"The label '{label}' has {count(n, 'example')} in the set '{examples.name}'; that is too "
        "few to learn it from."
        for label, n in zip(examples.label_set, tally.tolist(), strict=True)
        if n == FEW
    )


def _check_targets(examples: FinetuningSet, method: Training) -> None:
    """Refuse targets that are no distributions, or none that the loss is for."""
    n_labels = len(examples.label_set)
    ragged = [len(row) != n_labels for row in examples.rows["label_distribution"]]
    targets = np.zeros((1, 1)) if any(ragged) else targets_of(examples, examples.label_set)
    sums = targets.sum(axis=1)
    wrong = ~((targets >= 0).all(axis=1) & (np.abs(sums - 1.0) <= SUM_TOLERANCE))
    faulty = np.array(ragged) if any(ragged) else wrong
    if faulty.any():
        items = examples.rows["item"][faulty]
        raise ModelError(
            f"{count(int(faulty.sum()), 'item')} of the set '{examples.name}' without a "
            f"distribution over its {n_labels} labels: {listing(items)}. Its numbers must be from "
            "0 to 1 and sum to one."
        )
    if method.loss == "cross_entropy" and (targets.max(axis=1) < 1.0 - SUM_TOLERANCE).any():
        raise ModelError(
            f"The targets of the set '{examples.name}' are distributions, and the loss "
            "cross_entropy is for gold labels. Choose soft_cross_entropy, kl or mse, or the "
            "target gold."
        )
    if method.loss == "pairwise" and n_labels != 2:
        raise ModelError(f"The loss pairwise is for two labels, not {n_labels}.")
