"""Which training examples a model mistakes after each epoch, and fine-tuning sets of them.

`MistakeRecord` holds the probabilities after each epoch; `chosen` turns a Boolean combination of
epochs into examples, `mistaken_set` into a fine-tuning set. An example is mistaken after an epoch
if its most probable label is not its gold label; of equal largest probabilities the first label
counts. Records are made during training by `recorder.py`, their files and statistics are in
`data_maps.py`.

References
----------
Yaghoobzadeh, Y., Mehri, S., Tachet des Combes, R., Hazen, T. J., & Sordoni, A. (2021). Increasing
    robustness to spurious correlations using forgettable examples. EACL 2021. arXiv:1911.03861.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, IntArray, frozen
from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.mistakes.expressions import evaluated
from irtkit.errors import ModelError, PredictionError, count, listing

SUM_TOLERANCE = 1e-3
NO_CATEGORY = "all"


@dataclass(frozen=True, slots=True, eq=False)
class MistakeRecord:
    """What a model made of each training example after each epoch.

    Attributes
    ----------
    items : tuple of str
        Ids of the N examples.
    label_set : tuple of str
        The L labels.
    gold : array of int, shape (N,)
        Gold label of each example, a position in `label_set`.
    probabilities : array, shape (E, N, L)
        Of each label, after each of E epochs; they sum to one.
    categories : tuple of str
        Category of each example; "all" where there is none.

    Raises
    ------
    PredictionError
        If the parts do not belong together, an id stands twice, or these are no probabilities.
    """

    items: tuple[str, ...]
    label_set: tuple[str, ...]
    gold: IntArray
    probabilities: FloatArray
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "gold", frozen(self.gold, np.int64))
        object.__setattr__(self, "probabilities", frozen(self.probabilities))
        if not self.categories:
            object.__setattr__(self, "categories", (NO_CATEGORY,) * len(self.items))
        _check(self)

    @property
    def n_epochs(self) -> int:
        """Number of recorded epochs E."""
        return len(self.probabilities)

    @property
    def mistaken(self) -> BoolArray:
        """Whether each example is mistaken after each epoch, shape (E, N)."""
        return self.probabilities.argmax(axis=-1) != self.gold

    @property
    def gold_probability(self) -> FloatArray:
        """Probability of the gold label after each epoch, shape (E, N)."""
        return np.take_along_axis(self.probabilities, self.gold[None, :, None], axis=2)[..., 0]


def _check(record: MistakeRecord) -> None:
    n, labels, table = len(record.items), len(record.label_set), record.probabilities
    if table.ndim != 3 or table.shape[1:] != (n, labels) or not len(table):
        raise PredictionError(
            f"{count(n, 'example')} with {count(labels, 'label')} need probabilities of shape "
            f"(epochs, {n}, {labels}), not {table.shape}."
        )
    if len(record.gold) != n or len(record.categories) != n:
        raise PredictionError(
            f"There are {count(n, 'example')}, but {count(len(record.gold), 'gold label')} and "
            f"{len(record.categories)} categories. Give one of each an example."
        )
    if len(set(record.items)) < n:
        again = pd.Index(record.items)
        raise PredictionError(
            f"Examples with the same id: {listing(again[again.duplicated()].unique())}. Each "
            "example needs an id of its own."
        )
    outside = (record.gold < 0) | (record.gold >= labels)
    if outside.any():
        named = listing(np.array(record.items, dtype=object)[outside])
        raise PredictionError(
            f"Gold labels must be positions 0 to {labels - 1} in the label set; those of {named} "
            "are not."
        )
    check_probabilities(table.reshape(-1, labels), record.items * len(table))


def check_probabilities(table: FloatArray, items: tuple[str, ...]) -> None:
    """Refuse rows, shape (N, L), that are no distributions; `items` names them.

    Raises
    ------
    PredictionError
        If a value is not between 0 and 1, or a row does not sum to one.
    """
    good = (table >= 0).all(axis=1) & (np.abs(table.sum(axis=1) - 1.0) <= SUM_TOLERANCE)
    if not good.all():
        bad = dict.fromkeys(np.array(items, dtype=object)[~good])
        raise PredictionError(
            f"The probabilities of {listing(bad)} are missing, negative or do not sum to 1. A "
            "model that ends in NaN has diverged: lower the learning rate."
        )


def chosen(record: MistakeRecord, expression: str) -> BoolArray:
    """Whether each example is mistaken as a Boolean combination of epochs says, shape (N,).

    Parameters
    ----------
    record : MistakeRecord
    expression : str
        ``"e1 & e2 & e3"``: mistaken after each of the first three epochs; ``"e1 | e2"``;
        ``"~e3 & e1"``: mistaken after the first and right after the third.

    Raises
    ------
    ModelError
        If the expression cannot be read, or names an epoch that was not recorded.
    """
    return evaluated(expression, record.mistaken)


def mistaken_set(examples: FinetuningSet, record: MistakeRecord, expression: str) -> FinetuningSet:
    """Choose the examples that are mistaken as a Boolean combination of epochs says.

    Parameters
    ----------
    examples : FinetuningSet
        What the model was trained on, or a part of it.
    record : MistakeRecord
    expression : str
        See `chosen`.

    Returns
    -------
    FinetuningSet
        The chosen rows, in their order and with their targets.

    Raises
    ------
    PredictionError
        If the record lacks examples, or has other gold labels.
    ModelError
        If the expression cannot be read, or chooses no example.
    """
    places = places_of(examples, record)
    mask = chosen(record, expression)[places]  # (examples,)
    if not mask.any():
        raise ModelError(
            f"'{expression}' chooses none of {count(len(mask), 'example')}. Choose by another "
            "combination, such as e1."
        )
    rows = examples.rows[mask].reset_index(drop=True)
    return replace(examples, name=f"{examples.name}: {expression}", rows=rows)


def places_of(examples: FinetuningSet, record: MistakeRecord) -> IntArray:
    """Find the position in the record of each example, shape (N,).

    Raises
    ------
    PredictionError
        If the record has other labels, lacks examples, or has other gold labels.
    """
    if examples.label_set != record.label_set:
        raise PredictionError(
            f"The examples' labels are {listing(examples.label_set)}, those of the record "
            f"{listing(record.label_set)}. A record belongs to the set it was made on."
        )
    items = examples.rows["item"].astype(str)
    places = pd.Index(record.items).get_indexer(pd.Index(items))
    absent = items[places < 0]
    if len(absent):
        raise PredictionError(
            f"{count(len(absent), 'example')} without a record: {listing(absent)}. A record "
            "belongs to the set it was made on."
        )
    other = items[record.gold[places] != examples.rows["label"].to_numpy()]
    if len(other):
        raise PredictionError(
            f"{count(len(other), 'example')} recorded with another gold label: {listing(other)}. "
            "A record belongs to the set it was made on."
        )
    return places


def mistake_counts(record: MistakeRecord, expression: str) -> pd.DataFrame:
    """Count the chosen examples by category and gold label.

    Parameters
    ----------
    record : MistakeRecord
    expression : str
        See `chosen`.

    Returns
    -------
    DataFrame
        Index (category, label), sorted; n, n_chosen, and their ratio share.
    """
    table = pd.DataFrame(
        {
            "category": record.categories,
            "label": [record.label_set[place] for place in record.gold],
            "is_chosen": chosen(record, expression),
        }
    )
    groups = table.groupby(["category", "label"])["is_chosen"]
    counts = pd.DataFrame({"n": groups.size(), "n_chosen": groups.sum()})
    counts["share"] = counts["n_chosen"] / counts["n"]
    return counts


def epoch_summary(record: MistakeRecord) -> pd.DataFrame:
    """Count the mistakes after each epoch, and what was learnt and forgotten since the last.

    Returns
    -------
    DataFrame
        Index epoch (e1, e2, ...); n_mistaken, share, n_learnt (mistaken before, right now) and
        n_forgotten (right before, mistaken now). Before the first epoch nothing is right.
    """
    mistaken = record.mistaken  # (E, N)
    before = np.vstack([np.ones_like(mistaken[:1]), mistaken[:-1]])  # (E, N)
    return pd.DataFrame(
        {
            "n_mistaken": mistaken.sum(axis=1),
            "share": mistaken.mean(axis=1),
            "n_learnt": (before & ~mistaken).sum(axis=1),
            "n_forgotten": (~before & mistaken).sum(axis=1),
        },
        index=pd.Index([f"e{number + 1}" for number in range(record.n_epochs)], name="epoch"),
    )
