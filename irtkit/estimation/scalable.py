r"""Standard errors for thousands of items, by Woodbury's identity.

The information of all parameters is :math:`J = B - U U^T`, with one small block B for each item
and as few columns in U as there are nodes, twice. So the items' blocks of its inverse cost
:math:`O(I Q^2)`, whatever the number of persons:

.. math:: (J^{-1})_{ii} = B_i^{-1} + B_i^{-1} U_i (1 - U^T B^{-1} U)^{-1} U_i^T B_i^{-1}

The item's own block of J is exact: complete-data information minus the persons' posterior
covariance of the item's scores. The covariance between items is taken to second order in the
posterior SD of theta and in expectation over the answers, with posterior variance
:math:`v = 1 / (1 + I)` at test information I. Scores of intercepts change with theta by
:math:`-e_i`; given the estimate of theta, whose own equation holds, products of score changes are
:math:`e_i e_j^T` times 1 (intercepts), :math:`\theta (1 - v)` (intercept and slope) and
:math:`\theta^2 (1 - 2 v) + v` (slopes). It carries what blocks alone would ignore: location and
scale of theta are estimated from finitely many persons. Where answers are so few that the
approximation is no covariance, it is left out and `source` says so.

References
----------
Woodbury, M. A. (1950). Inverting modified matrices. Statistical Research Group, Memorandum 42.
Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. Journal
    of the Royal Statistical Society B, 44(2), 226-233.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import BoolArray, CodeArray, FloatArray
from irtkit.estimation.blocks import Block
from irtkit.estimation.em import Expected, Tables, posterior
from irtkit.estimation.m_step import Problem
from irtkit.threads import spread

MOST_NODES = 121
ITEM_CHUNK = 512
CELL_CHUNK = 16_384
WORTH_THREADS = 200_000  # persons times items
LOW_RANK = "observed information of each item, low rank between items"
ALONE = "observed information of each item alone"


@dataclass(frozen=True, slots=True, eq=False)
class _Coarse:
    """Persons on few nodes: mass (Q,) and answers (Q, I) or (Q, 1)."""

    theta: FloatArray
    mass: FloatArray
    answered: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Some items: where they stand, inverse blocks (i, D, D) and U (i, D, 2 Q)."""

    places: slice
    inverse: FloatArray
    low_rank: FloatArray


def scalable_covariance(
    problem: Problem,
    parameters: FloatArray,
    tables: Tables,
    expected: Expected,
    complete: FloatArray,
    stuck: BoolArray,
) -> tuple[FloatArray, str]:
    """Return each item's block of the covariance, shape (I, D, D), and its source in words.

    Parameters
    ----------
    problem : Problem
    parameters : array, shape (I, D)
    tables : Tables
    expected : Expected
        At these parameters.
    complete : array, shape (I, D, D)
        Complete-data information.
    stuck : array of bool, shape (I, D)
        Parameters at their bound, and all those of items whose slope is there.
    """
    nodes = _coarse(tables.theta, expected)
    variance = _posterior_variance(problem, parameters, nodes)  # (Q,)
    free = problem.structure.free & ~problem.structure.shared & ~stuck  # (I, D)
    held = np.asarray((stuck & problem.assignment.slopes()).any(axis=1))  # (I,)
    own = complete - missing_blocks(problem, parameters, tables)  # (I, D, D)
    arguments = (problem, parameters, nodes, variance, own, free)
    inner = np.eye(2 * len(nodes.theta))
    for piece in _pieces(*arguments):
        inner -= np.einsum(
            "idq,ide,ier->qr", piece.low_rank, piece.inverse, piece.low_rank, optimize=True
        )
    whole = bool(np.linalg.eigvalsh(inner).min() > 0)
    factor = np.linalg.inv(inner) if whole else np.zeros_like(inner)
    covariance = np.empty_like(complete)
    for piece in _pieces(*arguments, between_items=whole):
        reach = piece.inverse @ piece.low_rank  # (i, D, 2 Q)
        covariance[piece.places] = piece.inverse + (reach @ factor) @ np.swapaxes(reach, 1, 2)
    known = problem.structure.free & ~free & ~held[:, None] | np.isfinite(problem.structure.fixed)
    covariance[known[:, :, None] | known[:, None, :]] = 0.0
    unused = ~problem.assignment.used() | held[:, None]
    covariance[unused[:, :, None] | unused[:, None, :]] = np.nan
    return covariance, LOW_RANK if whole else ALONE


