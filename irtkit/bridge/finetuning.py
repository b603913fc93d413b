"""`FinetuningSet`: the texts of a scale's items with training targets.

The target is the gold label or the crowd's label distribution p(y) = N_y / N; each row carries
the item's difficulty and discrimination, so that a trainer can order or weight by them. Training
itself is elsewhere.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2018). Soft label memorization-generalization for natural language
    inference. arXiv:1702.08563.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from irtkit.errors import FileError, ScaleError, count, listing, shown
from irtkit.io.files import write_atomically, write_folder_atomically
from irtkit.scale import EvaluationScale

TARGETS = ("gold", "crowd")
FORMATS = ("parquet", "jsonl")


@dataclass(frozen=True, slots=True, eq=False)
class FinetuningSet:
    """Examples to train a classifier on, one row an item of a scale.

    Attributes
    ----------
    name : str
        The scale's name.
    target : str
        "gold" or "crowd": what `label_distribution` holds.
    label_set : tuple of str
        The labels; `label` is a position in it.
    rows : DataFrame
        item, text, text_pair (if there are pairs), label (gold), label_distribution (list of
        floats in the order of `label_set`), weight, difficulty, discrimination.
    """

    name: str
    target: str
    label_set: tuple[str, ...]
    rows: pd.DataFrame


def finetuning_set(scale: EvaluationScale, texts: Any, *, target: str = "gold") -> FinetuningSet:
    """Join a scale's items with their texts and a training target.

    Parameters
    ----------
    scale : EvaluationScale
        Built from raw labels and a key.
    texts : dataframe
        Columns item, text and, for pairs, text_pair. Other items and columns are left aside.
    target : str
        "gold": all mass on the gold label; "crowd": the population's label distribution.

    Raises
    ------
    ScaleError
        If the scale has no key, or texts are missing.
    """
    if target not in TARGETS:
        raise ScaleError(f"Unknown target {shown(target)}; there is {listing(TARGETS)}.")
    calibration = scale.calibration
    if calibration.key is None:
        raise ScaleError(
            f"The scale '{scale.name}' has no key, so its items have no labels to train on. Build "
            "it from raw labels and a key."
        )
    found = _texts(scale, texts)
    gold = np.array([calibration.label_set.index(label) for label in calibration.key])
    if target == "crowd":
        distribution = scale.label_distribution().to_numpy()  # (I, L)
    else:
        distribution = np.eye(len(calibration.label_set))[gold]  # (I, L)
    table = calibration.table()
    rows = pd.DataFrame({"item": list(scale.items)})
    for column in found.columns:
        rows[column] = found[column].to_numpy()
    rows["label"] = gold
    rows["label_distribution"] = list(distribution.tolist())
    rows["weight"] = 1.0
    rows["difficulty"] = table["difficulty"].to_numpy()
    rows["discrimination"] = table["discrimination"].to_numpy()
    return FinetuningSet(scale.name, target, calibration.label_set, rows)


def _texts(scale: EvaluationScale, texts: Any) -> pd.DataFrame:
    """Return text and text_pair of the scale's items, in the scale's order."""
    table = nw.from_native(texts, eager_only=True)
    lacking = [name for name in ("item", "text") if name not in table.columns]
    if lacking:
        raise ScaleError(
            f"The texts have no column {listing(lacking)}; their columns are "
            f"{listing(table.columns, 12)}. Name them item, text and, for pairs, text_pair."
        )
    names = [name for name in ("text", "text_pair") if name in table.columns]
    items = [str(item) for item in table["item"].to_list()]
    frame = pd.DataFrame({name: table[name].to_list() for name in names}, index=items)
    repeated = frame.index[frame.index.duplicated()].unique()
    if len(repeated):
        raise ScaleError(f"{count(len(repeated), 'item')} with two texts: {listing(repeated)}.")
    absent = [item for item in scale.items if item not in frame.index]
    if absent:
        raise ScaleError(
            f"{count(len(absent), 'item')} of the scale without a text: {listing(absent)}."
        )
    chosen = frame.loc[list(scale.items)]
    empty = [
        str(item)
        for item, row in zip(chosen.index, chosen.to_numpy().tolist(), strict=True)
        if not all(isinstance(text, str) and text.strip() for text in row)
    ]
    if empty:
        raise ScaleError(f"{count(len(empty), 'item')} with an empty text: {listing(empty)}.")
    return chosen


def write_finetuning_set(
    examples: FinetuningSet,
    path: str | Path,
    *,
    data_format: str = "parquet",
    overwrite: bool = False,
) -> None:
    """Write examples as a JSONL file, or as a folder that `datasets.load_dataset` reads.

    Parameters
    ----------
    examples : FinetuningSet
    path : path
        A name ending in .jsonl writes that one file; any other is a folder with the data and a
        card (README.md).
    data_format : str
        "parquet" (needs pyarrow) or "jsonl": the data inside the folder.
    overwrite : bool
        Replace what stands there; a folder only if it holds nothing but such a set.

    Raises
    ------
    FileError
        If something stands there, or the set cannot be written.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        if path.exists() and not overwrite:
            raise FileError(
                f"{path} exists. Say --overwrite to replace it, or choose another name."
            )
        write_atomically(path, jsonl(examples))
        return
    if data_format not in FORMATS:
        raise FileError(f"Unknown format {shown(data_format)}; there is {listing(FORMATS)}.")
    content = jsonl(examples) if data_format == "jsonl" else parquet(examples)
    files = {
        "README.md": card(examples, data_format).encode(),
        f"data/train.{data_format}": content,
    }
    _check_own(path, files)
    write_folder_atomically(path, files, overwrite=overwrite)


