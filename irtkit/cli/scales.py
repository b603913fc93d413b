"""Commands about scales: score, export, demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.bridge.finetuning import FORMATS, TARGETS, finetuning_set, write_finetuning_set
from irtkit.bridge.predictions import read_predictions
from irtkit.cli.group import cli, vacant
from irtkit.coding import Coding
from irtkit.demo import run_demo
from irtkit.errors import ResponseError
from irtkit.io import (
    TextFormat,
    read_scale,
    read_table,
    write_table,
)
from irtkit.io.files import check_target
from irtkit.options import (
    JSON,
    LABEL_OPTIONS,
    OVERWRITE,
    TEXT_OPTIONS,
    pairs,
    with_options,
)
from irtkit.scale import scale_score


@cli.command("score", short_help="Place models on a scale.")
@click.argument("scale")
@click.argument("predictions", nargs=-1, required=True)
@with_options([*LABEL_OPTIONS, *TEXT_OPTIONS])
@click.option(
    "--item-draws",
    type=click.IntRange(0),
    default=0,
    help="Draw the item parameters so often: intervals then include their uncertainty.",
)
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
    item_draws: int,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Place models on SCALE by their PREDICTIONS (CSV or JSONL, one file a model).

    A file holds item and label, or item and correct (0/1), or item and one probability a label;
    a column model tells several models in one file apart.
    """
    vacant(output, overwrite=overwrite, inputs=[scale, *predictions], tables=[output])
    known = read_scale(scale)
    coding = Coding(label_map=pairs("--label-map", label_map), normalise_labels=normalise_labels)
    text = TextFormat(sep, decimal, encoding)
    tables, notes = [], []
    for path in predictions:
        made = read_predictions(path, coding=coding, text=text)
        result = scale_score(made, known, item_draws=item_draws)
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
        vacant(output, overwrite=overwrite, inputs=[scale, texts])
    else:
        check_target(output, overwrite=overwrite, folder=True)
    examples = finetuning_set(read_scale(scale), read_table(texts), target=target)
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
    run_demo(Path(output))
