r"""The marginal likelihood of divide-by-total models and its gradient, compiled by Numba.

The same numbers as `em.e_step` with `m_step.derivatives` (a test says so), several times faster
for the one thing that a sampler asks for. A person with the sum of scores S has at node q

.. math:: \log L_q = S \theta_q + \log w_q - \sum_i G_i(\theta_q) + \text{constant}

over the answered items. On equally spaced nodes the ratio of two neighbouring terms is
:math:`e^{S h}` times a number that persons with the same missing answers share, so the terms
follow from the largest one by multiplications alone, outwards until they no longer count.
The gradient is that of the expected complete data (Fisher's identity).

Importing this file imports Numba.

References
----------
Fisher, R. A. (1925). Theory of statistical estimation. Mathematical Proceedings of the Cambridge
    Philosophical Society, 22(5), 700-725.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

NEGLIGIBLE = 1e-17  # of the largest term
MOST_EXPONENT = 600.0  # of e; beyond 709 it overflows


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function, and keep the result on disk where there is a place for it."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written
        return numba.njit(**options)(function)


@compiled
def category_tables(s, t, theta):  # type: ignore[no-untyped-def]
    """Log of the denominator (I, Q) and chance of the categories above the first (K-1, I, Q)."""
    n_items, n_categories = s.shape
    n_nodes = len(theta)
    log_total = np.empty((n_items, n_nodes))
    chance = np.empty((n_categories - 1, n_items, n_nodes))
    for i in range(n_items):
        for q in range(n_nodes):
            largest = 0.0
            for k in range(1, n_categories):
                largest = max(largest, s[i, k] * theta[q] + t[i, k])
            total = np.exp(-largest)
            for k in range(1, n_categories):
                part = np.exp(s[i, k] * theta[q] + t[i, k] - largest)
                chance[k - 1, i, q] = part
                total += part
            log_total[i, q] = largest + np.log(total)
            for k in range(n_categories - 1):
                chance[k, i, q] /= total
    return log_total, chance


@compiled
def two_category_tables(s, t, theta):  # type: ignore[no-untyped-def]
    """`category_tables` for right-or-wrong items, with half the exponentials."""
    n_items, n_nodes = len(s), len(theta)
    log_total = np.empty((n_items, n_nodes))
    chance = np.empty((1, n_items, n_nodes))
    for i in range(n_items):
        for q in range(n_nodes):
            z = s[i, 1] * theta[q] + t[i, 1]
            tail = np.exp(-abs(z))
            large = 1.0 / (1.0 + tail)
            chance[0, i, q] = large if z > 0 else tail * large
            log_total[i, q] = max(z, 0.0) - np.log(large)
    return log_total, chance


@compiled
def terms_of(step, back, score_step, term):  # type: ignore[no-untyped-def]
    """One person's terms at the nodes, the largest being 1: (first, last, largest, sum, mean).

    `step` (Q - 1) is the ratio of neighbouring terms for S = 0, `back` its inverse, `score_step`
    e^{S h}. The mean is that of q minus `largest`. Terms are concave in q, so that the largest is
    found by bisection.
    """
    inverse = 1.0 / score_step
    low, high = 0, len(step)
    while low < high:
        middle = (low + high) // 2
        if step[middle] > inverse:
            low = middle + 1
        else:
            high = middle
    largest = low
    term[largest] = 1.0
    total, mean = 1.0, 0.0
    q, value = largest, 1.0
    while q < len(step):
        value *= step[q] * score_step
        q += 1
        term[q] = value
        total += value
        mean += value * (q - largest)
        if value < NEGLIGIBLE:
            break
    last = q
    q, value = largest, 1.0
    while q > 0:
        q -= 1
        value *= back[q] * inverse
        term[q] = value
        total += value
        mean -= value * (largest - q)
        if value < NEGLIGIBLE:
            break
    return q, last, largest, total, mean / total


@compiled
def pattern_steps(items, log_ratio_weights, ratios, step, back):  # type: ignore[no-untyped-def]
    """Ratios of neighbouring terms for persons who answered these items, written into `step`."""
    for q in range(len(step)):
        step[q] = log_ratio_weights[q]
    for i in items:
        for q in range(len(step)):
            step[q] *= ratios[i, q]
    for q in range(len(step)):
        back[q] = 1.0 / step[q]


@compiled
def ratio_table(log_total):  # type: ignore[no-untyped-def]
    """e^{G(q) - G(q + 1)} of each item, shape (I, Q - 1)."""
    n_items, n_nodes = log_total.shape
    ratios = np.empty((n_items, n_nodes - 1))
    for i in range(n_items):
        for q in range(n_nodes - 1):
            ratios[i, q] = np.exp(log_total[i, q] - log_total[i, q + 1])
    return ratios


@compiled
def gradient(mass, chance, theta, by_s, by_t):  # type: ignore[no-untyped-def]
    """Take the expected scores off the observed ones, given the persons (I, Q) at the nodes."""
    n_above, n_items, n_nodes = chance.shape
    for k in range(n_above):
        for i in range(n_items):
            total, first = 0.0, 0.0
            for q in range(n_nodes):
                part = mass[i, q] * chance[k, i, q]
                total += part
                first += part * theta[q]
            by_t[i, k + 1] -= total
            by_s[i, k + 1] -= first


@compiled
def marginal(s, t, nodes, answers):  # type: ignore[no-untyped-def]
    """Marginal log-likelihood and its derivatives by s and t.

    Parameters
    ----------
    s, t : array, shape (I, K)
        Of each category; zero for the first, t minus infinity where there is none.
    nodes : tuple of theta, log-weights, each (Q,)
    answers : tuple of arrays
        `Answers.arrays()`.

    Returns
    -------
    value : float
    by_s, by_t : array, shape (I, K)
    """
    theta, log_weights = nodes
    starts, items, codes, weights, pattern, pattern_starts, pattern_items, totals = answers
    n_items, n_categories = s.shape
    n_nodes = len(theta)
    spacing = theta[1] - theta[0]
    if n_categories == 2:
        log_total, chance = two_category_tables(s, t, theta)
    else:
        log_total, chance = category_tables(s, t, theta)
    ratios = ratio_table(log_total)
    ratio_weights = np.exp(log_weights[1:] - log_weights[:-1])
    by_s, by_t = np.zeros((n_items, n_categories)), totals.copy()
    value = 0.0
    for i in range(n_items):
        for k in range(1, n_categories):
            if totals[i, k] > 0:
                value += totals[i, k] * t[i, k]
    mass = np.zeros((n_items, n_nodes))
    step, back, term = np.empty(n_nodes - 1), np.empty(n_nodes - 1), np.empty(n_nodes)
    base, here = np.empty(n_nodes), np.zeros(n_nodes)
    person = 0
    for m in range(len(pattern_starts) - 1):
        answered = pattern_items[pattern_starts[m] : pattern_starts[m + 1]]
        pattern_steps(answered, ratio_weights, ratios, step, back)
        here[:] = 0.0
        base[:] = np.nan
        first, last = n_nodes, -1
        while person < len(weights) and pattern[person] == m:
            score = 0.0
            for cell in range(starts[person], starts[person + 1]):
                score += s[items[cell], codes[cell]]
            low, high, largest, total, mean = terms_of(step, back, np.exp(score * spacing), term)
            first, last = min(first, low), max(last, high)
            if np.isnan(base[largest]):
                level = log_weights[largest]
                for i in answered:
                    level -= log_total[i, largest]
                base[largest] = level
            weight = weights[person]
            for q in range(low, high + 1):
                here[q] += term[q] * (weight / total)
            ability = weight * (theta[largest] + spacing * mean)
            for cell in range(starts[person], starts[person + 1]):
                by_s[items[cell], codes[cell]] += ability
            value += weight * (base[largest] + theta[largest] * score + np.log(total))
            person += 1
        for i in answered:
            for q in range(first, last + 1):
                mass[i, q] += here[q]
    gradient(mass, chance, theta, by_s, by_t)
    return value, by_s, by_t


@compiled
def marginal_by_parameters(parameters, starts, nodes, answers):  # type: ignore[no-untyped-def]
    """Marginal log-likelihood and its derivatives by slopes and intercepts.

    Parameters
    ----------
    parameters : array, shape (I, D)
        Slope, then an intercept for each category above the first (not the nominal model's).
    starts : array of int, shape (I + 1,)
        Where each item's intercepts begin among all.
    nodes, answers : tuple
        As for `marginal`.

    Returns
    -------
    value : float
        NaN where slopes are too steep for the nodes: products would overflow.
    slopes : array, shape (I, D)
    """
    n_items = len(parameters)
    n_categories = answers[-1].shape[1]
    spacing = nodes[0][1] - nodes[0][0]
    s, t = np.zeros((n_items, n_categories)), np.zeros((n_items, n_categories))
    steepest = 0.0
    for i in range(n_items):
        size = starts[i + 1] - starts[i]
        steepest += abs(parameters[i, 0]) * size
        for k in range(1, n_categories):
            s[i, k] = k * parameters[i, 0] if k <= size else 0.0
            t[i, k] = parameters[i, k] if k <= size else -np.inf
    slopes = np.zeros(parameters.shape)
    if steepest * spacing > MOST_EXPONENT:
        return np.nan, slopes
    value, by_s, by_t = marginal(s, t, nodes, answers)
    for i in range(n_items):
        for k in range(1, starts[i + 1] - starts[i] + 1):
            slopes[i, 0] += k * by_s[i, k]
            slopes[i, k] = by_t[i, k]
    return value, slopes
