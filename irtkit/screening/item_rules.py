"""Rules about single items: their state, what they tell about theta, how they fit.

Each rule is a small frozen object with its limits; its tie-break is written beside it.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2016). Building an evaluation scale using item response theory.
    Proceedings of EMNLP, 648-657. https://doi.org/10.18653/v1/D16-1062
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.diagnostics.classical import classical_table, unlikely_twins
from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.multiplicity import adjust
from irtkit.estimation import Calibration
from irtkit.estimation.calibration import (
    AT_BOUNDARY,
    CONSTANT,
    DUPLICATE,
    EMPTY_CATEGORY,
    REVERSE_KEYED,
    SEPARATING,
    UNANSWERED,
    matched,
)
from irtkit.responses import Responses
from irtkit.screening.objections import Flag, p_words, worst_first

LOGISTIC_TO_NORMAL = 1.702
WRONG_KEY = 0.001  # one-sided p of a negative item-rest correlation that is worth a word


@dataclass(frozen=True, slots=True)
class ItemStates:
    """Items whose answers cannot tell persons apart, or tell them apart the wrong way.

    Comes before any rule on the size of a slope, which a reversed key would pass. One state
    after the other, because a duplicate makes its twin look separating.
    """

    states: tuple[str, ...] = (
        *(UNANSWERED, CONSTANT, EMPTY_CATEGORY),
        *(DUPLICATE, REVERSE_KEYED, SEPARATING),
    )
    name: str = "state"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items in one of the states."""
        reasons = {
            UNANSWERED: "Nobody answered it.",
            CONSTANT: "Everybody answered it alike.",
            EMPTY_CATEGORY: "Nobody chose one of its categories, so it was not calibrated.",
            AT_BOUNDARY: "One of its asymptotes ran to 0 or 1.",
            DUPLICATE: "It repeats every answer of an earlier item.",
            REVERSE_KEYED: "Able persons fail it more often: the key may be wrong.",
            SEPARATING: "Its slope ran to the bound: it splits persons without error.",
        }
        slopes = calibration.slopes
        return [
            Flag(item, float(slope), reasons[state])
            for wanted in self.states
            for item, state, slope in zip(
                calibration.items, calibration.states, slopes, strict=True
            )
            if state == wanted
        ]

    def step(self, flags: list[Flag]) -> list[Flag]:
        """All items in the first state that occurs."""
        return [flag for flag in flags if flag.reason == flags[0].reason]


@dataclass(frozen=True, slots=True)
class DeadItems:
    """Items that fewer than `fewest` persons answered otherwise than all the rest."""

    fewest: float = 2.0
    name: str = "dead"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items with too small a minority, the smallest first."""
        table = classical_table(responses)
        minority = table["n_answered"] - table["n_commonest"]
        flags = [
            Flag(
                str(item),
                float(few),
                f"Of {n:g} persons, {few:g} answered otherwise than the rest.",
            )
            for item, few, n in zip(table.index, minority, table["n_answered"], strict=True)
            if few < self.fewest
        ]
        return sorted(flags, key=lambda flag: flag.statistic)

    def step(self, flags: list[Flag]) -> list[Flag]:
        """All of them."""
        return flags


@dataclass(frozen=True, slots=True)
class TwinItems:
    """Items that repeat every answer of an earlier one where chance does not explain it.

    Among few persons two easy items have the same answers by chance. The probability of such a
    pair among all, given how persons did on the other items, must be below `alpha`.
    """

    alpha: float = 0.01
    name: str = "twin"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Later members of pairs with the same answers, in order."""
        return [
            Flag(
                item,
                chance,
                f"It repeats every answer of {twin}; the probability of that by chance in any "
                f"pair is {p_words(chance)}.",
                partner=twin,
            )
            for item, twin, chance in unlikely_twins(responses, self.alpha)
        ]

    def step(self, flags: list[Flag]) -> list[Flag]:
        """All of them."""
        return flags


@dataclass(frozen=True, slots=True)
class ItemRest:
    """Items without evidence that who does well on the others does well on them.

    The correlation of an item with the rest must be significantly positive after adjustment,
    Benjamini-Hochberg by default. Where answers are few, slopes under priors look sound even if
    the answers are noise; this rule asks the answers.
    """

    alpha: float = 0.05
    adjustment: str = "benjamini-hochberg"
    name: str = "item_rest"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items without evidence, the smallest correlation first; untested items come last."""
        table = classical_table(responses, adjustment=self.adjustment)
        poor = table[~(table["p_adjusted"] < self.alpha)].sort_values("item_rest", kind="stable")
        return [
            Flag(
                str(item),
                row["item_rest"],
                _no_evidence(row),
                row["n_answered"] - 2.0,
                row["p"],
                row["p_adjusted"],
            )
            for item, row in poor.iterrows()
        ]

    def step(self, flags: list[Flag]) -> list[Flag]:
        """All of them."""
        return flags


def _no_evidence(row: pd.Series) -> str:
    """What the answers say of an item that does not go with the others."""
    if np.isnan(row["item_rest"]):
        return f"{row['n_answered']:g} persons are too few, or too alike, to correlate it."
    words = f"Item-rest correlation {row['item_rest']:.3f} over {row['n_answered']:g} persons"
    if row["p"] > 1.0 - WRONG_KEY:
        return f"{words}: who does well on the others fails it, so the key may be wrong."
    return f"{words} is no evidence of a positive one: adjusted p {p_words(row['p_adjusted'])}."


@dataclass(frozen=True, slots=True)
class Communality:
    """Items that share too little with theta: (a/1.702)^2 / (1 + (a/1.702)^2) below `smallest`."""

    smallest: float = 0.15
    name: str = "communality"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items with a small communality, the smallest first."""
        shares = communality(calibration)
        flags = [
            Flag(item, share, f"Communality {share:.3f} is below {self.smallest:g}.")
            for item, share in zip(calibration.items, shares.tolist(), strict=True)
            if share < self.smallest
        ]
        return sorted(flags, key=lambda flag: flag.statistic)

    def step(self, flags: list[Flag]) -> list[Flag]:
        """All of them."""
        return flags


