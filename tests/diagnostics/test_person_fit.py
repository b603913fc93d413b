"""Person fit: R's values, lz* by loops over the papers' formulas, the simulated reference."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from irtkit.diagnostics.person_fit import person_fit, redrawn
from irtkit.errors import ModelError
from irtkit.latent import Histogram, Normal
from irtkit.models import Graded, Rasch, ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.diagnostics.calibrations import given, r_calibration, true_calibration
from tests.diagnostics.test_residuals import (
    ALL,
    R_SMALLEST_VARIANCE,
    mixed,
    moments,
    sparse,
    standardised,
)
from tests.golden import golden, golden_responses

EXACT = 1e-9
SAME_AS_R = 2e-6  # R's EAPs of LSAT6 are at their best 3e-7 from ours
R_ML_TOLERANCE = 2e-5  # R stops its ML abilities at about 1e-6
R_SLIP = 2e-4  # its q under missing answers is the root of a small difference
DIFFERENCE = 1e-5
METHODS = ("ml", "wle", "map")
COLUMNS = ["theta", "n_answered", "lz", "lz_star", "infit", "outfit", "infit_z", "outfit_z", "p"]
ANSWERED = ["lz", "infit", "outfit", "infit_z", "outfit_z"]


def numbers(values):
    return np.array([np.nan if value == "NA" else value for value in values], dtype=float)


def rebuilt(responses, calibration, theta):
    """R's mean squares of persons: variances have a floor, and the q of outfit mixes counts.

    Its sum of C / W^2 is divided by the squared number of all items, but 1 / n takes the items
    answered, and the root that of the absolute value: a slip without effect on complete answers.
    """
    codes = responses.dense()
    expected, variance, fourth = moments(calibration, theta)
    variance = np.maximum(variance, R_SMALLEST_VARIANCE)
    seen = codes >= 0
    n = seen.sum(axis=1)
    square = np.where(seen, (codes - expected) ** 2, 0.0)
    outfit = (square / variance).sum(axis=1) / n
    infit = square.sum(axis=1) / (variance * seen).sum(axis=1)
    heavy = (seen * fourth / variance**2).sum(axis=1) / codes.shape[1] ** 2
    q_outfit = np.minimum(np.sqrt(np.abs(heavy - 1 / n)), np.sqrt(2))
    excess = np.maximum((seen * (fourth - variance**2)).sum(axis=1), 0.0)
    q_infit = np.minimum(np.sqrt(excess) / (variance * seen).sum(axis=1), np.sqrt(2))
    return {
        "infit": infit,
        "outfit": outfit,
        "z.infit": standardised(infit, q_infit),
        "z.outfit": standardised(outfit, q_outfit),
    }


@pytest.mark.parametrize(("case", "model"), ALL)
@pytest.mark.parametrize("method", ["eap", "ml"])
def test_person_fit_is_r_mirts(case, model, method):
    block = golden(case)[model]
    responses, calibration = golden_responses(case), r_calibration(block, model)
    known = block["diagnostics"][
        "personfit_first50" if method == "eap" else "personfit_ML_first50"
    ]
    known = {name: numbers(values) for name, values in known.items()}
    table = person_fit(responses, calibration, method=method).iloc[:50]
    tolerance = SAME_AS_R if method == "eap" else R_ML_TOLERANCE
    finite = np.isfinite(table["theta"].to_numpy())
    assert finite.sum() >= 45
    assert table["lz"].to_numpy()[finite] == pytest.approx(known["Zh"][finite], abs=tolerance)
    theta = table["theta"].to_numpy()[finite]
    first = responses.select_persons(np.flatnonzero(finite))
    theirs = rebuilt(first, calibration, theta)
    for name, values in theirs.items():
        slip = R_SLIP if name == "z.outfit" and "na30" in case else 0.0
        known_here = known[name][finite]
        assert values == pytest.approx(known_here, abs=tolerance, rel=slip), name
    _, variance, _ = moments(calibration, theta)
    free = np.where(first.dense() >= 0, variance, 1.0).min(axis=1) >= R_SMALLEST_VARIANCE
    assert free.sum() > 30
    ours = table[finite][free]
    for name, r_name in zip(ANSWERED[1:], ["infit", "outfit", "z.infit", "z.outfit"], strict=True):
        if name == "outfit_z" and "na30" in case:
            continue
        assert ours[name].to_numpy() == pytest.approx(theirs[r_name][free], abs=tolerance), name


def slopes(calibration, theta):
    """P' and P'' of each category (I, K) by differences."""
    step = np.array([theta - DIFFERENCE, theta, theta + DIFFERENCE])
    low, here, high = np.exp(calibration.log_prob(step))
    wide = np.exp(calibration.log_prob(np.array([theta - 1e-3, theta, theta + 1e-3])))
    return here, (high - low) / (2 * DIFFERENCE), (wide[2] - 2 * wide[1] + wide[0]) / 1e-6


