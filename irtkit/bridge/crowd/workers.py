"""`worker_table`: how well each worker labels, by several measures, to choose workers by.

The table holds worker ids, so it is not for publication: see `hash_workers`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.bridge.crowd.aggregation import NO_LABEL, AggregatedLabels, with_workers
from irtkit.bridge.crowd.counts import NO_GOLD
from irtkit.bridge.crowd.labels import CrowdLabels


def worker_table(found: AggregatedLabels) -> pd.DataFrame:
    """Describe each worker.

    Parameters
    ----------
    found : AggregatedLabels
        Of labels whose workers are known.

    Returns
    -------
    DataFrame
        Indexed by worker: n_answers; agreement (mean over the worker's items of the share of the
        other answers that are the same; NaN where there are no others); label_share (share of
        answers that are the aggregated label); gold_share (share that are gold) and n_gold, where
        gold labels are known; seconds (median), where times are known; then what the method
        estimated: accuracy, or theta and its standard_error.

    Raises
    ------
    ResponseError
        If the workers are unknown.
    """
    crowd = with_workers(found.crowd, "a table of workers")
    n_answers = np.bincount(crowd.worker, minlength=crowd.n_workers)
    parts: dict[str, object] = {
        "n_answers": n_answers,
        "agreement": _agreement(crowd),
        "label_share": _share(crowd, found.label, NO_LABEL),
    }
    if (crowd.gold != NO_GOLD).any():
        known = (crowd.gold != NO_GOLD)[crowd.item]
        parts["gold_share"] = _share(crowd, crowd.gold, NO_GOLD)
        parts["n_gold"] = np.bincount(crowd.worker[known], minlength=crowd.n_workers)
    if crowd.seconds is not None:
        times = pd.Series(crowd.seconds).groupby(crowd.worker).median()
        parts["seconds"] = times.reindex(range(crowd.n_workers)).to_numpy()
    table = pd.DataFrame(parts, index=pd.Index(crowd.workers, name="worker"))
    if found.workers is None:
        return table
    return table.join(found.workers.drop(columns="n_answers"))


def _agreement(crowd: CrowdLabels) -> FloatArray:
    """Mean share of the other answers to a worker's items that are the same, shape (W,)."""
    counts = crowd.counts().counts
    same = counts[crowd.item, crowd.label] - 1.0  # (N,)
    others = counts.sum(axis=1)[crowd.item] - 1.0
    usable = others > 0
    share = same[usable] / others[usable]
    return _mean(share, crowd.worker[usable], crowd.n_workers)


def _share(crowd: CrowdLabels, labels: np.ndarray, nothing: int) -> FloatArray:
    """Share of each worker's answers that are the label of their item, (W,)."""
    right = labels[crowd.item]  # (N,)
    usable = right != nothing
    hits = (crowd.label == right)[usable].astype(np.float64)
    return _mean(hits, crowd.worker[usable], crowd.n_workers)


def _mean(values: FloatArray, worker: np.ndarray, n_workers: int) -> FloatArray:
    number = np.bincount(worker, minlength=n_workers)
    with np.errstate(invalid="ignore"):
        return np.bincount(worker, values, n_workers) / number
