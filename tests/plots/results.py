"""Small results to draw, whose items, models and groups have names as they please."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd

from irtkit.diagnostics.ability_groups import item_curves
from irtkit.diagnostics.local_dependence import local_dependence
from irtkit.estimation import calibrate, calibrate_groups
from irtkit.models import Graded, TwoPL
from irtkit.norms import Norms
from irtkit.scale import EvaluationScale, Provenance
from irtkit.scoring import score
from irtkit.simulate import simulate

PLAIN = tuple(f"q{number}" for number in range(1, 9))
HOSTILE = (
    "$x^2$",
    "<b>bold</b>",
    "two\nlines",
    "x" * 300,
    "שלום עולם",
    "_under",
    "bell\x07 and \u202e",
    "$\\frac{",
)


@lru_cache(maxsize=2)
def calibrated(names=PLAIN):
    """Answers of 300 persons to 8 items, and their calibration."""
    made = simulate(TwoPL(), n_persons=300, n_items=8, missing=0.05, seed=4).responses
    answers = replace(made, items=PLAIN)
    known = calibrate(answers, TwoPL())
    return replace(answers, items=names), replace(known, items=names)


@lru_cache(maxsize=2)
def rated(names=PLAIN):
    """Answers in four categories to 4 items, and their calibration."""
    made = simulate(Graded(), n_persons=400, n_items=4, n_categories=4, seed=2).responses
    return replace(made, items=names[:4]), replace(calibrate(made, Graded()), items=names[:4])


def observed(names=PLAIN):
    return item_curves(*calibrated(names), n_groups=5)


@lru_cache(maxsize=2)
def grouped(names=PLAIN):
    """Two groups in which the first item differs."""
    answers, _ = calibrated()
    groups = ["people", "models"] * 150
    found = calibrate_groups(answers, groups, TwoPL(), free_items=[PLAIN[0]])
    parts = tuple(replace(part, items=names) for part in found.calibrations)
    return replace(found, calibrations=parts, groups=(names[2], names[0]))


def by_score(names=PLAIN):
    """An invented table of right answers by summed score."""
    rng = np.random.default_rng(1)
    scores = np.tile(np.arange(1, 8), len(names))
    expected = scores / 8.0
    seen = np.clip(expected + rng.normal(0.0, 0.05, len(scores)), 0.0, 1.0)
    return pd.DataFrame(
        {
            "item": np.repeat(np.array(names, dtype=object), 7),
            "score": scores,
            "n": 40.0,
            "observed": seen,
            "expected": expected,
            "low": np.maximum(seen - 0.1, 0.0),
            "high": np.minimum(seen + 0.1, 1.0),
            "residual": (seen - expected) / 0.06,
        }
    )


@lru_cache(maxsize=2)
def pairs(names=PLAIN):
    return local_dependence(*calibrated(names))


def scale(names=PLAIN):
    """A scale of labels with the norms of the persons who were calibrated."""
    answers, known = calibrated()
    theta = np.unique(score(answers, known).theta.round(6))
    upto = np.arange(1, len(theta) + 1) / len(theta)
    norms = Norms(theta, upto - 1.0 / len(theta), upto, 300.0)
    labelled = replace(
        known, items=names, label_set=("no", "$maybe$", "yes"), key=("yes", "no") * 4
    )
    counts = np.random.default_rng(3).integers(1, 30, (8, 3)).astype(float)
    return EvaluationScale(names[0], labelled, counts, norms, Provenance("0", "0", 8, (), ()))


def models(names=PLAIN):
    """Scores of three models on a scale."""
    theta = np.array([-0.5, 1.5, 0.25])
    return pd.DataFrame(
        {
            "theta": theta,
            "theta_low": theta - 0.75,
            "theta_high": theta + 0.5,
            "percentile": [31.0, 93.0, 60.0],
            "percentile_low": [10.0, 70.0, 30.0],
            "percentile_high": [60.0, 99.0, 85.0],
        },
        index=pd.Index(names[:3], name="model"),
    )


def log(names=PLAIN, n=4):
    """The log of a screening that dropped `n` items."""
    rules = ["item_rest", "communality", "s_x2", "analyst"]
    rows = [
        {
            "step": step + 2,
            "item": names[step % len(names)],
            "decision": "drop",
            "rule": rules[step % 4],
            "statistic": np.nan if step == 3 else 12.5 + step,
            "items_before": n + 5.0 - step,
            "items_after": n + 4.0 - step,
            "reliability_before": 0.8 - 0.01 * step,
            "reliability_after": 0.79 - 0.01 * step,
        }
        for step in range(n)
    ]
    note = {**dict.fromkeys(rows[0], np.nan), "step": 0, "item": "", "decision": "note"}
    return pd.DataFrame([{**note, "rule": "m2"}, *rows])


def eigen():
    return pd.DataFrame(
        {
            "eigenvalue": [5.0, 1.4, 0.9, 0.7],
            "reference": [1.6, 1.5, 1.3, 1.1],
            "retained": [True, False, False, False],
        },
        index=pd.RangeIndex(1, 5, name="component"),
    )


def tuned(names=PLAIN, scales=1):
    """Percentiles after fine-tuning by two methods with three sizes, on one scale or more."""
    return pd.DataFrame(
        [
            (names[place], size, names[method], middle, middle - 8.0, middle + 6.0)
            for place in range(scales)
            for method in (0, 2)
            for size, middle in ((1000, 60.0 + method), (10, 30.0 + method), (100, 44.0 - place))
        ],
        columns=[
            *("scale", "training_size", "method"),
            *("percentile", "percentile_low", "percentile_high"),
        ],
    )


def predicted_items(names=PLAIN):
    middle = np.linspace(0.2, 0.5, len(names))
    return pd.DataFrame(
        {
            "item_rest": middle + np.where(np.arange(len(names)) == 2, 0.2, 0.01),
            "item_rest_expected": middle,
            "item_rest_low": middle - 0.1,
            "item_rest_high": middle + 0.1,
            "p_item_rest": np.where(np.arange(len(names)) == 2, 0.01, 0.8),
        },
        index=pd.Index(names, name="item"),
    )


def predicted_pairs(names=PLAIN):
    index = pd.MultiIndex.from_tuples(
        [(one, names[0]) for one in names[1:]], names=["item_1", "item_2"]
    )
    ratio = np.linspace(2.0, 0.0, len(index))
    return pd.DataFrame(
        {
            "log_odds_ratio": ratio,
            "expected": 0.5,
            "low": 0.1,
            "high": 1.2,
            "p": np.where(ratio > 1.2, 0.02, 0.6),
        },
        index=index,
    )


def predicted_scores():
    share = np.arange(9) / 8
    middle = 40.0 * np.exp(-8.0 * (share - 0.5) ** 2)
    return pd.DataFrame(
        {"observed": middle + 2.0, "expected": middle, "low": middle - 5.0, "high": middle + 7.0},
        index=pd.Index(share, name="share"),
    )
