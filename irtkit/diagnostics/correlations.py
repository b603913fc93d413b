r"""Correlations of ordered answers: polychoric (tetrachoric for right or wrong), and Pearson.

A polychoric correlation is that of two normal variables which, cut at thresholds, would give the
table of a pair of items. The thresholds come from the pair's own margins, the correlation then
maximises the likelihood of the table (two-step estimation), for all pairs at once. For two
categories each it is the tetrachoric correlation, which reproduces the table exactly.

Pairs use the persons who answered both items; their matrix need not be positive definite, and
nothing is smoothed. How many components it holds is asked in `dimensionality.py`.

References
----------
Olsson, U. (1979). Maximum likelihood estimation of the polychoric correlation coefficient.
    Psychometrika, 44(4), 443-460. https://doi.org/10.1007/BF02296207
Owen, D. B. (1956). Tables for computing bivariate normal probabilities. The Annals of
    Mathematical Statistics, 27(4), 1075-1090. https://doi.org/10.1214/aoms/1177728074
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, owens_t

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.errors import ModelError, ResponseError, listing
from irtkit.responses import Responses
from irtkit.storage import Codes, blocks, category_counts
from irtkit.threads import one_thread_a_core, spread

MOST_ITEMS = 2000
MOST_CATEGORIES = 12
MOST_TABLE_CELLS = 2**27  # 1 GiB
FILLED = 0.5  # persons put into an empty cell of a 2 x 2 table
BEYOND = 40.0  # a threshold that nobody passes
ROUNDING = 1e-14  # a probability that is but rounding error
STEP_TOLERANCE = 1e-9
MOST_STEPS = 100
BLOCK_CELLS = 8_000_000
CHUNK_CELLS = 200_000


def polychoric_correlations(responses: Responses) -> pd.DataFrame:
    """Correlate the normal variables behind the answers to each pair of items.

    Parameters
    ----------
    responses : Responses
        Graded or ordered answers, complete or not.

    Returns
    -------
    DataFrame, shape (I, I)
        Rows and columns are the items. Tetrachoric correlations where both items have two
        categories. NaN where the persons who answered both items answered one of them alike, or
        nobody answered both. Not smoothed: with missing answers, or tables with empty cells,
        the matrix may have negative eigenvalues.

    Raises
    ------
    ModelError
        For more than 2,000 items or 12 categories.
    ResponseError
        If the answers are labels without a key, which have no order.

    Notes
    -----
    Thresholds are those of the persons who answered both items, so a pair depends on its own
    table alone. Where a cell of a 2 x 2 table is empty, half a person is moved into it within
    the margins, or as much as independence would put there, if that is less: then the correlation
    is 0, for the table says nothing. The likelihood of larger tables needs no such help.
    `polychoric_pairs` says which pairs those are, and how many persons each rests on.
    """
    correlations, _, _ = _estimated(responses)
    return pd.DataFrame(
        correlations,
        index=pd.Index(responses.items, name="item"),
        columns=pd.Index(responses.items, name="item"),
    )


def polychoric_pairs(responses: Responses) -> pd.DataFrame:
    """List the polychoric correlations pair by pair, with what each rests on.

    Parameters
    ----------
    responses : Responses

    Returns
    -------
    DataFrame
        Indexed by (item_1, item_2): correlation, as in `polychoric_correlations`; n_common, the
        persons who answered both items; empty_cells, combinations of their categories that nobody
        chose (in a 2 x 2 table: filled by half a person or less).
    """
    correlations, n_common, empty = _estimated(responses)
    first, second = np.triu_indices(responses.n_items, 1)
    names = np.array(responses.items, dtype=object)
    index = pd.MultiIndex.from_arrays([names[first], names[second]], names=["item_1", "item_2"])
    return pd.DataFrame(
        {
            "correlation": correlations[first, second],
            "n_common": n_common[first, second],
            "empty_cells": empty[first, second],
        },
        index=index,
    )


def _estimated(responses: Responses) -> tuple[FloatArray, FloatArray, IntArray]:
    """Correlations, common persons and empty cells of all pairs, each of shape (I, I)."""
    n_categories = checked_categories(responses)
    with one_thread_a_core():
        tables = two_way_tables(responses.codes, responses.weights, n_categories)
        first, second = np.triu_indices(responses.n_items, 1)
        correlations = symmetric(polychoric(tables[first, :, second]), responses.n_items)
    varied = np.array([(np.diag(tables[i, :, i]) > 0).sum() > 1 for i in range(len(tables))])
    correlations[np.diag_indices(len(tables))] = np.where(varied, 1.0, np.nan)
    empty = _empty_cells(tables[first, :, second]).sum(axis=(1, 2))
    return correlations, tables.sum(axis=(1, 3)), symmetric(empty, responses.n_items).astype(int)


def checked_categories(responses: Responses) -> int:
    """Return the number of categories in use, after checking that all pairs can be tabled.

    Raises
    ------
    ModelError
        For too many items or categories.
    ResponseError
        If the answers are labels without a key.
    """
    if responses.labels is not None and responses.key is None:
        raise ResponseError(
            f"The answers are labels ({listing(responses.label_set)}) without a key, so they have "
            "no order and no correlations. Give the key (--key)."
        )
    counts = category_counts(responses.codes, responses.n_categories, responses.weights)
    n_categories = int(np.flatnonzero(counts.any(axis=0)).max(initial=0)) + 1
    n_items = responses.n_items
    if n_items > MOST_ITEMS or (n_items * n_categories) ** 2 > MOST_TABLE_CELLS:
        gigabytes = (n_items * n_categories) ** 2 * 8 / 2**30
        raise ModelError(
            f"The tables of all pairs of {n_items:,} items with {n_categories} categories would "
            f"need {gigabytes:.1f} GiB and long computations. Choose fewer items (select_items), "
            f"at most {min(MOST_ITEMS, int(MOST_TABLE_CELLS**0.5) // n_categories):,}."
        )
    if n_categories > MOST_CATEGORIES:
        raise ModelError(
            f"The answers have {n_categories} categories; polychoric correlations are for at most "
            f"{MOST_CATEGORIES}. Join neighbouring categories."
        )
    return n_categories


def two_way_tables(codes: Codes, weights: FloatArray, n_categories: int) -> FloatArray:
    """Count the persons in each combination of categories of each pair of items.

    Parameters
    ----------
    codes : array of int8 (P, I), -1 where missing; or CSR of code + 1
    weights : array, shape (P,)
    n_categories : int

    Returns
    -------
    array, shape (I, K, I, K)
    """
    n_items = codes.shape[1]
    width = n_items * n_categories
    unit = bool((weights == 1.0).all())  # then float32 counts exactly
    total = np.zeros((width, width))
    for rows, block in blocks(codes, max(64, BLOCK_CELLS // width)):
        chosen = block[:, :, None] == np.arange(n_categories, dtype=np.int8)  # (B, I, K)
        chosen = chosen.reshape(len(block), width)
        if unit:
            single = chosen.astype(np.float32)
            total += single.T @ single
        else:
            double = chosen.astype(np.float64)
            total += (double * weights[rows][:, None]).T @ double
    return total.reshape(n_items, n_categories, n_items, n_categories)


def symmetric(values: FloatArray | IntArray, n_items: int) -> FloatArray:
    """Return the symmetric matrix (I, I) with the values of the pairs, and ones as diagonal."""
    matrix = np.zeros((n_items, n_items))
    matrix[np.triu_indices(n_items, 1)] = values
    return matrix + matrix.T + np.eye(n_items)


def pearson(tables: FloatArray) -> FloatArray:
    """Pearson correlation of the codes in each table (n, K, L), shape (n,).

    For two categories it is the phi coefficient. NaN where one of the variables does not vary.
    """
    x, y = np.arange(tables.shape[1]), np.arange(tables.shape[2])
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)  # (n, K), (n, L)
    with np.errstate(divide="ignore", invalid="ignore"):
        persons = rows.sum(axis=1)
        mean_x, mean_y = rows @ x / persons, columns @ y / persons
        covariance = np.einsum("nkl,k,l->n", tables, x, y) / persons - mean_x * mean_y
        variance_x = rows @ x**2 / persons - mean_x**2
        variance_y = columns @ y**2 / persons - mean_y**2
        correlation = covariance / np.sqrt(variance_x * variance_y)
    return np.where(_varied(tables), correlation, np.nan)


def polychoric(tables: FloatArray) -> FloatArray:
    """Polychoric correlation of each table (n, K, L) of persons, shape (n,).

    NaN where one of the variables does not vary.
    """
    result = np.full(len(tables), np.nan)
    known = np.flatnonzero(_varied(tables))
    size = max(1, CHUNK_CELLS // (tables.shape[1] * tables.shape[2]))
    chunks = [known[start : start + size] for start in range(0, len(known), size)]

    def fill(share: Sequence[IntArray]) -> None:
        for chunk in share:
            result[chunk] = _maximised(_filled(tables[chunk]))

    spread(fill, chunks, len(chunks) > 1)
    return result


def _varied(tables: FloatArray) -> BoolArray:
    """Whether both variables of each table take more than one value, shape (n,)."""
    used_rows = (tables.sum(axis=2) > 0).sum(axis=1)
    used_columns = (tables.sum(axis=1) > 0).sum(axis=1)
    return np.asarray((used_rows > 1) & (used_columns > 1))


def _empty_cells(tables: FloatArray) -> BoolArray:
    """Which cells of used rows and columns are empty, shape (n, K, L)."""
    rows, columns = tables.sum(axis=2) > 0, tables.sum(axis=1) > 0
    return np.asarray((tables == 0) & rows[:, :, None] & columns[:, None, :])


def _filled(tables: FloatArray) -> FloatArray:
    """Move half a person into the empty cells of tables with two used rows and columns.

    The margins stay: what two cells gain the other two lose. If independence would put less than
    half a person there, so do we: more would turn the sign of the correlation.
    """
    rows, columns = tables.sum(axis=2) > 0, tables.sum(axis=1) > 0
    small = (rows.sum(axis=1) == 2) & (columns.sum(axis=1) == 2)
    places = np.flatnonzero(small & _empty_cells(tables).any(axis=(1, 2)))
    if not len(places):
        return tables
    first, second = rows[places].argmax(axis=1), columns[places].argmax(axis=1)
    last = rows.shape[1] - 1 - rows[places, ::-1].argmax(axis=1)
    other = columns.shape[1] - 1 - columns[places, ::-1].argmax(axis=1)
    filled = tables.copy()
    low, high = filled[places, first, second], filled[places, last, other]
    left, right = filled[places, last, second], filled[places, first, other]
    towards = np.where((low == 0) | (high == 0), 1.0, -1.0)  # gains on the main diagonal
    independence = np.abs(low * high - left * right) / filled[places].sum(axis=(1, 2))
    shift = towards * np.minimum(FILLED, independence)
    filled[places, first, second] += shift
    filled[places, last, other] += shift
    filled[places, last, second] -= shift
    filled[places, first, other] -= shift
    return filled


def _maximised(tables: FloatArray) -> FloatArray:
    """Maximise the likelihood of each table over the correlation, shape (n,).

    Fisher scoring, which for 2 x 2 tables is Newton's method on Phi2(h, k, rho) = p. The sign of
    the score brackets the maximum; a step that leaves the bracket, or is not half as long as the
    last one, halves the bracket instead.
    """
    share = tables / tables.sum(axis=(1, 2), keepdims=True)
    rho = np.clip(pearson(tables), -0.9, 0.9)
    low, high = np.full(len(rho), -1.0), np.ones(len(rho))
    last = np.ones(len(rho))
    cut = _thresholds(tables)
    active = np.arange(len(rho))
    for _ in range(MOST_STEPS):
        here = rho[active]
        score, information = _score(share[active], cut[0][active], cut[1][active], here)
        low[active] = np.where(score > 0, here, low[active])
        high[active] = np.where(score > 0, high[active], here)
        step = score / np.maximum(information, 1e-300)
        trial = here + step
        inside = (trial > low[active]) & (trial < high[active])
        halve = ~inside | (np.abs(step) > 0.5 * last[active])
        trial = np.where(halve, 0.5 * (low[active] + high[active]), trial)
        trial = np.where(score == 0, here, trial)
        last[active] = np.abs(trial - here)
        rho[active] = trial
        active = active[np.abs(trial - here) > STEP_TOLERANCE]
        if not len(active):
            break
    return rho


def _thresholds(tables: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Thresholds of the rows (n, K - 1) and columns (n, L - 1) of each table."""
    found = []
    for margin in (tables.sum(axis=2), tables.sum(axis=1)):
        upto = np.cumsum(margin, axis=1)
        found.append(np.clip(ndtri(upto[:, :-1] / upto[:, -1:]), -BEYOND, BEYOND) + 0.0)
    return found[0], found[1]


