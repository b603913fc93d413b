"""One cell of a CIFT experiment: a classifier fine-tuned in one way, and what it scores.

A cell is a pre-trained classifier (seed, size) under one treatment. Its result is a document of
numbers and texts, kept as one sealed JSON file, so that a run that was stopped knows which cells
are done. Which cells there are is `plan.py`, their tables are `tables.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from irtkit.bridge.cift.confidence import prediction_quality
from irtkit.bridge.cift.plan import LOSS_OF, CiftPlan, Treatment, examples_for
from irtkit.bridge.finetuning.examples import TEXT_COLUMNS, FinetuningSet, checked_texts
from irtkit.bridge.finetuning.selection import random_examples
from irtkit.bridge.training.classifiers import Trainable, TransformerClassifier
from irtkit.bridge.training.extras import extra
from irtkit.bridge.training.train import Training, TrainingRun, train
from irtkit.coding import Coding
from irtkit.io.documents import read_json, sealed, unsealed, write_json
from irtkit.layout import Long
from irtkit.responses import Responses
from irtkit.scale import EvaluationScale, scale_score

SCHEMA = "irtkit/cift-cell/1"
FROM_SCRATCH = "nse"  # the plain network, instead of a pretrained encoder


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a result belongs.

    Attributes
    ----------
    size : int
        Source examples that the classifier was pre-trained on.
    seed : int
    treatment : Treatment
    again : bool
        After a second training on the source sample.
    """

    size: int
    seed: int
    treatment: Treatment
    again: bool = False

    def settings(self) -> dict[str, Any]:
        """Describe the cell as a document."""
        return {
            "size": self.size,
            "seed": self.seed,
            **asdict(self.treatment),
            "again": self.again,
        }

    def file(self, folder: Path, plan_hash: str) -> Path:
        """Name the file of its result: readable, and with a hash of all settings."""
        t = self.treatment
        words = ["again" if self.again else "", t.training, t.arm, "balanced" * t.balanced]
        name = "-".join(word for word in words if word)
        mark = _hash({**self.settings(), "plan": plan_hash})[:12]
        return folder / "cells" / f"size-{self.size}_seed-{self.seed}_{name}_{mark}.json"


def pretrained(plan: CiftPlan, cell: Cell, folder: Path | None) -> TrainingRun:
    """Pre-train on the cell's sample of the source; a run in a folder goes on, or is read."""
    design = plan.design
    examples = random_examples(plan.source, cell.size, seed=cell.seed)
    steps = math.ceil(cell.size / (design.pretraining.batch_size * design.pretraining.accumulate))
    epochs = max(design.pretraining.epochs, math.ceil(design.least_steps / steps))
    return train(
        started(plan, cell, examples),
        examples,
        method=replace(design.pretraining, epochs=epochs, seed=cell.seed),
        development=plan.development,
        folder=folder,
    )


def started(plan: CiftPlan, cell: Cell, examples: FinetuningSet) -> Trainable:
    """Load the encoder with a new head; or make a network whose words are the examples'."""
    design = plan.design
    if plan.encoder == FROM_SCRATCH:
        nse = extra("irtkit.bridge.training.nse")
        made: Trainable = nse.nse_classifier(
            examples.rows, plan.labels, max_length=design.max_length, seed=cell.seed
        )
        return made
    return TransformerClassifier.load(
        plan.encoder,
        plan.labels,
        seed=cell.seed,
        max_length=design.max_length,
        device=design.pretraining.device,
    )


def start_folder(cell: Cell, folder: Path) -> Path:
    """Name the folder where a pre-trained classifier is kept while its cells are run."""
    return folder / "pretrained" / f"size-{cell.size}_seed-{cell.seed}"


def finetuned(
    plan: CiftPlan, cell: Cell, start: Trainable, rates: Sequence[float]
) -> tuple[TrainingRun, FinetuningSet]:
    """Fine-tune with each learning rate and keep the run with the least development loss."""
    examples = examples_for(plan, cell.treatment, cell.seed)
    runs = [
        train(
            start,
            examples,
            method=finetuning_method(plan, cell, len(examples.rows), rate),
            development=plan.development,
        )
        for rate in rates
    ]
    return min(runs, key=lambda run: float(run.history["development_loss"].min())), examples


