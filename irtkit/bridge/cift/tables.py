r"""The tables of a CIFT experiment, made of the results of its cells.

Changes are paired: the same seed, so the same source sample and pre-trained classifier, with and
without the fine-tuning. An interval is

.. math:: \bar d \pm t_{.975, S-1} \, s_d / \sqrt{S}

over S seeds; it speaks of other seeds, on the same items. Each scale stands alone: percentiles of
different populations and items are never averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from irtkit.bridge.cift.cells import placed
from irtkit.bridge.cift.plan import CiftPlan
from irtkit.bridge.runs import margin_over_runs

CELL = ["size", "seed", "training", "target", "loss", "balanced", "again"]
ARM = ["training", "target", "loss", "balanced"]
MEASURES = ("theta", "percentile", "accuracy")
TEST_MEASURES = ("accuracy", "calibration_error", "log_loss", "crowd_kl")
BASELINES = ("none", "random", "other")


def score_table(documents: Sequence[Mapping[str, Any]], plan: CiftPlan) -> pd.DataFrame:
    """Tabulate abilities: one row a cell and scale, group by group."""
    group = {scale.name: name for name, scales in plan.groups.items() for scale in scales}
    rows = [
        {
            **_cell(document),
            "group": group[record["scale"]],
            **record,
            "n_examples": document["n_examples"],
            **_chosen(document),
        }
        for document in documents
        for record in document["scales"]
    ]
    return pd.DataFrame(rows, columns=None if rows else [*CELL, "group", "scale", *MEASURES])


def test_table(documents: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Tabulate the test sets: one row a cell and test."""
    rows = [
        {**_cell(document), "held_out": document["held_out"], **record}
        for document in documents
        for record in document["tests"]
    ]
    return pd.DataFrame(rows, columns=None if rows else [*CELL, "held_out", "test", "accuracy"])


