r"""Observed against expected answers in groups of similar ability: X2, G2, PV-Q1, item curves.

The persons who answered an item are sorted by ability and cut into groups of equal weight; the
groups at both ends take what is left over. With :math:`N_g` persons, shares :math:`O_{gk}` and
the model's :math:`P_k` at the group's mean ability,

.. math:: X^2 = \sum_g N_g \sum_k \frac{(O_{gk} - P_{gk})^2}{P_{gk}}, \qquad
          G^2 = 2 \sum_g N_g \sum_k O_{gk} \log \frac{O_{gk}}{P_{gk}}

with groups x (K - 1) degrees of freedom less the item's own free parameters; G2 loses one more for
each empty cell. Grouped by EAPs, which the answer itself helped to estimate, both reject far too
often on short tests. PV-Q1 groups by draws from each person's posterior instead and averages X2
over them, which rejects too seldom. S-X2 in `item_fit.py` has neither fault; these are here for
comparison and for the picture: `item_curves` is what a plot needs.

References
----------
Yen, W. M. (1981). Using simulation results to choose a latent trait model. Applied Psychological
    Measurement, 5(2), 245-262.
McKinley, R. L., & Mills, C. N. (1985). A comparison of several goodness-of-fit statistics. Applied
    Psychological Measurement, 9(1), 49-57.
Chalmers, R. P., & Ng, V. (2017). Plausible-value imputation statistics for detecting item misfit.
    Applied Psychological Measurement, 41(5), 372-387.
Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal
    of the American Statistical Association, 22(158), 209-212.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import chi2

from irtkit.arrays import BoolArray, CodeArray, FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.diagnostics.multiplicity import adjust
from irtkit.errors import ModelError, listing
from irtkit.estimation.calibration import Calibration, matched, restricted
from irtkit.models import SlopeRule
from irtkit.responses import Responses
from irtkit.scoring import plausible_values, score
from irtkit.storage import Codes

STATISTICS = ("x2", "g2", "pv_q1")
FEWEST_GROUPS = 2
TIE_DECIMALS = 9  # abilities that differ by less are equal, so that rounding orders nobody
NORMAL_QUANTILE = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Answers to each item in groups of similar ability, the lowest first.

    Attributes
    ----------
    observed : array, shape (I, G, K)
        Persons who chose each category, by weight.
    theta : array, shape (I, G)
        Mean ability of the persons in each group; NaN in an empty one.
    """

    observed: FloatArray
    theta: FloatArray


