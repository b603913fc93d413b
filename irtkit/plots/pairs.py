"""Pairs of items that are linked beyond ability: a heat map of all, a graph of the strongest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError
from irtkit.plots.style import (
    INK,
    SERIES,
    SMALL,
    TEXT,
    canvas,
    check_number,
    families,
    named,
    number,
    rows_of,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ITEMS = 300
MOST_NAMED = 40
MOST_PAIRS = 30
MOST_WRITTEN = 15
SIGNIFICANT = 0.05
WORDS = {
    "q3": "Q3 (correlation of residuals)",
    "q3_adjusted": "Q3 less its mean over all pairs",
    "cramer_v": "Cramér's V, signed",
    "standardised": "LD-X², standardised",
}
SOURCE = "local_dependence"


def dependence_map(
    table: pd.DataFrame, *, statistic: str = "q3_adjusted", ax: Axes | None = None
) -> Axes:
    """Draw the local dependence of all pairs of items as a heat map.

    Parameters
    ----------
    table : DataFrame
        `local_dependence(responses, calibration)`, of at most 300 items.
    statistic : str
        One of its columns. The darker, the more alike two items are answered beyond ability.
    ax : Axes, optional

    Notes
    -----
    A dot marks pairs whose adjusted p-value is below .05. Up to 40 items are named.
    """
    first, second, value = _pairs(table, statistic)
    items = list(dict.fromkeys([*first, *second]))
    remedy = "Draw a dependence_graph of the strongest pairs, or choose items (select_items)."
    check_number(len(items), MOST_ITEMS, "item", remedy)
    place = {item: spot for spot, item in enumerate(items)}
    matrix = np.full((len(items), len(items)), np.nan)  # (I, I)
    one, two = [place[item] for item in first], [place[item] for item in second]
    matrix[one, two] = matrix[two, one] = value
    ax = canvas(ax, 6.0, 5.0)
    reach = float(np.nanmax(np.abs(value))) if np.isfinite(value).any() else 1.0
    image = ax.imshow(
        matrix,
        cmap="cividis_r",
        vmin=-reach,
        vmax=reach,
        interpolation="nearest",
        aspect="auto",
    )
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9)
    bar.set_label(WORDS.get(statistic, statistic), fontsize=TEXT, color=INK)
    bar.ax.tick_params(labelsize=SMALL)
    if "p_adjusted" in table.columns:
        flagged = np.flatnonzero(table["p_adjusted"].to_numpy(dtype=float) < SIGNIFICANT)
        x = [place[side[n]] for n in flagged for side in (second, first)]
        y = [place[side[n]] for n in flagged for side in (first, second)]
        size = 3.0 if len(items) > MOST_NAMED else 14.0
        ax.scatter(x, y, s=size, color="white", edgecolors="black", linewidths=0.5)
    _name_sides(ax, items)
    return ax


def _name_sides(ax: Axes, items: list[str]) -> None:
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL)
    if len(items) > MOST_NAMED:
        ax.set_xlabel("Item, by its place in the test", fontsize=TEXT, color=INK)
        ax.set_ylabel("Item, by its place in the test", fontsize=TEXT, color=INK)
        return
    size = SMALL if len(items) <= 24 else 7.0
    names = [named(item, 14) for item in items]
    plain: dict[str, Any] = {"parse_math": False, "fontfamily": families(), "fontsize": size}
    ax.set_xticks(range(len(items)), names, rotation=90, **plain)
    ax.set_yticks(range(len(items)), names, **plain)
    ax.set_xlabel("Item", fontsize=TEXT, color=INK)
    ax.set_ylabel("Item", fontsize=TEXT, color=INK)


def dependence_graph(
    table: pd.DataFrame,
    *,
    statistic: str = "q3_adjusted",
    n_top: int = 12,
    ax: Axes | None = None,
) -> Axes:
    """Draw the strongest pairs as lines between items.

    Parameters
    ----------
    table : DataFrame
        `local_dependence(...)`, or `dependence_search(...).top`, of any number of items.
    statistic : str
        One of its columns: the largest values without regard to the sign are drawn, the thicker
        the larger; negative ones are dashed.
    n_top : int
        How many pairs, at most 30.
    ax : Axes, optional
    """
    check_number(n_top, MOST_PAIRS, "pair", "Draw fewer, or a dependence_map of all.")
    first, second, value = _pairs(table, statistic)
    known = np.flatnonzero(np.isfinite(value))
    top = known[np.argsort(-np.abs(value[known]), kind="stable")][: max(n_top, 1)]
    if not len(top):
        raise ModelError(f"There is nothing to draw: no pair has a known {statistic}.")
    edges = [(first[n], second[n]) for n in top]
    ax = canvas(ax, 6.0, 5.2)
    place = _circle(edges)
    reach = float(np.abs(value[top]).max())
    written: list[FloatArray] = []
    for (one, two), strength in zip(edges, value[top].tolist(), strict=True):
        looks = SERIES[0] if strength >= 0 else SERIES[1]
        (x1, y1), (x2, y2) = place[one], place[two]
        ax.plot(
            [x1, x2],
            [y1, y2],
            color=looks.colour,
            linestyle=looks.dashes,
            linewidth=1.0 + 5.0 * abs(strength) / reach,
            solid_capstyle="round",
            zorder=1,
        )
        if len(top) <= MOST_WRITTEN:
            at = _free_place(np.array(place[one]), np.array(place[two]), written)
            written.append(at)
            around = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            write(
                ax,
                float(at[0]),
                float(at[1]),
                number(strength, 2),
                ha="center",
                va="center",
                bbox=around,
            )
    for item, (x, y) in place.items():
        ax.plot(x, y, marker="o", markersize=7, color=INK, linestyle="none", zorder=3)
        side = "center" if abs(x) < 0.15 else "left" if x > 0 else "right"
        tall = "center" if abs(x) >= 0.15 else "bottom" if y > 0 else "top"
        write(ax, 1.09 * x, 1.09 * y, named(item, 14), ha=side, va=tall)
    ax.set_xlim(-1.75, 1.75)
    ax.set_ylim(-1.3, 1.3)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title(
        f"The {len(top)} strongest of {len(value):,} pairs: {WORDS.get(statistic, statistic)}"
        + (" (negative: dashed)" if (value[top] < 0).any() else ""),
        fontsize=SMALL,
        color=INK,
        loc="left",
        parse_math=False,
    )
    return ax


def _pairs(table: pd.DataFrame, statistic: str) -> tuple[list[str], list[str], FloatArray]:
    """Names of both items of each pair, and the statistic."""
    rows_of(table, (statistic,), SOURCE)
    if table.index.nlevels != 2:
        raise ModelError(
            "The table is not indexed by pairs of items (item_1, item_2), as local_dependence "
            "returns it. Set its index so."
        )
    first, second = (list(map(str, table.index.get_level_values(n))) for n in (0, 1))
    return first, second, table[statistic].to_numpy(dtype=np.float64)


def _free_place(one: FloatArray, two: FloatArray, taken: list[FloatArray]) -> FloatArray:
    """The place on a line that is farthest from those taken; its middle if all are free."""
    shares = np.array([0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78])[:, None]
    places = (1.0 - shares) * one + shares * two
    if not taken:
        return np.asarray(places[0])
    away = np.linalg.norm(places[:, None] - np.array(taken), axis=2).min(axis=1)
    return np.asarray(places[np.argmax(np.minimum(away, 0.35))])


def _circle(edges: list[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    """Places on a circle, linked items beside each other."""
    links: dict[str, list[str]] = {}
    for one, two in edges:
        links.setdefault(one, []).append(two)
        links.setdefault(two, []).append(one)
    order: dict[str, None] = {}
    for start in links:
        waiting = [start]
        while waiting:
            item = waiting.pop()
            if item not in order:
                order[item] = None
                waiting += reversed(links[item])
    angles = 0.5 * np.pi - 2.0 * np.pi * (np.arange(len(order)) + 0.5) / len(order)
    return {
        item: (float(np.cos(angle)), float(np.sin(angle)))
        for item, angle in zip(order, angles, strict=True)
    }
