"""The command that runs a crowd-informed fine-tuning experiment from its plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from irtkit import terminal
from irtkit.bridge.cift.experiment import CiftResult, plan_cells, read_cift, run_cift
from irtkit.bridge.cift.files import read_plan
from irtkit.bridge.cift.page import write_cift
from irtkit.bridge.cift.plan import CiftPlan
from irtkit.cli.group import cli
from irtkit.io.files import check_target
from irtkit.options import JSON


@cli.command("cift", short_help="Run a crowd-informed fine-tuning experiment.")
@click.argument("plan", type=click.Path())
@click.option("--seed", "seeds", type=int, multiple=True, help="Run this seed alone; repeatable.")
@click.option("--size", "sizes", type=int, multiple=True, help="Run this size alone; repeatable.")
@click.option("--device", help="Train on it instead of the plan's: cpu, cuda, mps.")
@click.option("--tables", "only_tables", is_flag=True, help="Run nothing; write what is done.")
@click.option("--dry-run", is_flag=True, help="Check the plan and count its cells.")
@click.option(
    "-o", "--output", required=True, help="Folder of the experiment; the same one goes on."
)
@JSON
def cift_command(
    plan: str,
    seeds: Sequence[int],
    sizes: Sequence[int],
    device: str | None,
    only_tables: bool,
    dry_run: bool,
    output: str,
    as_json: bool,
) -> None:
    """Pre-train, fine-tune on all scales but one, score the one held out; as PLAN (JSON) says.

    Results are kept cell by cell: after an interruption the same command goes on where it was.
    Given several times at once, the processes share the work. Tables (CSV), figures (PNG) and a
    page (README.md) are written there at the end.
    """
    check_target(output, overwrite=True, folder=True)
    made = read_plan(plan, device=device)
    chosen = {"seeds": seeds or None, "sizes": sizes or None}
    if dry_run:
        _say_cells(made, len(plan_cells(made, **chosen)), as_json)
        return
    if only_tables:
        result = read_cift(made, output)
    else:
        with terminal.progress_line("running") as tell:
            result = run_cift(
                made,
                output,
                **chosen,
                progress=lambda done, of: tell(f"{done} of {of} cells", done / of),
            )
    written = write_cift(result, made, output)
    _say_result(result, made, output, [path.name for path in written], as_json)


def _say_cells(plan: CiftPlan, n_cells: int, as_json: bool) -> None:
    groups = {name: [s.name for s in scales] for name, scales in plan.groups.items()}
    if as_json:
        terminal.show_json({"n_cells": n_cells, "groups": groups})
        return
    terminal.say(f"{n_cells} cells; held out in turn: {', '.join(groups)}. The plan can be run.")


def _say_result(
    result: CiftResult, plan: CiftPlan, output: str, written: list[str], as_json: bool
) -> None:
    if as_json:
        terminal.show_json(
            {
                "output": output,
                "n_done": result.n_done,
                "n_cells": result.n_cells,
                "files": written,
                "changes": result.changes.to_dict(orient="records"),
            }
        )
        return
    terminal.say(f"{result.n_done} of {result.n_cells} cells done")
    changes = result.changes
    if len(changes):
        first = changes["where"].isin(list(plan.groups)) & (changes["measure"] == "percentile")
        shown = changes[first & (changes["baseline"] == "none")]
        names = [
            "where",
            "size",
            "training",
            "target",
            "loss",
            "balanced",
            "change",
            "low",
            "high",
        ]
        terminal.show_table(shown[names].set_index("where"), "Change of the percentile")
    terminal.say(f"Tables, figures and page: {Path(output) / 'README.md'}")
