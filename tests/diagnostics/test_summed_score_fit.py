"""The parts of S-X2: sums, expectations given the sum, merging; enumerated and by hand."""

import itertools

import numpy as np
import pytest

from irtkit.diagnostics import given_sum, incomplete_fit
from irtkit.diagnostics.collapsing import collapsed, merged_cells, merged_groups
from irtkit.diagnostics.given_sum import Chances, Patterns, expected_answers
from irtkit.diagnostics.incomplete_fit import Answered, grouped_fit
from irtkit.diagnostics.summed_score_fit import expected_by_score
from irtkit.latent import Histogram, Normal
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from irtkit.scoring.summed import joint_with_sum, summed_scores, sums_before, with_item
from irtkit.simulate import item_parameters, simulate
from tests.diagnostics.calibrations import true_calibration

EXACT = 1e-12  # the same sums in another order
WINDOW = 1e-9  # nodes left out may change this much


def chances(sizes, seed, n_nodes=61, latent=None):
    """Chances (Q, I, K) of drawn items with these numbers of categories, and the nodes."""
    rng = np.random.default_rng(seed)
    nodes = (latent or Normal()).nodes(n_nodes)
    table = np.zeros((len(nodes.theta), len(sizes), max(sizes)))
    for item, size in enumerate(sizes):
        model = TwoPL() if size == 2 else Graded()
        parameters = item_parameters(model, 1, size, rng)
        table[:, item, :size] = np.exp(model.log_prob(parameters, nodes.theta[:, None]))[:, 0]
    return table, nodes


def enumerated(table, nodes, items, sizes, total):
    """Chance of each category above the first given the sum, over all patterns."""
    expected, joint = np.zeros((len(items), table.shape[2])), 0.0
    for pattern in itertools.product(*[range(sizes[item]) for item in items]):
        if sum(pattern) != total:
            continue
        here = np.exp(nodes.log_weights)
        for item, code in zip(items, pattern, strict=True):
            here = here * table[:, item, code]
        joint += here.sum()
        expected[np.arange(len(items)), pattern] += here.sum()
    return expected[:, 1:] / joint


def sums_of(right):
    """Chances of each number of right answers (I + 1, ...) from those of the items (I, ...)."""
    return summed_scores([np.stack([1.0 - p, p]) for p in right])


def test_summed_scores_equal_enumeration():
    p = np.array([0.2, 0.5, 0.9, 0.35, 0.7])
    exact = np.zeros(6)
    for pattern in itertools.product([0, 1], repeat=5):
        exact[sum(pattern)] += np.prod(np.where(pattern, p, 1 - p))
    assert sums_of(p) == pytest.approx(exact, abs=1e-14)
    assert sums_of(p).sum() == pytest.approx(1.0, abs=1e-14)


def test_likelihood_of_all_sums_is_one():
    table, _ = chances([2, 5, 3, 4, 2], seed=1)
    sizes = [2, 5, 3, 4, 2]
    parts = [table[:, item, :size].T for item, size in enumerate(sizes)]
    sums = summed_scores(parts)
    assert len(sums) == sum(sizes) - 5 + 1
    assert sums.sum(axis=0) == pytest.approx(np.ones(61), abs=1e-14)
    for before, size in zip(sums_before(parts), np.cumsum([1, 1, 4, 2, 3]), strict=True):
        assert before.sum(axis=0) == pytest.approx(np.ones(61), abs=1e-14)
        assert len(before) == size
    assert with_item(sums_before(parts)[-1], parts[-1]) == pytest.approx(sums, abs=1e-15)


def test_chance_with_a_sum_equals_leaving_each_item_out():
    rng = np.random.default_rng(2)
    p = rng.uniform(0.02, 0.98, (9, 30))
    target, weights = rng.integers(1, 9, 30), rng.uniform(0.5, 2.0, 30)
    found, joint = joint_with_sum(np.stack([1 - p, p], axis=1), target, weights)
    sums, columns = sums_of(p), np.arange(30)
    assert joint == pytest.approx(sums[target, columns] * weights, rel=EXACT)
    for item in range(9):
        rest = sums_of(np.delete(p, item, axis=0))[target - 1, columns]
        assert found[item, 0] == pytest.approx(rest * p[item] * weights, rel=1e-9)


