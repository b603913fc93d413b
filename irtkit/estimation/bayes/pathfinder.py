r"""Pathfinder: normal approximations along L-BFGS paths, and draws resampled by importance.

Every point of a path brings an estimate of the inverse Hessian from the steps so far; the normal
distribution at that point whose evidence bound (ELBO) is highest stands for the path. The draws of
all paths are weighted by their Pareto-smoothed importance and resampled.

References
----------
Zhang, L., Carpenter, B., Gelman, A., & Vehtari, A. (2022). Pathfinder: Parallel quasi-Newton
    variational inference. Journal of Machine Learning Research, 23(306), 1-49.
Byrd, R. H., Nocedal, J., & Schnabel, R. B. (1994). Representations of quasi-Newton matrices and
    their use in limited memory methods. Mathematical Programming, 63, 129-156.
Gilbert, J. C., & Lemarechal, C. (1989). Some numerical experiments with variable-storage
    quasi-Newton algorithms. Mathematical Programming, 45, 407-435.
Ionides, E. L. (2008). Truncated importance sampling. Journal of Computational and Graphical
    Statistics, 17(2), 295-311.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from irtkit.arrays import FloatArray, IntArray
from irtkit.errors import ModelError
from irtkit.estimation.bayes.method import Pathfinder
from irtkit.estimation.bayes.nuts import Evaluate, Trace, jittered

MOST_STEPS = 1000
MEMORY = 6  # pairs of steps that the inverse Hessian is made of
ELBO_DRAWS = 10
LEAST_CURVATURE = 1e-12
LOG_TWO_PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True, eq=False)
class NormalApproximation:
    """A normal distribution with covariance diag(alpha)^(1/2) (I + Q (L L' - I) Q') diag(...).

    Attributes
    ----------
    mean, alpha : array, shape (n,)
    basis : array, shape (n, 2 m)
        Q, orthonormal columns.
    root : array, shape (2 m, 2 m)
        L, lower triangular.
    """

    mean: FloatArray
    alpha: FloatArray
    basis: FloatArray
    root: FloatArray

    @classmethod
    def at(
        cls,
        x: FloatArray,
        gradient: FloatArray,
        alpha: FloatArray,
        steps: FloatArray,
        turns: FloatArray,
    ) -> NormalApproximation | None:
        """The approximation at a point of a path, or None if it is no distribution.

        Parameters
        ----------
        x, gradient : array, shape (n,)
            Point, and derivative of the log-density there.
        alpha : array, shape (n,)
            Diagonal start of the inverse Hessian.
        steps, turns : array, shape (n, m)
            The last moves of x and of minus the gradient.
        """
        products = steps.T @ turns  # (m, m)
        upper = np.triu(products)
        both = np.concatenate([alpha[:, None] * turns, steps], axis=1)  # (n, 2 m)
        m = steps.shape[1]
        try:
            inverse = np.linalg.inv(upper)
            middle = np.diag(np.diag(products)) + turns.T @ (alpha[:, None] * turns)
            block = np.zeros((2 * m, 2 * m))
            block[:m, m:], block[m:, :m] = -inverse, -inverse.T
            block[m:, m:] = inverse.T @ middle @ inverse
            basis, triangle = np.linalg.qr(both / np.sqrt(alpha)[:, None])
            inner = np.eye(basis.shape[1]) + triangle @ block @ triangle.T
            root = np.linalg.cholesky(0.5 * (inner + inner.T))
        except np.linalg.LinAlgError:
            return None
        mean = x + alpha * gradient + both @ (block @ (both.T @ gradient))
        return cls(mean, alpha, basis, root) if np.isfinite(mean).all() else None

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draws (S, n) and their log-density (S,)."""
        u = rng.standard_normal((n_draws, len(self.mean)))
        inside = u @ self.basis
        moved = u + (inside @ self.root.T - inside) @ self.basis.T
        log_det = 0.5 * np.log(self.alpha).sum() + np.log(np.diag(self.root)).sum()
        log_density = -0.5 * ((u**2).sum(axis=1) + len(self.mean) * LOG_TWO_PI) - log_det
        return self.mean + np.sqrt(self.alpha) * moved, log_density


def by_pathfinder(density: Evaluate, start: FloatArray, method: Pathfinder, seed: int) -> Trace:
    """Approximate draws of the coordinates, one chain of the variable "x"."""
    begun = time.perf_counter()
    density(start)
    compiled = time.perf_counter()
    rng = np.random.default_rng(seed)
    pool, weights = [], []
    for _ in range(method.paths):
        begin = jittered(density, start, int(rng.integers(2**31)))
        best = _best_on_path(density, begin, rng)
        if best is None:
            continue
        draws, log_density = best.draw(method.draws, rng)
        value = np.array([density(x)[0] for x in draws])
        pool.append(draws)
        weights.append(value - log_density)
    if not pool:
        raise ModelError(
            "No path found a normal distribution like the posterior. Use NUTS, or tighter priors."
        )
    chosen = _resampled(np.concatenate(weights), method.draws, rng)
    x = np.concatenate(pool)[chosen][None]
    return Trace({"x": x}, {}, compiled - begun, time.perf_counter() - compiled)


def _best_on_path(
    density: Evaluate, begin: FloatArray, rng: np.random.Generator
) -> NormalApproximation | None:
    """The approximation with the highest evidence bound along one path."""
    points, gradients = _path(density, begin)
    alpha = np.ones(len(begin))
    best, highest = None, -np.inf
    steps: list[FloatArray] = []
    turns: list[FloatArray] = []
    for place in range(1, len(points)):
        step = points[place] - points[place - 1]
        turn = gradients[place - 1] - gradients[place]  # of minus the log-density
        curvature = float(step @ turn)
        if curvature > LEAST_CURVATURE * float(turn @ turn):
            alpha = _diagonal(alpha, step, turn, curvature)
            steps, turns = [*steps, step][-MEMORY:], [*turns, turn][-MEMORY:]
        if not steps:
            continue
        found = NormalApproximation.at(
            points[place], gradients[place], alpha, np.stack(steps, 1), np.stack(turns, 1)
        )
        if found is None:
            continue
        draws, log_density = found.draw(ELBO_DRAWS, rng)
        bound = float(np.mean([density(x)[0] for x in draws] - log_density))
        if bound > highest:
            best, highest = found, bound
    return best


def _path(density: Evaluate, begin: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Points that L-BFGS visits and the log-density's gradient at each."""
    points, gradients = [begin], [density(begin)[1]]

    def negative(x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = density(x)
        return (-value, -gradient) if np.isfinite(value) else (1e300, np.zeros_like(x))

    def keep(x: FloatArray) -> None:
        points.append(np.array(x))
        gradients.append(density(x)[1])

    minimize(  # type: ignore[call-overload]
        negative,
        begin,
        jac=True,
        method="L-BFGS-B",
        callback=keep,
        options={"maxiter": MOST_STEPS, "maxcor": MEMORY},
    )
    return points, gradients


def _diagonal(
    alpha: FloatArray, step: FloatArray, turn: FloatArray, curvature: float
) -> FloatArray:
    """The diagonal of the inverse Hessian after one more step (Gilbert & Lemarechal, 1989)."""
    a, c = float(turn @ (alpha * turn)), float(step @ (step / alpha))
    inverse = a / (curvature * alpha) + turn**2 / curvature
    inverse -= a * step**2 / (curvature * c * alpha**2)
    return np.where(inverse > 0, 1.0 / np.where(inverse > 0, inverse, 1.0), alpha)


def _resampled(log_weights: FloatArray, n_draws: int, rng: np.random.Generator) -> IntArray:
    """Positions drawn by importance, no weight above the mean times sqrt(S) (Ionides, 2008)."""
    usable = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    weights = np.exp(usable - usable.max())
    weights = np.minimum(weights, weights.mean() * math.sqrt(len(weights)))
    return rng.choice(len(weights), n_draws, p=weights / weights.sum())
