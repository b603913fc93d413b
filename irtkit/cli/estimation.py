"""Commands about items: calibrate, link, plan, simulate."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.cli.group import cli, vacant
from irtkit.errors import NotConverged
from irtkit.estimation import MML, calibrate
from irtkit.io import (
    read_calibration,
    read_checkpoint,
    write_calibration,
    write_table,
)
from irtkit.linking import METHODS as LINKING_METHODS
from irtkit.linking import link, linked
from irtkit.models import MODELS
from irtkit.options import (
    JSON,
    MODEL,
    OVERWRITE,
    Reading,
    models_of,
    watcher,
    with_answers,
    with_method,
)
from irtkit.planning import plan_sample
from irtkit.simulate import simulate

MOST_CELLS = 10**8  # answers that `simulate` draws


@cli.command("calibrate", short_help="Estimate item parameters.")
@click.argument("answers")
@with_answers
@with_method
@click.option("--models", type=click.Path(), help="CSV of item,model, for items with others.")
@click.option(
    "--checkpoint", help="Keep the state in this file while it runs; go on from it if it exists."
)
@click.option("-o", "--output", required=True, help="Calibration file to write (JSON).")
@OVERWRITE
@JSON
def calibrate_command(
    answers: str,
    reading: Reading,
    model: str,
    method: MML,
    models: str | None,
    checkpoint: str | None,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Estimate item parameters from ANSWERS (CSV, TSV, Parquet or JSONL)."""
    vacant(output, overwrite=overwrite, inputs=reading.inputs(answers, models))
    responses = reading.read(answers)
    chosen = models_of(models, model, responses)
    resume = None
    if checkpoint is not None and Path(checkpoint).exists():
        resume = read_checkpoint(checkpoint)
        terminal.tell_notes([f"Going on from {checkpoint}: {resume.n_cycles} cycles are done."])
    try:
        with terminal.progress_line("calibrating") as tell:
            result = calibrate(
                responses,
                chosen,
                method=method,
                resume=resume,
                progress=watcher(tell, checkpoint, method.tolerance),
            )
    except NotConverged as error:
        if error.calibration is not None:
            write_calibration(error.calibration, f"{output}.partial")
            terminal.tell_notes([f"The last state is in {output}.partial."])
        raise
    write_calibration(result, output)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    terminal.tell_notes(result.notes)
    table = result.table()
    if as_json:
        terminal.show_json(
            {
                "output": output,
                "model": result.assignment.name,
                "log_likelihood": result.log_likelihood,
                "n_persons": result.n_persons,
                "n_cycles": result.n_cycles,
                "converged": result.converged,
                "items": terminal.records(table),
                "notes": list(result.notes),
            }
        )
        return
    terminal.show_table(
        terminal.main_columns(table), f"{result.assignment.name} calibration of {len(table)} items"
    )
    terminal.say(
        f"log-likelihood {result.log_likelihood:.3f} after {result.n_cycles} EM cycles, "
        f"{result.n_persons:g} persons; written to {output}"
    )


@cli.command("link", short_help="Put a calibration on the scale of another.")
@click.argument("calibration")
@click.argument("reference")
@click.option(
    "--method", type=click.Choice(LINKING_METHODS), default="stocking_lord", show_default=True
)
@click.option("-o", "--output", required=True, help="Calibration file to write (JSON).")
@OVERWRITE
@JSON
def link_command(
    calibration: str, reference: str, method: str, output: str, overwrite: bool, as_json: bool
) -> None:
    """Put CALIBRATION on the scale of REFERENCE by the items that both have."""
    vacant(output, overwrite=overwrite, inputs=[calibration, reference])
    new = read_calibration(calibration)
    found = link(new, read_calibration(reference), method=method)
    write_calibration(linked(new, found), output)
    table = found.table()
    if as_json:
        terminal.show_json(
            {
                "output": output,
                "method": method,
                "slope": found.slope,
                "constant": found.constant,
                "items": terminal.records(table),
            }
        )
        return
    terminal.show_table(table, f"{len(found.items)} common items after {method} linking")
    terminal.say(
        f"theta on the reference's scale = {found.slope:.4f} theta + {found.constant:.4f}; "
        f"written to {output}"
    )


@cli.command("plan", short_help="How many persons a calibration needs.")
@MODEL
@click.option("--items", type=click.IntRange(3), required=True)
@click.option(
    "--standard-error", type=click.FloatRange(0, min_open=True), required=True, help="Wanted."
)
@click.option(
    "--parameter", type=click.Choice(["difficulty", "discrimination"]), default="difficulty"
)
@click.option("--missing", type=click.FloatRange(0, 1, max_open=True), default=0.0)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@JSON
def plan_command(
    model: str,
    items: int,
    standard_error: float,
    parameter: str,
    missing: float,
    seed: int,
    as_json: bool,
) -> None:
    """Find by simulated studies of several sizes how many persons reach a standard error."""
    plan = plan_sample(
        MODELS[model],
        n_items=items,
        standard_error=standard_error,
        parameter=parameter,
        missing=missing,
        seed=seed,
    )
    if as_json:
        terminal.show_json(
            {
                "needed": plan.needed,
                "extrapolated": plan.extrapolated,
                "sizes": terminal.records(plan.table()),
            }
        )
        return
    terminal.show_table(plan.table(), f"Simulated studies of {items} {model} items")
    terminal.say(plan.sentence())


@cli.command("simulate", short_help="Draw answers from a model.")
@MODEL
@click.option("--persons", type=click.IntRange(1), required=True)
@click.option("--items", type=click.IntRange(1), required=True)
@click.option(
    "--seed", type=click.IntRange(0), required=True, help="The same seed gives the same answers."
)
@click.option("--missing", type=click.FloatRange(0, 1, max_open=True), default=0.0)
@click.option("-o", "--output", required=True, help="Answers to write (CSV or Parquet).")
@click.option("--truth", help="Also write the true item parameters.")
@OVERWRITE
def simulate_command(
    model: str,
    persons: int,
    items: int,
    seed: int,
    missing: float,
    output: str,
    truth: str | None,
    overwrite: bool,
) -> None:
    """Draw answers from a model with known parameters."""
    vacant(output, truth, overwrite=overwrite, tables=[output, truth])
    if persons * items > MOST_CELLS:
        raise click.UsageError(f"At most {MOST_CELLS:,} answers can be drawn at once.")
    made = simulate(MODELS[model], n_persons=persons, n_items=items, seed=seed, missing=missing)
    codes = pd.DataFrame(
        made.responses.dense(), index=pd.Index(made.responses.persons, name="person")
    ).astype("Int8")
    codes.columns = list(made.responses.items)
    write_table(codes.mask(codes < 0), output)
    if truth is not None:
        write_table(made.table(), truth)
    terminal.say(f"{persons:,} persons x {items:,} items written to {output}")
