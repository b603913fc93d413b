"""`dif`: Mantel-Haenszel and logistic against the obvious loops, purification, contracts."""

import itertools
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from pandas.testing import assert_frame_equal
from scipy.optimize import minimize
from scipy.special import expit, ndtri
from scipy.stats import chi2

from irtkit.diagnostics.dif import dif
from irtkit.diagnostics.dif_logistic import logistic
from irtkit.diagnostics.dif_matching import by_ability, by_score
from irtkit.diagnostics.dif_observed import d_dif, mantel_effect, mantel_haenszel
from irtkit.diagnostics.dif_study import ChiSquare, DIFOptions, ItemTests, Study, gathered
from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate_groups
from irtkit.estimation.joint import Grouped, fitted_groups
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from tests.diagnostics.groups_drawn import two_groups

EXACT = 1e-10
OPTIMISER = 1e-6  # of a chi-square, from a general-purpose optimiser
METHODS = ("mantel_haenszel", "logistic", "likelihood_ratio", "wald")
ONCE = DIFOptions(purify=False, matching="score")
QUICK = MML(standard_errors=None)

# Admissions to Berkeley by sex in six departments (Bickel, Hammel & O'Connell, 1975): men
# admitted and rejected, women admitted and rejected.
BERKELEY = np.array(
    [
        [512, 313, 89, 19],
        [353, 207, 17, 8],
        [120, 205, 202, 391],
        [138, 279, 131, 244],
        [53, 138, 94, 299],
        [22, 351, 24, 317],
    ],
    dtype=float,
)


def scores(responses, anchors, item):
    """Score over the anchors and the item itself, by person."""
    codes = responses.dense()
    columns = sorted({*anchors, item})
    return codes[:, columns].sum(axis=1)


def test_mantel_haenszel_of_the_berkeley_admissions_is_the_published_one():
    table = BERKELEY.reshape(6, 2, 2)[:, :, ::-1].transpose(1, 0, 2)[None]  # men are the reference
    found = mantel_haenszel(table)
    assert found.statistic[0] == pytest.approx(1.4269, abs=5e-5)
    assert found.p[0] == pytest.approx(0.2323, abs=5e-5)
    size, error = d_dif(table)
    odds, spread = size[0] / -2.35, error[0] / 2.35
    assert math.exp(odds) == pytest.approx(0.9046968, abs=5e-8)
    interval = np.exp(odds + np.array([-1, 1]) * ndtri(0.975) * spread)
    assert interval == pytest.approx([0.7719074, 1.0603298], abs=5e-8)


@pytest.mark.parametrize("anchors", [None, ["i1", "i2", "i4", "i6"]])
def test_mantel_haenszel_equals_the_obvious_loop(anchors):
    responses, groups = two_groups(1, n_persons=150, n_items=6, impact=0.4)
    table = dif(responses, groups, anchors=anchors, options=ONCE)
    focal = np.array(groups) == "focal1"
    codes = responses.dense()
    chosen = range(6) if anchors is None else [0, 1, 3, 5]
    for item in range(6) if anchors is None else (2, 4):
        score = scores(responses, chosen, item)
        observed = expected = variance = above = below = 0.0
        right, wrong, cross, weight = [], [], [], []
        for s in np.unique(score):
            a = ((codes[:, item] == 1) & ~focal & (score == s)).sum()
            b = ((codes[:, item] == 0) & ~focal & (score == s)).sum()
            c = ((codes[:, item] == 1) & focal & (score == s)).sum()
            d = ((codes[:, item] == 0) & focal & (score == s)).sum()
            n = a + b + c + d
            if n < 2:
                continue
            observed += a
            expected += (a + b) * (a + c) / n
            variance += (a + b) * (c + d) * (a + c) * (b + d) / (n**2 * (n - 1))
            above += a * d / n
            below += b * c / n
            right.append(a * d / n)
            wrong.append(b * c / n)
            cross.append((a + d) / n)
            weight.append((b + c) / n)
        statistic = max(abs(observed - expected) - 0.5, 0.0) ** 2 / variance
        p, q, r, s = map(np.array, (cross, weight, right, wrong))
        robins = (
            (p * r).sum() / (2 * r.sum() ** 2)
            + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
            + (q * s).sum() / (2 * s.sum() ** 2)
        )  # Robins, Breslow & Greenland (1986), the same variance in other words
        row = table.iloc[item]
        assert row["statistic"] == pytest.approx(statistic, rel=EXACT)
        assert row["p"] == pytest.approx(chi2.sf(statistic, 1), rel=1e-8)
        assert row["effect_size"] == pytest.approx(-2.35 * math.log(above / below), rel=EXACT)
        assert row["effect_error"] == pytest.approx(2.35 * math.sqrt(robins), rel=EXACT)
    assert set(table["matching"]) == {"summed score"}


