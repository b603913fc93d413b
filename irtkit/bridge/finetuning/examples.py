"""`FinetuningSet`: texts with training targets, one row an example.

Here are the noun, `labelled_set`, which makes one of any table of labelled texts, and
`relabelled` and `combined`, which bring several sets to one. Sets of the items of a scale are made
in `scale_sets.py`, chosen from in `selection.py`, written in `files.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ScaleError, count, listing, nearest, shown

TEXT_COLUMNS = ("text", "text_pair")
SUM_TOLERANCE = 1e-6  # a distribution of counts divided by their sum is off by less


@dataclass(frozen=True, slots=True, eq=False)
class FinetuningSet:
    """Examples to train a classifier on.

    Attributes
    ----------
    name : str
        The scale's name, or the corpus's.
    target : str
        "gold", "crowd" or "soft": what `label_distribution` holds.
    label_set : tuple of str
        The labels; `label` is a position in it.
    rows : DataFrame
        item, text, text_pair (if there are pairs), label (gold), label_distribution (list of
        floats in the order of `label_set`), weight, difficulty, discrimination (NaN where there
        is no calibration).
    """

    name: str
    target: str
    label_set: tuple[str, ...]
    rows: pd.DataFrame

    @property
    def distributions(self) -> FloatArray:
        """The targets as an array, shape (N, L)."""
        shape = (len(self.rows), len(self.label_set))
        return np.array(self.rows["label_distribution"].tolist(), dtype=float).reshape(shape)

    def fingerprint(self) -> str:
        """Return the SHA-256 of labels and rows in their order, as 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps([self.target, self.label_set]).encode())
        for row in self.rows.to_dict(orient="records"):
            digest.update(json.dumps(row, sort_keys=True).encode())
        return digest.hexdigest()


def labelled_set(name: str, texts: Any, label_set: Sequence[str]) -> FinetuningSet:
    """Make examples of any table of labelled texts, such as a public corpus.

    Parameters
    ----------
    name : str
    texts : dataframe
        Columns item, text, label (one of `label_set`) and, if there are, text_pair and
        label_distribution (shares in the order of `label_set`). Others are left aside.
    label_set : sequence of str
        The labels in the order of the distributions.

    Returns
    -------
    FinetuningSet
        With target "crowd" where there are distributions, else "gold".

    Raises
    ------
    ScaleError
        If columns, texts, labels or distributions are not these.
    """
    labels = tuple(label_set)
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise ScaleError(f"A label set has two labels or more, each once; not {listing(labels)}.")
    given = _columns(texts, ("item", "text", "label"), (*TEXT_COLUMNS, "label_distribution"))
    rows = checked_texts(given)
    strange = sorted({str(label) for label in given["label"]} - set(labels))
    if strange:
        raise ScaleError(
            f"{name}: the labels {listing(strange)} are not among {listing(labels)}."
            f"{nearest(strange[0], labels)} Leave those rows out or map the labels first."
        )
    gold = [labels.index(label) for label in given["label"]]
    crowd = "label_distribution" in given
    shares = given["label_distribution"].tolist() if crowd else np.eye(len(labels))[gold]
    distributions = checked_distributions(shares, rows["item"].tolist(), len(labels))
    rows["label"] = np.array(gold, dtype=np.int64)
    rows["label_distribution"] = list(distributions.tolist())
    rows["weight"] = 1.0
    rows["difficulty"] = rows["discrimination"] = np.nan
    return FinetuningSet(name, "crowd" if crowd else "gold", labels, rows)


def _columns(texts: Any, needed: Sequence[str], wanted: Sequence[str]) -> pd.DataFrame:
    table = nw.from_native(texts, eager_only=True)
    lacking = [name for name in needed if name not in table.columns]
    if lacking:
        raise ScaleError(
            f"The texts have no column {listing(lacking)}; their columns are "
            f"{listing(table.columns, 12)}. Name them item, text and, for pairs, text_pair."
        )
    names = [name for name in (*needed, *wanted) if name in table.columns]
    return pd.DataFrame({name: table[name].to_list() for name in dict.fromkeys(names)})


