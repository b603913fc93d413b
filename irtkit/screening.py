"""Screening: calibrate, flag, drop, recalibrate, until the rules have nothing left to say.

A rule looks at responses and calibration and returns flags; `screen` acts on them in order and
logs every step with its statistic and a sentence. An analyst's decisions always win. The fit of
what is left is post-selection: it was chosen to fit, and should be confirmed on new answers.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2016). Building an evaluation scale using item response theory.
    Proceedings of EMNLP, 648-657. https://doi.org/10.18653/v1/D16-1062
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.local_dependence import local_dependence
from irtkit.errors import ModelError, ResponseError, count, listing, nearest, shown
from irtkit.estimation import MML, Calibration, calibrate
from irtkit.estimation.calibration import (
    AT_BOUNDARY,
    CONSTANT,
    DUPLICATE,
    EMPTY_CATEGORY,
    REVERSE_KEYED,
    SEPARATING,
    UNANSWERED,
)
from irtkit.models import ItemModel
from irtkit.responses import Responses

LOGISTIC_TO_NORMAL = 1.702
LOG_COLUMNS = ["step", "item", "decision", "rule", "statistic", "df", "p", "p_adjusted", "reason"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an analyst decided about an item: "keep" or "drop", and why."""

    item: str
    decision: str
    reason: str

    def __post_init__(self) -> None:
        if self.decision not in ("keep", "drop"):
            raise ResponseError(
                f"The decision about item {shown(self.item)} is {shown(self.decision)}; write "
                "keep or drop."
            )
        if not self.reason.strip():
            raise ResponseError(
                f"The decision to {self.decision} item {shown(self.item)} has no reason. Say why, "
                "so that readers of the log can follow."
            )


@dataclass(frozen=True, slots=True)
class Flag:
    """An item that a rule objects to.

    `partner` is the other item of a dependent pair; `item` is the one to drop.
    """

    item: str
    statistic: float
    reason: str
    df: float = np.nan
    p: float = np.nan
    p_adjusted: float = np.nan
    partner: str | None = None


class Rule(Protocol):
    """A reason to drop items."""

    @property
    def name(self) -> str:
        """Word for the log."""
        ...

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Items that the rule objects to, the worst first."""
        ...

    def step(self, flags: list[Flag]) -> list[Flag]:
        """Which of the flags go together before the items are calibrated again."""
        ...


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


@dataclass(frozen=True, slots=True)
class ItemFit:
    """Items whose S-X2 is significant after adjustment."""

    alpha: float = 0.05
    adjustment: str = "holm"
    name: str = "s_x2"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Misfitting items, smallest p first; ties by the larger statistic, then by order."""
        table = item_fit(responses, calibration, adjustment=self.adjustment)
        table = table[table["p_adjusted"] < self.alpha]
        order = np.lexsort((-table["s_x2"].to_numpy(), table["p"].to_numpy()))
        return [_fit_flag(table, place) for place in order.tolist()]

    def step(self, flags: list[Flag]) -> list[Flag]:
        """The worst alone: an item that misfits makes others seem to."""
        return flags[:1]


@dataclass(frozen=True, slots=True)
class PairDependence:
    """Pairs whose LD-X2 is significant after adjustment; one member of the worst is dropped.

    That is the member with more significant pairs; if equal, the one with the smaller slope; if
    still equal, the later one.
    """

    alpha: float = 0.05
    adjustment: str = "holm"
    name: str = "ld_x2"

    def flags(self, responses: Responses, calibration: Calibration) -> list[Flag]:
        """Dependent pairs, smallest p first, each with the member to drop as `item`."""
        table = local_dependence(responses, calibration, adjustment=self.adjustment)
        table = table[table["p_adjusted"] < self.alpha].sort_values("p", kind="stable")
        members = [item for pair in table.index for item in pair]
        order = {item: number for number, item in enumerate(calibration.items)}
        slope = dict(zip(calibration.items, calibration.slopes, strict=True))

        def worse(item: str) -> tuple[int, float, int]:
            return members.count(item), -float(slope[item]), order[item]

        flags = []
        for place, (first, second) in enumerate(table.index):
            item, partner = (first, second) if worse(first) > worse(second) else (second, first)
            statistic, df, p, adjusted, v = (
                float(table[name].iloc[place])
                for name in ("ld_x2", "df", "p", "p_adjusted", "cramer_v")
            )
            reason = (
                f"Depends on {partner} beyond theta: LD-X2 {statistic:.2f}, signed V {v:+.2f}, "
                f"adjusted p {_p(adjusted)}."
            )
            flags.append(Flag(item, statistic, reason, df, p, adjusted, partner))
        return flags

    def step(self, flags: list[Flag]) -> list[Flag]:
        """One member of the worst pair."""
        return flags[:1]


