"""The command about pictures: ``irtkit plot KIND FILE -o picture.png``.

Each kind reads what other commands wrote, a calibration, a scale or a table, and draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click
import pandas as pd

from irtkit import plots, terminal
from irtkit.cli.group import cli, vacant
from irtkit.errors import ResponseError, listing
from irtkit.estimation import Calibration
from irtkit.estimation.bayes import read_posterior
from irtkit.io import read_calibration, read_scale, read_table
from irtkit.io.documents import read_json
from irtkit.io.results import typed
from irtkit.options import OVERWRITE
from irtkit.plots.course import PATHS
from irtkit.plots.pairs import WORDS
from irtkit.plots.pictures import picture_kind
from irtkit.plots.style import rows_of
from irtkit.scale import SCHEMA
from irtkit.scoring import test_information

Command = Callable[..., None]
ITEM = click.option("--item", "items", multiple=True, help="Only this item; may be repeated.")


HELP = """Draw what other commands wrote: a calibration, a scale or a table.

\b
  irtkit plot curves calibration.json --observed tables/item_curves.csv -o curves.png
  irtkit plot wright calibration.json -o map.svg
  irtkit plot percentiles scale.json --scores scores.csv -o norms.pdf
  irtkit plot dependence tables/local_dependence.csv -o pairs.png
"""


@cli.group("plot", help=HELP, short_help="Draw a calibration, a scale or a table as a picture.")
def plot_group() -> None:
    """Hold the kinds of pictures; each is a function below."""


def drawing(name: str, source: str, help_text: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function that returns axes a kind of picture, with the options all share."""

    def register(draw: Callable[..., Any]) -> Command:
        @wraps(draw)
        def command(path: str, output: str, overwrite: bool, dots: int, **given: Any) -> None:
            picture_kind(output)
            others = [value for value in given.values() if isinstance(value, str)]
            vacant(output, overwrite=overwrite, inputs=[path, *others])
            plots.write_picture(draw(path, **given), output, dots=dots)
            terminal.say(f"{output} written")

        for option in (
            click.option(
                "--dots",
                type=click.IntRange(30, 1200),
                default=150,
                show_default=True,
                help="Of a PNG, an inch.",
            ),
            OVERWRITE,
            click.option(
                "-o",
                "--output",
                type=click.Path(),
                required=True,
                help="Picture: .png, .svg or .pdf.",
            ),
            click.argument("path", metavar=source, type=click.Path()),
        ):
            command = option(command)
        return plot_group.command(name, short_help=help_text, help=draw.__doc__)(command)

    return register


def _calibration(path: str) -> Calibration:
    """Read a calibration, or that of a scale."""
    if read_json(path).get("schema") == SCHEMA:
        return read_scale(path).calibration
    return read_calibration(path)


