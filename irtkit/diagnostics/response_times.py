"""Response times: how long each person took, and which answers came too fast to be read.

An answer is rapid below a share of the item's median time (the normative threshold of Wise & Ma),
which needs no look at each item's distribution. One minus the share of rapid answers is the
response time effort of Wise & Kong. What is made of it is in `effort.py`.

References
----------
Wise, S. L., & Kong, X. (2005). Response time effort: A new measure of examinee motivation in
    computer-based tests. Applied Measurement in Education, 18(2), 163-183.
Wise, S. L., & Ma, L. (2012). Setting response time thresholds for a CAT item pool: The normative
    threshold method. Annual meeting of the National Council on Measurement in Education.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ResponseError, count, listing
from irtkit.responses import Responses

Seconds = pd.DataFrame | pd.Series | npt.ArrayLike


def rapid_answers(
    responses: Responses, seconds: Seconds | None, *, share: float, most: float
) -> tuple[FloatArray, FloatArray]:
    """Median time of each person's answers, and the share of them that is rapid, each (P,).

    Parameters
    ----------
    responses : Responses
    seconds : DataFrame, Series or array, or None
        As in `low_effort`; without times both are NaN.
    share : float
        An answer is rapid below this share of the item's median time ...
    most : float
        ... but never above so many seconds.
    """
    if seconds is None:
        unknown = np.full(responses.n_persons, np.nan)
        return unknown, unknown.copy()
    times = _times(responses, seconds)  # (P, I) or (P, 1)
    usual = medians(times, responses.weights)  # (I,) or (1,)
    threshold = np.minimum(share * usual, most)
    with np.errstate(invalid="ignore"):
        rapid = (times < threshold).sum(axis=1) / np.isfinite(times).sum(axis=1)
    return medians(times.T, np.ones(times.shape[1])), rapid


def _times(responses: Responses, seconds: Seconds) -> FloatArray:
    """Seconds of each answer (P, I), or the mean of each person's answers (P, 1)."""
    shape = (responses.n_persons, responses.n_items)
    if isinstance(seconds, pd.DataFrame | pd.Series):
        columns = responses.items if isinstance(seconds, pd.DataFrame) else ()
        lost = [name for name in responses.persons if name not in seconds.index]
        lost += [name for name in columns if name not in seconds]
        if lost:
            raise ResponseError(
                f"The response times lack {count(len(lost), 'person or item')}: {listing(lost)}. "
                "Index them by person, with a column an item; NaN where unknown."
            )
        seconds = seconds.loc[list(responses.persons)]
        seconds = seconds[list(columns)] if isinstance(seconds, pd.DataFrame) else seconds
    times = np.asarray(seconds, dtype=np.float64)
    if times.shape == shape[:1]:
        with np.errstate(divide="ignore", invalid="ignore"):
            times = (times / responses.n_answered())[:, None]
    elif times.shape != shape:
        raise ResponseError(
            f"The response times have shape {times.shape}; give {shape}, a time for each answer, "
            f"or {shape[:1]}, one for each person."
        )
    wrong = np.argwhere(times < 0)
    if len(wrong):
        person = responses.persons[wrong[0][0]]
        raise ResponseError(
            f"{count(len(wrong), 'response time')} below zero, first of person {person!r}. Times "
            "are in seconds; NaN where unknown."
        )
    return np.where(np.isfinite(times), times, np.nan)


def medians(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted (lower) median of each column of values (n, m), NaN left out, shape (m,)."""
    order = np.argsort(values, axis=0)  # NaN last
    ordered = np.take_along_axis(values, order, axis=0)
    heavy = np.where(np.isnan(ordered), 0.0, weights[order])
    upto = np.cumsum(heavy, axis=0)
    place = (upto < 0.5 * upto[-1]).sum(axis=0)
    return ordered[place, np.arange(values.shape[1])]