def grouped_fit(
    responses: Responses,
    calibration: Calibration,
    *,
    statistic: str = "x2",
    n_groups: int = 10,
    n_draws: int = 30,
    seed: int | np.random.Generator = 0,
    adjustment: str = "holm",
) -> pd.DataFrame:
    """Test each calibrated item in groups of persons of similar ability.

    Parameters
    ----------
    responses : Responses
        The answers that were calibrated, complete or not; weights count as persons.
    calibration : Calibration
    statistic : str
        "x2" or "g2", on groups by EAP, or "pv_q1", the mean of X2 over groups by plausible
        values. See the module for what they are worth.
    n_groups : int
    n_draws : int
        Plausible values for "pv_q1".
    seed : int or Generator
        For the plausible values.
    adjustment : str
        "holm", "benjamini-hochberg" or "none".

    Returns
    -------
    DataFrame
        Indexed by item: statistic, df, p, p_adjusted, rmsea (by the number of persons who
        answered the item), n_groups (that are not empty), method (which statistic). Where df is
        not positive, or fewer persons than groups answered, there is no test and p is NaN.
    """
    if statistic not in STATISTICS:
        raise ModelError(f"Unknown statistic '{statistic}'; there is {listing(STATISTICS)}.")
    known, part = matched(responses, calibration)
    _check_groups(n_groups)
    if statistic == "pv_q1":
        draws = plausible_values(known, part, n_draws=n_draws, seed=seed).to_numpy()  # (P, S)
        tables = [groups(known, part, theta, n_groups) for theta in draws.T]
        value = np.mean([_x2(table, part) for table in tables], axis=0)
    else:
        tables = [groups(known, part, score(known, part).theta, n_groups)]
        value = (_x2 if statistic == "x2" else _g2)(tables[0], part)
    people = tables[0].observed.sum(axis=2)  # (I, G)
    n_filled = (people > 0).sum(axis=1)
    df = n_filled * (part.assignment.n_categories - 1) - _own_parameters(part)
    if statistic == "g2":
        df = df - _empty_cells(tables[0], part)
    n_persons = people.sum(axis=1)
    tested = (df > 0) & (n_persons >= n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(tested, chi2.sf(value, np.maximum(df, 1)), np.nan)
        excess = np.maximum(value - df, 0.0) / (df * (n_persons - 1.0))
        rmsea = np.where(tested, np.sqrt(excess), np.nan)
    return pd.DataFrame(
        {
            "statistic": np.where(n_filled > 0, value, np.nan),
            "df": df,
            "p": p,
            "p_adjusted": adjust(p, adjustment),
            "rmsea": rmsea,
            "n_groups": n_filled,
            "method": statistic,
        },
        index=pd.Index(known.items, name="item"),
    )


def item_curves(
    responses: Responses,
    calibration: Calibration,
    *,
    items: Sequence[str] | None = None,
    n_groups: int = 10,
) -> pd.DataFrame:
    """Observed beside expected shares of each category along ability, ready to be plotted.

    Parameters
    ----------
    responses : Responses
    calibration : Calibration
    items : sequence of str, optional
        Of which items; all by default. Abilities always use all answers.
    n_groups : int
        Groups of equal weight, by EAP, of the persons who answered the item.

    Returns
    -------
    DataFrame
        One row an item, group and category: item, group (from 1, the lowest), category, theta
        (the group's mean), n (persons, by weight), observed (share who chose the category),
        expected (the model's at theta), low and high (95% interval of Wilson of the observed
        share). Empty groups have no rows.
    """
    known, part = matched(responses, calibration)
    _check_groups(n_groups)
    theta = score(known, part).theta
    if items is not None:
        known = known.select_items(list(items))
        part = restricted(part, [part.items.index(item) for item in known.items])
    found = groups(known, part, theta, n_groups)
    people = found.observed.sum(axis=2, keepdims=True)  # (I, G, 1)
    shown = (people > 0) & _categories(part)  # (I, G, K)
    item, group, category = np.nonzero(shown)
    n = np.broadcast_to(people, shown.shape)[shown]
    share = found.observed[shown] / n
    low, high = wilson(share, n)
    return pd.DataFrame(
        {
            "item": np.array(known.items, dtype=object)[item],
            "group": group + 1,
            "category": np.array(known.categories, dtype=object)[category],
            "theta": found.theta[item, group],
            "n": n,
            "observed": share,
            "expected": expected_shares(part, found.theta)[shown],
            "low": low,
            "high": high,
        }
    )


def wilson(share: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """95% interval of a share observed among n, by Wilson's score method."""
    z2 = NORMAL_QUANTILE**2
    centre = (share + 0.5 * z2 / n) / (1.0 + z2 / n)
    half = np.sqrt(share * (1.0 - share) * z2 / n + 0.25 * (z2 / n) ** 2) / (1.0 + z2 / n)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def groups(
    responses: Responses, calibration: Calibration, theta: FloatArray, n_groups: int
) -> Groups:
    """Count the answers to each item in groups of persons with similar theta (P,)."""
    n_items, size = responses.n_items, int(calibration.assignment.n_categories.max())
    observed = np.zeros((n_items, n_groups, size))  # (I, G, K)
    mean = np.full((n_items, n_groups), np.nan)  # (I, G)
    order = np.argsort(np.round(theta, TIE_DECIMALS), kind="stable")
    theta, weights = theta[order], responses.weights[order]
    whole = intervals(weights, n_groups)
    for item, (rows, codes) in enumerate(_columns(responses.codes, order)):
        every = len(rows) == len(theta)
        row, group, weight = whole if every else intervals(weights[rows], n_groups)
        cell = group * size + codes[row]
        observed[item] = np.bincount(cell, weight, n_groups * size).reshape(n_groups, size)
        people = observed[item].sum(axis=1)
        total = np.bincount(group, weight * theta[rows][row], n_groups)
        np.divide(total, people, out=mean[item], where=people > 0)
    return Groups(observed, mean)


def _columns(codes: Codes, order: IntArray) -> Iterator[tuple[IntArray, CodeArray]]:
    """Yield who answered each item, as places in `order`, with their codes."""
    if isinstance(codes, sp.csr_array):
        columns = codes.tocsc()
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        for start, stop in zip(columns.indptr[:-1], columns.indptr[1:], strict=True):
            rows = rank[columns.indices[start:stop]]
            sort = np.argsort(rows)
            yield rows[sort], columns.data[start:stop][sort] - np.int8(1)
        return
    for column in np.ascontiguousarray(codes[order].T):
        rows = np.flatnonzero(column != MISSING)
        yield rows, column[rows]


def intervals(weights: FloatArray, n_groups: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Cut rows in a given order into groups of equal weight.

    Each row stands for as many persons as its weight, one after the other, and may lie in two
    groups. Where the persons cannot be shared out evenly the first group and, for the odd one,
    the last take the rest; where there are fewer persons than groups the last groups stay empty.

    Parameters
    ----------
    weights : array, shape (n,)
    n_groups : int

    Returns
    -------
    row, group : array of int, shape (m,)
    weight : array, shape (m,)
        How many persons of the row are in the group.
    """
    upto = np.cumsum(weights)  # (n,)
    total = float(upto[-1]) if len(upto) else 0.0
    width = max(total // n_groups, 1.0)
    rest = max(total - width * n_groups, 0.0)
    edges = rest // 2 + width * np.arange(1, n_groups)  # (G - 1,)
    cuts = np.unique(np.concatenate([upto, edges[edges < total]]))  # (m,)
    weight = np.diff(cuts, prepend=0.0)
    middle = cuts - 0.5 * weight
    return np.searchsorted(upto, middle), np.searchsorted(edges, middle), weight


def expected_shares(calibration: Calibration, theta: FloatArray) -> FloatArray:
    """Probability of each category of each item at its own thetas (I, G), shape (I, G, K)."""
    assignment = calibration.assignment
    shares = np.zeros((*theta.shape, int(assignment.n_categories.max())))
    for family in assignment.families:
        part = assignment.part(family, calibration.parameters)  # (i, D)
        log_prob = family.model.log_prob(part[:, None, :], theta[family.places])  # (i, G, K)
        shares[family.places, :, : family.n_categories] = np.exp(log_prob)
    return shares


def _x2(found: Groups, calibration: Calibration) -> FloatArray:
    people = found.observed.sum(axis=2, keepdims=True)
    expected = people * expected_shares(calibration, found.theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = (found.observed - expected) ** 2 / expected
    return np.asarray(np.where(_filled(people, calibration), cells, 0.0).sum(axis=(1, 2)))


def _g2(found: Groups, calibration: Calibration) -> FloatArray:
    people = found.observed.sum(axis=2, keepdims=True)
    expected = people * expected_shares(calibration, found.theta)
    some = found.observed > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = found.observed * np.log(found.observed / expected)
    return np.asarray(2.0 * np.where(some, cells, 0.0).sum(axis=(1, 2)))


def _empty_cells(found: Groups, calibration: Calibration) -> IntArray:
    people = found.observed.sum(axis=2, keepdims=True)
    empty = _filled(people, calibration) & (found.observed == 0)
    return np.asarray(empty.sum(axis=(1, 2)), dtype=np.int64)


def _filled(people: FloatArray, calibration: Calibration) -> BoolArray:
    """Cells of groups with persons (I, G, 1) and of categories that the item has, (I, G, K)."""
    return (people > 0) & _categories(calibration)


def _categories(calibration: Calibration) -> BoolArray:
    """Which categories each item has, shape (I, 1, K)."""
    sizes = calibration.assignment.n_categories
    return np.arange(int(sizes.max())) < sizes[:, None, None]


def _own_parameters(calibration: Calibration) -> IntArray:
    """How many parameters were estimated for each item alone, shape (I,)."""
    assignment = calibration.assignment
    free = np.array([model.slope_rule is SlopeRule.FREE for model in assignment.models])
    own = assignment.used() & (free[:, None] | ~assignment.slopes())
    return np.asarray(own.sum(axis=1), dtype=np.int64)


def _check_groups(n_groups: int) -> None:
    if n_groups < FEWEST_GROUPS:
        raise ModelError(
            f"{n_groups} groups cannot show how answers change with ability; give at least "
            f"{FEWEST_GROUPS}."
        )
