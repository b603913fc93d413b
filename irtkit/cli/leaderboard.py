"""Commands about many models: a leaderboard from their logs, and comparisons two by two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import click
import pandas as pd

from irtkit import terminal
from irtkit.bridge.logs import LogOptions, read_logs
from irtkit.bridge.ranking.field import screen_field
from irtkit.bridge.ranking.leaderboard import graded_answers, leaderboard
from irtkit.bridge.ranking.paired import paired_comparison
from irtkit.cli.group import cli, vacant
from irtkit.cli.log_options import with_log_options
from irtkit.cli.outputs import keep_partial
from irtkit.errors import NotConverged, NothingKept
from irtkit.io import read_decisions, read_key, read_scale, write_scale, write_table
from irtkit.io.files import write_atomically
from irtkit.models import MODELS
from irtkit.options import JSON, OVERWRITE, with_options
from irtkit.report.leaderboard_page import leaderboard_page
from irtkit.responses import Responses
from irtkit.scale import EvaluationScale, build_scale, scale_score
from irtkit.screening import PRESETS, Screening, preset

ON_SCREEN = [
    *("rank", "rank_low", "rank_high", "theta", "standard_error", "percentile"),
    *("accuracy", "n_answered", "lz", "at_ceiling", "at_floor"),
]
PAIRS_ON_SCREEN = [
    *("difference", "difference_low", "difference_high", "p_adjusted"),
    *("accuracy_difference", "accuracy_low", "accuracy_high", "accuracy_p_adjusted"),
]
COMPARISON_OPTIONS = [
    click.option("--clusters", type=click.Path(), help="Table of item,cluster, e.g. passages."),
    click.option(
        "--item-draws",
        type=click.IntRange(0),
        default=100,
        show_default=True,
        help="Draw the item parameters so often: errors include their uncertainty.",
    ),
    click.option("--seed", type=click.IntRange(0), default=1, show_default=True),
]
CALIBRATING = ("--preset", "--model", "--decisions", "--scale-out", "--log")


@cli.command("leaderboard", short_help="Rank models by their logs, on a page.")
@click.argument("logs", nargs=-1, required=True, type=click.Path())
@with_log_options
@click.option("--scale", "scale_path", type=click.Path(), help="Use this scale's items as known.")
@click.option("--preset", "rules", type=click.Choice(sorted(PRESETS)), help="[leaderboard]")
@click.option("--model", type=click.Choice(sorted(MODELS)), help="[2pl]")
@click.option("--decisions", type=click.Path(), help="CSV of item,decision,reason.")
@click.option("--scale-out", help="Write the scale made of the models (JSON).")
@click.option("--log", help="Write the screening log (CSV).")
@click.option("-o", "--output", type=click.Path(), required=True, help="Page to write (HTML).")
@click.option("--table", help="Write the table of models (CSV or Parquet).")
@click.option("--pairs", help="Write the comparisons (CSV or Parquet).")
@click.option(
    "--compared",
    type=click.IntRange(2, 500),
    default=10,
    show_default=True,
    help="Compare the first so many models two by two.",
)
@click.option("--name", help="What is measured (default: the output's name).")
@with_options(COMPARISON_OPTIONS)
@OVERWRITE
@JSON
def leaderboard_command(
    logs: Sequence[str],
    log_options: LogOptions,
    scale_path: str | None,
    rules: str | None,
    model: str | None,
    decisions: str | None,
    scale_out: str | None,
    log: str | None,
    output: str,
    table: str | None,
    pairs: str | None,
    compared: int,
    name: str | None,
    clusters: str | None,
    item_draws: int,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Rank the models that wrote LOGS, and write a page of what they can and cannot show.

    The items are calibrated and screened by these models, in the unit of their field, unless a
    --scale is given. Formats are those that `irtkit read` takes.
    """
    vacant(
        *(output, table, pairs, scale_out, log),
        overwrite=overwrite,
        inputs=[*logs, scale_path, decisions, clusters],
        tables=[table, pairs, log],
    )
    chosen = (rules, model, decisions, scale_out, log)
    if scale_path is not None and any(chosen):
        words = [word for word, value in zip(CALIBRATING, chosen, strict=True) if value]
        raise click.UsageError(f"With --scale nothing is calibrated; leave out {words[0]}.")
    known = None if scale_path is None else read_scale(scale_path)
    groups = None if clusters is None else read_key(clusters)
    name = name or Path(output).stem
    responses = _read(logs, log_options)
    notes = list(responses.notes)
    if known is None:
        try:
            result = _screened(responses, model or "2pl", rules or "leaderboard", decisions, log)
        except NotConverged as error:
            keep_partial(error, output if scale_out is None else scale_out)
            raise
        scale = build_scale(result, name=name)
        notes += result.calibration.notes
    else:
        scale = known
        notes += scale_score(responses, scale).notes
    standings = leaderboard(responses, scale, item_draws=item_draws, clusters=groups, seed=seed)
    first = [str(model_name) for model_name in standings.index[:compared]]
    versus = _compared(responses, scale, list(combinations(first, 2)), groups, item_draws, seed)
    content = leaderboard_page(name, standings, versus, scale, notes=notes)
    write_atomically(output, content.encode("utf-8"))
    _write_tables({table: standings, pairs: versus})
    if known is None:
        _write_screening(result, scale, scale_out, log)
    terminal.tell_notes(notes)
    _show(standings, versus, scale, output, as_json)


