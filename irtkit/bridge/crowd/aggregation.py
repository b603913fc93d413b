r"""`aggregate`: one label and one label distribution for each item, from all its answers.

A method object says how: `Vote` counts answers, `DawidSkene` and `OneCoin` (`worker_models.py`)
also estimate how well each worker labels, `AbilityVote` (`irt_votes.py`) weighs workers by an
item response model, `SoftMean` averages what others found. All return `AggregatedLabels`.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2018). Soft label memorization-generalization for natural language
    inference. arXiv:1702.08563.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, IntArray, frozen
from irtkit.bridge.crowd.agreement import disagreement, entropy
from irtkit.bridge.crowd.counts import NO_GOLD, LabelCounts
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.errors import ResponseError, count, listing, shown

TIES = ("first", "none")
NO_LABEL = -1
EQUAL = 1e-9  # probabilities that differ by less are tied


@dataclass(frozen=True, slots=True, eq=False)
class AggregatedLabels:
    """The label and the label distribution of each item.

    Attributes
    ----------
    method : str
        How they were found.
    crowd : CrowdLabels or LabelCounts
        What they were found from.
    probabilities : array, shape (I, L)
        Label distribution of each item; NaN where nobody labelled it.
    label : array of int, shape (I,)
        Position of the most probable label, -1 where nobody labelled the item or, with ties
        "none", several are equally probable.
    tied : array of bool, shape (I,)
        Several labels are equally probable.
    workers : DataFrame or None
        Index worker, one row a worker, where the method estimates how well they label.
    confusion : array, shape (W, L, L), or None
        Probability that worker w answers the first label where the second is right.
    log_likelihood : array
        After each cycle, in nats; empty where nothing is iterated.
    converged : bool
    notes : tuple of str
    """

    method: str
    crowd: CrowdLabels | LabelCounts
    probabilities: FloatArray
    label: IntArray
    tied: BoolArray
    workers: pd.DataFrame | None = field(default=None, repr=False)
    confusion: FloatArray | None = None
    log_likelihood: FloatArray = field(default_factory=lambda: np.empty(0))
    converged: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("probabilities", "log_likelihood"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        if self.confusion is not None:
            object.__setattr__(self, "confusion", frozen(self.confusion))

    @property
    def items(self) -> tuple[str, ...]:
        """The items, in order."""
        return self.crowd.items

    @property
    def label_set(self) -> tuple[str, ...]:
        """The labels, in the order of the columns of `probabilities`."""
        return self.crowd.label_set

    def labels(self) -> dict[str, str]:
        """Return the label of each item that has one; a key for `CrowdLabels.to_responses`."""
        found = np.flatnonzero(self.label != NO_LABEL).tolist()
        return {self.items[place]: self.label_set[self.label[place]] for place in found}

    def accuracy(self) -> float | None:
        """Share of the items with a gold label that got it; None without gold labels."""
        known = self.crowd.gold != NO_GOLD
        if not known.any():
            return None
        return float((self.label == self.crowd.gold)[known].mean())

    def distribution(self) -> pd.DataFrame:
        """Return the label distributions: index item, one column a label."""
        return pd.DataFrame(
            self.probabilities,
            index=pd.Index(self.items, name="item"),
            columns=list(self.label_set),
        )

    def table(self) -> pd.DataFrame:
        """Return one row an item.

        Returns
        -------
        DataFrame
            Indexed by item: label, probability (of that label), tied, n_answers, entropy (bits)
            and disagreement of the raw answers, gold (if any is known), then p_LABEL for each.
        """
        counts = counts_of(self.crowd)
        names = np.array([*self.label_set, None], dtype=object)
        top = np.where(np.isnan(self.probabilities), -1.0, self.probabilities).max(axis=1)
        parts: dict[str, object] = {
            "label": names[self.label],
            "probability": np.where(top < 0, np.nan, top),
            "tied": self.tied,
            "n_answers": counts.n_answers(),
            "entropy": entropy(counts.counts),
            "disagreement": disagreement(counts.counts),
        }
        if (self.crowd.gold != NO_GOLD).any():
            parts["gold"] = names[self.crowd.gold]
        for place, name in enumerate(self.label_set):
            parts[f"p_{name}"] = self.probabilities[:, place]
        return pd.DataFrame(parts, index=pd.Index(self.items, name="item"))

    def rows(self) -> pd.DataFrame:
        """Return what fine-tuning takes: item, [text, text_pair], label, label_distribution.

        Items without a label are left out. The distributions are lists in the order of
        `label_set`. Texts stand there if the crowd's file held them.
        """
        known = np.flatnonzero(self.label != NO_LABEL)
        frame = pd.DataFrame(
            {
                "item": [self.items[place] for place in known],
                "label": [self.label_set[self.label[place]] for place in known],
                "label_distribution": self.probabilities[known].tolist(),
            }
        )
        texts = self.crowd.texts
        if texts is None:
            return frame
        joined = frame.merge(texts, on="item", how="left", validate="one_to_one")
        more = [name for name in ("text", "text_pair") if name in texts]
        return joined[["item", *more, "label", "label_distribution"]]


class Method(Protocol):
    """How labels are found; `aggregate` calls it."""

    def aggregated(self, crowd: CrowdLabels | LabelCounts) -> AggregatedLabels:
        """Find the label distribution of each item."""
        ...


def aggregate(
    crowd: CrowdLabels | LabelCounts, *, method: Method | None = None
) -> AggregatedLabels:
    """Find one label and one label distribution for each item.

    Parameters
    ----------
    crowd : CrowdLabels or LabelCounts
        Label counts, whose workers are unknown, can only be counted: `Vote`.
    method : Vote, DawidSkene, OneCoin, AbilityVote or SoftMean, optional
        By default `Vote()`.

    Raises
    ------
    ResponseError
        If the method needs workers and there are none, or its options contradict each other.
    """
    return (method or Vote()).aggregated(crowd)


@dataclass(frozen=True, slots=True)
class Vote:
    """Shares of the answers, p(y) = (N_y + s) / (N + s L); the commonest label wins.

    Parameters
    ----------
    smoothing : float
        The s above, an imagined answer to each label.
    ties : str
        Of equally common labels the "first" in alphabetical order wins, or "none" does.
    """

    smoothing: float = 0.0
    ties: str = "first"

    def __post_init__(self) -> None:
        check_smoothing(self.smoothing)
        check_ties(self.ties)

    def aggregated(self, crowd: CrowdLabels | LabelCounts) -> AggregatedLabels:
        """Count the answers."""
        share = shares(counts_of(crowd).counts, self.smoothing)
        return decided("vote", crowd, share, ties=self.ties)


@dataclass(frozen=True, slots=True)
class SoftMean:
    """Average of the label distributions that other methods find.

    Parameters
    ----------
    methods : tuple of methods
        At least two.
    weights : tuple of float
        One a method, positive; equal by default.
    """

    methods: tuple[Method, ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.methods) < 2:
            raise ResponseError("An average needs at least two methods.")
        if self.weights and len(self.weights) != len(self.methods):
            raise ResponseError(
                f"{len(self.weights)} weights were given for {len(self.methods)} methods."
            )
        if not all(np.isfinite(weight) and weight > 0 for weight in self.weights):
            raise ResponseError("The weights of an average must be positive numbers.")

    def aggregated(self, crowd: CrowdLabels | LabelCounts) -> AggregatedLabels:
        """Average the distributions of all methods."""
        found = [method.aggregated(crowd) for method in self.methods]
        weights = self.weights or (1.0,) * len(found)
        mean = np.average([one.probabilities for one in found], axis=0, weights=weights)
        name = "mean of " + ", ".join(one.method for one in found)
        notes = tuple(one.notes[-1] for one in found if not one.converged)
        ready = all(one.converged for one in found)
        return decided(name, crowd, mean, converged=ready, notes=notes)


def label_distribution(
    crowd: CrowdLabels | LabelCounts,
    *,
    smoothing: float = 0.0,
    workers: Sequence[str] | None = None,
) -> pd.DataFrame:
    r"""Empirical label distribution of each item.

    .. math:: p(y) = \frac{N_y + s}{N + s L}

    Parameters
    ----------
    crowd : CrowdLabels or LabelCounts
    smoothing : float
        The s above; 0 gives the plain shares N_y / N.
    workers : sequence of str, optional
        Only these workers' answers.

    Returns
    -------
    DataFrame
        Indexed by item, one column a label, rows summing to one; NaN where nobody of the chosen
        workers labelled the item.

    Raises
    ------
    ResponseError
        If a worker is unknown, the smoothing negative, or workers are chosen from counts.
    """
    check_smoothing(smoothing)
    if workers is not None:
        crowd = with_workers(crowd, "a choice of workers").select_workers(workers)
    counts = counts_of(crowd)
    return pd.DataFrame(
        shares(counts.counts, smoothing),
        index=pd.Index(counts.items, name="item"),
        columns=list(counts.label_set),
    )


def shares(counts: FloatArray, smoothing: float = 0.0) -> FloatArray:
    """Shares of labels on each item, shape (I, L); NaN where there is no answer."""
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        share = (counts + smoothing) / (total + smoothing * counts.shape[1])
    return np.where(total > 0, share, np.nan)


def counts_of(crowd: CrowdLabels | LabelCounts) -> LabelCounts:
    """Count the labels of a crowd."""
    return crowd if isinstance(crowd, LabelCounts) else crowd.counts()


def with_workers(crowd: CrowdLabels | LabelCounts, purpose: str) -> CrowdLabels:
    """Return the crowd if its workers are known.

    Raises
    ------
    ResponseError
        If there are only counts.
    """
    if isinstance(crowd, CrowdLabels):
        return crowd
    raise ResponseError(
        f"These are label counts without workers, and {purpose} needs to know who gave which "
        "label. Count them (Vote, --method majority), or read answers with worker ids."
    )


def decided(
    method: str,
    crowd: CrowdLabels | LabelCounts,
    probabilities: FloatArray,
    *,
    ties: str = "first",
    converged: bool = True,
    notes: tuple[str, ...] = (),
) -> AggregatedLabels:
    """Choose the most probable label of each item, ties by rule, and say what was undecided."""
    empty = np.asarray(np.isnan(probabilities).any(axis=1))  # (I,)
    filled = np.where(empty[:, None], 0.0, probabilities)
    top = filled.max(axis=1, keepdims=True)
    tied = ((filled >= top - EQUAL).sum(axis=1) > 1) & ~empty  # (I,)
    best = (filled >= top - EQUAL).argmax(axis=1)
    nobody: BoolArray = empty | (tied & (ties == "none"))
    label = np.where(nobody, NO_LABEL, best)
    rule = "left without one" if ties == "none" else "given the first in alphabetical order"
    told = []
    if tied.any():
        told.append(f"{count(int(tied.sum()), 'item')} with equally probable labels, {rule}.")
    if empty.any():
        names = [crowd.items[place] for place in np.flatnonzero(empty)]
        told.append(f"{count(len(names), 'item')} that nobody labelled: {listing(names)}.")
    return AggregatedLabels(
        method, crowd, probabilities, label, tied, converged=converged, notes=(*told, *notes)
    )


def check_smoothing(smoothing: float) -> None:
    """Refuse a smoothing that is no count.

    Raises
    ------
    ResponseError
        If it is negative or not finite.
    """
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise ResponseError(
            f"The smoothing is {smoothing:g}; it counts imagined answers: zero or more."
        )


def check_ties(ties: str) -> None:
    """Refuse an unknown rule for ties.

    Raises
    ------
    ResponseError
        If there is no such rule.
    """
    if ties not in TIES:
        raise ResponseError(f"Unknown rule for ties {shown(ties)}; there is {listing(TIES)}.")
