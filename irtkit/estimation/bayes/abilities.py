"""Abilities and marginal likelihoods of persons for each of many draws of the item parameters.

One pass of the E-step's posteriors a draw, in blocks of persons. Nothing here knows `Posterior`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import Tables, log_likelihoods, posteriors
from irtkit.latent import Nodes
from irtkit.models import Assignment
from irtkit.responses import Responses
from irtkit.threads import one_thread_a_core


def _tables(
    responses: Responses, assignment: Assignment, draws: FloatArray, nodes: Nodes
) -> tuple[Blocks, Iterator[Tables]]:
    """The answers in blocks, and each draw's item response functions at the nodes."""
    blocks = Blocks.of(
        responses.codes,
        responses.weights,
        int(assignment.n_categories.max()),
        packed=assignment.linear,
    )
    made = (
        Tables.of(assignment, parameters, nodes.theta, nodes.log_weights, complete=blocks.complete)
        for parameters in draws
    )
    return blocks, made


def log_marginals(
    responses: Responses, assignment: Assignment, draws: FloatArray, nodes: Nodes
) -> FloatArray:
    """Log marginal likelihood of each person for draws (S, I, D), shape (S, P)."""
    with one_thread_a_core():
        blocks, tables = _tables(responses, assignment, draws, nodes)
        return np.stack([log_likelihoods(blocks, table) for table in tables])


def drawn_abilities(
    responses: Responses,
    assignment: Assignment,
    draws: FloatArray,
    nodes: Nodes,
    rng: np.random.Generator,
) -> FloatArray:
    """One ability a person for each draw (S, I, D) of the item parameters, shape (S, P)."""
    theta = np.empty((len(draws), responses.n_persons))
    with one_thread_a_core():
        blocks, tables = _tables(responses, assignment, draws, nodes)
        for draw, table in enumerate(tables):
            chance = rng.random(responses.n_persons)
            for found in posteriors(blocks, table):
                rows = found.block.rows
                here = nodes.theta[found.window]
                theta[draw, rows] = inverse_cdf(found.normalised(), here, chance[rows])
    return theta


def inverse_cdf(density: FloatArray, theta: FloatArray, chance: FloatArray) -> FloatArray:
    """Where each distribution (W, B) on nodes reaches a chance (B,), its mass spread over cells.

    Each node's mass is spread evenly over the cell around it.
    """
    below = np.cumsum(density, axis=0)  # (W, B)
    columns = np.arange(density.shape[1])
    cell = np.minimum((below < chance).sum(axis=0), len(theta) - 1)  # (B,)
    mass = density[cell, columns]
    inside = (chance - (below[cell, columns] - mass)) / np.maximum(mass, 1e-300)
    spacing = theta[1] - theta[0] if len(theta) > 1 else 0.0
    return np.asarray(theta[cell] + (inside - 0.5) * spacing)
