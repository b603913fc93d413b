"""The two-dimensional 2PL: laws of the likelihood, gradients, EM, planted structure, refusals."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.integrate import dblquad
from scipy.optimize import OptimizeResult
from scipy.special import expit

from irtkit.errors import ModelError, NotConverged
from irtkit.estimation import MML, calibrate
from irtkit.estimation.axes import loadings, oriented, principal, varimax
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import Tables, log_likelihoods
from irtkit.estimation.plane import (
    ItemSums,
    Plane,
    at_bound,
    expand,
    expected,
    log_likelihood,
    m_step,
    sizes_needed,
    tables,
    within,
)
from irtkit.estimation.plane_search import (
    SLOPE_BOUND,
    Answers,
    Ascent,
    Climb,
    cycled,
    em_cycle,
    residual_component,
)
from irtkit.estimation.two_dimensions import TwoDimensional, calibrate_two_dimensions
from irtkit.latent import Normal
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate

LAW = 1e-8  # relative, of a log-likelihood
DIFFERENCE = 1e-6  # relative, of a central difference
RISING = 1e-11  # relative fall of a log-likelihood that is rounding
QUADRATURE = 0.01


def responses_of(codes):
    n_persons, n_items = codes.shape
    return Responses(
        codes=codes.astype(np.int8),
        persons=tuple(f"p{number}" for number in range(n_persons)),
        items=tuple(f"i{number}" for number in range(1, n_items + 1)),
    )


def drawn(n_persons, parameters, seed, correlation=0.0, missing=0.0):
    rng = np.random.default_rng(seed)
    covariance = [[1.0, correlation], [correlation, 1.0]]
    theta = rng.multivariate_normal([0.0, 0.0], covariance, size=n_persons)
    right = rng.random((n_persons, len(parameters))) < expit(
        theta @ parameters[:, :2].T + parameters[:, 2]
    )
    return responses_of(np.where(rng.random(right.shape) < missing, -1, right))


def parameters_of(n_items, seed):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.lognormal(0.1, 0.3, n_items), rng.normal(0, 0.8, (n_items, 2))])


def clusters(n_persons, n_items, seed, missing=0.0):
    rng = np.random.default_rng(seed)
    slope, own = rng.lognormal(0.2, 0.25, n_items), np.arange(n_items) < n_items // 2
    parameters = np.column_stack([slope * own, slope * ~own, rng.normal(size=n_items)])
    return drawn(n_persons, parameters, seed, 0.3, missing)


def blocks_of(responses):
    return Blocks.of(responses.codes, responses.weights, 2)


def answers_of(responses):
    return Answers(blocks_of(responses), None, float(responses.weights.sum()))


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_without_second_slopes_the_likelihood_is_that_of_one_dimension(missing):
    made = simulate(TwoPL(), n_persons=300, n_items=12, seed=1, missing=missing)
    one = calibrate(made.responses, TwoPL(), method=MML(standard_errors=None))
    slope, intercept = one.parameters.T
    for angle in (0.0, 0.7):
        flat = np.column_stack([slope * np.cos(angle), slope * np.sin(angle), intercept])
        plane = Plane.of(61, 61) if angle else Plane.of(61, 21)
        assert log_likelihood(blocks_of(made.responses), flat, plane) == pytest.approx(
            one.log_likelihood, rel=LAW
        )
    nodes = Normal().nodes()
    same = Tables.of(one.assignment, one.parameters, nodes.theta, nodes.log_weights)
    known = log_likelihoods(blocks_of(made.responses), same).sum()
    assert log_likelihood(
        blocks_of(made.responses), np.column_stack([slope, 0.0 * slope, intercept]), plane
    ) == pytest.approx(known, rel=1e-12)


def test_likelihood_of_every_pattern_equals_its_integral():
    parameters = parameters_of(3, seed=2)
    patterns = np.array(list(itertools.product([0, 1], repeat=3)))
    plane = Plane.of(61, 61)
    values = log_likelihoods(blocks_of(responses_of(patterns)), tables(parameters, plane))
    for pattern, value in zip(patterns, values, strict=True):

        def density(second, first, pattern=pattern):
            z = parameters @ [first, second, 1.0]
            chance = np.prod(expit(np.where(pattern == 1, z, -z)))
            return chance * np.exp(-0.5 * (first**2 + second**2)) / (2.0 * np.pi)

        integral, _ = dblquad(density, -8.0, 8.0, -8.0, 8.0, epsabs=1e-11, epsrel=1e-10)
        assert value == pytest.approx(np.log(integral), abs=1e-8)
    assert np.exp(values).sum() == pytest.approx(1.0, abs=1e-12)


def test_turning_the_axes_leaves_the_likelihood_and_moving_theta_the_probabilities():
    parameters = parameters_of(8, seed=3)
    blocks = blocks_of(drawn(200, parameters, seed=3, missing=0.2))
    plane = Plane.of(61, 61)
    angle = 0.9
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = np.column_stack([parameters[:, :2] @ turn, parameters[:, 2]])
    known = log_likelihood(blocks, parameters, plane)
    assert log_likelihood(blocks, turned, plane) == pytest.approx(known, rel=LAW)
    mass = np.exp(-0.5 * ((plane.theta - [0.4, -0.2]) ** 2 / [0.6, 0.9]).sum(axis=1))
    moved = expand(parameters, plane, mass, SLOPE_BOUND)
    z = np.array([0.3, -1.1])
    theta = [0.4, -0.2] + np.sqrt([0.6, 0.9]) * z  # the normal distribution of that mass
    assert moved @ [*z, 1.0] == pytest.approx(parameters @ [*theta, 1.0], abs=1e-6)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_gradients_equal_central_differences(missing):
    parameters = parameters_of(6, seed=4)
    responses = drawn(150, parameters_of(6, seed=5), seed=4, missing=missing)
    blocks, plane = blocks_of(responses), Plane.of(41, 31)
    counts = expected(blocks, parameters, plane)
    sums = ItemSums.of(plane, counts)
    value, gradient, information = sums.derivatives(parameters)
    assert sums.value(parameters) == pytest.approx(value, rel=1e-12)
    marginal = np.empty_like(gradient)
    for place in np.ndindex(parameters.shape):
        step = np.zeros_like(parameters)
        step[place] = 1e-5
        up, down = parameters + step, parameters - step
        expected_slope = (sums.value(up) - sums.value(down))[place[0]] / 2e-5
        assert gradient[place] == pytest.approx(expected_slope, rel=DIFFERENCE, abs=1e-5)
        change = sums.derivatives(up)[1] - sums.derivatives(down)[1]
        assert -change[place[0]] / 2e-5 == pytest.approx(
            information[place], rel=DIFFERENCE, abs=1e-5
        )
        marginal[place] = log_likelihood(blocks, up, plane) - log_likelihood(blocks, down, plane)
    assert gradient == pytest.approx(marginal / 2e-5, rel=1e-5, abs=1e-4)  # Fisher's identity
    assert counts.log_likelihood == pytest.approx(
        log_likelihood(blocks, parameters, plane), rel=1e-12
    )


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_em_never_lowers_the_likelihood(missing):
    responses = clusters(400, 8, seed=5, missing=missing)
    answers, plane = answers_of(responses), Plane.of(41, 41)
    rng = np.random.default_rng(1)
    for parameters in (rng.normal(size=(8, 3)), np.array([[4.0, -4.0, 6.0]] * 8)):
        heights = []
        for _ in range(12):
            parameters, height = em_cycle(answers, parameters, plane)
            heights.append(height)
        assert (np.diff(heights) >= -RISING * np.abs(heights[0])).all()
        assert heights[-1] > heights[0] + 1.0


def test_m_step_alone_raises_what_it_maximises_from_anywhere():
    responses = clusters(300, 6, seed=6)
    plane = Plane.of(31, 31)
    start = np.array([[0.1, 0.1, 0.0]] * 6)
    sums = ItemSums.of(plane, expected(blocks_of(responses), start, plane))
    for parameters in (start, np.array([[9.0, -9.0, 20.0]] * 6)):
        assert (sums.value(m_step(parameters, sums)) > sums.value(parameters)).all()
    found = start
    for _ in range(20):
        found = m_step(found, sums)
    assert np.abs(sums.derivatives(found)[1]).max() < 1e-8


def test_newton_steps_that_go_too_far_are_halved(monkeypatch):
    module = sys.modules["irtkit.estimation.plane"]
    monkeypatch.setattr(module, "LONGEST_STEP", 1e6)
    plane = Plane.of(31, 31)
    start = np.array([[0.5, 0.5, 4.0]] * 6)
    sums = ItemSums.of(plane, expected(blocks_of(clusters(300, 6, seed=6)), start, plane))
    _, gradient, information = sums.derivatives(start)
    whole = start + np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
    assert (sums.value(whole) < sums.value(start)).any()
    assert (sums.value(m_step(start, sums)) > sums.value(start)).all()


def test_posteriors_may_move_anywhere_between_two_passes():
    answers = responses_of(np.ones((3, 40)))
    plane, turns = Plane.of(61, 61), ([1, 1], [-1, -1], [1, -1], [-1, 1])
    there = np.tile([[2.5, 0.0, 0.0], [0.0, 2.5, 0.0]], (20, 1))
    blocks, others = blocks_of(answers), blocks_of(answers)
    for sign in turns:
        parameters = there * [*sign, 1]
        fresh = expected(blocks_of(answers), parameters, plane)
        again = expected(blocks, parameters, plane)
        assert again.log_likelihood == pytest.approx(fresh.log_likelihood, rel=1e-12)
        assert again.mass == pytest.approx(fresh.mass, abs=1e-12)
        value = log_likelihood(others, parameters, plane)
        assert value == pytest.approx(fresh.log_likelihood, rel=1e-12)


def test_nodes_are_close_enough_and_no_closer_than_need_be():
    assert sizes_needed(np.array([[0.2, 0.0, 0.0]] * 3), None) == (21, 21)
    long = np.tile([1.5, 0.0, 0.0], (200, 1))
    first, second = sizes_needed(long, None)
    assert second == 21
    information = 200 * 1.5**2 / 4.0
    assert 12.0 / (first - 1) == pytest.approx(1.25 / np.sqrt(1.0 + information), rel=0.03)
    diagonal = np.tile(np.array([1.5, 1.5, 0.0]) / [np.sqrt(2.0), np.sqrt(2.0), 1.0], (200, 1))
    one, other = sizes_needed(diagonal, None)
    assert one == other
    assert one >= 0.98 * first  # what counts is the narrowest direction of the posterior
    few = np.zeros((2, 200), dtype=bool)
    few[0, :20], few[1, 100:120] = True, True
    assert sizes_needed(long, few) == sizes_needed(long[:20], None)
    parameters = parameters_of(60, seed=7)
    blocks = blocks_of(drawn(2000, parameters, seed=7))
    plane = Plane.of(*sizes_needed(parameters, None))
    fine = log_likelihood(blocks, parameters, plane.halved())
    assert abs(log_likelihood(blocks, parameters, plane) - fine) < QUADRATURE
    assert np.diff(np.unique(plane.halved().theta[:, 0])).max() == pytest.approx(
        np.diff(np.unique(plane.theta[:, 0])).max() / 2.0
    )
    coarse = Plane.of(*(n // 3 for n in plane.sizes))
    assert abs(log_likelihood(blocks, parameters, coarse) - fine) > QUADRATURE


@pytest.fixture(scope="module")
def planted():
    responses = clusters(2000, 20, seed=8)
    return responses, calibrate_two_dimensions(responses)


def test_planted_clusters_are_found(planted):
    responses, found = planted
    one = calibrate(responses, TwoPL(), method=MML(standard_errors=None))
    table = found.table()
    first = table["loading_1"] > table["loading_2"]
    assert first.iloc[:10].nunique() == first.iloc[10:].nunique() == 1
    assert first.iloc[0] != first.iloc[10]
    own = np.where(first, table["loading_1"], table["loading_2"])
    assert (own > 0.35).all()
    assert 2.0 * (found.log_likelihood - one.log_likelihood) > 500.0
    assert found.criteria()["bic"] < one.criteria()["bic"]
    assert found.n_parameters == one.n_parameters + 19
    assert found.criteria()["aic"] == pytest.approx(-2.0 * found.log_likelihood + 118.0)
    assert set(table["state"]) == {"ok"}
    assert table.index.tolist() == list(responses.items)


def test_optimum_has_no_gradient_and_a_standard_normal_posterior(planted):
    responses, found = planted
    parameters = np.column_stack([found.slopes, found.intercepts])
    plane = Plane.of(61, 61)
    counts = expected(blocks_of(responses), parameters, plane)
    gradient = ItemSums.of(plane, counts).derivatives(parameters)[1]
    assert np.abs(gradient).max() / 2000 < 1e-4
    share = counts.mass[0] / counts.mass[0].sum()
    mean = share @ plane.theta
    assert mean == pytest.approx([0.0, 0.0], abs=1e-3)
    centred = plane.theta - mean
    assert (centred * share[:, None]).T @ centred == pytest.approx(np.eye(2), abs=1e-3)
    assert found.log_likelihood == pytest.approx(counts.log_likelihood, abs=1e-3)
    own = Plane.of(*found.n_nodes)
    fine = log_likelihood(blocks_of(responses), parameters, own.halved())
    assert found.quadrature_change == pytest.approx(
        abs(fine - log_likelihood(blocks_of(responses), parameters, own)), abs=1e-9
    )
    assert found.quadrature_change < QUADRATURE
    assert found.converged


def test_slopes_are_turned_to_their_principal_axes(planted):
    _, found = planted
    product = loadings(found.slopes).T @ loadings(found.slopes)
    assert product[0, 1] == pytest.approx(0.0, abs=1e-9)
    assert product[0, 0] > product[1, 1]
    assert (found.slopes.sum(axis=0) > 0).all()
    table = found.table()
    simple = table[["loading_1", "loading_2"]].to_numpy()
    assert (simple**2).sum(axis=1) == pytest.approx(table["communality"].to_numpy())
    slopes = found.slopes
    size = (slopes**2).sum(axis=1) / 1.702**2
    assert table["communality"].to_numpy() == pytest.approx(size / (1.0 + size))


def test_the_planted_parameters_are_recovered_up_to_the_direction_of_the_axes():
    truth = parameters_of(15, seed=9)
    found = calibrate_two_dimensions(drawn(8000, truth, seed=9), n_starts=1)
    close = found.slopes @ found.slopes.T - truth[:, :2] @ truth[:, :2].T
    assert np.sqrt((close**2).mean()) < 0.15
    assert np.abs(found.intercepts - truth[:, 2]).max() < 0.25


def test_every_start_that_matters_ends_at_one_maximum(planted):
    _, found = planted
    assert len(found.starts) == 3
    assert found.starts.max() == pytest.approx(found.log_likelihood, abs=1e-3)
    assert np.ptp(found.starts) < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_two_dimensions_are_never_below_one(seed):
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=seed, missing=0.2).responses
    one = calibrate(made, TwoPL(), method=MML(standard_errors=None, slope_bound=SLOPE_BOUND))
    two = calibrate_two_dimensions(made, n_starts=1)
    assert two.log_likelihood >= one.log_likelihood - 1e-3  # different nodes
    assert two.quadrature_change < QUADRATURE


def test_one_dimension_wins_where_the_search_finds_nothing_better(monkeypatch):
    module = sys.modules["irtkit.estimation.two_dimensions"]
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=1).responses
    one = calibrate(made, TwoPL(), method=MML(standard_errors=None))

    def lost(answers, flat, search, progress):
        nowhere = Ascent(np.zeros_like(flat), Plane.of(31, 31), -1e9, 1, 0.0, True)
        return nowhere, [-1e9]

    monkeypatch.setattr(module, "highest", lost)
    found = calibrate_two_dimensions(made)
    assert found.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-3)
    assert found.slopes[:, 1] == pytest.approx(np.zeros(6), abs=1e-9)
    assert found.slopes[:, 0] == pytest.approx(one.parameters[:, 0], abs=1e-6)


def test_missing_sparse_and_weighted_answers_agree_with_complete_rows():
    responses = clusters(300, 8, seed=10, missing=0.2)
    known = calibrate_two_dimensions(responses, n_starts=1)
    sparse = replace(responses, codes=sp.csr_array(responses.dense() + np.int8(1)))
    before = responses.fingerprint()
    again = calibrate_two_dimensions(sparse, n_starts=1)
    assert again.log_likelihood == pytest.approx(known.log_likelihood, abs=1e-4)
    assert np.abs(again.slopes - known.slopes).max() < 0.05
    assert responses.fingerprint() == before
    weighted = replace(responses, weights=np.where(np.arange(300) < 100, 2.0, 1.0))
    rows = np.r_[np.arange(300), np.arange(100)]
    repeated = responses_of(responses.dense()[rows])
    assert calibrate_two_dimensions(weighted, n_starts=1).log_likelihood == pytest.approx(
        calibrate_two_dimensions(repeated, n_starts=1).log_likelihood, abs=1e-3
    )


def test_short_tests_put_equal_rows_together_and_change_nothing():
    responses = clusters(3000, 6, seed=11)
    found = calibrate_two_dimensions(responses, n_starts=1)
    parameters = np.column_stack([found.slopes, found.intercepts])
    plane = Plane.of(*found.n_nodes)
    assert log_likelihood(blocks_of(responses), parameters, plane) == pytest.approx(
        found.log_likelihood, rel=1e-10
    )
    assert found.n_persons == 3000.0


def test_items_answered_alike_are_named_and_left_out():
    responses = clusters(300, 7, seed=12)
    codes = responses.dense().copy()
    codes[:, 2] = 1
    found = calibrate_two_dimensions(replace(responses, codes=codes), n_starts=1)
    assert found.states[2] == "constant"
    assert np.isnan(found.slopes[2]).all()
    assert found.table().loc["i3"].drop("state").isna().all()
    assert found.n_parameters == 17
    rest = [item for item in responses.items if item != "i3"]
    alone = calibrate_two_dimensions(responses.select_items(rest), n_starts=1)
    assert found.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-6)


def test_an_item_that_copies_another_runs_to_the_bound_and_is_named():
    made = simulate(TwoPL(), n_persons=400, n_items=7, seed=13).responses
    codes = made.dense().copy()
    codes[:, 6] = codes[:, 5]
    found = calibrate_two_dimensions(replace(made, codes=codes), n_starts=2)
    assert "separating" in found.states[5:]
    assert set(found.states[:5]) == {"ok"}
    assert np.abs(found.slopes).max() <= np.sqrt(2.0) * SLOPE_BOUND + 1e-9
    assert found.quadrature_change < QUADRATURE


def test_slopes_beyond_the_bound_are_shortened_with_their_intercepts():
    parameters = np.array([[30.0, 40.0, 10.0], [1.0, 1.0, 5.0]])
    short = within(parameters, 10.0)
    assert short == pytest.approx(np.array([[6.0, 8.0, 2.0], [1.0, 1.0, 5.0]]))
    assert at_bound(short, 10.0).tolist() == [True, False]
    plane = Plane.of(31, 31)
    mass = np.exp(plane.log_weights - 0.5 * (plane.theta**2).sum(axis=1))  # SD 0.7
    assert expand(short, plane, mass, 10.0) == pytest.approx(short)  # no room for another scale
    assert np.abs(expand(short, plane, mass, 20.0)).sum() < np.abs(short).sum()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_start_comes_from_the_correlations_of_the_residuals(missing):
    truth = np.column_stack([np.ones(12), np.where(np.arange(12) % 2, -0.6, 0.6), np.zeros(12)])
    responses = drawn(2500, truth, seed=14, missing=missing)
    one = calibrate(responses, TwoPL(), method=MML(standard_errors=None))
    slope, intercept = one.parameters.T
    flat = np.column_stack([slope, 0.0 * slope, intercept])
    found = residual_component(blocks_of(responses), flat, Plane.of(61, 21))
    codes, nodes = responses.dense(), Normal().nodes()
    z = nodes.theta[:, None] * slope + intercept
    likelihood = np.where(codes[:, None] < 0, 1.0, expit(np.where(codes[:, None] == 1, z, -z)))
    posterior = likelihood.prod(axis=2) * np.exp(nodes.log_weights)
    posterior /= posterior.sum(axis=1, keepdims=True)
    residual = np.where(codes < 0, 0.0, codes - posterior @ expit(z))
    products = residual.T @ residual
    scale = np.sqrt(np.diag(products))
    values, vectors = np.linalg.eigh(products / np.outer(scale, scale) - np.eye(12))
    loading = vectors[:, -1] * np.sqrt(values[-1])
    loading *= np.clip(np.abs(loading).max(), 0.4, 0.8) / np.abs(loading).max()
    known = 1.702 * loading / np.sqrt(1.0 - loading**2)
    assert found * np.sign(found[0]) == pytest.approx(known * np.sign(known[0]), abs=1e-6)
    assert abs(np.corrcoef(found, truth[:, 1])[0, 1]) > 0.9
    sparse = Blocks.of(sp.csr_array(codes + np.int8(1)), responses.weights, 2)
    assert residual_component(sparse, flat, Plane.of(61, 21)) == pytest.approx(found, abs=1e-9)


def test_climb_has_the_gradient_of_its_value_and_stops_where_nodes_are_too_far_apart():
    answers = answers_of(clusters(200, 6, seed=18, missing=0.1))
    start = parameters_of(6, seed=18)
    climb = Climb(answers, Ascent(start, Plane.of(31, 31)))
    point = climb.scaled(start)
    assert climb.unscaled(point) == pytest.approx(start)
    _, gradient = climb(point)
    for place in range(len(point)):
        step = 1e-5 * np.eye(len(point))[place]
        slope = (climb(point + step)[0] - climb(point - step)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    climb.watch(OptimizeResult(x=point))
    with pytest.raises(StopIteration):
        climb.watch(OptimizeResult(x=climb.scaled(np.tile([9.0, 0.0, 0.0], (6, 1)))))


def test_a_derivative_that_points_out_of_the_bounds_is_none():
    answers = answers_of(clusters(200, 6, seed=18))
    climb = Climb(answers, Ascent(parameters_of(6, seed=18), Plane.of(31, 31)))
    inside, edge = climb.scaled(np.zeros((6, 3))), climb.bounds().ub.copy()
    edge[2::3] = 0.0
    jac = np.zeros(18)
    jac[0] = -0.5  # minus the likelihood falls towards larger slopes
    assert climb.remaining(OptimizeResult(x=inside, jac=jac)) == 0.5
    assert climb.remaining(OptimizeResult(x=edge, jac=jac)) == 0.0
    assert climb.remaining(OptimizeResult(x=edge, jac=-jac)) == 0.5
    assert climb.remaining(OptimizeResult(x=-edge, jac=jac)) == 0.5
    assert climb.unscaled(edge)[:, :2] == pytest.approx(np.full((6, 2), SLOPE_BOUND))


def test_the_best_of_the_starts_is_kept():
    made = simulate(TwoPL(), n_persons=1000, n_items=15, seed=5).responses
    found = calibrate_two_dimensions(made, n_starts=2)
    assert np.ptp(found.starts) > 0.5
    assert found.log_likelihood == pytest.approx(found.starts.max(), abs=1e-3)


def test_nodes_are_those_of_the_longest_part_that_anybody_answered():
    whole = drawn(600, parameters_of(40, seed=19), seed=19)
    order = np.random.default_rng(19).random((600, 40)).argsort(axis=1)
    responses = responses_of(np.where(order < 12, whole.dense(), -1))
    found = calibrate_two_dimensions(responses, n_starts=1)
    parameters = np.column_stack([found.slopes, found.intercepts])
    assert found.n_nodes < sizes_needed(parameters, None)
    assert found.quadrature_change < QUADRATURE


def test_em_from_a_start_gets_nodes_as_slopes_grow():
    responses = clusters(500, 30, seed=15)
    start = np.column_stack([np.full(30, 0.1), np.tile([0.1, -0.1], 15), np.zeros(30)])
    begun = Ascent(start, Plane.of(7, 7))
    now = cycled(answers_of(responses), begun, 15)
    assert now.n_cycles >= 15
    assert all(
        size >= need
        for size, need in zip(now.plane.sizes, sizes_needed(now.parameters, None), strict=True)
    )


def test_varimax_maximises_kaisers_criterion_and_principal_turns_back():
    rng = np.random.default_rng(3)
    for _ in range(5):
        values = rng.uniform(-0.7, 0.7, (9, 2))
        length = np.linalg.norm(values, axis=1, keepdims=True)

        def simplicity(angle, values=values, length=length):
            c, s = np.cos(angle), np.sin(angle)
            squares = ((values / length) @ [[c, -s], [s, c]]) ** 2
            return squares.var(axis=0).sum()

        rotation = varimax(values)
        assert rotation.T @ rotation == pytest.approx(np.eye(2), abs=1e-12)
        reached = (((values / length) @ rotation) ** 2).var(axis=0).sum()
        best = max(simplicity(angle) for angle in np.linspace(0.0, np.pi / 2.0, 20001))
        assert reached == pytest.approx(best, abs=1e-7)
        turned = principal(values @ rotation)
        assert turned == pytest.approx(principal(values), abs=1e-9)
    assert oriented(np.array([[1.0, -2.0], [1.0, 1.0]])).tolist() == [[1.0, 2.0], [1.0, -1.0]]


def test_too_few_cycles_raise_with_the_last_state():
    responses = simulate(TwoPL(), n_persons=300, n_items=8, seed=16).responses
    with pytest.raises(NotConverged, match=r"did not converge in \d+ E-steps") as caught:
        calibrate_two_dimensions(responses, max_cycles=2, n_starts=1)
    state = caught.value.calibration
    assert isinstance(state, TwoDimensional)
    assert not state.converged
    assert np.isfinite(state.log_likelihood)


def test_refusals_say_what_to_do(monkeypatch):
    with pytest.raises(ModelError, match=r"4 usable items: at least 5 are needed"):
        calibrate_two_dimensions(clusters(200, 4, seed=1))
    graded = simulate(Graded(), n_persons=100, n_items=6, seed=1).responses
    with pytest.raises(ModelError, match="knows 0 and 1 only"):
        calibrate_two_dimensions(graded)
    for options in ({"n_starts": 0}, {"max_cycles": 0}, {"tolerance": 0.0}):
        with pytest.raises(ModelError, match="at least one start and one cycle"):
            calibrate_two_dimensions(clusters(200, 6, seed=1), **options)
    monkeypatch.setattr(sys.modules["irtkit.estimation.plane"], "MOST_CELLS", 2000)
    with pytest.raises(ModelError, match=r"6 items are so informative.*Choose fewer items"):
        calibrate_two_dimensions(clusters(200, 6, seed=1))


def test_one_seed_gives_one_answer_and_progress_counts_the_starts():
    responses = clusters(200, 6, seed=17)
    steps = []
    first = calibrate_two_dimensions(
        responses, n_starts=2, seed=4, progress=lambda done, n: steps.append((done, n))
    )
    assert steps == [(1, 2), (2, 2)]
    second = calibrate_two_dimensions(responses, n_starts=2, seed=np.random.default_rng(4))
    assert np.array_equal(first.slopes, second.slopes)
    assert not first.slopes.flags.writeable
