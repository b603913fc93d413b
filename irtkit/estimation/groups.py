"""`calibrate_groups`: several groups of persons, with the same or other item parameters.

An item whose parameters differ between groups becomes one item a group, answered by that group
alone; everything else is `calibrate` with a mean and an SD of theta for each group.

References
----------
Bock, R. D., & Zimowski, M. F. (1997). Multiple group IRT. In W. J. van der Linden & R. K.
    Hambleton (Eds.), Handbook of modern item response theory (pp. 433-448). Springer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from irtkit.arrays import FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError, NotConverged, count, listing, nearest, shown
from irtkit.estimation.calibration import Calibration, restricted
from irtkit.estimation.cycles import Progress, begin, iterate
from irtkit.estimation.method import MML
from irtkit.estimation.mml import Setup, calibrate, prepared, shortfall
from irtkit.estimation.population import Population
from irtkit.estimation.result import finished
from irtkit.estimation.structure import Equal
from irtkit.latent import Latent
from irtkit.models import ItemModel
from irtkit.responses import Responses
from irtkit.storage import Codes
from irtkit.threads import one_thread_a_core

INVARIANCE = ("scalar", "metric", "configural")


@dataclass(frozen=True, slots=True, eq=False)
class GroupCalibration:
    """Item parameters and ability distributions of several groups.

    Attributes
    ----------
    groups : tuple of str
        The first one fixes the scale: its abilities are N(0, 1).
    calibrations : tuple of Calibration
        One a group, each with all items and the group's own ability distribution. Its
        log-likelihood is that of all groups together, unless the groups share no parameter.
    log_likelihood : float
        Of all groups together (nats).
    n_parameters : int
        Free parameters, each counted once.
    invariance : str
        "scalar", "metric" or "configural".
    free_items : tuple of str
        Items whose parameters differ between groups although the others do not.
    """

    groups: tuple[str, ...]
    calibrations: tuple[Calibration, ...]
    log_likelihood: float
    n_parameters: int
    invariance: str
    free_items: tuple[str, ...]

    def of(self, group: str) -> Calibration:
        """Return the calibration of a group."""
        if group not in self.groups:
            raise ModelError(f"There is no group {shown(group)}.{nearest(group, self.groups)}")
        return self.calibrations[self.groups.index(group)]

    def table(self) -> pd.DataFrame:
        """Return one row a group and item, as `Calibration.table`."""
        tables = [calibration.table() for calibration in self.calibrations]
        return pd.concat(tables, keys=self.groups, names=["group"])

    def latent_table(self) -> pd.DataFrame:
        """Return mean and standard deviation of theta, one row a group."""
        latents = [calibration.latent for calibration in self.calibrations]
        return pd.DataFrame(
            {
                "mean": [latent.mean for latent in latents],
                "standard_deviation": [latent.standard_deviation for latent in latents],
                "n_persons": [calibration.n_persons for calibration in self.calibrations],
            },
            index=pd.Index(self.groups, name="group"),
        )


def calibrate_groups(
    responses: Responses,
    groups: Sequence[str],
    model: ItemModel | Mapping[str, ItemModel],
    *,
    invariance: str = "scalar",
    free_items: Sequence[str] = (),
    method: MML | None = None,
    progress: Progress | None = None,
) -> GroupCalibration:
    """Estimate item parameters and the ability distribution of each group.

    Parameters
    ----------
    responses : Responses
    groups : sequence of str
        The group of each person, in their order; the first that occurs fixes the scale.
    model : ItemModel, or mapping of item to ItemModel
    invariance : str
        "scalar": all groups share the item parameters, and means and SDs of theta are free.
        "metric": they share the slopes; intercepts and SDs are free. "configural": nothing is
        shared, every group is N(0, 1).
    free_items : sequence of str
        With "scalar": items whose parameters are free in each group, the others being anchors.
    method : MML, optional
    progress : callable, optional
        As for `calibrate`.

    Raises
    ------
    ModelError, NotConverged
        As `calibrate`; and if there is only one group, or the options do not fit each other.
    """
    method = method or MML()
    names, codes = _numbered(responses, groups)
    _check(responses, invariance, free_items, method)
    if invariance == "configural":
        return _configural(responses, names, codes, model, method, progress)
    free = responses.items if invariance == "metric" else tuple(free_items)
    wide, places = _expanded(responses, names, codes, free)
    models = {
        item: model if isinstance(model, ItemModel) else model[responses.items[origin]]
        for item, origin in zip(wide.items, _origins(places, wide.n_items), strict=True)
    }
    if invariance == "metric":
        method = replace(method, constraints=_equal_slopes(wide, places, models, method))
    population = Population("normal", len(names), free_means=invariance == "scalar")
    with one_thread_a_core():
        together = prepared(responses, model, MML(standard_errors=None))
        setup = prepared(wide, models, method, groups=codes, population=population)
        rough = _start(together, setup, places, wide, responses)
        start = begin(setup.problem, setup.problem.structure.obeyed(rough), "")
        fit = iterate(setup.problem, start, method, progress)
        whole, latents = finished(wide, setup.chosen, setup.problem, fit, method, setup.states)
    if not fit.converged:
        raise NotConverged(shortfall(whole, method), whole)
    parts = tuple(
        _of_group(whole, responses, codes, number, own, latent)
        for number, (own, latent) in enumerate(zip(places, latents, strict=True))
    )
    return GroupCalibration(
        names, parts, whole.log_likelihood, whole.n_parameters, invariance, tuple(free_items)
    )


def _numbered(responses: Responses, groups: Sequence[str]) -> tuple[tuple[str, ...], IntArray]:
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
            f"{count(len(empty), 'person')} without a group: {listing(empty)}. Name their group, "
            "or leave them out (select_persons)."
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
    return names, np.array([number[label] for label in labels], dtype=np.int64)


def _check(responses: Responses, invariance: str, free_items: Sequence[str], method: MML) -> None:
    if invariance not in INVARIANCE:
        raise ModelError(f"Unknown invariance '{invariance}'; there is {listing(INVARIANCE)}.")
    if method.latent != "normal":
        raise ModelError("Groups have normal abilities; use latent='normal'.")
    unknown = [item for item in free_items if item not in responses.items]
    if unknown:
        hint = nearest(unknown[0], responses.items)
        raise ModelError(f"{count(len(unknown), 'free item')} unknown: {listing(unknown)}.{hint}")
    if free_items and invariance != "scalar":
        raise ModelError("Free items are chosen where the others are equal: invariance 'scalar'.")
    if len(set(free_items)) >= responses.n_items:
        raise ModelError(
            "All items are free, so nothing links the groups. Leave some as anchors, or use "
            "invariance 'configural'."
        )


def _configural(
    responses: Responses,
    names: tuple[str, ...],
    codes: IntArray,
    model: ItemModel | Mapping[str, ItemModel],
    method: MML,
    progress: Progress | None,
) -> GroupCalibration:
    parts = tuple(
        calibrate(
            responses.select_persons(codes == number), model, method=method, progress=progress
        )
        for number in range(len(names))
    )
    return GroupCalibration(
        names,
        parts,
        sum(part.log_likelihood for part in parts),
        sum(part.n_parameters for part in parts),
        "configural",
        (),
    )


def _expanded(
    responses: Responses, names: tuple[str, ...], groups: IntArray, free: Sequence[str]
) -> tuple[Responses, list[list[int]]]:
    """Give each free item one column a group; return each group's columns in item order."""
    split = set(free)
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


