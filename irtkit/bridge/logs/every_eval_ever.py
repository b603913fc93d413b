"""Samples in the common schema of Every Eval Ever (JSON lines) -> answers.

A line is one answer of one model. Where a sample stands there once for each of several results
(`evaluation_result_id`), one of them counts. `is_correct` counts by default; `score` on request.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irtkit.bridge.logs.answers import (
    UNSCORED,
    Answer,
    Findings,
    ItemText,
    checksum,
    content_id,
    number,
    words,
)
from irtkit.errors import PredictionError
from irtkit.io.streams import json_lines

REQUIRED = {"evaluation_id", "model_id", "evaluation_name", "sample_id", "evaluation"}
USUAL = ("is_correct", "score")

Line = dict[str, Any]


def recognised(line: Line) -> bool:
    """Whether the first line of a file is of this format."""
    return line.keys() >= REQUIRED


def answers(path: Path, found: Findings) -> Iterator[Answer]:
    """Yield the graded answers of one file.

    Raises
    ------
    PredictionError
        If a line lacks a field that the schema requires.
    """
    for row, line in json_lines(path):
        place = f"{path}: Line {row}"
        task = _field(line, "evaluation_name", place)
        if not found.wants(task):
            continue
        result = line.get("evaluation_result_id")
        if not found.takes(task, result if isinstance(result, str) else ""):
            continue
        text = _input(line)[0]
        yield Answer(
            _field(line, "model_id", place),
            task,
            _item(line, found.options.identity, place),
            _score(line, task, found, place),
            text=checksum(text),
        )


def _score(line: Line, task: str, found: Findings, place: str) -> float:
    if line.get("error"):
        found.passed["sample", "ended in an error"] += 1
        return UNSCORED
    evaluation = line.get("evaluation")
    if not isinstance(evaluation, dict):
        raise PredictionError(f"{place} has no object evaluation, so no score.")
    metric = found.metric(task, [name for name in USUAL if name in evaluation], USUAL)
    return number(evaluation.get(metric), f"{place}: {metric}")


def _field(line: Line, name: str, place: str) -> str:
    return words(line.get(name), f"{place}: {name}")


def _item(line: Line, identity: str, place: str) -> str:
    if identity != "hash":
        return _field(line, "sample_id", place)
    known = line.get("sample_hash")
    return known if isinstance(known, str) and known else content_id(*_input(line))


def _input(line: Line) -> tuple[str, str]:
    """Text and choices of a sample."""
    given = line.get("input")
    held = given if isinstance(given, dict) else {}
    choices = held.get("choices")
    raw = held.get("raw")
    lines = "\n".join(map(str, choices)) if isinstance(choices, list) else ""
    return raw if isinstance(raw, str) else "", lines


def texts(path: Path, found: Findings) -> Iterator[ItemText]:
    """Yield what each item asks."""
    for row, line in json_lines(path):
        place = f"{path}: Line {row}"
        task = _field(line, "evaluation_name", place)
        if found.wants(task):
            text, choices = _input(line)
            yield ItemText(task, _item(line, found.options.identity, place), text, "", choices)
