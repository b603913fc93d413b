"""The plan of a CIFT experiment as a JSON file that names the files of its data.

Names of files are relative to the plan's folder. ::

    {
      "schema": "irtkit/cift-plan/1",
      "labels": ["contradiction", "entailment", "neutral"],
      "scales": ["scales/5C.json", "scales/5E.json", "scales/5N.json"],
      "texts": "items.csv",
      "source": "snli_train.jsonl",
      "development": "snli_dev.jsonl",
      "tests": {"SNLI test": "snli_test.jsonl"},
      "other": "sick.csv",
      "encoder": "encoders/minilm",
      "design": {"sizes": [100, 1000, 10000], "seeds": [0, 1, 2], "finetuning": {"epochs": 4}}
    }

Optional are `crowd` and all of `design`, whose fields are those of `CiftDesign`; its `pretraining`
and `finetuning` are those of `Training`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from irtkit.bridge.cift.plan import CiftDesign, CiftPlan
from irtkit.bridge.finetuning.examples import FinetuningSet, labelled_set
from irtkit.bridge.training.train import LoRA, Training
from irtkit.errors import IrtkitError, ScaleError, listing, nearest, shown
from irtkit.fields import Fields
from irtkit.io import read_scale
from irtkit.io.documents import read_json
from irtkit.io.files import read_bytes
from irtkit.io.tables import read_table, records

SCHEMA = "irtkit/cift-plan/1"


def read_plan(path: str | Path, *, device: str | None = None) -> CiftPlan:
    """Read a plan and all that it names.

    Parameters
    ----------
    path : path
    device : str, optional
        To train on, instead of the plan's.

    Raises
    ------
    FileError
        If a file cannot be read.
    ScaleError
        If a field is missing, unknown or of another kind; the message names the place.
    ModelError
        If the data do not fit each other; see `CiftPlan`.
    """
    path = Path(path)
    document = read_json(path)
    crowd, design = document.pop("crowd", None), document.pop("design", {})
    given = Fields(document)
    if (schema := given.text("schema")) != SCHEMA:
        raise ScaleError(f"{path} has the schema {shown(schema)}; a plan has '{SCHEMA}'.")
    here, labels = path.parent, given.texts("labels")
    scales = [here / name for name in given.texts("scales")]
    texts = here / given.text("texts")
    sets = {name: here / given.text(name) for name in ("source", "development", "other")}
    tests = _files(given.take("tests"), here)
    encoder = given.text("encoder")
    given.done()
    return CiftPlan(
        scales=tuple(read_scale(scale) for scale in scales),
        texts=read_table(texts),
        **{name: read_examples(file, labels) for name, file in sets.items()},
        tests=tuple(read_examples(file, labels, name=name) for name, file in tests.items()),
        encoder=str(here / encoder) if (here / encoder).is_dir() else encoder,
        crowd=None if crowd is None else read_examples(here / str(crowd), labels),
        design=_design(design, device),
    )


def read_examples(
    path: str | Path, labels: Sequence[str], *, name: str | None = None
) -> FinetuningSet:
    """Read labelled texts: item, text, text_pair, label and, if known, the crowd's shares.

    Shares are one column a label or, in JSON lines, a list `label_distribution` in the order of
    `labels`.
    """
    path = Path(path)
    name = path.name.partition(".")[0] if name is None else name
    if path.name.removesuffix(".gz").lower().endswith((".jsonl", ".jsonlines", ".ndjson")):
        try:
            table = pd.DataFrame(records(read_bytes(path)))
        except IrtkitError as error:
            raise type(error)(f"{path}: {error}") from error
    else:
        table = read_table(path)
    if set(labels) <= set(table.columns):
        shares = table[list(labels)].astype(float)
        table["label_distribution"] = shares.to_numpy().tolist()
    try:
        return labelled_set(name, table, labels)
    except ScaleError as error:
        raise ScaleError(f"{path}: {error}") from error


def _files(given: Any, here: Path) -> dict[str, Path]:
    if not isinstance(given, Mapping) or not all(isinstance(file, str) for file in given.values()):
        raise ScaleError("tests should be an object of names and files.")
    return {name: here / file for name, file in given.items()}


def _design(given: Any, device: str | None) -> CiftDesign:
    """Make a design of an object of its fields."""
    known = _checked(given, CiftDesign, "design")
    for name in ("pretraining", "finetuning"):
        method = _training(known.get(name, {}), getattr(CiftDesign(), name), f"design.{name}")
        known[name] = replace(method, device=device or method.device)
    for name, value in known.items():
        if isinstance(value, list):
            known[name] = tuple(value)
    if isinstance(known.get("seeds"), int):
        known["seeds"] = tuple(range(known["seeds"]))
    try:
        return replace(CiftDesign(), **known)
    except TypeError as error:
        raise ScaleError(f"The design has a value of the wrong kind: {error}.") from error


def _training(given: Any, start: Training, place: str) -> Training:
    known = _checked(given, Training, place)
    if known.get("lora") is not None:
        adapters = _checked(known["lora"], LoRA, f"{place}.lora")
        known["lora"] = LoRA(**{**adapters, "modules": tuple(adapters.get("modules", ()))})
    try:
        return replace(start, **known)
    except TypeError as error:
        raise ScaleError(f"{place} has a value of the wrong kind: {error}.") from error


def _checked(given: Any, kind: type, place: str) -> dict[str, Any]:
    """Return the fields of an object, all of which the dataclass must have."""
    if not isinstance(given, Mapping):
        raise ScaleError(f"{place} should be an object with named fields.")
    names = [field.name for field in fields(kind)]
    strange = [name for name in given if name not in names]
    if strange:
        raise ScaleError(
            f"Unknown fields in {place}: {listing(strange)}.{nearest(strange[0], names)} There "
            f"are {', '.join(names)}."
        )
    return dict(given)
