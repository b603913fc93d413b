r"""S-X2 item fit: observed against expected success in groups of equal summed score.

.. math:: X^2_i = \sum_k N_k \frac{(O_{ik} - E_{ik})^2}{E_{ik}(1 - E_{ik})}

With missing answers each person is conditioned on the sum over the items they saw, and persons
are grouped by that expectation; the column `method` says which version it was. Assumes that
missing answers are ignorable.

References
----------
Orlando, M., & Thissen, D. (2000). Likelihood-based item-fit indices for dichotomous item response
    theory models. Applied Psychological Measurement, 24(1), 50-64.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from irtkit.arrays import FloatArray
from irtkit.coding import MISSING
from irtkit.diagnostics.multiplicity import adjust
from irtkit.diagnostics.residuals import check_dichotomous, infit_outfit
from irtkit.errors import ModelError
from irtkit.estimation.calibration import Calibration, matched
from irtkit.responses import Responses
from irtkit.scoring import score, summed_score_likelihood, without_item

GROUPS = 10
FEWEST_EXPECTED = 1.0
FEWEST_PARAMETERS = 2  # Rasch: the intercept and the latent variance
TABLE_CELLS = 400_000
MOST_CELLS = 250_000_000


def item_fit(
    responses: Responses, calibration: Calibration, *, adjustment: str = "holm"
) -> pd.DataFrame:
    """Test each calibrated item against the model.

    Parameters
    ----------
    responses : Responses
        The answers that were calibrated, or a held-out part of them.
    calibration : Calibration
    adjustment : str
        "holm", "benjamini-hochberg" or "none".

    Returns
    -------
    DataFrame
        Indexed by item: s_x2, df, p, p_adjusted, rmsea, infit, outfit, method ("complete" or
        "incomplete"). df is the number of groups minus the item's parameters; where it is not
        positive there is no test and p is NaN.
    """
    known, part = matched(responses, calibration)
    check_dichotomous(part, "S-X2")
    complete = bool((known.n_answered() == known.n_items).all())
    statistic, df = (_complete if complete else _incomplete)(known, part)
    people = known.weights.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(df > 0, chi2.sf(statistic, np.maximum(df, 1)), np.nan)
        excess = np.maximum(statistic - df, 0.0) / (df * (people - 1))
        rmsea = np.where(df > 0, np.sqrt(excess), np.nan)
    infit, outfit = infit_outfit(known, part, score(known, part).theta)
    return pd.DataFrame(
        {
            "s_x2": np.where(df > 0, statistic, np.nan),
            "df": df.astype(np.int64),
            "p": p,
            "p_adjusted": adjust(p, adjustment),
            "rmsea": rmsea,
            "infit": infit,
            "outfit": outfit,
            "method": "complete" if complete else "incomplete",
        },
        index=pd.Index(known.items, name="item"),
    )


def _n_parameters(calibration: Calibration) -> FloatArray:
    """How many parameters were estimated for each item, shape (I,)."""
    return np.maximum(calibration.assignment.used().sum(axis=1), FEWEST_PARAMETERS)


def expected_right(right: FloatArray, weights: FloatArray) -> FloatArray:
    r"""Expected proportion right on each item given the summed score, for complete answers.

    .. math:: E_{ik} = \frac{\sum_q P_i(q) S^{(-i)}_{k-1}(q) w_q}{\sum_q S_k(q) w_q}

    Parameters
    ----------
    right : array, shape (Q, I)
        Success probabilities at the nodes.
    weights : array, shape (Q,)

    Returns
    -------
    array, shape (I, I - 1)
        For scores k = 1 .. I - 1.
    """
    sums = summed_score_likelihood(right.T)  # (I + 1, Q)
    rest = without_item(sums[:, None, :], right.T)  # (I, I, Q): score, item, node
    success = np.einsum("kiq,qi,q->ik", rest, right, weights)[:, :-1]  # (I, I - 1)
    return success / (sums @ weights)[1:-1]


def _complete(responses: Responses, calibration: Calibration) -> tuple[FloatArray, FloatArray]:
    """S-X2 and its degrees of freedom for complete answers."""
    n_items = responses.n_items
    nodes = calibration.nodes()
    log_prob = calibration.log_prob(nodes.theta)
    expected = expected_right(np.exp(log_prob[:, :, 1]), np.exp(nodes.log_weights))  # (I, I-1)
    persons = np.zeros(n_items + 1)  # by score
    solved = np.zeros((n_items + 1, n_items))
    for rows, codes in responses.blocks():
        weights = responses.weights[rows]
        total = codes.sum(axis=1, dtype=np.int64)  # (B,)
        persons += np.bincount(total, weights, n_items + 1)
        indicator = (total[:, None] == np.arange(n_items + 1)) * weights[:, None]  # (B, I + 1)
        solved += indicator.T @ codes
    statistic, groups = np.empty((2, n_items))
    for item in range(n_items):
        table = np.stack(
            [persons[1:-1], solved[1:-1, item], persons[1:-1] * expected[item]], axis=1
        )  # (I - 1, 3): persons, observed right, expected right
        statistic[item], groups[item] = _chi_square(collapsed(table))
    return statistic, groups - _n_parameters(calibration)


def collapsed(table: FloatArray) -> FloatArray:
    """Merge score groups that are too small to test.

    Empty groups are dropped; a group of one person joins the next (the last one the one before);
    then, again and again, the first group with fewer than one expected right or wrong answer
    joins the neighbour with fewer persons (the next one, if equal).

    Parameters
    ----------
    table : array, shape (n, 3)
        Persons, observed right and expected right of each score group, in order.
    """
    rows = [row for row in table if row[0] > 0]
    place = 0
    while place < len(rows) and len(rows) > 1:
        if rows[place][0] > 1:
            place += 1
            continue
        other = place + 1 if place + 1 < len(rows) else place - 1
        rows[other] = rows[other] + rows[place]
        del rows[place]
    while len(rows) > 1:
        small = [n for n, row in enumerate(rows) if min(row[2], row[0] - row[2]) < FEWEST_EXPECTED]
        if not small:
            break
        place = small[0]
        sides = [n for n in (place + 1, place - 1) if 0 <= n < len(rows)]
        other = min(sides, key=lambda n: rows[n][0])
        rows[other] = rows[other] + rows[place]
        del rows[place]
    return np.array(rows).reshape(-1, 3)


def _chi_square(table: FloatArray) -> tuple[float, int]:
    persons, observed, expected = table.T
    spread = expected * (1.0 - expected / persons)  # N E (1 - E)
    return float(((observed - expected) ** 2 / spread).sum()), len(table)


def _incomplete(responses: Responses, calibration: Calibration) -> tuple[FloatArray, FloatArray]:
    """S-X2 for incomplete answers, each person conditioned on the sum over their own items.

    Persons with none or all of their items right say nothing and are left out. The others are
    sorted by their expectation and cut into ten groups of equal weight.
    """
    cells = responses.n_persons * responses.n_items
    if cells > MOST_CELLS:
        raise ModelError(
            f"Item fit of {responses.n_persons:,} x {responses.n_items:,} incomplete answers "
            f"would need {cells * 8 / 2**30:.1f} GiB. Choose fewer items or persons "
            "(select_items, select_persons)."
        )
    expectation = _expected_by_person(responses, calibration)  # (P, I), NaN where unused
    statistic, groups = np.empty((2, responses.n_items))
    codes = responses.dense()
    for item in range(responses.n_items):
        used = np.flatnonzero(~np.isnan(expectation[:, item]))
        order = used[np.argsort(expectation[used, item], kind="stable")]
        expected, weights = expectation[order, item], responses.weights[order]
        upto = np.cumsum(weights)
        group = np.minimum(GROUPS - 1, (GROUPS * (upto - weights / 2) / upto[-1:]).astype(int))
        sums = [
            np.bincount(group, weights * values, GROUPS)
            for values in (codes[order, item], expected, expected * (1.0 - expected))
        ]
        some = sums[2] > 0
        statistic[item] = ((sums[0] - sums[1])[some] ** 2 / sums[2][some]).sum()
        groups[item] = some.sum()
    return statistic, groups - _n_parameters(calibration)


def _expected_by_person(responses: Responses, calibration: Calibration) -> FloatArray:
    """Expected answer of each person to each item given their sum, NaN where not used."""
    nodes = calibration.nodes()
    log_prob = calibration.log_prob(nodes.theta)
    right, weights = np.exp(log_prob[:, :, 1]), np.exp(nodes.log_weights)  # (Q, I), (Q,)
    n_items = responses.n_items
    result = np.full((responses.n_persons, n_items), np.nan)
    size = max(1, TABLE_CELLS // (len(weights) * (n_items + 1) ** 2))
    for rows, codes in responses.blocks(size):
        seen = (codes != MISSING).T  # (I, B)
        total = np.where(seen, codes.T, 0).sum(axis=0)  # (B,)
        p = right.T[:, None, :] * seen[:, :, None]  # (I, B, Q): an unseen item adds nothing
        sums = summed_score_likelihood(p)  # (I + 1, B, Q)
        here = np.arange(len(total))
        joint = sums[total, here] @ weights  # (B,)
        rest = without_item(sums[:, None], p)  # (I, I, B, Q): score, item, person, node
        below = rest[np.maximum(total - 1, 0), :, here]  # (B, I, Q)
        expected = np.einsum("biq,ibq,q->bi", below, p, weights) / joint[:, None]
        used = seen.T & ((total > 0) & (total < seen.sum(axis=0)))[:, None]
        result[rows] = np.where(used, expected, np.nan)
    return result
