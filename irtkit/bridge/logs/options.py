"""`LogOptions`: which of the scores in an evaluation log count, and how they become answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from irtkit.errors import PredictionError, listing, shown

EPOCHS = ("first", "mean", "each")
DUPLICATES = ("refuse", "first", "last", "mean")
UNSCORED = ("missing", "wrong")
ITEM_NAMES = ("task", "plain")
IDENTITIES = ("stable", "id", "hash")
MOST_LEVELS = 101


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How evaluation logs are read.

    Parameters
    ----------
    metric : str, optional
        The score that counts: metric of lm-evaluation-harness and lighteval, scorer of Inspect
        (``scorer.key`` where its value has several), statistic of HELM, ``is_correct`` or
        ``score`` of Every Eval Ever. By default the usual one of each format; the notes say
        which. ``argmax`` grades lm-evaluation-harness multiple choice by its log-likelihoods.
    filter : str, optional
        Which of several gradings of the same answer: filter of lm-evaluation-harness (by default
        the first in the file), split of HELM (by default all), result id of Every Eval Ever.
    task : str, optional
        Only tasks whose name matches; ``*`` and ``?`` stand for any characters.
    threshold : float, optional
        A score of at least this counts as right (1), any other as wrong (0). Without it and
        without `levels` scores other than 0 and 1 are refused.
    levels : int, optional
        Grade scores from 0 to 1 into so many ordered categories, the nearest of equally spaced
        ones: with 3, scores up to .25 give 0, up to .75 give 1, others 2.
    epochs : str
        Of several trials of an item by a model, the "first" counts (the lowest number), or their
        "mean" score, or "each" becomes a row of its own.
    duplicates : str
        An item that a model answers in two files is an error ("refuse"); or the "first" or
        "last" counts, or their "mean" score. Files of a folder are read in the order of their
        names.
    unscored : str
        An answer without a score (an error, a limit, NaN, no answer) is "missing" or "wrong".
    item_names : str
        "task": ``task/id``; "plain": the id alone, for logs of one task.
    identity : str
        The item's id: the "stable" one of the format, its running "id" or a "hash" of content.

    Raises
    ------
    PredictionError
        If an option has no such value, or two exclude each other.
    """

    metric: str | None = None
    filter: str | None = None
    task: str | None = None
    threshold: float | None = None
    levels: int | None = None
    epochs: str = "first"
    duplicates: str = "refuse"
    unscored: str = "missing"
    item_names: str = "task"
    identity: str = "stable"

    def __post_init__(self) -> None:
        for name, known in (
            ("epochs", EPOCHS),
            ("duplicates", DUPLICATES),
            ("unscored", UNSCORED),
            ("item_names", ITEM_NAMES),
            ("identity", IDENTITIES),
        ):
            if (given := getattr(self, name)) not in known:
                raise PredictionError(
                    f"Unknown value {shown(given)} of {name}; there is {listing(known)}."
                )
        if self.threshold is not None and self.levels is not None:
            raise PredictionError(
                "Give a threshold (right or wrong) or levels (ordered categories), not both."
            )
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise PredictionError(f"The threshold {self.threshold} is not a finite number.")
        if self.levels is not None and not 2 <= self.levels <= MOST_LEVELS:
            raise PredictionError(
                f"{self.levels} levels were asked for; there may be 2 to {MOST_LEVELS}."
            )
