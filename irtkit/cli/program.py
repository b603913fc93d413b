"""Commands about the program itself: environment, completion."""

from __future__ import annotations

import click
import pandas as pd
from click.shell_completion import get_completion_class

from irtkit import terminal
from irtkit.cli.group import cli
from irtkit.environment import environment
from irtkit.options import JSON

SHELLS = ("bash", "fish", "zsh")
COMPLETION = """Print a script that makes SHELL complete irtkit's commands and options.

\b
bash: add to ~/.bashrc                    eval "$(irtkit completion bash)"
zsh:  add to ~/.zshrc                     eval "$(irtkit completion zsh)"
fish: add to ~/.config/fish/config.fish   irtkit completion fish | source
"""


@cli.command("environment", short_help="Tell versions and machine, for a report of a fault.")
@JSON
def environment_command(as_json: bool) -> None:
    """Tell the versions and the machine that irtkit runs on. No path and no name is in it."""
    found = environment()
    if as_json:
        terminal.show_json(found)
        return
    table = pd.DataFrame({"value": found}).rename_axis("what")
    terminal.show_table(table, "irtkit's environment", most=len(table))


@cli.command(
    "completion", help=COMPLETION, short_help="Print the shell's script that completes commands."
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print a script that makes SHELL complete irtkit's commands and options."""
    maker = get_completion_class(shell)
    assert maker is not None  # the choices are click's own
    terminal.show_text(maker(cli, {}, "irtkit", "_IRTKIT_COMPLETE").source())
