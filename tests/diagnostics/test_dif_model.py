"""Likelihood ratio and Wald: R's mirt, and other ways to the same numbers."""

import itertools
import math
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from irtkit.diagnostics.dif import dif
from irtkit.diagnostics.dif_study import DIFOptions
from irtkit.errors import ModelError
from irtkit.estimation import MML, Equal, Priors, calibrate_groups
from irtkit.estimation.joint import Grouped, fitted_groups
from irtkit.estimation.standard_errors import joint_covariance
from irtkit.models import GeneralizedPartialCredit, Graded, Rasch, ThreePL, TwoPL
from tests.diagnostics.groups_drawn import two_groups
from tests.golden import golden, golden_responses

RATIO = 1e-4  # relative, of twice a difference of log-likelihoods; R stops 2e-5 below the optimum
WALD = 3e-4  # relative; R's estimates are exact to three digits
P_VALUE = 1e-4
ONCE = DIFOptions(purify=False)
QUICK = MML(standard_errors=None)
ANCHORS = [f"i{n}" for n in range(10, 16)]


def golden_groups():
    """Answers and groups of the case with two groups."""
    everything = golden_responses("dif2g")
    frame = pd.DataFrame(everything.dense(), columns=everything.items)
    items = [item for item in everything.items if item != "group"]
    return everything.select_items(items), frame["group"].astype(str).tolist()


def assert_equal_to_r(table, known, statistic, relative):
    rows = table.loc[known["item"]]
    assert rows["statistic"].to_numpy() == pytest.approx(known[statistic], rel=relative, abs=1e-5)
    assert rows["df"].tolist() == known["df"]
    assert rows["p"].to_numpy() == pytest.approx(known["p"], abs=P_VALUE)
    assert rows["p_adjusted"].to_numpy() == pytest.approx(known["adj_p"], abs=1e-3)


def test_freeing_each_item_among_all_others_equals_r_mirt():
    responses, groups = golden_groups()
    table = dif(responses, groups, method="likelihood_ratio", options=ONCE)
    assert_equal_to_r(table, golden("dif2g")["dif_drop_scalar"], "X2", RATIO)


@pytest.mark.parametrize(
    ("name", "parameters"), [("dif_add_anchored", ()), ("dif_add_d_only", ("intercept",))]
)
def test_tying_each_item_beside_anchors_equals_r_mirt(name, parameters):
    responses, groups = golden_groups()
    options = DIFOptions(parameters=parameters)
    table = dif(responses, groups, method="likelihood_ratio", anchors=ANCHORS, options=options)
    known = golden("dif2g")[name]
    rows = table.loc[known["item"]]
    assert rows["statistic"].to_numpy() == pytest.approx(known["X2"], rel=RATIO, abs=1e-5)
    assert rows["df"].tolist() == known["df"]
    assert rows["p"].to_numpy() == pytest.approx(known["p"], abs=P_VALUE)


def test_wald_beside_anchors_equals_r_mirt():
    responses, groups = golden_groups()
    table = dif(responses, groups, method="wald", anchors=ANCHORS)
    known = golden("dif2g")["dif_wald_anchored"]
    rows = table.loc[known["item"]]
    assert rows["statistic"].to_numpy() == pytest.approx(known["W"], rel=WALD)
    assert rows["df"].tolist() == known["df"]
    assert rows["p"].to_numpy() == pytest.approx(known["p"], abs=P_VALUE)


@pytest.mark.parametrize("method", ["likelihood_ratio", "wald"])
def test_the_item_that_differs_is_the_one_found(method):
    responses, groups = golden_groups()
    table = dif(responses, groups, method=method)
    assert table.index[table["p_adjusted"] < 0.05].tolist() == ["i3"]
    assert not table.loc["i3", "anchor"]
    assert table.loc["i3", "effect_size"] < 0
    both = table["statistic_uniform"] + table["statistic_nonuniform"]
    assert both.to_numpy() == pytest.approx(table["statistic"].to_numpy(), abs=1e-6)


@pytest.mark.parametrize(
    ("model", "n_categories"),
    [(Rasch(), 2), (TwoPL(), 2), (Graded(), 3), (GeneralizedPartialCredit(), 3)],
)
def test_likelihood_ratio_and_effects_follow_from_calibrations_of_the_groups(model, n_categories):
    responses, groups = two_groups(
        1, n_persons=250, n_items=5, model=model, n_categories=n_categories, impact=0.5
    )
    options = DIFOptions(model=model, purify=False)
    table = dif(responses, groups, method="likelihood_ratio", options=options)
    tied = calibrate_groups(responses, groups, model, method=QUICK)
    for place, item in enumerate(responses.items):
        freed = calibrate_groups(responses, groups, model, free_items=[item], method=QUICK)
        row = table.loc[item]
        gain = 2 * (freed.log_likelihood - tied.log_likelihood)
        assert row["statistic"] == pytest.approx(gain, abs=1e-5)
        assert row["df"] == freed.n_parameters - tied.n_parameters
        one, two = freed.calibrations
        nodes = two.latent.nodes(401)
        gap = sum(
            sign * np.exp(part.log_prob(nodes.theta))[:, place] @ np.arange(n_categories)
            for sign, part in ((1, two), (-1, one))
        )
        weights = np.exp(nodes.log_weights)
        assert row["effect_size"] == pytest.approx(weights @ gap, abs=1e-5)
        assert row["effect_unsigned"] == pytest.approx(weights @ np.abs(gap), abs=1e-4)


