"""`Calibration`: item parameters with their covariance, the latent distribution, the record.

It is what every estimation method returns and what scoring and diagnostics read. It computes
nothing but its table; estimation is in `mml.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, frozen
from irtkit.errors import ModelError, listing, shown
from irtkit.latent import FEWEST_NODES, Nodes, Normal
from irtkit.models import ItemModel
from irtkit.responses import Responses

OK = "ok"
UNANSWERED = "unanswered"
CONSTANT = "constant"
SEPARATING = "separating"
REVERSE_KEYED = "reverse-keyed"
DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, eq=False)
class Convergence:
    """How an estimation ended.

    Attributes
    ----------
    converged : bool
        The last cycle moved no parameter by more than the tolerance.
    n_cycles : int
        EM cycles (E-steps).
    change : float
        Largest move of a parameter in the last cycle.
    gradient : float
        Largest absolute derivative of the log-likelihood by a parameter, per person.
    slowest_item : str
        The item that moved most in the last cycle.
    n_nodes : int
        Quadrature nodes.
    quadrature_change : float
        Change of the log-likelihood when the spacing of the nodes is halved; should be < 0.01.
    history : array, shape (n, 2)
        EM cycles done and the log-likelihood, after each accelerated cycle.
    """

    converged: bool
    n_cycles: int
    change: float
    gradient: float
    slowest_item: str
    n_nodes: int
    quadrature_change: float
    history: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", frozen(self.history))


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Item parameters of one model, estimated from responses.

    Attributes
    ----------
    model : ItemModel
    items : tuple of str
        All items, calibrated or not.
    parameters : array, shape (I, D)
        In the order of `model.parameter_names`; NaN for items that could not be calibrated.
    covariance : array, shape (I, D, D)
        Each item's block of the inverse observed information; NaN where unknown.
    states : tuple of str
        One word an item: ok, reverse-keyed, separating, duplicate, constant, unanswered.
    latent : Normal
        The ability distribution.
    log_likelihood : float
        Marginal log-likelihood (nats).
    n_persons : float
        Sum of the person weights.
    convergence : Convergence
    categories, label_set : tuple of str
        What the codes 0 .. K-1 mean; the raw labels, if there were any.
    key : tuple of str, or None
        Gold label of each item.
    notes : tuple of str
        What a reader should know, in sentences.
    """

    model: ItemModel
    items: tuple[str, ...]
    parameters: FloatArray
    covariance: FloatArray
    states: tuple[str, ...]
    latent: Normal
    log_likelihood: float
    n_persons: float
    convergence: Convergence
    categories: tuple[str, ...] = ("0", "1")
    key: tuple[str, ...] | None = None
    label_set: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", frozen(self.parameters))
        object.__setattr__(self, "covariance", frozen(self.covariance))

    @property
    def converged(self) -> bool:
        """Whether the estimation reached its tolerance."""
        return self.convergence.converged

    @property
    def n_cycles(self) -> int:
        """EM cycles used."""
        return self.convergence.n_cycles

    @property
    def calibrated(self) -> BoolArray:
        """Whether each item has parameters, shape (I,)."""
        return ~np.isnan(self.parameters[:, 0])

    def nodes(self) -> Nodes:
        """Quadrature nodes of the latent distribution, as many as the estimation used."""
        return self.latent.nodes(max(self.convergence.n_nodes, FEWEST_NODES))

    def n_free(self) -> int:
        """Count the free parameters."""
        n_items = int(self.calibrated.sum())
        return {"free": 2 * n_items, "equal": n_items + 1, "unit": n_items + 1}[
            self.model.slope_rule.value
        ]

    def table(self) -> pd.DataFrame:
        """Return one row an item: parameters, standard errors, state.

        Standard errors are the square roots of the diagonal of `covariance`; the difficulty's
        comes from the delta method.
        """
        columns = dict(self.model.columns(self.parameters))
        variance = np.einsum("idd->id", self.covariance)  # (I, D)
        gradient = self.model.difficulty_gradient(self.parameters)  # (I, D)
        difficulty = np.einsum("id,ide,ie->i", gradient, self.covariance, gradient)  # (I,)
        with np.errstate(invalid="ignore"):
            columns["se_discrimination"] = np.sqrt(variance[:, 0])
            columns["se_difficulty"] = np.sqrt(difficulty)
            columns["se_intercept"] = np.sqrt(variance[:, 1])
        table = pd.DataFrame(columns, index=pd.Index(self.items, name="item"))
        table["state"] = list(self.states)
        return table


def matched(responses: Responses, calibration: Calibration) -> tuple[Responses, Calibration]:
    """Return responses and calibration restricted to the calibrated items both know, in order.

    Raises
    ------
    ModelError
        If they share no item, if an answered item is unknown, or the answers are not graded.
    """
    known = set(calibration.items)
    strange = [item for item in responses.items if item not in known]
    if strange:
        raise ModelError(
            f"{len(strange)} of {responses.n_items} items are not in the calibration: "
            f"{listing(strange)}. Choose the calibrated items first (select_items)."
        )
    answered = set(responses.items)
    places = [
        place
        for place, item in enumerate(calibration.items)
        if item in answered and calibration.calibrated[place]
    ]
    if not places:
        raise ModelError("None of the answered items has been calibrated.")
    check_categories(responses, calibration.model)
    part = restricted(calibration, places)
    return responses.select_items(part.items), part


def restricted(calibration: Calibration, places: list[int]) -> Calibration:
    """Return the calibration of some items; the log-likelihood still is that of all."""
    key = calibration.key
    return Calibration(
        model=calibration.model,
        items=tuple(calibration.items[place] for place in places),
        parameters=calibration.parameters[places],
        covariance=calibration.covariance[places],
        states=tuple(calibration.states[place] for place in places),
        latent=calibration.latent,
        log_likelihood=calibration.log_likelihood,
        n_persons=calibration.n_persons,
        convergence=calibration.convergence,
        categories=calibration.categories,
        key=None if key is None else tuple(key[place] for place in places),
        label_set=calibration.label_set,
        notes=calibration.notes,
    )


def check_categories(responses: Responses, model: ItemModel) -> None:
    """Refuse answers that the model has no category for.

    Raises
    ------
    ModelError
        If the answers are ungraded labels or hold more categories than the model.
    """
    if responses.labels is not None and responses.key is None:
        raise ModelError(
            f"The answers are labels ({listing(responses.label_set)}) without a key, so right and "
            "wrong are unknown. Give the key (--key)."
        )
    for rows, codes in responses.blocks():
        person, item = np.nonzero(codes >= model.n_categories)
        if len(person):
            who = responses.persons[rows.start + person[0]]
            answer = responses.categories[codes[person[0], item[0]]]
            raise ModelError(
                f"The answer of person {shown(who)} to item {shown(responses.items[item[0]])} is "
                f"{answer}; the {model.name} model knows 0 and 1 only. Recode the answers to "
                "wrong (0) and right (1), or use a model for ordered categories."
            )
