"""Which encoder to start from: candidates ranked on a fine-tuning set before any training.

Each candidate encodes the texts once; `transferability.py` judges the features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray
from irtkit.bridge.encoders.transferability import (
    h_score,
    log_me,
    neighbour_accuracy,
    shrunk_h_score,
)
from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.training.classifiers import TransformerClassifier
from irtkit.errors import ModelError, count, listing, shown

CRITERIA = ("log_me", "shrunk_h_score", "h_score", "neighbour_accuracy", "log_me_published")
FEWEST = 2  # examples of a class
Progress = Callable[[int, int], None]


class Encoder(Protocol):
    """Anything that turns texts into features, such as a `TransformerClassifier`."""

    def features(self, texts: pd.DataFrame) -> FloatArray:
        """Return one row a text, shape (N, D), of columns item, text and, for pairs, text_pair."""
        ...


@dataclass(frozen=True, slots=True)
class PretrainedEncoder:
    """A pretrained model that is loaded when it is asked for features, and let go after.

    Attributes
    ----------
    source : str
        A folder, or the name of a model on the Hub; see `TransformerClassifier.load`.
    labels : tuple of str
        Of the task. A model whose own head is for others is refused, as it would be in training.
    max_length : int
        Tokens beyond which texts are cut.
    device : str
        "cpu", "cuda", "mps".
    """

    source: str
    labels: tuple[str, ...]
    max_length: int = 128
    device: str = "cpu"

    def features(self, texts: pd.DataFrame) -> FloatArray:
        """Return the last layer averaged over the tokens of each text, shape (N, D)."""
        loaded = TransformerClassifier.load(
            self.source, self.labels, max_length=self.max_length, device=self.device
        )
        return loaded.features(texts)


def rank_encoders(
    examples: FinetuningSet,
    encoders: Mapping[str, Encoder],
    *,
    by: str = "log_me",
    n_neighbours: int = 5,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Rank encoders by how well their features suit a fine-tuning set, best first.

    Parameters
    ----------
    examples : FinetuningSet
        LogME judges the training target (gold labels or the crowd's shares), the others the gold
        labels. Examples with the same first text are no neighbours of each other.
    encoders : mapping
        Name to encoder.
    by : str
        Which criterion ranks, one of `CRITERIA`. Of all of them more is better.
    n_neighbours : int
    progress : callable, optional
        Called with the number of encoders done and that of all.

    Returns
    -------
    DataFrame
        Index encoder, best first; rank, log_me, shrunk_h_score, h_score (NaN unless there are
        more examples than features), neighbour_accuracy, log_me_published (without intercept),
        n_features.

    Raises
    ------
    ModelError
        If there is no encoder, fewer than two labels, a label with one example, or features that
        are not one finite row a text.
    """
    if by not in CRITERIA:
        raise ModelError(f"Unknown criterion {shown(by)}; there is {listing(CRITERIA)}.")
    labels = _labels(examples)
    if not encoders:
        raise ModelError("There is no encoder to rank. Name one or more.")
    rows = {}
    for done, (name, encoder) in enumerate(encoders.items(), start=1):
        features = _features(name, encoder, examples)
        rows[name] = _judged(features, examples, labels, n_neighbours)
        if progress is not None:
            progress(done, len(encoders))
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("encoder")
    table = table.sort_values(by, ascending=False, kind="stable")
    table.insert(0, "rank", table[by].rank(ascending=False, method="min", na_option="bottom"))
    return table.astype({"rank": int, "n_features": int})


def _judged(
    features: FloatArray, examples: FinetuningSet, labels: IntArray, n_neighbours: int
) -> dict[str, float]:
    size, width = features.shape
    targets = examples.distributions  # (N, L)
    targets = targets[:, np.ptp(targets, axis=0) > 0.0]  # labels that tell something
    groups = np.unique(examples.rows["text"].astype(str), return_inverse=True)[1]
    return {
        "log_me": log_me(features, targets),
        "shrunk_h_score": shrunk_h_score(features, labels),
        "h_score": h_score(features, labels) if size > width else np.nan,
        "neighbour_accuracy": neighbour_accuracy(features, labels, k=n_neighbours, groups=groups),
        "log_me_published": log_me(features, targets, intercept=False),
        "n_features": width,
    }


def _labels(examples: FinetuningSet) -> IntArray:
    labels = examples.rows["label"].to_numpy(np.int64)
    counts = np.bincount(labels, minlength=len(examples.label_set))
    rare = [name for name, n in zip(examples.label_set, counts, strict=True) if 0 < n < FEWEST]
    if rare or (counts > 0).sum() < 2:
        what = f"one example of {listing(rare)}" if rare else "examples of fewer than two labels"
        raise ModelError(
            f"'{examples.name}' has {what}, so that nothing can be said about telling labels "
            "apart. Add examples."
        )
    return labels


def _features(name: str, encoder: Encoder, examples: FinetuningSet) -> FloatArray:
    rows = examples.rows
    texts = rows[[column for column in ("item", "text", "text_pair") if column in rows]]
    features = np.asarray(encoder.features(texts), dtype=np.float64)
    if features.ndim != 2 or len(features) != len(rows) or not features.shape[1]:
        raise ModelError(
            f"The encoder {shown(name)} gave features of shape {features.shape} for "
            f"{count(len(rows), 'text')}. It should give one row a text."
        )
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise ModelError(
            f"The encoder {shown(name)} gave features that are no finite numbers for "
            f"{listing(rows['item'].iloc[bad])}. Check its weights and precision."
        )
    return features