def snijders(codes, calibration, theta, method):
    """lz* of one person, with w = log(P / Q) and r = P' / (P Q) as the paper writes them."""
    seen = np.flatnonzero(codes >= 0)
    chance, first, second = (part[seen, 1] for part in slopes(calibration, theta))
    w = np.log(chance / (1 - chance))
    r = first / (chance * (1 - chance))
    pull = 0.0
    if method == "map":
        pull = (calibration.latent.mean - theta) / calibration.latent.standard_deviation**2
    if method == "wle":
        information = (first**2 / (chance * (1 - chance))).sum()
        pull = (first * second / (chance * (1 - chance))).sum() / (2 * information)
    c = (first * w).sum() / (first * r).sum()
    statistic = ((codes[seen] - chance) * w).sum()
    variance = ((w - c * r) ** 2 * chance * (1 - chance)).sum()
    return (statistic + c * pull) / np.sqrt(variance)


def sinharay(codes, calibration, theta, method):
    """lz* of one person for any number of categories, category by category."""
    chance, first, second = slopes(calibration, theta)
    sizes = calibration.assignment.n_categories
    cells = [(i, k) for i in np.flatnonzero(codes >= 0) for k in range(sizes[i])]
    information = sum(first[cell] ** 2 / chance[cell] for cell in cells)
    pull = 0.0
    if method == "map":
        pull = (calibration.latent.mean - theta) / calibration.latent.standard_deviation**2
    if method == "wle":
        pull = sum(first[cell] * second[cell] / chance[cell] for cell in cells) / 2 / information
    c = sum(first[cell] * np.log(chance[cell]) for cell in cells) / information
    statistic = variance = 0.0
    for item in np.flatnonzero(codes >= 0):
        p = chance[item, : sizes[item]]
        w = np.log(p)
        left = w - c * first[item, : sizes[item]] / p
        statistic += w[codes[item]] - p @ w
        variance += p @ left**2 - (p @ left) ** 2
    return (statistic + c * pull) / np.sqrt(variance)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [Rasch(), TwoPL(), ThreePL()])
def test_lz_star_is_snijders_formula(model, method):
    made = simulate(model, n_persons=30, n_items=12, seed=4, missing=0.1)
    calibration = replace(true_calibration(made), latent=Normal(0.3, 1.4))
    table = person_fit(made.responses, calibration, method=method)
    codes = made.responses.dense()
    checked = 0
    for person, row in enumerate(table.itertuples()):
        if not np.isfinite(row.theta):
            assert np.isnan(row.lz_star)
            continue
        expected = snijders(codes[person], calibration, row.theta, method)
        assert row.lz_star == pytest.approx(expected, abs=1e-6)
        checked += 1
    assert checked >= 25


@pytest.mark.parametrize("method", METHODS)
def test_lz_star_of_items_with_more_categories_is_sinharays_formula(method):
    responses, calibration, _ = mixed(n_persons=25, seed=6)
    table = person_fit(responses, calibration, method=method)
    codes = responses.dense()
    finite = np.isfinite(table["theta"])
    assert finite.sum() > 20
    for person, row in enumerate(table.itertuples()):
        if not finite.iloc[person]:
            continue
        expected = sinharay(codes[person], calibration, row.theta, method)
        assert row.lz_star == pytest.approx(expected, abs=1e-6)


def test_lz_is_the_definition_for_items_of_any_kind():
    responses, calibration, _ = mixed(n_persons=25, seed=7)
    table = person_fit(responses, calibration)
    codes, sizes = responses.dense(), calibration.assignment.n_categories
    for person, row in enumerate(table.itertuples()):
        log_prob = calibration.log_prob(np.array([row.theta]))[0]
        gap = variance = 0.0
        for item in np.flatnonzero(codes[person] >= 0):
            w = log_prob[item, : sizes[item]]
            p = np.exp(w)
            gap += w[codes[person, item]] - p @ w
            variance += p @ w**2 - (p @ w) ** 2
        assert row.lz == pytest.approx(gap / np.sqrt(variance), abs=EXACT)


def test_eaps_have_no_lz_star_and_no_draws_no_p():
    made = simulate(TwoPL(), n_persons=20, n_items=6, seed=1)
    table = person_fit(made.responses, true_calibration(made))
    assert list(table.columns) == COLUMNS
    assert table.index.name == "person"
    assert table.index.tolist() == list(made.responses.persons)
    assert table["lz_star"].isna().all()
    assert table["p"].isna().all()
    assert table[ANSWERED].notna().all(axis=None)


