"""Several groups estimated together, an item that differs between them having a column a group.

`Grouped` holds responses with the group of each person; `fitted_groups` estimates item
parameters, means and SDs at once. `groups.py` tells the result apart into one calibration a group,
`diagnostics/dif_model.py` frees and ties one item after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError, NotConverged, count, listing
from irtkit.estimation.calibration import Calibration
from irtkit.estimation.checkpoint import Checkpoint
from irtkit.estimation.cycles import Fit, Progress, begin, iterate, largest_information
from irtkit.estimation.m_step import Problem
from irtkit.estimation.method import MML
from irtkit.estimation.mml import Setup, prepared, shortfall
from irtkit.estimation.population import Population
from irtkit.estimation.result import finished
from irtkit.estimation.structure import Equal
from irtkit.latent import Latent
from irtkit.models import Assignment, ItemModel
from irtkit.responses import Responses
from irtkit.storage import Codes
from irtkit.threads import one_thread_a_core


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """Responses with the group of each person.

    Attributes
    ----------
    responses : Responses
    names : tuple of str
        The groups in order of appearance; the first one fixes the scale.
    codes : array of int, shape (P,)
        The place of each person's group among the names.
    """

    responses: Responses
    names: tuple[str, ...]
    codes: IntArray

    @classmethod
    def of(cls, responses: Responses, groups: Sequence[str] | Mapping[str, str]) -> Grouped:
        """Check the groups of the persons, in their order or by their names.

        Raises
        ------
        ModelError
            If a person has no group, a group has one person, or there is only one group.
        """
        if isinstance(groups, Mapping):
            groups = [groups.get(person, "") for person in responses.persons]
        labels = [str(group) for group in groups]
        if len(labels) != responses.n_persons:
            raise ModelError(f"{len(labels)} groups were given for {responses.n_persons} persons.")
        empty = [
            person
            for person, group in zip(responses.persons, groups, strict=True)
            if group is None or group != group or not str(group).strip()
        ]
        if empty:
            raise ModelError(
                f"{count(len(empty), 'person')} without a group: {listing(empty)}. Name their "
                "group, or leave them out (select_persons)."
            )
        names = tuple(dict.fromkeys(labels))
        if len(names) < 2:
            raise ModelError(f"All persons are in the group {listing(names)}; use calibrate.")
        lonely = [name for name in names if labels.count(name) < 2]
        if lonely:
            raise ModelError(
                f"There is one person only in {listing(lonely)}: a group needs at least two for a "
                "distribution. Join small groups."
            )
        number = {name: place for place, name in enumerate(names)}
        codes = np.array([number[label] for label in labels], dtype=np.int64)
        return cls(responses, names, codes)


@dataclass(frozen=True, slots=True, eq=False)
class GroupFit:
    """Several groups estimated together, before their calibrations are told apart.

    Attributes
    ----------
    whole : Calibration
        Of the columns: one an item, or one a group of an item that is free.
    latents : tuple of Latent
        One a group.
    places : list of list of int
        Each group's columns, in item order.
    rows : array of int, shape (G, I)
        The same among the columns that could be calibrated, -1 where none.
    problem : Problem
    fit : Fit
        The estimation, whose first group is N(0, 1).
    """

    whole: Calibration
    latents: tuple[Latent, ...]
    places: list[list[int]]
    rows: IntArray
    problem: Problem
    fit: Fit


def fitted_groups(
    grouped: Grouped,
    model: ItemModel | Mapping[str, ItemModel],
    method: MML,
    free: Mapping[str, Sequence[str]],
    *,
    start: GroupFit | None = None,
    progress: Progress | None = None,
) -> GroupFit:
    """Estimate all groups together; means and SDs are free as far as items hold the scale.

    Parameters
    ----------
    grouped : Grouped
    model : ItemModel, or mapping of item to ItemModel
    method : MML
    free : mapping of item to names of parameters
        Items with a column a group, and those of their parameters that the groups share.
    start : GroupFit, optional
        Begin from an earlier estimation of the same responses.
    progress : callable, optional

    Raises
    ------
    ModelError, NotConverged
    """
    responses, names = grouped.responses, grouped.names
    wide, places = _expanded(grouped, free)
    models = {
        item: model if isinstance(model, ItemModel) else model[responses.items[origin]]
        for item, origin in zip(wide.items, _origins(places, wide.n_items), strict=True)
    }
    ties = tuple(
        Equal(name, tuple(wide.items[own[origin]] for own in places))
        for origin, item in enumerate(responses.items)
        for name in free.get(item, ())
    )
    method = replace(method, constraints=(*method.constraints, *ties))
    population = Population("normal", len(names), free_means=len(free) < responses.n_items)
    with one_thread_a_core():
        setup = prepared(wide, models, method, groups=grouped.codes, population=population)
        rows = _rows(places, wide.items, setup)
        if start is None:
            together = prepared(responses, model, MML(standard_errors=None))
            begun = _afresh(setup, rows, grouped, together)
        else:
            begun = _resumed(setup, rows, start)
        fit = iterate(setup.problem, begun, method, progress)
        whole, latents = finished(wide, setup.chosen, setup.problem, fit, method, setup.states)
    if not fit.converged:
        raise NotConverged(shortfall(whole, method), whole)
    return GroupFit(whole, tuple(latents), places, rows, setup.problem, fit)


def _expanded(grouped: Grouped, split: Collection[str]) -> tuple[Responses, list[list[int]]]:
    """Give some items one column a group; return each group's columns in item order."""
    responses, names, groups = grouped.responses, grouped.names, grouped.codes
    items: list[str] = []
    columns: list[Any] = []
    places: list[list[int]] = [[] for _ in names]
    for origin, item in enumerate(responses.items):
        column = responses.codes[:, [origin]]
        if item not in split:
            for own in places:
                own.append(len(items))
            items.append(item)
            columns.append(column)
            continue
        for number, name in enumerate(names):
            places[number].append(len(items))
            items.append(f"{item} [{name}]")
            columns.append(_only(column, groups == number))
    if len(set(items)) < len(items):
        raise ModelError("Item and group names make the same names together; rename a group.")
    codes: Any  # NumPy or CSR, as the columns are
    if isinstance(responses.codes, np.ndarray):
        codes = np.concatenate(columns, axis=1)
    else:
        codes = sp.csr_array(sp.hstack(columns, format="csr", dtype=np.int8))
    wide = Responses(
        codes=codes,
        persons=responses.persons,
        items=tuple(items),
        categories=responses.categories,
        weights=responses.weights,
    )
    return wide, places