def checked_texts(texts: Any) -> pd.DataFrame:
    """Return item, text and text_pair of a table, refusing empty texts and repeated items."""
    given = _columns(texts, ("item", "text"), TEXT_COLUMNS)
    frame = given[[name for name in ("item", *TEXT_COLUMNS) if name in given]].copy()
    frame["item"] = [str(item) for item in frame["item"]]
    repeated = frame.loc[frame["item"].duplicated(), "item"].unique()
    if len(repeated):
        raise ScaleError(f"{count(len(repeated), 'item')} with two texts: {listing(repeated)}.")
    check_filled(frame)
    return frame


def check_filled(frame: pd.DataFrame) -> None:
    """Refuse texts that are missing or blank, naming their items."""
    columns = frame[[name for name in TEXT_COLUMNS if name in frame]].to_numpy().tolist()
    empty = [
        str(item)
        for item, row in zip(frame["item"], columns, strict=True)
        if not all(isinstance(text, str) and text.strip() for text in row)
    ]
    if empty:
        raise ScaleError(f"{count(len(empty), 'item')} with an empty text: {listing(empty)}.")


def checked_distributions(shares: Any, items: Sequence[str], n_labels: int) -> FloatArray:
    """Return label distributions as an array (N, L), each row with sum one.

    Raises
    ------
    ScaleError
        Naming the items whose shares are too few, negative, not finite or of another sum.
    """
    rows = [np.asarray(row, dtype=float).ravel() for row in shares]
    bad = [
        item for item, row in zip(items, rows, strict=True) if not _is_distribution(row, n_labels)
    ]
    if bad:
        raise ScaleError(
            f"{count(len(bad), 'item')} without {n_labels} shares of sum one: {listing(bad)}. "
            "Divide the counts by their sum."
        )
    return np.array(rows).reshape(len(rows), n_labels)


def _is_distribution(row: FloatArray, n_labels: int) -> bool:
    fits = len(row) == n_labels and bool(np.isfinite(row).all())
    return fits and bool((row >= 0).all()) and abs(float(row.sum()) - 1.0) <= SUM_TOLERANCE


def relabelled(examples: FinetuningSet, label_set: Sequence[str]) -> FinetuningSet:
    """Return the same examples with their labels in another order.

    Raises
    ------
    ScaleError
        If the labels are not the same.
    """
    labels = tuple(label_set)
    if labels == examples.label_set:
        return examples
    if set(labels) != set(examples.label_set):
        raise ScaleError(
            f"'{examples.name}' has the labels {listing(examples.label_set)}, the others "
            f"{listing(labels)}. Map them to the same names first."
        )
    order = [examples.label_set.index(label) for label in labels]
    rows = examples.rows.copy()
    rows["label"] = np.argsort(order)[rows["label"].to_numpy()]
    rows["label_distribution"] = list(examples.distributions[:, order].tolist())
    return replace(examples, label_set=labels, rows=rows)


def combined(name: str, sets: Sequence[FinetuningSet]) -> FinetuningSet:
    """Put several sets of the same labels and target one after the other.

    Raises
    ------
    ScaleError
        If there is none, their targets, labels or columns differ, or they share an item.
    """
    if not sets:
        raise ScaleError("There is no set to combine.")
    first = sets[0]
    for examples in sets[1:]:
        if examples.target != first.target:
            raise ScaleError(
                f"'{examples.name}' has the target {shown(examples.target)}, '{first.name}' "
                f"{shown(first.target)}. One set has one target."
            )
        if ("text_pair" in examples.rows) != ("text_pair" in first.rows):
            raise ScaleError(
                f"Of '{examples.name}' and '{first.name}' one has pairs of texts, the other not."
            )
    rows = pd.concat(
        [relabelled(examples, first.label_set).rows for examples in sets], ignore_index=True
    )
    twice = rows.loc[rows["item"].duplicated(), "item"].unique()
    if len(twice):
        raise ScaleError(
            f"{count(len(twice), 'item')} in two of the sets: {listing(twice)}. An example twice "
            "counts twice; leave one out."
        )
    return FinetuningSet(name, first.target, first.label_set, rows)
