r"""How far workers agree: per item (entropy, disagreement) and as a whole (kappa, alpha).

`item_agreement` describes items, `crowd_agreement` the whole crowd with bootstrap intervals over
items. All are functions of label counts, so the workers need not be known. Krippendorff's alpha
is written out here because the package that has it is under the GPL, which irtkit is not; a test
compares the numbers.

References
----------
Fleiss, J. L. (1971). Measuring nominal scale agreement among many raters. Psychological Bulletin,
    76(5), 378-382.
Krippendorff, K. (2019). Content analysis: An introduction to its methodology (4th ed.), ch. 12.
    Sage.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.bridge.crowd.counts import LabelCounts
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.coding import is_number
from irtkit.errors import ResponseError, listing, shown

LEVELS = ("nominal", "ordinal", "interval")
INTERVAL = (2.5, 97.5)
BLOCK_DRAWS = 64


def item_agreement(crowd: CrowdLabels | LabelCounts) -> pd.DataFrame:
    """Describe how far the answers to each item agree.

    Returns
    -------
    DataFrame
        Indexed by item: n_answers, n_labels (that were given), top_share (share of the commonest
        label), entropy (bits), disagreement (share of pairs of answers that differ; NaN with
        fewer than two answers).
    """
    counts = crowd if isinstance(crowd, LabelCounts) else crowd.counts()
    table = counts.counts
    total = table.sum(axis=1)
    with np.errstate(invalid="ignore"):
        top = table.max(axis=1) / total
    return pd.DataFrame(
        {
            "n_answers": total,
            "n_labels": (table > 0).sum(axis=1),
            "top_share": top,
            "entropy": entropy(table),
            "disagreement": disagreement(table),
        },
        index=pd.Index(counts.items, name="item"),
    )


def crowd_agreement(
    crowd: CrowdLabels | LabelCounts,
    *,
    level: str = "nominal",
    n_draws: int = 500,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    r"""Agreement of the whole crowd, corrected for chance.

    Parameters
    ----------
    crowd : CrowdLabels or LabelCounts
    level : str
        What a difference between two labels counts in Krippendorff's alpha: "nominal" (1),
        "interval" (the squared difference of their numbers), "ordinal" (by how many answers lie
        between them). The last two need labels that are numbers.
    n_draws : int
        Bootstrap samples of items for the intervals; 0 leaves them NaN.
    seed : int or Generator

    Returns
    -------
    DataFrame
        Indexed by coefficient (observed, fleiss_kappa, krippendorff_alpha): value, low, high (95%
        interval), n_items, n_answers. Only items with two or more answers count. Where numbers of
        answers differ, observed agreement and chance in kappa are means over items of the share
        of agreeing pairs and of the label shares. NaN where all answers are the same.

    Raises
    ------
    ResponseError
        If no item has two answers, or the level does not fit the labels.
    """
    counts = crowd if isinstance(crowd, LabelCounts) else crowd.counts()
    table = counts.counts[counts.n_answers() >= 2]  # (I, L)
    if not len(table):
        raise ResponseError(
            "No item was labelled twice, so nothing says whether workers agree. Collect several "
            "labels an item."
        )
    values = _values(counts.label_set, level)
    order = np.argsort(values, kind="stable")
    table, values = table[:, order], values[order]
    found = _coefficients(np.ones((1, len(table))), table, values, level)[0]  # (3,)
    low, high = np.full((2, 3), np.nan)
    if n_draws:
        draws = _bootstrapped(table, values, level, n_draws, np.random.default_rng(seed))
        with np.errstate(all="ignore"):
            usable = np.isfinite(draws).all(axis=1)
        if usable.any():
            low, high = np.percentile(draws[usable], INTERVAL, axis=0)
    return pd.DataFrame(
        {
            "value": found,
            "low": low,
            "high": high,
            "n_items": len(table),
            "n_answers": int(table.sum()),
        },
        index=pd.Index(["observed", "fleiss_kappa", "krippendorff_alpha"], name="coefficient"),
    )


def entropy(counts: FloatArray) -> FloatArray:
    """Entropy of the label shares of each item in bits, shape (I,); NaN without answers."""
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = counts / total
        bits = -np.where(share > 0, share * np.log2(share), 0.0).sum(axis=1)
    return np.where(total[:, 0] > 0, np.abs(bits), np.nan)


def disagreement(counts: FloatArray) -> FloatArray:
    """Share of pairs of answers that differ, shape (I,); NaN with fewer than two answers."""
    total = counts.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        agree = (counts * (counts - 1.0)).sum(axis=1) / (total * (total - 1.0))
    return np.where(total >= 2, 1.0 - agree, np.nan)


def fleiss_kappa(counts: FloatArray) -> float:
    """Fleiss' kappa of counts (I, L), each item with two or more answers."""
    return float(_coefficients(np.ones((1, len(counts))), counts, np.arange(0.0), "nominal")[0, 1])


