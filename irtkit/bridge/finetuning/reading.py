"""Reading fine-tuning sets back: folders with a card, JSON lines, and tables of labelled texts.

The other direction is `files.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from irtkit.bridge.finetuning.examples import FinetuningSet, labelled_set
from irtkit.errors import FileError, IrtkitError, ScaleError, count, listing
from irtkit.io.files import read_bytes
from irtkit.io.tables import read_table, records

CLASS = re.compile(r"^ +'(\d+)': (\".*\")$", re.MULTILINE)
NAMES = (str, int, np.integer)  # kinds of labels
LINES = (".jsonl", ".jsonlines", ".ndjson")
KEPT = ("weight", "difficulty", "discrimination")


def read_finetuning_set(path: str | Path, *, labels: Sequence[str] | None = None) -> FinetuningSet:
    """Read examples to train on.

    Parameters
    ----------
    path : path
        A folder or a .jsonl file that `write_finetuning_set` wrote, or a table (CSV, TSV, JSON
        lines, Parquet) of item, text, label and, for pairs, text_pair. Targets are the list
        `label_distribution`, or one column of shares for each label, where there are any.
    labels : sequence of str, optional
        The label set in the order of the shares. A folder's card knows it; of a table with
        labels by name, it is otherwise those that occur, in alphabetical order.

    Raises
    ------
    FileError
        If it cannot be read.
    ScaleError
        If columns, texts, labels or shares are not these.
    """
    path = Path(path)
    place = path
    if path.is_dir():
        place, known = _data_of(path), _labels_of(path)
        if labels is not None and tuple(labels) != known:
            raise ScaleError(
                f"{path} has the labels {listing(known, 12)}, in this order, and "
                f"{listing(labels, 12)} were given."
            )
        labels = known
    table = _table(place)
    try:
        return _examples(path.name.partition(".")[0], table, labels)
    except ScaleError as error:
        raise ScaleError(f"{path}: {error}") from error


def _data_of(folder: Path) -> Path:
    found = sorted((folder / "data").glob("train.*"))
    if len(found) != 1:
        raise FileError(
            f"{folder} holds {count(len(found), 'file')} data/train.*; a fine-tuning set has one."
        )
    return found[0]


def _labels_of(folder: Path) -> tuple[str, ...]:
    """Find the labels in the header of a folder's card."""
    card = read_bytes(folder / "README.md").decode("utf-8", errors="replace")
    header = card.split("\n---", 1)[0]
    found = {int(place): json.loads(name) for place, name in CLASS.findall(header)}
    if not found or sorted(found) != list(range(len(found))):
        raise FileError(f"The card {folder / 'README.md'} names no labels.")
    return tuple(found[place] for place in sorted(found))


def _table(path: Path) -> pd.DataFrame:
    """Read cells as they are: lists and numbers where the format has them."""
    name = path.name.removesuffix(".gz").lower()
    try:
        if name.endswith(LINES):
            return pd.DataFrame(records(read_bytes(path)))
        if name.endswith(".parquet"):
            return pd.read_parquet(BytesIO(read_bytes(path)), engine="pyarrow")
    except ImportError as error:
        raise FileError(
            "Reading Parquet needs pyarrow: pip install -c constraints.txt 'irtkit[parquet]'."
        ) from error
    except IrtkitError as error:
        raise type(error)(f"{path}: {error}") from error
    except (ValueError, OSError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    return read_table(path)


def _examples(name: str, table: pd.DataFrame, labels: Sequence[str] | None) -> FinetuningSet:
    """Make examples of a table whose labels are names, or places in the label set."""
    if "label" in table:
        bare = [n for n, label in enumerate(table["label"], 1) if not isinstance(label, NAMES)]
        if bare:
            raise ScaleError(
                f"{count(len(bare), 'example')} without a label that is a text or a number, such "
                f"as number {bare[0]}. Give each its label."
            )
        places = _places(table["label"].tolist())
        if places is None:
            table = table.assign(label=table["label"].map(str))
        if places is not None and labels is not None and not set(map(str, places)) <= set(labels):
            if not all(0 <= place < len(labels) for place in places):
                raise ScaleError(f"Labels are places in {listing(labels, 12)}, and some are not.")
            table = table.assign(label=[labels[place] for place in places])
        elif places is not None and labels is None:
            raise ScaleError(
                "The labels are numbers. Say with --labels A,B,... (in Python: labels) which "
                "labels they stand for, the one of 0 first."
            )
    if labels is None and "label" in table:
        labels = sorted({str(label) for label in table["label"]})
    labels = tuple(labels or ())
    if "label_distribution" not in table and labels and set(labels) <= set(table.columns):
        shares = table[list(labels)].astype(float).to_numpy()
        table = table.copy()
        table["label_distribution"] = shares.tolist()
    return _with_numbers(labelled_set(name, table, labels), table)


def _places(given: list[Any]) -> list[int] | None:
    """Give labels as whole numbers, if all of them are."""
    return (
        [int(x) for x in given] if all(isinstance(x, (int, np.integer)) for x in given) else None
    )


def _with_numbers(examples: FinetuningSet, table: pd.DataFrame) -> FinetuningSet:
    """Take over weights and item parameters, and say what the targets are."""
    rows = examples.rows.copy()
    for name in KEPT:
        if name in table:
            rows[name] = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
    gold = bool((examples.distributions.max(axis=1, initial=0.0) == 1.0).all())
    return FinetuningSet(examples.name, "gold" if gold else "crowd", examples.label_set, rows)
