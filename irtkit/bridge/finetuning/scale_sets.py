"""The items of evaluation scales, joined with their texts and a training target.

The target is the gold label ("gold"), the crowd's label distribution p(y) = N_y / N ("crowd") or
that distribution made softer ("soft", see `Soft`). Each row carries the item's difficulty and
discrimination, so that `selection.py` can order and choose by them. `snli_texts` finds the texts
of the published scales in a copy of SNLI. Training itself is elsewhere.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2018). Soft label memorization-generalization for natural language
    inference. arXiv:1702.08563.
Hinton, G., Vinyals, O., & Dean, J. (2015). Distilling the knowledge in a neural network.
    arXiv:1503.02531. (The temperature.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.bridge.finetuning.examples import (
    FinetuningSet,
    check_filled,
    checked_distributions,
    checked_texts,
    combined,
)
from irtkit.bridge.finetuning.leaks import check_leak
from irtkit.errors import ScaleError, count, listing, shown
from irtkit.io.documents import parsed
from irtkit.io.files import read_bytes
from irtkit.scale import EvaluationScale

TARGETS = ("gold", "crowd", "soft")
SNLI_COLUMNS = ("pairID", "sentence1", "sentence2")
PAIR_ID = re.compile(rb'"pairID"\s*:\s*"([^"\\]*)"')


@dataclass(frozen=True, slots=True)
class Soft:
    r"""How the crowd's shares are made softer: counts are smoothed, then tempered.

    .. math:: p_y \propto \left(\frac{N_y + s}{N + s L}\right)^{1/T}

    for counts N_y of L labels, N in all.

    Parameters
    ----------
    smoothing : float
        Answers s added to each label; zero adds none. With shares instead of counts (argument
        `shares` of `finetuning_set`) N is taken to be one.
    temperature : float
        T above one flattens the shares, below one sharpens them.
    """

    smoothing: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < np.inf or not 0 < self.temperature < np.inf:
            raise ScaleError(
                "Smoothing is a number from zero and temperature a number above zero; not "
                f"{self.smoothing} and {self.temperature}."
            )

    def distribution(self, counts: FloatArray) -> FloatArray:
        """Make counts (I, L) into distributions (I, L)."""
        with np.errstate(divide="ignore"):  # an unsmoothed label that nobody gave keeps no mass
            log = np.log(counts + self.smoothing) / self.temperature  # (I, L)
        powers = np.exp(log - log.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def finetuning_set(
    scale: EvaluationScale | Sequence[EvaluationScale],
    texts: Any,
    *,
    target: str = "gold",
    soft: Soft | None = None,
    shares: pd.DataFrame | None = None,
    held_out: EvaluationScale | Sequence[EvaluationScale] = (),
) -> FinetuningSet:
    """Join the items of one scale, or of several, with their texts and a training target.

    Parameters
    ----------
    scale : EvaluationScale or sequence of EvaluationScale
        Built from raw labels and a key, with the same labels.
    texts : dataframe
        Columns item, text and, for pairs, text_pair. Other items and columns are left aside.
    target : str
        "gold": all mass on the gold label; "crowd": the population's label distribution; "soft":
        that distribution smoothed and tempered.
    soft : Soft, optional
        How, for the target "soft".
    shares : DataFrame, optional
        Label distributions to use in place of the population's own, such as votes weighted by
        the workers' abilities: one row an item, one column a label.
    held_out : EvaluationScale or sequence of EvaluationScale
        Scales to measure on after training. None of the items may stand on them.

    Returns
    -------
    FinetuningSet
        In the scales' order. Difficulties of several scales are each on its own population's
        metric.

    Raises
    ------
    ScaleError
        If a scale has no key, texts are missing, or an item stands on two scales.
    ModelError
        If an item, by id or by text, also stands on a scale that is held out.
    """
    if target not in TARGETS:
        raise ScaleError(f"Unknown target {shown(target)}; there is {listing(TARGETS)}.")
    scales = _several(scale)
    if not scales:
        raise ScaleError("There is no scale to train on.")
    known = checked_texts(_of_items(texts, [*scales, *_several(held_out)]))
    softened = soft or Soft()
    sets = [_one_set(each, known, target, softened, shares) for each in scales]
    made = sets[0] if len(sets) == 1 else combined(" + ".join(s.name for s in scales), sets)
    for other in _several(held_out):
        check_leak(made, _texts(other, known), what=f"held-out scale {shown(other.name)}")
    return made


def _several(
    scale: EvaluationScale | Sequence[EvaluationScale],
) -> Sequence[EvaluationScale]:
    return [scale] if isinstance(scale, EvaluationScale) else list(scale)


def _one_set(
    scale: EvaluationScale,
    texts: pd.DataFrame,
    target: str,
    soft: Soft,
    shares: pd.DataFrame | None,
) -> FinetuningSet:
    calibration = scale.calibration
    if calibration.key is None:
        raise ScaleError(
            f"The scale '{scale.name}' has no key, so its items have no labels to train on. Build "
            "it from raw labels and a key."
        )
    rows = _texts(scale, texts)
    gold = np.array([calibration.label_set.index(label) for label in calibration.key])
    if target == "gold":
        distribution = np.eye(len(calibration.label_set))[gold]  # (I, L)
    else:
        distribution = _crowd(scale, shares, counts=target == "soft")
        distribution = soft.distribution(distribution) if target == "soft" else distribution
    table = calibration.table()
    rows["label"] = gold
    rows["label_distribution"] = list(distribution.tolist())
    rows["weight"] = 1.0
    rows["difficulty"] = table["difficulty"].to_numpy()
    rows["discrimination"] = table["discrimination"].to_numpy()
    return FinetuningSet(scale.name, target, calibration.label_set, rows)


def _crowd(scale: EvaluationScale, shares: pd.DataFrame | None, *, counts: bool) -> FloatArray:
    """Return shares of each label, (I, L), or where `counts` is said the counts behind them."""
    labels = list(scale.calibration.label_set)
    if shares is None:
        own = scale.label_distribution().to_numpy()  # refuses a scale without labels
        return scale.label_counts if counts and scale.label_counts is not None else own
    given = shares.set_axis(shares.index.astype(str))
    absent = [item for item in scale.items if item not in given.index]
    if absent or set(given.columns) != set(labels) or given.index.has_duplicates:
        raise ScaleError(
            f"The shares should have one row an item and the columns {listing(labels)}; they "
            f"have the columns {listing(given.columns)}"
            + (f" and no row for {listing(absent)}." if absent else ".")
        )
    chosen = given.loc[list(scale.items), labels].to_numpy(dtype=float)
    return checked_distributions(chosen, scale.items, len(labels))


def _of_items(texts: Any, scales: Sequence[EvaluationScale]) -> Any:
    """Return the rows of the scales' items: faults elsewhere in the texts are no matter."""
    table = nw.from_native(texts, eager_only=True)
    if "item" not in table.columns:
        return texts
    wanted = set(items_of(scales))
    hit = [str(item) in wanted for item in table["item"].to_list()]
    return table.filter(hit).to_native()


