"""The items and answers to sample: those that can be calibrated, and constant right-or-wrong ones.

An item that everybody answered alike has no maximum likelihood estimate, but with a proper prior
it has a posterior, and leaving it out would misjudge the others' population and the persons. With
few persons there are many such items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from irtkit.arrays import FloatArray, IntArray
from irtkit.estimation.blocks import Blocks, Rows
from irtkit.estimation.calibration import CONSTANT, OK
from irtkit.estimation.method import MML
from irtkit.estimation.mml import Setup, prepared
from irtkit.estimation.structure import Structure
from irtkit.models import Assignment, ItemModel
from irtkit.responses import Responses
from irtkit.storage import category_counts

UNSEEN = 0.5  # persons who would have given the answer that nobody gave


def gathered(responses: Responses, model: ItemModel | Mapping[str, ItemModel]) -> Setup:
    """Check answers and model as `calibrate` does, and keep constant right-or-wrong items.

    Raises
    ------
    ModelError
        As `calibrate`.
    """
    setup = prepared(responses, model, MML())
    models = [model if isinstance(model, ItemModel) else model[item] for item in responses.items]
    places = sampled_places(setup.states, models)
    if len(places) == setup.chosen.n_items:
        return setup
    chosen = responses.select_items([responses.items[place] for place in places])
    usable = np.array([setup.states[place] == OK for place in places])
    sizes = np.full(len(places), 2)
    sizes[usable] = setup.problem.assignment.n_categories
    assignment = Assignment.of([models[place] for place in places], sizes)
    n_categories = int(sizes.max())
    counts = category_counts(chosen.codes, responses.n_categories, chosen.weights)
    rows = rows_of(chosen).collapsed(n_categories)
    problem = replace(
        setup.problem,
        blocks=Blocks.of(rows.codes, rows.weights, n_categories, packed=assignment.linear),
        assignment=assignment,
        structure=Structure.of(assignment, chosen.items),
        longest=None,
    )
    start = _start(assignment, counts, usable, setup.start)
    return Setup(chosen, counts, problem, start, setup.states)


def sampled_places(states: list[str], models: list[ItemModel]) -> IntArray:
    """Which items are sampled: usable ones, and constant ones that are right or wrong."""
    kept = [
        state == OK or (state == CONSTANT and not model.ordinal)
        for state, model in zip(states, models, strict=True)
    ]
    return np.flatnonzero(kept)


def rows_of(responses: Responses) -> Rows:
    """The answers as the engine takes them, in one group."""
    groups = np.zeros(responses.n_persons, dtype=np.int64)
    return Rows(responses.codes, responses.weights, groups)


def _start(
    assignment: Assignment, counts: FloatArray, usable: np.ndarray, known: FloatArray
) -> FloatArray:
    """Rough parameters: those known, and the shares' for the constant items."""
    start = np.full((assignment.n_items, assignment.n_parameters), np.nan)
    start[usable, : known.shape[1]] = known
    shares = counts[:, :2] + UNSEEN
    shares /= shares.sum(axis=1, keepdims=True)
    for family in assignment.families:
        places = np.arange(assignment.n_items)[family.places]
        places = places[~usable[places]]
        found = family.model.start(np.ones(len(places)), shares[places])
        start[places, : family.n_parameters] = found
    return start
