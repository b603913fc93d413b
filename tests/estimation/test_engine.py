"""The E-step, its gradient and the information matrices, against loops and differences."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from irtkit.estimation import MML, LogNormal, Priors
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.checkpoint import Checkpoint
from irtkit.estimation.cycles import Fit
from irtkit.estimation.em import Tables, e_step, log_likelihoods
from irtkit.estimation.m_step import derivatives, expand
from irtkit.estimation.mml import prepared
from irtkit.estimation.packed import PackedBits
from irtkit.estimation.population import Population
from irtkit.estimation.result import _oriented
from irtkit.estimation.score_products import score_products
from irtkit.estimation.standard_errors import complete_information
from irtkit.latent import Histogram, Normal
from irtkit.models import MODELS, Assignment, DivideByTotal, Graded, TwoPL
from irtkit.simulate import simulate

THETA = Normal().nodes().theta
WEIGHTS = Normal().nodes().log_weights

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
NO_PRIORS = MML(priors=Priors(lower=None, upper=None))


def looped(assignment, parameters, codes, weights):
    """Counts by category, mass and log-likelihood, person by person and item by item."""
    probability = np.exp(assignment.log_prob(parameters, THETA))
    counts, mass, total = np.zeros(probability.shape), np.zeros(len(THETA)), 0.0
    for row, weight in zip(codes, weights, strict=True):
        joint = np.exp(WEIGHTS)
        for item, code in enumerate(row):
            if code >= 0:
                joint = joint * probability[:, item, code]
        total += weight * np.log(joint.sum())
        joint = weight * joint / joint.sum()
        mass += joint
        for item, code in enumerate(row):
            if code >= 0:
                counts[:, item, code] += joint
    return counts, mass, total


@every_model
@pytest.mark.parametrize("missing", [0.0, 0.3], ids=["complete", "incomplete"])
@pytest.mark.parametrize("storage", ["dense", "packed", "sparse"])
def test_e_step_equals_the_obvious_loop(model, missing, storage):
    if storage == "packed" and not isinstance(model, DivideByTotal):
        storage = "dense"  # these models need more of the answers than sums
    made = simulate(model, n_persons=25, n_items=5, seed=3, missing=missing)
    weights = np.arange(1.0, 26.0)
    codes = made.responses.dense()
    counts, mass, total = looped(made.assignment, made.parameters, codes, weights)
    held = sp.csr_array(codes + np.int8(1)) if storage == "sparse" else codes
    n_categories = made.responses.n_categories
    blocks = Blocks.of(held, weights, n_categories, packed=storage == "packed")
    complete = blocks.complete
    tables = Tables.of(made.assignment, made.parameters, THETA, WEIGHTS, complete=complete)
    for _ in range(2):  # the second pass uses the windows that the first has found
        found = e_step(blocks, tables)
        assert found.log_likelihood == pytest.approx(total, abs=1e-9)
        assert found.mass[0] == pytest.approx(mass, abs=1e-9)
        answered = np.broadcast_to(found.answered, counts.shape[:2])
        assert answered == pytest.approx(counts.sum(axis=2), abs=1e-9)
        if found.first is not None:
            chosen = counts[:, :, 1:]
            assert pytest.approx(chosen.sum(axis=0), abs=1e-9) == found.total.T
            assert pytest.approx(np.einsum("q,qik->ik", THETA, chosen), abs=1e-9) == found.first.T
        else:
            assert found.category_counts(slice(None), n_categories) == pytest.approx(
                counts, abs=1e-9
            )
    assert log_likelihoods(blocks, tables) @ weights == pytest.approx(total, abs=1e-9)


@every_model
def test_likelihood_of_all_patterns_sums_to_one(model):
    size = 3 if model.ordinal else 2
    made = simulate(model, n_persons=2, n_items=4, seed=1, n_categories=size)
    patterns = np.array(list(itertools.product(range(size), repeat=4)), dtype=np.int8)
    blocks = Blocks.of(patterns, np.ones(len(patterns)), size)
    tables = Tables.of(made.assignment, made.parameters, THETA, WEIGHTS)
    each = log_likelihoods(blocks, tables)
    assert np.exp(each).sum() == pytest.approx(1.0, abs=1e-12)


def test_windows_widen_when_persons_move_out_of_them(monkeypatch):
    monkeypatch.setattr("irtkit.estimation.blocks.BLOCK_PERSONS", (50, 50))
    made = simulate(TwoPL(), n_persons=400, n_items=60, seed=2)
    codes = made.responses.dense()
    order = np.argsort(codes.sum(axis=1))
    blocks = Blocks.of(codes, np.ones(400), 2, order=order)
    turned = made.parameters * [1.0, 1.0] + [0.0, 2.5]  # everybody's theta falls
    for parameters in (made.parameters, turned, made.parameters):
        tables = Tables.of(made.assignment, parameters, THETA, WEIGHTS)
        fresh = Blocks.of(codes, np.ones(400), 2, order=order)
        found, plain = e_step(blocks, tables), e_step(fresh, tables)
        assert found.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)
        assert found.first == pytest.approx(plain.first, abs=1e-8)
    assert any(window != slice(0, 61) for window in blocks.windows.values())


def test_packed_bits_multiply_like_the_matrix_they_hold():
    rng = np.random.default_rng(4)
    matrix = rng.random((50, 21)) < 0.4
    bits = PackedBits.of(matrix)
    table, values = rng.normal(size=(21, 2)), rng.normal(size=(50, 2))
    assert bits @ table == pytest.approx(matrix @ table, abs=1e-13)
    assert bits.T @ values == pytest.approx(matrix.T @ values, abs=1e-13)


def likelihood_of(problem, theta, weights):
    """Log-likelihood and gradient as functions of the flat parameters."""

    def at(flat):
        parameters = flat.reshape(problem.shape)
        tables = Tables.of(problem.assignment, parameters, theta, weights)
        expected = e_step(problem.blocks, tables)
        return expected.log_likelihood, derivatives(problem, parameters, theta, expected)[
            1
        ].ravel()

    return at


@every_model
@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["complete", "incomplete"])
def test_gradient_and_information_equal_finite_differences(model, missing):
    size = 3 if model.ordinal else 2
    made = simulate(model, n_persons=150, n_items=3, seed=3, missing=missing, n_categories=size)
    problem = prepared(made.responses, model, NO_PRIORS).problem
    at = likelihood_of(problem, THETA, WEIGHTS)
    flat, step = made.parameters.ravel(), 1e-5
    moves = step * np.eye(len(flat))
    slope = [(at(flat + m)[0] - at(flat - m)[0]) / (2 * step) for m in moves]
    assert at(flat)[1] == pytest.approx(slope, abs=1e-4)
    hessian = np.array([(at(flat + m)[1] - at(flat - m)[1]) / (2 * step) for m in moves])
    tables = Tables.of(made.assignment, made.parameters, THETA, WEIGHTS)
    expected = e_step(problem.blocks, tables)
    blocks = complete_information(problem, made.parameters, THETA, expected)
    whole = np.zeros((3, blocks.shape[1]) * 2)
    whole[range(3), :, range(3), :] = blocks
    state = Checkpoint(
        "", 0, 0.0, 0.0, 0.0, made.parameters, np.empty(0), THETA, np.zeros(3), np.empty((0, 2))
    )
    fit = Fit(state, True, np.zeros(3), np.zeros_like(made.parameters))
    sums = score_products(problem, fit, tables)
    information = whole.reshape(len(flat), -1) - sums.expected + sums.products
    assert information == pytest.approx(-hessian, abs=2e-3)


def test_both_ways_to_multiply_scores_agree():
    made = simulate(TwoPL(), n_persons=90, n_items=6, seed=5)
    state = Checkpoint(
        "", 0, 0.0, 0.0, 0.0, made.parameters, np.empty(0), THETA, np.zeros(6), np.empty((0, 2))
    )
    fit = Fit(state, True, np.zeros(6), np.zeros_like(made.parameters))
    tables = Tables.of(made.assignment, made.parameters, THETA, WEIGHTS)
    problem = prepared(made.responses, TwoPL(), MML()).problem
    codes, weights = made.responses.dense(), np.ones(90)
    at_once = replace(problem, blocks=Blocks.of(codes, weights, 2, packed=True))
    by_node = replace(problem, blocks=Blocks.of(codes, weights, 2, packed=False))
    one, other = (score_products(each, fit, tables) for each in (at_once, by_node))
    assert one.expected == pytest.approx(other.expected, abs=1e-8)
    assert one.products == pytest.approx(other.products, abs=1e-8)


def test_grid_spans_every_group_and_is_as_fine_as_the_narrowest_needs():
    population = Population("normal", 3)
    vector = np.array([2.0, np.log(1.5), -1.0, np.log(0.5)])
    grid = population.grid(vector, 10.0)
    assert grid[0] <= -6.0
    assert grid[-1] >= 2.0 + 6 * 1.5
    assert grid[1] - grid[0] <= 0.1 + 1e-12
    weights = np.exp(population.log_weights(vector, grid))
    assert weights.sum(axis=1) == pytest.approx(1.0)
    assert weights @ grid == pytest.approx([0.0, 2.0, -1.0], abs=1e-8)


def test_an_assignment_of_several_families_has_the_counts_of_each():
    made = simulate(Graded(), n_persons=40, n_items=3, seed=2, n_categories=3)
    two = simulate(TwoPL(), n_persons=40, n_items=2, seed=3)
    codes = np.concatenate([made.responses.dense(), two.responses.dense()], axis=1)
    assignment = Assignment.of([Graded()] * 3 + [TwoPL()] * 2, [3, 3, 3, 2, 2])
    parameters = np.full((5, 3), np.nan)
    parameters[:3], parameters[3:, :2] = made.parameters, two.parameters
    counts, _, total = looped(assignment, parameters, codes, np.ones(40))
    found = e_step(
        Blocks.of(codes, np.ones(40), 3), Tables.of(assignment, parameters, THETA, WEIGHTS)
    )
    assert found.log_likelihood == pytest.approx(total, abs=1e-9)
    assert found.category_counts(slice(3, 5), 2) == pytest.approx(counts[:, 3:, :2], abs=1e-9)


@pytest.mark.parametrize("spread", [5.0, 0.2], ids=["weak", "strong"])
def test_expansion_under_priors_raises_the_log_posterior_and_is_made_where_they_are_weak(spread):
    made = simulate(TwoPL(), n_persons=600, n_items=30, seed=4)
    priors = Priors(slope=LogNormal(0.0, spread), difficulty=Normal(0.0, spread))
    problem = prepared(made.responses, TwoPL(), MML(priors=priors)).problem
    bare = replace(problem, priors=Priors())
    parameters = made.parameters * [0.7, 1.0] + [0.0, 0.4]  # location and scale are off

    def posterior_of(values):
        tables = Tables.of(problem.assignment, values, THETA, WEIGHTS, complete=True)
        prior = priors.log_density(problem.assignment, values)[0].sum()
        return e_step(problem.blocks, tables).log_likelihood + prior

    tables = Tables.of(problem.assignment, parameters, THETA, WEIGHTS, complete=True)
    mass = e_step(problem.blocks, tables).mass
    moved, _ = expand(problem, parameters, np.empty(0), THETA, mass)
    free, _ = expand(bare, parameters, np.empty(0), THETA, mass)
    assert posterior_of(moved) >= posterior_of(parameters)
    if spread > 1:
        assert moved == pytest.approx(free, abs=1e-12)
        assert np.abs(moved - parameters).max() > 0.05


def test_rescaling_items_and_populations_together_changes_no_likelihood():
    made = simulate(TwoPL(), n_persons=200, n_items=6, seed=4)
    population = Population("free", 2)
    vector = np.array([0.3, np.log(1.2), -0.4, np.log(0.8)])
    grid = np.linspace(-12, 12, 961)
    blocks = Blocks.of(made.responses.dense(), np.ones(200), 2, groups=np.arange(200) % 2)

    def total(parameters, numbers):
        weights = population.log_weights(numbers, grid)
        return log_likelihoods(blocks, Tables.of(made.assignment, parameters, grid, weights)).sum()

    moved = made.assignment.rescaled(made.parameters, 0.5, 1.3)
    again = population.rescaled(vector, 0.5, 1.3)
    assert total(moved, again) == pytest.approx(total(made.parameters, vector), abs=1e-8)


@pytest.mark.parametrize("free_means", [True, False])
def test_improved_population_maximises_the_expected_density(free_means):
    population = Population("normal", 2, free_means=free_means)
    mass = np.exp(Normal(0.6, 0.7).log_weights(THETA)) * 50
    vector = population.improved(np.zeros(2), THETA, np.stack([mass, mass]))

    def height(numbers):
        mean, sd = population.moments(numbers)[1]
        return mass @ (-0.5 * ((THETA - mean) / sd) ** 2 - np.log(sd))

    best = height(vector)
    for place in range(1 - free_means, 2):
        for step in (1e-3, -1e-3):
            assert height(vector + step * np.eye(2)[place]) < best
    assert population.moments(vector)[0] == (0.0, 1.0)


@pytest.mark.parametrize("kind", ["normal", "histogram"])
def test_the_sign_of_theta_is_turned_for_items_and_population_alike(kind):
    made = simulate(TwoPL(), n_persons=50, n_items=6, seed=4)
    problem = prepared(made.responses, TwoPL(), MML(latent=kind)).problem
    turned = made.parameters * [-1.0, 1.0]
    latent = Normal(0.4, 1.1)
    if kind == "histogram":
        weights = np.exp(Normal(0.4, 0.8).log_weights(THETA))
        latent = Histogram(THETA, weights)
    blocks = np.tile([[2.0, 0.5], [0.5, 1.0]], (6, 1, 1))
    parameters, latents, covariance = _oriented(problem, turned, [latent], blocks)
    assert parameters[:, 0].sum() > 0
    assert (np.sign(covariance[:, 0, 1]) == -1).all() or kind == "histogram"
    points = np.linspace(-3, 3, 7)
    if kind == "normal":
        assert latents[0].mean == -0.4
        expected = made.assignment.log_prob(turned, -points)
        assert made.assignment.log_prob(parameters, points) == pytest.approx(expected)
    else:
        assert (latents[0].mean, latents[0].standard_deviation) == pytest.approx((0.0, 1.0))
        old = (points * -1.0) * latent.standard_deviation + latent.mean
        expected = made.assignment.log_prob(turned, old)
        assert made.assignment.log_prob(parameters, points) == pytest.approx(expected)
        assert latents[0].cdf(points) == pytest.approx(1.0 - latent.cdf(old), abs=1e-12)
