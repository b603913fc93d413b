"""The laws of every item response function."""

import numpy as np
import pytest

from irtkit.latent import Normal
from irtkit.models import MODELS, ItemModel, OnePL, Rasch, TwoPL
from irtkit.simulate import simulate

ROUNDING = 1e-14
COMPLEX_STEP = 1e-30  # no cancellation: the derivative is exact to rounding

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))


def points(n=100):
    rng = np.random.default_rng(5)
    parameters = np.stack([rng.lognormal(0, 0.8, n), rng.normal(0, 3, n)], axis=1)
    parameters[:6] = [[0.01, 0], [10, 30], [10, -30], [-2, 1], [0.01, -30], [40, 0]]
    return parameters, np.linspace(-6, 6, 13)


@every_model
def test_probabilities_sum_to_one(model):
    parameters, theta = points()
    total = np.exp(model.log_prob(parameters, theta)).sum(axis=2)
    assert np.abs(total - 1).max() < ROUNDING


@every_model
def test_log_probabilities_stay_finite_where_probabilities_underflow(model):
    log_prob = model.log_prob(np.array([[1000.0, 0.0]]), np.array([-6.0, 6.0]))
    assert np.isfinite(log_prob).all()
    assert log_prob[0, 0, 1] == pytest.approx(-6000.0)


@every_model
def test_gradient_equals_the_complex_step(model):
    parameters, theta = points()

    def log_prob(values):
        z = np.multiply.outer(theta, values[:, 0]) + values[:, 1]
        return np.stack([-np.log1p(np.exp(z)), -np.log1p(np.exp(-z))], axis=-1)

    calm = np.abs(parameters).max(axis=1) < 20  # the plain formula overflows beyond
    found = model.gradient(parameters[calm], theta)
    for place in range(2):
        moved = parameters[calm].astype(complex)
        moved[:, place] += 1j * COMPLEX_STEP
        exact = log_prob(moved).imag / COMPLEX_STEP
        assert found[..., place] == pytest.approx(exact, rel=1e-10, abs=1e-14)


@every_model
def test_fast_sums_equal_the_general_ones(model):
    parameters, theta = points(20)
    counts = np.random.default_rng(2).uniform(0, 50, (13, 20, 2))
    fast = model.expected(parameters, theta, counts)
    general = ItemModel.expected(model, parameters, theta, counts)
    for one, other in zip(fast, general, strict=True):
        assert one == pytest.approx(other, rel=1e-10, abs=1e-10)


@every_model
def test_information_is_the_expected_squared_slope_of_the_log_likelihood(model):
    parameters, theta = points(30)
    step = 1e-5
    up, down = model.log_prob(parameters, theta + step), model.log_prob(parameters, theta - step)
    slope = (up - down) / (2 * step)
    expected = (np.exp(model.log_prob(parameters, theta)) * slope**2).sum(axis=2)
    assert model.information(parameters, theta) == pytest.approx(expected, abs=1e-4)


@every_model
def test_columns_give_difficulty_where_the_chance_is_one_half(model):
    parameters, _ = points(10)
    columns = model.columns(parameters[1:])
    for item, difficulty in enumerate(columns["difficulty"]):
        chance = np.exp(model.log_prob(parameters[1 + item : 2 + item], np.array([difficulty])))
        assert chance[0, 0] == pytest.approx([0.5, 0.5], abs=1e-10)
    assert set(columns["lower"]) == {0.0}
    assert set(columns["upper"]) == {1.0}


@every_model
def test_difficulty_gradient_equals_differences(model):
    parameters = np.array([[0.7, 1.2], [-1.5, 0.4], [2.0, -3.0]])
    for place in range(2):
        step = np.zeros(2)
        step[place] = 1e-6
        up = model.columns(parameters + step)["difficulty"]
        down = model.columns(parameters - step)["difficulty"]
        assert model.difficulty_gradient(parameters)[:, place] == pytest.approx(
            (up - down) / 2e-6, rel=1e-6
        )


def test_weights_of_the_nodes_sum_to_one_and_have_the_moments_of_the_normal():
    nodes = Normal(0.5, 2.0).nodes(121)
    weights = np.exp(nodes.log_weights)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert weights @ nodes.theta == pytest.approx(0.5, abs=1e-9)
    assert weights @ (nodes.theta - 0.5) ** 2 == pytest.approx(4.0, abs=1e-6)


@every_model
def test_simulation_repeats_with_its_seed_and_follows_its_parameters(model):
    made = simulate(model, n_persons=4000, n_items=5, seed=11, missing=0.1)
    again = simulate(model, n_persons=4000, n_items=5, seed=11, missing=0.1)
    other = simulate(model, n_persons=4000, n_items=5, seed=12, missing=0.1)
    assert made.responses.fingerprint() == again.responses.fingerprint()
    assert made.responses.fingerprint() != other.responses.fingerprint()
    codes = made.responses.dense()
    chance = np.exp(model.log_prob(made.parameters, made.theta)[:, :, 1])
    seen = codes >= 0
    for item in range(5):
        error = (codes[seen[:, item], item] - chance[seen[:, item], item]).mean()
        assert abs(error) < 4 * 0.5 / np.sqrt(seen[:, item].sum())
    assert (codes < 0).mean() == pytest.approx(0.1, abs=0.01)


def test_models_compare_by_kind_not_by_identity():
    assert TwoPL() == TwoPL()
    assert Rasch() != OnePL()
