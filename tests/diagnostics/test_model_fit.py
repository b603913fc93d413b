"""M2, M2*, C2 and the indices: golden values, brute force over all patterns, refusals, levels."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import chi2, kstest, ncx2

from irtkit.diagnostics.limited_information import (
    Moments,
    Tangent,
    derivatives,
    largest_value,
)
from irtkit.diagnostics.model_fit import model_fit, observed_moments, rmsea
from irtkit.errors import ModelError
from irtkit.estimation import MML, Equal, calibrate, calibrate_groups
from irtkit.estimation.structure import Structure
from irtkit.latent import Normal
from irtkit.models import (
    Assignment,
    FourPL,
    GeneralizedPartialCredit,
    Graded,
    Nominal,
    OnePL,
    PartialCredit,
    Rasch,
    ThreePL,
    TwoPL,
)
from irtkit.responses import Responses
from irtkit.simulate import item_parameters, simulate
from tests.diagnostics.calibrations import given, r_calibration
from tests.golden import golden, golden_responses

EXACT = 1e-8  # both sides compute the same formula from the same parameters
INDEX = 1e-6  # R estimates its null model, and finds its interval by a root search
OMITTED_VARIANCE = 1e-4  # R leaves out how the variance of theta moves the moments
ENUMERATED = 1e-9
FINITE_DIFFERENCE = 1e-8
STEP = 1e-5
QUICK = MML(standard_errors=None)
COLUMNS = [
    *("statistic", "m2", "df", "p", "rmsea", "rmsea_low", "rmsea_high", "srmsr", "cfi", "tli"),
    *("log_likelihood", "n_parameters", "aic", "bic", "sabic", "n_persons"),
]
R_NAMES = {"m2": "M2_typeM2", "m2*": "M2", "c2": "C2"}
DICHOTOMOUS = ("LSAT6", "sim2k20", "sim2k20_ld")


def r_fit(case: str, name: str):
    """Answers, R's parameters as a calibration, and R's numbers."""
    block, responses = golden(case)[name], golden_responses(case)
    calibration = replace(
        r_calibration(block, name),
        n_parameters=block["fit"]["nest"],
        n_persons=float(responses.n_persons),
        log_likelihood=block["fit"]["logLik"],
    )
    return responses, calibration, block


def parts_of(calibration, *, by_category=False):
    """Moments and derivatives by item and parameter, shape (D, I, A + I)."""
    nodes = calibration.nodes()
    chance = np.exp(calibration.log_prob(nodes.theta))
    moments = Moments.of(chance, np.exp(nodes.log_weights), by_category)
    cells = derivatives(moments, calibration.assignment, calibration.parameters, nodes)
    return moments, cells


def index_of(calibration):
    return Structure.of(calibration.assignment, calibration.items).index


def drawn(model, n_items, n_categories=2, *, seed=3):
    """A calibration with drawn parameters."""
    rng = np.random.default_rng(seed)
    parameters = item_parameters(model, n_items, n_categories, rng)
    assignment = Assignment.of([model] * n_items, np.full(n_items, n_categories))
    calibration = given(assignment, parameters, Normal(0.0, 1.3) if model == Rasch() else None)
    free = index_of(calibration).max() + 1
    return replace(calibration, n_parameters=int(free))


def answered(calibration, n_persons, *, seed=1):
    """Answers drawn from a calibration."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(0.0, calibration.latent.standard_deviation, n_persons)
    chance = np.exp(calibration.log_prob(theta))
    codes = (rng.random((*chance.shape[:2], 1)) > np.cumsum(chance, axis=2)[:, :, :-1]).sum(axis=2)
    return Responses(
        codes=codes.astype(np.int8),
        persons=tuple(f"p{n}" for n in range(n_persons)),
        items=calibration.items,
        categories=calibration.categories,
    )


