r"""How right a classifier is, and how right it believes itself to be.

Array functions on probabilities (N, L) against gold labels (N,) or label distributions (N, L).
`prediction_quality` puts them in one row.

.. math::

    \mathrm{ECE} = \sum_b \frac{n_b}{N} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

over bins b of the largest probability, equally wide. It is biased upwards where bins hold few
texts; the Brier score and the log loss have no bins.

References
----------
Guo, C., Pleiss, G., Sun, Y., & Weinberger, K. Q. (2017). On calibration of modern neural networks.
    ICML, 1321-1330. arXiv:1706.04599.
Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly Weather
    Review, 78(1), 1-3.
"""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr

from irtkit.arrays import FloatArray, IntArray

BINS = 10
SMALLEST = 1e-12  # of a probability in a logarithm: one text costs at most 28 nats


def calibration_error(probabilities: FloatArray, gold: IntArray, *, bins: int = BINS) -> float:
    """Return the expected calibration error, 0 to 1.

    Parameters
    ----------
    probabilities : array, shape (N, L)
    gold : array of int, shape (N,)
    bins : int
        Equally wide bins of the largest probability.
    """
    confidence = probabilities.max(axis=1)  # (N,)
    right = probabilities.argmax(axis=1) == gold
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=bins)  # (bins,)
    return float(np.abs(gap).sum() / len(gold))


def prediction_quality(
    probabilities: FloatArray, gold: IntArray, distributions: FloatArray | None = None
) -> dict[str, float]:
    """Measure probabilities against gold labels and, if given, against the crowd's shares.

    Parameters
    ----------
    probabilities : array, shape (N, L)
    gold : array of int, shape (N,)
    distributions : array, shape (N, L), optional
        The crowd's label distributions.

    Returns
    -------
    dict
        accuracy, calibration_error, brier, log_loss (nats); with distributions also crowd_kl (mean
        Kullback-Leibler divergence of the crowd from the classifier, nats) and crowd_distance
        (mean total variation, 0 to 1).
    """
    kept = np.maximum(probabilities, SMALLEST)
    rows = np.arange(len(gold))
    shown = np.eye(probabilities.shape[1])[gold]  # (N, L)
    found = {
        "accuracy": float((probabilities.argmax(axis=1) == gold).mean()),
        "calibration_error": calibration_error(probabilities, gold),
        "brier": float(np.square(probabilities - shown).sum(axis=1).mean()),
        "log_loss": float(-np.log(kept[rows, gold]).mean()),
    }
    if distributions is not None:
        found["crowd_kl"] = float(rel_entr(distributions, kept).sum(axis=1).mean())
        gap = np.abs(probabilities - distributions)
        found["crowd_distance"] = float(0.5 * gap.sum(axis=1).mean())
    return found
