"""Draw every picture of `irtkit.plots` from simulated answers.

Run as ``python -m benchmarks.gallery FOLDER``.

For looking at, and for the documentation. Pictures of the Bayesian engine are drawn where its
packages are installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import irtkit as irt
from irtkit import plots
from irtkit.diagnostics.score_curves import score_curves
from irtkit.estimation.bayes import NUTS, prior_draws, sample_posterior
from irtkit.simulate import Simulation

Drawing = Callable[[], Any]


@cache
def simulated() -> tuple[Simulation, irt.Calibration]:
    """Answers of 1,000 persons to 24 items, with their calibration."""
    made = irt.simulate(irt.TwoPL(), n_persons=1000, n_items=24, seed=3)
    return made, irt.calibrate(made.responses, irt.TwoPL())


@cache
def dependent() -> pd.DataFrame:
    """Local dependence of 20 items, of which three repeat what others ask."""
    made = irt.simulate(irt.TwoPL(), n_persons=1500, n_items=20, seed=5).responses
    codes = made.dense().copy()
    rng = np.random.default_rng(1)
    for one, two, share in ((3, 4, 0.5), (4, 5, 0.3), (11, 17, 0.4)):
        same = rng.random(len(codes)) < share
        codes[same, two] = codes[same, one]
    answers = irt.Responses.from_array(codes, items=[f"question {n}" for n in range(1, 21)])
    return irt.local_dependence(answers, irt.calibrate(answers, irt.TwoPL()))


@cache
def crowd_scale() -> tuple[irt.Screening, irt.EvaluationScale]:
    """The kitchen scale of the embedded crowd answers."""
    items = irt.load_items("crowd_nli").query("scale == 'kitchen'")
    crowd = irt.load_dataset("crowd_nli").select_items(list(items["item"]))
    screening = irt.screen(crowd, irt.TwoPL(), irt.preset("lalor2016"))
    return screening, irt.build_scale(screening, name="Entailment in the kitchen")


def model_scores() -> pd.DataFrame:
    """Twelve invented models on a scale, with percentiles."""
    _, scale = crowd_scale()
    rng = np.random.default_rng(4)
    codes = (rng.random((12, len(scale.items))) < np.linspace(0.3, 1.0, 12)[:, None]).astype(int)
    names = [f"model {letter}" for letter in "ABCDEFGHIJKL"]
    answers = irt.Responses.from_array(codes, persons=names, items=list(scale.items))
    scored = irt.scale_score(answers, scale)
    return scored.table()


def some_scored(names: tuple[str, ...]) -> pd.DataFrame:
    """Three invented models on the scale."""
    _, scale = crowd_scale()
    rng = np.random.default_rng(2)
    codes = (rng.random((3, len(scale.items))) < np.array([[0.6], [0.9], [1.0]])).astype(int)
    answers = irt.Responses.from_array(codes, persons=list(names), items=list(scale.items))
    scored = irt.scale_score(answers, scale)
    return scored.table()


def tuned() -> pd.DataFrame:
    """Invented percentiles after fine-tuning."""
    rows = []
    for scale in ("entailment", "contradiction"):
        for method, gain in (("gold labels", 9.0), ("crowd labels", 12.0), ("no training", 0.0)):
            for step, size in enumerate((50, 100, 500, 1000, 2000)):
                middle = 30.0 + gain * step
                rows.append((scale, size, method, middle, middle - 9.0, middle + 8.0))
    return pd.DataFrame(rows, columns=plots.models.CIFT)


def of_items() -> dict[str, Drawing]:
    """Pictures of items."""
    made, known = simulated()
    observed = irt.item_curves(made.responses, known)
    graded = irt.simulate(irt.Graded(), n_persons=1500, n_items=6, n_categories=5, seed=2)
    likert = irt.calibrate(graded.responses, irt.Graded())
    shares = irt.item_curves(graded.responses, likert)
    table = score_curves(made.responses, known)
    groups = irt.calibrate_groups(
        *differing(), irt.TwoPL(), free_items=["q3"], method=irt.MML(standard_errors=None)
    )
    return {
        "item-curve": lambda: plots.item_curve(known, "i5", observed=observed),
        "item-curves": lambda: plots.facets(
            lambda item, ax: plots.item_curve(known, item, observed=observed, ax=ax),
            known.items[:9],
        ),
        "category-curves": lambda: plots.category_curves(likert, "i2", observed=shares),
        "categories": lambda: plots.category_curves(likert, "i3"),
        "score-curve": lambda: plots.score_curve(table, "i5"),
        "score-residuals": lambda: plots.score_residuals(table, "i5"),
        "group-curves": lambda: plots.group_curves(groups, "q3", observed=seen_in(groups)),
        "information": lambda: plots.information(irt.test_information(known)),
        "label-bars": _labels,
    }


def _labels() -> Any:
    _, scale = crowd_scale()
    key = dict(zip(scale.items, scale.calibration.key or (), strict=False))
    return plots.label_bars(scale.label_distribution(), gold=key)


@cache
def differing() -> tuple[irt.Responses, tuple[str, ...]]:
    """Answers of two groups, of which one finds an item harder."""
    one = irt.simulate(irt.TwoPL(), n_persons=800, n_items=12, seed=8)
    codes = one.responses.dense().copy()
    rng = np.random.default_rng(3)
    codes[400:, 2] *= rng.random(400) < 0.6
    names = [f"q{n}" for n in range(1, 13)]
    answers = irt.Responses.from_array(codes, items=names)
    return answers, ("people",) * 400 + ("language models",) * 400


def seen_in(groups: irt.GroupCalibration) -> dict[str, pd.DataFrame]:
    """Observed curves of each group."""
    answers, members = differing()
    return {
        group: irt.item_curves(
            answers.select_persons(np.array(members) == group), groups.of(group), n_groups=6
        )
        for group in groups.groups
    }


def of_scales() -> dict[str, Drawing]:
    """Pictures of persons, pairs, screenings and models."""
    made, known = simulated()
    screening, scale = crowd_scale()
    names = ("baseline", "tuned on crowd labels", "always right")
    few = irt.dimensionality(made.responses, n_draws=20)
    many = irt.simulate(irt.Rasch(), n_persons=1500, n_items=150, seed=9)
    long = irt.calibrate(many.responses, irt.Rasch(), method=irt.MML(standard_errors=None))
    theta = irt.score(made.responses, known).theta
    return {
        "wright-map": lambda: plots.wright_map(known, theta),
        "wright-map-population": lambda: plots.wright_map(screening.calibration),
        "wright-map-150": lambda: plots.wright_map(long, irt.score(many.responses, long).theta),
        "abilities": lambda: plots.ability_distribution(theta, latent=known.latent),
        "percentiles": lambda: plots.percentile_curve(scale, some_scored(names)),
        "dependence-map": lambda: plots.dependence_map(dependent()),
        "dependence-graph": lambda: plots.dependence_graph(dependent()),
        "eigenvalues": lambda: plots.eigenvalues(few),
        "screening": lambda: plots.screening_path(screening.log),
        "screening-reliability": lambda: plots.screening_path(
            longer_log(), column="reliability_after"
        ),
        "convergence": lambda: plots.convergence(known),
        "leaderboard": lambda: plots.leaderboard(model_scores()),
        "fine-tuning": lambda: plots.finetuning_curve(tuned(), scale="entailment"),
        "fine-tuning-scales": lambda: plots.facets(
            lambda name, ax: plots.finetuning_curve(tuned(), scale=name, ax=ax),
            ["entailment", "contradiction"],
            n_columns=2,
        ),
    }


def longer_log() -> pd.DataFrame:
    """A strict screening of all embedded items."""
    crowd = irt.load_dataset("crowd_nli")
    return irt.screen(crowd, irt.TwoPL(), irt.preset("strict")).log


def of_posteriors() -> dict[str, Drawing]:
    """Pictures of the Bayesian engine."""
    from irtkit.diagnostics.predictive import predictive_items, predictive_pairs, predictive_scores

    made = irt.simulate(irt.TwoPL(), n_persons=250, n_items=10, seed=8)
    sampler = NUTS(draws=500, tune=500, chains=4)
    found = sample_posterior(made.responses, irt.TwoPL(), sampler=sampler, seed=1)
    table = found.table()
    return {
        "trace": lambda: plots.trace(found, "slope", "i3"),
        "forest": lambda: plots.forest(table, "difficulty"),
        "score-check": lambda: plots.score_check(predictive_scores(found, n_draws=100)),
        "item-check": lambda: plots.item_check(predictive_items(found, n_draws=100)),
        "pair-check": lambda: plots.pair_check(predictive_pairs(found, n_draws=100)),
    }


def main() -> None:
    """Draw all pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=("png", "svg", "pdf"), default="png")
    parser.add_argument("--only", nargs="+", help="names of pictures; by default all")
    parser.add_argument("--dots", type=int, default=150, help="an inch, of a PNG")
    parser.add_argument("--bayes", action="store_true", help="also what has to be sampled first")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    drawings = {**of_items(), **of_scales()}
    drawings["prior-curves"] = lambda: plots.prior_curves(prior_draws(irt.TwoPL(), n_draws=60))
    if given.bayes and find_spec("pymc") is not None:
        drawings |= of_posteriors()
    for name, draw in drawings.items():
        if given.only is None or name in given.only:
            plots.write_picture(draw(), given.folder / f"{name}.{given.kind}", dots=given.dots)
            print(name)


if __name__ == "__main__":
    main()
