"""Polychoric correlations: brute force, laws, empty cells, missing answers, refusals."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal, norm

from irtkit.diagnostics.correlations import (
    bivariate_normal_cdf,
    pearson,
    polychoric,
    polychoric_correlations,
    polychoric_pairs,
    two_way_tables,
)
from irtkit.errors import ModelError, ResponseError
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate

CDF = 1e-12
SOLVED = 1e-9
BRUTE = 1e-6  # what a search of the likelihood can find


def responses_of(codes, **more):
    n_persons, n_items = codes.shape
    return Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(n_persons)),
        items=tuple(f"i{number}" for number in range(1, n_items + 1)),
        categories=tuple(str(code) for code in range(max(2, int(codes.max()) + 1))),
        **more,
    )


def searched(table):
    """Maximise the likelihood of a table over the correlation, with the margins' thresholds."""
    share = table / table.sum()
    rows = np.concatenate([[-30.0], norm.ppf(np.cumsum(share.sum(axis=1))[:-1]), [30.0]])
    columns = np.concatenate([[-30.0], norm.ppf(np.cumsum(share.sum(axis=0))[:-1]), [30.0]])

    def below(h, k, rho):
        return multivariate_normal.cdf([h, k], [0.0, 0.0], [[1.0, rho], [rho, 1.0]])

    def loss(rho):
        total = 0.0
        for k, m in itertools.product(range(table.shape[0]), range(table.shape[1])):
            chance = (
                below(rows[k + 1], columns[m + 1], rho)
                - below(rows[k], columns[m + 1], rho)
                - below(rows[k + 1], columns[m], rho)
                + below(rows[k], columns[m], rho)
            )
            total -= table[k, m] * np.log(max(chance, 1e-300))
        return total

    grid = np.linspace(-0.98, 0.98, 50)
    best = grid[np.argmin([loss(rho) for rho in grid])]
    limits = (max(best - 0.05, -0.9999), min(best + 0.05, 0.9999))
    return minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": 1e-10}).x


def test_bivariate_normal_probabilities_equal_scipy():
    rng = np.random.default_rng(1)
    h, k = rng.normal(0.0, 2.0, (2, 200))
    h[:5], k[3:8] = [0.0, -0.0, -0.0, 0.0, -0.0], [0.0, -0.0, 0.0, -0.0, -0.0]
    rho = rng.uniform(-1.0, 1.0, 200)
    rho[8:12] = [0.999, -0.999, 0.0, 0.93]
    known = [
        multivariate_normal.cdf([a, b], [0.0, 0.0], [[1.0, r], [r, 1.0]])
        for a, b, r in zip(h, k, rho, strict=True)
    ]
    assert bivariate_normal_cdf(h, k, rho) == pytest.approx(np.array(known), abs=CDF)


def test_both_below_their_means_is_the_arcsine_law():
    rho = np.array([-0.99, -0.5, 0.0, 0.3, 0.99])
    zero = np.zeros(5)
    assert bivariate_normal_cdf(zero, -zero, rho) == pytest.approx(
        0.25 + np.arcsin(rho) / (2.0 * np.pi), abs=CDF
    )


def test_tetrachoric_correlations_reproduce_their_tables():
    rng = np.random.default_rng(2)
    tables = rng.integers(1, 400, (300, 2, 2)).astype(float)
    share = tables / tables.sum(axis=(1, 2), keepdims=True)
    rho = polychoric(tables)
    h, k = norm.ppf(share.sum(axis=2)[:, 0]), norm.ppf(share.sum(axis=1)[:, 0])
    assert bivariate_normal_cdf(h, k, rho) == pytest.approx(share[:, 0, 0], abs=SOLVED)
    assert np.ptp(rho) > 1.5


@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (5, 2), (4, 4)])
def test_polychoric_correlations_maximise_the_likelihood_of_their_tables(shape):
    rng = np.random.default_rng(sum(shape))
    for strength in (-2.0, 0.0, 1.0, 4.0):
        x, y = np.arange(shape[0]) / shape[0], np.arange(shape[1]) / shape[1]
        weight = np.exp(2.0 * strength * np.outer(x - x.mean(), y - y.mean()))
        table = rng.poisson(200.0 * weight / weight.mean()) + 1.0
        assert polychoric(table[None])[0] == pytest.approx(searched(table), abs=BRUTE)


