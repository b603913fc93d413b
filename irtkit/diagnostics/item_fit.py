r"""Item fit: does each item behave as the model says? S-X2, infit and outfit in one table.

S-X2 compares observed with expected answers among persons of equal summed score, so it does not
depend on estimated abilities: `summed_score_fit.py` for complete answers, `incomplete_fit.py` for
incomplete ones, which assumes that missing answers are ignorable. Infit and outfit, mean squares
of residuals at the estimated abilities, are in `residuals.py`.

References
----------
Orlando, M., & Thissen, D. (2000). Likelihood-based item-fit indices for dichotomous item response
    theory models. Applied Psychological Measurement, 24(1), 50-64.
Kang, T., & Chen, T. T. (2008). Performance of the generalized S-X2 item fit index for polytomous
    IRT models. Journal of Educational Measurement, 45(4), 391-406.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from irtkit.arrays import FloatArray
from irtkit.diagnostics.incomplete_fit import incomplete_fit
from irtkit.diagnostics.multiplicity import adjust
from irtkit.diagnostics.residuals import item_mean_squares
from irtkit.diagnostics.summed_score_fit import complete_fit
from irtkit.estimation.calibration import Calibration, matched
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.storage import category_counts


def item_fit(
    responses: Responses,
    calibration: Calibration,
    *,
    adjustment: str = "holm",
    held_out: bool = False,
) -> pd.DataFrame:
    """Test each calibrated item against the model.

    Parameters
    ----------
    responses : Responses
        The answers that were calibrated, or others to the same items; items may have any number
        of categories.
    calibration : Calibration
    adjustment : str
        "holm", "benjamini-hochberg" or "none".
    held_out : bool
        Whether the parameters were estimated from other persons' answers. Then no degrees of
        freedom are lost to them, but their sampling error still inflates the statistic somewhat,
        the more the larger these answers are beside those that were calibrated.

    Returns
    -------
    DataFrame
        Indexed by item: s_x2, df, p, p_adjusted, rmsea (of S-X2), infit, outfit, infit_z,
        outfit_z (at EAP abilities), n_answered (sum of the person weights), method ("complete" or
        "incomplete"). df is the number of cells less the number of groups and, unless held out,
        the item's parameters; where it is not positive there is no test, and s_x2, p and rmsea
        are NaN. Parameters that were held at given values count as estimated.

    Raises
    ------
    ModelError
        If answers and calibration do not fit each other, or incomplete answers are too many.

    Notes
    -----
    Persons with none or all of the points, and sums that are all but impossible under the model,
    are left out. Where persons answered some four items each, less than one degree of freedom is
    lost for each parameter, and about .06 of good items have p < .05.
    """
    known, part = matched(responses, calibration)
    complete = bool((known.n_answered() == known.n_items).all())
    statistic, df = (complete_fit if complete else incomplete_fit)(known, part)
    if not held_out:
        df = df - _n_parameters(part)
    answered = _n_answered(known, complete)
    tested = df > 0
    p, rmsea = np.full((2, known.n_items), np.nan)
    p[tested] = chi2.sf(statistic[tested], df[tested])
    excess = np.maximum(statistic - df, 0.0)[tested]
    rmsea[tested] = np.sqrt(excess / (df * np.maximum(answered - 1.0, 1.0))[tested])
    squares = item_mean_squares(known, part, score(known, part).theta)
    return pd.DataFrame(
        {
            "s_x2": np.where(tested, statistic, np.nan),
            "df": df.astype(np.int64),
            "p": p,
            "p_adjusted": adjust(p, adjustment),
            "rmsea": rmsea,
            "infit": squares.infit,
            "outfit": squares.outfit,
            "infit_z": squares.infit_z,
            "outfit_z": squares.outfit_z,
            "n_answered": answered,
            "method": "complete" if complete else "incomplete",
        },
        index=pd.Index(known.items, name="item"),
    )


def _n_parameters(calibration: Calibration) -> FloatArray:
    """How many parameters were estimated for each item, shape (I,).

    The column of a slope that all items share, or that is 1 while the latent variance is free,
    counts for that.
    """
    return calibration.assignment.used().sum(axis=1).astype(np.float64)


def _n_answered(responses: Responses, complete: bool) -> FloatArray:
    """Sum of the weights of those who answered each item, shape (I,)."""
    if complete:
        return np.full(responses.n_items, responses.weights.sum())
    counts = category_counts(responses.codes, responses.n_categories, responses.weights)
    return counts.sum(axis=1)
