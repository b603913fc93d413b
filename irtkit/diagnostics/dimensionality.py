"""How many dimensions the answers have: parallel analysis, and one dimension against two.

`dimensionality` sets the eigenvalues of the items' correlations against those of answers that have
the same margins and the same gaps but nothing in common. `compare_dimensions` sets the 2PL against
its two-dimensional version. Both describe; neither drops an item.

References
----------
Horn, J. L. (1965). A rationale and test for the number of factors in factor analysis.
    Psychometrika, 30(2), 179-185. https://doi.org/10.1007/BF02289447
Weng, L.-J., & Cheng, C.-P. (2005). Parallel analysis with unidimensional binary data. Educational
    and Psychological Measurement, 65(5), 697-716. https://doi.org/10.1177/0013164404273941
Hayashi, K., Bentler, P. M., & Yuan, K.-H. (2007). On the likelihood ratio test for the number of
    factors in exploratory factor analysis. Structural Equation Modeling, 14(3), 505-526.
    https://doi.org/10.1080/10705510701301891
Buja, A., & Eyuboglu, N. (1992). Remarks on parallel analysis. Multivariate Behavioral Research,
    27(4), 509-540. https://doi.org/10.1207/s15327906mbr2704_2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import chi2

from irtkit.arrays import BoolArray, FloatArray
from irtkit.coding import MISSING
from irtkit.diagnostics.correlations import (
    checked_categories,
    pearson,
    polychoric,
    symmetric,
    two_way_tables,
)
from irtkit.errors import ModelError, NotConverged, ResponseError, count, listing
from irtkit.estimation.calibration import Calibration
from irtkit.estimation.mml import calibrate
from irtkit.estimation.plane_search import Search
from irtkit.estimation.two_dimensions import ONE_DIMENSION, extended
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.simulate import replicated
from irtkit.storage import Codes, category_counts
from irtkit.threads import each, one_thread_a_core

CORRELATIONS = {"polychoric": polychoric, "pearson": pearson}
FEWEST_ITEMS = 3
FEWEST_COMMON = 30  # persons; a tetrachoric correlation has a standard error of .29 then, or more


def dimensionality(
    responses: Responses,
    *,
    n_draws: int = 100,
    seed: int | np.random.Generator = 1,
    quantile: float = 0.95,
    correlation: str = "polychoric",
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Count the components of the answers by parallel analysis.

    In each draw the answers to every item are shuffled among the persons who answered it: margins
    and gaps stay as they are, and nothing else does. A component counts if its eigenvalue exceeds
    that of most draws.

    Parameters
    ----------
    responses : Responses
        Graded or ordered answers, complete or not. Items that everybody answered alike are left
        out. Rows of weight n become n persons.
    n_draws : int
        How often to shuffle.
    seed : int or Generator
    quantile : float
        Which quantile of the draws' eigenvalues to exceed; 0.5 is lenient, 0.95 usual.
    correlation : str
        "polychoric", which for right-or-wrong items is tetrachoric; or "pearson", which
        finds components that only reflect differences in difficulty.
    progress : callable, optional
        Called with the number of draws done and of all draws.

    Returns
    -------
    DataFrame
        Indexed by component, 1 and up: eigenvalue; reference, the quantile of the draws;
        reference_mean; share of the items' total variance; retained, true from the first
        component up to the one before the first that does not exceed its reference. Correlations
        of pairs are not smoothed, so that the last eigenvalues may be negative.

    Raises
    ------
    ResponseError
        If fewer than three items vary, or some pairs of items have too few persons in common for
        a correlation (fewer than 30, or all alike on one of the items); the message names the
        items to leave out.
    ModelError
        For too many items or categories, or options that make no sense.

    Notes
    -----
    The reference is that of no dimension at all. It is right for the first component; for later
    ones it is a little too strict, because the first takes part of the variance (Buja & Eyuboglu,
    1992). Tetrachoric correlations suppose normal ogives: with hundreds of items and thousands of
    persons the shape of logistic items alone makes a second component of difficulty, with less
    than 1% of the variance. So look at the shares too. `compare_dimensions` asks directly whether
    a second dimension is worth its parameters.
    """
    _check_options(n_draws, quantile, correlation)
    chosen = _varying(responses)
    codes = _repeated(chosen)
    unit, n_items = np.ones(codes.shape[0]), codes.shape[1]
    n_categories = checked_categories(chosen)
    first, second = np.triu_indices(n_items, 1)

    def correlated(answers: Codes) -> tuple[FloatArray, FloatArray]:
        tables = two_way_tables(answers, unit, n_categories)[first, :, second]  # (n, K, K)
        return CORRELATIONS[correlation](tables), tables.sum(axis=(1, 2))

    def drawn(rng: np.random.Generator) -> FloatArray:
        found, _ = correlated(shuffled(codes, rng))
        return eigenvalues(symmetric(np.nan_to_num(found), n_items))  # a pair all alike: 0

    with one_thread_a_core():
        found, n_common = correlated(codes)
        _check_pairs(chosen.items, np.isnan(found), n_common)
        observed = eigenvalues(symmetric(found, n_items))  # (I,)
        draws = np.array(each(drawn, np.random.default_rng(seed).spawn(n_draws), progress))
    reference = np.quantile(draws, quantile, axis=0)  # (I,)
    return pd.DataFrame(
        {
            "eigenvalue": observed,
            "reference": reference,
            "reference_mean": draws.mean(axis=0),
            "share": observed / n_items,
            "retained": np.logical_and.accumulate(observed > reference),
        },
        index=pd.RangeIndex(1, n_items + 1, name="component"),
    )


