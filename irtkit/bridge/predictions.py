"""A model's outputs, in whatever form -> `Responses`, ready for `scale_score`.

This is the one door: it finds the format and calls the reader, of tables in `logs/tables.py`, of
evaluation logs in `logs/reading.py`, of arrays in `logs/hugging_face.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from irtkit.bridge.logs.detection import TITLES, found_format
from irtkit.bridge.logs.helm import STATISTICS
from irtkit.bridge.logs.hugging_face import read_arrays
from irtkit.bridge.logs.options import LogOptions
from irtkit.bridge.logs.reading import READERS, read_logs
from irtkit.bridge.logs.tables import most_probable, read_table_of_predictions
from irtkit.coding import Coding
from irtkit.errors import PredictionError, listing
from irtkit.io import TextFormat
from irtkit.responses import Responses

if TYPE_CHECKING:
    from irtkit.bridge.training.classifiers import Classifier

__all__ = ["Source", "classify", "most_probable", "predictions_of", "read_predictions"]


class Source(NamedTuple):
    """Where predictions came from, what was found there, and the predictions."""

    name: str
    found: str
    responses: Responses


def read_predictions(
    path: str | Path,
    *,
    coding: Coding | None = None,
    text: TextFormat | None = None,
    options: LogOptions | None = None,
) -> Responses:
    """Read what one or several models answered.

    Parameters
    ----------
    path : path
        An evaluation log, or a folder of them, as `read_logs` reads them; or CSV, TSV, Parquet
        or JSONL with a column `item` and one of: `label` (raw label); `correct` (0 or 1); one
        column of probabilities per label, summing to one (in JSONL also an object
        `probabilities`). A column `model` tells several models apart; else the file's name is the
        model's. A wide table has a row a model, its first column named `model` or `person`; a
        long one the columns person, item and answer. Arrays (``.npz``) hold logits, item ids and
        labels.
    coding : Coding, optional
        For tables: label map, words for missing answers, and the like.
    text : TextFormat, optional
        For tables: separator and encoding.
    options : LogOptions, optional
        For logs: which score counts, and how.

    Returns
    -------
    Responses
        One row a model. Of equal largest probabilities the first label in alphabetical order
        counts; the notes say how often.

    Raises
    ------
    FileError
        If the file cannot be read.
    PredictionError
        If the form is not one of these, or probabilities are not probabilities.
    """
    (source,) = predictions_of([path], coding=coding, text=text, options=options)
    return source.responses


def classify(classifier: Classifier, texts: pd.DataFrame, *, name: str) -> Responses:
    """Let a classifier answer items: its most probable label of each.

    Parameters
    ----------
    classifier : Classifier
    texts : DataFrame
        Columns item, text and, for pairs, text_pair.
    name : str
        The model's.

    Returns
    -------
    Responses
        One row of raw labels, which a scale's key grades.

    Raises
    ------
    PredictionError
        If there is no column item, or the classifier gives no probabilities.
    """
    if "item" not in texts.columns:
        raise PredictionError(
            f"The texts have no column item; their columns are {listing(texts.columns, 12)}. "
            "Answers are matched by item id, never by their order."
        )
    items = [str(item) for item in texts["item"]]
    found = classifier.probabilities(texts)
    return most_probable(found, items, list(classifier.labels), name=name)


def predictions_of(
    paths: Sequence[str | Path],
    *,
    coding: Coding | None = None,
    text: TextFormat | None = None,
    options: LogOptions | None = None,
) -> list[Source]:
    """Read several sources of predictions, the logs among them together.

    Parameters
    ----------
    paths, coding, text, options
        As for `read_predictions`.

    Returns
    -------
    list of Source
        Tables first; all logs are one source, since a model's answers may be spread over several.

    Raises
    ------
    FileError
        If a file cannot be read.
    PredictionError
        If a form is not known, or probabilities are not probabilities.
    """
    kinds = [(Path(path), _kind(Path(path))) for path in paths]
    found: list[Source] = []
    logs = [path for path, kind in kinds if kind in ("folder", *READERS)]
    for path, kind in kinds:
        if kind == "arrays":
            found.append(Source(str(path), TITLES[kind], read_arrays(path)))
        elif kind == "table":
            table = read_table_of_predictions(path, coding=coding, text=text)
            found.append(Source(str(path), TITLES[kind], table))
    if logs:
        name = str(logs[0]) if len(logs) == 1 else f"{len(logs)} logs"
        found.append(Source(name, "evaluation logs", read_logs(logs, options=options)))
    return found


def _kind(path: Path) -> str:
    """Name the format of a source; a folder of several logs is one too."""
    run = path.is_dir() and not (path / STATISTICS).is_file()
    return "folder" if run else found_format(path)
