r"""Compare calibrations of the same answers: information criteria and likelihood-ratio tests.

A model that holds parameters of a larger one at interior values is tested by
:math:`X^2 = 2 (\ell_1 - \ell_0)` on the difference of their parameters. Where one asymptote is
held at its limit the reference is a half-and-half mixture of chi-squares, one with a degree of
freedom less; with more asymptotes the plain chi-square is kept, which is conservative. The fit
of one model is in `model_fit.py`.

References
----------
Self, S. G., & Liang, K.-Y. (1987). Asymptotic properties of maximum likelihood estimators and
    likelihood ratio tests under nonstandard conditions. Journal of the American Statistical
    Association, 82(398), 605-610. https://doi.org/10.1080/01621459.1987.10478472
Brown, C., Templin, J., & Cohen, A. (2015). Comparing the two- and three-parameter logistic models
    via likelihood ratio tests: A commonly misunderstood problem. Applied Psychological
    Measurement, 39(5), 335-348. https://doi.org/10.1177/0146621614563326
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from scipy.stats import chi2

from irtkit.errors import ModelError, listing
from irtkit.estimation.calibration import Calibration
from irtkit.latent import Histogram
from irtkit.models import ItemModel

LOWER = 0.01  # log-likelihood: the tolerance of the quadrature
SAME_PERSONS = 1e-6
RIGHT_OR_WRONG = {  # each is a special case of those with higher numbers
    **dict.fromkeys(("rasch", "1pl", "pcm"), 0),
    **dict.fromkeys(("2pl", "gpcm", "graded", "nominal"), 1),
    "3pl": 2,
    "4pl": 3,
}
MORE_CATEGORIES = {"pcm": 0, "gpcm": 1, "nominal": 2}
NO_TEST: dict[str, float] = {"chi2": np.nan, "df": np.nan, "p": np.nan}


def compare_models(*calibrations: Calibration) -> pd.DataFrame:
    """Compare calibrations of the same answers, the one with fewest parameters first.

    Parameters
    ----------
    *calibrations : Calibration
        Two or more, of the same persons and items.

    Returns
    -------
    DataFrame
        Indexed by model (a number tells apart those of one name): n_parameters, log_likelihood,
        aic, bic, sabic; chi2, df and p of the likelihood-ratio test against the nearest row above
        that is a special case of this one, NaN where there is none; note, which says what limits
        the test. What user constraints make of a model is not known and taken to be nested.

    Raises
    ------
    ModelError
        For fewer than two calibrations, or if they differ in persons, items or categories.
    """
    _check(calibrations)
    ordered = sorted(calibrations, key=lambda calibration: calibration.n_parameters)
    names = _unique([calibration.assignment.name for calibration in ordered])
    rows = [
        {
            "n_parameters": calibration.n_parameters,
            "log_likelihood": calibration.log_likelihood,
            **calibration.criteria(),
            **_tested(ordered[:place], names, calibration),
        }
        for place, calibration in enumerate(ordered)
    ]
    return pd.DataFrame(rows, index=pd.Index(names, name="model"))


def likelihood_ratio_p(statistic: float, df: int, n_boundary: int) -> float:
    """p-value of a likelihood-ratio statistic; one boundary parameter halves a share of it.

    Parameters
    ----------
    statistic : float
    df : int
        Restricted parameters.
    n_boundary : int
        How many of them the smaller model holds at the end of their range. With more than one
        they count as interior, so that p is too large.
    """
    plain = float(chi2.sf(statistic, df))
    if n_boundary != 1:
        return plain
    fewer = float(chi2.sf(statistic, df - 1)) if df > 1 else float(statistic <= 0.0)
    return 0.5 * (fewer + plain)


def _tested(
    above: list[Calibration], names: list[str], large: Calibration
) -> dict[str, float | str]:
    """The likelihood-ratio test of a calibration against those above it."""
    notes = [] if large.converged else ["not converged"]
    fewer = [n for n, small in enumerate(above) if small.n_parameters < large.n_parameters]
    nested = [n for n in fewer if _special_case(above[n], large)]
    test: dict[str, float | str] = dict(NO_TEST)
    if fewer and not nested:
        notes.append("no model above is a special case")
    elif nested:
        small = above[nested[-1]]
        if nested[-1] + 1 < len(above):
            notes.append(f"tested against {names[nested[-1]]}")
        found, more = _test(small, large)
        test, notes = {**found}, notes + more
    return {**test, "note": "; ".join(notes)}


def _test(small: Calibration, large: Calibration) -> tuple[dict[str, float], list[str]]:
    """The test of a smaller in a larger model, and what limits it."""
    gain = large.log_likelihood - small.log_likelihood
    df = large.n_parameters - small.n_parameters
    with_priors = bool(large.log_prior or small.log_prior)
    if gain < -LOWER:
        reason = "held back by its priors" if large.log_prior else "not converged"
        return NO_TEST, [f"log-likelihood below the smaller model's: not nested or {reason}"]
    notes = []
    n_boundary = min(_n_asymptotes(large) - _n_asymptotes(small), df)
    if n_boundary == 1:
        notes.append("asymptote at its limit: p from a mixture of chi-squares")
    elif n_boundary > 1:
        notes.append("asymptotes at their limits: p is conservative")
    if isinstance(large.latent, Histogram) and not isinstance(small.latent, Histogram):
        notes.append("shares of a histogram at their limits: p is conservative")
    if with_priors:
        notes.append("estimated with priors: p is approximate")
    statistic = max(2.0 * gain, 0.0)
    p = likelihood_ratio_p(statistic, df, n_boundary)
    return {"chi2": statistic, "df": float(df), "p": p}, notes


def _special_case(small: Calibration, large: Calibration) -> bool:
    """Whether each item's model is a special case of the one in the larger calibration."""
    if isinstance(small.latent, Histogram) and not isinstance(large.latent, Histogram):
        return False
    pairs = zip(_models(small), _models(large), strict=True)
    return all(_within(one, other, size) for (one, size), (other, _) in pairs)