def test_empty_cells_of_larger_tables_are_left_alone():
    table = np.array([[40.0, 9.0, 0.0], [8.0, 30.0, 7.0], [0.0, 6.0, 35.0]])
    assert polychoric(table[None])[0] == pytest.approx(searched(table), abs=BRUTE)


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.35, 0.9])
def test_a_known_correlation_is_recovered_from_many_persons(rho):
    rng = np.random.default_rng(5)
    z = rng.multivariate_normal([0.0, 0.0], [[1.0, rho], [rho, 1.0]], size=400_000)
    codes = np.stack([np.digitize(z[:, 0], [-1.0, 0.2]), z[:, 1] > 0.5], axis=1).astype(np.int8)
    found = polychoric_correlations(responses_of(codes)).iloc[0, 1]
    assert found == pytest.approx(rho, abs=0.008)  # three standard errors


def test_every_way_to_empty_a_cell_moves_half_a_person_within_the_margins():
    plain = np.array([[[29.5, 0.5], [10.5, 59.5]]])
    empty = np.array([[[30.0, 0.0], [10.0, 60.0]]])
    for turned in (np.s_[:, :, :], np.s_[:, ::-1, :], np.s_[:, :, ::-1], np.s_[:, ::-1, ::-1]):
        assert polychoric(empty[turned]) == pytest.approx(polychoric(plain[turned]), abs=SOLVED)
    both, filled = np.array([[[40.0, 0.0], [0.0, 60.0]]]), np.array([[[39.5, 0.5], [0.5, 59.5]]])
    assert polychoric(both) == pytest.approx(polychoric(filled), abs=SOLVED)
    assert 0.99 < polychoric(both)[0] < 1.0


def test_an_empty_cell_that_independence_expects_empty_says_nothing():
    rare = np.array([[[3745.0, 1.0], [1.0, 0.0]], [[0.4, 0.0], [3.0, 5.0]]])  # the second weighted
    for turned in (np.s_[:, :, :], np.s_[:, ::-1, :], np.s_[:, :, ::-1], np.s_[:, ::-1, ::-1]):
        assert polychoric(rare[turned]) == pytest.approx(np.zeros(2), abs=SOLVED)
    expected = np.array([[[400.0, 24.0], [20.0, 0.0]], [[400.0, 10.0], [11.0, 0.0]]])
    assert polychoric(expected)[0] < -0.1  # independence would put 1.08 persons there
    assert polychoric(expected)[1] == pytest.approx(0.0, abs=SOLVED)


def test_empty_cells_are_counted_pair_by_pair():
    first = np.array([0] * 40 + [1] * 60)
    second = np.array([0] * 30 + [1] * 70)
    codes = np.stack([first, second, first, 1 - first], axis=1).astype(np.int8)
    table = polychoric_pairs(responses_of(codes))
    assert table["empty_cells"].tolist() == [1, 2, 2, 1, 1, 2]
    assert table["n_common"].tolist() == [100.0] * 6
    assert table.loc[("i1", "i4"), "correlation"] < -0.99


def test_two_categories_among_items_with_more_give_the_same_correlation():
    made = simulate(Graded(), n_persons=400, n_items=4, seed=3).responses
    codes = made.dense().copy()
    codes[:, 1] = 2 * (codes[:, 1] > 1)
    codes[:, 2] = 4 * (codes[:, 2] > 2)
    codes[(codes[:, 1] == 0), 2] = 0  # and an empty cell
    alone = responses_of((codes[:, 1:3] > 0).astype(np.int8))
    among = polychoric_correlations(responses_of(codes))
    pairs = polychoric_pairs(responses_of(codes))
    assert pairs.loc[("i2", "i3"), "empty_cells"] == 1
    assert among.loc["i2", "i3"] == pytest.approx(
        polychoric_correlations(alone).iloc[0, 1], abs=SOLVED
    )


def test_pairs_use_the_persons_who_answered_both_items():
    made = simulate(TwoPL(), n_persons=500, n_items=6, seed=4, missing=0.4).responses
    codes, table = made.dense(), polychoric_correlations(made)
    pairs = polychoric_pairs(made)
    for i, j in itertools.combinations(range(6), 2):
        both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
        cells = np.array(
            [
                [((codes[both][:, [i, j]]) == [k, m]).all(axis=1).sum() for m in (0, 1)]
                for k in (0, 1)
            ]
        )
        assert table.iloc[i, j] == table.iloc[j, i]
        assert table.iloc[i, j] == pytest.approx(searched(cells.astype(float)), abs=BRUTE)
        assert pairs.loc[(f"i{i + 1}", f"i{j + 1}"), "n_common"] == both.sum()


def test_sparse_answers_give_the_same_as_dense_ones_and_stay_as_they_are():
    made = simulate(Graded(), n_persons=300, n_items=7, seed=5, missing=0.6).responses
    before = made.fingerprint()
    sparse = replace(made, codes=sp.csr_array(made.dense() + np.int8(1)))
    assert polychoric_pairs(sparse).equals(polychoric_pairs(made))
    assert made.fingerprint() == before


