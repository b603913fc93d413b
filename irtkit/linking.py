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
from irtkit.models import Assignment, Nominal, SlopeRule

METHODS = ("mean_sigma", "haebara", "stocking_lord")
FEWEST_ITEMS = 2
TOLERANCE = 1e-14  # relative, of the criterion and of its constants


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
        columns: dict[str, FloatArray] = {}
        for name, of in (("discrimination", _slopes), ("difficulty", _first_difficulty)):
            before, after = of(self.reference), of(self.moved)
            columns[f"{name}_reference"] = before
            columns[f"{name}_linked"] = after
            columns[f"{name}_difference"] = after - before
        columns["distance"] = self._distance()
        return pd.DataFrame(columns, index=pd.Index(self.items, name="item"))

    def _distance(self) -> FloatArray:
        nodes = self.reference.nodes()
        gap = np.exp(self.moved.log_prob(nodes.theta)) - np.exp(
            self.reference.log_prob(nodes.theta)
        )  # (Q, I, K)
        return np.sqrt(np.exp(nodes.log_weights) @ (gap**2).sum(axis=2))


def _slopes(calibration: Calibration) -> FloatArray:
    return calibration.slopes


def _first_difficulty(calibration: Calibration) -> FloatArray:
    difficulties = _difficulties(calibration)
    missing = np.full((len(difficulties), 1), np.nan)
    return np.concatenate([difficulties, missing], axis=1)[:, 0]


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
                  \qquad \sum_q w_q \Big(\sum_i E_i(\theta_q) - \sum_i E^*_i(\theta_q)\Big)^2

        where P and E are the reference's, the starred ones the linked new calibration's, and
        theta and w the nodes and weights of the reference's ability distribution. Both criteria
        look from the reference's side only; exchanging the calibrations is not exactly the
        inverse line. Summing over categories counts a right-or-wrong item twice.
    items : iterable of str, optional
        Common items to use; by default all that both calibrated, with the same model, number of
        categories and key, in state "ok".

    Returns
    -------
    Linking
        Models whose slope is 1 (Rasch, partial credit) keep it: A is 1 and only B is estimated.

    Raises
    ------
    ModelError
        If fewer than two common items are left, a named item cannot be used, or the method does
        not suit the model.
    """
    if method not in METHODS:
        raise ModelError(
            f"Unknown linking method {shown(method)}: {listing(METHODS)}."
            f"{nearest(method, METHODS)}"
        )
    used = _common(new, reference) if items is None else _checked(new, reference, tuple(items))
    parts = _part(new, used), _part(reference, used)
    if method == "mean_sigma":
        slope, constant = _mean_sigma(*parts)
        loss = math.nan
    else:
        slope, constant, loss = _nearest_curves(method, *parts)
    moved = _moved(parts[0], slope, constant)
    return Linking(slope, constant, method, used, loss, parts[1], moved)


def linked(calibration: Calibration, linking: Linking) -> Calibration:
    """Return a calibration on the scale of the linking's reference.

    Parameters, their covariance and the ability distribution move; every probability stays. A and
    B are taken as known, so the standard errors leave out what is uncertain about the line.

    Parameters
    ----------
    calibration : Calibration
        On the scale of the new calibration that the linking was made from.
    linking : Linking

    Raises
    ------
    ModelError
        If the model fixes slopes at 1 and the linking would change them.
    """
    if _unit(calibration.assignment) and linking.slope != 1.0:
        raise ModelError(
            f"The {calibration.assignment.name} model has slope 1 for every item, which a linking "
            f"with A = {linking.slope:.4g} would change. Link calibrations of the same model."
        )
    note = (
        f"Linked to the scale of another calibration: theta = {linking.slope:.6g} times the "
        f"original theta {'-' if linking.constant < 0 else '+'} {abs(linking.constant):.6g}, by "
        f"{linking.method} over {count(len(linking.items), 'common item')}. Probabilities are "
        "unchanged; standard errors take these two numbers as known."
    )
    moved = _moved(calibration, linking.slope, linking.constant)
    return replace(moved, notes=(*calibration.notes, note))


def _common(new: Calibration, reference: Calibration) -> tuple[str, ...]:
    """Items that both calibrated alike, in the reference's order."""
    shared = [item for item in reference.items if item in set(new.items)]
    obstacles = {item: _obstacle(new, reference, item) for item in shared}
    used = tuple(item for item in shared if not obstacles[item])
    if len(used) < FEWEST_ITEMS:
        left_out = [f"{shown(item)} ({why})" for item, why in obstacles.items() if why]
        raise ModelError(_too_few(used) + _left_out(left_out))
    return used


def _left_out(reasons: list[str]) -> str:
    if not reasons:
        return " Both calibrations should name the same item alike."
    more = f" and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return f" In both, but not usable: {', '.join(reasons[:5])}{more}."


def _too_few(used: tuple[str, ...]) -> str:
    found = f"{count(len(used), 'common item')}{': ' if used else ''}{listing(used)}"
    return (
        f"The calibrations share {found}. At least {FEWEST_ITEMS} are needed, because the scale "
        "would rest on the errors of a single item."
    )


def _checked(new: Calibration, reference: Calibration, items: tuple[str, ...]) -> tuple[str, ...]:
    """Named items, after refusing what cannot link."""
    for calibration, name in ((new, "new"), (reference, "reference")):
        unknown = [item for item in items if item not in set(calibration.items)]
        if unknown:
            raise ModelError(
                f"{count(len(unknown), 'item')} to link by not in the {name} calibration: "
                f"{listing(unknown)}.{nearest(unknown[0], calibration.items)}"
            )
    twice = sorted({item for item in items if items.count(item) > 1})
    if twice:
        raise ModelError(f"Items to link by are named more than once: {listing(twice)}.")
    for item in items:
        why = _mismatch(new, reference, item)
        if why:
            raise ModelError(f"Item {shown(item)} cannot link the calibrations: {why}.")
    if len(items) < FEWEST_ITEMS:
        raise ModelError(_too_few(items))
    return items


