"""Merging cells and groups whose expected counts are too small for a chi-square test.

A table has one row a group of persons and one column a category of an item; a row's counts add up
to its persons, so its number of cells minus one is its degrees of freedom.

- `collapsed`: the rule of R's mirt for groups of equal summed score (complete answers).
- `merged_groups`: the rule for the ten groups of incomplete answers.
- `merged_cells`: what both do within a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import add

import numpy as np

from irtkit.arrays import BoolArray, FloatArray, IntArray

FEWEST_EXPECTED = 1.0
FEWEST_PERSONS = 1.0  # a group must have more
RARE_COLUMN = 0.05  # share of the rows that use it
THIN_COLUMN = 0.1  # expected persons in a column, a row


def merged_cells(expected: FloatArray) -> IntArray:
    """Merge neighbouring cells of each row until each expects one person or two cells are left.

    Again and again the cell with the smallest expected count (the last, if several) joins its
    smaller neighbour (the one before, if they are equal).

    Parameters
    ----------
    expected : array, shape (R, K)

    Returns
    -------
    array of int, shape (R, K)
        The cell, counted from 0, that each category has come to.
    """
    n_rows, n_cells = expected.shape
    labels = np.tile(np.arange(n_cells), (n_rows, 1))  # (R, K)
    cells = expected.copy()
    for _ in range(n_cells - 2):
        rows = np.flatnonzero(cells.min(axis=1) < FEWEST_EXPECTED)
        if not len(rows):
            break
        part, here = cells[rows], np.arange(len(rows))
        place = n_cells - 1 - part[:, ::-1].argmin(axis=1)  # (r,)
        sides = np.pad(part, ((0, 0), (1, 1)), constant_values=np.inf)  # (r, K + 2)
        before = sides[here, place] <= sides[here, place + 2]
        to = np.where(before, place - 1, place + 1)
        part[here, to] += part[here, place]
        kept = part[np.arange(n_cells) != place[:, None]].reshape(len(rows), -1)
        cells[rows] = np.pad(kept, ((0, 0), (0, 1)), constant_values=np.inf)
        moved = np.where(labels[rows] == place[:, None], to[:, None], labels[rows])
        labels[rows] = moved - (moved > place[:, None])
    return labels


def gathered(counts: FloatArray, labels: IntArray) -> FloatArray:
    """Counts (R, K) added up by cell; zero where a cell was merged away."""
    cells = np.zeros(counts.shape)
    np.add.at(cells, (np.arange(len(counts))[:, None], labels), counts)
    return cells


def collapsed(
    observed: FloatArray, expected: FloatArray, groups: IntArray
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Merge score groups and cells that are too small to test, as R's mirt does.

    1. Rows of the same group are added up: the caller gives scores at which some category is
       impossible the number of the nearest score at which none is.
    2. Empty rows are dropped, then a row of one person joins the next one (the last the one
       before).
    3. Within a row, while a cell expects less than one person and there are more than two cells,
       the smallest cell joins its smaller neighbour (`merged_cells`); the cells that are left move
       to the first columns.
    4. While there are more than two columns and the last one expects less than one person for
       every ten rows (begun), it joins the one before; then, from the last to the second, a column
       that fewer than 5% of the rows use joins the one before.
    5. The first row with a cell that expects less than one person joins the neighbour with fewer
       persons (the one before, if equal), column by column, until there is none or one row.

    For right-or-wrong items that is: empty groups, groups of one, groups that expect less than one
    right or wrong answer. R decides which rows need step 3 before the single persons of step 2 are
    joined, and so may merge other cells where score groups have one person.

    Parameters
    ----------
    observed, expected : array, shape (G, I, K)
        Persons by score group and category of items with K categories each, the groups in the
        order of their scores.
    groups : array of int, shape (G,)

    Yields
    ------
    observed, expected : array, shape (R, C)
        Of one item. Expected counts are zero where there is no cell.
    """
    observed, expected = _added_up(observed, expected, np.flatnonzero(np.diff(groups, prepend=-1)))
    persons = observed[:, 0].sum(axis=1)  # (G,)
    if (persons == 0.0).any():
        some = persons > 0.0
        observed, expected, persons = observed[some], expected[some], persons[some]
    if len(persons) and persons.min() <= FEWEST_PERSONS:
        observed, expected = _added_up(observed, expected, _without_singles(persons))
    n_rows, n_items, size = expected.shape
    if size > 2:
        labels = merged_cells(expected.reshape(-1, size))
        observed, expected = (
            gathered(counts.reshape(-1, size), labels).reshape(counts.shape)
            for counts in (observed, expected)
        )
    for item in range(n_items):
        own = observed[:, item], expected[:, item]
        if size > 2 and n_rows:
            own = _without_rare_columns(*own)
        yield _without_small_rows(*own)


