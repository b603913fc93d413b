"""Named data sets that come with irtkit.

`load_dataset` returns responses, `load_items` the texts of the items and `load_truth` what a
simulation planted. The files lie in the top-level folder `data/`, each set with a README that
tells source, licence and codebook; a built package carries the folder as `irtkit/_data`. Nothing
is downloaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from irtkit.coding import Coding
from irtkit.errors import FileError, ResponseError, listing, nearest, shown
from irtkit.layout import Wide
from irtkit.responses import Responses

ITEMS, TRUTH = "items.csv", "truth.json"


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How the answers of one data set are read; `keyed` by the labels in its items.csv."""

    answers: str
    layout: Wide
    coding: Coding = field(default_factory=Coding)
    keyed: bool = False


_PATTERNS = _Recipe("responses.csv", Wide(person=None, weight="frequency"))
_RECIPES = {
    "crowd_nli": _Recipe(
        "answers.csv",
        Wide(person="worker"),
        Coding(label_map={"e": "entailment", "n": "neutral", "c": "contradiction"}),
        keyed=True,
    ),
    "lsat6": _PATTERNS,
    "lsat7": _PATTERNS,
}


def dataset_names() -> list[str]:
    """List the names that `load_dataset` knows, sorted."""
    return sorted(_RECIPES)


def load_dataset(name: str) -> Responses:
    """Load the answers of an embedded data set.

    Parameters
    ----------
    name : str
        ``"crowd_nli"``: 1,000 simulated workers label 120 sentence pairs, graded by a key.
        ``"lsat6"``, ``"lsat7"``: 1,000 persons, five items each, as weighted answer patterns.

    Raises
    ------
    ResponseError
        If there is no data set of that name.
    """
    folder = _folder(name)
    recipe = _RECIPES[name]
    table = pd.read_csv(folder / recipe.answers)
    key = None
    if recipe.keyed:
        items = load_items(name)
        key = dict(zip(items["item"], items["label"], strict=True))
    return Responses.from_frame(table, layout=recipe.layout, key=key, coding=recipe.coding)


def load_items(name: str) -> pd.DataFrame:
    """Load what is known of the items: item, scale, label, text, text_pair; one row an item.

    Raises
    ------
    ResponseError
        If there is no data set of that name, or it has no texts.
    """
    return pd.read_csv(_file(name, ITEMS, "the texts of its items"))


def load_truth(name: str) -> dict[str, Any]:
    """Load the parameters that made a simulated data set, and what was planted in it.

    Raises
    ------
    ResponseError
        If there is no data set of that name, or it was not simulated.
    """
    truth: dict[str, Any] = json.loads(_file(name, TRUTH, "known parameters").read_text("utf-8"))
    return truth


def _folder(name: str) -> Path:
    if name not in _RECIPES:
        raise ResponseError(
            f"There is no data set {shown(name)}; the names are {listing(dataset_names(), 12)}."
            f"{nearest(name, _RECIPES)}"
        )
    package = Path(__file__).resolve().parent
    for root in (package / "_data", package.parent / "data"):
        if (root / name).is_dir():
            return root / name
    raise FileError(
        f"The files of the data set {shown(name)} are not beside the package. The installation is "
        "incomplete: install irtkit again."
    )


def _file(name: str, file: str, what: str) -> Path:
    path = _folder(name) / file
    if path.is_file():
        return path
    having = [other for other in dataset_names() if (_folder(other) / file).is_file()]
    raise ResponseError(
        f"The data set {shown(name)} comes without {what}. Data sets with them: {listing(having)}."
    )
