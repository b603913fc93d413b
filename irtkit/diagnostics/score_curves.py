"""Observed and expected right answers to each item at each summed score: what S-X2 adds up.

For the picture and for a closer look at an item that S-X2 flags; the test itself is in
`item_fit.py`.

References
----------
Orlando, M., & Thissen, D. (2000). Likelihood-based item-fit indices for dichotomous item response
    theory models. Applied Psychological Measurement, 24(1), 50-64.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from irtkit.diagnostics.ability_groups import wilson
from irtkit.diagnostics.summed_score_fit import expected_by_score, score_groups
from irtkit.errors import ModelError
from irtkit.estimation.calibration import Calibration, matched
from irtkit.responses import Responses


def score_curves(responses: Responses, calibration: Calibration) -> pd.DataFrame:
    """Compare the share of right answers with the expected one, score by score.

    Parameters
    ----------
    responses : Responses
        Complete right-or-wrong answers.
    calibration : Calibration

    Returns
    -------
    DataFrame
        One row an item and summed score that occurs, without the lowest and the highest: item,
        score, n (persons), observed, expected, low and high (95% interval of the observed share,
        Wilson), residual (difference in standard errors).

    Raises
    ------
    ModelError
        For incomplete answers, which have no common score, and for more than two categories.
    """
    known, part = matched(responses, calibration)
    sizes = part.assignment.n_categories
    if int(known.n_answered().min()) < known.n_items:
        raise ModelError(
            "Some persons left answers out, so their scores cannot be compared. Take item_curves, "
            "which groups by ability, or the persons with complete answers (select_persons)."
        )
    if int(sizes.max()) > 2:
        raise ModelError(
            "Curves by summed score are for right-or-wrong items. Take item_curves, which groups "
            "by ability."
        )
    nodes = part.nodes()
    scores, n, counts = score_groups(known, len(sizes), 2)
    chance, weights = np.exp(part.log_prob(nodes.theta)), np.exp(nodes.log_weights)
    expected = expected_by_score(chance, sizes, weights, scores)[:, :, 0]  # (G, I)
    observed = counts[:, :, 0] / n[:, None]  # (G, I)
    low, high = wilson(observed, n[:, None])
    error = np.sqrt(expected * (1.0 - expected) / n[:, None])
    columns = {
        "observed": observed,
        "expected": expected,
        "low": low,
        "high": high,
        "residual": (observed - expected) / error,
    }
    return pd.DataFrame(
        {
            "item": np.repeat(known.items, len(scores)),
            "score": np.tile(scores, len(sizes)),
            "n": np.tile(n, len(sizes)),
            **{name: values.T.ravel() for name, values in columns.items()},
        }
    )
