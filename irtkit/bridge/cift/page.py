"""A CIFT experiment as files: tables (CSV), a figure (PNG) and a page (README.md) about them."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace as Row

import pandas as pd

from irtkit.atomic import reason_of
from irtkit.bridge.cift.experiment import CiftResult
from irtkit.bridge.cift.figure import cift_figure
from irtkit.bridge.cift.plan import CiftPlan
from irtkit.bridge.cift.tables import ARM, words
from irtkit.errors import FileError
from irtkit.io.files import write_atomically
from irtkit.io.tables import write_table
from irtkit.plots.pictures import write_picture

TABLES = ("scores", "curves", "tests", "changes", "effects", "controls")
LIMITS = """Each scale stands alone: percentiles of different scales are never averaged.
Intervals are 95% of the mean over seeds, on the same items; they say nothing of other items.
Learning rates and epochs were chosen on the development set only.
A percentile at the ceiling or floor of a scale is an interval, not a number: see `scores.csv`."""


def write_cift(result: CiftResult, plan: CiftPlan, folder: str | Path) -> list[Path]:
    """Write tables, figure and page of an experiment into its folder, replacing earlier ones.

    Parameters
    ----------
    result : CiftResult
    plan : CiftPlan
    folder : path
        Made if it is not there.

    Returns
    -------
    list of path
        What was written.

    Raises
    ------
    FileError
        If something cannot be written.
    ModelError
        If matplotlib is not installed.
    """
    folder = Path(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder} cannot be made: {reason_of(error)}.") from error
    written = []
    for name in TABLES:
        written.append(folder / f"{name}.csv")
        write_table(getattr(result, name), written[-1])
    for measure in ("percentile", "accuracy") if len(result.scores) else ():
        written.append(folder / f"{measure}.png")
        write_picture(cift_figure(result.curves, result.controls, measure), written[-1])
    written.append(folder / "README.md")
    write_atomically(written[-1], page(result, plan).encode())
    return written


def page(result: CiftResult, plan: CiftPlan) -> str:
    """Write the page: what was done, the figure, abilities and changes by scale, the limits."""
    design, groups = plan.design, plan.groups
    head = f"""# Crowd-informed fine-tuning: {len(groups)} scales held out in turn

{result.n_done} of {result.n_cells} cells done. Pre-trained on {_listed(design.sizes)} examples of
{_cell(plan.source.name)}, {len(design.seeds)} seeds; baselines from {_cell(plan.other.name)}.

![Percentile against training size](percentile.png)

{LIMITS}
"""
    if not len(result.scores):
        return head
    parts = [head]
    for group, scales in groups.items():
        for scale in scales:
            parts.append(f"\n## {_cell(scale.name)}\n\n{_controls(result.controls, scale.name)}\n")
            also = "" if scale.name == group else f" It shares items with {_cell(group)}."
            parts.append(f"{len(scale.items)} items.{also}\n\n{_means(result.scores, scale.name)}")
    parts.append(f"\n## Changes against no fine-tuning\n\n{_changes(result.changes, plan)}")
    return "".join(parts)


def _means(scores: pd.DataFrame, scale: str) -> str:
    here = scores[scores["scale"] == scale]
    by = ["size", *ARM, "again"]
    means = here.groupby(by, sort=False)[["theta", "percentile", "accuracy"]].mean().reset_index()
    low = here.groupby(by, sort=False)["percentile"].agg(["min", "max", "count"]).reset_index()
    rows = [
        [
            f"{row.size:,}",
            words(row),
            f"{row.theta:.2f}",
            f"{row.percentile:.0f} ({other.min:.0f} to {other.max:.0f})",
            f"{row.accuracy:.3f}",
            f"{other.count}",
        ]
        for row, other in zip(_records(means), _records(low), strict=True)
    ]
    names = ["size", "fine-tuning", "theta", "percentile (range)", "accuracy", "seeds"]
    return _markdown(names, rows)


def _interval(low: float, high: float) -> str:
    """An interval in words, also where a single seed has none."""
    return "(one seed)" if math.isnan(low) else f"({low:+.3f} to {high:+.3f})"


def _changes(changes: pd.DataFrame, plan: CiftPlan) -> str:
    if not len(changes):
        return ""
    first = set(plan.groups)
    tests = {test.name for test in plan.tests}
    here = changes[(changes["baseline"] == "none") & ~changes["again"]]
    here = here[
        (here["where"].isin(first) & here["measure"].isin(["percentile", "accuracy"]))
        | (here["where"].isin(tests) & here["measure"].isin(["accuracy", "calibration_error"]))
    ]
    rows = [
        [
            row.where,
            str(row.held_out),
            f"{row.size:,}",
            words(row),
            row.measure,
            f"{row.before:.3g}",
            f"{row.change:+.3f} {_interval(row.low, row.high)}",
        ]
        for row in _records(here)
    ]
    names = ["on", "held out", "size", "fine-tuning", "measure", "before", "change (95%)"]
    return _markdown(names, rows)


def _records(frame: pd.DataFrame) -> list[Row]:
    return [Row(**{str(name): row[name] for name in row}) for row in frame.to_dict("records")]


def _controls(controls: pd.DataFrame, scale: str) -> str:
    here = controls[controls["scale"] == scale]
    told = [f"{r.label}: percentile {r.percentile:.1f}" for r in _records(here)]
    return "Always one label: " + "; ".join(_cell(one) for one in told) + "."


def _markdown(names: list[str], rows: list[list[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(_cell(str(cell)) for cell in row)} |\n" for row in lines)


def _cell(text: str) -> str:
    """Write text so that the page shows it as it is."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return plain.replace(">", "&gt;").replace("|", "&#124;").replace("`", "&#96;")


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)