def _check_own(folder: Path, files: Mapping[str, bytes]) -> None:
    """Refuse to replace a folder that holds files of other names, their endings aside."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileError(f"{folder} is a link or a file, not a folder. Choose another name.")
    own = {Path(name).with_suffix("") for name in files}
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = sorted(path.relative_to(folder) for path in found)
    foreign = [str(name) for name in names if name.with_suffix("") not in own]
    if foreign:
        raise FileError(
            f"{folder} also holds {listing(foreign)}, which replacing it would delete. Choose "
            "another folder."
        )


def jsonl(examples: FinetuningSet) -> bytes:
    """Encode examples as JSON lines in UTF-8."""
    records = [
        {name: _or_null(value) for name, value in row.items()}
        for row in examples.rows.to_dict(orient="records")
    ]
    return "".join(
        json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in records
    ).encode()


def _or_null(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def parquet(examples: FinetuningSet) -> bytes:
    """Encode examples as Parquet.

    Raises
    ------
    FileError
        If pyarrow is not installed.
    """
    buffer = BytesIO()
    try:
        examples.rows.to_parquet(buffer, index=False, engine="pyarrow")
    except ImportError as error:
        raise FileError(
            "Writing Parquet needs pyarrow: pip install -c constraints.txt 'irtkit[parquet]'. Or "
            "choose the format jsonl."
        ) from error
    return buffer.getvalue()


def card(examples: FinetuningSet, data_format: str) -> str:
    """Write the dataset card: a YAML header that the `datasets` library reads, and a codebook."""
    names, title = examples.label_set, " ".join(examples.name.split())
    classes = "\n".join(f"          '{n}': {json.dumps(name)}" for n, name in enumerate(names))
    has_pair = "text_pair" in examples.rows.columns
    pair = "  - name: text_pair\n    dtype: string\n" if has_pair else ""
    what = {
        "gold": "all mass on the gold label",
        "crowd": "the share of the crowd's answers with each label",
    }[examples.target]
    return f"""---
pretty_name: {json.dumps(title, ensure_ascii=False)}
task_categories:
- text-classification
tags:
- item-response-theory
- soft-labels
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train.{data_format}
dataset_info:
  features:
  - name: item
    dtype: string
  - name: text
    dtype: string
{pair}  - name: label
    dtype:
      class_label:
        names:
{classes}
  - name: label_distribution
    list: float64
  - name: weight
    dtype: float64
  - name: difficulty
    dtype: float64
  - name: discrimination
    dtype: float64
---
# {_markdown(title)}: fine-tuning set

{len(examples.rows)} items of an evaluation scale, exported by irtkit. They were chosen by item
response theory; do not evaluate a model trained on them on the same scale.

| column | meaning |
|---|---|
| `item` | id of the item on the scale |
| `text`{", `text_pair`" if has_pair else ""} | what is classified |
| `label` | gold label, a position in: {_markdown(", ".join(names))} |
| `label_distribution` | training target, in the same order: {what} |
| `weight` | weight of the example |
| `difficulty`, `discrimination` | item parameters of the scale's model |
"""


def _markdown(text: str) -> str:
    """Write text so that a page shows it as it is: on one line, without HTML or table marks."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "&#124;")