@pytest.mark.parametrize("sizes", [[2, 2, 2, 2, 2], [4, 4, 4, 4], [2, 5, 3, 2], [5, 2]])
def test_expected_shares_by_score_equal_enumeration(sizes):
    table, nodes = chances(sizes, seed=3)
    points = sum(sizes) - len(sizes)
    scores = np.arange(1, points)
    found = expected_by_score(table, np.array(sizes), np.exp(nodes.log_weights), scores)
    for place, score in enumerate(scores):
        exact = enumerated(table, nodes, range(len(sizes)), sizes, score)
        assert found[place] == pytest.approx(exact, abs=EXACT)


def test_many_categories_take_the_path_of_two_where_items_have_two():
    table, nodes = chances([2] * 12, seed=4)
    weights, scores = np.exp(nodes.log_weights), np.arange(1, 12)
    right = table[:, :, 1]
    sums = sums_of(right.T)
    rests = [sums_of(np.delete(right.T, item, axis=0)) for item in range(12)]
    rest = np.stack(rests, axis=1)  # (I, I, Q)
    exact = np.einsum("kiq,qi,q->ki", rest, right, weights)[:-1] / (sums @ weights)[1:-1, None]
    wider = np.concatenate([table, np.zeros((61, 12, 2))], axis=2)
    sizes = np.full(12, 2)
    found = expected_by_score(wider, sizes, weights, scores)
    assert found[:, :, 0] == pytest.approx(exact, rel=1e-9)
    assert (found[:, :, 1:] == 0).all()
    patterns = Patterns(np.arange(12) * 12, np.tile(np.arange(12), 11), scores)
    for shape in (table, wider):
        given = expected_answers(patterns, Chances.of(shape, sizes, nodes.log_weights))
        assert given[:, 0].reshape(11, 12) == pytest.approx(exact, rel=WINDOW)


def drawn_patterns(sizes, n_patterns, longest, seed):
    rng = np.random.default_rng(seed)
    items, totals, pointers = [], [], [0]
    for _ in range(n_patterns):
        own = np.sort(rng.choice(len(sizes), rng.integers(0, longest + 1), replace=False))
        items += own.tolist()
        pointers.append(len(items))
        totals.append(rng.integers(0, int((np.array(sizes)[own] - 1).sum()) + 1))
    return Patterns(np.array(pointers), np.array(items), np.array(totals))


@pytest.mark.parametrize("long", [given_sum.LONG, 0])
@pytest.mark.parametrize("sizes", [[2] * 9, [4] * 7, [2, 5, 3, 2, 5, 3, 2]])
def test_expected_answers_given_the_sum_equal_enumeration(sizes, long, monkeypatch):
    monkeypatch.setattr(given_sum, "LONG", long)
    table, nodes = chances(sizes, seed=5)
    patterns = drawn_patterns(sizes, 60, 6, seed=6)
    found = expected_answers(patterns, Chances.of(table, np.array(sizes), nodes.log_weights))
    useful = 0
    for place, total in enumerate(patterns.totals):
        cells = slice(patterns.pointers[place], patterns.pointers[place + 1])
        items = patterns.items[cells]
        if len(items) < 2 or total in (0, (np.array(sizes)[items] - 1).sum()):
            assert np.isnan(found[cells]).all()
            continue
        useful += 1
        assert found[cells] == pytest.approx(
            enumerated(table, nodes, items, sizes, total), abs=WINDOW
        )
    assert useful > 20


@pytest.mark.parametrize(("sizes", "n_nodes"), [([2] * 150, 81), ([2] * 300, 121), ([4] * 60, 91)])
def test_both_ways_to_condition_on_long_sums_agree(sizes, n_nodes, monkeypatch):
    table, nodes = chances(sizes, seed=7, n_nodes=n_nodes)
    rng = np.random.default_rng(8)
    patterns = drawn_patterns(sizes, 12, len(sizes), seed=9)
    theta = rng.integers(len(nodes.theta) // 4, 3 * len(nodes.theta) // 4, 12)
    totals = [
        int((rng.random((b - a, 1)) > table[q, patterns.items[a:b]].cumsum(axis=1)).sum())
        for q, (a, b) in zip(theta, itertools.pairwise(patterns.pointers), strict=True)
    ]
    patterns = Patterns(patterns.pointers, patterns.items, np.array(totals))
    ready = Chances.of(table, np.array(sizes), nodes.log_weights)
    results = []
    for long in (10**6, 0):
        monkeypatch.setattr(given_sum, "LONG", long)
        results.append(expected_answers(patterns, ready))
    monkeypatch.setattr(given_sum, "NEGLIGIBLE", 1e9)  # all nodes
    results.append(expected_answers(patterns, ready))
    assert np.isfinite(results[0]).all(axis=1).mean() > 0.9
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=1e-8, nan_ok=True)


