r"""What a test tells about theta: information, standard error, reliability.

References
----------
Green, B. F., Bock, R. D., Humphreys, L. G., Linn, R. L., & Reckase, M. D. (1984). Technical
    guidelines for assessing computerized adaptive tests. Journal of Educational Measurement,
    21(4), 347-360.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from irtkit.estimation.calibration import Calibration, restricted
from irtkit.scoring.scores import Scores


def test_information(calibration: Calibration, theta: npt.ArrayLike | None = None) -> pd.DataFrame:
    """Return test information and conditional standard error at each theta.

    Parameters
    ----------
    calibration : Calibration
    theta : array, optional
        By default the quadrature nodes.

    Returns
    -------
    DataFrame
        Indexed by theta: information, standard_error (1 / sqrt(information)), expected_score (sum
        of the expected codes).
    """
    known = calibration.calibrated
    part = calibration if known.all() else restricted(calibration, np.flatnonzero(known).tolist())
    points = part.nodes().theta if theta is None else np.atleast_1d(np.asarray(theta, float))
    information = part.assignment.information(part.parameters, points).sum(axis=1)  # (Q,)
    with np.errstate(divide="ignore"):
        error = 1.0 / np.sqrt(information)
    expected = part.assignment.expected_score(part.parameters, points).sum(axis=1)
    return pd.DataFrame(
        {"information": information, "standard_error": error, "expected_score": expected},
        index=pd.Index(points, name="theta"),
    )


test_information.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever its name


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well theta is measured, from 0 to 1.

    Attributes
    ----------
    marginal : float
        Expectation over the population of information / (information + 1 / variance).
    empirical : float
        Variance of the estimates over that plus the mean squared standard error; NaN without
        scores.
    """

    marginal: float
    empirical: float


def reliability(calibration: Calibration, scores: Scores | None = None) -> Reliability:
    """Return marginal reliability and, with scores, the empirical one.

    Parameters
    ----------
    calibration : Calibration
    scores : Scores, optional
        EAPs of the persons.
    """
    nodes = calibration.nodes()
    table = test_information(calibration, nodes.theta)
    information = table["information"].to_numpy()
    precision = calibration.latent.standard_deviation**-2
    marginal = float(np.exp(nodes.log_weights) @ (information / (information + precision)))
    empirical = float("nan")
    if scores is not None:
        known = np.isfinite(scores.theta) & np.isfinite(scores.standard_error)
        variance = float(scores.theta[known].var(ddof=1))
        error = float((scores.standard_error[known] ** 2).mean())
        empirical = variance / (variance + error)
    return Reliability(marginal, empirical)
