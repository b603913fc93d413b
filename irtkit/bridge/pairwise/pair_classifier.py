"""Pairs as texts: examples to train a classifier on, and its judgements as comparisons.

Two labels, "below" and "above", say where the first text stands. A classifier with one logit,
trained with the loss "pairwise", gives the log-odds of "above". Training is `train` in
`irtkit.bridge.training.train`:

``train(classifier, pair_set(comparisons, texts), method=Training(loss="pairwise"))``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from irtkit.arrays import IntArray
from irtkit.bridge.finetuning.examples import FinetuningSet, checked_texts
from irtkit.bridge.pairwise.comparisons import Comparisons
from irtkit.bridge.training.classifiers import Classifier
from irtkit.errors import ModelError, ResponseError, count, listing

LABELS = ("below", "above")
BETWEEN = "\n"  # the two texts of an item that has two


def pair_set(comparisons: Comparisons, texts: Any, *, name: str = "pairs") -> FinetuningSet:
    """Make examples of comparisons: the first item's text, the second's, and the soft target.

    Parameters
    ----------
    comparisons : Comparisons
    texts : dataframe
        Columns item, text and, for items of two texts, text_pair: these are put on two lines.
    name : str

    Returns
    -------
    FinetuningSet
        Labels "below" and "above", `label_distribution` (1 - p, p), `weight` as compared.

    Raises
    ------
    ResponseError
        If an item has no text.
    """
    found = text_of_items(comparisons.items, texts)
    names = np.array(comparisons.items, dtype=object)
    one, two = names[comparisons.first], names[comparisons.second]
    probability = comparisons.probability
    rows = pd.DataFrame(
        {
            "item": [f"{first} | {second}" for first, second in zip(one, two, strict=True)],
            "text": found.loc[one].to_numpy(),
            "text_pair": found.loc[two].to_numpy(),
            "label": (probability > 0.5).astype(np.int64),
            "label_distribution": list(np.stack([1.0 - probability, probability], 1).tolist()),
            "weight": comparisons.weight,
            "difficulty": np.nan,
            "discrimination": np.nan,
        }
    )
    return FinetuningSet(name, "soft", LABELS, rows)


def judged(
    classifier: Classifier, items: Sequence[str], pairs: IntArray, texts: Any
) -> Comparisons:
    """Let a classifier compare pairs of items.

    Parameters
    ----------
    classifier : Classifier
        With the labels "below" and "above".
    items : sequence of str
    pairs : array, shape (C, 2)
        Positions in `items`, as `design_pairs` gives them.
    texts : dataframe
        As in `pair_set`.

    Raises
    ------
    ModelError
        If the classifier has other labels.
    ResponseError
        If an item has no text.
    """
    if set(classifier.labels) != set(LABELS):
        raise ModelError(
            f"The classifier has the labels {listing(classifier.labels)}, not {listing(LABELS)}: "
            "it was not made to compare. Train one on a `pair_set`."
        )
    found = text_of_items(items, texts).to_numpy()
    table = pd.DataFrame({"text": found[pairs[:, 0]], "text_pair": found[pairs[:, 1]]})
    above = classifier.probabilities(table)[:, list(classifier.labels).index("above")]
    return Comparisons.from_arrays(items, pairs, np.clip(above, 0.0, 1.0))


def text_of_items(items: Sequence[str], texts: Any) -> pd.Series:
    """One text an item, in the items' order; the index is the item."""
    given = checked_texts(texts).set_index("item")
    absent = [item for item in items if item not in given.index]
    if absent:
        raise ResponseError(
            f"{count(len(absent), 'item')} without a text: {listing(absent)}. Add them to the "
            "table of texts."
        )
    chosen = given.loc[list(items)]
    if "text_pair" in chosen:
        return chosen["text"] + BETWEEN + chosen["text_pair"]
    return chosen["text"]
