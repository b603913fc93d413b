"""Draw responses from a model with known parameters, for planning, teaching and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from irtkit.arrays import FloatArray, frozen
from irtkit.coding import MISSING
from irtkit.errors import ModelError
from irtkit.latent import Normal
from irtkit.models import ItemModel, SlopeRule
from irtkit.responses import Responses

LOG_SLOPE_SD = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Responses with the truth that made them.

    Attributes
    ----------
    responses : Responses
    model : ItemModel
    parameters : array, shape (I, D)
    theta : array, shape (P,)
    """

    responses: Responses
    model: ItemModel
    parameters: FloatArray
    theta: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", frozen(self.parameters))
        object.__setattr__(self, "theta", frozen(self.theta))

    def table(self) -> pd.DataFrame:
        """Return one row an item with the true parameters, named as in a calibration."""
        index = pd.Index(self.responses.items, name="item")
        return pd.DataFrame(self.model.columns(self.parameters), index=index)


def simulate(
    model: ItemModel,
    *,
    n_persons: int,
    n_items: int,
    seed: int | np.random.Generator,
    missing: float = 0.0,
    latent: Normal | None = None,
) -> Simulation:
    """Draw abilities, item parameters and answers.

    Parameters
    ----------
    model : ItemModel
        Slopes are lognormal(0, 0.3) if the model frees them, else 1; difficulties are N(0, 1).
    n_persons, n_items : int
    seed : int or Generator
        The same seed gives the same answers.
    missing : float
        Share of answers missing completely at random.
    latent : Normal, optional
        Where abilities are drawn from; N(0, 1) by default.
    """
    if n_persons < 1 or n_items < 1 or not 0.0 <= missing < 1.0:
        raise ModelError(
            f"Cannot simulate {n_persons} persons by {n_items} items with a share of {missing} "
            "missing: there must be at least one of each, and a share from 0 to below 1."
        )
    rng = np.random.default_rng(seed)
    latent = latent or Normal()
    theta = rng.normal(latent.mean, latent.standard_deviation, n_persons)  # (P,)
    slope = rng.lognormal(0.0, LOG_SLOPE_SD, n_items)  # (I,)
    if model.slope_rule is not SlopeRule.FREE:
        slope = np.ones(n_items)
    parameters = np.stack([slope, -slope * rng.normal(size=n_items)], axis=1)  # (I, 2)
    codes = answers(model, parameters, theta, rng)
    if missing:
        codes[rng.random(codes.shape) < missing] = MISSING
    responses = Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(1, n_persons + 1)),
        items=tuple(f"i{number}" for number in range(1, n_items + 1)),
    )
    return Simulation(responses, model, parameters, theta)


def answers(
    model: ItemModel, parameters: FloatArray, theta: FloatArray, rng: np.random.Generator
) -> npt.NDArray[np.int8]:
    """Draw the answers of persons with abilities theta (P,), shape (P, I)."""
    codes = np.empty((len(theta), len(parameters)), dtype=np.int8)
    for start in range(0, len(theta), 4096):
        part = slice(start, start + 4096)
        upto = np.cumsum(np.exp(model.log_prob(parameters, theta[part])), axis=2)  # (p, I, K)
        draw = rng.random(upto.shape[:2])[:, :, None]
        codes[part] = (draw > upto[:, :, :-1]).sum(axis=2)
    return codes
