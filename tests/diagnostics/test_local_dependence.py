"""LD-X2, LD-G2, Cramer V and Q3: golden values, brute force, missing answers, search."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import chi2, false_discovery_control

from irtkit.diagnostics import adjust, local_dependence
from irtkit.diagnostics.local_dependence import dependence_search
from irtkit.diagnostics.pair_residuals import q3_pairs
from irtkit.diagnostics.pair_search import (
    DF,
    N_COLUMNS,
    SECOND,
    TESTED,
    Tally,
    adjusted_among_all,
    p_of,
)
from irtkit.diagnostics.pair_statistics import (
    gamma,
    given_margins,
    likelihood_ratio,
    pearson,
    upper_tail,
)
from irtkit.diagnostics.pair_tables import PairAnswers
from irtkit.errors import ModelError
from irtkit.estimation import MML, calibrate
from irtkit.latent import Normal
from irtkit.models import GeneralizedPartialCredit, Graded, Nominal, Rasch, ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.golden import CASES, golden, golden_responses

AGREEMENT = 1e-6  # relative to max(1, value): R's parameters are given with 15 digits
EQUAL = 1e-9
QUICK = MML(standard_errors=None)
ROUGH = MML(standard_errors=None, tolerance=0.01)  # where any parameters will do
COLUMNS = [
    *("q3", "q3_adjusted", "ld_x2", "ld_g2", "x2_tested", "df", "p", "p_adjusted", "p_g2"),
    *("cramer_v", "standardised", "fewest_expected", "n_both"),
]
BINARY = {"twopl": TwoPL(), "rasch": Rasch()}
ORDERED = {"graded": Graded(), "gpcm": GeneralizedPartialCredit()}
GOLDEN = [(case, name) for case in CASES for name in BINARY]
GOLDEN += [("graded1500", name) for name in ORDERED]


def r_calibration(case, name):
    """Return the answers, R's parameters as a calibration, and R's diagnostics."""
    known = golden(case)[name]
    responses = golden_responses(case)
    made = calibrate(responses, (BINARY | ORDERED)[name], method=QUICK)
    pars = known["items"]["pars"]
    names = ["d"] if name in BINARY else [f"d{k}" for k in range(1, 5)]
    parameters = np.stack([pars["a1"], *(pars[d] for d in names)], axis=1)
    variance = np.array(known["items"]["group_cov"], dtype=float).ravel()[0]
    calibration = replace(made, parameters=parameters, latent=Normal(0.0, float(variance**0.5)))
    return responses, calibration, known["diagnostics"]


def triangles(matrix):
    """Return the lower and the upper triangle of R's matrix, each in the order of our rows."""
    numbers = np.array([[np.nan if v == "NA" else v for v in row] for row in matrix], dtype=float)
    first, second = np.triu_indices(len(numbers), 1)
    return numbers[second, first], numbers[first, second]


@pytest.mark.parametrize(("case", "name"), GOLDEN)
def test_x2_g2_v_and_q3_equal_r_mirt(case, name):
    responses, calibration, known = r_calibration(case, name)
    table = local_dependence(responses, calibration)
    statistic, v = triangles(known["LD"])
    df, p = triangles(known["LD_dfp"])
    g2, _ = triangles(known["LDG2"])
    _, p_g2 = triangles(known["LDG2_dfp"])
    close = {"rel": AGREEMENT, "abs": AGREEMENT}
    assert table["ld_x2"].to_numpy() == pytest.approx(statistic, **close)
    assert table["ld_g2"].to_numpy() == pytest.approx(g2, **close)
    assert table["cramer_v"].to_numpy() == pytest.approx(v, **close)
    assert (table["df"].to_numpy() == df).all()
    assert chi2.sf(table["ld_x2"], table["df"]) == pytest.approx(p, **close)
    if (responses.dense() >= 0).all():  # else only the association is tested, not the margins
        assert table["p"].to_numpy() == pytest.approx(p, **close)
    assert table["p_g2"].to_numpy() == pytest.approx(p_g2, **close)
    assert table["q3"].to_numpy() == pytest.approx(triangles(known["Q3"])[1], **close)