def _coarse(theta: FloatArray, expected: Expected) -> _Coarse:
    """Join neighbouring nodes, and drop those where nobody is."""
    mass = expected.mass.sum(axis=0)
    step = -(-len(theta) // MOST_NODES)
    starts = np.arange(0, len(theta), step)
    total = np.add.reduceat(mass, starts)
    answered = np.add.reduceat(expected.answered, starts, axis=0)
    some = total > 1e-9 * total.sum()
    middle = np.add.reduceat(mass * theta, starts)[some] / total[some]
    return _Coarse(middle, total[some], answered[some])


def _posterior_variance(problem: Problem, parameters: FloatArray, nodes: _Coarse) -> FloatArray:
    """1 / (1 + information) at each node, items weighted by the share of persons who saw them."""
    information = np.zeros(len(nodes.theta))
    for start in range(0, problem.shape[0], ITEM_CHUNK):
        places = slice(start, start + ITEM_CHUNK)
        part = problem.assignment.at(np.arange(problem.shape[0])[places])
        share = _shared(nodes, places) / nodes.mass[:, None]
        chunk = parameters[places, : part.n_parameters]
        information += (share * part.information(chunk, nodes.theta)).sum(axis=1)
    return 1.0 / (1.0 + information)


def _shared(nodes: _Coarse, places: slice) -> FloatArray:
    return nodes.answered if nodes.answered.shape[1] == 1 else nodes.answered[:, places]


def _pieces(
    problem: Problem,
    parameters: FloatArray,
    nodes: _Coarse,
    variance: FloatArray,
    own: FloatArray,
    free: BoolArray,
    *,
    between_items: bool = True,
) -> Iterator[_Piece]:
    n_items, n_parameters = problem.shape
    eye = np.eye(n_parameters)
    for start in range(0, n_items, ITEM_CHUNK):
        places = slice(start, min(start + ITEM_CHUNK, n_items))
        level, tilt = _changes(problem, parameters, nodes.theta, places)  # (Q, i, D) each
        theta, v = nodes.theta[:, None, None], variance[:, None, None]
        second = np.sqrt(np.maximum(v - (theta * v) ** 2, 0.0))
        sides = np.stack([level + theta * (1.0 - v) * tilt, second * tilt])  # (2, Q, i, D)
        share = _shared(nodes, places) / nodes.mass[:, None]  # (Q, i) or (Q, 1)
        weight = np.sqrt(nodes.mass * variance)[:, None] * share
        here = free[places]
        cells = here[:, :, None] & here[:, None, :]
        weighted = sides * weight[None, :, :, None] * here * between_items
        low_rank = np.moveaxis(weighted, (2, 3), (0, 1)).reshape(*here.shape, -1)
        block = own[places] + low_rank @ np.swapaxes(low_rank, 1, 2)
        inverse = np.linalg.inv(np.where(cells, block, eye)) * cells
        yield _Piece(places, inverse, low_rank)


def _changes(
    problem: Problem, parameters: FloatArray, theta: FloatArray, places: slice
) -> tuple[FloatArray, FloatArray]:
    """How scores change with theta, in expectation over the answers.

    Returns
    -------
    level, tilt : array, shape (Q, i, D)
        The scores change by -(level + theta tilt): parameters that are no slopes, and slopes.
    """
    n_parameters = problem.shape[1]
    part = problem.assignment.at(np.arange(problem.shape[0])[places])
    size = (len(theta), places.stop - places.start, n_parameters)
    level, tilt = np.zeros(size), np.zeros(size)
    for family in part.families:
        model, n = family.model, family.n_parameters
        own = parameters[places][family.places, :n]
        log_prob, first, _ = model.theta_derivatives(own, theta[:, None])  # (Q, i, K)
        gradient = model.gradient(own, theta[:, None]) * ~model.slopes(n)  # (Q, i, K, D)
        change = np.einsum("qik,qikd->qid", np.exp(log_prob) * first, gradient)
        level[:, family.places, :n] = change
        tilt[:, family.places, :n] = change @ model.loading(family.n_categories)
    return level, tilt


def missing_blocks(problem: Problem, parameters: FloatArray, tables: Tables) -> FloatArray:
    """Sum over the persons of the posterior covariance of each item's scores, (I, D, D)."""
    parts = spread(
        lambda share: _missing(problem, parameters, tables, share),
        problem.blocks.blocks,
        problem.blocks.cells > WORTH_THREADS,
    )
    return np.sum(parts, axis=0)


def _missing(
    problem: Problem, parameters: FloatArray, tables: Tables, share: Sequence[Block]
) -> FloatArray:
    total = np.zeros((*problem.shape, problem.shape[1]))
    for block in share:
        found, _ = posterior(problem.blocks, block, tables, intercepts=False)
        density = np.asarray(found.normalised())  # (W, B)
        theta = tables.theta[found.window]
        for family, places in problem.assignment.tasks(len(theta)):
            part = parameters[places, : family.n_parameters]
            gradient = family.model.gradient(part, theta[:, None])  # (W, i, K, D)
            size = slice(family.n_parameters)
            add = _sparse_cells if isinstance(block.codes, sp.csr_array) else _dense_cells
            total[places, size, size] += add(block.codes[:, places], block, density, gradient)
    return total


def _dense_cells(
    codes: CodeArray, block: Block, density: FloatArray, gradient: FloatArray
) -> FloatArray:
    """One block's sum for some items whose answers are a dense array (B, i)."""
    n_nodes, n_items, n_categories, n = gradient.shape
    mean = np.zeros((len(codes), n_items, n))  # (B, i, D)
    product = np.zeros((n_items, n, n))
    heavy = density * block.weights
    for k in range(n_categories):
        chosen = (codes == k).astype(np.float64)  # (B, i)
        own = np.ascontiguousarray(gradient[:, :, k])  # (W, i, D)
        expected = (density.T @ own.reshape(n_nodes, -1)).reshape(-1, n_items, n)
        mean += chosen[:, :, None] * expected
        count = heavy @ chosen  # (W, i)
        product += np.einsum("wi,wid,wie->ide", count, own, own, optimize=True)
    weighted = mean * block.weights[:, None, None]
    return product - np.einsum("bid,bie->ide", weighted, mean, optimize=True)


def _sparse_cells(
    codes: sp.csr_array, block: Block, density: FloatArray, gradient: FloatArray
) -> FloatArray:
    """One block's sum for some items whose answers are CSR (B, i): over the answered cells."""
    n_items, n = gradient.shape[1], gradient.shape[3]
    by_cell = np.ascontiguousarray(np.moveaxis(gradient, 0, 2))  # (i, K, W, D)
    persons = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
    rows = np.ascontiguousarray(density.T)  # (B, W)
    total = np.zeros((n_items, n, n))
    for start in range(0, codes.nnz, CELL_CHUNK):
        cells = slice(start, start + CELL_CHUNK)
        item, person = codes.indices[cells], persons[cells]
        own = by_cell[item, codes.data[cells] - 1]  # (c, W, D)
        tilted = rows[person][:, :, None] * own
        mean = tilted.sum(axis=1)  # (c, D)
        spread_ = np.swapaxes(tilted, 1, 2) @ own - mean[:, :, None] * mean[:, None, :]
        spread_ *= np.asarray(block.weights)[person][:, None, None]
        for d in range(n):
            for e in range(n):
                total[:, d, e] += np.bincount(item, spread_[:, d, e], n_items)
    return total
