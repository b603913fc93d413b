"""Where persons and items lie on the scale: information, Wright map, abilities, percentiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.calibration import Calibration
from irtkit.latent import Latent
from irtkit.norms import percentile_words
from irtkit.plots.style import (
    ABOVE,
    FAINT,
    INK,
    MOST_SERIES,
    MUTED,
    SERIES,
    TEXT,
    ability_label,
    canvas,
    check_number,
    dressed,
    explained,
    inches,
    named,
    rows_of,
    write,
)
from irtkit.scale import EvaluationScale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST_ERROR = 2.0  # of the axis of standard errors, in units of theta
BINS = 30
LABEL_COLUMNS = 4
NAMES_WIDTH = 2.6  # beside 1 for the longest bar of persons
LABEL_HEIGHT = 0.15  # inches
PLACES = ("theta", "percentile", "percentile_low", "percentile_high")
MAP_NAME = 10  # characters
MAP_HEIGHTS = (5.8, 7.4, 9.0)  # inches; the first that has room for the names
AXES_SHARE = 0.8  # of the height of a figure, about


def information(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how much a test tells at each ability, and the standard error that follows.

    Parameters
    ----------
    table : DataFrame
        `test_information(calibration)`.
    ax : Axes, optional
        The standard error gets an axis of its own at the right, which ends at 2: abilities that
        are known less well than that are not known.
    """
    rows_of(table, ("information", "standard_error"), "test_information")
    ax = canvas(ax)
    theta = table.index.to_numpy(dtype=float)
    known, unknown = SERIES[0], SERIES[1]
    (left,) = ax.plot(
        theta, table["information"], color=known.colour, linestyle=known.dashes, lw=1.8
    )
    beside = ax.twinx()
    (right,) = beside.plot(
        theta, table["standard_error"], color=unknown.colour, linestyle=unknown.dashes, lw=1.8
    )
    error = table["standard_error"].to_numpy(dtype=float)
    finite = error[np.isfinite(error)]
    most = min(LARGEST_ERROR, 1.05 * finite.max()) if len(finite) else LARGEST_ERROR
    beside.set_ylim(0.0, most)
    dressed(beside, x="", y="Standard error of θ", grid="none")
    beside.spines["right"].set_visible(True)
    beside.spines["right"].set_color(MUTED)
    ax.set_ylim(bottom=0.0)
    explained(ax, [left, right], ["information", "standard error"], ncols=2, **ABOVE)
    return dressed(ax, x=ability_label(), y="Test information")


