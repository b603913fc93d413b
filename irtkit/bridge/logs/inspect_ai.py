"""Logs of Inspect AI, ``.eval`` (a zip) and ``.json`` -> answers.

Of a zip only the header and the summaries are read, not the transcripts. A score is C (right), I
(wrong), P (half), N (no answer) or a number; samples that ended in an error or at a limit are not
scored. Epochs are trials of an item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from irtkit.bridge.logs.answers import (
    UNSCORED,
    Answer,
    Findings,
    ItemText,
    NothingLogged,
    checksum,
    number,
    plain_text,
    words,
)
from irtkit.errors import PredictionError, ResponseError, listing, shown
from irtkit.io.streams import Archive, first_bytes, json_document

GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": UNSCORED}
ATTACHMENT = "attachment://"
HEADER, START, SUMMARIES = "header.json", "_journal/start.json", "summaries.json"
JOURNAL = re.compile(r"_journal/summaries/(\d+)\.json")
SAMPLE = re.compile(r"samples/.+\.json")

Sample = dict[str, Any]


def answers(path: Path, found: Findings) -> Iterator[Answer]:
    """Yield the graded answers of one log.

    Raises
    ------
    PredictionError
        If it holds no samples, or a value that is no grade.
    """
    with _opened(path, found) as (header, log):
        task, model = _named(header, path)
        if not found.wants(task):
            return
        if header.get("status") not in (None, "success"):
            rest = f"of status {shown(header['status'])} read: items may be lacking"
            found.passed["log", rest] += 1
        some = False
        for sample in log.samples(full=False):
            some = True
            yield _answer(sample, model, task, found, path)
        if not some:
            raise NothingLogged(
                f"{path} holds no samples, only a header and results. Log the samples too."
            )


def _answer(sample: Sample, model: str, task: str, found: Findings, path: Path) -> Answer:
    item = words(sample.get("id"), f"{path}: the id of a sample")
    place = f"{path}: sample {shown(item)}"
    trial = sample.get("epoch", 1)
    if not isinstance(trial, int) or not 0 <= trial < 2**31:
        raise PredictionError(f"{place} has the epoch {shown(trial)}, which is no number of one.")
    score = _score(sample, task, found, place)
    text = plain_text(sample.get("input"))
    known = 0 if text.startswith(ATTACHMENT) else checksum(text)
    return Answer(model, task, item, score, trial, known)


def _score(sample: Sample, task: str, found: Findings, place: str) -> float:
    """Score of a sample by the scorer that counts, NaN if it has none."""
    if sample.get("error"):
        found.passed["sample", "ended in an error"] += 1
        return UNSCORED
    if sample.get("limit") and found.options.unscored == "missing":
        found.passed["sample", "stopped at a limit, so not scored"] += 1
        return UNSCORED
    values = _values(sample.get("scores"))
    if not values:
        return UNSCORED
    single = [name for name, value in values.items() if not isinstance(value, (list, dict))]
    metric = found.metric(task, single, single[:1])
    return _grade(values.get(metric), f"{place}: {metric}")


def _values(scores: Any) -> dict[str, Any]:
    """Name the values of all scorers: ``scorer``, or ``scorer.key`` where it gives several."""
    found: dict[str, Any] = {}
    for scorer, score in scores.items() if isinstance(scores, dict) else ():
        value = score.get("value") if isinstance(score, dict) else score
        if isinstance(value, dict):
            found.update({f"{scorer}.{key}": part for key, part in value.items()})
        else:
            found[scorer] = value
    return found


def _grade(value: Any, place: str) -> float:
    if not isinstance(value, str):
        return number(value, place)
    if value in GRADES:
        return GRADES[value]
    try:
        return number(float(value), place)
    except ValueError as error:
        if isinstance(error, PredictionError):
            raise
        raise PredictionError(
            f"{place} holds {shown(value)}, which is no grade: {listing(GRADES)} or a number are. "
            "Choose another score (--metric)."
        ) from None


def _named(header: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Task and model of a log."""
    spec = header.get("eval")
    if not isinstance(spec, dict):
        raise PredictionError(f"{path} has no field eval: it is no log of Inspect.")
    return words(spec.get("task"), f"{path}: task"), words(spec.get("model"), f"{path}: model")


class _Document:
    """A log in one JSON document."""

    def __init__(self, document: Mapping[str, Any], path: Path) -> None:
        self.document, self.path = document, path

    def samples(self, *, full: bool) -> Iterator[Sample]:
        """Yield the samples; they are all whole."""
        return _checked(self.document.get("samples") or [], str(self.path))


class _Zipped:
    """A log in a zip."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def header(self) -> Any:
        """Read the header, or how the log began if it was never finished."""
        name = next((n for n in (HEADER, START) if n in self.archive.names), None)
        if name is None:
            raise PredictionError(f"{self.archive.path} has no {HEADER}: it is no log of Inspect.")
        return self.archive.json(name)

    def samples(self, *, full: bool) -> Iterator[Sample]:
        """Yield the summaries of the samples; the samples themselves if `full` or need be."""
        names = self.archive.names
        journal = sorted((int(n[1]), n[0]) for n in map(JOURNAL.fullmatch, names) if n)
        summaries = [SUMMARIES] if SUMMARIES in names else [name for _, name in journal]
        if full or not summaries:
            for name in filter(SAMPLE.fullmatch, names):
                yield from _checked([self.archive.json(name)], f"{self.archive.path}: {name}")
            return
        for name in summaries:
            yield from _checked(self.archive.json(name), f"{self.archive.path}: {name}")


def _checked(samples: Any, place: str) -> Iterator[Sample]:
    if not isinstance(samples, list) or not all(isinstance(sample, dict) for sample in samples):
        raise PredictionError(f"{place} does not hold samples as a list of objects.")
    return iter(samples)


@contextmanager
def _opened(path: Path, found: Findings) -> Iterator[tuple[Any, Any]]:
    """Open a log of either kind: its header and where its samples are."""
    if found.options.identity == "hash":
        raise PredictionError(f"{path}: Logs of Inspect hold no content hash, only sample ids.")
    if first_bytes(path, 4) != b"PK\x03\x04":
        document = json_document(path)
        if not isinstance(document, dict):
            raise ResponseError(f"{path} holds no object with fields: it is no log of Inspect.")
        yield document, _Document(document, path)
        return
    with Archive(path) as archive:
        log = _Zipped(archive)
        header = log.header()
        if not isinstance(header, dict):
            raise ResponseError(f"{path}: The header is no object with fields.")
        yield header, log


def texts(path: Path, found: Findings) -> Iterator[ItemText]:
    """Yield what each item asks, from the samples themselves: summaries are shortened."""
    with _opened(path, found) as (header, log):
        task, _ = _named(header, path)
        if not found.wants(task):
            return
        for sample in log.samples(full=True):
            item = words(sample.get("id"), f"{path}: the id of a sample")
            text = plain_text(sample.get("input"))
            held = sample.get("attachments")
            if text.startswith(ATTACHMENT) and isinstance(held, dict):
                text = str(held.get(text.removeprefix(ATTACHMENT), text))
            choices = sample.get("choices")
            lines = choices if isinstance(choices, list) else []
            yield ItemText(task, item, text, choices="\n".join(map(str, lines)))
