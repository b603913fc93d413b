"""Bradley-Terry strengths: the truth, choix, brute force, intervals, and what has no strength."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from irtkit.arrays import same
from irtkit.bridge.pairwise import (
    BradleyTerry,
    Comparisons,
    bradley_terry,
    design_pairs,
    gaussian_strengths,
)
from irtkit.errors import ModelError, NotConverged

EXACT = 1e-9
ITERATED = 1e-6  # against minimisers that stop earlier
NAMES = tuple("abcdefghijklmnopqrstuvwxyz")


def names(size):
    return [f"i{place}" for place in range(size)]


def made(pairs, probability, size=None, **more):
    pairs = np.asarray(pairs)
    size = pairs.max() + 1 if size is None else size
    return Comparisons.from_arrays(names(size), pairs, np.asarray(probability, float), **more)


def drawn(size=8, seed=1, n_pairs=None, votes=5, pull=0.0):
    """True strengths, and shares of votes on random pairs."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=size)
    truth -= truth.mean()
    pairs = design_pairs(size, n_pairs, seed=rng)
    chance = expit(truth[pairs[:, 0]] - truth[pairs[:, 1]] + pull)
    share = rng.binomial(votes, chance) / votes
    return truth, made(pairs, share, size, weight=np.full(len(pairs), float(votes)))


def objective(comparisons, strength, pull=0.0, ridge=0.0):
    eta = strength[comparisons.first] - strength[comparisons.second] + pull
    p, w = comparisons.probability, comparisons.weight
    value = (w * (p * log_expit(eta) + (1 - p) * log_expit(-eta))).sum()
    return value - 0.5 * ridge * (strength**2).sum()


def minimised(comparisons, *, pull=False, ridge=0.0):
    """Strengths by a general minimiser of the plain objective."""
    size = len(comparisons.items)

    def loss(x):
        own = x[:size] if ridge else x[:size] - x[:size].mean()
        extra = 0.0 if ridge else x[:size].mean() ** 2
        return extra - objective(comparisons, own, x[size] if pull else 0.0, ridge)

    found = minimize(loss, np.zeros(size + pull), method="BFGS", options={"gtol": 1e-9}).x
    return found[:size] if ridge else found[:size] - found[:size].mean(), found[size:]


def test_exact_probabilities_give_the_strengths_back():
    truth = np.array([-1.5, 0.2, 0.4, 0.9])
    pairs = design_pairs(4, design="all", seed=1)
    found = bradley_terry(made(pairs, expit(truth[pairs[:, 0]] - truth[pairs[:, 1]])))
    assert found.strength == pytest.approx(truth, abs=EXACT)
    assert found.table()["standard_error"].to_numpy() == pytest.approx(np.zeros(4), abs=1e-7)


def test_gamma_brings_strengths_to_the_unit_of_the_scores():
    truth = np.array([-1.5, 0.2, 0.4, 0.9])
    pairs = design_pairs(4, design="all", seed=1)
    comparisons = made(pairs, expit((truth[pairs[:, 0]] - truth[pairs[:, 1]]) / 5.0))
    found = bradley_terry(comparisons, method=BradleyTerry(gamma=5.0))
    assert found.strength == pytest.approx(truth, abs=EXACT)