def _only(column: Codes, members: BoolArray) -> Codes:
    """Keep the answers of some persons in a column."""
    if isinstance(column, np.ndarray):
        return np.where(members[:, None], column, np.int8(MISSING))
    answered = np.diff(column.indptr) * members
    pointers = np.concatenate([[0], np.cumsum(answered)])
    kept = column.data[np.repeat(members, np.diff(column.indptr))]
    return sp.csr_array((kept, np.zeros_like(kept, np.int32), pointers), shape=column.shape)


def _origins(places: list[list[int]], n_columns: int) -> list[int]:
    """The item behind each column."""
    origin = [0] * n_columns
    for own in places:
        for item, column in enumerate(own):
            origin[column] = item
    return origin


def _rows(places: list[list[int]], items: Sequence[str], setup: Setup) -> IntArray:
    """Where each group's items stand among the columns to calibrate, -1 where not, (G, I)."""
    row_of = {item: row for row, item in enumerate(setup.chosen.items)}
    row = np.array([row_of.get(item, -1) for item in items], dtype=np.int64)
    return row[np.array(places)]


def _afresh(setup: Setup, rows: IntArray, grouped: Grouped, together: Setup) -> Checkpoint:
    """Begin each column from the start values of its item in all groups together."""
    own = list(range(grouped.responses.n_items))
    old = _rows([own] * len(rows), grouped.responses.items, together)
    values = _carried(setup, rows, together.start, together.problem.assignment, old)
    return begin(setup.problem, values, "")


def _resumed(setup: Setup, rows: IntArray, earlier: GroupFit) -> Checkpoint:
    """Begin where an earlier estimation ended."""
    known, vector = earlier.fit.checkpoint.parameters, earlier.fit.checkpoint.population
    values = _carried(setup, rows, known, earlier.problem.assignment, earlier.rows)
    problem = setup.problem
    grid = problem.population.grid(vector, largest_information(problem, values))
    return replace(begin(problem, values, ""), population=vector, grid=grid)


def _carried(
    setup: Setup, rows: IntArray, known: FloatArray, before: Assignment, old: IntArray
) -> FloatArray:
    """Start values of all columns from known ones, a shared column's from the groups' mean.

    Where an item was not calibrated, or had other categories, the rough start values stay.
    """
    values = setup.start.copy()
    for item in range(rows.shape[1]):
        for row in np.unique(rows[:, item]).tolist():
            source = old[rows[:, item] == row, item].tolist()
            if row < 0 or min(source) < 0:
                continue
            names = setup.problem.assignment.names(row)
            if all(before.names(place) == names for place in source):
                values[row, : len(names)] = known[source, : len(names)].mean(axis=0)
    return setup.problem.structure.obeyed(values)
