r"""Abilities of persons, given a calibration; and the summed-score likelihood.

`score` never re-estimates an item. Lord-Wingersky's recursion has its one home here: the
diagnostics use it too.

References
----------
Bock, R. D., & Mislevy, R. J. (1982). Adaptive EAP estimation of ability in a microcomputer
    environment. Applied Psychological Measurement, 6(4), 431-444.
Lord, F. M., & Wingersky, M. S. (1984). Comparison of IRT true-score and equipercentile
    observed-score "equatings". Applied Psychological Measurement, 8(4), 453-461.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.errors import ModelError, listing
from irtkit.estimation.calibration import Calibration, matched
from irtkit.estimation.em import Blocks, posteriors
from irtkit.latent import Nodes
from irtkit.responses import Responses

METHODS = ("eap",)
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Abilities of persons.

    Attributes
    ----------
    persons : tuple of str
    theta, standard_error : array, shape (P,)
        Estimate and its standard error, in units of theta.
    low, high : array, shape (P,)
        Posterior quantiles at 2.5% and 97.5%.
    n_answered : array of int, shape (P,)
        Answers to calibrated items; without any, theta is the population's mean.
    """

    persons: tuple[str, ...]
    theta: FloatArray
    standard_error: FloatArray
    low: FloatArray
    high: FloatArray
    n_answered: IntArray

    def __post_init__(self) -> None:
        for name in ("theta", "standard_error", "low", "high"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        object.__setattr__(self, "n_answered", frozen(self.n_answered, np.int64))

    def table(self) -> pd.DataFrame:
        """Return one row a person: theta, standard_error, theta_low, theta_high, n_answered."""
        return pd.DataFrame(
            {
                "theta": self.theta,
                "standard_error": self.standard_error,
                "theta_low": self.low,
                "theta_high": self.high,
                "n_answered": self.n_answered,
            },
            index=pd.Index(self.persons, name="person"),
        )


def score(responses: Responses, calibration: Calibration, *, method: str = "eap") -> Scores:
    """Estimate the ability of each person from the answers, with the items held fixed.

    Parameters
    ----------
    responses : Responses
        Answers to items of the calibration, complete or not.
    calibration : Calibration
        Item parameters and ability distribution.
    method : str
        "eap": the mean of the posterior, its SD as standard error.

    Raises
    ------
    ModelError
        If the method is unknown or the answers do not fit the calibration.
    """
    if method not in METHODS:
        raise ModelError(f"Unknown scoring method '{method}'; there is {listing(METHODS)}.")
    known, part = matched(responses, calibration)
    nodes = part.nodes()
    log_prob = part.model.log_prob(part.parameters, nodes.theta)  # (Q, I, K)
    blocks = Blocks.of(known, part.model.n_categories)
    pieces = [
        _moments(posterior, nodes)
        for _, posterior, _ in posteriors(blocks, log_prob, nodes.log_weights)
    ]
    theta, standard_error, low, high = np.concatenate(pieces, axis=1)  # (4, P)
    return Scores(responses.persons, theta, standard_error, low, high, known.n_answered())


def _moments(posterior: FloatArray, nodes: Nodes) -> FloatArray:
    """Mean, SD and the two interval ends of each posterior (B, Q), stacked (4, B)."""
    mean = posterior @ nodes.theta  # (B,)
    centred = nodes.theta[None, :] - mean[:, None]  # (B, Q)
    variance = np.einsum("bq,bq->b", posterior, centred**2)  # (B,)
    return np.stack(
        [mean, np.sqrt(variance), *(quantile(posterior, nodes, share) for share in INTERVAL)]
    )


def quantile(posterior: FloatArray, nodes: Nodes, share: float) -> FloatArray:
    """Quantile of each posterior (B, Q), each node's mass spread evenly over its cell."""
    below = np.cumsum(posterior, axis=1)  # (B, Q)
    cell = np.argmax(below >= share, axis=1)  # (B,)
    rows = np.arange(len(posterior))
    mass = posterior[rows, cell]
    inside = (share - (below[rows, cell] - mass)) / np.maximum(mass, 1e-300)  # (B,)
    return nodes.theta[cell] + (inside - 0.5) * nodes.spacing


def summed_score_likelihood(right: FloatArray) -> FloatArray:
    """Probability of each number of right answers, by the recursion of Lord and Wingersky.

    Parameters
    ----------
    right : array, shape (I, ...)
        Success probabilities of the items; the other axes may be nodes, persons and the like.

    Returns
    -------
    array, shape (I + 1, ...)
    """
    sums = np.zeros((len(right) + 1, *right.shape[1:]))
    sums[0] = 1.0
    for item, p in enumerate(right):
        gained = sums[: item + 1] * p
        sums[: item + 1] -= gained
        sums[1 : item + 2] += gained
    return sums


def without_item(sums: FloatArray, p: FloatArray) -> FloatArray:
    """Take one item out of a summed-score likelihood again.

    The recursion is undone upwards where the item is mostly failed and downwards where it is
    mostly solved, so that rounding never grows.

    Parameters
    ----------
    sums : array, shape (I + 1, ...)
        From `summed_score_likelihood`.
    p : array, shape (...)
        The item's success probability; broadcast against the trailing axes of `sums`.

    Returns
    -------
    array, shape (I, ...)
    """
    n_items = len(sums) - 1
    rest = np.empty((n_items, *np.broadcast_shapes(sums.shape[1:], p.shape)))
    failed, solved = 1.0 / np.maximum(1.0 - p, 0.5), 1.0 / np.maximum(p, 0.5)
    up, down = np.minimum(p, 0.5) * failed, np.minimum(1.0 - p, 0.5) * solved
    rest[0] = sums[0] * failed
    for k in range(1, n_items):
        rest[k] = sums[k] * failed - up * rest[k - 1]
    easy = p >= 0.5
    above = sums[n_items] * solved
    for k in range(n_items - 1, -1, -1):
        np.copyto(rest[k], above, where=easy)
        above = sums[k] * solved - down * above
    return rest
