"""How irtkit's pictures look, and the only door to matplotlib.

Okabe and Ito's colours, each with a dash pattern, a marker and a hatch of its own, so that series
are told apart in grey too. Names of items and models are plain text: no mathematics in them is
set, they are put on one line, characters that do not print are escaped, long ones are cut.
matplotlib is imported when something is drawn, not before, and none of its global settings is
touched.

References
----------
Okabe, M., & Ito, K. (2008). Color universal design. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError, count, listing, nearest, shown
from irtkit.estimation.calibration import Calibration
from irtkit.models import SlopeRule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

NEEDED = "Pictures need matplotlib: pip install -c constraints.txt 'irtkit[plots]'."
WIDTH, HEIGHT = 6.0, 4.0  # inches; at 100 dots an inch as wide as a column of text
TITLE, TEXT, SMALL = 11.5, 10.5, 9.5  # points
INK, MUTED, FAINT = "#222222", "#6b6b6b", "#d9d9d9"
LONGEST_NAME = 24
WORDS = ("item", "category", "scale", "method", "decision", "rule")  # columns of names
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8c6d1f")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (6, 2, 1, 2)),
    (0, (9, 3)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (2, 2)),
    (0, (12, 2, 2, 2)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "///", "...", "\\\\\\", "xx", "---", "++", "oo")
MOST_SERIES = len(COLOURS)
SCRIPTS = ("Noto Sans CJK JP", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans", "Symbola")


@dataclass(frozen=True, slots=True)
class Series:
    """The looks of one of several lines, points or bars."""

    colour: str
    dashes: Any
    marker: str
    hatch: str


OBSERVED = Series(INK, "-", "o", "")
ABOVE: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
SERIES = tuple(Series(*looks) for looks in zip(COLOURS, DASHES, MARKERS, HATCHES, strict=True))


def matplotlib(module: str = "") -> Any:
    """Import matplotlib, or one of its modules.

    Raises
    ------
    ModelError
        If it is not installed; the message says the command that installs it.
    """
    try:
        return importlib.import_module(f"matplotlib.{module}" if module else "matplotlib")
    except ImportError as error:
        raise ModelError(NEEDED) from error


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """Make a figure that no global list of figures knows; sizes in inches."""
    figure: Figure = matplotlib("figure").Figure(
        figsize=(width, height), layout="constrained", facecolor="white"
    )
    return figure


def canvas(ax: Axes | None, width: float = WIDTH, height: float = HEIGHT) -> Axes:
    """Return the axes that were given, or the ones of a new figure."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def dressed(ax: Axes, *, x: str, y: str, title: str = "", grid: str = "both") -> Axes:
    """Label axes in words and take away what says nothing.

    Parameters
    ----------
    ax : Axes
    x, y : str
        What the axes show, with the unit.
    title : str
    grid : str
        "x", "y", "both" or "none".
    """
    plain: dict[str, Any] = {"parse_math": False, "fontfamily": families()}
    ax.set_xlabel(x, fontsize=TEXT, color=INK, **plain)
    ax.set_ylabel(y, fontsize=TEXT, color=INK, **plain)
    if title:
        ax.set_title(title, fontsize=TITLE, color=INK, loc="left", **plain)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(labelsize=SMALL, labelcolor=INK, color=MUTED)
    ax.set_axisbelow(True)
    if grid == "none":
        ax.grid(False)
    else:
        ax.grid(True, axis=grid, color=FAINT, linewidth=0.6)  # type: ignore[arg-type]
    return ax


def named(name: object, most: int = LONGEST_NAME) -> str:
    """Write a name for a picture: on one line, what does not print escaped, cut at `most`."""
    line = " ".join(str(name).split())
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return f"{plain[: most - 1]}…" if len(plain) > most else plain


def families() -> tuple[str, ...]:
    """The user's font and, for scripts that it lacks, those of a few others that are installed."""
    return (*matplotlib().rcParams["font.family"], *_more_scripts())


@cache
def _more_scripts() -> tuple[str, ...]:
    known = set(matplotlib("font_manager").get_font_names())
    return tuple(name for name in SCRIPTS if name in known)


