"""Agreement with known values, and the ridge regression: by hand, by scipy, by scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from irtkit.bridge.pairwise import agreement
from irtkit.bridge.pairwise.ridge import ridge_regression
from irtkit.errors import ModelError, ResponseError


def example(size=40, seed=1):
    rng = np.random.default_rng(seed)
    index = [f"q{n}" for n in range(size)]
    truth = pd.Series(rng.normal(5, 2, size).round(1), index=index)
    near = 0.5 * truth.to_numpy() - 3 + rng.normal(0, 0.3, size)
    return pd.DataFrame({"near": near, "far": rng.normal(size=size)}, index=index), truth


def test_measures_are_those_of_scipy_and_by_hand():
    estimates, truth = example()
    for align, expected in (
        ("none", lambda e: e - truth),
        ("shift", lambda e: (e - e.mean()) - (truth - truth.mean())),
        ("linear", lambda e: truth - np.polyval(np.polyfit(e, truth, 1), e)),
    ):
        table = agreement(estimates, truth, align=align, draws=0)
        for name in estimates:
            error = expected(estimates[name])
            assert table.loc[name, "rmse"] == pytest.approx(np.sqrt((error**2).mean()))
            assert table.loc[name, "pearson"] == pytest.approx(
                pearsonr(estimates[name], truth).statistic
            )
            assert table.loc[name, "spearman"] == pytest.approx(
                spearmanr(estimates[name], truth).statistic
            )
            assert np.isnan(table.loc[name, "rmse_low"])
    assert table["n"].tolist() == [40, 40]


def test_order_of_the_items_and_others_in_the_truth_do_not_matter():
    estimates, truth = example()
    more = pd.concat([truth.sample(frac=1.0, random_state=1), pd.Series({"other": 9.0})])
    table = agreement(estimates, more, draws=0)
    assert table.equals(agreement(estimates, truth, draws=0))


def test_weights_count_as_repeated_items():
    estimates, truth = example(6)
    weights = pd.Series([1, 2, 1, 3, 1, 1], index=truth.index)
    places = np.repeat(np.arange(6), weights)
    weighted = agreement(estimates, truth, weights=weights, draws=0)
    repeated, known = estimates.iloc[places], truth.iloc[places]
    names = [f"r{n}" for n in range(len(places))]
    plain = agreement(repeated.set_axis(names), known.set_axis(names), draws=0)
    for measure in ("rmse", "pearson"):
        assert weighted[measure].tolist() == pytest.approx(plain[measure].tolist())


def test_estimates_that_are_not_finite_are_left_out_and_counted():
    estimates, truth = example()
    spoilt = estimates.copy()
    spoilt.iloc[0, 0], spoilt.iloc[1, 1] = np.inf, np.nan
    table = agreement(spoilt, truth, draws=0)
    assert table["n"].tolist() == [38, 38]
    assert table["n_left_out"].tolist() == [2, 2]
    expected = agreement(estimates.iloc[2:], truth, draws=0)
    assert table["rmse"].tolist() == expected["rmse"].tolist()


def test_equal_estimates_have_no_correlation():
    estimates, truth = example()
    table = agreement(estimates.assign(near=1.0), truth, align="linear", draws=5)
    assert np.isnan(table.loc["near", "pearson"])
    assert table.loc["near", "rmse"] == pytest.approx(truth.std(ddof=0))


def test_interval_of_a_correlation_is_near_that_of_fisher():
    estimates, truth = example(200)
    row = agreement(estimates, truth, draws=2000, seed=1).loc["far"]
    centre, half = np.arctanh(row["pearson"]), 1.96 / np.sqrt(197)
    assert row["pearson_low"] == pytest.approx(np.tanh(centre - half), abs=0.03)
    assert row["pearson_high"] == pytest.approx(np.tanh(centre + half), abs=0.03)
    assert row["rmse_low"] < row["rmse"] < row["rmse_high"]


def test_agreement_of_what_cannot_be_compared_is_refused():
    estimates, truth = example(5)
    for arguments, message in (
        ((estimates, truth.iloc[1:]), "1 item without a true value: 'q0'"),
        ((pd.concat([estimates, estimates]), truth), "5 items with two estimates"),
        ((estimates.assign(near=np.nan), truth), "0 items with a finite estimate"),
        ((estimates, truth, {"align": "rank"}), "Unknown alignment 'rank'"),
        ((estimates, truth, {"weights": truth * 0}), "Weights of items"),
    ):
        options = arguments[2] if len(arguments) > 2 else {}
        with pytest.raises((ModelError, ResponseError), match=message):
            agreement(*arguments[:2], **options)


@pytest.mark.parametrize("shape", [(30, 5), (20, 50)])
def test_ridge_is_the_solution_and_leave_one_out_is_the_loop(shape):
    rng = np.random.default_rng(2)
    features = rng.normal(2, 1, shape)
    values = features[:, 0] + rng.normal(size=shape[0])

    def solved(rows, penalty):
        x = features[rows] - features[rows].mean(axis=0)
        y = values[rows]
        slope = np.linalg.solve(x.T @ x + penalty * np.eye(shape[1]), x.T @ (y - y.mean()))
        return slope, y.mean() - features[rows].mean(axis=0) @ slope

    x = features - features.mean(axis=0)
    unit = (x**2).sum() / shape[1]
    errors = {}
    for penalty in (0.01, 1.0, 100.0):
        found = ridge_regression(features, values, penalties=(penalty,))
        slope, intercept = solved(np.arange(shape[0]), penalty * unit)
        assert found.coefficients == pytest.approx(slope)
        assert found.intercept == pytest.approx(intercept)
        assert found.predict(features) == pytest.approx(features @ slope + intercept)
        missed = []
        for left in range(shape[0]):
            rows = np.delete(np.arange(shape[0]), left)
            slope, intercept = solved(rows, penalty * unit)
            missed.append(values[left] - features[left] @ slope - intercept)
        errors[penalty] = np.sqrt(np.mean(np.square(missed)))
        assert found.error == pytest.approx(errors[penalty])
    best = ridge_regression(features, values, penalties=(0.01, 1.0, 100.0))
    assert best.penalty == min(errors, key=errors.get)


def test_regression_of_what_is_too_little_is_refused():
    with pytest.raises(ModelError, match="3 or more"):
        ridge_regression(np.ones((2, 2)), np.ones(2))
    with pytest.raises(ModelError, match="not finite"):
        ridge_regression(np.full((4, 2), np.nan), np.ones(4))
