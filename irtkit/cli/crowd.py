"""The command about crowd labels: one label and one distribution for each item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import click

from irtkit import terminal
from irtkit.bridge.crowd.aggregation import Method, SoftMean, Vote, aggregate
from irtkit.bridge.crowd.agreement import LEVELS, crowd_agreement
from irtkit.bridge.crowd.irt_votes import AbilityVote
from irtkit.bridge.crowd.labels import CrowdLabels, hash_workers
from irtkit.bridge.crowd.rows import REPEATS
from irtkit.bridge.crowd.worker_models import DawidSkene, OneCoin
from irtkit.bridge.crowd.workers import worker_table
from irtkit.bridge.crowd_files import FORMS, CrowdLayout, Cuts, read_crowd
from irtkit.cli.group import cli, vacant
from irtkit.coding import Coding
from irtkit.errors import ResponseError
from irtkit.io import TextFormat, write_table
from irtkit.options import (
    JSON,
    LABEL_OPTIONS,
    OVERWRITE,
    TEXT_OPTIONS,
    Command,
    pairs,
    with_options,
)

METHODS = ("majority", "dawid-skene", "one-coin", "irt", "mean")
PLACES = [
    click.option(
        "--form", type=click.Choice(list(FORMS)), help="Form of the files, if not found."
    ),
    click.option("--worker", help="Column of the workers."),
    click.option("--item", help="Column or field of the items; {n} stands for a number (MTurk)."),
    click.option(
        "--label", help="Column of the labels, or the question; {n} and {label} (MTurk)."
    ),
    click.option("--gold", help="Column or field of the gold labels."),
    click.option("--keep-rejected", is_flag=True, help="Keep answers that were rejected."),
    click.option("--cuts", metavar="33,67", help="Cut ratings into labels at these numbers."),
    click.option("--cut-labels", metavar="LOW,...,HIGH", help="With --cuts: names of the labels."),
]


def with_reading(command: Command) -> Command:
    """Add the options that say how files are read; the command gets layout, coding and text."""

    @wraps(command)
    def gather(**given: Any) -> None:
        take = given.pop
        at, names = take("cuts"), take("cut_labels")
        if (at is None) != (names is None):
            raise click.UsageError("--cuts and --cut-labels go together.")
        coding = Coding(
            label_map=pairs("--label-map", take("label_map")),
            normalise_labels=take("normalise_labels"),
        )
        text = TextFormat(take("sep"), take("decimal"), take("encoding"))
        layout = CrowdLayout(
            form=take("form"),
            worker=take("worker"),
            item=take("item"),
            label=take("label"),
            gold=take("gold"),
            cuts=None if at is None else Cuts(_numbers(at), tuple(names.split(","))),
            keep_rejected=take("keep_rejected"),
        )
        command(layout=layout, coding=coding, text=text, **given)

    return with_options([*PLACES, *LABEL_OPTIONS, *TEXT_OPTIONS])(gather)


@cli.command("crowd", short_help="Aggregate the labels of a crowd.")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@with_reading
@click.option("--key", type=click.Path(), help="Gold labels: item,label. Replaces those found.")
@click.option(
    "--repeats",
    type=click.Choice(REPEATS),
    default="refuse",
    show_default=True,
    help="Several labels of one worker for one item.",
)
@click.option("--method", type=click.Choice(METHODS), default="majority", show_default=True)
@click.option("--smoothing", type=click.FloatRange(0), help="Imagined answers to each label.")
@click.option("--level", type=click.Choice(LEVELS), default="nominal", help="For alpha.")
@click.option("--workers", help="Also write one row a worker, ids hashed.")
@click.option(
    "--salt",
    envvar="IRTKIT_SALT",
    show_envvar=True,
    help="Secret for the hashes; the same salt gives the same hashes.",
)
@click.option("--keep-ids", is_flag=True, help="With --workers: write the ids as they are.")
@click.option("-o", "--output", type=click.Path(), help="Write the labels (CSV or Parquet).")
@OVERWRITE
@JSON
def crowd_command(
    files: Sequence[str],
    key: str | None,
    repeats: str,
    method: str,
    smoothing: float | None,
    level: str,
    workers: str | None,
    salt: str | None,
    keep_ids: bool,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    layout: CrowdLayout,
    coding: Coding,
    text: TextFormat,
) -> None:
    """Find one label and one label distribution for each item of FILES.

    FILES are long tables of worker,item,label (CSV, TSV, JSONL, Parquet), MTurk batches,
    Qualtrics, Label Studio or Argilla exports, LeWiDi sets, ChaosNLI or SNLI lines; the form is
    found. Methods: majority (shares of answers), dawid-skene and one-coin (workers' errors are
    estimated), irt (votes weighed by ability), mean (average of majority, one-coin and
    dawid-skene).
    """
    vacant(
        output,
        workers,
        overwrite=overwrite,
        inputs=[*files, key],
        tables=[output, workers],
    )
    chosen = _method(method, smoothing)
    crowd = read_crowd(files, layout=layout, key=key, coding=coding, repeats=repeats, text=text)
    if workers is not None and not isinstance(crowd, CrowdLabels):
        raise ResponseError("The files do not say who gave which label; leave out --workers.")
    if isinstance(crowd, CrowdLabels) and not keep_ids:
        crowd = hash_workers(crowd, salt=salt)
    found = aggregate(crowd, method=chosen)
    agreed = crowd_agreement(crowd, level=level)
    table = found.table()
    if output is not None:
        write_table(table, output)
    if workers is not None:
        write_table(worker_table(found), workers)
    notes = [*crowd.notes, *found.notes]
    terminal.tell_notes(notes)
    right = found.accuracy()
    if as_json:
        terminal.show_json(
            {
                "method": found.method,
                "labels": terminal.records(table),
                "agreement": terminal.records(agreed),
                "accuracy": right,
                "notes": notes,
            }
        )
        return
    terminal.show_table(agreed, "Agreement")
    terminal.show_table(table, f"Labels by {found.method}", most=10)
    if right is not None:
        terminal.say(f"{right:.1%} of the items with a gold label got it.")


def _method(name: str, smoothing: float | None) -> Method:
    if name == "irt":
        if smoothing is not None:
            raise click.UsageError("--smoothing does not go with --method irt.")
        return AbilityVote()
    vote, coin, skene = Vote(), OneCoin(), DawidSkene()
    if smoothing is not None:
        vote, coin = replace(vote, smoothing=smoothing), replace(coin, smoothing=smoothing)
        skene = replace(skene, smoothing=smoothing)
    methods: dict[str, Method] = {"majority": vote, "one-coin": coin, "dawid-skene": skene}
    return methods[name] if name in methods else SoftMean((vote, coin, skene))


def _numbers(words: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words.split(","))
    except ValueError:
        raise click.UsageError(f"--cuts takes numbers such as 33,67, not '{words}'.") from None
