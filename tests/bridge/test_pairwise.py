"""Comparisons as a table, soft targets, designs: laws, the greedy rule, refusals."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from irtkit.bridge.pairwise import (
    DESIGNS,
    Comparisons,
    bradley_terry,
    design_pairs,
    soft_pairs,
    soft_target,
)
from irtkit.bridge.pairwise.greedy import BLOCK, FAINT, greedy_pairs
from irtkit.errors import ModelError, ResponseError

GREEDY = 1e-6  # relative: ties are broken by rounding


def table(**columns):
    given = {"item_1": ["a", "b"], "item_2": ["b", "c"], "probability": [0.2, 0.7]}
    return pd.DataFrame({**given, **columns})


# ---------------------------------------------------------------- comparisons


def test_a_table_of_comparisons_comes_back_as_it_was():
    frame = table(weight=[1.0, 2.5], note=["x", "y"])
    made = Comparisons.from_frame(frame)
    assert made.items == ("a", "b", "c")
    assert made.table().equals(frame.drop(columns="note"))
    assert Comparisons.from_frame(pl.DataFrame(frame)).table().equals(made.table())
    assert not made.probability.flags.writeable


def test_text_and_whole_numbers_are_taken_as_numbers():
    made = Comparisons.from_frame(table(item_1=[1, 2], probability=["0.2", "1"]))
    assert made.items[:2] == ("1", "b")
    assert made.probability.tolist() == [0.2, 1.0]


def test_by_default_a_pair_is_one_cluster_in_both_orders():
    frame = table(item_1=["a", "b"], item_2=["b", "a"])
    assert len(set(Comparisons.from_frame(frame).cluster)) == 1
    assert len(set(Comparisons.from_frame(frame.assign(cluster=["j", "k"])).cluster)) == 2


REFUSED = {
    "no probability": (table().drop(columns="probability"), "no column 'probability'"),
    "no rows": (table().iloc[:0], "holds no comparisons"),
    "a missing id": (table(item_2=["b", None]), "nothing in column 'item_2': row 2"),
    "a blank id": (table(item_1=[" ", "b"]), "nothing in column 'item_1': row 1"),
    "itself": (table(item_2=["a", "c"]), "of an item with itself: 'a'"),
    "a percentage": (table(probability=[20, 70]), "2 comparisons .* not between 0 and 1.*percent"),
    "a negative": (table(probability=[-0.1, 0.7]), "1 comparison .* 'a - b: -0.1'"),
    "a missing probability": (table(probability=[np.nan, 0.7]), "'a - b: nan'"),
    "a null": (table(probability=[None, "0.7"]), "'a - b: nan'"),
    "a word": (table(probability=["0.2", "high"]), "'probability' holds something that is no num"),
    "a negative weight": (table(weight=[1, -1]), "weight is no finite number.*'b - c: -1.0'"),
    "an endless weight": (table(weight=[1, np.inf]), "weight is no finite number"),
    "no weight": (table(weight=[0, 0]), "All comparisons have weight 0"),
    "a missing cluster": (table(cluster=["j", None]), "nothing in column 'cluster': row 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_comparisons_with_a_fault_are_refused(name):
    frame, message = REFUSED[name]
    with pytest.raises(ResponseError, match=message):
        Comparisons.from_frame(frame)


# --------------------------------------------------------------- soft targets


def test_soft_targets_are_logistic_and_hard_without_gamma():
    difference = np.array([-2.0, 0.0, 3.0])
    assert soft_target(difference, 2.0) == pytest.approx(expit(difference / 2.0))
    assert soft_target(difference, 0.0).tolist() == [0.0, 0.5, 1.0]
    assert soft_target(difference, 1e-320).tolist() == [0.0, 0.5, 1.0]
    assert soft_target(difference, 1e-3) == pytest.approx(soft_target(difference, 0.0))
    assert np.abs(soft_target(difference, 1e6) - 0.5).max() < 1e-5
    for gamma in (-1.0, np.nan, np.inf):
        with pytest.raises(ModelError, match="gamma"):
            soft_target(difference, gamma)


def test_soft_pairs_give_their_scores_back():
    rng = np.random.default_rng(1)
    scores = pd.Series(rng.normal(3, 2, 30), index=[f"q{n}" for n in range(30)])
    made = soft_pairs(scores, gamma=1.0, seed=2)
    strength = bradley_terry(made).table()["strength"]
    assert (strength + scores.mean()).to_dict() == pytest.approx(scores.to_dict())
    assert len(made.first) == 120


def test_scores_with_a_fault_are_refused():
    for scores, message in (
        (pd.Series([1.0, 2.0], index=["a", "a"]), "1 item with two scores: 'a'"),
        (pd.Series([1.0, np.nan], index=["a", "b"]), "1 item without a score.*'b'"),
        (pd.Series(["1", "x"], index=["a", "b"]), "1 item without a score.*'b'"),
        (pd.Series([1.0, np.inf], index=["a", "b"]), "1 item without a score.*'b'"),
    ):
        with pytest.raises(ResponseError, match=message):
            soft_pairs(scores, seed=1)


# -------------------------------------------------------------------- designs


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("n_items", [2, 3, 5, 24])
def test_designs_name_every_pair_once_and_connect_all(design, n_items):
    pairs = design_pairs(n_items, design=design, seed=3)
    assert pairs.shape[1] == 2
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert set(pairs.ravel().tolist()) == set(range(n_items))
    both = 2 if design == "symmetric" else 1
    ordered = {tuple(pair) for pair in pairs.tolist()}
    unordered = {frozenset(pair) for pair in pairs.tolist()}
    assert len(ordered) == len(pairs) == both * len(unordered)
    most = both * n_items * (n_items - 1) // 2
    assert len(pairs) == (most if design == "all" else min(4 * n_items, most))
    edges = np.zeros((n_items, n_items))
    edges[pairs[:, 0], pairs[:, 1]] = 1
    assert connected_components(edges)[0] == 1
    assert (design_pairs(n_items, design=design, seed=3) == pairs).all()


def test_balanced_pairs_compare_each_item_about_equally_often():
    for size in (49, 50, 130, 200, 1000):
        pairs = design_pairs(50, size, seed=4)
        met = np.bincount(pairs.ravel(), minlength=50)
        assert len(pairs) == size
        assert met.max() - met.min() <= (4 if size < 1000 else 10)
        assert met.min() >= 1
    drawn = np.bincount(design_pairs(50, 200, design="random", seed=4).ravel(), minlength=50)
    rings = np.bincount(design_pairs(50, 200, seed=4).ravel(), minlength=50)
    assert rings.std() < drawn.std() / 2


def test_positions_of_a_pair_are_in_random_order():
    for design in ("balanced", "random", "greedy", "all"):
        pairs = design_pairs(40, design=design, seed=5)
        share = (pairs[:, 0] < pairs[:, 1]).mean()
        assert 0.35 < share < 0.65


def test_every_pair_can_be_drawn():
    for n_items in (2, 3, 6, 7):
        pairs = design_pairs(n_items, n_items * (n_items - 1) // 2, design="random", seed=6)
        assert len({frozenset(pair) for pair in pairs.tolist()}) == len(pairs)


def test_greedy_choice_is_the_pair_known_least():
    """The loop over all pairs, beyond one renewal of the matrix."""
    n_items, n_pairs = 20, BLOCK + 12
    matrix = np.eye(n_items) / FAINT
    used = np.eye(n_items, dtype=bool)
    for one, two in greedy_pairs(n_items, n_pairs, seed=7):
        own = np.diag(matrix)
        gain = np.where(used, -np.inf, own[:, None] + own - 2 * matrix)
        assert gain[one, two] == pytest.approx(gain.max(), rel=GREEDY)
        used[one, two] = used[two, one] = True
        change = matrix[one] - matrix[two]
        matrix = matrix - np.outer(change, change) / (1 + change[one] - change[two])


def test_greedy_pairs_tell_more_than_drawn_ones():
    def variance(design):
        pairs = design_pairs(60, 240, design=design, seed=8)
        x = np.eye(60)[pairs[:, 0]] - np.eye(60)[pairs[:, 1]]
        return np.trace(np.linalg.pinv(x.T @ x))

    assert variance("greedy") < variance("balanced") < variance("random")


@pytest.mark.slow
def test_greedy_design_of_many_items_is_made():
    pairs = design_pairs(1000, 2000, design="greedy", seed=9)
    assert len({frozenset(pair) for pair in pairs.tolist()}) == 2000
    met = np.bincount(pairs.ravel(), minlength=1000)
    assert met.min() >= 3
    assert met.max() <= 5


def test_designs_that_cannot_be_are_refused():
    for arguments, message in (
        ({"n_items": 1}, "1 item cannot be compared"),
        ({"n_items": 5, "n_pairs": 3}, "at least 4 are needed to connect them"),
        ({"n_items": 5, "n_pairs": 11}, "there are 10"),
        ({"n_items": 5, "n_pairs": 9, "design": "symmetric"}, "even number"),
        ({"n_items": 5, "n_pairs": 6, "design": "symmetric"}, "at least 8"),
        ({"n_items": 5, "n_pairs": 9, "design": "all"}, "All pairs of 5 items are 10, not 9"),
        ({"n_items": 5, "design": "clever"}, "Unknown design 'clever'"),
        ({"n_items": 30_000, "design": "greedy"}, "square matrix"),
    ):
        with pytest.raises(ModelError, match=message):
            design_pairs(**arguments, seed=1)


def test_drawn_pairs_that_leave_items_apart_are_refused_with_the_groups():
    with pytest.raises(ModelError, match=r"unconnected groups.*items \("):
        design_pairs(100, 120, design="random", seed=1)
