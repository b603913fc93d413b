"""X2, G2, PV-Q1 and item curves: R's values, the loop of the definition, weights, null rates."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binomtest

from irtkit.diagnostics.ability_groups import grouped_fit, groups, intervals, item_curves
from irtkit.errors import ModelError, ResponseError
from irtkit.estimation import MML, calibrate
from irtkit.models import Assignment, OnePL, PartialCredit, Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.diagnostics.calibrations import given, r_calibration, true_calibration
from tests.diagnostics.test_residuals import mixed, sparse
from tests.golden import golden, golden_responses

SAME_AS_R = 1e-6
EXACT = 1e-9
QUICK = MML(standard_errors=None)
COLUMNS = ["statistic", "df", "p", "p_adjusted", "rmsea", "n_groups", "method"]

UNTIED = [
    ("LSAT6", "twopl"),
    ("sim2k20", "twopl"),
    ("sim2k20_ld", "twopl"),
    ("sim2k20_na30", "twopl"),
    ("sim2k20_na30", "rasch"),
    ("graded1500", "graded"),
    ("graded1500", "gpcm"),
]
TIED = [("LSAT6", "rasch"), ("sim2k20", "rasch")]


@pytest.mark.parametrize(("case", "model"), UNTIED)
@pytest.mark.parametrize("statistic", ["x2", "g2"])
def test_x2_and_g2_are_r_mirts(case, model, statistic):
    block = golden(case)[model]
    name = statistic.upper()
    known = {key: values for key, values in block["diagnostics"][name].items() if key != "item"}
    known = {key: np.array(values, dtype=float) for key, values in known.items()}
    responses = golden_responses(case)
    table = grouped_fit(responses, r_calibration(block, model), statistic=statistic)
    assert table["statistic"].to_numpy() == pytest.approx(known[name], rel=SAME_AS_R)
    assert table["df"].tolist() == known[f"df.{name}"].tolist()
    assert table["p"].to_numpy() == pytest.approx(known[f"p.{name}"], abs=SAME_AS_R)
    answered = (responses.dense() >= 0).sum(axis=0)
    scale = np.sqrt((answered - 1) / (responses.n_persons - 1))  # R divides by all persons
    assert table["rmsea"].to_numpy() * scale == pytest.approx(known[f"RMSEA.{name}"], abs=1e-6)
    assert set(table["n_groups"]) == {10}


@pytest.mark.parametrize(("case", "model"), TIED)
def test_persons_of_equal_ability_are_in_the_order_of_the_rows(case, model):
    # under the Rasch model everybody with the same sum is tied, and R breaks ties by the rounding
    # errors of its abilities: the degrees of freedom agree, the statistics cannot
    block = golden(case)[model]
    responses, calibration = golden_responses(case), r_calibration(block, model)
    table = grouped_fit(responses, calibration)
    assert table["df"].tolist() == block["diagnostics"]["X2"]["df.X2"]
    theta = score(responses, calibration).theta
    order = np.argsort(np.round(theta, 9), kind="stable")
    sorted_first = grouped_fit(responses.select_persons(order), calibration)
    assert sorted_first["statistic"].to_numpy() == pytest.approx(table["statistic"], rel=EXACT)


def test_rounding_errors_of_abilities_order_nobody():
    made = simulate(Rasch(), n_persons=200, n_items=5, seed=3)
    calibration = true_calibration(made)
    theta = score(made.responses, calibration).theta
    noisy = theta + 1e-13 * np.random.default_rng(1).normal(size=200)
    plain, found = (groups(made.responses, calibration, each, 10) for each in (theta, noisy))
    assert np.array_equal(found.observed, plain.observed)


@pytest.mark.parametrize(("case", "model"), [*UNTIED, *TIED])
def test_pv_q1_is_near_r_mirts(case, model):
    block = golden(case)[model]
    table = grouped_fit(
        golden_responses(case), r_calibration(block, model), statistic="pv_q1", n_draws=100
    )
    known = block["diagnostics"]["PV_Q1"]
    assert table["df"].tolist() == known["df.PV_Q1"]
    ratio = table["statistic"].to_numpy() / np.array(known["PV_Q1"])
    assert ratio.mean() == pytest.approx(1.0, abs=0.12)  # R averages 30 draws
    assert (np.abs(np.log(ratio)) < 0.5).mean() >= 0.9  # a nearly empty cell may outweigh all


def by_loop(responses, calibration, n_groups):
    """X2, G2 and their df for complete or incomplete answers of weight one."""
    theta = score(responses, calibration).theta
    codes = responses.dense()
    rows = []
    for item in range(responses.n_items):
        size = int(calibration.assignment.n_categories[item])
        people = [person for person in range(len(codes)) if codes[person, item] >= 0]
        people.sort(key=lambda person: round(theta[person], 9))
        width, rest = divmod(len(people), n_groups)
        starts = [0, *(rest // 2 + width * np.arange(1, n_groups)), len(people)]
        x2 = g2 = 0.0
        empty = 0
        for start, stop in pairwise(starts):
            group = people[start:stop]
            log_prob = calibration.log_prob(np.array([np.mean(theta[group])]))[0, item]
            for code in range(size):
                found = sum(codes[person, item] == code for person in group)
                expected = len(group) * np.exp(log_prob[code])
                x2 += (found - expected) ** 2 / expected
                if found:
                    g2 += 2 * found * np.log(found / expected)
                empty += found == 0
        model = calibration.assignment.models[item]
        free = len(model.parameter_names(size)) - (model.slope_rule.value != "free")
        rows.append([x2, g2, n_groups * (size - 1) - free, empty])
    return np.array(rows).T


@pytest.mark.parametrize("missing", [0.0, 0.25])
@pytest.mark.parametrize("n_groups", [3, 10])
def test_statistics_are_those_of_the_definition(missing, n_groups):
    responses, calibration, _ = mixed(n_persons=403, missing=missing)
    x2, g2, df, empty = by_loop(responses, calibration, n_groups)
    for answered in (responses, sparse(responses)):
        table = grouped_fit(answered, calibration, n_groups=n_groups)
        assert table["statistic"].to_numpy() == pytest.approx(x2, rel=EXACT)
        assert table["df"].tolist() == df.tolist()
        table = grouped_fit(answered, calibration, n_groups=n_groups, statistic="g2")
        assert table["statistic"].to_numpy() == pytest.approx(g2, rel=EXACT)
        assert table["df"].tolist() == (df - empty).tolist()


@pytest.mark.parametrize(
    ("n", "n_groups", "sizes"),
    [
        (1418, 10, [145, *[141] * 8, 145]),
        (1391, 10, [*[139] * 9, 140]),
        (1405, 10, [142, *[140] * 8, 143]),
        (20, 5, [4] * 5),
        (3, 5, [1, 1, 1, 0, 0]),
    ],
)
def test_groups_are_equal_but_for_the_rest_at_the_ends(n, n_groups, sizes):
    row, group, weight = intervals(np.ones(n), n_groups)
    assert row.tolist() == list(range(n))
    assert weight.tolist() == [1.0] * n
    assert np.bincount(group, minlength=n_groups).tolist() == sizes
    assert (np.diff(group) >= 0).all()


def test_a_heavy_row_is_shared_by_the_groups_that_it_spans():
    row, group, weight = intervals(np.array([1.0, 7.0, 2.0]), 5)
    assert row.tolist() == [0, 1, 1, 1, 1, 2]
    assert group.tolist() == [0, 0, 1, 2, 3, 4]
    assert weight.tolist() == [1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    _, group, weight = intervals(np.array([0.7, 2.0, 1.3, 0.5]), 2)  # parts of persons
    assert np.bincount(group, weight).tolist() == pytest.approx([2.0, 2.5])


@pytest.mark.parametrize("statistic", ["x2", "g2"])
def test_a_weight_of_three_is_three_persons(statistic):
    responses, calibration, _ = mixed(n_persons=200)
    weights = np.random.default_rng(3).integers(1, 4, 200)
    rows = np.repeat(np.arange(200), weights)
    copies = Responses(
        responses.dense()[rows],
        tuple(map(str, range(len(rows)))),
        responses.items,
        responses.categories,
    )
    heavy = replace(responses, weights=weights.astype(float))
    found = grouped_fit(heavy, calibration, statistic=statistic)
    copied = grouped_fit(copies, calibration, statistic=statistic)
    assert found.drop(columns="method").to_numpy(float) == pytest.approx(
        copied.drop(columns="method").to_numpy(float), rel=1e-8
    )


def test_slopes_that_are_not_an_items_own_cost_no_degree_of_freedom():
    for model, expected in ((TwoPL(), 8), (OnePL(), 9), (Rasch(), 9), (PartialCredit(), 40 - 4)):
        made = simulate(model, n_persons=300, n_items=5, seed=1)
        assert set(grouped_fit(made.responses, true_calibration(made))["df"]) == {expected}


def test_table_is_indexed_by_item_and_leaves_its_inputs_alone():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=2, missing=0.1)
    before = made.responses.fingerprint()
    calibration = true_calibration(made)
    for statistic in ("x2", "g2", "pv_q1"):
        table = grouped_fit(made.responses, calibration, statistic=statistic, adjustment="none")
        assert list(table.columns) == COLUMNS
        assert table.index.name == "item"
        assert table.index.tolist() == list(made.responses.items)
        assert table["p_adjusted"].equals(table["p"].rename("p_adjusted"))
        assert set(table["method"]) == {statistic}
    assert made.responses.fingerprint() == before


def test_plausible_values_repeat_with_their_seed():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=2)
    calibration = true_calibration(made)
    one, two, three = (
        grouped_fit(made.responses, calibration, statistic="pv_q1", n_draws=3, seed=seed)
        for seed in (1, 1, 2)
    )
    assert one.equals(two)
    assert not one.equals(three)


def test_an_item_with_too_few_answers_is_not_tested():
    made = simulate(TwoPL(), n_persons=100, n_items=5, seed=4)
    codes = made.responses.dense().copy()
    codes[:, 1] = -1
    codes[6:, 3] = -1
    responses = replace(made.responses, codes=codes)
    for answered in (responses, sparse(responses)):
        table = grouped_fit(answered, true_calibration(made))
        assert table["p"].isna().tolist() == [False, True, False, True, False]
        assert np.isnan(table["statistic"].iloc[1])
        assert table["n_groups"].tolist() == [10, 0, 10, 6, 10]
        curves = item_curves(answered, true_calibration(made))
        assert set(curves["item"]) == {"i1", "i3", "i4", "i5"}
        assert curves.notna().all(axis=None)


def test_what_cannot_be_done_is_refused():
    made = simulate(TwoPL(), n_persons=50, n_items=5, seed=4)
    calibration = true_calibration(made)
    with pytest.raises(ModelError, match="Unknown statistic 'q1'"):
        grouped_fit(made.responses, calibration, statistic="q1")
    with pytest.raises(ModelError, match="1 groups"):
        item_curves(made.responses, calibration, n_groups=1)
    with pytest.raises(ModelError, match="plausible values"):
        grouped_fit(made.responses, calibration, statistic="pv_q1", n_draws=0)
    with pytest.raises(ResponseError, match="'i9'"):
        item_curves(made.responses, calibration, items=["i9"])


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_x2_is_the_distance_of_the_curves(missing):
    responses, calibration, _ = mixed(n_persons=403, missing=missing)
    curves = item_curves(responses, calibration)
    gap = curves["n"] * (curves["observed"] - curves["expected"]) ** 2 / curves["expected"]
    x2 = gap.groupby(curves["item"]).sum()
    table = grouped_fit(responses, calibration)
    assert x2[table.index].to_numpy() == pytest.approx(table["statistic"].to_numpy(), rel=EXACT)


def test_curves_are_shares_with_wilsons_interval():
    responses, calibration, _ = mixed(n_persons=403)
    curves = item_curves(responses, calibration)
    columns = ["item", "group", "category", "theta", "n", "observed", "expected", "low", "high"]
    assert list(curves.columns) == columns
    sums = curves.groupby(["item", "group"])[["observed", "expected"]].sum()
    assert sums.to_numpy() == pytest.approx(1.0, abs=1e-12)
    assert (
        curves.groupby(["item", "category"])["theta"]
        .apply(lambda t: t.is_monotonic_increasing)["i1"]
        .all()
    )
    for row in curves.iloc[::7].itertuples():
        right = round(row.observed * row.n)
        exact = binomtest(right, round(row.n)).proportion_ci(0.95, method="wilson")
        assert (row.low, row.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_curves_of_some_items_are_those_among_all():
    responses, calibration, _ = mixed(n_persons=200)
    whole = item_curves(responses, calibration, n_groups=4)
    some = item_curves(responses, calibration, n_groups=4, items=["i5", "i2"])
    assert list(dict.fromkeys(some["item"])) == ["i5", "i2"]
    for item in ("i2", "i5"):
        one = some[some["item"] == item].reset_index(drop=True)
        other = whole[whole["item"] == item].reset_index(drop=True)
        assert one.equals(other)


@pytest.mark.slow
def test_null_rejections_are_as_the_module_says():
    """On ten items X2 rejects far too often, PV-Q1 hardly ever."""
    rejected = {"x2": [], "pv_q1": []}
    for seed in range(20):
        made = simulate(TwoPL(), n_persons=1000, n_items=10, seed=seed)
        calibration = calibrate(made.responses, TwoPL(), method=QUICK)
        for statistic, found in rejected.items():
            table = grouped_fit(made.responses, calibration, statistic=statistic)
            found.extend(table["p"] < 0.05)
    assert np.mean(rejected["x2"]) > 0.3
    assert np.mean(rejected["pv_q1"]) < 0.03


@pytest.mark.slow
def test_a_folded_item_is_found_by_all_three():
    made = simulate(TwoPL(), n_persons=2000, n_items=20, seed=5)
    chance = 1 / (1 + np.exp(-1.5 * np.abs(made.theta) + 1.0))
    codes = made.responses.dense().copy()
    codes[:, 4] = np.random.default_rng(6).random(2000) < chance
    responses = replace(made.responses, codes=codes)
    calibration = calibrate(responses, TwoPL(), method=QUICK)
    for statistic in ("x2", "g2", "pv_q1"):
        table = grouped_fit(responses, calibration, statistic=statistic)
        assert table["p_adjusted"]["i5"] < 1e-6
        assert table["statistic"].idxmax() == "i5"


def test_items_of_different_sizes_may_stand_together():
    assignment = Assignment.of([TwoPL(), PartialCredit()], [2, 3])
    parameters = np.array([[1.0, 0.2, np.nan], [1.0, 0.3, -0.2]])
    codes = np.random.default_rng(1).integers(0, [2, 3], (100, 2)).astype(np.int8)
    responses = Responses(codes, tuple(map(str, range(100))), ("i1", "i2"), ("a", "b", "c"))
    calibration = replace(given(assignment, parameters), categories=responses.categories)
    curves = item_curves(responses, calibration, n_groups=4)
    assert curves.groupby("item")["category"].agg(set).to_dict() == {
        "i1": {"a", "b"},
        "i2": {"a", "b", "c"},
    }
