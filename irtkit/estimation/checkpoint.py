"""`Checkpoint`: the state of an estimation between two cycles, and its document.

`calibrate` hands one to its caller after each cycle and can go on from it. Acceleration keeps
nothing between cycles, so the parameters, the ability distribution and the grid are all there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from irtkit.arrays import BoolArray, FloatArray, frozen
from irtkit.errors import ScaleError, shown
from irtkit.fields import Fields

SCHEMA = "irtkit/checkpoint/1"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Where an estimation stands after a cycle: all that is needed to go on from there.

    Attributes
    ----------
    problem : str
        Fingerprint of responses, models and method; it must be the same on resuming.
    n_cycles : int
        EM cycles so far.
    log_likelihood : float
        Marginal log-likelihood, plus the log-prior if there is one, before the last cycle.
    change, gradient : float
        Largest move of a parameter in the last cycle; largest derivative per person.
    parameters : array, shape (I, D)
        NaN where an item has no such parameter.
    population : array
        What is free about the ability distribution.
    grid : array, shape (Q,)
        The quadrature nodes.
    bounded : array of bool, shape (I,)
        Items whose slope has been put at its bound.
    history : array, shape (n, 2)
        EM cycles and log-likelihood after each accelerated cycle.
    """

    problem: str
    n_cycles: int
    log_likelihood: float
    change: float
    gradient: float
    parameters: FloatArray
    population: FloatArray
    grid: FloatArray
    bounded: BoolArray
    history: FloatArray

    def __post_init__(self) -> None:
        for name in ("parameters", "population", "grid", "history"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        object.__setattr__(self, "bounded", frozen(self.bounded, bool))


def checkpoint_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """Write a checkpoint as a document of texts, numbers, lists and objects."""
    used = ~np.isnan(checkpoint.parameters)
    return {
        "schema": SCHEMA,
        "problem": checkpoint.problem,
        "n_cycles": checkpoint.n_cycles,
        "log_likelihood": checkpoint.log_likelihood,
        "change": checkpoint.change,
        "gradient": checkpoint.gradient,
        "parameters": np.where(used, checkpoint.parameters, 0.0).tolist(),
        "used": used.astype(float).tolist(),
        "population": checkpoint.population.tolist(),
        "grid": checkpoint.grid.tolist(),
        "bounded": checkpoint.bounded.astype(float).tolist(),
        "history": checkpoint.history.tolist(),
    }


def checkpoint_from(document: dict[str, Any]) -> Checkpoint:
    """Read a document of `checkpoint_document`.

    Raises
    ------
    ScaleError
        If a field is missing, unknown or out of range; the message names the place.
    """
    fields = Fields(document)
    schema = fields.text("schema")
    if schema != SCHEMA:
        raise ScaleError(f"The file has schema {shown(schema)}, not {shown(SCHEMA)}.")
    parameters = fields.array("parameters", (None, None))
    used = fields.array("used", parameters.shape)
    checkpoint = Checkpoint(
        problem=fields.text("problem"),
        n_cycles=fields.integer("n_cycles"),
        log_likelihood=fields.number("log_likelihood"),
        change=fields.number("change", low=0.0),
        gradient=fields.number("gradient", low=0.0),
        parameters=np.where(used > 0, parameters, np.nan),
        population=fields.array("population", (None,)),
        grid=fields.array("grid", (None,)),
        bounded=fields.array("bounded", (len(parameters),)) > 0,
        history=fields.array("history", (None, 2)),
    )
    fields.done()
    return checkpoint
