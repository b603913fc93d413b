"""The CIFT experiment on tiny random networks: cells, resuming, tables, plan files, page."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from irtkit.bridge.cift.cells import Cell, finetuning_method, placed  # noqa: E402
from irtkit.bridge.cift.confidence import calibration_error, prediction_quality  # noqa: E402
from irtkit.bridge.cift.experiment import plan_cells, read_cift, run_cift  # noqa: E402
from irtkit.bridge.cift.figure import cift_figure  # noqa: E402
from irtkit.bridge.cift.files import read_plan  # noqa: E402
from irtkit.bridge.cift.page import _interval, page, write_cift  # noqa: E402
from irtkit.bridge.cift.plan import (  # noqa: E402
    ARMS,
    CiftDesign,
    CiftPlan,
    Treatment,
    crowd_size,
    examples_for,
    treatments,
)
from irtkit.bridge.cift.tables import change_table, effect_table, mean_change  # noqa: E402
from irtkit.bridge.runs import margin_over_runs  # noqa: E402
from irtkit.bridge.training.train import Training  # noqa: E402
from irtkit.cli import cift as command  # noqa: E402
from irtkit.cli import run  # noqa: E402
from irtkit.errors import FileError, IrtkitError, ModelError, ScaleError  # noqa: E402
from irtkit.io import write_scale  # noqa: E402
from irtkit.io.locks import turn  # noqa: E402
from irtkit.layout import Long  # noqa: E402
from irtkit.models import TwoPL  # noqa: E402
from irtkit.plots.pictures import picture  # noqa: E402
from irtkit.responses import Responses  # noqa: E402
from irtkit.scale import build_scale  # noqa: E402
from irtkit.screening import ItemStates, screen  # noqa: E402
from tests.bridge.tiny import LABELS, encoder_folder, examples  # noqa: E402

N_ITEMS = 9
ROUNDING = 1e-12


def crowd_scale(name, first, *, seed=0, items=None):
    """Build a scale of raw labels to some of the coloured items."""
    known = examples(N_ITEMS, first=first, seed=seed).rows
    rng = np.random.default_rng(seed + 1)
    theta = rng.normal(size=150)
    rows = []
    for item, gold, ease in zip(
        known["item"], known["label"], np.linspace(-1, 2, N_ITEMS), strict=True
    ):
        right = rng.random(150) < 1 / (1 + np.exp(-theta - ease))
        wrong = (gold + rng.integers(1, 3, 150)) % 3
        answer = np.where(right, gold, wrong)
        rows += [(f"w{p}", item, LABELS[k]) for p, k in enumerate(answer)]
    frame = pd.DataFrame(rows, columns=["person", "item", "answer"])
    key = {row.item: LABELS[row.label] for row in known.itertuples()}
    answers = Responses.from_frame(frame, layout=Long(), key=key)
    chosen = answers.items if items is None else answers.items[:items]
    answers = answers.select_items(chosen)
    return build_scale(screen(answers, TwoPL(), (ItemStates(),)), name=name), known


SMALL = CiftDesign(
    sizes=(8,),
    seeds=(0, 1),
    balanced_arms=("crowd-mse",),
    crowd_arms=("crowd-mse",),
    learning_rates=(1e-3,),
    random=6,
    least_steps=1,
    max_length=32,
    pretraining=Training(epochs=1, batch_size=8, learning_rate=1e-3),
    finetuning=Training(epochs=1, batch_size=8),
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(encoder_folder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def scales():
    """Two scales of different items, and a third that shares items with the first."""
    made = [crowd_scale("A", 200, seed=1), crowd_scale("B", 300, seed=2)]
    texts = pd.concat([known for _, known in made])[["item", "text", "text_pair"]]
    third = crowd_scale("A again", 200, seed=1, items=5)[0]
    return [scale for scale, _ in made], texts, third


@pytest.fixture(scope="module")
def plan(encoder, scales):
    return plan_of(encoder, scales)


def plan_of(encoder, made, **given):
    built, texts, _ = made
    content = {
        "scales": tuple(built),
        "texts": texts,
        "source": replace(examples(24, first=400), name="source"),
        "development": replace(examples(9, first=500), name="development"),
        "tests": (
            replace(examples(12, first=600), name="plain"),
            replace(examples(12, first=700, target="crowd"), name="shares"),
        ),
        "other": replace(examples(12, first=800), name="other"),
        "encoder": encoder,
        "crowd": replace(examples(15, first=900, target="crowd"), name="many"),
        "design": SMALL,
        **given,
    }
    return CiftPlan(**content)


@pytest.fixture(scope="module")
def done(plan, tmp_path_factory):
    """Return the folder and result of a whole run."""
    folder = tmp_path_factory.mktemp("run") / "cift"
    return folder, run_cift(plan, folder)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "cells").iterdir())}


def test_treatments_are_the_two_by_two_of_every_fold_and_the_baselines(plan):
    found = treatments(plan)
    assert found[:3] == [
        Treatment("none"),
        Treatment("random", "gold-cross_entropy"),
        Treatment("other", "gold-cross_entropy"),
    ]
    folds = [t for t in found if t.training == "scales" and not t.balanced]
    assert [(t.held_out, t.arm) for t in folds] == [(n, arm) for n in ("A", "B") for arm in ARMS]
    assert [(t.held_out, t.arm) for t in found if t.balanced] == [
        ("A", "crowd-mse"),
        ("B", "crowd-mse"),
    ]
    assert found[-1] == Treatment("crowd", "crowd-mse")


def test_scales_that_share_items_are_held_out_together(encoder, scales):
    built, _, third = scales
    plan = plan_of(encoder, scales, scales=(*built, third))
    assert {name: [s.name for s in group] for name, group in plan.groups.items()} == {
        "A": ["A", "A again"],
        "B": ["B"],
    }
    held = examples_for(plan, Treatment("scales", "crowd-mse", "A"), 0)
    assert set(held.rows["item"]) == set(built[1].items)


def test_examples_are_what_the_treatment_says(plan, scales):
    other = scales[0][1]
    made = examples_for(plan, Treatment("scales", "crowd-mse", "A"), 0)
    assert (made.target, tuple(made.rows["item"])) == ("crowd", other.items)
    assert made.distributions == pytest.approx(other.label_distribution().to_numpy())
    gold = examples_for(plan, Treatment("scales", "gold-mse", "A"), 0)
    assert set(gold.distributions.ravel()) == {0.0, 1.0}
    balanced = examples_for(plan, Treatment("scales", "crowd-mse", "A", True), 0)
    assert balanced.rows["label"].value_counts().nunique() == 1
    few = examples_for(plan, Treatment("random", ARMS[0]), 3)
    assert len(few.rows) == SMALL.random
    assert set(few.rows["item"]) < set(plan.other.rows["item"])
    assert examples_for(plan, Treatment("other", ARMS[0]), 3) is plan.other
    assert len(examples_for(plan, Treatment("crowd", "crowd-mse"), 0).rows) == N_ITEMS
    hard = examples_for(plan, Treatment("crowd", "gold-mse"), 0)
    assert hard.target == "gold"
    assert hard.distributions.argmax(axis=1).tolist() == hard.rows["label"].tolist()
    assert crowd_size(plan) == N_ITEMS


def test_cross_entropy_on_a_distribution_is_the_soft_one(plan):
    def loss(arm):
        cell = Cell(8, 0, Treatment("scales", arm, "A"))
        return finetuning_method(plan, cell, 9, 0.1).loss

    assert [loss(arm) for arm in ARMS] == [
        "cross_entropy",
        "mse",
        "soft_cross_entropy",
        "mse",
    ]


def test_large_sets_get_fewer_epochs_and_never_none(plan):
    design = replace(SMALL, finetuning=Training(epochs=5, batch_size=8), most_steps=6)
    plan = replace(plan, design=design)
    cell = Cell(8, 0, Treatment("other", ARMS[0]))
    epochs = [finetuning_method(plan, cell, n, 0.1).epochs for n in (8, 16, 24, 1000)]
    assert epochs == [5, 3, 2, 1]


def test_every_cell_is_kept_and_tabulated(plan, done):
    folder, result = done
    n = len(treatments(plan))
    assert (result.n_done, result.n_cells) == (2 * n, 2 * n)
    assert len(files(folder)) == 2 * n
    assert list((folder / "pretrained").iterdir()) == []
    scores = result.scores
    whole = scores[scores["training"].isin(["none", "random", "other", "crowd"])]
    assert len(whole) == 2 * 4 * 2
    folds = scores[scores["training"] == "scales"]
    assert len(folds) == 2 * 2 * 5
    assert (folds["scale"] == folds["group"]).all()
    assert scores["percentile"].between(scores["percentile_low"], scores["percentile_high"]).all()
    assert np.isfinite(result.tests["crowd_kl"][result.tests["test"] == "shares"]).all()
    assert result.tests["crowd_kl"][result.tests["test"] == "plain"].isna().all()


def test_the_same_call_does_nothing_again(plan, done):
    folder, result = done
    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    calls = []
    again = run_cift(plan, folder, progress=lambda *at: calls.append(at))
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()} == before
    assert calls[-1] == (result.n_cells, result.n_cells)
    pd.testing.assert_frame_equal(again.scores, result.scores)


def test_a_lost_cell_is_run_again_with_the_same_result(plan, done, tmp_path):
    folder, _ = done
    path = next(p for p in sorted((folder / "cells").iterdir()) if "crowd-mse" in p.name)
    before = json.loads(path.read_text())
    path.unlink()
    run_cift(plan, folder)
    after = json.loads(path.read_text())
    for name in ("scales", "tests", "finetuning", "n_examples", "seed", "size"):
        assert after[name] == before[name]


@pytest.mark.slow
def test_parts_of_an_experiment_come_to_the_same_as_the_whole(plan, done, tmp_path):
    _, whole = done
    folder = tmp_path / "parts"
    part = run_cift(plan, folder, seeds=[1], sizes=[8])
    assert part.n_done == len(treatments(plan))
    mine = whole.scores[whole.scores["seed"] == 1]
    pd.testing.assert_frame_equal(part.scores, mine.reset_index(drop=True))
    with pytest.raises(ModelError, match="no seeds 7"):
        plan_cells(plan, seeds=[7])


def test_another_experiment_in_the_folder_is_refused(plan, done):
    folder, _ = done
    other = replace(plan, design=replace(SMALL, finetuning=Training(epochs=2)))
    with pytest.raises(FileError, match="other 'design'"):
        run_cift(other, folder)
    other = replace(plan, development=examples(9, first=550))
    with pytest.raises(FileError, match="other 'development'"):
        read_cift(other, folder)


def test_more_seeds_can_be_added_later(plan, done):
    folder, result = done
    more = replace(plan, design=replace(SMALL, seeds=(0, 1, 2)))
    found = read_cift(more, folder)
    assert (found.n_done, found.n_cells) == (result.n_done, result.n_done * 3 // 2)


def test_a_changed_result_is_refused(plan, done, tmp_path):
    folder, _ = done
    path = sorted((folder / "cells").iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"accuracy": ', b'"accuracy": 1', 1))
    try:
        with pytest.raises(ScaleError, match="changed after irtkit wrote it"):
            read_cift(plan, folder)
    finally:
        path.write_bytes(content)


@pytest.mark.slow
def test_learning_rate_is_chosen_on_the_development_set_alone(plan, tmp_path):
    design = replace(
        SMALL, sizes=(8,), seeds=(0,), learning_rates=(1e-6, 1e-2), arms=("gold-mse",)
    )
    design = replace(design, balanced_arms=(), crowd_arms=())
    made = replace(plan, design=design)
    run_cift(made, tmp_path / "both")
    single = {}
    for rate in design.learning_rates:
        one = replace(made, design=replace(design, learning_rates=(rate,)))
        run_cift(one, tmp_path / f"{rate}")
        single[rate] = documents(tmp_path / f"{rate}")
    for name, found in documents(tmp_path / "both").items():
        if found["finetuning"] is None:
            continue
        losses = {r: min(single[r][name]["finetuning"]["development_loss"]) for r in single}
        assert found["finetuning"]["learning_rate"] == min(losses, key=losses.get)
    first = replace(made, design=replace(design, tuning="first", seeds=(0, 1)))
    run_cift(first, tmp_path / "first")
    chosen = documents(tmp_path / "first", seed=1)
    rates = [json.loads(p.read_text()) for p in (tmp_path / "first" / "rates").iterdir()]
    assert {r["seed"] for r in rates} == {0}
    assert {(r["training"], r["finetuning"]["learning_rate"]) for r in rates} == {
        (d["training"], d["finetuning"]["learning_rate"])
        for d in chosen.values()
        if d["finetuning"]
    }


def documents(folder, seed=0):
    """Return the results of a seed by treatment."""
    found = [json.loads(path.read_text()) for path in (folder / "cells").iterdir()]
    return {(d["training"], d["arm"], d["held_out"]): d for d in found if d["seed"] == seed}


@pytest.mark.slow
def test_second_training_goes_on_from_the_first(plan, tmp_path):
    design = replace(SMALL, sizes=(8,), seeds=(0,), arms=(), balanced_arms=(), crowd_arms=())
    made = replace(plan, design=replace(design, second_training=True))
    result = run_cift(made, tmp_path / "twice")
    assert result.scores["again"].sum() == len(result.scores) / 2
    once = run_cift(replace(plan, design=design), tmp_path / "once")
    first = result.scores[~result.scores["again"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, once.scores)
    assert set(result.changes["again"]) == {False, True}


def test_controls_score_what_always_one_label_gives(plan, done):
    _, result = done
    controls = result.controls
    assert len(controls) == 2 * 3
    for row in controls.itertuples():
        scale = next(s for s in plan.scales if s.name == row.scale)
        share = np.mean(np.array(scale.calibration.key) == row.label)
        assert row.accuracy == pytest.approx(share, abs=ROUNDING)
    right = dict(zip(plan.scales[0].items, plan.scales[0].calibration.key, strict=True))
    best = placed(plan.scales[0], right)
    assert best["at_ceiling"]
    assert best["percentile"] > controls["percentile"].max()


def test_interval_of_a_paired_change_is_students():
    rng = np.random.default_rng(3)
    one, two = rng.normal(size=7), rng.normal(size=7)
    found = mean_change(two - one)
    limits = ttest_rel(two, one).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx(limits)
    assert math.isnan(mean_change(np.array([1.0]))["low"])


def table(effect_of):
    """Make scores of four arms and none, three seeds, with planted effects."""
    rows = []
    for seed in range(3):
        base = {"size": 5, "seed": seed, "balanced": False, "again": False}
        where = {"scale": "A", "group": "A"}
        for training, target, loss in [
            ("none", "", ""),
            *(("scales", *arm.split("-")) for arm in ARMS),
        ]:
            value = 10.0 * seed + effect_of(target, loss)
            named = {"training": training, "target": target, "loss": loss}
            rows.append({**base, **where, **named, "theta": value, "accuracy": value})
    return pd.DataFrame(rows)


def test_changes_are_paired_over_seeds():
    scores = table(lambda target, loss: {"": 0.0, "gold": 2.0, "crowd": 5.0}[target])
    found = change_table(scores.sample(frac=1, random_state=1), pd.DataFrame())
    found = found[found["measure"] == "theta"].set_index(["target", "loss"])
    assert len(found) == 4
    assert found.loc[("crowd", "mse"), "change"] == pytest.approx(5.0)
    assert found.loc[("gold", "mse"), ["low", "high"]].tolist() == pytest.approx([2.0, 2.0])
    assert set(found["n_seeds"]) == {3}
    assert set(found["before"]) == {10.0}


def test_effects_of_target_loss_and_their_interaction_are_told_apart():
    planted = {"gold": 0.0, "crowd": 4.0}, {"cross_entropy": 0.0, "mse": 1.0}
    scores = table(
        lambda target, loss: (
            planted[0][target] + planted[1][loss] + 3.0 * (target == "crowd" and loss == "mse")
            if target
            else 0.0
        )
    )
    found = effect_table(scores, pd.DataFrame())
    found = found[found["measure"] == "theta"].set_index("effect")["change"]
    assert found.to_dict() == pytest.approx({"target": 5.5, "loss": 2.5, "interaction": 3.0})


def test_a_seed_without_its_baseline_is_left_out_of_the_change():
    scores = table(lambda target, loss: 1.0 if target else 0.0)
    scores = scores[~((scores["seed"] == 1) & (scores["training"] == "none"))]
    found = change_table(scores, pd.DataFrame())
    assert set(found["n_seeds"]) == {2}


OVERLAPS = {
    "source": (lambda p: {"source": replace(p.source, rows=clash(p.source, p.texts))}, "scales'"),
    "other": (lambda p: {"other": replace(p.other, rows=clash(p.other, p.tests[0].rows))}, "test"),
    "development": (
        lambda p: {"source": replace(p.source, rows=clash(p.source, p.development.rows))},
        "development",
    ),
    "development and scales": (
        lambda p: {"development": replace(p.development, rows=clash(p.development, p.texts))},
        "development",
    ),
    "two scales": (lambda p: {"texts": twin_texts(p.texts)}, "held-out scale"),
    "test": (
        lambda p: {
            "tests": (replace(p.tests[0], rows=clash(p.tests[0], p.texts)),),
        },
        "test",
    ),
}


def twin_texts(texts):
    """Give an item of the second scale the text of one of the first."""
    texts = texts.reset_index(drop=True)
    texts.loc[len(texts) - 1, ["text", "text_pair"]] = texts.loc[0, ["text", "text_pair"]]
    return texts


def clash(mine, others):
    """Return rows, the first with a text of another set, in capitals and with a full stop."""
    rows = mine.rows.copy()
    rows.loc[0, "text"] = others["text"].iloc[0].upper() + "."
    rows.loc[0, "text_pair"] = others["text_pair"].iloc[0]
    return rows


@pytest.mark.parametrize("name", OVERLAPS)
def test_training_on_what_is_evaluated_is_refused(name, plan):
    spoilt, message = OVERLAPS[name]
    with pytest.raises(ModelError, match=message):
        replace(plan, **spoilt(plan))


REFUSED = {
    "one group": (lambda p: {"scales": p.scales[:1]}, "nothing to train on"),
    "same name": (lambda p: {"scales": (p.scales[0], p.scales[0])}, "same name"),
    "no test": (lambda p: {"tests": ()}, "needs test sets"),
    "too large": (lambda p: {"design": replace(SMALL, sizes=(25,))}, "25 examples of 'source'"),
    "labels": (lambda p: {"source": replace(p.source, label_set=("a", "b", "c"))}, "Map them"),
    "crowd as other": (lambda p: {"other": replace(p.crowd, name="x")}, "gold labels; give"),
    "gold as crowd": (lambda p: {"crowd": examples(9, first=950)}, "give label distributions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_plan_that_contradicts_itself_is_refused(name, plan):
    spoilt, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        replace(plan, **spoilt(plan))


def test_a_design_with_a_fault_is_refused():
    for given, message in (
        ({"arms": ("crowd-kl",)}, "Unknown arm 'crowd-kl'"),
        ({"tuning": "test"}, "Unknown tuning 'test'"),
        ({"seeds": (1, 1)}, "name one twice"),
        ({"sizes": ()}, "sizes from 1"),
    ):
        with pytest.raises(ModelError, match=message):
            CiftDesign(**given)


def test_page_tables_and_figures_are_written(plan, done, tmp_path):
    pytest.importorskip("matplotlib")
    _, result = done
    out = tmp_path / "out"
    written = write_cift(result, plan, out)
    assert {path.name for path in written} == {path.name for path in out.iterdir()}
    assert (out / "percentile.png").read_bytes().startswith(b"\x89PNG")
    told = (out / "README.md").read_text()
    assert "never averaged" in told
    assert f"{result.n_done} of {result.n_cells} cells" in told
    back = pd.read_csv(out / "changes.csv")
    assert len(back) == len(result.changes)


def test_names_on_the_page_are_shown_as_they_are(plan, done):
    _, result = done
    odd = replace(plan, source=replace(plan.source, name="<b>| x"))
    assert "<b>" not in page(result, odd)


def test_figure_of_a_run_that_has_just_begun_is_drawn(plan, done):
    pytest.importorskip("matplotlib")
    _, result = done
    few = result.curves[result.curves["training"] == "none"]
    for measure in ("percentile", "theta", "accuracy"):
        assert picture(cift_figure(few, result.controls, measure)).startswith(b"\x89PNG")


def test_curves_are_means_over_seeds_with_students_interval(done):
    _, result = done
    plain = result.scores[~result.scores["balanced"] & ~result.scores["again"]]
    part = plain[(plain["training"] == "none") & (plain["scale"] == plain["scale"].iloc[0])]
    row = result.curves[
        (result.curves["training"] == "none")
        & (result.curves["scale"] == part["scale"].iloc[0])
        & (result.curves["training_size"] == part["size"].iloc[0])
    ].iloc[0]
    values = part.loc[part["size"] == part["size"].iloc[0], "percentile"].to_numpy()
    assert row["n_seeds"] == len(values)
    assert row["percentile"] == pytest.approx(values.mean())
    half = margin_over_runs(values)
    assert row["percentile_high"] - row["percentile"] == pytest.approx(half, nan_ok=True)
    assert len(result.curves) == len(
        result.curves.drop_duplicates(["scale", "training_size", "method"])
    )


def written_plan(plan, folder, encoder):
    """Write a plan and its data as files."""
    for scale in plan.scales:
        write_scale(scale, folder / f"{scale.name}.json")
    plan.texts.to_csv(folder / "items.csv", index=False)
    for name in ("source", "development", "other"):
        rows = getattr(plan, name).rows
        rows = rows.assign(label=[LABELS[k] for k in rows["label"]])
        rows[["item", "text", "text_pair", "label"]].to_csv(folder / f"{name}.csv", index=False)
    for test in plan.tests:
        rows = test.rows.assign(label=[LABELS[k] for k in test.rows["label"]])
        columns = ["item", "text", "text_pair", "label"]
        columns += ["label_distribution"] * (test.target == "crowd")
        lines = rows[columns].to_json(orient="records", lines=True, double_precision=15)
        (folder / f"{test.name}.jsonl").write_text(lines)
    document = {
        "schema": "irtkit/cift-plan/1",
        "labels": list(LABELS),
        "scales": [f"{scale.name}.json" for scale in plan.scales],
        "texts": "items.csv",
        "source": "source.csv",
        "development": "development.csv",
        "tests": {test.name: f"{test.name}.jsonl" for test in plan.tests},
        "other": "other.csv",
        "encoder": encoder,
        "design": {
            "sizes": [8],
            "seeds": 1,
            "arms": ["gold-mse"],
            "balanced_arms": [],
            "learning_rates": [0.001],
            "random": 6,
            "least_steps": 1,
            "max_length": 32,
            "pretraining": {"epochs": 1, "batch_size": 8},
            "finetuning": {"epochs": 1, "batch_size": 8},
        },
    }
    (folder / "plan.json").write_text(json.dumps(document))
    return document


def test_plan_file_is_read_with_its_data(plan, encoder, tmp_path):
    written_plan(plan, tmp_path, encoder)
    found = read_plan(tmp_path / "plan.json")
    assert found.source.rows.equals(plan.source.rows)
    assert found.tests[1].target == "crowd"
    assert found.tests[1].distributions == pytest.approx(plan.tests[1].distributions)
    assert [scale.name for scale in found.scales] == ["A", "B"]
    assert (found.design.sizes, found.design.seeds) == ((8,), (0,))
    assert found.design.finetuning == Training(epochs=1, batch_size=8)
    assert found.design.pretraining.learning_rate == CiftDesign().pretraining.learning_rate
    assert found.crowd is None


def test_command_checks_a_plan_and_tabulates_what_is_done(plan, encoder, tmp_path, capsys):
    assert command.cift_command.name == "cift"
    document = written_plan(plan, tmp_path, encoder)
    output = str(tmp_path / "out")
    words = ["cift", str(tmp_path / "plan.json"), "-o", output, "--json"]
    assert run([*words, "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"n_cells": 5, "groups": {"A": ["A"], "B": ["B"]}}
    assert not (tmp_path / "out").exists()
    pytest.importorskip("matplotlib")
    assert run([*words, "--tables"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n_done"], told["n_cells"]) == (0, 5)
    assert (tmp_path / "out" / "controls.csv").exists()
    assert run([*words, "--dry-run", "--seed", "4"]) == 2
    document["encoder"] = "gone/nowhere/encoder"
    (tmp_path / "plan.json").write_text(json.dumps(document))
    assert run(["cift", str(tmp_path / "plan.json"), "-o", str(tmp_path / "new")]) == 4


BAD_PLANS = {
    "unknown field": (lambda d: d | {"sorce": 1}, "Unknown fields: 'sorce'"),
    "missing field": (lambda d: {k: v for k, v in d.items() if k != "texts"}, "texts is missing"),
    "schema": (lambda d: d | {"schema": "other/1"}, "has the schema 'other/1'"),
    "design": (lambda d: d | {"design": {"size": [1]}}, "in design: 'size'. Did you mean 'sizes'"),
    "training": (
        lambda d: d | {"design": {"finetuning": {"epoch": 1}}},
        r"design\.finetuning: 'epoch'",
    ),
    "tests": (lambda d: d | {"tests": ["a"]}, "names and files"),
    "no file": (lambda d: d | {"other": "gone.csv"}, r"gone\.csv does not exist"),
    "kind": (lambda d: d | {"design": {"sizes": ["x"]}}, "wrong kind"),
}


@pytest.mark.parametrize("name", BAD_PLANS)
def test_plan_file_with_a_fault_is_refused(name, plan, encoder, tmp_path):
    spoil, message = BAD_PLANS[name]
    document = written_plan(plan, tmp_path, encoder)
    (tmp_path / "plan.json").write_text(json.dumps(spoil(document)))
    with pytest.raises(IrtkitError, match=message):
        read_plan(tmp_path / "plan.json")


PROGRAM = """
import sys
from irtkit.bridge.cift.experiment import run_cift
from irtkit.bridge.cift.files import read_plan
run_cift(read_plan(sys.argv[1]), sys.argv[2], progress=lambda *at: print(*at, flush=True))
"""


@pytest.mark.slow
def test_two_processes_share_the_work_and_both_wait_for_all_of_it(plan, encoder, tmp_path):
    document = written_plan(plan, tmp_path, encoder)
    document["design"] |= {"seeds": 3, "tuning": "first", "learning_rates": [1e-4, 1e-2]}
    (tmp_path / "plan.json").write_text(json.dumps(document))
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "plan.json"), str(tmp_path / "run")]
    here = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "cwd": Path(__file__).parents[2]}
    runs = [subprocess.Popen(words, stdout=subprocess.PIPE, **here) for _ in range(2)]
    told = [run.communicate()[0].decode().split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert [lines[-2:] for lines in told] == [["15", "15"]] * 2
    made = read_cift(read_plan(tmp_path / "plan.json"), tmp_path / "run")
    assert (made.n_done, made.n_cells) == (15, 15)
    assert list((tmp_path / "run" / "pretrained").iterdir()) == []


def test_a_turn_is_one_process_at_a_time(tmp_path):
    for path in (tmp_path / "lock", tmp_path):
        with turn(path, wait=False) as first, turn(path, wait=False) as second:
            assert (first, second) == (True, False)
        with turn(path, wait=True) as again:
            assert again


@pytest.mark.slow
def test_a_killed_run_goes_on_and_comes_to_the_same(plan, encoder, tmp_path):
    written_plan(plan, tmp_path, encoder)
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "plan.json")]
    here = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    run = subprocess.Popen(
        [*words, str(tmp_path / "killed")], stdout=subprocess.PIPE, env=here, cwd=root
    )
    assert run.stdout.readline()  # after the first cell
    time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    left = len(list((tmp_path / "killed" / "cells").glob("*.json")))
    assert 1 <= left < 5
    for name in ("killed", "whole"):
        subprocess.run([*words, str(tmp_path / name)], check=True, env=here, cwd=root)
    tables = [
        read_cift(read_plan(tmp_path / "plan.json"), tmp_path / name).scores
        for name in ("killed", "whole")
    ]
    pd.testing.assert_frame_equal(*tables)


def test_a_network_from_scratch_runs_the_same_experiment(plan, tmp_path):
    design = replace(SMALL, sizes=(8,), seeds=(0,), arms=("crowd-mse",), balanced_arms=())
    made = replace(plan, encoder="nse", design=replace(design, crowd_arms=()))
    result = run_cift(made, tmp_path / "nse")
    assert result.n_done == result.n_cells == 5


def test_calibration_error_is_the_obvious_sum():
    rng = np.random.default_rng(5)
    given = rng.dirichlet(np.ones(3), 200)
    gold = rng.integers(0, 3, 200)
    confidence, right = given.max(axis=1), given.argmax(axis=1) == gold
    total = 0.0
    for low in np.arange(10) / 10:
        hit = (confidence >= low) & (confidence < low + 0.1 + (low == 0.9))
        if hit.any():
            total += hit.mean() * abs(right[hit].mean() - confidence[hit].mean())
    assert calibration_error(given, gold) == pytest.approx(total, abs=ROUNDING)


def test_quality_of_perfect_and_of_worst_predictions():
    gold = np.array([0, 1, 2])
    best = prediction_quality(np.eye(3), gold, np.eye(3))
    assert best == pytest.approx(
        {
            "accuracy": 1.0,
            "calibration_error": 0.0,
            "brier": 0.0,
            "log_loss": 0.0,
            "crowd_kl": 0.0,
            "crowd_distance": 0.0,
        }
    )
    worst = prediction_quality(np.eye(3)[[1, 2, 0]], gold)
    assert worst["accuracy"] == 0.0
    assert worst["brier"] == pytest.approx(2.0)
    assert worst["calibration_error"] == pytest.approx(1.0)
    assert math.isfinite(worst["log_loss"])


def test_a_change_over_a_single_seed_has_no_interval():
    assert _interval(math.nan, math.nan) == "(one seed)"
    assert _interval(-0.25, 0.5) == "(-0.250 to +0.500)"
