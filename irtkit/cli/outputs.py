"""Outputs while a command runs: held against other runs, and what is left where it fails.

Checks before any work are in `group.py`.
"""

from __future__ import annotations

from pathlib import Path

import click

from irtkit import terminal
from irtkit.errors import NotConverged
from irtkit.io import write_calibration
from irtkit.io.locks import claimed


def hold(path: str | Path) -> None:
    """Hold an output until the command ends, however it ends.

    Raises
    ------
    FileError
        If another run holds it.
    """
    click.get_current_context().with_resource(claimed(path))


def keep_partial(error: NotConverged, output: str | Path) -> None:
    """Write the last state of an estimation that did not converge beside its output."""
    if error.calibration is None:
        return
    write_calibration(error.calibration, f"{output}.partial")
    terminal.tell_notes([f"The last state is in {output}.partial."])
