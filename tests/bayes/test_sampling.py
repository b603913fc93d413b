"""Sampling: the same answer as maximum likelihood where that is good, and honest refusals."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pymc")
pytest.importorskip("nutpie")

from irtkit.arrays import same
from irtkit.errors import ModelError
from irtkit.estimation.bayes import (
    NUTS,
    FixedPriors,
    HierarchicalPriors,
    Pathfinder,
    SignedPriors,
    extras,
    sample_posterior,
)
from irtkit.estimation.mml import calibrate
from irtkit.estimation.priors import Beta, LogNormal
from irtkit.latent import Normal
from irtkit.models import MODELS, Nominal, OnePL, Rasch, TwoPL
from irtkit.simulate import simulate
from tests.bayes.posteriors import QUICK, small
from tests.golden import golden_responses

CLOSE = 0.25  # posterior SDs between median and maximum likelihood estimate
FOUR_CHAINS = NUTS(draws=1000, tune=600)


def answers_of(name):
    if name == "LSAT6":
        return golden_responses("LSAT6")
    return simulate(TwoPL(), n_persons=500, n_items=20, seed=1).responses


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LSAT6", "500 x 20"])
def test_wide_priors_give_the_maximum_likelihood_estimates(name):
    responses = answers_of(name)
    posterior = sample_posterior(responses, TwoPL(), priors=FixedPriors(), sampler=FOUR_CHAINS)
    checks = posterior.checks()
    assert checks.usable, checks.reasons
    assert checks.r_hat < 1.01
    assert checks.divergences == 0
    peak = calibrate(responses, TwoPL()).parameters
    draws = posterior.parameters.reshape(-1, *peak.shape)
    away = (np.median(draws, axis=0) - peak) / draws.std(axis=0)
    assert np.abs(away).max() < CLOSE
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    assert ((low < peak) & (peak < high)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LSAT6", "500 x 20"])
def test_hierarchical_priors_sample_without_divergences(name):
    posterior = sample_posterior(answers_of(name), TwoPL(), sampler=FOUR_CHAINS)
    checks = posterior.checks()
    assert checks.usable, checks.reasons


def test_equal_seeds_give_equal_draws():
    drawn, posterior = small()
    again = sample_posterior(drawn.responses, TwoPL(), sampler=QUICK, seed=5)
    other = sample_posterior(drawn.responses, TwoPL(), sampler=QUICK, seed=6)
    assert same(again.parameters, posterior.parameters)
    assert same(again.hyperparameters, posterior.hyperparameters)
    assert not same(other.parameters, posterior.parameters)
    rng = [np.random.default_rng(1) for _ in range(2)]
    quick = NUTS(draws=20, tune=50, chains=2)
    one, two = (
        sample_posterior(drawn.responses, TwoPL(), sampler=quick, seed=each) for each in rng
    )
    assert same(one.parameters, two.parameters)


def test_duplicated_rows_are_weights():
    responses = answers_of("500 x 20").select_items([f"i{n}" for n in range(1, 7)])
    twice = replace(responses, weights=np.full(500, 2.0))
    codes, names = np.tile(responses.dense(), (2, 1)), tuple(f"p{n}" for n in range(1000))
    double = replace(responses, codes=codes, persons=names, weights=np.ones(1000))
    one, two = (sample_posterior(r, TwoPL(), sampler=QUICK, seed=2) for r in (twice, double))
    means = [each.parameters.mean(axis=(0, 1)) for each in (one, two)]
    spread = one.parameters.std(axis=(0, 1))
    assert np.abs((means[0] - means[1]) / spread).max() < 0.25


def test_progress_is_told_draw_by_draw():
    drawn, _ = small()
    told = []
    sampler = NUTS(draws=20, tune=50, chains=2)
    sample_posterior(
        drawn.responses, TwoPL(), sampler=sampler, progress=lambda done, n: told.append((done, n))
    )
    assert told[-1][0] <= 140
    assert {n for _, n in told} == {140}
    assert len(told) >= 140


def test_signed_slopes_show_a_reversed_key():
    drawn = simulate(TwoPL(), n_persons=400, n_items=8, seed=6).responses
    codes = drawn.dense().copy()
    codes[:, 2] = 1 - codes[:, 2]
    reversed_key = replace(drawn, codes=codes)
    posterior = sample_posterior(reversed_key, TwoPL(), priors=SignedPriors(), sampler=QUICK)
    slopes = posterior.parameters[..., 0]
    assert (slopes[..., 2] < 0).mean() > 0.99
    assert (np.delete(slopes, 2, axis=2) > 0).mean() > 0.99
    assert posterior.calibration().states[2] == "reverse-keyed"


def test_correlated_difficulty_and_slope_are_found():
    rng = np.random.default_rng(5)
    error = rng.standard_normal((40, 2))
    difficulty = error[:, 0]
    log_slope = 0.4 * (0.8 * error[:, 0] + 0.6 * error[:, 1])
    slope = np.exp(log_slope)
    theta = rng.standard_normal(800)
    chance = 1.0 / (1.0 + np.exp(-slope * (theta[:, None] - difficulty)))
    base = simulate(TwoPL(), n_persons=800, n_items=40, seed=1).responses
    responses = replace(base, codes=(rng.random(chance.shape) < chance).astype(np.int8))
    sampler = NUTS(draws=300, tune=300, chains=2)
    posterior = sample_posterior(
        responses, TwoPL(), priors=HierarchicalPriors(correlated=True), sampler=sampler
    )
    found = posterior.hyperparameters["correlation"]
    truth = np.corrcoef(difficulty, log_slope)[0, 1]
    assert abs(found.mean() - truth) < 3.0 * found.std()
    assert found.mean() > 0.4


@pytest.mark.slow
def test_the_joint_formulation_has_the_same_posterior():
    drawn = simulate(TwoPL(), n_persons=120, n_items=6, missing=0.1, seed=1).responses
    marginal = sample_posterior(drawn, TwoPL(), sampler=NUTS(draws=1000, tune=500, chains=2))
    sampler = NUTS(draws=700, tune=500, chains=2, formulation="joint")
    joint = sample_posterior(drawn, TwoPL(), sampler=sampler)
    assert joint.theta.shape == (2, 700, 120)
    one, two = marginal.table(), joint.table()
    assert np.abs((one["mean"] - two["mean"]) / one["sd"]).max() < 0.35
    assert np.abs(np.log(two["sd"] / one["sd"])).max() < 0.35
    theta = [each.abilities()["theta"] for each in (marginal, joint)]
    assert np.abs(theta[0] - theta[1]).max() < 0.25


def test_pathfinder_finds_the_neighbourhood():
    drawn, posterior = small()
    quick = sample_posterior(drawn.responses, TwoPL(), sampler=Pathfinder(), seed=3)
    assert quick.parameters.shape == (1, 1000, 6, 2)
    one, two = posterior.table(), quick.table()
    assert np.abs((one["mean"] - two["mean"]) / one["sd"]).max() < 1.0
    again = sample_posterior(drawn.responses, TwoPL(), sampler=Pathfinder(), seed=3)
    assert same(again.parameters, quick.parameters)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: HierarchicalPriors(mean_log_slope=Normal(0.0, 0.0)), "positive"),
        (lambda: HierarchicalPriors(mean_difficulty=Normal(0.0, -1.0)), "positive"),
        (lambda: HierarchicalPriors(sd_log_slope=LogNormal(0.0, float("inf"))), "finite"),
        (lambda: HierarchicalPriors(sd_difficulty=1.0), "kind of prior"),
        (lambda: HierarchicalPriors(sd_difficulty=Normal(0.0, 1.0)), "kind of prior"),
        (lambda: HierarchicalPriors(lower=Beta(0.0, 1.0)), "alpha and beta"),
        (lambda: SignedPriors(mean_slope=Normal(float("nan"), 1.0)), "finite"),
        (lambda: FixedPriors(slope=LogNormal(0.0, 0.0)), "positive"),
        (lambda: FixedPriors(difficulty=Normal()), "contradict"),
        (lambda: FixedPriors(intercept=None), "improper"),
        (
            lambda: FixedPriors(slope=Normal(), intercept=None, difficulty=Normal()),
            "no difficulty",
        ),
        (lambda: NUTS(draws=0), "draws=0"),
        (lambda: NUTS(chains=2.5), "chains=2.5"),
        (lambda: NUTS(target_accept=1.0), "target_accept"),
        (lambda: NUTS(engine="stan"), "nutpie"),
        (lambda: NUTS(formulation="both"), "marginal"),
        (lambda: NUTS(cores=0), "cores"),
        (lambda: Pathfinder(paths=0), "paths=0"),
    ],
)
def test_priors_and_samplers_that_make_no_sense_are_refused(make, word):
    with pytest.raises(ModelError, match=word):
        make()


@pytest.mark.parametrize("model", [Rasch(), OnePL(), MODELS["pcm"]], ids=lambda m: m.name)
@pytest.mark.parametrize(
    "priors",
    [SignedPriors(), FixedPriors(slope=Normal()), HierarchicalPriors(correlated=True)],
    ids=["signed", "fixed signed", "correlated"],
)
def test_one_slope_for_all_has_neither_sign_nor_correlation(model, priors):
    with pytest.raises(ModelError, match="one slope for all items"):
        sample_posterior(small()[0].responses, model, priors=priors)


def test_the_nominal_model_is_refused():
    drawn = simulate(Nominal(), n_persons=100, n_items=4, n_categories=3, seed=1).responses
    with pytest.raises(ModelError, match="nominal"):
        sample_posterior(drawn, Nominal())


def test_weights_are_refused_where_persons_are_sampled():
    drawn = small()[0].responses
    heavy = replace(drawn, weights=np.full(drawn.n_persons, 2.0))
    with pytest.raises(ModelError, match="weights"):
        sample_posterior(heavy, TwoPL(), sampler=NUTS(formulation="joint"))


def test_too_few_items_are_refused_as_by_calibrate():
    drawn = small()[0].responses.select_items(["i1", "i2"])
    with pytest.raises(ModelError, match="usable item"):
        sample_posterior(drawn, TwoPL())


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(ModelError, match=r"pip install -c constraints.txt 'irtkit\[bayes\]'"):
        extras.extra("a_package_that_nobody_has")
