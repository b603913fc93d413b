r"""How well the features of an encoder suit a task, before any training of it.

Features are an array (N, D), one row an example, of a frozen encoder.

- `log_me`: the largest log evidence, per degree of freedom, of a Bayesian linear regression of
  each target column on the features, averaged over columns. With :math:`w \sim N(0, \alpha^{-1}
  I)`, :math:`y \sim N(F w, \beta^{-1} I)`, the singular values s of F, U'y = z and
  :math:`\tau = \alpha / \beta`,

  .. math::

      \log p(y) = -\tfrac12 \sum_i \log(1 + s_i^2/\tau) + \tfrac n2 \log\frac{\beta}{2\pi}
          - \tfrac\beta2 E(\tau), \quad
      E(\tau) = y'y - \sum_i \frac{s_i^2}{s_i^2 + \tau} z_i^2 .

  The best :math:`\beta` is n/E, so that one number, tau, is searched: on a grid, then by Brent's
  method. (The authors iterate a fixed point of alpha and beta, which may stop early.) The paper
  has no intercept. An encoder is then favoured for features with a large common mean, which
  stands in for one, and an encoder with centred features falls behind random weights. Here there
  is an intercept with a flat prior: features and targets are centred, and n is N - 1. Without it
  n is N, as published.
- `h_score`: :math:`tr(\Sigma_f^{+} \Sigma_{E[f|y]})`, the share of the features' variance that
  lies between classes, summed over whitened directions; between 0 and the number of classes less
  one. With more features than examples it is that maximum whatever the features are.
- `shrunk_h_score`: the same with the covariance of Ledoit and Wolf,
  :math:`tr(\Sigma_\gamma^{-1} (1-\gamma) \Sigma_{E[f|y]})`, which means something for any D. It
  is zero for white features, whose covariance is shrunk wholly: do not whiten them.
- `neighbour_accuracy`: how often the k most similar other examples vote for the right label.

References
----------
You, K., Liu, Y., Wang, J., & Long, M. (2021). LogME: Practical assessment of pre-trained models
    for transfer learning. ICML 2021. arXiv:2102.11005.
Bao, Y., Li, Y., Huang, S.-L., Zhang, L., Zheng, L., Zamir, A., & Guibas, L. (2019). An
    information-theoretic approach to transferability in task transfer learning. ICIP 2019.
    https://doi.org/10.1109/ICIP.2019.8803726
Ibrahim, S., Ponomareva, N., & Mazumder, R. (2022). Newer is not always better: Rethinking
    transferability metrics, their peculiarities, stability and performance. ECML PKDD 2022.
    arXiv:2110.06893.
Ledoit, O., & Wolf, M. (2004). A well-conditioned estimator for large-dimensional covariance
    matrices. Journal of Multivariate Analysis, 88(2), 365-411.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from irtkit.arrays import BoolArray, FloatArray, IntArray

GRID = np.linspace(-30.0, 30.0, 121)  # log tau, relative to the mean squared singular value
BLOCK = 512  # examples whose similarities are computed at once
RANK = 1e-10  # singular values below this share of the largest are zero


def log_me(features: FloatArray, targets: FloatArray, *, intercept: bool = True) -> float:
    """Maximise the log evidence of a linear regression of targets on features.

    Parameters
    ----------
    features : array, shape (N, D)
    targets : array, shape (N, L)
        One column a label: 0/1 for gold labels, or shares. None may be constant.
    intercept : bool
        False: as published, where the regression goes through the origin.

    Returns
    -------
    float
        Nats per degree of freedom, averaged over columns; infinite if a column is an exact linear
        function of fewer features than examples.
    """
    size = len(targets) - intercept
    if intercept:
        features, targets = features - features.mean(axis=0), targets - targets.mean(axis=0)
    left, singular, _ = _svd(features)
    return float(np.mean([_evidence(left, singular, column, size) for column in targets.T]))


def _svd(features: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Thin singular value decomposition without the null directions: (N, R), (R,), (R, D)."""
    left, singular, right = np.linalg.svd(features, full_matrices=False)
    kept = singular > RANK * singular.max(initial=0.0)
    return left[:, kept], singular[kept], right[kept]