@pytest.mark.parametrize("weight", [2.0, 0.5])
def test_weights_count_as_persons(weight):
    made = simulate(TwoPL(), n_persons=300, n_items=5, seed=6).responses
    half = replace(made, weights=np.where(np.arange(300) < 100, weight, 1.0))
    rows = np.arange(300) if weight == 2.0 else np.r_[np.arange(300), np.arange(100, 300)]
    rows = np.r_[rows, np.arange(100)] if weight == 2.0 else rows
    repeated = responses_of(made.dense()[rows])
    assert np.allclose(
        polychoric_correlations(half), polychoric_correlations(repeated), atol=SOLVED, rtol=0.0
    )


def test_permuting_items_permutes_and_reversing_one_turns_the_sign():
    made = simulate(Graded(), n_persons=400, n_items=5, seed=7).responses
    table = polychoric_correlations(made)
    order = ["i4", "i1", "i5", "i3", "i2"]
    permuted = polychoric_correlations(made.select_items(order))
    assert np.allclose(permuted, table.loc[order, order], atol=SOLVED, rtol=0.0)
    codes = made.dense().copy()
    codes[:, 2] = 4 - codes[:, 2]
    turned = polychoric_correlations(replace(made, codes=codes))
    sign = np.where(np.arange(5) == 2, -1.0, 1.0)
    assert np.allclose(turned, table * np.outer(sign, sign), atol=1e-8, rtol=0.0)


def test_what_cannot_be_correlated_is_unknown():
    made = simulate(TwoPL(), n_persons=200, n_items=4, seed=8).responses
    codes = made.dense().copy()
    codes[:, 0] = 1
    codes[:100, 1], codes[100:, 2] = -1, -1
    table = polychoric_correlations(replace(made, codes=codes))
    assert table.loc["i1"].isna().all()
    assert np.isnan(table.loc["i2", "i3"])
    assert np.isfinite(table.loc["i4", ["i2", "i3", "i4"]].astype(float)).all()
    assert list(table.index) == list(table.columns) == ["i1", "i2", "i3", "i4"]


def test_pearson_correlations_of_tables_are_those_of_the_codes():
    made = simulate(Graded(), n_persons=300, n_items=4, seed=9).responses
    codes = made.dense()
    tables = two_way_tables(codes, np.ones(300), 5)
    known = np.corrcoef(codes.T)
    for i, j in itertools.combinations(range(4), 2):
        assert pearson(tables[[i], :, [j]])[0] == pytest.approx(known[i, j], abs=1e-12)


def test_correlations_with_what_does_not_vary_are_unknown_whatever_the_rounding():
    tables = np.zeros((500, 4, 4))
    tables[:, 1:3, 3] = np.random.default_rng(1).random((500, 2))
    assert np.isnan(pearson(tables)).all()
    assert np.isnan(polychoric(tables)).all()


def test_tables_of_pairs_count_blocks_of_persons_alike(monkeypatch):
    module = sys.modules["irtkit.diagnostics.correlations"]
    made = simulate(TwoPL(), n_persons=500, n_items=4, seed=10, missing=0.2).responses
    whole = two_way_tables(made.codes, made.weights, 2)
    monkeypatch.setattr(module, "BLOCK_CELLS", 1000)
    monkeypatch.setattr(module, "CHUNK_CELLS", 4)
    assert np.array_equal(two_way_tables(made.codes, made.weights, 2), whole)
    assert whole[0, 1, 2, 0] == ((made.dense()[:, 0] == 1) & (made.dense()[:, 2] == 0)).sum()
    parts = polychoric(whole[[0, 0, 1], :, [1, 2, 3]])
    monkeypatch.undo()
    assert parts == pytest.approx(polychoric(whole[[0, 0, 1], :, [1, 2, 3]]), abs=1e-15)


def test_refusals_say_what_to_do(monkeypatch):
    module = sys.modules["irtkit.diagnostics.correlations"]
    made = simulate(TwoPL(), n_persons=50, n_items=6, seed=1).responses
    with monkeypatch.context() as patch:
        patch.setattr(module, "MOST_ITEMS", 5)
        with pytest.raises(ModelError, match=r"pairs of 6 items.*at most 5"):
            polychoric_correlations(made)
        patch.setattr(module, "MOST_ITEMS", 100)
        patch.setattr(module, "MOST_TABLE_CELLS", 100)
        with pytest.raises(ModelError, match="at most 5"):
            polychoric_correlations(made)
    many = np.random.default_rng(1).integers(0, 13, (50, 3)).astype(np.int8)
    with pytest.raises(ModelError, match=r"13 categories.*Join"):
        polychoric_correlations(responses_of(many))
    labels = replace(made, labels=made.codes, label_set=("a", "b"), categories=("a", "b"))
    with pytest.raises(ResponseError, match="without a key"):
        polychoric_correlations(labels)
