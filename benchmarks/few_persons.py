"""``python -m benchmarks.few_persons``: 12 and 50 persons, 200 items, three ways to calibrate.

Maximum likelihood, EM with small-sample priors and the full posterior score the same simulated
persons. Reported are how many slopes a method could not estimate (they ran to the bound, or have
the wrong sign), how often 95% intervals of theta cover the truth, their width, and the error.
Abilities come from the standard normal distribution that all three assume; with ``--skewed`` from
an exponential one with the same mean and SD, which none of them knows. ``--models FOLDER`` adds
real matrices: language models that answered questions. ``--crowd FOLDER`` takes the crowd of 2016
(group 5, contradiction), calibrates every twentieth worker, and compares with all of them.

Truth: discriminations lognormal(0, 0.3), difficulties N(0, 1), fixed seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.coding import Coding
from irtkit.errors import NotConverged
from irtkit.estimation import MML, Priors, calibrate
from irtkit.estimation.bayes import NUTS, sample_posterior
from irtkit.io import TextFormat, read_responses
from irtkit.layout import Wide
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import answers, simulate

SIZES = (12, 50)
N_ITEMS = 200
SAMPLER = NUTS(draws=500, tune=500, chains=2)
MOST_CYCLES = 500
STEEP = 5.0  # a discrimination that no test has


def maximum_likelihood(responses: Responses, seed: int) -> tuple[pd.DataFrame, FloatArray]:
    """EM without priors; its last state where it does not converge."""
    return _by_em(responses, MML(max_cycles=MOST_CYCLES, standard_errors=None))


def small_sample(responses: Responses, seed: int) -> tuple[pd.DataFrame, FloatArray]:
    """EM with the small-sample priors."""
    return _by_em(responses, MML(priors=Priors.small_sample(), standard_errors=None))


def posterior(responses: Responses, seed: int) -> tuple[pd.DataFrame, FloatArray]:
    """The full posterior under the default, hierarchical priors."""
    found = sample_posterior(responses, TwoPL(), sampler=SAMPLER, seed=seed)
    slopes = found.parameters[..., 0].mean(axis=(0, 1))
    return found.abilities(1000), slopes[np.isfinite(slopes)]


def _by_em(responses: Responses, method: MML) -> tuple[pd.DataFrame, FloatArray]:
    try:
        calibration = calibrate(responses, TwoPL(), method=method)
    except NotConverged as error:
        if error.calibration is None:
            raise
        calibration = error.calibration
    known = responses.select_items(
        [i for i, ok in zip(calibration.items, calibration.calibrated, strict=True) if ok]
    )
    slopes = calibration.slopes[calibration.calibrated]
    return score(known, calibration).table(), slopes


METHODS: dict[str, Callable[[Responses, int], tuple[pd.DataFrame, FloatArray]]] = {
    "maximum likelihood": maximum_likelihood,
    "EM, small-sample priors": small_sample,
    "posterior": posterior,
}


def row(
    responses: Responses, seed: int, method: str, truth: FloatArray | None
) -> dict[str, float | str]:
    """What one method makes of one matrix."""
    begun = time.perf_counter()
    table, slopes = METHODS[method](responses, seed)
    found: dict[str, float | str] = {
        "method": method,
        "seconds": time.perf_counter() - begun,
        "calibrated": len(slopes),
        "steep": float((slopes > STEEP).mean()),
        "negative": float((slopes < 0).mean()),
        "width": float((table["theta_high"] - table["theta_low"]).mean()),
    }
    if truth is not None:
        inside = (table["theta_low"] < truth) & (truth < table["theta_high"])
        found |= {
            "coverage": float(inside.mean()),
            "rmse": float(np.sqrt(((table["theta"] - truth) ** 2).mean())),
        }
    return found


def simulated(n_persons: int, n_simulations: int, skewed: bool) -> pd.DataFrame:
    """Mean over the simulations, one row a method."""
    rows = []
    for seed in range(n_simulations):
        made = simulate(TwoPL(), n_persons=n_persons, n_items=N_ITEMS, seed=seed)
        responses, theta = made.responses, made.theta
        if skewed:
            rng = np.random.default_rng(seed)
            theta = rng.exponential(1.0, n_persons) - 1.0
            codes = answers(made.assignment, made.parameters, theta, rng)
            responses = Responses(codes, responses.persons, responses.items)
        rows += [row(responses, seed, method, theta) for method in METHODS]
    return _mean(rows)


def _mean(rows: list[dict[str, float | str]]) -> pd.DataFrame:
    return pd.DataFrame(rows).groupby("method", sort=False).mean()


def real(folder: Path) -> dict[str, Responses]:
    """12 and 50 language models on 200 questions each, the items spread evenly."""
    crux = read_responses(folder / "zeroeval_crux_binary.csv")
    psn = read_responses(
        folder / "psn_irt_12x41871.csv", layout=Wide(None), text=TextFormat(header=False)
    )
    found = {}
    for name, each, n in (("psn_irt", psn, 12), ("zeroeval_crux", crux, 50)):
        items = [
            each.items[place]
            for place in np.linspace(0, each.n_items - 1, N_ITEMS).round().astype(int)
        ]
        chosen = each.select_items(items).select_persons(np.arange(each.n_persons) < n)
        found[f"{name} {chosen.n_persons} x {chosen.n_items}"] = chosen
    return found


def crowd(folder: Path) -> pd.DataFrame:
    """How far each method is, from one worker in twenty, from what all of them say."""
    labels = {"e": "entailment", "n": "neutral", "c": "contradiction"}
    answers_of = read_responses(
        folder / "irt_file_5.csv",
        key=folder / "group_5.txt",
        coding=Coding(label_map=labels, missing_as_wrong=True),
    )
    every = answers_of.select_items(answers_of.items_with_gold("contradiction"))
    few = every.select_persons(np.arange(every.n_persons) % 20 == 0)
    whole = calibrate(every, TwoPL()).table()
    drawn = sample_posterior(few, TwoPL(), seed=1).table()
    methods = {
        "maximum likelihood": calibrate(few, TwoPL()).table(),
        "EM, small-sample priors": calibrate(
            few, TwoPL(), method=MML(priors=Priors.small_sample())
        ).table(),
        "posterior": pd.DataFrame(
            {name: drawn.loc[name]["mean"] for name in ("discrimination", "difficulty")}
        ).assign(state="ok"),
    }
    rows = []
    for name, table in methods.items():
        sound = (table["state"] == "ok") & (table["discrimination"] > 0)
        ratio = np.log(table["discrimination"][sound] / whole["discrimination"][sound])
        off = (table["difficulty"] - whole["difficulty"])[sound]
        rows.append(
            {
                "method": name,
                "items without sound parameters": int((~sound).sum()),
                "rms log-ratio of discrimination": float(np.sqrt((ratio**2).mean())),
                "rms difference of difficulty": float(np.sqrt((off**2).mean())),
                "median difference of difficulty": float(off.abs().median()),
            }
        )
    return pd.DataFrame(rows).set_index("method")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_persons")
    parser.add_argument("--persons", type=int, nargs="*", default=SIZES)
    parser.add_argument("--simulations", type=int, default=20)
    parser.add_argument("--skewed", action="store_true")
    parser.add_argument("--models", type=Path, help="folder of matrices of language models")
    parser.add_argument("--crowd", type=Path, help="folder of the crowd answers of 2016")
    given = parser.parse_args()
    for n_persons in given.persons if given.simulations else ():
        table = simulated(n_persons, given.simulations, given.skewed)
        print(f"\n{n_persons} x {N_ITEMS}, {given.simulations} simulations")
        print(table.round(3).to_string(), flush=True)
    if given.crowd is not None:
        print(f"\none worker in twenty\n{crowd(given.crowd).round(3).T.to_string()}", flush=True)
    if given.models is not None:
        for name, responses in real(given.models).items():
            rows = [row(responses, 0, method, None) for method in METHODS]
            print(f"\n{name}\n{_mean(rows).round(3).to_string()}", flush=True)


if __name__ == "__main__":
    main()
