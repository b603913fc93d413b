r"""One cycle of the EM algorithm for marginal maximum likelihood.

`e_step` expects the counts behind the responses, `m_step` improves the item parameters from
them, `expand` takes out the location and scale of theta that the counts imply (parameter
expansion, without which long tests stall). Nothing here loops until convergence or accelerates:
see `mml.py` and `acceleration.py`.

The log-likelihood of all persons at all nodes is a matrix product: with indicators
:math:`Y_k` (P, I) and :math:`O = \sum_k Y_k`,
:math:`\log L = O \log P_0^T + \sum_{k \ge 1} Y_k (\log P_k - \log P_0)^T`; the counts are
another. `Block` holds the indicators of some persons.

References
----------
Bock, R. D., & Aitkin, M. (1981). Marginal maximum likelihood estimation of item parameters.
    Psychometrika, 46(4), 443-459. https://doi.org/10.1007/BF02293801
Liu, C., Rubin, D. B., & Wu, Y. N. (1998). Parameter expansion to accelerate EM: the PX-EM
    algorithm. Biometrika, 85(4), 755-770. https://doi.org/10.1093/biomet/85.4.755
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from irtkit.arrays import BoolArray, CodeArray, FloatArray
from irtkit.coding import MISSING
from irtkit.latent import Nodes
from irtkit.models import ItemModel, SlopeRule
from irtkit.responses import Responses

BLOCK_PERSONS = 1024
KEPT_BYTES = 2**30
ITEM_CHUNK_CELLS = 100_000
NEWTON_STEPS = 2
LONGEST_NEWTON_STEP = 1.0
MOST_HALVINGS = 8
ROUNDING = 1e-13
TINY_CURVATURE = 1e-10  # against items that no node informs about any more


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The answers of some persons as indicator matrices.

    Attributes
    ----------
    rows : slice
        Which persons.
    weights : array, shape (B,)
        How many persons each row stands for.
    chosen : tuple of array, each of shape (B, I)
        1 where category k was chosen, for k = 1 .. K-1.
    answered : array, shape (B, I), or None
        1 where any category was chosen; None if all were answered.
    """

    rows: slice
    weights: FloatArray
    chosen: tuple[FloatArray, ...]
    answered: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """All blocks of a set of responses, kept in memory if small, else made on each pass."""

    responses: Responses
    n_categories: int
    kept: tuple[Block, ...] | None

    @classmethod
    def of(cls, responses: Responses, n_categories: int) -> Blocks:
        """Prepare responses for repeated passes."""
        size = responses.n_persons * responses.n_items * 8 * n_categories
        blocks = cls(responses, n_categories, None)
        return cls(responses, n_categories, tuple(blocks)) if size <= KEPT_BYTES else blocks

    def __iter__(self) -> Iterator[Block]:
        if self.kept is not None:
            yield from self.kept
            return
        for rows, codes in self.responses.blocks(BLOCK_PERSONS):
            yield _block(rows, codes, self.responses.weights[rows], self.n_categories)


