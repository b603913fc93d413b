"""The table: one row a tool, setting and task; as plain text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

HEADINGS = (
    "",
    "tool",
    "setting",
    "seconds",
    "quickest",
    "ratio",
    "shortfall",
    "peak MB",
    "remark",
)
LEFT = (0, 1, 2, 8)
UNSTEADY = 1.5


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes
    ----------
    workload, tool, setting : str
    seconds : float, optional
        Median of the repetitions.
    ratio : float, optional
        Seconds divided by irtkit's: above 1, irtkit is faster.
    shortfall : float, optional
        Log-likelihood below the best of all runs on these answers, in nats.
    peak_mb : float, optional
        Peak memory of the tool's process.
    quickest, slowest : float, optional
        The ends of the repetitions.
    remark : str
    details : dict
        Everything else that was measured, for the JSON file.
    """

    workload: str
    tool: str
    setting: str
    seconds: float | None = None
    ratio: float | None = None
    shortfall: float | None = None
    peak_mb: float | None = None
    quickest: float | None = None
    slowest: float | None = None
    remark: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def unsteady(self) -> bool:
        """Whether something else seems to have kept the machine busy."""
        return bool(self.quickest and self.slowest and self.slowest > UNSTEADY * self.quickest)

    def cells(self) -> tuple[str, ...]:
        """As text, one cell a column."""
        spread = f"unsteady: up to {self.slowest:.3g} s" if self.unsteady else ""
        return (
            self.workload,
            self.tool,
            self.setting,
            *(_number(value, ".4g") for value in (self.seconds, self.quickest)),
            _number(self.ratio, ".2f"),
            _number(self.shortfall, ".4f"),
            _number(self.peak_mb, ".0f"),
            "; ".join(filter(None, (self.remark, spread))),
        )


def _number(value: float | None, pattern: str) -> str:
    return "" if value is None else format(value, pattern)


def table(rows: Sequence[Row]) -> str:
    """Lay rows out under each other, a blank line between workloads."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text, before = [_line(HEADINGS, widths)], None
    for row in rows:
        if row.workload != before:
            text.append("")
        text.append(_line(row.cells(), widths))
        before = row.workload
    return "\n".join(text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if place in LEFT else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
