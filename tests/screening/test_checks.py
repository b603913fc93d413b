"""What to think of a screening: order robustness, controls, confirmation, before and after."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.models import OnePL, TwoPL
from irtkit.responses import Responses
from irtkit.screening import (
    Communality,
    Decision,
    ItemFit,
    ItemStates,
    PairDependence,
    before_and_after,
    confirm,
    order_robustness,
    screen,
    screening_controls,
    shuffled,
)
from irtkit.simulate import simulate

QUICK = MML(standard_errors=None)
RULES = (ItemStates(), Communality(0.1), ItemFit(), PairDependence())


@pytest.fixture(scope="module")
def answers():
    """800 x 14 of even slopes; i5 is noise, i9 copies half of i8."""
    made = simulate(OnePL(), n_persons=800, n_items=14, seed=11)
    rng = np.random.default_rng(1)
    codes = made.responses.dense().copy()
    codes[:, 4] = rng.integers(0, 2, 800)
    copied = rng.random(800) < 0.5
    codes[copied, 8] = codes[copied, 7]
    return replace(made.responses, codes=codes)


@pytest.fixture(scope="module")
def robust(answers):
    return order_robustness(answers, TwoPL(), RULES, n_pairs=5, seed=2, method=QUICK)


def test_noise_is_seldom_kept_and_sound_items_often(robust):
    table = robust.items
    assert table.loc["i5", "retention"] <= 0.2
    assert not table.loc["i5", "kept"]
    sound = table.drop(["i5", "i8", "i9"])
    assert sound["retention"].mean() > 0.8
    assert ((table["retention"] >= 0) & (table["retention"] <= 1)).all()


def test_dependent_items_form_a_cluster_of_which_one_is_kept(robust):
    number = robust.items.loc["i8", "cluster"]
    assert number > 0
    assert robust.items.loc["i9", "cluster"] == number
    cluster = robust.clusters.loc[number]
    assert {"i8", "i9"} <= set(cluster["items"].split())
    assert cluster["representative"] in cluster["items"].split()
    assert cluster["retention"] >= cluster["representative_retention"]
    assert cluster["retention"] > 0.8


def test_overlap_compares_the_halves_of_each_pair(robust):
    assert list(robust.overlap.index) == [1, 2, 3, 4, 5]
    assert (robust.overlap["jaccard"] > 0.4).all()
    assert (robust.overlap.filter(like="jaccard") <= 1).all(axis=None)


def test_thetas_of_reference_patterns_move_little_and_keep_their_order(robust):
    table = robust.theta
    assert table["theta"].corr(pd.Series(table.index, table.index)) > 0.9
    assert (table["lowest"] <= table["mean"]).all()
    assert (table["mean"] <= table["highest"]).all()
    assert (table["mean"] - table["theta"]).abs().max() < 0.6


def test_halves_are_complementary_and_follow_their_seed(answers):
    from irtkit.screening.robustness import _tasks

    tasks = _tasks(answers, 3, np.random.default_rng(1))
    for first, second in zip(tasks[0::2], tasks[1::2], strict=True):
        assert sorted([*first[0], *second[0]]) == list(range(800))
    orders = {tuple(order) for _, order in tasks}
    assert len(orders) == 6
    again = order_robustness(answers, TwoPL(), RULES, n_pairs=2, seed=2, method=QUICK)
    once = order_robustness(answers, TwoPL(), RULES, n_pairs=2, seed=2, method=QUICK)
    assert again.items.equals(once.items)


def test_decisions_hold_in_every_half(answers):
    keep = [Decision("i5", "keep", "wanted"), Decision("i1", "drop", "unwanted")]
    table = order_robustness(
        answers, TwoPL(), RULES, n_pairs=1, seed=2, method=QUICK, decisions=keep
    ).items
    assert table.loc["i5", "retention"] == 1.0
    assert table.loc["i1", "retention"] == 0.0


def test_too_few_persons_are_not_halved():
    few = simulate(TwoPL(), n_persons=30, n_items=6, seed=1).responses
    with pytest.raises(ModelError, match="too few to halve"):
        order_robustness(few, TwoPL(), RULES)


@pytest.mark.parametrize("sparse", [False, True])
def test_shuffling_keeps_items_shares_and_persons_cells(sparse):
    made = simulate(TwoPL(), n_persons=200, n_items=6, seed=1, missing=0.4).responses
    if sparse:
        made = replace(made, codes=sp.csr_array((made.dense() + 1).astype(np.int8)))
    mixed = shuffled(made, seed=3)
    before, after = made.dense(), mixed.dense()
    assert np.array_equal(before < 0, after < 0)
    assert np.array_equal((before == 1).sum(axis=0), (after == 1).sum(axis=0))
    assert not np.array_equal(before, after)


def test_controls_keep_nothing_of_noise_and_all_of_the_models_answers(answers):
    told = []
    table = screening_controls(
        answers, TwoPL(), RULES, n_draws=2, method=QUICK, progress=lambda *n: told.append(n)
    )
    assert (table.loc["shuffled", "share_kept"] <= 0.05).all()
    assert (table.loc["simulated", "share_kept"] >= 0.8).all()
    assert told[-1] == (4, 4)


def test_kept_items_fit_on_the_other_half(answers):
    table = confirm(answers, TwoPL(), RULES, method=QUICK)
    assert list(table.index) == [1, 2]
    assert (table["n_kept"] >= 8).all()
    assert (table["n_misfit"] <= 1).all()
    assert (table["share_misfit"] < 0.3).all()
    assert table["slope_correlation"].between(-1, 1).all()  # the slopes are equal in truth
    assert (table["m2_p"] > 1e-4).all()


def test_confirmation_says_when_nothing_was_kept():
    noise = Responses.from_array(np.random.default_rng(1).integers(0, 2, (400, 8)))
    table = confirm(noise, TwoPL(), RULES, method=QUICK)
    assert (table["n_kept"] == 0).all()
    assert table["remark"].str.startswith("Screening left").all()


def test_before_and_after_tell_what_the_screening_cost(answers):
    result = screen(answers, TwoPL(), RULES, method=QUICK)
    table = before_and_after(answers, result)
    assert table["n_items"].tolist() == [14, len(result.kept)]
    assert table.loc["before", "information_highest"] > 0
    assert (table["theta_floor"] < table["theta_ceiling"]).all()
    kept = result.responses.dense()
    assert table.loc["after", "share_ceiling"] == pytest.approx((kept == 1).all(axis=1).mean())
    from irtkit.scoring import reliability

    whole = calibrate(answers, TwoPL(), method=QUICK)
    assert table.loc["before", "reliability_marginal"] == pytest.approx(
        reliability(whole).marginal, abs=1e-6
    )
