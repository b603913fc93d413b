r"""Fit of the whole model: M2, M2* or C2 with RMSEA, SRMSR, CFI, TLI and information criteria.

The statistic itself is in `limited_information.py`; comparing calibrations is in `comparison.py`.

.. math:: \mathrm{RMSEA}_2 = \sqrt{\frac{\max(M_2 - df, 0)}{df (N - 1)}}, \qquad
    \mathrm{CFI} = 1 - \frac{M_2 - df}{M_{20} - df_0}, \qquad
    \mathrm{TLI} = \frac{M_{20} / df_0 - M_2 / df}{M_{20} / df_0 - 1}

where :math:`M_{20}` is the statistic of the model in which the answers are independent. With the
observed margins its second moments are uncorrelated, so :math:`M_{20} = N \sum_{i<j} r_{ij}^2` on
:math:`df_0 = I (I - 1) / 2`, r being the observed correlations.

References
----------
Maydeu-Olivares, A., & Joe, H. (2006). Limited information goodness-of-fit testing in
    multidimensional contingency tables. Psychometrika, 71(4), 713-732.
    https://doi.org/10.1007/s11336-005-1295-9
Maydeu-Olivares, A., & Joe, H. (2014). Assessing approximate fit in categorical data analysis.
    Multivariate Behavioral Research, 49(4), 305-328.
    https://doi.org/10.1080/00273171.2014.911075
Cai, L., & Monroe, S. (2014). A new statistic for evaluating item response theory models for
    ordinal data (CRESST Report 839). University of California, Los Angeles.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import chndtrinc
from scipy.stats import chi2

from irtkit.arrays import FloatArray, IntArray
from irtkit.diagnostics.limited_information import (
    Moments,
    Solution,
    Tangent,
    derivatives,
    largest_value,
)
from irtkit.errors import ModelError, count, listing, nearest
from irtkit.estimation.blocks import Blocks
from irtkit.estimation.calibration import Calibration, matched
from irtkit.estimation.em import Tables, log_likelihoods
from irtkit.estimation.structure import Structure
from irtkit.latent import Histogram
from irtkit.models import SlopeRule
from irtkit.responses import Responses
from irtkit.storage import category_counts
from irtkit.threads import one_thread_a_core

STATISTICS = ("m2", "m2*", "c2")
MOST_BYTES = 2 * 2**30
ACCURATE = 1e-5  # relative gradient at which the statistic has its digits
SAME_LOG_LIKELIHOOD = 0.01  # the tolerance of the quadrature


def model_fit(
    responses: Responses, calibration: Calibration, *, statistic: str = "m2"
) -> pd.DataFrame:
    """Test the whole model by first and second moments of the answers.

    Parameters
    ----------
    responses : Responses
        Complete answers: those that were calibrated, those of other persons, or those to some of
        the items.
    calibration : Calibration
        Maximum likelihood or Bayes modal estimates with a normal ability distribution.
    statistic : str
        "m2" for right-or-wrong items. For ordered categories "m2*" (mean codes and mean products
        of codes) or "c2" (shares of the categories and mean products of codes), which leaves
        more degrees of freedom. For right-or-wrong items the three are the same.

    Returns
    -------
    DataFrame
        One row, indexed by the model's name: statistic, m2, df, p, rmsea, rmsea_low, rmsea_high
        (90% interval), srmsr, cfi (kept within 0 and 1) and tli (these three NaN where all
        persons answered an item alike), log_likelihood of these answers, n_parameters, aic, bic,
        sabic (NaN for answers that the calibration was not estimated from), n_persons.

    Raises
    ------
    ModelError
        If the statistic is unknown or not made for the items, answers are missing, no degree of
        freedom is left, it is not known which parameters were estimated, or memory is short.

    Notes
    -----
    O(Q I^2) time a step of conjugate gradients, of which there are a few dozen; O(I^2) memory
    and, for the parameters, O((I D)^2). Cutoffs of structural equation models do not transfer to
    these indices.
    """
    _check_name(statistic)
    known, part = matched(responses, calibration)
    _check_items(part, statistic)
    _check_complete(known)
    free = _free_parameters(calibration, part)
    _check_memory(part, statistic)
    n_persons = float(known.weights.sum())
    with one_thread_a_core():
        moments = _moments(part, statistic)
        tangent = Tangent.of(
            derivatives(moments, part.assignment, part.parameters, part.nodes()), free
        )
        df = _degrees(moments, tangent, int(free.max()) + 1, statistic)
        shares, products = observed_moments(known, moments.codes)
        solution = largest_value(moments, tangent, moments.residual(shares, products))
        _check_found(solution, statistic)
        log_likelihood = _log_likelihood(known, part)
    m2 = n_persons * solution.value
    correlation = correlations(moments.codes, shares, products)
    row = {
        "statistic": statistic,
        "m2": m2,
        "df": df,
        "p": float(chi2.sf(m2, df)),
        **rmsea(m2, df, n_persons),
        "srmsr": srmsr(correlation, moments.correlation),
        **incremental(m2, df, n_persons, correlation),
        "log_likelihood": log_likelihood,
        "n_parameters": int(free.max()) + 1,
        **_criteria(calibration, log_likelihood),
        "n_persons": n_persons,
    }
    return pd.DataFrame(row, index=pd.Index([part.assignment.name], name="model"))


def observed_moments(responses: Responses, codes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of each category (I, K), and mean products of the values of the answers (I, I).

    Parameters
    ----------
    responses : Responses
        Complete answers.
    codes : array, shape (I, K)
        The value of each category.
    """
    n_items, n_categories = codes.shape
    counts = category_counts(responses.codes, n_categories, responses.weights)
    sums = np.zeros((n_items, n_items))
    for rows, block in responses.blocks():
        values = block.astype(np.float64)
        sums += (values * responses.weights[rows, None]).T @ values
    n_persons = responses.weights.sum()
    # the values are a + b code: expand the product rather than look up every answer
    start, step = codes[:, 0], codes[:, 1] - codes[:, 0]
    mean = counts @ np.arange(n_categories) / n_persons  # (I,)
    lone = np.outer(step * mean, start)
    products = np.outer(step, step) * sums / n_persons + lone + lone.T + np.outer(start, start)
    return counts / n_persons, products