def test_gamma_is_a_change_of_unit_and_nothing_else():
    _, comparisons = drawn(seed=1)
    one, three = (
        bradley_terry(comparisons, method=BradleyTerry(gamma=gamma, ridge=0.2, position="joint"))
        for gamma in (1.0, 3.0)
    )
    assert three.strength == pytest.approx(3.0 * one.strength)
    assert three.covariance == pytest.approx(9.0 * one.covariance)
    assert three.position == pytest.approx(one.position)
    assert three.position_error == pytest.approx(one.position_error)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_strengths_are_those_of_a_general_minimiser(ridge):
    _, comparisons = drawn(seed=2)
    found = bradley_terry(comparisons, method=BradleyTerry(ridge=ridge))
    expected, _ = minimised(comparisons, ridge=ridge)
    assert found.strength == pytest.approx(expected, abs=1e-5)
    assert found.log_likelihood == pytest.approx(objective(comparisons, found.strength))
    assert found.strength.sum() == pytest.approx(0.0, abs=EXACT)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_pull_of_the_first_position_is_that_of_a_general_minimiser(ridge):
    _, comparisons = drawn(seed=3, pull=0.8)
    found = bradley_terry(comparisons, method=BradleyTerry(position="joint", ridge=ridge))
    strength, pull = minimised(comparisons, pull=True, ridge=ridge)
    assert found.strength == pytest.approx(strength, abs=1e-5)
    assert found.position == pytest.approx(pull[0], abs=1e-5)
    assert found.position_error > 0


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_hard_comparisons_give_the_strengths_of_choix(ridge):
    choix = pytest.importorskip("choix")
    rng = np.random.default_rng(4)
    pairs = design_pairs(12, design="all", seed=rng).repeat(3, axis=0)
    won = rng.random(len(pairs)) < 0.5 + 0.2 * np.sign(pairs[:, 1] - pairs[:, 0])
    found = bradley_terry(made(pairs, won), method=BradleyTerry(ridge=ridge))
    games = [(a, b) if first else (b, a) for (a, b), first in zip(pairs, won, strict=True)]
    theirs = choix.opt_pairwise(12, games, alpha=ridge / 2, tol=1e-12)
    assert found.strength == pytest.approx(theirs - theirs.mean(), abs=ITERATED)


def test_a_table_of_winners_and_losers_is_one_of_hard_comparisons():
    frame = pd.DataFrame({"winner": list("abca"), "loser": list("bcab")})
    soft = pd.DataFrame({"item_1": list("abba"), "item_2": list("bcac"), "probability": 1.0})
    soft["probability"] = [1.0, 1.0, 0.0, 0.0]
    both = [bradley_terry(Comparisons.from_frame(f)).table()["strength"] for f in (frame, soft)]
    assert both[0].to_dict() == pytest.approx(both[1].to_dict(), abs=EXACT)


def test_weights_count_as_repeated_comparisons():
    pairs = [[0, 1], [1, 2], [2, 0], [0, 1]]
    p = [0.8, 0.6, 0.3, 0.4]
    weighted = made(pairs, p, weight=np.array([3.0, 1.0, 2.0, 0.0]))
    repeated = made([[0, 1]] * 3 + [[1, 2]] + [[2, 0]] * 2, [0.8] * 3 + [0.6] + [0.3] * 2)
    for errors in ("sandwich", "information"):
        method = BradleyTerry(standard_errors=errors)
        one, two = (bradley_terry(c, method=method) for c in (weighted, repeated))
        assert one.strength == pytest.approx(two.strength, abs=EXACT)
        assert one.covariance == pytest.approx(two.covariance, abs=EXACT)


def test_swapping_the_items_of_a_pair_changes_nothing():
    _, comparisons = drawn(seed=5)
    turned = Comparisons(
        comparisons.items,
        comparisons.second,
        comparisons.first,
        1.0 - comparisons.probability,
        comparisons.weight,
        comparisons.cluster,
    )
    one, two = bradley_terry(comparisons), bradley_terry(turned)
    assert one.strength == pytest.approx(two.strength, abs=EXACT)
    assert one.covariance == pytest.approx(two.covariance, abs=EXACT)


def test_gradient_is_zero_where_the_factorisation_is_sparse():
    """400 items with four comparisons each: 1% of the cells are filled."""
    truth, comparisons = drawn(size=400, seed=6, n_pairs=800)
    comparisons = replace(comparisons, probability=(5 * comparisons.probability + 0.5) / 6)
    found = bradley_terry(comparisons, method=BradleyTerry(standard_errors=None))
    eta = found.strength[comparisons.first] - found.strength[comparisons.second]
    residual = comparisons.weight * (comparisons.probability - expit(eta))
    gradient = np.bincount(comparisons.first, residual, 400)
    gradient -= np.bincount(comparisons.second, residual, 400)
    assert np.abs(gradient).max() < EXACT
    assert np.corrcoef(found.strength, truth)[0, 1] > 0.7
    assert found.covariance is None


def test_long_chains_are_solved_exactly():
    """Conjugate gradients do not settle on a chain of 2,000; the factorisation does."""
    steps = np.random.default_rng(14).normal(size=1999)
    chain = np.stack([np.arange(1999), np.arange(1, 2000)], axis=1)
    method = BradleyTerry(standard_errors=None)
    found = bradley_terry(made(chain, expit(steps)), method=method)
    assert -np.diff(found.strength) == pytest.approx(steps, abs=1e-8)