@pytest.mark.parametrize(("case", "name"), GOLDEN)
def test_q3_at_maximum_likelihood_abilities_equals_r_mirt(case, name):
    responses, calibration, known = r_calibration(case, name)
    theta = score(responses, calibration, method="ml").theta
    if name == "gpcm":  # R finds no expected score at infinity and leaves these persons out
        finite = np.isfinite(theta)
        responses, theta = responses.select_persons(finite), theta[finite]
    q3, _ = q3_pairs(responses, calibration, np.clip(theta, -30.0, 30.0))
    assert q3 == pytest.approx(triangles(known["Q3_ML"])[1], abs=AGREEMENT)


def obvious(responses, calibration, i, j):
    """Return LD-X2, LD-G2, signed V, Q3 and the number of common persons by loops."""
    nodes, codes = calibration.nodes(), responses.dense()
    chance = np.exp(calibration.log_prob(nodes.theta))
    share = np.exp(nodes.log_weights)
    sizes = calibration.assignment.n_categories
    observed = np.zeros((sizes[i], sizes[j]))
    for row, weight in zip(codes, responses.weights, strict=True):
        if row[i] >= 0 and row[j] >= 0:
            observed[row[i], row[j]] += weight
    n = observed.sum()
    expected = np.array(
        [
            [n * (chance[:, i, k] * chance[:, j, m] * share).sum() for m in range(sizes[j])]
            for k in range(sizes[i])
        ]
    )
    x2 = ((observed - expected) ** 2 / expected).sum()
    g2 = 2.0 * sum(
        o * np.log(o / e) for o, e in zip(observed.flat, expected.flat, strict=True) if o
    )
    sign = np.sign(obvious_gamma(observed) - obvious_gamma(expected))
    v = sign * np.sqrt(x2 / n / (min(sizes[i], sizes[j]) - 1))
    theta = score(responses, calibration).theta
    log_prob = calibration.log_prob(theta)
    residual = [
        codes[:, item] - np.exp(log_prob[:, item]) @ np.arange(log_prob.shape[2])
        for item in (i, j)
    ]
    both = (codes[:, i] >= 0) & (codes[:, j] >= 0)
    cov = np.cov([part[both] for part in residual], aweights=responses.weights[both])
    q3 = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    fewest = expected.min()
    return {
        "ld_x2": x2,
        "ld_g2": g2,
        "cramer_v": v,
        "q3": q3,
        "n_both": n,
        "fewest_expected": fewest,
    }


def obvious_gamma(table):
    """Count concordant and discordant pairs of persons, cell by cell."""
    concordant = discordant = 0.0
    for (k, m), (other_k, other_m) in itertools.product(np.ndindex(table.shape), repeat=2):
        both = table[k, m] * table[other_k, other_m]
        concordant += both * (other_k > k and other_m > m)
        discordant += both * (other_k > k and other_m < m)
    return (concordant - discordant) / (concordant + discordant)


def check_against_the_loop(responses, calibration):
    table = local_dependence(responses, calibration)
    assert list(table.columns) == COLUMNS
    sizes = calibration.assignment.n_categories
    for i, j in itertools.combinations(range(responses.n_items), 2):
        row = table.loc[(responses.items[i], responses.items[j])]
        for name, value in obvious(responses, calibration, i, j).items():
            assert row[name] == pytest.approx(value, rel=EQUAL, abs=EQUAL)
        df = (sizes[i] - 1) * (sizes[j] - 1)
        assert row["df"] == df
        assert row["p"] == pytest.approx(chi2.sf(row["x2_tested"], df), rel=EQUAL)
        assert row["p_g2"] == pytest.approx(chi2.sf(row["ld_g2"], df), rel=EQUAL)
        assert row["standardised"] == pytest.approx((row["ld_x2"] - df) / np.sqrt(2 * df))
    assert table["q3_adjusted"].to_numpy() == pytest.approx(
        (table["q3"] - table["q3"].mean()).to_numpy(), abs=1e-12
    )
    assert table["p_adjusted"].to_numpy() == pytest.approx(adjust(table["p"].to_numpy()))