def krippendorff_alpha(counts: FloatArray, values: FloatArray, level: str = "nominal") -> float:
    """Krippendorff's alpha of counts (I, L); `values` (L,) are the labels' numbers, rising."""
    return float(_coefficients(np.ones((1, len(counts))), counts, values, level)[0, 2])


def _coefficients(
    weights: FloatArray, counts: FloatArray, values: FloatArray, level: str
) -> FloatArray:
    """Observed agreement, kappa and alpha for each weighting of the items (D, I), shape (D, 3)."""
    total = counts.sum(axis=1)  # (I,)
    share = counts / total[:, None]
    size = weights.sum(axis=1)  # (D,)
    observed = weights @ (1.0 - disagreement(counts)) / size
    chance = ((weights @ share / size[:, None]) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = (observed - chance) / (1.0 - chance)
    return np.stack([observed, kappa, _alpha(weights, counts, values, level)], axis=1)


def _alpha(weights: FloatArray, counts: FloatArray, values: FloatArray, level: str) -> FloatArray:
    """Krippendorff's alpha for each weighting of the items, shape (D,)."""
    n_labels = counts.shape[1]
    pairs = weights @ coincidences(counts).reshape(len(counts), -1)  # (D, L L)
    together = pairs.reshape(-1, n_labels, n_labels)
    margin = together.sum(axis=2)  # (D, L)
    n = margin.sum(axis=1)  # (D,)
    distance = _distances(margin, values, level)  # (D, L, L)
    apart = margin[:, :, None] * margin[:, None, :]
    seen = (together * distance).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1.0 - (n - 1.0) * seen / (apart * distance).sum(axis=(1, 2))


def coincidences(counts: FloatArray) -> FloatArray:
    """Ordered pairs of answers to each item, each answer counting once, shape (I, L, L)."""
    total = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]  # (I, L, L)
    place = np.arange(counts.shape[1])
    pairs[:, place, place] -= counts
    return pairs / (total - 1.0)[:, None, None]


def _distances(margin: FloatArray, values: FloatArray, level: str) -> FloatArray:
    """Squared distance of two labels, shape (D or 1, L, L); zero on the diagonal."""
    if level == "nominal":
        return 1.0 - np.eye(margin.shape[1])[None]
    if level == "interval":
        return ((values[:, None] - values[None, :]) ** 2)[None]
    below = np.cumsum(margin, axis=1) - margin / 2.0  # (D, L): mid-ranks
    return (below[:, :, None] - below[:, None, :]) ** 2


def _bootstrapped(
    table: FloatArray, values: FloatArray, level: str, n_draws: int, rng: np.random.Generator
) -> FloatArray:
    """Coefficients of bootstrap samples of items, shape (D, 3), in blocks."""
    even = np.full(len(table), 1.0 / len(table))
    parts = []
    for start in range(0, n_draws, BLOCK_DRAWS):
        size = min(BLOCK_DRAWS, n_draws - start)
        weights = rng.multinomial(len(table), even, size).astype(np.float64)  # (D, I)
        parts.append(_coefficients(weights, table, values, level))
    return np.concatenate(parts)


def _values(label_set: tuple[str, ...], level: str) -> FloatArray:
    """Numbers behind the labels; their order alone for nominal labels."""
    if level not in LEVELS:
        raise ResponseError(f"Unknown level {shown(level)}; there is {listing(LEVELS)}.")
    if level == "nominal":
        return np.arange(float(len(label_set)))
    strange = [label for label in label_set if not is_number(label)]
    if strange:
        raise ResponseError(
            f"Alpha for {level} labels needs numbers, but there is {listing(strange)}. Map the "
            "labels to numbers (--label-map), or take the level nominal."
        )
    return np.array([float(label) for label in label_set])
