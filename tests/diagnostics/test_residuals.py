"""Mean squares of items: definition, golden values, missing and sparse answers, null behaviour."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from irtkit.diagnostics.residuals import item_mean_squares
from irtkit.models import (
    Assignment,
    GeneralizedPartialCredit,
    Graded,
    Nominal,
    Rasch,
    ThreePL,
    TwoPL,
)
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import answers, item_parameters, simulate
from tests.diagnostics.calibrations import given, r_calibration, true_calibration
from tests.golden import golden, golden_responses

EXACT = 1e-11  # two ways to the same sums
SAME_AS_R = 1e-6
R_ML_TOLERANCE = 5e-5  # R stops its ML abilities at about 1e-6, and z is up to 10
R_INFIT_FLOOR = 7.5e-3  # what R's floor moves infit by at most; in outfit 1.1e-4
R_SMALLEST_VARIANCE = 1e-5**0.5

DICHOTOMOUS = [("LSAT6", "twopl"), ("LSAT6", "rasch"), ("sim2k20", "twopl"), ("sim2k20", "rasch")]
INCOMPLETE = [("sim2k20_na30", "twopl"), ("sim2k20_na30", "rasch")]
POLYTOMOUS = [("graded1500", "graded"), ("graded1500", "gpcm")]
ALL = [*DICHOTOMOUS, ("sim2k20_ld", "twopl"), *INCOMPLETE, *POLYTOMOUS]
NAMES = ("infit", "outfit", "infit_z", "outfit_z")
R_NAMES = ("infit", "outfit", "z.infit", "z.outfit")


def moments(calibration, theta):
    """Expected code, variance and fourth central moment by their definition, (P, I) each."""
    chance = np.exp(calibration.log_prob(theta))
    code = np.arange(chance.shape[2])
    expected = (chance * code).sum(axis=2)
    gap = code - expected[:, :, None]
    return expected, (chance * gap**2).sum(axis=2), (chance * gap**4).sum(axis=2)


def standardised(mean_square, q):
    return (mean_square ** (1 / 3) - 1) * (3 / q) + q / 3


def textbook(responses, calibration, theta, floor=0.0, recycled=False):
    """Mean squares of Wright & Masters, item by item.

    With a floor under the variances, and answers per item recycled over the persons, R's.
    """
    codes, weights = responses.dense(), responses.weights
    expected, variance, fourth = moments(calibration, theta)
    variance = np.maximum(variance, floor)
    counts = (codes >= 0).sum(axis=0)
    rows = []
    for item in range(codes.shape[1]):
        seen = codes[:, item] >= 0
        w, c = variance[seen, item], fourth[seen, item]
        square = (codes[seen, item] - expected[seen, item]) ** 2
        heavy = weights[seen]
        n = heavy.sum()
        outfit = (heavy * square / w).sum() / n
        infit = (heavy * square).sum() / (heavy * w).sum()
        people = counts[np.arange(len(codes)) % len(counts)][seen] if recycled else n
        q_outfit = np.sqrt((heavy * c / w**2 / people**2).sum() - 1 / n)
        q_infit = np.sqrt((heavy * (c - w**2)).sum()) / (heavy * w).sum()
        z = [standardised(infit, q_infit), standardised(outfit, q_outfit)]
        rows.append([infit, outfit, *z])
    return dict(zip(NAMES, np.array(rows).T, strict=True))


def mixed(n_persons=300, seed=1, missing=0.2):
    """Answers to items of five families, with the calibration that made them."""
    rng = np.random.default_rng(seed)
    models = [TwoPL(), Graded(), TwoPL(), ThreePL(), GeneralizedPartialCredit(), Nominal()] * 2
    sizes = np.array([2, 4, 2, 2, 3, 4] * 2)
    parameters = np.full((len(models), 6), np.nan)
    for item, (model, size) in enumerate(zip(models, sizes, strict=True)):
        row = item_parameters(model, 1, int(size), rng)[0]
        parameters[item, : len(row)] = row
    assignment = Assignment.of(models, sizes)
    theta = rng.normal(size=n_persons)
    codes = answers(assignment, parameters, theta, rng)
    codes[rng.random(codes.shape) < missing] = -1
    responses = Responses(
        codes,
        tuple(f"p{number}" for number in range(n_persons)),
        tuple(f"i{number}" for number in range(1, len(models) + 1)),
        categories=("0", "1", "2", "3"),
    )
    return responses, given(assignment, parameters), theta


def sparse(responses):
    return replace(responses, codes=sp.csr_array(responses.dense() + np.int8(1)))


@pytest.mark.parametrize("weighted", [False, True])
def test_mean_squares_are_those_of_the_textbook(weighted):
    responses, calibration, theta = mixed()
    if weighted:
        weights = np.random.default_rng(2).uniform(0.5, 3.0, responses.n_persons)
        responses = replace(responses, weights=weights)
    found = item_mean_squares(responses, calibration, theta)
    for name, values in textbook(responses, calibration, theta).items():
        assert getattr(found, name) == pytest.approx(values, rel=EXACT), name


@pytest.mark.parametrize(("case", "model"), ALL)
def test_outfit_is_r_mirts_but_for_its_floor(case, model):
    block = golden(case)[model]
    responses, calibration = golden_responses(case), r_calibration(block, model)
    theta = score(responses, calibration).theta
    found = item_mean_squares(responses, calibration, theta)
    known = block["diagnostics"]["infit_outfit"]
    _, variance, _ = moments(calibration, theta)
    floored = variance.min(axis=0) < R_SMALLEST_VARIANCE
    assert np.count_nonzero(~floored) >= len(floored) - 4
    for name, r_name in zip(NAMES, R_NAMES, strict=True):
        if name == "outfit_z" and "na30" in case:
            continue  # R divides by other items' numbers of answers: see the next test
        ours, theirs = getattr(found, name), np.array(known[r_name])
        assert ours[~floored] == pytest.approx(theirs[~floored], abs=SAME_AS_R), name
    assert found.infit == pytest.approx(known["infit"], abs=R_INFIT_FLOOR)
    assert found.outfit == pytest.approx(known["outfit"], abs=1.1e-4)


@pytest.mark.parametrize(("case", "model"), ALL)
def test_all_that_differs_from_r_mirt_is_explained(case, model):
    # R lets no variance fall below the root of 1e-5, and in the q of outfit divides each term by
    # the number of answers to item (row number modulo number of items): a slip without effect
    # where all answered everything
    block = golden(case)[model]
    responses, calibration = golden_responses(case), r_calibration(block, model)
    theta = score(responses, calibration).theta
    rebuilt = textbook(responses, calibration, theta, R_SMALLEST_VARIANCE, recycled=True)
    known = block["diagnostics"]["infit_outfit"]
    for name, r_name in zip(NAMES, R_NAMES, strict=True):
        assert rebuilt[name] == pytest.approx(known[r_name], abs=SAME_AS_R), name


@pytest.mark.parametrize(("case", "model"), ALL)
def test_maximum_likelihood_abilities_give_r_mirts_values_too(case, model):
    # where R has no finite estimate it puts persons a tenth beyond the others or, with missing
    # answers, at 20
    block = golden(case)[model]
    responses, calibration = golden_responses(case), r_calibration(block, model)
    theta = np.array(score(responses, calibration, method="ml").theta)
    finite = theta[np.isfinite(theta)]
    high, low = finite.max() + 0.1, finite.min() - 0.1
    if "na30" in case:
        high, low = 20.0, -20.0
    theta = np.where(theta == np.inf, high, np.where(theta == -np.inf, low, theta))
    rebuilt = textbook(responses, calibration, theta, R_SMALLEST_VARIANCE, recycled=True)
    known = block["diagnostics"]["infit_outfit_ML"]
    for name, r_name in zip(NAMES, R_NAMES, strict=True):
        assert rebuilt[name] == pytest.approx(known[r_name], abs=R_ML_TOLERANCE), name
    free = moments(calibration, theta)[1].min(axis=0) >= R_SMALLEST_VARIANCE
    assert free.any() or high == 20.0
    found = item_mean_squares(responses, calibration, theta)
    for name, r_name in zip(NAMES, R_NAMES, strict=True):
        theirs = np.array(known[r_name])[free]
        if name != "outfit_z" or "na30" not in case:
            assert getattr(found, name)[free] == pytest.approx(theirs, abs=R_ML_TOLERANCE), name


def test_persons_with_infinite_or_unknown_ability_are_left_out():
    responses, calibration, theta = mixed(missing=0.0)
    finite = np.ones(len(theta), dtype=bool)
    finite[[0, 7, 50, 299]] = False
    odd = theta.copy()
    odd[[0, 7, 50, 299]] = np.inf, -np.inf, np.nan, np.inf
    found = item_mean_squares(responses, calibration, odd)
    without = item_mean_squares(responses.select_persons(finite), calibration, theta[finite])
    for name in NAMES:
        assert np.isfinite(getattr(found, name)).all()
        assert getattr(found, name) == pytest.approx(getattr(without, name), rel=EXACT)
    nobody = item_mean_squares(responses, calibration, np.full_like(theta, np.inf))
    assert np.isnan(nobody.infit).all()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_sparse_answers_give_what_dense_ones_give(missing):
    responses, calibration, theta = mixed(missing=missing)
    weights = np.random.default_rng(2).uniform(0.5, 3.0, responses.n_persons)
    responses = replace(responses, weights=weights)
    dense = item_mean_squares(responses, calibration, theta)
    found = item_mean_squares(sparse(responses), calibration, theta)
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(dense, name), rel=EXACT)


def test_blocks_of_persons_add_up(monkeypatch):
    responses, calibration, theta = mixed()
    whole = item_mean_squares(responses, calibration, theta)
    monkeypatch.setattr("irtkit.diagnostics.residuals.BLOCK_CELLS", 7 * responses.n_items)
    monkeypatch.setattr("irtkit.diagnostics.residuals.SPARSE_BLOCK_PERSONS", 11)
    for answered in (responses, sparse(responses)):
        found = item_mean_squares(answered, calibration, theta)
        for name in NAMES:
            assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=EXACT)


def test_a_weight_of_three_is_three_persons():
    responses, calibration, theta = mixed()
    weights = np.random.default_rng(3).integers(1, 4, responses.n_persons)
    rows = np.repeat(np.arange(responses.n_persons), weights)
    copies = Responses(
        responses.dense()[rows], tuple(map(str, range(len(rows)))), responses.items, ("0",) * 4
    )
    heavy = replace(responses, weights=weights.astype(float))
    found = item_mean_squares(heavy, calibration, theta)
    copied = item_mean_squares(copies, calibration, theta[rows])
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(copied, name), rel=1e-9)


def test_permuting_the_items_permutes_the_result():
    made = simulate(TwoPL(), n_persons=200, n_items=8, seed=3, missing=0.2)
    order = np.random.default_rng(1).permutation(8)
    turned = made.responses.select_items([made.responses.items[place] for place in order])
    calibration = given(made.assignment, made.parameters[order])
    found = item_mean_squares(turned, calibration, made.theta)
    straight = item_mean_squares(made.responses, true_calibration(made), made.theta)
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(straight, name)[order], rel=EXACT)


def test_an_item_that_nobody_answered_is_nan():
    made = simulate(Rasch(), n_persons=50, n_items=4, seed=3)
    codes = made.responses.dense().copy()
    codes[:, 2] = -1
    found = item_mean_squares(
        replace(made.responses, codes=codes), true_calibration(made), made.theta
    )
    for name in NAMES:
        assert np.isnan(getattr(found, name)).tolist() == [False, False, True, False]


def test_steep_items_and_far_abilities_neither_overflow_nor_warn():
    parameters = np.array([[25.0, 0.0], [1.0, 30.0], [0.5, -30.0]])
    assignment = Assignment.of([TwoPL()] * 3, [2, 2, 2])
    theta = np.array([-39.0, 39.0, 0.01, 0.0])
    codes = np.array([[0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 1, 1]], dtype=np.int8)
    responses = Responses(codes.copy(), ("a", "b", "c", "d"), ("i1", "i2", "i3"))
    found = item_mean_squares(responses, given(assignment, parameters), theta)
    assert np.isfinite(found.infit).all()
    assert found.outfit[2] == pytest.approx(np.exp(30.0) / 4, rel=1e-9)  # one answer of 1e-13
    assert not np.isnan(found.infit_z).any()
    assert not np.isnan(found.outfit_z).any()
    codes[:2, 0] = -1  # what was not answered overflows as little
    responses = replace(responses, codes=codes)
    found = item_mean_squares(responses, given(assignment, parameters), theta)
    assert np.isfinite(found.outfit).all()


@pytest.mark.slow
@pytest.mark.parametrize("model", [TwoPL(), ThreePL(), Graded(), GeneralizedPartialCredit()])
def test_z_is_standard_normal_at_the_true_abilities_and_leans_down_at_eaps(model):
    infit, outfit, at_eap = [], [], []
    for seed in range(12):
        made = simulate(model, n_persons=800, n_items=20, seed=seed, missing=0.2)
        calibration = true_calibration(made)
        found = item_mean_squares(made.responses, calibration, made.theta)
        infit.extend(found.infit_z)
        outfit.extend(found.outfit_z)
        theta = score(made.responses, calibration).theta
        at_eap.extend(item_mean_squares(made.responses, calibration, theta).infit_z)
    for z in (infit, outfit):
        assert abs(np.mean(z)) < 4 / np.sqrt(len(z))  # 240 of them: .26
        assert 0.8 < np.std(z) < 1.2
    assert np.mean(at_eap) < -1.0
