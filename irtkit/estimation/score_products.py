"""Sums over persons of products of their scores, for the information matrices.

Scores of slopes are theta times those of intercepts (`ItemModel.loading`), so only the derivatives
by the other parameters, here called residuals, are multiplied out: once for each node, or at once
for complete right-or-wrong answers. `standard_errors.py` puts the sums to use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from irtkit.arrays import FloatArray, IntArray
from irtkit.estimation.blocks import Block, Blocks
from irtkit.estimation.cycles import Fit
from irtkit.estimation.em import Tables, posterior
from irtkit.estimation.m_step import Problem
from irtkit.threads import spread

WORTH_THREADS = 50_000  # cells


@dataclass(frozen=True, slots=True, eq=False)
class ScoreProducts:
    """Sums over persons of products of their scores, over all parameters of all items.

    Attributes
    ----------
    expected : array, shape (n, n)
        Sum of the posterior means of the products of complete-data scores.
    products : array, shape (n, n)
        Sum of the products of the posterior means: cross-product of the marginal scores.
    """

    expected: FloatArray
    products: FloatArray


def n_other(problem: Problem) -> int:
    """Largest number of parameters of an item that are no slopes."""
    return max(
        int((~family.model.slopes(family.n_parameters)).sum())
        for family in problem.assignment.families
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Residuals:
    """Derivatives of the log-probabilities by the parameters that are no slopes.

    Attributes
    ----------
    table : array, shape (Q, I, K + 1, D0)
        By category; zero in the last place, which stands for no answer.
    plain, by_theta : array, shape (I, D, D0)
        Scores are (plain + theta by_theta) residuals.
    """

    table: FloatArray
    plain: FloatArray
    by_theta: FloatArray

    @classmethod
    def of(cls, problem: Problem, parameters: FloatArray, theta: FloatArray) -> _Residuals:
        assignment = problem.assignment
        n_items, n_parameters = problem.shape
        n_rest, n_categories = n_other(problem), int(assignment.n_categories.max())
        table = np.zeros((len(theta), n_items, n_categories + 1, n_rest))
        plain = np.zeros((n_items, n_parameters, n_rest))
        by_theta = np.zeros_like(plain)
        for family in assignment.families:
            model, n = family.model, family.n_parameters
            slopes = model.slopes(n)
            other = np.flatnonzero(~slopes)
            gradient = model.gradient(assignment.part(family, parameters), theta[:, None])
            table[:, family.places, : family.n_categories, : len(other)] = gradient[..., other]
            one = np.zeros((n_parameters, n_rest))
            one[other, range(len(other))] = 1.0
            two = np.zeros((n_parameters, n_rest))
            two[:n, : len(other)] = model.loading(family.n_categories).T[:, other]
            plain[family.places], by_theta[family.places] = one, two
        return cls(table, plain, by_theta)


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """A block's answers in the form that choosing from tables needs.

    Attributes
    ----------
    right : array, shape (B, I, 1), or None
        1 where the answer is right, if all items are right-or-wrong.
    answered : array, shape (B, I, 1), or None
        1 where there is an answer; None if everywhere.
    place : array of int, shape (B, I), or None
        Else the category, -1 (the last place of a table) where there is no answer.
    """

    right: FloatArray | None
    answered: FloatArray | None
    place: IntArray | None

    @classmethod
    def of(cls, block: Block, blocks: Blocks, n_categories: int) -> _Answers:
        if n_categories > 2:
            sparse = hasattr(block.codes, "toarray")
            codes = block.codes.toarray() - np.int8(1) if sparse else block.codes
            return cls(None, None, np.asarray(codes, dtype=np.int64))
        found = blocks.unpacked(block)
        answered = None if found.answered is None else _dense(found.answered)[:, :, None]
        return cls(_dense(found.chosen[0])[:, :, None], answered, None)

    def chosen(self, values: FloatArray) -> FloatArray:
        """Choose from a table (I, K + 1, D0), or one a person, by each person's answers.

        Parameters
        ----------
        values : array, shape (I, K + 1, D0) or (B, I, K + 1, D0)

        Returns
        -------
        array, shape (B, I, D0)
        """
        if self.right is not None:
            first = values[..., 0, :]
            step = values[..., 1, :] - first
            known = first if self.answered is None else self.answered * first
            return known + self.right * step
        assert self.place is not None
        items = np.arange(self.place.shape[1])
        if values.ndim == 3:
            return values[items, self.place]
        return values[np.arange(len(self.place))[:, None], items, self.place]


def _dense(matrix: Any) -> FloatArray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def score_products(problem: Problem, fit: Fit, tables: Tables) -> ScoreProducts:
    """Sum products of scores over the persons.

    Notes
    -----
    O(Q P I^2) time: one product (I, P) x (P, I) a node. O(I^2) memory beyond the input.
    """
    residuals = _Residuals.of(problem, fit.checkpoint.parameters, tables.theta)
    latent = _latent_scores(problem, fit, tables.theta)  # (G, Q, L)
    parts = spread(
        lambda share: _summed(problem, tables, residuals, latent, share),
        problem.blocks.blocks,
        problem.blocks.cells > WORTH_THREADS,
    )
    moment, products, by_node, mass = (sum(pieces) for pieces in zip(*parts, strict=True))
    return ScoreProducts(
        _expected_products(problem, tables, residuals, latent, moment, by_node, mass), products
    )


def _summed(
    problem: Problem,
    tables: Tables,
    residuals: _Residuals,
    latent: FloatArray,
    share: Sequence[Block],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Sums over some blocks: residual products by powers of theta, scores, sums by node, mass."""
    blocks = problem.blocks
    n_nodes, n_items, _, n_other = residuals.table.shape
    n_parameters, n_latent = residuals.plain.shape[1], latent.shape[2]
    width = n_items * n_other
    moment = np.zeros((3, width, width))
    products = np.zeros((n_items * n_parameters + n_latent,) * 2)
    by_node = np.zeros((latent.shape[0], n_nodes, width))
    mass = np.zeros((latent.shape[0], n_nodes))
    n_categories = residuals.table.shape[2] - 1
    plain = blocks.packed and n_categories == 2
    for block in share:
        found, _ = posterior(blocks, block, tables)
        density = found.normalised()  # (W, B)
        heavy = density * block.weights  # (W, B)
        answers = _Answers.of(block, blocks, n_categories)
        add = _add_at_once if plain and block.complete else _add_by_node
        add(moment, by_node[block.group], tables, residuals, found.window, heavy, answers)
        mass[block.group, found.window] += heavy.sum(axis=1)
        mean = _mean_scores(tables, residuals, latent[block.group], found.window, density, answers)
        products += (mean * block.weights[:, None]).T @ mean
    return moment, products, by_node, mass


