r"""Residuals at the estimated abilities, and the mean squares made of them.

With expected code E, variance W and fourth central moment C of an answer y at theta,

.. math:: \text{outfit} = \frac{1}{n} \sum \frac{(y - E)^2}{W}, \qquad
          \text{infit} = \frac{\sum (y - E)^2}{\sum W}

over the persons who answered an item (`item_mean_squares`) or the items that a person answered
(`person_fit.py`). Both are about 1 where the model holds. They are standardised by the cube root
of Wilson and Hilferty, :math:`z = (ms^{1/3} - 1)(3/q) + q/3`, with

.. math:: q^2_{outfit} = \frac{1}{n^2} \sum \frac{C}{W^2} - \frac{1}{n}, \qquad
          q^2_{infit} = \frac{\sum (C - W^2)}{(\sum W)^2}

and q at most :math:`\sqrt 2` (so does R's mirt), beyond which the transformation fails. z is
standard normal at the true abilities; at abilities estimated from the same answers it leans
towards negative values.

References
----------
Wright, B. D., & Masters, G. N. (1982). Rating scale analysis. MESA Press.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from irtkit.arrays import BoolArray, CodeArray, FloatArray, IntArray, frozen
from irtkit.coding import MISSING
from irtkit.estimation.calibration import Calibration
from irtkit.models import Assignment, DivideByTotal, Family
from irtkit.responses import Responses
from irtkit.storage import Codes
from irtkit.threads import one_thread_a_core, spread

Rows = slice | IntArray
Result = TypeVar("Result")

BLOCK_CELLS = 100_000  # of one table; its terms then fit the cache of a core
SPARSE_BLOCK_PERSONS = 8192
WORTH_THREADS = 100_000
LARGEST_Q = 2.0**0.5


@dataclass(frozen=True, slots=True, eq=False)
class MeanSquares:
    """Mean squares of items or persons, each of shape (n,); NaN where nothing was answered.

    Attributes
    ----------
    infit, outfit : array
        Weighted by information and not; about 1 if the model holds.
    infit_z, outfit_z : array
        Standardised by the cube root of Wilson and Hilferty.
    """

    infit: FloatArray
    outfit: FloatArray
    infit_z: FloatArray
    outfit_z: FloatArray

    def __post_init__(self) -> None:
        for name in ("infit", "outfit", "infit_z", "outfit_z"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Answers of B persons to the items of one family, as a table.

    Attributes
    ----------
    family : Family
    codes : array of int8, shape (B, i)
        -1 where unanswered.
    parameters : array, shape (i, D)
    theta : array, shape (B, 1)
    seen : array of bool, shape (B, i), or None
        None if all are answered.
    n_items : int
        Of all families, I.
    """

    family: Family
    codes: CodeArray
    parameters: FloatArray
    theta: FloatArray
    seen: BoolArray | None
    n_items: int

    def by_item(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """Weighted sum over the persons: (m, B, i), weights (B,) -> (m, I)."""
        sums = np.zeros((len(values), self.n_items))
        sums[:, self.family.places] = weights @ values
        return sums

    def by_person(self, values: FloatArray) -> FloatArray:
        """Sum over the items: (m, B, i) -> (m, B)."""
        return np.asarray(values.sum(axis=2))


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Answers of B persons to the items of one family, as n single cells of sparse answers.

    Attributes
    ----------
    family : Family
    codes : array of int8, shape (n,)
    parameters : array, shape (n, D)
    theta : array, shape (n,)
    seen : None
        All are answered.
    place : array of int, shape (n,)
        Where each cell stands among all stored ones.
    person, item : array of int, shape (n,)
        Row and column of each cell.
    n_persons, n_items : int
        B and I.
    """

    family: Family
    codes: CodeArray
    parameters: FloatArray
    theta: FloatArray
    seen: None
    place: IntArray
    person: IntArray
    item: IntArray
    n_persons: int
    n_items: int

    def by_item(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """Weighted sum over the persons: (m, n), weights (B,) -> (m, I)."""
        heavy = weights[self.person]
        return _stacked([np.bincount(self.item, heavy * row, self.n_items) for row in values])

    def by_person(self, values: FloatArray) -> FloatArray:
        """Sum over the items: (m, n) -> (m, B)."""
        return _stacked([np.bincount(self.person, row, self.n_persons) for row in values])


Answers = Table | Cells


def _stacked(rows: Sequence[npt.NDArray[Any]]) -> FloatArray:
    return np.stack(rows).astype(np.float64, copy=False)


def answers(
    codes: Codes, assignment: Assignment, parameters: FloatArray, theta: FloatArray
) -> Iterator[Answers]:
    """Split the codes of some persons (B, I) by family; theta (B,) is theirs."""
    if isinstance(codes, sp.csr_array):
        yield from _cells(codes, assignment, parameters, theta)
        return
    for family in assignment.families:
        own = codes[:, family.places]
        part = assignment.part(family, parameters)
        seen = own != MISSING
        some = None if seen.all() else seen
        yield Table(family, own, part, theta[:, None], some, assignment.n_items)


def _cells(
    codes: sp.csr_array, assignment: Assignment, parameters: FloatArray, theta: FloatArray
) -> Iterator[Cells]:
    n_persons, n_items = codes.shape
    person = np.repeat(np.arange(n_persons), np.diff(codes.indptr))
    number = assignment.per_item(assignment.families.index)[:, 0]  # (I,)
    for place, family in enumerate(assignment.families):
        chosen = np.flatnonzero(number[codes.indices] == place)
        who, item = person[chosen], codes.indices[chosen].astype(np.int64)
        own = codes.data[chosen] - np.int8(1)
        part = parameters[item, : family.n_parameters]  # (n, D)
        yield Cells(family, own, part, theta[who], None, chosen, who, item, n_persons, n_items)


def answered(part: Answers) -> FloatArray:
    """One where answered, else zero, shaped as the codes with an axis of one before."""
    seen = np.ones(part.codes.shape) if part.seen is None else part.seen.astype(np.float64)
    return seen[None]


def terms(part: Answers) -> FloatArray:
    """What the sums are made of, in cells that were answered; zero elsewhere.

    Returns
    -------
    array, shape (5, ...)
        (y - E)^2, W, (y - E)^2 / W, C / W^2 and C - W^2, each shaped as `part.codes`.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = _two_categories(part) if part.family.n_categories == 2 else _more(part)
    if part.seen is not None:
        found *= part.seen
    return found


def _two_categories(part: Answers) -> FloatArray:
    """`terms` from the odds u against the answer given: (y - E)^2 / W is u, and W is P (1 - P)."""
    found = np.empty((5, *part.codes.shape))
    squared, variance, relative, fourth, excess = found
    against = _log_odds(part)
    np.multiply(part.codes, -2.0, out=fourth)
    fourth += 1.0  # 1 for a wrong answer, -1 for a right one
    against *= fourth
    if part.seen is not None:
        against *= part.seen
    np.exp(against, out=relative)
    np.add(relative, 1.0, out=against)
    np.divide(1.0, against, out=against)  # chance of the answer given
    np.divide(1.0, relative, out=fourth)
    fourth += relative
    fourth -= 1.0
    np.subtract(1.0, against, out=excess)
    np.multiply(excess, excess, out=squared)
    np.multiply(excess, against, out=variance)
    np.multiply(variance, -4.0, out=excess)
    excess += 1.0
    excess *= variance
    return found


def _log_odds(part: Answers) -> FloatArray:
    """Log-odds of the second category against the first, shaped as `part.codes`."""
    model = part.family.model
    if isinstance(model, DivideByTotal):
        s, t = model.scores(part.parameters)
        odds = s[..., 0] * part.theta
        odds += t[..., 0]
        return odds
    log_prob = model.log_prob(part.parameters, part.theta)
    return np.asarray(log_prob[..., 1] - log_prob[..., 0])


def _more(part: Answers) -> FloatArray:
    """`terms` from the moments of the code, for any number of categories."""
    chance = np.exp(part.family.model.log_prob(part.parameters, part.theta))  # (..., K)
    code = np.arange(chance.shape[-1], dtype=np.float64)
    expected = chance @ code
    from_mean = (code - expected[..., None]) ** 2  # (..., K)
    variance = np.einsum("...k,...k->...", chance, from_mean)
    fourth = np.einsum("...k,...k->...", chance, from_mean**2)
    squared = (np.where(part.codes == MISSING, 0, part.codes) - expected) ** 2
    excess = fourth - variance**2
    return np.stack([squared, variance, squared / variance, fourth / variance**2, excess])


def mean_squares(sums: FloatArray, number: FloatArray) -> MeanSquares:
    """Mean squares from the sums of `terms` (5, n) over so many answers (n,)."""
    squared, variance, relative, fourth, excess = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        infit, outfit = squared / variance, relative / number
        infit_q = np.sqrt(np.maximum(excess, 0.0)) / variance
        outfit_q = np.sqrt(np.maximum(fourth / number - 1.0, 0.0) / number)
    return MeanSquares(
        infit, outfit, _standardised(infit, infit_q), _standardised(outfit, outfit_q)
    )


def _standardised(mean_square: FloatArray, q: FloatArray) -> FloatArray:
    q = np.minimum(q, LARGEST_Q)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (np.cbrt(mean_square) - 1.0) * (3.0 / q) + q / 3.0
    return np.where(q > 0.0, z, np.nan)


def item_mean_squares(
    responses: Responses, calibration: Calibration, theta: FloatArray
) -> MeanSquares:
    """Mean-square fit of each item at the persons' abilities.

    Parameters
    ----------
    responses : Responses
        Answers to exactly the items of `calibration`, as `matched` returns them; missing answers
        are left out. Weights count as persons.
    calibration : Calibration
    theta : array, shape (P,)
        Estimated abilities. Persons whose ability is infinite (maximum likelihood where all
        answers are the best or the worst) or NaN are left out: there the model expects exactly
        what they answered, with a variance of zero.

    Returns
    -------
    MeanSquares
        One an item.
    """
    assignment, parameters = calibration.assignment, calibration.parameters

    def add(share: Sequence[Rows]) -> FloatArray:
        total = np.zeros((6, responses.n_items))
        for rows in share:
            weights = responses.weights[rows]
            for part in answers(responses.codes[rows], assignment, parameters, theta[rows]):
                total[:5] += part.by_item(terms(part), weights)
                total[5:] += part.by_item(answered(part), weights)
        return total

    with one_thread_a_core():
        total = np.sum(over_blocks(add, responses, theta), axis=0)
    return mean_squares(total[:5], total[5])


def over_blocks(
    function: Callable[[Sequence[Rows]], Result], responses: Responses, theta: FloatArray
) -> list[Result]:
    """Call `function` on shares of the blocks of persons whose theta (P,) is finite."""
    sparse = isinstance(responses.codes, sp.csr_array)
    size = SPARSE_BLOCK_PERSONS if sparse else max(1, BLOCK_CELLS // responses.n_items)
    places = np.flatnonzero(np.isfinite(theta))
    pieces = [places[start : start + size] for start in range(0, len(places), size)]
    blocks: list[Rows] = [*pieces]
    if len(places) == len(theta):
        blocks = [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]  # without copies
    return spread(function, blocks, responses.n_persons * responses.n_items > WORTH_THREADS)
