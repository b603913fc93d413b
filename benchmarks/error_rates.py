"""``python -m benchmarks.error_rates``: how often the tests of fit reject, with and without cause.

Each condition draws answers, calibrates them and counts rejections at .05, side by side in two
processes. The table names the condition, the share rejected and its exact binomial interval.
Nothing is timed here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one process a core

import numpy as np  # noqa: E402
from scipy.special import expit  # noqa: E402
from scipy.stats import binomtest  # noqa: E402

import irtkit as irt  # noqa: E402

ALPHA = 0.05
QUICK = irt.MML(standard_errors=None)
Counts = dict[str, tuple[int, int]]  # rejected, tested


@dataclass(frozen=True, slots=True)
class Condition:
    """What is drawn and tested once, given a seed."""

    name: str
    once: Callable[[int], Counts]
    share: float = 1.0  # of the replications asked for; bootstraps take longer


def rejections(p: object) -> tuple[int, int]:
    """Count p-values below the level, and those there are."""
    values = np.asarray(p, dtype=float)
    tested = ~np.isnan(values)
    return int((values[tested] < ALPHA).sum()), int(tested.sum())


def any_rejection(p_adjusted: object) -> tuple[int, int]:
    """Whether any adjusted p-value of the replication is below the level."""
    return int(rejections(p_adjusted)[0] > 0), 1


def item_fit_null(
    seed: int, *, model: irt.TwoPL | irt.Graded, n_persons: int, n_items: int, missing: float = 0.0
) -> Counts:
    """S-X2 where the model holds."""
    made = irt.simulate(model, n_persons=n_persons, n_items=n_items, seed=seed, missing=missing)
    calibration = irt.calibrate(made.responses, model, method=QUICK)
    return {"S-X2": rejections(irt.item_fit(made.responses, calibration)["p"])}


def model_fit_null(
    seed: int, *, model: irt.TwoPL | irt.Graded, n_persons: int, statistic: str
) -> Counts:
    """M2 or C2 where the model holds."""
    made = irt.simulate(model, n_persons=n_persons, n_items=10, seed=seed)
    calibration = irt.calibrate(made.responses, model, method=QUICK)
    table = irt.model_fit(made.responses, calibration, statistic=statistic)
    return {statistic.upper(): rejections(table["p"])}


def pairs_null(seed: int, *, n_persons: int, n_items: int, missing: float = 0.0) -> Counts:
    """LD-X2 where answers are independent given theta."""
    made = irt.simulate(
        irt.TwoPL(), n_persons=n_persons, n_items=n_items, seed=seed, missing=missing
    )
    calibration = irt.calibrate(made.responses, irt.TwoPL(), method=QUICK)
    table = irt.local_dependence(made.responses, calibration)
    return {
        "LD-X2, each pair": rejections(table["p"]),
        "LD-X2, any pair after Holm": any_rejection(table["p_adjusted"]),
    }


def largest_q3(seed: int, *, variance: float = 0.0, missing: float = 0.0) -> Counts:
    """The largest Q3 against its bootstrap reference, with or without a planted testlet."""
    responses = planted_pair(seed, variance, 500, missing)
    calibration = irt.calibrate(responses, irt.TwoPL(), method=QUICK)
    reference = irt.q3_reference(responses, calibration, n_draws=99, seed=seed)
    return {"largest Q3, bootstrap": rejections([reference.p])}


def planted_pair(
    seed: int, variance: float, n_persons: int, missing: float = 0.0
) -> irt.Responses:
    """20 items, of which the first two share a further trait of this variance."""
    made = irt.simulate(irt.TwoPL(), n_persons=n_persons, n_items=20, seed=seed, missing=missing)
    rng = np.random.default_rng(seed + 10**6)
    slope, intercept = made.parameters[:2].T
    shared = rng.normal(0.0, np.sqrt(variance), n_persons)[:, None]
    chance = expit(slope * made.theta[:, None] + intercept + shared)
    codes = made.responses.dense().copy()
    drawn = (rng.random(chance.shape) < chance).astype(np.int8)
    codes[:, :2] = np.where(codes[:, :2] < 0, -1, drawn)
    return replace(made.responses, codes=codes)


def pair_power(seed: int, *, variance: float) -> Counts:
    """Whether LD-X2 with Holm finds the planted pair among 190."""
    responses = planted_pair(seed, variance, 1000)
    calibration = irt.calibrate(responses, irt.TwoPL(), method=QUICK)
    table = irt.local_dependence(responses, calibration)
    return {"LD-X2, the planted pair": rejections([table.loc[("i1", "i2"), "p_adjusted"]])}


def misfit_power(seed: int, *, kind: str) -> Counts:
    """Whether S-X2 finds two of 20 items whose curve is folded or has a lower asymptote."""
    made = irt.simulate(irt.TwoPL(), n_persons=2000, n_items=20, seed=seed)
    rng = np.random.default_rng(seed + 10**6)
    theta = made.theta[:, None]
    if kind == "folded":
        chance = 0.15 + 0.7 * expit(1.5 * (1.0 - np.abs(theta - 0.3))) * np.ones(2)
    else:
        chance = 0.25 + 0.75 * expit(1.5 * (theta - 0.5)) * np.ones(2)
    codes = made.responses.dense().copy()
    codes[:, :2] = rng.random(chance.shape) < chance
    responses = replace(made.responses, codes=codes)
    calibration = irt.calibrate(responses, irt.TwoPL(), method=QUICK)
    table = irt.item_fit(responses, calibration)
    return {
        "S-X2, the two planted": rejections(table["p"].iloc[:2]),
        "S-X2, the sound ones": rejections(table["p"].iloc[2:]),
    }


def item_bias(seed: int, *, method: str, shift: float, impact: float, n_items: int) -> Counts:
    """DIF of item 1: its difficulty is shifted in the second of two groups of 1,000."""
    rng = np.random.default_rng(seed)
    slope = rng.lognormal(0.0, 0.3, n_items)
    difficulty = rng.normal(0.0, 1.0, n_items)
    group = np.repeat(["reference", "focal"], 1000)
    focal = (group == "focal")[:, None]
    theta = rng.normal(size=(2000, 1)) - impact * focal
    moved = difficulty + shift * focal * (np.arange(n_items) == 0)
    codes = (rng.random((2000, n_items)) < expit(slope * (theta - moved))).astype(np.int8)
    responses = irt.Responses.from_array(codes)
    anchors = list(responses.items[-5:])
    table = irt.dif(responses, group.tolist(), method=method, anchors=anchors)
    found = {f"{method}, items without DIF": rejections(table["p"].drop([*anchors, "i1"]))}
    if shift:
        found[f"{method}, the shifted item"] = rejections([table.loc["i1", "p"]])
    return found


def conditions() -> list[Condition]:
    """All conditions, in the order of the table."""
    two, graded = irt.TwoPL(), irt.Graded()
    every = [
        Condition(
            f"{name}, {n_items} items, {n_persons:,} persons"
            + (f", {missing:.0%} missing" * bool(missing)),
            partial(
                item_fit_null, model=model, n_persons=n_persons, n_items=n_items, missing=missing
            ),
        )
        for name, model, n_persons, n_items, missing in (
            ("2PL", two, 500, 10, 0.0),
            ("2PL", two, 1000, 10, 0.0),
            ("2PL", two, 2000, 10, 0.0),
            ("2PL", two, 1000, 20, 0.0),
            ("2PL", two, 1000, 20, 0.3),
            ("2PL", two, 2000, 20, 0.8),
            ("graded", graded, 1000, 10, 0.0),
            ("graded", graded, 1000, 10, 0.3),
        )
    ]
    every += [
        Condition(
            "2PL, 10 items, 1,000 persons",
            partial(model_fit_null, model=two, n_persons=1000, statistic="m2"),
        ),
        Condition(
            "graded, 10 items, 1,000 persons",
            partial(model_fit_null, model=graded, n_persons=1000, statistic="c2"),
        ),
        Condition("2PL, 20 items, 1,000 persons", partial(pairs_null, n_persons=1000, n_items=20)),
        Condition(
            "2PL, 20 items, 1,000 persons, 30% missing",
            partial(pairs_null, n_persons=1000, n_items=20, missing=0.3),
        ),
        Condition(
            "2PL, 20 items, 3,000 persons, 80% missing",
            partial(pairs_null, n_persons=3000, n_items=20, missing=0.8),
        ),
        Condition("2PL, 20 items, 500 persons", largest_q3, 0.2),
        Condition(
            "2PL, 20 items, 500 persons, 30% missing", partial(largest_q3, missing=0.3), 0.2
        ),
        Condition("testlet variance 2.0, 500 persons", partial(largest_q3, variance=2.0), 0.1),
    ]
    every += [
        Condition(
            f"testlet variance {variance}, 20 items, 1,000 persons",
            partial(pair_power, variance=variance),
        )
        for variance in (0.5, 1.0, 2.0)
    ]
    every += [
        Condition(f"{kind} curve, 2 of 20 items, 2,000 persons", partial(misfit_power, kind=kind))
        for kind in ("folded", "guessing")
    ]
    for method, share in (
        ("mantel_haenszel", 1.0),
        ("logistic", 1.0),
        ("likelihood_ratio", 0.2),
        ("wald", 0.2),
    ):
        for shift, impact in ((0.0, 0.0), (0.0, 1.0), (0.5, 0.0)):
            every.append(
                Condition(
                    f"20 items, 1,000 a group, shift {shift}, impact {impact:g}",
                    partial(item_bias, method=method, shift=shift, impact=impact, n_items=20),
                    share,
                )
            )
    return every


def counted(condition: Condition, n_replications: int, pool: ProcessPoolExecutor) -> Counts:
    """Add up the counts of all replications; one that cannot be calibrated is left out."""
    total: dict[str, list[int]] = {}
    for counts in pool.map(partial(_attempt, condition.once), range(1, n_replications + 1)):
        for name, (rejected, tested) in counts.items():
            sums = total.setdefault(name, [0, 0])
            sums[0] += rejected
            sums[1] += tested
    return {name: (sums[0], sums[1]) for name, sums in total.items()}


def _attempt(once: Callable[[int], Counts], seed: int) -> Counts:
    try:
        return once(seed)
    except (irt.NotConverged, irt.ModelError):
        return {"not calibrated": (1, 1)}


def main() -> None:
    """Run all conditions, print the table as it grows, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_rates", description=__doc__)
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="", help="pattern of conditions to run")
    parser.add_argument("--output", type=Path, help="JSON file for the counts")
    given = parser.parse_args()
    print(
        "| condition | test | rejected | 95% interval | tests |\n| --- | --- | --- | --- | --- |"
    )
    rows = []
    with ProcessPoolExecutor(given.processes) as pool:
        for condition in conditions():
            if not re.search(given.only, f"{condition.name} {condition.once}"):
                continue
            start = time.perf_counter()
            n_replications = max(20, round(given.replications * condition.share))
            for name, (rejected, tested) in counted(condition, n_replications, pool).items():
                interval = binomtest(rejected, tested).proportion_ci()
                print(
                    f"| {condition.name} | {name} | {rejected / tested:.3f} | "
                    f"{interval.low:.3f} to {interval.high:.3f} | {tested:,} |",
                    flush=True,
                )
                rows.append([condition.name, name, rejected, tested])
            print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    if given.output is not None:
        given.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
