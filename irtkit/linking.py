r"""Linking: two calibrations with common items on one scale.

Each calibration has its own origin and unit, set by the persons who answered. `link` estimates

.. math:: \theta_{reference} = A \, \theta_{new} + B

from the items that both contain; `linked` moves a calibration. Nothing is estimated from answers
here: to calibrate new items on a known scale from answers, hold the old ones with `anchored`.

References
----------
Marco, G. L. (1977). Item characteristic curve solutions to three intractable testing problems.
    Journal of Educational Measurement, 14(2), 139-160.
Haebara, T. (1980). Equating logistic ability scales by a weighted least squares method. Japanese
    Psychological Research, 22(3), 144-149.
Stocking, M. L., & Lord, F. M. (1983). Developing a common metric in item response theory. Applied
    Psychological Measurement, 7(2), 201-210.
Kolen, M. J., & Brennan, R. L. (2014). Test equating, scaling, and linking (3rd ed.). Springer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError, count, listing, nearest, shown
from irtkit.estimation.calibration import OK, Calibration, restricted
from irtkit.models import Nominal, SlopeRule

METHODS = ("mean_sigma", "haebara", "stocking_lord")
REMEDY = "use 'haebara' or 'stocking_lord'."
FEWEST_ITEMS = 2
TIGHT = 1e-14  # relative, of the criterion and of its constants


@dataclass(frozen=True, slots=True, eq=False)
class Linking:
    """How the scale of a new calibration becomes that of a reference.

    Attributes
    ----------
    slope, constant : float
        A and B of theta_reference = A theta_new + B.
    method : str
        How they were estimated.
    items : tuple of str
        The common items used.
    loss : float
        Value of the criterion at A and B; NaN for "mean_sigma", which has none.
    reference, moved : Calibration
        Of the common items: the reference, and the new calibration on the reference's scale.
    """

    slope: float
    constant: float
    method: str
    items: tuple[str, ...]
    loss: float
    reference: Calibration = field(repr=False)
    moved: Calibration = field(repr=False)

    def table(self) -> pd.DataFrame:
        """Return one row a common item: what it is in both, to find items that drifted.

        Discrimination and difficulty in the reference, in the linked new calibration, and the
        difference (linked less reference). Of several thresholds or steps the first is shown;
        nominal items have none, and the slope of their last category, per step. `distance` sees
        all parameters: the root of the item's part in the criterion of Haebara.
        """
        index = pd.Index(self.items, name="item")
        parts = (self.reference, self.moved)
        before, after = (
            pd.DataFrame({"discrimination": c.slopes, "difficulty": _difficulties(c)[:, 0]}, index)
            for c in parts
        )
        sides = [before.add_suffix("_reference"), after.add_suffix("_linked")]
        table = pd.concat([*sides, (after - before).add_suffix("_difference")], axis=1)
        nodes = self.reference.nodes()
        one, other = (np.exp(c.log_prob(nodes.theta)) for c in parts)  # (Q, I, K)
        mean_square = np.exp(nodes.log_weights) @ ((one - other) ** 2).sum(axis=2)  # (I,)
        return table.assign(distance=np.sqrt(mean_square))


def link(
    new: Calibration,
    reference: Calibration,
    *,
    method: str = "stocking_lord",
    items: Iterable[str] | None = None,
) -> Linking:
    r"""Estimate the line from a new calibration's scale to a reference's.

    Parameters
    ----------
    new, reference : Calibration
    method : str
        "mean_sigma" equates mean and standard deviation of all difficulties, thresholds and
        steps. "haebara" minimises the squared differences of the category response functions,
        "stocking_lord" those of the test characteristic curve (the sum of the expected codes),

        .. math:: \sum_q w_q \sum_{ik} \left(P_{ik}(\theta_q) - P^*_{ik}(\theta_q)\right)^2,
                  \qquad \sum_q w_q \Bigl(\sum_i E_i(\theta_q) - \sum_i E^*_i(\theta_q)\Bigr)^2

        where P and E are the reference's, the starred ones the linked new calibration's, and
        theta and w the nodes and weights of the reference's ability distribution. Exchanging the
        calibrations therefore does not quite invert the line.
    items : iterable of str, optional
        Common items to use; by default all that are "ok" in both calibrations, with the same
        model, number of categories and key.

    Returns
    -------
    Linking
        Models whose slope is 1 (Rasch, partial credit) keep it: A is 1 and only B is estimated.

    Raises
    ------
    ModelError
        If fewer than two items are left, or a named item or the method cannot be used.
    """
    if method not in METHODS:
        raise ModelError(f"There is no linking method {shown(method)}, only {listing(METHODS)}.")
    used = _common_items(new, reference, items)
    parts = _part(new, used), _part(reference, used)
    if method == "mean_sigma":
        slope, constant, loss = *_mean_sigma(*parts), math.nan
    else:
        slope, constant, loss = _nearest_curves(method, *parts)
    moved = _moved(parts[0], slope, constant)
    return Linking(slope, constant, method, used, loss, parts[1], moved)


def linked(calibration: Calibration, linking: Linking) -> Calibration:
    """Return a calibration on the scale of the linking's reference.

    Parameters, their covariance and the ability distribution move; every probability stays. A and
    B are taken as known, so the standard errors leave out how uncertain these two are. Slopes
    that a model holds at 1 must stay: a linking that changes them is refused (ModelError).

    Parameters
    ----------
    calibration : Calibration
        On the scale of the new calibration that the linking was made from.
    linking : Linking
    """
    if _unit(calibration) and linking.slope != 1.0:
        raise ModelError(
            f"Items of the {calibration.assignment.name} model have slope 1, which a linking with "
            f"A = {linking.slope:.4g} would change. Link calibrations of the same model."
        )
    note = (
        f"Linked to the scale of another calibration: theta = {linking.slope:.6g} times the "
        f"original theta {'-' if linking.constant < 0 else '+'} {abs(linking.constant):.6g} "
        f"({linking.method}, {len(linking.items)} common items). Probabilities are unchanged; "
        "standard errors take the two numbers as known."
    )
    moved = _moved(calibration, linking.slope, linking.constant)
    return replace(moved, notes=(*calibration.notes, note))


def _common_items(
    new: Calibration, reference: Calibration, named: Iterable[str] | None
) -> tuple[str, ...]:
    """The items to link by: those that the user named, or all that can."""
    keyed = new.key is not None and reference.key is not None
    before, after = _kinds(new, keyed), _kinds(reference, keyed)
    shared = [item for item in reference.items if item in before]
    obstacles = {
        item: f"{shown(item)} is {before[item]} in the new calibration, {after[item]} in the other"
        for item in shared
        if before[item] != after[item] or not after[item].endswith(f"({OK})")
    }
    usable = [item for item in shared if item not in obstacles]
    used = tuple(dict.fromkeys(usable if named is None else named))
    unknown = [item for item in used if item not in before or item not in after]
    if unknown:
        hint = nearest(unknown[0], shared)
        raise ModelError(f"Not in both calibrations: {listing(unknown)}.{hint}")
    wrong = [obstacles[item] for item in used if item in obstacles]
    if wrong:
        raise ModelError(f"Cannot link by {count(len(wrong), 'named item')}: {wrong[0]}.")
    if len(used) < FEWEST_ITEMS:
        examples = "".join(f" Unusable: {why}." for why in [*obstacles.values()][:1])
        raise ModelError(
            f"{count(len(used), 'common item')}{': ' if used else ''}{listing(used)}. At least "
            f"{FEWEST_ITEMS} are needed, or the scale rests on the errors of one.{examples}"
        )
    return used


def _kinds(calibration: Calibration, keyed: bool) -> dict[str, str]:
    """Model, categories, key if both have one, and state of each item, in words."""
    assignment, key = calibration.assignment, calibration.key
    kinds = {}
    for place, item in enumerate(calibration.items):
        model = f"{assignment.models[place].name} of {assignment.n_categories[place]} categories"
        gold = f", key {key[place]}" if keyed and key else ""
        kinds[item] = f"{model}{gold} ({calibration.states[place]})"
    return kinds


def _part(calibration: Calibration, items: tuple[str, ...]) -> Calibration:
    place_of = {item: place for place, item in enumerate(calibration.items)}
    return restricted(calibration, [place_of[item] for item in items])


def _unit(calibration: Calibration) -> bool:
    return any(model.slope_rule is SlopeRule.UNIT for model in calibration.assignment.models)


def _difficulties(calibration: Calibration) -> FloatArray:
    """Difficulties, thresholds or steps, (I, n + 1), NaN where there is none and at the end."""
    found = calibration.assignment.spread(
        lambda model, part: model.difficulties(part), calibration.parameters
    )
    return np.pad(found, ((0, 0), (0, 1)), constant_values=np.nan)


def _mean_sigma(new: Calibration, reference: Calibration) -> tuple[float, float]:
    """A and B that give the difficulties the reference's mean and standard deviation."""
    if any(isinstance(model, Nominal) for model in new.assignment.models):
        raise ModelError(f"Nominal items have no difficulties for 'mean_sigma': {REMEDY}")
    before, after = _difficulties(new), _difficulties(reference)
    known = np.isfinite(before) & np.isfinite(after)
    before, after = before[known], after[known]
    slope = 1.0
    if not _unit(new):
        if min(np.ptp(before), np.ptp(after)) == 0.0:
            raise ModelError(f"The common items' difficulties do not differ: {REMEDY}")
        slope = float(after.std() / before.std())
    return slope, float(after.mean() - slope * before.mean())


