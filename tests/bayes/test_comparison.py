"""Predictive accuracy for persons who were left out."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pymc")
pytest.importorskip("nutpie")

from irtkit.errors import ModelError
from irtkit.estimation.bayes import compare_posteriors, loo, sample_posterior, waic
from irtkit.models import Rasch, TwoPL
from irtkit.simulate import simulate
from tests.bayes.posteriors import QUICK, given, small, well_mixed


def test_loo_equals_importance_sampling_where_that_is_easy():
    _, posterior = small()
    found = loo(posterior, n_draws=400)
    log_likelihood = posterior.log_marginals(400)
    plain = -np.log(np.exp(-log_likelihood).mean(axis=0))  # unsmoothed
    assert found.n_unreliable == 0
    assert found.pointwise == pytest.approx(plain, abs=0.01)
    assert found.elpd == pytest.approx(found.pointwise.sum())
    assert 4 < found.p < 12


def test_waic_is_near_loo_and_below_the_fit():
    _, posterior = small()
    one, two = loo(posterior), waic(posterior)
    assert one.elpd == pytest.approx(two.elpd, abs=0.5)
    full = np.log(np.exp(posterior.log_marginals()).mean(axis=0)).sum()
    assert two.elpd == pytest.approx(full - two.p)
    variance = posterior.log_marginals().var(axis=0, ddof=1).sum()
    assert two.p == pytest.approx(variance)


def test_leaving_a_person_out_is_predicted():
    """Importance sampling must give what sampling without the person gives."""
    drawn, posterior = small()
    person = int(np.argmin(loo(posterior).pointwise))
    rest = drawn.responses.select_persons(np.arange(250) != person)
    without = sample_posterior(rest, TwoPL(), sampler=QUICK)
    responses = drawn.responses.select_persons([person])
    exact = replace(without, responses=responses).log_marginals()[:, 0]
    exact = np.log(np.exp(exact).mean())
    assert loo(posterior).pointwise[person] == pytest.approx(exact, abs=0.1)


def test_the_better_model_comes_first():
    slopes = simulate(TwoPL(), n_persons=600, n_items=8, seed=12)
    codes = slopes.responses.dense().copy()
    codes[:, 0] = np.random.default_rng(0).random(600) < 0.5  # an item that measures nothing
    responses = replace(slopes.responses, codes=codes)
    free, equal = (sample_posterior(responses, m, sampler=QUICK) for m in (TwoPL(), Rasch()))
    for method in ("loo", "waic"):
        table = compare_posteriors({"rasch": equal, "2pl": free}, method=method)
        assert list(table.index) == ["2pl", "rasch"]
        assert table.loc["2pl", "difference"] == 0.0
        row = table.loc["rasch"]
        assert row["difference"] < -2.0 * row["se_difference"]


def test_weights_count_as_persons():
    _, posterior = small()
    heavy = replace(posterior.responses, weights=np.full(250, 3.0))
    one, three = waic(posterior), waic(replace(posterior, responses=heavy))
    assert three.elpd == pytest.approx(3.0 * one.elpd)
    assert three.standard_error == pytest.approx(np.sqrt(3.0) * one.standard_error, rel=0.01)


def test_models_of_other_answers_are_not_compared():
    with pytest.raises(ModelError, match="other answers"):
        compare_posteriors({"a": small()[1], "b": given(well_mixed(2, 20))})
    with pytest.raises(ModelError, match="Unknown method"):
        compare_posteriors({"a": small()[1]}, method="aic")
    with pytest.raises(ModelError, match="nothing to compare"):
        compare_posteriors({})
