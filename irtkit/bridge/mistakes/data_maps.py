r"""Statistics of training dynamics, and their files as Dataset Cartography writes them.

With :math:`p_{en}` the probability of the gold label of example n after epoch e = 1 .. E and
:math:`r_{en}` whether the most probable label is the gold one:

- confidence is :math:`\bar p_n = \frac{1}{E} \sum_e p_{en}`;
- variability is :math:`\sqrt{\frac{1}{E} \sum_e (p_{en} - \bar p_n)^2}`;
- correctness is :math:`\sum_e r_{en}`, a number of epochs;
- a forgetting event is an epoch with :math:`r_{en} = 0` after one with :math:`r_{e-1,n} = 1`. An
  example that is never right is counted as forgotten infinitely often. One that is right once and
  never forgotten is unforgettable.

Cartography and Toneva et al. note predictions while an epoch runs, when an example's batch comes
up; here they are noted after the epoch, with the same weights for all examples and without
dropout. Early epochs differ most.

The files are ``dynamics_epoch_0.jsonl``, ``dynamics_epoch_1.jsonl``, ... with `guid`,
``logits_epoch_0`` ... and `gold`, a position. Epoch e1 is file 0. As logits, log-probabilities
are written: softmax gives the probabilities back.

References
----------
Swayamdipta, S., Schwartz, R., Lourie, N., Wang, Y., Hajishirzi, H., Smith, N. A., & Choi, Y.
    (2020). Dataset cartography: Mapping and diagnosing datasets with training dynamics. EMNLP
    2020. https://doi.org/10.18653/v1/2020.emnlp-main.746
Toneva, M., Sordoni, A., Tachet des Combes, R., Trischler, A., Bengio, Y., & Gordon, G. J. (2019).
    An empirical study of example forgetting during deep neural network learning. ICLR 2019.
    arXiv:1812.05159.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from irtkit.arrays import FloatArray
from irtkit.bridge.mistakes.record import MistakeRecord
from irtkit.errors import FileError, PredictionError, ResponseError, count, listing, shown
from irtkit.io.files import read_bytes, write_folder_atomically
from irtkit.io.tables import records

FILE_NAME = re.compile(r"dynamics_epoch_(0|[1-9][0-9]{0,5})\.jsonl")
SUBFOLDER = "training_dynamics"  # where Cartography puts the files
LEAST_LOG = math.log(np.finfo(np.float64).tiny)  # JSON has no infinity


def data_map(record: MistakeRecord) -> pd.DataFrame:
    """Summarise the training dynamics of each example.

    Returns
    -------
    DataFrame
        Index item; label (gold), category, confidence, variability (standard deviation over
        epochs, divisor E), correctness (number of epochs right), forgetting_events (infinite if
        never right), first_right (epoch, 0 if never).
    """
    right, probability = ~record.mistaken, record.gold_probability  # (E, N)
    forgotten = (right[:-1] & ~right[1:]).sum(axis=0)  # (N,)
    learnt = right.any(axis=0)  # (N,)
    return pd.DataFrame(
        {
            "label": [record.label_set[place] for place in record.gold],
            "category": record.categories,
            "confidence": probability.mean(axis=0),
            "variability": probability.std(axis=0),
            "correctness": right.sum(axis=0),
            "forgetting_events": np.where(learnt, forgotten, np.inf),
            "first_right": np.where(learnt, right.argmax(axis=0) + 1, 0),
        },
        index=pd.Index(record.items, name="item"),
    )


def write_data_map(record: MistakeRecord, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a record as a folder of files that Dataset Cartography reads.

    Cartography looks for them in a folder named ``training_dynamics``.

    Parameters
    ----------
    record : MistakeRecord
        A probability of 0 is written as the logarithm of the least positive number.
    folder : path
    overwrite : bool
        Replace such a folder; one that holds anything else is left alone.

    Raises
    ------
    FileError
        If something stands there, or it cannot be written.
    """
    folder = Path(folder)
    foreign = foreign_names(folder)
    if overwrite and foreign:
        raise FileError(
            f"{folder} also holds {listing(foreign)}, which replacing it would delete. Choose "
            "another folder."
        )
    files = {
        file_name(epoch): epoch_lines(record.items, record.gold.tolist(), table, epoch)
        for epoch, table in enumerate(record.probabilities)
    }
    write_folder_atomically(folder, files, overwrite=overwrite)


