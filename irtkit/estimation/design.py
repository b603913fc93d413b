"""The shape of the answers before estimation: connection, duplicates, first component.

Nothing here depends on an item response model.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from irtkit.arrays import FloatArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError, listing
from irtkit.responses import Responses

POWER_ITERATIONS = 30


def check_connected(responses: Responses) -> None:
    """Refuse a design whose items fall into groups that share no person.

    Raises
    ------
    ModelError
        With the items of each component.
    """
    answered = responses.n_answered()
    if answered.max() == responses.n_items:
        return
    seen = sp.vstack([sp.csr_array(codes != MISSING) for _, codes in responses.blocks()])
    n_items = responses.n_items
    links: sp.coo_array = sp.block_array([[None, seen.T], [seen, None]])  # type: ignore[list-item]
    _, component = connected_components(links, directed=False)
    groups = np.unique(component[:n_items])
    if len(groups) == 1:
        return
    names = np.array(responses.items, dtype=object)
    parts = [f"({listing(names[component[:n_items] == group])})" for group in groups[:5]]
    raise ModelError(
        f"The answers fall into {len(groups)} parts that share neither items nor persons: "
        f"{', '.join(parts)}{' ...' if len(groups) > 5 else ''}. Their abilities cannot be "
        "compared; calibrate each part alone, or add persons who answer items of both."
    )


def duplicates(responses: Responses) -> dict[str, str]:
    """Map each item whose answers are all those of an earlier item to that item."""
    if isinstance(responses.codes, np.ndarray):
        columns = np.ascontiguousarray(responses.codes.T)
        prints = [hash(column.tobytes()) for column in columns]
    else:
        by_item = responses.codes.tocsc()
        edges = zip(by_item.indptr[:-1], by_item.indptr[1:], strict=True)
        prints = [
            hash((by_item.indices[a:b].tobytes(), by_item.data[a:b].tobytes())) for a, b in edges
        ]
    first: dict[int, str] = {}
    twins = {}
    for item, fingerprint in zip(responses.items, prints, strict=True):
        original = first.setdefault(fingerprint, item)
        if original != item:
            twins[item] = original
    return twins


def first_component(responses: Responses) -> tuple[FloatArray, FloatArray]:
    """Loadings of the items on the first principal component, and the items' mean codes.

    Missing answers count as the item's mean. Found by power iteration from the mean of all
    items, so that the result is the same on every run; the loadings sum to a positive number.

    Returns
    -------
    loading, mean : array, shape (I,)
    """
    total = np.zeros(responses.n_items)
    square = np.zeros(responses.n_items)
    answered = np.zeros(responses.n_items)
    for rows, codes in responses.blocks():
        weights = responses.weights[rows]
        seen = codes != MISSING
        answered += weights @ seen
        total += weights @ np.where(seen, codes, 0)
        square += weights @ np.where(seen, codes, 0) ** 2
    mean = total / answered
    sd = np.sqrt(np.maximum(square / answered - mean**2, 1e-12))
    filled = np.sqrt(answered / responses.weights.sum())  # share answered shrinks correlations
    direction = np.full(responses.n_items, 1.0 / np.sqrt(responses.n_items))
    size = 1.0
    for _ in range(POWER_ITERATIONS):
        image = np.zeros(responses.n_items)
        for rows, codes in responses.blocks():
            z = np.where(codes == MISSING, 0.0, (codes - mean) / sd)  # (B, I)
            image += (z @ direction * responses.weights[rows]) @ z
        size = float(np.linalg.norm(image))
        image /= size
        settled = np.abs(image - direction).max() < 1e-4
        direction = image
        if settled:
            break
    loading = direction * np.sqrt(size / responses.weights.sum()) / filled
    return (loading if loading.sum() >= 0 else -loading), mean
