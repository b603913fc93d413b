"""The command that ranks pretrained encoders for a task."""

from __future__ import annotations

from collections.abc import Sequence

import click

from irtkit import terminal
from irtkit.bridge.encoders.ranking import CRITERIA, PretrainedEncoder, rank_encoders
from irtkit.bridge.finetuning.reading import read_finetuning_set
from irtkit.bridge.finetuning.selection import random_examples
from irtkit.cli.group import cli, vacant
from irtkit.io import write_table
from irtkit.options import JSON, OVERWRITE


@cli.command("encoders", short_help="Rank pretrained encoders for a task, without training.")
@click.argument("examples_path", metavar="SET", type=click.Path())
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="FOLDER|NAME",
    help="A pretrained model; give several.",
)
@click.option("--labels", metavar="A,B,...", help="Labels, where the set does not name them.")
@click.option("--by", type=click.Choice(CRITERIA), default=CRITERIA[0], show_default=True)
@click.option(
    "--neighbours", type=click.IntRange(1), default=5, show_default=True, help="How many vote."
)
@click.option(
    "--most",
    type=click.IntRange(2),
    default=2000,
    show_default=True,
    help="Use so many random examples at most.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--max-length", type=click.IntRange(4), default=128, show_default=True, help="In tokens."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps.")
@click.option("-o", "--output", type=click.Path(), help="Write the table (CSV or Parquet).")
@OVERWRITE
@JSON
def encoders_command(
    examples_path: str,
    models: Sequence[str],
    labels: str | None,
    by: str,
    neighbours: int,
    most: int,
    seed: int,
    max_length: int,
    device: str,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Rank pretrained encoders on SET: a fine-tuning set, or a table of item,text,label.

    Each encodes the texts once and is judged by LogME, H-score and nearest neighbours; nothing is
    trained.
    """
    if len(set(models)) < len(models):
        raise click.UsageError("--model names the same model twice.")
    vacant(output, overwrite=overwrite, inputs=[examples_path], tables=[output])
    names = tuple(label.strip() for label in labels.split(",")) if labels else None
    examples = read_finetuning_set(examples_path, labels=names)
    if len(examples.rows) > most:
        examples = random_examples(examples, most, seed=seed)
    candidates = {
        model: PretrainedEncoder(model, examples.label_set, max_length, device) for model in models
    }
    with terminal.progress_line("encoding") as tell:
        table = rank_encoders(
            examples,
            candidates,
            by=by,
            n_neighbours=neighbours,
            progress=lambda done, every: tell(f"{done} of {every} models", done / every),
        )
    if output is not None:
        write_table(table, output)
    if as_json:
        terminal.show_json(
            {"n_examples": len(examples.rows), "by": by, "encoders": terminal.records(table)}
        )
        return
    terminal.show_table(table, f"Encoders for {len(examples.rows):,} examples, ranked by {by}")