def foreign_names(folder: Path) -> list[str]:
    """List what a folder holds beside files of training dynamics."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not FILE_NAME.fullmatch(path.name))


def file_name(epoch: int) -> str:
    """Name the file of an epoch, counted from 0."""
    return f"dynamics_epoch_{epoch}.jsonl"


def epoch_lines(
    items: Sequence[str], gold: Sequence[int], probabilities: FloatArray, epoch: int
) -> bytes:
    """Encode the probabilities (N, L) after an epoch, counted from 0, as JSON lines."""
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(probabilities), LEAST_LOG).tolist()  # (N, L)
    name = f"logits_epoch_{epoch}"
    return "".join(
        json.dumps({"guid": item, name: row, "gold": label}, ensure_ascii=False) + "\n"
        for item, row, label in zip(items, logits, gold, strict=True)
    ).encode()


def read_data_map(folder: str | Path, *, label_set: Sequence[str] = ()) -> MistakeRecord:
    """Read a folder of training dynamics, ours or Cartography's.

    Parameters
    ----------
    folder : path
        Holds ``dynamics_epoch_X.jsonl``, X from 0 without a gap, or a folder
        ``training_dynamics`` that does. Examples may stand in any order; the first file's counts.
    label_set : sequence of str
        Names of the labels, in the order of the logits; "0", "1", ... by default.

    Raises
    ------
    FileError
        If there are no such files, one is missing, or cannot be read.
    PredictionError
        If the files are malformed or do not belong together.
    """
    paths = epoch_files(Path(folder)) or epoch_files(Path(folder) / SUBFOLDER)
    if not paths:
        raise FileError(f"{folder} holds no training dynamics: there is no file {file_name(0)}.")
    tables = [_epoch_table(path, number) for number, path in enumerate(paths)]
    first, guids = tables[0], pd.Index(tables[0]["guid"])
    logits = []
    for path, table in zip(paths, tables, strict=True):
        places = pd.Index(table["guid"]).get_indexer(guids)
        if len(table["guid"]) != len(guids) or (places < 0).any():
            raise PredictionError(
                f"{path} holds other examples than the file of the first epoch: "
                f"{count(len(table['guid']), 'example')}, not {len(guids):,}, or other ids. Keep "
                "the files of one training in one folder."
            )
        if table["logits"].shape != first["logits"].shape:
            raise PredictionError(f"{path} has another number of labels than the first file.")
        if (table["gold"][places] != first["gold"]).any():
            raise PredictionError(f"{path} gives other gold labels than the first file.")
        logits.append(table["logits"][places])
    names = tuple(label_set) or tuple(map(str, range(first["logits"].shape[1])))
    probabilities = softmax(np.stack(logits), axis=-1)  # (E, N, L)
    try:
        return MistakeRecord(tuple(guids), names, first["gold"], probabilities)
    except PredictionError as error:
        raise PredictionError(f"{folder}: {error}") from error


def epoch_files(folder: Path) -> list[Path]:
    """List the files of training dynamics in a folder, in the order of epochs.

    Raises
    ------
    FileError
        If the file of an epoch before the last is not there.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    numbers = {int(match[1]) for match in map(FILE_NAME.fullmatch, names) if match}
    last = max(numbers, default=-1)
    absent = [file_name(number) for number in range(last) if number not in numbers]
    if absent:
        raise FileError(
            f"{folder} lacks {listing(absent)}: epochs are counted from 0 there, and without one "
            "the others cannot be told apart."
        )
    return [folder / file_name(number) for number in range(last + 1)]


def _epoch_table(path: Path, number: int) -> dict[str, Any]:
    """Read one file: guid as list of str, gold (N,) and logits (N, L)."""
    content = read_bytes(path)
    if not content.strip():
        raise PredictionError(f"{path} is empty.")
    try:
        rows = records(content)
    except ResponseError as error:
        raise PredictionError(f"{path}: {error}") from error
    name = f"logits_epoch_{number}"
    for line, row in enumerate(rows, start=1):
        problem = _problem(row, name, len(rows[0].get(name) or ()))
        if problem:
            raise PredictionError(f"{path}: Record {line} {problem}.")
    guids = [str(row["guid"]) for row in rows]
    repeated = pd.Index(guids)[pd.Index(guids).duplicated()].unique()
    if len(repeated):
        raise PredictionError(f"{path} names examples twice: {listing(repeated)}.")
    return {
        "guid": guids,
        "gold": np.array([row["gold"] for row in rows], dtype=np.int64),
        "logits": np.array([row[name] for row in rows], dtype=np.float64),
    }


def _problem(row: dict[str, Any], name: str, n_labels: int) -> str:
    """Say what is wrong with a record, or nothing."""
    lacking = [field for field in ("guid", name, "gold") if row.get(field) is None]
    if lacking:
        return f"has no {listing(lacking)}; its fields are {listing(row, 12)}"
    logits, gold = row[name], row["gold"]
    numbers = isinstance(logits, list) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in logits
    )
    if not numbers or len(logits) != n_labels or n_labels < 2:
        return f"should hold {max(n_labels, 2)} numbers in {name}, one a label"
    if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < n_labels:
        return f"has the gold label {shown(gold)}, which is no position from 0 to {n_labels - 1}"
    return ""
