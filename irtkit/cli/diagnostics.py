"""The command about fit: items, pairs, persons, the whole model, groups and dimensions."""

from __future__ import annotations

from collections.abc import Callable

import click
import pandas as pd

from irtkit import terminal
from irtkit.cli.group import cli, vacant_folder
from irtkit.diagnostics.ability_groups import item_curves
from irtkit.diagnostics.dependence_reference import q3_reference
from irtkit.diagnostics.dif import MODELLED, OBSERVED, dif
from irtkit.diagnostics.dimensionality import dimensionality
from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.local_dependence import MOST_ITEMS, dependence_search, local_dependence
from irtkit.diagnostics.model_fit import model_fit
from irtkit.diagnostics.multiplicity import ADJUSTMENTS
from irtkit.diagnostics.person_fit import person_fit
from irtkit.errors import ModelError
from irtkit.estimation import Calibration
from irtkit.io import read_calibration, read_groups, write_tables
from irtkit.options import JSON, OVERWRITE, Reading, about, with_answers
from irtkit.responses import Responses

SHOWN = {  # of the wide tables, what a screen has place for
    "model_fit": (
        "The whole model",
        ["statistic", "m2", "df", "p", "rmsea", "rmsea_low", "rmsea_high", "srmsr", "cfi", "tli"],
    ),
    "dimensionality": ("Eigenvalues", ["eigenvalue", "reference", "share", "retained"]),
    "q3_reference": ("The largest Q3", ["observed", "p", "critical_05", "n_draws"]),
    "dif": (
        "DIF",
        ["statistic", "df", "p", "p_adjusted", "effect_size", "effect_class", "anchor", "state"],
    ),
}


@cli.command("diagnose", short_help="Test the fit of items, pairs, persons and the model.")
@click.argument("answers", type=click.Path())
@click.argument("calibration", type=click.Path())
@with_answers
@click.option("--adjustment", type=click.Choice(ADJUSTMENTS), default="holm", show_default=True)
@click.option("--groups", type=click.Path(), help="CSV of person,group: also test items for DIF.")
@click.option(
    "--dif",
    "dif_method",
    type=click.Choice([*OBSERVED, *MODELLED]),
    default="mantel_haenszel",
    show_default=True,
    help="With --groups: how.",
)
@click.option("--dimensions", is_flag=True, help="Also eigenvalues with parallel analysis.")
@click.option("--curves", is_flag=True, help="Also expected against observed item curves.")
@click.option(
    "--q3-draws",
    type=click.IntRange(0),
    default=0,
    help="Also a bootstrap reference of the largest Q3 from so many draws.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="For what is drawn.")
@click.option("-o", "--output", type=click.Path(), required=True, help="Folder for the tables.")
@OVERWRITE
@JSON
def diagnose_command(
    answers: str,
    calibration: str,
    reading: Reading,
    adjustment: str,
    groups: str | None,
    dif_method: str,
    dimensions: bool,
    curves: bool,
    q3_draws: int,
    seed: int,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Test how well ANSWERS fit a CALIBRATION file.

    Writes items.csv (parameters), item_fit.csv (S-X2, infit, outfit), local_dependence.csv (Q3,
    LD-X2, LD-G2), model_fit.csv (M2 or C2), person_fit.csv (lz, infit, outfit), and what else was
    asked for. Of more than 3,000 items the most dependent pairs are listed, with histograms.
    """
    vacant_folder(output, overwrite=overwrite)
    known = read_calibration(calibration)
    responses = reading.read(answers)
    tables = {"items": known.table()}
    with about(answers), terminal.progress_line("diagnosing") as tell:

        def told(what: str) -> Callable[[int, int], None]:
            return lambda done, every: tell(f"{what} {done} of {every}", done / every)

        tell("item fit")
        tables["item_fit"] = item_fit(responses, known, adjustment=adjustment)
        tell("local dependence")
        tables |= _pairs(responses, known, adjustment)
        tell("model fit")
        tables |= _model(responses, known)
        tell("person fit")
        tables["person_fit"] = person_fit(responses, known)
        if curves:
            tables["item_curves"] = item_curves(responses, known)
        if groups is not None:
            tell("DIF")
            members = read_groups(groups, responses.persons)
            with about(groups):
                tables["dif"] = dif(responses, members, method=dif_method)
        if dimensions:
            tables["dimensionality"] = dimensionality(
                responses, seed=seed, progress=told("parallel analysis")
            )
        if q3_draws:
            tables["q3_reference"] = q3_reference(
                responses, known, n_draws=q3_draws, seed=seed, progress=told("Q3 reference")
            ).table()
    write_tables(tables, output, overwrite=overwrite)
    _show(tables, output, as_json)


def _pairs(
    responses: Responses, calibration: Calibration, adjustment: str
) -> dict[str, pd.DataFrame]:
    """The table of all pairs, or of the most dependent ones with histograms of all."""
    if responses.n_items <= MOST_ITEMS:
        table = local_dependence(responses, calibration, adjustment=adjustment)
        return {"local_dependence": table}
    found = dependence_search(responses, calibration, adjustment=adjustment)
    return {"local_dependence": found.top, "pair_histogram": found.histogram}


def _model(responses: Responses, calibration: Calibration) -> dict[str, pd.DataFrame]:
    """The fit of the whole model, or a note why there is none."""
    statistic = "m2" if (calibration.assignment.n_categories == 2).all() else "c2"
    try:
        return {"model_fit": model_fit(responses, calibration, statistic=statistic)}
    except ModelError as error:
        terminal.tell_notes([f"No model_fit.csv. {error}"])
        return {}


def _show(tables: dict[str, pd.DataFrame], output: str, as_json: bool) -> None:
    if as_json:
        terminal.show_json({name: terminal.records(table) for name, table in tables.items()})
        return
    terminal.show_table(tables["item_fit"], "Item fit")
    pairs = tables["local_dependence"]
    worst = pairs.sort_values("p", kind="stable").head(10)
    terminal.show_table(worst, "The ten most dependent pairs")
    for name, (title, columns) in SHOWN.items():
        if name in tables:
            terminal.show_table(tables[name][columns], title)
    terminal.say(f"written to {output}: {', '.join(f'{name}.csv' for name in tables)}")
