"""Logs of OpenAI evals (JSON lines of events) -> answers.

The first line is the run's specification, the last its report, the others are events. Events
`match` hold right or wrong, events `metrics` numbers; several of one sample are its trials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irtkit.bridge.logs.answers import Answer, Findings, ItemText, number, plain_text, words
from irtkit.errors import PredictionError
from irtkit.io.streams import json_lines

USUAL = ("correct", "score", "accuracy")
GRADED = ("match", "metrics")

Line = dict[str, Any]


def recognised(line: Line) -> bool:
    """Whether the first line of a file is of this format."""
    return isinstance(line.get("spec"), dict) or line.keys() >= {"run_id", "event_id", "type"}


def answers(path: Path, found: Findings) -> Iterator[Answer]:
    """Yield the graded answers of one run.

    Raises
    ------
    PredictionError
        If no event grades a sample.
    """
    if found.options.identity == "hash":
        raise PredictionError(f"{path}: Logs of OpenAI evals hold no hash, only sample ids.")
    trials: Counter[str] = Counter()
    named = (path.stem, "")
    for place, line in _lines(path):
        if isinstance(line.get("spec"), dict):
            named = _named(line["spec"], path)
            continue
        if line.get("type") == "error":
            found.passed["error", "logged instead of an answer"] += 1
        model, task = named
        data = line.get("data")
        if line.get("type") not in GRADED or not isinstance(data, dict) or not found.wants(task):
            continue
        scores = [n for n, value in data.items() if isinstance(value, (bool, int, float))]
        if not scores or (metric := found.metric(task, scores, USUAL)) not in data:
            continue
        item = words(line.get("sample_id"), f"{place}: sample_id")
        trials[item] += 1
        yield Answer(model, task, item, number(data[metric], f"{place}: {metric}"), trials[item])
    if not trials and found.wants(named[1]):
        raise PredictionError(
            f"{path} has no event that grades a sample (type match or metrics). Run an eval that "
            "records them."
        )


def _lines(path: Path) -> Iterator[tuple[str, Line]]:
    return ((f"{path}: Line {row}", line) for row, line in json_lines(path))


def _named(spec: Line, path: Path) -> tuple[str, str]:
    """Model and task of a run."""
    functions = spec.get("completion_fns")
    several = functions if isinstance(functions, list) else [spec.get("model_name")]
    model = ",".join(name for name in several if isinstance(name, str)) or path.stem
    task = spec.get("eval_name") or spec.get("base_eval")
    return model, task if isinstance(task, str) else ""


def texts(path: Path, found: Findings) -> Iterator[ItemText]:
    """Yield the prompt of each sample."""
    task = ""
    for place, line in _lines(path):
        if isinstance(line.get("spec"), dict):
            _, task = _named(line["spec"], path)
        data = line.get("data")
        if line.get("type") == "sampling" and isinstance(data, dict) and found.wants(task):
            item = words(line.get("sample_id"), f"{place}: sample_id")
            yield ItemText(task, item, plain_text(data.get("prompt")))
