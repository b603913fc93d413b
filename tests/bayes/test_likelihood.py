"""The PyTensor likelihood is that of `irtkit.models`."""

import numpy as np
import pytest

pytest.importorskip("pymc")

import pytensor
import pytensor.tensor as pt

from irtkit.estimation.bayes import likelihood
from irtkit.models import MODELS, Assignment, DivideByTotal, Graded, Rasch, ThreePL, TwoPL
from irtkit.simulate import item_parameters

ROUNDING = 1e-10
THETA = np.array([-6.0, -1.7, -0.3, 0.0, 0.4, 2.2, 6.0])
KINDS = [
    pytest.param(model, size, id=f"{model.name}-{size}")
    for model in MODELS.values()
    for size in ((2, 3, 5) if model.ordinal else (2,))
]


def random_parameters(model, size, seed, n_items=6):
    rng = np.random.default_rng(seed)
    parameters = item_parameters(model, n_items, size, rng)
    if isinstance(model, DivideByTotal) and size > 2:
        parameters = parameters + rng.normal(0.0, 0.5, parameters.shape)
    return parameters


def evaluated(output, *inputs):
    """Compile a graph in Python mode, which needs no compiler, and run it."""
    variables = [variable for variable, _ in inputs]
    run = pytensor.function(variables, output, mode="FAST_COMPILE", on_unused_input="ignore")
    return run(*[value for _, value in inputs])


@pytest.mark.parametrize(("model", "size"), KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_likelihood_equals_that_of_the_models(model, size, seed):
    parameters = random_parameters(model, size, seed)
    here, theta = pt.dmatrix("parameters"), pt.dvector("theta")
    graph = likelihood.log_prob(model, size, here, theta[:, None])
    found = evaluated(graph, (here, parameters), (theta, THETA))
    assert found == pytest.approx(model.log_prob(parameters, THETA[:, None]), abs=ROUNDING)


@pytest.mark.parametrize(("model", "size"), KINDS)
def test_its_gradient_equals_that_of_the_models(model, size):
    parameters = random_parameters(model, size, 3)
    weight = np.random.default_rng(0).normal(size=(len(THETA), len(parameters), size))
    here, theta = pt.dmatrix("parameters"), pt.dvector("theta")
    graph = likelihood.log_prob(model, size, here, theta[:, None])
    by = pytensor.grad((graph * weight).sum(), [here, theta])
    found = evaluated(by[0], (here, parameters), (theta, THETA))
    exact = np.einsum("qik,qikd->id", weight, model.gradient(parameters, THETA[:, None]))
    assert found == pytest.approx(exact, abs=ROUNDING * 100, rel=ROUNDING)
    found = evaluated(by[1], (here, parameters), (theta, THETA))
    first = model.theta_derivatives(parameters, THETA[:, None])[1]
    assert found == pytest.approx((weight * first).sum(axis=(1, 2)), abs=ROUNDING * 100)


@pytest.mark.parametrize("size", [2, 4])
def test_far_from_the_item_nothing_overflows(size):
    for model in (TwoPL(), ThreePL()) if size == 2 else (Graded(), MODELS["gpcm"]):
        parameters = random_parameters(model, size, 5)
        parameters[:, 0] = 20.0
        here, theta = pt.dmatrix("parameters"), pt.dvector("theta")
        graph = likelihood.log_prob(model, size, here, theta[:, None])
        far = np.array([-50.0, 50.0])
        found = evaluated(graph, (here, parameters), (theta, far))
        assert np.isfinite(found).all()
        assert found == pytest.approx(model.log_prob(parameters, far[:, None]), rel=ROUNDING)


def mixed():
    models = (TwoPL(), Graded(), MODELS["gpcm"], ThreePL(), Graded(), TwoPL())
    sizes = (2, 3, 4, 2, 5, 2)
    assignment = Assignment.of(models, sizes)
    parameters = np.full((len(sizes), assignment.n_parameters), np.nan)
    for place, (model, size) in enumerate(zip(models, sizes, strict=True)):
        own = random_parameters(model, size, 10 + place, 1)[0]
        parameters[place, : len(own)] = own
    return assignment, parameters


def test_items_of_several_models_share_one_table():
    assignment, parameters = mixed()
    here, theta = pt.dmatrix("parameters"), pt.dvector("theta")
    graph = likelihood.assignment_log_prob(assignment, here, theta)
    found = evaluated(graph, (here, parameters), (theta, THETA))
    exact = assignment.log_prob(parameters, THETA)
    assert (np.isneginf(found) == np.isneginf(exact)).all()
    there = np.isfinite(exact)
    assert found[there] == pytest.approx(exact[there], abs=ROUNDING)


def test_scores_are_those_of_the_models():
    models = (Rasch(), MODELS["pcm"], MODELS["pcm"])
    assignment = Assignment.of(models, (2, 4, 3))
    parameters = np.array(
        [[1.0, 0.3, np.nan, np.nan], [1.0, 0.1, -0.4, 0.9], [1.0, 2.0, -1.0, np.nan]]
    )
    here = pt.dmatrix("parameters")
    s, t = likelihood.scores(assignment, here)
    found_s, found_t = evaluated([s, t], (here, parameters))
    assert found_s.tolist() == [[0, 1, 0, 0], [0, 1, 2, 3], [0, 1, 2, 0]]
    assert np.isneginf(found_t[0, 2:]).all()
    assert np.isneginf(found_t[2, 3])
    table = found_s * THETA[:, None, None] + found_t
    table -= np.log(np.exp(table).sum(axis=2, keepdims=True))
    exact = assignment.log_prob(parameters, THETA)
    there = np.isfinite(exact)
    assert table[there] == pytest.approx(exact[there], abs=ROUNDING)
