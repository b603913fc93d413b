"""The laws of every item response function."""

import numpy as np
import pytest

from irtkit.models import MODELS, Assignment, Graded, ItemModel, Nominal, OnePL, Rasch, TwoPL
from irtkit.models.divide_by_total import DivideByTotal, GeneralizedPartialCredit

ROUNDING = 1e-14
COMPLEX_STEP = 1e-30  # no cancellation: the derivative is exact to rounding

KINDS = [
    (model, size) for model in MODELS.values() for size in ((2, 3, 5) if model.ordinal else (2,))
]
every_model = pytest.mark.parametrize(
    ("model", "size"), KINDS, ids=[f"{model.name}-{size}" for model, size in KINDS]
)
THETA = np.linspace(-6, 6, 13)


def points(model, size, n=100):
    """Parameters of n items, plain and extreme ones."""
    rng = np.random.default_rng(5)
    names = model.parameter_names(size)
    parameters = np.empty((n, len(names)))
    for place, name in enumerate(names):
        if name.startswith("slope"):
            parameters[:, place] = rng.lognormal(0, 0.6, n)
            parameters[:4, place] = [0.01, 10.0, -2.0, 0.5]
        elif name.startswith("logit"):
            parameters[:, place] = rng.normal(-1.5 if "lower" in name else 3.0, 0.5, n)
        else:
            parameters[:, place] = rng.normal(0, 2, n)
            parameters[:2, place] = [30.0, -30.0]
    if isinstance(model, Graded):
        gaps = rng.uniform(0.1, 2.0, (n, size - 2))
        parameters[:, 2:] = parameters[:, 1:2] - np.cumsum(gaps, axis=1)
    return parameters


def plain_probabilities(model, size, xi, theta):
    """The textbook formulas, item by item, for complex parameters too: (Q, I, K)."""

    def logistic(z):
        return 1 / (1 + np.exp(-z))

    theta = theta[:, None]
    if model.name in ("rasch", "1pl", "2pl", "3pl", "4pl"):
        lower = logistic(xi[:, 2]) if xi.shape[1] > 2 else 0.0
        upper = logistic(xi[:, 3]) if xi.shape[1] > 3 else 1.0
        right = lower + (upper - lower) * logistic(xi[:, 0] * theta + xi[:, 1])
        return np.stack([1 - right, right], axis=-1)
    if model.name == "graded":
        above = [logistic(xi[:, 0] * theta + xi[:, k]) for k in range(1, size)]
        above = [np.ones_like(above[0]), *above, np.zeros_like(above[0])]
        return np.stack([above[k] - above[k + 1] for k in range(size)], axis=-1)
    if model.name == "nominal":
        z = [xi[:, k] * theta + xi[:, size - 1 + k] for k in range(size - 1)]
    else:
        z = [k * xi[:, 0] * theta + xi[:, k] for k in range(1, size)]
    top = np.exp(np.stack([0 * z[0], *z], axis=-1))
    return top / top.sum(axis=-1, keepdims=True)


@every_model
def test_probabilities_sum_to_one(model, size):
    total = np.exp(model.log_prob(points(model, size), THETA[:, None])).sum(axis=2)
    assert np.abs(total - 1).max() < 10 * ROUNDING


@every_model
def test_probabilities_are_the_textbook_ones(model, size):
    parameters = points(model, size)[4:]
    found = np.exp(model.log_prob(parameters, THETA[:, None]))
    plain = plain_probabilities(model, size, parameters, THETA)
    assert found == pytest.approx(plain, abs=1e-12)


@every_model
def test_log_probabilities_and_derivatives_stay_finite_where_probabilities_underflow(model, size):
    parameters = points(model, size, 8)
    parameters[:, model.slopes(parameters.shape[1])] *= 300
    theta = np.array([[-6.0], [6.0]])
    assert np.isfinite(model.log_prob(parameters, theta)).all()
    assert np.isfinite(model.gradient(parameters, theta)).all()
    assert all(np.isfinite(part).all() for part in model.theta_derivatives(parameters, theta))


@every_model
def test_gradient_equals_the_complex_step(model, size):
    parameters = points(model, size)[4:]
    theta = THETA[np.abs(THETA) < 4]  # where the plain differences keep their digits
    found = model.gradient(parameters, theta[:, None])
    for place in range(parameters.shape[1]):
        moved = parameters.astype(complex)
        moved[:, place] += 1j * COMPLEX_STEP
        plain = plain_probabilities(model, size, moved, theta)
        exact = (plain.imag / COMPLEX_STEP) / plain.real
        assert found[..., place] == pytest.approx(exact, rel=1e-6, abs=1e-10)


@every_model
def test_derivatives_by_theta_equal_differences(model, size):
    parameters = points(model, size)[2:]
    h = 1e-4
    up, here, down = (model.log_prob(parameters, THETA[:, None] + d) for d in (h, 0.0, -h))
    log_prob, first, second = model.theta_derivatives(parameters, THETA[:, None])
    assert log_prob == pytest.approx(here, abs=1e-14)
    assert first == pytest.approx((up - down) / (2 * h), abs=1e-5)
    assert second == pytest.approx((up - 2 * here + down) / h**2, abs=1e-4)