def test_information_is_the_inverse_of_the_second_derivative():
    _, comparisons = drawn(size=5, seed=7)
    found = bradley_terry(comparisons, method=BradleyTerry(standard_errors="information"))
    size, step = 5, 1e-4
    hessian = np.zeros((size, size))
    for i, j in np.ndindex(size, size):
        for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            moved = found.strength + step * (a * np.eye(size)[i] + b * np.eye(size)[j])
            hessian[i, j] -= a * b * objective(comparisons, moved) / (4 * step**2)
    assert found.covariance == pytest.approx(np.linalg.pinv(hessian, rcond=1e-6), rel=1e-3)


def sandwich_by_hand(comparisons, coefficients):
    """Loop over clusters; a last coefficient beyond the items is the position's."""
    size = len(comparisons.items)
    x = np.eye(size)[comparisons.first] - np.eye(size)[comparisons.second]
    x = np.hstack([x, np.ones((len(x), 1))])[:, : len(coefficients)]
    mean = expit(x @ coefficients)
    v = comparisons.weight * mean * (1 - mean)
    bread = np.linalg.pinv(x.T @ (v[:, None] * x))
    r = comparisons.weight * (comparisons.probability - mean)
    h = v * np.einsum("cd,de,ce->c", x, bread, x)
    pair = [frozenset(p) for p in zip(comparisons.first, comparisons.second, strict=True)]
    meat = np.zeros(bread.shape)
    for cluster in set(comparisons.cluster.tolist()):
        here = np.flatnonzero(comparisons.cluster == cluster)
        score = np.zeros(len(coefficients))
        for c in here:
            alike = [d for d in here if pair[d] == pair[c]]
            score += r[c] / (1 - h[alike].sum()) * x[c]
        meat += np.outer(score, score)
    return bread @ meat @ bread


@pytest.mark.parametrize("position", ["none", "joint"])
@pytest.mark.parametrize("by", ["pair", "judge"])
def test_sandwich_is_the_loop_over_clusters(by, position):
    rng = np.random.default_rng(8)
    pairs = np.concatenate([design_pairs(6, 12, design="symmetric", seed=s) for s in (1, 2)])
    cluster = None if by == "pair" else rng.integers(0, 5, len(pairs))
    comparisons = made(pairs, rng.uniform(0.1, 0.9, len(pairs)), cluster=cluster)
    found = bradley_terry(comparisons, method=BradleyTerry(position=position))
    joint = position == "joint"
    by_hand = sandwich_by_hand(comparisons, np.append(found.strength, [found.position] * joint))
    assert found.covariance == pytest.approx(by_hand[:6, :6], abs=1e-8)
    if joint:
        assert found.position_error == pytest.approx(np.sqrt(by_hand[6, 6]))


def test_known_strengths_stay_and_place_the_others():
    truth = np.array([3.0, 1.0, 2.5, 0.0])
    pairs = np.array([[0, 1], [2, 1], [3, 1], [3, 0]])
    comparisons = made(pairs, expit((truth[pairs[:, 0]] - truth[pairs[:, 1]]) / 2.0))
    found = bradley_terry(
        comparisons, method=BradleyTerry(gamma=2.0), anchors={"i1": 1.0, "i3": 0.0, "other": 9.0}
    )
    assert found.strength == pytest.approx(truth, abs=EXACT)
    assert found.states == ("ok", "anchor", "ok", "anchor")
    assert found.covariance[1, 1] == 0.0


def test_known_strengths_hold_groups_together():
    comparisons = made([[0, 1], [1, 0], [2, 3], [2, 3]], [0.7, 0.3, 0.6, 0.5])
    with pytest.raises(ModelError, match="2 unconnected groups"):
        bradley_terry(comparisons)
    found = bradley_terry(comparisons, anchors=pd.Series({"i1": 0.0, "i3": 1.0}))
    assert found.strength[0] == pytest.approx(logit(0.7))
    assert found.strength[2] == pytest.approx(1.0 + logit(0.55))