def wright_map(
    calibration: Calibration, theta: npt.ArrayLike | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw persons and items on the same scale: do the items lie where the persons are.

    Parameters
    ----------
    calibration : Calibration
    theta : array, optional
        Abilities of persons, `score(...).theta`; by default the population's distribution as
        estimated. Infinite and unknown ones are left out.
    ax : Axes, optional

    Notes
    -----
    An item stands at its difficulty, one with ordered categories at each of its thresholds, with
    the number of the threshold behind its name. Names that would overlap move to the right; where
    there is no room for all, bars count the items.
    """
    names, places = _difficulties(calibration)
    middles, heights = _population(calibration, theta)
    low = min(float(middles[0]), float(places.min()))
    high = max(float(middles[-1]), float(places.max()))
    margin = 0.04 * (high - low)
    reach = high - low + 2.0 * margin
    tall = [inches(ax)[1]] if ax is not None else [AXES_SHARE * h for h in MAP_HEIGHTS]
    tried = [_columns(places, LABEL_HEIGHT / height * reach) for height in tall]
    fitting = next((n for n, columns in enumerate(tried) if columns is not None), None)
    ax = canvas(ax, height=MAP_HEIGHTS[fitting or 0])
    ax.set_ylim(low - margin, high + margin)
    ax.set_xlim(-1.05, NAMES_WIDTH + 0.05)
    spacing = float(middles[1] - middles[0])
    ax.barh(middles, -heights / heights.max(), height=spacing, color=SERIES[5].colour, lw=0)
    ax.axvline(0.0, color=MUTED, linewidth=0.8)
    dressed(ax, x="", y=ability_label(calibration), grid="y")
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    whose = "Population" if theta is None else f"Persons (longest bar {heights.max():.0f})"
    for x, side, text in ((-0.03, "right", whose), (0.03, "left", "Items, by difficulty")):
        ax.text(
            x,
            1.01,
            text,
            transform=ax.get_xaxis_transform(),
            ha=side,
            va="bottom",
            fontsize=TEXT,
            color=INK,
        )
    if fitting is None:
        _count_items(ax, places)
    else:
        _name_items(ax, names, places, tried[fitting] or [])
    return ax


def _difficulties(calibration: Calibration) -> tuple[list[str], FloatArray]:
    """Names and places of the items' difficulties and thresholds, the lowest first."""
    table = calibration.table()
    names: list[str] = []
    places: list[float] = []
    for column in table.columns:
        word, _, number = str(column).partition("_")
        if word not in ("difficulty", "threshold"):
            continue
        known = table[column][np.isfinite(table[column])]
        names += [named(item, MAP_NAME) + (f".{number}" if number else "") for item in known.index]
        places += known.tolist()
    if not places:
        raise ModelError(
            "There is nothing to draw: no item has a difficulty. Nominal items have none; draw "
            "their category_curves."
        )
    order = np.argsort(places, kind="stable")
    return [names[place] for place in order], np.array(places)[order]


def _population(
    calibration: Calibration, theta: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """Middles of bins of ability and how many persons, or which share, are in each."""
    if theta is None:
        nodes = calibration.nodes()
        inside = np.abs(nodes.theta - calibration.latent.mean) <= (
            3.0 * calibration.latent.standard_deviation
        )
        return nodes.theta[inside], np.exp(nodes.log_weights[inside])
    counts, edges = np.histogram(_finite(theta), BINS)
    return 0.5 * (edges[1:] + edges[:-1]), counts.astype(np.float64)


def _finite(theta: npt.ArrayLike) -> FloatArray:
    values = np.ravel(np.asarray(theta, dtype=np.float64))
    known = values[np.isfinite(values)]
    if not len(known):
        raise ModelError("There is nothing to draw: no person has a finite ability.")
    return known


def _columns(places: FloatArray, gap: float) -> list[int] | None:
    """A column for each name so that none overlaps; None where there are too few columns."""
    ends = np.full(LABEL_COLUMNS, -np.inf)
    columns = []
    for place in places.tolist():
        free = np.flatnonzero(ends <= place - gap)
        if not len(free):
            return None
        ends[free[0]] = place
        columns.append(int(free[0]))
    return columns


def _name_items(ax: Axes, names: list[str], places: FloatArray, columns: list[int]) -> None:
    for name, place, column in zip(names, places.tolist(), columns, strict=True):
        x = 0.06 + column * NAMES_WIDTH / LABEL_COLUMNS
        ax.plot(x, place, marker="s", markersize=4, color=SERIES[1].colour, linestyle="none")
        write(ax, x + 0.04, place, name, va="center_baseline")


def _count_items(ax: Axes, places: FloatArray) -> None:
    counts, edges = np.histogram(places, BINS)
    middle, height = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    most = int(counts.max())
    looks = SERIES[1]
    ax.barh(middle, counts / most, height=height, color=looks.colour, hatch="///", ec="w")
    write(ax, 1.05, float(middle[counts.argmax()]), f"longest bar {most}", va="center")


def ability_distribution(
    theta: npt.ArrayLike, *, latent: Latent | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how abilities are distributed.

    Parameters
    ----------
    theta : array
        Abilities of persons, `score(...).theta`. Infinite and unknown ones are left out.
    latent : Normal or Histogram, optional
        The population's distribution, `calibration.latent`, as an outline. EAPs spread less than
        it, because each is drawn towards the mean by what the test does not tell.
    ax : Axes, optional
    """
    known = _finite(theta)
    ax = canvas(ax)
    share = np.full(len(known), 100.0 / len(known))
    _, edges, _ = ax.hist(
        known, BINS, weights=share, color=SERIES[5].colour, edgecolor="white", linewidth=0.4
    )
    handles: list[Any] = [ax.patches[0]]
    labels = [f"{len(known):,} persons"]
    if latent is not None:
        handles.append(
            ax.stairs(100.0 * np.diff(latent.cdf(edges)), edges, color=SERIES[6].colour, lw=1.4)
        )
        labels.append("population")
        explained(ax, handles, labels)
    return dressed(ax, x=ability_label(), y="Share of persons (%)", grid="y")


def percentile_curve(
    scale: EvaluationScale, models: pd.DataFrame | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw a scale's norms, and where models or persons stand on them.

    Parameters
    ----------
    scale : EvaluationScale
    models : DataFrame, optional
        `scale_score(predictions, scale).table()`, of at most eight models or persons. Each stands
        at its ability (theta) and model-based percentile; its bars are the 95% intervals, that of
        theta where the table has theta_low and theta_high.
    ax : Axes, optional

    Notes
    -----
    The steps are the calibration persons' own estimates, the line the population's distribution.
    """
    ax = canvas(ax, height=4.4)
    norms, latent = scale.norms, scale.calibration.latent
    theta = np.linspace(-4.0, 4.0, 241) * latent.standard_deviation + latent.mean
    steps = ax.plot(
        norms.theta, 100.0 * norms.at_or_below, color=MUTED, drawstyle="steps-post", lw=1.2
    )
    line = ax.plot(theta, 100.0 * latent.cdf(theta), color=FAINT, linewidth=5.0, zorder=1)
    handles: list[Any] = [*steps, *line]
    labels = [f"{norms.n_persons:,.0f} persons, at or below", "population"]
    if models is not None:
        table = rows_of(models, PLACES, "scale_score(...).table()")
        check_number(len(table), MOST_SERIES, "model", "Draw a leaderboard, or fewer of them.")
        for place, (looks, name) in enumerate(zip(SERIES, table.index, strict=False)):
            row = table.iloc[place]
            x, y = row["theta"], row["percentile"]
            bars: dict[str, Any] = {"color": looks.colour, "linewidth": 1.4}
            if "theta_low" in row and "theta_high" in row:
                ax.hlines(y, row["theta_low"], row["theta_high"], **bars)
            ax.vlines(x, row["percentile_low"], row["percentile_high"], **bars)
            handles += ax.plot(
                x, y, marker=looks.marker, markersize=8, color=looks.colour, linestyle="none"
            )
            ends = (y, row["percentile_low"], row["percentile_high"])
            words = [percentile_words(end, 0) for end in ends]
            labels.append("{}: {} ({} to {})".format(named(name), *words))
    ax.set_ylim(-2, 102)
    explained(ax, handles, labels, loc="lower right")
    x_label = ability_label(scale.calibration)
    return dressed(ax, x=x_label, y="Percentile of the population", title=named(scale.name, 50))
