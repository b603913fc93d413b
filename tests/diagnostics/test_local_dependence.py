"""LD-X2, Cramer V and Q3: golden values, brute force, missing answers."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from irtkit.diagnostics import adjust, local_dependence
from irtkit.diagnostics.local_dependence import expected_pair
from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.golden import CASES, golden, golden_responses

AGREEMENT = 1e-4
QUICK = MML(standard_errors=None)


@pytest.mark.parametrize("case", CASES)
def test_ld_x2_and_q3_equal_r_mirt(case):
    known = golden(case)["twopl"]["diagnostics"]
    responses = golden_responses(case)
    table = local_dependence(responses, calibrate(responses, TwoPL()))
    first, second = np.triu_indices(responses.n_items, 1)
    statistic = np.array(known["LD"], dtype=object)
    p = np.array(known["LD_dfp"], dtype=object)
    q3 = np.array(known["Q3"], dtype=float)
    assert table["ld_x2"].to_numpy() == pytest.approx(
        statistic[second, first].astype(float), abs=AGREEMENT
    )
    assert table["cramer_v"].to_numpy() == pytest.approx(
        statistic[first, second].astype(float), abs=AGREEMENT
    )
    assert table["p"].to_numpy() == pytest.approx(p[first, second].astype(float), abs=AGREEMENT)
    assert table["q3"].to_numpy() == pytest.approx(q3[first, second], abs=AGREEMENT)


def test_ld_x2_equals_the_obvious_loop_with_missing_answers():
    made = simulate(TwoPL(), n_persons=250, n_items=5, seed=9, missing=0.25)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    table = local_dependence(made.responses, calibration)
    nodes = calibration.nodes()
    probability = np.exp(calibration.log_prob(nodes.theta))
    weights = np.exp(nodes.log_weights)
    codes = made.responses.dense()
    residual = codes - np.exp(
        calibration.log_prob(score(made.responses, calibration).theta)[:, :, 1]
    )
    for i, j in itertools.combinations(range(5), 2):
        both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
        statistic = 0.0
        for k, m in itertools.product([0, 1], repeat=2):
            observed = ((codes[both, i] == k) & (codes[both, j] == m)).sum()
            expected = both.sum() * (probability[:, i, k] * probability[:, j, m]) @ weights
            statistic += (observed - expected) ** 2 / expected
        row = table.loc[(f"i{i + 1}", f"i{j + 1}")]
        assert row["ld_x2"] == pytest.approx(statistic, rel=1e-9)
        assert row["p"] == pytest.approx(chi2.sf(statistic, 1), rel=1e-9)
        assert abs(row["cramer_v"]) == pytest.approx(np.sqrt(statistic / both.sum()), rel=1e-9)
        pair = np.corrcoef(residual[both, i], residual[both, j])[0, 1]
        assert row["q3"] == pytest.approx(pair, abs=1e-9)
    assert table["q3_adjusted"].mean() == pytest.approx(0.0, abs=1e-12)


def test_expected_pairs_equal_the_sum_over_nodes():
    made = simulate(TwoPL(), n_persons=100, n_items=4, seed=1)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    nodes = calibration.nodes()
    right = np.exp(calibration.log_prob(nodes.theta)[:, :, 1])
    both, one = expected_pair(calibration)
    weights = np.exp(nodes.log_weights)
    assert both[1, 3] == pytest.approx((right[:, 1] * right[:, 3] * weights).sum(), rel=1e-12)
    assert one[2] == pytest.approx((right[:, 2] * weights).sum(), rel=1e-12)


def test_planted_dependence_is_the_first_pair_with_a_positive_v():
    made = simulate(TwoPL(), n_persons=1000, n_items=10, seed=3)
    rng = np.random.default_rng(3)
    codes = made.responses.dense().copy()
    copied = rng.random(1000) < 0.4
    codes[copied, 7] = codes[copied, 2]
    responses = replace(made.responses, codes=codes)
    table = local_dependence(responses, calibrate(responses, TwoPL(), method=QUICK))
    assert table["p_adjusted"].idxmin() == ("i3", "i8")
    assert table.loc[("i3", "i8"), "cramer_v"] > 0.1
    assert table["q3"].idxmax() == ("i3", "i8")


def test_pair_that_nobody_answered_both_of_is_unknown_not_zero():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=3)
    codes = made.responses.dense().copy()
    codes[:150, 0], codes[150:, 1] = -1, -1
    responses = replace(made.responses, codes=codes)
    table = local_dependence(responses, calibrate(responses, TwoPL(), method=QUICK))
    empty = table.loc[("i1", "i2")]
    assert empty.isna().all()
    assert table.drop(index=[("i1", "i2")]).notna().all(axis=None)


def test_more_pairs_than_memory_holds_are_refused_before_the_work(monkeypatch):
    module = sys.modules["irtkit.diagnostics.local_dependence"]
    monkeypatch.setattr(module, "MOST_ITEMS", 5)
    made = simulate(TwoPL(), n_persons=100, n_items=6, seed=1)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    with pytest.raises(ModelError, match=r"6 items have 15 pairs, a table of about .* GiB"):
        local_dependence(made.responses, calibration)


def test_holm_and_benjamini_hochberg_equal_their_definitions():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    assert adjust(p)[[0, 1, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(adjust(p)[2])
    assert adjust(p, "benjamini-hochberg")[[0, 1, 3, 4]] == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjust(p, "none")[0] == 0.01
    with pytest.raises(ModelError, match="bonferroni"):
        adjust(p, "bonferroni")


def test_inputs_with_one_pair_only_have_one_row():
    answers = np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 1]])
    from irtkit.models import Rasch

    responses = Responses.from_array(answers)
    assert len(local_dependence(responses, calibrate(responses, Rasch()))) == 1
