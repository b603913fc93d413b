r"""The two-dimensional 2PL, explored: two slopes an item, estimated from several starts.

.. math:: P(y = 1 \mid \theta) = \frac{1}{1 + \exp(-a_1 \theta_1 - a_2 \theta_2 - d)},
          \qquad \theta \sim N(0, I)

The likelihood knows nothing of the direction of the axes, so 3 I - 1 parameters are free; the
axes are turned to the principal axes of the loadings afterwards. It has several maxima, hence
several starts: the one-dimensional solution with the first component of its residuals as second
dimension, then with random second slopes. The result is never below the one-dimensional solution,
which is among the candidates. There are no standard errors and no scores: this model is there to
be compared with the one-dimensional one. One cycle is in `plane.py`.

References
----------
Bock, R. D., Gibbons, R., & Muraki, E. (1988). Full-information item factor analysis. Applied
    Psychological Measurement, 12(3), 261-280. https://doi.org/10.1177/014662168801200305
Kaiser, H. F. (1958). The varimax criterion for analytic rotation in factor analysis.
    Psychometrika, 23(3), 187-200. https://doi.org/10.1007/BF02289233
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, frozen
from irtkit.errors import ModelError, NotConverged, count, listing
from irtkit.estimation.axes import loadings, oriented, varimax
from irtkit.estimation.blocks import Blocks, Rows
from irtkit.estimation.calibration import OK, SEPARATING, Calibration
from irtkit.estimation.method import MML
from irtkit.estimation.mml import Setup, calibrate, prepared
from irtkit.estimation.plane import at_bound
from irtkit.estimation.plane_search import SLOPE_BOUND, Answers, Ascent, Search, highest, turned
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.threads import one_thread_a_core

FEWEST_ITEMS = 5
ONE_DIMENSION = MML(standard_errors=None, slope_bound=SLOPE_BOUND)


@dataclass(frozen=True, slots=True, eq=False)
class TwoDimensional:
    """A two-dimensional 2PL, its axes turned to the principal axes of the loadings.

    Attributes
    ----------
    items : tuple of str
        All items, calibrated or not.
    slopes : array, shape (I, 2)
        On two uncorrelated abilities, each N(0, 1); NaN for items without parameters. The sum
        over the items is positive in each column.
    intercepts : array, shape (I,)
    states : tuple of str
        One word an item: ok, separating (its slope ran to the bound), constant, unanswered.
    log_likelihood : float
        Marginal log-likelihood (nats).
    n_parameters : int
        3 I - 1 for I calibrated items.
    n_persons : float
        Sum of the person weights.
    converged : bool
    n_cycles : int
        E-steps from the best start.
    n_nodes : tuple of int
        Quadrature nodes on each axis.
    quadrature_change : float
        Change of the log-likelihood when the spacing of the nodes is halved; should be < 0.01.
    starts : array, shape (n,)
        Log-likelihood that each start led to.
    """

    items: tuple[str, ...]
    slopes: FloatArray
    intercepts: FloatArray
    states: tuple[str, ...]
    log_likelihood: float
    n_parameters: int
    n_persons: float
    converged: bool
    n_cycles: int
    n_nodes: tuple[int, int]
    quadrature_change: float
    starts: FloatArray

    def __post_init__(self) -> None:
        for name in ("slopes", "intercepts", "starts"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def criteria(self) -> dict[str, float]:
        """AIC, BIC and sample-size adjusted BIC."""
        return Calibration.criteria(cast(Any, self))  # the formula asks for fields both have

    def table(self) -> pd.DataFrame:
        """Return one row an item: slopes, intercept, varimax loadings, communality, state.

        Loadings are a / sqrt(1.702^2 + a_1^2 + a_2^2), the correlations of the normal variable
        behind the answer with two abilities; varimax turns the axes so that items load on one of
        them as far as they can. The communality is the sum of an item's squared loadings.
        """
        found = loadings(self.slopes)
        simple = np.full_like(found, np.nan)
        known = ~np.isnan(found[:, 0])
        simple[known] = oriented(found[known] @ varimax(found[known]))
        return pd.DataFrame(
            {
                "slope_1": self.slopes[:, 0],
                "slope_2": self.slopes[:, 1],
                "intercept": self.intercepts,
                "loading_1": simple[:, 0],
                "loading_2": simple[:, 1],
                "communality": (found**2).sum(axis=1),
                "state": list(self.states),
            },
            index=pd.Index(self.items, name="item"),
        )


def calibrate_two_dimensions(
    responses: Responses,
    *,
    tolerance: float = 1e-5,
    max_cycles: int = 1000,
    n_starts: int = 3,
    seed: int | np.random.Generator = 1,
    progress: Callable[[int, int], None] | None = None,
) -> TwoDimensional:
    """Estimate a two-dimensional 2PL by marginal maximum likelihood.

    Parameters
    ----------
    responses : Responses
        Right-or-wrong answers, complete or not. Missing answers are taken as ignorable.
    tolerance : float
        Stop when no derivative of the log-likelihood per person is larger, each parameter in units
        of its standard error from one person of known ability.
    max_cycles : int
        Give up after so many E-steps from a start.
    n_starts : int
        Starts to choose among. The first comes from the residuals of one dimension, the others
        are random.
    seed : int or Generator
        For the random starts.
    progress : callable, optional
        Called with the number of starts done and of all.

    Returns
    -------
    TwoDimensional
        Items that everybody answered alike are named by their state and have no parameters.

    Raises
    ------
    ModelError
        If the answers have more than two categories, fewer than five items are usable, or the
        test is so long that the nodes would not fit in memory (some 700 items).
    NotConverged
        If `max_cycles` were not enough, here or in one dimension; carries the last state.
    """
    search = Search(tolerance, max_cycles, n_starts, seed)
    one = calibrate(responses, TwoPL(), method=ONE_DIMENSION)
    return extended(responses, one, search, progress)


def extended(
    responses: Responses,
    one: Calibration,
    search: Search,
    progress: Callable[[int, int], None] | None = None,
) -> TwoDimensional:
    """Do as `calibrate_two_dimensions`, the 2PL calibration of the same answers being known."""
    with one_thread_a_core():
        setup = prepared(responses, TwoPL(), ONE_DIMENSION)
        answers = _answers(setup)
        known = one.parameters[one.calibrated]  # (I, 2)
        flat = np.column_stack([known[:, 0], np.zeros(len(known)), known[:, 1]])  # (I, 3)
        best, reached = highest(answers, flat, search, progress)
        found = turned(_higher(answers, best, flat))
        plane = answers.plane(found)
        value = answers.log_likelihood(found, plane)
        fine = answers.log_likelihood(found, plane.halved())
    states, whole = _of_all_items(setup, found)
    result = TwoDimensional(
        items=responses.items,
        slopes=whole[:, :2],
        intercepts=whole[:, 2],
        states=tuple(states),
        log_likelihood=value,
        n_parameters=3 * len(found) - 1,
        n_persons=answers.n_persons,
        converged=best.converged,
        n_cycles=best.n_cycles,
        n_nodes=plane.sizes,
        quadrature_change=abs(fine - value),
        starts=np.array(reached),
    )
    if not result.converged:
        raise NotConverged(_shortfall(result, best, search), cast(Any, result))
    return result


def _of_all_items(setup: Setup, found: FloatArray) -> tuple[list[str], FloatArray]:
    """States of all items, and parameters (I, 3) that are NaN where there are none."""
    states = list(setup.states)
    usable = [place for place, state in enumerate(states) if state == OK]
    for place, stuck in zip(usable, at_bound(found, SLOPE_BOUND), strict=True):
        states[place] = SEPARATING if stuck else OK
    whole = np.full((len(states), 3), np.nan)
    whole[usable] = found
    return states, whole


def _higher(answers: Answers, best: Ascent, flat: FloatArray) -> FloatArray:
    """Parameters of the search, or of one dimension if these are more likely."""
    one = answers.log_likelihood(flat, best.plane)
    return flat if one > answers.log_likelihood(best.parameters, best.plane) else best.parameters


def _answers(setup: Setup) -> Answers:
    """Put the usable items' answers in blocks, equal rows together."""
    chosen = setup.chosen
    if chosen.n_items < FEWEST_ITEMS:
        lost = [i for i, s in enumerate(setup.states) if s != OK]
        gone = f" {count(len(lost), 'item')} had no use, being answered alike." if lost else ""
        raise ModelError(
            f"Two dimensions are not identified by {count(chosen.n_items, 'usable item')}: at "
            f"least {FEWEST_ITEMS} are needed.{gone}"
        )
    rows = Rows(chosen.codes, chosen.weights, np.zeros(chosen.n_persons, dtype=np.int64))
    rows = rows.collapsed(2)
    blocks = Blocks.of(rows.codes, rows.weights, 2)
    return Answers(blocks, setup.problem.longest, float(rows.weights.sum()))


def _shortfall(result: TwoDimensional, best: Ascent, search: Search) -> str:
    stuck = [i for i, s in zip(result.items, result.states, strict=True) if s == SEPARATING]
    named = f" The slope of {listing(stuck)} ran to its bound." if stuck else ""
    return (
        f"Two dimensions did not converge in {best.n_cycles} E-steps: the largest gradient per "
        f"person is {best.gradient:.2g} (tolerance {search.tolerance:g}). Log-likelihood "
        f"{result.log_likelihood:.3f}.{named} Allow more cycles, or a larger tolerance."
    )
