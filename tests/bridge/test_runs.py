"""The interval of a mean over runs."""

import math

import numpy as np
from scipy.stats import ttest_1samp

from irtkit.bridge.runs import margin_over_runs


def test_the_margin_is_that_of_students_interval():
    values = np.array([0.1, -0.2, 0.4, 0.3])
    found = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert math.isclose(margin_over_runs(values), values.mean() - found.low, rel_tol=1e-12)


def test_one_run_has_no_margin():
    assert math.isnan(margin_over_runs(np.array([1.0])))
