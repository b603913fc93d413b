"""Exports of annotation tools: Label Studio, Argilla 1 and 2, and the LeWiDi shared tasks.

One label an annotator and item: choices and ratings. Spans, rankings and several labels at once
are refused. Ground-truth annotations are gold, not answers; predictions are left aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from irtkit.bridge.crowd_files.found import (
    Answers,
    CrowdLayout,
    answers_of,
    dropped,
    gold_of,
    id_text,
    texts_of,
)
from irtkit.errors import ResponseError, listing, nearest, shown

Record = Mapping[str, Any]


def is_label_studio(rows: Sequence[Record]) -> bool:
    """Whether records are tasks of Label Studio."""
    return bool(rows) and isinstance(rows[0].get("data"), dict) and "annotations" in rows[0]


def label_studio_answers(rows: Sequence[Record], layout: CrowdLayout) -> Answers:
    """Find the choices and ratings of a Label Studio export (JSON, not JSON-MIN).

    Raises
    ------
    ResponseError
        If several questions were asked and none is named, or an answer holds several labels.
    """
    found: list[dict[str, Any]] = []
    certain: list[tuple[str, str]] = []
    cancelled = 0
    for task in rows:
        item = _own_id(task, layout, task.get("data") or {})
        for annotation in task.get("annotations") or []:
            if annotation.get("was_cancelled"):
                cancelled += 1
                continue
            for label in _studio_labels(annotation.get("result") or [], layout, item):
                if annotation.get("ground_truth"):
                    certain.append((item, label))
                    continue
                worker = _annotator(annotation.get("completed_by"), item)
                found.append({"worker": worker, "item": item, "label": label})
                found[-1]["seconds"] = annotation.get("lead_time")
    fields = [(_own_id(task, layout, task.get("data") or {}), task["data"]) for task in rows]
    gold = gold_of(*zip(*certain, strict=True)) if certain else _given_gold(fields, layout)
    notes = tuple(dropped(cancelled, "skipped by the annotator"))
    return answers_of(found, gold=gold, texts=_texts(fields, layout), notes=notes)


def _studio_labels(result: Sequence[Record], layout: CrowdLayout, item: str) -> Iterator[str]:
    names = sorted({str(part.get("from_name")) for part in result if _is_choice(part)})
    if layout.label is None and len(names) > 1:
        raise ResponseError(
            f"Item {shown(item)} was asked several questions: {listing(names)}. Say which holds "
            "the label (--label NAME)."
        )
    for part in result:
        if not _is_choice(part) or layout.label not in (None, part.get("from_name")):
            continue
        value = part["value"]
        labels = value.get("choices", [value.get("rating")])
        if len(labels) != 1:
            raise ResponseError(_several(item, labels))
        yield id_text(labels[0])


def _is_choice(part: Record) -> bool:
    return part.get("type") in ("choices", "rating") and isinstance(part.get("value"), dict)


def _annotator(given: Any, item: str) -> str:
    """Id of who annotated: a number, or an object with one; never the address beside it."""
    who = given.get("id") if isinstance(given, dict) else given
    if who is None:
        raise ResponseError(
            f"An annotation of item {shown(item)} does not say by whom (completed_by). Export "
            "with annotators."
        )
    return id_text(who)


def is_argilla(rows: Sequence[Record]) -> bool:
    """Whether records are those of an Argilla export."""
    return bool(rows) and bool(_questions(rows))


def argilla_answers(rows: Sequence[Record], layout: CrowdLayout) -> Answers:
    """Find the submitted responses of an Argilla export, version 1 or 2.

    Raises
    ------
    ResponseError
        If several questions were asked and none is named.
    """
    questions = _questions(rows)
    if layout.label is None and len(questions) > 1:
        raise ResponseError(
            f"The records hold several questions: {listing(questions)}. Say which holds the "
            "label (--label NAME)."
        )
    question = layout.label or questions[0]
    if question not in questions:
        raise ResponseError(
            f"There is no question {shown(question)}; there is {listing(questions, 12)}."
            f"{nearest(question, questions)}"
        )
    found, fields, unfinished = [], [], 0
    for number, record in enumerate(rows, start=1):
        inner = record["fields"] if isinstance(record.get("fields"), dict) else record
        item = _own_id(record, layout, inner, number)
        fields.append((item, inner))
        for worker, label, status in _argilla_votes(record, question):
            if status not in (None, "submitted"):
                unfinished += 1
                continue
            if isinstance(label, (list, dict)):
                raise ResponseError(_several(item, [label]))
            found.append({"worker": id_text(worker), "item": item, "label": label})
    notes = tuple(dropped(unfinished, "draft or discarded"))
    gold = _given_gold(fields, layout)
    return answers_of(found, gold=gold, texts=_texts(fields, layout), notes=notes)


def _questions(rows: Sequence[Record]) -> list[str]:
    """Names of the questions that any record answers."""
    names: dict[str, None] = {}
    for record in rows:
        nested = record.get("responses")
        if isinstance(nested, dict) and "fields" in record:
            names |= dict.fromkeys(map(str, nested))
        for name, value in record.items():
            if name.endswith(".responses"):
                names[name.removesuffix(".responses")] = None
            elif _is_first_version(value):
                names[name] = None
    return list(names)


def _is_first_version(value: Any) -> bool:
    """Whether a field holds responses of Argilla 1: user ids, values and states."""
    one = value[0] if isinstance(value, list) and value else value
    return isinstance(one, dict) and {"user_id", "value", "status"} <= set(one)


def _argilla_votes(record: Record, question: str) -> Iterator[tuple[Any, Any, str | None]]:
    """Worker, label and state of each response to a question."""
    nested = record.get("responses")
    if isinstance(nested, dict) and "fields" in record:
        for vote in nested.get(question) or []:
            yield vote.get("user_id"), vote.get("value"), vote.get("status")
        return
    flat = record.get(f"{question}.responses")
    if flat is not None:
        users = record.get(f"{question}.responses.users") or [None] * len(flat)
        states = record.get(f"{question}.responses.status") or [None] * len(flat)
        yield from zip(users, flat, states, strict=True)
        return
    first = record.get(question) or []
    if isinstance(first, dict):
        yield from zip(first["user_id"], first["value"], first["status"], strict=True)
        return
    for vote in first:
        yield vote["user_id"], vote["value"], vote["status"]


def is_lewidi(document: Any) -> bool:
    """Whether a document is a set of the LeWiDi shared tasks."""
    one = next(iter(document.values()), None) if isinstance(document, dict) else None
    return isinstance(one, dict) and {"annotations", "annotators"} <= set(one)


def lewidi_answers(document: Mapping[str, Record], layout: CrowdLayout) -> Answers:
    """Find the annotations of a LeWiDi file (2023 or 2025).

    Raises
    ------
    ResponseError
        If annotators and annotations differ in number, or one holds several labels.
    """
    found, fields = [], []
    for item, record in document.items():
        given, who = record["annotations"], str(record["annotators"])
        if isinstance(given, str):
            labels, names = given.split(","), who.split(",")
            if len(labels) != len(names):
                raise ResponseError(
                    f"Item {shown(item)} has {len(names)} annotators and {len(labels)} "
                    "annotations."
                )
            given = dict(zip(names, labels, strict=True))
        for worker, label in given.items():
            if isinstance(label, (list, dict)):
                raise ResponseError(_several(item, [label]))
            found.append({"worker": worker.strip(), "item": item, "label": str(label).strip()})
        text = record.get("text")
        fields.append((item, text if isinstance(text, dict) else {"text": text}))
    gold = gold_of(
        list(document), [record.get(layout.gold or "hard_label") for record in document.values()]
    )
    return answers_of(found, gold=gold, texts=_texts(fields, layout))


def _own_id(record: Record, layout: CrowdLayout, inner: Record, number: int | None = None) -> str:
    """Id of an item: the field asked for, else the record's own id, else its number."""
    if layout.item is not None:
        for part in (inner, record):
            if part.get(layout.item) is not None:
                return id_text(part[layout.item])
        raise ResponseError(
            f"A record has no field {shown(layout.item)} for the item; its fields are "
            f"{listing([*record, *inner], 30)}."
        )
    found = record.get("id", inner.get("id", number))
    if found is None:
        raise ResponseError("A record has no id. Say which field holds it (--item NAME).")
    return id_text(found)


def _given_gold(fields: Sequence[tuple[str, Record]], layout: CrowdLayout) -> dict[str, str]:
    if layout.gold is None:
        return {}
    return gold_of([item for item, _ in fields], [inner.get(layout.gold) for _, inner in fields])


def _texts(fields: Sequence[tuple[str, Record]], layout: CrowdLayout) -> pd.DataFrame | None:
    """Texts of the items: the fields asked for, else the one named text."""
    name = layout.text or "text"
    if not all(isinstance(inner.get(name), str) for _, inner in fields):
        if layout.text is None:
            return None
        raise ResponseError(f"A record has no text {shown(layout.text)}.")
    pairs = None
    if layout.text_pair is not None:
        pairs = [inner.get(layout.text_pair) for _, inner in fields]
    return texts_of([item for item, _ in fields], [inner[name] for _, inner in fields], pairs)


def _several(item: str, labels: Sequence[Any]) -> str:
    return (
        f"An annotation of item {shown(item)} holds {listing(labels)}. irtkit reads one label an "
        "annotator; export a question with a single choice."
    )
