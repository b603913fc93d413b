"""Classical item statistics: what the answers say before any model, and unlikely twins.

No parameters are estimated here. The item-rest correlation compares an item with the mean
residual of a person's other answers, so it stands for incomplete answers too.

References
----------
Lord, F. M., & Novick, M. R. (1968). Statistical theories of mental test scores. Addison-Wesley.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import t as student

from irtkit import storage
from irtkit.arrays import CodeArray, FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.diagnostics.multiplicity import adjust
from irtkit.responses import Responses
from irtkit.storage import category_counts

FEWEST_PERSONS = 4  # two degrees of freedom for a correlation
GROUP_SIZE = 20
MOST_GROUPS = 10


def classical_table(responses: Responses, *, adjustment: str = "holm") -> pd.DataFrame:
    """Describe each item without a model.

    Parameters
    ----------
    responses : Responses
    adjustment : str
        "holm", "benjamini-hochberg" or "none", over all items that could be tested.

    Returns
    -------
    DataFrame
        Indexed by item: n_answered, n_commonest (persons in the commonest category),
        mean_code (the share right, for 0/1 items), item_rest (correlation with the mean residual
        of each person's other answers), p (one-sided, by Student's t, that it is positive),
        p_adjusted. An item with fewer than four persons who answered others too, or with one
        answer alone, has no correlation.
    """
    counts = category_counts(responses.codes, responses.n_categories, responses.weights)
    answered = counts.sum(axis=1)  # (I,)
    with np.errstate(invalid="ignore"):
        mean = counts @ np.arange(responses.n_categories) / answered  # (I,)
    correlation, persons = _item_rest(responses, mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.sqrt((persons - 2.0) / (1.0 - correlation**2))
        p = np.asarray(student.sf(correlation * size, np.maximum(persons - 2.0, 1.0)))
    return pd.DataFrame(
        {
            "n_answered": answered,
            "n_commonest": counts.max(axis=1),
            "mean_code": mean,
            "item_rest": correlation,
            "p": p,
            "p_adjusted": adjust(p, adjustment),
        },
        index=pd.Index(responses.items, name="item"),
    )


def _item_rest(responses: Responses, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Correlation of each item with the rest, and over how many persons, shape (I,) each."""
    sums = np.zeros((6, responses.n_items))  # w, wx, wr, wxx, wrr, wxr over usable cells
    for rows, items, persons, residual in _residuals(responses, mean):
        n_rows = rows.stop - rows.start
        total = np.bincount(persons, residual, n_rows)  # (B,)
        others = np.bincount(persons, minlength=n_rows)[persons] - 1.0
        usable = others > 0
        items, persons, residual = items[usable], persons[usable], residual[usable]
        rest = (total[persons] - residual) / others[usable]
        weight = responses.weights[rows][persons]
        for place, values in enumerate(
            (weight, residual, rest, residual**2, rest**2, residual * rest)
        ):
            heavy = values if place == 0 else weight * values
            sums[place] += np.bincount(items, heavy, responses.n_items)
    n = sums[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, r, xx, rr, xr = sums[1:] / n
        spread = np.maximum(xx - x * x, 0.0) * np.maximum(rr - r * r, 0.0)
        correlation = np.where(spread > 1e-20, (xr - x * r) / np.sqrt(spread), np.nan)
    correlation[n < FEWEST_PERSONS] = np.nan
    return np.clip(correlation, -1.0, 1.0), n


def _residuals(
    responses: Responses, mean: FloatArray
) -> Iterator[tuple[slice, IntArray, IntArray, FloatArray]]:
    """Yield rows, item, person within the rows, and code minus the item's mean, of each cell."""
    if isinstance(responses.codes, sp.csr_array):
        codes = responses.codes
        for start in range(0, responses.n_persons, 65_536):
            rows = slice(start, min(start + 65_536, responses.n_persons))
            cells = slice(codes.indptr[rows.start], codes.indptr[rows.stop])
            items = codes.indices[cells].astype(np.int64)
            lengths = np.diff(codes.indptr[rows.start : rows.stop + 1])
            persons = np.repeat(np.arange(len(lengths)), lengths)
            yield rows, items, persons, codes.data[cells] - 1.0 - mean[items]
        return
    for rows, block in responses.blocks():
        persons, items = np.nonzero(block != MISSING)
        yield rows, items, persons, block[persons, items] - mean[items]


def unlikely_twins(responses: Responses, alpha: float) -> list[tuple[str, str, float]]:
    """Find items with exactly the answers of an earlier one, where chance does not explain it.

    The persons who answered both are sorted by the mean residual of their other answers and cut
    into groups of 20 or more; within a group, two items with these shares agree on everybody by
    chance with probability sum(share^2) a person. No model is asked: a twin bends it so that the
    two items explain each other.

    Returns
    -------
    list of (item, earlier item, probability)
        The probability of such agreement in any pair of items: that of this pair times the
        number of pairs, at most 1; below `alpha`.
    """
    pairs = _equal_columns(responses)
    if not pairs:
        return []
    n_pairs = responses.n_items * (responses.n_items - 1) / 2.0
    counts = category_counts(responses.codes, responses.n_categories, responses.weights)
    with np.errstate(invalid="ignore"):
        mean = counts @ np.arange(responses.n_categories) / counts.sum(axis=1)
    total, number = np.zeros((2, responses.n_persons))
    for rows, _, persons, residual in _residuals(responses, mean):
        total[rows] = np.bincount(persons, residual, rows.stop - rows.start)
        number[rows] = np.bincount(persons, minlength=rows.stop - rows.start)
    found = []
    for item, twin in pairs:
        codes = storage.dense(responses.codes[:, [item]])[:, 0]
        both = np.flatnonzero(codes != MISSING)
        others = total[both] - 2.0 * (codes[both] - mean[item])
        rest = others / np.maximum(number[both] - 2.0, 1.0)
        log_agree = _log_agreement(codes[both], rest, responses.weights[both])
        probability = float(min(1.0, np.exp(log_agree + np.log(n_pairs))))
        if probability < alpha:
            found.append((responses.items[item], responses.items[twin], probability))
    return found


def _log_agreement(codes: CodeArray, rest: FloatArray, weights: FloatArray) -> float:
    """Log-probability that two items with the shares of one agree on all persons by chance."""
    n_groups = max(1, min(MOST_GROUPS, len(codes) // GROUP_SIZE))
    order = np.argsort(rest, kind="stable")
    group = np.empty(len(codes), dtype=np.int64)
    group[order] = np.arange(len(codes)) * n_groups // max(1, len(codes))
    size = int(codes.max(initial=0)) + 1
    table = np.bincount(group * size + codes, weights, n_groups * size).reshape(n_groups, size)
    persons = table.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        agree = ((table / persons[:, None]) ** 2).sum(axis=1)  # (G,)
    return float(persons[persons > 0] @ np.log(agree[persons > 0]))


def _equal_columns(responses: Responses) -> list[tuple[int, int]]:
    """Pairs of an item and the first earlier one with exactly its answers."""
    first_of: dict[bytes, int] = {}
    pairs = []
    for item, key in enumerate(_column_bytes(responses.codes)):
        twin = first_of.setdefault(key, item)
        if twin != item:
            pairs.append((item, twin))
    return pairs


def _column_bytes(codes: storage.Codes) -> Iterator[bytes]:
    """Yield bytes for each item that are equal where all answers are."""
    if isinstance(codes, sp.csr_array):
        columns = sp.csc_array(codes)
        for start, stop in zip(columns.indptr[:-1], columns.indptr[1:], strict=True):
            yield columns.indices[start:stop].tobytes() + columns.data[start:stop].tobytes()
        return
    for column in np.ascontiguousarray(codes.T):
        yield column.tobytes()
