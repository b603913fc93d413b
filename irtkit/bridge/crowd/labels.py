"""`CrowdLabels`: who gave which item which label.

Triples (worker, item, label), with gold labels and times where they are known. Unlike
`Responses`, nothing is graded here: what is right may be unknown. `to_responses` grades the
labels by a key, so that calibration and screening follow; `from_responses` goes back.

Worker ids are personal data. They do not show when a `CrowdLabels` is printed, and
`hash_workers` replaces them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from irtkit import storage
from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.bridge.crowd.counts import LabelCounts, gold_by_item, gold_positions
from irtkit.bridge.crowd.rows import Encoded, encoded
from irtkit.coding import MISSING, Coding, Column
from irtkit.errors import ResponseError, count, listing
from irtkit.layout import Long, check_ids
from irtkit.responses import Responses

HASH_DIGITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class CrowdLabels:
    """N labels that W workers gave to I items.

    Attributes
    ----------
    workers, items, label_set : tuple of str
        Ids, each unique; the labels sorted.
    worker, item, label : array of int, shape (N,)
        Positions in `workers`, `items` and `label_set`; no worker labels an item twice.
    gold : array of int, shape (I,)
        Position of the gold label in `label_set`, -1 where there is none.
    seconds : array, shape (N,), or None
        How long each label took, NaN where unknown.
    texts : DataFrame or None
        Columns item, text and, for pairs, text_pair, where the file held them.
    notes : tuple of str
        What was noticed and tolerated.

    Raises
    ------
    ResponseError
        If shapes, ids or positions contradict each other.
    """

    workers: tuple[str, ...] = field(repr=False)
    items: tuple[str, ...]
    label_set: tuple[str, ...]
    worker: IntArray = field(repr=False)
    item: IntArray
    label: IntArray
    gold: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    seconds: FloatArray | None = None
    texts: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        gold = self.gold if len(self.gold) else np.full(len(self.items), -1)
        object.__setattr__(self, "gold", frozen(gold, np.int64))
        for name in ("worker", "item", "label"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))
        if self.seconds is not None:
            object.__setattr__(self, "seconds", frozen(self.seconds))
        _check_places(self)
        check_ids("worker", self.workers)
        check_ids("item", self.items)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        gold: Mapping[str, str] | None = None,
        coding: Coding | None = None,
        repeats: str = "refuse",
    ) -> CrowdLabels:
        """Make crowd labels from one row an answer.

        Parameters
        ----------
        frame : DataFrame
            Columns worker, item, label; optionally seconds.
        gold : mapping of str to str, optional
            The gold label of some or all items; of items that nobody labelled it is passed over.
        coding : Coding, optional
            Label map, words for "no answer", normalisation. Labels are never read as numbers.
        repeats : str
            What becomes of several labels of one worker for one item: "refuse", or keep the
            "first" or the "last" row.

        Raises
        ------
        ResponseError
            If a column is absent, an id empty, a label ambiguous, or an answer given twice.
        """
        return _made(encoded(frame, gold or {}, coding or Coding(), repeats))

    @classmethod
    def from_triples(
        cls,
        worker: Sequence[object],
        item: Sequence[object],
        label: Sequence[object],
        *,
        gold: Mapping[str, str] | None = None,
        coding: Coding | None = None,
        repeats: str = "refuse",
    ) -> CrowdLabels:
        """Make crowd labels from three sequences of equal length; see `from_frame`."""
        if len({len(worker), len(item), len(label)}) > 1:
            raise ResponseError(
                f"{len(worker)} workers, {len(item)} items and {len(label)} labels were given; "
                "each label needs its worker and its item."
            )
        parts = {"worker": worker, "item": item, "label": label}
        frame = pd.DataFrame({n: pd.Series(list(v), dtype=object) for n, v in parts.items()})
        return cls.from_frame(frame, gold=gold, coding=coding, repeats=repeats)

    @classmethod
    def from_responses(cls, responses: Responses) -> CrowdLabels:
        """Take the raw labels of responses, with their key as gold.

        Raises
        ------
        ResponseError
            If the answers came as codes, or a row stands for several persons.
        """
        if responses.labels is None:
            raise ResponseError(
                "These answers came as codes, not as labels. Read the raw labels, with a key or "
                "as Coding(nominal=True)."
            )
        if (responses.weights != 1.0).any():
            raise ResponseError("Rows that stand for several persons have no single worker.")
        person, item, label = _cells(responses.labels)
        gold = dict(zip(responses.items, responses.key, strict=True)) if responses.key else {}
        places = gold_positions(responses.items, responses.label_set, gold)
        return cls(
            responses.persons, responses.items, responses.label_set, person, item, label, places
        )

    @property
    def n_workers(self) -> int:
        """Number of workers."""
        return len(self.workers)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def n_labels(self) -> int:
        """Number of different labels."""
        return len(self.label_set)

    def counts(self, weights: FloatArray | None = None) -> LabelCounts:
        """Count each label on each item, workers weighted by `weights`, shape (W,), if given."""
        cell = self.item * self.n_labels + self.label
        heavy = None if weights is None else np.asarray(weights, np.float64)[self.worker]
        size = self.n_items * self.n_labels
        flat = np.bincount(cell, heavy, size).astype(np.float64)
        table = flat.reshape(self.n_items, self.n_labels)  # (I, L)
        return LabelCounts(self.items, self.label_set, table, self.gold, self.texts)

    def gold_labels(self) -> dict[str, str]:
        """Return the gold label of each item that has one."""
        return gold_by_item(self.items, self.label_set, self.gold)

    def with_gold(self, gold: Mapping[str, str]) -> CrowdLabels:
        """Return the same labels with other gold labels, which must be in the label set."""
        return replace(self, gold=gold_positions(self.items, self.label_set, gold))

    def select_workers(self, workers: Sequence[str]) -> CrowdLabels:
        """Return the labels of `workers` alone; all items stay, labelled or not.

        Raises
        ------
        ResponseError
            If a worker is unknown.
        """
        unknown = sorted(set(workers) - set(self.workers))
        if unknown:
            raise ResponseError(
                f"{count(len(unknown), 'worker')} not among the labels: {listing(unknown)}."
            )
        chosen = set(workers)
        kept = np.array([name in chosen for name in self.workers], dtype=bool)  # (W,)
        return self._rows(kept[self.worker], workers=kept, items=np.ones(self.n_items, bool))

    def select_items(self, items: Sequence[str]) -> CrowdLabels:
        """Return the labels of `items` alone, in the order that they have here.

        Raises
        ------
        ResponseError
            If an item is unknown.
        """
        unknown = sorted(set(items) - set(self.items))
        if unknown:
            raise ResponseError(
                f"{count(len(unknown), 'item')} not among the labels: {listing(unknown)}."
            )
        chosen = set(items)
        kept = np.array([name in chosen for name in self.items], dtype=bool)  # (I,)
        cells = kept[self.item]
        busy = np.bincount(self.worker[cells], minlength=self.n_workers) > 0
        return self._rows(cells, workers=busy, items=kept)

    def _rows(self, cells: np.ndarray, *, workers: np.ndarray, items: np.ndarray) -> CrowdLabels:
        new_worker, new_item = np.cumsum(workers) - 1, np.cumsum(items) - 1
        return replace(
            self,
            workers=tuple(np.array(self.workers, dtype=object)[workers].tolist()),
            items=tuple(np.array(self.items, dtype=object)[items].tolist()),
            worker=new_worker[self.worker[cells]],
            item=new_item[self.item[cells]],
            label=self.label[cells],
            gold=self.gold[items],
            seconds=None if self.seconds is None else self.seconds[cells],
        )

    def to_responses(self, key: Mapping[str, str] | None = None) -> Responses:
        """Grade the labels by a key: 1 where the label is the item's, else 0.

        Parameters
        ----------
        key : mapping of item to label, optional
            By default the gold labels. Items without one are left out and named in the notes.

        Raises
        ------
        ResponseError
            If there is no gold label and no key.
        """
        key = self.gold_labels() if key is None else key
        if not key:
            raise ResponseError(
                "There are no gold labels, so nothing says which label is right. Give a key, for "
                "example the labels that `aggregate` finds."
            )
        columns = [
            Column("person", self.worker.astype(np.int32), self.workers),
            Column("item", self.item.astype(np.int32), self.items),
            Column("answer", self.label.astype(np.int32), self.label_set),
        ]
        full = {item: key.get(item, "") for item in self.items}
        return Responses.from_columns(columns, layout=Long(), key=full)


def hash_workers(crowd: CrowdLabels, *, salt: str | None = None) -> CrowdLabels:
    """Replace worker ids by salted hashes.

    Parameters
    ----------
    crowd : CrowdLabels
    salt : str, optional
        A secret: the same salt gives the same hashes, so that files can be joined. Without one a
        random salt is used and forgotten. Worker ids are few enough to be tried one by one, so a
        salt that is known protects nobody.

    Raises
    ------
    ResponseError
        If the salt is empty.
    """
    if salt is not None and not salt:
        raise ResponseError("The salt is empty, so anybody could find the ids by trying them.")
    secret = secrets.token_bytes(32) if salt is None else salt.encode()
    hashed = tuple(
        "w" + hmac.new(secret, name.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]
        for name in crowd.workers
    )
    return replace(crowd, workers=hashed)


def _made(parts: Encoded) -> CrowdLabels:
    return CrowdLabels(**{part.name: getattr(parts, part.name) for part in fields(parts)})


def _check_places(crowd: CrowdLabels) -> None:
    n = len(crowd.worker)
    sizes = {len(crowd.item), len(crowd.label)}
    sizes |= set() if crowd.seconds is None else {len(crowd.seconds)}
    if sizes != {n} or len(crowd.gold) != crowd.n_items:
        raise ResponseError("Workers, items, labels, times or gold differ in their number.")
    if not n:
        raise ResponseError("There are no labels.")
    ends = {"worker": crowd.n_workers, "item": crowd.n_items, "label": crowd.n_labels}
    for name, end in ends.items():
        places = getattr(crowd, name)
        if places.min() < 0 or places.max() >= end:
            raise ResponseError(f"A label names a {name} that is not among the {end} known.")
    cell = crowd.worker * crowd.n_items + crowd.item
    if len(np.unique(cell)) < n:
        raise ResponseError("A worker labels an item twice; keep one label for each.")


def _cells(labels: storage.Codes) -> tuple[IntArray, IntArray, IntArray]:
    """Person, item and label of each answer in a matrix of labels."""
    if isinstance(labels, sp.csr_array):
        table = labels.tocoo()
        person, item = (place.astype(np.int64) for place in table.coords)
        return person, item, table.data.astype(np.int64) - 1
    person, item = np.nonzero(labels != MISSING)
    return person, item, labels[person, item].astype(np.int64)