def _nearest_curves(
    method: str, new: Calibration, reference: Calibration
) -> tuple[float, float, float]:
    """A, B and the criterion of "haebara" or "stocking_lord"."""
    nodes = reference.nodes()
    weights = np.exp(0.5 * nodes.log_weights)[:, None]  # (Q, 1)
    target = _curves(method, reference, nodes.theta)  # (Q, n)

    def residuals(point: FloatArray) -> FloatArray:
        theta = (nodes.theta - point[0]) / math.exp(point[1:].sum())  # on the new scale
        return np.ravel(weights * (_curves(method, new, theta) - target))

    start = _start(new, reference)
    found = least_squares(
        residuals, start, jac="3-point", x_scale="jac", ftol=TIGHT, xtol=TIGHT, gtol=TIGHT
    )
    return math.exp(found.x[1:].sum()), float(found.x[0]), 2.0 * float(found.cost)


def _curves(method: str, calibration: Calibration, theta: FloatArray) -> FloatArray:
    """What the criterion compares at each theta, (Q, n)."""
    if method == "haebara":
        return np.exp(calibration.log_prob(theta)).reshape(len(theta), -1)
    scores = calibration.assignment.expected_score(calibration.parameters, theta)  # (Q, I)
    return np.asarray(scores.sum(axis=1, keepdims=True))


