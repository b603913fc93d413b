r"""Standard errors from the observed information of the marginal likelihood.

.. math:: J = \sum_p \left( E[-\ddot\ell_p] - \mathrm{Cov}[\dot\ell_p] \right)

over each person's posterior of theta, with the complete-data log-likelihood
:math:`\ell_p(\theta)` (Louis, 1982). Curvature of the complete data alone would overstate it.

References
----------
Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. Journal
    of the Royal Statistical Society B, 44(2), 226-233.
"""

from __future__ import annotations

import numpy as np

from irtkit.arrays import BoolArray, FloatArray
from irtkit.errors import count
from irtkit.estimation.em import Blocks, derivatives, e_step, posteriors
from irtkit.latent import Nodes
from irtkit.models import ItemModel, SlopeRule

MOST_ITEMS = 1000


def item_covariance(
    blocks: Blocks, model: ItemModel, parameters: FloatArray, nodes: Nodes, fixed: BoolArray
) -> tuple[FloatArray, list[str]]:
    """Return each item's block of the inverse observed information, and notes.

    Parameters
    ----------
    blocks : Blocks
        The responses.
    model : ItemModel
    parameters : array, shape (I, 2)
    nodes : Nodes
    fixed : array of bool, shape (I,)
        Items held fixed, at a bound; their block is NaN.

    Returns
    -------
    covariance : array, shape (I, 2, 2)
    notes : list of str
        Why standard errors are absent, if they are.
    """
    n_items = len(parameters)
    blank = np.full((n_items, 2, 2), np.nan)
    if n_items > MOST_ITEMS:
        return blank, [f"No standard errors: {count(n_items, 'item')}, more than {MOST_ITEMS}."]
    information = observed_information(blocks, model, parameters, nodes)  # (I, 2, I, 2)
    free = np.flatnonzero(~fixed)
    part = information[free][:, :, free].reshape(2 * len(free), 2 * len(free))
    design = _design(model, len(free))  # (2 I, parameters)
    try:
        factor = np.linalg.cholesky(design.T @ part @ design)
    except np.linalg.LinAlgError:
        return blank, ["No standard errors: the information matrix is not positive definite."]
    root = np.linalg.solve(factor, design.T)  # (parameters, 2 I)
    whole = (root.T @ root).reshape(len(free), 2, len(free), 2)
    blank[free] = np.einsum("idie->ide", whole)
    return blank, []


def _design(model: ItemModel, n_items: int) -> FloatArray:
    """Derivative of (slope, intercept) of all items by the free parameters."""
    if model.slope_rule is SlopeRule.FREE:
        return np.eye(2 * n_items)
    design = np.zeros((2 * n_items, n_items + 1))
    design[0::2, 0] = 1.0
    design[np.arange(1, 2 * n_items, 2), np.arange(1, n_items + 1)] = 1.0
    return design


def observed_information(
    blocks: Blocks, model: ItemModel, parameters: FloatArray, nodes: Nodes
) -> FloatArray:
    """Observed information of slopes and intercepts, shape (I, 2, I, 2).

    The score of an item is (y - P)(theta, 1) where answered and 0 elsewhere, so that the second
    moments of all scores are one (I, P) x (P, I) product for each node.

    Notes
    -----
    O(Q P I^2) time, O(I^2) memory beyond the input.
    """
    theta = nodes.theta
    log_prob = model.log_prob(parameters, theta)  # (Q, I, 2)
    right = np.exp(log_prob[:, :, 1])  # (Q, I)
    n_items = len(parameters)
    moment = np.zeros((3, n_items, n_items))  # by theta^2, theta, 1
    square = np.zeros((n_items, 2, n_items, 2))  # sum of outer products of expected scores
    powers = np.stack([theta**2, theta, np.ones_like(theta)])  # (3, Q)
    for block, posterior, _ in posteriors(blocks, log_prob, nodes.log_weights):
        answered = np.ones_like(block.chosen[0]) if block.answered is None else block.answered
        for q in range(len(theta)):
            if posterior[:, q].max() < 1e-14:
                continue
            residual = block.chosen[0] - answered * right[q]  # (B, I)
            product = residual.T @ (residual * (posterior[:, q] * block.weights)[:, None])
            moment += powers[:, q, None, None] * product
        score = _expected_scores(block.chosen[0], answered, posterior, theta, right)  # (B, I, 2)
        flat = score.reshape(len(score), -1)
        square += ((flat * block.weights[:, None]).T @ flat).reshape(square.shape)
    counts = e_step(blocks, log_prob, nodes.log_weights).counts
    _, _, curvature = derivatives(model, parameters, theta, counts)  # (I, 2, 2)
    information = square
    information[:, 0, :, 0] -= moment[0]
    information[:, 0, :, 1] -= moment[1]
    information[:, 1, :, 0] -= moment[1]
    information[:, 1, :, 1] -= moment[2]
    every = np.arange(n_items)
    information[every, :, every, :] += curvature
    return information


def _expected_scores(
    chosen: FloatArray,
    answered: FloatArray,
    posterior: FloatArray,
    theta: FloatArray,
    right: FloatArray,
) -> FloatArray:
    """Posterior mean of each person's score, shape (B, I, 2)."""
    mean = posterior @ theta  # (B,)
    by_slope = chosen * mean[:, None] - answered * (posterior @ (right * theta[:, None]))  # (B, I)
    by_intercept = chosen - answered * (posterior @ right)  # (B, I)
    return np.stack([by_slope, by_intercept], axis=-1)