def _table(path: str, index: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that a command wrote: numbers as numbers, with its index."""
    found = read_table(path)
    lacking = [name for name in index if name not in found.columns]
    if lacking:
        raise ResponseError(
            f"{path} has no column {listing(lacking)}; its columns are "
            f"{listing(found.columns, 12)}. Is it the table that this picture needs?"
        )
    table = typed(found)
    return table.set_index(list(index)) if index else table


@drawing("curves", "CALIBRATION|SCALE", "Item curves.")
@click.option("--observed", type=click.Path(), help="item_curves.csv of diagnose --curves.")
@ITEM
def curves_command(path: str, observed: str | None, items: Sequence[str]) -> Any:
    """Draw the curves of the items, at most 24, with what was observed."""
    known = _calibration(path)
    table = None if observed is None else _table(observed)
    calibrated = [item for item, there in zip(known.items, known.calibrated, strict=True) if there]
    chosen = list(items) or calibrated
    if len(chosen) == 1:
        return plots.item_curve(known, chosen[0], observed=table)
    return plots.facets(
        lambda item, ax: plots.item_curve(known, item, observed=table, ax=ax), chosen
    )


@drawing("information", "CALIBRATION|SCALE", "Test information and standard error.")
def information_command(path: str) -> Any:
    """Draw test information and standard error along ability."""
    return plots.information(test_information(_calibration(path)))


@drawing("wright", "CALIBRATION|SCALE", "Persons and items on one scale.")
@click.option("--scores", type=click.Path(), help="Table with a column theta, one row a person.")
def wright_command(path: str, scores: str | None) -> Any:
    """Draw the Wright map: items beside the population or, with --scores, beside persons."""
    theta = None
    if scores is not None:
        theta = rows_of(_table(scores), ["theta"], "score")["theta"]
    return plots.wright_map(_calibration(path), theta)


@drawing("percentiles", "SCALE", "Norms of a scale, and models on them.")
@click.option("--scores", type=click.Path(), help="What the command score wrote; at most 8 rows.")
def percentiles_command(path: str, scores: str | None) -> Any:
    """Draw the norms of a scale and where models stand on them."""
    table = None if scores is None else _table(scores, ["person"])
    return plots.percentile_curve(read_scale(path), table)


@drawing("labels", "SCALE", "Shares of the labels of each item.")
@ITEM
def labels_command(path: str, items: Sequence[str]) -> Any:
    """Draw the share of each label in the crowd's answers to each item."""
    scale = read_scale(path)
    table = scale.label_distribution()
    unknown = [item for item in items if item not in table.index]
    if unknown:
        raise ResponseError(f"The scale has no item {listing(unknown)}.")
    key = scale.calibration.key
    gold = None if key is None else dict(zip(scale.items, key, strict=True))
    return plots.label_bars(table.loc[list(items)] if items else table, gold=gold)


@drawing("convergence", "CALIBRATION|SCALE", "Log-likelihood along the EM cycles.")
def convergence_command(path: str) -> Any:
    """Draw the log-likelihood along the cycles of the estimation."""
    return plots.convergence(_calibration(path))


@drawing("dependence", "TABLE", "Local dependence: all pairs, or the strongest.")
@click.option(
    "--statistic", type=click.Choice(list(WORDS)), default="q3_adjusted", show_default=True
)
@click.option("--top", type=click.IntRange(1), help="Draw so many pairs as a graph (at most 30).")
def dependence_command(path: str, statistic: str, top: int | None) -> Any:
    """Draw local_dependence.csv, which diagnose writes, as a heat map or as a graph."""
    table = _table(path, ["item_1", "item_2"])
    if top is None:
        return plots.dependence_map(table, statistic=statistic)
    return plots.dependence_graph(table, statistic=statistic, n_top=top)


@drawing("eigenvalues", "TABLE", "Eigenvalues and parallel analysis.")
def eigenvalues_command(path: str) -> Any:
    """Draw dimensionality.csv, which diagnose --dimensions writes."""
    table = _table(path)
    if "component" in table:
        table = table.set_index("component")
    return plots.eigenvalues(table)


@drawing("screening", "LOG", "What was dropped, in which order.")
@click.option(
    "--path", "column", type=click.Choice(list(PATHS)), default="items_after", show_default=True
)
def screening_command(path: str, column: str) -> Any:
    """Draw the log that the command screen writes with --log."""
    return plots.screening_path(_table(path), column=column)


@drawing("leaderboard", "TABLE", "Abilities with intervals, the ablest first.")
def leaderboard_command(path: str) -> Any:
    """Draw a table of models or persons with theta, theta_low and theta_high."""
    found = read_table(path)
    index = next((name for name in ("model", "person") if name in found.columns), "person")
    return plots.leaderboard(_table(path, [index]))


@drawing("trace", "POSTERIOR", "Chains of one parameter.")
@click.option("--parameter", default="discrimination", show_default=True)
@ITEM
def trace_command(path: str, parameter: str, items: Sequence[str]) -> Any:
    """Draw the chains of a parameter, for at most 24 items or for the population."""
    known = read_posterior(path)
    if parameter in known.hyperparameters:
        return plots.trace(known, parameter)
    sampled = [known.items[place] for place in known.places]
    return plots.facets(
        lambda item, ax: plots.trace(known, parameter, item, ax=ax), list(items) or sampled
    )


@drawing("forest", "POSTERIOR", "Posterior intervals of a parameter.")
@click.option("--parameter", default="discrimination", show_default=True)
@ITEM
def forest_command(path: str, parameter: str, items: Sequence[str]) -> Any:
    """Draw the posterior median and 95% interval of a parameter of each item."""
    table = read_posterior(path).table()
    if items:
        unknown = sorted(set(items) - set(table.index.get_level_values("item")))
        if unknown:
            raise ResponseError(f"The posterior has no item {listing(unknown)}.")
        table = table.loc[(slice(None), list(items)), :]
    return plots.forest(table, parameter)


@drawing("fine-tuning", "TABLE", "Percentile against training size.")
@click.option("--scale", help="Only this scale; by default a panel each.")
def finetuning_command(path: str, scale: str | None) -> Any:
    """Draw percentiles against the number of training examples, a panel for each scale."""
    table = _table(path)
    scales = list(dict.fromkeys(table["scale"])) if "scale" in table else []
    if scale is not None or len(scales) < 2:
        return plots.finetuning_curve(table, scale=scale)
    return plots.facets(
        lambda name, ax: plots.finetuning_curve(table, scale=name, ax=ax),
        [str(name) for name in scales],
        n_columns=2,
    )
