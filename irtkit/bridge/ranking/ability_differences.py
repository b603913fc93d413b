r"""How far abilities of models lie apart, and the ranks that follow.

Given the items, posteriors of two models are independent. The items' uncertainty is shared: the
same drawn item parameters move both models, so that much of it cancels. Over draws s

.. math:: \mathrm{Var}(\theta_1 - \theta_2) = \overline{v_1 + v_2}
          + \mathrm{Var}_s(m_{1s} - m_{2s})

with posterior means m and variances v given the drawn items. Where items come in clusters, the
first term is at least the variance of the clusters' sums of influence,
:math:`\frac{G}{G-1} \sum_c (\psi_{1c} - \psi_{2c})^2` with
:math:`\psi_c = \sum_{i \in c} \partial \log P_i / \partial\theta \, / \,
(J + 1 / \sigma^2)` (J information, :math:`\sigma^2` variance of the ability distribution): a
sandwich that holds whatever the dependence within clusters.

References
----------
Miller, E. (2024). Adding error bars to evals: A statistical approach to language model
    evaluations. arXiv:2411.00640.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.diagnostics.residuals import Answers, Cells, answers
from irtkit.estimation.calibration import Calibration
from irtkit.responses import Responses
from irtkit.scoring.scores import drawn_parameters, score

BLOCK_CELLS = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Abilities:
    """Posteriors of P models, given each of S draws of the items.

    Attributes
    ----------
    models : tuple of str
    mean, variance : array, shape (S, P)
        Of the posterior given the items of a draw; one row where nothing was drawn.
    influence : array, shape (P, G), or None
        What the answers to each cluster of items add to a model's estimate.
    """

    models: tuple[str, ...]
    mean: FloatArray
    variance: FloatArray
    influence: FloatArray | None

    def __post_init__(self) -> None:
        for name in ("mean", "variance"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def theta(self) -> FloatArray:
        """Mean of each model's posterior, mixed over the draws, shape (P,)."""
        return self.mean.mean(axis=0)

    def standard_error(self) -> FloatArray:
        """Standard error of each model's theta, shape (P,)."""
        within = self.variance.mean(axis=0)
        if self.influence is not None:
            within = np.maximum(within, _sandwich((self.influence**2).sum(axis=1), self.influence))
        return np.sqrt(within + (self._from_mean() ** 2).sum(axis=0) / self._freedom())

    def variances(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """Variance of theta of each model in `rows` less each in `columns`, (rows, columns)."""
        within = self.variance.mean(axis=0)
        within = within[rows, None] + within[columns]
        if self.influence is not None:
            squares = _squared_distances(self.influence[rows], self.influence[columns])
            within = np.maximum(within, _sandwich(squares, self.influence))
        moved = self._from_mean().T  # (P, S)
        return within + _squared_distances(moved[rows], moved[columns]) / self._freedom()

    def _from_mean(self) -> FloatArray:
        return np.asarray(self.mean - self.theta)

    def _freedom(self) -> float:
        return max(1.0, len(self.mean) - 1.0)


def _sandwich(squares: FloatArray, influence: FloatArray) -> FloatArray:
    n_clusters = influence.shape[1]
    return squares * n_clusters / (n_clusters - 1.0)


def _squared_distances(one: FloatArray, other: FloatArray) -> FloatArray:
    """Squared Euclidean distance of each row of `one` to each of `other`."""
    lengths = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2.0 * one @ other.T, 0.0))


def abilities(
    responses: Responses,
    calibration: Calibration,
    *,
    item_draws: int,
    clusters: Any | None,
    seed: int | np.random.Generator,
) -> Abilities:
    """Estimate the abilities of models given each of several draws of the items.

    Parameters
    ----------
    responses : Responses
        Of exactly the calibrated items, as `matched` returns them.
    calibration : Calibration
    item_draws : int
        Draws of the item parameters; 0 takes the estimates as known.
    clusters : CSR array, shape (I, G), or None
    seed : int or Generator

    Raises
    ------
    ModelError
        If items are to be drawn and one has no standard errors.
    """
    drawn = drawn_parameters(calibration, item_draws, seed) or [calibration.parameters]
    found = [score(responses, replace(calibration, parameters=items)) for items in drawn]
    influence = None
    if clusters is not None:
        influence = _influence(responses, calibration, found[0].theta, clusters)
    mean = np.stack([scores.theta for scores in found])  # (S, P)
    variance = np.stack([scores.standard_error**2 for scores in found])
    return Abilities(responses.persons, mean, variance, influence)


def _influence(
    responses: Responses, calibration: Calibration, theta: FloatArray, clusters: Any
) -> FloatArray:
    """What each cluster of items adds to each model's estimate, (P, G)."""
    total = np.zeros((responses.n_persons, clusters.shape[1]))
    information = np.full(responses.n_persons, calibration.latent.standard_deviation**-2)
    size = max(1, BLOCK_CELLS // responses.n_items)
    for start in range(0, responses.n_persons, size):
        rows = slice(start, start + size)
        parts = (calibration.assignment, calibration.parameters, theta[rows])
        for part in answers(responses.codes[rows], *parts):
            slopes, expected = _slopes(part)
            total[rows] += _by_cluster(part, slopes, clusters)
            information[rows] += part.by_person(expected[None])[0]
    return np.asarray(total / information[:, None])


def _slopes(part: Answers) -> tuple[FloatArray, FloatArray]:
    """Slope of the log-probability of each answer at theta, and the item's information there."""
    log_prob, first, _ = part.family.model.theta_derivatives(part.parameters, part.theta)
    place = np.maximum(part.codes, 0).astype(np.int64)[..., None]
    slopes = np.take_along_axis(first, place, axis=-1)[..., 0]
    information = np.einsum("...k,...k->...", np.exp(log_prob), first**2)
    if part.seen is not None:
        slopes, information = slopes * part.seen, information * part.seen
    return slopes, information


def _by_cluster(part: Answers, slopes: FloatArray, clusters: Any) -> FloatArray:
    """Sum slopes over the items of each cluster, (B, G)."""
    if isinstance(part, Cells):
        shape = (part.n_persons, part.n_items)
        table = sp.csr_array((slopes, (part.person, part.item)), shape=shape)
        return np.asarray((table @ clusters).toarray())
    return np.asarray(slopes @ clusters[part.family.places])