def test_an_item_that_always_wins_is_a_state_and_the_rest_is_estimated():
    ring = [[0, 1], [1, 2], [2, 0]]
    rest = bradley_terry(made(ring, [0.7, 0.6, 0.5]))
    found = bradley_terry(made([*ring, [3, 0], [3, 4], [1, 3]], [0.7, 0.6, 0.5, 1, 1, 0]))
    assert found.states == ("ok", "ok", "ok", "always above", "always below")
    assert found.strength[:3] == pytest.approx(rest.strength, abs=EXACT)
    assert found.strength[3:].tolist() == [np.inf, -np.inf]
    assert found.covariance[:3, :3] == pytest.approx(rest.covariance, abs=EXACT)
    assert np.isnan(found.table()["standard_error"].to_numpy()[3:]).all()
    assert found.n_comparisons.tolist() == [3, 3, 2, 3, 1]


def test_a_ridge_makes_every_strength_finite():
    comparisons = made([[0, 1], [1, 2], [0, 2]], [1, 1, 1])
    with pytest.raises(ModelError, match="No comparison contradicts another"):
        bradley_terry(comparisons)
    found = bradley_terry(comparisons, method=BradleyTerry(ridge=0.1))
    expected, _ = minimised(comparisons, ridge=0.1)
    assert found.strength == pytest.approx(expected, abs=1e-5)
    assert set(found.states) == {"ok"}


def test_separated_groups_are_refused_by_name():
    pairs = [[0, 1], [1, 0], [2, 3], [3, 2], [0, 2], [1, 3]]
    with pytest.raises(ModelError, match=r"wins every comparison with another.*'i0', 'i1'"):
        bradley_terry(made(pairs, [1, 1, 1, 1, 1, 1]))
    assert np.isfinite(bradley_terry(made(pairs, [1, 1, 1, 1, 1, 0.99])).strength).all()


def test_a_rest_that_falls_apart_without_a_sure_winner_is_refused():
    pairs = [[0, 1], [1, 0], [2, 3], [3, 2], [4, 0], [4, 2]]
    with pytest.raises(ModelError, match="2 unconnected groups"):
        bradley_terry(made(pairs, [1, 1, 1, 1, 1, 1]))


def test_unconnected_items_are_refused_by_name():
    with pytest.raises(ModelError, match=r"2 items \('i0', 'i1'\); 2 items \('i2', 'i3'\)"):
        bradley_terry(made([[0, 1], [2, 3]], [0.5, 0.5]))
    with pytest.raises(ModelError, match="unconnected"):
        bradley_terry(
            made([[0, 1], [2, 3], [0, 2]], [0.5] * 3, weight=np.array([1.0, 1.0, 0.0])),
            method=BradleyTerry(ridge=1.0),
        )


def test_a_pull_that_strengths_could_explain_is_refused():
    joint = BradleyTerry(position="joint")
    with pytest.raises(ModelError, match="cannot tell a pull"):
        bradley_terry(made([[0, 1], [1, 2], [3, 2]], [0.6, 0.7, 0.5]), method=joint)
    with pytest.raises(ModelError, match="cannot tell a pull"):  # 0, 1 first; 2, 3 second
        bradley_terry(made([[0, 2], [0, 3], [1, 2], [1, 3]], [0.6] * 4), method=joint)
    found = bradley_terry(made([[0, 1], [1, 0]], [0.9, 0.6]), method=joint)
    assert found.position == pytest.approx((logit(0.9) + logit(0.6)) / 2)
    assert found.strength[0] == pytest.approx((logit(0.9) - logit(0.6)) / 4)


def test_a_pull_without_end_is_refused():
    pairs = [[0, 1], [1, 0], [1, 2], [2, 1], [0, 2], [2, 0]]
    joint = BradleyTerry(position="joint", standard_errors=None)
    with pytest.raises(NotConverged, match="run away"):
        bradley_terry(made(pairs, [1] * 6), method=joint)
    for half in (10, 200):  # the first half is always first, but for one sure win of the others
        rng = np.random.default_rng(1)
        soft = np.stack([np.tile(np.arange(half), 4), half + rng.integers(0, half, 4 * half)], 1)
        soft[:half, 1] = np.arange(half, 2 * half)
        soft[half : 2 * half, 1] = half + np.roll(np.arange(half), 1)
        p = np.append(rng.uniform(0.2, 0.8, 4 * half), 1.0)
        with pytest.raises(NotConverged, match=r"position has no end|run away"):
            bradley_terry(made([*soft.tolist(), [half, 0]], p), method=joint)
    with pytest.raises(ModelError, match="mean probability of the first position is 1"):
        bradley_terry(made(pairs, [1] * 6), method=BradleyTerry(position="mean"))