def _only(column: Codes, members: IntArray) -> Codes:
    """Keep the answers of some persons in a column."""
    if isinstance(column, np.ndarray):
        return np.where(members[:, None], column, np.int8(MISSING))
    return sp.csr_array(sp.diags_array(members.astype(np.int8)) @ column)


def _origins(places: list[list[int]], n_columns: int) -> list[int]:
    """The item behind each column."""
    origin = [0] * n_columns
    for own in places:
        for item, column in enumerate(own):
            origin[column] = item
    return origin


def _start(
    together: Setup,
    setup: Setup,
    places: list[list[int]],
    wide: Responses,
    responses: Responses,
) -> FloatArray:
    """Start each column from its item in all groups together, where the sizes agree."""
    origin = dict(zip(wide.items, _origins(places, wide.n_items), strict=True))
    row_of = {item: row for row, item in enumerate(together.chosen.items)}
    start = setup.start.copy()
    for place, column in enumerate(setup.chosen.items):
        row = row_of.get(responses.items[origin[column]])
        if row is None:
            continue
        size = int(setup.problem.assignment.n_categories[place])
        if size == int(together.problem.assignment.n_categories[row]):
            n = len(setup.problem.assignment.names(place))
            start[place, :n] = together.start[row, :n]
    return start


def _equal_slopes(
    wide: Responses,
    places: list[list[int]],
    models: Mapping[str, ItemModel],
    method: MML,
) -> tuple[Equal, ...]:
    """Constraints that tie the slopes of an item's columns; fixed ones cannot be kept."""
    if method.constraints:
        raise ModelError("Constraints do not go with invariance 'metric', which sets its own.")
    tied = []
    for columns in zip(*places, strict=True):
        items = tuple(wide.items[column] for column in columns)
        model = models[items[0]]
        size = int(wide.n_categories) if model.ordinal else 2
        names = model.parameter_names(size)
        tied += [Equal(name, items) for name in names if name.startswith("slope")]
    return tuple(tied)


def _of_group(
    whole: Calibration,
    responses: Responses,
    groups: IntArray,
    number: int,
    places: list[int],
    latent: Latent,
) -> Calibration:
    return replace(
        restricted(whole, places),
        items=responses.items,
        latent=latent,
        key=responses.key,
        label_set=responses.label_set,
        n_persons=float(responses.weights[groups == number].sum()),
    )
