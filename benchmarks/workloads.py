r"""The simulated workloads: how large each is, and drawing it from its fixed seed.

Abilities are N(0, 1), discriminations lognormal(0, 0.3), difficulties N(0, 1). Graded items have
four thresholds around their difficulty. Nothing here uses irtkit or a rival, so that no tool
draws its own examination questions:

.. math:: P(y \ge k \mid \theta) = 1 / (1 + e^{-(a \theta + d_k)}), \qquad k = 1 .. K-1
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

FloatArray = npt.NDArray[np.float64]
CodeArray = npt.NDArray[np.int8]

MISSING = -1
LOG_SLOPE_SD = 0.3
THRESHOLDS = {2: (0.0,), 5: (-1.2, -0.4, 0.4, 1.2)}  # around the difficulty, by categories
DRAWN_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """A size of problem.

    Attributes
    ----------
    name : str
    n_persons, n_items : int
    seed : int
    missing : float
        Share of answers missing completely at random.
    n_categories : int
    answers_each : int
        Answers a person gives, as a sparse matrix; 0 for a dense one.
    """

    name: str
    n_persons: int
    n_items: int
    seed: int
    missing: float = 0.0
    n_categories: int = 2
    answers_each: int = 0

    @property
    def title(self) -> str:
        """One line for people."""
        extra = [f"{self.missing:.0%} missing"] if self.missing else []
        extra += [f"{self.n_categories} categories"] if self.n_categories > 2 else []
        extra += [f"{self.answers_each} answers a person"] if self.answers_each else []
        size = f"{self.n_persons:,} persons x {self.n_items:,} items"
        return f"{self.name}: {', '.join([size, *extra])}"

    @property
    def sparse(self) -> bool:
        """Whether the answers are stored as a sparse matrix."""
        return self.answers_each > 0


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", 1_000, 30, seed=101),
        Workload("W2", 10_000, 100, seed=102),
        Workload("W3", 50_000, 100, seed=103, missing=0.8),
        Workload("W4", 100_000, 50, seed=104),
        Workload("W5", 400, 10_000, seed=105),
        Workload("W6", 1_000_000, 5_000, seed=106, answers_each=20),
        Workload("W7", 1_000_000, 100, seed=107),
        Workload("W8", 5_000, 30_000, seed=108),
        Workload("WG", 5_000, 40, seed=109, n_categories=5),
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the answers were drawn from.

    Attributes
    ----------
    theta : array, shape (P,)
    slope : array, shape (I,)
    intercepts : array, shape (I, K - 1)
    """

    theta: FloatArray
    slope: FloatArray
    intercepts: FloatArray


def resized(workload: Workload, n_persons: int) -> Workload:
    """Return the same workload with another number of persons."""
    return replace(workload, n_persons=n_persons)


def drawn(workload: Workload) -> tuple[CodeArray | sp.csr_array, Truth]:
    """Draw the answers of a workload: codes, -1 where missing, or a sparse matrix of codes.

    A sparse matrix stores every answer, wrong ones as explicit zeros.
    """
    rng = np.random.default_rng(workload.seed)
    theta = rng.normal(size=workload.n_persons)  # (P,)
    slope = rng.lognormal(0.0, LOG_SLOPE_SD, workload.n_items)  # (I,)
    difficulty = rng.normal(size=workload.n_items)  # (I,)
    around = np.array(THRESHOLDS[workload.n_categories])  # (K - 1,)
    truth = Truth(theta, slope, -slope[:, None] * (difficulty[:, None] + around))
    if workload.sparse:
        return _sparse_answers(workload, truth, rng), truth
    return _dense_answers(workload, truth, rng), truth


def _dense_answers(workload: Workload, truth: Truth, rng: np.random.Generator) -> CodeArray:
    codes = np.zeros((workload.n_persons, workload.n_items), dtype=np.int8)
    for rows in row_chunks(*codes.shape, cells=DRAWN_CELLS):
        logit = np.outer(truth.theta[rows], truth.slope)  # (B, I)
        chance = rng.random(logit.shape)
        for intercept in truth.intercepts.T:
            codes[rows] += chance < 1.0 / (1.0 + np.exp(-logit - intercept))
        if workload.missing:
            codes[rows][rng.random(logit.shape) < workload.missing] = MISSING
    return codes


def _sparse_answers(workload: Workload, truth: Truth, rng: np.random.Generator) -> sp.csr_array:
    n, each = workload.n_persons, workload.answers_each
    # numbers drawn with replacement, sorted and spread apart, are different items in order
    items = rng.integers(0, workload.n_items - each + 1, (n, each), dtype=np.int32)
    items.sort(axis=1)
    items += np.arange(each, dtype=np.int32)
    codes = np.empty((n, each), dtype=np.int8)
    for rows in row_chunks(n, each, cells=DRAWN_CELLS):
        here = items[rows]
        logit = truth.slope[here] * truth.theta[rows, None] + truth.intercepts[here, 0]
        codes[rows] = rng.random(here.shape) < 1.0 / (1.0 + np.exp(-logit))
    starts = np.arange(0, n * each + 1, each)
    shape = (n, workload.n_items)
    return sp.csr_array((codes.ravel(), items.ravel(), starts), shape=shape)


def row_chunks(n_rows: int, n_columns: int, *, cells: int) -> list[slice]:
    """Cut rows into slices of at most so many cells."""
    height = max(1, cells // n_columns)
    return [slice(start, start + height) for start in range(0, n_rows, height)]


def stored(codes: CodeArray | sp.csr_array, folder: Path, name: str) -> Path:
    """Write the answers where workers read them: .npy if dense, .npz if sparse."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(codes, np.ndarray):
        path = folder / f"{name}.npy"
        np.save(path, codes)
    else:
        path = folder / f"{name}.npz"
        sp.save_npz(path, codes, compressed=False)
    return path
