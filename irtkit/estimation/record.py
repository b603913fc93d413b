"""A `Calibration` as a JSON document and back; strict on reading.

The schema is ``irtkit/calibration/1``. An evaluation scale embeds the same fields.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import ScaleError, listing, shown
from irtkit.estimation.calibration import (
    CONSTANT,
    DUPLICATE,
    OK,
    REVERSE_KEYED,
    SEPARATING,
    UNANSWERED,
    Calibration,
    Convergence,
)
from irtkit.fields import Fields
from irtkit.latent import Normal
from irtkit.layout import check_ids
from irtkit.models import MODELS, ItemModel, SlopeRule

SCHEMA = "irtkit/calibration/1"
STATES = (OK, REVERSE_KEYED, SEPARATING, DUPLICATE, CONSTANT, UNANSWERED)
LARGEST_SLOPE = 1e3
LARGEST_INTERCEPT = 1e5


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
        "model": calibration.model.name,
        "categories": list(calibration.categories),
        "label_set": list(calibration.label_set),
        "latent": {
            "distribution": "normal",
            "mean": calibration.latent.mean,
            "standard_deviation": calibration.latent.standard_deviation,
        },
        "log_likelihood": calibration.log_likelihood,
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
        "notes": list(calibration.notes),
    }


def _item(calibration: Calibration, place: int) -> dict[str, Any]:
    values, block = calibration.parameters[place], calibration.covariance[place]
    names = calibration.model.parameter_names
    known = not np.isnan(values).any()
    return {
        "item": calibration.items[place],
        "model": calibration.model.name,
        "gold": None if calibration.key is None else calibration.key[place],
        "state": calibration.states[place],
        "parameters": dict(zip(names, values.tolist(), strict=True)) if known else None,
        "covariance": None if np.isnan(block).any() else block.tolist(),
    }


def read_calibration_fields(fields: Fields) -> Calibration:
    """Take the fields of a calibration from a document."""
    model = _model(fields.text("model"), "model")
    categories, label_set = fields.texts("categories"), fields.texts("label_set")
    latent = _latent(fields.child("latent"))
    log_likelihood = fields.number("log_likelihood", high=0.0)
    n_persons = fields.number("n_persons", low=0.0)
    convergence = _convergence(fields.child("convergence"))
    rows = [_read_item(child, model) for child in fields.children("items")]
    notes = fields.texts("notes")
    if not rows:
        raise ScaleError("items is empty: a calibration has items.")
    items, states, golds, parameters, blocks = zip(*rows, strict=True)
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
    return Calibration(
        model=model,
        items=items,
        parameters=np.array(parameters),
        covariance=np.array(blocks),
        states=states,
        latent=latent,
        log_likelihood=log_likelihood,
        n_persons=n_persons,
        convergence=convergence,
        categories=categories,
        key=golds if all(graded) else None,
        label_set=label_set,
        notes=notes,
    )


def _read_item(
    fields: Fields, model: ItemModel
) -> tuple[str, str, str | None, FloatArray, FloatArray]:
    n_parameters = len(model.parameter_names)
    item = fields.text("item")
    if _model(fields.text("model"), fields.where("model")) != model:
        raise ScaleError(f"{fields.where('model')} differs from the model of the calibration.")
    gold = fields.optional_text("gold")
    state = fields.text("state")
    if state not in STATES:
        raise ScaleError(
            f"{fields.where('state')} is {shown(state)}; known are {listing(STATES, 9)}."
        )
    values = np.full(n_parameters, np.nan)
    if state in (CONSTANT, UNANSWERED):
        if fields.take("parameters") is not None:
            raise ScaleError(f"{fields.where('parameters')} should be null for a {state} item.")
    else:
        values = _parameters(fields.child("parameters"), model)
    block = fields.optional_array("covariance", (n_parameters, n_parameters))
    if block is not None:
        variances = np.linalg.eigvalsh((block + block.T) / 2)
        if not np.allclose(block, block.T) or variances.min() < -1e-9 * (1 + variances.max()):
            raise ScaleError(f"{fields.where('covariance')} is no covariance matrix.")
    fields.done()
    return (
        item,
        state,
        gold,
        values,
        np.full((n_parameters, n_parameters), np.nan) if block is None else block,
    )


def _parameters(fields: Fields, model: ItemModel) -> FloatArray:
    slope = fields.number("slope", -LARGEST_SLOPE, LARGEST_SLOPE)
    if slope == 0 or (model.slope_rule is SlopeRule.UNIT and slope != 1):
        raise ScaleError(
            f"{fields.where('slope')} is {slope:g}, which the {model.name} model excludes."
        )
    intercept = fields.number("intercept", -LARGEST_INTERCEPT, LARGEST_INTERCEPT)
    fields.done()
    return np.array([slope, intercept])


def _model(name: str, place: str) -> ItemModel:
    if name not in MODELS:
        raise ScaleError(
            f"{place} is {shown(name)}; this irtkit knows {listing(sorted(MODELS), 12)}."
        )
    return MODELS[name]


def _latent(fields: Fields) -> Normal:
    kind = fields.text("distribution")
    if kind != "normal":
        raise ScaleError(f"{fields.where('distribution')} is {shown(kind)}; known is 'normal'.")
    latent = Normal(
        fields.number("mean", -1e3, 1e3), fields.number("standard_deviation", low=1e-6, high=1e6)
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
    )
    fields.done()
    return record
