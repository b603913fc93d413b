"""The command line: parse, read, call, write. No numbers are made here.

Exit codes: 0 done, 2 content or options that cannot be used, 3 estimation failed, 4 a file that
cannot be read or written, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.bridge.finetuning import FORMATS, TARGETS, finetuning_set, write_finetuning_set
from irtkit.bridge.predictions import read_predictions
from irtkit.coding import Coding
from irtkit.demo import run_demo
from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.local_dependence import local_dependence
from irtkit.diagnostics.multiplicity import ADJUSTMENTS
from irtkit.errors import FileError, IrtkitError, NotConverged, ResponseError
from irtkit.estimation import MML, calibrate
from irtkit.io import (
    TextFormat,
    read_calibration,
    read_checkpoint,
    read_decisions,
    read_scale,
    read_table,
    write_calibration,
    write_scale,
    write_table,
)
from irtkit.io.files import check_target
from irtkit.io.tables import check_table_name
from irtkit.models import MODELS
from irtkit.options import (
    JSON,
    LABEL_OPTIONS,
    MODEL,
    OVERWRITE,
    TEXT_OPTIONS,
    Reading,
    models_of,
    pairs,
    watcher,
    with_answers,
    with_method,
    with_options,
)
from irtkit.scale import build_scale, scale_score
from irtkit.screening import PRESETS, Decision, preset, screen
from irtkit.simulate import simulate

MOST_CELLS = 10**8  # answers that `simulate` draws
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
HELP = """Item Response Theory from answers to evaluation scales.

Calibrate items, screen them into a scale, place people and models on it, export fine-tuning data.

\b
A whole run:
  irtkit screen answers.csv --key key.csv -o scale.json --log log.csv
  irtkit score scale.json model.jsonl -o scores.csv
  irtkit export scale.json --texts items.jsonl --target crowd -o finetuning/

\b
`irtkit demo` shows it on simulated crowd answers.
Exit codes: 2 unusable content, 3 failed estimation, 4 unreadable or unwritable file,
130 interrupted, 143 terminated.
"""


def _vacant(
    *outputs: str | None,
    overwrite: bool,
    inputs: Sequence[str | None] = (),
    tables: Sequence[str | None] = (),
) -> None:
    """Refuse, before any work, outputs that exist, cannot be written, or are inputs too.

    Those among them that are `tables` must be named as such.
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


@click.group(help=HELP, context_settings=SETTINGS)
@click.version_option(package_name="irtkit")
def cli() -> None:
    """Hold the commands; each is a function below."""


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
    _vacant(output, overwrite=overwrite, inputs=reading.inputs(answers, models))
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
                progress=watcher(tell, checkpoint),
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


