"""The site's menu, made from the lists of links that `index.md` and other overviews hold.

A code host shows such a page as it is. For the site each of its sections also becomes a part of
the menu, with the links in their order, so that no page is listed twice by hand.
"""

import re

from sphinx.application import Sphinx

OVERVIEWS = ("index", "reference/python")
SECTION = re.compile(r"^## ", re.MULTILINE)
LINK = re.compile(r"^- \[[^\]]*\]\(([\w/.-]+)\.md\)", re.MULTILINE)


def menu(section: str, caption: str) -> str:
    """Part of the menu that lists the pages of a section."""
    pages = LINK.findall(section)
    if not pages:
        return section
    return section + "\n```{toctree}\n:hidden:\n" + caption + "\n" + "\n".join(pages) + "\n```\n\n"


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Add the menu to an overview."""
    if page in OVERVIEWS:
        first, *others = SECTION.split(source[0])
        source[0] = menu(first, "") + "".join(
            menu(f"## {part}", f":caption: {part.partition(chr(10))[0]}\n") for part in others
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask to see each page before it is parsed."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
