"""`EvaluationScale`: the frozen result of a screening, and abilities measured on it.

A scale holds the kept items with their calibration and key, the crowd's label counts, norms and
where it all came from; no person ids and no answers. As a document its schema is
``irtkit/scale/1``; files are written and read in `io/`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, FloatArray, frozen
from irtkit.coding import MISSING
from irtkit.diagnostics.person_fit import one_label_notes
from irtkit.errors import NotConverged, PredictionError, ScaleError, count, listing, nearest, shown
from irtkit.estimation.calibration import Calibration
from irtkit.estimation.record import calibration_fields, check_schema, read_calibration_fields
from irtkit.fields import Fields
from irtkit.norms import Norms, Percentiles, norms_of, percentiles
from irtkit.responses import Responses
from irtkit.scoring import Scores, score
from irtkit.screening import Screening

SCHEMA = "irtkit/scale/1"
FEWEST_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a scale came from.

    Attributes
    ----------
    irtkit : str
        Version that built it.
    responses_sha256 : str
        Fingerprint of the answers to the kept items.
    n_items_offered : int
        Items before the screening.
    rules : tuple of str
        Screening rules in order.
    dropped : tuple of (item, rule, reason)
        In the order in which they went.
    notes : tuple of str
        What was tolerated when the answers were read, such as missing ones counted as wrong.
    """

    irtkit: str
    responses_sha256: str
    n_items_offered: int
    rules: tuple[str, ...]
    dropped: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationScale:
    """Items that measure one ability, frozen, with the norms of the population behind them.

    Attributes
    ----------
    name : str
    calibration : Calibration
        Of the kept items, with key, label set and latent distribution.
    label_counts : array, shape (I, L), or None
        How often the population gave each label of `calibration.label_set` to each item.
    norms : Norms
        The population's EAPs, without ids.
    provenance : Provenance
    """

    name: str
    calibration: Calibration
    label_counts: FloatArray | None
    norms: Norms
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.label_counts is not None:
            object.__setattr__(self, "label_counts", frozen(self.label_counts))

    @property
    def items(self) -> tuple[str, ...]:
        """Ids of the items."""
        return self.calibration.items

    def label_distribution(self) -> pd.DataFrame:
        """Return the share of each label per item, p(y) = N_y / N.

        Raises
        ------
        ScaleError
            If the scale was built from codes rather than labels.
        """
        if self.label_counts is None:
            raise ScaleError(
                f"The scale '{self.name}' was built from codes, not raw labels, so it has no "
                "label distributions. Calibrate from the labels and a key."
            )
        share = self.label_counts / self.label_counts.sum(axis=1, keepdims=True)
        index = pd.Index(self.items, name="item")
        return pd.DataFrame(share, index=index, columns=list(self.calibration.label_set))


@dataclass(frozen=True, slots=True, eq=False)
class ScaleScores:
    """Abilities on a scale, with percentiles of its population.

    Attributes
    ----------
    scores : Scores
    percentiles : Percentiles
    at_ceiling, at_floor : array of bool, shape (P,)
        All answered items right, or all wrong: the scale cannot tell how much better, or worse.
    notes : tuple of str
        Items that were missing or extra, ties and the like, in sentences.
    """

    scores: Scores
    percentiles: Percentiles
    at_ceiling: BoolArray
    at_floor: BoolArray
    notes: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """Return one row a model or person, in the columns of the scores file."""
        scores = self.scores.table()
        places = self.percentiles.table(self.scores.persons)
        table = pd.concat([scores[["theta", "standard_error"]], places], axis=1)
        table["n_answered"] = self.scores.n_answered
        table["at_ceiling"], table["at_floor"] = self.at_ceiling, self.at_floor
        table["theta_low"], table["theta_high"] = scores["theta_low"], scores["theta_high"]
        last = ["n_answered", "at_ceiling", "at_floor", "percentile_empirical_se"]
        last += ["theta_low", "theta_high"]
        return table[[*(c for c in table.columns if c not in last), *last]]


def build_scale(
    screening: Screening, *, name: str, accept_unusable: bool = False
) -> EvaluationScale:
    """Freeze what a screening kept.

    Parameters
    ----------
    screening : Screening
        Its calibration, answers and log.
    name : str
        What the scale measures, for people.
    accept_unusable : bool
        Freeze a calibration that did not converge, or whose posterior failed its checks, all the
        same; its notes, which the scale keeps, say so.

    Raises
    ------
    ScaleError
        If the name is empty.
    NotConverged
        If the calibration is unusable.
    """
    if not name.strip():
        raise ScaleError("A scale needs a name that says what it measures.")
    responses, calibration = screening.responses, screening.calibration
    if not (calibration.converged or accept_unusable):
        raise NotConverged(
            "The calibration of the kept items is not usable, and a scale would pass it on. "
            f"{' '.join(calibration.notes)} Mend that, or accept it (accept_unusable).",
            calibration,
        )
    counts = None
    if responses.labels is not None:
        counts = responses.label_counts().to_numpy()
    dropped = screening.dropped
    provenance = Provenance(
        irtkit=version("irtkit"),
        responses_sha256=responses.fingerprint(),
        n_items_offered=len(screening.first.items),
        rules=screening.rules,
        dropped=tuple(zip(dropped["item"], dropped["rule"], dropped["reason"], strict=True)),
        notes=responses.notes,
    )
    norms = norms_of(score(responses, calibration), responses.weights)
    return EvaluationScale(name, calibration, counts, norms, provenance)


