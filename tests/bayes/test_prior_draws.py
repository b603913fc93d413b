"""Draws from the priors: what they imply, and that the sampler's density is theirs."""

import numpy as np
import pytest

pytest.importorskip("numba")

from scipy.stats import norm

from irtkit.errors import ModelError
from irtkit.estimation.bayes import (
    FixedPriors,
    HierarchicalPriors,
    SignedPriors,
    prior_draws,
)
from irtkit.estimation.priors import LogitNormal, LogNormal
from irtkit.latent import Normal
from irtkit.models import MODELS, TwoPL
from tests.bayes.test_density import MODEL_NAMES

N = 4000
SHARE = 0.03  # several standard errors of a share


def test_the_defaults_imply_what_they_say():
    drawn = prior_draws(TwoPL(), n_draws=N, seed=1)
    slope, intercept = drawn.parameters[:, 0].T
    b = -intercept / slope
    typical = np.exp(drawn.hyperparameters["mean_log_slope"])
    low, high = np.quantile(typical, (0.025, 0.975))
    assert low == pytest.approx(np.exp(-0.98), rel=0.1)
    assert high == pytest.approx(np.exp(0.98), rel=0.1)
    assert (slope > 0).all()
    assert (np.abs(b) < 6).mean() > 0.9
    assert ((slope > 0.2) & (slope < 5)).mean() > 0.95


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_model_can_be_drawn(name):
    model = MODELS[name]
    size = 4 if model.ordinal else 2
    drawn = prior_draws(model, n_items=3, n_categories=size, n_draws=50, seed=2)
    assert drawn.parameters.shape == (50, 3, drawn.assignment.n_parameters)
    assert all(drawn.assignment.feasible(parameters).all() for parameters in drawn.parameters)
    shared = name in ("rasch", "1pl", "pcm")
    assert (drawn.parameters[:, 0, 0] == drawn.parameters[:, 1, 0]).all() == shared


def test_fixed_priors_are_the_distributions_given():
    priors = FixedPriors(LogNormal(0.3, 0.4), None, Normal(-0.5, 1.5))
    drawn = prior_draws(TwoPL(), priors, n_draws=N, seed=3)
    slope, intercept = drawn.parameters[:, 0].T
    assert (np.log(slope) < 0.3 + 0.4).mean() == pytest.approx(norm.cdf(1.0), abs=SHARE)
    assert (-intercept / slope < 1.0).mean() == pytest.approx(norm.cdf(1.0), abs=SHARE)
    assert drawn.hyperparameters == {}


def test_signed_slopes_have_a_positive_mean():
    drawn = prior_draws(TwoPL(), SignedPriors(), n_items=2, n_draws=N, seed=4)
    assert (drawn.hyperparameters["mean_slope"] > 0).all()
    assert 0.02 < (drawn.parameters[..., 0] < 0).mean() < 0.3


def test_correlated_priors_correlate():
    priors = HierarchicalPriors(
        mean_difficulty=Normal(0.0, 0.01),
        sd_difficulty=LogNormal(0.0, 0.01),
        sd_log_slope=LogNormal(-1.2, 0.01),
        mean_log_slope=Normal(0.0, 0.01),
        correlated=True,
    )
    drawn = prior_draws(TwoPL(), priors, n_items=200, n_draws=30, seed=5)
    for parameters, rho in zip(
        drawn.parameters, drawn.hyperparameters["correlation"], strict=True
    ):
        b = -parameters[:, 1] / parameters[:, 0]
        assert np.corrcoef(b, np.log(parameters[:, 0]))[0, 1] == pytest.approx(rho, abs=0.25)


def test_asymptotes_follow_their_prior():
    priors = HierarchicalPriors(lower=LogitNormal(-1.0, 0.2))
    drawn = prior_draws(MODELS["3pl"], priors, n_draws=N, seed=6)
    assert (drawn.parameters[:, 0, 2] < -0.8).mean() == pytest.approx(norm.cdf(1.0), abs=SHARE)


def test_impossible_tests_are_refused():
    for numbers in ({"n_items": 0}, {"n_draws": 0}, {"n_categories": 1}, {"n_categories": 3}):
        with pytest.raises(ModelError, match="categories that the model has"):
            prior_draws(TwoPL(), **numbers)
