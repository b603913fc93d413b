r"""`AbilityVote`: votes weighed by the workers' ability.

The labels are graded by a first key (the majority, gold labels, or any other), a Rasch model
places workers on theta, and each worker's answers count by how often somebody so able is right.
The model sees which items are hard, so a worker who happened to get hard items is not taken for
a bad one; Dawid-Skene and one-coin do take him so.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2016). Building an evaluation scale using item response theory.
    EMNLP, 648-657.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, logsumexp
from irtkit.bridge.crowd.aggregation import (
    AggregatedLabels,
    Vote,
    decided,
    shares,
    with_workers,
)
from irtkit.bridge.crowd.counts import LabelCounts
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.errors import ResponseError, listing, shown
from irtkit.estimation import MML, Priors, calibrate
from irtkit.estimation.calibration import Calibration
from irtkit.models import Rasch
from irtkit.scoring import score

KEYS = ("vote", "gold")
WEIGHTS = ("posterior", "odds")
BLOCK = 64  # workers
QUICK = MML(priors=Priors.small_sample(), standard_errors=None, tolerance=1e-4)


@dataclass(frozen=True, slots=True)
class AbilityVote:
    r"""Votes weighed by ability theta from a Rasch model.

    Parameters
    ----------
    key : str or mapping of item to label
        What counts as right while workers are placed: "vote" (the majority's labels), "gold"
        (items with gold labels alone), or labels found otherwise, such as those of `DawidSkene`.
    weights : str
        "posterior": the probability of each label when worker w is right with probability
        :math:`\bar P_w` (the expected share right at theta_w over the calibrated items) and
        else gives any other label with equal probability. "odds": each vote counts
        exp(theta_w), the odds that the worker is right on an item of difficulty 0.
    method : MML, optional
        How the items are calibrated; by default with weak priors and without standard errors.
    """

    key: str | Mapping[str, str] = "vote"
    weights: str = "posterior"
    method: MML = QUICK

    def __post_init__(self) -> None:
        if isinstance(self.key, str) and self.key not in KEYS:
            raise ResponseError(f"Unknown key {shown(self.key)}; there is {listing(KEYS)}.")
        if self.weights not in WEIGHTS:
            raise ResponseError(
                f"Unknown weights {shown(self.weights)}; there is {listing(WEIGHTS)}."
            )

    def aggregated(self, crowd: CrowdLabels | LabelCounts) -> AggregatedLabels:
        """Place the workers, then weigh their votes."""
        known = with_workers(crowd, "a vote weighed by ability")
        responses = known.to_responses(self._key(known))
        calibration = calibrate(responses, Rasch(), method=self.method)
        # workers without an answer to a graded item have the population's mean ability
        scores = score(responses, calibration)
        place = {worker: number for number, worker in enumerate(scores.persons)}
        rows = np.array([place.get(worker, -1) for worker in known.workers])
        mean, spread = _population(calibration)
        theta = np.where(rows >= 0, scores.theta[rows], mean)
        error = np.where(rows >= 0, scores.standard_error[rows], spread)
        right = expected_share(calibration, theta)
        if self.weights == "posterior":
            probabilities = label_posterior(known, right)
        else:
            probabilities = shares(known.counts(np.exp(theta)).counts)
        made = decided(f"ability vote ({self.weights})", known, probabilities)
        return replace(made, workers=_table(known, theta, error, right))

    def _key(self, crowd: CrowdLabels) -> Mapping[str, str]:
        if not isinstance(self.key, str):
            return self.key
        if self.key == "vote":
            return Vote().aggregated(crowd).labels()
        return crowd.gold_labels()


def expected_share(calibration: Calibration, theta: FloatArray) -> FloatArray:
    """Expected share of right answers to the calibrated items at each theta, shape (W,)."""
    places = np.flatnonzero(calibration.calibrated)
    items, parameters = calibration.assignment.at(places), calibration.parameters[places]
    parts = [
        items.expected_score(parameters, theta[start : start + BLOCK]).mean(axis=1)
        for start in range(0, len(theta), BLOCK)
    ]
    return np.concatenate(parts)


def label_posterior(crowd: CrowdLabels, right: FloatArray) -> FloatArray:
    r"""Probability of each label given how often each worker is right, shape (I, L).

    .. math:: \log p_{ic} = \sum_{w: y_{wi} = c} \log \frac{P_w (L - 1)}{1 - P_w} + \text{const}

    The labels are equally probable beforehand.
    """
    log_odds = np.log(right) - np.log1p(-right) + np.log(crowd.n_labels - 1)  # (W,)
    cell = crowd.item * crowd.n_labels + crowd.label
    size = crowd.n_items * crowd.n_labels
    total = np.bincount(cell, log_odds[crowd.worker], size).astype(np.float64)
    joint = total.reshape(crowd.n_items, crowd.n_labels)  # (I, L)
    found = np.exp(joint - logsumexp(joint, axis=1)[:, None])
    answered = np.bincount(crowd.item, minlength=crowd.n_items) > 0
    return np.where(answered[:, None], found, np.nan)


def _population(calibration: Calibration) -> tuple[float, float]:
    """Mean and SD of the ability distribution."""
    nodes = calibration.nodes()
    weights = np.exp(nodes.log_weights)
    mean = float(weights @ nodes.theta)
    return mean, float(np.sqrt(weights @ (nodes.theta - mean) ** 2))


def _table(
    crowd: CrowdLabels, theta: FloatArray, error: FloatArray, right: FloatArray
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n_answers": np.bincount(crowd.worker, minlength=crowd.n_workers),
            "accuracy": right,
            "theta": theta,
            "standard_error": error,
        },
        index=pd.Index(crowd.workers, name="worker"),
    )
