"""Posteriors are posteriors: truths drawn from the priors fall anywhere among the draws.

The full study, with 300 simulations, is `benchmarks/bayes_calibration.py`.
"""

import numpy as np
import pytest

pytest.importorskip("pymc")
pytest.importorskip("nutpie")

from benchmarks.bayes_calibration import Study, envelope, halved, judged, study
from irtkit.estimation.bayes import NUTS, FixedPriors, prior_draws, sample_posterior
from irtkit.estimation.priors import LogNormal
from irtkit.latent import Normal
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.simulate import answers

PRIORS = FixedPriors(LogNormal(0.0, 0.4), None, Normal(0.0, 1.0))
SMALL = {"n_persons": 50, "n_items": 8, "sampler": NUTS(draws=300, tune=200, chains=1)}
SIMULATIONS = 40
COVERAGE_OF_200 = (0.90, 0.985)  # exact 99.9% limits of 200 intervals


@pytest.fixture(scope="module")
def right():
    return study(Study(priors=PRIORS, sampled=PRIORS, **SMALL), SIMULATIONS)[0]


@pytest.mark.slow
def test_ranks_stay_in_their_envelope(right):
    table = judged(right)
    assert set(table.index) == {"slope", "difficulty", "theta", "log_likelihood"}
    assert table["within_all"].all(), table


@pytest.mark.slow
def test_a_prior_half_as_wide_is_caught(right):
    wrong, _ = study(Study(priors=PRIORS, sampled=halved(PRIORS), **SMALL), SIMULATIONS)
    table = judged(wrong)
    assert not table["within_all"].all(), table
    outer = judged(right)["outer_tenth"], table["outer_tenth"]
    assert outer[0]["slope"] < 0.16
    assert outer[1]["slope"] > 0.16


def test_uniform_ranks_stay_in_the_envelope_and_others_do_not():
    rng = np.random.default_rng(1)
    uniform = rng.integers(0, 101, (300, 1)) / 100
    narrow = 0.5 + 0.7 * (uniform - 0.5)
    table = judged({"uniform": uniform, "narrow": narrow})
    assert table["within"].tolist() == [True, False]
    assert envelope(300, 0.99) > envelope(300, 0.95) > 2.0


@pytest.mark.slow
@pytest.mark.parametrize("n_persons", [12])
def test_intervals_of_few_persons_cover(n_persons):
    """Twelve respondents, sixty items: maximum likelihood slopes diverge here."""
    covered = []
    for seed in range(17):
        rng = np.random.default_rng(seed)
        truth = prior_draws(TwoPL(), n_items=60, n_draws=1, seed=rng)
        theta = rng.standard_normal(n_persons)
        codes = answers(truth.assignment, truth.parameters[0], theta, rng)
        responses = Responses(
            codes,
            tuple(f"p{n}" for n in range(n_persons)),
            tuple(f"i{n}" for n in range(60)),
        )
        sampler = NUTS(draws=400, tune=400, chains=1, target_accept=0.8)
        table = sample_posterior(responses, TwoPL(), sampler=sampler, seed=seed).abilities(400)
        covered.append(((table["theta_low"] < theta) & (theta < table["theta_high"])).to_numpy())
    low, high = COVERAGE_OF_200
    assert low <= np.mean(covered) <= high
