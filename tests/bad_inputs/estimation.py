"""Section E: what can go wrong while items are calibrated and their fit is tested."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.cli import estimation as commands
from irtkit.diagnostics.model_fit import model_fit
from irtkit.errors import ModelError
from irtkit.estimation import MML, Priors, calibrate, cycles, result
from irtkit.estimation.bayes import HierarchicalPriors
from irtkit.estimation.groups import calibrate_groups
from irtkit.estimation.priors import Beta, LogNormal
from irtkit.latent import Normal
from irtkit.models import MODELS, Graded, ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate
from tests.bad_inputs.catalogue import accepted, holds, refused
from tests.bayes.posteriors import given


def drawn(bench, codes=None, name="answers.csv", n_persons=300, n_items=6, seed=1):
    """Write simulated answers, or those given, -1 where missing."""
    if codes is None:
        codes = simulate(
            TwoPL(), n_persons=n_persons, n_items=n_items, seed=seed
        ).responses.dense()
    frame = pd.DataFrame(codes, columns=[f"i{n + 1}" for n in range(codes.shape[1])])
    frame.index = pd.Index([f"p{n}" for n in range(len(frame))], name="person")
    return bench.write(name, frame.astype("Int8").mask(frame < 0).to_csv())


def codes(n_persons=300, n_items=6, seed=1):
    made = simulate(TwoPL(), n_persons=n_persons, n_items=n_items, seed=seed)
    return np.array(made.responses.dense())


def item(bench, name):
    made = json.loads((bench.folder / "c.json").read_text())["items"]
    return next(row for row in made if row["item"] == name)


LAST_STATE = r"did not converge in \d+ EM cycles.*Log-likelihood -\d.*gradient per person"


@refused(101, LAST_STATE + r".*Allow more cycles \(--max-cycles\)", code=3,
    leaves=["c.json.partial"])  # fmt: skip
def calibration_that_does_not_converge(bench):
    return ["calibrate", drawn(bench), "--max-cycles", 1, "-o", "c.json"]


@refused(101, LAST_STATE, code=3, leaves=["s.json.partial"])
def screening_that_does_not_converge(bench):
    return ["screen", drawn(bench), "--max-cycles", 1, "-o", "s.json"]


@holds(101, "refused, exit 3")
def partial_state_says_that_it_did_not_converge(bench):
    ran = bench.run("calibrate", drawn(bench), "--max-cycles", 1, "-o", "c.json")
    assert ran.code == 3
    made = json.loads((bench.folder / "c.json.partial").read_text())
    assert made["convergence"]["converged"] is False
    assert all(row["covariance"] is None for row in made["items"])
    ran = bench.run("diagnose", "answers.csv", "c.json.partial", "-o", "fit")
    assert ran.code in (0, 2)
    assert "Traceback" not in ran.err


@refused(102, "log-likelihood fell from -.* to -.*defect of irtkit: please report it", code=3)
def log_likelihood_that_falls(bench):
    """A step that moves the parameters the wrong way stands for a defect."""
    plain = cycles.m_step

    def wrong(problem, parameters, theta, expected):
        step = plain(problem, parameters, theta, expected)
        moved = np.where(
            problem.assignment.used(), parameters - 0.5 * (step.parameters - parameters), np.nan
        )
        return replace(step, parameters=moved)

    bench.patch.setattr(cycles, "m_step", wrong)
    return ["calibrate", drawn(bench), "-o", "c.json"]


@accepted(103, "1 item ran to its bound and has no standard error: 'i7'|ran to its bound.*'i6'")
def two_items_that_are_all_but_one(bench):
    made = codes()
    twin = made[:, 5].copy()
    twin[:2] = 1 - twin[:2]
    yield ["calibrate", drawn(bench, np.column_stack([made, twin])), "-o", "c.json"]
    stuck = [name for name in ("i6", "i7") if item(bench, name)["state"] == "separating"]
    assert stuck
    assert all(item(bench, name)["covariance"] is None for name in stuck)


@accepted(103, "Item 'i7' repeats every answer of item 'i6'")
def two_items_that_are_one(bench):
    made = codes()
    yield ["calibrate", drawn(bench, np.column_stack([made, made[:, 5]])), "-o", "c.json"]
    assert item(bench, "i7")["state"] == "duplicate"


@accepted(104, "ran to its bound and has no standard error.*Drop the item or use a prior")
def persons_that_the_items_separate(bench):
    """Guttman's pattern: whoever gets an item right gets all easier ones right."""
    made = (np.arange(120)[:, None] // 20 > np.arange(5)).astype(int)
    yield ["calibrate", drawn(bench, made), "-o", "c.json"]
    made = json.loads((bench.folder / "c.json").read_text())["items"]
    stuck = [row for row in made if row["state"] == "separating"]
    assert stuck
    assert all(row["covariance"] is None for row in stuck)


@accepted(104, "Priors: slope LogNormal")
def separated_persons_with_priors(bench):
    made = (np.arange(120)[:, None] // 20 > np.arange(5)).astype(int)
    yield ["calibrate", drawn(bench, made), "--small-sample", "-o", "c.json"]
    assert {
        row["state"] for row in json.loads((bench.folder / "c.json").read_text())["items"]
    } == {"ok"}


def two_forms(common_items=0, common_persons=0):
    """Two halves of the persons answer two halves of the items, but for what is common."""
    made = codes(n_persons=600, n_items=9)
    form = np.full(made.shape, -1)
    form[:300, : 5 + common_items // 2] = made[:300, : 5 + common_items // 2]
    form[300:, 5 - (common_items + 1) // 2 :] = made[300:, 5 - (common_items + 1) // 2 :]
    form[:common_persons] = made[:common_persons]
    return form


@refused(105, r"fall into 2 parts that share neither.*\('i1', .*'i5'\), \('i6', .*'i9'\).*alone")
def two_forms_without_a_link(bench):
    return ["calibrate", drawn(bench, two_forms()), "-o", "c.json"]


@accepted(106, "1 common item, 'i5', alone links the parts of the design")
def two_forms_with_one_common_item(bench):
    yield ["calibrate", drawn(bench, two_forms(common_items=1)), "-o", "c.json"]


@accepted(106)
def two_forms_with_two_common_items(bench):
    yield ["calibrate", drawn(bench, two_forms(common_items=2)), "-o", "c.json"]


@accepted(107, "No model_fit.csv", writes=["fit", *(f"fit/{n}.csv" for n in
    ("items", "item_fit", "local_dependence", "person_fit"))])  # fmt: skip
def pair_that_nobody_answered_together(bench):
    path = drawn(bench, two_forms(common_items=2))
    assert bench.run("calibrate", path, "-o", "c.json").code == 0
    yield ["diagnose", path, "c.json", "-o", "fit"]
    with (bench.folder / "fit" / "local_dependence.csv").open() as stream:
        rows = {(row["item_1"], row["item_2"]): row for row in csv.DictReader(stream)}
    assert (rows["i1", "i9"]["q3"], rows["i1", "i9"]["ld_x2"]) == ("", "")
    assert rows["i1", "i2"]["q3"] != ""


@refused(108, "Only 0 usable items.*Everybody answered alike")
def one_pattern_only(bench):
    return ["calibrate", drawn(bench, np.tile([0, 1, 1, 0], (30, 1))), "-o", "c.json"]


@holds(109, "accepted, noted")
def information_that_cannot_be_inverted(bench):
    """Two items that all but repeat each other leave no standard error where one runs off."""
    made = (np.arange(60)[:, None] // 10 > np.arange(5)).astype(int)
    known = calibrate(Responses.from_array(made), TwoPL())
    table = known.table()
    stuck = table["state"] != "ok"
    assert stuck.any()
    assert table.loc[stuck, "se_discrimination"].isna().all()
    assert np.isfinite(table["discrimination"]).all()
    assert any("no standard error" in note for note in known.notes)


@accepted(110, "The 3pl model is (?:not )?better than its nested 2pl")
def local_maximum(bench):
    """There is no option of many starts: the fit starts from the nested one, and is compared."""
    words = ["calibrate", drawn(bench), "--model", "3pl", "--standard-errors", "none"]
    yield [*words, "--tolerance", 1e-3, "-o", "c.json"]


@holds(111, "accepted, noted")
def asymptote_at_its_bound(bench):
    made = Responses.from_array(codes(n_persons=400, n_items=5, seed=2))
    free = MML(priors=Priors(lower=None), tolerance=1e-4)
    known = calibrate(made, ThreePL(), method=free)
    table = known.table()
    bare = table["state"] == "at boundary"
    assert bare.any()
    assert table.loc[bare, "se_lower"].isna().all()
    assert any("ran to 0 or 1 and has no standard error" in note for note in known.notes)


@holds(112, "accepted")
def category_unused_in_a_group(bench):
    """All groups share the categories; a group that leaves one out changes nothing of that."""
    made = np.array(simulate(Graded(), n_persons=400, n_items=4, seed=3).responses.dense())
    top = made.max()
    made[200:, 0] = np.minimum(made[200:, 0], top - 1)
    answers = Responses.from_array(made)
    groups, quick = ["a"] * 200 + ["b"] * 200, MML(tolerance=1e-3)
    found = calibrate_groups(answers, groups, Graded(), method=quick)
    sizes = [part.assignment.n_categories.tolist() for part in found.calibrations]
    assert sizes[0] == sizes[1] == [top + 1] * 4
    with pytest.raises(ModelError, match=r"1 item with a category that not all groups use.*'i1'"):
        calibrate_groups(answers, groups, Graded(), invariance="configural", method=quick)


def chains(**fault):
    rng = np.random.default_rng(1)
    draws = rng.normal(0.0, 0.2, (4, 300, 3, 2))
    draws[..., 0] += 1.0
    if "sign" in fault:
        draws[0, ..., 0] *= -1.0
    if "apart" in fault:
        draws[0, ..., 1] += 3.0
    return given(draws)


def sampling(bench, **fault):
    bench.patch.setattr(commands, "sample_posterior", lambda *_, **__: chains(**fault))
    path = drawn(bench, n_items=3, n_persons=40)
    return ["calibrate", path, "--method", "bayes", "-o", "c.json"]


@refused(113, r"posterior is not usable.*R-hat", code=3, leaves=["c.json.partial"])
def chains_that_do_not_mix(bench):
    return sampling(bench, apart=True)


@refused(113, r"posterior is not usable.*(?:sign|R-hat)", code=3, leaves=["c.json.partial"])
def chains_of_opposite_sign(bench):
    return sampling(bench, sign=True)


@holds(114, "refused in Python")
def priors_that_make_no_sense(bench):
    for make in (
        lambda: Priors(slope=LogNormal(0.0, 0.0)),
        lambda: Priors(slope=LogNormal(0.0, -1.0)),
        lambda: Priors(difficulty=Normal(0.0, 0.0)),
        lambda: Priors(lower=Beta(0.5, 2.0)),
        lambda: Priors(slope=LogNormal(0.0, float("nan"))),
    ):
        with pytest.raises(ModelError, match=r"is not a distribution|no single mode"):
            make()
    with pytest.raises(ModelError):
        HierarchicalPriors(mean_difficulty=Normal(0.0, 0.0))


@holds(115, "accepted in Python")
def overflow(bench):
    theta = np.array([-1000.0, -30.0, 0.0, 30.0, 1000.0])
    for name, model in MODELS.items():
        size = 4 if model.ordinal else 2
        start = model.start(np.array([1.0]), np.full((1, size), 1.0 / size))
        log_prob = model.log_prob(start[:, None], theta[None])
        assert np.isfinite(log_prob).all(), name
        assert np.exp(log_prob).sum(axis=-1) == pytest.approx(1.0, abs=1e-12), name
        assert np.isfinite(model.gradient(start[:, None], theta[None])).all(), name


@accepted(116, "No model_fit.csv. M2 is not available: 6 free parameters leave no degree of",
    writes=["fit", *(f"fit/{n}.csv" for n in
    ("items", "item_fit", "local_dependence", "person_fit"))])  # fmt: skip
def too_few_degrees_of_freedom(bench):
    path = drawn(bench, n_items=3, n_persons=800)
    assert bench.run("calibrate", path, "-o", "c.json").code == 0
    yield ["diagnose", path, "c.json", "-o", "fit"]


@holds(116, "refused in Python")
def rated_items_have_another_statistic(bench):
    made = simulate(Graded(), n_persons=200, n_items=4, seed=3).responses
    known = calibrate(made, Graded(), method=MML(tolerance=1e-3))
    with pytest.raises(ModelError, match="Use statistic 'c2'"):
        model_fit(made, known, statistic="m2")
    with pytest.raises(ModelError, match=r"not available.*c2"):
        model_fit(made, known, statistic="m2*")


@accepted(117, r"Halving the spacing of the \d+ quadrature nodes changes the log-likelihood "
    r"from -\d+\.\d{3} to -\d+\.\d{3}")  # fmt: skip
def too_few_quadrature_nodes(bench):
    bench.patch.setattr(result, "QUADRATURE_TOLERANCE", -1.0)
    yield ["calibrate", drawn(bench), "-o", "c.json"]
