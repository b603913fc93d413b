"""The command line: parse, read, call, write. No numbers are made here.

`estimation.py` holds the commands about items, `diagnostics.py` the one about their fit,
`screening.py` and `scales.py` those about scales, `program.py` those about irtkit itself,
`group.py` what they hang on; others are named after their command. Exit codes: 0
done, 2 content or options that cannot be used, 3 estimation failed, 4 a file that cannot be read
or written, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

from irtkit import terminal
from irtkit.cli import (
    cift,
    crowd,
    diagnostics,
    encoders,
    estimation,
    finetune,
    leaderboard,
    logs,
    mistakes,
    pairwise,
    plot,
    program,
    report,
    scales,
    screening,
)
from irtkit.cli.group import cli
from irtkit.errors import FileError, IrtkitError, NotConverged

__all__ = [
    "cift",
    "cli",
    "crowd",
    "diagnostics",
    "encoders",
    "estimation",
    "finetune",
    "leaderboard",
    "logs",
    "main",
    "mistakes",
    "pairwise",
    "plot",
    "program",
    "report",
    "run",
    "scales",
    "screening",
]


def _terminate(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    terminal.prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; errors are shown without a traceback."""
    try:
        cli.main(args=arguments, prog_name="irtkit", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        terminal.tell("interrupted; nothing half-written was left")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as leave:
        if leave.code != 1:  # click leaves with 1, and only so, when the output was closed
            raise
        return 0
    except IrtkitError as error:
        terminal.tell(f"error: {error}")
        return 4 if isinstance(error, FileError) else 3 if isinstance(error, NotConverged) else 2
    except OSError as error:
        terminal.tell(f"error: {error.filename or 'a file'}: {error.strerror or error}.")
        return 4
    except MemoryError as error:
        terminal.tell(f"error: There is not enough memory for this: {error}.")
        return 4
    return 0