def _obstacle(new: Calibration, reference: Calibration, item: str) -> str:
    """Say why an item is not used by default; empty if it is."""
    for calibration, name in ((new, "new"), (reference, "reference")):
        state = calibration.states[calibration.items.index(item)]
        if state != OK:
            return f"{state} in the {name}"
    return _mismatch(new, reference, item)


def _mismatch(new: Calibration, reference: Calibration, item: str) -> str:
    """Say why an item cannot be used at all; empty if it can."""
    sides = (new, new.items.index(item)), (reference, reference.items.index(item))
    if not all(calibration.calibrated[place] for calibration, place in sides):
        return "it has no parameters in one of them"
    models = [calibration.assignment.models[place].name for calibration, place in sides]
    if models[0] != models[1]:
        return f"model {models[0]} in the new, {models[1]} in the reference"
    sizes = [int(calibration.assignment.n_categories[place]) for calibration, place in sides]
    if sizes[0] != sizes[1]:
        return f"{sizes[0]} categories in the new, {sizes[1]} in the reference"
    golds = [
        None if calibration.key is None else calibration.key[place] for calibration, place in sides
    ]
    if None not in golds and golds[0] != golds[1]:
        return f"key {shown(golds[0])} in the new, {shown(golds[1])} in the reference"
    return ""


def _part(calibration: Calibration, items: tuple[str, ...]) -> Calibration:
    place_of = {item: place for place, item in enumerate(calibration.items)}
    return restricted(calibration, [place_of[item] for item in items])


def _unit(assignment: Assignment) -> bool:
    return any(model.slope_rule is SlopeRule.UNIT for model in assignment.models)


def _difficulties(calibration: Calibration) -> FloatArray:
    """Difficulties, thresholds or steps, (I, n), NaN where an item has fewer."""
    return calibration.assignment.spread(
        lambda model, part: model.difficulties(part), calibration.parameters
    )


def _mean_sigma(new: Calibration, reference: Calibration) -> tuple[float, float]:
    """A and B that give the difficulties the reference's mean and standard deviation."""
    nominal = [
        item
        for item, model in zip(new.items, new.assignment.models, strict=True)
        if isinstance(model, Nominal)
    ]
    if nominal:
        raise ModelError(
            f"Method 'mean_sigma' compares difficulties, and nominal items have none: "
            f"{listing(nominal)}. Use 'haebara' or 'stocking_lord'."
        )
    before, after = _difficulties(new), _difficulties(reference)
    known = np.isfinite(before) & np.isfinite(after)
    before, after = before[known], after[known]
    if _unit(new.assignment):
        return 1.0, float(after.mean() - before.mean())
    spread = before.std(), after.std()
    if not min(spread) > 0:
        raise ModelError(
            "The common items all have one difficulty, so 'mean_sigma' cannot compare spreads. "
            "Use 'haebara' or 'stocking_lord'."
        )
    slope = float(spread[1] / spread[0])
    return slope, float(after.mean() - slope * before.mean())


def _nearest_curves(
    method: str, new: Calibration, reference: Calibration
) -> tuple[float, float, float]:
    """A, B and the criterion of "haebara" or "stocking_lord"."""
    nodes = reference.nodes()
    weights = np.exp(0.5 * nodes.log_weights)[:, None]  # (Q, 1)
    target = _curves(method, reference, nodes.theta)  # (Q, n)
    unit = _unit(new.assignment)

    def line(point: FloatArray) -> tuple[float, float]:
        return (1.0 if unit else math.exp(point[1])), float(point[0])

    def residuals(point: FloatArray) -> FloatArray:
        slope, constant = line(point)
        return (
            weights * (_curves(method, new, (nodes.theta - constant) / slope) - target)
        ).ravel()

    slope, constant = _start(new, reference)
    found = least_squares(
        residuals,
        [constant] if unit else [constant, math.log(slope)],
        jac="3-point",
        x_scale="jac",
        ftol=TOLERANCE,
        xtol=TOLERANCE,
        gtol=TOLERANCE,
    )
    return *line(found.x), 2.0 * float(found.cost)


def _curves(method: str, calibration: Calibration, theta: FloatArray) -> FloatArray:
    """What the criterion compares at each theta, (Q, n)."""
    assignment, parameters = calibration.assignment, calibration.parameters
    if method == "haebara":
        return np.exp(assignment.log_prob(parameters, theta)).reshape(len(theta), -1)
    return assignment.expected_score(parameters, theta).sum(axis=1, keepdims=True)


def _start(new: Calibration, reference: Calibration) -> tuple[float, float]:
    """A and B whose parameters are nearest to the reference's: linear in 1 / A and -B / A."""
    slopes, intercepts = np.zeros(2), np.zeros(2)  # numerator and denominator of least squares
    for family in new.assignment.families:
        before = new.assignment.part(family, new.parameters)  # (i, d)
        after = reference.assignment.part(family, reference.parameters)
        steep = family.model.slopes(family.n_parameters)
        slopes += (before[:, steep] * after[:, steep]).sum(), (before[:, steep] ** 2).sum()
        moves = before @ family.model.loading(family.n_categories).T
        intercepts += (moves * (after - before)).sum(), (moves**2).sum()
    inverse = slopes[0] / slopes[1]
    if _unit(new.assignment) or not inverse > 0:
        inverse = 1.0
    return float(1.0 / inverse), float(-intercepts[0] / intercepts[1] / inverse)


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
