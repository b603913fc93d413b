r"""Means over items that come in clusters, such as questions about one passage.

Items of a cluster tend to be answered alike, so they say less than as many single items. The
variance of a mean then is

.. math:: \mathrm{Var}(\bar x) = \frac{G}{G - 1} \, \frac{1}{n^2}
          \sum_{c=1}^{G} \Big( \sum_{i \in c} (x_i - \bar x) \Big)^2

over G clusters of n items; with every item a cluster of its own, that of any mean.

References
----------
Miller, E. (2024). Adding error bars to evals: A statistical approach to language model
    evaluations. arXiv:2411.00640.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import CodeArray, FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError, ResponseError, count, listing
from irtkit.models import Assignment


def membership(items: Sequence[str], clusters: Mapping[str, str] | None) -> Any | None:
    """Return which item is in which cluster, CSR of shape (I, G); None without clusters.

    Raises
    ------
    ResponseError
        If an item has no cluster, or all have the same.
    """
    if clusters is None:
        return None
    alone = [item for item in items if item not in clusters]
    if alone:
        raise ResponseError(
            f"{count(len(alone), 'item')} without a cluster: {listing(alone)}. Name one for each "
            "item; an item that stands alone is a cluster of its own."
        )
    names = sorted({clusters[item] for item in items})
    if len(names) < 2:
        raise ResponseError(
            "All items are in one cluster, which says nothing about how clusters differ. Give "
            "two at least, or none."
        )
    number = {name: place for place, name in enumerate(names)}
    columns = [number[clusters[item]] for item in items]
    cells = (np.ones(len(items)), (np.arange(len(items)), columns))
    return sp.csr_array(cells, shape=(len(items), len(names)))


def clustered_mean(
    values: FloatArray, clusters: Any | None
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Mean of each row over the items that have a value, with its standard error.

    Parameters
    ----------
    values : array, shape (n, I)
        NaN where there is none.
    clusters : CSR array, shape (I, G), or None
        From `membership`.

    Returns
    -------
    mean, standard_error : array, shape (n,)
        NaN without values; the error also with fewer than two clusters.
    n_clusters : array of int, shape (n,)
        Clusters with a value; items, where there are no clusters.
    """
    seen = ~np.isnan(values)
    number = seen.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(seen, values, 0.0).sum(axis=1) / number
        left = np.where(seen, values - mean[:, None], 0.0)  # (n, I)
        groups = number
        if clusters is not None:
            left = left @ clusters  # (n, G)
            groups = (seen.astype(np.float64) @ clusters > 0).sum(axis=1)
        variance = (left**2).sum(axis=1) * groups / (groups - 1.0) / number**2
    error = np.sqrt(np.where(groups > 1, variance, np.nan))
    return mean, error, groups


def credits(codes: CodeArray, assignment: Assignment) -> FloatArray:
    """Share of the full credit of each answer (n, I): 1 right, 0 wrong, NaN where unanswered.

    Raises
    ------
    ModelError
        If an item's categories have no order.
    """
    if any(model.name == "nominal" for model in assignment.models):
        raise ModelError(
            "Nominal categories have no order, so there is no share of right answers."
        )
    return np.where(codes == MISSING, np.nan, codes / (assignment.n_categories - 1.0))
