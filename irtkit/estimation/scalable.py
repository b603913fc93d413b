r"""Standard errors for thousands of items, by Woodbury's identity.

The information of all parameters is :math:`J = B - U U^T`, with one small block B for each item
and as few columns in U as there are nodes, twice. So the items' blocks of its inverse cost
:math:`O(I Q^2)`, whatever the number of persons:

.. math:: (J^{-1})_{ii} = B_i^{-1} + B_i^{-1} U_i (1 - U^T B^{-1} U)^{-1} U_i^T B_i^{-1}

What is missing, the posterior covariance of the scores, is taken to second order in the posterior
SD of theta, in expectation over the answers, with posterior variance :math:`v = 1 / (1 + I)` at
test information I: a residual :math:`r_i` (score of an intercept) changes with theta by
:math:`-e_i`; given the estimate of theta, whose own equation holds, products of score changes at
theta are :math:`e_i e_j^T` times 1 (intercepts), :math:`\theta (1 - v)` (intercept and slope) and
:math:`\theta^2 (1 - 2 v) + v` (slopes), and for one item's slope its residual variance besides.
Nothing pairs off-diagonal blocks by inverting them one by one, which would ignore that location
and scale of theta are estimated from finitely many persons.

Errors against the exact matrix fall with the length of the test: see the test of this module.

References
----------
Woodbury, M. A. (1950). Inverting modified matrices. Statistical Research Group, Memorandum 42.
Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. Journal
    of the Royal Statistical Society B, 44(2), 226-233.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from irtkit.arrays import BoolArray, FloatArray
from irtkit.estimation.em import Expected
from irtkit.estimation.m_step import Problem

MOST_NODES = 121
ITEM_CHUNK = 512


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
    theta: FloatArray,
    expected: Expected,
    complete: FloatArray,
    held: BoolArray,
) -> FloatArray:
    """Return each item's block of the covariance, shape (I, D, D).

    Parameters
    ----------
    problem : Problem
    parameters : array, shape (I, D)
    theta : array, shape (Q,)
    expected : Expected
        At these parameters.
    complete : array, shape (I, D, D)
        Complete-data information.
    held : array of bool, shape (I,)
        Items whose slope is at its bound.
    """
    nodes = _coarse(theta, expected)
    variance = _posterior_variance(problem, parameters, nodes)  # (Q,)
    free = problem.structure.free & ~problem.structure.shared & ~held[:, None]  # (I, D)
    arguments = (problem, parameters, nodes, variance, complete, free)
    inner = np.eye(2 * len(nodes.theta))
    for piece in _pieces(*arguments):
        inner -= np.einsum(
            "idq,ide,ier->qr", piece.low_rank, piece.inverse, piece.low_rank, optimize=True
        )
    factor = np.linalg.inv(inner)
    covariance = np.empty_like(complete)
    for piece in _pieces(*arguments):
        reach = piece.inverse @ piece.low_rank  # (i, D, 2 Q)
        covariance[piece.places] = piece.inverse + (reach @ factor) @ np.swapaxes(reach, 1, 2)
    known = problem.structure.free & ~free & ~held[:, None] | np.isfinite(problem.structure.fixed)
    covariance[known[:, :, None] | known[:, None, :]] = 0.0
    unused = ~problem.assignment.used() | held[:, None]
    covariance[unused[:, :, None] | unused[:, None, :]] = np.nan
    return covariance


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
    complete: FloatArray,
    free: BoolArray,
) -> Iterator[_Piece]:
    n_items, n_parameters = problem.shape
    for start in range(0, n_items, ITEM_CHUNK):
        places = slice(start, min(start + ITEM_CHUNK, n_items))
        answered = np.broadcast_to(
            _shared(nodes, places), (len(nodes.theta), places.stop - places.start)
        )
        level, tilt, spread = _changes(problem, parameters, nodes.theta, places)
        theta, v = nodes.theta[:, None, None], variance[:, None, None]
        second = np.sqrt(np.maximum(v - (theta * v) ** 2, 0.0))
        sides = np.stack([level + theta * (1.0 - v) * tilt, second * tilt])  # (2, Q, i, D)
        share = answered / nodes.mass[:, None]  # (Q, i)
        alone = variance[:, None] * answered * (1.0 - share)
        block = complete[places] - np.einsum("qi,qide->ide", variance[:, None] * answered, spread)
        block -= np.einsum("qi,sqid,sqie->ide", alone, sides, sides, optimize=True)
        here = free[places]
        eye = np.eye(n_parameters)
        block = np.where(here[:, :, None] & here[:, None, :], block, eye)
        weight = np.sqrt(nodes.mass * variance)[:, None] * share  # (Q, i)
        low_rank = np.einsum("qi,sqid->idsq", weight, sides) * here[:, :, None, None]
        inverse = np.linalg.inv(block) * (here[:, :, None] & here[:, None, :])
        yield _Piece(places, inverse, low_rank.reshape(*low_rank.shape[:2], -1))


def _changes(
    problem: Problem, parameters: FloatArray, theta: FloatArray, places: slice
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """How scores change with theta, in expectation over the answers.

    Returns
    -------
    level, tilt : array, shape (Q, i, D)
        The scores change by -(level + theta tilt): parameters that are no slopes, and slopes.
    spread : array, shape (Q, i, D, D)
        Variance of the slopes' scores divided by theta squared.
    """
    n_parameters = problem.shape[1]
    part = problem.assignment.at(np.arange(problem.shape[0])[places])
    size = (len(theta), places.stop - places.start, n_parameters)
    level, tilt = np.zeros(size), np.zeros(size)
    spread = np.zeros((*size, n_parameters))
    for family in part.families:
        model, n = family.model, family.n_parameters
        own = parameters[places][family.places, :n]
        log_prob, first, _ = model.theta_derivatives(own, theta[:, None])  # (Q, i, K)
        chance = np.exp(log_prob)
        slopes = model.slopes(n)
        gradient = model.gradient(own, theta[:, None]) * ~slopes  # (Q, i, K, D)
        change = np.einsum("qik,qikd->qid", chance * first, gradient)
        loading = model.loading(family.n_categories)
        tilted = gradient @ loading  # the slopes' scores over theta
        level[:, family.places, :n] = change
        tilt[:, family.places, :n] = change @ loading
        spread[:, family.places, :n, :n] = np.einsum(
            "qik,qikd,qike->qide", chance, tilted, tilted, optimize=True
        )
    return level, tilt, spread