@cli.command("compare", short_help="Compare models two by two.")
@click.argument("scale", type=click.Path())
@click.argument("logs", nargs=-1, required=True, type=click.Path())
@with_log_options
@click.option(
    "--models", nargs=2, multiple=True, metavar="FIRST SECOND", help="Repeat for more; else all."
)
@with_options(COMPARISON_OPTIONS)
@click.option("-o", "--output", type=click.Path(), help="Write the comparisons (CSV or Parquet).")
@OVERWRITE
@JSON
def compare_command(
    scale: str,
    logs: Sequence[str],
    log_options: LogOptions,
    models: Sequence[tuple[str, str]],
    clusters: str | None,
    item_draws: int,
    seed: int,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Compare models two by two on SCALE, by ability and by accuracy, from their LOGS."""
    vacant(output, overwrite=overwrite, inputs=[scale, *logs, clusters], tables=[output])
    known = read_scale(scale)
    groups = None if clusters is None else read_key(clusters)
    responses = _read(logs, log_options)
    notes = [*responses.notes, *scale_score(responses, known).notes]
    versus = _compared(responses, known, list(models) or None, groups, item_draws, seed)
    _write_tables({output: versus})
    terminal.tell_notes(notes)
    if as_json:
        pairs = terminal.records(versus)
        terminal.show_json({"scale": known.name, "pairs": pairs, "notes": notes})
        return
    title = f"Differences on '{known.name}', first less second (p by Holm)"
    terminal.show_table(versus[PAIRS_ON_SCREEN], title)


def _read(logs: Sequence[str], log_options: LogOptions) -> Responses:
    with terminal.progress_line("reading") as tell:
        return read_logs(
            logs,
            options=log_options,
            progress=lambda done, total: tell(f"{done} of {total} logs", done / total),
        )


def _screened(
    responses: Responses, model: str, rules: str, decisions: str | None, log: str | None
) -> Screening:
    """Screen; where nothing is left, the log is written all the same."""
    decided = read_decisions(decisions) if decisions else []
    try:
        with terminal.progress_line("calibrating") as tell:
            return screen_field(
                responses, MODELS[model], preset(rules), decisions=decided, progress=tell
            )
    except NothingKept as error:
        if log is not None and error.log is not None:
            write_table(error.log.set_index("step"), log)
            terminal.tell_notes([f"What was dropped, and why, is in {log}."])
        raise


def _compared(
    responses: Responses,
    scale: EvaluationScale,
    pairs: Sequence[tuple[str, str]] | None,
    clusters: Mapping[str, str] | None,
    item_draws: int,
    seed: int,
) -> pd.DataFrame:
    if pairs is not None and not pairs:
        return pd.DataFrame()
    return paired_comparison(
        graded_answers(responses, scale),
        scale.calibration,
        pairs=pairs,
        clusters=clusters,
        item_draws=item_draws,
        seed=seed,
    )


def _write_tables(tables: Mapping[str | None, pd.DataFrame]) -> None:
    for path, frame in tables.items():
        if path is not None:
            write_table(frame, path)


def _write_screening(
    result: Screening, scale: EvaluationScale, scale_out: str | None, log: str | None
) -> None:
    if scale_out is not None:
        write_scale(scale, scale_out)
    if log is not None:
        write_table(result.log.set_index("step"), log)


def _show(
    standings: pd.DataFrame,
    versus: pd.DataFrame,
    scale: EvaluationScale,
    output: str,
    as_json: bool,
) -> None:
    rows = scale.provenance.dropped
    dropped = [{"item": item, "rule": rule, "reason": reason} for item, rule, reason in rows]
    if as_json:
        terminal.show_json(
            {
                "output": output,
                "n_items": len(scale.items),
                "models": terminal.records(standings),
                "pairs": terminal.records(versus),
                "dropped": dropped,
            }
        )
        return
    terminal.show_table(standings[ON_SCREEN], f"Models on '{scale.name}'")
    numbers = Counter(rule for _, rule, _ in rows)
    words = ", ".join(f"{n:,} {rule}" for rule, n in numbers.items()) or "none"
    offered = scale.provenance.n_items_offered
    terminal.say(f"kept {len(scale.items):,} of {offered:,} items; dropped: {words}")
    if len(versus):
        differ = int((versus["p_adjusted"] < 0.05).sum())
        terminal.say(
            f"{differ} of {len(versus)} pairs of the first models differ in ability (Holm)"
        )
    terminal.say(f"page written to {output}")
