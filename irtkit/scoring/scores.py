"""`score`: the ability of each person, with its standard error.

References
----------
Bock, R. D., & Mislevy, R. J. (1982). Adaptive EAP estimation of ability in a microcomputer
    environment. Applied Psychological Measurement, 6(4), 431-444.
Mislevy, R. J. (1991). Randomization-based inference about latent variables from complex samples.
    Psychometrika, 56(2), 177-196.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.errors import ModelError, count, listing
from irtkit.estimation.blocks import Block, Blocks
from irtkit.estimation.calibration import Calibration, matched
from irtkit.estimation.em import Posterior, Tables, posterior, posteriors
from irtkit.latent import Nodes
from irtkit.responses import Responses
from irtkit.scoring.modal import MODAL, modal
from irtkit.scoring.summed import summed_scores
from irtkit.threads import one_thread_a_core, spread

METHODS = ("eap", *MODAL, "eapsum")
INTERVAL = (0.025, 0.975)
NORMAL_QUANTILE = 1.959963984540054
WORTH_THREADS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Abilities of persons.

    Attributes
    ----------
    persons : tuple of str
    theta, standard_error : array, shape (P,)
        Estimate and its standard error, in units of theta.
    low, high : array, shape (P,)
        Ends of the 95% interval: posterior quantiles for EAPs, theta -+ 1.96 standard errors for
        the other methods.
    n_answered : array of int, shape (P,)
        Answers to calibrated items; without any, an EAP is the population's mean.
    """

    persons: tuple[str, ...]
    theta: FloatArray
    standard_error: FloatArray
    low: FloatArray
    high: FloatArray
    n_answered: IntArray

    def __post_init__(self) -> None:
        for name in ("theta", "standard_error", "low", "high"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        object.__setattr__(self, "n_answered", frozen(self.n_answered, np.int64))

    def table(self) -> pd.DataFrame:
        """Return one row a person: theta, standard_error, theta_low, theta_high, n_answered."""
        return pd.DataFrame(
            {
                "theta": self.theta,
                "standard_error": self.standard_error,
                "theta_low": self.low,
                "theta_high": self.high,
                "n_answered": self.n_answered,
            },
            index=pd.Index(self.persons, name="person"),
        )


def score(
    responses: Responses,
    calibration: Calibration,
    *,
    method: str = "eap",
    item_draws: int | FloatArray = 0,
    seed: int | np.random.Generator = 0,
) -> Scores:
    """Estimate the ability of each person from the answers, with the items held fixed.

    Parameters
    ----------
    responses : Responses
        Answers to items of the calibration, complete or not.
    calibration : Calibration
        Item parameters and ability distribution.
    method : str
        "eap": mean and SD of the posterior. "map": its mode. "ml": maximum likelihood, infinite
        where the answers are the best or worst possible. "wle": weighted likelihood (Warm), finite
        for them. "eapsum": mean and SD of the posterior given the summed score alone, for
        complete answers.
    item_draws : int, or array of shape (S, I, D)
        With "eap": mix the posteriors over draws of the item parameters, so that standard errors
        and intervals include the items' uncertainty. A number draws so often from the items'
        covariance, each item apart; an array holds draws of all items of the calibration
        together, such as `Posterior.item_draws`.
    seed : int or Generator
        For the draws.

    Raises
    ------
    ModelError
        If the method is unknown or the answers do not fit the calibration.
    """
    if method not in METHODS:
        raise ModelError(f"Unknown scoring method '{method}'; there is {listing(METHODS, 9)}.")
    if np.any(item_draws) and method != "eap":
        raise ModelError("The items' uncertainty is included for method 'eap' only.")
    known, part = matched(responses, calibration)
    if isinstance(item_draws, np.ndarray):
        draws = _given(item_draws, calibration, part)
    else:
        draws = drawn_parameters(part, item_draws, seed)
    with one_thread_a_core():
        if method == "eap":
            result = _eap(known, [part.parameters, *draws], part)
        elif method == "eapsum":
            result = _summed(known, part)
        else:
            theta, error = modal(known, part, method)
            half = NORMAL_QUANTILE * error
            with np.errstate(invalid="ignore"):
                low = np.where(np.isinf(theta), -np.inf, theta - half)
                high = np.where(np.isinf(theta), np.inf, theta + half)
            result = np.stack([theta, error, low, high])
    theta, error, low, high = result
    return Scores(responses.persons, theta, error, low, high, known.n_answered())


def _eap(
    responses: Responses, draws: Sequence[FloatArray], calibration: Calibration
) -> FloatArray:
    """Mean, SD and interval ends of each posterior, mixed over the draws, (4, P)."""
    nodes = calibration.nodes()
    tables = [
        Tables.of(calibration.assignment, parameters, nodes.theta, nodes.log_weights)
        for parameters in (draws[1:] or draws)
    ]
    blocks = _blocks(responses, calibration)
    result = np.empty((4, responses.n_persons))

    def fill(share: Sequence[Block]) -> None:
        for block in share:
            found = [posterior(blocks, block, table)[0] for table in tables]
            result[:, block.rows] = _moments(found, nodes)

    spread(fill, blocks.blocks, blocks.cells > WORTH_THREADS)
    return result


def _blocks(responses: Responses, calibration: Calibration) -> Blocks:
    n_categories = int(calibration.assignment.n_categories.max())
    return Blocks.of(responses.codes, responses.weights, n_categories)


def _moments(found: Sequence[Posterior], nodes: Nodes) -> FloatArray:
    """Mean, SD and the two interval ends of a mixture of posteriors, stacked (4, B)."""
    if len(found) == 1:
        density, window = found[0].normalised(), found[0].window
    else:
        density = np.zeros((len(nodes.theta), len(found[0].total)))
        window = slice(0, len(nodes.theta))
        for one in found:
            density[one.window] += one.normalised() / len(found)
    theta = nodes.theta[window]
    mean = theta @ density  # (B,)
    variance = theta**2 @ density - mean**2
    if (variance < 1e-4 * mean**2).any():  # the short form has lost digits
        variance = np.einsum("wb,wb->b", density, (theta[:, None] - mean) ** 2)
    ends = quantiles(density, theta, INTERVAL)
    return np.stack([mean, np.sqrt(np.maximum(variance, 0.0)), *ends])


def quantiles(density: FloatArray, theta: FloatArray, shares: Sequence[float]) -> list[FloatArray]:
    """Quantiles of each posterior (W, B), each node's mass spread evenly over its cell."""
    below = np.cumsum(density, axis=0)  # (W, B)
    columns = np.arange(density.shape[1])
    spacing = theta[1] - theta[0] if len(theta) > 1 else 0.0
    ends = []
    for share in shares:
        cell = np.minimum((below < share).sum(axis=0), len(theta) - 1)  # (B,)
        mass = density[cell, columns]
        inside = (share - (below[cell, columns] - mass)) / np.maximum(mass, 1e-300)  # (B,)
        ends.append(theta[cell] + (inside - 0.5) * spacing)
    return ends


def drawn_parameters(
    calibration: Calibration, n_draws: int, seed: int | np.random.Generator
) -> list[FloatArray]:
    """Item parameters drawn from the normal distribution around the estimates."""
    if not n_draws:
        return []
    used = calibration.assignment.used()
    blocks = np.where(used[:, :, None] & used[:, None, :], calibration.covariance, 0.0)
    if not np.isfinite(blocks).all():
        unknown = [
            item
            for item, block in zip(calibration.items, blocks, strict=True)
            if not np.isfinite(block).all()
        ]
        raise ModelError(
            f"{count(len(unknown), 'item')} without standard errors ({listing(unknown)}), so "
            "their uncertainty cannot be included. Calibrate with standard errors, or drop them."
        )
    values, vectors = np.linalg.eigh(blocks)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]  # (I, D, D)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(n_draws):
        z = rng.standard_normal(calibration.parameters.shape)
        moved = calibration.parameters + np.einsum("ide,ie->id", root, z)
        impossible = ~calibration.assignment.feasible(moved)
        moved[impossible] = calibration.parameters[impossible]
        draws.append(moved)
    return draws


