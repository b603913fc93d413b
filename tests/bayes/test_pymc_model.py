"""The PyMC model and the hand-written density are one posterior."""

import numpy as np
import pytest

pytest.importorskip("pymc")


from irtkit.estimation.bayes.pymc_model import pymc_model
from irtkit.estimation.blocks import Rows
from irtkit.latent import Normal
from irtkit.models import Graded
from tests.bayes.test_density import MODEL_NAMES, PRIORS, answers, density

ROUNDING = 1e-8


def rows_of(responses):
    groups = np.zeros(responses.n_persons, dtype=np.int64)
    return Rows(responses.codes, responses.weights, groups)


def coordinates(model, layout, x):
    """The same point for PyMC: a mapping of its unconstrained variables."""
    own, slopes, places, lower, upper = layout.parts()
    point = {"slopes": x[slopes], "lower_logit": x[lower], "log_gap": x[upper]}
    for number, family in enumerate(layout.assignment.families):
        raw = x[places][layout.places(family)]  # (i, K - 1)
        name = f"places_{number}"
        if isinstance(family.model, Graded) and family.n_categories > 2:
            raw[:, 0] = -raw[:, 0]
            name += "_ordered__"
        point[name] = raw
    for name, value in zip(layout.hyper, x[own], strict=True):
        if name == "correlation":
            point["half_correlation_logodds__"] = np.array(2.0 * value)
        elif name.startswith("sd_"):
            point[f"{name}_log__"] = np.array(value)
        elif name == "mean_slope":
            point[f"{name}_interval__"] = np.array(value)
        else:
            point[name] = np.array(value)
    names = {variable.name for variable in model.value_vars}
    return {name: value for name, value in point.items() if name in names}


@pytest.mark.parametrize(
    ("name", "priors"),
    [(name, "hierarchical") for name in MODEL_NAMES] + [("2pl", each) for each in PRIORS],
)
def test_both_give_the_same_posterior_up_to_a_constant(name, priors):
    whole = density(name, PRIORS[priors], 1.0)
    model = pymc_model(
        whole.layout, PRIORS[priors], rows_of(answers(name)), nodes=Normal().nodes()
    )
    log_density = model.compile_logp(mode="FAST_COMPILE")
    rng = np.random.default_rng(2)
    points = [rng.normal(0.0, 0.4, whole.layout.size) for _ in range(3)]
    theirs = [float(log_density(coordinates(model, whole.layout, x))) for x in points]
    ours = [whole(x)[0] for x in points]
    assert np.diff(theirs) == pytest.approx(np.diff(ours), abs=ROUNDING)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_joint_likelihood_is_that_of_the_answers(name):
    responses = answers(name)
    whole = density(name, PRIORS["hierarchical"], 1.0)
    model = pymc_model(whole.layout, PRIORS["hierarchical"], rows_of(responses))
    assert "theta" in {variable.name for variable in model.free_RVs}
    rng = np.random.default_rng(4)
    x = rng.normal(0.0, 0.4, whole.layout.size)
    theta = rng.normal(size=responses.n_persons)
    point = coordinates(model, whole.layout, x) | {"theta": theta}
    found = model.compile_logp(vars=[model["log_likelihood"]], mode="FAST_COMPILE")(point)
    table = whole.layout.assignment.log_prob(whole.unfolded(x[None])[0][0], theta)  # (P, I, K)
    person, item = np.nonzero(responses.codes >= 0)
    exact = table[person, item, responses.codes[person, item]].sum()
    assert float(found) == pytest.approx(exact, abs=ROUNDING)
