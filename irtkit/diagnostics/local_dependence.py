r"""Local dependence of pairs of items: LD-X2 and LD-G2 with signed Cramer V, and Q3.

LD-X2 compares the K x L table of a pair with :math:`N \sum_q P_i(q) P_j(q) w_q`; Q3 correlates
residuals at EAP abilities. Both use the persons who answered both. `local_dependence` has a row
for each pair; `dependence_search` goes through the pairs of any number of items and keeps the most
dependent ones. Tables are in `pair_tables.py`, residuals in `pair_residuals.py`, what a search
keeps in `pair_search.py`, the bootstrap reference of the largest Q3 in
`dependence_reference.py`.

References
----------
Chen, W.-H., & Thissen, D. (1997). Local dependence indexes for item pairs using item response
    theory. Journal of Educational and Behavioral Statistics, 22(3), 265-289.
Yen, W. M. (1984). Effects of local item dependence on the fit and equating performance of the
    three-parameter logistic model. Applied Psychological Measurement, 8(2), 125-145.
Marais, I. (2013). Local dependence. In K. B. Christensen, S. Kreiner & M. Mesbah (Eds.), Rasch
    models in health (pp. 111-130). Wiley.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.diagnostics.multiplicity import adjust
from irtkit.diagnostics.pair_residuals import Residuals, q3_block
from irtkit.diagnostics.pair_search import (
    CRAMER_V,
    DF,
    FEWEST,
    FIRST,
    LD_G2,
    LD_X2,
    N_BOTH,
    N_COLUMNS,
    Q3,
    SECOND,
    TESTED,
    Tally,
    adjusted_among_all,
    histogram,
    mean_q3,
    merged,
    p_of,
    smallest_p,
)
from irtkit.diagnostics.pair_statistics import (
    given_margins,
    likelihood_ratio,
    pearson,
    signed_v,
    standardised,
)
from irtkit.diagnostics.pair_tables import (
    FEWEST_COMMON,
    ItemBlock,
    PairAnswers,
    PairTables,
    block_pairs,
    chances,
    item_blocks,
    numbered,
)
from irtkit.errors import ModelError, listing
from irtkit.estimation.calibration import Calibration, matched
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.threads import one_thread_a_core, spread

MOST_ITEMS = 3000
BYTES_A_PAIR = 200
FEWEST_BLOCK_PAIRS = 8  # below, threads share the persons rather than the pairs of blocks
ORDERS = ("ld_x2", "q3")

Measured = tuple[PairTables, FloatArray]  # some pairs of two blocks, and their Q3
Result = TypeVar("Result")


def local_dependence(
    responses: Responses, calibration: Calibration, *, adjustment: str = "holm"
) -> pd.DataFrame:
    """Test each pair of calibrated items for dependence beyond theta.

    Parameters
    ----------
    responses : Responses
        The answers that were calibrated.
    calibration : Calibration
    adjustment : str
        "holm", "benjamini-hochberg" or "none", over all pairs.

    Returns
    -------
    DataFrame
        Indexed by (item_1, item_2): q3, q3_adjusted (minus the mean of all pairs), ld_x2, ld_g2,
        x2_tested (ld_x2; for incomplete answers the same with the expected table scaled to the
        margins of the persons who answered both), df, p and p_adjusted (of x2_tested), p_g2 (of
        ld_g2), cramer_v (negative where gamma of the table is below gamma of the model),
        standardised ((ld_x2 - df) / sqrt(2 df)), fewest_expected (in a cell), n_both (persons who
        answered both). With fewer than 10 such persons all but n_both is NaN. Q3 takes the
        categories of nominal items as the numbers 0 .. K - 1.

    Raises
    ------
    ModelError
        For more than 3,000 items, whose table would not fit in memory.

    Notes
    -----
    On short tests the chi-square reference is conservative. The margins of the persons who
    answered both items of a pair differ from the model's by chance, which ld_x2 and ld_g2 count
    as misfit: on 20 items of which 80% are missing, ld_x2 would reject a fifth of sound pairs at
    .05. Where hardly anybody is expected in a cell one answer there makes X2 large and proves
    nothing: see fewest_expected. `q3_reference` has a reference without these faults.
    """
    known, part = matched(responses, calibration)
    adjust(np.empty(0), adjustment)
    if known.n_items > MOST_ITEMS:
        pairs = known.n_items * (known.n_items - 1) // 2
        raise ModelError(
            f"{known.n_items:,} items have {pairs:,} pairs, whose table takes about "
            f"{pairs * BYTES_A_PAIR / 2**30:.1f} GiB. Keep only the most dependent pairs "
            f"(dependence_search), or choose at most {MOST_ITEMS:,} items (select_items)."
        )
    rows = np.full((known.n_items * (known.n_items - 1) // 2, N_COLUMNS), np.nan)
    complete = _complete(known)

    def fill(share: Iterable[Measured]) -> None:
        for tables, q3 in share:
            found = _rows(tables, _tested(tables, complete), q3)
            found[tables.n_both < FEWEST_COMMON, Q3:N_BOTH] = np.nan
            place = numbered(*tables.items(), known.n_items)
            rows[place] = found

    _over_blocks(known, part, 0.0, fill)
    q3 = rows[:, Q3]
    centre = np.nanmean(q3) if np.isfinite(q3).any() else np.nan
    return _table(rows, known.items, float(centre), adjust(p_of(rows), adjustment))


@dataclass(frozen=True, slots=True, eq=False)
class DependenceSearch:
    """The most dependent of all pairs of items, and how all pairs are distributed.

    Attributes
    ----------
    top : DataFrame
        The rows of `local_dependence` for the leading pairs, in order.
    histogram : DataFrame
        Columns statistic ("q3" or "standardised"), low, high, n_pairs: counts over all pairs
        that were tested, one row a bin.
    n_pairs, n_tested : int
        Pairs of items, and those with enough common persons.
    mean_q3 : float
        Over all pairs that were tested.
    """

    top: pd.DataFrame
    histogram: pd.DataFrame
    n_pairs: int
    n_tested: int
    mean_q3: float


def dependence_search(
    responses: Responses,
    calibration: Calibration,
    *,
    n_top: int = 1000,
    adjustment: str = "holm",
    by: str = "ld_x2",
) -> DependenceSearch:
    """Go through all pairs of calibrated items and keep the most dependent ones.

    For any number of items: memory grows with the items, not with the pairs.

    Parameters
    ----------
    responses : Responses
        The answers that were calibrated.
    calibration : Calibration
    n_top : int
        How many pairs to keep.
    adjustment : str
        "holm", "benjamini-hochberg" or "none", over all pairs tested. Adjusted p-values are exact
        for pairs among the `n_top` smallest p; beyond (with by="q3", or where Benjamini and
        Hochberg's minimum lies there) p-values count as the largest of a narrow bin.
    by : str
        "ld_x2": smallest p of LD-X2 first, then largest LD-X2. "q3": largest Q3 first.

    Returns
    -------
    DependenceSearch

    Notes
    -----
    Among millions of pairs of few persons the largest LD-X2 are mostly those of single answers
    where hardly anybody was expected (see `local_dependence`): order by "q3" then, or look at
    p_g2 beside p.
    """
    if by not in ORDERS:
        raise ModelError(f"Pairs are ordered by {listing(ORDERS)}, not by '{by}'.")
    if n_top < 1:
        raise ModelError(f"{n_top} pairs were asked for; there must be at least one to keep.")
    adjust(np.empty(0), adjustment)
    known, part = matched(responses, calibration)
    complete = _complete(known)

    def tally(share: Iterable[Measured]) -> Tally:
        kept = Tally.of(n_top)
        for tables, q3 in share:
            statistic = _tested(tables, complete)
            kept.count(statistic, tables.df, q3)
            for leading, keys in ((kept.leading(tables.df), statistic), (kept.by_q3, q3)):
                places = leading.candidates(keys)
                if len(places):
                    found = _rows(tables.at(places), statistic[places], q3[places])
                    leading.add(keys[places], found)
        return kept

    whole = merged(_over_blocks(known, part, FEWEST_COMMON, tally))
    rows = smallest_p(whole)[0] if by == "ld_x2" else whole.by_q3.rows
    centre = mean_q3(whole)
    return DependenceSearch(
        top=_table(rows, known.items, centre, adjusted_among_all(p_of(rows), whole, adjustment)),
        histogram=histogram(whole),
        n_pairs=known.n_items * (known.n_items - 1) // 2,
        n_tested=int(sum(counts.sum() for counts in whole.fine.values())),
        mean_q3=centre,
    )


def _over_blocks(
    responses: Responses,
    calibration: Calibration,
    fewest: float,
    work: Callable[[Iterable[Measured]], Result],
) -> list[Result]:
    """Give `work` the pairs with `fewest` common persons, two blocks at a time.

    It is called once for each thread; one result each.
    """
    theta = score(responses, calibration).theta
    with one_thread_a_core():
        answers, blocks = PairAnswers.of(responses), item_blocks(calibration)
        residuals = Residuals.of(answers, theta, blocks)
        shares = [chances(block, calibration) for block in blocks]

        def measured(pair: tuple[ItemBlock, ItemBlock]) -> Iterable[Measured]:
            tables = PairTables.of(answers, pair, shares, fewest)
            if tables is not None:
                q3 = q3_block(residuals, *pair, tables.n_both_block)
                yield tables, q3.ravel()[tables.chosen]

        def over(share: Sequence[tuple[ItemBlock, ItemBlock]]) -> Result:
            return work(found for pair in share for found in measured(pair))

        pieces = block_pairs(blocks)
        return spread(over, pieces, len(pieces) >= FEWEST_BLOCK_PAIRS)


def _complete(responses: Responses) -> bool:
    return bool((responses.n_answered() == responses.n_items).all())


def _tested(tables: PairTables, complete: bool) -> FloatArray:
    """The X2 that is tested, shape (n,): of incomplete answers, given the pair's own margins."""
    if complete:
        return pearson(tables.observed, tables.expected)
    return pearson(tables.observed, given_margins(tables.observed, tables.expected))


def _rows(tables: PairTables, tested: FloatArray, q3: FloatArray) -> FloatArray:
    """All that is told of some pairs, shape (n, 10)."""
    rows = np.empty((len(tested), N_COLUMNS))
    statistic = pearson(tables.observed, tables.expected)
    rows[:, FIRST], rows[:, SECOND] = tables.items()
    rows[:, Q3], rows[:, LD_X2], rows[:, TESTED], rows[:, DF] = q3, statistic, tested, tables.df
    rows[:, LD_G2] = likelihood_ratio(tables.observed, tables.expected)
    rows[:, CRAMER_V] = signed_v(statistic, tables.observed, tables.expected)
    rows[:, FEWEST] = tables.expected.min(axis=(0, 1))
    rows[:, N_BOTH] = tables.n_both
    return rows


def _table(
    rows: FloatArray, items: tuple[str, ...], centre: float, p_adjusted: FloatArray
) -> pd.DataFrame:
    """One row a pair, with names."""
    places = rows[:, [FIRST, SECOND]].astype(np.int64).T
    index = pd.MultiIndex(levels=[items, items], codes=places, names=["item_1", "item_2"])  # type: ignore[arg-type]
    return pd.DataFrame(
        {
            "q3": rows[:, Q3],
            "q3_adjusted": rows[:, Q3] - centre,
            "ld_x2": rows[:, LD_X2],
            "ld_g2": rows[:, LD_G2],
            "x2_tested": rows[:, TESTED],
            "df": rows[:, DF],
            "p": p_of(rows),
            "p_adjusted": p_adjusted,
            "p_g2": p_of(rows, LD_G2),
            "cramer_v": rows[:, CRAMER_V],
            "standardised": standardised(rows[:, LD_X2], rows[:, DF]),
            "fewest_expected": rows[:, FEWEST],
            "n_both": rows[:, N_BOTH],
        },
        index=index,
    )
