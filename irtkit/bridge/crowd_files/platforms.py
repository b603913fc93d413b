"""Result files of survey and task platforms: MTurk batches and Qualtrics exports.

MTurk writes one row an assignment, with one item (`Input.x`, `Answer.y`) or several, numbered by
a suffix. Qualtrics writes one row a respondent below three header rows, one column a question.
Addresses and places of people are never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from irtkit.bridge.crowd_files.found import (
    Answers,
    CrowdLayout,
    cells_of,
    dropped,
    gold_of,
    needed,
    one_of,
    texts_of,
)
from irtkit.bridge.crowd_files.tables import unrejected
from irtkit.coding import Column
from irtkit.errors import ResponseError, listing, nearest, shown

TRUE_WORDS = ("true", "1", "on", "yes")
# bits of Qualtrics' status: 1 preview, 2 test, 4 imported, 8 spam, 16 offline
UNREAL_STATUS = 1 | 2 | 8
UNREAL_WORDS = ("preview", "spam", "test")
TIMING = ("_First Click", "_Last Click", "_Page Submit", "_Click Count", "_TEXT")
RESPONDENTS = ("prolific_pid", "workerid", "responseid")


def is_mturk(names: Sequence[str]) -> bool:
    """Whether columns are those of an MTurk batch."""
    answers = any(name.startswith("Answer.") for name in names)
    return answers and {"WorkerId", "AssignmentStatus"} <= set(names)


def mturk_answers(columns: Sequence[Column], layout: CrowdLayout) -> Answers:
    """Find the answers of an MTurk batch.

    Raises
    ------
    ResponseError
        If the answer could be one of several columns, or a pattern fits none.
    """
    known = {column.name: column for column in columns}
    worker = needed(known, ("workerid",), layout.worker, "worker")
    label = layout.label or _only_answer(known)
    kept, notes = unrejected(known, layout)
    parts, texts, certain = [], [], []
    for n in _numbers(label, known):
        part = _one_item(known, layout, label, n)
        part["worker"] = cells_of(known[worker])
        certain += part.pop("gold")
        texts.append(part.pop("texts"))
        parts.append(pd.DataFrame(part)[kept])
    written = [text for text in texts if text is not None]
    together = pd.concat(written, ignore_index=True).drop_duplicates() if written else None
    if together is not None and together["item"].duplicated().any():
        twice = together["item"][together["item"].duplicated()].unique()
        raise ResponseError(f"Items with two texts: {listing(twice)}. Is --item the right column?")
    gold = gold_of(*zip(*certain, strict=True)) if certain else {}
    return Answers(pd.concat(parts, ignore_index=True), gold, together, tuple(notes))


def _only_answer(known: Mapping[str, Column]) -> str:
    found = [name for name in known if name.startswith("Answer.")]
    if len(found) == 1:
        return found[0]
    raise ResponseError(
        f"The answers stand in {len(found)} columns: {listing(found)}. Say which holds the label "
        "(--label Answer.x), with {n} where items are numbered (--item Input.id_{n} --label "
        "Answer.x{n}), or with {label} where each label has a column (--label Answer.x.{label})."
    )


def _numbers(pattern: str, known: Mapping[str, Column]) -> list[str]:
    """Suffixes for which a pattern's column is there; one empty suffix without ``{n}``."""
    if "{n}" not in pattern:
        return [""]
    form = re.escape(pattern).replace(r"\{n\}", r"(\d+)").replace(r"\{label\}", ".+")
    found = {match[1] for name in known if (match := re.fullmatch(form, name))}
    if not found:
        raise ResponseError(
            f"No column is named like {shown(pattern)}; the columns are {listing(known, 30)}."
        )
    return sorted(found, key=int)


def _one_item(
    known: Mapping[str, Column], layout: CrowdLayout, label: str, n: str
) -> dict[str, Any]:
    """Items, labels, gold and texts of the answers with one suffix."""
    ids = cells_of(_column(known, (layout.item or "HITId").replace("{n}", n), "item"))
    if n and "{n}" not in (layout.item or ""):
        ids = [f"{hit}:{n}" for hit in ids]
    part: dict[str, Any] = {"item": ids, "label": _label_cells(known, label.replace("{n}", n))}
    seconds = one_of(known, ("worktimeinseconds",), None, "seconds")
    if seconds is not None and not n:
        part["seconds"] = cells_of(known[seconds])
    part["gold"], part["texts"] = [], None
    if layout.gold is not None:
        column = _column(known, layout.gold.replace("{n}", n), "gold")
        part["gold"] = list(zip(ids, cells_of(column), strict=True))
    if layout.text is not None:
        text = cells_of(_column(known, layout.text.replace("{n}", n), "text"))
        pair = None
        if layout.text_pair is not None:
            pair = cells_of(_column(known, layout.text_pair.replace("{n}", n), "text-pair"))
        part["texts"] = texts_of(ids, text, pair)
    return part


