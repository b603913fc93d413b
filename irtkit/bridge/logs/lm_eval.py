"""Samples that lm-evaluation-harness logs (``--log_samples``) -> answers.

A file ``samples_<task>_<date>.jsonl`` holds one model's answers to one task, a line for each
document and filter, in the folder of the model. The item's id is the start of `doc_hash`, which
does not move when a split is shuffled or cut; `doc_id` is a mere position.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irtkit.bridge.logs.answers import (
    ID_DIGITS,
    Answer,
    Findings,
    ItemText,
    checksum,
    number,
    words,
)
from irtkit.errors import FileError, PredictionError, ResponseError, listing, shown
from irtkit.io.streams import json_document, json_lines

USUAL = ("exact_match", "acc", "acc_norm", "pass@1", "pass_at_1", "prompt_level_strict_acc")
ARGMAX = "argmax"
NO_FILTER = "none"
FIELDS = {
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"),
    *("doc_hash", "prompt_hash", "target_hash", "bypass"),
}
NAME = re.compile(r"samples_(.+?)(_\d{4}-\d\d-\d\dT[\d.-]+)?")
QUESTIONS = ("question", "problem", "query", "prompt", "goal", "input", "instruction", "text")
PAIRS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("context", "question"))

Line = dict[str, Any]


def recognised(line: Line) -> bool:
    """Whether the first line of a file is of this format."""
    return "doc_id" in line and not {"resps", "filtered_resps", "doc_hash"}.isdisjoint(line)


def answers(path: Path, found: Findings) -> Iterator[Answer]:
    """Yield the graded answers of one file.

    Raises
    ------
    PredictionError
        If a line has not the metric or the filter that counts.
    """
    task, model = task_of(path), model_of(path, found)
    if not found.wants(task):
        return
    seen: dict[str, Any] = {}
    filters: dict[str, None] = {}
    for place, line in _chosen(path, task, found, filters):
        item = _item(line, found.options.identity, place)
        number_of_doc = line.get("doc_id")
        if seen.setdefault(item, number_of_doc) != number_of_doc:
            found.passed["document", "repeating another of its task left out"] += 1
            continue
        metric = found.metric(task, _metrics(line, found.options.metric), USUAL)
        score = _argmax(line, place) if metric == ARGMAX else _score(line, metric, place)
        text = checksum(str(line.get("doc_hash") or "")) if found.options.identity == "id" else 0
        yield Answer(model, task, item, score, text=text)
    if filters and not seen:
        raise PredictionError(
            f"{path} has no line of the filter {shown(found.options.filter or '')}; its filters "
            f"are {listing(filters)} (--filter)."
        )


def _chosen(
    path: Path, task: str, found: Findings, filters: dict[str, None]
) -> Iterator[tuple[str, Line]]:
    """Yield place and content of the lines of the filter that counts; note all filters."""
    for row, line in json_lines(path):
        name = line.get("filter", NO_FILTER)
        name = name if isinstance(name, str) else NO_FILTER
        filters[name] = None
        if found.takes(task, name):
            yield f"{path}: Line {row}", line


def _item(line: Line, identity: str, place: str) -> str:
    if identity != "id" and line.get("doc_hash"):
        return words(line["doc_hash"], f"{place}: doc_hash")[:ID_DIGITS]
    if identity == "hash":
        raise PredictionError(f"{place} has no doc_hash. Take the running ids: --identity id.")
    return words(line.get("doc_id"), f"{place}: doc_id")


def _metrics(line: Line, asked: str | None) -> list[str]:
    """Name the metrics of a line that hold one number, and the argmax if need be."""
    named = line.get("metrics")
    names = named if isinstance(named, list) else [name for name in line if name not in FIELDS]
    found = [
        name
        for name in names
        if isinstance(name, str) and name != "bypass" and isinstance(line.get(name), (int, float))
    ]
    return [*found, *([ARGMAX] if _options(line) and (asked == ARGMAX or not found) else [])]


def _score(line: Line, metric: str, place: str) -> float:
    if metric not in line:
        raise PredictionError(
            f"{place} has no score {shown(metric)}, which counts for this task. Choose another "
            "(--metric), or correct the file."
        )
    return number(line[metric], f"{place}: {metric}")


def _options(line: Line) -> list[float]:
    """Log-likelihoods of the options of a multiple choice, none where it is something else."""
    answered = line.get("filtered_resps")
    if not isinstance(answered, list) or len(answered) < 2:
        return []
    try:
        return [
            float(pair[0]) for pair in answered if len(pair) == 2 and not isinstance(pair, str)
        ]
    except (TypeError, ValueError, KeyError, IndexError):
        return []


def _argmax(line: Line, place: str) -> float:
    """Grade a multiple choice: 1 if the first of the likeliest options is the target."""
    options, target = _options(line), line.get("target")
    if len(options) < 2 or any(value != value for value in options):
        raise PredictionError(f"{place} is no multiple choice with a log-likelihood an option.")
    choice = options.index(max(options))
    texts = _choices(line)
    if str(target).strip().isdecimal():
        return float(choice == int(str(target)))
    if not isinstance(target, str) or target.strip() not in texts:
        raise PredictionError(f"{place}: The target {shown(target)} is none of its options.")
    return float(texts[choice] == target.strip())


def _choices(line: Line) -> list[str]:
    """Texts of the options of a multiple choice, in their order."""
    given = line.get("arguments")
    calls = list(given.values()) if isinstance(given, dict) else given
    calls = calls if isinstance(calls, list) else []
    pairs = [list(call.values()) if isinstance(call, dict) else call for call in calls]
    pairs = [pair for pair in pairs if isinstance(pair, list) and len(pair) > 1]
    return [pair[1].strip() for pair in pairs if isinstance(pair[1], str)]


def task_of(path: Path) -> str:
    """Name of the task, by the name of the file."""
    stem = Path(path.name.removesuffix(".gz")).stem
    named = NAME.fullmatch(stem)
    return named[1] if named else stem


def model_of(path: Path, found: Findings) -> str:
    """Name of the model: by the results beside the file, else its folder, else the file.

    The harness puts a dated file into a folder named after the model.
    """
    stem = Path(path.name.removesuffix(".gz")).stem
    named = NAME.fullmatch(stem)
    if named is None or named[2] is None:
        return stem
    results = path.with_name(f"results{named[2]}.json")
    if results not in found.remembered:
        found.remembered[results] = _model_name(results) or path.absolute().parent.name
    return found.remembered[results]


def _model_name(results: Path) -> str:
    """Read the model from a file of results; nothing if there is none."""
    if not results.is_file():
        return ""
    try:
        document = json_document(results)
    except (FileError, ResponseError):
        return ""
    name = document.get("model_name") if isinstance(document, dict) else None
    return name if isinstance(name, str) else ""


def texts(path: Path, found: Findings) -> Iterator[ItemText]:
    """Yield what each item asks: fields of the document, else the prompt."""
    task = task_of(path)
    if not found.wants(task):
        return
    for row, line in json_lines(path):
        item = _item(line, found.options.identity, f"{path}: Line {row}")
        text, pair = _question(line)
        yield ItemText(task, item, text, pair, "\n".join(_choices(line)))


def _question(line: Line) -> tuple[str, str]:
    document = line.get("doc")
    held = document if isinstance(document, dict) else {}
    for first, second in PAIRS:
        if isinstance(held.get(first), str) and isinstance(held.get(second), str):
            return held[first], held[second]
    for name in QUESTIONS:
        if isinstance(held.get(name), str) and held[name].strip():
            return held[name], ""
    given = line.get("arguments")
    calls = list(given.values()) if isinstance(given, dict) else given
    first_call = calls[0] if isinstance(calls, list) and calls else None
    prompt = list(first_call.values()) if isinstance(first_call, dict) else first_call
    text = prompt[0] if isinstance(prompt, list) and prompt else prompt
    return (text, "") if isinstance(text, str) else ("", "")
