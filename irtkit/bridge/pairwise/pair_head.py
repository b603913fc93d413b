"""A small trainable judge of pairs on frozen features of the texts.

The features, such as a sentence encoder's, are computed once; only the head is trained, in
seconds. `pair_judge` makes a classifier of it that `train` takes. This module loads PyTorch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from irtkit.arrays import FloatArray
from irtkit.bridge.pairwise.pair_classifier import LABELS
from irtkit.bridge.training.classifiers import ModuleClassifier
from irtkit.errors import ModelError, count, listing


class PairHead(nn.Module):
    """One hidden layer over both feature vectors and their difference; one logit.

    Nothing makes it say 1 - p when the two texts change places: it can prefer a position, and its
    judgements of three pairs can contradict each other, as those of larger judges do.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(3 * width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Log-odds that the first stands above, (B, 1)."""
        found: Tensor = self.layers(torch.cat([first, second, first - second], dim=-1))
        return found


class KnownFeatures:
    """Looks up the standardised features of both texts of a pair."""

    def __init__(self, texts: Sequence[str], features: FloatArray) -> None:
        spread = features.std(axis=0)
        scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        self.features = torch.as_tensor(scaled, dtype=torch.float32)  # (N, H)
        self.places = {text: place for place, text in enumerate(texts)}

    def __call__(self, texts: pd.DataFrame) -> Mapping[str, Tensor]:
        """Features of the first and of the second text, (B, H) each."""
        return {
            "first": self.features[self._found(texts["text"])],
            "second": self.features[self._found(texts["text_pair"])],
        }

    def _found(self, texts: pd.Series) -> list[int]:
        absent = [text for text in texts if text not in self.places]
        if absent:
            raise ModelError(
                f"{count(len(absent), 'text')} without features: {listing(absent, 2)}. Give the "
                "features of all texts when the judge is made."
            )
        return [self.places[text] for text in texts]

    def identity(self) -> str:
        """Describe what turns texts into inputs, for recognising a run."""
        digest = hashlib.sha256(self.features.numpy().tobytes())
        digest.update("\0".join(self.places).encode())
        return digest.hexdigest()


def pair_judge(
    texts: Sequence[str],
    features: FloatArray,
    *,
    hidden: int = 64,
    dropout: float = 0.2,
    seed: int = 0,
) -> ModuleClassifier:
    """Make an untrained judge of pairs of texts whose features are known.

    Parameters
    ----------
    texts : sequence of str
        All texts that it will be shown, in training or later (`text_of_items`).
    features : array, shape (N, H)
        One row a text; they are standardised.
    hidden : int
        Units of the hidden layer.
    dropout : float
    seed : int
        Of the first weights.

    Returns
    -------
    ModuleClassifier
        With the labels "below" and "above".

    Raises
    ------
    ModelError
        If features are not finite, or not one row a text.
    """
    if features.ndim != 2 or len(features) != len(texts) or not np.isfinite(features).all():
        raise ModelError(
            f"Features of {count(len(texts), 'text')} should be finite numbers of shape "
            f"({len(texts)}, width); they have the shape {features.shape}."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = PairHead(features.shape[1], hidden, dropout)
    return ModuleClassifier(head, KnownFeatures(texts, features), LABELS)
