"""How often `dif` flags items that are alike, and finds one that is not: by simulation."""

import numpy as np
import pytest

from irtkit.diagnostics.dif import dif
from irtkit.diagnostics.dif_study import DIFOptions
from tests.diagnostics.groups_drawn import two_groups

ONCE = DIFOptions(purify=False)
LOW, HIGH = 0.02, 0.075  # share of 200 to 400 dependent tests at level .05
SCORES_APART = 0.105  # summed scores of groups that differ in ability raise false alarms


@pytest.mark.slow
@pytest.mark.parametrize("impact", [0.0, 1.0])
@pytest.mark.parametrize(
    ("method", "matching", "missing"),
    [
        ("mantel_haenszel", "score", 0.0),
        ("logistic", "score", 0.0),
        ("mantel_haenszel", "ability", 0.0),
        ("logistic", "ability", 0.0),
        ("mantel_haenszel", "ability", 0.3),
        ("logistic", "ability", 0.3),
    ],
)
def test_items_alike_are_flagged_at_the_level_whatever_the_impact(
    method, matching, missing, impact
):
    """20 replications x 20 items; with abilities no inflation, with scores some."""
    options = DIFOptions(matching=matching, purify=False)
    rejected = []
    for seed in range(20):
        responses, groups = two_groups(
            1000 + seed, n_persons=500, n_items=20, impact=impact, missing=missing
        )
        rejected += list(dif(responses, groups, method=method, options=options)["p"] < 0.05)
    high = SCORES_APART if matching == "score" and impact else HIGH
    assert LOW < np.mean(rejected) < high


@pytest.mark.slow
@pytest.mark.parametrize("method", ["likelihood_ratio", "wald"])
def test_model_methods_flag_items_alike_at_the_level(method):
    """20 replications x 10 items, groups 1 SD apart."""
    rejected = []
    for seed in range(20):
        responses, groups = two_groups(2000 + seed, n_persons=500, n_items=10, impact=1.0)
        rejected += list(dif(responses, groups, method=method, options=ONCE)["p"] < 0.05)
    assert LOW < np.mean(rejected) < HIGH


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mantel_haenszel", "likelihood_ratio", "wald"])
def test_half_a_standard_deviation_is_found_with_five_anchors(method):
    """30 replications, 1,000 persons a group; at least nine of ten found."""
    slope = np.array([1.2, 0.8, 1.5, 1.0, 1.3, 1.2])
    difficulty = np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 0.0])
    parameters = np.stack([slope, -slope * difficulty], axis=1)
    found = []
    for seed in range(30):
        responses, groups = two_groups(
            3000 + seed, n_persons=1000, parameters=parameters, harder={5: 0.5}
        )
        anchors = responses.items[:5]
        table = dif(responses, groups, method=method, anchors=anchors)
        found.append(table.loc["i6", "p"] < 0.05)
    assert np.mean(found) >= 0.9
