r"""Local dependence of pairs of items: LD-X2 with signed Cramer V, and Q3.

LD-X2 compares the 2 x 2 table of a pair with :math:`N \sum_q P_i(q) P_j(q) w_q`; Q3 correlates
residuals. Both use the persons who answered both items.

References
----------
Chen, W.-H., & Thissen, D. (1997). Local dependence indexes for item pairs using item response
    theory. Journal of Educational and Behavioral Statistics, 22(3), 265-289.
Marais, I. (2013). Local dependence. In K. B. Christensen, S. Kreiner & M. Mesbah (Eds.), Rasch
    models in health (pp. 111-130). Wiley.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from irtkit.arrays import FloatArray
from irtkit.coding import MISSING
from irtkit.diagnostics.multiplicity import adjust
from irtkit.diagnostics.residuals import check_dichotomous, q3_matrix
from irtkit.errors import ModelError
from irtkit.estimation.calibration import Calibration, matched
from irtkit.responses import Responses

MOST_ITEMS = 3000


def local_dependence(
    responses: Responses, calibration: Calibration, *, adjustment: str = "holm"
) -> pd.DataFrame:
    """Test each pair of calibrated items for dependence beyond theta.

    Parameters
    ----------
    responses : Responses
        The answers that were calibrated.
    calibration : Calibration
    adjustment : str
        "holm", "benjamini-hochberg" or "none", over all pairs.

    Returns
    -------
    DataFrame
        Indexed by (item_1, item_2): q3, q3_adjusted (minus the mean of all pairs), ld_x2, df, p,
        p_adjusted, cramer_v (negative where gamma of the table is below gamma of the model). A
        pair that nobody answered both of is NaN throughout.

    Raises
    ------
    ModelError
        For more than 3,000 items, whose table would not fit in memory.
    """
    known, part = matched(responses, calibration)
    check_dichotomous(part, "LD-X2")
    if known.n_items > MOST_ITEMS:
        pairs = known.n_items * (known.n_items - 1) // 2
        raise ModelError(
            f"{known.n_items:,} items have {pairs:,} pairs, a table of about "
            f"{pairs * 70 / 2**30:.1f} GiB. Choose at most {MOST_ITEMS:,} items (select_items)."
        )
    statistic, cramer_v = _ld_x2(known, part)
    first, second = np.triu_indices(known.n_items, 1)
    q3 = q3_matrix(known, part)[first, second]
    statistic, cramer_v = statistic[first, second], cramer_v[first, second]
    p = np.where(np.isnan(statistic), np.nan, chi2.sf(statistic, 1))
    names = np.array(known.items, dtype=object)
    index = pd.MultiIndex.from_arrays([names[first], names[second]], names=["item_1", "item_2"])
    centre = np.nanmean(q3) if np.isfinite(q3).any() else np.nan
    return pd.DataFrame(
        {
            "q3": q3,
            "q3_adjusted": q3 - centre,
            "ld_x2": statistic,
            "df": np.where(np.isnan(statistic), np.nan, 1.0),
            "p": p,
            "p_adjusted": adjust(p, adjustment),
            "cramer_v": cramer_v,
        },
        index=index,
    )


def _ld_x2(responses: Responses, calibration: Calibration) -> tuple[FloatArray, FloatArray]:
    """LD-X2 and signed Cramer V of all pairs, shape (I, I) each."""
    n_items = responses.n_items
    pairs, both, one = np.zeros((3, n_items, n_items))
    for rows, codes in responses.blocks():
        weights = responses.weights[rows][:, None]
        seen = (codes != MISSING).astype(np.float64)
        right = (codes == 1).astype(np.float64)
        pairs += (seen * weights).T @ seen
        both += (right * weights).T @ right
        one += (right * weights).T @ seen  # right on i, whatever on j
    expected_both, expected_one = expected_pair(calibration)
    observed = _cells(both, one, pairs)  # (4, I, I)
    expected = _cells(expected_both, expected_one[:, None], 1.0) * pairs  # (4, I, I)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = ((observed - expected) ** 2 / expected).sum(axis=0)
        cramer_v = np.sqrt(statistic / pairs) * np.sign(_gamma(observed) - _gamma(expected))
    statistic[pairs == 0] = np.nan
    return statistic, cramer_v


def expected_pair(calibration: Calibration) -> tuple[FloatArray, FloatArray]:
    """Model probability of both right (I, I), and of each right (I,)."""
    nodes = calibration.nodes()
    log_prob = calibration.log_prob(nodes.theta)
    right = np.exp(log_prob[:, :, 1])  # (Q, I)
    weights = np.exp(nodes.log_weights)  # (Q,)
    return (right * weights[:, None]).T @ right, weights @ right


def _cells(both: FloatArray, one: FloatArray, pairs: FloatArray | float) -> FloatArray:
    """Cells right-right, right-wrong, wrong-right, wrong-wrong of all pairs."""
    return np.stack([both, one - both, one.T - both, pairs - one - one.T + both])


def _gamma(cells: FloatArray) -> FloatArray:
    """Goodman and Kruskal's gamma of 2 x 2 tables, (ad - bc) / (ad + bc)."""
    concordant, discordant = cells[0] * cells[3], cells[1] * cells[2]
    return (concordant - discordant) / (concordant + discordant)