def change_table(scores: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Compare each treatment with each baseline, paired over seeds, by size and scale or test.

    Parameters
    ----------
    scores, tests : DataFrame
        From `score_table` and `test_table`.

    Returns
    -------
    DataFrame
        size, where (a scale or test), held_out, training, target, loss, balanced, again,
        baseline, measure, before, after, change, low, high, n_seeds.
    """
    rows = []
    for frame, where, measures in _parts(scores, tests):
        for baseline in BASELINES:
            base = frame[frame["training"] == baseline]
            rows += _changes(frame, base, where, measures, baseline)
    return pd.DataFrame(rows)


def curve_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Average each measure over seeds, for pictures of it against the number of examples.

    Parameters
    ----------
    scores : DataFrame
        From `score_table`; the label-balanced variant and second trainings are left out.

    Returns
    -------
    DataFrame
        scale, training_size, training, method, n_seeds and, of each measure, the mean with the
        limits of its 95% interval over seeds (NaN for one seed): theta, theta_low, ...
    """
    if not len(scores):
        return pd.DataFrame(columns=["scale", "training_size", "training", "method", *MEASURES])
    rows = []
    plain = scores[~scores["balanced"].astype(bool) & ~scores["again"].astype(bool)]
    named = plain.assign(training_size=plain["size"], method=plain.apply(words, axis=1))
    by = ["scale", "training_size", "training", "method"]
    for key, part in named.groupby(by, sort=False):
        row: dict[str, Any] = {**dict(zip(by, key, strict=True)), "n_seeds": len(part)}
        for measure in MEASURES:
            found = mean_change(part[measure].to_numpy(float))
            row |= {measure: found["change"]}
            row |= {f"{measure}_{end}": found[end] for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)


def words(row: Any) -> str:
    """Name a treatment: a row, or an object, with training, target, loss, balanced."""
    if row.training == "none":
        return "none"
    loss = "squared error" if row.loss == "mse" else str(row.loss).replace("_", "-")
    arm = f"{row.target}, {loss}"
    names = {
        "scales": arm,
        "random": "other corpus, few",
        "other": "other corpus, all",
        "crowd": f"crowd corpus, {arm}",
    }
    return names[str(row.training)] + (", balanced" if row.balanced else "")


def _parts(
    scores: pd.DataFrame, tests: pd.DataFrame
) -> list[tuple[pd.DataFrame, str, tuple[str, ...]]]:
    scored = scores.assign(held_out=scores["group"]) if len(scores) else scores
    return [
        (frame, where, tuple(name for name in measures if name in frame))
        for frame, where, measures in (
            (scored, "scale", MEASURES),
            (tests, "test", TEST_MEASURES),
        )
        if len(frame)
    ]


def _changes(
    frame: pd.DataFrame,
    base: pd.DataFrame,
    where: str,
    measures: Sequence[str],
    baseline: str,
) -> list[dict[str, Any]]:
    known = base.set_index([where, "size", "again", "seed"])
    by = [where, "held_out", "size", "again", *ARM]
    rows = []
    for key, part in frame[frame["training"] != baseline].groupby(by, sort=False):
        named = dict(zip(by, key, strict=True))
        if named["training"] in BASELINES[: BASELINES.index(baseline)]:
            continue  # none against random says what random against none said
        at = [(named[where], named["size"], named["again"], seed) for seed in part["seed"]]
        there = [place in known.index for place in at]
        after = part[there]
        before = known.loc[[place for place, has in zip(at, there, strict=True) if has]]
        named = {"where": named.pop(where), **named, "baseline": baseline}
        for measure in measures if len(after) else ():
            new, old = (half[measure].to_numpy(float) for half in (after, before))
            if np.isfinite(new - old).all():
                told = {"before": old.mean(), "after": new.mean(), **mean_change(new - old)}
                rows.append({**named, "measure": measure, **told})
    return rows


def mean_change(differences: np.ndarray) -> dict[str, float]:
    """Return mean, limits of the 95% interval (NaN for one seed) and number of differences."""
    n = len(differences)
    mean = float(differences.mean())
    half = margin_over_runs(differences)
    return {"change": mean, "low": mean - half, "high": mean + half, "n_seeds": n}


def effect_table(scores: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Estimate the 2 x 2 of target and loss, by size and scale or test, paired over seeds.

    Returns
    -------
    DataFrame
        size, where, held_out, balanced, again, training, effect ("target": crowd minus gold;
        "loss": mse minus cross_entropy; each averaged over the other; "interaction": the
        difference of the two losses' target effects), measure, change, low, high, n_seeds.
    """
    rows = []
    for frame, where, measures in _parts(scores, tests):
        trained = frame[frame["training"].isin(["scales", "crowd"])]
        by = [where, "held_out", "size", "again", "training", "balanced"]
        for key, part in trained.groupby(by, sort=False):
            named = dict(zip(by, key, strict=True))
            named = {"where": named.pop(where), **named}
            for measure in measures:
                for effect, values in _effects(part, measure).items():
                    if len(values) and np.isfinite(values).all():
                        told = {"effect": effect, "measure": measure, **mean_change(values)}
                        rows.append({**named, **told})
    return pd.DataFrame(rows)


def _effects(part: pd.DataFrame, measure: str) -> dict[str, np.ndarray]:
    """Return each effect of the seeds that have all four cells."""
    wide = part.pivot_table(index="seed", columns=["target", "loss"], values=measure).dropna()
    if wide.shape[1] < 4:
        return {}
    cells = {
        (target, loss): wide[target, loss].to_numpy(float)
        for target in ("gold", "crowd")
        for loss in ("cross_entropy", "mse")
    }
    of_ce = cells["crowd", "cross_entropy"] - cells["gold", "cross_entropy"]
    of_mse = cells["crowd", "mse"] - cells["gold", "mse"]
    of_gold = cells["gold", "mse"] - cells["gold", "cross_entropy"]
    of_crowd = cells["crowd", "mse"] - cells["crowd", "cross_entropy"]
    return {
        "target": (of_ce + of_mse) / 2,
        "loss": (of_gold + of_crowd) / 2,
        "interaction": of_mse - of_ce,
    }


def control_table(plan: CiftPlan) -> pd.DataFrame:
    """Score classifiers that always give one label, on every scale."""
    rows = [
        {"group": name, "label": label, **placed(scale, dict.fromkeys(scale.items, label))}
        for name, scales in plan.groups.items()
        for scale in scales
        for label in plan.labels
    ]
    return pd.DataFrame(rows)


def _cell(document: Mapping[str, Any]) -> dict[str, Any]:
    target, _, loss = document["arm"].partition("-")
    return {
        "size": document["size"],
        "seed": document["seed"],
        "training": document["training"],
        "target": target,
        "loss": loss,
        "balanced": document["balanced"],
        "again": document["again"],
    }


def _chosen(document: Mapping[str, Any]) -> dict[str, Any]:
    run = document["finetuning"] or {}
    return {"learning_rate": run.get("learning_rate"), "best_epoch": run.get("best_epoch")}
