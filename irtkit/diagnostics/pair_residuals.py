r"""Q3: the correlation of two items' residuals, in blocks of items by blocks of items.

.. math:: e_{pi} = y_{pi} - E(y_i \mid \hat\theta_p), \qquad Q_{3,ij} = r(e_{\cdot i}, e_{\cdot j})

over the persons who answered both, y being the code 0 .. K - 1. Its mean under the model is about
-1 / (I - 1) rather than 0 (Marais 2013), and no fixed cutoff is valid: `dependence_reference.py`
has a bootstrap of its maximum. Abilities are given by the caller and must be finite.

References
----------
Yen, W. M. (1984). Effects of local item dependence on the fit and equating performance of the
    three-parameter logistic model. Applied Psychological Measurement, 8(2), 125-145.
Marais, I. (2013). Local dependence. In K. B. Christensen, S. Kreiner & M. Mesbah (Eds.), Rasch
    models in health (pp. 111-130). Wiley.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from irtkit.arrays import FloatArray
from irtkit.coding import MISSING
from irtkit.diagnostics.pair_tables import (
    FEWEST_COMMON,
    ItemBlock,
    PairAnswers,
    block_pairs,
    common_persons,
    item_blocks,
    numbered,
    product,
    stored_columns,
)
from irtkit.estimation.calibration import Calibration
from irtkit.responses import Responses
from irtkit.threads import one_thread_a_core, spread

KEPT_CELLS = 25_000_000  # residuals that are kept rather than made anew for each pair of blocks
NO_VARIANCE = 1e-12  # relative: what rounding leaves of residuals that are all the same


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Answers minus expected codes.

    Attributes
    ----------
    answers : PairAnswers
    theta : array, shape (P,)
    kept : dict
        Residuals of all persons by number of the block; empty if they would not fit in memory.
    """

    answers: PairAnswers
    theta: FloatArray
    kept: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, answers: PairAnswers, theta: FloatArray, blocks: Sequence[ItemBlock]) -> Residuals:
        """Prepare residuals at abilities theta (P,)."""
        made = cls(answers, theta)
        codes = answers.codes
        cells = codes.nnz if isinstance(codes, sp.csc_array) else codes.size
        if len(blocks) > 1 and cells <= KEPT_CELLS:
            everybody = slice(0, codes.shape[0])
            for block in blocks:
                made.kept[block.number] = made.block(block, everybody)
        return made

    def block(self, block: ItemBlock, rows: slice) -> Any:
        """Residuals of some persons on a block's items, 0 where missing, shape (p, b)."""
        if block.number in self.kept:
            whole = self.kept[block.number]
            return whole[rows] if isinstance(whole, np.ndarray) else whole
        codes = self.answers.part(block, rows)
        if isinstance(codes, sp.csc_array):
            return _sparse(codes, block, self.theta)
        expected = block.assignment.expected_score(block.parameters, self.theta[rows])  # (p, b)
        residual = np.subtract(codes, expected, out=expected)
        if not self.answers.complete:
            residual[codes == MISSING] = 0.0
        return residual


def _sparse(codes: sp.csc_array, block: ItemBlock, theta: FloatArray) -> sp.csc_array:
    """Residuals of the answered cells alone."""
    item = stored_columns(codes)
    family_of = np.zeros(len(block), dtype=np.int64)
    for number, family in enumerate(block.assignment.families):
        family_of[family.places] = number
    values = codes.data - 1.0
    for number, family in enumerate(block.assignment.families):
        cells = np.flatnonzero(family_of[item] == number)
        part = block.parameters[item[cells], : family.n_parameters]  # (n, D)
        values[cells] -= family.model.expected_score(part, theta[codes.indices[cells]])
    return sp.csc_array((values, codes.indices, codes.indptr), shape=codes.shape)