def test_mean_probability_is_a_fixed_pull():
    _, comparisons = drawn(seed=9, pull=0.5)
    weight = np.arange(1.0, 1.0 + len(comparisons.first))
    comparisons = replace(comparisons, weight=weight)
    found = bradley_terry(comparisons, method=BradleyTerry(position="mean"))
    mean = (weight * comparisons.probability).sum() / weight.sum()
    assert found.position == pytest.approx(logit(mean))
    moved = objective(comparisons, found.strength, found.position)
    assert moved == pytest.approx(found.log_likelihood)
    for direction in np.eye(8):
        near = objective(comparisons, found.strength + 1e-3 * direction, found.position)
        assert near < moved


def test_correcting_the_position_mends_an_unbalanced_table():
    """Strong items come first more often than not: the pull otherwise counts for them."""
    rng = np.random.default_rng(10)
    truth = np.linspace(-2, 2, 20)
    pairs = design_pairs(20, 160, seed=rng)
    first = rng.random(160) < 0.8
    up = truth[pairs[:, 0]] > truth[pairs[:, 1]]
    pairs = np.where((first == up)[:, None], pairs, pairs[:, ::-1])
    p = expit(truth[pairs[:, 0]] - truth[pairs[:, 1]] + 1.0)
    plain, joint = (
        bradley_terry(made(pairs, p), method=BradleyTerry(position=position))
        for position in ("none", "joint")
    )
    assert joint.strength == pytest.approx(truth, abs=1e-6)
    assert joint.position == pytest.approx(1.0)
    assert np.abs(plain.strength - truth).max() > 0.2


def test_standard_errors_are_none_where_nothing_checks_a_comparison():
    found = bradley_terry(made([[0, 1], [1, 2]], [0.7, 0.6]))
    assert found.strength[0] - found.strength[1] == pytest.approx(logit(0.7))
    assert found.table()["standard_error"].isna().all()
    votes = bradley_terry(
        made([[0, 1], [1, 2]], [0.7, 0.6], weight=np.array([10.0, 10.0])),
        method=BradleyTerry(standard_errors="information"),
    )
    assert (votes.table()["standard_error"] > 0).all()


def test_a_pair_that_stands_alone_takes_the_spread_of_the_others():
    """Its difference has the variance of its votes times the others' mean corrected square."""
    _, base = drawn(size=6, seed=11, n_pairs=12, votes=8)
    wider = made(
        [*np.stack([base.first, base.second], axis=1).tolist(), [6, 0]],
        [*base.probability, 0.5],
        weight=np.append(base.weight, 4.0),
    )
    found, alone = bradley_terry(wider), bradley_terry(base)
    x = np.eye(6)[base.first] - np.eye(6)[base.second]
    mean = expit(x @ alone.strength)
    v = base.weight * mean * (1 - mean)
    h = v * np.einsum("cd,de,ce->c", x, np.linalg.pinv(x.T @ (v[:, None] * x)), x)
    ratio = np.mean((base.weight * (base.probability - mean)) ** 2 / v / (1 - h))
    c = found.covariance
    assert c[6, 6] + c[0, 0] - 2 * c[0, 6] == pytest.approx(ratio / (4 * 0.25))
    own = alone.covariance
    assert c[1, 1] + c[2, 2] - 2 * c[1, 2] == pytest.approx(own[1, 1] + own[2, 2] - 2 * own[1, 2])