@pytest.mark.parametrize("statistic", ["m2", "m2*", "c2"])
@pytest.mark.parametrize("case", DICHOTOMOUS)
def test_two_parameter_fit_equals_r_mirt(case, statistic):
    responses, calibration, block = r_fit(case, "twopl")
    table = model_fit(responses, calibration, statistic=statistic)
    row, known = table.iloc[0], block["diagnostics"][R_NAMES[statistic]]
    assert table.columns.tolist() == COLUMNS
    assert table.index.tolist() == ["2pl"]
    assert row["statistic"] == statistic
    assert row["m2"] == pytest.approx(known["M2"], rel=EXACT)
    assert row["df"] == known["df"]
    assert row["p"] == pytest.approx(known["p"], abs=EXACT)
    assert row["srmsr"] == pytest.approx(known["SRMSR"], rel=EXACT)
    assert row["rmsea"] == pytest.approx(known["RMSEA"], rel=EXACT)
    assert row["rmsea_low"] == pytest.approx(known["RMSEA_5"], rel=INDEX)
    assert row["rmsea_high"] == pytest.approx(known["RMSEA_95"], rel=INDEX)
    assert row["cfi"] == pytest.approx(known["CFI"], rel=INDEX)
    assert row["tli"] == pytest.approx(known["TLI"], rel=INDEX)
    fit = block["fit"]
    assert row["log_likelihood"] == pytest.approx(fit["logLik"], rel=EXACT)
    assert row[["aic", "bic", "sabic"]].tolist() == pytest.approx(
        [fit["AIC"], fit["BIC"], fit["SABIC"]], rel=EXACT
    )
    assert (row["n_parameters"], row["n_persons"]) == (fit["nest"], responses.n_persons)


@pytest.mark.parametrize("case", DICHOTOMOUS)
def test_rasch_fit_equals_r_mirt_but_for_the_variance_that_r_takes_as_known(case):
    responses, calibration, block = r_fit(case, "rasch")
    row, known = model_fit(responses, calibration).iloc[0], block["diagnostics"]["M2"]
    assert row["m2"] == pytest.approx(known["M2"], rel=OMITTED_VARIANCE)
    assert row["m2"] < known["M2"]
    assert row["df"] == known["df"]
    assert row["p"] == pytest.approx(known["p"], abs=1e-5)
    assert row["srmsr"] == pytest.approx(known["SRMSR"], rel=INDEX)
    for name, theirs in (("rmsea", "RMSEA"), ("cfi", "CFI"), ("tli", "TLI")):
        assert row[name] == pytest.approx(known[theirs], rel=OMITTED_VARIANCE, abs=1e-9)
    moments, cells = parts_of(calibration)
    index = index_of(calibration)
    without = np.where(index == index[0, 0], -1, index)
    residual = moments.residual(*observed_moments(responses, moments.codes))
    solution = largest_value(moments, Tangent.of(cells, without), residual)
    assert responses.n_persons * solution.value == pytest.approx(known["M2"], rel=1e-7)


@pytest.mark.parametrize("statistic", ["m2*", "c2"])
def test_graded_fit_equals_r_mirt(statistic):
    responses, calibration, block = r_fit("graded1500", "graded")
    row = model_fit(responses, calibration, statistic=statistic).iloc[0]
    known = block["diagnostics"][R_NAMES[statistic]]
    assert row["m2"] == pytest.approx(known["M2"], rel=EXACT)
    assert row["df"] == known["df"]
    assert row["p"] == pytest.approx(known["p"], abs=EXACT)
    assert row["srmsr"] == pytest.approx(known["SRMSR"], rel=EXACT)
    assert row["rmsea"] == pytest.approx(known["RMSEA"], rel=EXACT)
    assert row["rmsea_high"] == pytest.approx(known["RMSEA_95"], rel=INDEX)
    if statistic == "c2":  # for M2* R tests its null model in 15 arbitrary directions of 45
        assert row["cfi"] == pytest.approx(known["CFI"], rel=INDEX)
        assert row["tli"] == pytest.approx(known["TLI"], rel=INDEX)


