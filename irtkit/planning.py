r"""Planning: how many persons a calibration needs.

`plan_sample` simulates studies of several sizes, calibrates them and reads from the standard
errors how many persons reach a wanted one. Persons may be language models. It plans item
parameters only; `test_information` says how well a finished test measures persons.

Between the sizes the answer is interpolated on log scales; beyond them it is extrapolated from
the nearest size by

.. math:: SE \propto 1 / \sqrt{N}

which holds in large samples. Where priors weigh much against the answers, as on the asymptotes of
three- and four-parameter models, standard errors fall more slowly: simulate larger sizes then.

References
----------
Thissen, D., & Wainer, H. (1982). Some standard errors in item response theory. Psychometrika,
    47(4), 397-412.
Schroeders, U., & Gnambs, T. (2025). Sample-size planning in item-response theory: A tutorial.
    Advances in Methods and Practices in Psychological Science, 8(1).
    https://doi.org/10.1177/25152459251314798
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray
from irtkit.errors import ModelError, NotConverged, listing, shown
from irtkit.estimation import MML, calibrate
from irtkit.estimation.calibration import OK
from irtkit.models import ItemModel, Nominal, SlopeRule
from irtkit.simulate import Simulation, simulate

COLUMNS = {
    "discrimination": ("discrimination", "slope"),
    "difficulty": ("difficulty", "threshold"),
}
WORDS = {"discrimination": "discriminations", "difficulty": "difficulties"}
FEWEST_PERSONS = 10
FEWEST_ITEMS = 3


@dataclass(frozen=True, slots=True)
class SampleSize:
    """What the simulated studies with one number of persons gave.

    A parameter without a standard error, and each of an item that is not "ok", counts as if its
    standard error were infinite. Differences from the truth are those of the "ok" items. If no
    study has any, all numbers are NaN.

    Attributes
    ----------
    n_persons : int
    median_error, high_error : float
        Median and 90th percentile of the model's standard errors, over items and studies.
    rmse, median_absolute_error : float
        Of the estimates from the truth; the second does not mind a few runaway items.
    share_reached : float
        Share of standard errors at or below the wanted one.
    share_not_ok : float
        Share of items that are separating, constant, reverse-keyed and so on.
    not_calibrated : int
        Studies that did not converge or could not be calibrated; they are left out above.
    """

    n_persons: int
    median_error: float
    high_error: float
    rmse: float
    median_absolute_error: float
    share_reached: float
    share_not_ok: float
    not_calibrated: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How many persons a wanted standard error needs.

    Attributes
    ----------
    model, parameter : str
        What was planned: a model's name, "discrimination" or "difficulty".
    n_items : int
    standard_error : float
        The wanted one.
    replications : int
        Simulated studies of each size.
    sizes : tuple of SampleSize
    needed : int
        Smallest number of persons whose median standard error is the wanted one or less.
    extrapolated : bool
        Whether `needed` lies outside the simulated sizes and rests on the law alone.
    """

    model: str
    parameter: str
    n_items: int
    standard_error: float
    replications: int
    sizes: tuple[SampleSize, ...]
    needed: int
    extrapolated: bool

    def table(self) -> pd.DataFrame:
        """Return one row a simulated size, indexed by n_persons; columns as in `SampleSize`."""
        return pd.DataFrame([asdict(size) for size in self.sizes]).set_index("n_persons")

    def sentence(self) -> str:
        """Say the answer in words."""
        smallest, largest = self.sizes[0].n_persons, self.sizes[-1].n_persons
        sizes = f"{smallest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"
        basis = f"simulations of {sizes} persons"
        how = f"Interpolated between {basis}."
        if self.extrapolated:
            how = f"Extrapolated from {basis}: simulate that many to be sure."
        return (
            f"About {self.needed:,} persons are needed for a median standard error of "
            f"{self.standard_error:g} of the {WORDS[self.parameter]} of {self.n_items} "
            f"{self.model} items. {how}"
        )


def plan_sample(
    model: ItemModel,
    *,
    n_items: int,
    standard_error: float,
    parameter: str = "difficulty",
    sizes: Sequence[int] = (100, 250, 500, 1000),
    replications: int = 10,
    seed: int | np.random.Generator,
    missing: float = 0.0,
    method: MML | None = None,
) -> Plan:
    """Find out by simulation how many persons a calibration needs.

    Each replication draws new items and the largest number of persons by `simulate`; the smaller
    sizes are the first of these persons, so that sizes differ by nothing else.

    Parameters
    ----------
    model : ItemModel
    n_items : int
    standard_error : float
        Wanted median standard error.
    parameter : str
        "difficulty" (all thresholds or steps of ordered categories) or "discrimination" (all
        slopes of nominal items).
    sizes : sequence of int
        Numbers of persons to simulate, at least 10 each.
    replications : int
        Simulated studies of each size. With 10 of 20 items the answer is within a tenth or so.
    seed : int or Generator
    missing : float
        Share of answers missing completely at random.
    method : MML, optional
        How the studies are calibrated. That takes seconds by default, for models with asymptotes
        a minute or more: fewer replications or `MML(max_cycles=500)` help.

    Raises
    ------
    ModelError
        If an argument makes no sense, the model does not estimate the parameter, or none of the
        studies gives standard errors for half of the items.
    """
    method = method or MML()
    grid = sorted(set(sizes))
    _check(model, parameter, method)
    _check_numbers(grid, n_items, standard_error, replications)
    rng = np.random.default_rng(seed)
    studies: dict[int, list[_Study]] = {size: [] for size in grid}
    failure: Exception | None = None
    for _ in range(replications):
        drawn = simulate(model, n_persons=grid[-1], n_items=n_items, seed=rng, missing=missing)
        for size in grid:
            try:
                studies[size].append(_studied(drawn, size, parameter, method))
            except (NotConverged, ModelError) as error:
                failure = error
    if not any(studies.values()):
        raise ModelError(f"None of the simulated studies could be calibrated. {failure}")
    rows = tuple(_summary(n, studies[n], standard_error, replications) for n in grid)
    answer = _needed(rows, standard_error)
    return Plan(model.name, parameter, n_items, standard_error, replications, rows, *answer)


