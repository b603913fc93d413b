"""The command that writes a report: one scale, or a folder of results, as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from irtkit import terminal
from irtkit.cli.group import cli, vacant
from irtkit.layout import Wide
from irtkit.options import JSON, OVERWRITE, Reading, with_answers
from irtkit.report.answers import AnswerFormat
from irtkit.report.writing import Beside, write_report

LARGE = 10 * 2**20  # bytes of a page that is slow to open


@cli.command("report", short_help="Write a page about a scale, or a folder of results.")
@click.argument("source", metavar="FOLDER|SCALE", type=click.Path())
@click.option("--answers", type=click.Path(), help="The answers, if they are not in the folder.")
@click.option("--texts", type=click.Path(), help="Table of item,text[,text_pair].")
@click.option(
    "--models",
    multiple=True,
    type=click.Path(),
    help="What the command score wrote, or answers of models. Repeatable.",
)
@click.option("--title", help="Of the page (default: the scale's name, or the folder's).")
@with_answers
@click.option("-o", "--output", type=click.Path(), required=True, help="Page to write (HTML).")
@OVERWRITE
@JSON
def report_command(
    source: str,
    answers: str | None,
    texts: str | None,
    models: Sequence[str],
    title: str | None,
    reading: Reading,
    output: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a page about a SCALE, or about what a FOLDER holds.

    A folder may hold scales or calibrations, answers, tables of diagnose, screening logs, texts of
    items and scores; files are told by what they hold. Answers give observed curves, and the fit
    that no table tells of. Each scale becomes a part of the page, which is one file and needs no
    network.
    """
    reading.check(1)
    vacant(output, overwrite=overwrite, inputs=[source, *reading.inputs(answers, texts), *models])

    layout = None if reading.layout == Wide() else reading.layout
    key = reading.keys[0] if reading.keys else None
    form = AnswerFormat(layout, reading.coding, reading.text, key)
    with terminal.progress_line("reading") as tell:
        notes = write_report(
            source,
            output,
            title=title,
            beside=Beside(answers, texts, models),
            form=form,
            progress=tell,
        )
    size = Path(output).stat().st_size
    if size > LARGE:
        notes.append(f"The page has {size / 2**20:.0f} MB and may be slow to open.")
    if as_json:
        terminal.show_json({"output": output, "bytes": size, "notes": notes})
        return
    terminal.tell_notes(notes)
    terminal.say(f"page written to {output} ({size / 2**20:.2g} MB)")