def finetuning_method(plan: CiftPlan, cell: Cell, n_examples: int, rate: float) -> Training:
    """Say how a cell is fine-tuned: fewer epochs where a large set would take too many steps."""
    design, treatment = plan.design, cell.treatment
    method = design.finetuning
    steps = math.ceil(n_examples / (method.batch_size * method.accumulate))
    epochs = method.epochs
    if design.most_steps is not None:
        epochs = min(epochs, max(1, design.most_steps // steps))
    loss = LOSS_OF[treatment.target, treatment.loss]
    return replace(method, epochs=epochs, loss=loss, learning_rate=rate, seed=cell.seed)


def trained_again(plan: CiftPlan, cell: Cell, start: Trainable, epochs: int) -> TrainingRun:
    """Train once more on the cell's source sample."""
    return train(
        start,
        random_examples(plan.source, cell.size, seed=cell.seed),
        method=replace(plan.design.pretraining, epochs=epochs, seed=cell.seed),
        development=plan.development,
    )


def measured(plan: CiftPlan, cell: Cell, classifier: Trainable) -> dict[str, Any]:
    """Score a classifier on the held-out scales (all scales, if none was trained on) and tests."""
    groups = plan.groups
    held = cell.treatment.held_out
    scales = [s for name, group in groups.items() if held in ("", name) for s in group]
    return {
        "scales": scored(plan, classifier, scales),
        "tests": [{"test": test.name, **tested(classifier, test)} for test in plan.tests],
    }


def scored(
    plan: CiftPlan, classifier: Trainable, scales: Sequence[EvaluationScale]
) -> list[dict[str, Any]]:
    """Place a classifier on scales: one record a scale."""
    known = checked_texts(plan.texts).set_index("item", drop=False)
    items = list(dict.fromkeys(item for scale in scales for item in scale.items))
    texts = known.loc[items].reset_index(drop=True)
    chosen = classifier.probabilities(texts).argmax(axis=1)
    labels = {item: classifier.labels[n] for item, n in zip(items, chosen, strict=True)}
    return [placed(scale, labels) for scale in scales]


def placed(scale: EvaluationScale, labels: Mapping[str, str]) -> dict[str, Any]:
    """Score one labelling of a scale's items."""
    given = [labels[item] for item in scale.items]
    frame = pd.DataFrame({"person": "classifier", "item": list(scale.items), "answer": given})
    answers = Responses.from_frame(frame, layout=Long(), coding=Coding(nominal=True))
    row = scale_score(answers, scale).table().iloc[0].to_dict()
    assert scale.calibration.key is not None
    right = np.array(given) == np.array(scale.calibration.key)
    numbers = {str(name): _plain(value) for name, value in row.items()}
    return {"scale": scale.name, "accuracy": float(right.mean()), **numbers}


def tested(classifier: Trainable, test: FinetuningSet) -> dict[str, float]:
    """Measure a classifier on a test set."""
    texts = test.rows[[name for name in TEXT_COLUMNS if name in test.rows]]
    order = [test.label_set.index(label) for label in classifier.labels]
    gold = np.argsort(order)[test.rows["label"].to_numpy()]  # (N,)
    crowd = None if test.target == "gold" else test.distributions[:, order]  # (N, L)
    return prediction_quality(classifier.probabilities(texts), gold, crowd)


def run_record(run: TrainingRun) -> dict[str, Any]:
    """Describe a training run: what was chosen, and the way there."""
    return {
        "learning_rate": run.method.learning_rate,
        "epochs": run.method.epochs,
        "best_epoch": run.best_epoch,
        "n_truncated": run.n_truncated,
        "development_loss": [float(loss) for loss in run.history["development_loss"]],
        "development_accuracy": [float(share) for share in run.history["development_accuracy"]],
        "loss": [float(loss) for loss in run.history["loss"]],
        "notes": list(run.notes),
    }


def write_cell(path: Path, cell: Cell, result: Mapping[str, Any], started: float) -> None:
    """Keep a result: complete or not at all."""
    seconds = round(time.process_time() - started, 2)
    write_json(
        sealed({"schema": SCHEMA, **cell.settings(), **result, "cpu_seconds": seconds}), path
    )


def read_cell(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises
    ------
    ScaleError
        If the file was changed or is damaged: remove it, and its cell is run again.
    """
    return unsealed(read_json(path), path)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _hash(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
