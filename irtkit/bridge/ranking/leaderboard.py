"""`leaderboard`: many models on one scale, with ranks and all that makes them doubtful.

The scale may come from people, or from the models themselves (`field.py`). Comparisons of two
models are in `paired.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.bridge.ranking.ability_differences import Abilities, abilities
from irtkit.bridge.ranking.clusters import clustered_mean, credits, membership
from irtkit.bridge.ranking.ranks import ranks
from irtkit.diagnostics.person_fit import person_fit
from irtkit.errors import PredictionError
from irtkit.estimation.calibration import Calibration, matched
from irtkit.norms import percentiles
from irtkit.responses import Responses
from irtkit.scale import EvaluationScale, scale_score
from irtkit.scoring import Scores

FIT = ["lz", "infit", "outfit"]


def leaderboard(
    responses: Responses,
    scale: EvaluationScale,
    *,
    item_draws: int = 0,
    clusters: Mapping[str, str] | None = None,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """Rank models on a scale.

    Parameters
    ----------
    responses : Responses
        One row a model; items that are not on the scale are ignored.
    scale : EvaluationScale
    item_draws : int
        Draw the item parameters so often, so that errors and ranks include the items'
        uncertainty: wanted where few models calibrated the scale.
    clusters : mapping of str to str, optional
        The cluster of each item, such as its passage. Standard errors then allow for dependent
        answers within clusters.
    seed : int or Generator
        For the draws.

    Returns
    -------
    DataFrame
        Indexed by model, the ablest first: rank, rank_low and rank_high (95%, for all models at
        once; see `ranks.py`), theta, standard_error, theta_low, theta_high, percentile with its
        interval, percentile_empirical (share of the scale's population strictly below), accuracy
        on the scale's items and its error, n_answered, lz, infit and outfit (person fit: lz far
        below 0 means answers that the scale does not expect at this ability), at_ceiling,
        at_floor.

    Raises
    ------
    PredictionError
        If no item matches, labels are unknown, or a model answered too few items.
    """
    number = int(np.random.default_rng(seed).integers(2**31))
    placed = scale_score(responses, scale, item_draws=item_draws, seed=number)
    known, part = matched(graded_answers(responses, scale), scale.calibration)
    members = membership(known.items, clusters)
    able = abilities(known, part, item_draws=item_draws, clusters=members, seed=number)
    scores = placed.scores if members is None else _widened(placed.scores, able)
    standing = percentiles(scores, scale.calibration.latent, scale.norms)
    order = ranks(able.theta, able.variances)
    accuracy, error = _accuracy(known, part, members)
    table = pd.DataFrame(
        {
            "rank": order.rank,
            "rank_low": order.low,
            "rank_high": order.high,
            **{name: column for name, column in scores.table().items() if name != "n_answered"},
            "percentile": standing.percentile,
            "percentile_low": standing.percentile_low,
            "percentile_high": standing.percentile_high,
            "percentile_empirical": placed.percentiles.percentile_empirical,
            "accuracy": accuracy,
            "accuracy_error": error,
            "n_answered": scores.n_answered,
            **person_fit(known, part)[FIT],
            "at_ceiling": placed.at_ceiling,
            "at_floor": placed.at_floor,
        },
        index=pd.Index(responses.persons, name="model"),
    )
    return table.sort_values(["rank", "accuracy"], ascending=[True, False], kind="stable")


def graded_answers(responses: Responses, scale: EvaluationScale) -> Responses:
    """Return the answers to the scale's items, graded by its key where they are raw labels.

    Raises
    ------
    PredictionError
        If no item is on the scale.
    """
    answered = set(responses.items)
    chosen = [item for item in scale.items if item in answered]
    if not chosen:
        raise PredictionError(f"No item that was answered is on the scale '{scale.name}'.")
    part = responses.select_items(chosen)
    key = scale.calibration.key
    if part.labels is None or part.key is not None or key is None:
        return part
    return part.graded_by(dict(zip(scale.items, key, strict=True)))


def _widened(scores: Scores, able: Abilities) -> Scores:
    """Scores whose errors and intervals allow for dependence within clusters."""
    error = np.maximum(able.standard_error(), scores.standard_error)
    wider = error / scores.standard_error
    return replace(
        scores,
        standard_error=error,
        low=scores.theta - wider * (scores.theta - scores.low),
        high=scores.theta + wider * (scores.high - scores.theta),
    )


def _accuracy(
    responses: Responses, calibration: Calibration, members: object
) -> tuple[FloatArray, FloatArray]:
    """Share of the credit of each model (P,), with its standard error."""
    parts = [
        clustered_mean(credits(codes, calibration.assignment), members)[:2]
        for _, codes in responses.blocks()
    ]
    mean, error = (np.concatenate(column) for column in zip(*parts, strict=True))
    return mean, error