def scale_score(
    predictions: Responses,
    scale: EvaluationScale,
    *,
    fewest_answers: int = FEWEST_ANSWERS,
    item_draws: int | FloatArray = 0,
    seed: int | np.random.Generator = 0,
) -> ScaleScores:
    """Place models or persons on a scale; the items stay as they are.

    Parameters
    ----------
    predictions : Responses
        Raw labels (graded here by the scale's key) or 0/1 codes, one row a model.
    scale : EvaluationScale
    fewest_answers : int
        Refuse a model with fewer answers to the scale's calibrated items.
    item_draws : int, or array of shape (S, I, D)
        Mix over draws of the item parameters, so that standard errors and percentile intervals
        include the items' uncertainty: so many from their covariance, or those given, such as
        `Posterior.item_draws`. See `score`.
    seed : int or Generator
        For the draws.

    Raises
    ------
    PredictionError
        If no item matches, labels are unknown, or a model answered too few items.
    """
    shared = [item for item in scale.items if item in set(predictions.items)]
    extra = [item for item in predictions.items if item not in set(scale.items)]
    if not shared:
        raise PredictionError(
            f"None of the {predictions.n_items} predicted items is among the {len(scale.items)} "
            f"items of the scale '{scale.name}': predicted are {listing(predictions.items, 3)}, "
            f"the scale has {listing(scale.items, 3)}. Is this the right split?"
        )
    graded = _graded(predictions.select_items(shared), scale)
    known = replace(graded, notes=())
    answered = _informative(known, scale).sum(axis=1)
    few = [p for p, n in zip(known.persons, answered, strict=True) if n < fewest_answers]
    if few:
        raise PredictionError(
            f"{listing(few)} answered fewer than {fewest_answers} of the scale's "
            f"{len(scale.items)} items, too few to score."
        )
    notes = []
    if extra:
        notes.append(f"{count(len(extra), 'item')} not on the scale ignored: {listing(extra)}.")
    notes += _missing_notes(known, scale)
    notes += one_label_notes(known, scale.calibration)
    scores = score(known, scale.calibration, item_draws=item_draws, seed=seed)
    right, wrong = _extremes(known, scale)
    fixed = score(known, scale.calibration) if np.any(item_draws) else scores
    placed = percentiles(scores, scale.calibration.latent, scale.norms, estimates=fixed.theta)
    return ScaleScores(scores, placed, right, wrong, tuple(notes))


def _graded(predictions: Responses, scale: EvaluationScale) -> Responses:
    """Grade raw labels by the scale's key; codes must be right or wrong already."""
    if predictions.labels is None or predictions.key is not None:
        if predictions.n_categories > int(scale.calibration.assignment.n_categories.max()):
            raise PredictionError(
                f"The predictions hold the codes {listing(predictions.categories)}; the scale "
                "knows right (1) and wrong (0)."
            )
        return predictions
    calibration = scale.calibration
    if calibration.key is None:
        raise PredictionError(
            f"The predictions are labels, but the scale '{scale.name}' was built from 0/1 codes "
            "and has no key. Give 0/1 predictions (column correct)."
        )
    used = set(predictions.label_set)
    strange = sorted(used - set(calibration.label_set))
    if strange:
        raise PredictionError(_strange_labels(predictions, strange, calibration))
    key = dict(zip(calibration.items, calibration.key, strict=True))
    return predictions.graded_by(key)


def _strange_labels(predictions: Responses, strange: list[str], calibration: Calibration) -> str:
    bad = [predictions.label_set.index(label) for label in strange]
    assert predictions.labels is not None
    where = np.isin(replace(predictions, codes=predictions.labels).dense(), bad)
    hits = np.flatnonzero(where.any(axis=0))
    items = [predictions.items[place] for place in hits]
    total = int(predictions.n_answered().sum())
    return (
        f"{int(where.sum())} of {total} predictions name labels that the scale does not know: "
        f"{listing(strange)} (items {listing(items)}). The scale's labels are "
        f"{', '.join(calibration.label_set)}.{nearest(strange[0], calibration.label_set)} Map "
        f"them with --label-map {shown(strange[0])[1:-1]}=LABEL, or correct the file."
    )


