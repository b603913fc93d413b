"""Models side by side: a leaderboard of abilities, the effect of fine-tuning, label shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError, listing, nearest, shown
from irtkit.norms import percentile_words
from irtkit.plots.style import (
    ABOVE,
    INK,
    MOST_SERIES,
    MUTED,
    SERIES,
    ability_label,
    canvas,
    check_number,
    dressed,
    explained,
    inches,
    matplotlib,
    name_rows,
    named,
    rows_of,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 40
ROW = 0.26  # inches
SIZE_LABEL = 0.45  # inches
APART = 3.0  # points between the marks of two methods
CIFT = ("scale", "training_size", "method")
MEASURES = {"percentile": "Percentile", "theta": "Ability", "accuracy": "Accuracy"}


def leaderboard(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the abilities of models, or persons, with their intervals, the ablest first.

    Parameters
    ----------
    table : DataFrame
        Indexed by model: theta, theta_low, theta_high, as `Scores.table()`; at most 40 rows. If
        it has percentile, percentile_low and percentile_high these are written at the right.
    ax : Axes, optional
    """
    rows_of(table, ("theta", "theta_low", "theta_high"), "score(...).table()")
    remedy = "Take the first of them: table.nlargest(40, 'theta')."
    check_number(len(table), MOST_ROWS, "model", remedy)
    rows = table.sort_values("theta", ascending=False, kind="stable")
    ax = canvas(ax, height=1.0 + ROW * len(rows))
    place = np.arange(len(rows))
    looks = SERIES[0]
    ax.hlines(place, rows["theta_low"], rows["theta_high"], color=looks.colour, linewidth=1.8)
    ax.plot(rows["theta"], place, marker="o", markersize=6, color=looks.colour, linestyle="none")
    name_rows(ax, list(rows.index))
    dressed(ax, x=f"{ability_label()}, with 95% interval", y="", grid="x")
    ax.spines["left"].set_visible(False)
    if {"percentile", "percentile_low", "percentile_high"} <= set(rows.columns):
        ends = rows[["percentile", "percentile_low", "percentile_high"]].to_numpy(dtype=float)
        at: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center_baseline"}
        write(ax, 1.02, -1.0, "percentile", color=MUTED, **at)
        for row, (middle, low, high) in enumerate(ends):
            words = [percentile_words(end, 0) for end in (middle, low, high)]
            write(ax, 1.02, row, "{} ({} to {})".format(*words), **at)
    return ax