def _check(model: ItemModel, parameter: str, method: MML) -> None:
    if parameter not in COLUMNS:
        raise ModelError(f"Cannot plan for {shown(parameter)}, only for {listing(COLUMNS)}.")
    if parameter == "discrimination" and model.slope_rule is SlopeRule.UNIT:
        raise ModelError(
            f"The {model.name} model holds discriminations at 1. Plan for 'difficulty' instead."
        )
    if parameter == "difficulty" and isinstance(model, Nominal):
        raise ModelError("Nominal items have no difficulties. Plan for 'discrimination'.")
    if method.standard_errors is None:
        raise ModelError("A plan reads standard errors, and this MML computes none.")


def _check_numbers(
    sizes: list[int], n_items: int, standard_error: float, replications: int
) -> None:
    if not sizes or sizes[0] < FEWEST_PERSONS:
        raise ModelError(
            f"Cannot plan with the sizes ({listing(sizes)}): give numbers of persons, at least "
            f"{FEWEST_PERSONS} each."
        )
    if n_items < FEWEST_ITEMS or replications < 1:
        raise ModelError(
            f"Cannot plan with {n_items} items and {replications} replications: at least "
            f"{FEWEST_ITEMS} items and one replication are needed."
        )
    if not (standard_error > 0 and math.isfinite(standard_error)):
        raise ModelError(f"The wanted standard error {standard_error} is not a positive number.")


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """One simulated study.

    Attributes
    ----------
    errors : array, shape (I, n)
        Standard errors; infinite where there is none.
    misses : array, shape (I, n)
        Estimates less the truth; NaN where there is no estimate of an "ok" item.
    usable : array, shape (I,)
        Whether each item is "ok".
    """

    errors: FloatArray
    misses: FloatArray
    usable: BoolArray


def _studied(drawn: Simulation, n_persons: int, parameter: str, method: MML) -> _Study:
    """Calibrate the first so many persons and compare with the truth."""
    responses = drawn.responses.select_persons(np.arange(n_persons))
    calibration = calibrate(responses, drawn.assignment.models[0], method=method)
    truth, found = drawn.table(), calibration.table()
    columns = [name for name in truth.columns.astype(str) if name.startswith(COLUMNS[parameter])]
    usable = np.array([state == OK for state in calibration.states])  # (I,)
    estimates = found.reindex(columns=columns).to_numpy()  # (I, n)
    errors = found.reindex(columns=[f"se_{column}" for column in columns]).to_numpy()
    return _Study(
        errors=np.where(np.isfinite(errors) & usable[:, None], errors, np.inf),
        misses=np.where(usable[:, None], estimates - truth[columns].to_numpy(), np.nan),
        usable=usable,
    )


def _summary(
    n_persons: int, studies: list[_Study], wanted: float, replications: int
) -> SampleSize:
    if not any(study.usable.any() for study in studies):
        nan = math.nan
        return SampleSize(n_persons, nan, nan, nan, nan, nan, nan, replications - len(studies))
    errors = np.concatenate([study.errors.ravel() for study in studies])
    misses = np.concatenate([study.misses.ravel() for study in studies])
    misses = misses[np.isfinite(misses)]
    median, high = np.quantile(errors, [0.5, 0.9], method="higher")
    return SampleSize(
        n_persons=n_persons,
        median_error=float(median),
        high_error=float(high),
        rmse=float(np.sqrt(np.mean(misses**2))),
        median_absolute_error=float(np.median(np.abs(misses))),
        share_reached=float(np.mean(errors <= wanted)),
        share_not_ok=float(1.0 - np.mean([study.usable for study in studies])),
        not_calibrated=replications - len(studies),
    )


def _needed(sizes: tuple[SampleSize, ...], wanted: float) -> tuple[int, bool]:
    """Number of persons with the wanted median standard error; whether that is extrapolated."""
    known = [size for size in sizes if math.isfinite(size.median_error)]
    if not known:
        raise ModelError(
            "In no size do half of the parameters have a standard error. Simulate more persons, "
            "or use priors (Priors.small_sample())."
        )
    place = next((n for n, size in enumerate(known) if size.median_error <= wanted), None)
    if place is None or (place == 0 and known[0] is sizes[0]):
        nearest = known[-1 if place is None else 0]
        persons = nearest.n_persons * (nearest.median_error / wanted) ** 2
        return max(FEWEST_PERSONS, math.ceil(round(persons, 6))), nearest.median_error != wanted
    if place == 0:
        return known[0].n_persons, False  # fewer persons were tried and gave no standard errors
    below, above = known[place - 1], known[place]
    way = math.log(below.median_error / wanted) / math.log(below.median_error / above.median_error)
    persons = below.n_persons * (above.n_persons / below.n_persons) ** way
    return math.ceil(round(persons, 6)), False
