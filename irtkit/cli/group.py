"""The group that holds all commands, and the check that they make of their outputs first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from irtkit import terminal
from irtkit.cli.outputs import hold
from irtkit.io.files import check_target
from irtkit.io.tables import check_table_name

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
HELP = """Item Response Theory from answers to evaluation scales.

Calibrate items, screen them into a scale, place people and models on it, export fine-tuning data.

\b
A whole run:
  irtkit screen answers.csv --key key.csv -o scale.json --log log.csv
  irtkit score scale.json model.jsonl -o scores.csv
  irtkit export scale.json --texts items.jsonl --target crowd -o finetuning/

\b
`irtkit demo` shows it on simulated crowd answers; `irtkit environment` tells what is installed.
Exit codes: 2 unusable content, 3 failed estimation, 4 unreadable or unwritable file,
130 interrupted, 143 terminated.
"""


def vacant(
    *outputs: str | None,
    overwrite: bool,
    inputs: Sequence[str | None] = (),
    tables: Sequence[str | None] = (),
) -> None:
    """Refuse, before any work, outputs that exist, cannot be written, or are inputs too.

    Those among them that are `tables` must be named as such. The outputs are then held until the
    command ends; another run that would write them is refused.
    """
    taken = {Path(path).absolute().resolve() for path in inputs if path is not None}
    for path in outputs:
        if path is None:
            continue
        check_target(path, overwrite=overwrite)
        place = Path(path).absolute().resolve()
        if place in taken:
            raise click.UsageError(
                f"{path} is also read, or written twice, by this command. Choose another name."
            )
        taken.add(place)
    for path in tables:
        if path is not None:
            check_table_name(path)
    for path in outputs:
        if path is not None:
            hold(path)
            check_target(path, overwrite=overwrite)  # another run may just have ended


def vacant_folder(path: str, *, overwrite: bool) -> None:
    """Refuse, before any work, a folder that exists or cannot be written, and hold it."""
    check_target(path, overwrite=overwrite, folder=True)
    hold(path)
    check_target(path, overwrite=overwrite, folder=True)


def _hush(context: click.Context, option: click.Parameter, chosen: bool) -> None:
    if chosen:
        context.meta[terminal.QUIET] = True


quietly = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_hush,
    help="Print nothing but errors, and what --json prints.",
)


class Commands(click.Group):
    """A group whose commands, and those of its groups, all take --quiet."""

    group_class = type

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command with the option."""
        super().add_command(quietly(cmd), name)


@click.group(cls=Commands, help=HELP, context_settings=SETTINGS)
@click.version_option(package_name="irtkit")
@quietly
def cli() -> None:
    """Hold the commands; each is a function below."""
