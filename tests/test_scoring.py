"""EAP scores, percentiles and norms: golden values, brute force, ties and extremes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.latent import Normal
from irtkit.models import Rasch, TwoPL
from irtkit.norms import NORM_POINTS, norms_of, percentiles
from irtkit.responses import Responses
from irtkit.scoring import Scores, score
from irtkit.scoring.scores import quantiles
from irtkit.simulate import simulate
from tests.golden import CASES, golden, golden_responses

EAP = 3e-5  # R stopped its Rasch variance within 1e-5


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
