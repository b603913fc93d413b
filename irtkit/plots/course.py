"""The course of a screening and of an estimation, and eigenvalues beside those of chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from irtkit.errors import ModelError, count, listing
from irtkit.estimation.calibration import Calibration
from irtkit.plots.style import (
    FAINT,
    SERIES,
    canvas,
    dressed,
    explained,
    matplotlib,
    name_rows,
    named,
    number,
    rows_of,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_STEPS = 40
MOST_COMPONENTS = 20
ROW = 0.26  # inches
PATHS = {"items_after": "Items left", "reliability_after": "Marginal reliability"}
RULES = {
    "state": "state",
    "item_rest": "item-rest correlation",
    "sign": "slope",
    "communality": "communality",
    "s_x2": "S-X²",
    "ld_x2": "LD-X²",
    "twin": "twin items",
    "dead": "dead item",
    "infit": "infit",
    "information": "information",
    "analyst": "analyst",
}


def screening_path(
    log: pd.DataFrame, *, column: str = "items_after", ax: Axes | None = None
) -> Axes:
    """Draw which items went, in which order, by which rule, and what was left.

    Parameters
    ----------
    log : DataFrame
        `screening.log`, or a file that the command `screen` wrote.
    column : str
        "items_after" or "reliability_after".
    ax : Axes, optional

    Notes
    -----
    Up to 40 drops are listed, one a row, each with the statistic of its rule; more become a line.
    """
    if column not in PATHS:
        raise ModelError(f"There is no path of '{column}'; there is {listing(PATHS)}.")
    needed = ("item", "decision", "rule", "statistic", "items_before", "items_after", column)
    rows_of(log, needed, "screen, as its log,")
    drops = log[log["decision"] == "drop"]
    if drops.empty:
        raise ModelError("There is nothing to draw: the screening dropped no item.")
    if len(drops) > MOST_STEPS:
        return _long_path(drops, column, ax)
    before = column.replace("after", "before")
    values = [float(drops[before].iloc[0]), *drops[column].astype(float)]
    ax = canvas(ax, height=1.1 + ROW * len(values))
    rows = np.arange(len(values))
    counted = column == "items_after"
    if counted:
        ax.hlines(rows, 0.0, values, color=FAINT, linewidth=5.0)
    ax.plot(values, rows, marker="o", markersize=6, color=SERIES[0].colour, linestyle="none")
    finite = [value for value in values if np.isfinite(value)] or [1.0]
    low, high = (0.0 if counted else min(finite)), max(finite)
    span = max(high - low, 1e-3)
    form = "{:.0f}" if counted else "{:.4f}"
    reasons = [""] + [
        f" · {RULES.get(rule, named(rule))}" + ("" if np.isnan(value) else f" {number(value)}")
        for rule, value in zip(drops["rule"], drops["statistic"].astype(float), strict=True)
    ]
    for row, value, reason in zip(rows.tolist(), values, reasons, strict=True):
        at = value if np.isfinite(value) else low
        text = (form.format(value) if np.isfinite(value) else "unknown") + reason
        write(ax, at + 0.03 * span, row, text, va="center_baseline")
    name_rows(ax, ["all items", *drops["item"]])
    ax.set_xlim(low if counted else low - 0.05 * span, high + (0.8 if counted else 1.3) * span)
    dressed(ax, x=PATHS[column], y="", title="Items dropped, in order", grid="none")
    ax.spines["left"].set_visible(False)
    ax.set_xticks([tick for tick in ax.get_xticks() if low <= tick <= high + 0.02 * span])
    return ax


def _long_path(drops: pd.DataFrame, column: str, ax: Axes | None) -> Axes:
    ax = canvas(ax)
    order = np.arange(1, len(drops) + 1)
    values = drops[column].to_numpy(dtype=float)
    ax.plot(order, values, color=FAINT, linewidth=1.5, zorder=1)
    handles, labels = [], []
    for looks, rule in zip(SERIES, dict.fromkeys(drops["rule"]), strict=False):
        own = (drops["rule"] == rule).to_numpy()
        handles += ax.plot(
            order[own],
            values[own],
            marker=looks.marker,
            markersize=5,
            color=looks.colour,
            linestyle="none",
        )
        labels.append(RULES.get(rule, rule))
    explained(ax, handles, labels, title="Dropped by")
    return dressed(ax, x="Items dropped", y=PATHS[column])


def eigenvalues(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw eigenvalues beside those of shuffled answers (parallel analysis).

    Parameters
    ----------
    table : DataFrame
        `dimensionality(responses)`.
    ax : Axes, optional

    Notes
    -----
    Filled marks are the components that exceed their reference. The first 20 are drawn.
    """
    rows_of(table, ("eigenvalue", "reference", "retained"), "dimensionality")
    rows = table.head(MOST_COMPONENTS)
    ax = canvas(ax)
    place = rows.index.to_numpy(dtype=float)
    known, chance = SERIES[0], SERIES[1]
    observed = ax.plot(
        place,
        rows["eigenvalue"],
        color=known.colour,
        marker=known.marker,
        markerfacecolor="white",
        markersize=6,
    )
    reference = ax.plot(
        place,
        rows["reference"],
        color=chance.colour,
        linestyle=chance.dashes,
        marker=chance.marker,
        markersize=4,
    )
    kept = rows["retained"].to_numpy(dtype=bool)
    ax.plot(
        place[kept],
        rows["eigenvalue"].to_numpy()[kept],
        color=known.colour,
        marker=known.marker,
        markersize=6,
        linestyle="none",
    )
    explained(ax, [*observed, *reference], ["answers", "shuffled answers (reference)"])
    ax.xaxis.set_major_locator(matplotlib("ticker").MaxNLocator(integer=True))
    more = f" (the first {len(rows)} of {len(table)})" if len(table) > len(rows) else ""
    return dressed(ax, x=f"Component{more}", y="Eigenvalue of the item correlations")


def convergence(calibration: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw the log-likelihood along the cycles of the EM algorithm.

    Parameters
    ----------
    calibration : Calibration
    ax : Axes, optional
    """
    record = calibration.convergence
    if not len(record.history):
        raise ModelError("There is nothing to draw: the calibration kept no history of cycles.")
    ax = canvas(ax)
    cycle, value = record.history.T
    looks = SERIES[0]
    ax.plot(cycle, value, color=looks.colour, marker=looks.marker, markersize=4)
    ended = "Converged" if record.converged else "Not converged"
    ax.ticklabel_format(useOffset=False, style="plain", axis="y")
    title = f"{ended} after {count(record.n_cycles, 'cycle')}"
    return dressed(ax, x="EM cycles", y="Log-likelihood (nats)", title=title)