def _missing_notes(predictions: Responses, scale: EvaluationScale) -> list[str]:
    absent = [item for item in scale.items if item not in set(predictions.items)]
    notes = []
    if absent:
        notes.append(
            f"{len(absent)} of {len(scale.items)} items of the scale not answered: "
            f"{listing(absent)}. Standard errors are larger."
        )
    gaps = predictions.n_answered() < predictions.n_items
    for person in np.flatnonzero(gaps)[:5]:
        empty = predictions.dense()[person] == MISSING
        items = [item for item, hit in zip(predictions.items, empty, strict=True) if hit]
        name = shown(predictions.persons[person])
        notes.append(f"{name} left {count(len(items), 'item')} unanswered: {listing(items)}.")
    return notes


def _extremes(predictions: Responses, scale: EvaluationScale) -> tuple[BoolArray, BoolArray]:
    """Whether each row's answers are the best, or the worst, that the items allow."""
    seen = _informative(predictions, scale)
    codes, rising = predictions.dense(), _slopes(predictions, scale) > 0
    place = {item: number for number, item in enumerate(scale.items)}
    sizes = scale.calibration.assignment.n_categories[[place[i] for i in predictions.items]]
    best, worst = np.where(rising, sizes - 1, 0), np.where(rising, 0, sizes - 1)  # (I,)
    some = seen.any(axis=1)
    ends = [some & ((codes == end) | ~seen).all(axis=1) for end in (best, worst)]
    return ends[0], ends[1]


def _informative(predictions: Responses, scale: EvaluationScale) -> BoolArray:
    """Which answers are there and to an item with parameters, shape (P, I)."""
    return (predictions.dense() != MISSING) & ~np.isnan(_slopes(predictions, scale))


def _slopes(predictions: Responses, scale: EvaluationScale) -> FloatArray:
    place = {item: number for number, item in enumerate(scale.items)}
    return scale.calibration.slopes[[place[item] for item in predictions.items]]


def scale_document(scale: EvaluationScale) -> dict[str, Any]:
    """Write a scale as a document of texts, numbers, lists and objects."""
    counts = scale.label_counts
    return {
        "schema": SCHEMA,
        "name": scale.name,
        **calibration_fields(scale.calibration),
        "label_counts": None if counts is None else counts.tolist(),
        "norms": {
            "n_persons": scale.norms.n_persons,
            "theta": scale.norms.theta.tolist(),
            "below": scale.norms.below.tolist(),
            "at_or_below": scale.norms.at_or_below.tolist(),
        },
        "provenance": {
            "irtkit": scale.provenance.irtkit,
            "responses_sha256": scale.provenance.responses_sha256,
            "n_items_offered": scale.provenance.n_items_offered,
            "rules": list(scale.provenance.rules),
            "dropped": [
                {"item": item, "rule": rule, "reason": reason}
                for item, rule, reason in scale.provenance.dropped
            ],
            "notes": list(scale.provenance.notes),
        },
    }


def scale_from(document: dict[str, Any]) -> EvaluationScale:
    """Read a document of `scale_document`.

    Raises
    ------
    ScaleError
        If a field is missing, unknown or out of range; the message names the place.
    """
    fields = Fields(document)
    check_schema(fields.text("schema"), SCHEMA)
    name = fields.text("name")
    calibration = read_calibration_fields(fields)
    shape = (len(calibration.items), len(calibration.label_set))
    counts = fields.optional_array("label_counts", shape)
    if counts is not None and (counts.min() < 0 or (counts.sum(axis=1) == 0).any()):
        raise ScaleError("label_counts should be counts, with at least one answer an item.")
    norms = _norms(fields.child("norms"))
    provenance = _provenance(fields.child("provenance"))
    fields.done()
    return EvaluationScale(name, calibration, counts, norms, provenance)


def _norms(fields: Fields) -> Norms:
    n_persons = fields.number("n_persons", low=1.0)
    theta = fields.array("theta", (None,))
    if not len(theta):
        raise ScaleError("norms.theta is empty: a scale has a population.")
    below, upto = (fields.array(name, (len(theta),)) for name in ("below", "at_or_below"))
    fields.done()
    rising = (np.diff(theta) > 0).all() and (np.diff(upto) >= 0).all()
    if not rising or (below >= upto).any() or below.min() < 0 or upto.max() > 1 + 1e-9:
        raise ScaleError("norms should rise from shares of 0 to 1 with theta increasing.")
    return Norms(theta, below, upto, n_persons)


def _provenance(fields: Fields) -> Provenance:
    found = Provenance(
        irtkit=fields.text("irtkit"),
        responses_sha256=fields.text("responses_sha256"),
        n_items_offered=fields.integer("n_items_offered"),
        rules=fields.texts("rules"),
        dropped=tuple(_dropped(child) for child in fields.children("dropped")),
        notes=fields.texts("notes"),
    )
    fields.done()
    return found


def _dropped(fields: Fields) -> tuple[str, str, str]:
    row = (fields.text("item"), fields.text("rule"), fields.text("reason"))
    fields.done()
    return row
