r"""Differential item functioning by item response models: likelihood ratio and Wald tests.

The anchors hold the scale: their parameters are the same in all groups, whose means and SDs are
estimated with them; flagged items have parameters of their own in each group. From there one item
after the other is freed if it is an anchor, tied if it is not. The likelihood ratio compares the
two models. The Wald test looks at the one in which the item is free,

.. math:: W = (C \hat\xi)' \left( C \, \mathrm{Cov}(\hat\xi) \, C' \right)^{-1} C \hat\xi,

with C taking differences from the first group, and the covariance of all groups' parameters
jointly, since they share the uncertainty of means and SDs. (The two-stage test without anchors
that takes means and SDs as known flags too many items; Woods, Cai & Wang, 2013.)

References
----------
Lord, F. M. (1980). Applications of item response theory to practical testing problems. Erlbaum.
Thissen, D., Steinberg, L., & Wainer, H. (1993). Detection of differential item functioning using
    the parameters of item response models. In P. W. Holland & H. Wainer (Eds.), Differential item
    functioning (pp. 67-113). Erlbaum.
Meade, A. W. (2010). A taxonomy of effect size measures for the differential functioning of items
    and scales. Journal of Applied Psychology, 95(4), 728-743.
Woods, C. M., Cai, L., & Wang, M. (2013). The Langer-improved Wald test for DIF testing with
    multiple groups. Educational and Psychological Measurement, 73(3), 532-547.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.diagnostics.dif_study import ChiSquare, Effect, ItemTests, Study, gathered
from irtkit.errors import ModelError, NotConverged, listing, shown
from irtkit.estimation.calibration import OK
from irtkit.estimation.joint import GroupFit, fitted_groups
from irtkit.estimation.standard_errors import joint_covariance
from irtkit.latent import Normal
from irtkit.models import SlopeRule
from irtkit.threads import each

Free = Mapping[str, tuple[str, ...]]

EFFECT_NODES = 401  # the absolute difference has kinks
NOT_CONVERGED = "not converged"
NO_ERRORS = "no standard errors"


@dataclass(frozen=True, slots=True)
class _Found:
    """The tests of one item: statistic and df of each, the effects, and its state."""

    both: tuple[float, float] = (np.nan, np.nan)
    uniform: tuple[float, float] = (np.nan, np.nan)
    nonuniform: tuple[float, float] = (np.nan, np.nan)
    signed: float = np.nan
    unsigned: float = np.nan
    state: str = NOT_CONVERGED


def base_fit(study: Study, free: BoolArray, start: GroupFit | None) -> GroupFit:
    """Calibrate all groups, some items having other parameters in each."""
    return _fit(study, dict.fromkeys(_names(study, free), ()), start)


def model_tests(
    study: Study, method: str, free: BoolArray, start: GroupFit | None
) -> tuple[ItemTests, GroupFit]:
    """Test each item of the study, the items that are not free being anchors.

    Parameters
    ----------
    study : Study
    method : str
        "likelihood_ratio" or "wald".
    free : array of bool, shape (I,)
    start : GroupFit, optional
        Begin from an earlier round.

    Returns
    -------
    ItemTests
    GroupFit
        With all free items free, to begin the next round from.
    """
    base = base_fit(study, free, start)
    shared: Free = dict.fromkeys(_names(study, free), ())
    places = np.flatnonzero(study.tested)
    errors = None
    if method == "wald" and free[places].any():
        errors = joint_covariance(base.problem, base.fit, _kind(study))

    def tested(place: int) -> _Found:
        comparison = _Comparison.of(study, base, shared, place)
        try:
            if method == "wald":
                return comparison.wald(errors)
            return comparison.likelihood_ratio()
        except NotConverged:
            return _Found()

    found = each(tested, places.tolist(), study.progress)
    return _collected(study, places, found), base


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """One item, and the calibration in which everything else is as it should be.

    Attributes
    ----------
    study : Study
    base : GroupFit
    shared : mapping of item to names of parameters
        The items that are free in the base.
    place : int
        The item.
    names, chosen : tuple of str
        Its parameters, and those to test.
    """

    study: Study
    base: GroupFit
    shared: Free
    place: int
    names: tuple[str, ...]
    chosen: tuple[str, ...]

    @classmethod
    def of(cls, study: Study, base: GroupFit, shared: Free, place: int) -> _Comparison:
        row = int(base.rows[0, place])
        model, names = base.problem.assignment.models[row], base.problem.assignment.names(row)
        wanted = study.options.parameters
        chosen = tuple(name for name in names if name in wanted) if wanted else names
        free = model.slope_rule is SlopeRule.FREE
        if not any(free or not name.startswith("slope") for name in chosen):
            own = [name for name in names if free or not name.startswith("slope")]
            raise ModelError(
                f"Item {shown(study.grouped.responses.items[place])} has none of the parameters "
                f"{listing(wanted)} to compare; the {model.name} model has {listing(own, 12)}."
            )
        return cls(study, base, shared, place, names, chosen)

    @property
    def item(self) -> str:
        return self.study.grouped.responses.items[self.place]

    @property
    def rest(self) -> tuple[str, ...]:
        """The item's parameters that are not tested."""
        return tuple(name for name in self.names if name not in self.chosen)

    def freed(self) -> GroupFit:
        """The item's tested parameters differ between the groups."""
        if self.item in self.shared:
            return self.base
        return _fit(self.study, {**self.shared, self.item: self.rest}, self.base)

    def tied(self) -> GroupFit:
        """The item's tested parameters are the same in all groups."""
        if self.item not in self.shared:
            return self.base
        others = {item: names for item, names in self.shared.items() if item != self.item}
        if self.rest:
            others[self.item] = self.chosen
        return _fit(self.study, others, self.base)

    def likelihood_ratio(self) -> _Found:
        freed, tied = self.freed(), self.tied()
        found = replace(self._effects(freed), both=_ratio(freed, tied))
        slopes = tuple(name for name in self.names if name.startswith("slope"))
        model = self.base.problem.assignment.models[int(self.base.rows[0, self.place])]
        if self.rest or model.slope_rule is not SlopeRule.FREE:
            return found
        between = _fit(self.study, {**self.shared, self.item: slopes}, freed)
        return replace(found, uniform=_ratio(between, tied), nonuniform=_ratio(freed, between))

    def wald(self, errors: FloatArray | None) -> _Found:
        """Test from the freed calibration; `errors` is the joint covariance of the base."""
        freed = self.freed()
        found = self._effects(freed)
        if freed is not self.base:
            errors = joint_covariance(freed.problem, freed.fit, _kind(self.study))
        rows = freed.rows[:, self.place]
        differences, slopes = _differences(freed, rows, self.names, self.chosen)
        used = np.asarray(differences.any(axis=0))  # cells that an item does not have are NaN
        if errors is None:
            return replace(found, state=NO_ERRORS)
        block = errors[rows][:, :, rows].reshape(len(used), len(used))  # (G D, G D)
        spread = differences[:, used] @ block[np.ix_(used, used)] @ differences[:, used].T
        if np.isnan(spread).any():
            return replace(found, state=NO_ERRORS)
        values = freed.fit.checkpoint.parameters[rows].ravel()
        gap = differences[:, used] @ values[used]
        both = _quadratic(gap, spread)
        if self.rest or slopes.all() or not slopes.any():
            return replace(found, both=both)
        some = _quadratic(gap[slopes], spread[np.ix_(slopes, slopes)])
        given = (both[0] - some[0], both[1] - some[1])
        return replace(found, both=both, uniform=given, nonuniform=some)

    def _effects(self, freed: GroupFit) -> _Found:
        """Differences in expected score, and what became of the item."""
        signed, unsigned = expected_differences(freed, freed.rows[:, self.place])
        columns = [own[self.place] for own in freed.places]
        states = [freed.whole.states[column] for column in columns]
        odd = [state for state in states if state != OK]
        return _Found(signed=signed, unsigned=unsigned, state=odd[0] if odd else OK)


