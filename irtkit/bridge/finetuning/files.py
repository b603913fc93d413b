"""Fine-tuning sets as files: JSON lines, Parquet, a folder that the `datasets` library loads.

A folder holds the data and a card (README.md) whose header names the columns and the labels.
Writing is atomic; a folder is replaced only if it holds nothing but such a set.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.errors import FileError, listing, shown
from irtkit.io.files import write_atomically, write_folder_atomically

FORMATS = ("parquet", "jsonl")


def write_finetuning_set(
    examples: FinetuningSet,
    path: str | Path,
    *,
    data_format: str = "parquet",
    overwrite: bool = False,
) -> None:
    """Write examples as one file, or as a folder that `datasets.load_dataset` reads.

    Parameters
    ----------
    examples : FinetuningSet
    path : path
        A name ending in .jsonl or .parquet writes that one file; any other is a folder with the
        data and a card (README.md).
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
    if data_format not in FORMATS:
        raise FileError(f"Unknown format {shown(data_format)}; there is {listing(FORMATS)}.")
    data_format = path.suffix[1:] if is_one_file(path) else data_format
    if is_one_file(path) and path.exists() and not overwrite:
        raise FileError(f"{path} exists. Say --overwrite to replace it, or choose another name.")
    content = jsonl(examples) if data_format == "jsonl" else parquet(examples)
    if is_one_file(path):
        write_atomically(path, content)
        return
    files = {
        "README.md": card(examples, data_format).encode(),
        f"data/train.{data_format}": content,
    }
    _check_own(path, files)
    write_folder_atomically(path, files, overwrite=overwrite)


def is_one_file(path: str | Path) -> bool:
    """Tell whether a name is that of one file of data, not of a folder with a card."""
    return Path(path).suffix in tuple(f".{name}" for name in FORMATS)


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
        "soft": "the crowd's shares, smoothed, tempered or weighted",
    }.get(examples.target, "a distribution over the labels")
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

{_origin(examples)}

| column | meaning |
|---|---|
| `item` | id of the item on the scale |
| `text`{", `text_pair`" if has_pair else ""} | what is classified |
| `label` | gold label, a position in: {_markdown(", ".join(names))} |
| `label_distribution` | training target, in the same order: {what} |
| `weight` | weight of the example |
| `difficulty`, `discrimination` | item parameters of the scale's model |
"""


def _origin(examples: FinetuningSet) -> str:
    """Say where the examples come from: only scales give difficulties."""
    n = len(examples.rows)
    if examples.rows["difficulty"].isna().all():
        return f"{n} labelled examples, exported by irtkit."
    return (
        f"{n} items of an evaluation scale, exported by irtkit. They were chosen by item\n"
        "response theory; do not evaluate a model trained on them on the same scale."
    )


def _markdown(text: str) -> str:
    """Write text so that a page shows it as it is: on one line, without HTML or table marks."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "&#124;")
