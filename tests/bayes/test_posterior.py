"""What is read off the draws: tables, checks, a calibration, abilities."""

import numpy as np
import pytest

pytest.importorskip("pymc")
pytest.importorskip("nutpie")

from irtkit.arrays import same
from irtkit.estimation.bayes import NUTS, Pathfinder, sample_posterior
from irtkit.estimation.bayes.posterior import POPULATION
from irtkit.estimation.calibration import CONSTANT
from irtkit.estimation.mml import calibrate
from irtkit.estimation.record import calibration_document, calibration_from
from irtkit.latent import Normal
from irtkit.models import MODELS, Graded, Rasch, ThreePL, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.bayes.posteriors import QUICK, given, small, well_mixed

SEVERAL_MONTE_CARLO_ERRORS = 0.2  # SDs, for 400 effective draws or more


def test_independent_draws_are_usable():
    checks = given(well_mixed()).checks()
    assert checks.usable
    assert checks.reasons == ()
    assert checks.r_hat < 1.01
    assert checks.ess_bulk > 400


def planted(name):
    """Draws with one fault each, and the word that its reason has to say."""
    draws = well_mixed()
    shape = draws.shape[:2]
    good = {"diverging": np.zeros(shape), "energy": np.random.default_rng(0).normal(size=shape)}
    if name == "R-hat":
        draws[0, :, 1, 0] += 0.1
        return given(draws, statistics=good)
    if name == "effective":
        return given(draws[:, :80], statistics={k: v[:, :80] for k, v in good.items()})
    if name == "diverged":
        good["diverging"][2, 7] = 1.0
        return given(draws, statistics=good)
    if name == "E-BFMI":
        steps = np.random.default_rng(0).normal(size=shape).cumsum(axis=1)
        return given(draws, statistics={**good, "energy": steps})
    if name == "sign":
        draws[3, :, :, 0] *= -1.0
        return given(draws, statistics=good)
    return given(draws[:1], statistics={k: v[:1] for k, v in good.items()})


@pytest.mark.parametrize("name", ["R-hat", "effective", "diverged", "E-BFMI", "sign", "single"])
def test_a_fault_of_the_draws_is_named(name):
    checks = planted(name).checks()
    assert checks.verdict == "not usable"
    assert any(name in reason for reason in checks.reasons)


def test_hyperparameters_are_checked_too():
    draws = well_mixed()
    apart = np.random.default_rng(1).normal(size=draws.shape[:2])
    apart[0] += 3.0
    assert not given(draws, {"sd_log_slope": apart}).checks().usable


def test_an_approximation_is_never_called_usable():
    drawn = small()[0].responses
    posterior = sample_posterior(drawn, TwoPL(), sampler=Pathfinder(draws=300, paths=2))
    assert posterior.checks().verdict == "approximate"
    assert not posterior.calibration().converged
    assert posterior.table()["r_hat"].isna().all()


def test_the_table_summarises_every_parameter():
    _, posterior = small()
    table = posterior.table()
    assert list(table.columns) == [
        *("mean", "sd", "low", "median", "high"),
        *("r_hat", "ess_bulk", "ess_tail"),
    ]
    names = set(table.index.get_level_values("parameter"))
    assert {"discrimination", "difficulty", "intercept", "sd_log_slope"} <= names
    assert (table.xs(POPULATION, level="item").index == list(posterior.hyperparameters)).all()
    draws = posterior.parameters
    b = (-draws[..., 1] / draws[..., 0])[..., 2].ravel()
    row = table.loc[("difficulty", "i3")]
    assert row["mean"] == pytest.approx(b.mean())
    assert row["sd"] == pytest.approx(b.std(ddof=1))
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(b, (0.025, 0.975))))
    assert ((table["low"] < table["median"]) & (table["median"] < table["high"])).all()


@pytest.mark.parametrize("name", ["3pl", "4pl", "graded"])
def test_the_table_has_the_names_of_the_calibration(name):
    model = MODELS[name]
    size = 3 if model.ordinal else 2
    drawn = simulate(model, n_persons=150, n_items=4, n_categories=size, seed=4).responses
    posterior = sample_posterior(drawn, model, sampler=NUTS(draws=20, tune=60, chains=2))
    names = set(posterior.table().index.get_level_values("parameter"))
    known = {
        column
        for column in posterior.calibration().table().columns
        if not column.startswith("se_") and column != "state"
    }
    assert known - {"lower", "upper"} <= names
    assert ("lower" in names) == (name in ("3pl", "4pl"))
    assert ("upper" in names) == (name == "4pl")


def test_the_calibration_holds_means_and_covariance():
    _, posterior = small()
    calibration = posterior.calibration()
    draws = posterior.parameters.reshape(-1, 6, 2)
    assert calibration.parameters == pytest.approx(draws.mean(axis=0))
    assert calibration.covariance[4] == pytest.approx(np.cov(draws[:, 4].T))
    assert calibration.latent == Normal()
    assert calibration.n_parameters == 12
    assert calibration.n_persons == 250
    assert calibration.convergence.n_cycles == posterior.n_draws
    assert calibration.convergence.quadrature_change < 0.01
    assert "chains" in calibration.notes[0]
    again = calibration_from(calibration_document(calibration))
    assert again.parameters == pytest.approx(calibration.parameters)
    peak = calibrate(posterior.responses, TwoPL())
    assert calibration.log_likelihood < peak.log_likelihood
    assert calibration.log_likelihood > peak.log_likelihood - 12