PRESETS: dict[str, tuple[Rule, ...]] = {
    "lalor2016": (ItemStates(), Communality(0.15), ItemFit(), PairDependence()),
}


def preset(name: str) -> tuple[Rule, ...]:
    """Return the rules of a named screening: "lalor2016", the published crowd-NLI sequence.

    States first, then communality below .15, S-X2 with Holm, LD-X2 with Holm; after each drop the
    items are calibrated again, and the sequence is repeated until nothing is flagged.
    """
    if name not in PRESETS:
        raise ModelError(
            f"Unknown preset {shown(name)}; there is {listing(sorted(PRESETS))}."
            f"{nearest(name, PRESETS)}"
        )
    return PRESETS[name]


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """Which items were kept and the way there.

    Attributes
    ----------
    responses : Responses
        The answers to the kept items.
    calibration : Calibration
        Of the kept items.
    first : Calibration
        Of all items, before anything was dropped.
    log : DataFrame
        step, item, decision, rule, statistic, df, p, p_adjusted, reason. Step 1 holds what all
        rules flag at the start ("flag"); then each drop; last each kept item.
    rules : tuple of str
        Names of the rules in order.
    """

    responses: Responses
    calibration: Calibration
    first: Calibration
    log: pd.DataFrame
    rules: tuple[str, ...]

    @property
    def kept(self) -> list[str]:
        """Ids of the kept items, in the order of the responses."""
        return list(self.responses.items)

    @property
    def dropped(self) -> pd.DataFrame:
        """The rows of the log that dropped an item."""
        return self.log[self.log["decision"] == "drop"]


def screen(
    responses: Responses,
    model: ItemModel,
    rules: Sequence[Rule],
    *,
    method: MML | None = None,
    decisions: Sequence[Decision] = (),
    progress: Callable[[str], None] | None = None,
) -> Screening:
    """Drop items by rules until none is flagged, recalibrating after each drop.

    Parameters
    ----------
    responses : Responses
    model : ItemModel
    rules : sequence of Rule
        For example `preset("lalor2016")`.
    method : MML, optional
    decisions : sequence of Decision
        Items that an analyst keeps whatever the rules say, or drops before they are asked.
    progress : callable, optional
        Called with a sentence at each step.

    Raises
    ------
    ResponseError
        If a decision names an unknown item or an item twice.
    ModelError
        If too few items are left to calibrate.
    """
    decided = _checked(decisions, responses)
    run = _Run(responses, model, method or MML(), progress)
    first = run.calibrate()
    for rule in rules:
        for flag in rule.flags(run.responses, first):
            run.record(1, flag, "flag", rule.name, flag.reason)
    run.step = 1
    for decision in decided.values():
        if decision.decision == "drop":
            run.drop([Flag(decision.item, np.nan, decision.reason)], "analyst")
    held = {item: choice for item, choice in decided.items() if choice.decision == "keep"}
    while sum(_apply(rule, run, held) for rule in rules):
        pass
    final = run.calibrate(final=True)
    _record_kept(run, final, held)
    log = pd.DataFrame(run.rows, columns=LOG_COLUMNS)
    return Screening(run.responses, final, first, log, tuple(rule.name for rule in rules))


def communality(calibration: Calibration) -> pd.Series:
    """Share of each item's (normal-ogive) variance that theta explains, by item."""
    squared = (calibration.slopes / LOGISTIC_TO_NORMAL) ** 2
    share = squared * calibration.latent.standard_deviation**2
    return pd.Series(share / (1.0 + share), index=list(calibration.items), name="communality")