def correlations(codes: FloatArray, shares: FloatArray, products: FloatArray) -> FloatArray:
    """Correlations of the answers, from shares (I, K) and mean products (I, I) of their values.

    NaN for an item that everybody answered alike.
    """
    mean = (shares * codes).sum(axis=1)
    variance = (shares * codes**2).sum(axis=1) - mean**2
    sd = np.sqrt(np.where(shares.max(axis=1) < 1.0, variance, np.nan))
    return (products - np.outer(mean, mean)) / np.outer(sd, sd)


def rmsea(m2: float, df: int, n_persons: float) -> dict[str, float]:
    """Root mean square error of approximation with its 90% interval.

    Per person and degree of freedom; as in R's mirt the estimate counts one person less, the
    ends of the interval all.
    """

    def bound(share: float) -> float:
        """Noncentrality at which the statistic would be below m2 with this probability."""
        return float(chndtrinc(m2, df, share)) if chi2.cdf(m2, df) > share else 0.0

    return {
        "rmsea": float(np.sqrt(max(m2 - df, 0.0) / (df * (n_persons - 1.0)))),
        "rmsea_low": float(np.sqrt(bound(0.95) / (df * n_persons))),
        "rmsea_high": float(np.sqrt(bound(0.05) / (df * n_persons))),
    }


def srmsr(observed: FloatArray, expected: FloatArray) -> float:
    """Root mean square of the residual correlations, from two matrices (I, I)."""
    pairs = np.triu_indices(len(observed), 1)
    return float(np.sqrt(np.mean((observed - expected)[pairs] ** 2)))


def incremental(m2: float, df: int, n_persons: float, correlation: FloatArray) -> dict[str, float]:
    """CFI, kept within 0 and 1, and TLI against the model of independent answers."""
    pairs = np.triu_indices(len(correlation), 1)
    df_null = len(pairs[0])
    null = n_persons * float((correlation[pairs] ** 2).sum())
    if not null > df_null:  # nothing to explain
        return {"cfi": np.nan, "tli": np.nan}
    cfi = 1.0 - (m2 - df) / (null - df_null)
    tli = (null / df_null - m2 / df) / (null / df_null - 1.0)
    return {"cfi": min(max(cfi, 0.0), 1.0), "tli": tli}


def _moments(calibration: Calibration, statistic: str) -> Moments:
    nodes = calibration.nodes()
    chance = np.exp(calibration.log_prob(nodes.theta))  # (Q, I, K)
    return Moments.of(chance, np.exp(nodes.log_weights), by_category=statistic == "c2")


def _free_parameters(calibration: Calibration, part: Calibration) -> IntArray:
    """Number the free parameters of the items in `part`, shape (I, D).

    The variance of theta in a Rasch or partial credit model is the items' common slope by another
    name: both move the moments in the same direction.
    """
    whole = np.flatnonzero(calibration.calibrated)
    unit = all(model.slope_rule is SlopeRule.UNIT for model in part.assignment.models)
    latent = calibration.latent
    if isinstance(latent, Histogram):
        raise ModelError(
            "The ability distribution is a histogram, whose estimated shares M2 does not take "
            "into account. Calibrate with latent='normal' to test the model."
        )
    standard = latent.mean == 0.0 and (unit or latent.standard_deviation == 1.0)
    expected = Structure.of(calibration.assignment.at(whole), _at(calibration.items, whole)).n_free
    if not standard or expected != calibration.n_parameters:
        raise ModelError(
            f"The calibration has {count(calibration.n_parameters, 'free parameter')} and "
            f"abilities with mean {latent.mean:.3g} and SD {latent.standard_deviation:.3g}; "
            f"the {calibration.assignment.name} model of {count(len(whole), 'item')} alone has "
            f"{expected} and fixes the scale. It was estimated with constraints, on a known scale "
            "or for several groups, and which parameters were free is not recorded, so that M2's "
            "degrees of freedom are unknown. Calibrate these answers by themselves."
        )
    return Structure.of(part.assignment, part.items).index