def _score(
    share: FloatArray, row_cut: FloatArray, column_cut: FloatArray, rho: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Derivative by rho of the log-likelihood per person, and its information, (n,) each.

    Parameters
    ----------
    share : array, shape (n, K, L)
    row_cut, column_cut : array, shapes (n, K - 1) and (n, L - 1)
    rho : array, shape (n,)
    """
    n, k, m = share.shape
    h, g, r = row_cut[:, :, None], column_cut[:, None, :], rho[:, None, None]
    upto, slope = np.zeros((2, n, k + 1, m + 1))
    upto[:, 1:-1, 1:-1] = bivariate_normal_cdf(h, g, r)  # (n, K - 1, L - 1)
    upto[:, -1, 1:] = np.cumsum(share.sum(axis=1), axis=1)
    upto[:, 1:, -1] = np.cumsum(share.sum(axis=2), axis=1)
    rest = 1.0 - r**2
    slope[:, 1:-1, 1:-1] = np.exp(-0.5 * (h**2 - 2.0 * r * h * g + g**2) / rest) / (
        2.0 * np.pi * np.sqrt(rest)
    )  # the density is the derivative of the distribution by rho
    cell = np.diff(np.diff(upto, axis=1), axis=2)  # (n, K, L)
    by_rho = np.diff(np.diff(slope, axis=1), axis=2)
    # a chosen cell can only be so small far from the maximum, where the score's sign is enough
    ratio = by_rho / np.maximum(cell, ROUNDING)
    return (share * ratio).sum(axis=(1, 2)), (by_rho * ratio).sum(axis=(1, 2))


def bivariate_normal_cdf(h: FloatArray, k: FloatArray, rho: FloatArray) -> FloatArray:
    r"""Probability that two standard normal variables are below h and k.

    .. math:: \Phi_2 = \tfrac12 [\Phi(h) + \Phi(k) - \delta] - T(h, a_h) - T(k, a_k), \quad
        a_h = \frac{k - \rho h}{h \sqrt{1 - \rho^2}}

    with Owen's T and delta = 1 where h and k have opposite signs, else 0.

    Parameters
    ----------
    h, k : array
        Finite, of shapes that go together.
    rho : array
        Correlation, strictly between -1 and 1.
    """
    h, k, rho = np.broadcast_arrays(h, k, rho)
    h, k = h + 0.0, k + 0.0  # no negative zeros
    root = np.sqrt((1.0 - rho) * (1.0 + rho))
    origin = (h == 0) & (k == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        a_h = np.where(origin, np.sqrt((1.0 - rho) / (1.0 + rho)), (k - rho * h) / (h * root))
        a_k = np.where(origin, a_h, (h - rho * k) / (k * root))
    opposite = (h * k < 0) | ((h * k == 0) & (h + k < 0))
    return 0.5 * (ndtr(h) + ndtr(k) - opposite) - owens_t(h, a_h) - owens_t(k, a_k)