@pytest.mark.parametrize(("n_groups", "n_categories"), [(2, 3), (3, 2), (3, 4)])
def test_mantel_statistic_uses_mean_and_covariance_over_all_permutations(n_groups, n_categories):
    rng = np.random.default_rng(n_groups + n_categories)
    counts = np.zeros((n_groups, 3, n_categories))
    gap, spread = np.zeros(n_groups), np.zeros((n_groups, n_groups))
    for stratum in range(3):
        group = rng.permutation(np.arange(7) % n_groups)
        answer = rng.permutation(np.arange(7) % n_categories)
        np.add.at(counts, (group, stratum, answer), 1.0)
        sums = np.array(
            [
                np.bincount(group, np.array(permuted), n_groups)
                for permuted in itertools.permutations(answer)
            ]
        )
        gap += np.bincount(group, answer, n_groups) - sums.mean(axis=0)
        spread += np.cov(sums.T, bias=True)
    exact = gap[1:] @ np.linalg.solve(spread[1:, 1:], gap[1:])
    found = mantel_haenszel(counts[None])
    assert found.statistic[0] == pytest.approx(exact, rel=1e-8)
    assert found.df[0] == n_groups - 1


def test_standardised_mean_difference_equals_the_obvious_loop():
    responses, groups = two_groups(
        3, n_persons=200, n_items=5, model=Graded(), n_categories=4, impact=0.3
    )
    table = dif(responses, groups, options=ONCE)
    focal = np.array(groups) == "focal1"
    codes = responses.dense()
    for item in range(5):
        score = scores(responses, range(5), item)
        total = variance = n_focal = 0.0
        for s in np.unique(score):
            one, two = codes[(score == s) & ~focal, item], codes[(score == s) & focal, item]
            if not len(one) or not len(two):
                continue
            total += len(two) * (two.mean() - one.mean())
            n_focal += len(two)
            pooled = np.concatenate([one, two])
            n = len(pooled)
            per_sum = len(one) * len(two) * pooled.var(ddof=1) / n
            variance += len(two) ** 2 * (1 / len(one) + 1 / len(two)) ** 2 * per_sum
        row = table.iloc[item]
        assert row["effect"] == "standardised_mean_difference"
        assert row["effect_size"] == pytest.approx(total / n_focal, abs=EXACT)
        assert row["effect_error"] == pytest.approx(math.sqrt(variance) / n_focal, rel=1e-9)


def test_ets_classes_are_cut_at_their_thresholds():
    def table(n, share):  # one stratum with half right among the reference
        return np.array([[[[n / 2, n / 2]], [[n * (1 - share), n * share]]]])

    def found(n, delta):
        counts = table(n, expit(delta / 2.35))
        p = mantel_haenszel(counts).p
        return mantel_effect(counts, p, 0.05)

    for n, delta, expected in [
        (4000, -0.9, "A"),  # significant but small
        (60, -1.2, "A"),  # not significant
        (4000, 1.4, "B"),
        (4000, -1.6, "C"),
        (150, -1.6, "B"),  # large, but not significantly above 1
    ]:
        effect = found(n, delta)
        assert effect.size[0] == pytest.approx(delta, abs=1e-8)
        assert effect.classes[0] == expected


