"""Which items the comparisons hold together, and which strengths have no end.

Strengths exist where the items are connected. They are finite where, besides, no item or group of
items wins all its comparisons with the others; probabilities inside (0, 1) see to that.

References
----------
Ford, L. R. (1957). Solution of a ranking problem from binary comparisons. American Mathematical
    Monthly, 64(8), 28-33. https://doi.org/10.1080/00029890.1957.11989117
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order, connected_components

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.errors import ModelError, count, listing

MOST_GROUPS = 5


def groups(
    first: IntArray, second: IntArray, n_items: int, *, kind: Literal["weak", "strong"] = "weak"
) -> IntArray:
    """Number the connected group of each item, (N,).

    Parameters
    ----------
    first, second : array, shape (C,)
        An edge leads from first to second.
    n_items : int
    kind : "weak" or "strong"
        "weak": whichever way edges lead. "strong": along edges, both there and back.
    """
    edges = sp.coo_array((np.ones(len(first)), (first, second)), shape=(n_items, n_items))
    return np.asarray(connected_components(edges.tocsr(), connection=kind)[1], dtype=np.int64)


def check_connected(group: IntArray, items: Sequence[str]) -> None:
    """Refuse items that no chain of comparisons holds together.

    Raises
    ------
    ModelError
        Naming the groups.
    """
    sizes = np.bincount(group)
    if np.count_nonzero(sizes) > 1:
        raise ModelError(
            f"The comparisons leave the items in {np.count_nonzero(sizes)} unconnected groups, "
            f"whose strengths have no common zero: {described(group, items)}. Compare items of "
            "different groups, or more pairs."
        )


def described(group: IntArray, items: Sequence[str]) -> str:
    """List groups, the largest first, with some of their items."""
    sizes = np.bincount(group)
    order = [number for number in np.argsort(-sizes, kind="stable") if sizes[number]]
    names = np.array(items, dtype=object)
    parts = [
        f"{count(int(sizes[number]), 'item')} ({listing(names[group == number], 3)})"
        for number in order[:MOST_GROUPS]
    ]
    more = len(order) - MOST_GROUPS
    return "; ".join(parts) + (f"; and {count(more, 'more group')}" if more > 0 else "")


def boundless(
    first: IntArray, second: IntArray, probability: FloatArray, free: BoolArray
) -> IntArray:
    """Find items that won, or lost, all their comparisons with items of finite strength.

    Parameters
    ----------
    first, second, probability : array, shape (C,)
    free : array, shape (N,)
        Which strengths are to be estimated.

    Returns
    -------
    array, shape (N,)
        1: always above; -1: always below; 0: neither. Items that have nothing left to be compared
        with, once such items are set aside, are 0.
    """
    side = np.zeros(len(free), dtype=np.int64)
    while True:
        live = (side[first] == 0) & (side[second] == 0)  # (C,)
        one, two, chance = first[live], second[live], probability[live]
        met = _counted(one, two, len(free))
        won = _counted(one[chance == 1], two[chance == 0], len(free))
        lost = _counted(one[chance == 0], two[chance == 1], len(free))
        above = free & (side == 0) & (met > 0) & (won == met)
        below = free & (side == 0) & (met > 0) & (lost == met)
        if not (above.any() or below.any()):
            return side
        side[above], side[below] = 1, -1


def _counted(one: IntArray, two: IntArray, n_items: int) -> IntArray:
    """How often each item stands in either, (N,)."""
    return np.bincount(one, minlength=n_items) + np.bincount(two, minlength=n_items)


def sides(
    first: IntArray,
    second: IntArray,
    probability: FloatArray,
    known: BoolArray,
    items: Sequence[str],
) -> IntArray:
    """Find the items without a finite strength, and refuse what has no strengths at all.

    Parameters
    ----------
    first, second, probability : array, shape (C,)
    known : array, shape (N,)
        Items whose strengths are given.
    items : sequence of str

    Returns
    -------
    array, shape (N,)
        As `boundless`.

    Raises
    ------
    ModelError
        If the items are not connected, or some groups of them are separated.
    """
    check_connected(groups(*joined(first, second, known), len(items))[_node(known)], items)
    side = boundless(first, second, probability, ~known)
    finite = np.flatnonzero(side == 0)
    live = (side[first] == 0) & (side[second] == 0)
    number = np.cumsum(side == 0) - 1
    one, two = number[first[live]], number[second[live]]
    if len(np.unique(_node(known[finite]))) < 2:
        raise ModelError(
            "No comparison contradicts another: the items have an order, but the distances "
            "between them have no end. Use probabilities instead of 0 and 1, or a ridge."
        )
    names = [items[place] for place in finite.tolist()]
    _check_rest(one, two, probability[live], known[finite], names)
    return side


def _check_rest(
    first: IntArray,
    second: IntArray,
    probability: FloatArray,
    known: BoolArray,
    items: Sequence[str],
) -> None:
    """Refuse items that are unconnected, or of which a group wins every comparison outside it."""
    node = _node(known)
    first, second = joined(first, second, known)
    check_connected(groups(first, second, len(items))[node], items)
    up, down = probability > 0, probability < 1
    winner = np.concatenate([first[up], second[down]])
    loser = np.concatenate([second[up], first[down]])
    group = groups(winner, loser, len(items), kind="strong")[node]
    if len(np.unique(group)) > 1:
        raise ModelError(
            "The items fall into groups of which one wins every comparison with another, so the "
            f"distance between them has no end: {described(group, items)}. Compare more pairs, "
            "use probabilities instead of 0 and 1, or a ridge."
        )


def _node(known: BoolArray) -> IntArray:
    """Number items, those that are known all alike, (N,)."""
    return np.where(known, np.argmax(known), np.arange(len(known)))


def joined(first: IntArray, second: IntArray, known: BoolArray) -> tuple[IntArray, IntArray]:
    """Comparisons in which all known items are one."""
    node = _node(known)
    return node[first], node[second]


def check_position(first: IntArray, second: IntArray, known: BoolArray) -> None:
    """Refuse comparisons that cannot tell a pull of the first position from strengths.

    They can where some chain of comparisons comes back to its start with unequal numbers of steps
    to the first and to the second item, as (i, j) and (j, i) do.

    Raises
    ------
    ModelError
        If there is none.
    """
    one, two = joined(first, second, known)
    n_items = len(known)
    edges = sp.coo_array((np.ones(len(one)), (one, two)), shape=(n_items, n_items)).tocsr()
    order, before = breadth_first_order(edges, int(one[0]), directed=False)
    forward = set(zip(one.tolist(), two.tolist(), strict=True))
    height = np.zeros(n_items)
    for item in order[1:]:
        height[item] = height[before[item]] + (-1 if (before[item], item) in forward else 1)
    if (height[one] - height[two] == 1).all():
        raise ModelError(
            "The comparisons cannot tell a pull of the first position from strengths: no chain of "
            "them comes back to its start. Compare some pairs in both orders, or more pairs."
        )
