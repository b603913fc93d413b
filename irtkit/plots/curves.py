"""What an item does along ability: its curve, its categories, its curves in several groups.

Expected shares come from the models, observed ones with their intervals from
`diagnostics.item_curves` (by ability) and `score_curves` (by summed score).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError, listing
from irtkit.estimation.calibration import Calibration, restricted
from irtkit.estimation.groups import GroupCalibration
from irtkit.plots.style import (
    INK,
    MOST_SERIES,
    OBSERVED,
    SERIES,
    Series,
    ability_label,
    canvas,
    check_number,
    dressed,
    explained,
    grid_of,
    item_place,
    named,
    rows_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = ("item", "category", "theta", "observed", "low", "high")
RIGHT = "Probability of a right answer"
MODEL, SEEN = "model", "observed, with 95% interval"
TITLE_LENGTH = 40


def item_curve(
    calibration: Calibration,
    item: str,
    *,
    observed: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an item's characteristic curve and what was observed beside it.

    Parameters
    ----------
    calibration : Calibration
    item : str
        Of an item with more than two categories, all their curves (`category_curves`).
    observed : DataFrame, optional
        `item_curves(responses, calibration)`: shares of right answers in groups of similar
        ability, with 95% intervals.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ModelError
        If the item is unknown or has no parameters.
    """
    place = item_place(calibration, item)
    if calibration.assignment.n_categories[place] > 2:
        return category_curves(calibration, item, observed=observed, ax=ax)
    ax = canvas(ax)
    theta = grid_of(calibration)
    handles = [_line(ax, theta, _shares(calibration, place, theta)[:, 1], SERIES[0])]
    if observed is not None:
        rows = _observed(observed, item)
        right = rows[rows["category"] == calibration.categories[1]]
        handles.append(points(ax, right, OBSERVED))
        explained(ax, handles, [MODEL, SEEN])
    return _framed(ax, named(item, TITLE_LENGTH), ability_label(calibration), RIGHT)


