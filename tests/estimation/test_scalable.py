"""Standard errors for thousands of items: their exact part against loops, the whole against R."""

import numpy as np
import pytest
import scipy.sparse as sp

from irtkit.estimation import MML, calibrate
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.em import Tables
from irtkit.estimation.mml import prepared
from irtkit.estimation.scalable import missing_blocks
from irtkit.latent import Normal
from irtkit.models import MODELS
from irtkit.simulate import simulate

THETA = Normal().nodes().theta
WEIGHTS = Normal().nodes().log_weights


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_each_items_missing_information_equals_the_loop_over_persons(model, storage):
    size = 3 if model.ordinal else 2
    made = simulate(model, n_persons=60, n_items=4, seed=3, missing=0.3, n_categories=size)
    codes = made.responses.dense()
    weights = np.arange(60) % 3 + 1.0
    problem = prepared(made.responses, model, MML()).problem
    held = sp.csr_array(codes + np.int8(1)) if storage == "sparse" else codes
    problem = type(problem)(
        Blocks.of(held, weights, size),
        problem.assignment,
        problem.structure,
        problem.priors,
        problem.population,
        problem.slope_bound,
    )
    tables = Tables.of(made.assignment, made.parameters, THETA, WEIGHTS)
    found = missing_blocks(problem, made.parameters, tables)
    log_prob = made.assignment.log_prob(made.parameters, THETA)  # (Q, I, K)
    gradient = model.gradient(made.parameters, THETA[:, None])  # (Q, I, K, D)
    expected = np.zeros_like(found)
    for row, weight in zip(codes, weights, strict=True):
        joint = WEIGHTS + sum(log_prob[:, i, code] for i, code in enumerate(row) if code >= 0)
        posterior = np.exp(joint - joint.max())
        posterior /= posterior.sum()
        for item, code in enumerate(row):
            if code >= 0:
                own = gradient[:, item, code]  # (Q, D)
                mean = posterior @ own
                second = (own * posterior[:, None]).T @ own
                expected[item] += weight * (second - np.outer(mean, mean))
    assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("n_persons", "n_items", "missing", "limits"),
    [
        (400, 500, 0.0, (0.99, 1.08)),
        (4000, 100, 0.88, (0.99, 1.15)),
        (3000, 200, 0.94, (0.85, 1.01)),
    ],
)
def test_scalable_standard_errors_come_close_to_the_exact_ones(
    n_persons, n_items, missing, limits, monkeypatch
):
    made = simulate(MODELS["2pl"], n_persons=n_persons, n_items=n_items, seed=3, missing=missing)
    exact = calibrate(made.responses, MODELS["2pl"])
    monkeypatch.setattr("irtkit.estimation.standard_errors.MOST_PARAMETERS", 1)
    quick = calibrate(made.responses, MODELS["2pl"])
    between = "low rank between items" in quick.standard_errors
    assert between == (missing < 0.9)
    ratio = np.sqrt(
        np.einsum("idd->id", quick.covariance) / np.einsum("idd->id", exact.covariance)
    )
    known = ratio[np.isfinite(ratio)]
    assert limits[0] < known.min()
    assert known.max() < limits[1]
    assert np.median(known) == pytest.approx(1.0, abs=0.03)