def test_options_without_sense_are_refused():
    for options, message in (
        ({"gamma": 0.0}, "no unit with gamma 0"),
        ({"gamma": np.inf}, "gamma inf"),
        ({"ridge": -1.0}, "ridge -1"),
        ({"ridge": np.nan}, "ridge nan"),
        ({"position": "left"}, "Unknown position 'left'"),
        ({"standard_errors": "best"}, "Unknown standard errors 'best'"),
    ):
        with pytest.raises(ModelError, match=message):
            BradleyTerry(**options)
    comparisons = made([[0, 1]], [0.5])
    for anchors, message in (
        ({"x": 1.0}, "None of the items with a known strength was compared"),
        ({"i0": 1.0, "i1": 2.0}, "nothing is to be estimated"),
        ({"i0": np.nan}, "known strength that is a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            bradley_terry(comparisons, anchors=anchors)


def test_gaussian_strengths_are_least_squares_with_the_mean_taken_out():
    _, comparisons = drawn(seed=12)
    found = gaussian_strengths(comparisons, scale=3.0)
    x = np.eye(8)[comparisons.first] - np.eye(8)[comparisons.second]
    expected = np.linalg.lstsq(x, comparisons.probability - 0.5, rcond=None)[0]
    assert found.strength == pytest.approx(3.0 * expected, abs=EXACT)
    residual = comparisons.probability - 0.5 - x @ expected
    variance = residual @ residual / (len(residual) - 7)
    assert found.covariance == pytest.approx(9.0 * variance * np.linalg.pinv(x.T @ x), abs=EXACT)


def test_gaussian_strengths_of_near_items_are_those_of_bradley_terry():
    truth = np.array([-0.05, 0.0, 0.02, 0.03])
    pairs = design_pairs(4, design="all", seed=1)
    comparisons = made(pairs, expit(truth[pairs[:, 0]] - truth[pairs[:, 1]]))
    found = gaussian_strengths(comparisons, scale=4.0)
    assert found.strength == pytest.approx(truth, abs=1e-4)


def test_gaussian_strengths_leave_the_mean_probability_to_the_position():
    truth = np.array([-0.3, 0.0, 0.3])
    pairs = np.array([[i, j] for i in range(3) for j in range(3) if i != j])
    p = 0.6 + (truth[pairs[:, 0]] - truth[pairs[:, 1]]) / 2
    found = gaussian_strengths(made(pairs, p), scale=2.0, position="mean")
    assert found.strength == pytest.approx(truth, abs=EXACT)
    assert found.position == pytest.approx(0.1)
    for options in ({"position": "joint"}, {"scale": 0.0}):
        with pytest.raises(ModelError):
            gaussian_strengths(made(pairs, p), **options)
    with pytest.raises(ModelError, match="unconnected"):
        gaussian_strengths(made([[0, 1], [2, 3]], [0.5, 0.5]))


def test_results_are_read_only_and_inputs_unchanged():
    _, comparisons = drawn(seed=13)
    before = comparisons.probability.copy()
    found = bradley_terry(comparisons)
    assert (comparisons.probability == before).all()
    for array in (found.strength, found.covariance, found.n_comparisons):
        assert not array.flags.writeable
    assert same(found, bradley_terry(comparisons))


@pytest.mark.slow
def test_error_falls_with_the_root_of_the_number_of_votes():
    """Fourfold votes halve the error: 40 replications, ratios within 15%."""
    error = {
        votes: np.mean(
            [
                np.mean((bradley_terry(c, method=QUICK).strength - truth) ** 2)
                for truth, c in (drawn(40, seed, 320, votes) for seed in range(40))
            ]
        )
        ** 0.5
        for votes in (20, 80, 320)
    }
    assert error[20] / error[80] == pytest.approx(2.0, rel=0.15)
    assert error[80] / error[320] == pytest.approx(2.0, rel=0.15)


QUICK = BradleyTerry(standard_errors=None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("errors", "votes"), [("information", 5), ("sandwich", 5), ("sandwich", 20)]
)
def test_intervals_cover_strengths_behind_votes(errors, votes):
    """95% intervals over 100 tables of 25 items: cover .93 to .97 where the model holds."""
    method = BradleyTerry(standard_errors=errors)
    inside = []
    for seed in range(100):
        truth, comparisons = drawn(25, seed, 200, votes)
        table = bradley_terry(comparisons, method=method).table()
        inside.append(np.abs(table["strength"] - truth) < 1.96 * table["standard_error"])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_sandwich_covers_where_probabilities_are_nearer_than_votes():
    """Soft judges err by 0.3 logits, single votes by 2: "information" is far too wide."""
    inside, wide = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=25)
        truth -= truth.mean()
        pairs = design_pairs(25, 200, seed=rng)
        p = expit(truth[pairs[:, 0]] - truth[pairs[:, 1]] + 0.3 * rng.normal(size=200))
        comparisons = made(pairs, p, 25)
        for errors, found in (("sandwich", inside), ("information", wide)):
            method = BradleyTerry(standard_errors=errors)
            table = bradley_terry(comparisons, method=method).table()
            found.append(np.abs(table["strength"] - truth) < 1.96 * table["standard_error"])
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
    assert np.mean(wide) == 1.0