def odds_ratios(table):
    """Return all odds ratios of neighbouring categories of a table (K, L)."""
    return table[:-1, :-1] * table[1:, 1:] / (table[:-1, 1:] * table[1:, :-1])


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (4, 5)])
def test_expected_tables_take_the_margins_and_keep_their_odds_ratios(shape):
    rng = np.random.default_rng(3)
    observed = rng.integers(1, 40, (*shape, 25)).astype(float)
    expected = rng.uniform(0.05, 1.0, (*shape, 25))
    scaled = given_margins(observed, expected)
    for axis in (0, 1):
        assert scaled.sum(axis=axis) == pytest.approx(observed.sum(axis=axis), rel=1e-6)
    for number in range(25):
        want = odds_ratios(expected[:, :, number])
        assert odds_ratios(scaled[:, :, number]) == pytest.approx(want, rel=1e-9)


def test_margins_without_choice_leave_nothing_to_test():
    observed = np.array([[[0.0], [0.0]], [[12.0], [5.0]]])  # everybody right on the first item
    expected = np.array([[[3.0], [2.0]], [[7.0], [5.0]]])
    assert pearson(observed, given_margins(observed, expected)) == pytest.approx([0.0])


def test_complete_answers_are_tested_by_ld_x2_itself():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=3)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    table = local_dependence(made.responses, calibration)
    assert (table["x2_tested"] == table["ld_x2"]).all()


@pytest.mark.slow
def test_pairs_of_very_incomplete_answers_are_rejected_at_most_at_their_level():
    """100 replications x 190 pairs; .05 for each pair, and for any pair after Holm."""
    each, some = [], []
    for seed in range(100):
        made = simulate(TwoPL(), n_persons=3000, n_items=20, seed=seed, missing=0.8)
        calibration = calibrate(made.responses, TwoPL(), method=QUICK)
        table = local_dependence(made.responses, calibration)
        each.append((table["p"] < 0.05).mean())
        some.append((table["p_adjusted"] < 0.05).any())
    assert 0.01 < np.mean(each) < 0.06  # ld_x2 alone: .20
    assert np.mean(some) <= 0.12  # exact 99.9% limit of 100 tests at .05 is .13


@pytest.mark.parametrize("missing", [0.0, 0.25])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", [TwoPL(), ThreePL(), Graded(), Nominal()], ids=lambda m: m.name)
def test_all_numbers_equal_the_obvious_loops(model, weighted, missing):
    size = 3 if model.ordinal else None
    made = simulate(
        model, n_persons=250, n_items=5, seed=9, missing=missing, n_categories=size
    ).responses
    if weighted:
        made = replace(made, weights=np.random.default_rng(1).uniform(0.5, 2.5, 250))
    calibration = calibrate(made, model, method=ROUGH)
    check_against_the_loop(made, calibration)


def mixed(n_persons=300, missing=0.2):
    """Return answers to 0/1 items and items of three and four categories, interleaved."""
    rng = np.random.default_rng(4)
    theta = rng.normal(size=n_persons)
    sizes = [2, 4, 2, 3, 4, 2, 3]
    codes = np.stack(
        [
            (
                theta[:, None] + rng.logistic(size=n_persons)[:, None] > np.linspace(-1, 1, k - 1)
            ).sum(axis=1)
            for k in sizes
        ],
        axis=1,
    ).astype(float)
    codes[rng.random(codes.shape) < missing] = np.nan
    responses = Responses.from_array(codes)
    models = {
        item: TwoPL() if size == 2 else GeneralizedPartialCredit()
        for item, size in zip(responses.items, sizes, strict=True)
    }
    return responses, calibrate(responses, models, method=QUICK)