def category_curves(
    calibration: Calibration,
    item: str,
    *,
    observed: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the probability of each category of an item along ability.

    Parameters
    ----------
    calibration : Calibration
    item : str
        With at most eight categories.
    observed : DataFrame, optional
        `item_curves(responses, calibration)`.
    ax : Axes, optional
    """
    place = item_place(calibration, item)
    size = int(calibration.assignment.n_categories[place])
    check_number(size, MOST_SERIES, "category", "Merge categories before calibrating.")
    ax = canvas(ax)
    theta = grid_of(calibration)
    shares = _shares(calibration, place, theta)
    rows = None if observed is None else _observed(observed, item)
    names = calibration.categories[:size]
    handles: list[Any] = []
    for code, looks in enumerate(SERIES[:size]):
        handle: Any = _line(ax, theta, shares[:, code], looks)
        if rows is not None:
            handle = (handle, points(ax, rows[rows["category"] == names[code]], looks))
        handles.append(handle)
    explained(ax, handles, names, title="Answer", ncols=1 if size < 5 else 2, handlelength=3.0)
    return _framed(
        ax, named(item, TITLE_LENGTH), ability_label(calibration), "Probability of the answer"
    )


def group_curves(
    groups: GroupCalibration,
    item: str,
    *,
    observed: Mapping[str, pd.DataFrame] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an item's curve in each of several groups: where they part, the item differs (DIF).

    Parameters
    ----------
    groups : GroupCalibration
        `calibrate_groups(..., free_items=[item])`: with the other items as anchors.
    item : str
        A right-or-wrong item; of one with more categories, the expected answer.
    observed : mapping of group to DataFrame, optional
        `item_curves` of the answers of each group with its calibration, for right-or-wrong items.
    ax : Axes, optional
    """
    check_number(len(groups.groups), MOST_SERIES, "group", "Draw fewer groups.")
    places = [item_place(part, item) for part in groups.calibrations]
    first = groups.calibrations[0]
    size = int(first.assignment.n_categories[places[0]])
    unknown = sorted(set(observed or ()) - set(groups.groups))
    if unknown:
        raise ModelError(
            f"Observed answers of unknown groups: {listing(unknown)}; the groups are "
            f"{listing(groups.groups)}."
        )
    ax = canvas(ax)
    grids = [grid_of(part) for part in groups.calibrations]
    theta = np.linspace(min(g[0] for g in grids), max(g[-1] for g in grids), len(grids[0]))
    handles: list[Any] = []
    for group, part, place, looks in zip(
        groups.groups, groups.calibrations, places, SERIES, strict=False
    ):
        single = restricted(part, [place])
        curve = single.assignment.expected_score(single.parameters, theta)[:, 0]
        handle: Any = _line(ax, theta, curve, looks)
        if observed is not None and group in observed and size == 2:
            rows = _observed(observed[group], item)
            seen = points(ax, rows[rows["category"] == part.categories[1]], looks)
            handle = (handle, seen)
        handles.append(handle)
    explained(ax, handles, groups.groups, title="Group", handlelength=3.0)
    y = RIGHT if size == 2 else f"Expected answer (0 to {size - 1})"
    framed = _framed(ax, named(item, TITLE_LENGTH), ability_label(first), y)
    if size > 2:
        framed.set_ylim(-0.02 * (size - 1), 1.02 * (size - 1))
    return framed


def score_curve(table: pd.DataFrame, item: str, *, ax: Axes | None = None) -> Axes:
    """Draw observed and expected shares of right answers by summed score: what S-X2 compares.

    Parameters
    ----------
    table : DataFrame
        One row an item and summed score: item, score, n (persons), observed, expected, low and
        high (95% interval of the observed share).
    item : str
    ax : Axes, optional
    """
    rows = _of_item(table, item, ("item", "score", "observed", "expected", "low", "high"))
    ax = canvas(ax)
    line = _line(ax, rows["score"], rows["expected"], SERIES[0], marker=".", markersize=4)
    seen = points(ax, rows, OBSERVED, x="score")
    explained(ax, [line, seen], [MODEL, SEEN])
    return _framed(ax, named(item, TITLE_LENGTH), "Summed score (points)", RIGHT)


def score_residuals(table: pd.DataFrame, item: str, *, ax: Axes | None = None) -> Axes:
    """Draw the standardised residuals of an item by summed score, the parts of S-X2.

    Parameters
    ----------
    table : DataFrame
        One row an item and summed score: item, score, residual, which is
        (observed - expected) / sqrt(expected (1 - expected) / n).
    item : str
    ax : Axes, optional

    Notes
    -----
    Between the dashed lines, at -1.96 and 1.96, lie 95% of the residuals of items that fit.
    """
    rows = _of_item(table, item, ("item", "score", "residual"))
    ax = canvas(ax, height=3.4)
    ax.axhline(0.0, color=INK, linewidth=1.0)
    for limit in (-1.96, 1.96):
        ax.axhline(limit, color=SERIES[1].colour, linewidth=1.2, dashes=(5, 3))
    score, residual = rows["score"].to_numpy(), rows["residual"].to_numpy()
    ax.vlines(score, 0.0, residual, color=SERIES[0].colour, linewidth=1.2)
    ax.plot(score, residual, linestyle="none", marker="o", markersize=5, color=SERIES[0].colour)
    reach = max(2.5, 1.1 * float(np.nanmax(np.abs(residual), initial=0.0)))
    ax.set_ylim(-reach, reach)
    return dressed(
        ax,
        x="Summed score (points)",
        y="Residual (standard errors)",
        title=named(item, TITLE_LENGTH),
    )


def points(ax: Axes, rows: pd.DataFrame, looks: Series, x: str = "theta") -> Any:
    """Draw observed shares with their intervals; returns what a legend shows."""
    at = rows[x].to_numpy()
    ax.vlines(at, rows["low"], rows["high"], color=looks.colour, linewidth=1.2)
    (handle,) = ax.plot(
        at,
        rows["observed"].to_numpy(),
        linestyle="none",
        marker=looks.marker,
        markersize=5,
        markerfacecolor="white",
        markeredgecolor=looks.colour,
        markeredgewidth=1.3,
    )
    return handle


def _line(ax: Axes, x: Any, y: Any, looks: Series, **more: Any) -> Any:
    (handle,) = ax.plot(
        np.asarray(x), np.asarray(y), color=looks.colour, linestyle=looks.dashes, lw=1.8, **more
    )
    return handle


def _shares(calibration: Calibration, place: int, theta: FloatArray) -> FloatArray:
    """Probabilities of an item's categories, shape (Q, K)."""
    return np.exp(restricted(calibration, [place]).log_prob(theta)[:, 0])


def _observed(table: pd.DataFrame, item: str) -> pd.DataFrame:
    return _of_item(table, item, CURVES, "item_curves")


def _of_item(
    table: pd.DataFrame, item: str, columns: tuple[str, ...], source: str = "score_curves"
) -> pd.DataFrame:
    rows_of(table, columns, source)
    rows = table[table["item"] == item]
    if rows.empty:
        raise ModelError(
            f"There is nothing to draw: the table of {source} has no rows of the item {item!r}."
        )
    return rows


def _framed(ax: Axes, title: str, x: str, y: str) -> Axes:
    ax.set_ylim(-0.02, 1.02)
    return dressed(ax, x=x, y=y, title=title)
