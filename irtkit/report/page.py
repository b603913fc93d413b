"""The shell of a page: one HTML file that needs nothing else and lets nothing else in.

Pages are trees of elements (`xml.etree`), so that every text and attribute is escaped when they
are written. The content-security policy allows the style and the script below, by their hashes,
and images within the page; no request can leave it. What stands on a page is elsewhere
(`leaderboard_page.py`).
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, tostring

from irtkit.errors import visible

LONG = 30  # characters, from which a column of text is given room

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --paper: #fff; --faint: #5f6b76; --line: #d5dbe1;
  --band: #f4f6f8; --mark: #14568c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14181c; --faint: #9aa5b0;
  --line: #343c44; --band: #1b2126; --mark: #7cb7e8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 80rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p, ul { max-width: 44rem; margin: .5rem 0; }
ul { padding-left: 1.2rem; }
.faint { color: var(--faint); }
.wide { overflow: auto; max-height: 85vh; border: 1px solid var(--line); margin: .75rem 0; }
:focus-visible { outline: 2px solid var(--mark); }
table { border-collapse: separate; border-spacing: 0; width: 100%;
  font-variant-numeric: tabular-nums; font-size: .875rem; overflow-wrap: normal; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; z-index: 1; background: var(--band); white-space: nowrap;
  vertical-align: bottom; }
td.number, th.number { text-align: right; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 15rem; overflow-wrap: anywhere; position: sticky; left: 0;
  background: var(--paper); }
td.long { min-width: 15rem; overflow-wrap: anywhere; }
tbody tr:hover > * { background: var(--band); }
th button { all: unset; cursor: pointer; font-weight: 600; }
th[aria-sort] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
caption { text-align: left; padding: .4rem .6rem; color: var(--faint); }
summary { cursor: pointer; }
figure { margin: .75rem 0; }
figcaption { color: var(--faint); font-size: .875rem; max-width: 44rem; }
.rows { display: grid; grid-template-columns: minmax(0, 18rem) minmax(0, 1fr); font-size: .8rem;
  line-height: 1.4rem; column-gap: .75rem; }
.rows > span { text-align: right; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
svg { display: block; width: 100%; height: 1.4rem; overflow: visible; font: .75rem system-ui,
  sans-serif; fill: var(--ink); }
svg .axis { stroke: var(--line); }
svg .interval { stroke: var(--mark); stroke-width: 2; }
svg .point { fill: var(--mark); }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; } th, td { padding: .3rem .4rem; }
  tbody th { min-width: 8rem; } .rows { grid-template-columns: 9rem minmax(0, 1fr); } }
@media print { .wide { overflow: visible; max-height: none; } }
"""

SCRIPT = """
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = button.closest("table").tBodies[0];
    const place = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
    const value = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent;
    const numeric = head.classList.contains("number");
    const order = (a, b) => numeric
      ? (a === "") - (b === "") || (down ? b - a : a - b)
      : (down ? -1 : 1) * a.localeCompare(b, "en", { numeric: true });
    const rows = [...body.rows].sort((one, other) => order(value(one), value(other)));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
}
"""


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: Sequence[Element]


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
    """

    title: str
    cells: Sequence[str]
    values: Sequence[float] = field(default=())
    help: str = ""


def page(title: str, sections: Sequence[Section]) -> str:
    """Write a page.

    Parameters
    ----------
    title : str
    sections : sequence of Section
        One without a title stands first, below the page's.

    Returns
    -------
    str
        One HTML document, for UTF-8.
    """
    head = element(
        "head",
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", title),
        element("style", STYLE),
    )
    main = element("main", element("h1", title))
    for section in sections:
        heading = [element("h2", section.title)] if section.title else []
        main.append(element("section", *heading, *section.parts))
    body = element("body", main)
    if next(main.iter("table"), None) is not None:
        body.append(element("script", SCRIPT))
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
    titles = []
    for column in columns:
        button = element("button", {"type": "button"}, column.title)
        titles.append(element("th", {"scope": "col"}, button))
        if len(column.values):
            titles[-1].set("class", "number")
        if column.help:
            titles[-1].set("title", visible(column.help))
    body = element("tbody")
    for row in range(len(columns[0].cells)):
        line = element("tr")
        for place, column in enumerate(columns):
            line.append(_cell(column, row, heading=place == heading))
        body.append(line)
    whole = element(
        "table", element("caption", caption), element("thead", element("tr", *titles)), body
    )
    label = {"class": "wide", "tabindex": "0", "role": "region", "aria-label": caption}
    return element("div", label, whole)


def _cell(column: Column, row: int, *, heading: bool) -> Element:
    made = element("th", {"scope": "row"}) if heading else element("td")
    made.text = visible(column.cells[row])
    if len(column.values):
        value = float(column.values[row])
        made.set("class", "number")
        made.set("data-value", "" if math.isnan(value) else repr(value))
    elif not heading and max(map(len, column.cells)) > LONG:
        made.set("class", "long")
    return made
