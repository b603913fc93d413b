"""The rule about pairs: local dependence, and which member of a pair goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.diagnostics.local_dependence import dependence_search, local_dependence
from irtkit.diagnostics.multiplicity import adjust
from irtkit.estimation import Calibration
from irtkit.responses import Responses
from irtkit.screening.objections import Flag, p_words, worst_first

MOST_ITEMS_WHOLE = 500  # beyond, only the most dependent pairs are listed
N_TOP = 2000


@dataclass(frozen=True, slots=True)
class PairDependence:
    """Pairs whose LD-X2 is significant after adjustment; one member of the worst is dropped.

    Parameters
    ----------
    alpha, adjustment
        Of the test, over all pairs.
    smallest_v : float
        Size of Cramer's V from which dependence matters.
    fewest_common : float
        Pairs with fewer persons in common are not tested.
    fewest_expected : float
        Nor pairs with a cell in which the model expects fewer persons.
    share : float
        Share of the flagged pairs that is dealt with at once; 0 for one pair at a time.
    tie : str
        The member with more significant pairs goes. If equal: "slope", the one with the smaller
        slope, then the later one; or "order", the later one.
    """

    alpha: float = 0.05
    adjustment: str = "holm"
    smallest_v: float = 0.0
    fewest_common: float = 0.0
    fewest_expected: float = 0.0
    share: float = 0.0
    tie: str = "slope"
    name: str = "ld_x2"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Dependent pairs, smallest p first, each with the member to drop as `item`."""
        table = self._dependent(responses, calibration)
        pairs = Counter(item for pair in table.index for item in pair)
        order = {item: number for number, item in enumerate(calibration.items)}
        slope = dict(zip(calibration.items, calibration.slopes, strict=True))

        def worse(item: str) -> tuple[int, float, int]:
            weak = -float(slope[item]) if self.tie == "slope" else 0.0
            return pairs[item], weak, order[item]

        flags = []
        for place, (first, second) in enumerate(table.index):
            item, partner = (first, second) if worse(first) > worse(second) else (second, first)
            statistic, df, p, adjusted, v = (
                float(table[name].iloc[place])
                for name in ("x2_tested", "df", "p", "p_adjusted", "cramer_v")
            )
            reason = (
                f"Depends on {partner} beyond theta: LD-X2 {statistic:.2f}, signed V {v:+.2f}, "
                f"adjusted p {p_words(adjusted)}."
            )
            flags.append(Flag(item, statistic, reason, df, p, adjusted, partner))
        return flags

    def _dependent(self, responses: Responses, calibration: Calibration) -> pd.DataFrame:
        """The significant pairs, smallest p first."""
        if responses.n_items > MOST_ITEMS_WHOLE:
            found = dependence_search(
                responses, calibration, n_top=N_TOP, adjustment=self.adjustment
            )
            table = found.top[self._testable(found.top)]
        else:
            table = local_dependence(responses, calibration, adjustment="none")
            p = np.where(self._testable(table), table["p"], np.nan)
            table["p_adjusted"] = adjust(p, self.adjustment)
        large = table["cramer_v"].abs() >= self.smallest_v
        table = table[(table["p_adjusted"] < self.alpha) & large]
        order = np.lexsort((-table["x2_tested"].to_numpy(), table["p"].to_numpy()))
        return table.iloc[order]

    def _testable(self, table: pd.DataFrame) -> pd.Series:
        """Whether each pair has persons enough."""
        enough = table["n_both"] >= self.fewest_common
        return enough & (table["fewest_expected"] >= self.fewest_expected)

    def step(self, flags: list[Flag]) -> list[Flag]:
        """One member of the worst pair, or of the worst `share` of them; each item once."""
        chosen: dict[str, Flag] = {}
        for flag in worst_first(flags, self.share):
            if flag.item not in chosen and flag.partner not in chosen:
                chosen[flag.item] = flag
        return list(chosen.values())
