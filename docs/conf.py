"""How Sphinx builds the site; `python -m sphinx -W --keep-going -b html docs FOLDER` does it.

The pages are Markdown and readable as they are. What is generated comes from `extensions/`: the
public names with their docstrings, the commands with their options, formulas as MathML. Nothing
that the site needs is loaded from elsewhere.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "irtkit"
author = "The irtkit contributors"
release = version = version_of("irtkit")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "formulas",
    "public_names",
    "commands",
    "navigation",
]
exclude_patterns = ["extensions"]
autosummary_generate = False  # the names are described on the pages themselves

source_suffix = {".md": "markdown"}
default_role = "py:obj"  # names in docstrings become links where there is something to link to
myst_heading_anchors = 3  # links to headings, as on a code host
myst_enable_extensions = ["attrs_block"]
highlight_language = "none"  # a block without a language is a formula or a file
suppress_warnings = ["ref.python"]  # a short name such as `items` is a field of many

autodoc_typehints = "none"  # the docstrings say the types, with shapes
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"
python_display_short_literal_types = True

html_theme = "furo"
html_title = f"irtkit {release}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