def test_wald_equals_a_numerical_information_matrix_of_all_parameters():
    responses, groups = two_groups(2, n_persons=1000, n_items=6, impact=0.4, missing=0.1)
    table = dif(responses, groups, method="wald", options=ONCE)
    focal = np.array([group == "focal1" for group in groups])
    codes = responses.dense()
    fit = fitted_groups(Grouped.of(responses, groups), TwoPL(), MML(tolerance=1e-9), {"i2": ()})
    z = np.linspace(-7.0, 7.0, 141)
    log_weights = -0.5 * z**2 - np.log(np.exp(-0.5 * z**2).sum())

    def log_likelihood(point):
        total = 0.0
        for group in (False, True):
            columns = [0, 2 if group else 1, 3, 4, 5, 6]
            theta = point[14] + math.exp(point[15]) * z if group else z
            slope, intercept = point[:14].reshape(7, 2)[columns].T
            right = expit(theta[:, None] * slope + intercept)
            own = codes[focal == group]
            chosen = np.log(right) @ (own == 1).T + np.log(1 - right) @ (own == 0).T
            total += np.log(np.exp(chosen + log_weights[:, None]).sum(axis=0)).sum()
        return total

    point = np.concatenate([fit.fit.checkpoint.parameters.ravel(), fit.fit.checkpoint.population])
    assert fit.whole.items == ("i1", "i2 [reference]", "i2 [focal1]", "i3", "i4", "i5", "i6")
    step, n = 2e-3, len(point)
    hessian = np.zeros((n, n))
    for i, j in itertools.combinations_with_replacement(range(n), 2):
        for one, two in itertools.product((1, -1), repeat=2):
            moved = point + step * (one * np.eye(n)[i] + two * np.eye(n)[j])
            hessian[i, j] += one * two * log_likelihood(moved) / (4 * step**2)
        hessian[j, i] = hessian[i, j]
    covariance = np.linalg.inv(-hessian)
    contrast = np.zeros((2, n))
    contrast[[0, 1], [2, 3]], contrast[[0, 1], [4, 5]] = -1, 1
    gap, spread = contrast @ point, contrast @ covariance @ contrast.T
    assert table.loc["i2", "statistic"] == pytest.approx(
        gap @ np.linalg.solve(spread, gap), rel=1e-3
    )
    assert table.loc["i2", "statistic_nonuniform"] == pytest.approx(
        gap[0] ** 2 / spread[0, 0], rel=1e-3
    )
    joint = joint_covariance(fit.problem, fit.fit)
    assert joint.reshape(14, 14) == pytest.approx(covariance[:14, :14], rel=5e-3, abs=1e-5)


def test_joint_covariance_holds_the_blocks_of_the_standard_errors():
    responses, groups = two_groups(3, n_persons=300, n_items=5, model=Graded(), n_categories=3)
    fit = fitted_groups(Grouped.of(responses, groups), Graded(), MML(), {"i2": ("slope",)})
    joint = joint_covariance(fit.problem, fit.fit)
    every = np.arange(fit.problem.shape[0])
    assert joint[every, :, every] == pytest.approx(fit.whole.covariance)
    assert joint[1, :, 2] == pytest.approx(joint[2, :, 1].T)
    assert joint[1, 0, 2, 0] == pytest.approx(joint[1, 0, 1, 0])  # the slope that both share


def test_wald_and_likelihood_ratio_agree_where_there_is_much_to_see():
    responses, groups = two_groups(
        4, n_persons=2000, n_items=6, model=Graded(), n_categories=3, harder={2: 0.3}, n_groups=3
    )
    ratio, wald = (
        dif(responses, groups, method=method, anchors=["i1", "i2", "i4"], options=ONCE)
        for method in ("likelihood_ratio", "wald")
    )
    assert ratio.loc["i3", "df"] == wald.loc["i3", "df"] == 6
    assert ratio.loc["i3", "statistic"] > 25
    tested = ["i3", "i5", "i6"]
    for column in ("statistic", "statistic_uniform", "statistic_nonuniform"):
        assert wald.loc[tested, column].to_numpy() == pytest.approx(
            ratio.loc[tested, column].to_numpy(), rel=0.1, abs=0.1
        )
    assert wald["effect_size"].to_numpy() == pytest.approx(ratio["effect_size"], nan_ok=True)