def test_of_several_focal_groups_the_most_different_counts():
    responses, groups = two_groups(5, n_persons=500, n_items=8, n_groups=3)
    codes = responses.dense().copy()
    last = np.array(groups) == "focal2"
    codes[last, 3] &= np.random.default_rng(5).random(last.sum()) < 0.5
    changed = replace(responses, codes=codes)
    table = dif(changed, groups, options=ONCE)
    assert set(table["df"]) == {2.0}
    assert table["p_adjusted"].idxmin() == "i4"
    pair = np.array(groups) != "focal1"
    labels = [group for group, kept in zip(groups, pair, strict=True) if kept]
    two = dif(changed.select_persons(pair), labels, options=ONCE)
    assert table.loc["i4", "effect_size"] == pytest.approx(two.loc["i4", "effect_size"])


@pytest.mark.parametrize("n_categories", [2, 3])
@pytest.mark.parametrize("n_groups", [2, 3])
def test_logistic_regression_equals_a_general_optimiser(n_categories, n_groups):
    responses, groups = two_groups(
        7,
        n_persons=120,
        n_items=5,
        model=Graded(),
        n_categories=n_categories,
        impact=0.5,
        n_groups=n_groups,
    )
    table = dif(responses, groups, method="logistic", anchors=["i1", "i2", "i3"], options=ONCE)
    codes = responses.dense()
    labels = list(dict.fromkeys(groups))
    group = np.array([[label == name for name in labels[1:]] for label in groups], dtype=float)
    for item in (3, 4):
        score = scores(responses, range(3), item)
        x = (score - score.mean())[:, None] / 2.0
        designs = [
            np.zeros((len(x), 0)),
            x,
            np.hstack([x, group]),
            np.hstack([x, group, x * group]),
        ]
        fits = [-_ordinal_loss(codes[:, item], design, n_categories) for design in designs]
        row = table.iloc[item]
        assert row["statistic"] == pytest.approx(2 * (fits[3] - fits[1]), abs=OPTIMISER)
        assert row["statistic_uniform"] == pytest.approx(2 * (fits[2] - fits[1]), abs=OPTIMISER)
        assert row["statistic_nonuniform"] == pytest.approx(2 * (fits[3] - fits[2]), abs=OPTIMISER)
        n = len(x)
        r2 = [1 - math.exp(2 * (fits[0] - fit) / n) for fit in fits]
        largest = 1 - math.exp(2 * fits[0] / n)
        assert row["effect_size"] == pytest.approx((r2[3] - r2[1]) / largest, abs=1e-8)
        assert row["df"] == 2 * (n_groups - 1)
        assert row["p"] == pytest.approx(chi2.sf(row["statistic"], row["df"]), rel=1e-9)
        assert row["p_uniform"] == pytest.approx(
            chi2.sf(row["statistic_uniform"], n_groups - 1), rel=1e-9
        )


def _ordinal_loss(answer, design, n_categories):
    """Smallest negative log-likelihood of proportional odds, cuts as a start and falling steps."""

    def loss(point):
        steps = np.exp(point[1 : n_categories - 1])
        cuts = point[0] - np.concatenate([[0.0], np.cumsum(steps)])
        beyond = expit(cuts + (design @ point[n_categories - 1 :])[:, None])
        edges = np.hstack([np.ones((len(design), 1)), beyond, np.zeros((len(design), 1))])
        return -np.log(-np.diff(edges, axis=1)[np.arange(len(answer)), answer]).sum()

    start = np.zeros(n_categories - 1 + design.shape[1])
    return minimize(loss, start, method="BFGS", options={"gtol": 1e-7}).fun