def _given(draws: FloatArray, calibration: Calibration, part: Calibration) -> list[FloatArray]:
    """Draws of all items, restricted to those of `part`."""
    if draws.ndim != 3 or draws.shape[1:] != calibration.parameters.shape or not len(draws):
        raise ModelError(
            f"The draws of the items have shape {draws.shape}; the calibration's items and "
            f"parameters ask for (draws, *{calibration.parameters.shape})."
        )
    place = {item: number for number, item in enumerate(calibration.items)}
    own = draws[:, [place[item] for item in part.items], : part.parameters.shape[1]]
    if not np.isfinite(own[:, part.assignment.used()]).all():
        raise ModelError("Some draws of the item parameters are missing or not finite.")
    return list(own)


def _summed(responses: Responses, calibration: Calibration) -> FloatArray:
    """Mean, SD and interval ends of theta given each person's summed score, (4, P)."""
    if int(responses.n_answered().min()) < responses.n_items:
        raise ModelError(
            "Summed scores of incomplete answers cannot be compared. Use method 'eap', which "
            "takes what each person answered."
        )
    if any(model.name == "nominal" for model in calibration.assignment.models):
        raise ModelError("Nominal categories have no order, so they have no summed score.")
    nodes = calibration.nodes()
    chance = np.exp(calibration.log_prob(nodes.theta))  # (Q, I, K)
    chances = [
        chance[:, item, :size].T for item, size in enumerate(calibration.assignment.n_categories)
    ]
    density = summed_scores(chances).T * np.exp(nodes.log_weights)[:, None]  # (Q, scores)
    density /= density.sum(axis=0)
    mean = nodes.theta @ density
    variance = np.einsum("qs,qs->s", density, (nodes.theta[:, None] - mean) ** 2)
    by_score = np.stack([mean, np.sqrt(variance), *quantiles(density, nodes.theta, INTERVAL)])
    total = np.concatenate(
        [codes.sum(axis=1, dtype=np.int64) for _, codes in responses.blocks(8192)]
    )
    return by_score[:, total]