def test_items_of_different_kinds_equal_the_obvious_loops():
    check_against_the_loop(*mixed())


def in_small_blocks(monkeypatch):
    """Make blocks of a few items, chunks of a few persons, and share both among threads."""
    module = sys.modules["irtkit.diagnostics.pair_tables"]
    monkeypatch.setattr(module, "BLOCK_COLUMNS", 6)
    monkeypatch.setattr(module, "FEWEST_IN_BLOCK", 3)
    monkeypatch.setattr(module, "CHUNK_CELLS", 400)
    monkeypatch.setattr(module, "FEWEST_IN_CHUNK", 17)
    monkeypatch.setattr(module, "WORTH_THREADS", 0)


@pytest.mark.parametrize("kept", [0, 10**9])
@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_blocks_equal_the_whole(monkeypatch, missing, kept):
    made = simulate(TwoPL(), n_persons=200, n_items=11, seed=9, missing=missing).responses
    made = replace(made, weights=np.random.default_rng(1).uniform(0.5, 2.5, 200))
    calibration = calibrate(made, TwoPL(), method=QUICK)
    whole = local_dependence(made, calibration)
    pairs = q3_pairs(made, calibration, score(made, calibration).theta)
    in_small_blocks(monkeypatch)
    monkeypatch.setattr(sys.modules["irtkit.diagnostics.pair_residuals"], "KEPT_CELLS", kept)
    monkeypatch.setattr(sys.modules["irtkit.threads"], "n_threads", lambda: 3)
    assert_same_table(local_dependence(made, calibration), whole)
    monkeypatch.setattr(
        sys.modules["irtkit.diagnostics.local_dependence"], "FEWEST_BLOCK_PAIRS", 1000
    )
    assert_same_table(local_dependence(made, calibration), whole)
    again = q3_pairs(made, calibration, score(made, calibration).theta)
    assert again[0] == pytest.approx(pairs[0], abs=EQUAL)
    assert again[0] == pytest.approx(whole["q3"].to_numpy(), abs=EQUAL)
    assert again[1] == pytest.approx(whole["n_both"].to_numpy(), rel=EQUAL)


def assert_same_table(first, second):
    assert first.index.equals(second.index)
    for name in COLUMNS:
        assert first[name].to_numpy() == pytest.approx(
            second[name].to_numpy(), rel=EQUAL, abs=EQUAL, nan_ok=True
        )


@pytest.mark.parametrize("cells", [0, 10**9])
@pytest.mark.parametrize("missing", [0.3, 0.95])
def test_sparse_answers_equal_dense_ones(monkeypatch, missing, cells):
    made = simulate(TwoPL(), n_persons=900, n_items=9, seed=2, missing=missing).responses
    full = simulate(TwoPL(), n_persons=900, n_items=9, seed=2).responses
    calibration = calibrate(full, TwoPL(), method=QUICK)
    sparse = replace(made, codes=sp.csr_array(made.codes + np.int8(1)))
    module = sys.modules["irtkit.diagnostics.pair_tables"]
    monkeypatch.setattr(module, "SPARSE_SHARE", 0.0)
    dense_table = local_dependence(made, calibration)
    assert dense_table["q3"].notna().any() == (missing == 0.3)
    monkeypatch.setattr(module, "SPARSE_SHARE", 0.5)
    monkeypatch.setattr(module, "DENSE_CELLS", cells)
    assert_same_table(local_dependence(sparse, calibration), dense_table)
    assert_same_table(local_dependence(made, calibration), dense_table)
    in_small_blocks(monkeypatch)
    assert_same_table(local_dependence(sparse, calibration), dense_table)