def test_categories_that_nobody_chose_do_not_count_in_a_regression():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 9, (2, 2, 5, 3)).astype(float)
    wide = np.zeros((2, 2, 5, 4))
    wide[0][..., [0, 2, 3]] = counts[0]
    wide[1][..., [0, 1, 3]] = counts[1]
    level = np.broadcast_to(np.arange(5.0), (2, 2, 5))
    found, exact = logistic(wide, level), logistic(counts, level)
    assert found.log_likelihood == pytest.approx(exact.log_likelihood, rel=EXACT)


def test_logistic_classes_need_size_and_significance():
    strong, groups = two_groups(2, n_persons=1000, n_items=8, harder={2: 1.5})
    table = dif(strong, groups, method="logistic")
    assert table.loc["i3", "effect_class"] in ("moderate", "large")
    few = dif(*two_groups(11, n_persons=20, n_items=8), method="logistic", options=ONCE)
    sizeable = few[(few["effect_size"] > 0.035) & (few["p"] >= 0.05)]
    assert len(sizeable)
    assert set(sizeable["effect_class"]) == {"negligible"}


def test_separated_answers_have_no_logistic_test():
    responses, groups = two_groups(4, n_persons=100, n_items=6)
    codes = responses.dense().copy()
    codes[:, 2] = [group == "focal1" for group in groups]
    table = dif(replace(responses, codes=codes), groups, method="logistic", options=ONCE)
    assert table.loc["i3", "state"] == "separated"
    assert table.loc["i3", ["statistic", "p", "effect_size"]].isna().all()
    assert table.loc["i3", "effect_class"] == ""
    assert table.drop(index="i3")["p"].notna().all()