def q3_block(residuals: Residuals, first: ItemBlock, second: ItemBlock, n_both: Any) -> FloatArray:
    """Q3 of all pairs of two blocks, from the number of common persons (a, b), shape (a, b).

    NaN where the residuals of an item do not vary among them, or there are none.
    """
    answers = residuals.answers
    width = len(first) + (0 if first is second else len(second))

    def summed(share: Sequence[slice]) -> list[Any]:
        sums: list[Any] = [0.0] * 5
        for rows in share:
            sums = [
                a + b for a, b in zip(sums, _sums(residuals, first, second, rows), strict=True)
            ]
        return sums

    parts = spread(summed, answers.chunks(width), answers.worth_threads(width))
    cross, sum_first, sum_second, square_first, square_second = (
        sum(some[1:], some[0]) for some in zip(*parts, strict=True)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / n_both
        spread_first = square_first - sum_first**2 * inverse
        spread_second = square_second - sum_second**2 * inverse
        q3 = (cross - sum_first * sum_second * inverse) / np.sqrt(spread_first * spread_second)
        varies = (spread_first > NO_VARIANCE * square_first) & (
            spread_second > NO_VARIANCE * square_second
        )
    return np.where(varies, np.clip(q3, -1.0, 1.0), np.nan)


def _sums(residuals: Residuals, first: ItemBlock, second: ItemBlock, rows: slice) -> list[Any]:
    """Sums of products, residuals and squares over the persons who answered both items.

    Each broadcasts to (a, b): where all answered all, sums and squares do not depend on the
    partner.
    """
    answers = residuals.answers
    left = residuals.block(first, rows)
    right = left if first is second else residuals.block(second, rows)
    heavy_left = answers.weighted(left, rows)
    heavy_right = heavy_left if first is second else answers.weighted(right, rows)
    cross = product(heavy_left, right)  # (a, b)
    if answers.complete:
        sums = heavy_left.sum(axis=0)[:, None], heavy_right.sum(axis=0)
        squares = (
            np.einsum("pi,pi->i", heavy_left, left)[:, None],
            np.einsum("pi,pi->i", heavy_right, right),
        )
        return [cross, *sums, *squares]
    seen = answers.seen(second, rows, np.float64)
    own_sum, own_square = product(heavy_left, seen), product(heavy_left * left, seen)
    if first is second:
        return [cross, own_sum, own_sum.T, own_square, own_square.T]
    seen = answers.seen(first, rows, np.float64)
    return [
        cross,
        own_sum,
        product(seen, heavy_right),
        own_square,
        product(seen, heavy_right * right),
    ]


def q3_pairs(
    responses: Responses, calibration: Calibration, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Q3 of all pairs of items at given abilities, and how many persons answered both.

    Parameters
    ----------
    responses : Responses
        Answers to exactly the items of `calibration`.
    calibration : Calibration
    theta : array, shape (P,)
        Finite abilities.

    Returns
    -------
    q3, n_both : array, shape (I (I - 1) / 2,)
        In the order (0, 1), (0, 2), ..; Q3 is NaN below `FEWEST_COMMON` persons.
    """
    n_items = responses.n_items
    q3, n_both = np.full((2, n_items * (n_items - 1) // 2), np.nan)
    with one_thread_a_core():
        answers, blocks = PairAnswers.of(responses), item_blocks(calibration)
        residuals = Residuals.of(answers, theta, blocks)
        for first, second in block_pairs(blocks):
            both = common_persons(answers, first, second)
            found = q3_block(residuals, first, second, both)
            rows, columns = np.broadcast_arrays(first.places[:, None], second.places)
            once = rows < columns if first is second else np.ones(rows.shape, dtype=bool)
            one, other = rows[once], columns[once]
            place = numbered(np.minimum(one, other), np.maximum(one, other), n_items)
            n_both[place] = both[once]
            q3[place] = np.where(both[once] >= FEWEST_COMMON, found[once], np.nan)
    return q3, n_both