def finetuning_curve(
    table: pd.DataFrame,
    *,
    scale: str | None = None,
    measure: str = "percentile",
    controls: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the percentile that fine-tuning reaches against the number of training examples.

    Parameters
    ----------
    table : DataFrame
        Columns scale, training_size, method, percentile, percentile_low, percentile_high, such as
        `CiftResult.curves`; one row a scale, size and method, of at most eight methods. Without
        limits (NaN) a mark has no interval.
    scale : str, optional
        Which of several scales: percentiles of different scales do not compare, so that each has
        a picture of its own (`facets`).
    measure : str
        "percentile", "theta" or "accuracy": the columns drawn.
    controls : DataFrame, optional
        Columns scale, label and the measure: what always one label scores, as level lines.
    ax : Axes, optional

    Notes
    -----
    Sizes are on a logarithmic axis if all are positive. Marks of methods at the same size stand a
    little apart.
    """
    if measure not in MEASURES:
        raise ModelError(
            f"There is no measure {shown(measure)}; there is {listing(MEASURES)}."
            f"{nearest(measure, MEASURES)}"
        )
    limits = [f"{measure}_low", f"{measure}_high"]
    rows_of(table, (*CIFT, measure, *limits), "the fine-tuning experiment")
    rows, name = _one_scale(table, scale)
    methods = list(dict.fromkeys(rows["method"]))
    check_number(len(methods), MOST_SERIES, "method", "Draw fewer methods at a time.")
    ax = canvas(ax)
    if (rows["training_size"] > 0).all():
        ax.set_xscale("log")
    handles = []
    for number, (method, looks) in enumerate(zip(methods, SERIES, strict=False)):
        own = rows[rows["method"] == method].sort_values("training_size", kind="stable")
        beside = _shifted(ax, APART * (number - 0.5 * (len(methods) - 1)))
        ax.vlines(
            own["training_size"],
            *(own[end].to_numpy(dtype=float) for end in limits),
            color=looks.colour,
            linewidth=1.4,
            transform=beside,
        )
        handles += ax.plot(
            own["training_size"].to_numpy(),
            own[measure].to_numpy(),
            color=looks.colour,
            linestyle=looks.dashes,
            marker=looks.marker,
            markersize=5,
            transform=beside,
        )
    ax.update_datalim(rows[["training_size", measure]].to_numpy(dtype=float))
    if controls is not None:
        for level in controls.loc[controls["scale"].astype(str) == name, measure].astype(float):
            control = ax.axhline(
                level, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0
            )
        handles, methods = [*handles, control], [*methods, "always one label"]
    ax.margins(x=0.08)
    ax.autoscale_view()
    _mark_sizes(ax, np.unique(rows["training_size"].to_numpy(dtype=float)))
    if measure == "percentile":
        ax.set_ylim(-2, 102)
    explained(ax, handles, methods, title="Method", handlelength=3.0)
    x, y = "Training examples", f"{MEASURES[measure]}, with 95% interval"
    return dressed(ax, x=x, y=y, title=named(name, 40))


def _mark_sizes(ax: Axes, sizes: FloatArray) -> None:
    """Put a tick at each size, and a number at those that leave room for it."""
    place = np.log(sizes) if ax.get_xscale() == "log" else sizes
    room = SIZE_LABEL / inches(ax)[0] * max(float(np.ptp(place)), 1e-9)
    written = [0]
    for spot in range(1, len(sizes)):
        if place[spot] - place[written[-1]] >= room:
            written.append(spot)
    ax.set_xticks(sizes[written], [f"{sizes[spot]:,.0f}" for spot in written])
    others = [tick for tick in sizes if tick not in sizes[written]]
    ax.set_xticks(others, [""] * len(others), minor=True)


def _one_scale(table: pd.DataFrame, scale: str | None) -> tuple[pd.DataFrame, str]:
    known = [str(name) for name in dict.fromkeys(table["scale"])]
    if scale is None and len(known) > 1:
        raise ModelError(
            f"The table has {len(known)} scales ({listing(known)}), whose percentiles do not "
            "compare. Name one (scale=...), or draw each in its panel (facets)."
        )
    name = known[0] if scale is None else scale
    if name not in known:
        raise ModelError(f"There is no scale {shown(name)} in the table.{nearest(name, known)}")
    return table[table["scale"].astype(str) == name], name


def _shifted(ax: Axes, points: float) -> Any:
    """The transformation of the data, moved to the right by so many points."""
    shift = matplotlib("transforms").ScaledTranslation
    return ax.transData + shift(points / 72.0, 0.0, ax.figure.dpi_scale_trans)


def label_bars(
    distribution: pd.DataFrame,
    *,
    gold: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of each label of each item as stacked bars.

    Parameters
    ----------
    distribution : DataFrame
        `scale.label_distribution()`: items by labels; at most 40 items and eight labels.
    gold : mapping of item to label, optional
        The right label is written behind each bar.
    ax : Axes, optional
    """
    rows_of(distribution, (), "label_distribution")
    remedy = "Choose items: distribution.loc[[...]]."
    check_number(len(distribution), MOST_ROWS, "item", remedy)
    labels = [str(label) for label in distribution.columns]
    check_number(len(labels), MOST_SERIES, "label", "Merge rare labels.")
    ax = canvas(ax, height=1.3 + ROW * len(distribution))
    place = np.arange(len(distribution))
    left = np.zeros(len(distribution))
    handles = []
    for label, looks in zip(distribution.columns, SERIES, strict=False):
        share = distribution[label].to_numpy(dtype=float)
        bars = ax.barh(
            place,
            share,
            left=left,
            height=0.72,
            color=looks.colour,
            hatch=looks.hatch,
            edgecolor="white",
            linewidth=0.6,
        )
        handles.append(bars)
        left = left + np.nan_to_num(share)
    name_rows(ax, list(distribution.index))
    ax.set_xlim(0.0, 1.0)
    dressed(ax, x="Share of answers", y="", grid="none")
    ax.spines["left"].set_visible(False)
    explained(
        ax,
        handles,
        labels,
        ncols=min(len(labels), 3),
        handlelength=1.6,
        **ABOVE,
    )
    if gold is not None:
        write(ax, 1.02, -0.9, "right answer", color=MUTED, va="center_baseline")
        for row, item in enumerate(distribution.index):
            if item in gold:
                at: dict[str, Any] = {"va": "center_baseline", "color": INK}
                write(ax, 1.02, row, named(gold[item], 14), **at)
    return ax
