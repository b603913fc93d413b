"""Commands about comparisons: pairs, bradley-terry."""

from __future__ import annotations

import click
import pandas as pd

from irtkit import terminal
from irtkit.bridge.pairwise import (
    DESIGNS,
    BradleyTerry,
    Comparisons,
    agreement,
    bradley_terry,
    soft_pairs,
)
from irtkit.bridge.pairwise.agreement import ALIGNMENTS
from irtkit.bridge.pairwise.bradley_terry import POSITIONS
from irtkit.bridge.pairwise.errors_of_strengths import VARIANTS
from irtkit.cli.group import cli, vacant
from irtkit.errors import ResponseError, listing
from irtkit.io import read_table, write_table
from irtkit.options import JSON, OVERWRITE

GAMMA = click.FloatRange(0)


@cli.command("pairs", short_help="Choose pairs of scored items, with soft targets.")
@click.argument("scores", type=click.Path())
@click.option(
    "--pairs",
    "n_pairs",
    type=click.IntRange(1),
    help="Comparisons (default: four an item, or all pairs if those are fewer).",
)
@click.option("--design", type=click.Choice(DESIGNS), default="balanced", show_default=True)
@click.option(
    "--gamma",
    type=GAMMA,
    default=1.0,
    show_default=True,
    help="Softness of the targets, in the unit of the scores; 0 makes them 0 and 1.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="Write the pairs (CSV or Parquet)."
)
@OVERWRITE
@JSON
def pairs_command(
    scores: str,
    n_pairs: int | None,
    design: str,
    gamma: float,
    seed: int,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Choose pairs among the items of SCORES (item,score) and give each its soft target.

    The target is the probability that item_1 stands above item_2.
    """
    vacant(output, overwrite=overwrite, inputs=[scores], tables=[output])
    made = soft_pairs(_scores(scores), n_pairs, design=design, gamma=gamma, seed=seed)
    table = made.table()
    write_table(table, output)
    if as_json:
        terminal.show_json(
            {"output": output, "n_items": len(made.items), "n_pairs": len(table), "gamma": gamma}
        )
        return
    terminal.say(f"{len(table):,} pairs of {len(made.items):,} items written to {output}")


@cli.command("bradley-terry", short_help="Strengths of items from comparisons.")
@click.argument("comparisons", type=click.Path())
@click.option(
    "--gamma",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Gamma of the soft targets: strengths are then in the unit of the scores.",
)
@click.option(
    "--position",
    type=click.Choice(POSITIONS),
    default="none",
    show_default=True,
    help="Correct for a pull of the first position: by the mean, or jointly with the strengths.",
)
@click.option(
    "--ridge",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Precision of a normal prior on the strengths; makes those of certain winners finite.",
)
@click.option(
    "--standard-errors",
    type=click.Choice([*VARIANTS, "none"]),
    default="sandwich",
    show_default=True,
)
@click.option("--known", type=click.Path(), help="Table of item,score: known strengths, kept.")
@click.option("--truth", type=click.Path(), help="Table of item,score to compare with.")
@click.option("--align", type=click.Choice(ALIGNMENTS), default="shift", show_default=True)
@click.option("-o", "--output", type=click.Path(), help="Write the strengths (CSV or Parquet).")
@OVERWRITE
@JSON
def bradley_terry_command(
    comparisons: str,
    gamma: float,
    position: str,
    ridge: float,
    standard_errors: str,
    known: str | None,
    truth: str | None,
    align: str,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Estimate strengths from COMPARISONS: item_1,item_2,probability, or winner,loser.

    Columns weight and cluster are used where there are any.
    """
    vacant(output, overwrite=overwrite, inputs=[comparisons, known, truth], tables=[output])
    errors = None if standard_errors == "none" else standard_errors
    method = BradleyTerry(gamma, position, ridge, errors)
    given = Comparisons.from_frame(read_table(comparisons))
    anchors = None if known is None else _scores(known)
    found = bradley_terry(given, method=method, anchors=anchors)
    table = found.table()
    compared = None
    if truth is not None:
        estimates = table[["strength"]].rename(columns={"strength": "strengths"})
        compared = agreement(estimates, _scores(truth), align=align)
    if output is not None:
        write_table(table, output)
    if as_json:
        terminal.show_json(
            {
                "strengths": terminal.records(table),
                "position": found.position,
                "position_error": found.position_error,
                "log_likelihood": found.log_likelihood,
                "agreement": None if compared is None else terminal.records(compared),
            }
        )
        return
    terminal.show_table(table, f"Strengths from {len(given.first):,} comparisons")
    if position != "none":
        terminal.say(f"Pull of the first position: {found.position:.4g} logits")
    if compared is not None:
        terminal.show_table(compared, f"Agreement with {truth}")


def _scores(path: str) -> pd.Series:
    """Read the score of each item from a table."""
    table = read_table(path)
    lacking = [name for name in ("item", "score") if name not in table.columns]
    if lacking:
        raise ResponseError(
            f"{path} has no column {listing(lacking)}; it should hold item and score."
        )
    return table.set_index("item")["score"]
