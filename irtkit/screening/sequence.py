"""`screen`: ask the rules in order, drop, calibrate again, until nothing is flagged.

Every step is logged with its statistic and a sentence, and what it changed. An analyst's
decisions always win. The fit of what is left is post-selection: it was chosen to fit, so
confirm it on other persons (`confirmation.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from irtkit.diagnostics.item_fit import item_fit
from irtkit.errors import ModelError, NothingKept, ResponseError, count, listing, nearest, shown
from irtkit.estimation import MML, Calibration
from irtkit.estimation.by_method import Method, calibrate_by, quick
from irtkit.models import ItemModel
from irtkit.responses import Responses
from irtkit.scoring import reliability
from irtkit.screening.item_rules import fit_flag
from irtkit.screening.objections import (
    Flag,
    Observation,
    Rule,
    observations_among,
    rules_among,
)

LOG_COLUMNS = [
    *("step", "item", "decision", "rule", "statistic", "df", "p", "p_adjusted", "reason"),
    *("items_before", "items_after", "reliability_before", "reliability_after"),
]


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
        step, item, decision, rule, statistic, df, p, p_adjusted, reason, and for drops the number
        of items and the marginal reliability before and after. Step 0 holds what was observed
        before the first drop ("note"), step 1 what all rules flag at the start ("flag"); then
        each drop; last, observations again and each kept item.
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
    rules: Sequence[Rule | Observation],
    *,
    method: Method | None = None,
    decisions: Sequence[Decision] = (),
    progress: Callable[[str], None] | None = None,
) -> Screening:
    """Drop items by rules until none is flagged, recalibrating after each drop.

    Parameters
    ----------
    responses : Responses
    model : ItemModel
    rules : sequence of Rule or Observation
        For example `preset("lalor2016")`. Ties within a rule are broken as it says, and at last
        by the order of the items.
    method : MML or Bayes, optional
        `Bayes` samples anew after each drop: seconds to minutes each.
    decisions : sequence of Decision
        Items that an analyst keeps whatever the rules say, or drops before they are asked.
    progress : callable, optional
        Called with a sentence at each step.

    Raises
    ------
    ResponseError
        If a decision names an unknown item or an item twice.
    NothingKept
        If too few items are left to calibrate; carries the log. It is a ModelError.
    """
    decided = _checked(decisions, responses)
    held = {item: choice for item, choice in decided.items() if choice.decision == "keep"}
    run = _Run(responses, model, method or MML(), progress)
    asked = rules_among(rules)
    watching = observations_among(rules)
    first = run.calibrate()
    run.observe(0, watching)
    run.step = 1
    for rule in asked:
        for flag in rule.flags(run.responses, first):
            run.record(1, flag, "flag", rule.name)
    for decision in decided.values():
        if decision.decision == "drop":
            run.drop([Flag(decision.item, np.nan, decision.reason)], "analyst")
    while sum([_apply(rule, run, held) for rule in asked]):
        pass
    final = run.calibrate(final=True)
    run.step += 1
    run.observe(run.step, [observation for observation in watching if observation.again])
    _record_kept(run, final, held)
    return Screening(run.responses, final, first, run.log(), tuple(rule.name for rule in asked))


class _Run:
    """The mutable state of one screening: items left, their calibration, the log so far."""

    def __init__(
        self,
        responses: Responses,
        model: ItemModel,
        method: Method,
        progress: Callable[[str], None] | None,
    ) -> None:
        self.responses = responses
        self.model = model
        self.method = method
        self.progress = progress
        self.calibration: Calibration | None = None
        self.rows: list[dict[str, object]] = []
        self.step = 0
        self.reliability = np.nan
        self.unfinished = 0  # the first row that waits for the next calibration

    def calibrate(self, *, final: bool = False) -> Calibration:
        """Calibrate the items left, unless nothing has changed; standard errors at the end."""
        sampled = not isinstance(self.method, MML)
        if self.calibration is not None and (sampled or not final):
            return self.calibration
        method = self.method if final else quick(self.method)
        try:
            self.calibration = calibrate_by(self.responses, self.model, method)
        except ModelError as error:
            if not self.rows:
                raise
            raise NothingKept(
                f"Screening left {count(self.responses.n_items, 'item')}. {error}", self.log()
            ) from error
        self.reliability = reliability(self.calibration).marginal
        for row in self.rows[self.unfinished :]:
            if row["decision"] == "drop":
                row["reliability_after"] = self.reliability
        self.unfinished = len(self.rows)
        return self.calibration

    def drop(self, flags: list[Flag], rule: str) -> None:
        """Take items out and log each."""
        self.step += 1
        gone = {flag.item for flag in flags}
        before = self.responses.n_items
        left = [item for item in self.responses.items if item not in gone]
        for flag in flags:
            self.record(self.step, flag, "drop", rule)
            self.rows[-1] |= {
                "reason": f"{_sentence(flag.reason)} {len(left)} items left.",
                "items_before": before,
                "items_after": len(left),
                "reliability_before": self.reliability,
            }
        self.responses = self.responses.select_items(left)
        self.calibration = None
        if self.progress is not None:
            self.progress(f"step {self.step}: {rule} drops {listing(sorted(gone))}")

    def observe(self, step: int, watching: Sequence[Observation]) -> None:
        """Write down what the observations see in the items left."""
        for observation in watching:
            if self.progress is not None:
                self.progress(f"step {step}: observing {observation.name}")
            for note in observation.notes(self.responses, self.calibrate(), self.method):
                self.record(step, note, "note", observation.name)

    def record(self, step: int, flag: Flag, decision: str, rule: str, reason: str = "") -> None:
        """Write one row of the log."""
        self.rows.append(
            {
                "step": step,
                "item": flag.item,
                "decision": decision,
                "rule": rule,
                "statistic": flag.statistic,
                "df": flag.df,
                "p": flag.p,
                "p_adjusted": flag.p_adjusted,
                "reason": reason or flag.reason,
            }
        )

    def log(self) -> pd.DataFrame:
        """Return the log so far."""
        return pd.DataFrame(self.rows, columns=LOG_COLUMNS)


def _apply(rule: Rule, run: _Run, held: dict[str, Decision]) -> int:
    """Drop what one rule flags until it flags nothing it may drop; return how many went."""
    n_dropped = 0
    spared: set[str] = set()
    while True:
        allowed: dict[str, Flag] = {}
        for flag in rule.flags(run.responses, run.calibrate()):
            chosen = _not_held(flag, held)
            if chosen is not None:
                allowed.setdefault(chosen.item, chosen)
            elif flag.item not in spared:
                spared.add(flag.item)
                reason = f"{flag.reason} Kept by the analyst: {held[flag.item].reason}"
                run.record(run.step, flag, "keep", rule.name, reason)
        if not allowed:
            return n_dropped
        going = rule.step(list(allowed.values()))
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
    place = {item: number for number, item in enumerate(table.index)}
    for item in run.responses.items:
        if item not in place:
            run.record(run.step, Flag(item, np.nan, ""), "keep", "end", "Kept, not calibrated.")
            continue
        flag = fit_flag(table, place[item])
        why = f" Analyst: {held[item].reason}" if item in held else ""
        run.record(run.step, flag, "keep", "end", f"Kept; the statistic is S-X2.{why}")


def _sentence(text: str) -> str:
    return text if text.rstrip().endswith((".", "!", "?", ")")) else f"{text.rstrip()}."