class _Run:
    """The mutable state of one screening: items left, their calibration, the log so far."""

    def __init__(
        self,
        responses: Responses,
        model: ItemModel,
        method: MML,
        progress: Callable[[str], None] | None,
    ) -> None:
        self.responses = responses
        self.model = model
        self.method = method
        self.progress = progress
        self.calibration: Calibration | None = None
        self.rows: list[tuple[object, ...]] = []
        self.step = 0

    def calibrate(self, *, final: bool = False) -> Calibration:
        """Calibrate the items left, unless nothing has changed; standard errors at the end."""
        if self.calibration is None or final:
            method = self.method if final else replace(self.method, standard_errors=None)
            try:
                self.calibration = calibrate(self.responses, self.model, method=method)
            except ModelError as error:
                raise ModelError(
                    f"Screening left {count(self.responses.n_items, 'item')}. {error}"
                ) from error
        return self.calibration

    def drop(self, flags: list[Flag], rule: str) -> None:
        """Take items out and log each."""
        self.step += 1
        gone = {flag.item for flag in flags}
        left = [item for item in self.responses.items if item not in gone]
        for flag in flags:
            self.record(
                self.step, flag, "drop", rule, f"{_sentence(flag.reason)} {len(left)} items left."
            )
        self.responses = self.responses.select_items(left)
        self.calibration = None
        if self.progress is not None:
            self.progress(f"step {self.step}: {rule} drops {listing(sorted(gone))}")

    def record(self, step: int, flag: Flag, decision: str, rule: str, reason: str) -> None:
        """Write one row of the log."""
        values = (flag.statistic, flag.df, flag.p, flag.p_adjusted)
        self.rows.append((step, flag.item, decision, rule, *values, reason))


def _apply(rule: Rule, run: _Run, held: dict[str, Decision]) -> int:
    """Drop what one rule flags until it flags nothing it may drop; return how many went."""
    n_dropped = 0
    spared: set[str] = set()
    while True:
        allowed = []
        for flag in rule.flags(run.responses, run.calibrate()):
            chosen = _not_held(flag, held)
            if chosen is not None:
                allowed.append(chosen)
            elif flag.item not in spared:
                spared.add(flag.item)
                reason = f"{flag.reason} Kept by the analyst: {held[flag.item].reason}"
                run.record(run.step, flag, "keep", rule.name, reason)
        if not allowed:
            return n_dropped
        going = rule.step(allowed)
        run.drop(going, rule.name)
        n_dropped += len(going)


def _not_held(flag: Flag, held: dict[str, Decision]) -> Flag | None:
    """Return the flag, turned to the partner if the analyst keeps the item; None if both."""
    if flag.item not in held:
        return flag
    if flag.partner is None or flag.partner in held:
        return None
    reason = f"{flag.reason} (The analyst keeps {flag.item}, so {flag.partner} goes.)"
    return replace(flag, item=flag.partner, partner=flag.item, reason=reason)


def _checked(decisions: Sequence[Decision], responses: Responses) -> dict[str, Decision]:
    decided: dict[str, Decision] = {}
    for decision in decisions:
        if decision.item not in responses.items:
            raise ResponseError(
                f"A decision names the item {shown(decision.item)}, which was not answered."
                f"{nearest(decision.item, responses.items)}"
            )
        if decision.item in decided:
            raise ResponseError(f"Item {shown(decision.item)} has two decisions; leave one.")
        decided[decision.item] = decision
    return decided


def _record_kept(run: _Run, final: Calibration, held: dict[str, Decision]) -> None:
    table = item_fit(run.responses, final)
    run.step += 1
    for item in run.responses.items:
        if item not in table.index:
            run.record(run.step, Flag(item, np.nan, ""), "keep", "end", "Kept, not calibrated.")
            continue
        flag = _fit_flag(table, list(table.index).index(item))
        why = f" Analyst: {held[item].reason}" if item in held else ""
        run.record(run.step, flag, "keep", "end", f"Kept; the statistic is S-X2.{why}")


def _fit_flag(table: pd.DataFrame, place: int) -> Flag:
    """Turn a row of the item-fit table into a flag."""
    statistic, df, p, adjusted = (
        float(table[name].iloc[place]) for name in ("s_x2", "df", "p", "p_adjusted")
    )
    reason = f"S-X2 {statistic:.2f} on {df:.0f} df, adjusted p {_p(adjusted)}."
    return Flag(str(table.index[place]), statistic, reason, df, p, adjusted)


def _p(value: float) -> str:
    return "below .0001" if value < 1e-4 else f"{value:.4f}"


def _sentence(text: str) -> str:
    return text if text.rstrip().endswith((".", "!", "?", ")")) else f"{text.rstrip()}."