def test_items_that_all_say_the_same_leave_nothing_for_lz_star():
    parameters = np.tile([1.2, 0.4], (8, 1))
    made = simulate(TwoPL(), n_persons=20, n_items=8, seed=1)
    calibration = given(made.assignment, parameters)
    table = person_fit(made.responses, calibration, method="wle")
    assert table["lz_star"].isna().all()
    assert table["lz"].notna().all()


def test_persons_without_answers_or_with_infinite_ability_are_kept_as_nan():
    made = simulate(TwoPL(), n_persons=40, n_items=6, seed=2)
    codes = made.responses.dense().copy()
    codes[3], codes[5], codes[8] = -1, 1, 0
    responses = replace(made.responses, codes=codes)
    before = responses.fingerprint()
    for answered in (responses, sparse(responses)):
        table = person_fit(answered, true_calibration(made), method="ml", n_draws=3)
        assert table["n_answered"].iloc[3] == 0
        assert table["theta"].iloc[[5, 8]].tolist() == [np.inf, -np.inf]
        assert table[[*ANSWERED, "lz_star", "p"]].iloc[[3, 5, 8]].isna().all(axis=None)
        assert table["lz"].drop(["p4", "p6", "p9"]).notna().sum() > 30
        eap = person_fit(answered, true_calibration(made))
        assert eap[ANSWERED].iloc[3].isna().all()
        assert eap[ANSWERED].iloc[[5, 8]].notna().all(axis=None)
    assert responses.fingerprint() == before


@pytest.mark.parametrize("method", ["eap", *METHODS])
def test_sparse_answers_give_what_dense_ones_give(method, monkeypatch):
    responses, calibration, _ = mixed(n_persons=100, missing=0.3)
    dense = person_fit(responses, calibration, method=method)
    monkeypatch.setattr("irtkit.diagnostics.residuals.SPARSE_BLOCK_PERSONS", 17)
    monkeypatch.setattr("irtkit.diagnostics.residuals.BLOCK_CELLS", 100)
    for answered in (responses, sparse(responses)):
        found = person_fit(answered, calibration, method=method)
        assert found.to_numpy() == pytest.approx(dense.to_numpy(), abs=1e-7, nan_ok=True)


def test_a_persons_fit_depends_on_nobody_else():
    made = simulate(TwoPL(), n_persons=60, n_items=9, seed=5, missing=0.1)
    table = person_fit(made.responses, true_calibration(made), method="wle")
    order = np.random.default_rng(1).permutation(60)[:25]
    weights = np.arange(1.0, 26.0)
    some = replace(made.responses.select_persons(order), weights=weights)
    found = person_fit(some, true_calibration(made), method="wle")
    assert found.to_numpy() == pytest.approx(table.iloc[order].to_numpy(), abs=EXACT, nan_ok=True)


def test_scores_may_be_given_but_must_be_of_these_answers():
    made = simulate(TwoPL(), n_persons=60, n_items=9, seed=5)
    calibration = true_calibration(made)
    for method in ("eap", *METHODS):
        scores = score(made.responses, calibration, method=method)
        table = person_fit(made.responses, calibration, scores=scores, method=method)
        assert table.equals(person_fit(made.responses, calibration, method=method))
    eap = score(made.responses, calibration)
    with pytest.raises(ModelError, match=r"no estimates by 'ml'.*lz\* would be wrong"):
        person_fit(made.responses, calibration, scores=eap, method="ml")
    fewer = score(made.responses.select_persons(range(10)), calibration)
    with pytest.raises(ModelError, match=r"scores are of 10 persons.*answers of 60 persons"):
        person_fit(made.responses, calibration, scores=fewer)


def test_what_cannot_be_done_is_refused():
    made = simulate(TwoPL(), n_persons=30, n_items=5, seed=5)
    calibration = true_calibration(made)
    with pytest.raises(ModelError, match="Unknown scoring method 'best'"):
        person_fit(made.responses, calibration, method="best")
    with pytest.raises(ModelError, match="-1 draws"):
        person_fit(made.responses, calibration, n_draws=-1)
    theta = np.linspace(-3, 3, 61)
    bent = replace(calibration, latent=Histogram(theta, np.full(61, 1 / 61)))
    mode = score(made.responses, calibration, method="map")
    with pytest.raises(ModelError, match="no smooth density"):
        person_fit(made.responses, bent, scores=mode, method="map")


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_answers_are_drawn_from_the_model_where_there_were_answers(kind):
    responses, calibration, _ = mixed(n_persons=1, missing=0.0)
    codes = np.repeat(responses.dense(), 20_000, axis=0)
    codes[:5000, 3] = -1
    theta = np.full(len(codes), 0.7)
    rng = np.random.default_rng(1)
    held = sp.csr_array(codes + np.int8(1)) if kind == "sparse" else codes
    drawn = redrawn(held, calibration, theta, rng)
    drawn = drawn.toarray() - 1 if sp.issparse(drawn) else drawn
    assert ((drawn == -1) == (codes == -1)).all()
    chance = np.exp(calibration.log_prob(theta[:1]))[0]
    for item, row in enumerate(chance):
        found = drawn[5000:, item]
        for code, p in enumerate(row):
            assert (found == code).mean() == pytest.approx(p, abs=5 * np.sqrt(0.25 / 15_000))


