"""`calibrate_groups`: several groups of persons, with the same or other item parameters.

An item whose parameters differ between groups becomes one item a group, answered by that group
alone (`joint.py`); everything else is `calibrate` with a mean and an SD of theta for each group.

References
----------
Bock, R. D., & Zimowski, M. F. (1997). Multiple group IRT. In W. J. van der Linden & R. K.
    Hambleton (Eds.), Handbook of modern item response theory (pp. 433-448). Springer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from irtkit.errors import ModelError, count, listing, nearest, shown
from irtkit.estimation.calibration import Calibration, restricted
from irtkit.estimation.cycles import Progress
from irtkit.estimation.joint import Grouped, fitted_groups
from irtkit.estimation.method import MML
from irtkit.estimation.mml import calibrate
from irtkit.latent import Latent
from irtkit.models import ItemModel
from irtkit.responses import Responses

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
    groups: Sequence[str] | Mapping[str, str],
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
    groups : sequence of str, or mapping of person to str
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
    grouped = Grouped.of(responses, groups)
    _check(responses, invariance, free_items, method)
    if invariance == "configural":
        return _configural(grouped, model, method, progress)
    shared: dict[str, tuple[str, ...]] = dict.fromkeys(free_items, ())
    if invariance == "metric":
        shared = _slopes(grouped, model, method)
    fit = fitted_groups(grouped, model, method, shared, progress=progress)
    parts = tuple(
        _of_group(grouped, fit.whole, number, own, latent)
        for number, (own, latent) in enumerate(zip(fit.places, fit.latents, strict=True))
    )
    return GroupCalibration(
        grouped.names,
        parts,
        fit.whole.log_likelihood,
        fit.whole.n_parameters,
        invariance,
        tuple(free_items),
    )


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
    grouped: Grouped,
    model: ItemModel | Mapping[str, ItemModel],
    method: MML,
    progress: Progress | None,
) -> GroupCalibration:
    responses, names, codes = grouped.responses, grouped.names, grouped.codes
    parts = tuple(
        calibrate(
            responses.select_persons(codes == number), model, method=method, progress=progress
        )
        for number in range(len(names))
    )
    _check_categories(names, parts)
    return GroupCalibration(
        names,
        parts,
        sum(part.log_likelihood for part in parts),
        sum(part.n_parameters for part in parts),
        "configural",
        (),
    )


def _check_categories(groups: tuple[str, ...], parts: tuple[Calibration, ...]) -> None:
    """Refuse items that have more categories in one group than in another."""
    sizes = np.array([part.assignment.n_categories for part in parts])  # (G, I)
    used = np.array([part.calibrated for part in parts])
    uneven = np.flatnonzero(((sizes != sizes[0]) & used & used[0]).any(axis=0))
    if not len(uneven):
        return
    item = shown(parts[0].items[uneven[0]])
    found = ", ".join(
        f"{size} in {shown(group)}"
        for group, size in zip(groups, sizes[:, uneven[0]], strict=True)
    )
    raise ModelError(
        f"{count(len(uneven), 'item')} with a category that not all groups use, first {item}: its "
        f"categories number {found}. Join categories in all groups alike, or share the "
        "parameters (invariance 'scalar')."
    )


def _slopes(
    grouped: Grouped, model: ItemModel | Mapping[str, ItemModel], method: MML
) -> dict[str, tuple[str, ...]]:
    """Names of each item's slopes, to be shared by all groups; fixed ones cannot be kept."""
    if method.constraints:
        raise ModelError("Constraints do not go with invariance 'metric', which sets its own.")
    found = {}
    for item in grouped.responses.items:
        own = model if isinstance(model, ItemModel) else model[item]
        size = int(grouped.responses.n_categories) if own.ordinal else 2
        names = own.parameter_names(size)
        found[item] = tuple(name for name in names if name.startswith("slope"))
    return found


def _of_group(
    grouped: Grouped, whole: Calibration, number: int, places: list[int], latent: Latent
) -> Calibration:
    responses, here = grouped.responses, grouped.codes == number
    return replace(
        restricted(whole, places),
        items=responses.items,
        latent=latent,
        key=responses.key,
        label_set=responses.label_set,
        n_persons=float(responses.weights[here & (responses.n_answered() > 0)].sum()),
    )
