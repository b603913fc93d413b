"""Two models on the same items: by ability, by accuracy, with items in clusters."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from irtkit.bridge.ranking.ability_differences import abilities
from irtkit.bridge.ranking.clusters import clustered_mean, membership
from irtkit.bridge.ranking.paired import mcnemar, paired_comparison
from irtkit.diagnostics.multiplicity import adjust
from irtkit.errors import ModelError, ResponseError
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.diagnostics.calibrations import true_calibration

EXACT = 1e-10  # the same formula, summed in another order
N_ITEMS = 24


@pytest.fixture(scope="module")
def made():
    return simulate(TwoPL(), n_persons=6, n_items=N_ITEMS, seed=3, missing=0.1)


@pytest.fixture(scope="module")
def calibration(made):
    """The truth, with standard errors of the size that 100 persons give."""
    known = true_calibration(made)
    covariance = np.tile(np.array([[0.06, 0.01], [0.01, 0.05]]), (N_ITEMS, 1, 1))
    return replace(known, covariance=covariance)


@pytest.fixture(scope="module")
def passages(made):
    return {item: f"passage {place // 4}" for place, item in enumerate(made.responses.items)}


def of(codes, items):
    """Right and wrong answers, -1 where there is none."""
    persons = tuple(f"p{row}" for row in range(1, len(codes) + 1))
    return Responses(codes=codes, persons=persons, items=tuple(items), categories=("0", "1"))


def obvious(one, other, clusters):
    """Mean difference on the common items and its clustered error, by loops."""
    both = [place for place in range(len(one)) if one[place] >= 0 and other[place] >= 0]
    gaps = {place: float(one[place] - other[place]) for place in both}
    mean = sum(gaps.values()) / len(both)
    sums = {}
    for place, gap in gaps.items():
        sums[clusters[place]] = sums.get(clusters[place], 0.0) + gap - mean
    variance = sum(value**2 for value in sums.values()) / len(both) ** 2
    return mean, np.sqrt(variance * len(sums) / (len(sums) - 1)), len(sums)


@pytest.mark.parametrize("clustered", [False, True])
def test_difference_of_accuracy_is_that_of_the_obvious_loop(
    made, calibration, passages, clustered
):
    clusters = passages if clustered else None
    table = paired_comparison(made.responses, calibration, clusters=clusters)
    codes = made.responses.dense()
    own = [place // 4 if clustered else place for place in range(N_ITEMS)]
    assert len(table) == 15
    for (first, second), row in table.iterrows():
        one, other = (codes[made.responses.persons.index(name)] for name in (first, second))
        mean, error, groups = obvious(one, other, own)
        both = (one >= 0) & (other >= 0)
        half = stats.t.ppf(0.975, groups - 1) * error
        assert row["n_common"] == both.sum()
        assert row["accuracy_1"] == pytest.approx(one[both].mean(), abs=EXACT)
        assert row["accuracy_2"] == pytest.approx(other[both].mean(), abs=EXACT)
        assert row["accuracy_difference"] == pytest.approx(mean, abs=EXACT)
        assert row["accuracy_error"] == pytest.approx(error, abs=EXACT)
        assert row["accuracy_low"] == pytest.approx(mean - half, abs=EXACT)
        assert row["accuracy_high"] == pytest.approx(mean + half, abs=EXACT)
        assert row["only_1"] == ((one == 1) & (other == 0)).sum()
        assert row["only_2"] == ((one == 0) & (other == 1)).sum()
        p = stats.binomtest(int(row["only_1"]), int(row["only_1"] + row["only_2"])).pvalue
        if clustered:
            p = 2 * stats.t.sf(abs(mean / error), groups - 1)
        assert row["accuracy_p"] == pytest.approx(p, abs=EXACT)


def test_paired_interval_is_that_of_the_paired_t_test():
    made = simulate(TwoPL(), n_persons=2, n_items=60, seed=8)
    table = paired_comparison(made.responses, true_calibration(made))
    one, other = made.responses.dense().astype(float)
    found = stats.ttest_rel(one, other)
    interval = found.confidence_interval(0.95)
    assert table["accuracy_low"].iloc[0] == pytest.approx(interval.low, abs=EXACT)
    assert table["accuracy_high"].iloc[0] == pytest.approx(interval.high, abs=EXACT)


def test_mcnemar_is_the_exact_binomial_test():
    pairs = [(0, 0), (0, 1), (5, 0), (3, 9), (12, 12), (400, 350)]
    found = mcnemar(*np.array(pairs, dtype=float).T)
    expected = [stats.binomtest(a, a + b).pvalue if a + b else 1.0 for a, b in pairs]
    assert found == pytest.approx(expected, abs=EXACT)


def test_items_that_are_clusters_of_their_own_change_nothing(made, calibration):
    alone = {item: item for item in made.responses.items}
    plain = paired_comparison(made.responses, calibration)
    single = paired_comparison(made.responses, calibration, clusters=alone)
    assert single["accuracy_error"].to_numpy() == pytest.approx(
        plain["accuracy_error"].to_numpy(), abs=EXACT
    )


def test_clusters_of_equal_answers_count_as_single_items():
    values = np.random.default_rng(1).normal(size=(3, 10))
    mean, error, groups = clustered_mean(values, None)
    names = {f"{item}{copy}": f"c{item}" for item in range(10) for copy in "ab"}
    twice = clustered_mean(np.repeat(values, 2, axis=1), membership(list(names), names))
    assert twice[0] == pytest.approx(mean, abs=EXACT)
    assert twice[1] == pytest.approx(error, abs=EXACT)
    assert twice[2].tolist() == groups.tolist() == [10, 10, 10]


def test_without_draws_the_ability_difference_is_that_of_two_scores(made, calibration):
    table = paired_comparison(made.responses, calibration)
    scores = score(made.responses, calibration).table()
    for (first, second), row in table.iterrows():
        one, other = scores.loc[first], scores.loc[second]
        error = np.hypot(one["standard_error"], other["standard_error"])
        gap = one["theta"] - other["theta"]
        assert row["difference"] == pytest.approx(gap, abs=EXACT)
        assert row["standard_error"] == pytest.approx(error, abs=EXACT)
        assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(gap / error)), abs=EXACT)
        assert row["difference_high"] == pytest.approx(gap + 1.959964 * error, abs=1e-6)


def test_exchanged_models_exchange_signs(made, calibration):
    names = made.responses.persons
    there = paired_comparison(made.responses, calibration, pairs=[(names[0], names[1])])
    back = paired_comparison(made.responses, calibration, pairs=[(names[1], names[0])])
    for name in ("difference", "accuracy_difference"):
        assert there[name].iloc[0] == pytest.approx(-back[name].iloc[0], abs=EXACT)
    for name in ("standard_error", "p", "accuracy_error", "accuracy_p"):
        assert there[name].iloc[0] == pytest.approx(back[name].iloc[0], abs=EXACT)
    assert there["only_1"].iloc[0] == back["only_2"].iloc[0]


def test_drawn_items_move_equal_models_together(made, calibration):
    codes = made.responses.dense()[[0, 0, 1]]
    answers = of(codes, made.responses.items)
    known = abilities(answers, calibration, item_draws=40, clusters=None, seed=1)
    variance = known.variances(np.array([0]), np.array([1, 2]))[0]
    within = known.variance.mean(axis=0)
    assert variance[0] == pytest.approx(within[0] + within[1], abs=EXACT)
    moved = known.mean[:, 0] - known.mean[:, 2]
    assert variance[1] == pytest.approx(within[0] + within[2] + moved.var(ddof=1), abs=EXACT)
    separate = known.standard_error()[0] ** 2 + known.standard_error()[2] ** 2
    together = np.cov(known.mean[:, 0], known.mean[:, 2])[0, 1]
    assert variance[1] == pytest.approx(separate - 2 * together, abs=EXACT)


def test_clustered_error_of_an_ability_is_the_sandwich(made, calibration, passages):
    """Influence of each passage, by loops over the items of a 2PL."""
    answers = made.responses
    clusters = membership(answers.items, passages)
    known = abilities(answers, calibration, item_draws=0, clusters=clusters, seed=0)
    codes = answers.dense()
    for person in range(2):
        information, influence = 1.0, np.zeros(6)
        for place, (slope, intercept) in enumerate(calibration.parameters):
            if codes[person, place] < 0:
                continue
            chance = 1 / (1 + np.exp(-slope * known.theta[person] - intercept))
            information += slope**2 * chance * (1 - chance)
            influence[place // 4] += slope * (codes[person, place] - chance)
        expected = influence / information
        assert known.influence[person] == pytest.approx(expected, abs=EXACT)
    sandwich = ((known.influence[0] - known.influence[1]) ** 2).sum() * 6 / 5
    posterior = known.variance[0, 0] + known.variance[0, 1]
    found = known.variances(np.array([0]), np.array([1]))[0, 0]
    assert found == pytest.approx(max(sandwich, posterior), abs=EXACT)


def test_equal_answers_within_clusters_widen_the_ability_difference():
    made = simulate(TwoPL(), n_persons=2, n_items=30, seed=5)
    codes = np.repeat(made.responses.dense(), 4, axis=1)
    names = [f"i{item}-{copy}" for item in range(30) for copy in range(4)]
    answers = of(codes, names)
    calibration = true_calibration(
        replace(
            made,
            responses=answers,
            assignment=made.assignment.at([0] * 120),
            parameters=np.repeat(made.parameters, 4, axis=0),
        )
    )
    calibration = replace(calibration, items=tuple(names))
    clusters = {name: name.split("-")[0] for name in names}
    plain = paired_comparison(answers, calibration)["standard_error"].iloc[0]
    wide = paired_comparison(answers, calibration, clusters=clusters)["standard_error"].iloc[0]
    assert 1.6 < wide / plain < 2.4  # four copies say as much as one: a factor of 2
    members = membership(answers.items, clusters)
    known = abilities(answers, calibration, item_draws=0, clusters=members, seed=0)
    sandwich = (known.influence[0] - known.influence[1]) ** 2
    assert wide**2 == pytest.approx(sandwich.sum() * 30 / 29, abs=EXACT)


def test_sparse_answers_give_what_dense_ones_give(made, calibration, passages):
    answers = made.responses
    sparse = replace(answers, codes=sp.csr_array(answers.dense() + np.int8(1)))
    for clusters in (None, passages):
        given = {"clusters": clusters, "item_draws": 5}
        one = paired_comparison(answers, calibration, **given)
        other = paired_comparison(sparse, calibration, **given)
        pd.testing.assert_frame_equal(one, other, rtol=EXACT, check_exact=False)


def test_p_values_are_adjusted_over_the_pairs_asked_for(made, calibration):
    names = made.responses.persons
    pairs = [(names[0], names[1]), (names[2], names[1]), (names[0], names[3])]
    table = paired_comparison(made.responses, calibration, pairs=pairs)
    assert table.index.tolist() == pairs
    assert table.index.names == ["model_1", "model_2"]
    for name in ("p", "accuracy_p"):
        expected = adjust(table[name].to_numpy())
        assert table[f"{name}_adjusted"].to_numpy() == pytest.approx(expected, abs=EXACT)


def test_partial_credit_counts_as_a_share_and_is_tested_by_t():
    made = simulate(Graded(), n_persons=2, n_items=40, n_categories=3, seed=2)
    row = paired_comparison(made.responses, true_calibration(made)).iloc[0]
    one, other = made.responses.dense() / 2.0
    assert row["accuracy_1"] == pytest.approx(one.mean(), abs=EXACT)
    assert row["accuracy_p"] == pytest.approx(stats.ttest_rel(one, other).pvalue, abs=EXACT)
    assert row["only_1"] == (one > other).sum()


def test_models_without_common_items_are_compared_by_ability_alone(made, calibration):
    codes = made.responses.dense()[:2].copy()
    codes[0, ::2], codes[1, 1::2] = -1, -1
    answers = of(codes, made.responses.items)
    row = paired_comparison(answers, calibration).iloc[0]
    assert row["n_common"] == 0
    assert np.isfinite(row[["difference", "standard_error", "p"]]).all()
    names = ["accuracy_1", "accuracy_difference", "accuracy_error", "accuracy_p"]
    assert row[names].isna().all()


def test_models_that_answer_alike_do_not_differ(made, calibration):
    codes = made.responses.dense()[[0, 0]]
    answers = of(codes, made.responses.items)
    row = paired_comparison(answers, calibration).iloc[0]
    assert row[["p", "p_adjusted", "accuracy_p", "accuracy_p_adjusted"]].tolist() == [1.0] * 4
    passages = {item: str(place % 5) for place, item in enumerate(answers.items)}
    clustered = paired_comparison(answers, calibration, clusters=passages).iloc[0]
    assert clustered["accuracy_p"] == 1.0


def test_unusable_pairs_are_refused(made, calibration, monkeypatch):
    names = made.responses.persons
    with pytest.raises(ModelError, match=r"1 model among the pairs gave no answers: 'p11'\. Did"):
        paired_comparison(made.responses, calibration, pairs=[(names[0], "p11")])
    with pytest.raises(ModelError, match="'p1' is to be compared with itself"):
        paired_comparison(made.responses, calibration, pairs=[(names[0], names[0])])
    with pytest.raises(ModelError, match="no two models"):
        paired_comparison(made.responses.select_persons([0]), calibration)
    monkeypatch.setattr("irtkit.bridge.ranking.paired.MOST_PAIRS", 10)
    with pytest.raises(ModelError, match="6 models make 15 pairs, more than 10"):
        paired_comparison(made.responses, calibration)


def test_unusable_clusters_are_refused(made, calibration, passages):
    some = dict(list(passages.items())[:-2])
    with pytest.raises(ResponseError, match="2 items without a cluster: 'i23', 'i24'"):
        paired_comparison(made.responses, calibration, clusters=some)
    one = dict.fromkeys(passages, "all")
    with pytest.raises(ResponseError, match="All items are in one cluster"):
        paired_comparison(made.responses, calibration, clusters=one)


def test_items_without_standard_errors_cannot_be_drawn(made):
    with pytest.raises(ModelError, match="without standard errors"):
        paired_comparison(made.responses, true_calibration(made), item_draws=3)


@pytest.mark.slow
def test_clustered_errors_keep_the_level_where_plain_ones_do_not():
    """Models of equal ability whose answers depend within passages (300 replications)."""
    rng = np.random.default_rng(5)
    n_passages, size = 40, 8
    n_items = n_passages * size
    clusters = {f"i{item}": str(item // size) for item in range(1, n_items + 1)}
    parameters = np.stack([np.ones(n_items), np.zeros(n_items)], axis=1)
    base = simulate(TwoPL(), n_persons=2, n_items=n_items, seed=1)
    calibration = true_calibration(replace(base, parameters=parameters))
    clusters = dict(zip(calibration.items, clusters.values(), strict=True))
    rejected = {"ability": 0, "plain": 0, "accuracy": 0}
    for _ in range(300):
        own = np.repeat(rng.normal(0, 1.5, (2, n_passages)), size, axis=1)
        codes = (rng.random((2, n_items)) < 1 / (1 + np.exp(-own))).astype(np.int8)
        answers = of(codes, calibration.items)
        plain = paired_comparison(answers, calibration).iloc[0]
        row = paired_comparison(answers, calibration, clusters=clusters).iloc[0]
        rejected["plain"] += plain["p"] < 0.05
        rejected["ability"] += row["p"] < 0.05
        rejected["accuracy"] += row["accuracy_p"] < 0.05
    assert rejected["plain"] > 300 * 0.15
    for name in ("ability", "accuracy"):  # exact binomial 99.9% limits around .05
        assert 300 * 0.013 <= rejected[name] <= 300 * 0.1, rejected