@pytest.mark.parametrize("statistic", ["m2*", "c2"])
def test_r_mirt_differs_for_partial_credit_by_the_slope_derivative_it_does_not_normalise(
    statistic,
):
    responses, calibration, block = r_fit("graded1500", "gpcm")
    known = block["diagnostics"][R_NAMES[statistic]]
    row = model_fit(responses, calibration, statistic=statistic).iloc[0]
    assert (row["df"], row["srmsr"]) == (
        known["df"],
        pytest.approx(known["SRMSR"], rel=EXACT),
    )
    assert row["m2"] > known["M2"] + 1.0
    moments, cells = parts_of(calibration, by_category=statistic == "c2")
    nodes, n_items = calibration.nodes(), responses.n_items
    codes = np.arange(5)
    z = calibration.parameters[:, :1] * codes * nodes.theta[:, None, None]
    z[..., 1:] += calibration.parameters[:, 1:]
    chance = np.exp(calibration.log_prob(nodes.theta))
    numerator = np.exp(z - z.max(axis=2, keepdims=True))  # its sum is not one
    mean = chance @ codes
    moved = nodes.theta[:, None] * (chance @ codes**2 - mean * (numerator @ codes))  # (Q, I)
    right = nodes.theta[:, None] * (chance @ codes**2 - mean**2)
    centre = moments.weights @ mean  # (I,)
    sd = np.sqrt(moments.weights @ (chance @ codes**2) - centre**2)
    pairs = (moved * moments.weights[:, None]).T @ mean
    theirs = cells.copy()
    if statistic == "m2*":
        theirs[0, :, 0] = moments.weights @ moved / sd
        pairs -= np.outer(moments.weights @ moved, centre)
    else:  # where the first moments have the right derivative
        pairs -= np.outer(moments.weights @ right, centre)
    theirs[0, :, -n_items:] = np.sqrt(2.0) * pairs / np.outer(sd, sd) / moments.scale
    theirs[0, range(n_items), range(-n_items, 0)] = 0.0
    residual = moments.residual(*observed_moments(responses, moments.codes))
    solution = largest_value(moments, Tangent.of(theirs, index_of(calibration)), residual)
    assert responses.n_persons * solution.value == pytest.approx(known["M2"], rel=1e-7)


@pytest.mark.parametrize("name", ["twopl", "rasch"])
def test_r_mirt_takes_pairwise_margins_of_missing_answers_for_complete_ones(name):
    """Its number is reproduced; it is not offered, because it does not hold its level."""
    responses, calibration, block = r_fit("sim2k20_na30", name)
    codes = responses.dense()
    seen = (codes >= 0).astype(float)
    right = (codes == 1).astype(float)
    moments, cells = parts_of(calibration)
    n, nodes = responses.n_persons, calibration.nodes()
    chance = np.exp(calibration.log_prob(nodes.theta))[:, :, 1]
    expected = moments.weights @ chance  # (I,)
    both = (chance * moments.weights[:, None]).T @ chance  # (I, I)
    share = expected + (right.sum(axis=0) / seen.sum(axis=0) - expected) * seen.mean(axis=0)
    pairs = seen.T @ seen
    product = both + (right.T @ right / pairs - both) * pairs / n
    start, step = moments.codes[:, 0], moments.codes[:, 1] - moments.codes[:, 0]
    lone = np.outer(step * share, start)
    products = np.outer(step, step) * product + lone + lone.T + np.outer(start, start)
    residual = moments.residual(np.stack([1.0 - share, share], axis=1), products)
    index = index_of(calibration)
    if name == "rasch":
        index = np.where(index == index[0, 0], -1, index)
    solution = largest_value(moments, Tangent.of(cells, index), residual)
    known = block["diagnostics"]["M2"]["M2"]
    assert n * solution.value == pytest.approx(known, rel=1e-7)
    with pytest.raises(ModelError, match=r"persons of 2,000 left answers out.*select_persons"):
        model_fit(responses, calibration)


CASES = [
    (TwoPL(), 4, 2, False),
    (TwoPL(), 5, 2, True),
    (OnePL(), 5, 2, False),
    (Rasch(), 5, 2, False),
    (ThreePL(), 7, 2, False),
    (FourPL(), 8, 2, False),
    (Graded(), 4, 3, True),
    (Graded(), 5, 3, False),
    (GeneralizedPartialCredit(), 4, 3, True),
    (PartialCredit(), 4, 3, True),
    (PartialCredit(), 4, 3, False),
    (Nominal(), 5, 3, True),
]


def patterns_of(calibration):
    """All answer patterns, and a function for their probabilities."""
    sizes = calibration.assignment.n_categories
    patterns = np.array(list(itertools.product(*(range(size) for size in sizes))))

    def probabilities(parameters, latent):
        nodes = latent.nodes(61)
        chance = np.exp(calibration.assignment.log_prob(parameters, nodes.theta))
        items = np.arange(len(sizes))
        return np.exp(nodes.log_weights) @ chance[:, items, patterns].prod(axis=2)

    return patterns, probabilities