def write(ax: Axes, x: float, y: float, text: str, **place: Any) -> Any:
    """Put plain text at a place in the units of the data."""
    looks = {"fontsize": SMALL, "color": INK, "fontfamily": families(), **place}
    return ax.text(x, y, text, parse_math=False, **looks)


def inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes, about, before anything is laid out."""
    figure: Any = ax.get_figure()
    place = ax.get_position()
    size = figure.get_figwidth() * place.width, figure.get_figheight() * place.height
    return max(size[0], 0.5), max(size[1], 0.5)


def number(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits and a proper minus."""
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def name_rows(ax: Axes, names: Sequence[object], most: int = LONGEST_NAME) -> None:
    """Name the rows 0, 1, .. of a picture, the first at the top."""
    labels = [named(name, most) for name in names]
    ax.set_yticks(range(len(names)), labels, parse_math=False, fontfamily=families())
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def explained(ax: Axes, handles: Sequence[Any], labels: Iterable[object], **place: Any) -> Legend:
    """Add a legend whose labels are plain text."""
    texts = [named(label, 60) for label in labels]
    looks: dict[str, Any] = {"loc": "best", "facecolor": "white", "edgecolor": "none", **place}
    found = ax.legend(list(handles), texts, fontsize=SMALL, framealpha=0.85, **looks)
    for text in found.get_texts():
        text.set_parse_math(False)
        text.set_fontfamily(families())
        text.set_color(INK)
    return found


def ability_label(calibration: Calibration | None = None) -> str:
    """Name the axis of abilities with its unit, as far as the model tells."""
    if calibration is None:
        return "Ability θ"
    if all(model.slope_rule is SlopeRule.UNIT for model in calibration.assignment.models):
        return "Ability θ (logits)"
    if calibration.latent.mean == 0.0 and calibration.latent.standard_deviation == 1.0:
        return "Ability θ (standard deviations of the population)"
    return "Ability θ (units of the scale)"


def grid_of(calibration: Calibration, n: int = 241) -> FloatArray:
    """Abilities at which curves are drawn: the population's mean -+ 4 SD."""
    latent = calibration.latent
    return np.linspace(-4.0, 4.0, n) * latent.standard_deviation + latent.mean


def rows_of(table: pd.DataFrame, columns: Sequence[str], source: str) -> pd.DataFrame:
    """Return a table that has rows and the columns that a picture needs, or refuse it.

    Parameters
    ----------
    table : DataFrame
    columns : sequence of str
    source : str
        Which function makes such tables.
    """
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise ModelError(
            f"The table has no {'column' if len(lacking) == 1 else 'columns'} {listing(lacking)}; "
            f"its columns are {listing(map(str, table.columns), 12)}. This picture draws what "
            f"{source} returns."
        )
    if not len(table):
        raise ModelError(f"There is nothing to draw: the table of {source} has no rows.")
    for name in columns:
        if name not in WORDS and not pd.api.types.is_numeric_dtype(table[name]):
            known = pd.to_numeric(table[name], errors="coerce")
            strange = table[name][known.isna() & table[name].notna()]
            if len(strange):
                raise ModelError(
                    f"The column {shown(name)} should hold numbers; it holds "
                    f"{listing(strange.unique())}."
                )
    return table


def item_place(calibration: Calibration, item: str) -> int:
    """Return the place of a calibrated item, or say why it has no curve."""
    if item not in calibration.items:
        raise ModelError(
            f"There is no item {shown(item)} in the calibration.{nearest(item, calibration.items)}"
        )
    place = calibration.items.index(item)
    if not calibration.calibrated[place]:
        raise ModelError(
            f"The item {shown(item)} has no parameters ({calibration.states[place]}), so there is "
            "no curve to draw. Choose another item."
        )
    return place


def check_number(number: int, most: int, noun: str, remedy: str) -> None:
    """Refuse more things than a picture can show."""
    if number > most:
        raise ModelError(
            f"{count(number, noun)} are too many for one picture, which shows at most {most}. "
            f"{remedy}"
        )
