"""Comparing calibrations: golden criteria, likelihood ratios, boundaries, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from irtkit.arrays import same
from irtkit.diagnostics.comparison import compare_models, likelihood_ratio_p
from irtkit.errors import ModelError, NotConverged
from irtkit.estimation import MML, Equal, Priors, calibrate
from irtkit.latent import Histogram
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
from irtkit.simulate import simulate
from tests.diagnostics.calibrations import given, r_calibration
from tests.golden import golden, golden_responses

EXACT = 1e-9
ESTIMATED = 1e-4  # of log-likelihoods that both sides maximised
QUICK = MML(standard_errors=None)
COLUMNS = ["n_parameters", "log_likelihood", "aic", "bic", "sabic", "chi2", "df", "p", "note"]
R_MODELS = (("rasch", Rasch()), ("onepl", OnePL()), ("twopl", TwoPL()))


def made_up(model, log_likelihood, n_parameters, *, n_categories=2, n_items=4, log_prior=0.0):
    """A calibration of 500 persons with this log-likelihood."""
    width = len(model.parameter_names(n_categories))
    calibration = given(
        Assignment.of([model] * n_items, np.full(n_items, n_categories)), np.ones((n_items, width))
    )
    return replace(
        calibration,
        log_likelihood=log_likelihood,
        n_parameters=n_parameters,
        n_persons=500.0,
        log_prior=log_prior,
    )


def notes(*calibrations):
    return compare_models(*calibrations)["note"].tolist()


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20", "sim2k20_ld", "sim2k20_na30"])
def test_criteria_and_ratio_equal_r_mirt(case):
    blocks, n_persons = golden(case), float(golden_responses(case).n_persons)
    fits = [blocks[name]["fit"] for name in ("rasch", "twopl")]
    calibrations = [
        replace(
            r_calibration(blocks[name], name),
            log_likelihood=fit["logLik"],
            n_parameters=fit["nest"],
            n_persons=n_persons,
        )
        for name, fit in zip(("rasch", "twopl"), fits, strict=True)
    ]
    table = compare_models(*calibrations[::-1])
    assert table.columns.tolist() == COLUMNS
    assert table.index.tolist() == ["rasch", "2pl"]
    assert table.index.name == "model"
    for row, fit in zip(table.itertuples(), fits, strict=True):
        assert (row.n_parameters, row.log_likelihood) == (fit["nest"], fit["logLik"])
        assert (row.aic, row.bic, row.sabic) == pytest.approx(
            (fit["AIC"], fit["BIC"], fit["SABIC"]), rel=EXACT
        )
    ratio = 2.0 * (fits[1]["logLik"] - fits[0]["logLik"])
    df = fits[1]["nest"] - fits[0]["nest"]
    assert table["chi2"].iloc[1] == pytest.approx(ratio, rel=EXACT)
    assert table["df"].iloc[1] == df
    assert table["p"].iloc[1] == pytest.approx(chi2.sf(ratio, df), rel=EXACT)
    assert table[["chi2", "df", "p"]].iloc[0].isna().all()
    assert table["note"].tolist() == ["", ""]


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20"])
def test_our_estimates_give_the_ratio_of_r_mirt(case):
    responses = golden_responses(case)
    table = compare_models(*(calibrate(responses, model, method=QUICK) for _, model in R_MODELS))
    known = [golden(case)[name]["fit"]["logLik"] for name, _ in R_MODELS]
    assert table.index.tolist() == ["rasch", "1pl", "2pl"]
    assert table["log_likelihood"].tolist() == pytest.approx(known, abs=ESTIMATED)
    assert table["chi2"].iloc[2] == pytest.approx(2.0 * (known[2] - known[1]), abs=ESTIMATED)
    assert table.loc["1pl", ["chi2", "df", "p"]].isna().all()


def test_ordered_categories_are_tested_against_the_nearest_special_case():
    models = (Graded(), Nominal(), GeneralizedPartialCredit(), PartialCredit())
    sizes = {"graded": 30, "nominal": 48, "gpcm": 30, "pcm": 25}
    levels = {"graded": -800.0, "nominal": -780.0, "gpcm": -790.0, "pcm": -820.0}
    known = [
        made_up(model, levels[model.name], sizes[model.name], n_categories=5, n_items=6)
        for model in models
    ]
    table = compare_models(*known)
    assert table.index.tolist() == ["pcm", "graded", "gpcm", "nominal"]
    assert table.loc["graded", ["chi2", "df", "p"]].isna().all()
    assert table.loc["graded", "note"] == "no model above is a special case"
    assert table.loc["gpcm", ["chi2", "df"]].tolist() == [60.0, 5.0]
    assert table.loc["gpcm", "note"] == "tested against pcm"
    assert table.loc["nominal", ["chi2", "df"]].tolist() == [20.0, 18.0]
    assert table.loc["nominal", "note"] == ""


def test_right_or_wrong_items_are_the_same_under_models_of_ordered_categories():
    small = made_up(Rasch(), -700.0, 5)
    for model in (TwoPL(), Graded(), GeneralizedPartialCredit(), Nominal()):
        table = compare_models(small, made_up(model, -690.0, 8))
        assert table["chi2"].iloc[1] == 20.0
        larger = compare_models(made_up(model, -690.0, 8), made_up(ThreePL(), -685.0, 12))
        assert larger["chi2"].iloc[1] == 10.0


def test_a_larger_model_below_a_smaller_one_is_told_not_tested():
    table = compare_models(made_up(Rasch(), -700.0, 5), made_up(TwoPL(), -700.02, 8))
    assert table["p"].isna().all()
    assert "not nested or not converged" in table["note"].iloc[1]
    held = made_up(ThreePL(), -700.02, 12, log_prior=-3.0)
    assert "held back by its priors" in notes(made_up(TwoPL(), -700.0, 8), held)[1]
    rounding = compare_models(made_up(Rasch(), -700.0, 5), made_up(TwoPL(), -700.005, 8))
    assert rounding[["chi2", "p"]].iloc[1].tolist() == [0.0, 1.0]


def test_one_asymptote_halves_p_and_many_leave_it_conservative():
    small = made_up(TwoPL(), -700.0, 8)
    one = compare_models(small, made_up(ThreePL(), -698.0, 9))
    assert one["p"].iloc[1] == pytest.approx(0.5 * chi2.sf(4.0, 1))
    assert "mixture" in one["note"].iloc[1]
    many = compare_models(small, made_up(ThreePL(), -698.0, 12))
    assert many["p"].iloc[1] == pytest.approx(chi2.sf(4.0, 4))
    assert "conservative" in many["note"].iloc[1]
    upper = compare_models(made_up(ThreePL(), -698.0, 12), made_up(FourPL(), -697.0, 16))
    assert "conservative" in upper["note"].iloc[1]
    priors = compare_models(small, made_up(ThreePL(), -698.0, 12, log_prior=-2.0))
    assert "priors" in priors["note"].iloc[1]


def mixed(models, log_likelihood, n_parameters, *, reverse=False, unknown=()):
    """A calibration of items of several models, some of them without parameters."""
    parameters = np.full((len(models), 3), np.nan)
    for place, model in enumerate(models):
        if place not in unknown:
            parameters[place, : len(model.parameter_names(2))] = 1.0
    items = tuple(f"i{place}" for place in range(len(models)))
    if reverse:
        models, parameters, items = models[::-1], parameters[::-1], items[::-1]
    calibration = given(Assignment.of(models, np.full(len(models), 2)), parameters)
    return replace(
        calibration,
        items=items,
        log_likelihood=log_likelihood,
        n_parameters=n_parameters,
        n_persons=500.0,
    )


def test_models_are_compared_item_by_item_whatever_their_order():
    small = mixed([ThreePL(), TwoPL(), TwoPL(), TwoPL()], -700.0, 9)
    large = mixed([ThreePL(), ThreePL(), TwoPL(), TwoPL()], -699.0, 10, reverse=True)
    assert compare_models(small, large)["chi2"].iloc[1] == 2.0
    other = mixed([TwoPL(), ThreePL(), ThreePL(), TwoPL()], -699.0, 10)
    assert notes(small, other)[1] == "no model above is a special case"


def test_asymptotes_of_items_without_parameters_do_not_count():
    small = mixed([TwoPL(), TwoPL(), TwoPL(), TwoPL()], -700.0, 5, unknown=[3])
    large = mixed([ThreePL(), TwoPL(), TwoPL(), ThreePL()], -699.0, 7, unknown=[3])
    p = compare_models(small, large)["p"].iloc[1]
    assert p == pytest.approx(0.5 * (chi2.sf(2.0, 1) + chi2.sf(2.0, 2)))


def test_mixture_of_chi_squares_has_its_ends():
    assert likelihood_ratio_p(0.0, 1, 1) == 1.0
    assert likelihood_ratio_p(3.0, 1, 1) == pytest.approx(0.5 * chi2.sf(3.0, 1))
    both = 0.5 * (chi2.sf(3.0, 1) + chi2.sf(3.0, 2))
    assert likelihood_ratio_p(3.0, 2, 1) == pytest.approx(both)
    for n_boundary in (0, 2):
        assert likelihood_ratio_p(3.0, 2, n_boundary) == pytest.approx(chi2.sf(3.0, 2))


def test_histograms_contain_the_normal_distribution_and_not_the_other_way_round():
    theta = np.linspace(-6.0, 6.0, 61)
    wide = replace(made_up(TwoPL(), -695.0, 66), latent=Histogram(theta, np.full(61, 1 / 61)))
    assert "histogram" in notes(made_up(TwoPL(), -700.0, 8), wide)[1]
    narrow = replace(made_up(Rasch(), -700.0, 5), latent=wide.latent)
    assert notes(narrow, made_up(TwoPL(), -690.0, 8))[1] == "no model above is a special case"


def test_equal_names_are_numbered_and_calibrations_that_did_not_converge_named():
    made = simulate(TwoPL(), n_persons=400, n_items=5, seed=2)
    free = calibrate(made.responses, TwoPL(), method=QUICK)
    tied = replace(QUICK, constraints=(Equal("slope", ("i1", "i2", "i3")),))
    with pytest.raises(NotConverged) as stopped:
        calibrate(made.responses, OnePL(), method=MML(max_cycles=1, standard_errors=None))
    assert stopped.value.calibration is not None
    before = free.parameters.copy()
    table = compare_models(
        free, stopped.value.calibration, calibrate(made.responses, TwoPL(), method=tied)
    )
    assert table.index.tolist() == ["1pl", "2pl 1", "2pl 2"]
    assert table["df"].tolist()[1:] == [2.0, 2.0]
    assert table["note"].iloc[0] == "not converged"
    assert same(before, np.array(free.parameters))


def test_items_that_could_not_be_calibrated_do_not_stand_in_the_way():
    made = simulate(TwoPL(), n_persons=300, n_items=6, seed=3)
    codes = made.responses.dense().copy()
    codes[:, 4] = 1
    responses = replace(made.responses, codes=codes)
    table = compare_models(
        calibrate(responses, Rasch(), method=QUICK),
        calibrate(responses.select_items(responses.items[::-1]), TwoPL(), method=QUICK),
    )
    assert table["df"].iloc[1] == 4
    assert table["chi2"].iloc[1] > 0


def test_calibrations_of_other_answers_are_refused():
    one = made_up(TwoPL(), -700.0, 8)
    with pytest.raises(ModelError, match="at least two calibrations; 1 given"):
        compare_models(one)
    with pytest.raises(ModelError, match=r"of 500 and 400 persons.*calibrate the same ones"):
        compare_models(one, replace(one, n_persons=400.0))
    other = replace(one, items=("i1", "i2", "i3", "q"))
    with pytest.raises(ModelError, match=r"2 of the items are in one calibration only: 'i4', 'q'"):
        compare_models(one, other)
    with pytest.raises(ModelError, match="different categories of the same items"):
        compare_models(one, made_up(Graded(), -700.0, 12, n_categories=3))


@pytest.mark.slow
def test_a_true_rasch_model_is_rejected_as_often_as_the_level_says():
    p = []
    for seed in range(200):
        made = simulate(Rasch(), n_persons=500, n_items=8, seed=30_000 + seed)
        small, large = (
            calibrate(made.responses, model, method=QUICK) for model in (Rasch(), TwoPL())
        )
        p.append(compare_models(small, large)["p"].iloc[1])
    assert 0.01 <= (np.array(p) < 0.05).mean() <= 0.105
    assert kstest(p, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_one_lower_asymptote_that_is_none_follows_the_mixture():
    found = []
    bare = replace(QUICK, priors=Priors(lower=None, upper=None), tolerance=1e-4)
    for seed in range(100):
        made = simulate(TwoPL(), n_persons=500, n_items=8, seed=40_000 + seed)
        guessed = {item: TwoPL() for item in made.responses.items} | {"i3": ThreePL()}
        small = calibrate(made.responses, TwoPL(), method=QUICK)
        large = calibrate(made.responses, guessed, method=bare)
        found.append(compare_models(small, large)[["chi2", "p"]].iloc[1].tolist())
    statistic, p = np.array(found).T
    above = statistic > 0.01  # below is the asymptote at zero
    assert 0.34 <= above.mean() <= 0.66
    assert kstest(2.0 * p[above], "uniform").pvalue > 0.001
    assert 0.01 <= (p < 0.05).mean() <= 0.12