def test_simulated_p_is_the_share_of_all_patterns_no_better_than_the_observed():
    """Few items, so that the reference can be summed over all patterns."""
    made = simulate(TwoPL(), n_persons=12, n_items=5, seed=8)
    calibration = true_calibration(made)
    n_draws = 4000
    for method in ("eap", "wle"):
        table = person_fit(made.responses, calibration, method=method, n_draws=n_draws, seed=1)
        patterns = np.array(list(np.ndindex(*[2] * 5)), dtype=np.int8)
        every = Responses(patterns, tuple(map(str, range(32))), made.responses.items)
        lz = person_fit(every, calibration, method=method)["lz"].to_numpy()
        for row in table.itertuples():
            right = np.exp(calibration.log_prob(np.array([row.theta])))[0, :, 1]
            chance = np.where(patterns == 1, right, 1 - right).prod(axis=1)
            exact = chance[lz <= row.lz + 1e-9].sum()
            error = np.sqrt(exact * (1 - exact) / n_draws)
            assert row.p == pytest.approx(exact, abs=4.5 * error + 1 / n_draws)


def test_draws_repeat_with_their_seed_and_whatever_the_chunks(monkeypatch):
    made = simulate(TwoPL(), n_persons=30, n_items=8, seed=8, missing=0.2)
    calibration = true_calibration(made)
    once = person_fit(made.responses, calibration, n_draws=20, seed=3)
    again = person_fit(made.responses, calibration, n_draws=20, seed=3)
    other = person_fit(made.responses, calibration, n_draws=20, seed=4)
    assert once.equals(again)
    assert not once["p"].equals(other["p"])
    monkeypatch.setattr("irtkit.diagnostics.person_fit.CHUNK_CELLS", 8 * 70)
    pieces = person_fit(made.responses, calibration, n_draws=20, seed=3)
    assert pieces["p"].between(1 / 21, 1).all()
    assert np.corrcoef(once["p"], pieces["p"])[0, 1] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ml", "wle", "map"])
@pytest.mark.parametrize("model", [TwoPL(), Graded()])
def test_lz_star_has_unit_variance_where_lz_has_less(model, method):
    made = simulate(model, n_persons=3000, n_items=60, seed=9)
    table = person_fit(made.responses, true_calibration(made), method=method)
    assert table["lz"].std() < 0.92
    assert abs(table["lz_star"].std() - 1) < 0.06
    assert abs(table["lz_star"].std() - 1) < abs(table["lz"].std() - 1) / 2
    assert abs(table["lz_star"].mean()) < 0.1
    assert 0.03 <= (table["lz_star"] < -1.645).mean() <= 0.073


@pytest.mark.slow
def test_lz_under_flags_at_eaps_and_the_simulated_reference_does_not():
    """200 honest persons, a short easy scale; limits of a correct test are .01 and .105."""
    made = simulate(TwoPL(), n_persons=200, n_items=12, seed=10)
    parameters = made.parameters + np.array([0.0, 1.5])
    calibration = given(made.assignment, parameters)
    rng = np.random.default_rng(11)
    codes = np.zeros(made.responses.codes.shape, dtype=np.int8)
    responses = replace(made.responses, codes=redrawn(codes, calibration, made.theta, rng))
    table = person_fit(responses, calibration, n_draws=400, seed=12)
    assert table["lz"].std() < 0.95
    assert (table["lz"] < -1.645).mean() < 0.05
    assert 0.01 <= (table["p"] <= 0.05).mean() <= 0.105


@pytest.mark.slow
def test_persons_who_guess_are_found():
    made = simulate(TwoPL(), n_persons=1000, n_items=40, seed=13)
    codes = made.responses.dense().copy()
    rng = np.random.default_rng(14)
    codes[:100] = rng.integers(0, 2, (100, 40))
    responses = replace(made.responses, codes=codes)
    table = person_fit(responses, true_calibration(made), method="wle")
    low = table["lz_star"] < -1.645
    assert low[:100].mean() > 0.9
    assert low[100:].mean() < 0.08
    assert table["outfit"][:100].median() > 1.4
