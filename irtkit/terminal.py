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

import click
import numpy as np
import pandas as pd
from rich.console import Console, JustifyMethod, OverflowMethod
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from irtkit.errors import visible
from irtkit.norms import percentile_words

MOST_ROWS = 40
PERCENTILES = ("percentile", "percentile_low", "percentile_high")
QUIET = "irtkit.quiet"  # in the `meta` of the command that runs
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
    return Screen(file=sys.stderr, highlight=False, soft_wrap=not sys.stderr.isatty())


def quiet() -> bool:
    """Whether the command that runs was asked to show errors only."""
    running = click.get_current_context(silent=True)
    return running is not None and bool(running.meta.get(QUIET))


def say(text: str) -> None:
    """Print a line of results; markup in it is shown as it is."""
    if quiet():
        return
    out().print(Text(visible(text)), soft_wrap=not sys.stdout.isatty())


def tell(text: str) -> None:
    """Print a line on standard error."""
    if quiet():
        return
    err().print(Text(visible(text)))


def tell_notes(notes: Sequence[str]) -> None:
    """Print notes, one a line, on standard error."""
    for note in notes:
        tell(f"note: {note}")


def show_table(frame: pd.DataFrame, title: str, *, most: int = MOST_ROWS) -> None:
    """Print a frame as a table, its index first, cut after `most` rows.

    Where the terminal is too narrow, the last columns are left out and named below.
    """
    if quiet():
        return
    flat = frame.reset_index()
    shown, n_shown = _that_fits(flat.head(most), title)
    out().print(shown)
    if n_shown < len(flat.columns):
        others = ", ".join(_header(name) for name in flat.columns[n_shown:])
        say(f"not shown for lack of width: {others}")
    if len(flat) > most:
        say(f"... and {len(flat) - most:,} more rows")


def _that_fits(flat: pd.DataFrame, title: str) -> tuple[Table, int]:
    """Make the table of as many first columns as the console is wide for; at least two."""
    console = out()
    unlimited = console.options.update(max_width=10**6)
    n = len(flat.columns)
    while True:
        made = _table(flat.iloc[:, :n], title)
        if n <= 2 or Measurement.get(console, unlimited, made).minimum <= console.width:
            return made, n
        n -= 1


def _header(name: object) -> str:
    return SHORT.get(str(name), str(name).replace("_", " "))


def _longest(values: pd.Series, header: str) -> int:
    """Count the characters of the longest number, or word of the header."""
    cells = (_shown(str(values.name), value) for value in values)
    return max(len(word) for word in (*header.split(), *cells))


def _table(flat: pd.DataFrame, title: str) -> Table:
    table = Table(title=Text(visible(title)), title_justify="left", header_style="bold", box=None)
    for name in flat.columns:
        numeric = pd.api.types.is_numeric_dtype(flat[name])
        side: JustifyMethod = "right" if numeric else "left"
        how: OverflowMethod = "ellipsis" if len(flat.columns) > WIDE else "fold"
        least = _longest(flat[name], _header(name)) if numeric else 12  # numbers are never cut
        table.add_column(Text(visible(_header(name))), justify=side, overflow=how, min_width=least)
    for row in flat.itertuples(index=False):
        cells = (_shown(str(name), value) for name, value in zip(flat.columns, row, strict=True))
        table.add_row(*map(Text, cells))
    return table


def _shown(name: str, value: Any) -> str:
    """Write a value of a column; percentiles of the model are never 0 or 100."""
    return percentile_words(value) if name in PERCENTILES else cell(value)


def cell(value: Any) -> str:
    """Write one value for a table: four significant digits, a dash where there is none."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return "-"
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
    return visible(str(value)).replace("\n", "\\n")


def show_text(text: str) -> None:
    """Print text for another program, as it is."""
    sys.stdout.write(text + "\n")


def show_json(document: dict[str, Any]) -> None:
    """Print a document as JSON; NaN becomes null."""
    encoding = (sys.stdout.encoding or "").lower().replace("_", "-")
    text = json.dumps(_plain(document), ensure_ascii=encoding != "utf-8", indent=1)
    show_text(text)


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
        disable=quiet() or not err().is_terminal,
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