def moved_probabilities(calibration, patterns):
    """Derivative of the patterns' probabilities by each parameter, shape (n, patterns)."""
    nodes = calibration.nodes()
    chance = np.exp(calibration.log_prob(nodes.theta))
    items = np.arange(patterns.shape[1])
    joint = chance[:, items, patterns].prod(axis=2) * np.exp(nodes.log_weights)[:, None]
    models, theta = calibration.assignment.models, nodes.theta
    columns, slopes = [], []
    for item, model in enumerate(models):
        names = calibration.assignment.names(item)
        own = calibration.parameters[item, : len(names)]
        by = model.gradient(own, theta)[:, patterns[:, item]]  # (Q, patterns, D)
        moved = list(np.einsum("qp,qpd->dp", joint, by))
        if model in (OnePL(), Rasch(), PartialCredit()):
            slopes.append(moved.pop(0))
        columns += moved
    if models[0] == OnePL():
        columns.append(np.sum(slopes, axis=0))
    elif slopes:  # the variance is free: by finite difference
        probabilities, sd = patterns_of(calibration)[1], calibration.latent.standard_deviation
        ends = [probabilities(calibration.parameters, Normal(0.0, sd + h)) for h in (STEP, -STEP)]
        columns.append((ends[0] - ends[1]) / (2.0 * STEP))
    return np.array(columns)


def raw_moments(calibration, patterns, by_category):
    """Values of the untransformed moments of each pattern, shape (s, patterns)."""
    sizes = calibration.assignment.n_categories
    first = [patterns[:, item] for item in range(len(sizes))]
    if by_category:
        first = [patterns[:, i] == k for i, size in enumerate(sizes) for k in range(1, size)]
    pairs = itertools.combinations(range(len(sizes)), 2)
    return np.array([*first, *(patterns[:, i] * patterns[:, j] for i, j in pairs)], dtype=float)


def enumerated_fit(responses, calibration, by_category):
    """M2 and df from the covariance of all moments, built from all patterns."""
    patterns, probabilities = patterns_of(calibration)
    values = raw_moments(calibration, patterns, by_category)
    chance = probabilities(calibration.parameters, calibration.latent)
    expected = values @ chance
    covariance = (values * chance) @ values.T - np.outer(expected, expected)
    tangent = values @ moved_probabilities(calibration, patterns).T
    observed = raw_moments(calibration, responses.dense(), by_category).mean(axis=1)
    root = np.linalg.cholesky(covariance)
    residual = np.linalg.solve(root, observed - expected)
    directions = np.linalg.solve(root, tangent)
    left, size, _ = np.linalg.svd(directions / np.linalg.norm(directions, axis=0))
    rank = int((size > 1e-9).sum())
    return responses.n_persons * np.sum((left[:, rank:].T @ residual) ** 2), len(expected) - rank


@pytest.mark.parametrize(("model", "n_items", "size", "by_category"), CASES)
def test_statistic_equals_the_enumeration_of_all_patterns(model, n_items, size, by_category):
    calibration = drawn(model, n_items, size)
    responses = answered(calibration, 300)
    exact, df = enumerated_fit(responses, calibration, by_category)
    if df == 0:
        with pytest.raises(ModelError, match="leave no degree of freedom"):
            model_fit(responses, calibration, statistic="c2" if by_category else "m2*")
        return
    row = model_fit(responses, calibration, statistic="c2" if by_category else "m2*").iloc[0]
    assert row["m2"] == pytest.approx(exact, rel=ENUMERATED)
    assert row["df"] == df


def unit_vectors(moments):
    """One vector for each moment, shape (s, I, A + I)."""
    n_items, n_functions = moments.functions.shape[:2]
    vectors = []
    for item, function in np.argwhere(moments.functions.any(axis=2)):
        vectors.append(np.zeros((n_items, n_functions + n_items)))
        vectors[-1][item, function] = 1.0
    for i, j in itertools.combinations(range(n_items), 2):
        vectors.append(np.zeros((n_items, n_functions + n_items)))
        vectors[-1][i, n_functions + j] = vectors[-1][j, n_functions + i] = np.sqrt(0.5)
    return np.array(vectors)


