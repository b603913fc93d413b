"""What the command line shows: tables, notes and progress. Computes nothing.

Results go to standard output, everything else to standard error, so that output can be piped.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console, JustifyMethod, OverflowMethod
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from irtkit.errors import visible

MOST_ROWS = 40
WIDE = 6  # columns beyond which long ids are cut rather than folded
PIPE_WIDTH = 160  # columns, where the output is no terminal
SHORT = {  # headers that would make a table wider than its numbers
    "discrimination": "discrim.",
    "standard_error": "SE",
    "se_discrimination": "SE discrim.",
    "se_difficulty": "SE diff.",
    "se_intercept": "SE interc.",
    "percentile_low": "low",
    "percentile_high": "high",
    "percentile_empirical": "empir.",
    "percentile_midrank": "midrank",
    "n_answered": "n",
    "at_ceiling": "ceiling",
    "at_floor": "floor",
    "p_adjusted": "p adj.",
}


class Screen(Console):
    """A console that leaves a closed pipe to the caller."""

    def on_broken_pipe(self) -> None:
        """Raise the error on; rich would end the program here."""
        raise BrokenPipeError


def prepare_streams() -> None:
    """Make the streams take any character, escaped where the encoding lacks it, even closed."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def out() -> Console:
    """Console on standard output."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Screen(file=sys.stdout, highlight=False, width=width)


def err() -> Console:
    """Console on standard error."""
    return Screen(file=sys.stderr, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line of results; markup in it is shown as it is."""
    out().print(Text(visible(text)), soft_wrap=True)


def tell(text: str) -> None:
    """Print a line on standard error."""
    err().print(Text(visible(text)))


def tell_notes(notes: Sequence[str]) -> None:
    """Print notes, one a line, on standard error."""
    for note in notes:
        tell(f"note: {note}")


def show_table(frame: pd.DataFrame, title: str, *, most: int = MOST_ROWS) -> None:
    """Print a frame as a table, its index first, cut after `most` rows."""
    flat = frame.reset_index()
    table = Table(title=Text(title), title_justify="left", header_style="bold", box=None)
    for name in flat.columns:
        numeric = pd.api.types.is_numeric_dtype(flat[name])
        header = SHORT.get(str(name), str(name).replace("_", " "))
        side: JustifyMethod = "right" if numeric else "left"
        how: OverflowMethod = "ellipsis" if len(flat.columns) > WIDE else "fold"
        least = None if numeric else 12
        table.add_column(
            Text(header), justify=side, overflow=how, no_wrap=numeric, min_width=least
        )
    for row in flat.head(most).itertuples(index=False):
        table.add_row(*(Text(cell(value)) for value in row))
    out().print(table)
    if len(flat) > most:
        say(f"... and {len(flat) - most:,} more rows")


def cell(value: Any) -> str:
    """Write one value for a table: four significant digits, a dash where there is none."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return "-"
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
    return visible(str(value)).replace("\n", "\\n")


def show_json(document: dict[str, Any]) -> None:
    """Print a document as JSON; NaN becomes null."""
    encoding = (sys.stdout.encoding or "").lower().replace("_", "-")
    text = json.dumps(_plain(document), ensure_ascii=encoding != "utf-8", indent=1)
    sys.stdout.write(text + "\n")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame, index included, as objects for `show_json`."""
    return [
        {str(name): value for name, value in row.items()}
        for row in frame.reset_index().to_dict(orient="records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def progress_line(what: str) -> Iterator[Any]:
    """Show a bar with a changing line on standard error while the body runs.

    Yields a function that takes the newest sentence and, if it is known, the share of the work
    that is done. Nothing is shown off a terminal.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(16))
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=err(),
        transient=True,
        disable=not err().is_terminal,
    ) as bar:
        task = bar.add_task(what, total=None)

        def tell(sentence: str, share: float | None = None) -> None:
            total = None if share is None else 1.0
            bar.update(task, description=f"{what}: {sentence}", total=total, completed=share or 0)

        yield tell


def main_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Choose the columns of a calibration table that are worth a place on the screen."""
    always = ("discrimination", "se_discrimination", "difficulty", "se_difficulty", "state")
    several = ("threshold", "slope_", "intercept_")
    return table[
        [
            name
            for name in table
            if name in always
            or str(name).startswith(several)
            or (name in ("lower", "upper") and table[name].nunique() > 1)
        ]
    ]
