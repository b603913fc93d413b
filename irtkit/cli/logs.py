"""The command that turns evaluation logs into a table of answers."""

from __future__ import annotations

from collections.abc import Sequence

import click
import numpy as np
import pandas as pd

from irtkit import terminal
from irtkit.bridge.logs.options import LogOptions
from irtkit.bridge.logs.reading import read_item_texts, read_logs
from irtkit.cli.group import cli, vacant
from irtkit.cli.log_options import with_log_options
from irtkit.coding import MISSING
from irtkit.io import write_table
from irtkit.options import JSON, OVERWRITE
from irtkit.responses import Responses

MOST_WIDE = 100_000  # columns that irtkit reads back


@cli.command("read", short_help="Turn evaluation logs into a table of answers.")
@click.argument("logs", nargs=-1, required=True, type=click.Path())
@with_log_options
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="Table of answers (CSV or Parquet)."
)
@click.option("--texts", help="Write what the items ask: item, text, choices.")
@click.option("--long", "is_long", is_flag=True, help="Write one row an answer.")
@OVERWRITE
@JSON
def read_command(
    logs: Sequence[str],
    log_options: LogOptions,
    output: str,
    texts: str | None,
    is_long: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read LOGS, files or folders, into one table: a row a model, a column an item.

    Formats are found by content: lm-evaluation-harness (samples_*.jsonl), Inspect (.eval,
    .json), HELM (run folders), lighteval (details_*.parquet), Every Eval Ever and OpenAI evals
    (.jsonl), py-irt, tables of predictions.
    """
    vacant(output, texts, overwrite=overwrite, inputs=logs, tables=[output, texts])
    with terminal.progress_line("reading") as tell:
        responses = read_logs(
            logs,
            options=log_options,
            progress=lambda done, total: tell(f"{done} of {total} logs", done / total),
        )
        asked = None if texts is None else read_item_texts(logs, options=log_options)
    write_table(_long(responses) if is_long else _wide(responses), output)
    if texts is not None and asked is not None:
        write_table(asked.set_index("item"), texts)
    terminal.tell_notes(responses.notes)
    shape = {"n_models": responses.n_persons, "n_items": responses.n_items}
    answered = int(responses.n_answered().sum())
    if as_json:
        written = {"output": output, "texts": texts, **shape, "n_answers": answered}
        terminal.show_json({**written, "notes": list(responses.notes)})
        return
    terminal.say(
        f"{answered:,} answers of {responses.n_persons:,} models to {responses.n_items:,} items "
        f"written to {output}"
    )


def _wide(responses: Responses) -> pd.DataFrame:
    if responses.n_items > MOST_WIDE:
        raise click.UsageError(
            f"{responses.n_items:,} items are too many columns; say --long for a row an answer."
        )
    frame = pd.DataFrame(
        _words(responses.dense(), responses), columns=pd.Index(responses.items), dtype=object
    )
    frame.insert(0, "person", list(responses.persons), allow_duplicates=True)
    return frame


def _long(responses: Responses) -> pd.DataFrame:
    parts = []
    for rows, codes in responses.blocks():
        person, item = np.nonzero(codes != MISSING)
        persons, items = np.array(responses.persons[rows]), np.array(responses.items)
        answer = _words(codes[person, item], responses)
        parts.append(
            pd.DataFrame({"person": persons[person], "item": items[item], "answer": answer})
        )
    return pd.concat(parts, ignore_index=True)


def _words(codes: np.ndarray, responses: Responses) -> np.ndarray:
    """Write codes as their categories, nothing where unanswered."""
    return np.array([*responses.categories, None], dtype=object)[codes]
