"""Every model against R's mirt: log-likelihoods, parameters, standard errors."""

import numpy as np
import pytest

from irtkit.estimation import MML, LogitNormal, Priors, calibrate
from irtkit.models import (
    GeneralizedPartialCredit,
    Graded,
    Nominal,
    OnePL,
    PartialCredit,
    Rasch,
    ThreePL,
    TwoPL,
)
from tests.golden import CASES, golden, golden_responses

LOG_LIKELIHOOD = 1e-6  # both sides converged to 1e-10 or so
R_PARAMETERS = 1e-4  # R stops by parameter change, some of its tails are 1e-5 away
STANDARD_ERROR = 1e-4  # relative


@pytest.mark.parametrize("case", CASES)
def test_2pl_equals_r_mirt(case):
    known = golden(case)["twopl"]
    made = calibrate(golden_responses(case), TwoPL())
    table, pars = made.table(), known["items"]["pars"]
    assert made.log_likelihood == pytest.approx(known["fit"]["logLik"], abs=LOG_LIKELIHOOD)
    assert table["discrimination"].to_numpy() == pytest.approx(pars["a1"], abs=R_PARAMETERS)
    assert table["intercept"].to_numpy() == pytest.approx(pars["d"], abs=R_PARAMETERS)
    assert table["difficulty"].to_numpy() == pytest.approx(pars["b"], abs=10 * R_PARAMETERS)
    errors = table[["se_discrimination", "se_intercept"]].to_numpy().ravel()
    assert errors == pytest.approx(known["items"]["se_free"], rel=STANDARD_ERROR)


@pytest.mark.parametrize("case", CASES)
def test_rasch_equals_r_mirt(case):
    known = golden(case)["rasch"]
    made = calibrate(golden_responses(case), Rasch())
    assert made.log_likelihood == pytest.approx(known["fit"]["logLik"], abs=1e-4)
    assert made.log_likelihood >= known["fit"]["logLik"] - LOG_LIKELIHOOD * 10
    assert made.table()["intercept"].to_numpy() == pytest.approx(
        known["items"]["pars"]["d"], abs=R_PARAMETERS
    )
    variance = made.latent.standard_deviation**2
    assert variance == pytest.approx(known["items"]["group_cov"][0][0], abs=R_PARAMETERS)
    assert (made.table()["discrimination"] == 1).all()


@pytest.mark.parametrize("case", CASES)
def test_1pl_equals_r_mirt(case):
    known = golden(case)["onepl"]
    made = calibrate(golden_responses(case), OnePL())
    assert made.log_likelihood == pytest.approx(known["fit"]["logLik"], abs=1e-5)
    slope = made.table()["discrimination"]
    assert slope.nunique() == 1
    assert slope.iloc[0] == pytest.approx(known["items"]["pars"]["a1"][0], abs=R_PARAMETERS)
    assert made.table()["se_discrimination"].iloc[0] == pytest.approx(
        known["items"]["se_free"][0], rel=STANDARD_ERROR
    )


POLYTOMOUS = {
    "graded": Graded(),
    "gpcm": GeneralizedPartialCredit(),
    "Rasch": PartialCredit(),
    "nominal": Nominal(),
}


@pytest.mark.parametrize("name", POLYTOMOUS)
def test_polytomous_models_equal_r_mirt(name):
    known = golden("graded1500")[name]
    made = calibrate(golden_responses("graded1500"), POLYTOMOUS[name])
    assert made.log_likelihood == pytest.approx(known["fit"]["logLik"], abs=1e-5)
    assert made.n_parameters == known["fit"]["nest"]
    pars = {key: np.array(value) for key, value in known["items"]["pars"].items()}
    table = made.parameters
    if name == "nominal":
        steps = np.stack([pars["a1"] * pars[f"ak{k}"] for k in range(1, 5)], axis=1)
        assert table[:, :4] == pytest.approx(steps, abs=10 * R_PARAMETERS)
        assert table[:, 4:] == pytest.approx(
            np.stack([pars[f"d{k}"] for k in range(1, 5)], axis=1), abs=10 * R_PARAMETERS
        )
    else:
        assert table[:, 0] == pytest.approx(pars["a1"], abs=R_PARAMETERS)
        intercepts = np.stack([pars[f"d{k}"] for k in range(1, 5)], axis=1)
        assert table[:, 1:] == pytest.approx(intercepts, abs=5 * R_PARAMETERS)
    if name in ("graded", "gpcm"):
        errors = np.sqrt(np.einsum("idd->id", made.covariance)).ravel()
        assert errors == pytest.approx(known["items"]["se_free"], rel=STANDARD_ERROR)


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20"])
@pytest.mark.parametrize("kind", ["cross_product", "sandwich"])
def test_other_standard_errors_equal_r_mirt(case, kind):
    known = golden(case)["twopl_se"][kind.replace("_product", "prod")]
    made = calibrate(golden_responses(case), TwoPL(), method=MML(standard_errors=kind))
    errors = made.table()[["se_discrimination", "se_intercept"]].to_numpy().ravel()
    assert errors == pytest.approx(known, rel=STANDARD_ERROR)
    assert kind[:5] in made.standard_errors


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20"])
def test_3pl_with_a_normal_prior_on_the_logit_equals_the_verified_optimum(case):
    known = golden(case)["threepl_norm_verified"]
    _, mean, sd = known["prior"]
    numbers = float(mean), float(sd)
    priors = Priors(lower=LogitNormal(*numbers))
    made = calibrate(golden_responses(case), ThreePL(), method=MML(priors=priors, tolerance=1e-7))
    table = made.table()
    assert table["discrimination"].to_numpy() == pytest.approx(known["a"], abs=2e-3)
    assert table["intercept"].to_numpy() == pytest.approx(known["d"], abs=2e-3)
    assert table["lower"].to_numpy() == pytest.approx(known["c"], abs=1e-3)


@pytest.mark.parametrize("case", ["LSAT6", "sim2k20"])
def test_r_at_its_default_tolerance_stops_below_this_optimum_and_finer_nodes_change_nothing(case):
    known = golden(case)
    made = calibrate(golden_responses(case), TwoPL(), method=MML(standard_errors=None))
    assert made.log_likelihood >= known["twopl_default"]["fit"]["logLik"] - LOG_LIKELIHOOD
    assert made.log_likelihood == pytest.approx(known["twopl_fine"]["fit"]["logLik"], abs=1e-5)


def test_information_criteria_equal_r_mirt():
    known = golden("sim2k20")["twopl"]["fit"]
    found = calibrate(golden_responses("sim2k20"), TwoPL(), method=MML(standard_errors=None))
    for name, value in found.criteria().items():
        assert value == pytest.approx(known[name.upper()], abs=1e-5)
