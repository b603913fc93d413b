"""`write_report`: from a folder or a scale to one HTML file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from irtkit.errors import ScaleError
from irtkit.io.files import read_bytes, write_atomically
from irtkit.report.answers import AnswerFormat
from irtkit.report.completion import completed
from irtkit.report.folder import (
    findings,
    parts_of,
    sources_of,
    standings_of,
    with_predictions,
)
from irtkit.report.kinds import WORDS, read_texts, recognised
from irtkit.report.parts import Part, Source
from irtkit.report.scale_page import scale_page


@dataclass(frozen=True, slots=True)
class Beside:
    """Files that belong to a report but do not stand in its folder.

    Attributes
    ----------
    answers : str, optional
        Who answered what.
    texts : str, optional
        Table of item,text[,text_pair].
    models : sequence of str
        What `irtkit score` wrote, or answers of models in any form that it reads.
    """

    answers: str | None = None
    texts: str | None = None
    models: Sequence[str] = ()


def write_report(
    source: str | Path,
    output: str | Path,
    *,
    title: str | None = None,
    beside: Beside | None = None,
    form: AnswerFormat | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Write a report about a scale, or about what a folder holds, as one HTML file.

    Parameters
    ----------
    source : path
        A scale or a calibration (JSON), or a folder with one and what belongs to it: answers,
        tables, a screening log, texts, scores. Files are told by what they hold.
    output : path
        The page; what stands there is replaced.
    title : str, optional
        By default the scale's name, or the folder's.
    beside : Beside, optional
        Files that are not in the folder.
    form : AnswerFormat, optional
        How answers are to be read: layout, label map, separator.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    list of str
        What was not found or not drawn, in sentences; the page says so too.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    ScaleError
        If there is no scale and no calibration, or it is damaged.
    ResponseError
        If several files could be the answers.
    """
    extra = beside or Beside()
    found = findings(source)
    parts = parts_of(found, form or AnswerFormat(), extra.answers)
    parts = [_with_beside(part, extra, alone=len(parts) == 1) for part in parts]
    parts = [completed(part, progress) for part in parts]
    if progress is not None:
        progress("drawing")
    sources, notes = sources_of(found)
    sources += _sources_beside(extra)
    name = title or (parts[0].name if len(parts) == 1 else Path(source).resolve().name)
    write_atomically(output, scale_page(name, parts, sources, notes).encode("utf-8"))
    return [*notes, *(note for part in parts for note in part.notes)]


def _with_beside(part: Part, extra: Beside, *, alone: bool) -> Part:
    """Add the texts and models that were named."""
    if extra.texts is not None:
        part = replace(part, texts=read_texts(extra.texts))
    if not extra.models:
        return part
    if not alone:
        raise ScaleError(
            "Models can be named for one scale only. Name the scale, or put the scores beside it."
        )
    made = [recognised(Path(path), path) for path in extra.models if Path(path).is_file()]
    if len(made) == 1 and made[0].kind == "scores":
        return replace(part, standings=standings_of(made[0].content))
    if part.scale is None:
        raise ScaleError("A calibration has no norms to score models on. Name a scale.")
    return with_predictions(part, extra.models)


def _sources_beside(extra: Beside) -> list[Source]:
    named = [(extra.answers, WORDS["answers"]), (extra.texts, WORDS["texts"])]
    named += [(path, "models") for path in extra.models]
    return [
        Source(Path(path).name, what, hashlib.sha256(read_bytes(path)).hexdigest())
        for path, what in named
        if path is not None and Path(path).is_file()
    ]
