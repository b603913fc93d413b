"""Draw responses from a model with known parameters: for planning and tests, and as a reference.

`simulate` invents everything; `replicated` draws new answers where real ones were given, for
parametric bootstraps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from irtkit.arrays import FloatArray, frozen
from irtkit.coding import MISSING
from irtkit.errors import ModelError
from irtkit.estimation.calibration import Calibration, item_table, matched
from irtkit.latent import Latent, Normal
from irtkit.models import Assignment, DivideByTotal, ItemModel, Nominal, SlopeRule, ThreePL
from irtkit.responses import Responses
from irtkit.storage import DENSE_CELLS, Codes

LOG_SLOPE_SD = 0.3
SPARSE_FROM = 0.8  # share missing
CHUNK_CELLS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Responses with the truth that made them.

    Attributes
    ----------
    responses : Responses
    assignment : Assignment
        The model of each item.
    parameters : array, shape (I, D)
    theta : array, shape (P,)
    """

    responses: Responses
    assignment: Assignment
    parameters: FloatArray
    theta: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", frozen(self.parameters))
        object.__setattr__(self, "theta", frozen(self.theta))

    def table(self) -> pd.DataFrame:
        """Return one row an item with the true parameters, named as in a calibration."""
        return item_table(self.assignment, self.responses.items, self.parameters)


def simulate(
    model: ItemModel,
    *,
    n_persons: int,
    n_items: int,
    seed: int | np.random.Generator,
    missing: float = 0.0,
    latent: Normal | None = None,
    n_categories: int | None = None,
) -> Simulation:
    """Draw abilities, item parameters and answers.

    Parameters
    ----------
    model : ItemModel
        Slopes are lognormal(0, 0.3) if the model frees them, else 1; difficulties are N(0, 1),
        thresholds and steps N(0, 1) apart by about 0.8; asymptotes Beta(5, 17) and Beta(50, 2).
    n_persons, n_items : int
    seed : int or Generator
        The same seed gives the same answers.
    missing : float
        Share of answers missing completely at random. From 0.8 up, and if it saves memory, the
        answers are drawn and kept sparse, each person answering the same number.
    latent : Normal, optional
        Where abilities are drawn from; N(0, 1) by default.
    n_categories : int, optional
        Of each item; 2, or 5 for models of ordered categories.
    """
    size = n_categories or (5 if model.ordinal else 2)
    if n_persons < 1 or n_items < 1 or not 0.0 <= missing < 1.0:
        raise ModelError(
            f"Cannot simulate {n_persons} persons by {n_items} items with a share of {missing} "
            "missing: there must be at least one of each, and a share from 0 to below 1."
        )
    if size < 2 or (size > 2 and not model.ordinal):
        raise ModelError(f"The {model.name} model has no items with {size} categories.")
    rng = np.random.default_rng(seed)
    latent = latent or Normal()
    theta = rng.normal(latent.mean, latent.standard_deviation, n_persons)  # (P,)
    parameters = item_parameters(model, n_items, size, rng)
    assignment = Assignment.of([model] * n_items, np.full(n_items, size))
    codes: Codes
    if missing >= SPARSE_FROM and n_persons * n_items > DENSE_CELLS:
        n_answers = max(1, round((1.0 - missing) * n_items))
        codes = sparse_answers(assignment, parameters, theta, n_answers, rng)
    else:
        codes = answers(assignment, parameters, theta, rng)
        if missing:
            codes[rng.random(codes.shape) < missing] = MISSING
    responses = Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(1, n_persons + 1)),
        items=tuple(f"i{number}" for number in range(1, n_items + 1)),
        categories=tuple(str(code) for code in range(size)),
    )
    return Simulation(responses, assignment, parameters, theta)


def replicated(
    responses: Responses, calibration: Calibration, *, seed: int | np.random.Generator
) -> Responses:
    """Draw new answers from a calibration in exactly the cells that were answered.

    Parameters
    ----------
    responses : Responses
        Who answered what. Rows of weight n become n persons, so that every answer is drawn.
    calibration : Calibration
        Abilities are drawn anew from its latent distribution; items without parameters are left
        out.
    seed : int or Generator

    Returns
    -------
    Responses
        Of the calibrated items, as sparse or dense as the original.

    Raises
    ------
    ModelError
        If a weight is not a whole number.
    """
    known, part = matched(responses, calibration)
    if (known.weights % 1.0 != 0.0).any():
        raise ModelError(
            "Answers cannot be drawn for parts of a person: the weights are not whole numbers."
        )
    rows = np.repeat(np.arange(known.n_persons), known.weights.astype(np.int64))
    pattern = known.codes if len(rows) == known.n_persons else known.codes[rows]
    rng = np.random.default_rng(seed)
    theta = abilities(part.latent, len(rows), rng)
    codes: Codes
    if isinstance(pattern, sp.csr_array):
        codes = _redrawn(pattern, part.assignment, part.parameters, theta, rng)
    else:
        codes = answers(part.assignment, part.parameters, theta, rng)
        codes[pattern == MISSING] = MISSING
    return Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(1, len(rows) + 1)),
        items=known.items,
        categories=known.categories,
    )


