"""What a part comes to: facts at a glance, and the warnings that matter, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from irtkit.errors import count
from irtkit.estimation.calibration import OK
from irtkit.norms import HIGHEST, percentile_words
from irtkit.report.flags import dependent, misfitting
from irtkit.report.page import bullets, element, folded, paragraph
from irtkit.report.parts import Part
from irtkit.report.story import reliability_before
from irtkit.report.wording import MODELS, UNKNOWN, number, several, share
from irtkit.scale import ScaleScores
from irtkit.scoring import Reliability, Scores, reliability, test_information

FEW_PERSONS = 250
LOW_RELIABILITY = 0.7
MUCH_CEILING = 5.0  # per cent of the population at the highest ability that can be measured
GOOD_ERROR = 0.5  # standard error, in units of theta
REACH = 3.0  # standard deviations from the mean within which a test is looked at


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """The numbers that several sections of a part tell of.

    Attributes
    ----------
    reliability : Reliability
    information : DataFrame
        `test_information` within the population's reach.
    ends : ScaleScores, or None
        The best and the worst answers, placed on the scale.
    """

    reliability: Reliability
    information: pd.DataFrame
    ends: ScaleScores | None


def measures(part: Part, scores: Scores | None, ends: ScaleScores | None) -> Measures:
    """Gather the numbers of a part."""
    latent = part.calibration.latent
    grid = np.linspace(-REACH, REACH, 121) * latent.standard_deviation + latent.mean
    table = test_information(part.calibration, grid)
    return Measures(reliability(part.calibration, scores), table, ends)


def summary(part: Part, found: Measures) -> list[Element]:
    """Make the first thing to read of a part."""
    parts = [paragraph(_what(part)), paragraph(_measured(found)), _facts(part, found)]
    told = warnings(part, found)
    if told:
        parts.append(element("ul", {"class": "warnings"}, *(element("li", t) for t in told)))
    return [*parts, *_notes(part)]


def models_of(part: Part) -> str:
    """Name the models of a part, with their articles."""
    names = dict.fromkeys(model.name for model in part.calibration.assignment.models)
    return several([f"the {MODELS.get(name, name)}" for name in names])


def _what(part: Part) -> str:
    n, persons = len(part.items), f"{part.calibration.n_persons:,.0f} persons"
    words = f"“{part.name}” is {'an evaluation scale' if part.scale else 'a calibration'} of "
    kept = f", kept of {part.n_offered:,} that were offered" if part.n_offered > n else ""
    return f"{words}{count(n, 'item')}{kept}, calibrated on {persons} with {models_of(part)}."


def _measured(found: Measures) -> str:
    curve = found.information
    best = float(curve.index.to_numpy()[int(curve["information"].to_numpy().argmax())])
    error = float(curve["standard_error"].min())
    words = [
        f"Its marginal reliability is {share(found.reliability.marginal)}. It measures best near "
        f"an ability of {number(best, 1)}, with a standard error of {number(error)}"
    ]
    good = curve.index[curve["standard_error"] < GOOD_ERROR]
    if len(good):
        words.append(
            f"; between {number(float(good.min()), 1)} and {number(float(good.max()), 1)} the "
            f"error is below {number(GOOD_ERROR, 1)}"
        )
    words.append(".")
    if found.ends is not None:
        row = found.ends.table().iloc[0]
        words.append(f" {_best(row)}")
    return "".join(words)


def _best(row: pd.Series) -> str:
    if row["percentile_low"] > HIGHEST:
        return (
            f"Who answers everything right stands above percentile {HIGHEST}: hardly anybody "
            "reaches the top of the scale."
        )
    return (
        f"Who answers everything right stands at percentile {percentile_words(row['percentile'])} "
        f"(95% interval {percentile_words(row['percentile_low'])} to "
        f"{percentile_words(row['percentile_high'])}): the scale cannot tell abler ones apart."
    )


def _facts(part: Part, found: Measures) -> Element:
    before = reliability_before(part.log)
    facts = [
        ("Items", f"{len(part.items):,}", f"of {part.n_offered:,} offered"),
        ("Persons", f"{part.calibration.n_persons:,.0f}", "who calibrated it"),
        (
            "Reliability",
            share(found.reliability.marginal),
            "marginal" if np.isnan(before) else f"marginal; {share(before)} before screening",
        ),
        ("Misfitting items", *_of_table(part, "item_fit", len(misfitting(part)))),
        ("Dependent pairs", *_of_table(part, "local_dependence", len(dependent(part)))),
    ]
    if found.ends is not None:
        row = found.ends.table().iloc[0]
        facts.append(
            ("All right", f"{percentile_words(row['percentile'])}", "percentile: the ceiling")
        )
    made = element("dl", {"class": "facts"})
    for name, value, more in facts:
        small = element("small", more)
        made.append(
            element("div", element("dt", name), element("dd", value), element("dd", small))
        )
    return made


def _of_table(part: Part, name: str, number_found: int) -> tuple[str, str]:
    if name not in part.tables:
        return UNKNOWN, "not tested here"
    return f"{number_found:,}", "after adjustment"


def warnings(part: Part, found: Measures) -> list[str]:
    """Say what makes the part doubtful, the gravest first."""
    calibration = part.calibration
    told = []
    if not calibration.converged:
        told.append(
            "The estimation did not reach its tolerance: these numbers are not to be reported."
        )
    if found.reliability.marginal < LOW_RELIABILITY:
        told.append(
            f"The reliability of {share(found.reliability.marginal)} is low: single scores say "
            "little, and only differences of groups or large samples can be trusted."
        )
    if calibration.n_persons < FEW_PERSONS:
        told.append(
            f"{calibration.n_persons:,.0f} persons calibrated the items. With so few the "
            "parameters are uncertain; look at their standard errors."
        )
    return [*told, *_of_items(part), *_of_dimensions(part), *_of_ends(found)]


def _notes(part: Part) -> list[Element]:
    """What the calibration and the reading of its answers noted."""
    notes = [*part.calibration.notes]
    if part.scale is not None:
        notes += part.scale.provenance.notes
    return [folded(f"{count(len(notes), 'note')} of the calibration", bullets(notes))] * bool(
        notes
    )


def _of_items(part: Part) -> list[str]:
    told = []
    states = zip(part.items, part.calibration.states, strict=True)
    odd = [f"{item} ({state})" for item, state in states if state != OK]
    if odd:
        told.append(f"{count(len(odd), 'item')} with doubtful parameters: {several(odd)}.")
    bad, pairs = misfitting(part), dependent(part)
    if len(bad):
        verb = "does" if len(bad) == 1 else "do"
        names = several([str(item) for item in bad.index])
        told.append(f"{count(len(bad), 'item')} {verb} not fit the curve: {names}.")
    if len(pairs):
        names = several([f"{one} with {two}" for one, two in pairs.index], 3)
        told.append(f"{count(len(pairs), 'pair')} of items share more than the ability: {names}.")
    return told


def _of_dimensions(part: Part) -> list[str]:
    table = part.tables.get("dimensionality")
    if table is None or "retained" not in table:
        return []
    n = int(table["retained"].sum())
    if n == 1:
        return []
    if n == 0:
        return ["No eigenvalue exceeds those of shuffled answers: there may be no ability at all."]
    second = float(table["share"].iloc[1])
    return [
        f"{count(n, 'component')} exceed those of shuffled answers; the second holds "
        f"{100 * second:.0f}% of the variance. One ability may not be the whole of it."
    ]


def _of_ends(found: Measures) -> list[str]:
    if found.ends is None:
        return []
    best, worst = found.ends.percentiles.percentile_empirical[:2]
    upto = 2.0 * found.ends.percentiles.percentile_midrank[1] - worst
    told = []
    if 100.0 - best > MUCH_CEILING:
        told.append(
            f"A ceiling: {100.0 - best:.0f}% of the persons who calibrated it stand at its top."
        )
    if upto > MUCH_CEILING:
        told.append(f"A floor: {upto:.0f}% of the persons who calibrated it stand at its bottom.")
    return told