def test_few_answers_are_held_sparse_and_more_only_where_memory_demands_it(monkeypatch):
    kind = {
        share: simulate(Rasch(), n_persons=99, n_items=9, seed=2, missing=share).responses
        for share in (0.3, 0.97)
    }
    sparse = replace(kind[0.3], codes=sp.csr_array(kind[0.3].codes + np.int8(1)))
    assert isinstance(PairAnswers.of(kind[0.3]).codes, np.ndarray)
    assert isinstance(PairAnswers.of(sparse).codes, np.ndarray)
    assert isinstance(PairAnswers.of(kind[0.97]).codes, sp.csc_array)
    monkeypatch.setattr(sys.modules["irtkit.diagnostics.pair_tables"], "DENSE_CELLS", 0)
    assert isinstance(PairAnswers.of(sparse).codes, sp.csc_array)


def test_sparse_weighted_answers_of_several_kinds_equal_dense_ones(monkeypatch):
    responses, calibration = mixed(missing=0.4)
    weights = np.random.default_rng(5).uniform(0.5, 2.5, responses.n_persons)
    responses = replace(responses, weights=weights)
    module = sys.modules["irtkit.diagnostics.pair_tables"]
    dense_table = local_dependence(responses, calibration)
    monkeypatch.setattr(module, "SPARSE_SHARE", 1.0)
    assert_same_table(local_dependence(responses, calibration), dense_table)


def test_weights_count_as_persons():
    made = simulate(TwoPL(), n_persons=150, n_items=6, seed=5, missing=0.2).responses
    weights = np.random.default_rng(2).integers(1, 4, 150)
    calibration = calibrate(made, TwoPL(), method=QUICK)
    repeated = Responses.from_array(
        np.where(made.codes < 0, np.nan, made.codes)[np.repeat(np.arange(150), weights)]
    )
    assert_same_table(
        local_dependence(replace(made, weights=weights.astype(float)), calibration),
        local_dependence(repeated, calibration),
    )


def test_order_of_persons_and_items_changes_nothing_but_the_order():
    responses, calibration = mixed()
    table = local_dependence(responses, calibration)
    rng = np.random.default_rng(3)
    shuffled = responses.select_persons(rng.permutation(responses.n_persons))
    assert_same_table(local_dependence(shuffled, calibration), table)
    order = rng.permutation(responses.n_items)
    items = [responses.items[place] for place in order]
    moved = replace(
        calibration,
        assignment=calibration.assignment.at(order),
        parameters=calibration.parameters[order],
        covariance=calibration.covariance[order],
        states=tuple(calibration.states[place] for place in order),
        items=tuple(items),
    )
    other = local_dependence(responses.select_items(items), moved)
    for pair, row in other.iterrows():
        same = table.loc[pair if pair in table.index else pair[::-1]]
        assert row.to_numpy() == pytest.approx(same.to_numpy(), rel=EQUAL, abs=EQUAL)


def test_inputs_are_unchanged():
    responses, calibration = mixed()
    before = responses.fingerprint(), calibration.parameters.copy()
    local_dependence(responses, calibration)
    dependence_search(responses, calibration)
    assert responses.fingerprint() == before[0]
    assert np.array_equal(calibration.parameters, before[1], equal_nan=True)


def planted(share=0.4, n_persons=1000, n_items=10, seed=3):
    """Return answers of which item i8's are often those of item i3."""
    made = simulate(TwoPL(), n_persons=n_persons, n_items=n_items, seed=seed).responses
    codes = made.dense().copy()
    copied = np.random.default_rng(3).random(n_persons) < share
    codes[copied, 7] = codes[copied, 2]
    return replace(made, codes=codes)


def test_planted_dependence_is_the_first_pair_with_a_positive_v():
    responses = planted()
    calibration = calibrate(responses, TwoPL(), method=QUICK)
    table = local_dependence(responses, calibration)
    assert table["p_adjusted"].idxmin() == ("i3", "i8")
    assert table.loc[("i3", "i8"), "cramer_v"] > 0.1
    assert table["q3"].idxmax() == ("i3", "i8")
    for by in ("ld_x2", "q3"):
        found = dependence_search(responses, calibration, n_top=1, by=by)
        assert found.top.index.tolist() == [("i3", "i8")]