def _start(new: Calibration, reference: Calibration) -> FloatArray:
    """B and, unless A is 1, log A by least squares of the parameters, linear in 1 / A, B / A."""
    slopes, intercepts = np.zeros(2), np.zeros(2)  # products and squares of least squares
    for family in new.assignment.families:
        before = new.assignment.part(family, new.parameters)  # (i, d)
        after = reference.assignment.part(family, reference.parameters)
        steep = family.model.slopes(family.n_parameters)
        slopes += (before[:, steep] * after[:, steep]).sum(), (before[:, steep] ** 2).sum()
        moves = before @ family.model.loading(family.n_categories).T
        intercepts += (moves * (after - before)).sum(), (moves**2).sum()
    mean = intercepts[0] / intercepts[1]
    if _unit(new):
        return np.array([-mean])
    inverse = slopes[0] / slopes[1] if slopes[0] > 0 else 1.0
    return np.array([-mean / inverse, -math.log(inverse)])


def _moved(calibration: Calibration, slope: float, constant: float) -> Calibration:
    """The same probabilities on the scale of slope times theta plus constant."""
    mean, sd = -constant / slope, 1.0 / slope
    assignment = calibration.assignment
    covariance = np.full(calibration.covariance.shape, np.nan)
    for family in assignment.families:
        size = slice(family.n_parameters)
        by = family.model.rescaled(np.eye(family.n_parameters), mean, sd)  # (d, d), transposed
        block = calibration.covariance[family.places, size, size]
        covariance[family.places, size, size] = by.T @ block @ by
    return replace(
        calibration,
        parameters=assignment.rescaled(calibration.parameters, mean, sd),
        covariance=covariance,
        latent=calibration.latent.rescaled(slope, constant),
    )
