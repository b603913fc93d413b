"""Panels of many pictures, and pictures as files.

`facets` puts one picture an item side by side, `write_picture` writes a PNG, SVG or PDF. The same
picture gives the same bytes: no dates, no random names.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from irtkit.errors import FileError, ModelError, listing
from irtkit.io.files import write_atomically
from irtkit.plots.style import SMALL, TEXT, WIDTH, check_number, matplotlib, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Name = TypeVar("Name")

MOST_PANELS = 24
PANEL_WIDTH, PANEL_HEIGHT = 2.6, 2.3  # inches
LEGEND_COLUMNS, LEGEND_ROW = 3, 0.24  # inches
KINDS = ("png", "svg", "pdf")
NO_DATE: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "irtkit"},
    "pdf": {"CreationDate": None, "Creator": "irtkit"},
}


def facets(
    draw: Callable[[Name, Axes], object], names: Sequence[Name], *, n_columns: int = 3
) -> Figure:
    """Draw one panel a name, on the same scales.

    Parameters
    ----------
    draw : callable
        Takes a name and the axes to draw on, such as
        ``lambda item, ax: item_curve(calibration, item, ax=ax)``.
    names : sequence
        Of items, for example; at most 24.
    n_columns : int

    Returns
    -------
    Figure
        Labels and legends that all panels share stand once.

    Raises
    ------
    ModelError
        For no names, or more than 24.
    """
    if not len(names):
        raise ModelError("There is nothing to draw: no names were given for the panels.")
    remedy = f"Choose {MOST_PANELS} of them, or draw several figures."
    check_number(len(names), MOST_PANELS, "panel", remedy)
    n_columns = min(n_columns, len(names))
    n_rows = -(-len(names) // n_columns)
    figure = new_figure(max(PANEL_WIDTH * n_columns, WIDTH), PANEL_HEIGHT * n_rows + 0.5)
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    panels = grid.ravel().tolist()
    for panel, name in zip(panels, names, strict=False):
        draw(name, panel)
        panel.title.set_fontsize(TEXT)
        panel.tick_params(labelsize=SMALL)
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    for above in panels[max(len(names) - n_columns, 0) : len(names)]:
        above.tick_params(labelbottom=True)
    _label_once(figure, panels[: len(names)])
    return figure


def _label_once(figure: Figure, panels: Sequence[Axes]) -> None:
    """Move what all panels say alike to the figure."""
    above = _legend_once(figure, panels) / figure.get_figheight()
    looks: dict[str, Any] = {"fontsize": TEXT, "parse_math": False}
    for read, clear, put, place in (
        ("get_xlabel", "set_xlabel", figure.supxlabel, {}),
        ("get_ylabel", "set_ylabel", figure.supylabel, {"y": 0.5 - 0.5 * above}),
    ):
        texts = {getattr(panel, read)() for panel in panels}
        if len(texts) == 1:
            put(texts.pop(), **looks, **place)
            for panel in panels:
                getattr(panel, clear)("")


def _legend_once(figure: Figure, panels: Sequence[Axes]) -> float:
    """Move a legend that all panels share above them, and return its height in inches."""
    legends = [panel.get_legend() for panel in panels]
    words = {tuple(t.get_text() for t in own.get_texts()) for own in legends if own is not None}
    if len(words) != 1 or None in legends:
        return 0.0
    names = words.pop()
    height = LEGEND_ROW * -(-len(names) // LEGEND_COLUMNS)
    figure.set_figheight(figure.get_figheight() + height - LEGEND_ROW)
    first = legends[0]
    assert first is not None
    handles: list[Any] = list(first.legend_handles)
    shared = figure.legend(
        handles,
        names,
        loc="outside upper left",
        ncols=LEGEND_COLUMNS,
        frameon=False,
        fontsize=SMALL,
    )
    for text in shared.get_texts():
        text.set_parse_math(False)
    for own in legends:
        if own is not None:
            own.remove()
    return height


def picture(drawn: Axes | Figure, kind: str = "png", *, dots: int = 150) -> bytes:
    """Encode a picture.

    Parameters
    ----------
    drawn : Axes or Figure
        Of axes: their whole figure.
    kind : str
        "png", "svg" or "pdf".
    dots : int
        An inch, of a PNG.

    Notes
    -----
    Characters that no installed font has are drawn as boxes.
    """
    if kind not in KINDS:
        raise FileError(f"Unknown kind of picture '{kind}'; there is {listing(KINDS)}.")
    figure: Any = getattr(drawn, "figure", drawn)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), matplotlib().rc_context({"svg.hashsalt": "irtkit"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=kind, dpi=dots, metadata=NO_DATE[kind])
    return buffer.getvalue()


def picture_kind(path: str | Path) -> str:
    """Tell the kind of picture from the ending of a file's name.

    Raises
    ------
    FileError
        If it is none of png, svg and pdf.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in KINDS:
        raise FileError(
            f"{path} does not end in .png, .svg or .pdf, so the kind of picture is unknown. Name "
            "it so."
        )
    return kind


def write_picture(drawn: Axes | Figure, path: str | Path, *, dots: int = 150) -> None:
    """Write a picture to a file that ends in .png, .svg or .pdf; an old one is replaced.

    Raises
    ------
    FileError
        If the ending is another, or the file cannot be written.
    """
    write_atomically(path, picture(drawn, picture_kind(path), dots=dots))