def _at(items: tuple[str, ...], places: IntArray) -> list[str]:
    return [items[place] for place in places]


def _log_likelihood(responses: Responses, calibration: Calibration) -> float:
    """Marginal log-likelihood of the answers."""
    nodes, assignment = calibration.nodes(), calibration.assignment
    largest = int(assignment.n_categories.max())
    blocks = Blocks.of(responses.codes, responses.weights, largest)
    tables = Tables.of(assignment, calibration.parameters, nodes.theta, nodes.log_weights)
    return float(responses.weights @ log_likelihoods(blocks, tables))


def _criteria(calibration: Calibration, log_likelihood: float) -> dict[str, float]:
    """The calibration's criteria, if it is these answers' log-likelihood that it maximised."""
    if abs(log_likelihood - calibration.log_likelihood) < SAME_LOG_LIKELIHOOD:
        return calibration.criteria()
    return dict.fromkeys(("aic", "bic", "sabic"), np.nan)


def _check_name(statistic: str) -> None:
    if statistic not in STATISTICS:
        raise ModelError(
            f"Unknown statistic '{statistic}'; there is {listing(STATISTICS)}."
            f"{nearest(statistic, STATISTICS)}"
        )


def _check_items(calibration: Calibration, statistic: str) -> None:
    large = np.flatnonzero(calibration.assignment.n_categories > 2)
    if statistic == "m2" and len(large):
        raise ModelError(
            f"M2 is for right-or-wrong items; {count(len(large), 'item')} have more categories: "
            f"{listing(_at(calibration.items, large))}. Use statistic 'c2', or 'm2*' where there "
            "are many items with few categories."
        )


def _check_complete(responses: Responses) -> None:
    short = int((responses.n_answered() < responses.n_items).sum())
    if short:
        raise ModelError(
            f"{count(short, 'person')} of {responses.n_persons:,} left answers out. M2 compares "
            "moments of the same persons, and its distribution is not known otherwise. Choose the "
            "persons with complete answers (select_persons) or items that all answered "
            "(select_items); item_fit and local_dependence take incomplete answers."
        )


def _check_memory(calibration: Calibration, statistic: str) -> None:
    """Refuse what would not fit, before the work."""
    n_items, n_parameters = calibration.parameters.shape
    largest = int(calibration.assignment.n_categories.max())
    width = n_items + (largest - 1 if statistic == "c2" else 1)
    cells = n_items * (width * (3 * n_parameters + 12) + 3 * n_items * n_parameters**2)
    cells += len(calibration.nodes().theta) * n_items * (3 * largest + 4)
    if cells * 8 > MOST_BYTES:
        raise ModelError(
            f"{statistic.upper()} of {n_items:,} items with up to {n_parameters} parameters needs "
            f"about {cells * 8 / 2**30:.1f} GiB. Choose fewer items (select_items)."
        )


def _degrees(moments: Moments, tangent: Tangent, n_parameters: int, statistic: str) -> int:
    """Degrees of freedom, if there are any."""
    df = moments.n_moments - tangent.rank
    collapsed = statistic == "m2*" and moments.codes.shape[1] > 2
    if df <= 0:
        remedy = "Use statistic 'c2', which has more moments." if collapsed else "Add items."
        raise ModelError(
            f"{statistic.upper()} is not available: {n_parameters} free parameters leave no "
            f"degree of freedom among the {moments.n_moments} moments of "
            f"{count(moments.n_items, 'item')}. {remedy}"
        )
    if collapsed and tangent.rank < n_parameters:
        raise ModelError(
            f"M2* is not available: mean codes tell only {tangent.rank} of {n_parameters} "
            "parameters apart, so its degrees of freedom cannot be counted. Use statistic 'c2'."
        )
    return df


def _check_found(solution: Solution, statistic: str) -> None:
    if solution.remainder > ACCURATE:
        raise ModelError(
            f"{statistic.upper()} was not found: {solution.n_steps:,} steps of conjugate "
            f"gradients left {solution.remainder:.0e} of the gradient. Leave out items that "
            "nearly determine each other or that almost everybody answers alike (select_items)."
        )