def standardised(moments, patterns):
    """Values of the transformed moments of each pattern, shape (s, patterns)."""
    items = range(moments.n_items)
    first = [
        moments.functions[item, function, patterns[:, item]]
        for item, function in np.argwhere(moments.functions.any(axis=2))
    ]
    y = [moments.codes[item, patterns[:, item]] for item in items]
    pairs = [y[i] * y[j] / moments.scale[i, j] for i, j in itertools.combinations(items, 2)]
    return np.array([*first, *pairs])


@pytest.mark.parametrize(("model", "n_items", "size", "by_category"), CASES)
def test_covariance_times_equals_the_matrix_of_all_patterns(model, n_items, size, by_category):
    calibration = drawn(model, n_items, size)
    moments, _ = parts_of(calibration, by_category=by_category)
    patterns, probabilities = patterns_of(calibration)
    chance = probabilities(calibration.parameters, calibration.latent)
    values = standardised(moments, patterns)
    mean = values @ chance
    matrix = (values * chance) @ values.T - np.outer(mean, mean)
    unit = unit_vectors(moments)
    assert moments.n_moments == len(unit)
    flat = unit.reshape(len(unit), -1)
    found = np.array([moments.covariance_times(vector).ravel() for vector in unit]) @ flat.T
    assert found == pytest.approx(matrix, abs=1e-12)
    n_first = len(unit) - n_items * (n_items - 1) // 2
    assert matrix[:n_first, :n_first].diagonal() == pytest.approx(np.ones(n_first))
    assert matrix.diagonal() == pytest.approx(np.ones(len(unit)))


@pytest.mark.parametrize(("model", "n_items", "size", "by_category"), CASES)
def test_derivatives_of_the_moments_equal_finite_differences(model, n_items, size, by_category):
    calibration = drawn(model, n_items, size)
    moments, cells = parts_of(calibration, by_category=by_category)
    patterns, probabilities = patterns_of(calibration)
    values = standardised(moments, patterns)
    flat = unit_vectors(moments).reshape(len(values), -1)
    for item, place in zip(*np.nonzero(calibration.assignment.used()), strict=True):
        ends = []
        for h in (STEP, -STEP):
            moved = np.array(calibration.parameters)
            moved[item, place] += h
            ends.append(values @ probabilities(moved, calibration.latent))
        row = np.zeros_like(cells[0])
        row[item] = cells[place, item]
        pairs = row[:, -n_items:]
        row[:, -n_items:] = 0.5 * (pairs + pairs.T)
        exact = (ends[0] - ends[1]) / (2.0 * STEP)
        assert flat @ row.ravel() == pytest.approx(exact, abs=FINITE_DIFFERENCE)


def test_projection_leaves_nothing_along_directions_that_nearly_coincide():
    calibration = drawn(Graded(), 20, 7)
    _, cells = parts_of(calibration)
    tangent = Tangent.of(cells, index_of(calibration))
    assert tangent.rank == 140
    assert tangent.factor.diagonal().min() < 1e-4
    vector = np.random.default_rng(1).normal(size=cells[0].shape)
    vector[:, 1:] += vector[:, 1:].T
    left = tangent.without(vector)
    along = np.einsum("dij,ij->di", tangent.rows, left)
    assert np.abs(along).max() < 1e-11 * np.linalg.norm(vector)
    # such directions let rounding grow, by an amount that depends on the linear algebra below
    assert tangent.without(left) == pytest.approx(left, abs=1e-7)


def test_items_of_several_models_and_sizes_are_tested_together():
    models = [TwoPL(), Graded(), GeneralizedPartialCredit(), TwoPL(), Graded()]
    sizes = [2, 3, 4, 2, 3]
    rng = np.random.default_rng(5)
    parameters = np.full((5, 4), np.nan)
    for item, (model, size) in enumerate(zip(models, sizes, strict=True)):
        own = item_parameters(model, 1, size, rng)[0]
        parameters[item, : len(own)] = own
    calibration = given(Assignment.of(models, sizes), parameters)
    responses = answered(calibration, 400)
    exact, df = enumerated_fit(responses, calibration, True)
    row = model_fit(responses, calibration, statistic="c2").iloc[0]
    assert row["m2"] == pytest.approx(exact, rel=ENUMERATED)
    assert row["df"] == df == 9 + 10 - 14


