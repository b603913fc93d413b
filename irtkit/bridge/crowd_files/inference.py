"""Corpora of natural language inference with label counts and no worker ids.

ChaosNLI (100 labels a pair) and the JSON lines of SNLI, MNLI and their relatives (one to five).

References
----------
Nie, Y., Zhou, X., & Bansal, M. (2020). What can we learn from collective human opinions on
    natural language inference data? EMNLP, 9131-9143.
Bowman, S. R., Angeli, G., Potts, C., & Manning, C. D. (2015). A large annotated corpus for
    learning natural language inference. EMNLP, 632-642.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from irtkit.bridge.crowd_files.found import Tallies, gold_of, id_text, texts_of
from irtkit.errors import ResponseError, listing, shown

Record = Mapping[str, Any]


def is_chaos(rows: Sequence[Record]) -> bool:
    """Whether records are those of ChaosNLI."""
    return bool(rows) and {"uid", "label_counter"} <= set(rows[0])


def chaos_tallies(rows: Sequence[Record]) -> Tallies:
    """Count the labels of ChaosNLI; the label of the original corpus is gold.

    Raises
    ------
    ResponseError
        If a record lacks its counts.
    """
    counts = {}
    for record in rows:
        item, counter = id_text(record.get("uid")), record.get("label_counter")
        if not isinstance(counter, dict) or not counter:
            raise ResponseError(f"Item {shown(item)} has no label_counter.")
        if item in counts:
            raise ResponseError(f"Item {shown(item)} stands in the file twice.")
        counts[item] = counter
    examples = [record.get("example") or {} for record in rows]
    texts = None
    if all({"premise", "hypothesis"} <= set(example) for example in examples):
        pairs = [example["hypothesis"] for example in examples]
        texts = texts_of(counts, [example["premise"] for example in examples], pairs)
    gold = gold_of(counts, [record.get("old_label") for record in rows])
    return Tallies(_table(counts, gold), gold, texts)


def is_inference(rows: Sequence[Record]) -> bool:
    """Whether records are those of SNLI, MNLI and their relatives."""
    return bool(rows) and {"annotator_labels", "sentence1"} <= set(rows[0])


def inference_tallies(rows: Sequence[Record]) -> Tallies:
    """Count the annotator labels of SNLI and its relatives.

    Raises
    ------
    ResponseError
        If a record has no id or no labels, or an id stands there twice.
    """
    counts: dict[str, Mapping[str, int]] = {}
    for number, record in enumerate(rows, start=1):
        item, labels = record.get("pairID"), record.get("annotator_labels")
        if item is None or not isinstance(labels, list):
            raise ResponseError(f"Record {number} lacks its pairID or its annotator_labels.")
        if id_text(item) in counts:
            raise ResponseError(f"The pairID {shown(id_text(item))} stands in the file twice.")
        counts[id_text(item)] = Counter(str(label) for label in labels if label)
    gold = gold_of(counts, [record.get("gold_label") for record in rows])
    pairs = [record.get("sentence2") for record in rows]
    texts = texts_of(counts, [record.get("sentence1") for record in rows], pairs)
    return Tallies(_table(counts, gold), gold, texts)


def _table(counts: Mapping[str, Mapping[str, Any]], gold: Mapping[str, str]) -> pd.DataFrame:
    """Counts as a frame, zero where a label is not named, one that is only gold too."""
    for item, counter in counts.items():
        strange = [value for value in counter.values() if not _is_count(value)]
        if strange:
            raise ResponseError(
                f"The label counts of item {shown(item)} hold {listing(strange)}, no count."
            )
    labels = sorted({str(label) for counter in counts.values() for label in counter})
    labels += sorted(set(gold.values()) - set(labels))
    rows = [[counter.get(label, 0) for label in labels] for counter in counts.values()]
    return pd.DataFrame(rows, index=list(counts), columns=labels, dtype=np.float64)


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
