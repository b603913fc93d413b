"""Options that say how evaluation logs are read, shared by the commands that take logs.

`with_log_options` gives a command one `LogOptions` instead of ten options.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from irtkit.bridge.logs.options import (
    DUPLICATES,
    EPOCHS,
    IDENTITIES,
    ITEM_NAMES,
    MOST_LEVELS,
    UNSCORED,
    LogOptions,
)
from irtkit.options import with_options

LOG_OPTIONS = [
    click.option("--metric", metavar="NAME", help="In logs: the score that counts."),
    click.option("--filter", metavar="NAME", help="In logs: the filter (HELM: split)."),
    click.option("--task", metavar="PATTERN", help="In logs: only such tasks, e.g. 'mmlu_*'."),
    click.option(
        "--threshold", type=float, help="In logs: from this score on an answer is right."
    ),
    click.option(
        "--levels",
        type=click.IntRange(2, MOST_LEVELS),
        help="In logs: so many ordered categories of scores from 0 to 1.",
    ),
    click.option(
        "--epochs",
        type=click.Choice(EPOCHS),
        default="first",
        show_default=True,
        help="In logs: which of several trials of an item counts.",
    ),
    click.option(
        "--duplicates",
        type=click.Choice(DUPLICATES),
        default="refuse",
        show_default=True,
        help="In logs: an item that a model answers in two files.",
    ),
    click.option(
        "--unscored",
        type=click.Choice(UNSCORED),
        default="missing",
        show_default=True,
        help="In logs: answers that ended in an error or have no score.",
    ),
    click.option(
        "--item-names",
        type=click.Choice(ITEM_NAMES),
        default="task",
        show_default=True,
        help="In logs: items are task/id, or the plain id.",
    ),
    click.option(
        "--identity",
        type=click.Choice(IDENTITIES),
        default="stable",
        show_default=True,
        help="In logs: what identifies an item.",
    ),
]
FIELDS = (
    *("metric", "filter", "task", "threshold", "levels"),
    *("epochs", "duplicates", "unscored", "item_names", "identity"),
)


def with_log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how logs are read; the command gets one `log_options`."""

    @wraps(command)
    def gather(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in FIELDS}
        command(log_options=LogOptions(**chosen), **given)

    return with_options(LOG_OPTIONS)(gather)