def test_abilities_leave_the_studied_item_out_and_use_the_groups_own_prior():
    responses, groups = two_groups(6, n_persons=80, n_items=6, impact=1.0, missing=0.3)
    grouped = Grouped.of(responses, groups)
    anchors = np.array([True, True, True, False, True, True])
    fit = fitted_groups(grouped, TwoPL(), QUICK, {"i4": ()})
    both = calibrate_groups(responses, groups, TwoPL(), free_items=["i4"], method=QUICK)
    known = both.calibrations[0].parameters
    codes = responses.dense()
    theta = np.linspace(-9.0, 9.0, 2001)
    abilities = np.empty((160, 7))  # the last: with all anchors
    for person in range(160):
        latent = both.calibrations[grouped.codes[person]].latent
        for left_out in range(7):
            density = np.exp(-0.5 * ((theta - latent.mean) / latent.standard_deviation) ** 2)
            for item in (0, 1, 2, 4, 5):
                if item != left_out and codes[person, item] >= 0:
                    right = expit(known[item, 0] * theta + known[item, 1])
                    density = density * (right if codes[person, item] else 1 - right)
            abilities[person, left_out] = theta @ density / density.sum()
    order = np.sort(abilities[:, 6])
    distinct = 1 + int((np.diff(order) > 1e-4).sum())
    n_strata = min(30, distinct // 4)  # two abilities of each of two groups
    assert n_strata > 10
    cuts = [math.ceil(160 * cut / n_strata) - 1 for cut in range(1, n_strata)]
    edges = np.unique(order[cuts]) + 1e-4
    (found,) = by_ability(grouped, fit, anchors, np.ones(6, dtype=bool))
    for item in range(6):
        seen = codes[:, item] >= 0
        ability = abilities[seen, item]
        table = np.zeros((2, len(edges) + 1, 2))
        stratum = np.searchsorted(edges, ability)
        np.add.at(table, (grouped.codes[seen], stratum, codes[seen, item]), 1.0)
        assert found.counts[item] == pytest.approx(table)
        sums = (found.level[item] * found.counts[item].sum(axis=2)).sum(axis=1)
        for group in range(2):
            own = abilities[seen & (grouped.codes == group), item]
            assert sums[group] == pytest.approx(own.sum(), abs=1e-3)


def test_scores_count_the_answers_of_every_person_once():
    responses, groups = two_groups(8, n_persons=60, n_items=5, model=Graded(), n_categories=3)
    grouped = Grouped.of(responses, groups)
    anchors = np.array([True, False, True, True, False])
    (found,) = by_score(grouped, anchors, np.array([False, True, True, False, True]))
    assert found.places.tolist() == [1, 2, 4]
    for number, item in enumerate(found.places):
        score = scores(responses, [0, 2, 3], item)
        exact = np.zeros(found.counts.shape[1:])
        np.add.at(exact, (grouped.codes, score, responses.dense()[:, item]), 1.0)
        assert found.counts[number] == pytest.approx(exact)


def test_portions_of_items_give_the_same_table(monkeypatch):
    complete, groups = two_groups(9, n_persons=100, n_items=7)
    partly, same_groups = two_groups(9, n_persons=100, n_items=7, missing=0.2)
    before = [
        dif(complete, groups, options=ONCE),
        dif(partly, same_groups, method="logistic", options=ONCE),
    ]
    monkeypatch.setattr(sys.modules["irtkit.diagnostics.dif_matching"], "TABLE_CELLS", 100)
    after = [
        dif(complete, groups, options=ONCE),
        dif(partly, same_groups, method="logistic", options=ONCE),
    ]
    for one, two in zip(before, after, strict=True):
        assert_frame_equal(one, two, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_tables_have_the_same_columns_and_inputs_stay_the_same(method):
    responses, groups = two_groups(10, n_persons=200, n_items=4, missing=0.1)
    before = responses.fingerprint()
    table = dif(responses, groups, method=method, options=ONCE)
    assert list(table.index) == list(responses.items)
    assert table.index.name == "item"
    assert list(table.columns) == list(dif(responses, groups, options=ONCE).columns)
    assert responses.fingerprint() == before
    assert set(table["matching"]) == {"ability"}
    assert table["p"].between(0, 1).all()
    assert table["anchor"].all()
    assert table["round_flagged"].isna().all()


FEW = ["i1", "i2", "i3", "i4", "i5", "i6"]  # anchors that leave two items to test


@pytest.mark.parametrize("method", METHODS)
def test_sparse_answers_groups_by_name_and_weights_change_nothing(method):
    responses, groups = two_groups(12, n_persons=300, n_items=8, missing=0.2)
    table = dif(responses, groups, method=method, anchors=FEW)
    numbers = [column for column in table.columns if table[column].dtype == np.float64]
    sparse = replace(responses, codes=sp.csr_array(responses.dense() + np.int8(1)))
    by_name = dict(zip(responses.persons, groups, strict=True))
    other = dif(sparse, by_name, method=method, anchors=FEW)
    assert_frame_equal(other[numbers], table[numbers], rtol=1e-6)
    persons = tuple(f"{person}{copy}" for person in responses.persons for copy in "ab")
    twice = Responses(np.repeat(responses.dense(), 2, axis=0), persons, responses.items)
    heavy = replace(responses, weights=np.full(responses.n_persons, 2.0))
    one = dif(twice, np.repeat(groups, 2).tolist(), method=method, anchors=FEW)
    two = dif(heavy, groups, method=method, anchors=FEW)
    assert_frame_equal(one[numbers], two[numbers], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_order_of_the_items_does_not_matter(method):
    responses, groups = two_groups(13, n_persons=300, n_items=8)
    table = dif(responses, groups, method=method, anchors=FEW)
    backwards = responses.select_items(responses.items[::-1])
    turned = dif(backwards, groups, method=method, anchors=FEW)
    columns = ["statistic", "p", "effect_size"]
    assert_frame_equal(turned.loc[table.index, columns], table[columns], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_items_that_cannot_be_compared_are_named_not_tested(method):
    responses, groups = two_groups(14, n_persons=300, n_items=8)
    codes = responses.dense().copy()
    focal = np.array(groups) == "focal1"
    codes[:, 1] = 1
    codes[:, 2] = -1
    codes[focal, 3] = -1
    table = dif(replace(responses, codes=codes), groups, method=method, options=ONCE)
    states = table["state"]
    assert states["i2"] == "constant"
    assert states["i3"] == "unanswered"
    assert states["i4"] == "unanswered in a group"
    assert table.loc[["i2", "i3", "i4"], ["statistic", "p", "p_adjusted"]].isna().all(axis=None)
    assert not table.loc[["i2", "i3", "i4"], "anchor"].any()
    assert table.drop(index=["i2", "i3", "i4"])["p"].notna().all()


def test_planted_items_leave_the_anchors_and_the_others_stay():
    responses, groups = two_groups(15, n_persons=1500, n_items=12, harder={3: 1.0, 7: 1.0, 9: 1.0})
    options = DIFOptions(level=0.01)
    table = dif(responses, groups, options=options)
    assert table.index[~table["anchor"]].tolist() == ["i4", "i8", "i10"]
    assert table["round_flagged"].dropna().index.tolist() == ["i4", "i8", "i10"]
    assert (table.loc[["i4", "i8", "i10"], "effect_size"] < -1.5).all()
    once = dif(responses, groups, options=replace(options, purify=False))
    others = table.index[table["anchor"]]
    assert (
        table.loc[others, "effect_size"].abs().mean()
        < once.loc[others, "effect_size"].abs().mean()
    )


def _purified(answer, n_items=8, options=None):
    """Purify with p-values that `answer` gives for a truth value of each item, flagged or not."""
    module = sys.modules["irtkit.diagnostics.dif"]
    responses, groups = two_groups(1, n_persons=20, n_items=n_items)

    study = Study(
        Grouped.of(responses, groups),
        TwoPL(),
        np.ones(n_items, bool),
        options or DIFOptions(),
        None,
    )
    asked = []

    def one_round(anchors, start):
        asked.append((~anchors).nonzero()[0].tolist())
        p = np.where(answer(~anchors), 0.01, 0.5)
        tests = dif_tests(p)
        return tests, start

    _, rounds = module._purified(one_round, study)
    return asked, rounds.tolist()


def dif_tests(p):
    empty = gathered([], len(p))
    return ItemTests(
        ChiSquare(chi2.isf(p, 1), np.ones(len(p))),
        empty.uniform,
        empty.nonuniform,
        empty.effect,
        empty.states,
    )


def test_an_item_that_is_not_flagged_any_more_comes_back():
    def answer(flagged):  # item 0 differs; item 1 only as long as item 0 is an anchor
        return np.array([True, not flagged[0], *[False] * 6])

    asked, rounds = _purified(answer)
    assert asked == [[], [0, 1], [0]]
    assert rounds == [1, 0, 0, 0, 0, 0, 0, 0]


def test_an_item_that_shows_up_later_is_marked_with_its_round():
    def answer(flagged):
        return np.array([True, flagged[0], flagged[1], *[False] * 5])

    asked, rounds = _purified(answer)
    assert asked == [[], [0], [0, 1], [0, 1, 2]]
    assert rounds == [1, 2, 3, 0, 0, 0, 0, 0]


def test_flags_that_go_round_in_a_circle_all_stay_out():
    def answer(flagged):  # each of items 1 and 2 is flagged unless it is out already
        return np.array([True, not flagged[1], flagged[1], *[False] * 5])

    asked, rounds = _purified(answer)
    assert asked == [[], [0, 1], [0, 2], [0, 1, 2]]
    assert [place for place, number in enumerate(rounds) if number] == [0, 1, 2]
    assert rounds[0] == 1


def test_purification_ends_after_the_last_round_with_the_tests_it_made():
    def answer(flagged):  # one more item each round
        return np.arange(20) <= flagged.sum()

    asked, rounds = _purified(answer, n_items=20)
    assert len(asked) == 10
    assert asked[-1] == list(range(9))
    assert [number for number in rounds if number] == list(range(1, 10))


def test_too_few_anchors_are_refused():
    with pytest.raises(ModelError, match=r"6 items differ between the groups .* 2 would be left"):
        _purified(lambda flagged: np.arange(8) < 6)
    asked, _ = _purified(lambda flagged: np.arange(8) < 6, options=ONCE)
    assert asked == [[]]


def test_given_anchors_are_not_tested_and_stay():
    responses, groups = two_groups(16, n_persons=800, n_items=8, harder={5: 1.0})
    with pytest.raises(ModelError, match="3 anchors part the persons into 4 strata"):
        dif(responses, groups, anchors=["i1", "i2", "i3"])
    table = dif(responses, groups, anchors=["i1", "i2", "i3"], options=ONCE)
    assert table["anchor"].tolist() == [True] * 3 + [False] * 5
    assert table.loc[["i1", "i2", "i3"], "p"].isna().all()
    assert set(table.loc[["i1", "i2", "i3"], "state"]) == {"anchor"}
    assert table["p_adjusted"].idxmin() == "i6"
    assert table["round_flagged"].isna().all()
    smallest = table["p"].min()
    assert table["p_adjusted"].min() == pytest.approx(min(1.0, 5 * smallest))


def test_scores_can_be_asked_for_and_ability_is_the_default():
    responses, groups = two_groups(17, n_persons=300, n_items=10)
    by_default = dif(responses, groups, options=DIFOptions(purify=False))
    asked = dif(responses, groups, options=ONCE)
    assert set(by_default["matching"]) == {"ability"}
    assert set(asked["matching"]) == {"summed score"}
    assert np.corrcoef(by_default["effect_size"], asked["effect_size"])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"method": "mantel"}, "Unknown method 'mantel'"),
        ({"anchors": ["i1", "i2", "j3"]}, "1 anchor unknown: 'j3'"),
        ({"anchors": ["i1", "i2"]}, "2 anchors named; at least 3"),
        ({"anchors": ["i1", "i2", "i3", "i4", "i5", "i6"]}, "none is left to test"),
        ({"groups": ["a"] * 80}, "use calibrate"),
        ({"groups": ["a"] * 79}, "79 groups were given for 80"),
        ({"groups": ["a"] * 40 + ["b"] * 39 + [None]}, "1 person without a group: 'p80'"),
        ({"groups": {"p1": "a"}}, "79 persons without a group"),
        ({"groups": ["a"] * 79 + ["b"]}, "one person only in 'b'"),
        ({"options": DIFOptions(parameters=("slope",))}, "Parameters are compared by"),
    ],
)
def test_questions_without_sense_are_refused(change, pattern):
    responses, groups = two_groups(18, n_persons=40, n_items=6)
    with pytest.raises(ModelError, match=pattern):
        dif(responses, **{"groups": groups, **change})


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"level": 0.0}, "level 0"),
        ({"adjustment": "bonferroni"}, "bonferroni"),
        ({"matching": "theta"}, "theta"),
        ({"estimation": MML(latent="histogram")}, "normal abilities"),
    ],
)
def test_options_without_sense_are_refused(change, pattern):
    with pytest.raises(ModelError, match=pattern):
        DIFOptions(**change)


def test_anchors_that_link_nothing_are_refused():
    responses, groups = two_groups(19, n_persons=40, n_items=6)
    codes = responses.dense().copy()
    codes[:, 0] = 1
    with pytest.raises(ModelError, match=r"1 anchor that everybody .* 'i1'"):
        dif(replace(responses, codes=codes), groups, anchors=["i1", "i2", "i3"])
    with pytest.raises(ModelError, match="compared on 0 items only"):
        dif(replace(responses, codes=np.ones_like(codes)), groups)
    labels = replace(responses, labels=responses.codes, label_set=("no", "yes"))
    with pytest.raises(ModelError, match="without a key"):
        dif(labels, groups)
