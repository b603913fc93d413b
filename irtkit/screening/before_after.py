"""What a test measures before a screening and after: information, reliability, floor, ceiling."""

from __future__ import annotations

import numpy as np
import pandas as pd

from irtkit.arrays import IntArray
from irtkit.coding import MISSING
from irtkit.estimation import Calibration
from irtkit.estimation.calibration import matched
from irtkit.responses import Responses
from irtkit.scoring import reliability, score, test_information
from irtkit.screening.sequence import Screening

CHECKED_AT = (-2.0, -1.0, 0.0, 1.0, 2.0)


def before_and_after(responses: Responses, screening: Screening) -> pd.DataFrame:
    """Compare what the test measured before a screening with what it measures after.

    Parameters
    ----------
    responses : Responses
        The answers that were screened.
    screening : Screening

    Returns
    -------
    DataFrame
        Rows "before" and "after": n_items, reliability_marginal, reliability_empirical,
        information_highest and theta_highest (where the test tells most), standard_error at
        theta -2, -1, 0, 1 and 2, theta_floor and theta_ceiling (EAP of the lowest and highest
        answers to all items), share_floor and share_ceiling (of persons who gave them on all
        items they saw), n_persons.
    """
    rows = {
        "before": _measured(responses, screening.first),
        "after": _measured(screening.responses, screening.calibration),
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("test")


def _measured(responses: Responses, calibration: Calibration) -> dict[str, float]:
    known, part = matched(responses, calibration)
    curve = test_information(part)["information"]
    at = test_information(part, CHECKED_AT)["standard_error"]
    found = reliability(part, score(known, part))
    highest = part.assignment.n_categories - 1  # (I,)
    ends = Responses(
        codes=np.stack([np.zeros_like(highest), highest]).astype(np.int8),
        persons=("floor", "ceiling"),
        items=known.items,
        categories=known.categories,
    )
    theta = score(ends, part).theta
    floor, ceiling, people = _at_the_ends(known, highest)
    return {
        "n_items": known.n_items,
        "reliability_marginal": found.marginal,
        "reliability_empirical": found.empirical,
        "information_highest": float(curve.max()),
        "theta_highest": float(curve.index.to_numpy()[int(np.argmax(curve.to_numpy()))]),
        **{f"standard_error_{place:+.0f}": float(at.loc[place]) for place in CHECKED_AT},
        "theta_floor": float(theta[0]),
        "theta_ceiling": float(theta[1]),
        "share_floor": floor / people,
        "share_ceiling": ceiling / people,
        "n_persons": people,
    }


def _at_the_ends(responses: Responses, highest: IntArray) -> tuple[float, float, float]:
    """Weight of persons with all answers at the bottom, at the top, and of all who answered."""
    floor = ceiling = people = 0.0
    for rows, codes in responses.blocks():
        weights = responses.weights[rows]
        seen = codes != MISSING
        some = seen.any(axis=1)
        people += float(weights[some].sum())
        floor += float(weights[some & ((codes == 0) | ~seen).all(axis=1)].sum())
        ceiling += float(weights[some & ((codes == highest) | ~seen).all(axis=1)].sum())
    return floor, ceiling, people