def _block(rows: slice, codes: CodeArray, weights: FloatArray, n_categories: int) -> Block:
    chosen = tuple((codes == k).astype(np.float64) for k in range(1, n_categories))
    seen = codes != MISSING
    return Block(rows, weights, chosen, None if seen.all() else seen.astype(np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Expected counts given the responses.

    Attributes
    ----------
    counts : array, shape (Q, I, K)
        Expected number of persons at node q who answered item i with category k.
    mass : array, shape (Q,)
        Expected number of persons at node q.
    log_likelihood : float
        Marginal log-likelihood at the parameters that made the counts (nats).
    """

    counts: FloatArray
    mass: FloatArray
    log_likelihood: float


def posteriors(
    blocks: Iterable[Block], log_prob: FloatArray, log_weights: FloatArray
) -> Iterator[tuple[Block, FloatArray, FloatArray]]:
    """Yield each block with its posterior (B, Q) and log marginal likelihood (B,).

    Parameters
    ----------
    blocks : iterable of Block
    log_prob : array, shape (Q, I, K)
        `ItemModel.log_prob` at the nodes, natural log.
    log_weights : array, shape (Q,)
        Log-weights of the nodes; their exponentials sum to one.
    """
    base = log_prob[:, :, 0]  # (Q, I)
    contrasts = [
        np.ascontiguousarray((log_prob[:, :, k] - base).T) for k in range(1, log_prob.shape[2])
    ]  # K-1 times (I, Q)
    all_base = base.sum(axis=1) + log_weights  # (Q,)
    base_by_node = np.ascontiguousarray(base.T)  # (I, Q)
    for block in blocks:
        joint = block.chosen[0] @ contrasts[0]  # (B, Q)
        for chosen, contrast in zip(block.chosen[1:], contrasts[1:], strict=True):
            joint += chosen @ contrast
        if block.answered is None:
            joint += all_base
        else:
            joint += block.answered @ base_by_node
            joint += log_weights
        largest = joint.max(axis=1, keepdims=True)  # (B, 1)
        joint -= largest
        np.exp(joint, out=joint)
        total = joint.sum(axis=1, keepdims=True)  # (B, 1)
        joint /= total
        yield block, joint, (largest + np.log(total))[:, 0]


def e_step(blocks: Iterable[Block], log_prob: FloatArray, log_weights: FloatArray) -> Expected:
    r"""Expect the counts behind the responses, given the current parameters.

    .. math:: r_{qik} = \sum_p w_p P(\theta_q \mid y_p) \, 1[y_{pi} = k]

    Parameters
    ----------
    blocks : iterable of Block
        The responses.
    log_prob : array, shape (Q, I, K)
        `ItemModel.log_prob` at the nodes, natural log.
    log_weights : array, shape (Q,)
        Log-weights of the nodes; their exponentials sum to one.

    Notes
    -----
    Two matrix products for complete answers, four with missing ones: O(P Q I) time, O(B Q)
    memory beyond the input.
    """
    by_category = np.zeros((log_prob.shape[2], *log_prob.shape[:2]))  # (K, Q, I)
    answered = np.zeros(log_prob.shape[:2])  # (Q, I)
    mass = np.zeros(len(log_weights))  # (Q,)
    log_likelihood = 0.0
    for block, posterior, log_marginal in posteriors(blocks, log_prob, log_weights):
        posterior *= block.weights[:, None]
        by_node = posterior.T  # (Q, B)
        for k, chosen in enumerate(block.chosen, start=1):
            by_category[k] += by_node @ chosen
        here = by_node.sum(axis=1)  # (Q,)
        answered += here[:, None] if block.answered is None else by_node @ block.answered
        mass += here
        log_likelihood += float(block.weights @ log_marginal)
    by_category[0] = answered - by_category[1:].sum(axis=0)
    return Expected(np.moveaxis(by_category, 0, -1), mass, log_likelihood)


def m_step(
    model: ItemModel,
    parameters: FloatArray,
    theta: FloatArray,
    counts: FloatArray,
    slope_bound: float,
) -> FloatArray:
    """Improve the item parameters by Newton steps on the expected log-likelihood.

    Parameters
    ----------
    model : ItemModel
    parameters : array, shape (I, D)
    theta : array, shape (Q,)
    counts : array, shape (Q, I, K)
        From `e_step`.
    slope_bound : float
        Slopes stay within plus and minus this bound.

    Returns
    -------
    array, shape (I, D)
    """
    value, gradient, curvature = derivatives(model, parameters, theta, counts)
    for _ in range(NEWTON_STEPS):
        if model.slope_rule is SlopeRule.FREE:
            step = _bounded_step(parameters, gradient, curvature, slope_bound)
        else:
            step = _shared_slope_step(gradient, curvature)
        trial = parameters + step
        trial[:, 0] = np.clip(trial[:, 0], -slope_bound, slope_bound)
        reached, gradient, curvature = derivatives(model, trial, theta, counts)
        for _ in range(MOST_HALVINGS):
            worse = _worse(value, reached, model.slope_rule)
            if not worse.any():
                break
            trial[worse] = 0.5 * (parameters[worse] + trial[worse])
            reached[worse], gradient[worse], curvature[worse] = derivatives(
                model, trial[worse], theta, counts[:, worse]
            )
        else:
            worse = _worse(value, reached, model.slope_rule)
            trial[worse], reached[worse] = parameters[worse], value[worse]
        parameters, value = trial, reached
    return parameters


def _worse(value: FloatArray, reached: FloatArray, rule: SlopeRule) -> BoolArray:
    """Which items lost expected log-likelihood; with a common slope, all or none."""
    if rule is SlopeRule.FREE:
        return reached < value - ROUNDING * np.abs(value)
    total = float(value.sum())
    return np.full(len(value), float(reached.sum()) < total - ROUNDING * abs(total))


def derivatives(
    model: ItemModel, parameters: FloatArray, theta: FloatArray, counts: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Expected log-likelihood (I,), its gradient (I, D) and expected information (I, D, D).

    A few items at a time, so that their tables stay in the cache.
    At the parameters that made the counts the gradient is that of the marginal log-likelihood
    too (Fisher's identity). For the logistic models the expected information is the exact
    negative second derivative.
    """
    parts = [
        model.expected(parameters[part], theta, counts[:, part])
        for part in _item_parts(len(parameters), len(theta) * counts.shape[2])
    ]
    value, gradient, curvature = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
    return value, gradient, curvature


def _bounded_step(
    parameters: FloatArray, gradient: FloatArray, curvature: FloatArray, slope_bound: float
) -> FloatArray:
    """Newton step (I, 2) of limited length; a slope that would pass its bound stops there."""
    safe = curvature + TINY_CURVATURE * np.eye(curvature.shape[1])
    step = np.asarray(np.linalg.solve(safe, gradient[:, :, None])[:, :, 0], float)  # (I, D)
    step *= np.minimum(1.0, LONGEST_NEWTON_STEP / (np.abs(step).max(axis=1) + 1e-300))[:, None]
    slope = np.clip(parameters[:, 0] + step[:, 0], -slope_bound, slope_bound)  # (I,)
    held = slope != parameters[:, 0] + step[:, 0]
    moved = slope - parameters[:, 0]
    alone = (gradient[:, 1] - curvature[:, 0, 1] * moved) / curvature[:, 1, 1]  # (I,)
    alone = np.clip(alone, -LONGEST_NEWTON_STEP, LONGEST_NEWTON_STEP)
    step[held] = np.stack([moved, alone], axis=1)[held]
    return step


def _shared_slope_step(gradient: FloatArray, curvature: FloatArray) -> FloatArray:
    """Newton step for one slope and I intercepts: the arrow-shaped system, solved directly."""
    aa, ad, dd = curvature[:, 0, 0], curvature[:, 0, 1], curvature[:, 1, 1]
    slope = (gradient[:, 0] - ad / dd * gradient[:, 1]).sum() / (aa - ad**2 / dd).sum()
    intercepts = (gradient[:, 1] - ad * slope) / dd  # (I,)
    step = np.stack([np.full_like(intercepts, slope), intercepts], axis=1)  # (I, 2)
    longest = float(np.abs(step).max())
    return step if longest <= LONGEST_NEWTON_STEP else step * (LONGEST_NEWTON_STEP / longest)


def _item_parts(n_items: int, cells_per_item: int) -> Iterator[slice]:
    """Slices of items whose tables stay small enough for the cache."""
    width = max(1, ITEM_CHUNK_CELLS // cells_per_item)
    for start in range(0, n_items, width):
        yield slice(start, start + width)


def expand(parameters: FloatArray, mean: float, sd: float) -> FloatArray:
    """Take the mean and SD of theta's expected posterior out of theta and into the items.

    theta = mean + sd z leaves every logit a theta + d as (a sd) z + (d + a mean), so the model
    is the same and z has mean 0 and SD 1 again (PX-EM).

    Parameters
    ----------
    parameters : array, shape (I, D)
        Slope first, intercept second.
    mean, sd : float
        From `moments`.
    """
    moved = parameters.copy()
    moved[:, 1] += moved[:, 0] * mean
    moved[:, 0] *= sd
    return moved


def moments(theta: FloatArray, mass: FloatArray) -> tuple[float, float]:
    """Mean and SD of a distribution that puts `mass` on the nodes `theta`."""
    share = mass / mass.sum()  # (Q,)
    mean = float(share @ theta)
    return mean, float(np.sqrt(share @ (theta - mean) ** 2))


def largest_information(model: ItemModel, parameters: FloatArray, nodes: Nodes) -> float:
    """Largest test information over the nodes."""
    total = np.zeros(len(nodes.theta))  # (Q,)
    for part in _item_parts(len(parameters), len(nodes.theta)):
        total += model.information(parameters[part], nodes.theta).sum(axis=1)
    return float(total.max())
