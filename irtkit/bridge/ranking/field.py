r"""A scale made of the models themselves, in the unit of their field.

With few models and many items only priors keep the slopes in place, and the priors of all items
together outweigh the one assumption that abilities are N(0, 1): they decide where zero lies and
how long a unit is. (Measured: 44 models had mean 2.2 and SD 1.7 with the usual priors, so that
the average model stood at percentile 98.) `field_method` moves the priors instead. With mean m
and SD s of the models' posteriors, centres c of difficulties and l of log-slopes become

.. math:: c \leftarrow (c - m) / s, \qquad l \leftarrow l + \log s

until m is 0 and s is 1: then the priors no longer pull at the scale. What the scale says is
relative to these models: N(0, 1) is this field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from irtkit.errors import ModelError
from irtkit.estimation import MML, Calibration, Priors, calibrate
from irtkit.latent import Normal
from irtkit.models import ItemModel
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.screening import Decision, Screening, screen
from irtkit.screening.objections import Observation, Rule

NEAR = 0.02  # of mean 0 and SD 1, in units of theta
MOST_ROUNDS = 12
LOOSE = 1e-4  # tolerance of calibrations that only place the priors
LONGEST = 4.0  # times a step, at most, where steps shrink slowly


def field_method(responses: Responses, model: ItemModel, method: MML | None = None) -> MML:
    """Return a method whose priors give these models mean 0 and SD 1.

    Parameters
    ----------
    responses : Responses
        One row a model.
    model : ItemModel
    method : MML, optional
        With priors on slopes and difficulties, `Priors.small_sample()` by default; their widths
        and all else stay.

    Raises
    ------
    ModelError
        If the method has no such priors, or a latent distribution other than "normal".
    """
    method = method or MML(priors=Priors.small_sample())
    slope, difficulty = method.priors.slope, method.priors.difficulty
    if slope is None or difficulty is None or method.latent != "normal":
        raise ModelError(
            "Priors can be moved only where slopes and difficulties have one and the ability "
            "distribution is normal. Use MML(priors=Priors.small_sample())."
        )
    centre = np.array([difficulty.mean, slope.mean])
    before = np.zeros(2)
    for _ in range(MOST_ROUNDS):
        method = _centred(method, centre)
        quick = replace(method, standard_errors=None, tolerance=max(method.tolerance, LOOSE))
        mean, spread = field_moments(responses, calibrate(responses, model, method=quick))
        if _near(mean, spread):
            break
        step = np.array([(centre[0] - mean) / spread - centre[0], math.log(spread)])
        centre = centre + step * _stretch(step, before)
        before = step
    return method


def _stretch(step: np.ndarray, before: np.ndarray) -> np.ndarray:
    """How much longer steps may be that shrink by a steady share: 1 / (1 - share) (Aitken)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(before != 0.0, step / before, 0.0)
    steady = (share > 0.0) & (share < 1.0)
    return np.where(steady, np.minimum(1.0 / (1.0 - np.where(steady, share, 0.0)), LONGEST), 1.0)


def _centred(method: MML, centre: np.ndarray) -> MML:
    priors = method.priors
    assert priors.slope is not None
    assert priors.difficulty is not None
    moved = replace(
        priors,
        slope=replace(priors.slope, mean=float(centre[1])),
        difficulty=Normal(float(centre[0]), priors.difficulty.standard_deviation),
    )
    return replace(method, priors=moved)


def _near(mean: float, spread: float) -> bool:
    return abs(mean) < NEAR and abs(spread - 1.0) < NEAR


def field_moments(responses: Responses, calibration: Calibration) -> tuple[float, float]:
    """Mean and SD of the abilities of all models, from their posteriors.

    Both in units of the ability distribution: 0 and 1 where the models are as it says.
    """
    latent = calibration.latent
    scores = score(responses, calibration)
    weights = responses.weights * (scores.n_answered > 0)
    mean = float(np.average(scores.theta, weights=weights))
    square = np.average((scores.theta - mean) ** 2 + scores.standard_error**2, weights=weights)
    scale = latent.standard_deviation
    return (mean - latent.mean) / scale, float(np.sqrt(square)) / scale


def screen_field(
    responses: Responses,
    model: ItemModel,
    rules: Sequence[Rule | Observation],
    *,
    method: MML | None = None,
    decisions: Sequence[Decision] = (),
    progress: Callable[[str], None] | None = None,
) -> Screening:
    """Screen items by the models that answered them, in the unit of their field.

    The priors are centred on all items first; then, with what the rules keep, on those, and all
    items are screened again. `build_scale` makes a scale of the result.

    Parameters
    ----------
    responses : Responses
        One row a model.
    model : ItemModel
    rules : sequence of Rule or Observation
        For example `preset("leaderboard")`.
    method : MML, optional
        See `field_method`.
    decisions : sequence of Decision
        An analyst's, as in `screen`.
    progress : callable, optional
        Called with a sentence at each step.

    Raises
    ------
    NothingKept
        If too few items are left to calibrate.
    """
    tell = progress or _silent
    tell("placing the priors")
    method = field_method(responses, model, method)

    def screened(method: MML) -> Screening:
        return screen(
            responses, model, rules, method=method, decisions=decisions, progress=progress
        )

    found = screened(method)
    if _near(*field_moments(found.responses, found.calibration)):
        return found
    tell("placing the priors for the items kept")
    return screened(field_method(found.responses, model, method))


def _silent(sentence: str) -> None:
    pass
