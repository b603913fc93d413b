"""A model's outputs -> `Responses`, ready for `scale_score`.

A prediction file names items and, for each, a label, a grade (0/1), or one probability a label.
Labels are graded later, by the scale's key. One small function a form; readers of evaluation
logs will stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from irtkit.coding import Coding, Column
from irtkit.errors import PredictionError, ResponseError, count, listing, shown
from irtkit.io import TextFormat, read_columns
from irtkit.layout import Long
from irtkit.responses import Responses

SUM_TOLERANCE = 1e-3
RESERVED = ("item", "model", "label", "correct")


def read_predictions(
    path: str | Path, *, coding: Coding | None = None, text: TextFormat | None = None
) -> Responses:
    """Read what one or several models answered.

    Parameters
    ----------
    path : path
        CSV, TSV, Parquet or JSONL with a column `item` and one of: `label` (raw label); `correct`
        (0 or 1); one column of probabilities per label, summing to one (in JSONL also an object
        `probabilities`). A column `model` tells several models apart; else the file's name is the
        model's.
    coding : Coding, optional
        Label map, words for missing answers, and the like.
    text : TextFormat, optional
        Separator and encoding.

    Returns
    -------
    Responses
        One row a model. Of equal largest probabilities the first label in alphabetical order
        counts; the notes say how often.

    Raises
    ------
    PredictionError
        If the form is not one of these, or probabilities are not probabilities.
    """
    try:
        columns = {column.name: column for column in read_columns(path, text=text)}
    except ResponseError as error:
        raise PredictionError(str(error)) from error
    name = Path(Path(path).name.removesuffix(".gz")).stem
    try:
        return predictions(list(columns.values()), name, coding or Coding())
    except (PredictionError, ResponseError) as error:
        raise PredictionError(f"{path}: {error}") from error


def predictions(columns: Sequence[Column], name: str, coding: Coding) -> Responses:
    """Make predictions from the columns of a table; see `read_predictions`."""
    known = {column.name: column for column in columns}
    if "item" not in known:
        raise PredictionError(
            f"There is no column item; the columns are {listing(known, 12)}. Predictions are "
            "matched by item id, never by their order."
        )
    item = known["item"]
    model = known.get("model", Column("model", np.zeros(len(item.index), np.int32), (name,)))
    forms = [form for form in ("label", "correct") if form in known]
    if len(forms) == 2:
        raise PredictionError("There are columns label and correct; keep the one to score.")
    notes: tuple[str, ...] = ()
    if forms == ["correct"]:
        answer = known["correct"]
    elif forms == ["label"]:
        answer = known["label"]
    else:
        answer, notes = _most_probable(known, coding)
    parts = [replace(model, name="model"), item, replace(answer, name="answer")]
    if forms != ["correct"]:
        coding = replace(coding, nominal=True)
    made = Responses.from_columns(parts, layout=Long(person="model"), coding=coding)
    return replace(made, notes=(*_without_shape_note(made), *notes))


def _without_shape_note(made: Responses) -> tuple[str, ...]:
    return tuple(note for note in made.notes if not note.startswith("Fewer persons"))


def _most_probable(known: dict[str, Column], coding: Coding) -> tuple[Column, tuple[str, ...]]:
    """Choose the label with the largest probability of each row.

    Where the label map makes one label of several, their probabilities add up.
    """
    names = {name: _mapped(name, coding) for name in known if name not in RESERVED}
    labels = sorted(set(names.values()))
    if len(names) < 2:
        raise PredictionError(
            f"The columns are {listing(known, 12)}. Give item with label, or with correct (0/1), "
            "or with one column of probabilities per label."
        )
    table = np.stack([_numbers(known[name]) for name in names], axis=1)  # (n, columns)
    empty = np.isnan(table).all(axis=1)
    _check_probabilities(table, empty, known["item"])
    same = np.array([[names[name] == label for label in labels] for name in names])
    table = table @ same  # (n, L)
    top = table.max(axis=1, where=~np.isnan(table), initial=-1.0)
    ties = int(((table == top[:, None]).sum(axis=1) > 1)[~empty].sum())
    choice = np.where(empty, -1, np.nan_to_num(table, nan=-1.0).argmax(axis=1)).astype(np.int32)
    notes: tuple[str, ...] = ()
    if ties:
        notes = (
            f"{count(ties, 'row')} with equal largest probabilities: the first label counts.",
        )
    return Column("answer", choice, tuple(labels)), notes


def _mapped(name: str, coding: Coding) -> str:
    label = coding.label_map.get(name, name)
    return label.strip().lower() if coding.normalise_labels else label


def _numbers(column: Column) -> np.ndarray:
    values = pd.to_numeric(pd.Series(column.values, dtype=object), errors="coerce").to_numpy(float)
    blank = [value is None or str(value).strip() == "" for value in column.values]
    for value, number, none in zip(column.values, values, blank, strict=True):
        if np.isnan(number) and not none:
            raise PredictionError(
                f"The column {shown(column.name)} holds {shown(value)}, which is no probability. "
                "Beside item, model, label and correct all columns are probabilities of labels."
            )
    return np.append(values, np.nan)[column.index]  # (n,)


def _check_probabilities(table: np.ndarray, empty: np.ndarray, item: Column) -> None:
    some = table[~empty]
    rows = np.flatnonzero(~empty)

    def named(bad: np.ndarray) -> str:
        return listing([item.values[item.index[row]] for row in rows[bad]])

    outside = ~((some >= 0) & (some <= 1)).all(axis=1)
    if outside.any():
        logits = " They look like logits: apply the softmax first." if outside.mean() > 0.2 else ""
        raise PredictionError(
            f"{count(int(outside.sum()), 'row')} with a value that is missing or not between 0 "
            f"and 1, items {named(outside)}; probabilities must be.{logits}"
        )
    off = np.abs(some.sum(axis=1) - 1.0) > SUM_TOLERANCE
    if off.any():
        raise PredictionError(
            f"The probabilities of {count(int(off.sum()), 'row')} do not sum to 1, for example "
            f"{some[off][0].sum():.4g}, items {named(off)}. Normalise them, or give all labels."
        )
