"""The judge of the benchmarks, which shares no code with irtkit, against irtkit."""

import numpy as np
import pytest

from benchmarks.likelihood import log_likelihood
from benchmarks.recovery import regression
from irtkit.estimation import MML, calibrate
from irtkit.models import Graded, TwoPL
from irtkit.simulate import simulate

QUADRATURE = 1e-3  # the judge integrates over [-8, 8], irtkit over [-6, 6]


@pytest.mark.parametrize("model", [TwoPL(), Graded()], ids=lambda model: model.name)
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_judge_finds_the_log_likelihood_that_irtkit_reports(model, missing):
    made = simulate(model, n_persons=700, n_items=9, seed=2, missing=missing)
    found = calibrate(made.responses, model, method=MML(standard_errors=None))
    judged = log_likelihood(
        made.responses.dense(), found.parameters[:, 0], found.parameters[:, 1:]
    )
    assert judged == pytest.approx(found.log_likelihood, abs=QUADRATURE)


def test_regression_on_the_true_abilities_recovers_the_items():
    made = simulate(TwoPL(), n_persons=20_000, n_items=6, seed=3)
    found = regression(made.responses.dense(), made.theta)
    assert np.abs(found.slope - made.parameters[:, 0]).max() < 0.15
