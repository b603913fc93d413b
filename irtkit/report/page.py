"""The shell of a page: one HTML file that needs nothing else and lets nothing else in.

Pages are trees of elements (`xml.etree`), so that every text and attribute is escaped when they
are written. The content-security policy allows the style (`looks.py`) and the script
(`behaviour.py`), by their hashes, and images within the page; no request can leave it. What
stands on a page is elsewhere (`leaderboard_page.py`, `scale_page.py`).
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, tostring

from irtkit.errors import visible
from irtkit.report.behaviour import SORTING
from irtkit.report.looks import STYLE

LONG = 30  # characters, from which a column of text is given room


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _policy(script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it; with an anchor, a link can lead there."""

    title: str
    parts: Sequence[Element]
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table on a page.

    Attributes
    ----------
    title : str
    cells : sequence of str
    values : sequence of float
        What to sort by; empty for a column of text, which is sorted as it reads.
    help : str
        What the column means, shown on hovering.
    is_long : bool
        Whether it holds long texts, which need room.
    """

    title: str
    cells: Sequence[str]
    values: Sequence[float] = field(default=())
    help: str = ""
    is_long: bool = field(init=False)

    def __post_init__(self) -> None:
        wordy = not len(self.values) and any(len(cell) > LONG for cell in self.cells)
        object.__setattr__(self, "is_long", wordy)


def page(title: str, sections: Sequence[Section], *, script: str = SORTING) -> str:
    """Write a page.

    Parameters
    ----------
    title : str
    sections : sequence of Section
        One without a title stands first, below the page's.
    script : str
        What its tables need; a page without a table gets none.

    Returns
    -------
    str
        One HTML document, for UTF-8.
    """
    head = element(
        "head",
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _policy(script)}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", title),
        element("style", STYLE),
    )
    main = element("main", element("h1", title))
    for section in sections:
        heading = [element("h2", section.title)] if section.title else []
        place = {"id": section.anchor} if section.anchor else {}
        main.append(element("section", place, *heading, *section.parts))
    body = element("body", main)
    if next(main.iter("table"), None) is not None:
        body.append(element("script", script))
    document = element("html", {"lang": "en"}, head, body)
    return "<!DOCTYPE html>\n" + tostring(document, encoding="unicode", method="html") + "\n"


def element(tag: str, *parts: str | Element | Mapping[str, str]) -> Element:
    """Make an element of texts, other elements and attributes, in order."""
    made = Element(tag)
    for part in parts:
        if isinstance(part, Element):
            made.append(part)
        elif isinstance(part, Mapping):
            made.attrib.update({name: visible(value) for name, value in part.items()})
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + visible(part)
        else:
            made.text = (made.text or "") + visible(part)
    return made


def paragraph(text: str) -> Element:
    """Make a paragraph of text."""
    return element("p", text)


def bullets(lines: Sequence[str]) -> Element:
    """Make a list of sentences."""
    return element("ul", *(element("li", line) for line in lines))


def folded(summary: str, *parts: Element) -> Element:
    """Make parts that open on a click."""
    return element("details", element("summary", summary), *parts)


def table(columns: Sequence[Column], *, caption: str, heading: int = 0) -> Element:
    """Make a table that is sorted by a click on a column's title.

    Parameters
    ----------
    columns : sequence of Column
        All of the same length.
    caption : str
    heading : int
        The column that names the rows.
    """
    body = element("tbody")
    for row in range(len(columns[0].cells)):
        line = element("tr")
        for place, column in enumerate(columns):
            line.append(cell(column, row, heading=place == heading))
        body.append(line)
    whole = element(
        "table", element("caption", caption), element("thead", headings(columns)), body
    )
    label = {"class": "wide", "tabindex": "0", "role": "region", "aria-label": caption}
    return element("div", label, whole)


def headings(columns: Sequence[Column]) -> Element:
    """Make the row of titles, by which a table is sorted."""
    titles = []
    for column in columns:
        button = element("button", {"type": "button"}, column.title)
        titles.append(element("th", {"scope": "col"}, button))
        if len(column.values):
            titles[-1].set("class", "number")
        if column.help:
            titles[-1].set("title", visible(column.help))
    return element("tr", *titles)


def cell(column: Column, row: int, *, heading: bool = False) -> Element:
    """Make one cell of a column, which heads its row or not."""
    made = element("th", {"scope": "row"}) if heading else element("td")
    made.text = visible(column.cells[row])
    if len(column.values):
        value = float(column.values[row])
        made.set("class", "number")
        made.set("data-value", "" if math.isnan(value) else repr(value))
    elif column.is_long and not heading:
        made.set("class", "long")
    return made
