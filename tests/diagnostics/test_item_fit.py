"""S-X2, infit and outfit: golden values, brute force, missing answers, false alarms."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from irtkit.diagnostics import item_fit
from irtkit.diagnostics.item_fit import collapsed, expected_right
from irtkit.estimation import MML, calibrate
from irtkit.latent import Normal
from irtkit.models import OnePL, Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import summed_score_likelihood, without_item
from irtkit.simulate import simulate
from tests.golden import golden, golden_responses

RELATIVE = 1e-4  # of S-X2, given that both sides estimated the parameters
P_VALUE = 1e-4
R_INFIT_FLOOR = 8e-3  # R floors the weights of infit
QUICK = MML(standard_errors=None)


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20", "sim2k20_ld"])
def test_s_x2_equals_r_mirt(case):
    known = golden(case)["twopl"]["diagnostics"]
    responses = golden_responses(case)
    table = item_fit(responses, calibrate(responses, TwoPL()))
    assert table["s_x2"].to_numpy() == pytest.approx(known["S_X2"]["S_X2"], rel=RELATIVE)
    assert table["df"].tolist() == known["S_X2"]["df.S_X2"]
    assert table["p"].to_numpy() == pytest.approx(known["S_X2"]["p.S_X2"], abs=P_VALUE)
    assert table["rmsea"].to_numpy() == pytest.approx(known["S_X2"]["RMSEA.S_X2"], abs=P_VALUE)
    assert table["outfit"].to_numpy() == pytest.approx(known["infit_outfit"]["outfit"], abs=1e-3)
    assert table["infit"].to_numpy() == pytest.approx(
        known["infit_outfit"]["infit"], abs=R_INFIT_FLOOR
    )
    assert set(table["method"]) == {"complete"}


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20"])
def test_s_x2_of_the_rasch_model_equals_r_mirt(case):
    known = golden(case)["rasch"]["diagnostics"]["S_X2"]
    responses = golden_responses(case)
    table = item_fit(responses, calibrate(responses, Rasch()))
    assert table["s_x2"].to_numpy() == pytest.approx(known["S_X2"], rel=RELATIVE)
    assert table["df"].tolist() == known["df.S_X2"]


def test_summed_score_likelihood_equals_enumeration():
    p = np.array([0.2, 0.5, 0.9, 0.35, 0.7])
    exact = np.zeros(6)
    for pattern in itertools.product([0, 1], repeat=5):
        exact[sum(pattern)] += np.prod(np.where(pattern, p, 1 - p))
    assert summed_score_likelihood(p) == pytest.approx(exact, abs=1e-14)
    assert summed_score_likelihood(p).sum() == pytest.approx(1.0, abs=1e-14)


def test_taking_an_item_out_undoes_putting_it_in():
    p = np.random.default_rng(1).uniform(1e-9, 1 - 1e-9, size=(60, 7))
    p[:3] = [[1e-12] * 7, [1 - 1e-12] * 7, [0.5] * 7]
    sums = summed_score_likelihood(p)
    for item in (0, 1, 2, 30, 59):
        without = summed_score_likelihood(np.delete(p, item, axis=0))
        assert without_item(sums, p[item]) == pytest.approx(without, abs=1e-12)


def test_expected_proportion_right_equals_enumeration():
    parameters = np.array([[0.7, -0.5], [1.2, 0.4], [1.6, 1.0], [0.9, -1.5]])
    nodes = Normal().nodes()
    right = np.exp(TwoPL().log_prob(parameters, nodes.theta[:, None])[:, :, 1])
    weights = np.exp(nodes.log_weights)
    success, total = np.zeros((4, 5)), np.zeros(5)
    for pattern in itertools.product([0, 1], repeat=4):
        chance = np.prod(np.where(pattern, right, 1 - right), axis=1) @ weights
        total[sum(pattern)] += chance
        success[:, sum(pattern)] += chance * np.array(pattern)
    exact = (success / total)[:, 1:4]
    assert expected_right(right, weights) == pytest.approx(exact, abs=1e-12)


def test_small_groups_are_collapsed_by_the_written_rule():
    table = np.array([[0, 0, 0], [1, 1, 0.9], [10, 2, 0.5], [20, 8, 9.0], [30, 29, 29.5]])
    merged = collapsed(table.astype(float))
    # the empty group goes; the single person joins the next: 11 persons, 3 right, 1.4 expected;
    # the last group expects .5 wrong and joins its only neighbour
    assert merged == pytest.approx(np.array([[11, 3, 1.4], [50, 37, 38.5]]))


def test_incomplete_version_equals_enumeration_over_each_persons_items():
    made = simulate(TwoPL(), n_persons=60, n_items=5, seed=5, missing=0.3)
    from irtkit.diagnostics.item_fit import _expected_by_person

    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    nodes = calibration.nodes()
    right = np.exp(calibration.log_prob(nodes.theta)[:, :, 1])
    weights = np.exp(nodes.log_weights)
    found = _expected_by_person(made.responses, calibration)
    for person, codes in enumerate(made.responses.dense()):
        seen = np.flatnonzero(codes >= 0)
        total = codes[seen].sum()
        if total in (0, len(seen)):
            assert np.isnan(found[person]).all()
            continue
        success, chance = np.zeros(5), 0.0
        for pattern in itertools.product([0, 1], repeat=len(seen)):
            if sum(pattern) != total:
                continue
            here = np.where(pattern, right[:, seen], 1 - right[:, seen]).prod(axis=1) @ weights
            chance += here
            success[seen] += here * np.array(pattern)
        assert found[person, seen] == pytest.approx(success[seen] / chance, abs=1e-10)
        assert np.isnan(np.delete(found[person], seen)).all()


def test_table_is_indexed_by_item_and_leaves_its_inputs_alone():
    made = simulate(OnePL(), n_persons=300, n_items=6, seed=2, missing=0.1)
    calibration = calibrate(made.responses, OnePL())
    before = made.responses.fingerprint()
    table = item_fit(made.responses, calibration)
    assert list(table.index) == list(made.responses.items)
    assert set(table["method"]) == {"incomplete"}
    assert made.responses.fingerprint() == before


def test_flipped_answers_of_an_item_are_found():
    made = simulate(TwoPL(), n_persons=1500, n_items=12, seed=4)
    codes = made.responses.dense().copy()
    able = made.theta > 0.3
    codes[able, 6] = 1 - codes[able, 6]
    responses = replace(made.responses, codes=codes)
    table = item_fit(responses, calibrate(responses, TwoPL(), method=QUICK))
    assert table["p_adjusted"].idxmin() == "i7"
    assert table.loc["i7", "p_adjusted"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_s_x2_rejects_a_true_model_at_its_level(missing):
    """200 replications x 10 items; .05 within exact limits for 2,000 dependent tests."""
    rejected = []
    for seed in range(200):
        made = simulate(TwoPL(), n_persons=500, n_items=10, seed=1000 + seed, missing=missing)
        table = item_fit(made.responses, calibrate(made.responses, TwoPL(), method=QUICK))
        rejected += list(table["p"] < 0.05)
    assert 0.03 < np.mean(rejected) < 0.073


def test_items_without_enough_groups_have_no_test():
    made = simulate(TwoPL(), n_persons=200, n_items=3, seed=1)
    table = item_fit(made.responses, calibrate(made.responses, TwoPL()))
    assert (table["df"] <= 0).all()
    assert table[["s_x2", "p", "p_adjusted", "rmsea"]].isna().all(axis=None)


def test_unknown_items_are_refused():
    made = simulate(TwoPL(), n_persons=200, n_items=5, seed=1)
    calibration = calibrate(made.responses, TwoPL())
    other = Responses.from_array(made.responses.dense(), items=["i1", "i2", "i3", "i4", "x"])
    with pytest.raises(ValueError, match="'x'"):
        item_fit(other, calibration)


def test_incomplete_statistic_equals_ten_groups_counted_by_hand():
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=6, missing=0.2)
    from irtkit.diagnostics.item_fit import _expected_by_person

    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    table = item_fit(made.responses, calibration)
    codes = made.responses.dense()
    expectation = _expected_by_person(made.responses, calibration)
    for item in range(6):
        used = np.flatnonzero(~np.isnan(expectation[:, item]))
        order = used[np.argsort(expectation[used, item], kind="stable")]
        middle = (np.arange(len(order)) + 0.5) / len(order)
        statistic = 0.0
        for group in range(10):
            rows = order[(middle >= group / 10) & (middle < (group + 1) / 10)]
            expected = expectation[rows, item]
            gap = codes[rows, item].sum() - expected.sum()
            statistic += gap**2 / (expected * (1 - expected)).sum()
        assert table["s_x2"].iloc[item] == pytest.approx(statistic, rel=1e-9)
    assert set(table["df"]) == {8}
