"""How far the mean over runs, or seeds, of a training may be off."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import t as student

from irtkit.arrays import FloatArray

LEVEL = 0.975


def margin_over_runs(values: FloatArray) -> float:
    """Half the 95% interval (Student's t) of the mean of values (S,); NaN for a single one."""
    runs = len(values)
    if runs < 2:
        return math.nan
    return float(student.ppf(LEVEL, runs - 1) * values.std(ddof=1) / np.sqrt(runs))