def test_null_model_of_the_incremental_indices_equals_its_enumeration():
    responses = answered(drawn(TwoPL(), 5), 500)
    codes = responses.dense().astype(float)
    patterns = np.array(list(itertools.product([0, 1], repeat=5)))
    share = codes.mean(axis=0)
    chance = np.where(patterns, share, 1.0 - share).prod(axis=1)
    items, pairs = range(5), list(itertools.combinations(range(5), 2))
    values = np.array(
        [*(patterns[:, i] for i in items), *(patterns[:, i] * patterns[:, j] for i, j in pairs)]
    )
    expected = values @ chance
    covariance = (values * chance) @ values.T - np.outer(expected, expected)
    tangent = np.zeros((15, 5))
    for i in items:
        tangent[i, i] = 1.0
        for place, pair in enumerate(pairs):
            if i in pair:
                tangent[5 + place, i] = share[sum(pair) - i]
    residual = [(codes[:, i] * codes[:, j]).mean() - share[i] * share[j] for i, j in pairs]
    residual = np.array([0.0] * 5 + residual)
    basis = np.linalg.svd(tangent)[0][:, 5:]
    right = basis.T @ residual
    null = 500 * right @ np.linalg.solve(basis.T @ covariance @ basis, right)
    row = model_fit(responses, calibrate(responses, TwoPL(), method=QUICK)).iloc[0]
    assert row["cfi"] == pytest.approx(min(1.0, 1.0 - (row["m2"] - row["df"]) / (null - 10)))
    ratio = null / 10
    assert row["tli"] == pytest.approx((ratio - row["m2"] / row["df"]) / (ratio - 1.0))


@pytest.mark.parametrize(("m2", "df"), [(151.3, 170), (190.0, 170), (676.6, 170), (100.0, 170)])
def test_interval_of_the_rmsea_inverts_the_noncentral_chi_square(m2, df):
    found = rmsea(m2, df, 2001.0)
    assert found["rmsea"] == pytest.approx(np.sqrt(max(m2 - df, 0) / df / 2000))
    for name, share in (("rmsea_low", 0.95), ("rmsea_high", 0.05)):
        noncentrality = found[name] ** 2 * df * 2001
        if noncentrality == 0.0:
            assert chi2.cdf(m2, df) <= share
        else:
            assert ncx2.cdf(m2, df, noncentrality) == pytest.approx(share, abs=1e-9)


def test_planted_dependence_is_found_and_the_true_model_is_not():
    made = simulate(TwoPL(), n_persons=2000, n_items=12, seed=4)
    fine = model_fit(made.responses, calibrate(made.responses, TwoPL(), method=QUICK)).iloc[0]
    codes = made.responses.dense().copy()
    copied = np.random.default_rng(4).random(2000) < 0.5
    codes[copied, 5] = codes[copied, 2]
    bad = replace(made.responses, codes=codes)
    poor = model_fit(bad, calibrate(bad, TwoPL(), method=QUICK)).iloc[0]
    assert fine["p"] > 0.01
    assert poor["p"] < 1e-6
    assert poor["rmsea_low"] > fine["rmsea_high"]
    assert poor["cfi"] < fine["cfi"]


def test_order_of_items_and_persons_does_not_matter_and_inputs_stay():
    made = simulate(TwoPL(), n_persons=600, n_items=8, seed=6)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    before = made.responses.fingerprint()
    row = model_fit(made.responses, calibration)
    shuffled = made.responses.select_items(made.responses.items[::-1])
    shuffled = shuffled.select_persons(np.random.default_rng(1).permutation(600))
    pd.testing.assert_frame_equal(model_fit(shuffled, calibration), row, rtol=1e-9)
    assert made.responses.fingerprint() == before


def test_sparse_answers_and_repeated_persons_as_weights_give_the_same():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=7)
    codes = made.responses.dense()
    doubled = replace(
        made.responses,
        codes=np.concatenate([codes, codes]),
        persons=tuple(f"p{n}" for n in range(600)),
        weights=np.ones(600),
    )
    weighted = replace(made.responses, weights=np.full(300, 2.0))
    sparse = replace(doubled, codes=sp.csr_array(doubled.codes + np.int8(1)))
    calibration = calibrate(doubled, TwoPL(), method=QUICK)
    row = model_fit(doubled, calibration)
    pd.testing.assert_frame_equal(model_fit(weighted, calibration), row, rtol=1e-9)
    pd.testing.assert_frame_equal(model_fit(sparse, calibration), row, rtol=1e-9)
    assert row["n_persons"].item() == 600.0


