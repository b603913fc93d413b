"""A `Calibration` as a JSON document and back; strict on reading.

The schema is ``irtkit/calibration/1``. An evaluation scale embeds the same fields.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import ScaleError, listing, shown
from irtkit.estimation.calibration import (
    AT_BOUNDARY,
    CONSTANT,
    DUPLICATE,
    EMPTY_CATEGORY,
    OK,
    REVERSE_KEYED,
    SEPARATING,
    UNANSWERED,
    Calibration,
    Convergence,
)
from irtkit.fields import Fields
from irtkit.latent import Histogram, Latent, Normal
from irtkit.layout import check_ids
from irtkit.models import MODELS, Assignment, ItemModel, SlopeRule

SCHEMA = "irtkit/calibration/1"
STATES = (
    *(OK, REVERSE_KEYED, SEPARATING, AT_BOUNDARY),
    *(DUPLICATE, CONSTANT, EMPTY_CATEGORY, UNANSWERED),
)
LARGEST_INTERCEPT = 1e5
LARGEST = {"slope": 1e3, "logit": 20.0}  # of other parameters, by how their names begin


def calibration_document(calibration: Calibration) -> dict[str, Any]:
    """Write a calibration as a document of texts, numbers, lists and objects."""
    return {"schema": SCHEMA, **calibration_fields(calibration)}


def calibration_from(document: dict[str, Any]) -> Calibration:
    """Read a document of `calibration_document`.

    Raises
    ------
    ScaleError
        If a field is missing, unknown or out of range; the message names the place.
    """
    fields = Fields(document)
    check_schema(fields.text("schema"), SCHEMA)
    calibration = read_calibration_fields(fields)
    fields.done()
    return calibration


def check_schema(found: str, known: str) -> None:
    """Refuse a document of another kind or version."""
    if found == known:
        return
    kind, _, version = known.rpartition("/")
    if found.rpartition("/")[0] == kind:
        raise ScaleError(
            f"The file has schema {shown(found)}; this irtkit reads version {version}. Use the "
            "version of irtkit that wrote it, or a later one."
        )
    raise ScaleError(
        f"The file has schema {shown(found)}, not {shown(known)}: another kind of file."
    )


def calibration_fields(calibration: Calibration) -> dict[str, Any]:
    """Return the fields of a calibration, without a schema."""
    convergence = calibration.convergence
    return {
        "categories": list(calibration.categories),
        "label_set": list(calibration.label_set),
        "latent": _latent_fields(calibration.latent),
        "log_likelihood": calibration.log_likelihood,
        "log_prior": calibration.log_prior,
        "n_parameters": calibration.n_parameters,
        "n_persons": calibration.n_persons,
        "convergence": {
            "converged": convergence.converged,
            "n_cycles": convergence.n_cycles,
            "change": convergence.change,
            "gradient": convergence.gradient,
            "slowest_item": convergence.slowest_item,
            "n_nodes": convergence.n_nodes,
            "quadrature_change": convergence.quadrature_change,
            "history": convergence.history.tolist(),
        },
        "items": [_item(calibration, place) for place in range(len(calibration.items))],
        "standard_errors": calibration.standard_errors,
        "notes": list(calibration.notes),
    }


def _latent_fields(latent: Latent) -> dict[str, Any]:
    if isinstance(latent, Histogram):
        return {
            "distribution": "histogram",
            "theta": latent.theta.tolist(),
            "weights": latent.weights.tolist(),
        }
    return {
        "distribution": "normal",
        "mean": latent.mean,
        "standard_deviation": latent.standard_deviation,
    }


def _item(calibration: Calibration, place: int) -> dict[str, Any]:
    names = calibration.assignment.names(place)
    size = slice(len(names))
    values = calibration.parameters[place, size]
    block = calibration.covariance[place, size, size]
    known = not np.isnan(values).any()
    convergence = calibration.convergence
    measured = known and not np.isnan(convergence.item_change[place])
    return {
        "item": calibration.items[place],
        "model": calibration.assignment.models[place].name,
        "n_categories": int(calibration.assignment.n_categories[place]),
        "gold": None if calibration.key is None else calibration.key[place],
        "state": calibration.states[place],
        "parameters": dict(zip(names, values.tolist(), strict=True)) if known else None,
        "covariance": None if np.isnan(block).any() else block.tolist(),
        "change": float(convergence.item_change[place]) if measured else None,
        "gradient": float(convergence.item_gradient[place]) if measured else None,
    }


def read_calibration_fields(fields: Fields) -> Calibration:
    """Take the fields of a calibration from a document."""
    categories, label_set = fields.texts("categories"), fields.texts("label_set")
    latent = _latent(fields.child("latent"))
    log_likelihood = fields.number("log_likelihood", high=0.0)
    log_prior = fields.number("log_prior")
    n_parameters = fields.integer("n_parameters")
    n_persons = fields.number("n_persons", low=0.0)
    convergence = _convergence(fields.child("convergence"))
    rows = [_read_item(child, len(categories)) for child in fields.children("items")]
    source = fields.text("standard_errors")
    notes = fields.texts("notes")
    if not rows:
        raise ScaleError("items is empty: a calibration has items.")
    items = tuple(row.item for row in rows)
    golds = tuple(row.gold for row in rows)
    try:
        check_ids("item", items)
    except ValueError as error:
        raise ScaleError(f"items: {error}") from error
    graded = [gold is not None for gold in golds]
    if any(graded) != all(graded):
        raise ScaleError(
            f"items[{graded.index(not graded[0])}].gold: some items have one, some not."
        )
    strange = sorted({gold for gold in golds if gold is not None} - set(label_set))
    if strange:
        raise ScaleError(f"items: gold labels {listing(strange)} are not in label_set.")
    kinds = {(row.model.slope_rule is SlopeRule.UNIT) for row in rows}
    if len(kinds) > 1:
        raise ScaleError("items: models with slope 1 and models with free slopes are mixed.")
    assignment = Assignment.of([row.model for row in rows], [row.n_categories for row in rows])
    width = assignment.n_parameters
    parameters = np.full((len(rows), width), np.nan)
    blocks = np.full((len(rows), width, width), np.nan)
    for place, row in enumerate(rows):
        n = len(row.values)
        parameters[place, :n], blocks[place, :n, :n] = row.values, row.block
    convergence = replace(
        convergence,
        item_change=np.array([row.change for row in rows]),
        item_gradient=np.array([row.gradient for row in rows]),
    )
    return Calibration(
        assignment=assignment,
        items=items,
        parameters=parameters,
        covariance=blocks,
        states=tuple(row.state for row in rows),
        latent=latent,
        log_likelihood=log_likelihood,
        log_prior=log_prior,
        n_parameters=n_parameters,
        n_persons=n_persons,
        convergence=convergence,
        categories=categories,
        key=tuple(gold for gold in golds if gold is not None) if all(graded) else None,
        label_set=label_set,
        standard_errors=source,
        notes=notes,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One item of the document."""

    item: str
    model: ItemModel
    n_categories: int
    gold: str | None
    state: str
    values: FloatArray
    block: FloatArray
    change: float
    gradient: float


