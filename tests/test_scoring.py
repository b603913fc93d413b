"""EAP scores, percentiles and norms: golden values, brute force, ties and extremes."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import norm

from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.latent import Normal
from irtkit.models import MODELS, GeneralizedPartialCredit, Graded, Rasch, TwoPL
from irtkit.norms import NORM_POINTS, norms_of, percentiles
from irtkit.responses import Responses
from irtkit.scoring import Scores, plausible_values, reliability, score
from irtkit.scoring import test_information as irt_information
from irtkit.scoring.modal import person_slopes
from irtkit.scoring.scores import quantiles
from irtkit.simulate import simulate
from tests.golden import CASES, golden, golden_responses

QUICK = MML(standard_errors=None)
EAP = 3e-5  # R stopped its Rasch variance within 1e-5


def truth_as_calibration(made):
    """Return a calibration that holds the parameters which the answers were drawn from."""
    calibration = calibrate(
        made.responses, made.assignment.models[0], method=MML(standard_errors=None, tolerance=0.05)
    )
    return replace(
        calibration, parameters=made.parameters, assignment=made.assignment, latent=Normal()
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", [TwoPL(), Rasch()], ids=["twopl", "rasch"])
def test_eap_and_its_standard_error_equal_r_mirt(case, model):
    known = golden(case)["twopl" if model == TwoPL() else "rasch"]
    responses = golden_responses(case)
    scores = score(responses, calibrate(responses, model))
    assert scores.theta[:50] == pytest.approx(known["scores"]["EAP"]["theta"], abs=EAP)
    assert scores.standard_error[:50] == pytest.approx(known["scores"]["EAP"]["se"], abs=EAP)


def test_eap_equals_the_obvious_integral_with_missing_answers():
    made = simulate(TwoPL(), n_persons=600, n_items=8, seed=2, missing=0.4)
    calibration = calibrate(made.responses, TwoPL(), method=MML(standard_errors=None))
    scores = score(made.responses, calibration)
    theta = np.linspace(-9, 9, 4001)
    log_prob = calibration.log_prob(theta)
    for person, codes in enumerate(made.responses.dense()[:40]):
        joint = norm.pdf(theta)
        for item, code in enumerate(codes):
            if code >= 0:
                joint = joint * np.exp(log_prob[:, item, code])
        mean = (joint * theta).sum() / joint.sum()
        variance = (joint * (theta - mean) ** 2).sum() / joint.sum()
        assert scores.theta[person] == pytest.approx(mean, abs=1e-6)
        assert scores.standard_error[person] == pytest.approx(np.sqrt(variance), abs=1e-6)
        below = np.cumsum(joint) / joint.sum()
        for share, found in ((0.025, scores.low[person]), (0.975, scores.high[person])):
            assert np.interp(found, theta, below) == pytest.approx(share, abs=0.002)


def test_person_without_answers_gets_the_population():
    made = simulate(TwoPL(), n_persons=200, n_items=6, seed=2)
    calibration = calibrate(made.responses, TwoPL())
    codes = made.responses.dense().copy()
    codes[0] = -1
    scores = score(replace(made.responses, codes=codes), calibration)
    assert (scores.theta[0], scores.n_answered[0]) == (pytest.approx(0.0, abs=1e-12), 0)
    assert scores.standard_error[0] == pytest.approx(1.0, abs=1e-6)
    assert scores.low[0] == pytest.approx(norm.ppf(0.025), abs=0.01)


def test_quantiles_of_a_flat_cell_are_inside_it():
    nodes = Normal().nodes()
    density = np.exp(nodes.log_weights)[:, None]
    shares = (0.025, 0.5, 0.9)
    for share, found in zip(shares, quantiles(density, nodes.theta, shares), strict=True):
        assert found[0] == pytest.approx(norm.ppf(share), abs=0.01)


def test_scoring_items_unknown_to_the_calibration_is_refused():
    made = simulate(TwoPL(), n_persons=100, n_items=4, seed=2)
    calibration = calibrate(made.responses, TwoPL())
    strange = Responses.from_array(made.responses.dense(), items=["i1", "i2", "i3", "new"])
    with pytest.raises(ModelError, match="'new'"):
        score(strange, calibration)
    with pytest.raises(ModelError, match="Unknown scoring method 'mle'"):
        score(made.responses, calibration, method="mle")


def test_scores_depend_on_item_names_not_on_their_order():
    made = simulate(TwoPL(), n_persons=100, n_items=5, seed=2)
    calibration = calibrate(made.responses, TwoPL())
    turned = made.responses.select_items(made.responses.items[::-1])
    assert score(turned, calibration).theta == pytest.approx(
        score(made.responses, calibration).theta, abs=1e-12
    )


def some_scores(theta):
    theta = np.asarray(theta, dtype=float)
    names = tuple(f"p{n}" for n in range(len(theta)))
    one = np.ones(len(theta))
    return Scores(names, theta, one, theta - 1, theta + 1, one)


def test_empirical_percentile_is_the_share_strictly_below_and_midrank_halves_ties():
    norms = norms_of(some_scores([-1.0, 0.0, 0.0, 0.0, 2.0]), np.ones(5))
    found = percentiles(some_scores([-3.0, -1.0, 0.0, 0.5, 2.0, 9.0]), Normal(), norms)
    assert found.percentile_empirical == pytest.approx([0, 0, 20, 80, 80, 100])
    assert found.percentile_midrank == pytest.approx([0, 10, 50, 80, 90, 100])
    assert found.percentile == pytest.approx(100 * norm.cdf([-3, -1, 0, 0.5, 2, 9]))
    assert found.percentile_low == pytest.approx(100 * norm.cdf([-4, -2, -1, -0.5, 1, 8]))
    assert found.percentile_empirical_se[2] == pytest.approx(100 * np.sqrt(0.2 * 0.8 / 5))


def test_ties_hold_up_to_rounding_of_another_machine():
    norms = norms_of(some_scores([0.0, 1 / 3, 1.0]), np.ones(3))
    found = percentiles(some_scores([1 / 3 + 1e-12, 1 / 3 - 1e-12]), Normal(), norms)
    assert found.percentile_empirical == pytest.approx([100 / 3, 100 / 3])
    assert found.percentile_midrank == pytest.approx([50.0, 50.0])


def test_weights_count_as_persons_in_the_norms():
    norms = norms_of(some_scores([0.0, 1.0]), np.array([1.0, 3.0]))
    assert norms.n_persons == 4
    assert percentiles(some_scores([1.0]), Normal(), norms).percentile_empirical[0] == 25


def test_large_norms_become_a_table_of_quantiles_close_to_the_exact_shares():
    theta = np.random.default_rng(1).normal(size=30_000)
    norms = norms_of(some_scores(theta), np.ones(len(theta)))
    assert len(norms.theta) <= NORM_POINTS + 2
    probe = np.linspace(-3.9, 3.9, 50)
    found = percentiles(some_scores(probe), Normal(), norms).percentile_empirical
    exact = 100 * (theta[None, :] < probe[:, None]).mean(axis=1)
    assert found == pytest.approx(exact, abs=100 * 1.5 / NORM_POINTS)


def test_percentile_follows_the_latent_distribution_of_a_rasch_calibration():
    norms = norms_of(some_scores([0.0, 1.0]), np.ones(2))
    found = percentiles(some_scores([1.0]), Normal(0.0, 2.0), norms)
    assert found.percentile[0] == pytest.approx(100 * norm.cdf(0.5))


def test_tables_are_indexed_by_person():
    made = simulate(TwoPL(), n_persons=50, n_items=4, seed=2)
    table = score(made.responses, calibrate(made.responses, TwoPL())).table()
    assert list(table.index) == list(made.responses.persons)
    assert isinstance(table, pd.DataFrame)
    columns = ["theta", "standard_error", "theta_low", "theta_high", "n_answered"]
    assert list(table.columns) == columns


ABILITY = 1e-4  # R maximises numerically
ABILITY_ERROR = 1e-3  # relative; its Hessians are numerical too


def numbers(values):
    return np.array(
        [np.nan if v in (None, "NA") else float(str(v).replace("Inf", "inf")) for v in values]
    )


@pytest.mark.parametrize("method", ["map", "ml", "wle"])
@pytest.mark.parametrize(
    ("case", "name", "model"),
    [
        ("LSAT6", "twopl", TwoPL()),
        ("sim2k20", "twopl", TwoPL()),
        ("sim2k20_na30", "twopl", TwoPL()),
        ("graded1500", "graded", Graded()),
        ("graded1500", "gpcm", GeneralizedPartialCredit()),
    ],
)
def test_map_ml_and_wle_equal_r_mirt(case, name, model, method):
    known = golden(case)[name]["scores"][method.upper()]
    responses = golden_responses(case)
    scores = score(responses, calibrate(responses, model, method=QUICK), method=method)
    theta, error = numbers(known["theta"]), numbers(known["se"])
    plain = np.isfinite(theta) & (np.abs(theta) < 19)  # R stops at 20 on its way to infinity
    found, found_error = scores.theta[: len(theta)], scores.standard_error[: len(theta)]
    assert found[plain] == pytest.approx(theta[plain], abs=ABILITY)
    assert found_error[plain] == pytest.approx(error[plain], rel=ABILITY_ERROR)
    assert np.isinf(found[~plain]).all()
    assert np.isinf(found_error[~plain]).all()


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20"])
def test_summed_score_eap_and_reliability_equal_r_mirt(case):
    known = golden(case)["twopl"]
    responses = golden_responses(case)
    calibration = calibrate(responses, TwoPL(), method=QUICK)
    scores = score(responses, calibration, method="eapsum")
    total = responses.dense().sum(axis=1)
    assert scores.theta == pytest.approx(np.array(known["scores"]["EAPsum"]["F1"])[total], abs=EAP)
    assert scores.standard_error == pytest.approx(
        np.array(known["scores"]["EAPsum"]["SE_F1"])[total], abs=EAP
    )
    found = reliability(calibration, score(responses, calibration))
    assert found.marginal == pytest.approx(known["diagnostics"]["marginal_rxx"], abs=1e-6)
    assert found.empirical == pytest.approx(known["diagnostics"]["empirical_rxx"], abs=1e-6)


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_map_ml_and_wle_are_the_peaks_of_what_they_maximise(model):
    made = simulate(model, n_persons=300, n_items=15, seed=2, missing=0.2)
    calibration = truth_as_calibration(made)
    theta = np.linspace(-8, 8, 6401)
    log_prob = calibration.log_prob(theta)
    information = calibration.assignment.information(calibration.parameters, theta).sum(axis=1)
    codes = made.responses.dense()[:40]
    for method in ("map", "ml", "wle"):
        found = score(made.responses, calibration, method=method).theta[:40]
        for person, row in enumerate(codes):
            seen = np.flatnonzero(row >= 0)
            height = log_prob[:, seen, row[seen]].sum(axis=1)
            if method == "map":
                height = height - theta**2 / 2
            elif method == "wle":
                if model.name in ("3pl", "4pl", "graded", "nominal"):
                    continue  # J / 2I is no derivative of a logarithm there
                own = calibration.assignment.information(calibration.parameters, theta)
                height = height + 0.5 * np.log(own[:, seen].sum(axis=1))
            if np.isfinite(found[person]):
                best = theta[np.argmax(height)]
                if abs(best) < 7.9:
                    assert found[person] == pytest.approx(best, abs=0.004)
    assert information.min() >= 0


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_slopes_of_a_persons_likelihood_equal_differences_dense_and_sparse(model):
    made = simulate(model, n_persons=30, n_items=9, seed=3, missing=0.3)
    calibration = truth_as_calibration(made)
    theta = np.linspace(-3, 3, 30)
    codes = made.responses.dense()
    held = sp.csr_array(codes + np.int8(1))

    def height(points):
        table = calibration.log_prob(points)  # (P, I, K)
        seen = codes >= 0
        own = np.take_along_axis(table, np.where(seen, codes, 0)[..., None].astype(int), -1)
        return np.where(seen, own[..., 0], 0.0).sum(axis=1)

    step = 1e-4
    up, here, down = (height(theta + d) for d in (step, 0.0, -step))
    for answers in (codes, held):
        found = person_slopes(answers, calibration, theta, True)
        assert found.first == pytest.approx((up - down) / (2 * step), abs=1e-5)
        assert found.observed == pytest.approx(-(up - 2 * here + down) / step**2, abs=1e-4)
    chance = np.exp(calibration.log_prob(theta))
    moved = [np.exp(calibration.log_prob(theta + d)) for d in (step, -step)]
    first = (moved[0] - moved[1]) / (2 * step)
    second = (moved[0] - 2 * chance + moved[1]) / step**2
    seen = (codes >= 0)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        warm = np.where(seen, first * second / chance, 0.0).sum(axis=(1, 2))
        fisher = np.where(seen, first**2 / chance, 0.0).sum(axis=(1, 2))
    assert found.warm == pytest.approx(warm, abs=1e-5)
    assert found.expected == pytest.approx(fisher, abs=1e-5)


def test_perfect_patterns_are_infinite_by_ml_and_finite_by_wle():
    made = simulate(TwoPL(), n_persons=50, n_items=6, seed=1)
    calibration = truth_as_calibration(made)
    codes = np.array([[1] * 6, [0] * 6, [-1] * 6], dtype=np.int8)
    responses = Responses(codes, ("best", "worst", "none"), made.responses.items)
    ml = score(responses, calibration, method="ml")
    assert ml.theta[:2].tolist() == [np.inf, -np.inf]
    assert np.isnan(ml.theta[2])
    wle = score(responses, calibration, method="wle")
    assert np.isfinite(wle.theta[:2]).all()
    assert wle.theta[0] > 1 > -1 > wle.theta[1]
    assert score(responses, calibration, method="map").theta[2] == pytest.approx(0.0, abs=1e-8)


def test_summed_score_mean_is_the_weighted_mean_of_its_patterns():
    made = simulate(Graded(), n_persons=30, n_items=4, seed=1, n_categories=3)
    calibration = truth_as_calibration(made)
    patterns = np.array(list(itertools.product(range(3), repeat=4)), dtype=np.int8)
    names = tuple(f"p{n}" for n in range(len(patterns)))
    responses = Responses(patterns, names, made.responses.items, made.responses.categories)
    eap = score(responses, calibration).theta
    by_sum = score(responses, calibration, method="eapsum").theta
    nodes = calibration.nodes()
    log_prob = calibration.log_prob(nodes.theta)
    chance = np.array(
        [
            np.exp(log_prob[:, range(4), row].sum(axis=1) + nodes.log_weights).sum()
            for row in patterns
        ]
    )
    for total in range(9):
        own = patterns.sum(axis=1) == total
        assert by_sum[own] == pytest.approx(np.average(eap[own], weights=chance[own]), abs=1e-9)
    with pytest.raises(ModelError, match="cannot be compared"):
        score(
            replace(responses, codes=np.where(patterns == 2, -1, patterns).astype(np.int8)),
            calibration,
            method="eapsum",
        )


def test_plausible_values_have_the_moments_of_the_posterior_and_repeat_with_their_seed():
    made = simulate(TwoPL(), n_persons=50, n_items=12, seed=1)
    calibration = truth_as_calibration(made)
    scores = score(made.responses, calibration)
    draws = plausible_values(made.responses, calibration, n_draws=2000, seed=3)
    values = draws.to_numpy()
    assert values.mean(axis=1) == pytest.approx(scores.theta, abs=0.06)
    assert values.std(axis=1) == pytest.approx(scores.standard_error, rel=0.08)
    again = plausible_values(made.responses, calibration, n_draws=2000, seed=3)
    assert draws.equals(again)
    assert list(draws.columns[:2]) == ["pv_1", "pv_2"]


def test_item_uncertainty_widens_intervals_and_needs_standard_errors():
    made = simulate(TwoPL(), n_persons=150, n_items=10, seed=1)
    calibration = calibrate(made.responses, TwoPL())
    plain = score(made.responses, calibration)
    wide = score(made.responses, calibration, item_draws=200, seed=1)
    assert wide.standard_error.mean() > 1.01 * plain.standard_error.mean()
    assert wide.theta == pytest.approx(plain.theta, abs=0.15)
    assert (wide.high - wide.low).mean() > (plain.high - plain.low).mean()
    bare = calibrate(made.responses, TwoPL(), method=QUICK)
    with pytest.raises(ModelError, match="without standard errors"):
        score(made.responses, bare, item_draws=5)
    with pytest.raises(ModelError, match="'eap' only"):
        score(made.responses, calibration, method="map", item_draws=5)


def test_information_is_that_of_the_items_and_expected_scores_rise():
    made = simulate(Graded(), n_persons=30, n_items=5, seed=2)
    calibration = truth_as_calibration(made)
    table = irt_information(calibration, [-1.0, 0.0, 1.0])
    items = calibration.assignment.information(calibration.parameters, np.array([-1.0, 0.0, 1.0]))
    assert table["information"].to_numpy() == pytest.approx(items.sum(axis=1))
    assert table["standard_error"].to_numpy() == pytest.approx(items.sum(axis=1) ** -0.5)
    assert table["expected_score"].is_monotonic_increasing


def test_a_histogram_has_no_mode_but_a_mean():
    made = simulate(TwoPL(), n_persons=800, n_items=10, seed=2)
    method = MML(latent="histogram", standard_errors=None, tolerance=1e-3)
    calibration = calibrate(made.responses, TwoPL(), method=method)
    assert np.isfinite(score(made.responses, calibration).theta).all()
    with pytest.raises(ModelError, match="no smooth density"):
        score(made.responses, calibration, method="map")