def test_of_long_sums_those_that_no_ability_makes_likely_are_left_out(monkeypatch):
    n_items = 60
    nodes = Normal().nodes(61)
    right = 1 / (1 + np.exp(-(nodes.theta + 9.0)))
    table = np.repeat(np.stack([1 - right, right], axis=1)[:, None], n_items, axis=1)
    ready = Chances.of(table, np.full(n_items, 2), nodes.log_weights)
    patterns = Patterns(np.array([0, 60, 120]), np.tile(np.arange(60), 2), np.array([5, 58]))
    exact = expected_answers(patterns, ready)
    assert exact[:, 0] == pytest.approx(np.repeat([5 / 60, 58 / 60], 60), rel=1e-9)
    monkeypatch.setattr(given_sum, "LONG", 0)
    found = expected_answers(patterns, ready)
    assert np.isnan(found[:60]).all()
    assert found[60:] == pytest.approx(exact[60:], rel=1e-9)


def test_too_narrow_a_window_is_noticed(monkeypatch):
    sizes = [2] * 20
    table, nodes = chances(sizes, seed=10)
    ready = Chances.of(table, np.array(sizes), nodes.log_weights)
    patterns = drawn_patterns(sizes, 50, 20, seed=11)
    wide = expected_answers(patterns, ready)
    monkeypatch.setattr(given_sum, "NEGLIGIBLE", 1.0)
    assert expected_answers(patterns, ready) == pytest.approx(wide, rel=WINDOW, nan_ok=True)


def test_any_ability_distribution_will_do():
    theta = np.linspace(-4, 4, 41)
    weights = np.where(np.abs(theta) > 1, np.exp(-(theta**2) / 4), 0.0)
    latent = Histogram(theta, weights / weights.sum())
    sizes = [2, 3, 2, 3]
    table, nodes = chances(sizes, seed=12, latent=latent)
    patterns = Patterns(np.array([0, 4]), np.arange(4), np.array([3]))
    found = expected_answers(patterns, Chances.of(table, np.array(sizes), nodes.log_weights))
    assert found == pytest.approx(enumerated(table, nodes, range(4), sizes, 3), abs=WINDOW)


def test_complete_answers_expect_the_same_in_both_versions():
    sizes = np.array([2, 4, 3, 2, 4])
    table, nodes = chances(sizes.tolist(), seed=13)
    scores = np.arange(1, 10)
    by_score = expected_by_score(table, sizes, np.exp(nodes.log_weights), scores)
    patterns = Patterns(np.arange(10) * 5, np.tile(np.arange(5), 9), scores)
    given = expected_answers(patterns, Chances.of(table, sizes, nodes.log_weights))
    assert given.reshape(by_score.shape) == pytest.approx(by_score, rel=WINDOW)


def table_of(rows):
    """One item's counts from rows of observed and rows of expected counts."""
    observed, expected = (np.array(part, dtype=float)[:, None] for part in rows)
    return observed, expected


def only(tables):
    (table,) = tables
    return table


def test_small_groups_are_collapsed_by_the_written_rule():
    observed, expected = table_of(
        [
            [[0, 0], [0, 1], [8, 2], [12, 8], [1, 29]],
            [[0, 0], [0.1, 0.9], [9.5, 0.5], [11, 9], [0.5, 29.5]],
        ]
    )
    merged = only(collapsed(observed, expected, np.arange(1, 6)))
    # the empty group goes; the single person joins the next: 11 persons, 3 right, 1.4 expected;
    # the last group expects .5 wrong and joins its only neighbour
    assert merged[0] == pytest.approx(np.array([[8, 3], [13, 37]]))
    assert merged[1] == pytest.approx(np.array([[9.6, 1.4], [11.5, 38.5]]))


