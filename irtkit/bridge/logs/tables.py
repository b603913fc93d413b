"""Tables of predictions -> `Responses`: by item, or wide with a row a model.

A table by item has a column `item` and a label, a grade (0/1), or one probability a label; labels
are graded later, by a scale's key. A wide table, or a long one with the columns person, item and
answer, is what irtkit reads as answers anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.coding import MISSING_WORDS, Coding, Column, is_number
from irtkit.errors import PredictionError, ResponseError, count, listing, shown
from irtkit.io import TextFormat, read_columns
from irtkit.layout import Long, Wide
from irtkit.responses import Responses

SUM_TOLERANCE = 1e-3
RESERVED = ("item", "model", "label", "correct")
GRADES = {"0", "1", "0.0", "1.0", "True", "False", *MISSING_WORDS}
PERSONS = ("model", "person", "subject", "subject_id")  # first columns of wide tables


def read_table_of_predictions(
    path: str | Path, *, coding: Coding | None = None, text: TextFormat | None = None
) -> Responses:
    """Read one table; see `read_predictions`.

    Raises
    ------
    FileError
        If the file cannot be read.
    PredictionError
        If the form is not one of these, or probabilities are not probabilities.
    """
    if Path(path).suffix.lower() == ".json":
        raise PredictionError(
            f"{path} is JSON, but neither a log of Inspect nor statistics of HELM. Name the logs "
            "themselves, not their results; a table in JSON has one object a line (.jsonl)."
        )
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
    if known.keys() >= {"person", "item", "answer"}:
        return _without_shape_note(Responses.from_columns(columns, layout=Long(), coding=coding))
    if _is_wide(columns):
        return _without_shape_note(Responses.from_columns(columns, layout=Wide(), coding=coding))
    if "item" not in known:
        raise PredictionError(
            f"There is no column item; the columns are {listing(known, 12)}. Predictions are "
            "matched by item id, never by their order. (In a wide table, a row a model, the first "
            "column is named model or person.)"
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
    made = _without_shape_note(made)
    return replace(made, notes=(*made.notes, *notes))


def _is_wide(columns: Sequence[Column]) -> bool:
    """Whether a table has a row a model: it names them first, and nothing else of ours.

    The first column is called so, or holds names beside columns of nothing but 0 and 1.
    """
    if len(columns) < 2 or {"item", "label", "correct"} & {column.name for column in columns}:
        return False
    if columns[0].name in PERSONS:
        return True
    graded = all({*map(str, column.values)} <= GRADES for column in columns[1:])
    return graded and not any(is_number(str(value)) for value in columns[0].values)


def _without_shape_note(made: Responses) -> Responses:
    """Leave out that persons are few: models are."""
    kept = tuple(note for note in made.notes if not note.startswith("Fewer persons"))
    return replace(made, notes=kept)


def most_probable(
    probabilities: FloatArray, items: Sequence[str], labels: Sequence[str], *, name: str
) -> Responses:
    """Make one model's predictions from its probabilities: the most probable label of each item.

    Parameters
    ----------
    probabilities : array, shape (N, L)
        Rows sum to one; of equal largest ones the first label in alphabetical order counts, and
        the notes say how often.
    items : sequence of str
        Ids, N of them.
    labels : sequence of str
        Names, L of them, in the order of the columns.
    name : str
        The model's.

    Raises
    ------
    PredictionError
        If shapes or names contradict each other, or rows are no probabilities.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    if table.shape != (len(items), len(labels)):
        raise PredictionError(
            f"The probabilities have shape {table.shape}, but there are {len(items)} items and "
            f"{len(labels)} labels. Each item needs a row, each label a column."
        )
    clash = sorted({*RESERVED} & {*labels}) or [n for n in labels if labels.count(n) > 1]
    if clash:
        raise PredictionError(f"The labels {listing(clash)} stand twice, or for something else.")
    index = np.arange(len(items), dtype=np.int32)
    columns = [Column("item", index, tuple(items))]
    columns += [
        Column(label, index, tuple(table[:, place].tolist())) for place, label in enumerate(labels)
    ]
    try:
        return predictions(columns, name, Coding())
    except ResponseError as error:
        raise PredictionError(str(error)) from error


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
