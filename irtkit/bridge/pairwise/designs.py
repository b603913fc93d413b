"""Designs: which pairs of items to compare.

`design_pairs` gives positions of items; what comes of comparing them is `bradley_terry.py`. The
greedy choice is in `greedy.py`.

References
----------
Liusie, A., Raina, V., Fathullah, Y., & Gales, M. (2024). Efficient LLM comparative assessment: A
    product of experts framework for pairwise comparisons. arXiv:2405.05894.
"""

from __future__ import annotations

import numpy as np

from irtkit.arrays import IntArray
from irtkit.bridge.pairwise.graph import check_connected, groups
from irtkit.bridge.pairwise.greedy import greedy_pairs
from irtkit.errors import ModelError, count, listing, shown

DESIGNS = ("balanced", "random", "symmetric", "greedy", "all")
PER_ITEM = 4  # pairs for each item, where no number is given: the usual 4N


def design_pairs(
    n_items: int,
    n_pairs: int | None = None,
    *,
    design: str = "balanced",
    seed: int | np.random.Generator,
) -> IntArray:
    """Choose pairs of items to compare, no pair twice in the same order.

    Parameters
    ----------
    n_items : int
        Number of items N, at least 2.
    n_pairs : int, optional
        Comparisons C; 4N by default, or all there are if those are fewer.
    design : str
        "balanced": random rings through all items, so that each is compared equally often and
        all are connected. "random": pairs drawn one by one. "symmetric": as balanced, each pair
        in both orders. "greedy": next always the pair whose difference is known least.
        "all": every pair once.
    seed : int or Generator
        Also puts the two items of each pair in random order, unless both orders are there.

    Returns
    -------
    array, shape (C, 2)
        Positions of the first and second item, in the order in which they were chosen.

    Raises
    ------
    ModelError
        If there are too few pairs to connect the items, or more than there are; or if randomly
        drawn pairs leave items unconnected, with the groups named by position.
    """
    if design not in DESIGNS:
        raise ModelError(f"Unknown design {shown(design)}; there is {listing(DESIGNS)}.")
    if n_items < 2:
        raise ModelError(f"{count(n_items, 'item')} cannot be compared: two are needed.")
    rng = np.random.default_rng(seed)
    most = n_items * (n_items - 1) // 2
    if design == "all":
        if n_pairs not in (None, most):
            raise ModelError(f"All pairs of {n_items} items are {most:,}, not {n_pairs:,}.")
        return _turned(np.stack(np.triu_indices(n_items, 1), axis=1), rng)
    both = 2 if design == "symmetric" else 1
    n_pairs = min(PER_ITEM * n_items, both * most) if n_pairs is None else n_pairs
    _check_number(n_pairs, n_items, both)
    if design == "symmetric":
        once = _balanced(n_items, n_pairs // 2, rng)
        return np.stack([once, once[:, ::-1]], axis=1).reshape(-1, 2)
    if design == "greedy":
        return _turned(greedy_pairs(n_items, n_pairs, seed=rng), rng)
    if design == "balanced":
        return _turned(_balanced(n_items, n_pairs, rng), rng)
    chosen = _turned(_drawn(n_items, n_pairs, rng), rng)
    positions = [f"{place}" for place in range(n_items)]
    check_connected(groups(chosen[:, 0], chosen[:, 1], n_items), positions)
    return chosen


def _check_number(n_pairs: int, n_items: int, both: int) -> None:
    most = both * n_items * (n_items - 1) // 2
    if not both * (n_items - 1) <= n_pairs <= most:
        raise ModelError(
            f"{n_pairs:,} comparisons of {n_items:,} items: at least {both * (n_items - 1):,} are "
            f"needed to connect them, and there are {most:,}."
        )
    if n_pairs % both:
        raise ModelError(f"A symmetric design has an even number of comparisons, not {n_pairs}.")


def _turned(pairs: IntArray, rng: np.random.Generator) -> IntArray:
    """Put the items of each pair in random order."""
    turn = rng.random(len(pairs)) < 0.5
    return np.where(turn[:, None], pairs[:, ::-1], pairs).astype(np.int64)


def _balanced(n_items: int, n_pairs: int, rng: np.random.Generator) -> IntArray:
    """Choose distinct pairs along random rings, then, if need be, from what is left."""
    seen: dict[int, None] = {}
    for _ in range(2 * (n_pairs // n_items + 1)):
        ring = rng.permutation(n_items)
        for pair in _numbered(ring, np.roll(ring, -1), n_items).tolist():
            seen.setdefault(pair)
        if len(seen) >= n_pairs:
            break
    if len(seen) < n_pairs:
        low, high = np.triu_indices(n_items, 1)
        left = np.setdiff1d(low * n_items + high, list(seen))
        seen.update(dict.fromkeys(rng.permutation(left).tolist()))
    chosen = np.array(list(seen)[:n_pairs], dtype=np.int64)
    return np.stack([chosen // n_items, chosen % n_items], axis=1)  # (C, 2)


def _drawn(n_items: int, n_pairs: int, rng: np.random.Generator) -> IntArray:
    """Draw distinct pairs, each as likely as any other."""
    number = rng.choice(n_items * (n_items - 1) // 2, size=n_pairs, replace=False)
    first = number % n_items  # each pair once: the second stands 1 to N / 2 places further round
    return np.stack([first, (first + number // n_items + 1) % n_items], axis=1)  # (C, 2)


def _numbered(first: IntArray, second: IntArray, n_items: int) -> IntArray:
    return np.minimum(first, second) * n_items + np.maximum(first, second)
