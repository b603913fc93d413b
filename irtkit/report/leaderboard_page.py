"""The page of a leaderboard: who stands where, who differs from whom, which items are broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from irtkit.errors import count
from irtkit.norms import percentile_words
from irtkit.report.page import (
    Column,
    Section,
    bullets,
    element,
    folded,
    page,
    paragraph,
    table,
)
from irtkit.report.wording import p_value
from irtkit.scale import EvaluationScale

Form = Callable[[float], str]

MOST_MODELS = 500
MOST_PAIRS = 500
MOST_ITEMS = 500
MOST_DRAWN = 40
ALPHA = 0.05
WRONG_KEY = "key may be wrong"  # what screening says of an item that able models fail
UNEXPECTED = -3.0  # lz below which a model's answers are called unexpected

LIMITS = (
    "Abilities are on a logistic scale where the models or people that calibrated the items have "
    "mean 0 and standard deviation 1. If the models on this page calibrated them, everything is "
    "relative to this field: add or remove models and all numbers move.",
    "Intervals are 95%. Rank intervals hold for all models at once, so they are wide; overlap of "
    "two abilities' intervals does not mean that the models are equal: see the comparisons.",
    "A percentile is the share of the calibrating population that the ability exceeds, if that "
    "population is normal.",
    "lz measures how likely a model's answers are at its ability: far below 0, it fails easy "
    "items and solves hard ones. Look for contamination, or for answers that were parsed wrongly.",
    "Dropped items are dropped for what these answers show. Look at an item before you call it "
    "wrong.",
)

RULES = {
    "dead": "all models answer alike, or all but one",
    "state": "answers that cannot tell models apart",
    "twin": "the same answers as another item",
    "item_rest": "no evidence that able models do better",
    "sign": "able models fail it",
    "information": "hardly any information",
    "analyst": "an analyst's decision",
}


def leaderboard_page(
    title: str,
    standings: pd.DataFrame,
    pairs: pd.DataFrame,
    scale: EvaluationScale,
    *,
    notes: Sequence[str] = (),
) -> str:
    """Write the page of a leaderboard.

    Parameters
    ----------
    title : str
    standings : DataFrame
        From `leaderboard`.
    pairs : DataFrame
        From `paired_comparison`; may be empty.
    scale : EvaluationScale
        That the models stand on; its provenance tells of dropped items.
    notes : sequence of str
        What was noticed while reading and scoring.

    Returns
    -------
    str
        An HTML document.
    """
    sections = [
        Section("", [paragraph(_summary(standings, scale))]),
        Section("Models", _models(standings)),
        Section("Comparisons", _comparisons(pairs)),
        Section("Dropped items", _dropped(scale)),
        Section("How to read this", [bullets(LIMITS)]),
    ]
    if notes:
        sections.append(Section("Notes", [bullets(notes)]))
    return page(title, sections)


def _summary(standings: pd.DataFrame, scale: EvaluationScale) -> str:
    offered, kept = scale.provenance.n_items_offered, len(scale.items)
    words = [
        f"{count(len(standings), 'model')} on the {count(kept, 'item')} of the scale "
        f"“{scale.name}”, kept of {offered:,}."
    ]
    ends = int((standings["at_ceiling"] | standings["at_floor"]).sum())
    odd = int((standings["lz"] < UNEXPECTED).sum())
    if ends:
        verb = "gives" if ends == 1 else "give"
        words.append(f"{count(ends, 'model')} {verb} all answers right, or all wrong.")
    if odd:
        verb = "gives" if odd == 1 else "give"
        words.append(f"{count(odd, 'model')} {verb} answers that the scale does not expect.")
    return " ".join(words)


def _models(standings: pd.DataFrame) -> list[Element]:
    shown = standings.head(MOST_MODELS)
    caption = _caption("Select a column's title to sort.", len(shown), len(standings))
    text = "{:.2f}".format
    columns = [
        Column("Model", [str(name) for name in shown.index]),
        _number(shown["rank"], "Rank", "{:.0f}".format, "By ability; equal abilities share it"),
        _range(shown, "rank", "Ranks", "{:.0f}".format, "95%, for all models at once"),
        _number(shown["theta"], "Ability", text, "theta, posterior mean"),
        _range(shown, "theta", "Interval", text, "95%"),
        _number(
            shown["percentile"], "Percentile", percentile_words, "In the calibrating population"
        ),
        _range(shown, "percentile", "Interval", percentile_words, "95%"),
        _accuracy(shown),
        _number(shown["n_answered"], "Answered", "{:,.0f}".format, "Items of the scale"),
        _number(shown["lz"], "lz", text, "Person fit; below -3 the answers are unexpected"),
        Column("Remarks", [_remark(row) for row in shown.to_dict("records")]),
    ]
    return [_figure(standings.head(MOST_DRAWN), len(standings)), table(columns, caption=caption)]


def _remark(row: Mapping[Any, Any]) -> str:
    words = {
        "all right": row["at_ceiling"],
        "all wrong": row["at_floor"],
        "unexpected answers": row["lz"] < UNEXPECTED,
    }
    return ", ".join(word for word, holds in words.items() if holds)


def _comparisons(pairs: pd.DataFrame) -> list[Element]:
    if pairs.empty:
        return [paragraph("There are no two models to compare.")]
    able, right = (
        int((pairs[name] < ALPHA).sum()) for name in ("p_adjusted", "accuracy_p_adjusted")
    )
    words = (
        f"Of {count(len(pairs), 'pair')}, {able:,} differ in ability and {right:,} in accuracy on "
        "the items that both answered (p below .05 after Holm's adjustment over these pairs). "
        "Differences are the first model's less the second's."
    )
    shown = pairs.head(MOST_PAIRS)
    names = [[str(name) for name in shown.index.get_level_values(level)] for level in (0, 1)]
    text = "{:+.2f}".format
    columns = [
        Column("First", names[0]),
        Column("Second", names[1]),
        _number(shown["difference"], "Ability", text, "Difference of theta"),
        _range(shown, "difference", "Interval", text, "95%"),
        _number(shown["p_adjusted"], "p", p_value, "Adjusted"),
        _number(shown["accuracy_difference"], "Accuracy", _points, "Difference, per cent points"),
        _range(shown, "accuracy", "Interval", _points, "95%"),
        _number(shown["accuracy_p_adjusted"], "p", p_value, "Adjusted"),
        _number(shown["only_1"], "Only first", "{:,.0f}".format, "Items that it did better"),
        _number(shown["only_2"], "Only second", "{:,.0f}".format, "Items that it did better"),
        _number(shown["n_common"], "Common", "{:,.0f}".format, "Items that both answered"),
    ]
    caption = _caption("Models two by two.", len(shown), len(pairs))
    return [paragraph(words), table(columns, caption=caption)]


def _dropped(scale: EvaluationScale) -> list[Element]:
    rows = scale.provenance.dropped
    if not rows:
        return [paragraph("No item was dropped.")]
    numbers = Counter(rule for _, rule, _ in rows)
    lines = [f"{count(n, 'item')}: {RULES.get(rule, rule)}" for rule, n in numbers.items()]
    parts = [bullets(lines)]
    wrong = [row for row in rows if WRONG_KEY in row[2]]
    if wrong:
        parts.append(paragraph("The keys of these may be wrong; look at them first."))
        parts.append(_items(wrong, "Items that able models fail."))
    return [*parts, folded("All dropped items", _items(rows, "In the order in which they went."))]


def _items(rows: Sequence[tuple[str, str, str]], caption: str) -> Element:
    shown = rows[:MOST_ITEMS]
    columns = [
        Column(title, [row[place] for row in shown])
        for place, title in enumerate(("Item", "Rule", "Reason"))
    ]
    return table(columns, caption=_caption(caption, len(shown), len(rows)))


def _figure(standings: pd.DataFrame, n_models: int) -> Element:
    """Draw abilities with their intervals, a row a model."""
    low = float(np.floor(standings["theta_low"].min()))
    high = max(low + 1.0, float(np.ceil(standings["theta_high"].max())))

    def across(theta: float) -> str:
        return f"{100.0 * (theta - low) / (high - low):.2f}%"

    ticks = np.arange(low, high + 0.5, max(1.0, np.ceil((high - low) / 8.0)))
    lines = [{"x1": across(tick), "x2": across(tick), "y1": "0", "y2": "100%"} for tick in ticks]
    words = "Abilities with 95% intervals"
    if len(standings) < n_models:
        words += f", the first {len(standings)} of {n_models:,}"
    rows = element(
        "div", {"class": "rows", "role": "img", "aria-label": f"{words}; see the table"}
    )
    for name, row in standings.iterrows():
        drawn = element("svg", *(element("line", {"class": "axis", **line}) for line in lines))
        ends = {"x1": across(row["theta_low"]), "x2": across(row["theta_high"])}
        drawn.append(element("line", {"class": "interval", **ends, "y1": "50%", "y2": "50%"}))
        place = {"cx": across(row["theta"]), "cy": "50%", "r": "4"}
        drawn.append(element("circle", {"class": "point", **place}))
        rows.extend([element("span", {"title": str(name)}, str(name)), drawn])
    axis = element("svg")
    for tick in ticks:
        place = {"x": across(tick), "y": "1em", "text-anchor": "middle"}
        axis.append(element("text", place, f"{tick:.0f}"))
    rows.extend([element("span"), axis])
    return element("figure", rows, element("figcaption", f"{words}."))


def _number(values: pd.Series, title: str, form: Form, help_text: str) -> Column:
    numbers = values.to_numpy(dtype=float)
    cells = ["-" if np.isnan(value) else form(value) for value in numbers]
    return Column(title, cells, numbers.tolist(), help_text)


def _range(frame: pd.DataFrame, name: str, title: str, form: Form, help_text: str) -> Column:
    low, high = (frame[f"{name}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
    cells = [
        "-" if np.isnan(one) else f"{form(one)} to {form(other)}"
        for one, other in zip(low, high, strict=True)
    ]
    return Column(title, cells, low.tolist(), help_text)


def _accuracy(standings: pd.DataFrame) -> Column:
    numbers = standings["accuracy"].to_numpy(dtype=float)
    errors = standings["accuracy_error"].to_numpy(dtype=float)
    cells = [f"{100 * n:.1f}% ± {100 * e:.1f}" for n, e in zip(numbers, errors, strict=True)]
    return Column("Accuracy", cells, numbers.tolist(), "On the items of the scale, ± 1 SE")


def _caption(words: str, n_shown: int, n_all: int) -> str:
    if n_shown == n_all:
        return words
    return f"{words} The first {n_shown:,} of {n_all:,}; the tables written beside hold all."


def _points(value: float) -> str:
    return f"{100.0 * value:+.1f}"