def _evidence(left: FloatArray, singular: FloatArray, target: FloatArray, size: int) -> float:
    """Largest log evidence of one target column (N,), divided by its `size` degrees of freedom."""
    z = left.T @ target  # (R,)
    outside = float(((target - left @ z) ** 2).sum()) if len(z) < size else 0.0
    if outside <= RANK**2 * float(target @ target) and len(z) < size:
        return float("inf")
    squares = singular**2  # (R,)
    scale = np.log(squares.mean()) if len(squares) else 0.0

    def value(log_tau: float) -> float:
        ratio = squares * np.exp(-log_tau - scale)  # (R,)
        error = outside + float((z**2 / (1.0 + ratio)).sum())
        return -0.5 * float(np.log1p(ratio).sum()) - 0.5 * size * (
            np.log(2.0 * np.pi * error / size) + 1.0
        )

    values = [value(point) for point in GRID]
    best = int(np.argmax(values))
    ends = (GRID[max(best - 1, 0)], GRID[min(best + 1, len(GRID) - 1)])
    found = minimize_scalar(lambda x: -value(x), bounds=ends, method="bounded")
    return max(-float(found.fun), values[best]) / size


def h_score(features: FloatArray, labels: IntArray) -> float:
    """Between-class variance of the features relative to all of it, unshrunk.

    Parameters
    ----------
    features : array, shape (N, D)
    labels : array of int, shape (N,)
    """
    left, _, _ = _svd(features - features.mean(axis=0))
    means, share = _class_means(left, labels)
    return float(len(labels) * (share[:, None] * means**2).sum())


def shrunk_h_score(features: FloatArray, labels: IntArray) -> float:
    """Between-class variance of the features relative to all of it, shrunk.

    Parameters
    ----------
    features : array, shape (N, D)
    labels : array of int, shape (N,)
    """
    centred = features - features.mean(axis=0)
    left, singular, _ = _svd(centred)
    size, width = features.shape
    variances = singular**2 / size  # (R,)
    gamma = shrinkage(centred, variances)
    means, share = _class_means(left * singular, labels)  # (C, R)
    shrunk = (1.0 - gamma) * variances + gamma * variances.sum() / width  # (R,)
    return float((1.0 - gamma) * (share[:, None] * means**2 / shrunk).sum())


def shrinkage(centred: FloatArray, variances: FloatArray) -> float:
    """Ledoit and Wolf's weight of the identity, from centred features and their eigenvalues.

    Parameters
    ----------
    centred : array, shape (N, D)
    variances : array, shape (R,)
        Positive eigenvalues of the covariance matrix with divisor N.
    """
    size, width = centred.shape
    squared = float((variances**2).sum())
    noise = (float(((centred**2).sum(axis=1) ** 2).sum()) / size - squared) / (width * size)
    distance = (squared - variances.sum() ** 2 / width) / width
    if distance <= 0.0:
        return 1.0
    return float(min(max(noise / distance, 0.0), 1.0))


def _class_means(values: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean of the values (N, R) in each class, (C, R), and the share of each class, (C,)."""
    number = np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(number).astype(float)  # (C,)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, number, values)
    return sums / counts[:, None], counts / len(labels)


def neighbour_accuracy(
    features: FloatArray, labels: IntArray, *, k: int = 5, groups: IntArray | None = None
) -> float:
    """Share of examples whose nearest others vote for their label.

    Parameters
    ----------
    features : array, shape (N, D)
        Similarity is the cosine.
    labels : array of int, shape (N,)
    k : int
        Neighbours. Of labels with equal votes the one with the nearest neighbour wins, of equally
        similar examples the first.
    groups : array of int, shape (N,), optional
        Examples of one group do not vote for each other.

    Returns
    -------
    float
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(norms > 0.0, norms, 1.0)  # (N, D)
    own = np.arange(len(labels)) if groups is None else groups  # (N,)
    classes, number = np.unique(labels, return_inverse=True)
    right = 0
    for start in range(0, len(labels), BLOCK):
        rows = slice(start, start + BLOCK)
        similar = unit[rows] @ unit.T  # (B, N)
        similar[own[rows, None] == own] = -np.inf
        near = np.argsort(-similar, axis=1, kind="stable")[:, :k]  # (B, k)
        counted = np.take_along_axis(similar, near, axis=1) > -np.inf  # (B, k)
        right += int((_vote(number[near], counted, len(classes)) == number[rows]).sum())
    return right / len(labels)


def _vote(near: IntArray, counted: BoolArray, n_classes: int) -> IntArray:
    """Majority of the neighbours' classes (B, k); the nearest breaks ties; -1 without any."""
    ballots = (near[:, :, None] == np.arange(n_classes)) & counted[:, :, None]  # (B, k, C)
    votes = ballots.sum(axis=1)  # (B, C)
    nearest = np.where(ballots.any(axis=1), ballots.argmax(axis=1), near.shape[1])  # (B, C)
    order = votes * (near.shape[1] + 1) - nearest  # (B, C)
    return np.where(counted.any(axis=1), order.argmax(axis=1), -1)
