"""The table of items: parameters, fit and flags; each row opens to text, reasons and curve.

An item is a body of two rows, so that both move together when the table is sorted. The curve is
drawn in the browser (`behaviour.py`) from shares that Python gives with the row: in thousandths
at equally spaced abilities, and what was observed with its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import count, visible
from irtkit.estimation.calibration import restricted
from irtkit.plots.style import ability_label, grid_of
from irtkit.report.flags import Mark
from irtkit.report.page import Column, bullets, cell, element, headings, paragraph
from irtkit.report.parts import Part
from irtkit.report.wording import number, p_value, share

POINTS = 41  # of a curve
MOST_PARAMETERS = 6  # columns of thresholds, or of slopes and intercepts
DASHES = ("solid", "dashed", "dotted", "dash-dot", "long dashes", "dash-dot-dot", "short dashes")
SEEN = "Line: the model. Circles: observed share, with its 95% interval."
UNSEEN = "Line: the model. There are no answers here to compare it with."
HELP = {
    "discrimination": "How sharply the item tells persons apart: the slope of its curve",
    "difficulty": "The ability at which half the persons are right, guessing apart",
    "lower": "Share of right answers at the lowest abilities",
    "upper": "Share of right answers at the highest abilities",
}
FIT = (
    ("p_adjusted", "p of S-X²", p_value, "Fit of the curve, adjusted; below .05 it does not fit"),
    ("rmsea", "RMSEA", share, "How badly the curve fits, whatever the number of persons"),
    ("infit", "Infit", number, "Mean square of residuals, weighted; 1 as the model says"),
    ("outfit", "Outfit", number, "Mean square of residuals; far above 1 by a few odd answers"),
)


def item_table(part: Part, marks: Mapping[str, Sequence[Mark]], place: str) -> Element:
    """Make the table of the items of a part, with its search box.

    Parameters
    ----------
    part : Part
    marks : mapping of str to sequence of Mark
        From `flags.marks`.
    place : str
        A word that no other table of the page has.
    """
    columns = _columns(part, marks)
    drawn = _Curves.of(part)
    titles = headings(columns)
    caption = f"{count(len(part.items), 'item')}. Select a title to sort, an item to open it."
    reach = f"{drawn.grid[0]:.6g},{drawn.grid[-1]:.6g}"
    looks = {"data-reach": reach, "data-axis": ability_label(part.calibration)}
    whole = element("table", looks, element("caption", caption), element("thead", titles))
    details = _Details(part, marks, drawn)
    for row, item in enumerate(part.items):
        line = element("tr")
        line.append(_name(item, f"{place}-{row}"))
        for column in columns[1:]:
            line.append(cell(column, row))
        opened = element(
            "tr",
            {"class": "opened", "hidden": "hidden", "id": f"{place}-{row}"},
            element("td", {"colspan": str(len(columns))}, details.of(item, row)),
        )
        whole.append(element("tbody", line, opened))
    label = {"class": "wide items", "tabindex": "0", "role": "region", "aria-label": caption}
    return element("div", {"class": "findable"}, _search(part), element("div", label, whole))


def _search(part: Part) -> Element:
    opener = {"type": "button", "class": "opener"}
    return element(
        "div",
        {"class": "search", "role": "search"},
        element(
            "input",
            {
                "type": "search",
                "aria-label": "Find items by id, text or flag",
                "placeholder": "Find items by id, text or flag",
                "autocomplete": "off",
            },
        ),
        element("output", {"aria-live": "polite"}, f"{count(len(part.items), 'item')}"),
        element("button", {**opener, "aria-pressed": "false"}, "Open these items"),
        element("button", {"type": "button", "class": "more", "hidden": "hidden"}, "Show all"),
    )


def _name(item: str, target: str) -> Element:
    looks = {"type": "button", "aria-expanded": "false", "aria-controls": target}
    return element("th", {"scope": "row"}, element("button", looks, item))


def _columns(part: Part, marks: Mapping[str, Sequence[Mark]]) -> list[Column]:
    columns = [Column("Item", list(part.items)), *_parameters(part.calibration.table())]
    fit = part.tables.get("item_fit")
    if fit is not None:
        rows = fit.reindex(list(part.items))
        for name, title, form, help_text in FIT:
            if name in rows:
                columns.append(_numbers(title, rows[name], form, help_text))
    if part.calibration.key is not None:
        columns.append(Column("Key", list(part.calibration.key), help="The right answer"))
    words = [", ".join(mark.word for mark in marks[item]) for item in part.items]
    columns.append(Column("Flags", words, help="What is to be said against the item"))
    return columns


def _parameters(table: pd.DataFrame) -> list[Column]:
    """Parameters in words, each with its standard error; asymptotes where any item has one."""
    names = [str(name) for name in table.columns if _shown(str(name), table)]
    columns = []
    for name in names[: 2 + MOST_PARAMETERS]:
        title = name.replace("_", " ").capitalize()
        columns.append(_numbers(title, table[name], number, HELP.get(name, "")))
        error = f"se_{name}"
        if error in table and name in ("discrimination", "difficulty"):
            columns.append(_numbers("SE", table[error], number, f"Standard error of {name}"))
    return columns


def _shown(name: str, table: pd.DataFrame) -> bool:
    if name.startswith("se_") or name == "state" or not table[name].notna().any():
        return False
    if name == "intercept":
        return "difficulty" not in table
    if name in ("lower", "upper"):
        return bool((table[name].dropna() != (name == "upper")).any())
    return True


def _numbers(title: str, values: pd.Series, form: object, help_text: str) -> Column:
    numbers = values.to_numpy(dtype=float)
    cells = [form(value) for value in numbers]  # type: ignore[operator]
    return Column(title, cells, numbers.tolist(), help_text)


@dataclass(frozen=True, slots=True, eq=False)
class _Curves:
    """Shares of the categories along ability, and what was observed, of all items."""

    grid: FloatArray
    shares: FloatArray  # (Q, I, K)
    sizes: list[int]
    seen: dict[str, str]

    @classmethod
    def of(cls, part: Part) -> _Curves:
        """Evaluate the curves of a part."""
        calibration = part.calibration
        grid = grid_of(calibration, POINTS)
        known = np.flatnonzero(calibration.calibrated)
        inside = np.exp(restricted(calibration, known.tolist()).log_prob(grid))
        shares = np.full((POINTS, len(part.items), inside.shape[2]), np.nan)
        shares[:, known] = inside
        sizes = calibration.assignment.n_categories.tolist()
        return cls(grid, shares, sizes, _observed(part))

    def lines(self, place: int) -> str:
        """The curves of an item as text: a right answer's, or one a category."""
        categories = [1] if self.sizes[place] == 2 else range(self.sizes[place])
        values = np.rint(1000.0 * self.shares[:, place]).astype(int)  # (Q, K)
        return ";".join(",".join(map(str, values[:, code].tolist())) for code in categories)


