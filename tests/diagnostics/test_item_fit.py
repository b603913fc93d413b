"""The table of item fit: golden values, missing answers, contracts, false alarms."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from irtkit.diagnostics import given_sum, item_fit, summed_score_fit
from irtkit.diagnostics.residuals import item_mean_squares
from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.models import Assignment, Graded, OnePL, PartialCredit, Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import answers, item_parameters, simulate
from tests.diagnostics.calibrations import given, r_calibration, true_calibration
from tests.golden import golden, golden_responses

STATISTIC = 1e-9  # relative, R's own parameters fed in
P_VALUE = 1e-9
ESTIMATED = 1e-4  # relative, both sides having estimated the parameters
SAME = 1e-9  # sums in another order
QUICK = MML(standard_errors=None)
COLUMNS = ["s_x2", "df", "p", "p_adjusted", "rmsea", "infit", "outfit", "infit_z", "outfit_z"]
COLUMNS += ["n_answered", "method"]


@pytest.mark.parametrize(
    ("case", "block"),
    [
        ("LSAT6", "twopl"),
        ("LSAT6", "rasch"),
        ("sim2k20", "twopl"),
        ("sim2k20", "rasch"),
        ("sim2k20_ld", "twopl"),
        ("graded1500", "graded"),
        ("graded1500", "gpcm"),
    ],
)
def test_s_x2_equals_r_mirt(case, block):
    known = golden(case)[block]
    table = item_fit(golden_responses(case), r_calibration(known, block))
    statistic = known["diagnostics"]["S_X2"]
    assert table["s_x2"].to_numpy() == pytest.approx(statistic["S_X2"], rel=STATISTIC)
    assert table["df"].tolist() == statistic["df.S_X2"]
    assert table["p"].to_numpy() == pytest.approx(statistic["p.S_X2"], abs=P_VALUE)
    assert table["rmsea"].to_numpy() == pytest.approx(statistic["RMSEA.S_X2"], abs=P_VALUE)
    assert set(table["method"]) == {"complete"}


@pytest.mark.parametrize(("case", "model"), [("LSAT6", TwoPL()), ("sim2k20", Rasch())])
def test_s_x2_after_our_own_calibration_equals_r_mirt(case, model):
    block = "rasch" if isinstance(model, Rasch) else "twopl"
    known = golden(case)[block]["diagnostics"]["S_X2"]
    responses = golden_responses(case)
    table = item_fit(responses, calibrate(responses, model, method=QUICK))
    assert table["s_x2"].to_numpy() == pytest.approx(known["S_X2"], rel=ESTIMATED)
    assert table["df"].tolist() == known["df.S_X2"]


def test_r_mirt_reports_no_s_x2_of_partial_credit_so_its_parameters_are_counted_by_hand():
    block = golden("graded1500")["Rasch"]
    responses = golden_responses("graded1500")
    calibration = r_calibration(block, "Rasch")
    lost = (
        item_fit(responses, calibration, held_out=True)["df"]
        - item_fit(responses, calibration)["df"]
    )
    assert set(lost) == {5}  # four steps and the latent variance


def test_columns_are_those_that_are_promised():
    made = simulate(TwoPL(), n_persons=100, n_items=6, seed=1)
    calibration = true_calibration(made)
    table = item_fit(made.responses, calibration)
    assert list(table.columns) == COLUMNS
    assert table.index.name == "item"
    squares = item_mean_squares(
        made.responses, calibration, score(made.responses, calibration).theta
    )
    for name in ("infit", "outfit", "infit_z", "outfit_z"):
        assert table[name].to_numpy() == pytest.approx(getattr(squares, name), rel=SAME)
    assert (table["n_answered"] == 100).all()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_held_out_answers_lose_no_degrees_of_freedom(missing):
    made = simulate(TwoPL(), n_persons=500, n_items=8, seed=2, missing=missing)
    calibration = true_calibration(made)
    own = item_fit(made.responses, calibration)
    other = item_fit(made.responses, calibration, held_out=True)
    assert (other["df"] - own["df"] == 2).all()
    assert other["s_x2"].to_numpy() == pytest.approx(own["s_x2"].to_numpy(), rel=SAME)
    assert (other["p"] > own["p"]).all()


def mixed(n_persons, seed, missing=0.0):
    """Simulate right-or-wrong, three-category and five-category items together."""
    rng = np.random.default_rng(seed)
    kinds = [(TwoPL(), 2), (Graded(), 5), (PartialCredit(), 3)]
    assignment = Assignment.of([m for m, _ in kinds for _ in range(3)], np.repeat([2, 5, 3], 3))
    parameters = np.full((9, 5), np.nan)
    for number, (model, size) in enumerate(kinds):
        drawn = item_parameters(model, 3, size, rng)
        parameters[3 * number : 3 * number + 3, : drawn.shape[1]] = drawn
    codes = answers(assignment, parameters, rng.normal(size=n_persons), rng)
    codes[rng.random(codes.shape) < missing] = -1
    calibration = given(assignment, parameters)
    responses = Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(n_persons)),
        items=calibration.items,
        categories=calibration.categories,
    )
    return responses, calibration


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_permuting_persons_or_items_permutes_the_table(missing):
    responses, calibration = mixed(400, seed=3, missing=missing)
    table = item_fit(responses, calibration)
    rng = np.random.default_rng(0)
    persons = responses.select_persons(rng.permutation(400))
    items = responses.select_items([calibration.items[i] for i in rng.permutation(9)])
    for other in (persons, items):
        again = item_fit(other, calibration).loc[table.index]
        pd.testing.assert_frame_equal(again, table, rtol=SAME)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_weights_count_as_repeated_persons(missing):
    responses, calibration = mixed(150, seed=4, missing=missing)
    times = np.random.default_rng(1).integers(1, 4, 150)
    weighted = replace(responses, weights=times.astype(float))
    repeated = replace(
        responses,
        codes=np.repeat(responses.codes, times, axis=0),
        persons=tuple(f"p{number}" for number in range(times.sum())),
        weights=np.ones(times.sum()),
    )
    pd.testing.assert_frame_equal(
        item_fit(weighted, calibration), item_fit(repeated, calibration), rtol=SAME
    )


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_sparse_answers_give_the_table_of_dense_ones(missing):
    responses, calibration = mixed(200, seed=5, missing=missing)
    sparse = replace(responses, codes=sp.csr_array(responses.codes + np.int8(1)))
    pd.testing.assert_frame_equal(
        item_fit(sparse, calibration), item_fit(responses, calibration), rtol=SAME
    )


def test_two_categories_of_the_graded_model_fit_like_the_two_parameter_model():
    made = simulate(TwoPL(), n_persons=300, n_items=7, seed=6)
    calibration = true_calibration(made)
    graded = replace(calibration, assignment=Assignment.of([Graded()] * 7, [2] * 7))
    pd.testing.assert_frame_equal(
        item_fit(made.responses, graded), item_fit(made.responses, calibration), rtol=SAME
    )


@pytest.mark.parametrize("size", [2, 4])
def test_long_tests_take_another_way_to_the_same_numbers(size, monkeypatch):
    model = TwoPL() if size == 2 else Graded()
    made = simulate(model, n_persons=200, n_items=12, seed=7, n_categories=size)
    calibration = true_calibration(made)
    table = item_fit(made.responses, calibration)
    monkeypatch.setattr(summed_score_fit, "LONG", 0)
    for longest_pass in (given_sum.LONG, 0):
        monkeypatch.setattr(given_sum, "LONG", longest_pass)
        again = item_fit(made.responses, calibration)
        pd.testing.assert_frame_equal(again, table, rtol=1e-7)


def test_one_missing_answer_changes_the_method_but_hardly_the_verdict():
    made = simulate(TwoPL(), n_persons=2000, n_items=15, seed=8)
    calibration = true_calibration(made)
    codes = made.responses.dense().copy()
    codes[0, 0] = -1
    table = item_fit(replace(made.responses, codes=codes), calibration, held_out=True)
    assert set(table["method"]) == {"incomplete"}
    assert table["n_answered"].tolist() == [1999.0] + [2000.0] * 14
    assert table["p"].min() > 0.001


def test_table_is_indexed_by_item_and_leaves_its_inputs_alone():
    made = simulate(OnePL(), n_persons=300, n_items=6, seed=2, missing=0.1)
    calibration = calibrate(made.responses, OnePL())
    before, parameters = made.responses.fingerprint(), calibration.parameters.copy()
    table = item_fit(made.responses, calibration)
    assert list(table.index) == list(made.responses.items)
    assert set(table["method"]) == {"incomplete"}
    assert made.responses.fingerprint() == before
    assert np.array_equal(calibration.parameters, parameters)


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("model", [TwoPL(), Graded()])
def test_flipped_answers_of_the_able_are_found(model, missing):
    made = simulate(model, n_persons=3000, n_items=12, seed=10, missing=missing)
    codes = made.responses.dense().copy()
    able = (made.theta > 0.3) & (codes[:, 2] >= 0)
    codes[able, 2] = made.responses.n_categories - 1 - codes[able, 2]
    responses = replace(made.responses, codes=codes)
    table = item_fit(responses, calibrate(responses, model, method=QUICK))
    assert table["p_adjusted"].idxmin() == "i3"
    assert table.loc["i3", "p_adjusted"] < 0.01


def test_items_without_enough_groups_have_no_test():
    made = simulate(TwoPL(), n_persons=200, n_items=3, seed=1)
    table = item_fit(made.responses, true_calibration(made))
    assert (table["df"] <= 0).all()
    assert table[["s_x2", "p", "p_adjusted", "rmsea"]].isna().all(axis=None)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_perfect_scores_alone_leave_nothing_to_test(missing, held_out):
    made = simulate(TwoPL(), n_persons=50, n_items=6, seed=1)
    codes = np.repeat([[0], [1]], 25, axis=0).repeat(6, axis=1).astype(np.int8)
    if missing:
        codes[3, 2] = -1
    table = item_fit(
        replace(made.responses, codes=codes), true_calibration(made), held_out=held_out
    )
    assert table[["s_x2", "p", "p_adjusted", "rmsea"]].isna().all(axis=None)
    assert (table["df"] == (0 if held_out else -2)).all()


def test_a_handful_of_persons_is_too_small_a_group_even_if_held_out():
    made = simulate(TwoPL(), n_persons=2, n_items=6, seed=1)
    table = item_fit(made.responses, true_calibration(made), held_out=True)
    assert (table["df"] == 0).all()
    assert table["p"].isna().all()


def test_an_item_with_more_points_than_all_others_together_is_tested():
    """No score leaves it all of its five categories."""
    rng = np.random.default_rng(2)
    assignment = Assignment.of([Graded(), TwoPL(), TwoPL()], [5, 2, 2])
    parameters = np.full((3, 5), np.nan)
    parameters[0] = item_parameters(Graded(), 1, 5, rng)
    parameters[1:, :2] = item_parameters(TwoPL(), 2, 2, rng)
    calibration = given(assignment, parameters)
    codes = answers(assignment, parameters, rng.normal(size=2000), rng)
    responses = Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(2000)),
        items=calibration.items,
        categories=calibration.categories,
    )
    table = item_fit(responses, calibration, held_out=True)
    # sums 1 to 5 leave 2, 3, 3, 3 and 2 categories
    assert table["df"].tolist() == [8, 5, 5]
    assert (table["p"] > 0.01).all()


def test_an_item_that_nobody_answered_has_no_test():
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=1, missing=0.1)
    codes = made.responses.dense().copy()
    codes[:, 4] = -1
    table = item_fit(replace(made.responses, codes=codes), true_calibration(made))
    assert table.loc["i5", ["s_x2", "p", "p_adjusted", "rmsea", "infit"]].isna().all()
    assert table.loc["i5", "n_answered"] == 0
    assert table["s_x2"].drop("i5").notna().all()


def test_persons_without_answers_or_with_one_say_nothing():
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=1, missing=0.2)
    codes = made.responses.dense().copy()
    few = np.full((2, 6), -1, dtype=np.int8)
    few[1, 3] = 1
    more = Responses.from_array(np.where((all_of := np.vstack([codes, few])) < 0, np.nan, all_of))
    calibration = true_calibration(made)
    with_them, without = item_fit(more, calibration), item_fit(made.responses, calibration)
    assert with_them["s_x2"].to_numpy() == pytest.approx(without["s_x2"].to_numpy(), rel=SAME)


@pytest.mark.parametrize("missing", [False, True])
def test_sums_that_are_all_but_impossible_are_left_out(missing):
    """Wrong on nearly all of 250 items that everybody solves."""
    n_items = 250
    assignment = Assignment.of([TwoPL()] * n_items, [2] * n_items)
    parameters = np.tile([4.0, 30.0], (n_items, 1))
    calibration = given(assignment, parameters)
    rng = np.random.default_rng(0)
    codes = np.ones((40, n_items), dtype=np.int8)
    codes[np.arange(40), rng.integers(0, n_items, 40)] = 0
    codes[:3] = 0
    codes[:3, 0] = 1
    if missing:
        codes[5, 7] = -1
    responses = Responses.from_array(np.where(codes < 0, np.nan, codes))
    table = item_fit(responses, calibration, held_out=True)
    assert (table["df"] <= 1).all()
    assert not np.isinf(table["s_x2"]).any()


def test_unknown_items_are_refused():
    made = simulate(TwoPL(), n_persons=200, n_items=5, seed=1)
    calibration = true_calibration(made)
    other = Responses.from_array(made.responses.dense(), items=["i1", "i2", "i3", "i4", "x"])
    with pytest.raises(ModelError, match="'x'"):
        item_fit(other, calibration)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_more_answers_than_memory_is_planned_for_are_refused_with_a_remedy(missing, monkeypatch):
    monkeypatch.setattr(given_sum, "MOST_CELLS", 250)
    monkeypatch.setattr(summed_score_fit, "LONG", 0)
    made = simulate(TwoPL(), n_persons=60, n_items=20, seed=1, missing=missing)
    with pytest.raises(ModelError, match=r"select_persons\(slice\(None, None, [2-4]\)\)"):
        item_fit(made.responses, true_calibration(made))


def test_sparse_answers_are_never_made_dense(monkeypatch):
    made = simulate(TwoPL(), n_persons=3000, n_items=20000, seed=1, missing=0.9995)
    assert sp.issparse(made.responses.codes)

    def refuse(*_):
        raise AssertionError("made dense")

    for name in ("dense", "blocks"):
        monkeypatch.setattr(Responses, name, refuse)
    table = item_fit(made.responses, true_calibration(made), held_out=True)
    assert len(table) == 20000


REPLICATIONS = 200
LIMITS = (0.03, 0.073)  # .05 within exact 99.9% limits of 1,000 independent tests


def rejections(model, n_persons, n_items, missing=0.0, n_categories=None):
    """Share of the items of true models that are rejected at .05."""
    rejected = []
    for seed in range(REPLICATIONS):
        made = simulate(
            model,
            n_persons=n_persons,
            n_items=n_items,
            seed=1000 + seed,
            missing=missing,
            n_categories=n_categories,
        )
        table = item_fit(made.responses, calibrate(made.responses, model, method=QUICK))
        rejected.append((table["p"] < 0.05)[table["p"].notna()])
    return np.concatenate(rejected).mean()


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_s_x2_rejects_a_true_model_at_its_level(missing):
    low, high = LIMITS
    assert low < rejections(TwoPL(), 500, 10, missing) < high


@pytest.mark.slow
def test_s_x2_of_mostly_missing_answers_rejects_a_true_model_at_its_level():
    low, high = LIMITS
    assert low < rejections(TwoPL(), 1000, 40, missing=0.8) < high


@pytest.mark.slow
@pytest.mark.parametrize(("n_persons", "missing"), [(600, 0.0), (1000, 0.0), (600, 0.3)])
def test_s_x2_of_graded_items_rejects_a_true_model_at_its_level(n_persons, missing):
    low, high = LIMITS
    assert low < rejections(Graded(), n_persons, 6, missing, n_categories=4) < high


def test_all_patterns_of_a_short_test_fit_perfectly_when_weighted_by_their_chance():
    """Observed equals expected in every cell, so that S-X2 is zero."""
    made = simulate(Graded(), n_persons=1, n_items=4, seed=3, n_categories=3)
    calibration = true_calibration(made)
    patterns = np.array(list(itertools.product(range(3), repeat=4)), dtype=np.int8)
    nodes = calibration.nodes()
    chance = np.exp(calibration.log_prob(nodes.theta))  # (Q, I, K)
    joint = np.ones((len(nodes.theta), len(patterns)))
    for item in range(4):
        joint *= chance[:, item, patterns[:, item]]
    weights = 10_000.0 * np.exp(nodes.log_weights) @ joint
    responses = replace(
        made.responses,
        codes=patterns,
        persons=tuple(f"p{number}" for number in range(len(patterns))),
        weights=weights,
    )
    table = item_fit(responses, calibration, held_out=True)
    assert weights.sum() == pytest.approx(10_000.0, rel=1e-12)
    assert table["s_x2"].to_numpy() == pytest.approx(np.zeros(4), abs=1e-15)
    assert (table["df"] > 4).all()
    part = patterns.copy()
    part[:, 0] = -1
    both = replace(
        responses,
        codes=np.vstack([patterns, part]),
        persons=tuple(f"p{number}" for number in range(2 * len(patterns))),
        weights=np.concatenate([weights, weights]),
    )
    table = item_fit(both, calibration, held_out=True)
    assert set(table["method"]) == {"incomplete"}
    assert table["s_x2"].to_numpy() == pytest.approx(np.zeros(4), abs=1e-15)
    assert (table["df"] > 4).all()
