"""Calibration against R's mirt, against brute force, and under the laws that it must obey."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.arrays import same
from irtkit.errors import ModelError, NotConverged
from irtkit.estimation import MML, Plain, Squarem, calibrate
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import Tables, e_step
from irtkit.estimation.population import Population, moments
from irtkit.models import OnePL, Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate

LOG_LIKELIHOOD = 1e-6  # both sides converged to 1e-10 or so
R_PARAMETERS = 1e-4  # R stops by parameter change, some of its tails are 1e-5 away
STANDARD_ERROR = 1e-4  # relative
INVARIANCE = 1e-5  # ten times the tolerance of the parameters


@pytest.fixture(scope="module")
def simulated():
    return simulate(TwoPL(), n_persons=800, n_items=12, seed=7, missing=0.2)


def test_lsat7_reaches_the_published_log_likelihood():
    from irtkit.datasets import load_dataset

    assert calibrate(load_dataset("lsat7"), TwoPL()).log_likelihood == pytest.approx(
        -2658.805, abs=5e-4
    )


def test_rasch_and_1pl_have_one_likelihood(simulated):
    rasch = calibrate(simulated.responses, Rasch())
    equal = calibrate(simulated.responses, OnePL())
    assert rasch.log_likelihood == pytest.approx(equal.log_likelihood, abs=LOG_LIKELIHOOD)


@pytest.mark.parametrize("model", [TwoPL(), OnePL(), Rasch()], ids=lambda m: m.name)
@pytest.mark.parametrize("acceleration", [Plain(), Squarem()], ids=["plain", "squarem"])
def test_em_never_lowers_the_likelihood(simulated, model, acceleration):
    made = calibrate(simulated.responses, model, method=MML(acceleration=acceleration))
    rises = np.diff(made.convergence.history[:, 1])
    assert rises.min() >= -1e-9 * abs(made.log_likelihood)


def test_plain_and_accelerated_em_agree(simulated):
    plain = calibrate(
        simulated.responses, TwoPL(), method=MML(acceleration=Plain(), tolerance=1e-8)
    )
    fast = calibrate(simulated.responses, TwoPL(), method=MML(tolerance=1e-8))
    assert fast.parameters == pytest.approx(plain.parameters, abs=INVARIANCE)
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, abs=LOG_LIKELIHOOD)


def test_posterior_has_mean_0_and_sd_1_at_the_optimum(simulated):
    made = calibrate(simulated.responses, TwoPL(), method=MML(tolerance=1e-9))
    nodes = made.nodes()
    tables = Tables.of(made.assignment, made.parameters, nodes.theta, nodes.log_weights)
    blocks = Blocks.of(simulated.responses.codes, simulated.responses.weights, 2)
    mass = e_step(blocks, tables).mass[0]
    assert moments(nodes.theta, mass) == pytest.approx((0.0, 1.0), abs=1e-6)


def test_permuting_persons_and_items_permutes_results(simulated):
    responses = simulated.responses
    rng = np.random.default_rng(1)
    items = [responses.items[n] for n in rng.permutation(responses.n_items)]
    moved = responses.select_items(items).select_persons(rng.permutation(responses.n_persons))
    first = calibrate(responses, TwoPL()).table()
    second = calibrate(moved, TwoPL()).table().loc[first.index]
    assert second.drop(columns="state").to_numpy() == pytest.approx(
        first.drop(columns="state").to_numpy(), abs=INVARIANCE
    )


def test_weights_equal_repeated_rows(simulated):
    few = simulated.responses.select_persons(np.arange(120))
    weights = np.arange(120) % 3 + 1.0
    weighted = calibrate(replace(few, weights=weights), TwoPL())
    rows = np.repeat(np.arange(120), weights.astype(int))
    names = tuple(f"p{n}" for n in range(len(rows)))
    repeated = Responses(few.codes[rows], names, few.items)
    plain = calibrate(repeated, TwoPL())
    assert weighted.parameters == pytest.approx(plain.parameters, abs=INVARIANCE)
    assert weighted.covariance == pytest.approx(plain.covariance, rel=1e-3)


def test_two_runs_give_the_same_bytes(simulated):
    assert same(calibrate(simulated.responses, TwoPL()), calibrate(simulated.responses, TwoPL()))


def test_sparse_storage_gives_the_dense_answer(simulated, monkeypatch):
    responses = simulated.responses
    rows, places = np.nonzero(responses.codes >= 0)
    monkeypatch.setattr("irtkit.storage.DENSE_CELLS", 0)
    monkeypatch.setattr("irtkit.storage.SPARSE_SHARE", 1.0)
    sparse = Responses.from_triples(
        [responses.persons[r] for r in rows],
        [responses.items[i] for i in places],
        responses.codes[rows, places].tolist(),
    )
    assert not isinstance(sparse.codes, np.ndarray)
    made, dense = calibrate(sparse, TwoPL()), calibrate(responses, TwoPL())
    assert made.table().loc[list(dense.items), "discrimination"].to_numpy() == pytest.approx(
        dense.parameters[:, 0], abs=INVARIANCE
    )


def test_reverse_keyed_item_is_named_and_keeps_its_negative_slope(simulated):
    codes = simulated.responses.dense().copy()
    codes[:, 3] = np.where(codes[:, 3] < 0, -1, 1 - codes[:, 3])
    made = calibrate(replace(simulated.responses, codes=codes), TwoPL())
    plain = calibrate(simulated.responses, TwoPL())
    assert made.states[3] == "reverse-keyed"
    assert made.parameters[3] == pytest.approx(-plain.parameters[3], abs=INVARIANCE)
    assert "i4" in made.notes[0]


def test_sign_rule_makes_slopes_sum_to_a_positive_number(simulated):
    codes = simulated.responses.dense()
    turned = replace(simulated.responses, codes=np.where(codes < 0, -1, 1 - codes))
    made = calibrate(turned, TwoPL())
    assert set(made.states) == {"ok"}
    assert made.parameters[:, 0].sum() > 0


def test_constant_and_unanswered_items_are_states_and_the_rest_is_calibrated(simulated):
    codes = simulated.responses.dense().copy()
    codes[:, 0], codes[:, 1] = 1, -1
    made = calibrate(replace(simulated.responses, codes=codes), TwoPL())
    rest = calibrate(simulated.responses.select_items(simulated.responses.items[2:]), TwoPL())
    assert made.states[:3] == ("constant", "unanswered", "ok")
    assert np.isnan(made.parameters[:2]).all()
    assert made.parameters[2:] == pytest.approx(rest.parameters, abs=INVARIANCE)


def test_guttman_answers_end_as_separating_items_without_standard_errors():
    guttman = (np.arange(50)[:, None] > np.arange(2, 50, 8)[None]).astype(int)
    made = calibrate(Responses.from_array(guttman), TwoPL())
    assert set(made.states) == {"separating"}
    assert np.abs(made.parameters[:, 0]) == pytest.approx(MML().slope_bound)
    assert np.isnan(made.covariance).all()
    assert "bound" in " ".join(made.notes)


def test_duplicate_item_is_named(simulated):
    codes = simulated.responses.dense().copy()
    codes[:, 5] = codes[:, 4]
    made = calibrate(replace(simulated.responses, codes=codes), TwoPL())
    assert made.states[5] == "duplicate"
    assert "'i6' repeats every answer of item 'i5'" in " ".join(made.notes)


def test_too_few_items_or_persons_are_refused(simulated):
    responses = simulated.responses
    two = responses.select_items(responses.items[:2])
    with pytest.raises(ModelError, match=r"at least 3.*Rasch"):
        calibrate(two, TwoPL())
    assert calibrate(two, Rasch()).converged
    with pytest.raises(ModelError, match="at least 2"):
        calibrate(responses.select_items(responses.items[:1]), Rasch())
    with pytest.raises(ModelError, match="fewer than two persons"):
        calibrate(responses.select_persons([0]), TwoPL())


def test_one_pattern_for_everybody_is_refused():
    with pytest.raises(ModelError, match="Everybody answered alike"):
        calibrate(Responses.from_array(np.tile([1, 0, 1, 1], (30, 1))), TwoPL())


def test_third_category_is_refused_with_its_cell():
    codes = np.tile([[0, 1, 2], [1, 0, 1]], (10, 1))
    with pytest.raises(ModelError, match="person '1' to item 'i3' is 2"):
        calibrate(Responses.from_array(codes), TwoPL())


def test_raw_labels_without_a_key_are_refused():
    from irtkit.coding import Coding

    frame = pd.DataFrame({"w": ["a", "b"], "x": ["e", "n"], "y": ["n", "e"], "z": ["e", "e"]})
    with pytest.raises(ModelError, match="without a key"):
        calibrate(Responses.from_frame(frame, coding=Coding(nominal=True)), TwoPL())


def test_disconnected_designs_are_refused_with_their_parts():
    codes = np.full((40, 6), -1)
    codes[:20, :3] = simulate(TwoPL(), n_persons=20, n_items=3, seed=1).responses.codes
    codes[20:, 3:] = simulate(TwoPL(), n_persons=20, n_items=3, seed=2).responses.codes
    with pytest.raises(ModelError, match=r"2 parts.*'i1', 'i2', 'i3'.*'i4', 'i5', 'i6'"):
        calibrate(
            replace(Responses.from_array(np.zeros((40, 6))), codes=codes.astype(np.int8)), TwoPL()
        )


def test_not_converged_carries_the_last_state(simulated):
    with pytest.raises(NotConverged, match=r"did not converge in .* cycles") as caught:
        calibrate(simulated.responses, TwoPL(), method=MML(max_cycles=3))
    state = caught.value.calibration
    assert not state.converged
    assert np.isfinite(state.parameters).all()
    assert np.isnan(state.covariance).all()


def test_fewer_persons_than_items_is_noted():
    few = simulate(TwoPL(), n_persons=30, n_items=60, seed=1).responses
    assert "Fewer persons (30) than items (60)" in " ".join(calibrate(few, TwoPL()).notes)


def test_nodes_follow_the_length_of_the_test():
    grid = Population("normal").grid
    assert len(grid(np.empty(0), 20.0)) == 61
    assert len(grid(np.empty(0), 750.0)) == pytest.approx(254, abs=12)
    long_test = simulate(TwoPL(), n_persons=60, n_items=400, seed=2).responses
    made = calibrate(long_test, TwoPL(), method=MML(standard_errors=None))
    assert made.convergence.n_nodes > 80
    assert made.convergence.quadrature_change < 0.01
    nodes = made.nodes()
    usable = np.flatnonzero(made.calibrated)
    chosen = long_test.select_items([made.items[place] for place in usable])
    tables = Tables.of(
        made.assignment.at(usable), made.parameters[usable], nodes.theta, nodes.log_weights
    )
    mass = e_step(Blocks.of(chosen.codes, chosen.weights, 2), tables).mass[0]
    assert moments(nodes.theta, mass) == pytest.approx((0.0, 1.0), abs=1e-5)


@pytest.mark.slow
def test_intervals_cover_and_estimates_recover():
    """60 replications x 20 items pooled: 1,200 intervals, exact binomial 99.9% limits."""
    covered, error, variance = [], [], []
    for seed in range(60):
        made = simulate(TwoPL(), n_persons=1000, n_items=20, seed=seed)
        table = calibrate(made.responses, TwoPL()).table()
        miss = table["discrimination"].to_numpy() - made.parameters[:, 0]
        se = table["se_discrimination"].to_numpy()
        covered += list(np.abs(miss) < 1.96 * se)
        error += list(miss)
        variance += list(se**2)
    assert 0.925 < np.mean(covered) < 0.972
    assert 0.9 < np.sqrt(np.mean(np.square(error)) / np.mean(variance)) < 1.1
    assert abs(np.mean(error)) < 0.25 * np.sqrt(np.mean(np.square(error)))


@pytest.mark.parametrize(
    "wrong",
    [{"tolerance": 0.0}, {"tolerance": float("nan")}, {"max_cycles": 0}, {"slope_bound": -1.0}],
)
def test_options_without_sense_are_refused(wrong):
    with pytest.raises(ModelError, match="must be positive"):
        MML(**wrong)
