r"""Logistic regression on probabilities, by Newton's method.

.. math:: \max_\beta \; \sum_c w_c [p_c \log \sigma(\eta_c) + (1 - p_c) \log \sigma(-\eta_c)]
    - \tfrac{1}{2} \sum_d \lambda_d \beta_d^2, \qquad \eta = X \beta + o

The function is concave, and X'VX of a table of comparisons is the Laplacian of a graph: sparse
where few pairs were compared. This module knows nothing of items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import cg, splu
from scipy.special import expit, log_expit

from irtkit.arrays import FloatArray
from irtkit.errors import NotConverged

MOST_CYCLES = 100
MOST_HALVINGS = 40
SMALL_STEP = 1e-9  # largest move of a coefficient in the last cycle; Newton squares the error
DENSE_SHARE = 0.1  # of cells filled, from which a dense factorisation is faster
DENSE_SIZE = 300
SOLVED = 1e-12  # residual of a step, relative; the next step takes up the rest
MOST_PRODUCTS = 500


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """Where the maximisation ended.

    Attributes
    ----------
    coefficients : array, shape (D,)
    log_likelihood : float
        Expected under the probabilities, without the penalty, in nats.
    n_cycles : int
    """

    coefficients: FloatArray
    log_likelihood: float
    n_cycles: int


def maximum(
    design: sp.csr_array,
    offset: FloatArray,
    probability: FloatArray,
    weight: FloatArray,
    penalty: FloatArray,
) -> Maximum:
    """Maximise from zero.

    Parameters
    ----------
    design : sparse array, shape (C, D)
        Of full column rank where the penalty is 0.
    offset, probability, weight : array, shape (C,)
    penalty : array, shape (D,)

    Raises
    ------
    NotConverged
        If the coefficients run away, or do not settle.
    """
    beta = np.zeros(design.shape[1])
    value = _value(design, offset, probability, weight, penalty, beta)
    for cycle in range(1, MOST_CYCLES + 1):
        mean = expit(design @ beta + offset)  # (C,)
        gradient = design.T @ (weight * (probability - mean)) - penalty * beta  # (D,)
        step = solved(information(design, weight * mean * (1.0 - mean), penalty), gradient)
        size = float(np.abs(step).max(initial=0.0))
        if size < SMALL_STEP:
            beta = beta + step
            likelihood = _value(design, offset, probability, weight, 0.0 * penalty, beta)
            return Maximum(beta, likelihood, cycle)
        if not np.isfinite(size):
            break
        for _ in range(MOST_HALVINGS):
            trial = _value(design, offset, probability, weight, penalty, beta + step)
            if trial >= value - 1e-13 * abs(value):
                break
            step = 0.5 * step
        beta, value = beta + step, trial
    raise NotConverged(
        "The strengths run away or do not settle: some comparisons of probability 0 or 1 are "
        "never contradicted. Use a ridge, or compare more pairs."
    )


def _value(
    design: sp.csr_array,
    offset: FloatArray,
    probability: FloatArray,
    weight: FloatArray,
    penalty: FloatArray,
    beta: FloatArray,
) -> float:
    logit = design @ beta + offset  # (C,)
    each = probability * log_expit(logit) + (1.0 - probability) * log_expit(-logit)
    return float(weight @ each - 0.5 * penalty @ beta**2)


def information(design: sp.csr_array, variance: FloatArray, penalty: FloatArray) -> sp.csc_array:
    """X'VX plus the penalty, (D, D)."""
    scaled = sp.csr_array(design.multiply(variance[:, None]))
    return sp.csc_array(design.T @ scaled + sp.diags_array(penalty))


def solved(matrix: sp.csc_array, right: FloatArray) -> FloatArray:
    """Solve a positive definite system; NaN where the matrix is singular.

    Small and filled matrices are factorised. Large sparse ones are solved by conjugate gradients,
    which take some forty products where items are compared at random; a factorisation of such a
    graph would fill. Graphs on which they do not settle, such as long chains, are factorised.
    """
    size = matrix.shape[0]
    if size <= DENSE_SIZE or matrix.nnz > DENSE_SHARE * size**2:
        try:
            factor = scipy.linalg.cho_factor(matrix.toarray())
        except np.linalg.LinAlgError:
            return np.full_like(right, np.nan)
        return np.asarray(scipy.linalg.cho_solve(factor, right))
    diagonal = matrix.diagonal()
    if not (diagonal > 0).all():
        return np.full_like(right, np.nan)
    near = sp.diags_array(1.0 / diagonal)
    found, unsettled = cg(matrix, right, rtol=SOLVED, maxiter=MOST_PRODUCTS, M=near)
    if not unsettled:
        return np.asarray(found)
    try:
        return np.asarray(splu(matrix, permc_spec="MMD_AT_PLUS_A").solve(right))
    except RuntimeError:  # exactly singular
        return np.full_like(right, np.nan)


def inverse(matrix: sp.csc_array) -> FloatArray:
    """Inverse of a positive definite matrix, (D, D)."""
    factor = scipy.linalg.cho_factor(matrix.toarray())
    return np.asarray(scipy.linalg.cho_solve(factor, np.eye(matrix.shape[0])))
