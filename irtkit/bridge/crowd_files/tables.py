"""Long tables of crowd labels: one row an answer, in CSV, TSV, JSON lines or Parquet.

Column names that tools use are known: crowd-kit's task, worker, label; the RTE files of Snow and
others (2008), `!amt_worker_ids`, `orig_id`, `response`, `gold`; and plain words.

References
----------
Snow, R., O'Connor, B., Jurafsky, D., & Ng, A. Y. (2008). Cheap and fast - but is it good?
    Evaluating non-expert annotations for natural language tasks. EMNLP, 254-263.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
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
from irtkit.coding import Column

WORKERS: tuple[str, ...] = (
    *("worker", "worker_id", "workerid", "!amt_worker_ids", "annotator", "annotator_id"),
    *("performer", "person", "user", "userid", "user_id"),
)
ITEMS = ("item", "item_id", "task", "task_id", "example", "orig_id")
LABELS = ("label", "answer", "response", "annotation", "rating")
GOLD = ("gold", "truth", "gold_label", "true_label")
STATUS = ("status", "assignmentstatus")
SECONDS = ("seconds", "worktimeinseconds", "lead_time")


def long_answers(columns: Sequence[Column], layout: CrowdLayout) -> Answers:
    """Find who gave which item which label.

    Raises
    ------
    ResponseError
        If a column is absent, or could be one of several.
    """
    known = {column.name: column for column in columns}
    item = needed(known, ITEMS if "item" not in _plain(known) else ITEMS[:1], layout.item, "item")
    places = {
        "worker": needed(known, WORKERS, layout.worker, "worker"),
        "item": item,
        "label": needed(known, LABELS, layout.label, "label"),
        "seconds": one_of(known, SECONDS, None, "seconds"),
    }
    frame = pd.DataFrame(
        {
            role: pd.Series(cells_of(known[name]), dtype=object)
            for role, name in places.items()
            if name
        }
    )
    kept, notes = unrejected(known, layout)
    gold = one_of(known, GOLD, layout.gold, "gold")
    labels = {} if gold is None else gold_of(frame["item"], cells_of(known[gold]))
    return Answers(frame[kept], labels, table_texts(known, frame["item"], layout), tuple(notes))


def is_long(names: Sequence[str]) -> bool:
    """Whether columns look like one row an answer."""
    plain = {name.strip().lower() for name in names}
    return all(plain & set(known) for known in (WORKERS, ITEMS, LABELS))


def unrejected(known: Mapping[str, Column], layout: CrowdLayout) -> tuple[np.ndarray, list[str]]:
    """Mark the rows that the requester did not reject, and say how many were."""
    status = next((name for name in known if name.strip().lower() in STATUS), None)
    if status is None or layout.keep_rejected:
        size = len(next(iter(known.values())).index)
        return np.ones(size, dtype=bool), []
    cells = cells_of(known[status])
    rejected = np.array([str(cell).strip().lower() == "rejected" for cell in cells])
    return ~rejected, dropped(int(rejected.sum()), "rejected by the requester")


def table_texts(
    known: Mapping[str, Column], items: Sequence[object] | pd.Series, layout: CrowdLayout
) -> pd.DataFrame | None:
    """Gather the texts of the items, if the table has any."""
    text = one_of(known, ("text",), layout.text, "text")
    if text is None:
        return None
    pair = one_of(known, ("text_pair",), layout.text_pair, "text-pair")
    pairs = None if pair is None else cells_of(known[pair])
    return texts_of(items, cells_of(known[text]), pairs)


def _plain(known: Mapping[str, Column]) -> set[str]:
    return {name.strip().lower() for name in known}