def _read_item(fields: Fields, most_categories: int) -> _Row:
    item = fields.text("item")
    model = _model(fields.text("model"), fields.where("model"))
    size = fields.integer("n_categories", low=2)
    if size > max(most_categories, 2) or (size > 2 and not model.ordinal):
        raise ScaleError(
            f"{fields.where('n_categories')} is {size}, too many for the {model.name} model or "
            f"the {most_categories} categories."
        )
    gold = fields.optional_text("gold")
    state = fields.text("state")
    if state not in STATES:
        raise ScaleError(
            f"{fields.where('state')} is {shown(state)}; known are {listing(STATES, 9)}."
        )
    n_parameters = len(model.parameter_names(size))
    values = np.full(n_parameters, np.nan)
    if state in (CONSTANT, UNANSWERED, EMPTY_CATEGORY):
        if fields.take("parameters") is not None:
            raise ScaleError(f"{fields.where('parameters')} should be null for a {state} item.")
    else:
        values = _parameters(fields.child("parameters"), model, size)
    block = fields.optional_array("covariance", (n_parameters, n_parameters))
    if block is not None:
        variances = np.linalg.eigvalsh((block + block.T) / 2)
        if not np.allclose(block, block.T) or variances.min() < -1e-9 * (1 + variances.max()):
            raise ScaleError(f"{fields.where('covariance')} is no covariance matrix.")
    change, gradient = (fields.optional_number(name, low=0.0) for name in ("change", "gradient"))
    fields.done()
    return _Row(
        item=item,
        model=model,
        n_categories=size,
        gold=gold,
        state=state,
        values=values,
        block=np.full((n_parameters, n_parameters), np.nan) if block is None else block,
        change=np.nan if change is None else change,
        gradient=np.nan if gradient is None else gradient,
    )


def _parameters(fields: Fields, model: ItemModel, n_categories: int) -> FloatArray:
    names = model.parameter_names(n_categories)
    values = np.empty(len(names))
    for place, name in enumerate(names):
        kind = name.partition("_")[0]
        limit = LARGEST.get(kind, LARGEST_INTERCEPT)
        values[place] = fields.number(name, -limit, limit)
    fields.done()
    slope = values[0]
    if slope == 0 or (model.slope_rule is SlopeRule.UNIT and slope != 1):
        raise ScaleError(
            f"{fields.where('slope')} is {slope:g}, which the {model.name} model excludes."
        )
    if not model.feasible(values[None])[0]:
        raise ScaleError(
            f"{fields.where('slope').removesuffix('.slope')}: these are impossible for the "
            f"{model.name} model (intercepts of a graded item fall; an upper asymptote lies above "
            "the lower)."
        )
    return values


def _model(name: str, place: str) -> ItemModel:
    if name not in MODELS:
        raise ScaleError(
            f"{place} is {shown(name)}; this irtkit knows {listing(sorted(MODELS), 12)}."
        )
    return MODELS[name]


def _latent(fields: Fields) -> Latent:
    kind = fields.text("distribution")
    latent: Latent
    if kind == "normal":
        latent = Normal(
            fields.number("mean", -1e3, 1e3),
            fields.number("standard_deviation", low=1e-6, high=1e6),
        )
    elif kind == "histogram":
        theta = fields.array("theta", (None,))
        weights = fields.array("weights", (len(theta),))
        rising = len(theta) > 2 and bool((np.diff(theta) > 0).all())
        if not rising or weights.min() < 0 or abs(weights.sum() - 1.0) > 1e-6:
            raise ScaleError("latent: theta should rise and weights be shares that sum to one.")
        latent = Histogram(theta, weights)
    else:
        raise ScaleError(
            f"{fields.where('distribution')} is {shown(kind)}; known are 'normal', 'histogram'."
        )
    fields.done()
    return latent


def _convergence(fields: Fields) -> Convergence:
    record = Convergence(
        converged=fields.flag("converged"),
        n_cycles=fields.integer("n_cycles"),
        change=fields.number("change", low=0.0),
        gradient=fields.number("gradient", low=0.0),
        slowest_item=fields.text("slowest_item"),
        n_nodes=fields.integer("n_nodes", low=3),
        quadrature_change=fields.number("quadrature_change", low=0.0),
        history=fields.array("history", (None, 2)),
        item_change=np.empty(0),
        item_gradient=np.empty(0),
    )
    fields.done()
    return record
