"""Numbers of items, as they come from outside: checked, and brought to one form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from irtkit.errors import ResponseError, count, listing


def checked_scores(scores: Any, *, what: str = "score") -> pd.Series:
    """Scores of items named once each, float64.

    Raises
    ------
    ResponseError
        If an item is named twice, or has no finite number.
    """
    given = pd.Series(scores)
    given.index = pd.Index([str(item) for item in given.index], name="item")
    twice = given.index[given.index.duplicated()].unique()
    if len(twice):
        raise ResponseError(
            f"{count(len(twice), 'item')} with two {what}s: {listing(twice)}. Leave one each."
        )
    numbers = pd.to_numeric(given, errors="coerce").astype(np.float64)
    lacking = numbers.index[~np.isfinite(numbers.to_numpy())]
    if len(lacking):
        raise ResponseError(
            f"{count(len(lacking), 'item')} without a {what} that is a finite number: "
            f"{listing(lacking)}. Leave them out or correct them."
        )
    return numbers