@every_model
def test_slopes_see_theta_times_what_the_intercepts_see(model, size):
    parameters = points(model, size)
    gradient = model.gradient(parameters, THETA[:, None])  # (Q, I, K, D)
    loading = model.loading(size)
    slopes = model.slopes(parameters.shape[1])
    implied = THETA[:, None, None, None] * (gradient @ loading)
    assert gradient[..., slopes] == pytest.approx(implied[..., slopes], abs=1e-12)
    _, first, _ = model.theta_derivatives(parameters, THETA[:, None])
    moved = parameters @ loading.T  # L xi, (I, D)
    assert np.einsum("qikd,id->qik", gradient, moved) == pytest.approx(first, abs=1e-9)


@every_model
def test_rescaling_changes_theta_and_no_probability(model, size):
    parameters = points(model, size)[2:]
    z = THETA / 2
    before = model.log_prob(parameters, (0.3 + 1.7 * z)[:, None])
    after = model.log_prob(model.rescaled(parameters, 0.3, 1.7), z[:, None])
    assert after == pytest.approx(before, rel=1e-10, abs=1e-12)


@every_model
def test_fast_sums_equal_the_general_ones(model, size):
    parameters = points(model, size, 20)
    counts = np.random.default_rng(2).uniform(0, 50, (13, 20, size))
    fast = model.expected(parameters, THETA, counts)
    general = ItemModel.expected(model, parameters, THETA, counts)
    for one, other in zip(fast, general, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-8)
    if isinstance(model, DivideByTotal):
        n = np.random.default_rng(3).uniform(0, 50, (13, 1))
        sums = (np.ones((20, size - 1)), np.ones((20, size - 1)))
        shared = model.expected_from_sums(parameters, THETA, *sums, n)
        spread = model.expected_from_sums(parameters, THETA, *sums, np.repeat(n, 20, axis=1))
        for one, other in zip(shared, spread, strict=True):
            assert one == pytest.approx(other, rel=1e-10, abs=1e-9)


@every_model
def test_information_is_the_expected_squared_slope_of_the_log_likelihood(model, size):
    parameters = points(model, size, 30)
    step = 1e-5
    up, down = (model.log_prob(parameters, THETA[:, None] + d) for d in (step, -step))
    slope = (up - down) / (2 * step)
    expected = (np.exp(model.log_prob(parameters, THETA[:, None])) * slope**2).sum(axis=2)
    assert model.information(parameters, THETA[:, None]) == pytest.approx(expected, abs=1e-4)


@every_model
def test_difficulty_gradient_equals_differences(model, size):
    parameters = points(model, size)[4:9]
    gradient = model.difficulty_gradient(parameters)
    for place in range(parameters.shape[1]):
        step = np.zeros(parameters.shape[1])
        step[place] = 1e-6
        up, down = (model.difficulties(parameters + sign * step) for sign in (1, -1))
        assert gradient[..., place] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", ["rasch", "1pl", "2pl", "graded", "gpcm", "pcm"])
def test_neighbouring_categories_meet_at_the_difficulty(name):
    model = MODELS[name]
    parameters = points(model, 2)[4:]
    chance = model.log_prob(parameters, model.difficulties(parameters)[:, 0])
    assert np.exp(chance) == pytest.approx(0.5, abs=1e-10)


def test_two_categories_make_graded_partial_credit_and_nominal_the_2pl():
    parameters = points(TwoPL(), 2)
    expected = TwoPL().log_prob(parameters, THETA[:, None])
    for model in (Graded(), GeneralizedPartialCredit(), Nominal()):
        assert model.log_prob(parameters, THETA[:, None]) == pytest.approx(expected, abs=1e-12)


def test_asymptotes_at_their_limits_leave_the_2pl():
    parameters = points(TwoPL(), 2)[4:]
    wide = np.concatenate([parameters, np.tile([-60.0, 60.0], (len(parameters), 1))], axis=1)
    expected = TwoPL().log_prob(parameters, THETA[:, None])
    assert MODELS["4pl"].log_prob(wide, THETA[:, None]) == pytest.approx(expected, abs=1e-12)
    assert MODELS["3pl"].log_prob(wide[:, :3], THETA[:, None]) == pytest.approx(
        expected, abs=1e-12
    )


def test_the_nominal_model_nests_generalized_partial_credit():
    parameters = points(GeneralizedPartialCredit(), 4)
    steps = parameters[:, :1] * np.arange(1, 4)
    nominal = np.concatenate([steps, parameters[:, 1:]], axis=1)
    found = Nominal().log_prob(nominal, THETA[:, None])
    expected = GeneralizedPartialCredit().log_prob(parameters, THETA[:, None])
    assert found == pytest.approx(expected, abs=1e-12)


def test_an_assignment_evaluates_each_item_by_its_own_model():
    kinds = [(TwoPL(), 2), (Graded(), 4), (MODELS["3pl"], 2), (TwoPL(), 2), (Nominal(), 3)]
    assignment = Assignment.of([model for model, _ in kinds], [size for _, size in kinds])
    parameters = np.full((5, assignment.n_parameters), np.nan)
    for place, (model, size) in enumerate(kinds):
        own = points(model, size)[10 + place]
        parameters[place, : len(own)] = own
    table = assignment.log_prob(parameters, THETA)
    for place, (model, size) in enumerate(kinds):
        own = parameters[place : place + 1, : len(assignment.names(place))]
        assert table[:, place, :size] == pytest.approx(model.log_prob(own, THETA[:, None])[:, 0])
        assert (table[:, place, size:] == -np.inf).all()
    assert assignment.name == "2pl+3pl+graded+nominal"
    assert assignment.used().sum(axis=1).tolist() == [2, 4, 3, 2, 4]


def test_models_compare_by_kind_not_by_identity():
    assert TwoPL() == TwoPL()
    assert Rasch() != OnePL()