def test_rasch_has_slope_one_and_thetas_spread():
    drawn = simulate(Rasch(), n_persons=400, n_items=8, latent=Normal(0.0, 1.5), seed=3)
    posterior = sample_posterior(drawn.responses, Rasch(), sampler=QUICK)
    assert (posterior.parameters[..., 0] == 1.0).all()
    calibration, peak = posterior.calibration(), calibrate(drawn.responses, Rasch())
    assert calibration.latent.standard_deviation == pytest.approx(
        peak.latent.standard_deviation, abs=0.1
    )
    assert calibration.n_parameters == peak.n_parameters
    abilities = posterior.abilities()["theta"]
    assert abilities.std() == pytest.approx(score(drawn.responses, peak).theta.std(), abs=0.1)


def test_abilities_are_eaps_with_wider_intervals():
    _, posterior = small()
    calibration = posterior.calibration()
    plain = score(posterior.responses, calibration)
    table = posterior.abilities(400, seed=1)
    assert list(table.columns) == [
        *("theta", "standard_error", "theta_low", "theta_high", "n_answered"),
    ]
    assert list(table.index) == list(posterior.responses.persons)
    error = (table["theta"] - plain.theta) / plain.standard_error
    assert np.abs(error).max() < SEVERAL_MONTE_CARLO_ERRORS
    assert table["standard_error"].mean() > plain.standard_error.mean()
    assert (table["n_answered"] == plain.n_answered).all()


def test_log_marginals_are_the_integral_over_theta():
    _, posterior = small()
    found = posterior.log_marginals(3)  # (3, P)
    theta = np.linspace(-9.0, 9.0, 1801)
    weight = np.exp(-0.5 * theta**2)
    codes = posterior.responses.dense()
    parameters = posterior.standardised(3)[1]
    table = TwoPL().log_prob(parameters, theta[:, None])  # (Q, I, 2)
    for person in (0, 7, 100):
        items = np.flatnonzero(codes[person] >= 0)
        total = table[:, items, codes[person, items]].sum(axis=1)
        exact = np.log((np.exp(total) * weight).sum() / weight.sum())
        assert found[1, person] == pytest.approx(exact, abs=1e-8)


def test_arviz_sees_named_dimensions():
    _, posterior = small()
    data = posterior.inference_data
    draws = data["posterior"]
    assert draws["slope"].dims == ("chain", "draw", "item")
    assert list(draws["item"].values) == list(posterior.items)
    assert draws["sd_log_slope"].dims == ("chain", "draw")
    assert data["sample_stats"]["diverging"].dtype == bool


def test_constant_items_are_sampled_but_not_calibrated():
    codes = simulate(TwoPL(), n_persons=60, n_items=5, seed=2).responses.dense().copy()
    codes[:, 3] = 1
    responses = Responses(
        codes, tuple(f"p{n}" for n in range(60)), tuple(f"i{n}" for n in range(5))
    )
    posterior = sample_posterior(responses, TwoPL(), sampler=QUICK)
    assert posterior.states[3] == CONSTANT
    assert posterior.places == [0, 1, 2, 3, 4]
    assert posterior.table().loc[("difficulty", "i3"), "mean"] < -1.5
    calibration = posterior.calibration()
    assert not calibration.calibrated[3]
    assert calibration.calibrated.sum() == 4
    assert any("i3" in note for note in calibration.notes)
    assert len(score(responses, calibration).theta) == 60


def test_a_constant_graded_item_is_left_out():
    drawn = simulate(Graded(), n_persons=80, n_items=5, n_categories=3, seed=2).responses
    codes = drawn.dense().copy()
    codes[:, 1] = 2
    responses = Responses(codes, drawn.persons, drawn.items, drawn.categories)
    posterior = sample_posterior(responses, Graded(), sampler=NUTS(draws=20, tune=60, chains=2))
    assert posterior.places == [0, 2, 3, 4]
    assert np.isnan(posterior.parameters[:, :, 1]).all()
    assert len(posterior.abilities(20)) == 80


def test_models_may_differ_by_item():
    drawn = simulate(TwoPL(), n_persons=120, n_items=5, seed=2).responses
    models = {item: ThreePL() if item == "i2" else TwoPL() for item in drawn.items}
    posterior = sample_posterior(drawn, models, sampler=NUTS(draws=30, tune=80, chains=2))
    assert np.isfinite(posterior.parameters[..., 1, 2]).all()
    assert np.isnan(posterior.parameters[..., 0, 2]).all()
    assert posterior.calibration().assignment.name == "2pl+3pl"


def test_a_posterior_cannot_be_changed():
    _, posterior = small()
    with pytest.raises(ValueError, match="read-only"):
        posterior.parameters[0, 0, 0, 0] = 1.0
    assert same(posterior, posterior)