@cli.command("diagnose", short_help="Test the fit of items and pairs.")
@click.argument("answers")
@click.argument("calibration")
@with_answers
@click.option("--adjustment", type=click.Choice(ADJUSTMENTS), default="holm", show_default=True)
@click.option("-o", "--output", required=True, help="Folder for the tables.")
@OVERWRITE
@JSON
def diagnose_command(
    answers: str,
    calibration: str,
    reading: Reading,
    adjustment: str,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Test how well items and pairs of ANSWERS fit a CALIBRATION file.

    Writes items.csv (parameters), item_fit.csv (S-X2, infit, outfit) and local_dependence.csv
    (Q3, LD-X2).
    """
    check_target(output, overwrite=overwrite, folder=True)
    known = read_calibration(calibration)
    responses = reading.read(answers)
    with terminal.progress_line("diagnosing") as tell:
        tell("item fit")
        fit = item_fit(responses, known, adjustment=adjustment)
        tell("local dependence")
        pairs = local_dependence(responses, known, adjustment=adjustment)
    tables = {"items": known.table(), "item_fit": fit, "local_dependence": pairs}
    Path(output).mkdir(exist_ok=True)
    for name, table in tables.items():
        write_table(table, Path(output) / f"{name}.csv")
    if as_json:
        terminal.show_json({name: terminal.records(table) for name, table in tables.items()})
        return
    terminal.show_table(fit, "Item fit")
    worst = pairs.sort_values("p", kind="stable").head(10)
    terminal.show_table(worst, "The ten most dependent pairs")
    terminal.say(f"written to {output}: {', '.join(f'{name}.csv' for name in tables)}")


def _decisions(path: str | None, keep: Sequence[str], drop: Sequence[str]) -> list[Decision]:
    found = read_decisions(path) if path else []
    for words, what in ((keep, "keep"), (drop, "drop")):
        for word in words:
            item, equals, reason = word.partition("=")
            if not equals:
                raise click.UsageError(f"--{what} takes ITEM=REASON, not '{word}'.")
            found.append(Decision(item, what, reason))
    return found


@cli.command("screen", short_help="Drop poor items, freeze the rest as a scale.")
@click.argument("answers")
@with_answers
@with_method
@click.option("--preset", "rules", type=click.Choice(sorted(PRESETS)), default="lalor2016")
@click.option("--decisions", type=click.Path(), help="CSV of item,decision,reason.")
@click.option("--keep", multiple=True, metavar="ITEM=REASON", help="Keep this item whatever.")
@click.option("--drop", multiple=True, metavar="ITEM=REASON", help="Drop this item first.")
@click.option("--name", help="What the scale measures (default: the output's name).")
@click.option("-o", "--output", required=True, help="Scale file to write (JSON).")
@click.option("--log", help="Also write the screening log (CSV).")
@OVERWRITE
@JSON
def screen_command(
    answers: str,
    reading: Reading,
    model: str,
    method: MML,
    rules: str,
    decisions: str | None,
    keep: Sequence[str],
    drop: Sequence[str],
    name: str | None,
    output: str,
    log: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Screen the items of ANSWERS and freeze what is left as an evaluation scale."""
    _vacant(
        output, log, overwrite=overwrite, inputs=reading.inputs(answers, decisions), tables=[log]
    )
    decided = _decisions(decisions, keep, drop)
    responses = reading.read(answers)
    with terminal.progress_line("screening") as tell:
        result = screen(
            responses,
            MODELS[model],
            preset(rules),
            method=method,
            decisions=decided,
            progress=tell,
        )
    scale = build_scale(result, name=name or Path(output).stem)
    write_scale(scale, output)
    if log is not None:
        write_table(result.log.set_index("step"), log)
    terminal.tell_notes(result.calibration.notes)
    if as_json:
        steps = terminal.records(result.log.set_index("step"))
        terminal.show_json({"output": output, "kept": result.kept, "log": steps})
        return
    terminal.say(f"first log-likelihood {result.first.log_likelihood:.3f}")
    for row in result.log[result.log["rule"] != "end"].itertuples(index=False):
        terminal.say(f"step {row.step}: {row.decision} {row.item} ({row.rule}): {row.reason}")
    terminal.say(
        f"kept {len(result.kept)} of {responses.n_items} items, log-likelihood "
        f"{result.calibration.log_likelihood:.3f}; written to {output}"
    )
    terminal.say("The fit of the kept items is post-selection: confirm it on new answers.")


@cli.command("score", short_help="Place models on a scale.")
@click.argument("scale")
@click.argument("predictions", nargs=-1, required=True)
@with_options([*LABEL_OPTIONS, *TEXT_OPTIONS])
@click.option("-o", "--output", help="Write the scores (CSV or Parquet).")
@OVERWRITE
@JSON
def score_command(
    scale: str,
    predictions: Sequence[str],
    label_map: Sequence[str],
    normalise_labels: bool,
    sep: str | None,
    decimal: str,
    encoding: str,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Place models on SCALE by their PREDICTIONS (CSV or JSONL, one file a model).

    A file holds item and label, or item and correct (0/1), or item and one probability a label;
    a column model tells several models in one file apart.
    """
    _vacant(output, overwrite=overwrite, inputs=[scale, *predictions], tables=[output])
    known = read_scale(scale)
    coding = Coding(label_map=pairs("--label-map", label_map), normalise_labels=normalise_labels)
    text = TextFormat(sep, decimal, encoding)
    tables, notes = [], []
    for path in predictions:
        made = read_predictions(path, coding=coding, text=text)
        result = scale_score(made, known)
        tables.append(result.table())
        notes += [f"{path}: {note}" for note in (*made.notes, *result.notes)]
    table = pd.concat(tables)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise ResponseError(f"Two predictions are named '{twice}'. Name the models apart.")
    if output is not None:
        write_table(table, output)
    terminal.tell_notes(notes)
    if as_json:
        terminal.show_json(
            {"scale": known.name, "scores": terminal.records(table), "notes": notes}
        )
        return
    shown = table.drop(columns="percentile_empirical_se")
    terminal.show_table(shown, f"Abilities on '{known.name}', {len(known.items)} items")
    if table["at_ceiling"].any() or table["at_floor"].any():
        terminal.say("At the ceiling (floor) all answers are right (wrong): read the interval.")


@cli.command("export", short_help="Write a fine-tuning set.")
@click.argument("scale")
@click.option("--texts", required=True, type=click.Path(), help="Table of item,text[,text_pair].")
@click.option("--target", type=click.Choice(TARGETS), default="gold", show_default=True)
@click.option("--format", "data_format", type=click.Choice(FORMATS), default="parquet")
@click.option("-o", "--output", required=True, help="Folder, or a file ending in .jsonl.")
@OVERWRITE
@JSON
def export_command(
    scale: str,
    texts: str,
    target: str,
    data_format: str,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Export the items of SCALE with their texts as a fine-tuning set."""
    if Path(output).suffix == ".jsonl":
        _vacant(output, overwrite=overwrite, inputs=[scale, texts])
    else:
        check_target(output, overwrite=overwrite, folder=True)
    examples = finetuning_set(read_scale(scale), read_table(texts), target=target)
    write_finetuning_set(examples, output, data_format=data_format, overwrite=overwrite)
    if as_json:
        terminal.show_json({"output": output, "n_examples": len(examples.rows), "target": target})
        return
    terminal.say(f"{len(examples.rows)} examples with {target} targets written to {output}")


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
    _vacant(output, truth, overwrite=overwrite, tables=[output, truth])
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


@cli.command("demo", short_help="Run the whole chain on simulated answers.")
@click.option("-o", "--output", default="irtkit-demo", show_default=True, help="Folder to fill.")
def demo_command(output: str) -> None:
    """Run the whole chain on embedded, simulated crowd answers and compare with what was planted.

    Takes a few seconds. Writes scales, logs, scores and a fine-tuning set.
    """
    run_demo(Path(output))


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
