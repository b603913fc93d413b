"""JSON lines of py-irt -> answers: a line a model, with its answer to each item."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irtkit.bridge.logs.answers import Answer, Findings, ItemText, number, words
from irtkit.errors import PredictionError
from irtkit.io.streams import json_lines


def recognised(line: dict[str, Any]) -> bool:
    """Whether the first line of a file is of this format."""
    return "subject_id" in line and isinstance(line.get("responses"), dict)


def answers(path: Path, found: Findings) -> Iterator[Answer]:
    """Yield the graded answers of one file; its items belong to no task.

    Raises
    ------
    PredictionError
        If a line has no model or no answers.
    """
    if not found.wants(""):
        return
    for row, line in json_lines(path):
        place = f"{path}: Line {row}"
        model = words(line.get("subject_id"), f"{place}: subject_id")
        given = line.get("responses")
        if not isinstance(given, dict):
            raise PredictionError(f"{place} has no object responses with an answer an item.")
        for item, value in given.items():
            score = number(value, f"{place}: {item}")
            yield Answer(model, "", words(item, f"{place}: responses"), score)


def texts(path: Path, found: Findings) -> Iterator[ItemText]:
    """Yield nothing: the format holds no texts."""
    return iter(())
