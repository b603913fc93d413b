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
