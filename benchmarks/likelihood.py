r"""The judge: the marginal log-likelihood of any tool's parameters, by its own plain sums.

Shares no code with irtkit. Two categories or more, missing answers left out, theta N(0, 1) on
equally spaced nodes over [-8, 8]:

.. math:: \log L = \sum_p \log \sum_q w_q \prod_{i \in p} P(y_{pi} \mid \theta_q)

241 nodes; more for long tests, so that the spacing is at most half a posterior's SD, where the
error of equally spaced nodes is far below the 0.01 that is asked about here.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.workloads import CodeArray, FloatArray, row_chunks

FEWEST_NODES = 241
HALF_WIDTH = 8.0
NODES_PER_SD = 2.0
TABLE_CELLS = 8_000_000


def log_likelihood(codes: CodeArray, slope: FloatArray, intercepts: FloatArray) -> float:
    """Marginal log-likelihood (nats) of the parameters.

    Parameters
    ----------
    codes : array, shape (P, I)
        Categories 0 .. K-1, negative where missing.
    slope : array, shape (I,)
        Items with a NaN are left out.
    intercepts : array, shape (I, K - 1)
        Falling in k: P(y >= k) is logistic in slope * theta + intercept k.
    """
    known = np.flatnonzero(np.isfinite(slope) & np.isfinite(intercepts).all(axis=1))
    theta = nodes(slope[known])
    log_weights = -0.5 * theta**2
    log_weights -= np.log(np.exp(log_weights).sum())
    return sum(
        _of_persons(codes[rows], known, slope, intercepts, theta, log_weights)
        for rows in row_chunks(len(codes), len(theta), cells=TABLE_CELLS)
    )


def nodes(slope: FloatArray) -> FloatArray:
    """Equally spaced nodes, close enough together for a test of such slopes."""
    largest_information = float((slope**2).sum()) / 4.0
    wanted = math.ceil(2 * HALF_WIDTH * NODES_PER_SD * math.sqrt(1.0 + largest_information)) + 1
    return np.linspace(-HALF_WIDTH, HALF_WIDTH, max(FEWEST_NODES, wanted))


def _of_persons(
    codes: CodeArray,
    known: np.ndarray,
    slope: FloatArray,
    intercepts: FloatArray,
    theta: FloatArray,
    log_weights: FloatArray,
) -> float:
    joint = np.tile(log_weights, (len(codes), 1))  # (B, Q)
    width = max(1, TABLE_CELLS // (len(theta) * (intercepts.shape[1] + 1)))
    for start in range(0, len(known), width):
        items = known[start : start + width]
        tables = _log_prob(slope[items], intercepts[items], theta)
        for category, table in enumerate(tables):
            joint += (codes[:, items] == category).astype(np.float64) @ table
    largest = joint.max(axis=1)  # (B,)
    return float((largest + np.log(np.exp(joint - largest[:, None]).sum(axis=1))).sum())


def _log_prob(slope: FloatArray, intercepts: FloatArray, theta: FloatArray) -> list[FloatArray]:
    """Log-probability of each category, K tables of shape (I, Q)."""
    line = np.outer(slope, theta)  # (I, Q)
    logits = [line + intercept[:, None] for intercept in intercepts.T]  # z_1 .. z_{K-1}
    tables = [-np.logaddexp(0.0, logits[0])]
    for upper, lower, gap in zip(
        logits, logits[1:], (intercepts[:, :-1] - intercepts[:, 1:]).T, strict=False
    ):
        # F(z_k) - F(z_{k+1}) = F(z_k) (1 - F(z_{k+1})) (1 - exp(-(d_k - d_{k+1})))
        table = -np.logaddexp(0.0, -upper) - np.logaddexp(0.0, lower)
        tables.append(table + np.log(-np.expm1(-gap))[:, None])
    tables.append(-np.logaddexp(0.0, -logits[-1]))
    return tables