def _add_by_node(
    moment: FloatArray,
    by_node: FloatArray,
    tables: Tables,
    residuals: _Residuals,
    window: slice,
    heavy: FloatArray,
    answers: _Answers,
) -> None:
    """Add a block's residual products by powers of theta, and residual sums, node by node."""
    width = moment.shape[1]
    for q, weight in zip(range(window.start, window.stop), heavy, strict=True):
        residual = answers.chosen(residuals.table[q]).reshape(-1, width)
        weighted = residual * weight[:, None]
        product = weighted.T @ residual
        theta = float(tables.theta[q])
        moment[0] += product
        product *= theta
        moment[1] += product
        product *= theta
        moment[2] += product
        by_node[q] += weighted.sum(axis=0)


def _add_at_once(
    moment: FloatArray,
    by_node: FloatArray,
    tables: Tables,
    residuals: _Residuals,
    window: slice,
    heavy: FloatArray,
    answers: _Answers,
) -> None:
    """The same sums for complete right-or-wrong answers, whose residual is y - P.

    The products of y do not depend on the node and those of P not on the person, so no product of
    all persons is left for each node.
    """
    assert answers.right is not None
    right = answers.right[:, :, 0]  # (B, I)
    chance = -residuals.table[window, :, 0, 0]  # (W, I)
    theta = tables.theta[window]
    n_here = heavy.sum(axis=1)  # (W,)
    for power in range(3):
        tilted = heavy * (theta**power)[:, None]  # (W, B)
        cross = right.T @ (tilted.T @ chance)  # (I, I)
        moment[power] += (right * tilted.sum(axis=0)[:, None]).T @ right
        moment[power] -= cross + cross.T
        moment[power] += (chance * (theta**power * n_here)[:, None]).T @ chance
    by_node[window] += heavy @ right - chance * n_here[:, None]