def test_pair_with_hardly_any_common_persons_is_unknown_not_zero():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=3)
    codes = made.responses.dense().copy()
    codes[:150, 0], codes[150:, 1] = -1, -1  # nobody in common
    codes[9:, 2], codes[:, 3] = -1, codes[:, 3]  # nine persons
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    responses = replace(made.responses, codes=codes)
    table = local_dependence(responses, calibration)
    few = table["n_both"] < 10
    assert table.loc[("i1", "i2"), "n_both"] == 0
    assert table.loc[("i3", "i4"), "n_both"] == 9
    assert table[few].drop(columns="n_both").isna().all(axis=None)
    assert table[~few].notna().all(axis=None)
    search = dependence_search(responses, calibration)
    assert search.n_pairs == 15
    assert search.n_tested == (~few).sum() == len(search.top)
    codes[9, 2] = 1  # a tenth person
    table = local_dependence(replace(made.responses, codes=codes), calibration)
    assert table.loc[("i3", "i4")].notna().all()


def test_residuals_that_do_not_vary_have_no_q3():
    made = simulate(TwoPL(), n_persons=40, n_items=3, seed=3)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    codes = np.tile(np.int8([0, 1, 1]), (40, 1))
    table = local_dependence(replace(made.responses, codes=codes), calibration)
    assert table["q3"].isna().all()
    assert table["ld_x2"].notna().all()


def test_items_that_were_not_calibrated_are_left_out():
    made = simulate(TwoPL(), n_persons=200, n_items=5, seed=3).responses
    codes = made.dense().copy()
    codes[:, 1] = 1
    responses = replace(made, codes=codes)
    table = local_dependence(responses, calibrate(responses, TwoPL(), method=QUICK))
    assert len(table) == 6
    assert "i2" not in table.index.get_level_values(0)


def test_more_pairs_than_memory_holds_are_refused_with_the_remedy(monkeypatch):
    module = sys.modules["irtkit.diagnostics.local_dependence"]
    monkeypatch.setattr(module, "MOST_ITEMS", 5)
    made = simulate(TwoPL(), n_persons=100, n_items=6, seed=1)
    calibration = calibrate(made.responses, TwoPL(), method=QUICK)
    with pytest.raises(ModelError, match=r"6 items have 15 pairs.* GiB.*dependence_search"):
        local_dependence(made.responses, calibration)
    assert len(dependence_search(made.responses, calibration).top) == 15


@pytest.mark.parametrize(
    ("options", "word"),
    [({"by": "p"}, "ld_x2"), ({"n_top": 0}, "at least one"), ({"adjustment": "b"}, "holm")],
)
def test_options_of_the_search_that_mean_nothing_are_refused(options, word):
    made = simulate(TwoPL(), n_persons=100, n_items=4, seed=1)
    calibration = calibrate(made.responses, Rasch(), method=ROUGH)
    with pytest.raises(ModelError, match=word):
        dependence_search(made.responses, calibration, **options)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("by", ["ld_x2", "q3"])
def test_search_of_60_items_keeps_the_top_of_the_whole_table(monkeypatch, by, threads):
    responses = planted(n_items=60)
    calibration = calibrate(responses, TwoPL(), method=QUICK)
    table = local_dependence(responses, calibration)
    in_small_blocks(monkeypatch)
    monkeypatch.setattr(sys.modules["irtkit.threads"], "n_threads", lambda: threads)
    search = dependence_search(responses, calibration, n_top=50, by=by)
    key = table["q3"] if by == "q3" else table["ld_x2"]
    expected = table.loc[key.sort_values(ascending=False, kind="stable").index[:50]]
    if by == "q3":  # adjusted p beyond the smallest 50 are rounded up
        small = expected["p"] <= np.sort(table["p"])[49]
        assert 5 < small.sum() < 50
        exact, found = expected["p_adjusted"], search.top["p_adjusted"]
        assert (found >= exact - 1e-12).all()
        assert found.to_numpy() == pytest.approx(exact.to_numpy(), rel=0.005)
        assert found[small].to_numpy() == pytest.approx(exact[small].to_numpy(), rel=EQUAL)
        expected = expected.assign(p_adjusted=found.to_numpy())
    assert_same_table(search.top, expected)
    assert search.mean_q3 == pytest.approx(table["q3"].mean(), abs=1e-12)
    assert search.n_pairs == search.n_tested == 1770


