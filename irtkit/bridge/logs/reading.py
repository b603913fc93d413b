"""The doors to evaluation logs: many files and folders -> one `Responses`, or the items' texts.

Each log is read by the reader of its format, found by its content. Logs of one model join in one
row; the notes say what was found and what was passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from irtkit.bridge.logs import (
    every_eval_ever,
    helm,
    inspect_ai,
    lighteval,
    lm_eval,
    openai_evals,
    py_irt,
)
from irtkit.bridge.logs.answers import Answer, Findings, ItemText, NothingLogged
from irtkit.bridge.logs.detection import TITLES, find_logs
from irtkit.bridge.logs.gathering import Gathering, merged
from irtkit.bridge.logs.hugging_face import read_arrays
from irtkit.bridge.logs.options import LogOptions
from irtkit.bridge.logs.tables import read_table_of_predictions
from irtkit.errors import PredictionError, ResponseError, count, shown
from irtkit.responses import Responses

READERS = {
    "lm_eval": lm_eval,
    "inspect": inspect_ai,
    "helm": helm,
    "lighteval": lighteval,
    "every_eval_ever": every_eval_ever,
    "openai_evals": openai_evals,
    "py_irt": py_irt,
}


def read_logs(
    paths: str | Path | Sequence[str | Path],
    *,
    options: LogOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Responses:
    """Read the logs of one or many models.

    Parameters
    ----------
    paths : path or sequence of paths
        Files and folders, of whatever formats: logs of lm-evaluation-harness, Inspect, HELM,
        lighteval, Every Eval Ever, OpenAI evals, py-irt; tables of predictions.
    options : LogOptions, optional
        Which scores count, and how.
    progress : callable, optional
        Called after each log with how many are done, and of how many.

    Returns
    -------
    Responses
        One row a model; 0 and 1, or `levels` categories; -1 where a model has no score. Items
        are named ``task/id`` and stand in the order of the logs.

    Raises
    ------
    FileError
        If a file cannot be read.
    PredictionError
        If a log has no single meaning; the message names file, place and remedy.
    """
    options = options or LogOptions()
    paths = [paths] if isinstance(paths, (str, Path)) else paths
    found, named = _found(paths), {Path(path) for path in paths}
    gathering, findings = Gathering(options), Findings(options)
    tables = []
    for done, (path, kind) in enumerate(found, start=1):
        if kind in READERS:
            gathering.add(str(path), _answers(path, kind, findings, path in named))
        else:
            tables.append(
                read_arrays(path) if kind == "arrays" else read_table_of_predictions(path)
            )
        if progress is not None:
            progress(done, len(found))
    if len(tables) < len(found):
        logs = [kind for _, kind in found if kind in READERS]
        tables.insert(0, _responses(gathering, findings, logs))
    return merged(tables)


def _found(paths: Sequence[str | Path]) -> list[tuple[Path, str]]:
    """List all logs, each once."""
    if not paths:
        raise PredictionError("No logs were named.")
    found = [log for path in paths for log in find_logs(path)]
    real = Counter(path.resolve() for path, _ in found)
    twice = [str(path) for path, number in real.items() if number > 1]
    if twice:
        raise PredictionError(f"{twice[0]} would be read twice. Name each log once.")
    return found


def _answers(path: Path, kind: str, findings: Findings, named: bool) -> Iterator[Answer]:
    try:
        yield from READERS[kind].answers(path, findings)
    except NothingLogged as error:
        if named:
            raise _named(path, error) from error
        findings.passed["log", "without samples passed over"] += 1
    except (PredictionError, ResponseError) as error:
        raise _named(path, error) from error


def _named(path: Path, error: Exception) -> PredictionError:
    """Begin a message with the name of the file."""
    known = str(error).startswith(str(path))
    return PredictionError(str(error) if known else f"{path}: {error}")


def _responses(gathering: Gathering, findings: Findings, kinds: list[str]) -> Responses:
    if not gathering.items:
        asked = findings.options.task
        raise PredictionError(
            f"No task is named like {shown(asked)}." if asked else "The logs hold no answers."
        )
    try:
        made = gathering.responses()
    except ResponseError as error:
        raise PredictionError(str(error)) from error
    logs = [f"{count(n, 'log')} of {TITLES[kind]}" for kind, n in Counter(kinds).items()]
    named = [task for task in gathering.tasks if task]
    of_tasks = f" of {count(len(named), 'task')}" if named else ""
    summary = (
        f"{', '.join(logs)}: {count(len(gathering.models), 'model')}, "
        f"{count(made.n_items, 'item')}{of_tasks}."
    )
    return replace(made, notes=(summary, *findings.notes(), *made.notes))


def read_item_texts(
    paths: str | Path | Sequence[str | Path], *, options: LogOptions | None = None
) -> pd.DataFrame:
    """Read what the items of logs ask.

    Parameters
    ----------
    paths, options
        As for `read_logs`, so that the items are named alike. Tables hold no texts.

    Returns
    -------
    DataFrame
        item, text, and where any item has them text_pair and choices (one a line). Of an item in
        several logs the first text counts; items without a text are left out.

    Raises
    ------
    FileError
        If a file cannot be read.
    PredictionError
        If no log holds a text.
    """
    options = options or LogOptions()
    findings = Findings(options)
    known: dict[str, ItemText] = {}
    for path, kind in _found([paths] if isinstance(paths, (str, Path)) else paths):
        if kind not in READERS:
            continue
        try:
            for text in READERS[kind].texts(path, findings):
                if text.text.strip():
                    named = options.item_names == "task" and text.task
                    known.setdefault(f"{text.task}/{text.item}" if named else text.item, text)
        except (PredictionError, ResponseError) as error:
            raise _named(path, error) from error
    if not known:
        raise PredictionError("The logs hold no texts of items.")
    frame = pd.DataFrame(
        {
            "item": list(known),
            "text": [text.text for text in known.values()],
            "text_pair": [text.text_pair for text in known.values()],
            "choices": [text.choices for text in known.values()],
        }
    )
    empty = [name for name in ("text_pair", "choices") if not frame[name].any()]
    return frame.drop(columns=empty)
