"""Priors: densities that integrate to one, and derivatives that equal differences."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit

from irtkit.errors import ModelError
from irtkit.estimation import Beta, LogitNormal, LogNormal, Priors
from irtkit.latent import Normal
from irtkit.models import MODELS, Assignment
from irtkit.simulate import item_parameters

STEP = 1e-6


def density(prior, value):
    return float(np.exp(prior.density(np.array([value]))[0][0]))


def test_densities_integrate_to_one():
    slope = LogNormal(0.2, 0.5)
    assert quad(lambda a: density(slope, a), 0, 30)[0] == pytest.approx(1.0, abs=1e-8)
    assert density(slope, -1.3) == density(slope, 1.3)
    share = Beta(5.0, 17.0)
    assert quad(lambda c: density(share, logit(c)), 0, 1)[0] == pytest.approx(1.0, abs=1e-8)
    both = LogitNormal(-1.1, 0.5)
    assert quad(lambda g: density(both, g), -8, 8)[0] == pytest.approx(1.0, abs=1e-8)


def test_the_default_prior_of_an_asymptote_has_its_mode_where_it_says():
    grid = np.linspace(-4, 4, 80001)
    value = Priors().lower.density(grid)[0]
    assert expit(grid[np.argmax(value)]) == pytest.approx(0.2, abs=1e-4)


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
@pytest.mark.parametrize(
    "lower", [Beta(5.0, 17.0), LogitNormal(-1.1, 0.5)], ids=["beta", "normal"]
)
def test_gradient_equals_differences(model, lower):
    size = 4 if model.ordinal else 2
    assignment = Assignment.of([model] * 5, [size] * 5)
    parameters = item_parameters(model, 5, size, np.random.default_rng(1))
    parameters[0, model.slopes(parameters.shape[1])] *= -1.0
    priors = Priors(LogNormal(0.1, 0.4), Normal(0.3, 1.5), lower, Beta(17.0, 5.0))
    _, gradient, information = priors.log_density(assignment, parameters)
    for place in range(parameters.shape[1]):
        moved = [parameters.copy(), parameters.copy()]
        moved[0][:, place] += STEP
        moved[1][:, place] -= STEP
        up, down = (priors.log_density(assignment, each)[0] for each in moved)
        assert gradient[:, place] == pytest.approx((up - down) / (2 * STEP), abs=1e-5)
    assert np.linalg.eigvalsh(information).min() > -1e-10


@pytest.mark.parametrize(
    "wrong",
    [
        {"slope": LogNormal(0.0, 0.0)},
        {"difficulty": Normal(float("nan"), 1.0)},
        {"upper": LogitNormal(0.0, -1.0)},
    ],
)
def test_priors_that_are_no_distributions_are_refused(wrong):
    with pytest.raises(ModelError, match="is not a distribution"):
        Priors(**wrong)
