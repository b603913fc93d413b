"""Every exception that irtkit raises on purpose.

::

    IrtkitError
    ├── ResponseError      the responses cannot be used as given           (also ValueError)
    ├── ModelError         model and responses do not fit each other       (also ValueError)
    │   └── NothingKept    a screening left too few items; carries .log
    ├── NotConverged       carries .calibration, the last state            (also RuntimeError)
    ├── ScaleError         a saved scale cannot be read, or does not match (also ValueError)
    ├── PredictionError    a model's outputs do not match the scale        (also ValueError)
    └── FileError          a file cannot be read or written                (also OSError)

A message says what was wrong with the value, why it matters and what to do. `listing` and
`nearest` help to write one; nothing here prints or logs.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from irtkit.estimation.calibration import Calibration

MOST_EXAMPLES = 5


class IrtkitError(Exception):
    """Base of all deliberate errors of irtkit."""


class ResponseError(IrtkitError, ValueError):
    """The responses cannot be used as given."""


class ModelError(IrtkitError, ValueError):
    """Model and responses do not fit each other."""


class NothingKept(ModelError):
    """A screening left too few items to calibrate.

    Attributes
    ----------
    log : DataFrame or None
        What was dropped, and why, up to there.
    """

    def __init__(self, message: str, log: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.log = log


class NotConverged(IrtkitError, RuntimeError):
    """The estimation ended without reaching its tolerance.

    Attributes
    ----------
    calibration : Calibration or None
        The last state, with `converged` False; its numbers are not estimates to report.
    """

    def __init__(self, message: str, calibration: Calibration | None = None) -> None:
        super().__init__(message)
        self.calibration = calibration


class ScaleError(IrtkitError, ValueError):
    """A saved scale or calibration cannot be read, or contradicts itself."""


class PredictionError(IrtkitError, ValueError):
    """A model's outputs cannot be matched to the scale's items."""


class FileError(IrtkitError, OSError):
    """A file cannot be read or written."""


def listing(values: Iterable[object], most: int = MOST_EXAMPLES) -> str:
    """Quote up to `most` values for a message: ``'a', 'b' and 3 more``."""
    quoted = [shown(value) for value in values]
    if len(quoted) <= most:
        return ", ".join(quoted)
    return ", ".join(quoted[:most]) + f" and {len(quoted) - most} more"


def shown(value: object) -> str:
    """Show one value: strings quoted and escaped where they would not print, cut at 60."""
    if not isinstance(value, str):
        return str(value)
    printable = visible(value).replace("\n", "\\n")
    return f"'{printable[:57]}...'" if len(printable) > 60 else f"'{printable}'"


def visible(text: str) -> str:
    """Escape what does not print, such as marks that turn text around; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def nearest(word: str, known: Collection[str]) -> str:
    """Suggest the most similar known word as a sentence, or nothing."""
    plain = {name.strip().casefold(): name for name in known}
    alike = plain.get(word.strip().casefold())
    close = [alike] if alike else difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)
    return f" Did you mean {shown(close[0])}?" if close else ""


def count(number: int, noun: str) -> str:
    """Write a number with its noun in the right form: ``1 item``, ``3 items``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
