"""Reference of public names: each block of names on a page becomes their docstrings.

A page lists names in a block ```` ```{names} irtkit.plots ````, one a line, `irtkit` if no module
is given. On a code host the list itself is shown.
"""

import importlib
import inspect
import re

from sphinx.application import Sphinx

BLOCK = re.compile(r"^```\{names\} *([\w.]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def described(module: str, name: str) -> str:
    """Directive that describes one name."""
    found = getattr(importlib.import_module(module), name)
    if inspect.isclass(found):
        members = "" if issubclass(found, Exception) else "   :members:\n"
        return f".. autoclass:: {module}.{name}\n{members}\n"
    kind = "autofunction" if callable(found) else "autodata"
    return f".. {kind}:: {module}.{name}\n\n"


def replaced(match: re.Match[str]) -> str:
    """Turn a block of names into an overview and their descriptions."""
    module, names = match[1] or "irtkit", match[2].split()
    overview = "".join(f"   {name}\n" for name in names)
    return (
        f"```{{eval-rst}}\n.. currentmodule:: {module}\n\n"
        f".. autosummary::\n   :nosignatures:\n\n{overview}\n"
        + "".join(described(module, name) for name in names)
        + "```"
    )


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the blocks of one page."""
    source[0] = BLOCK.sub(replaced, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask to see each page before it is parsed."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
