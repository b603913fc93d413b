"""Difficulties of items that nobody answered, from their texts.

Two ways: a judge of pairs compares each new item with items of known difficulty, and
Bradley-Terry places it among them (`difficulty_by_pairs`); or difficulties are regressed on
features of the texts (`difficulty_by_regression`). `cross_predicted` holds out known items in
turn, so that `agreement` can say what either is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from irtkit.arrays import IntArray
from irtkit.bridge.pairwise.bradley_terry import BradleyTerry, bradley_terry
from irtkit.bridge.pairwise.pair_classifier import judged
from irtkit.bridge.pairwise.ridge import ridge_regression
from irtkit.bridge.pairwise.scores import checked_scores
from irtkit.bridge.training.classifiers import Classifier
from irtkit.errors import ModelError, ResponseError, count, listing, shown

Method = Callable[[pd.Series, list[str]], pd.Series]
FEWEST_KNOWN = 3


@dataclass(frozen=True, slots=True)
class Placement:
    """How new items are compared with known ones.

    Parameters
    ----------
    gamma : float
        Of the judge's targets, in the unit of the difficulties.
    n_known : int
        Known items, drawn at random, that each new one is compared with, in both orders.
    seed : int
        Of the draw.
    """

    gamma: float = 1.0
    n_known: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_known < 1:
            raise ModelError(f"New items need known ones to be compared with, not {self.n_known}.")


def difficulty_by_pairs(
    classifier: Classifier,
    difficulty: pd.Series,
    texts: Any,
    *,
    new: Sequence[str],
    placement: Placement | None = None,
) -> pd.DataFrame:
    """Place new items among known ones by a trained judge of pairs.

    Parameters
    ----------
    classifier : Classifier
        Trained on a `pair_set` of soft targets of gamma; labels "below" and "above".
    difficulty : Series
        Of known items, index item.
    texts : dataframe
        Columns item, text and, for items of two texts, text_pair.
    new : sequence of str
        Items to place.
    placement : Placement, optional

    Returns
    -------
    DataFrame
        Index item: difficulty, standard_error, n_comparisons, state. The standard error tells how
        far the judgements of an item contradict each other, not how far the judge is wrong.

    Raises
    ------
    ResponseError, ModelError
        If an item is known and new, or has no text; or the judge has other labels.
    """
    known = checked_scores(difficulty, what="difficulty")
    _check_new(known, new)
    placement = placement or Placement()
    rng = np.random.default_rng(placement.seed)
    items = [*known.index, *new]
    pairs = _pairs_with_known(len(known), len(new), min(placement.n_known, len(known)), rng)
    comparisons = judged(classifier, items, pairs, texts)
    method = BradleyTerry(gamma=placement.gamma)
    found = bradley_terry(comparisons, method=method, anchors=known).table()
    return found.loc[list(new)].rename(columns={"strength": "difficulty"})


def _pairs_with_known(n_known: int, n_new: int, each: int, rng: np.random.Generator) -> IntArray:
    """Each new item with some known ones, in both orders, (2 each n_new, 2)."""
    partners = np.concatenate([rng.permutation(n_known)[:each] for _ in range(n_new)])
    places = np.repeat(np.arange(n_known, n_known + n_new), each)
    once = np.stack([places, partners], axis=1)
    return np.concatenate([once, once[:, ::-1]]).astype(np.int64)


def difficulty_by_regression(
    difficulty: pd.Series, features: pd.DataFrame, *, new: Sequence[str]
) -> pd.DataFrame:
    """Regress difficulties on features of the texts; ridge, its penalty by leave-one-out.

    Parameters
    ----------
    difficulty : Series
        Of known items, index item.
    features : DataFrame
        Index item, one column a feature; of known and new items.
    new : sequence of str

    Returns
    -------
    DataFrame
        Index item: difficulty, standard_error (root mean square leave-one-out error of the known
        items, the same for all).

    Raises
    ------
    ResponseError, ModelError
        If an item is known and new, or has no features.
    """
    known = checked_scores(difficulty, what="difficulty")
    _check_new(known, new)
    given = features.set_axis([str(item) for item in features.index], axis=0)
    absent = [item for item in [*known.index, *new] if item not in given.index]
    if absent:
        raise ResponseError(f"{count(len(absent), 'item')} without features: {listing(absent)}.")
    fitted = ridge_regression(given.loc[known.index].to_numpy(np.float64), known.to_numpy())
    predicted = fitted.predict(given.loc[list(new)].to_numpy(np.float64))
    index = pd.Index(list(new), name="item")
    return pd.DataFrame({"difficulty": predicted, "standard_error": fitted.error}, index=index)


def cross_predicted(
    difficulty: pd.Series,
    methods: Mapping[str, Method],
    *,
    folds: int = 5,
    seed: int | np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Predict each item's difficulty from the items of the other folds.

    Parameters
    ----------
    difficulty : Series
        Index item.
    methods : mapping
        Name to a function of (known difficulties, new items) that returns the difficulties of
        the new items, index item.
    folds : int
        Random parts; each is predicted once.
    seed : int or Generator
    progress : callable, optional
        Called with the numbers of folds done and in all.

    Returns
    -------
    DataFrame
        Index item, one column a method: for `agreement`.

    Raises
    ------
    ModelError
        If there are fewer than two folds, or too few items for them.
    """
    known = checked_scores(difficulty, what="difficulty")
    if folds < 2 or len(known) - -(-len(known) // max(folds, 1)) < FEWEST_KNOWN:
        raise ModelError(
            f"{count(len(known), 'item')} in {count(folds, 'fold')}: at least two folds are "
            f"needed, and {FEWEST_KNOWN} items outside each."
        )
    part = np.random.default_rng(seed).permutation(len(known)) % folds  # (N,)
    table = pd.DataFrame(np.nan, index=known.index, columns=list(methods))
    for fold in range(folds):
        new = list(known.index[part == fold])
        for name, predict in methods.items():
            found = predict(known[part != fold], new)
            if list(found.index) != new:
                raise ModelError(f"The method {shown(name)} did not predict the items asked for.")
            table.loc[new, name] = found.to_numpy()
        if progress is not None:
            progress(fold + 1, folds)
    return table


def _check_new(known: pd.Series, new: Sequence[str]) -> None:
    both = [item for item in new if item in known.index]
    if both:
        raise ResponseError(
            f"{count(len(both), 'item')} both known and new: {listing(both)}. What is known needs "
            "no prediction; a test of predictions must leave it out."
        )
    if len(known) < FEWEST_KNOWN or not len(new):
        raise ModelError(
            f"{count(len(known), 'known item')} and {count(len(new), 'new item')}: at least "
            f"{FEWEST_KNOWN} and 1 are needed."
        )
    if len(set(new)) < len(new):
        raise ResponseError("An item stands twice among the new ones. Name each once.")
