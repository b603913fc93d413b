r"""Dawid-Skene and one-coin: how well each worker labels, estimated with the labels themselves.

Worker w answers y on an item whose right label is c with probability e_w[y, c]. EM finds these
confusion matrices, the shares of the labels and the probability of each label on each item.
One-coin ties each matrix to one number: right with probability s_w, else any other label with
equal probability. All is in log space; smoothing adds imagined answers to each cell of a
confusion matrix (a Dirichlet prior, so EM climbs the posterior and never falls).

References
----------
Dawid, A. P., & Skene, A. M. (1979). Maximum likelihood estimation of observer error-rates using
    the EM algorithm. Journal of the Royal Statistical Society C, 28(1), 20-28.
Zhang, Y., Chen, X., Zhou, D., & Jordan, M. I. (2016). Spectral methods meet EM: A provably
    optimal algorithm for crowdsourcing. Journal of Machine Learning Research, 17(102), 1-44.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray, logsumexp
from irtkit.bridge.crowd.aggregation import (
    AggregatedLabels,
    check_smoothing,
    decided,
    shares,
    with_workers,
)
from irtkit.bridge.crowd.counts import NO_GOLD, LabelCounts, gold_positions
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.errors import ResponseError, listing, shown

SHARES = ("estimated", "equal")

MStep = Callable[[FloatArray], FloatArray]  # expected counts (W, L, L) -> log-confusion


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """A confusion matrix for each worker.

    Parameters
    ----------
    smoothing : float
        Imagined answers in each cell of each confusion matrix.
    floor : float
        Least expected count of a label that a worker used, before each column is divided by its
        sum; labels that a worker never used have none. With `smoothing=0` and `floor=1e-10` the
        cycles are those of the package crowd-kit. It breaks the law that EM never falls.
    tolerance : float
        Stop when a cycle changes the log-likelihood by less, in nats an answer.
    max_cycles : int
    label_shares : str
        "estimated": the labels' shares among items are estimated; "equal": they are equal.
    known : mapping of item to label, optional
        Labels that are certain, such as gold: these items teach how well workers label.
    """

    smoothing: float = 0.01
    floor: float = 0.0
    tolerance: float = 1e-7
    max_cycles: int = 1000
    label_shares: str = "estimated"
    known: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        check_options(self)

    def aggregated(self, crowd: CrowdLabels | LabelCounts) -> AggregatedLabels:
        """Estimate labels and confusion matrices together."""
        return _estimated(self, with_workers(crowd, "Dawid-Skene"), "dawid-skene")

    def m_step(self, used: FloatArray) -> MStep:
        """Return the map from expected counts to log-confusion; `used` is (W, L)."""
        return partial(full_confusion, used=used, smoothing=self.smoothing, floor=self.floor)


@dataclass(frozen=True, slots=True)
class OneCoin:
    """One probability of being right for each worker.

    Parameters
    ----------
    smoothing : float
        Imagined answers in each cell of each confusion matrix, which are then tied.
    floor : float
        Least probability of a right and of a wrong answer. With `smoothing=0`, `floor=1e-10` and
        estimated shares the cycles are those of the package crowd-kit.
    tolerance, max_cycles, known
        As for `DawidSkene`.
    label_shares : str
        "equal" or "estimated" (as in crowd-kit). Estimated shares can run away: where workers
        are hardly better than chance, one label takes all.
    """

    smoothing: float = 0.01
    floor: float = 0.0
    tolerance: float = 1e-7
    max_cycles: int = 1000
    label_shares: str = "equal"
    known: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        check_options(self)

    def aggregated(self, crowd: CrowdLabels | LabelCounts) -> AggregatedLabels:
        """Estimate labels and workers' accuracies together."""
        return _estimated(self, with_workers(crowd, "one-coin"), "one-coin")

    def m_step(self, used: FloatArray) -> MStep:
        """Return the map from expected counts to log-confusion."""
        return partial(tied_confusion, smoothing=self.smoothing, floor=self.floor)


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Where EM ended.

    Attributes
    ----------
    probabilities : array, shape (I, L)
    log_confusion : array, shape (W, L, L)
        Of the answer, given the right label.
    log_prior : array, shape (L,)
    log_likelihood : array
        After each cycle.
    converged : bool
    """

    probabilities: FloatArray
    log_confusion: FloatArray
    log_prior: FloatArray
    log_likelihood: FloatArray
    converged: bool


def answer_matrix(
    worker: IntArray, item: IntArray, label: IntArray, shape: tuple[int, int, int]
) -> sp.csr_array:
    """Put a one where worker w answered y on item i: rows i, columns w L + y, shape (I, W L)."""
    n_workers, n_items, n_labels = shape
    ones = np.ones(len(worker))
    places = (item, worker * n_labels + label)
    return sp.csr_array((ones, places), shape=(n_items, n_workers * n_labels))


def e_step(
    answers: sp.csr_array, log_confusion: FloatArray, log_prior: FloatArray
) -> tuple[FloatArray, float]:
    r"""Probability of each label on each item, and the log-likelihood of all answers.

    .. math:: p_{ic} \propto \pi_c \prod_w e_w[y_{wi}, c]

    Parameters
    ----------
    answers : CSR array, shape (I, W L)
    log_confusion : array, shape (W, L, L)
    log_prior : array, shape (L,)
    """
    n_labels = len(log_prior)
    joint = log_prior + answers @ log_confusion.reshape(-1, n_labels)  # (I, L)
    total = logsumexp(joint, axis=1)  # (I,)
    return np.exp(joint - total[:, None]), float(total.sum())


def expected_counts(answers: sp.csr_array, probabilities: FloatArray) -> FloatArray:
    """Expected number of times that a worker answered y where c is right, shape (W, L, L)."""
    n_labels = probabilities.shape[1]
    return np.asarray(answers.T @ probabilities).reshape(-1, n_labels, n_labels)


def full_confusion(
    counts: FloatArray, *, used: FloatArray, smoothing: float, floor: float
) -> FloatArray:
    """Log-confusion (W, L, L) from expected counts; a column without any count is uniform."""
    raised = counts + smoothing
    if floor:
        raised = np.where(used[:, :, None] > 0, np.maximum(raised, floor), raised)
    total = raised.sum(axis=1, keepdims=True)  # (W, 1, L)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(raised) - np.log(total)
    return np.where(total > 0, log, -np.log(counts.shape[1]))


def tied_confusion(counts: FloatArray, *, smoothing: float, floor: float) -> FloatArray:
    """Log-confusion (W, L, L) of workers who are right or wrong whatever the label."""
    n_labels = counts.shape[1]
    raised = counts + smoothing
    right = np.trace(raised, axis1=1, axis2=2)  # (W,)
    total = raised.sum(axis=(1, 2))
    chance = right / total
    missed = (total - right) / total / max(n_labels - 1, 1)
    if floor:
        chance, missed = (np.clip(value, floor, 1.0 - floor) for value in (chance, missed))
    same = np.eye(n_labels, dtype=bool)
    with np.errstate(divide="ignore"):
        log_right, log_wrong = np.log(chance), np.log(np.maximum(missed, 0.0))
    return np.where(same, log_right[:, None, None], log_wrong[:, None, None])


def estimate(
    answers: sp.csr_array,
    start: FloatArray,
    method: DawidSkene | OneCoin,
    fixed: IntArray,
) -> Estimate:
    """Cycle from starting probabilities until the log-likelihood settles.

    Parameters
    ----------
    answers : CSR array, shape (I, W L)
    start : array, shape (I, L)
        Probability of each label, such as the shares of the answers.
    method : DawidSkene or OneCoin
    fixed : array of int, shape (I,)
        The label of items where it is certain, else -1.
    """
    n_labels = start.shape[1]
    used = np.asarray(answers.sum(axis=0), np.float64).reshape(-1, n_labels)  # (W, L)
    m_step = method.m_step(used)
    probabilities = _with_fixed(start, fixed)
    answered = np.diff(answers.indptr) > 0  # (I,)
    history: list[float] = []
    converged = False
    log_prior = _log_shares(probabilities[answered], method)
    log_confusion = m_step(expected_counts(answers, probabilities))
    while len(history) < method.max_cycles and not converged:
        probabilities, total = e_step(answers, log_confusion, log_prior)
        probabilities = _with_fixed(probabilities, fixed)
        log_prior = _log_shares(probabilities[answered], method)
        log_confusion = m_step(expected_counts(answers, probabilities))
        change = abs(total - history[-1]) if history else np.inf
        converged = change < method.tolerance * answers.nnz
        history.append(total)
    return Estimate(probabilities, log_confusion, log_prior, np.array(history), converged)


def check_options(method: DawidSkene | OneCoin) -> None:
    """Refuse options of the cycles that make no sense.

    Raises
    ------
    ResponseError
        Naming the option.
    """
    check_smoothing(method.smoothing)
    if not 0 <= method.floor < 0.5:
        raise ResponseError(
            f"The floor is {method.floor:g}; it should be at least 0 and below 0.5."
        )
    if not (np.isfinite(method.tolerance) and method.tolerance >= 0):
        raise ResponseError(f"The tolerance is {method.tolerance:g}; it should be zero or more.")
    if method.max_cycles < 1:
        raise ResponseError(f"{method.max_cycles} cycles estimate nothing; allow at least one.")
    if method.label_shares not in SHARES:
        raise ResponseError(
            f"Label shares can be {listing(SHARES)}, not {shown(method.label_shares)}."
        )


def _estimated(method: DawidSkene | OneCoin, crowd: CrowdLabels, name: str) -> AggregatedLabels:
    shape = (crowd.n_workers, crowd.n_items, crowd.n_labels)
    answers = answer_matrix(crowd.worker, crowd.item, crowd.label, shape)
    share = shares(crowd.counts().counts)
    empty = np.asarray(np.isnan(share).any(axis=1))  # (I,)
    start = np.where(empty[:, None], 1.0 / crowd.n_labels, share)  # (I, L)
    found = estimate(answers, start, method, _fixed(crowd, method.known))
    notes: tuple[str, ...] = ()
    if not found.converged:
        notes = (f"{name} stopped after {method.max_cycles} cycles before it settled.",)
    probabilities = np.where(empty[:, None], np.nan, found.probabilities)
    made = decided(name, crowd, probabilities, converged=found.converged, notes=notes)
    return replace(
        made,
        workers=_workers(crowd, found),
        confusion=np.exp(found.log_confusion),
        log_likelihood=found.log_likelihood,
    )


def _workers(crowd: CrowdLabels, found: Estimate) -> pd.DataFrame:
    """Describe each worker: answers given, and probability of being right.

    The probability is that of a right answer on an item whose label is drawn from the estimated
    shares of the labels.
    """
    right = np.exp(np.diagonal(found.log_confusion, axis1=1, axis2=2))  # (W, L)
    return pd.DataFrame(
        {
            "n_answers": np.bincount(crowd.worker, minlength=crowd.n_workers),
            "accuracy": right @ np.exp(found.log_prior),
        },
        index=pd.Index(crowd.workers, name="worker"),
    )


def _log_shares(probabilities: FloatArray, method: DawidSkene | OneCoin) -> FloatArray:
    """Log-shares of the labels among the items, (L,)."""
    n_labels = probabilities.shape[1]
    if method.label_shares == "equal":
        return np.full(n_labels, -np.log(n_labels))
    with np.errstate(divide="ignore"):
        return np.log(probabilities.mean(axis=0))


def _with_fixed(probabilities: FloatArray, fixed: IntArray) -> FloatArray:
    sure = fixed != NO_GOLD
    if not sure.any():
        return probabilities
    certain = np.eye(probabilities.shape[1])[np.maximum(fixed, 0)]  # (I, L)
    return np.where(sure[:, None], certain, probabilities)


def _fixed(crowd: CrowdLabels, known: Mapping[str, str] | None) -> IntArray:
    strange = sorted(set(known or {}) - set(crowd.items))
    if strange:
        raise ResponseError(
            f"Known labels were given for items that nobody labelled: {listing(strange)}. Name "
            f"items such as {shown(crowd.items[0])}."
        )
    return gold_positions(crowd.items, crowd.label_set, known or {})