def _fit(study: Study, shared: Free, start: GroupFit | None) -> GroupFit:
    quick = replace(study.options.estimation, standard_errors=None)
    return fitted_groups(study.grouped, study.model, quick, shared, start=start)


def _names(study: Study, chosen: BoolArray) -> list[str]:
    return [
        item
        for item, yes in zip(study.grouped.responses.items, chosen.tolist(), strict=True)
        if yes
    ]


def _kind(study: Study) -> str:
    return study.options.estimation.standard_errors or "oakes"


def _ratio(large: GroupFit, small: GroupFit) -> tuple[float, float]:
    gain = 2.0 * (large.whole.log_likelihood - small.whole.log_likelihood)
    return max(gain, 0.0), float(large.whole.n_parameters - small.whole.n_parameters)


def _differences(
    freed: GroupFit, rows: IntArray, names: tuple[str, ...], chosen: tuple[str, ...]
) -> tuple[FloatArray, BoolArray]:
    """Contrasts (n, G D) of the groups' parameters with the first one's; which are slopes."""
    index = freed.problem.structure.index
    n_parameters = index.shape[1]
    made, slopes = [], []
    for name in chosen:
        place = names.index(name)
        for group in range(1, len(rows)):
            if index[rows[group], place] == index[rows[0], place]:
                continue  # shared by all groups, as the slope of the Rasch model
            contrast = np.zeros((len(rows), n_parameters))
            contrast[0, place], contrast[group, place] = -1.0, 1.0
            made.append(contrast.ravel())
            slopes.append(name.startswith("slope"))
    return np.array(made).reshape(len(made), -1), np.array(slopes, dtype=bool)