def compare_dimensions(
    responses: Responses,
    *,
    n_draws: int = 0,
    n_starts: int = 3,
    seed: int | np.random.Generator = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Compare the 2PL with its two-dimensional version.

    Parameters
    ----------
    responses : Responses
        Right-or-wrong answers, complete or not.
    n_draws : int
        Parametric bootstrap: answers drawn from the one-dimensional 2PL, in which both models are
        estimated. 0 to save the time.
    n_starts : int
        Starts of each two-dimensional estimation.
    seed : int or Generator
    progress : callable, optional
        Called with the number of data sets done, the answers themselves the first, and of all.

    Returns
    -------
    DataFrame
        Rows "one dimension" and "two dimensions": n_parameters, log_likelihood, aic, bic, sabic;
        and for the second row against the first chi2, df, p, p_bootstrap (NaN without draws).

    Raises
    ------
    ModelError, NotConverged
        As `calibrate` and `calibrate_two_dimensions`.

    Notes
    -----
    p takes twice the gain in log-likelihood as chi-square with I - 1 degrees of freedom. That does
    not hold where the second dimension vanishes, for its direction is then undefined: p is too
    small (Hayashi, Bentler & Yuan, 2007). In 70 simulated data sets of one dimension it was below
    .05 in 40%; BIC chose one dimension in all of them, and p_bootstrap was below .05 in 3% of 60
    others. It is at least 1 / (n_draws + 1).
    """
    if n_draws < 0:
        raise ModelError(f"The number of draws must not be negative, as {n_draws} is.")
    search = Search(n_starts=n_starts, seed=seed)
    one = calibrate(responses, TwoPL(), method=ONE_DIMENSION)
    two = extended(responses, one, search)
    ratio = 2.0 * (two.log_likelihood - one.log_likelihood)
    if progress is not None:
        progress(1, n_draws + 1)
    drawn = each(
        lambda rng: _drawn_ratio(responses, one, n_starts, rng),
        np.random.default_rng(seed).spawn(n_draws),
        None if progress is None else lambda done, _: progress(done + 1, n_draws + 1),
    )
    beyond = sum(other >= ratio for other in drawn)
    df = two.n_parameters - one.n_parameters
    table = pd.DataFrame(
        [
            {
                "n_parameters": found.n_parameters,
                "log_likelihood": found.log_likelihood,
                **found.criteria(),
            }
            for found in (one, two)
        ],
        index=pd.Index(["one dimension", "two dimensions"], name="model"),
    )
    return table.assign(
        chi2=[np.nan, ratio],
        df=[np.nan, df],
        p=[np.nan, chi2.sf(ratio, df)],
        p_bootstrap=[np.nan, (1 + beyond) / (1 + n_draws) if n_draws else np.nan],
    )


def _drawn_ratio(
    responses: Responses, one: Calibration, n_starts: int, rng: np.random.Generator
) -> float:
    """Likelihood ratio of answers drawn from one dimension, at the last state if need be."""
    answers = replicated(responses, one, seed=rng)
    try:
        known = calibrate(answers, TwoPL(), method=ONE_DIMENSION)
    except NotConverged as error:
        known = cast(Calibration, error.calibration)
    try:
        value = extended(answers, known, Search(n_starts=n_starts, seed=rng)).log_likelihood
    except NotConverged as error:
        value = cast(Calibration, error.calibration).log_likelihood
    return 2.0 * (value - known.log_likelihood)


def eigenvalues(matrix: FloatArray) -> FloatArray:
    """Eigenvalues of a symmetric matrix (I, I), the largest first."""
    return np.asarray(np.linalg.eigvalsh(matrix)[::-1], dtype=np.float64)


def shuffled(codes: Codes, rng: np.random.Generator) -> Codes:
    """Shuffle the answers to each item among the persons who answered it.

    Parameters
    ----------
    codes : array of int8 (P, I), -1 where missing; or CSR of code + 1
    rng : Generator
    """
    if isinstance(codes, sp.csr_array):
        by_item = sp.csc_array(codes)
        data = by_item.data.copy()
        for start, stop in zip(by_item.indptr[:-1], by_item.indptr[1:], strict=True):
            data[start:stop] = rng.permutation(data[start:stop])
        return sp.csr_array(
            sp.csc_array((data, by_item.indices, by_item.indptr), shape=codes.shape)
        )
    items = np.array(codes.T, order="C")  # (I, P), always a copy
    for answers in items:
        seen = answers != MISSING
        answers[seen] = rng.permutation(answers[seen])
    return np.ascontiguousarray(items.T)


def _check_options(n_draws: int, quantile: float, correlation: str) -> None:
    if n_draws < 1 or not 0.0 < quantile < 1.0:
        raise ModelError(
            f"Parallel analysis needs at least one draw and a quantile between 0 and 1, not "
            f"{n_draws} and {quantile:g}."
        )
    if correlation not in CORRELATIONS:
        raise ModelError(f"Unknown correlation '{correlation}'; there is {listing(CORRELATIONS)}.")


def _varying(responses: Responses) -> Responses:
    """Return the answers to the items that not everybody answered alike."""
    counts = category_counts(responses.codes, responses.n_categories, responses.weights)
    varying = (counts > 0).sum(axis=1) > 1
    chosen = [item for item, kept in zip(responses.items, varying, strict=True) if kept]
    if len(chosen) < FEWEST_ITEMS:
        lost = [item for item in responses.items if item not in set(chosen)]
        alike = f" Everybody answered alike, or nobody at all, on {listing(lost)}." if lost else ""
        raise ResponseError(
            f"Only {count(len(chosen), 'item')} that vary: dimensions are counted from at least "
            f"{FEWEST_ITEMS} items.{alike}"
        )
    return responses if len(chosen) == responses.n_items else responses.select_items(chosen)


def _repeated(responses: Responses) -> Codes:
    """Return the codes with a row of weight n given n times."""
    weights = responses.weights
    if (weights == 1.0).all():
        return responses.codes
    if (weights % 1.0 != 0.0).any():
        raise ResponseError(
            "Answers cannot be shuffled among parts of persons: the weights are not whole numbers."
        )
    return responses.codes[np.repeat(np.arange(responses.n_persons), weights.astype(np.int64))]


def _check_pairs(items: tuple[str, ...], unknown: BoolArray, n_common: FloatArray) -> None:
    """Refuse pairs of items whose correlation is unknown or rests on too few persons."""
    useless = unknown | (n_common < FEWEST_COMMON)  # (n,)
    if not useless.any():
        return
    bad = symmetric(useless.astype(np.int64), len(items)) - np.eye(len(items))  # (I, I)
    named = []
    while bad.any():  # leave out the item with the most such pairs, again and again
        worst = int(bad.sum(axis=0).argmax())
        bad[worst], bad[:, worst] = 0.0, 0.0
        named.append(items[worst])
    if len(items) - len(named) < FEWEST_ITEMS:
        remedy = "Collect answers of more persons to the same items."
    else:
        remedy = f"Leave out {listing(named, 20)} (select_items), or collect more common answers."
    raise ResponseError(
        f"{int(useless.sum()):,} of {len(useless):,} pairs of items cannot be correlated: fewer "
        f"than {FEWEST_COMMON} persons answered both, or these answered one of them all alike. "
        f"{remedy}"
    )
