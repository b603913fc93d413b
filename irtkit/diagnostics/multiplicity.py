"""Adjusting p-values for the number of tests.

References
----------
Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
    Statistics, 6(2), 65-70.
Benjamini, Y., & Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the Royal
    Statistical Society B, 57(1), 289-300.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import false_discovery_control

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError, listing

ADJUSTMENTS = ("holm", "benjamini-hochberg", "none")


def adjust(p: FloatArray, method: str = "holm") -> FloatArray:
    """Return adjusted p-values, shape (n,); a NaN is no test and stays NaN.

    Parameters
    ----------
    p : array, shape (n,)
        Unadjusted p-values.
    method : str
        "holm" (family-wise error), "benjamini-hochberg" (false discoveries) or "none".
    """
    if method not in ADJUSTMENTS:
        raise ModelError(f"Unknown adjustment '{method}'; there is {listing(ADJUSTMENTS)}.")
    adjusted = np.asarray(p, dtype=np.float64).copy()
    tested = ~np.isnan(adjusted)
    if method == "holm":
        adjusted[tested] = _holm(adjusted[tested])
    elif method == "benjamini-hochberg" and tested.any():
        adjusted[tested] = false_discovery_control(adjusted[tested], method="bh")
    return adjusted


def _holm(p: FloatArray) -> FloatArray:
    order = np.argsort(p, kind="stable")
    factor = len(p) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factor * p[order]))
    return adjusted
