"""What a report lacks and answers can give: fit, pairs, dimensions, curves, scores of persons.

Nothing is computed that takes minutes; the part then says in a note what was left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from irtkit.diagnostics.ability_groups import item_curves
from irtkit.diagnostics.dimensionality import dimensionality
from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.local_dependence import dependence_search, local_dependence
from irtkit.diagnostics.model_fit import model_fit
from irtkit.diagnostics.score_curves import score_curves
from irtkit.errors import IrtkitError, count
from irtkit.estimation.calibration import matched, restricted
from irtkit.report.parts import Part
from irtkit.responses import Responses
from irtkit.scale import ScaleScores, scale_score
from irtkit.scoring import Scores, score

MOST_MAPPED = 300  # items whose pairs all stand in one table
MOST_PAIRED = 2000  # items whose pairs are searched
MOST_COMPONENTS = 60  # items whose eigenvalues are compared with those of shuffled answers
MOST_MODELLED = 120  # items of the test of the whole model
MOST_ANSWERS = 20_000_000
N_DRAWS = 50

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Step:
    """A table that can be computed: for at most so many items, from the answers."""

    name: str
    words: str
    most: int
    make: Callable[[Part, Responses], pd.DataFrame]


def _pairs(part: Part, answers: Responses) -> pd.DataFrame:
    if answers.n_items <= MOST_MAPPED:
        return local_dependence(answers, part.calibration)
    return dependence_search(answers, part.calibration).top


def _dimensions(part: Part, answers: Responses) -> pd.DataFrame:
    return dimensionality(answers, n_draws=N_DRAWS)


def _whole(part: Part, answers: Responses) -> pd.DataFrame:
    binary = (part.calibration.assignment.n_categories == 2).all()
    return model_fit(answers, part.calibration, statistic="m2" if binary else "c2")


STEPS = (
    _Step("item_fit", "The fit of the items", 10_000, lambda p, a: item_fit(a, p.calibration)),
    _Step("item_curves", "Observed curves", 10_000, lambda p, a: item_curves(a, p.calibration)),
    _Step("local_dependence", "The dependence of pairs", MOST_PAIRED, _pairs),
    _Step("dimensionality", "The eigenvalues", MOST_COMPONENTS, _dimensions),
    _Step("model_fit", "The fit of the whole model", MOST_MODELLED, _whole),
    _Step(
        "score_curves",
        "The residuals by summed score",
        MOST_MAPPED,
        lambda p, a: score_curves(a, p.calibration),
    ),
)


def completed(part: Part, progress: Told | None = None) -> Part:
    """Compute the tables that a part lacks, as far as it has answers.

    Parameters
    ----------
    part : Part
    progress : callable, optional
        Called with what is being computed.

    Returns
    -------
    Part
        With more tables, and with notes about those that are still not there.
    """
    if part.answers is None:
        return part
    tables, notes = dict(part.tables), list(part.notes)
    fingerprint = "" if part.scale is None else part.scale.provenance.responses_sha256
    if fingerprint and part.answers.fingerprint() != fingerprint:
        notes.append(
            "The answers are not, to the last cell, those that made the scale (their hash "
            "differs): what is observed here may come from other persons or items."
        )
    for step in STEPS:
        if step.name in tables:
            continue
        if progress is not None:
            progress(f"{part.name}: {step.words.lower()}")
        made = _made(step, part)
        if isinstance(made, str):
            notes.append(made)
        else:
            tables[step.name] = made
    return replace(part, tables=tables, notes=tuple(notes))


def _made(step: _Step, part: Part) -> pd.DataFrame | str:
    """The table, or a sentence that says why there is none."""
    assert part.answers is not None
    answers = part.answers
    if answers.n_items > step.most:
        return (
            f"{step.words}: not computed for {count(answers.n_items, 'item')}, because it takes "
            f"minutes for more than {step.most:,}. Put the table of irtkit diagnose in the folder."
        )
    if answers.n_persons * answers.n_items > MOST_ANSWERS:
        return f"{step.words}: not computed for more than {MOST_ANSWERS:,} answers."
    try:
        return step.make(part, answers)
    except IrtkitError as error:
        return f"{step.words}: not computed. {error}"


def person_scores(part: Part) -> Scores | None:
    """Score the persons whose answers are there."""
    if part.answers is None or part.answers.n_persons * part.answers.n_items > MOST_ANSWERS:
        return None
    known, calibration = matched(part.answers, part.calibration)
    return score(known, calibration)


def ends(part: Part) -> ScaleScores | None:
    """Score the best and the worst answers to all items: where the scale ends."""
    if part.scale is None:
        return None
    places = np.flatnonzero(part.calibration.calibrated).tolist()
    known = restricted(part.calibration, places)
    highest = known.assignment.n_categories - 1  # (I,)
    rising = known.slopes > 0
    best, worst = np.where(rising, highest, 0), np.where(rising, 0, highest)
    answers = Responses(
        codes=np.stack([best, worst]).astype(np.int8),
        persons=("best", "worst"),
        items=known.items,
        categories=known.categories,
    )
    return scale_score(answers, part.scale)
