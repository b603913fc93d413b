"""What every reader of logs yields, and what is found out while reading.

A reader yields one `Answer` for each scored item of a model, or one `ItemText` for each item.
`Findings` holds the options, decides once for each task which metric and which filter count, and
keeps account of what is passed over, so that the notes can tell.
"""

from __future__ import annotations

import fnmatch
import hashlib
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from irtkit.bridge.logs.options import LogOptions
from irtkit.errors import PredictionError, count, listing, nearest, shown

UNSCORED = math.nan
CHECKED_CHARACTERS = 400  # of a text, its blanks joined: some logs shorten what follows
ID_DIGITS = 16  # hexadecimal, of a content hash: 64 bits


class NothingLogged(PredictionError):
    """A log holds no answers; one that was named is refused, one found in a folder passed over."""


class Answer(NamedTuple):
    """What a model made of an item: its score, NaN where there is none."""

    model: str
    task: str
    item: str
    score: float
    trial: int = 0
    text: int = 0  # checksum of the item's text, 0 where unknown


class ItemText(NamedTuple):
    """What an item asks: its text, the second text of a pair, the choices one a line."""

    task: str
    item: str
    text: str
    text_pair: str = ""
    choices: str = ""


@dataclass(slots=True)
class Findings:
    """Options, and what is found out while logs are read.

    Attributes
    ----------
    options : LogOptions
    passed : Counter
        How much was passed over, by a noun and the rest of a sentence.
    remembered : dict
        What a reader looked up once for several files.
    """

    options: LogOptions
    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    remembered: dict[Path, str] = field(default_factory=dict)
    _metrics: dict[str, str] = field(default_factory=dict)
    _filters: dict[str, str] = field(default_factory=dict)
    _others: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def wants(self, task: str) -> bool:
        """Whether the options ask for this task."""
        return self.options.task is None or fnmatch.fnmatchcase(task, self.options.task)

    def metric(self, task: str, available: Sequence[str], usual: Sequence[str] = ()) -> str:
        """Decide which metric counts for a task; later calls say the same.

        Parameters
        ----------
        task : str
        available : sequence of str
            The metrics that the first answer has.
        usual : sequence of str
            Which to prefer, the best first; metrics of other names are never taken unasked where
            there are several.

        Raises
        ------
        PredictionError
            If the metric asked for is not there, or there are several and none is usual.
        """
        if task in self._metrics:
            return self._metrics[task]
        chosen = self._metrics[task] = self._choice(task, available, usual)
        for name in available:
            if name != chosen:
                self._others[task][name] = None
        return chosen

    def _choice(self, task: str, available: Sequence[str], usual: Sequence[str]) -> str:
        asked = self.options.metric
        if asked is not None and asked in available:
            return asked
        if asked is not None:
            raise PredictionError(
                f"The task {shown(task)} has no score {shown(asked)}; it has "
                f"{listing(available, 12)}.{nearest(asked, available)}"
            )
        found = [name for name in usual if name in available]
        if found:
            return found[0]
        if len(available) == 1:
            return available[0]
        what = f"the scores {listing(available, 12)}" if available else "no score of single items"
        raise PredictionError(
            f"The task {shown(task)} has {what}. Say which counts (--metric), or leave the task "
            "out (--task)."
        )

    def takes(self, task: str, name: str) -> bool:
        """Whether the grading of this name counts for a task: the one asked for, or the first."""
        chosen = self._filters.setdefault(task, self.options.filter or name)
        if name != chosen:
            self._others[f"{task}\0filter"][name] = None
        return name == chosen

    def notes(self) -> list[str]:
        """Say which metrics and filters counted, and what was passed over."""
        said = [f"{count(n, noun)} {rest}." for (noun, rest), n in self.passed.items()]
        return [
            *self._told(self._metrics, "score", "", "--metric"),
            *self._told(self._filters, "filter", "\0filter", "--filter"),
            *said,
        ]

    def _told(self, chosen: dict[str, str], what: str, mark: str, option: str) -> list[str]:
        """One sentence for all tasks of which the same was chosen among the same."""
        groups: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
        for task, name in chosen.items():
            others = tuple(self._others.get(task + mark, ()))
            if others:
                groups[name, others].append(task)
        return [
            f"Of {listing(tasks, 3) if any(tasks) else 'the logs'} the {what} {shown(name)} "
            f"counts, not {listing(others)} ({option})."
            for (name, others), tasks in groups.items()
        ]


def number(value: Any, place: str) -> float:
    """Read a score: a number or a truth value; None and NaN mean that there is none.

    Raises
    ------
    PredictionError
        If it is something else, or infinite.
    """
    if value is None:
        return UNSCORED
    if isinstance(value, (bool, int, float)):
        try:
            score = float(value)
        except OverflowError:
            score = math.inf
        if not math.isinf(score):
            return score
    what = "a list" if isinstance(value, list) else shown(value)
    what = "an object" if isinstance(value, dict) else what
    raise PredictionError(
        f"{place} holds {what}, which is no score of one item. Choose another score (--metric)."
    )


def words(value: Any, place: str) -> str:
    """Read a name or an id, which may be written as a number.

    Raises
    ------
    PredictionError
        If it is something else, or empty.
    """
    if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
        return str(value)
    raise PredictionError(f"{place} holds {shown(value)}, which is no name or id.")


def checksum(text: str) -> int:
    """Number that tells texts apart, by their beginning alone; 0 for no text."""
    start = " ".join(text[: 4 * CHECKED_CHARACTERS].split())[:CHECKED_CHARACTERS]
    return zlib.crc32(start.encode("utf-8", "surrogatepass")) if start else 0


def content_id(*texts: str) -> str:
    """Id of an item by its content: the first digits of a SHA-256."""
    joined = "\0".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:ID_DIGITS]


def plain_text(value: Any) -> str:
    """Text of a prompt: itself, or what the user says in a list of chat messages."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    messages = [part for part in value if isinstance(part, dict)]
    asked = [part for part in messages if part.get("role") in (None, "user")] or messages
    parts = [part.get("content", part.get("text")) for part in asked]
    return "\n".join(filter(None, map(plain_text, parts)))