def test_tied_parameters_are_those_of_an_equal_constraint():
    responses, groups = two_groups(5, n_persons=300, n_items=5)
    grouped = Grouped.of(responses, groups)
    start = fitted_groups(grouped, TwoPL(), QUICK, {})
    one = fitted_groups(grouped, TwoPL(), QUICK, {"i3": ("slope",)}, start=start)
    tie = Equal("slope", ("i3 [reference]", "i3 [focal1]"))
    two = calibrate_groups(
        responses,
        groups,
        TwoPL(),
        free_items=["i3"],
        method=MML(standard_errors=None, constraints=(tie,)),
    )
    assert one.whole.log_likelihood == pytest.approx(two.log_likelihood, abs=1e-6)
    assert one.whole.n_parameters == two.n_parameters == start.whole.n_parameters + 1
    options = DIFOptions(parameters=("intercept",), purify=False)
    ratio, wald = (
        dif(responses, groups, method=method, options=options).loc["i3"]
        for method in ("likelihood_ratio", "wald")
    )
    gain = 2 * (two.log_likelihood - start.whole.log_likelihood)
    assert ratio["statistic"] == pytest.approx(gain, abs=1e-5)
    assert wald["statistic"] == pytest.approx(gain, rel=0.1)
    assert ratio["df"] == wald["df"] == 1
    assert np.isnan(ratio["statistic_uniform"])


@pytest.mark.parametrize("free", [{}, {"i2": ()}, {"i1": (), "i4": ("slope",)}])
def test_an_earlier_estimation_changes_the_way_not_the_end(free):
    responses, groups = two_groups(6, n_persons=400, n_items=6, impact=0.8)
    grouped = Grouped.of(responses, groups)
    earlier = fitted_groups(grouped, TwoPL(), QUICK, {"i1": (), "i2": ()})
    fresh = fitted_groups(grouped, TwoPL(), QUICK, free)
    resumed = fitted_groups(grouped, TwoPL(), QUICK, free, start=earlier)
    assert resumed.whole.log_likelihood == pytest.approx(fresh.whole.log_likelihood, abs=1e-6)
    assert resumed.whole.parameters == pytest.approx(fresh.whole.parameters, abs=1e-4)
    again = fitted_groups(grouped, TwoPL(), QUICK, free, start=fresh)
    assert again.fit.checkpoint.n_cycles < fresh.fit.checkpoint.n_cycles


def test_categories_that_a_group_lacks_are_named_not_tested():
    responses, groups = two_groups(7, n_persons=300, n_items=6, model=Graded(), n_categories=3)
    codes = responses.dense().copy()
    focal = np.array(groups) == "focal1"
    codes[focal, 1] = np.minimum(codes[focal, 1], 1)

    table = dif(replace(responses, codes=codes), groups, method="wald", options=ONCE)
    assert table.loc["i2", "state"] == "categories not chosen in a group"
    assert np.isnan(table.loc["i2", "p"])
    assert table.drop(index="i2")["p"].notna().all()
    assert dif(replace(responses, codes=codes), groups, options=ONCE)["p"].notna().all()


def test_asymptotes_are_compared_too():
    responses, groups = two_groups(8, n_persons=500, n_items=5, model=ThreePL())
    options = DIFOptions(model=ThreePL(), purify=False, estimation=MML(tolerance=1e-4))
    table = dif(responses, groups, method="likelihood_ratio", options=options)
    assert set(table["df"]) == {3.0}
    assert (table["statistic"] >= 0).all()


def test_parameters_that_an_item_does_not_have_are_refused():
    responses, groups = two_groups(9, n_persons=100, n_items=5)
    with pytest.raises(ModelError, match="none of the parameters 'difficulty' to compare"):
        dif(responses, groups, method="wald", options=DIFOptions(parameters=("difficulty",)))
    rasch = DIFOptions(model=Rasch(), parameters=("slope",))
    with pytest.raises(ModelError, match="the rasch model has 'intercept'"):
        dif(responses, groups, method="wald", options=rasch)


def test_a_calibration_that_does_not_converge_is_one_items_fate(monkeypatch):
    responses, groups = two_groups(10, n_persons=200, n_items=5)
    module = sys.modules["irtkit.diagnostics.dif_model"]
    plain = module.fitted_groups

    def failing(grouped, model, method, free, **options):
        if "i3" in free:
            method = MML(standard_errors=None, max_cycles=1)
        return plain(grouped, model, method, free, **options)

    monkeypatch.setattr(module, "fitted_groups", failing)
    table = dif(responses, groups, method="likelihood_ratio", options=ONCE)
    assert table.loc["i3", "state"] == "not converged"
    assert np.isnan(table.loc["i3", "p"])
    assert table.drop(index="i3")["p"].notna().all()


def test_progress_counts_the_items_of_each_round():
    responses, groups = two_groups(11, n_persons=300, n_items=6)
    seen = []
    dif(
        responses,
        groups,
        method="likelihood_ratio",
        options=ONCE,
        progress=lambda done, every: seen.append((done, every)),
    )
    assert seen == [(n, 6) for n in range(1, 7)]


def test_priors_of_the_calibration_are_used():
    responses, groups = two_groups(12, n_persons=200, n_items=6)
    plain, held = (
        dif(
            responses,
            groups,
            method="likelihood_ratio",
            anchors=["i1", "i2", "i3", "i4", "i5"],
            options=DIFOptions(estimation=MML(priors=priors)),
        )
        for priors in (Priors(), Priors.small_sample())
    )
    assert not np.isclose(plain.loc["i6", "statistic"], held.loc["i6", "statistic"])
