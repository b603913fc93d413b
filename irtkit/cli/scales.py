"""Commands about scales: score, export, demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.bridge.finetuning.files import FORMATS, is_one_file, write_finetuning_set
from irtkit.bridge.finetuning.scale_sets import TARGETS, Soft, finetuning_set, items_of, snli_texts
from irtkit.bridge.finetuning.selection import (
    ORDERS,
    balanced_examples,
    first_examples,
    ordered_examples,
)
from irtkit.bridge.logs.options import LogOptions
from irtkit.bridge.predictions import predictions_of
from irtkit.cli.group import cli, vacant, vacant_folder
from irtkit.cli.log_options import with_log_options
from irtkit.cli.outputs import hold
from irtkit.coding import Coding
from irtkit.demo import run_demo
from irtkit.errors import ResponseError
from irtkit.io import (
    TextFormat,
    read_scale,
    read_table,
    write_table,
)
from irtkit.options import (
    JSON,
    LABEL_OPTIONS,
    OVERWRITE,
    TEXT_OPTIONS,
    about,
    pairs,
    with_options,
)
from irtkit.scale import scale_score


@cli.command("score", short_help="Place models on a scale.")
@click.argument("scale", type=click.Path())
@click.argument("predictions", nargs=-1, required=True, type=click.Path())
@with_options([*LABEL_OPTIONS, *TEXT_OPTIONS])
@with_log_options
@click.option(
    "--item-draws",
    type=click.IntRange(0),
    default=0,
    help="Draw the item parameters so often: intervals then include their uncertainty.",
)
@click.option("-o", "--output", type=click.Path(), help="Write the scores (CSV or Parquet).")
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
    log_options: LogOptions,
    item_draws: int,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Place models on SCALE by their PREDICTIONS: tables, evaluation logs or folders of logs.

    A table (CSV, Parquet, JSONL) holds item and label, or item and correct (0/1), or item and one
    probability a label; a column model tells several models in one file apart. A wide table has a
    row a model, its first column named model or person. Logs are those that `irtkit read` takes;
    the logs of one model count together.
    """
    vacant(output, overwrite=overwrite, inputs=[scale, *predictions], tables=[output])
    known = read_scale(scale)
    coding = Coding(label_map=pairs("--label-map", label_map), normalise_labels=normalise_labels)
    text = TextFormat(sep, decimal, encoding)
    made = predictions_of(predictions, coding=coding, text=text, options=log_options)
    tables, notes = [], []
    for source in made:
        with about(source.name):
            result = scale_score(source.responses, known, item_draws=item_draws)
        tables.append(result.table())
        notes += [f"{source.name}: {note}" for note in (*source.responses.notes, *result.notes)]
    table = pd.concat(tables)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise ResponseError(f"Two predictions are named '{twice}'. Name the models apart.")
    if output is not None:
        write_table(table, output)
    found = {source.name: source.found for source in made}
    terminal.tell_notes([*(f"{name}: {what}." for name, what in found.items()), *notes])
    if as_json:
        scores = terminal.records(table)
        terminal.show_json({"scale": known.name, "scores": scores, "notes": notes, "found": found})
        return
    shown = table.drop(columns=["percentile_empirical_se", "theta_low", "theta_high"])
    terminal.show_table(shown, f"Abilities on '{known.name}', {len(known.items)} items")
    if table["at_ceiling"].any() or table["at_floor"].any():
        terminal.say("At the ceiling (floor) all answers are right (wrong): read the interval.")


@cli.command("export", short_help="Write a fine-tuning set.")
@click.argument("scales", nargs=-1, required=True, metavar="SCALE...", type=click.Path())
@click.option("--texts", type=click.Path(), help="Table of item,text[,text_pair].")
@click.option(
    "--snli",
    multiple=True,
    type=click.Path(),
    help="JSONL file of SNLI, whose pair ids the items are, instead of --texts; repeatable.",
)
@click.option(
    "--held-out",
    multiple=True,
    type=click.Path(),
    help="Scale to measure on later: an item of it in the set is refused. Repeatable.",
)
@click.option("--target", type=click.Choice(TARGETS), default="gold", show_default=True)
@click.option(
    "--smoothing",
    type=click.FloatRange(0.0),
    default=1.0,
    show_default=True,
    help="Target soft: answers added to each label.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0.0, min_open=True),
    default=1.0,
    show_default=True,
    help="Target soft: above one flattens the shares.",
)
@click.option("--balanced", is_flag=True, help="As many examples of each gold label.")
@click.option("--by", type=click.Choice(ORDERS), help="Order the examples, smallest first.")
@click.option("--descending", is_flag=True, help="With --by: largest first.")
@click.option("--theta", type=float, default=0.0, help="With --by information: the ability.")
@click.option("--first", type=click.IntRange(1), help="Only so many, after the ordering.")
@click.option("--seed", type=int, default=0, help="Of the draws of --balanced.")
@click.option("--format", "data_format", type=click.Choice(FORMATS), default="parquet")
@click.option(
    "-o", "--output", required=True, help="Folder, or a file ending in .jsonl or .parquet."
)
@OVERWRITE
@JSON
def export_command(
    scales: Sequence[str],
    texts: str | None,
    snli: Sequence[str],
    held_out: Sequence[str],
    target: str,
    smoothing: float,
    temperature: float,
    balanced: bool,
    by: str | None,
    descending: bool,
    theta: float,
    first: int | None,
    seed: int,
    data_format: str,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Export the items of one SCALE, or several, with their texts as a fine-tuning set."""
    if (texts is None) == (not snli):
        raise click.UsageError("Say either --texts or --snli: where the texts of the items are.")
    if is_one_file(output):
        vacant(output, overwrite=overwrite, inputs=[*scales, texts, *snli, *held_out])
    else:
        vacant_folder(output, overwrite=overwrite)
    known, held = [read_scale(path) for path in scales], [read_scale(path) for path in held_out]
    examples = finetuning_set(
        known,
        snli_texts(snli, items_of([*known, *held])) if texts is None else read_table(texts),
        target=target,
        soft=Soft(smoothing, temperature),
        held_out=held,
    )
    if balanced:
        examples = balanced_examples(examples, seed=seed)
    if by is not None:
        examples = ordered_examples(examples, by, descending=descending, scales=known, theta=theta)
    if first is not None:
        examples = first_examples(examples, first)
    write_finetuning_set(examples, output, data_format=data_format, overwrite=overwrite)
    if as_json:
        terminal.show_json({"output": output, "n_examples": len(examples.rows), "target": target})
        return
    terminal.say(f"{len(examples.rows)} examples with {target} targets written to {output}")


@cli.command("demo", short_help="Run the whole chain on simulated answers.")
@click.option("-o", "--output", default="irtkit-demo", show_default=True, help="Folder to fill.")
def demo_command(output: str) -> None:
    """Run the whole chain on embedded, simulated crowd answers and compare with what was planted.

    Takes a few seconds. Writes scales, logs, scores and a fine-tuning set.
    """
    hold(output)
    run_demo(Path(output))
