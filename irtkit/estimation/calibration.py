"""`Calibration`: item parameters with their covariance, the latent distribution, the record.

It is what every estimation method returns and what scoring and diagnostics read. It computes
nothing but its table; estimation is in `mml.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, IntArray, frozen
from irtkit.errors import ModelError, listing, shown
from irtkit.latent import FEWEST_NODES, Latent, Nodes
from irtkit.models import Assignment
from irtkit.responses import Responses
from irtkit.storage import answers_above

OK = "ok"
UNANSWERED = "unanswered"
CONSTANT = "constant"
EMPTY_CATEGORY = "empty category"
AT_BOUNDARY = "at boundary"
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
        Largest absolute derivative of the log-likelihood by a free parameter, per person.
    slowest_item : str
        The item that moved most in the last cycle.
    n_nodes : int
        Quadrature nodes.
    quadrature_change : float
        Change of the log-likelihood when the spacing of the nodes is halved; should be < 0.01.
    history : array, shape (n, 2)
        EM cycles done and the log-likelihood, after each accelerated cycle.
    item_change, item_gradient : array, shape (I,)
        How far one more cycle would move each item, and its largest derivative per person; NaN
        for items without parameters.
    """

    converged: bool
    n_cycles: int
    change: float
    gradient: float
    slowest_item: str
    n_nodes: int
    quadrature_change: float
    history: FloatArray
    item_change: FloatArray
    item_gradient: FloatArray

    def __post_init__(self) -> None:
        for name in ("history", "item_change", "item_gradient"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Item parameters, estimated from responses.

    Attributes
    ----------
    assignment : Assignment
        The model and number of categories of each item.
    items : tuple of str
        All items, calibrated or not.
    parameters : array, shape (I, D)
        In the order of each model's parameter names; NaN for items that could not be calibrated
        and where an item has fewer parameters.
    covariance : array, shape (I, D, D)
        Each item's block of the estimates' covariance; NaN where unknown.
    states : tuple of str
        One word an item: ok, reverse-keyed, separating, at boundary, duplicate, constant, empty
        category, unanswered.
    latent : Normal or Histogram
        The ability distribution.
    log_likelihood : float
        Marginal log-likelihood (nats).
    log_prior : float
        Log-density of the priors at the parameters; 0 without priors.
    n_parameters : int
        Free parameters, those of the ability distribution included.
    n_persons : float
        Sum of the weights of the persons who answered.
    convergence : Convergence
    categories, label_set : tuple of str
        What the codes 0 .. K-1 mean; the raw labels, if there were any.
    key : tuple of str, or None
        Gold label of each item.
    standard_errors : str
        Where `covariance` comes from, in a few words; empty if there is none.
    notes : tuple of str
        What a reader should know, in sentences.
    """

    assignment: Assignment
    items: tuple[str, ...]
    parameters: FloatArray
    covariance: FloatArray
    states: tuple[str, ...]
    latent: Latent
    log_likelihood: float
    log_prior: float
    n_parameters: int
    n_persons: float
    convergence: Convergence
    categories: tuple[str, ...] = ("0", "1")
    key: tuple[str, ...] | None = None
    label_set: tuple[str, ...] = ()
    standard_errors: str = ""
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

    @property
    def slopes(self) -> FloatArray:
        """Slope of each item, shape (I,); for a nominal item the last category's, per step."""
        slope = self.parameters[:, 0].copy()
        for family in self.assignment.families:
            n_slopes = int(family.model.slopes(family.n_parameters).sum())
            slope[family.places] = self.parameters[family.places, n_slopes - 1] / n_slopes
        return slope

    def nodes(self) -> Nodes:
        """Quadrature nodes of the latent distribution, as many as the estimation used."""
        return self.latent.nodes(max(self.convergence.n_nodes, FEWEST_NODES))

    def log_prob(self, theta: FloatArray) -> FloatArray:
        """Log-probability of each category of each item at theta (Q,), shape (Q, I, K)."""
        return self.assignment.log_prob(self.parameters, theta)

    def criteria(self) -> dict[str, float]:
        """AIC, BIC and sample-size adjusted BIC."""
        deviance, n = -2.0 * self.log_likelihood, self.n_parameters
        return {
            "aic": deviance + 2.0 * n,
            "bic": deviance + n * float(np.log(self.n_persons)),
            "sabic": deviance + n * float(np.log((self.n_persons + 2.0) / 24.0)),
        }

    def table(self) -> pd.DataFrame:
        """Return one row an item: parameters, standard errors, state.

        Right-or-wrong items have discrimination, difficulty, intercept, lower and upper; items
        with ordered categories have threshold_1 .. in place of the difficulty (for partial credit
        the step difficulties), nominal ones slope_k and intercept_k. Standard errors are the
        square roots of the diagonal of `covariance`; those of difficulties, thresholds and
        asymptotes come from the delta method.
        """
        return item_table(self.assignment, self.items, self.parameters, self.covariance).assign(
            state=list(self.states)
        )

    def convergence_table(self) -> pd.DataFrame:
        """Return one row an item, the slowest first: change and gradient at the last cycle."""
        table = pd.DataFrame(
            {
                "change": self.convergence.item_change,
                "gradient": self.convergence.item_gradient,
                "state": list(self.states),
            },
            index=pd.Index(self.items, name="item"),
        )
        return table.sort_values("change", ascending=False, kind="stable")


def item_table(
    assignment: Assignment,
    items: tuple[str, ...],
    parameters: FloatArray,
    covariance: FloatArray | None = None,
) -> pd.DataFrame:
    """Parameters in the names of the field, one row an item, with standard errors if known."""
    columns: dict[str, FloatArray] = {}
    errors: dict[str, FloatArray] = {}

    def fill(
        name: str, places: slice | IntArray, values: FloatArray, variance: FloatArray | None
    ) -> None:
        columns.setdefault(name, np.full(len(items), np.nan))[places] = values
        if variance is not None:
            with np.errstate(invalid="ignore"):
                errors.setdefault(f"se_{name}", np.full(len(items), np.nan))[places] = np.sqrt(
                    variance
                )

    for family in assignment.families:
        here, model = family.places, family.model
        part = assignment.part(family, parameters)
        block = None
        if covariance is not None:
            block = covariance[here, : family.n_parameters, : family.n_parameters]
        names = model.parameter_names(family.n_categories)
        for place, name in enumerate(names):
            if name.startswith("logit_"):
                continue
            variance = None if block is None else block[:, place, place]
            if name == "slope":
                fill("discrimination", here, part[:, place], variance)
            elif name == "intercept" or model.name == "nominal":
                fill(name, here, part[:, place], variance)
        places = model.difficulties(part)  # (i, n)
        spread = None
        if block is not None:
            by = model.difficulty_gradient(part)  # (i, n, d)
            spread = np.einsum("ind,ide,ine->in", by, block, by)
        for k in range(places.shape[1]):
            name = "difficulty" if family.n_categories == 2 else f"threshold_{k + 1}"
            fill(name, here, places[:, k], None if spread is None else spread[:, k])
        if family.n_categories == 2:
            for name, values in zip(("lower", "upper"), model.asymptotes(part), strict=True):
                variance = None
                if block is not None and f"logit_{name}" in names:
                    place = names.index(f"logit_{name}")
                    variance = block[:, place, place] * (values * (1.0 - values)) ** 2
                    variance = np.where(variance > 0, variance, np.nan)  # held, or at its end
                fill(name, here, values, variance)
    order = sorted(columns, key=_column_rank)
    ordered = {name: columns[name] for name in order}
    ordered |= {f"se_{name}": errors[f"se_{name}"] for name in order if f"se_{name}" in errors}
    return pd.DataFrame(ordered, index=pd.Index(items, name="item"))


def _column_rank(name: str) -> tuple[int, int]:
    word, _, number = name.partition("_")
    known = ("discrimination", "slope", "difficulty", "threshold", "intercept", "lower", "upper")
    return known.index(word), int(number or 0)


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
    part = restricted(calibration, places) if len(places) < len(calibration.items) else calibration
    chosen = responses if responses.items == part.items else responses.select_items(part.items)
    check_categories(chosen, part.assignment)
    _check_meaning(chosen, part)
    return chosen, part


def _check_meaning(responses: Responses, calibration: Calibration) -> None:
    """Refuse answers whose codes mean other categories than the calibration's."""
    grades = {"wrong": "0", "right": "1"}
    mine, known = (
        [grades.get(name, name) for name in names]
        for names in (responses.categories, calibration.categories)
    )
    declared = len(known) >= int(calibration.assignment.n_categories.max())
    if not declared or len(known) == len(mine) == 2 or mine[: len(known)] == known[: len(mine)]:
        return
    raise ModelError(
        f"The answers have the categories {listing(mine, 12)}, and the items were calibrated with "
        f"{listing(known, 12)}: the same code would mean two things. Declare the calibration's "
        f"order (--order {','.join(known)}), or recode the answers."
    )


def restricted(calibration: Calibration, places: list[int]) -> Calibration:
    """Return the calibration of some items; the log-likelihood still is that of all."""
    key, convergence = calibration.key, calibration.convergence
    return replace(
        calibration,
        assignment=calibration.assignment.at(places),
        items=tuple(calibration.items[place] for place in places),
        parameters=calibration.parameters[places],
        covariance=calibration.covariance[places],
        states=tuple(calibration.states[place] for place in places),
        convergence=replace(
            convergence,
            item_change=convergence.item_change[places],
            item_gradient=convergence.item_gradient[places],
        ),
        key=None if key is None else tuple(key[place] for place in places),
    )


def check_categories(responses: Responses, assignment: Assignment) -> None:
    """Refuse answers that an item's model has no category for.

    Raises
    ------
    ModelError
        If the answers are ungraded labels or hold more categories than the item has.
    """
    if responses.labels is not None and responses.key is None:
        raise ModelError(
            f"The answers are labels ({listing(responses.label_set)}) without a key, so right and "
            "wrong are unknown. Give the key (--key)."
        )
    found = answers_above(responses.codes, assignment.n_categories)
    if found is None:
        return
    person, item, code = found
    size = int(assignment.n_categories[item])
    model = assignment.models[item]
    who, what = shown(responses.persons[person]), shown(responses.items[item])
    knows = (
        f"the {model.name} model knows 0 and 1 only. Recode the answers to wrong (0) and right "
        "(1), or use a model for ordered categories."
        if not model.ordinal
        else f"its {size} categories end at {responses.categories[size - 1]}: nobody chose more "
        "when the item was calibrated, so there is no parameter for it."
    )
    raise ModelError(
        f"The answer of person {who} to item {what} is {responses.categories[code]}; {knows}"
    )
