"""The log-posterior that the sampler moves on: its gradient and its likelihood."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from irtkit.coding import MISSING
from irtkit.estimation.bayes.density import Density
from irtkit.estimation.bayes.layout import Layout
from irtkit.estimation.bayes.levels import Levels
from irtkit.estimation.bayes.marginal import MarginalLikelihood
from irtkit.estimation.bayes.priors import FixedPriors, HierarchicalPriors, SignedPriors
from irtkit.estimation.blocks import Rows
from irtkit.estimation.method import MML
from irtkit.estimation.mml import prepared
from irtkit.estimation.priors import LogitNormal, LogNormal
from irtkit.latent import Normal
from irtkit.models import MODELS
from irtkit.responses import Responses
from irtkit.simulate import simulate

ROUNDING = 1e-10
DIFFERENCE = 1e-6  # of a central difference at step 1e-5
MODEL_NAMES = [name for name in MODELS if name != "nominal"]
PRIORS = {
    "hierarchical": HierarchicalPriors(),
    "correlated": HierarchicalPriors(correlated=True),
    "signed": SignedPriors(),
    "fixed": FixedPriors(lower=LogitNormal(-1.0, 0.5)),
    "fixed difficulty": FixedPriors(
        slope=LogNormal(0.1, 0.7), intercept=None, difficulty=Normal(0.2, 1.5)
    ),
    "fixed signed": FixedPriors(slope=Normal(0.5, 1.0)),
}


def answers(name, n_persons=40, n_items=5, missing=0.15):
    model = MODELS[name]
    size = 4 if model.ordinal else 2
    drawn = simulate(
        model,
        n_persons=n_persons,
        n_items=n_items,
        n_categories=size,
        missing=missing,
        seed=3,
    )
    return drawn.responses


def likelihood(responses, model):
    setup = prepared(responses, model, MML())
    chosen = setup.chosen
    groups = np.zeros(chosen.n_persons, dtype=np.int64)
    rows = Rows(chosen.codes, chosen.weights, groups)
    return setup, MarginalLikelihood.of(setup.problem, rows, Normal().nodes())


def density(name, priors, weight, missing=0.15):
    setup, found = likelihood(answers(name, missing=missing), MODELS[name])
    assignment, items = setup.problem.assignment, setup.chosen.items
    plain = Layout.of(assignment, items, ())
    layout = replace(plain, hyper=Levels.of(priors, plain.shared).names)
    weights = np.full(layout.n_slopes, weight), np.full(len(items), weight)
    return Density.of(layout, priors, weights, found)


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_gradient_is_the_slope_of_the_density(name, priors, weight):
    whole = density(name, priors, weight)
    x = np.random.default_rng(1).normal(0.0, 0.4, whole.layout.size)
    value, gradient = whole(x)
    assert np.isfinite(value)
    for place, own in enumerate(np.eye(len(x)) * 1e-5):
        slope = (whole(x + own)[0] - whole(x - own)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=DIFFERENCE, abs=1e-5)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("name", [name for name in MODEL_NAMES if name not in ("3pl", "4pl")])
def test_the_compiled_likelihood_is_the_e_steps(name, missing):
    setup, found = likelihood(answers(name, 60, 8, missing), MODELS[name])
    parameters = np.array(setup.start)
    value, gradient = found(parameters)
    exact, slopes = found.by_e_step(parameters)
    assert value == pytest.approx(exact, rel=ROUNDING)
    assert gradient == pytest.approx(slopes, abs=ROUNDING * 100)


def test_sparse_answers_and_weights_count_like_dense_ones_and_persons():
    dense = answers("2pl", 50, 6, 0.4)
    person, item = np.nonzero(dense.codes != MISSING)
    ids = np.array(dense.persons), np.array(dense.items)
    sparse = Responses.from_triples(
        ids[0][person], ids[1][item], dense.codes[person, item]
    ).select_items(dense.items)
    csr = replace(sparse, codes=_csr(sparse.dense()))
    twice = replace(dense, weights=np.full(dense.n_persons, 2.0))
    start = np.array(likelihood(dense, MODELS["2pl"])[0].start)
    values = [likelihood(each, MODELS["2pl"])[1](start) for each in (dense, csr, twice)]
    assert values[1][0] == pytest.approx(values[0][0], rel=ROUNDING)
    assert values[1][1] == pytest.approx(values[0][1], abs=ROUNDING * 100)
    assert values[2][0] == pytest.approx(2.0 * values[0][0], rel=ROUNDING)
    assert values[2][1] == pytest.approx(2.0 * values[0][1], abs=ROUNDING * 100)


def _csr(codes):
    import scipy.sparse as sp

    return sp.csr_array((codes + 1).astype(np.int8))


def test_far_slopes_neither_overflow_nor_stop():
    setup, found = likelihood(answers("2pl", 50, 6, 0.0), MODELS["2pl"])
    parameters = np.array(setup.start)
    parameters[:, 0] = 2000.0
    value, gradient = found(parameters)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    whole = density("2pl", HierarchicalPriors(), 0.5)
    for far in (50.0, 800.0):
        value, gradient = whole(np.full(whole.layout.size, far))
        assert value == -np.inf
        assert not gradient.any()
