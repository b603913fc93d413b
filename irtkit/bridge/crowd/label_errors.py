"""`label_errors`: items whose gold label looks wrong, with the reasons.

Three kinds of evidence are joined. The crowd: most workers give another label. The items: able
workers get them "wrong" (negative item-rest correlation or slope) or they do not fit the model
(S-X2). A classifier: confident learning, by the package cleanlab (an extra), from its predicted
probabilities. None of them proves an error; a person decides.

References
----------
Northcutt, C. G., Jiang, L., & Chuang, I. L. (2021). Confident learning: Estimating uncertainty in
    dataset labels. Journal of Artificial Intelligence Research, 70, 1373-1411.
"""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.bridge.crowd.aggregation import shares
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.diagnostics.classical import classical_table
from irtkit.diagnostics.item_fit import item_fit
from irtkit.errors import ResponseError, count, listing
from irtkit.estimation.calibration import Calibration
from irtkit.responses import Responses

NEEDED = (
    "Confident learning needs cleanlab ({name} is not installed): "
    "pip install -c constraints.txt 'irtkit[labels]'."
)
SUM_TOLERANCE = 1e-3


def label_errors(
    crowd: CrowdLabels,
    *,
    calibration: Calibration | None = None,
    probabilities: pd.DataFrame | None = None,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """List items whose gold label may be wrong.

    Parameters
    ----------
    crowd : CrowdLabels
        With gold labels; items without one are left aside.
    calibration : Calibration, optional
        Of `crowd.to_responses()`: adds the slope and S-X2 of each item.
    probabilities : DataFrame, optional
        Indexed by item, one column a label: what a classifier that was not trained on the item
        predicts. Adds confident learning, which needs cleanlab.
    alpha : float
        Level of the adjusted p of S-X2 (Holm).

    Returns
    -------
    DataFrame
        Indexed by item, only those with a reason, most reasons first and then by the share of
        answers with the gold label: gold, suggested (the label of most workers or, where they
        agree with gold, the classifier's), share_gold, n_answers, item_rest,
        [discrimination, s_x2, p_adjusted], [p_gold], n_reasons, reasons (in words).

    Raises
    ------
    ResponseError
        If there are no gold labels, or the probabilities are none or lack items or labels.
    ModelError
        If the calibration does not fit the answers.
    """
    responses = crowd.to_responses()
    judged = crowd.select_items(responses.items)
    table, reasons = _of_crowd(judged)
    rest = classical_table(responses)["item_rest"].reindex(table.index)
    table["item_rest"] = rest
    _because(reasons, rest < 0, "item-rest correlation below 0")
    if calibration is not None:
        _of_items(table, reasons, responses, calibration, alpha)
    if probabilities is not None:
        _of_classifier(table, reasons, judged, probabilities)
    table["n_reasons"] = [len(why) for why in reasons]
    table["reasons"] = ["; ".join(why) for why in reasons]
    found = table[table["n_reasons"] > 0]
    return found.sort_values(["n_reasons", "share_gold"], ascending=[False, True], kind="stable")


def confident_errors(gold: IntArray, probabilities: FloatArray) -> BoolArray:
    """Mark items that a classifier confidently puts under another label, shape (I,).

    Confident learning: an item is marked if, among the labels whose probability reaches the mean
    that items of this label have, the most probable one is not its own.

    Raises
    ------
    ResponseError
        If cleanlab is not installed or refuses the labels.
    """
    try:
        cleanlab = importlib.import_module("cleanlab.filter")
    except ImportError as error:
        raise ResponseError(NEEDED.format(name=error.name or "cleanlab")) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            marked = cleanlab.find_label_issues(
                gold, probabilities, filter_by="confident_learning", n_jobs=1
            )
    except ValueError as error:
        raise ResponseError(f"cleanlab refuses these labels: {error}") from error
    return np.asarray(marked, dtype=bool)


def _of_crowd(crowd: CrowdLabels) -> tuple[pd.DataFrame, list[list[str]]]:
    """Gold label against the workers' answers, and the reasons begun."""
    share = shares(crowd.counts().counts)  # (I, L)
    names = np.array(crowd.label_set, dtype=object)
    own = share[np.arange(crowd.n_items), crowd.gold]
    table = pd.DataFrame(
        {
            "gold": names[crowd.gold],
            "suggested": names[np.nan_to_num(share, nan=-1.0).argmax(axis=1)],
            "share_gold": own,
            "n_answers": np.bincount(crowd.item, minlength=crowd.n_items),
        },
        index=pd.Index(crowd.items, name="item"),
    )
    reasons: list[list[str]] = [[] for _ in crowd.items]
    _because(reasons, pd.Series(share.max(axis=1) > own), "more workers give another label")
    return table, reasons


def _of_items(
    table: pd.DataFrame,
    reasons: list[list[str]],
    responses: Responses,
    calibration: Calibration,
    alpha: float,
) -> None:
    """Add slope and item fit."""
    slopes = pd.Series(calibration.slopes, index=list(calibration.items))
    table["discrimination"] = slopes.reindex(table.index)
    fit = item_fit(responses, calibration).reindex(table.index)
    table["s_x2"], table["p_adjusted"] = fit["s_x2"], fit["p_adjusted"]
    _because(reasons, table["discrimination"] < 0, "negative slope")
    _because(reasons, table["p_adjusted"] < alpha, f"S-X2 rejects at {alpha:g}")


def _of_classifier(
    table: pd.DataFrame, reasons: list[list[str]], crowd: CrowdLabels, given: pd.DataFrame
) -> None:
    """Add what a classifier predicts."""
    chance = _checked(given, crowd)  # (I, L)
    names = np.array(crowd.label_set, dtype=object)
    table["p_gold"] = chance[np.arange(crowd.n_items), crowd.gold]
    agree = table["suggested"] == table["gold"]
    table["suggested"] = np.where(agree, names[chance.argmax(axis=1)], table["suggested"])
    marked = confident_errors(crowd.gold, chance)
    _because(reasons, pd.Series(marked), "confident learning")


def _checked(given: pd.DataFrame, crowd: CrowdLabels) -> FloatArray:
    """Probabilities in the order of items and labels, or a refusal."""
    frame = given.set_axis([str(i) for i in given.index], axis="index")
    frame = frame.set_axis([str(name) for name in given.columns], axis="columns")
    lacking = [item for item in crowd.items if item not in frame.index]
    if lacking:
        raise ResponseError(
            f"{count(len(lacking), 'item')} without predicted probabilities: {listing(lacking)}."
        )
    if set(frame.columns) != set(crowd.label_set):
        raise ResponseError(
            f"The probabilities are of {listing(frame.columns, 12)}, the labels are "
            f"{listing(crowd.label_set, 12)}. Give one column a label."
        )
    chance = frame.loc[list(crowd.items), list(crowd.label_set)].to_numpy(dtype=np.float64)
    wrong = ~(np.abs(chance.sum(axis=1) - 1.0) < SUM_TOLERANCE) | (chance < 0).any(axis=1)
    if wrong.any():
        names = [crowd.items[place] for place in np.flatnonzero(wrong)]
        raise ResponseError(
            f"The probabilities of {count(len(names), 'item')} are negative or do not sum to 1: "
            f"{listing(names)}. Are they logits?"
        )
    return chance


def _because(reasons: list[list[str]], applies: pd.Series, reason: str) -> None:
    for why, true in zip(reasons, applies.fillna(False).tolist(), strict=True):
        if true:
            why.append(reason)
