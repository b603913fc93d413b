r"""Matching persons of several groups: answers counted by group and by what they are matched on.

Complete answers are matched on the summed score over the anchors and the studied item itself
(Holland & Thayer, 1988). Sums of incomplete answers say nothing; there each person's ability is
the posterior mean given the answers to the anchors, the studied item left out, under the ability
distribution of the person's own group. Then :math:`E(\theta \mid \hat\theta, group) = \hat\theta`
in every group, so that groups of different ability are not mistaken for items that differ; a
prior that all groups share would pull persons of the same ability towards each other unequally.
Persons are cut into thirty strata of equal weight, or into fewer where few anchors tell too few
abilities apart: two persons of different groups never have quite the same one, and a stratum
that holds one group compares nothing. Assumes that missing answers are ignorable.

References
----------
Holland, P. W., & Thayer, D. T. (1988). Differential item performance and the Mantel-Haenszel
    procedure. In H. Wainer & H. I. Braun (Eds.), Test validity (pp. 129-145). Erlbaum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import Posterior, Tables, posteriors
from irtkit.estimation.joint import Grouped, GroupFit
from irtkit.storage import dense

STRATA = 30
BEYOND = 1e-4  # units of theta: rounding must not part persons with the answers of an edge
TABLE_CELLS = 4_000_000
CODE_CELLS = 100_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Answers to some items, counted.

    Attributes
    ----------
    places : array of int, shape (n,)
        Which items.
    counts : array, shape (n, G, S, K)
        Weighted number of persons of each group and stratum who chose each category.
    level : array, shape (n, G, S)
        Mean of what persons were matched on.
    """

    places: IntArray
    counts: FloatArray
    level: FloatArray


def by_score(grouped: Grouped, anchors: BoolArray, tested: BoolArray) -> Iterator[Matched]:
    """Count complete answers by the summed score over anchors and studied item.

    Parameters
    ----------
    grouped : Grouped
    anchors, tested : array of bool, shape (I,)
    """
    responses = grouped.responses
    parts = [codes[:, anchors].sum(axis=1, dtype=np.int64) for _, codes in responses.blocks()]
    total = np.concatenate(parts)  # (P,)
    n_groups, n_scores = len(grouped.names), int(total.max()) + 1
    n_categories = responses.n_categories
    n_levels = n_scores + n_categories - 1
    for places in _portions(tested, n_groups * n_levels * n_categories, responses.n_persons):
        flat = np.zeros((n_categories, n_groups * n_scores, len(places)))
        for rows, codes in responses.blocks():
            cell = grouped.codes[rows] * n_scores + total[rows]  # (B,)
            who = (responses.weights[rows], (cell, np.arange(len(cell))))
            persons = sp.csr_array(who, shape=(n_groups * n_scores, len(cell)))
            for k in range(n_categories):
                flat[k] += persons @ (codes[:, places] == k).astype(np.float64)
        found = flat.reshape(n_categories, n_groups, n_scores, len(places))
        counts = np.zeros((len(places), n_groups, n_levels, n_categories))
        own = anchors[places]
        for k in range(n_categories):
            by_item = np.moveaxis(found[k], -1, 0)  # (n, G, S)
            counts[own, :, :n_scores, k] = by_item[own]
            counts[~own, :, k : k + n_scores, k] = by_item[~own]  # their answer adds to the score
        level = np.broadcast_to(np.arange(n_levels, dtype=np.float64), counts.shape[:3])
        yield Matched(places, counts, level)


def by_ability(
    grouped: Grouped, fit: GroupFit, anchors: BoolArray, tested: BoolArray
) -> Iterator[Matched]:
    """Count answers, complete or not, by the ability that the other answers to anchors show.

    Parameters
    ----------
    grouped : Grouped
    fit : GroupFit
        Of all groups, the anchors being the same in all.
    anchors, tested : array of bool, shape (I,)
    """
    responses, problem, checkpoint = grouped.responses, fit.problem, fit.fit.checkpoint
    chosen = np.flatnonzero(anchors)
    rows = fit.rows[0, chosen]
    parameters, theta = checkpoint.parameters[rows], checkpoint.grid
    assignment = problem.assignment.at(rows)
    log_weights = problem.population.log_weights(checkpoint.population, theta)  # (G, Q)
    tables = Tables.of(assignment, parameters, theta, log_weights)
    chance = np.exp(assignment.log_prob(parameters, theta))  # (Q, A, K)
    size = int(assignment.n_categories.max())
    blocks = Blocks.of(responses.codes[:, chosen], responses.weights, size, groups=grouped.codes)
    place_of = {item: place for place, item in enumerate(chosen.tolist())}
    edges = _edges(blocks, tables, len(grouped.names))
    n_groups, n_categories = len(grouped.names), responses.n_categories
    shape = (n_groups, len(edges) + 1, n_categories)
    for places in _portions(tested, int(np.prod(shape)), responses.n_persons):
        codes = dense(responses.codes[:, places])
        counts = np.zeros((len(places), *shape))
        sums = np.zeros(counts.shape[:3])
        for found in posteriors(blocks, tables):
            block = found.block
            density = found.normalised()  # (W, B)
            for number, item in enumerate(places.tolist()):
                answer = codes[block.rows, number]
                seen = answer != MISSING
                answer, weights = answer[seen], block.weights[seen]
                ability = found.mean[seen]
                if item in place_of:
                    right = chance[found.window, place_of[item]][:, answer]  # (W, b)
                    ability = _mean(found, density[:, seen] / right, theta)
                stratum = np.searchsorted(edges, ability)
                cell = stratum * n_categories + answer
                table = np.bincount(cell, weights, int(np.prod(shape[1:])))
                counts[number, block.group] += table.reshape(shape[1:])
                sums[number, block.group] += np.bincount(stratum, weights * ability, shape[1])
        with np.errstate(invalid="ignore"):
            level = np.nan_to_num(sums / counts.sum(axis=3))
        yield Matched(places, counts, level)


def _edges(blocks: Blocks, tables: Tables, n_groups: int) -> FloatArray:
    """Abilities that cut the persons into strata of equal weight, two of each group in each."""
    ability, weight = np.empty((2, blocks.n_persons))
    for found in posteriors(blocks, tables):
        ability[found.block.rows] = found.mean
        weight[found.block.rows] = found.block.weights
    order = np.argsort(ability, kind="stable")
    upto = np.cumsum(weight[order])
    distinct = 1 + int((np.diff(ability[order]) > BEYOND).sum())
    n_strata = max(1, min(STRATA, distinct // (2 * n_groups)))
    cuts = np.searchsorted(upto, upto[-1] * np.arange(1, n_strata) / n_strata)
    return np.unique(ability[order[cuts]]) + BEYOND


def _mean(found: Posterior, density: FloatArray, theta: FloatArray) -> FloatArray:
    """Means of posteriors (W, b) that need not sum to one."""
    return np.asarray(theta[found.window] @ density / density.sum(axis=0), np.float64)


def _portions(tested: BoolArray, cells: int, n_persons: int) -> Iterator[IntArray]:
    """Cut the tested items into portions whose tables and codes fit in memory."""
    places = np.flatnonzero(tested)
    width = max(1, min(TABLE_CELLS // cells, CODE_CELLS // n_persons))
    for start in range(0, len(places), width):
        yield places[start : start + width]
