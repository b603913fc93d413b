"""Parallel analysis and one dimension against two: brute force, laws, refusals, error rates."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import chi2

from irtkit.diagnostics.correlations import polychoric_correlations
from irtkit.diagnostics.dimensionality import (
    FEWEST_COMMON,
    compare_dimensions,
    dimensionality,
    shuffled,
)
from irtkit.errors import ModelError, ResponseError
from irtkit.estimation import MML, calibrate
from irtkit.estimation.two_dimensions import calibrate_two_dimensions
from irtkit.models import Graded, TwoPL
from irtkit.simulate import simulate
from tests.diagnostics.test_correlations import responses_of, searched

EXACT = 1e-10
BRUTE = 1e-5
COLUMNS = ["eigenvalue", "reference", "reference_mean", "share", "retained"]


def two_clusters(n_persons, n_items, seed, correlation=0.3):
    rng = np.random.default_rng(seed)
    covariance = [[1.0, correlation], [correlation, 1.0]]
    theta = rng.multivariate_normal([0.0, 0.0], covariance, size=n_persons)
    slope, intercept = rng.lognormal(0.2, 0.3, n_items), rng.normal(size=n_items)
    own = theta[:, (np.arange(n_items) >= n_items // 2).astype(int)]
    right = rng.random((n_persons, n_items)) < 1.0 / (1.0 + np.exp(-slope * own - intercept))
    return responses_of(right.astype(np.int8))


def naive_eigenvalues(codes):
    n_items = codes.shape[1]
    matrix = np.eye(n_items)
    for i, j in itertools.combinations(range(n_items), 2):
        both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
        table = np.zeros((3, 3))
        np.add.at(table, (codes[both, i], codes[both, j]), 1.0)
        table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
        matrix[i, j] = matrix[j, i] = searched(table)
    return np.linalg.eigvalsh(matrix)[::-1]


def test_parallel_analysis_equals_the_obvious_loop_with_missing_answers():
    made = simulate(Graded(), n_persons=100, n_items=4, seed=3, missing=0.2, n_categories=3)
    responses = made.responses
    table = dimensionality(responses, n_draws=3, seed=9, quantile=0.75)
    draws = []
    for rng in np.random.default_rng(9).spawn(3):
        codes = responses.dense().copy()
        for item in range(4):
            seen = np.flatnonzero(codes[:, item] >= 0)
            codes[seen, item] = rng.permutation(codes[seen, item])
        draws.append(naive_eigenvalues(codes))
    observed = naive_eigenvalues(responses.dense())
    assert table["eigenvalue"].to_numpy() == pytest.approx(observed, abs=BRUTE)
    assert table["reference"].to_numpy() == pytest.approx(np.quantile(draws, 0.75, axis=0), BRUTE)
    assert table["reference_mean"].to_numpy() == pytest.approx(np.mean(draws, axis=0), BRUTE)
    assert table["share"].to_numpy() == pytest.approx(observed / 4, abs=BRUTE)


def test_shuffling_keeps_margins_and_gaps_and_breaks_the_rest():
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=2, missing=0.3)
    codes = made.responses.dense()
    drawn = shuffled(codes, np.random.default_rng(1))
    assert np.array_equal(drawn == -1, codes == -1)
    assert np.array_equal((drawn == 1).sum(axis=0), (codes == 1).sum(axis=0))
    assert ((drawn != codes).sum(axis=0) > 20).all()
    by_column = np.asfortranarray(codes)
    assert np.array_equal(shuffled(by_column, np.random.default_rng(1)), drawn)
    assert np.array_equal(by_column, codes)
    twins = shuffled(np.repeat(codes[:, :1], 2, axis=1), np.random.default_rng(1))
    assert (twins[:, 0] != twins[:, 1]).sum() > 50
    sparse = shuffled(sp.csr_array(codes + np.int8(1)), np.random.default_rng(1))
    assert np.array_equal(sparse.toarray() - 1, drawn)


def test_sparse_answers_give_the_same_as_dense_ones_and_nothing_is_changed():
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=2, missing=0.5).responses
    before = made.fingerprint()
    table = dimensionality(made, n_draws=5)
    sparse = replace(made, codes=sp.csr_array(made.dense() + np.int8(1)))
    assert dimensionality(sparse, n_draws=5).equals(table)
    assert made.fingerprint() == before
    assert list(table.columns) == COLUMNS
    assert table.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert table.index.name == "component"
    assert table["retained"].dtype == bool


def test_one_seed_gives_one_answer_and_progress_counts_the_draws():
    made = simulate(TwoPL(), n_persons=300, n_items=5, seed=1).responses
    steps = []
    first = dimensionality(
        made, n_draws=3, seed=5, progress=lambda done, n: steps.append((done, n))
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert first.equals(dimensionality(made, n_draws=3, seed=np.random.default_rng(5)))
    assert not first.equals(dimensionality(made, n_draws=3, seed=6))


def test_eigenvalues_are_those_of_the_matrix_and_sum_to_the_items():
    made = simulate(TwoPL(), n_persons=300, n_items=8, seed=1, missing=0.2).responses
    table = dimensionality(made, n_draws=2)
    known = np.linalg.eigvalsh(polychoric_correlations(made).to_numpy())[::-1]
    assert table["eigenvalue"].to_numpy() == pytest.approx(known, abs=EXACT)
    assert table["eigenvalue"].sum() == pytest.approx(8.0, abs=EXACT)
    assert table["share"].sum() == pytest.approx(1.0, abs=EXACT)
    phi = dimensionality(made, n_draws=2, correlation="pearson")
    known = np.linalg.eigvalsh(pd.DataFrame(made.dense()).replace(-1, np.nan).corr())[::-1]
    assert phi["eigenvalue"].to_numpy() == pytest.approx(known, abs=EXACT)


def test_components_count_up_to_the_first_that_fails():
    clusters = dimensionality(two_clusters(1500, 16, seed=1), n_draws=40)
    assert clusters["retained"].sum() == 2
    one = simulate(TwoPL(), n_persons=1500, n_items=16, seed=1).responses
    assert dimensionality(one, n_draws=40)["retained"].sum() == 1
    # three answers in a hundred draws at the median: some later component exceeds its reference
    rng = np.random.default_rng(4)
    nothing = responses_of(rng.integers(0, 2, (200, 10)).astype(np.int8))
    table = dimensionality(nothing, n_draws=40, quantile=0.5)
    above = table["eigenvalue"] > table["reference"]
    assert table["retained"].tolist() == np.logical_and.accumulate(above).tolist()
    assert table["retained"].sum() < above.sum()


def test_items_answered_alike_are_left_out_and_two_are_too_few():
    made = simulate(TwoPL(), n_persons=200, n_items=5, seed=1).responses
    codes = made.dense().copy()
    codes[:, 2] = 1
    alike = replace(made, codes=codes)
    assert len(dimensionality(alike, n_draws=2)) == 4
    assert dimensionality(alike, n_draws=2).equals(
        dimensionality(made.select_items(["i1", "i2", "i4", "i5"]), n_draws=2)
    )
    with pytest.raises(ResponseError, match=r"Only 2 items that vary.*alike.*'i3'"):
        dimensionality(alike.select_items(["i1", "i3", "i5"]), n_draws=2)


def test_pairs_with_too_few_common_persons_are_refused_by_the_items_to_leave_out():
    made = simulate(TwoPL(), n_persons=200, n_items=6, seed=1).responses
    codes = made.dense().copy()
    codes[FEWEST_COMMON - 1 :, 1] = -1
    with pytest.raises(ResponseError, match=r"^5 of 15 pairs.*Leave out 'i2' \("):
        dimensionality(replace(made, codes=codes), n_draws=2)
    codes[FEWEST_COMMON - 1, 1] = made.dense()[FEWEST_COMMON - 1, 1]
    dimensionality(replace(made, codes=codes), n_draws=2)
    with pytest.raises(ResponseError, match="Collect answers of more persons"):
        dimensionality(made.select_persons(np.arange(FEWEST_COMMON - 1)), n_draws=2)


def test_a_pair_that_is_all_alike_where_both_were_answered_is_refused():
    made = simulate(TwoPL(), n_persons=200, n_items=5, seed=1).responses
    codes = made.dense().copy()
    codes[:100, 0], codes[100:, 0], codes[100:, 1] = 1, 0, -1
    with pytest.raises(ResponseError, match=r"^1 of 10 pairs.*all alike\. Leave out 'i1' \("):
        dimensionality(replace(made, codes=codes), n_draws=2)


def test_a_pair_that_varies_in_the_answers_but_not_in_a_draw_counts_as_uncorrelated():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 2, (60, 4)).astype(np.int8)
    codes[:, 0] = np.arange(60) == 0
    codes[40:, 1] = -1  # the one right answer often falls where the second item is missing
    table = dimensionality(responses_of(codes), n_draws=20)
    assert np.isfinite(table.to_numpy(dtype=float)).all()


def test_rows_with_whole_weights_count_as_persons():
    made = simulate(TwoPL(), n_persons=100, n_items=5, seed=1).responses
    weights = np.where(np.arange(100) < 40, 3.0, 1.0)
    rows = np.repeat(np.arange(100), weights.astype(int))
    repeated = responses_of(made.dense()[rows])
    weighted = replace(made, weights=weights)
    assert dimensionality(weighted, n_draws=2).equals(dimensionality(repeated, n_draws=2))
    with pytest.raises(ResponseError, match="not whole numbers"):
        dimensionality(replace(made, weights=weights / 2.0), n_draws=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 0}, "at least one draw"),
        ({"quantile": 1.0}, "quantile between 0 and 1"),
        ({"correlation": "spearman"}, "Unknown correlation 'spearman'.*polychoric"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    made = simulate(TwoPL(), n_persons=100, n_items=4, seed=1).responses
    with pytest.raises(ModelError, match=message):
        dimensionality(made, **options)


def test_comparison_is_that_of_the_two_calibrations():
    responses = two_clusters(1000, 10, seed=2)
    table = compare_dimensions(responses)
    one = calibrate(responses, TwoPL(), method=MML(standard_errors=None))
    two = calibrate_two_dimensions(responses)
    assert table.index.tolist() == ["one dimension", "two dimensions"]
    assert table["n_parameters"].tolist() == [20, 29]
    assert table["log_likelihood"].tolist() == pytest.approx(
        [one.log_likelihood, two.log_likelihood], abs=1e-6
    )
    for row, model in (("one dimension", one), ("two dimensions", two)):
        for name, value in model.criteria().items():
            assert table.loc[row, name] == pytest.approx(value, abs=1e-5)
    second = table.loc["two dimensions"]
    ratio = 2.0 * (two.log_likelihood - one.log_likelihood)
    assert second["chi2"] == pytest.approx(ratio, abs=1e-5)
    assert second["df"] == 9
    assert second["p"] == pytest.approx(chi2.sf(ratio, 9), rel=1e-6, abs=1e-300)
    assert np.isnan(second["p_bootstrap"])
    assert table.loc["one dimension", ["chi2", "df", "p", "p_bootstrap"]].isna().all()
    assert table["bic"].idxmin() == "two dimensions"


def test_bootstrap_draws_each_data_set_once_and_the_same_ones_again():
    made = simulate(TwoPL(), n_persons=500, n_items=8, seed=3, missing=0.1).responses
    steps = []
    table = compare_dimensions(
        made, n_draws=2, n_starts=1, progress=lambda done, n: steps.append((done, n))
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert table.loc["two dimensions", "p_bootstrap"] in (pytest.approx(2 / 3), 1.0)
    assert table.equals(compare_dimensions(made, n_draws=2, n_starts=1))
    clusters = compare_dimensions(two_clusters(500, 8, seed=3), n_draws=1, n_starts=1)
    assert clusters.loc["two dimensions", "p_bootstrap"] == pytest.approx(0.5)
    with pytest.raises(ModelError, match="must not be negative"):
        compare_dimensions(made, n_draws=-1)


@pytest.mark.slow
def test_bootstrap_finds_two_planted_dimensions_and_not_a_second_where_there_is_none():
    clusters = compare_dimensions(two_clusters(500, 8, seed=3), n_draws=9, n_starts=1)
    assert clusters.loc["two dimensions", "p_bootstrap"] == pytest.approx(0.1)
    made = simulate(TwoPL(), n_persons=500, n_items=8, seed=3).responses
    one = compare_dimensions(made, n_draws=9, n_starts=1)
    assert one.loc["two dimensions", "p_bootstrap"] > 0.15


@pytest.mark.slow
def test_bic_chooses_one_dimension_where_there_is_one():
    chosen = [
        compare_dimensions(
            simulate(TwoPL(), n_persons=1000, n_items=12, seed=seed).responses, n_starts=2
        )["bic"].idxmin()
        for seed in range(20)
    ]
    assert chosen.count("one dimension") >= 19


@pytest.mark.slow
def test_parallel_analysis_finds_a_component_in_noise_as_often_as_it_says():
    found = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        codes = (rng.random((150, 8)) < rng.uniform(0.2, 0.8, 8)).astype(np.int8)
        codes[rng.random(codes.shape) < 0.2] = -1
        found += dimensionality(responses_of(codes), n_draws=59, seed=seed)["retained"].any()
    assert 5 <= found <= 28  # 5% of 300 is 15; three binomial standard errors each way