def _texts(scale: EvaluationScale, known: pd.DataFrame) -> pd.DataFrame:
    """Return item, text and text_pair of the scale's items, in the scale's order."""
    frame = known.set_index("item", drop=False)
    absent = [item for item in scale.items if item not in frame.index]
    if absent:
        raise ScaleError(
            f"{count(len(absent), 'item')} of the scale {shown(scale.name)} without a text: "
            f"{listing(absent)}."
        )
    chosen = frame.loc[list(scale.items)].reset_index(drop=True)
    check_filled(chosen)
    return chosen


def items_of(scales: Sequence[EvaluationScale]) -> list[str]:
    """List the items of scales, each once."""
    return list(dict.fromkeys(item for scale in scales for item in scale.items))


def snli_texts(paths: Sequence[str | Path], items: Sequence[str]) -> pd.DataFrame:
    """Find the texts of items named by SNLI pair ids in the JSONL files of SNLI.

    The published scales name their items by `pairID`; SNLI itself is a separate download.

    Parameters
    ----------
    paths : sequence of path
        Files such as snli_1.0_train.jsonl, with pairID, sentence1 and sentence2.
    items : sequence of str
        Pair ids, such as `scale.items`.

    Returns
    -------
    DataFrame
        item, text, text_pair, in the order of `items`.

    Raises
    ------
    ScaleError
        If a file has other columns, or an item is in none of the files.
    """
    wanted = set(items)
    found: dict[str, tuple[str, str]] = {}
    for path in paths:
        rows = _snli_rows(read_bytes(path), wanted)
        if rows is None:
            raise ScaleError(
                f"{path} has no line with {listing(SNLI_COLUMNS)}. Is it a JSONL file of SNLI?"
            )
        found |= rows
    absent = [item for item in items if item not in found]
    if absent:
        raise ScaleError(
            f"{count(len(absent), 'item')} in none of the files: {listing(absent)}. The published "
            "scales come from the training, development and test files together."
        )
    return pd.DataFrame([(i, *found[i]) for i in items], columns=["item", "text", "text_pair"])


def _snli_rows(content: bytes, wanted: set[str]) -> dict[str, tuple[str, str]] | None:
    """Read the wanted pairs; None where no line has the fields. Other lines are not parsed."""
    found: dict[str, tuple[str, str]] = {}
    seen = False
    for line in content.splitlines():
        pair = PAIR_ID.search(line)
        seen = seen or pair is not None
        if pair is None or pair[1].decode() not in wanted:
            continue
        row = parsed(line.decode())
        try:
            found[row["pairID"]] = (row["sentence1"], row["sentence2"])
        except (KeyError, TypeError):
            return None
    return found if seen else None