def test_search_of_items_of_different_kinds_orders_by_p():
    responses, calibration = mixed()
    table = local_dependence(responses, calibration)
    for n_top in (4, 21, 1000):
        search = dependence_search(responses, calibration, n_top=n_top)
        assert_same_table(search.top, table.sort_values("p", kind="stable")[:n_top])


def test_adjusted_p_of_the_search_are_those_of_all_pairs(monkeypatch):
    responses = planted(0.9, n_items=30)
    calibration = calibrate(responses, TwoPL(), method=QUICK)
    p = local_dependence(responses, calibration)["p"].to_numpy()
    all_pairs = {
        "holm": adjust(p, "holm"),
        "benjamini-hochberg": false_discovery_control(p, method="bh"),
        "none": p,
    }
    for method, adjusted in all_pairs.items():
        whole = dependence_search(responses, calibration, adjustment=method).top
        assert whole["p_adjusted"].to_numpy() == pytest.approx(np.sort(adjusted), rel=EQUAL)
        few = dependence_search(responses, calibration, adjustment=method, n_top=5).top
        found = few["p_adjusted"].to_numpy()
        rough = {"rel": 0.005} if method == "benjamini-hochberg" else {"rel": EQUAL}
        assert found == pytest.approx(np.sort(adjusted)[:5], **rough)
        assert (found >= np.sort(adjusted)[:5] * (1 - 1e-12)).all()


@pytest.mark.parametrize("method", ["holm", "benjamini-hochberg"])
@pytest.mark.parametrize("sizes", [(1,), (1, 4, 12)])
def test_adjusted_p_beyond_those_kept_are_rounded_up_a_little(sizes, method):
    rng = np.random.default_rng(8)
    tally, rows = Tally.of(20), np.zeros((0, N_COLUMNS))
    for df in sizes:
        statistic = rng.uniform(df, 40.0 + df, 600)
        part = np.zeros((600, N_COLUMNS))
        part[:, SECOND], part[:, TESTED], part[:, DF] = np.arange(600), statistic, df
        tally.count(statistic, df, np.zeros(600))
        tally.leading(df).add(statistic, part)
        rows = np.concatenate([rows, part])
    p = p_of(rows)
    exact, found = adjust(p, method), adjusted_among_all(p, tally, method)
    small = p <= np.sort(p)[19]
    beyond = ~small & (exact < 1.0)
    assert beyond.sum() > 100
    if method == "holm":
        assert found[small] == pytest.approx(exact[small], rel=EQUAL)
    assert (found >= exact * (1.0 - 1e-12)).all()
    assert (found[beyond] > exact[beyond]).mean() > 0.9
    assert found == pytest.approx(exact, rel=0.005 if sizes == (1,) else 0.015)


def test_histogram_counts_each_tested_pair_once():
    responses = planted(n_items=30)
    calibration = calibrate(responses, TwoPL(), method=QUICK)
    table = local_dependence(responses, calibration)
    search = dependence_search(responses, calibration, n_top=3)
    counts = search.histogram
    assert (counts.groupby("statistic")["n_pairs"].sum() == search.n_pairs).all()
    for name, part in counts.groupby("statistic"):
        assert (part["low"].to_numpy()[1:] == part["high"].to_numpy()[:-1]).all()
        for row in part.itertuples():
            inside = (table[name] >= row.low) & (table[name] < row.high)
            assert row.n_pairs == inside.sum()


