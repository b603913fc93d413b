"""The shape of the answers before estimation: connection, duplicates, first component.

Nothing here depends on an item response model. Sparse answers are looked at as they are.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from irtkit.arrays import FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.errors import ModelError, listing, shown
from irtkit.responses import Responses
from irtkit.storage import Codes

POWER_ITERATIONS = 50
SAMPLED_PERSONS = 4000
SAMPLED_CELLS = 10_000_000
MOST_LINKS = 5_000_000


def check_connected(responses: Responses) -> None:
    """Refuse a design whose items fall into groups that share no person.

    Raises
    ------
    ModelError
        With the items of each component.
    """
    if responses.n_answered().max() == responses.n_items:
        return
    step = max(1, responses.n_persons // SAMPLED_PERSONS)
    if len(np.unique(_components(responses.codes[::step]))) == 1:
        return  # some persons link all items already
    component = _components(responses.codes)
    groups = np.unique(component)
    if len(groups) == 1:
        return
    names = np.array(responses.items, dtype=object)
    parts = [f"({listing(names[component == group])})" for group in groups[:5]]
    raise ModelError(
        f"The answers fall into {len(groups)} parts that share neither items nor persons: "
        f"{', '.join(parts)}{' ...' if len(groups) > 5 else ''}. Their abilities cannot be "
        "compared; calibrate each part alone, or add persons who answer items of both."
    )


def _components(codes: Codes) -> IntArray:
    """Number the connected part of each item, shape (I,)."""
    seen = codes if sp.issparse(codes) else sp.csr_array(codes != MISSING)
    n_items = codes.shape[1]
    links: sp.coo_array = sp.block_array([[None, seen.T], [seen, None]])  # type: ignore[list-item]
    _, component = connected_components(links, directed=False)
    return np.asarray(component[:n_items], dtype=np.int64)


def weak_links(responses: Responses) -> list[str]:
    """Say which single items, or persons, hold the parts of an incomplete design together.

    Looked for where there are at most `MOST_LINKS` answers of persons with different items, times
    items.
    """
    if responses.n_answered().max() == responses.n_items:
        return []
    seen = np.asarray(responses.dense() != MISSING) if _small(responses) else None
    if seen is None:
        return []
    seen, number = np.unique(seen, axis=0, return_counts=True)
    if seen.sum() * responses.n_items > MOST_LINKS:
        return []
    notes = []
    for place, item in enumerate(responses.items):
        rest = np.delete(seen, place, axis=1)
        if len(np.unique(_components(np.where(rest, 0, MISSING)))) > 1:
            notes.append(f"1 common item, {shown(item)}, alone links the parts of the design")
    for row in np.flatnonzero(number == 1):
        rest = np.delete(seen, row, axis=0)
        if len(np.unique(_components(np.where(rest, 0, MISSING)))) > 1:
            notes.append("1 person alone links the parts of the design")
            break
    return [f"{note}: abilities across them hang on it." for note in notes[:5]]


def _small(responses: Responses) -> bool:
    return responses.n_persons * responses.n_items <= MOST_LINKS


def duplicates(responses: Responses, counts: FloatArray) -> dict[str, str]:
    """Map each item whose answers are all those of an earlier item to that item.

    Parameters
    ----------
    responses : Responses
    counts : array, shape (I, K)
        How often each category was chosen; only items with equal counts are compared.
    """
    _, kind, size = np.unique(counts, axis=0, return_inverse=True, return_counts=True)
    candidates = np.flatnonzero(size[kind] > 1)
    codes = responses.codes
    if isinstance(codes, np.ndarray):
        prints = [codes[:, place].tobytes() for place in candidates]
    else:
        by_item = codes[:, candidates].tocsc()
        edges = zip(by_item.indptr[:-1], by_item.indptr[1:], strict=True)
        prints = [
            by_item.indices[a:b].tobytes() + b"|" + by_item.data[a:b].tobytes() for a, b in edges
        ]
    first: dict[int, str] = {}
    twins = {}
    for place, fingerprint in zip(candidates, prints, strict=True):
        item = responses.items[place]
        original = first.setdefault(hash(fingerprint), item)
        if original != item:
            twins[item] = original
    return twins


def first_component(responses: Responses, counts: FloatArray) -> FloatArray:
    """Loadings of the items on the first principal component of a sample of the persons.

    Missing answers count as the item's mean. Found by power iteration from the mean of all
    items, so that the result is the same on every run; the loadings sum to a positive number.

    Parameters
    ----------
    responses : Responses
    counts : array, shape (I, K)
        Of all persons.

    Returns
    -------
    array, shape (I,)
    """
    code = np.arange(counts.shape[1])
    answered = counts.sum(axis=1)
    mean = counts @ code / answered
    sd = np.sqrt(np.maximum(counts @ code**2 / answered - mean**2, 1e-12))
    z, weights = _standardised(responses, mean, sd)
    filled = np.sqrt(answered / responses.weights.sum())  # share answered shrinks correlations
    direction = np.full(responses.n_items, 1.0 / np.sqrt(responses.n_items))
    size = 1.0
    for _ in range(POWER_ITERATIONS):
        image = np.asarray(z.T @ ((z @ direction) * weights), dtype=np.float64)
        size = float(np.linalg.norm(image))
        image /= size
        settled = np.abs(image - direction).max() < 1e-3
        direction = image
        if settled:
            break
    loading = direction * np.sqrt(size / weights.sum()) / filled
    return loading if loading.sum() >= 0 else -loading


def _standardised(
    responses: Responses, mean: FloatArray, sd: FloatArray
) -> tuple[FloatArray | sp.csr_array, FloatArray]:
    """Standard scores of a sample of the persons, zero where unanswered, and their weights."""
    n_cells = (
        int(responses.n_answered().sum())
        if sp.issparse(responses.codes)
        else (responses.n_persons * responses.n_items)
    )
    step = max(1, n_cells // SAMPLED_CELLS)
    if not sp.issparse(responses.codes):
        fewest = min(SAMPLED_PERSONS, max(500, SAMPLED_CELLS // responses.n_items))
        step = max(1, responses.n_persons // fewest)
    codes, weights = responses.codes[::step], responses.weights[::step]
    if isinstance(codes, sp.csr_array):
        values = (codes.data - 1 - mean[codes.indices]) / sd[codes.indices]
        return sp.csr_array((values, codes.indices, codes.indptr), shape=codes.shape), weights
    z = (codes - mean.astype(np.float32)) * (1.0 / sd).astype(np.float32)
    z[codes == MISSING] = 0.0
    return z.astype(np.float32, copy=False), weights.astype(np.float32)