def abilities(latent: Latent, n_persons: int, rng: np.random.Generator) -> FloatArray:
    """Draw abilities from a latent distribution, shape (P,)."""
    if isinstance(latent, Normal):
        return rng.normal(latent.mean, latent.standard_deviation, n_persons)
    nodes = rng.choice(len(latent.theta), n_persons, p=latent.weights / latent.weights.sum())
    spacing = latent.theta[1] - latent.theta[0]
    return latent.theta[nodes] + spacing * rng.uniform(-0.5, 0.5, n_persons)


def _redrawn(
    pattern: sp.csr_array,
    assignment: Assignment,
    parameters: FloatArray,
    theta: FloatArray,
    rng: np.random.Generator,
) -> sp.csr_array:
    """Draw an answer for each filled cell of a CSR array."""
    family_of = np.empty(assignment.n_items, dtype=np.int64)
    for number, family in enumerate(assignment.families):
        family_of[family.places] = number
    persons = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    data = np.empty(len(pattern.indices), dtype=np.int8)
    for number, family in enumerate(assignment.families):
        cells = np.flatnonzero(family_of[pattern.indices] == number)
        for start in range(0, len(cells), CHUNK_CELLS):
            chosen = cells[start : start + CHUNK_CELLS]
            items = pattern.indices[chosen]
            part = parameters[items, : family.n_parameters]
            log_prob = family.model.log_prob(part, theta[persons[chosen]])  # (n, K)
            upto = np.cumsum(np.exp(log_prob), axis=1)[:, :-1]
            data[chosen] = (rng.random((len(chosen), 1)) > upto).sum(axis=1) + 1
    return sp.csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape)


def item_parameters(
    model: ItemModel, n_items: int, n_categories: int, rng: np.random.Generator
) -> FloatArray:
    """Draw item parameters, shape (I, D)."""
    slope = rng.lognormal(0.0, LOG_SLOPE_SD, n_items)  # (I,)
    if model.slope_rule is not SlopeRule.FREE:
        slope = np.ones(n_items)
    difficulty = rng.normal(size=n_items)
    if n_categories == 2 and not isinstance(model, ThreePL):
        return np.stack([slope, -slope * difficulty], axis=1)  # (I, 2)
    if isinstance(model, ThreePL):
        asymptotes = [rng.beta(5.0, 17.0, n_items), rng.beta(50.0, 2.0, n_items)]
        n_more = len(model.parameter_names(2)) - 2
        logits = [np.log(share / (1.0 - share)) for share in asymptotes[:n_more]]
        return np.stack([slope, -slope * difficulty, *logits], axis=1)
    gaps = rng.uniform(0.5, 1.1, (n_items, n_categories - 2))
    places = np.concatenate([np.zeros((n_items, 1)), np.cumsum(gaps, axis=1)], axis=1)
    places += difficulty[:, None] - places.mean(axis=1, keepdims=True)  # (I, K - 1)
    intercepts = -slope[:, None] * places
    if isinstance(model, DivideByTotal):
        intercepts = np.cumsum(intercepts, axis=1)
    if isinstance(model, Nominal):
        slopes = slope[:, None] * np.arange(1, n_categories)
        return np.concatenate([slopes, intercepts], axis=1)
    return np.concatenate([slope[:, None], intercepts], axis=1)


def answers(
    assignment: Assignment,
    parameters: FloatArray,
    theta: FloatArray,
    rng: np.random.Generator,
) -> npt.NDArray[np.int8]:
    """Draw the answers of persons with abilities theta (P,), shape (P, I)."""
    codes = np.empty((len(theta), len(parameters)), dtype=np.int8)
    size = max(1, CHUNK_CELLS // (len(parameters) * int(assignment.n_categories.max())))
    for start in range(0, len(theta), size):
        part = slice(start, start + size)
        chance = np.exp(assignment.log_prob(parameters, theta[part]))  # (p, I, K)
        upto = np.cumsum(chance, axis=2)[:, :, :-1]
        codes[part] = (rng.random(chance.shape[:2])[:, :, None] > upto).sum(axis=2)
    return codes


def sparse_answers(
    assignment: Assignment,
    parameters: FloatArray,
    theta: FloatArray,
    n_answers: int,
    rng: np.random.Generator,
) -> sp.csr_array:
    """Draw the answers of each person to `n_answers` items drawn at random, CSR of code + 1."""
    n_persons, n_items = len(theta), assignment.n_items
    indices = np.empty((n_persons, n_answers), dtype=np.int32)
    codes = np.empty((n_persons, n_answers), dtype=np.int8)
    family = assignment.families[0]
    for start in range(0, n_persons, 8192):
        part = slice(start, min(start + 8192, n_persons))
        size = part.stop - start
        items = rng.integers(0, n_items, (size, n_answers))
        items.sort(axis=1)
        while (twice := (np.diff(items, axis=1) == 0).any(axis=1)).any():
            items[twice] = rng.integers(0, n_items, (int(twice.sum()), n_answers))
            items.sort(axis=1)
        log_prob = family.model.log_prob(parameters[items], theta[part, None])  # (p, n, K)
        upto = np.cumsum(np.exp(log_prob), axis=2)[:, :, :-1]
        indices[part] = items
        codes[part] = (rng.random(items.shape)[:, :, None] > upto).sum(axis=2) + 1
    pointers = np.arange(n_persons + 1, dtype=np.int32) * n_answers
    return sp.csr_array((codes.ravel(), indices.ravel(), pointers), shape=(n_persons, n_items))
