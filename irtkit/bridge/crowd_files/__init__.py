"""`read_crowd`: files of crowd labels in, `CrowdLabels` or `LabelCounts` out.

The form is found from the content, and the first note says which it is and what was found.
`tables.py` reads long tables, `platforms.py` MTurk and Qualtrics, `annotation.py` Label Studio,
Argilla and LeWiDi, `inference.py` the corpora that only have counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from irtkit.bridge.crowd.counts import LabelCounts
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.bridge.crowd.rows import mapped
from irtkit.bridge.crowd_files import annotation, inference, platforms, tables
from irtkit.bridge.crowd_files.found import Answers, CrowdLayout, Cuts, Tallies
from irtkit.coding import Coding, Column
from irtkit.errors import FileError, ResponseError, ScaleError, count, listing, shown
from irtkit.io import TextFormat, read_key
from irtkit.io.documents import parsed
from irtkit.io.files import read_bytes
from irtkit.io.tables import PARQUET, PARQUET_NAMES, parquet_columns, record_columns, records
from irtkit.io.text import decoded, text_columns

__all__ = ["FORMS", "CrowdLayout", "Cuts", "read_crowd"]

FORMS = {
    "long": "a table with one row an answer",
    "mturk": "an MTurk batch",
    "qualtrics": "a Qualtrics export",
    "label-studio": "a Label Studio export",
    "argilla": "an Argilla export",
    "lewidi": "a LeWiDi set",
    "chaosnli": "ChaosNLI",
    "nli": "an NLI corpus with annotator labels",
}
TABLES = ("long", "mturk", "qualtrics")
JSON_LINES = (".jsonl", ".jsonlines", ".ndjson")


def read_crowd(
    path: str | Path | Sequence[str | Path],
    *,
    layout: CrowdLayout | None = None,
    key: str | Path | Mapping[str, str] | None = None,
    coding: Coding | None = None,
    repeats: str = "refuse",
    text: TextFormat | None = None,
) -> CrowdLabels | LabelCounts:
    """Read who labelled what, from any known form of file.

    Parameters
    ----------
    path : path or sequence of paths
        CSV, TSV, JSON lines (all may be gzipped), JSON or Parquet. Several files of one form are
        put together.
    layout : CrowdLayout, optional
        The form, and where in it things stand, where they are not found by themselves.
    key : path or mapping, optional
        Gold labels, in place of those in the file.
    coding : Coding, optional
        Label map, words for "no answer", normalisation.
    repeats : str
        Several labels of a worker for an item: "refuse", or keep the "first" or "last".
    text : TextFormat, optional
        Separator and encoding of text files.

    Returns
    -------
    CrowdLabels, or LabelCounts
        Counts where the file holds no worker ids (ChaosNLI, SNLI). The first note says what was
        found.

    Raises
    ------
    FileError
        If a file cannot be read.
    ResponseError
        If its form is unknown or its content has no single meaning; the message names the file.
    """
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    if not paths:
        raise ResponseError("No file was named.")
    layout, coding = layout or CrowdLayout(), coding or Coding()
    if layout.form is not None and layout.form not in FORMS:
        raise ResponseError(f"Unknown form {shown(layout.form)}; there is {listing(FORMS, 12)}.")
    gold = read_key(key, text) if isinstance(key, (str, Path)) else key
    found = [_read(Path(one), layout, text or TextFormat()) for one in paths]
    forms = {form for form, _ in found}
    if len({isinstance(part, Tallies) for _, part in found}) > 1:
        raise ResponseError(
            f"The files are {listing(sorted(forms))}: some name workers, some only count labels. "
            "Read them apart."
        )
    name = ", ".join(str(one) for one in paths[:3]) + (" ..." if len(paths) > 3 else "")
    try:
        parts = [_cut(part, layout.cuts) for _, part in found]
        made = _together(parts, gold, coding, repeats)
    except ResponseError as error:
        raise ResponseError(f"{name}: {error}") from error
    what = f"{name}: read as {' and '.join(FORMS[form] for form in sorted(forms))}; {_size(made)}."
    return replace(made, notes=(what, *made.notes))


def _read(path: Path, layout: CrowdLayout, text: TextFormat) -> tuple[str, Answers | Tallies]:
    """Read one file: its form, and what is in it."""
    content = read_bytes(path)
    name = path.name.removesuffix(".gz").lower()
    try:
        if name.endswith(PARQUET_NAMES) or content.startswith(PARQUET):
            return _of_table(parquet_columns(content), layout)
        if name.endswith(JSON_LINES):
            return _of_records(records(content, text.encoding), layout)
        if name.endswith(".json"):
            return _of_document(parsed(decoded(content, text.encoding)), layout)
        return _of_table(text_columns(content, text, tabs=name.endswith(".tsv")), layout)
    except (FileError, ResponseError) as error:
        raise type(error)(f"{path}: {error}") from error
    except ScaleError as error:  # from strict JSON
        raise ResponseError(f"{path}: {error}") from error


def _of_table(columns: list[Column], layout: CrowdLayout) -> tuple[str, Answers]:
    names = [column.name for column in columns]
    form = layout.form
    if form is None:
        if platforms.is_mturk(names):
            form = "mturk"
        elif platforms.is_qualtrics(columns):
            form = "qualtrics"
        elif tables.is_long(names) or layout.label is not None:
            form = "long"
        else:
            raise ResponseError(_unknown(names))
    if form == "mturk":
        return form, platforms.mturk_answers(columns, layout)
    if form == "qualtrics":
        return form, platforms.qualtrics_answers(columns, layout)
    if form == "long":
        return form, tables.long_answers(columns, layout)
    raise ResponseError(f"The file is a table, which {FORMS[form]} is not.")


def _unknown(names: Sequence[str]) -> str:
    return (
        f"The columns {listing(names, 12)} are of no form that irtkit knows. For one row an "
        "answer say which columns hold worker, item and label (--worker, --item, --label). A "
        "table with one column an item is read by read_responses, then "
        "CrowdLabels.from_responses."
    )


def _of_records(rows: list[dict[str, Any]], layout: CrowdLayout) -> tuple[str, Answers | Tallies]:
    """Tell records of different origin apart by their fields."""
    kinds = {
        "chaosnli": inference.is_chaos,
        "nli": inference.is_inference,
        "label-studio": annotation.is_label_studio,
        "argilla": annotation.is_argilla,
    }
    form = layout.form or next((name for name, test in kinds.items() if test(rows)), None)
    if form is None or form in TABLES:
        return _of_table(record_columns(rows), layout)
    if not kinds[form](rows):
        raise ResponseError(
            f"The first record is not of {FORMS[form]}; its fields are {listing(rows[0], 12)}."
        )
    if form == "chaosnli":
        return form, inference.chaos_tallies(rows)
    if form == "nli":
        return form, inference.inference_tallies(rows)
    if form == "label-studio":
        return form, annotation.label_studio_answers(rows, layout)
    return form, annotation.argilla_answers(rows, layout)


def _of_document(document: Any, layout: CrowdLayout) -> tuple[str, Answers | Tallies]:
    """Read a JSON document: a list of records, or a LeWiDi object."""
    if isinstance(document, list) and document and all(isinstance(d, dict) for d in document):
        return _of_records(document, layout)
    if annotation.is_lewidi(document) and layout.form in (None, "lewidi"):
        return "lewidi", annotation.lewidi_answers(document, layout)
    raise ResponseError(
        "The JSON is neither a list of records (Label Studio, Argilla) nor a LeWiDi set. Lines "
        "of JSON should be in a file named .jsonl."
    )


def _cut(part: Answers | Tallies, cuts: Cuts | None) -> Answers | Tallies:
    """Turn numbers into labels, if that was asked for."""
    if cuts is None:
        return part
    if isinstance(part, Tallies):
        raise ResponseError("These are counts of labels; only ratings can be cut.")
    return replace(part, frame=part.frame.assign(label=part.frame["label"].map(cuts.label)))


def _together(
    parts: Sequence[Answers | Tallies],
    key: Mapping[str, str] | None,
    coding: Coding,
    repeats: str,
) -> CrowdLabels | LabelCounts:
    """Put the content of all files together."""
    gold: dict[str, str] = {}
    for part in parts:
        for item, label in part.gold.items():
            if gold.setdefault(item, label) != label:
                raise ResponseError(f"The item {shown(item)} has two gold labels.")
    if key is not None:
        gold = dict(key)
    notes = tuple(note for part in parts for note in part.notes)
    if isinstance(parts[0], Tallies):
        made: CrowdLabels | LabelCounts = _counted(parts, gold, coding)
    else:
        frame = pd.concat([part.frame for part in parts], ignore_index=True)
        made = CrowdLabels.from_frame(frame, gold=gold, coding=coding, repeats=repeats)
    return replace(made, texts=_texts(parts, made.items), notes=(*notes, *made.notes))


def _counted(
    parts: Sequence[Answers | Tallies], gold: Mapping[str, str], coding: Coding
) -> LabelCounts:
    """Counts of all files, labels mapped and those of one name added up."""
    frame = pd.concat([part.frame for part in parts]).fillna(0.0)
    twice = frame.index[frame.index.duplicated()].unique()
    if len(twice):
        raise ResponseError(f"{count(len(twice), 'item')} counted twice: {listing(twice)}.")
    names = [mapped(str(name), coding) for name in frame.columns]
    frame = frame.T.groupby(names, sort=True).sum().T
    known = {item: mapped(label, coding) for item, label in gold.items() if label}
    return LabelCounts.from_frame(frame, gold=known)


def _texts(parts: Sequence[Answers | Tallies], items: Sequence[str]) -> pd.DataFrame | None:
    """Texts of the items that are there, in their order."""
    written = [part.texts for part in parts if part.texts is not None]
    if not written:
        return None
    texts = pd.concat(written, ignore_index=True).drop_duplicates(ignore_index=True)
    twice = texts["item"][texts["item"].duplicated()].unique()
    if len(twice):
        raise ResponseError(f"{count(len(twice), 'item')} with two texts: {listing(twice)}.")
    chosen = texts.set_index("item").reindex(list(items)).rename_axis("item")
    return chosen.reset_index()


def _size(made: CrowdLabels | LabelCounts) -> str:
    """Say how much was found."""
    gold = int((made.gold >= 0).sum())
    labels = f"{count(len(made.label_set), 'label')} ({listing(made.label_set, 6)})"
    what = f"{count(made.n_items, 'item')}, {labels}, gold for {gold:,}"
    if isinstance(made, LabelCounts):
        return f"{int(made.counts.sum()):,} answers of unknown workers to {what}"
    return f"{len(made.label):,} answers of {count(made.n_workers, 'worker')} to {what}"