def communality(calibration: Calibration) -> pd.Series:
    """Share of each item's (normal-ogive) variance that theta explains, by item."""
    squared = (calibration.slopes / LOGISTIC_TO_NORMAL) ** 2
    share = squared * calibration.latent.standard_deviation**2
    return pd.Series(share / (1.0 + share), index=list(calibration.items), name="communality")


@dataclass(frozen=True, slots=True)
class LowInformation:
    """Items whose Fisher information, averaged over the population, is below `smallest`."""

    smallest: float = 0.02
    name: str = "information"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items that tell next to nothing about this population, the least telling first."""
        known, part = matched(responses, calibration)
        nodes = part.nodes()
        table = part.assignment.information(part.parameters, nodes.theta)  # (Q, I)
        mean = np.exp(nodes.log_weights) @ table  # (I,)
        flags = [
            Flag(
                item,
                value,
                f"Its information, {value:.4f} on average, is below {self.smallest:g}.",
            )
            for item, value in zip(known.items, mean.tolist(), strict=True)
            if value < self.smallest
        ]
        return sorted(flags, key=lambda flag: flag.statistic)

    def step(self, flags: list[Flag]) -> list[Flag]:
        """All of them."""
        return flags


@dataclass(frozen=True, slots=True)
class ItemFit:
    """Items whose S-X2 is significant after adjustment and large enough to matter.

    Parameters
    ----------
    alpha, adjustment
        Of the test.
    smallest_rmsea : float
        RMSEA of S-X2 from which misfit matters; large samples detect the trivial.
    fewest_answers : float
        Items with fewer answers are not tested: chi-square would be no reference.
    share : float
        Share of the flagged items that goes at once; 0 for one at a time, since an item that
        misfits makes others seem to.
    """

    alpha: float = 0.05
    adjustment: str = "holm"
    smallest_rmsea: float = 0.0
    fewest_answers: float = 0.0
    share: float = 0.0
    name: str = "s_x2"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Misfitting items, smallest p first; ties by the larger statistic, then by order."""
        table = item_fit(responses, calibration, adjustment="none")
        p = np.where(table["n_answered"] >= self.fewest_answers, table["p"], np.nan)
        table["p_adjusted"] = adjust(p, self.adjustment)
        table = table[(table["p_adjusted"] < self.alpha) & ~(table["rmsea"] < self.smallest_rmsea)]
        order = np.lexsort((-table["s_x2"].to_numpy(), table["p"].to_numpy()))
        return [fit_flag(table, place) for place in order.tolist()]

    def step(self, flags: list[Flag]) -> list[Flag]:
        """The worst alone, or the worst `share` of them."""
        return worst_first(flags, self.share)


def fit_flag(table: pd.DataFrame, place: int) -> Flag:
    """Turn a row of the item-fit table into a flag."""
    statistic, df, p, adjusted = (
        float(table[name].iloc[place]) for name in ("s_x2", "df", "p", "p_adjusted")
    )
    reason = f"S-X2 {statistic:.2f} on {df:.0f} df, adjusted p {p_words(adjusted)}."
    if np.isnan(statistic):
        reason = "S-X2 could not be computed: too few groups of persons."
    return Flag(str(table.index[place]), statistic, reason, df, p, adjusted)


@dataclass(frozen=True, slots=True)
class InfitRange:
    """Items whose infit lies outside a range, however significant."""

    lowest: float = 0.7
    highest: float = 1.3
    name: str = "infit"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items outside the range, the farthest from 1 first."""
        infit = item_fit(responses, calibration)["infit"]
        flags = [
            Flag(
                str(item),
                value,
                f"Infit {value:.2f} lies outside {self.lowest:g} to {self.highest:g}.",
            )
            for item, value in infit.items()
            if not self.lowest <= value <= self.highest and not np.isnan(value)
        ]
        return sorted(flags, key=lambda flag: -abs(np.log(flag.statistic)))

    def step(self, flags: list[Flag]) -> list[Flag]:
        """The worst alone."""
        return flags[:1]