def test_one_and_two_category_models_of_right_or_wrong_items_agree():
    made = simulate(TwoPL(), n_persons=500, n_items=6, seed=8)
    one = model_fit(made.responses, calibrate(made.responses, TwoPL(), method=QUICK)).iloc[0]
    for model in (Graded(), GeneralizedPartialCredit(), Nominal()):
        other = model_fit(made.responses, calibrate(made.responses, model, method=QUICK)).iloc[0]
        assert other["m2"] == pytest.approx(one["m2"], rel=1e-4)  # of two estimations
        assert other["df"] == one["df"]
    rasch = model_fit(made.responses, calibrate(made.responses, Rasch(), method=QUICK)).iloc[0]
    equal = model_fit(made.responses, calibrate(made.responses, OnePL(), method=QUICK)).iloc[0]
    assert rasch["m2"] == pytest.approx(equal["m2"], rel=1e-4)
    assert rasch["df"] == equal["df"] == 21 - 7


def test_other_persons_and_fewer_items_have_a_test_but_no_criteria():
    made = simulate(TwoPL(), n_persons=1000, n_items=9, seed=9)
    half = np.arange(1000) < 500
    calibration = calibrate(made.responses.select_persons(half), TwoPL(), method=QUICK)
    held_out = made.responses.select_persons(~half)
    row = model_fit(held_out, calibration).iloc[0]
    assert row[["aic", "bic", "sabic"]].isna().all()
    assert np.isfinite(row["log_likelihood"])
    assert row["log_likelihood"] != calibration.log_likelihood
    assert row["p"] > 0.001
    few = held_out.select_items(held_out.items[:6])
    part = model_fit(few, calibration).iloc[0]
    assert (part["df"], part["n_parameters"]) == (21 - 12, 12)
    assert part[["aic"]].isna().all()


def test_items_that_other_persons_answered_alike_have_no_correlations():
    made = simulate(TwoPL(), n_persons=1000, n_items=6, seed=3)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    few = made.responses.select_persons(np.arange(200))
    codes = few.dense().copy()
    codes[:, 2] = 1
    row = model_fit(replace(few, codes=codes), calibration).iloc[0]
    assert row[["srmsr", "cfi", "tli"]].isna().all()
    assert row["p"] < 0.05


def test_constant_items_are_left_out_of_the_model():
    made = simulate(TwoPL(), n_persons=400, n_items=7, seed=10)
    codes = made.responses.dense().copy()
    codes[:, 3] = 1
    responses = replace(made.responses, codes=codes)
    calibration = calibrate(responses, TwoPL(), method=QUICK)
    row = model_fit(responses, calibration).iloc[0]
    assert row["df"] == 21 - 12
    assert row["aic"] == pytest.approx(calibration.criteria()["aic"])


def test_steep_items_that_nearly_determine_each_other_are_solved_too():
    slope = np.full(20, 6.0)
    parameters = np.stack([slope, slope * np.linspace(-2.5, 2.5, 20)], axis=1)
    calibration = given(Assignment.of([TwoPL()] * 20, np.full(20, 2)), parameters)
    responses = answered(calibration, 1000)
    row = model_fit(responses, calibration).iloc[0]
    moments, cells = parts_of(calibration)
    unit = unit_vectors(moments)
    flat = unit.reshape(len(unit), -1)
    covariance = np.array([moments.covariance_times(v).ravel() for v in unit]) @ flat.T
    rows = [np.zeros_like(cells[0]) for _ in range(40)]
    for number, (place, item) in enumerate(itertools.product(range(2), range(20))):
        rows[number][item] = cells[place, item]
        pairs = rows[number][:, -20:]
        rows[number][:, -20:] = 0.5 * (pairs + pairs.T)
    tangent = flat @ np.array(rows).reshape(40, -1).T
    basis = np.linalg.qr(tangent, mode="complete")[0][:, 40:]
    residual = moments.residual(*observed_moments(responses, moments.codes))
    right = basis.T @ (flat @ residual.ravel())
    exact = 1000 * right @ np.linalg.solve(basis.T @ covariance @ basis, right)
    assert row["m2"] == pytest.approx(exact, rel=1e-7)
    assert row["df"] == 170