def test_statistics_that_leave_the_histogram_are_in_its_last_bin():
    responses = planted(1.0)
    calibration = calibrate(responses, Rasch(), method=QUICK)
    last = dependence_search(responses, calibration).histogram.iloc[-1]
    assert last["high"] == np.inf
    assert last["n_pairs"] >= 1


def test_gamma_of_a_table_without_order_is_zero():
    tables = np.array([[[0.0, 3.0], [0.0, 1.0]], [[5.0, 0.0], [2.0, 2.0]]])
    assert gamma(tables).tolist() == [0.0, 1.0]


def test_an_answer_that_the_model_excludes_is_infinitely_far_and_nothing_of_nothing_is_not():
    observed = np.array([[[4.0, 4.0], [0.0, 1.0]], [[3.0, 3.0], [3.0, 2.0]]])
    expected = np.array([[[4.0, 4.0], [0.0, 0.0]], [[3.0, 3.0], [3.0, 3.0]]])
    assert pearson(observed, expected).tolist() == [0.0, np.inf]
    assert likelihood_ratio(observed, expected).tolist() == [0.0, np.inf]


def test_upper_tails_equal_those_of_scipy():
    statistic = np.array([0.0, 0.5, 4.0, 80.0, 900.0])
    for df in (1, 2, 16):
        assert upper_tail(statistic, df) == pytest.approx(chi2.sf(statistic, df), rel=1e-12)


def test_holm_and_benjamini_hochberg_equal_their_definitions():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    assert adjust(p)[[0, 1, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(adjust(p)[2])
    assert adjust(p, "benjamini-hochberg")[[0, 1, 3, 4]] == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjust(p, "none")[0] == 0.01
    with pytest.raises(ModelError, match="bonferroni"):
        adjust(p, "bonferroni")


def test_inputs_with_one_pair_only_have_one_row():
    answers = np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 1]])
    responses = Responses.from_array(answers)
    calibration = calibrate(responses, Rasch())
    assert len(local_dependence(responses, calibration)) == 1
    search = dependence_search(responses, calibration)  # five persons test nothing
    assert (len(search.top), search.n_tested, search.n_pairs) == (0, 0, 1)
    assert list(search.top.columns) == COLUMNS
    assert np.isnan(search.mean_q3)


UPPER_LIMIT = 0.105  # binomial 99.9% limit of .05 in 200 replications


def flagged(n_replications, n_persons, n_items, variance, seed):
    """Share of replications in which any pair, and in which the planted pair, is significant."""
    rng = np.random.default_rng(seed)
    hits = []
    for _ in range(n_replications):
        made = simulate(TwoPL(), n_persons=n_persons, n_items=n_items, seed=rng)
        responses = made.responses
        if variance:
            responses = with_testlet(made, variance, rng)
        calibration = calibrate(
            responses, TwoPL(), method=MML(standard_errors=None, tolerance=1e-4)
        )
        table = local_dependence(responses, calibration)
        hits.append([table["p_adjusted"].min() < 0.05, table["p_adjusted"].iloc[0] < 0.05])
    return np.mean(hits, axis=0)


def with_testlet(made, variance, rng):
    """Draw the answers to the first two items anew, both with the same extra ability."""
    extra = rng.normal(0.0, np.sqrt(variance), len(made.theta))
    logit = made.parameters[:2, 0] * made.theta[:, None] + made.parameters[:2, 1] + extra[:, None]
    codes = made.responses.dense().copy()
    codes[:, :2] = rng.random(logit.shape) < 1.0 / (1.0 + np.exp(-logit))
    return replace(made.responses, codes=codes)


@pytest.mark.slow
@pytest.mark.parametrize("n_items", [10, 20])
def test_holm_keeps_the_family_wise_error_of_ld_x2(n_items):
    assert flagged(200, 500, n_items, 0.0, seed=n_items)[0] <= UPPER_LIMIT


@pytest.mark.slow
def test_a_testlet_of_two_items_with_variance_2_is_flagged():
    assert flagged(100, 1000, 20, 2.0, seed=7)[1] >= 0.9