def test_a_small_group_joins_the_neighbour_with_fewer_persons_or_the_one_before():
    expected = [[5, 5], [3.5, 0.5], [6, 4], [5, 7], [0.5, 2.5], [2, 3]]
    observed, counts = table_of([np.round(expected), expected])
    observed[1] = [[3, 1]]
    merged = only(collapsed(observed, counts, np.arange(6)))[1]
    assert merged == pytest.approx(np.array([[8.5, 5.5], [6, 4], [5, 7], [2.5, 5.5]]))


def test_a_single_person_joins_the_next_group_and_the_last_one_the_group_before():
    observed, expected = table_of(
        [[[2, 1], [0, 1], [9, 11], [1, 0]], [[1.5, 1.5], [0.5, 0.5], [10, 10], [0.5, 0.5]]]
    )
    merged = only(collapsed(observed, expected, np.arange(4)))
    assert merged[0] == pytest.approx(np.array([[2, 1], [10, 12]]))


def test_single_persons_are_joined_before_cells_are_merged():
    observed, expected = table_of(
        [[[3, 3, 3], [2, 2, 2], [1, 0, 0]], [[3, 3, 3], [3.0, 0.6, 2.4], [0.2, 0.4, 0.4]]]
    )
    merged = only(collapsed(observed, expected, np.arange(3)))
    assert merged[1] == pytest.approx(np.array([[3, 3, 3], [3.2, 1.0, 2.8]]))


def test_groups_at_the_ends_are_added_up_first():
    observed, expected = table_of([[[5, 5]] * 4, [[5, 5]] * 4])
    merged = only(collapsed(observed, expected, np.array([4, 4, 5, 6])))
    assert merged[0] == pytest.approx(np.array([[10, 10], [5, 5], [5, 5]]))


def test_the_smallest_cell_joins_its_smaller_neighbour_first():
    expected = np.array(
        [
            [5.0, 0.4, 0.7, 6.0],  # .4 joins .7, which is enough
            [0.2, 0.3, 0.1, 9.0],  # .1 joins .3, .2 joins that, and two cells are left
            [3.0, 0.9, 3.0, 3.0],  # equal neighbours: the one before
            [2.0, 2.0, 2.0, 2.0],
            [0.5, 4.0, 4.0, 0.5],
        ]
    )
    labels = merged_cells(expected)
    assert labels.tolist() == [
        [0, 1, 1, 2],
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [0, 0, 1, 1],
    ]
    equal = np.array([[0.9, 0.5, 0.7, 0.5, 2.0]])  # of equal cells the last goes first
    assert merged_cells(equal).tolist() == [[0, 0, 1, 1, 2]]


@pytest.mark.parametrize(
    ("third", "kept"),
    [
        ([3.5], False),  # in 1 of 30 rows: fewer than 5%
        ([1.2, 1.2], False),  # 2.4 persons in 30 rows: fewer than 3
        ([2.0, 2.0], True),
    ],
)
def test_columns_that_are_rare_join_the_one_before(third, kept):
    n_rows = 30
    expected = np.tile([4.0, 4.0, 0.0], (n_rows, 1))
    expected[: len(third), 2] = third
    observed, counts = table_of([np.round(expected), expected])
    merged = only(collapsed(observed, counts, np.arange(n_rows)))[1]
    assert merged.shape == (n_rows, 3 if kept else 2)
    assert merged[0] == pytest.approx([4.0, 4.0, third[0]] if kept else [4.0, 4.0 + third[0]])
    assert merged[-1, :2] == pytest.approx([4.0, 4.0])


def test_groups_that_cannot_be_tested_join_the_smaller_neighbour():
    expected = np.array(
        [
            [[5.0, 5.0], [9.5, 0.5], [4.0, 4.0], [6.0, 6.0]],
            [[5.0, 5.0], [5.0, 5.0], [5.0, 5.0], [5.0, 5.0]],
            [[0.5, 0.2], [0.1, 0.1], [0.0, 0.0], [0.1, 0.2]],
            [[0.5, 0.4], [2.0, 2.0], [3.0, 3.0], [3.0, 0.1]],
            [[2.0, 2.0], [3.9, 0.1], [2.0, 2.0], [2.0, 2.0]],  # equal neighbours: the one before
        ]
    )
    labels = merged_groups(expected.sum(axis=2), expected)
    assert labels.tolist() == [
        [0, 1, 1, 2],
        [0, 1, 2, 3],
        [0, 0, 0, 0],
        [0, 0, 1, 1],
        [0, 0, 1, 2],
    ]