def test_unknown_statistics_and_unfit_items_are_refused():
    made = simulate(Graded(), n_persons=300, n_items=6, seed=11, n_categories=3)
    calibration = calibrate(made.responses, Graded(), method=QUICK)
    with pytest.raises(ModelError, match=r"'M2'; .*Did you mean 'm2'"):
        model_fit(made.responses, calibration, statistic="M2")
    with pytest.raises(ModelError, match=r"right-or-wrong items; 6 items .*'c2', or 'm2\*'"):
        model_fit(made.responses, calibration)


def test_too_few_degrees_of_freedom_are_refused_with_the_remedy():
    made = simulate(Graded(), n_persons=392, n_items=4, seed=12, n_categories=4)
    calibration = calibrate(made.responses, Graded(), method=QUICK)
    with pytest.raises(ModelError, match=r"M2\* is not available: 16 .* Use statistic 'c2'"):
        model_fit(made.responses, calibration, statistic="m2*")
    assert model_fit(made.responses, calibration, statistic="c2")["df"].item() == 12 + 6 - 16
    small = drawn(TwoPL(), 3)
    with pytest.raises(ModelError, match=r"M2 is not available: 6 .* 6 moments .* Add items"):
        model_fit(answered(small, 300), small)


def test_mean_codes_that_cannot_tell_the_parameters_apart_are_refused():
    calibration = drawn(PartialCredit(), 15, 7)
    responses = answered(calibration, 400)
    with pytest.raises(ModelError, match=r"mean codes tell only \d+ of 91 parameters apart"):
        model_fit(responses, calibration, statistic="m2*")
    assert model_fit(responses, calibration, statistic="c2")["df"].item() == 90 + 105 - 91


def test_calibrations_whose_free_parameters_are_not_known_are_refused():
    made = simulate(TwoPL(), n_persons=400, n_items=6, seed=13)
    equal = replace(QUICK, constraints=(Equal("slope", ("i1", "i2")),))
    with pytest.raises(ModelError, match=r"11 free parameters .* has 12 .* constraints"):
        model_fit(made.responses, calibrate(made.responses, TwoPL(), method=equal))
    histogram = MML(latent="histogram", tolerance=1e-3, standard_errors=None)
    with pytest.raises(ModelError, match=r"histogram.* latent='normal'"):
        model_fit(made.responses, calibrate(made.responses, TwoPL(), method=histogram))
    moved = replace(calibrate(made.responses, TwoPL(), method=QUICK), latent=Normal(0.2, 1.1))
    with pytest.raises(ModelError, match=r"mean 0.2 and SD 1.1; .* on a known scale"):
        model_fit(made.responses, moved)
    groups = ["a", "b"] * 200
    parts = calibrate_groups(made.responses, groups, TwoPL(), method=QUICK)
    second = made.responses.select_persons(np.array(groups) == "b")
    with pytest.raises(ModelError, match="for several groups"):
        model_fit(second, parts.of("b"))


def test_more_than_memory_holds_and_unfinished_solutions_are_refused(monkeypatch):
    made = simulate(TwoPL(), n_persons=200, n_items=30, seed=14)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    steps = sys.modules["irtkit.diagnostics.limited_information"]
    monkeypatch.setattr(steps, "MOST_STEPS", 2)
    with pytest.raises(ModelError, match=r"M2 was not found: 2 steps .* left .* of the gradient"):
        model_fit(made.responses, calibration)
    monkeypatch.setattr(sys.modules["irtkit.diagnostics.model_fit"], "MOST_BYTES", 100_000)
    with pytest.raises(ModelError, match=r"30 items with up to 2 parameters needs about .* GiB"):
        model_fit(made.responses, calibration)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "statistic", "n_items", "n_replications"),
    [(TwoPL(), "m2", 10, 200), (Rasch(), "m2", 10, 100), (Graded(), "c2", 8, 100)],
)
def test_a_true_model_is_rejected_as_often_as_the_level_says(
    model, statistic, n_items, n_replications
):
    p = np.empty(n_replications)
    for seed in range(n_replications):
        made = simulate(model, n_persons=1000, n_items=n_items, seed=20_000 + seed)
        calibration = calibrate(made.responses, model, method=QUICK)
        p[seed] = model_fit(made.responses, calibration, statistic=statistic)["p"].item()
    assert 0.01 <= (p < 0.05).mean() <= 0.105
    assert kstest(p, "uniform").pvalue > 0.001
