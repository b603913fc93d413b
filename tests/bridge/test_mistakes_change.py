"""Accuracy before and after: counts, intervals by hand, coverage, clusters and runs."""

import math

import numpy as np
import pytest

from irtkit.bridge.mistakes.accuracy_change import accuracy_change, effective_size, paired_margins
from irtkit.errors import ModelError

EXACT = 1e-12
Z = 1.959963984540054


def wilson_by_hand(x, n):
    p = x / n
    root = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return (
        (p + Z**2 / (2 * n) - root) / (1 + Z**2 / n),
        (p + Z**2 / (2 * n) + root) / (1 + Z**2 / n),
    )


def pairs(both, mended, broken, neither):
    """Items as two arrays, from the four counts."""
    before = np.repeat([1, 0, 1, 0], [both, mended, broken, neither])
    after = np.repeat([1, 1, 0, 0], [both, mended, broken, neither])
    return before.astype(bool), after.astype(bool)


def newcombe_by_hand(both, mended, broken, neither):
    """Interval of the change from the four counts, by the published formula."""
    n = both + mended + broken + neither
    x1, x2 = both + broken, both + mended
    (l1, u1), (l2, u2) = wilson_by_hand(x1, n), wilson_by_hand(x2, n)
    product = x1 * (n - x1) * x2 * (n - x2)
    crossed = both * neither - mended * broken
    crossed = max(crossed - n / 2, 0.0) if crossed > 0 else crossed
    phi = crossed / math.sqrt(product) if product else 0.0
    p1, p2 = x1 / n, x2 / n
    below = math.sqrt((p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2)
    above = math.sqrt((u2 - p2) ** 2 - 2 * phi * (u2 - p2) * (p1 - l1) + (p1 - l1) ** 2)
    return p2 - p1 - below, p2 - p1 + above


@pytest.mark.parametrize(
    "counts", [(36, 12, 2, 0), (20, 5, 9, 16), (0, 3, 0, 30), (50, 0, 0, 50), (10, 0, 0, 0)]
)
def test_one_run_has_the_published_interval(counts):
    row = accuracy_change(*pairs(*counts)).loc["all"]
    low, high = newcombe_by_hand(*counts)
    assert row["change_low"] == pytest.approx(max(low, -1.0), abs=EXACT)
    assert row["change_high"] == pytest.approx(min(high, 1.0), abs=EXACT)
    assert (row["n_mended"], row["n_broken"]) == counts[1:3]
    n = sum(counts)
    assert row["change"] == pytest.approx((counts[1] - counts[2]) / n, abs=EXACT)
    assert (row["before_low"], row["before_high"]) == pytest.approx(
        wilson_by_hand(counts[0] + counts[2], n), abs=EXACT
    )


@pytest.mark.parametrize("counts", [(30, 0, 0, 0), (15, 0, 0, 15), (3, 0, 0, 27)])
def test_nothing_changed_is_no_certainty(counts):
    row = accuracy_change(*pairs(*counts)).loc["all"]
    assert row["change"] == 0.0
    assert row["change_low"] < -0.04
    assert row["change_high"] > 0.04


def test_rows_are_the_categories_and_all():
    before, after = pairs(6, 4, 2, 8)
    categories = ["b"] * 10 + ["a"] * 10
    table = accuracy_change(before, after, categories)
    assert table.index.tolist() == ["a", "b", "all"]
    assert table.index.name == "category"
    assert table["n"].tolist() == [10, 10, 20]
    alone = accuracy_change(before[:10], after[:10])
    assert table.loc["b"].tolist() == alone.loc["all"].tolist()


def test_swapping_before_and_after_mirrors_the_change():
    before, after = pairs(20, 7, 3, 11)
    one, two = accuracy_change(before, after).loc["all"], accuracy_change(after, before).loc["all"]
    assert one["change_low"] == pytest.approx(-two["change_high"], abs=EXACT)
    assert one["change_high"] == pytest.approx(-two["change_low"], abs=EXACT)


def test_items_of_their_own_cluster_are_independent():
    before, after = pairs(20, 7, 3, 11)
    alone = accuracy_change(before, after)
    clustered = accuracy_change(before, after, clusters=[str(n) for n in range(41)])
    assert clustered.to_numpy() == pytest.approx(alone.to_numpy(), abs=EXACT)


def test_copies_of_an_item_in_one_cluster_add_nothing():
    rng = np.random.default_rng(2)
    values, copies = rng.integers(0, 2, 200).astype(float), 5
    clusters = np.repeat(np.arange(200), copies)
    found = effective_size(np.repeat(values, copies), clusters)
    assert found == pytest.approx(200, rel=0.01)
    assert effective_size(np.ones(1000), clusters) == 200.0
    assert effective_size(np.repeat(values, copies), None) == 1000.0


def test_copies_of_items_do_not_narrow_the_interval():
    before, after = pairs(60, 25, 10, 30)
    clusters = [str(n) for n in np.repeat(np.arange(125), 4)]
    alone = accuracy_change(before, after).loc["all"]
    copied = accuracy_change(np.repeat(before, 4), np.repeat(after, 4), clusters=clusters)
    for name in ("before_low", "after_high", "change_low", "change_high"):
        assert copied.loc["all", name] == pytest.approx(alone[name], abs=1e-3)


def test_the_design_effect_is_that_of_the_cluster_robust_variance():
    rng = np.random.default_rng(7)
    clusters = rng.integers(0, 40, 300)
    values = rng.normal(size=40)[clusters] + rng.normal(size=300)
    deviations = values - values.mean()
    robust = sum(deviations[clusters == g].sum() ** 2 for g in range(40)) * 40 / 39 / 300**2
    simple = values.var(ddof=1) / 300
    assert effective_size(values, clusters) == pytest.approx(300 * simple / robust, abs=1e-9)


def test_runs_that_agree_are_one_run():
    before, after = pairs(20, 7, 3, 11)
    one = accuracy_change(before, after).loc["all"]
    three = accuracy_change(np.tile(before, (3, 1)), np.tile(after, (3, 1))).loc["all"]
    assert three["n_runs"] == 3
    assert three.drop("n_runs").tolist() == pytest.approx(one.drop("n_runs").tolist(), abs=EXACT)


def test_runs_that_differ_widen_the_interval_by_students_t():
    before = np.zeros((3, 100), dtype=bool)
    after = np.zeros((3, 100), dtype=bool)
    for run, gained in enumerate((10, 20, 30)):
        after[run, :gained] = True
    row = accuracy_change(before, after).loc["all"]
    below, above = paired_margins(before.mean(axis=0), after.mean(axis=0), 100)
    margin = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert row["change"] == pytest.approx(0.2, abs=EXACT)
    assert row["change_low"] == pytest.approx(0.2 - math.hypot(below, margin), abs=1e-9)
    assert row["change_high"] == pytest.approx(0.2 + math.hypot(above, margin), abs=1e-9)
    assert row["n_mended"] == pytest.approx(20.0, abs=EXACT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 0], [1]), "need one shape"),
        (([], []), "need one shape"),
        (([0.5, 1], [1, 0]), "true or false"),
        (([1, 0], [1, 0], ["a"]), "2 items, but 1 categories"),
        (([1, 0], [1, 0], ["a", "all"]), "No category may be named 'all'"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        accuracy_change(*arguments)


def test_clusters_of_another_number_are_refused():
    with pytest.raises(ModelError, match="2 items, but 3 clusters"):
        accuracy_change([1, 0], [1, 0], clusters=["a", "b", "c"])


N_DRAWS = 400
LEAST, MOST = (
    0.905,
    0.985,
)  # 99.9% limits of the share of 400 draws that a right 95% interval covers


@pytest.mark.slow
@pytest.mark.parametrize(("n_clusters", "size"), [(60, 1), (150, 1), (80, 4)])
def test_intervals_cover_the_true_change(n_clusters, size):
    """Items of a cluster share how hard they are; a change is small and positive."""
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(N_DRAWS):
        hard = np.repeat(rng.beta(2, 1, n_clusters), size)
        before = rng.random(len(hard)) < hard
        mended = ~before & (rng.random(len(hard)) < 0.3)
        broken = before & (rng.random(len(hard)) < 0.05)
        after = (before | mended) & ~broken
        clusters = [str(n) for n in np.repeat(np.arange(n_clusters), size)]
        row = accuracy_change(before, after, clusters=clusters).loc["all"]
        truth = (1 / 3) * 0.3 - (2 / 3) * 0.05
        covered += row["change_low"] <= truth <= row["change_high"]
    assert LEAST <= covered / N_DRAWS <= MOST