def test_persons_with_the_same_items_and_sum_are_taken_together():
    codes = [[1, 0, np.nan, 1], [0, 1, np.nan, 1], [1, 1, np.nan, 1], [np.nan, 1, 0, 1]]
    responses = Responses.from_array(codes, weights=[1.0, 2.0, 1.0, 1.0])
    answered = Answered.of(responses, 2)
    found = {
        (tuple(answered.patterns.items[a:b]), total): (weight, answered.observed[a:b, 0].tolist())
        for (a, b), total, weight in zip(
            itertools.pairwise(answered.patterns.pointers),
            answered.patterns.totals,
            answered.weights,
            strict=True,
        )
    }
    assert found == {
        ((0, 1, 3), 2): (3.0, [1.0, 2.0, 3.0]),
        ((0, 1, 3), 3): (1.0, [1.0, 1.0, 1.0]),
        ((1, 2, 3), 2): (1.0, [1.0, 0.0, 1.0]),
    }


@pytest.mark.parametrize("size", [2, 3])
def test_incomplete_statistic_equals_ten_groups_counted_by_hand(size):
    """Groups and quadratic forms by loops over persons."""
    n_persons, n_items = 3000, 9
    model = TwoPL() if size == 2 else Graded()
    made = simulate(
        model, n_persons=n_persons, n_items=n_items, seed=1, missing=0.3, n_categories=size
    )
    calibration = true_calibration(made)
    ready = Chances.of(
        np.exp(calibration.log_prob(calibration.nodes().theta)),
        np.full(n_items, size),
        calibration.nodes().log_weights,
    )
    codes = made.responses.dense()
    persons, items = np.nonzero(codes >= 0)
    totals = np.where(codes >= 0, codes, 0).sum(axis=1)
    pointers = np.append(0, np.cumsum((codes >= 0).sum(axis=1)))
    expectations = expected_answers(Patterns(pointers, items, totals), ready)
    cells = [[] for _ in range(n_items)]
    for person, item, expected in zip(persons, items, expectations, strict=True):
        if not np.isnan(expected).any():
            cells[item].append((expected, codes[person, item]))
    statistic, freedom = incomplete_fit.incomplete_fit(made.responses, calibration)
    by_hand = 0
    for item in range(n_items):
        score = np.array([cell[0] @ np.arange(1, size) for cell in cells[item]])
        value, cut = 0.0, np.zeros(len(score), dtype=int)
        rank = np.argsort(np.argsort(score, kind="stable"), kind="stable")
        for one in np.unique(score.round(11)):  # persons of equal expectation stay together
            block = np.flatnonzero(score.round(11) == one)
            cut[block] = int(10 * (rank[block].mean() + 0.5) / len(score))
        smallest = np.inf
        for group in range(10):
            own = [cells[item][place] for place in np.flatnonzero(cut == group)]
            e = np.array([cell[0] for cell in own])
            x = np.array([[cell[1] == k for k in range(1, size)] for cell in own])
            gap = (x - e).sum(axis=0)
            spread = np.diag(e.sum(axis=0)) - e.T @ e
            value += gap @ np.linalg.solve(spread, gap)
            smallest = min(smallest, len(own) - e.sum(), *e.sum(axis=0))
        if smallest >= 1.0:  # nothing was merged
            by_hand += 1
            assert statistic[item] == pytest.approx(value, rel=1e-8)
            assert freedom[item] == 10 * (size - 1)
    assert by_hand >= 5


def test_merged_categories_are_weighed_by_the_covariance_of_their_sums():
    """One group; category 3 is rare and joins category 2."""
    rng = np.random.default_rng(14)
    e = np.tile([0.4, 0.2, 0.0002], (500, 1))
    x = rng.multinomial(1, [0.3998, 0.4, 0.2, 0.0002], 500)[:, 1:].astype(float)
    statistic, freedom = grouped_fit(np.zeros(500, dtype=int), np.ones(500), x, e, 1)
    cells = np.array([0.3998, 0.4, 0.2002]) * 500
    found = np.array([500 - x.sum(), x[:, 0].sum(), x[:, 1:].sum()])
    assert statistic[0] == pytest.approx(((found - cells) ** 2 / cells).sum(), rel=1e-9)
    assert freedom[0] == 2
