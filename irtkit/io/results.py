"""Tables that irtkit wrote, read back: numbers as numbers, names as the names they were.

A table on disk is text. Columns of names stay text even where they look like numbers, and the
apostrophe that `write_table` puts before what a spreadsheet would run is taken away again.
"""

from __future__ import annotations

import pandas as pd

from irtkit.io.tables import FORMULA_STARTS

NAMES = {  # columns that hold names, even if these look like numbers
    *("item", "item_1", "item_2", "person", "model", "test"),
    *("category", "scale", "method", "rule", "decision", "reason"),
}


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Turn the cells of a table, as `read_table` returns them, into numbers and truth values.

    Parameters
    ----------
    table : DataFrame
        Of cells as they were written.

    Returns
    -------
    DataFrame
        A column becomes numbers, or truth values, where all its cells are such.
    """
    return pd.DataFrame({name: typed_column(str(name), cells) for name, cells in table.items()})


def typed_column(name: str, cells: pd.Series) -> pd.Series:
    """Turn the cells of one column; see `typed`."""
    words = cells.map(str, na_action="ignore")
    if name in NAMES:
        return words.map(unescaped, na_action="ignore")
    if words.dropna().isin(["True", "False"]).all() and words.notna().any():
        return words == "True"
    try:
        return pd.to_numeric(cells)
    except (ValueError, TypeError):
        return words.map(unescaped, na_action="ignore")


def unescaped(text: str) -> str:
    """Take away the apostrophe that `write_table` put before a formula."""
    formula = text.startswith("'") and text[1:].startswith(FORMULA_STARTS)
    return text[1:] if formula else text
