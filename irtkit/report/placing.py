"""Sections about places on a scale: reliability, norms and ceiling, and scored models."""

from __future__ import annotations

import math
from collections.abc import Callable
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from irtkit.errors import count
from irtkit.norms import percentile_words
from irtkit.report.page import Column, paragraph, table
from irtkit.report.parts import Part
from irtkit.report.summary import Measures
from irtkit.report.wording import UNKNOWN, number, share

NORM_POINTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
MOST_MODELS = 1000
Form = Callable[[float], str]


def reliability_words(part: Part, found: Measures) -> list[Element]:
    """Tell how well the part measures, and where it ends."""
    told = f"Marginal reliability, over the population, is {share(found.reliability.marginal)}"
    if not math.isnan(found.reliability.empirical):
        empirical = share(found.reliability.empirical)
        told += f"; empirical reliability, of these persons' estimates, {empirical}"
    curve = found.information
    at = [float(np.interp(x, curve.index, curve["standard_error"])) for x in NORM_POINTS]
    errors = ", ".join(
        f"{number(error)} at {number(x, 0)}"
        for x, error in zip(NORM_POINTS, at, strict=True)
        if curve.index[0] <= x <= curve.index[-1]
    )
    return [paragraph(f"{told}."), paragraph(f"Standard error of the ability: {errors}.")]


def norm_table(part: Part, found: Measures) -> list[Element]:
    """Tell what the best and the worst answers to all items are worth."""
    if part.scale is None or found.ends is None:
        return [paragraph("There is no scale, so there are no norms: irtkit screen makes one.")]
    rows = found.ends.table()
    columns = [
        Column("Answers", ["All right", "All wrong"]),
        _column(rows, "theta", "Ability", number, "theta, posterior mean"),
        _span(rows, "theta", "95% interval", number),
        _column(
            rows, "percentile", "Percentile", percentile_words, "In the population, by the model"
        ),
        _span(rows, "percentile", "95% interval", percentile_words),
        _column(
            rows,
            "percentile_empirical",
            "Below",
            percentile_words,
            "Per cent of the persons below",
        ),
    ]
    n = part.scale.norms.n_persons
    words = (
        f"Percentiles are shares of the population behind the {n:,.0f} persons who calibrated "
        "the scale. They say where somebody stands among these, and nothing about other people. "
        "At the ends only the interval means anything."
    )
    return [paragraph(words), table(columns, caption="Where the scale ends.")]


def model_table(part: Part) -> list[Element]:
    """Make the table of scored models."""
    rows = part.standings
    if rows is None:
        return [
            paragraph(
                "No scored models were found. Put what irtkit score writes beside the scale, or "
                "say --models."
            )
        ]
    shown = rows.head(MOST_MODELS)
    columns = [
        Column("Model", [str(name) for name in shown.index]),
        _column(shown, "theta", "Ability", number, "theta, posterior mean"),
        _span(shown, "theta", "95% interval", number),
    ]
    if "percentile" in shown:
        columns += [
            _column(shown, "percentile", "Percentile", percentile_words, "In the population"),
            _span(shown, "percentile", "95% interval", percentile_words),
        ]
    if "accuracy" in shown:
        columns.append(
            _column(shown, "accuracy", "Accuracy", _per_cent, "On the items of the scale")
        )
    if "n_answered" in shown:
        columns.append(_column(shown, "n_answered", "Answered", "{:,.0f}".format, "Items"))
    columns.append(Column("Remarks", [_remark(row) for _, row in shown.iterrows()]))
    cut = "" if len(shown) == len(rows) else f" The first {len(shown):,} of {len(rows):,}."
    caption = f"{count(len(shown), 'model')}, the ablest first. Select a title to sort.{cut}"
    return [table(columns, caption=caption)]


def _remark(row: pd.Series) -> str:
    ends = {
        "all right: read the interval": "at_ceiling",
        "all wrong: read the interval": "at_floor",
    }
    return ", ".join(word for word, name in ends.items() if name in row and bool(row[name]))


def _per_cent(value: float) -> str:
    return UNKNOWN if math.isnan(value) else f"{100.0 * value:.1f}%"


def _column(rows: pd.DataFrame, name: str, title: str, form: Form, help_text: str) -> Column:
    values = rows[name].to_numpy(dtype=float)
    return Column(title, [form(value) for value in values], values.tolist(), help_text)


def _span(rows: pd.DataFrame, name: str, title: str, form: Form) -> Column:
    """An interval; where there is only a standard error, a dash."""
    if f"{name}_low" not in rows:
        return Column(title, [UNKNOWN] * len(rows), [math.nan] * len(rows))
    low, high = (rows[f"{name}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
    cells = [f"{form(one)} to {form(other)}" for one, other in zip(low, high, strict=True)]
    return Column(title, cells, low.tolist())
