"""Simulated answers: what was asked for, and new answers in the cells of real ones."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.latent import Histogram
from irtkit.models import Graded, TwoPL
from irtkit.simulate import abilities, replicated, simulate
from irtkit.threads import each

QUICK = MML(standard_errors=None)


@pytest.mark.parametrize("model", [TwoPL(), Graded()])
@pytest.mark.parametrize("sparse", [False, True])
def test_replicated_answers_fill_the_same_cells_with_the_models_shares(model, sparse):
    made = simulate(model, n_persons=3000, n_items=6, seed=1, missing=0.3)
    calibration = calibrate(made.responses, model, method=QUICK)
    codes = made.responses.codes
    if sparse:
        codes = sp.csr_array((codes + np.int8(1)).astype(np.int8))
    original = replace(made.responses, codes=codes)
    drawn = replicated(original, calibration, seed=7)
    assert isinstance(drawn.codes, sp.csr_array) == sparse
    before, after = original.dense(), drawn.dense()
    assert np.array_equal(before < 0, after < 0)
    assert not np.array_equal(before, after)
    size = before.max() + 1
    shares = [
        np.stack([(table == k).sum(axis=0) / (table >= 0).sum(axis=0) for k in range(size)])
        for table in (before, after)
    ]
    assert np.abs(shares[0] - shares[1]).max() < 0.05  # five standard errors of a difference


def test_replicated_answers_follow_their_seed():
    made = simulate(TwoPL(), n_persons=100, n_items=5, seed=1)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    first, again, other = (
        replicated(made.responses, calibration, seed=seed).dense() for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_replicated_answers_stand_for_whole_persons():
    made = simulate(TwoPL(), n_persons=200, n_items=5, seed=1)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    double = replace(made.responses, weights=np.full(200, 2.0))
    assert replicated(double, calibration, seed=1).n_persons == 400
    half = replace(made.responses, weights=np.full(200, 1.5))
    with pytest.raises(ModelError, match="not whole numbers"):
        replicated(half, calibration, seed=1)


def test_abilities_are_drawn_from_a_histogram():
    theta = np.linspace(-2, 2, 5)
    latent = Histogram(theta, np.array([0.0, 0.5, 0.0, 0.0, 0.5]))
    drawn = abilities(latent, 4000, np.random.default_rng(1))
    assert set(np.unique(np.round(drawn))) <= {-2.0, -1.0, 0.0, 2.0, 3.0}
    assert ((drawn > 1.5).mean()) == pytest.approx(0.5, abs=0.04)


def test_each_keeps_the_order_and_tells_its_progress():
    told: list[tuple[int, int]] = []
    results = each(lambda n: n * n, range(7), lambda done, all_: told.append((done, all_)))
    assert results == [n * n for n in range(7)]
    assert told == [(n, 7) for n in range(1, 8)]


def test_each_may_calibrate_inside():
    made = [simulate(TwoPL(), n_persons=300, n_items=8, seed=s).responses for s in range(4)]
    alone = [calibrate(part, TwoPL(), method=QUICK).log_likelihood for part in made]
    spread = each(lambda part: calibrate(part, TwoPL(), method=QUICK).log_likelihood, made)
    assert spread == pytest.approx(alone, rel=1e-12)