def _quadratic(gap: FloatArray, spread: FloatArray) -> tuple[float, float]:
    """Wald's statistic of contrasts being zero, and its degrees of freedom."""
    return float(gap @ np.linalg.solve(spread, gap)), float(len(gap))


def expected_differences(freed: GroupFit, rows: IntArray) -> tuple[float, float]:
    r"""Signed and unsigned difference in expected score over a focal group's abilities.

    .. math:: SIDS = \int (E_{focal}(\theta) - E_{first}(\theta)) f_{focal}(\theta) d\theta

    UIDS integrates the absolute difference. Of several focal groups each measure is that of the
    one with the largest.

    Parameters
    ----------
    freed : GroupFit
    rows : array of int, shape (G,)
        The item's row in each group.
    """
    problem, checkpoint = freed.problem, freed.fit.checkpoint
    part = problem.assignment.at(rows)
    parameters = checkpoint.parameters[rows]
    signed, unsigned = [], []
    for group, (mean, sd) in enumerate(problem.population.moments(checkpoint.population)):
        nodes = Normal(mean, sd).nodes(EFFECT_NODES)
        score = part.expected_score(parameters, nodes.theta)  # (Q, G)
        gap, weights = score[:, group] - score[:, 0], np.exp(nodes.log_weights)
        signed.append(float(weights @ gap))
        unsigned.append(float(weights @ np.abs(gap)))
    return max(signed, key=abs), max(unsigned)


def _collected(study: Study, places: IntArray, found: list[_Found]) -> ItemTests:
    def chi_square(pairs: list[tuple[float, float]]) -> ChiSquare:
        statistic, df = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return ChiSquare(statistic, df)

    effect = Effect(
        names=np.full(len(found), "sids"),
        size=np.array([one.signed for one in found]),
        error=np.full(len(found), np.nan),
        unsigned=np.array([one.unsigned for one in found]),
        classes=np.full(len(found), ""),
    )
    tests = ItemTests(
        both=chi_square([one.both for one in found]),
        uniform=chi_square([one.uniform for one in found]),
        nonuniform=chi_square([one.nonuniform for one in found]),
        effect=effect,
        states=np.array([one.state for one in found]),
    )
    return gathered([(places, tests)], len(study.tested))