def _column(known: Mapping[str, Column], name: str, role: str) -> Column:
    if name not in known:
        raise ResponseError(
            f"There is no column {shown(name)} for the {role}; the columns are "
            f"{listing(known, 30)}.{nearest(name, known)}"
        )
    return known[name]


def _label_cells(known: Mapping[str, Column], name: str) -> list[Any]:
    """Labels of each row: the cells of a column, or which of several columns is true."""
    if "{label}" not in name:
        return cells_of(_column(known, name, "label"))
    form = re.escape(name).replace(r"\{label\}", "(.+)")
    found = {m[1]: cells_of(known[c]) for c in known if (m := re.fullmatch(form, c))}
    if not found:
        raise ResponseError(
            f"No column is named like {shown(name)}; the columns are {listing(known, 30)}."
        )
    labels: list[Any] = []
    for row in zip(*found.values(), strict=True):
        ticked = [word for word, cell in zip(found, row, strict=True) if _true(cell)]
        if len(ticked) > 1:
            raise ResponseError(
                f"Row {len(labels) + 1} ticks {listing(ticked)} at once. irtkit reads one label "
                "an answer."
            )
        labels.append(ticked[0] if ticked else None)
    return labels


def _true(cell: Any) -> bool:
    return str(cell).strip().lower() in TRUE_WORDS


def is_qualtrics(columns: Sequence[Column]) -> bool:
    """Whether columns are those of a Qualtrics export: the third header row holds import ids."""
    return any(
        len(column.index) >= 2 and "ImportId" in str(cells_of(column)[1]) for column in columns
    )


def qualtrics_answers(columns: Sequence[Column], layout: CrowdLayout) -> Answers:
    """Find the answers of a Qualtrics export: one item a question.

    Raises
    ------
    ResponseError
        If no column is a question, or respondents have no id.
    """
    known = {column.name: column for column in columns}
    worker = layout.worker or _respondent(known)
    if worker not in known:
        raise ResponseError(
            f"There is no column {shown(worker)} for the worker.{nearest(worker, known)}"
        )
    kept, notes = _real(known)
    questions = _questions(known, layout)
    ids = cells_of(known[worker])[2:]
    parts = []
    for name in questions:
        cells = cells_of(known[name])[2:]
        part = {"worker": ids, "item": [name] * len(ids), "label": cells}
        parts.append(pd.DataFrame(part, dtype=object)[kept])
    texts = texts_of(questions, [cells_of(known[name])[0] for name in questions])
    return Answers(pd.concat(parts, ignore_index=True), {}, texts, tuple(notes))


def _respondent(known: Mapping[str, Column]) -> str:
    plain = {name.lower(): name for name in known}
    found = next((plain[name] for name in RESPONDENTS if name in plain), None)
    if found is None:
        raise ResponseError("No column names the respondents. Say which (--worker NAME).")
    return found


def _real(known: Mapping[str, Column]) -> tuple[list[bool], list[str]]:
    """Mark respondents who are no preview, test or spam, and who finished."""
    size = len(next(iter(known.values())).index) - 2
    status = cells_of(known["Status"])[2:] if "Status" in known else [None] * size
    finished = cells_of(known["Finished"])[2:] if "Finished" in known else [None] * size
    unreal = [_unreal(cell) for cell in status]
    open_end = [str(cell).strip().lower() in ("0", "false", "no") for cell in finished]
    notes = dropped(sum(unreal), "preview, test or spam")
    stopped = [stop and not odd for stop, odd in zip(open_end, unreal, strict=True)]
    notes += dropped(sum(stopped), "the survey was not finished")
    return [not (a or b) for a, b in zip(unreal, open_end, strict=True)], notes


def _unreal(status: Any) -> bool:
    word = str(status).strip().lower()
    if word.isdigit():
        return bool(int(word) & UNREAL_STATUS)
    return any(unreal in word for unreal in UNREAL_WORDS)


def _questions(known: Mapping[str, Column], layout: CrowdLayout) -> list[str]:
    """Columns that hold answers: those of the pattern, else all choices that were asked."""
    if layout.label is not None:
        form = re.escape(layout.label).replace(r"\{n\}", r"\d+").replace(r"\*", ".*")
        found = [name for name in known if re.fullmatch(form, name)]
    else:
        found = [
            name
            for name, column in known.items()
            if "QID" in str(cells_of(column)[1]) and not name.endswith(TIMING)
        ]
    if not found:
        what = "Say which (--label 'Q{n}')." if layout.label is None else ""
        raise ResponseError(f"No column holds a question: {listing(known, 30)}. {what}".strip())
    return found