def _within(small: ItemModel, large: ItemModel, n_categories: int) -> bool:
    if small == large:
        return True
    order = RIGHT_OR_WRONG if n_categories == 2 else MORE_CATEGORIES
    known = small.name in order and large.name in order
    return known and order[small.name] <= order[large.name]


def _n_asymptotes(calibration: Calibration) -> int:
    """How many asymptotes the items have."""
    return int(calibration.assignment.logits()[calibration.calibrated].sum())


def _models(calibration: Calibration) -> list[tuple[ItemModel, int]]:
    """Model and number of categories of each calibrated item, by item name."""
    assignment = calibration.assignment
    known = zip(
        *(calibration.items, calibration.calibrated),
        *(assignment.models, assignment.n_categories.tolist()),
        strict=True,
    )
    by_item = {item: (model, size) for item, estimated, model, size in known if estimated}
    return [by_item[item] for item in sorted(by_item)]


def _unique(names: list[str]) -> list[str]:
    """Number the names that occur more than once."""
    often, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if often[name] > 1 else name)
    return numbered


def _check(calibrations: tuple[Calibration, ...]) -> None:
    if len(calibrations) < 2:
        raise ModelError(
            f"A comparison needs at least two calibrations; {len(calibrations)} given."
        )
    first = calibrations[0]
    items = _calibrated(first)
    for other in calibrations[1:]:
        if abs(other.n_persons - first.n_persons) > SAME_PERSONS:
            raise ModelError(
                f"The calibrations are of {first.n_persons:,g} and {other.n_persons:,g} persons. "
                "Log-likelihoods of different answers cannot be compared; calibrate the same ones."
            )
        differing = sorted(items ^ _calibrated(other))
        if differing:
            raise ModelError(
                f"{len(differing)} of the items are in one calibration only: {listing(differing)}."
                " Log-likelihoods of different answers cannot be compared; calibrate the same "
                "items."
            )
        sizes = [[size for _, size in _models(each)] for each in (first, other)]
        if sizes[0] != sizes[1]:
            raise ModelError(
                "The calibrations count different categories of the same items, so their "
                "log-likelihoods are of different answers. Calibrate the same codes."
            )


def _calibrated(calibration: Calibration) -> set[str]:
    return {
        item
        for item, estimated in zip(calibration.items, calibration.calibrated, strict=True)
        if estimated
    }