def _added_up(
    observed: FloatArray, expected: FloatArray, starts: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Add up the rows from each start to the next."""
    if len(starts) == len(observed):
        return observed, expected
    return np.add.reduceat(observed, starts, axis=0), np.add.reduceat(expected, starts, axis=0)


def _without_singles(persons: FloatArray) -> IntArray:
    starts, upto = [], np.inf
    for place, number in enumerate(persons.tolist()):
        if upto > FEWEST_PERSONS:
            starts.append(place)
            upto = 0.0
        upto += number
    if upto <= FEWEST_PERSONS and len(starts) > 1:
        starts.pop()
    return np.array(starts)


def _without_rare_columns(
    observed: FloatArray, expected: FloatArray
) -> tuple[FloatArray, FloatArray]:
    observed, expected = observed.copy(), expected.copy()
    least = FEWEST_EXPECTED * np.ceil(THIN_COLUMN * len(expected))
    upto = expected.shape[1]
    while upto > 2 and expected[:, upto - 1].sum() < least:
        upto -= 1
        for counts in (observed, expected):
            counts[:, upto - 1] += counts[:, upto]
    kept = [0]
    for column in range(upto - 1, 0, -1):
        if (expected[:, column] > 0).mean() >= RARE_COLUMN:
            kept.insert(1, column)
            continue
        for counts in (observed, expected):
            counts[:, column - 1] += counts[:, column]
    return observed[:, kept], expected[:, kept]


def _without_small_rows(
    observed: FloatArray, expected: FloatArray
) -> tuple[FloatArray, FloatArray]:
    small = ((expected < FEWEST_EXPECTED) & (expected != 0)).any(axis=1).tolist()
    if True not in small:
        return observed, expected
    rows, persons = expected.tolist(), observed.sum(axis=1).tolist()
    starts = list(range(len(rows)))
    while len(rows) > 1 and True in small:
        place = small.index(True)
        before = persons[place - 1] if place > 0 else np.inf
        after = persons[place + 1] if place + 1 < len(rows) else np.inf
        first = place - 1 if before <= after else place  # of the two rows that become one
        rows[first] = list(map(add, rows[first], rows.pop(first + 1)))
        persons[first] += persons.pop(first + 1)
        del starts[first + 1], small[first + 1]
        small[first] = min(filter(None, rows[first])) < FEWEST_EXPECTED
    return _added_up(observed, expected, np.array(starts))


def merged_groups(persons: FloatArray, expected: FloatArray) -> IntArray:
    """Merge neighbouring groups of each item until every group can be tested.

    A group can be tested if, after its cells are merged (`merged_cells`), each expects one person.
    The first one that cannot joins the neighbour with fewer persons (the one before, if equal),
    again and again, until all can or one group is left.

    Parameters
    ----------
    persons : array, shape (I, G)
    expected : array, shape (I, G, K)
        Expected persons by category.

    Returns
    -------
    array of int, shape (I, G)
        The group, counted from 0, that each has come to.
    """
    n_items, n_groups, n_categories = expected.shape
    labels = np.tile(np.arange(n_groups), (n_items, 1))
    persons, expected = persons.copy(), expected.copy()
    left = np.full(n_items, n_groups)
    items = np.arange(n_items)  # that may have something to merge
    while len(items):
        small = too_small(expected[items].reshape(-1, n_categories)).reshape(-1, n_groups)
        small &= np.arange(n_groups) < left[items, None]
        some = small.any(axis=1) & (left[items] > 1)
        items, place = items[some], small[some].argmax(axis=1)
        sides = np.pad(persons[items], ((0, 0), (1, 1)), constant_values=np.inf)
        sides[np.arange(len(items)), left[items] + 1] = np.inf
        here = np.arange(len(items))
        first = place - (sides[here, place] <= sides[here, place + 2])
        for counts in (persons, expected):
            counts[items, first] += counts[items, first + 1]
            rest = np.arange(n_groups - 1) + (np.arange(n_groups - 1) > first[:, None])
            counts[items, : n_groups - 1] = counts[items[:, None], rest]
        labels[items] -= labels[items] > first[:, None]
        left[items] -= 1
    return labels


def too_small(expected: FloatArray) -> BoolArray:
    """Whether each row (R, K) keeps a cell that expects less than one person, merged or not."""
    if expected.shape[1] > 2:
        expected = gathered(expected, labels := merged_cells(expected))
        expected[np.arange(expected.shape[1]) > labels[:, -1:]] = np.inf
    return np.asarray((expected < FEWEST_EXPECTED).any(axis=1))
