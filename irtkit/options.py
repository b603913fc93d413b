"""Options that several commands share, and the reading of answers that they describe.

`with_answers` gives a command one `Reading` instead of twenty options. The commands themselves
are in `cli/`, the options of the estimation in `method_options.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from irtkit import terminal
from irtkit.coding import Coding
from irtkit.errors import ModelError, NotConverged, PredictionError, ResponseError
from irtkit.io import TextFormat, read_list, read_responses
from irtkit.layout import Layout, Long, Wide
from irtkit.responses import Responses


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers of a command are to be read, from its options."""

    keys: tuple[str, ...]
    layout: Layout
    coding: Coding
    text: TextFormat
    gold: str | None
    items: str | None

    def inputs(self, *others: str | None) -> list[str | None]:
        """Files that the command reads, which it must not overwrite."""
        return [*self.keys, self.items, *others]

    def check(self, n_files: int) -> None:
        """Refuse, before any work, several keys that are not one for each file."""
        if len(self.keys) > 1 and len(self.keys) != n_files:
            raise click.UsageError(
                f"{len(self.keys)} keys were given for {n_files} files of answers: give one, or "
                "one for each, in the same order."
            )

    def read(self, path: str, number: int | None = None) -> Responses:
        """Read the answers, tell what was noticed, and choose the items asked for.

        Parameters
        ----------
        path : str
        number : int, optional
            Which of several files it is, where each may have its own key.
        """
        if number is None:
            self.check(1)
        key = self.keys[(number or 0) % len(self.keys)] if self.keys else None
        responses = read_responses(
            path, layout=self.layout, key=key, coding=self.coding, text=self.text
        )
        terminal.tell_notes(responses.notes)
        if self.gold is not None:
            with about(path):
                responses = responses.select_items(responses.items_with_gold(self.gold))
        if self.items is not None:
            named = read_list(self.items)
            with about(self.items):
                responses = responses.select_items(named)
        return responses


@contextmanager
def about(path: str) -> Iterator[None]:
    """Let what is refused within begin with the name of the file that it is about."""
    try:
        yield
    except (ResponseError, ModelError, PredictionError, NotConverged) as error:
        if path not in str(error):
            error.args = (f"{path}: {error}",)
        raise


def pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """Read ``a=b,c=d`` options, which may be repeated."""
    found: dict[str, str] = {}
    for word in (part for given in words for part in given.split(",")):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, not '{word}'.")
        if found.setdefault(name.strip(), value.strip()) != value.strip():
            raise click.UsageError(f"{option} gives '{name.strip()}' two values.")
    return found


def _words(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for part in given for word in part.split(",") if word)


TEXT_OPTIONS = [
    click.option("--sep", help="Separator of the columns (default: comma, or tab in .tsv)."),
    click.option("--decimal", default=".", help="Decimal mark of numbers."),
    click.option("--encoding", default="utf-8", help="Encoding of text files."),
]
LABEL_OPTIONS = [
    click.option(
        "--label-map", multiple=True, metavar="AS=LABEL,...", help="Replace answers, e.g. e=yes."
    ),
    click.option("--normalise-labels", is_flag=True, help="Ignore case and outer blanks."),
]
ANSWER_OPTIONS = [
    click.option(
        "--key",
        "keys",
        type=click.Path(),
        multiple=True,
        help="File of item,label: the right answers. With several ANSWERS: one, or one each.",
    ),
    *LABEL_OPTIONS,
    click.option("--missing", multiple=True, metavar="WORD,...", help="Words for 'no answer'."),
    click.option("--missing-as-wrong", is_flag=True, help="Count a missing answer as wrong."),
    click.option("--order", metavar="LOW,...,HIGH", help="Ordered categories, lowest first."),
    click.option("--dedupe", is_flag=True, help="Keep one of identical repeated rows."),
    click.option("--long", "is_long", is_flag=True, help="One row an answer."),
    click.option("--person", help="Column of the person ids (default: the first)."),
    click.option("--no-person", is_flag=True, help="There is no column of person ids."),
    click.option("--item", default="item", help="With --long: column of the items."),
    click.option("--answer", default="answer", help="With --long: column of the answers."),
    click.option("--weight", help="Column of person weights or pattern frequencies."),
    click.option("--no-header", is_flag=True, help="The first line holds answers, not names."),
    *TEXT_OPTIONS,
    click.option("--gold", metavar="LABEL", help="Only items whose gold label this is."),
    click.option("--items", type=click.Path(), help="Only items named in this file, one a line."),
]
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace existing output.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
Command = Callable[..., None]


def with_options(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Add a list of options to a command, in order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def with_answers(command: Command) -> Command:
    """Add the options that say how answers are read; the command gets one `reading`."""

    @wraps(command)
    def gather(**given: Any) -> None:
        take = given.pop
        order = take("order")
        coding = Coding(
            missing=_words(take("missing")),
            missing_as_wrong=take("missing_as_wrong"),
            label_map=pairs("--label-map", take("label_map")),
            order=tuple(order.split(",")) if order else (),
            normalise_labels=take("normalise_labels"),
            dedupe=take("dedupe"),
        )
        person, no_person, weight = take("person"), take("no_person"), take("weight")
        item, answer = take("item"), take("answer")
        layout: Layout
        is_long = take("is_long")
        if weight is not None and is_long:
            raise click.UsageError("--weight needs one row a person; it does not go with --long.")
        if no_person and (is_long or person is not None):
            raise click.UsageError("--no-person does not go with --person or --long.")
        if is_long:
            layout = Long("person" if person is None else person, item, answer)
        else:
            layout = Wide(None if no_person else 0 if person is None else person, weight)
        text = TextFormat(
            take("sep"), take("decimal"), take("encoding"), header=not take("no_header")
        )
        reading = Reading(take("keys"), layout, coding, text, take("gold"), take("items"))
        command(reading=reading, **given)

    return with_options(ANSWER_OPTIONS)(gather)
