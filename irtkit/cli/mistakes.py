"""The command about recorded mistakes: what was mistaken when, and fine-tuning sets of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.bridge.data_maps import data_map, read_data_map
from irtkit.bridge.examples import labelled_set
from irtkit.bridge.finetuning_files import write_finetuning_set
from irtkit.bridge.mistakes import MistakeRecord, epoch_summary, mistake_counts, mistaken_set
from irtkit.bridge.recorder import categories_of
from irtkit.cli.group import cli, vacant
from irtkit.io import read_table, write_table
from irtkit.io.files import check_target
from irtkit.options import JSON, OVERWRITE

LABELS = click.option(
    "--labels", metavar="A,B,...", help="The labels of --texts, in the order of the logits."
)


@cli.command("mistakes", short_help="Choose training examples that a model mistook.")
@click.argument("record", type=click.Path())
@click.option(
    "--choose",
    "expression",
    metavar="EXPRESSION",
    help="Epochs with & (and), | (or), ~ (not) and brackets, e.g. 'e1 & e2 & ~e3'.",
)
@click.option(
    "--texts",
    type=click.Path(),
    help="Table of item,text[,text_pair],label and, for counts, category.",
)
@LABELS
@click.option("--map", "map_path", help="Write confidence, variability, ... (CSV or Parquet).")
@click.option("-o", "--output", help="Write the chosen examples: a folder, or a .jsonl file.")
@OVERWRITE
@JSON
def mistakes_command(
    record: str,
    expression: str | None,
    texts: str | None,
    labels: str | None,
    map_path: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read what a model made of its training examples after each epoch, from the folder RECORD.

    RECORD holds dynamics_epoch_0.jsonl and so on, as irtkit and Dataset Cartography write them.
    e1 is the first epoch: an example belongs to it if it was mistaken then.
    """
    if output is not None and (expression is None or texts is None):
        raise click.UsageError("--output needs --choose and --texts.")
    if (texts is None) != (labels is None):
        raise click.UsageError("--texts and --labels go together.")
    _check_outputs(output, map_path, texts, overwrite)
    names = tuple(label.strip() for label in (labels or "").split(",") if label.strip())
    found = read_data_map(record, label_set=names)
    examples = None
    if texts is not None:
        table = read_table(texts)
        examples = labelled_set(Path(record).name, table, names)
        found = _with_categories(found, table)
    counts = None if expression is None else mistake_counts(found, expression)
    if examples is not None and expression is not None and output is not None:
        chosen = mistaken_set(examples, found, expression)
        write_finetuning_set(chosen, output, overwrite=overwrite)
    if map_path is not None:
        write_table(data_map(found), map_path)
    _show(found, expression, counts, output, as_json)


def _check_outputs(
    output: str | None, map_path: str | None, texts: str | None, overwrite: bool
) -> None:
    """Refuse, before any work, outputs that exist or cannot be written."""
    if output is not None and Path(output).suffix != ".jsonl":
        check_target(output, overwrite=overwrite, folder=True)
        vacant(map_path, overwrite=overwrite, inputs=[texts], tables=[map_path])
    else:
        vacant(output, map_path, overwrite=overwrite, inputs=[texts], tables=[map_path])


def _with_categories(record: MistakeRecord, texts: pd.DataFrame) -> MistakeRecord:
    """Add the categories, if the texts have any."""
    if "category" not in texts:
        return record
    known = texts.dropna(subset=["category"])
    named = dict(zip(known["item"].astype(str), known["category"].astype(str), strict=True))
    return replace(record, categories=categories_of(record.items, named))


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
