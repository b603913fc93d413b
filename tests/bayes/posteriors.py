"""Posteriors for tests: a small sampled one, and ones whose draws are given."""

from functools import lru_cache

import numpy as np

from irtkit.estimation.bayes import NUTS, HierarchicalPriors, Posterior, Sampling, sample_posterior
from irtkit.models import Assignment, TwoPL
from irtkit.simulate import simulate

QUICK = NUTS(draws=400, tune=300, chains=2)


@lru_cache(maxsize=1)
def small():
    """A 2PL with a few missing answers: 250 persons, 6 items."""
    drawn = simulate(TwoPL(), n_persons=250, n_items=6, missing=0.1, seed=8)
    return drawn, sample_posterior(drawn.responses, TwoPL(), sampler=QUICK, seed=5)


def given(parameters, hyperparameters=None, statistics=None, responses=None):
    """A posterior with these draws (C, S, I, D), as if they had been sampled."""
    n_items = parameters.shape[2]
    if responses is None:
        responses = simulate(TwoPL(), n_persons=40, n_items=n_items, seed=1).responses
    shape = parameters.shape[:2]
    if statistics is None:
        energy = np.random.default_rng(0).normal(size=shape)
        statistics = {"diverging": np.zeros(shape), "energy": energy}
    return Posterior(
        responses=responses,
        assignment=Assignment.of([TwoPL()] * n_items, [2] * n_items),
        states=("ok",) * n_items,
        parameters=parameters,
        hyperparameters=hyperparameters or {},
        theta=None,
        statistics=statistics,
        sampling=Sampling(NUTS(), HierarchicalPriors(), 0, 61, 0.0, 0.0),
    )


def well_mixed(n_chains=4, n_draws=600, n_items=3, seed=2):
    """Independent draws of positive slopes and of intercepts."""
    rng = np.random.default_rng(seed)
    draws = rng.normal(0.0, 0.2, (n_chains, n_draws, n_items, 2))
    draws[..., 0] += 1.0
    return draws
