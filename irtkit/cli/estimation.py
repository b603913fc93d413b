"""Commands about items: calibrate, link, plan, simulate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.cli.group import cli, vacant
from irtkit.cli.outputs import hold, keep_partial
from irtkit.errors import NotConverged
from irtkit.estimation import MML, Calibration, calibrate
from irtkit.estimation.bayes import Bayes, Checks, sample_posterior, write_posterior
from irtkit.estimation.bayes.checks import (
    FEWEST_EFFECTIVE,
    LARGEST_R_HAT,
    NOT_USABLE,
    SMALLEST_E_BFMI,
)
from irtkit.estimation.by_method import Method
from irtkit.io import (
    read_calibration,
    read_checkpoint,
    write_calibration,
    write_table,
)
from irtkit.io.files import check_target
from irtkit.linking import METHODS as LINKING_METHODS
from irtkit.linking import link, linked
from irtkit.method_options import MODEL, counter, models_of, watcher, with_method
from irtkit.models import MODELS, ItemModel
from irtkit.options import JSON, OVERWRITE, Reading, about, with_answers
from irtkit.planning import plan_sample
from irtkit.responses import Responses
from irtkit.simulate import simulate

MOST_CELLS = 10**8  # answers that `simulate` draws


@cli.command("calibrate", short_help="Estimate item parameters.")
@click.argument("answers", type=click.Path())
@with_answers
@with_method
@click.option("--models", type=click.Path(), help="CSV of item,model, for items with others.")
@click.option(
    "--checkpoint", help="Keep the state in this file while it runs; go on from it if it exists."
)
@click.option("--posterior", help="With --method bayes: netCDF file for all draws.")
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="Calibration file to write (JSON)."
)
@OVERWRITE
@JSON
def calibrate_command(
    answers: str,
    reading: Reading,
    model: str,
    method: Method,
    models: str | None,
    checkpoint: str | None,
    posterior: str | None,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Estimate item parameters from ANSWERS (CSV, TSV, Parquet or JSONL)."""
    vacant(output, posterior, overwrite=overwrite, inputs=reading.inputs(answers, models))
    if isinstance(method, Bayes) and checkpoint is not None:
        raise click.UsageError("--checkpoint belongs to --method mml; a sampler starts anew.")
    if not isinstance(method, Bayes) and posterior is not None:
        raise click.UsageError("--posterior belongs to --method bayes.")
    if checkpoint is not None:
        check_target(checkpoint, overwrite=True)
        hold(checkpoint)
    responses = reading.read(answers)
    chosen = models_of(models, model, responses)
    checks = None
    try:
        with about(answers):
            if isinstance(method, Bayes):
                result, checks = _sampled(responses, chosen, method, posterior)
            else:
                result = _estimated(responses, chosen, method, checkpoint)
    except NotConverged as error:
        keep_partial(error, output)
        raise
    write_calibration(result, output)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    terminal.tell_notes(result.notes)
    _show_calibration(result, checks, output, as_json)


def _estimated(
    responses: Responses, models: dict[str, ItemModel], method: MML, checkpoint: str | None
) -> Calibration:
    """Calibrate by EM, from a checkpoint if there is one."""
    resume = None
    if checkpoint is not None and Path(checkpoint).exists():
        resume = read_checkpoint(checkpoint)
        terminal.tell_notes([f"Going on from {checkpoint}: {resume.n_cycles} cycles are done."])
    with terminal.progress_line("calibrating") as tell:
        watch = watcher(tell, checkpoint, method.tolerance)
        return calibrate(responses, models, method=method, resume=resume, progress=watch)


def _sampled(
    responses: Responses, models: dict[str, ItemModel], method: Bayes, path: str | None
) -> tuple[Calibration, Checks]:
    """Sample, keep all draws if asked, and refuse draws that fail their checks."""
    with terminal.progress_line("sampling") as tell:
        posterior = sample_posterior(
            responses,
            models,
            priors=method.priors,
            sampler=method.sampler,
            seed=method.seed,
            progress=counter(tell),
        )
    if path is not None:
        write_posterior(posterior, path)
    checks, result = posterior.checks(), posterior.calibration()
    if checks.verdict == NOT_USABLE:
        raise NotConverged(f"The posterior is not usable. {' '.join(checks.reasons)}", result)
    return result, checks


def _check_table(checks: Checks) -> pd.DataFrame:
    """One row a check: what was found and what is asked for."""
    rows = {
        "largest R-hat": (checks.r_hat, f"at most {LARGEST_R_HAT}"),
        "smallest bulk ESS": (checks.ess_bulk, f"at least {FEWEST_EFFECTIVE:.0f}"),
        "smallest tail ESS": (checks.ess_tail, f"at least {FEWEST_EFFECTIVE:.0f}"),
        "divergences": (float(checks.divergences), "none"),
        "smallest E-BFMI": (checks.e_bfmi, f"at least {SMALLEST_E_BFMI}"),
    }
    return pd.DataFrame(rows, index=["found", "asked for"]).T.rename_axis("check")


def _show_calibration(
    result: Calibration, checks: Checks | None, output: str, as_json: bool
) -> None:
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
                **({} if checks is None else {"checks": asdict(checks)}),
            }
        )
        return
    terminal.show_table(
        terminal.main_columns(table), f"{result.assignment.name} calibration of {len(table)} items"
    )
    if checks is not None and checks.usable:
        terminal.show_table(_check_table(checks), f"Checks of the draws: {checks.verdict}")
    how = "EM cycles" if checks is None else "draws, at the posterior means"
    terminal.say(
        f"log-likelihood {result.log_likelihood:.3f} after {result.n_cycles} {how}, "
        f"{result.n_persons:g} persons; written to {output}"
    )


@cli.command("link", short_help="Put a calibration on the scale of another.")
@click.argument("calibration", type=click.Path())
@click.argument("reference", type=click.Path())
@click.option(
    "--method", type=click.Choice(LINKING_METHODS), default="stocking_lord", show_default=True
)
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="Calibration file to write (JSON)."
)
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
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="Answers to write (CSV or Parquet)."
)
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
