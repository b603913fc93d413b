"""The command about recorded mistakes: what was mistaken when, and fine-tuning sets of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.bridge.finetuning.files import write_finetuning_set
from irtkit.bridge.finetuning.reading import read_finetuning_set
from irtkit.bridge.mistakes.data_maps import data_map, read_data_map
from irtkit.bridge.mistakes.record import (
    MistakeRecord,
    epoch_summary,
    mistake_counts,
    mistaken_set,
    places_of,
)
from irtkit.bridge.mistakes.recorder import categories_of
from irtkit.cli.group import cli, vacant, vacant_folder
from irtkit.errors import ResponseError, listing
from irtkit.io import read_table, write_table
from irtkit.options import JSON, OVERWRITE


@cli.command("mistakes", short_help="Choose training examples that a model mistook.")
@click.argument("record", type=click.Path())
@click.option(
    "--choose",
    "expression",
    metavar="EXPRESSION",
    help="Epochs with & (and), | (or), ~ (not) and brackets, e.g. 'e1 & e2 & ~e3'.",
)
@click.option("--set", "examples_path", type=click.Path(), help="The set that was trained on.")
@click.option("--labels", metavar="A,B,...", help="Labels, where the set does not name them.")
@click.option("--categories", type=click.Path(), help="Table of item,category, for the counts.")
@click.option("--map", "map_path", help="Write confidence, variability, ... (CSV or Parquet).")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="Write the chosen examples: a folder, or a .jsonl file.",
)
@OVERWRITE
@JSON
def mistakes_command(
    record: str,
    expression: str | None,
    examples_path: str | None,
    labels: str | None,
    categories: str | None,
    map_path: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read what a model made of its training examples after each epoch, from the folder RECORD.

    RECORD holds dynamics_epoch_0.jsonl and so on, as irtkit and Dataset Cartography write them.
    e1 is the first epoch: an example belongs to it if it was mistaken then.
    """
    if output is not None and (expression is None or examples_path is None):
        raise click.UsageError("--output needs --choose and --set.")
    _check_outputs(output, map_path, [examples_path, categories], overwrite)
    names = tuple(label.strip() for label in labels.split(",")) if labels else None
    examples = None
    if examples_path is not None:
        examples = read_finetuning_set(examples_path, labels=names)
        names = examples.label_set
    found = read_data_map(record, label_set=names or ())
    if categories is not None:
        found = replace(found, categories=_categories(categories, found))
    if examples is not None:
        places_of(examples, found)
    counts = None if expression is None else mistake_counts(found, expression)
    if examples is not None and expression is not None and output is not None:
        chosen = mistaken_set(examples, found, expression)
        write_finetuning_set(chosen, output, overwrite=overwrite)
    if map_path is not None:
        write_table(data_map(found), map_path)
    _show(found, expression, counts, output, as_json)


def _check_outputs(
    output: str | None, map_path: str | None, inputs: Sequence[str | None], overwrite: bool
) -> None:
    """Refuse, before any work, outputs that exist or cannot be written."""
    files = [output, map_path]
    if output is not None and Path(output).suffix != ".jsonl":
        vacant_folder(output, overwrite=overwrite)
        files = [map_path]
    vacant(*files, overwrite=overwrite, inputs=inputs, tables=[map_path])


def _categories(path: str, record: MistakeRecord) -> tuple[str, ...]:
    """Read the category of each example of a record."""
    table = read_table(path)
    lacking = [name for name in ("item", "category") if name not in table]
    if lacking:
        raise ResponseError(
            f"{path} has no column {listing(lacking)}; it should hold item and category."
        )
    known = table.dropna(subset=["category"])
    named = dict(zip(known["item"].astype(str), known["category"].astype(str), strict=True))
    return categories_of(record.items, named)


def _show(
    record: MistakeRecord,
    expression: str | None,
    counts: pd.DataFrame | None,
    output: str | None,
    as_json: bool,
) -> None:
    summary = epoch_summary(record)
    n_chosen = None if counts is None else int(counts["n_chosen"].sum())
    if as_json:
        document = {
            "n_examples": len(record.items),
            "epochs": terminal.records(summary),
            "expression": expression,
            "n_chosen": n_chosen,
            "counts": [] if counts is None else terminal.records(counts),
            "output": output,
        }
        terminal.show_json(document)
        return
    terminal.show_table(summary, f"Mistakes among {len(record.items):,} examples")
    if counts is not None:
        terminal.show_table(counts, f"Chosen by {expression}")
        where = "" if output is None else f", written to {output}"
        terminal.say(f"{n_chosen:,} of {len(record.items):,} examples{where}")