def _observed(part: Part) -> dict[str, str]:
    """Observed points of each item as text: groups of categories, points, four numbers."""
    table = part.tables.get("item_curves")
    if table is None:
        return {}
    categories = part.calibration.categories
    binary = dict(
        zip(part.items, (part.calibration.assignment.n_categories == 2).tolist(), strict=True)
    )
    found: dict[str, str] = {}
    for item, rows in table.groupby("item", sort=False):
        wanted = [categories[1]] if binary[str(item)] else list(categories)
        groups = [_points(rows[rows["category"].astype(str) == name]) for name in wanted]
        found[str(item)] = "|".join(groups)
    return found


def _points(rows: pd.DataFrame) -> str:
    columns = rows[["theta", "observed", "low", "high"]].to_numpy(dtype=float)
    return ";".join(",".join(f"{value:.3g}" for value in row) for row in columns)


@dataclass(frozen=True, slots=True, eq=False)
class _Details:
    """What opens below an item."""

    part: Part
    marks: Mapping[str, Sequence[Mark]]
    curves: _Curves

    def of(self, item: str, place: int) -> Element:
        """Text, reasons and labels of an item, and its curve."""
        words = element("div", *self._text(item))
        reasons = [mark.reason for mark in self.marks[item]]
        words.append(bullets(reasons) if reasons else paragraph("No flag."))
        words.extend(self._labels(place))
        return element("div", {"class": "about"}, words, *self._curve(item, place))

    def _text(self, item: str) -> list[Element]:
        text = self.part.texts.get(item)
        return [] if text is None else [element("p", {"class": "text"}, text)]

    def _labels(self, place: int) -> list[Element]:
        scale = self.part.scale
        if scale is None or scale.label_counts is None:
            return []
        counts = scale.label_counts[place]
        given = [
            f"{label} {100 * n / counts.sum():.0f}%"
            for label, n in zip(scale.calibration.label_set, counts, strict=True)
        ]
        return [paragraph(f"Labels given: {', '.join(given)}.")]

    def _curve(self, item: str, place: int) -> list[Element]:
        if not self.part.calibration.calibrated[place]:
            return [paragraph("It has no parameters, so there is no curve.")]
        seen = self.curves.seen.get(item, "")
        looks = {
            "class": "curve",
            "role": "img",
            "aria-label": visible(f"Curve of item {item} along ability"),
            "data-lines": self.curves.lines(place),
        }
        if seen:
            looks["data-seen"] = seen
        size = self.curves.sizes[place]
        words = (SEEN if seen else UNSEEN) if size == 2 else self._categories(size)
        return [element("figure", element("svg", looks), element("figcaption", words))]

    def _categories(self, size: int) -> str:
        names = self.part.calibration.categories[:size]
        lines = [f"{name} {DASHES[n % len(DASHES)]}" for n, name in enumerate(names)]
        return f"Probability of each answer: {', '.join(lines)}."