def _mean_scores(
    tables: Tables,
    residuals: _Residuals,
    latent: FloatArray,
    window: slice,
    density: FloatArray,
    answers: _Answers,
) -> FloatArray:
    """Posterior mean of each person's scores, shape (B, I * D + L)."""
    table = residuals.table[window]  # (W, I, K + 1, D0)
    shape = table.shape[1:]
    flat = table.reshape(len(table), -1)
    theta = tables.theta[window]
    plain = (density.T @ flat).reshape(-1, *shape)  # (B, I, K + 1, D0)
    tilted = ((density * theta[:, None]).T @ flat).reshape(-1, *shape)
    by_item = np.einsum("idc,bic->bid", residuals.plain, answers.chosen(plain)) + np.einsum(
        "idc,bic->bid", residuals.by_theta, answers.chosen(tilted)
    )
    own = density.T @ latent[window]  # (B, L)
    return np.concatenate([by_item.reshape(len(by_item), -1), own], axis=1)


def _expected_products(
    problem: Problem,
    tables: Tables,
    residuals: _Residuals,
    latent: FloatArray,
    moment: FloatArray,
    by_node: FloatArray,
    mass: FloatArray,
) -> FloatArray:
    """Put the sums by powers of theta together to expected products of scores."""
    n_items, n_parameters, n_other = residuals.plain.shape
    n_cells, n_latent = n_items * n_parameters, latent.shape[2]
    split = moment.reshape(3, n_items, n_other, n_items, n_other)
    whole = np.zeros((n_cells + n_latent,) * 2)
    cells = np.zeros((n_items, n_parameters, n_items, n_parameters))
    pairs = (
        (residuals.plain, residuals.plain, 0),
        (residuals.plain, residuals.by_theta, 1),
        (residuals.by_theta, residuals.plain, 1),
        (residuals.by_theta, residuals.by_theta, 2),
    )
    for left, right, power in pairs:
        half = np.einsum("idc,icje->idje", left, split[power], optimize=True)
        cells += np.einsum("idje,jfe->idjf", half, right, optimize=True)
    whole[:n_cells, :n_cells] = cells.reshape(n_cells, n_cells)
    if n_latent:
        for power, factor in ((0, residuals.plain), (1, residuals.by_theta)):
            tilted = latent * (tables.theta**power)[None, :, None]  # (G, Q, L)
            flat = np.einsum("gqw,gql->wl", by_node, tilted)
            cross = np.einsum(
                "idc,icl->idl", factor, flat.reshape(n_items, n_other, n_latent)
            ).reshape(n_cells, n_latent)
            whole[:n_cells, n_cells:] += cross
            whole[n_cells:, :n_cells] += cross.T
        whole[n_cells:, n_cells:] = np.einsum("gq,gql,gqm->lm", mass, latent, latent)
    return whole


def _latent_scores(problem: Problem, fit: Fit, theta: FloatArray) -> FloatArray:
    """Scores of the free means and log-SDs at the nodes, shape (G, Q, L)."""
    population = problem.population
    free = population.free()
    values = np.zeros((population.n_groups, len(theta), len(free)))
    moments = population.moments(fit.checkpoint.population)
    for place, (group, name) in enumerate(free):
        mean, sd = moments[group]
        z = (theta - mean) / sd
        values[group, :, place] = z / sd if name == "mean" else z**2 - 1.0
    return values
