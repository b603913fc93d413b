"""The story of a screening in sentences: what went, at which step, why, what was overruled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import pandas as pd

from irtkit.errors import count
from irtkit.report.page import Column, bullets, folded, paragraph, table
from irtkit.report.parts import Part
from irtkit.report.wording import RULES, several, share
from irtkit.screening import PRESETS
from irtkit.screening.objections import rules_among

MOST_TOLD = 12  # drops that are told one by one
MOST_NAMED = 6
MOST_LISTED = 2000
MOST_TEXT = 300  # characters of a text in the table of dropped items


def _presets() -> dict[tuple[str, ...], str]:
    """Names of the presets by the names of their rules."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, rules in PRESETS.items():
        found.setdefault(tuple(rule.name for rule in rules_among(rules)), []).append(name)
    return {rules: " or ".join(names) for rules, names in found.items()}


def preset_of(part: Part) -> str:
    """Name the preset that has the rules of a part's screening, or nothing."""
    return "" if part.scale is None else _presets().get(part.scale.provenance.rules, "")


def story(part: Part) -> list[Element]:
    """Tell a screening: the plan, each drop, what an analyst overruled, what is left."""
    scale = part.scale
    if scale is None:
        return [paragraph("This is a calibration: its items were not screened here.")]
    dropped = scale.provenance.dropped
    known = preset_of(part)
    words = several(
        [f"{rule} ({RULES[rule]})" if rule in RULES else rule for rule in scale.provenance.rules],
        20,
    )
    plan = f"The rules of the preset {known}, in order: " if known else "The rules, in order: "
    parts = [paragraph(f"{plan}{words}.")]
    parts.append(paragraph(_outcome(part)))
    if part.log is not None:
        parts.extend(_told(part.log))
    if dropped:
        parts.append(_table(part, dropped))
    parts.append(
        paragraph(
            "The items that are left were chosen to fit, so that their fit on the same answers "
            "is too good. Confirm it on other persons (irtkit screen --checks)."
        )
    )
    return parts


def _outcome(part: Part) -> str:
    assert part.scale is not None
    dropped = part.scale.provenance.dropped
    offered = count(part.n_offered, "item")
    if not dropped:
        return f"Of {offered} none was dropped."
    numbers = Counter(rule for _, rule, _ in dropped)
    why = several([f"{n:,} for {rule}" for rule, n in numbers.items()], 10)
    verb = "was" if len(dropped) == 1 else "were"
    return f"Of {offered} {len(dropped):,} {verb} dropped ({why}); {len(part.items):,} are left."


def _told(log: pd.DataFrame) -> list[Element]:
    rows = log.to_dict("records")
    notes = [_sentence(row["reason"]) for row in rows if row["decision"] == "note" and _first(row)]
    steps: dict[tuple[int, str], list[Mapping[Any, Any]]] = {}
    for row in rows:
        if row["decision"] == "drop":
            steps.setdefault((int(row["step"]), str(row["rule"])), []).append(row)
    drops = [_drop(step) for step in steps.values()]
    overruled = [
        f"{row['item']} ({row['rule']}): {row['reason']}"
        for row in rows
        if row["decision"] == "keep" and row["rule"] != "end"
    ]
    parts = []
    if notes:
        parts += [paragraph("Before the first drop it was noted:"), bullets(notes[:MOST_TOLD])]
    if drops:
        parts.append(paragraph("Then, one after the other:"))
        parts.append(bullets(drops[:MOST_TOLD]))
        if len(drops) > MOST_TOLD:
            n_more = count(len(drops) - MOST_TOLD, "more step")
            parts.append(paragraph(f"There are {n_more}; all items are in the table below."))
    if overruled:
        parts += [paragraph("The analyst overruled the rules:"), bullets(overruled)]
    else:
        parts.append(paragraph("No decision of a rule was overruled by an analyst."))
    return parts


def _first(row: Mapping[Any, Any]) -> bool:
    return int(row["step"]) == 0


def _drop(step: Sequence[Mapping[Any, Any]]) -> str:
    """Tell of the items that one rule dropped at one step."""
    row = step[0]
    reason = _sentence(row["reason"])
    line = f"Step {row['step']}: {row['item']} went ({row['rule']}). {reason}"
    if len(step) > 1:
        names = several([str(other["item"]) for other in step], MOST_NAMED)
        line = f"Step {row['step']}: {len(step):,} items went ({row['rule']}): {names}. "
        line += f"Of {row['item']}: {reason}"
    before, after = float(row["reliability_before"]), float(row["reliability_after"])
    if pd.isna(before) or pd.isna(after):
        return line
    return f"{line} Reliability {share(before)} before, {share(after)} after."


def _sentence(text: object) -> str:
    words = str(text).strip()
    return words if words.endswith((".", "!", "?", ")")) else f"{words}."


def _table(part: Part, dropped: Sequence[tuple[str, str, str]]) -> Element:
    shown = dropped[:MOST_LISTED]
    columns = [
        Column(
            "Order",
            [str(n) for n in range(1, len(shown) + 1)],
            [float(n) for n in range(1, len(shown) + 1)],
        ),
        Column("Item", [item for item, _, _ in shown]),
        Column("Rule", [RULES.get(rule, rule) for _, rule, _ in shown]),
        Column("Reason", [reason for _, _, reason in shown]),
    ]
    if part.texts:
        texts = [part.texts.get(item, "") for item, _, _ in shown]
        columns.append(Column("Text", [_cut(text) for text in texts]))
    caption = "In the order in which they went. Select a title to sort."
    if len(shown) < len(dropped):
        caption += f" The first {len(shown):,} of {len(dropped):,}."
    return folded(
        f"The {len(dropped):,} dropped items" if len(dropped) > 1 else "The dropped item",
        table(columns, caption=caption, heading=1),
    )


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} …"


def reliability_before(log: pd.DataFrame | None) -> float:
    """Reliability before the first drop, NaN where the log does not tell."""
    if log is None or "reliability_before" not in log:
        return float("nan")
    drops = log[log["decision"] == "drop"]
    return float("nan") if drops.empty else float(drops["reliability_before"].iloc[0])