def plausible_values(
    responses: Responses,
    calibration: Calibration,
    *,
    n_draws: int = 5,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """Draw abilities from each person's posterior.

    Analyses of a population use each column in turn and combine the results; the mean of the
    columns is no person's score.

    Parameters
    ----------
    responses : Responses
    calibration : Calibration
    n_draws : int
    seed : int or Generator

    Returns
    -------
    DataFrame
        One row a person, columns pv_1 .. pv_n.
    """
    if n_draws < 1:
        raise ModelError(f"{n_draws} plausible values were asked for; there must be at least one.")
    known, part = matched(responses, calibration)
    nodes = part.nodes()
    tables = Tables.of(part.assignment, part.parameters, nodes.theta, nodes.log_weights)
    rng = np.random.default_rng(seed)
    chances = rng.random((n_draws, known.n_persons))
    values = np.empty((known.n_persons, n_draws))
    blocks = _blocks(known, part)
    for found in posteriors(blocks, tables):
        density, theta = found.normalised(), nodes.theta[found.window]
        below = np.cumsum(density, axis=0)
        columns = np.arange(density.shape[1])
        for draw in range(n_draws):
            chance = chances[draw, found.block.rows]
            cell = np.minimum((below < chance).sum(axis=0), len(theta) - 1)
            mass = density[cell, columns]
            inside = (chance - (below[cell, columns] - mass)) / np.maximum(mass, 1e-300)
            values[found.block.rows, draw] = theta[cell] + (inside - 0.5) * nodes.spacing
    return pd.DataFrame(
        values,
        index=pd.Index(known.persons, name="person"),
        columns=[f"pv_{number}" for number in range(1, n_draws + 1)],
    )
