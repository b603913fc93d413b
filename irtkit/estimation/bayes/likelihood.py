"""The item response functions again, as PyTensor graphs: twins of `irtkit.models`.

`log_prob` broadcasts as `ItemModel.log_prob` does and equals it to rounding; a test says so for
every model. Gradients come from PyTensor. Importing this file imports PyTensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt

from irtkit.models import Assignment, DivideByTotal, Graded, ItemModel, ThreePL

Tensor = Any  # a PyTensor variable; the library's own types say no more


def log_prob(model: ItemModel, n_categories: int, parameters: Tensor, theta: Tensor) -> Tensor:
    """Log-probability of each category: parameters (..., D), theta (...) -> (..., K).

    Parameters
    ----------
    model : ItemModel
    n_categories : int
        K, the same for all items in `parameters`.
    parameters, theta : tensor
        Broadcast against each other; for all items at all nodes pass theta[:, None].
    """
    if isinstance(model, DivideByTotal):
        return _divide_by_total(model, n_categories, parameters, theta)
    if isinstance(model, Graded):
        return _graded(parameters, theta)
    assert isinstance(model, ThreePL)
    return _asymptotes(parameters, theta, model.name == "4pl")


def assignment_log_prob(assignment: Assignment, parameters: Tensor, theta: Tensor) -> Tensor:
    """Log-probability of each category: parameters (I, D), theta (Q,) -> (Q, I, K).

    Categories that an item does not have get minus infinity, as in `Assignment.log_prob`.
    """
    n_categories = int(assignment.n_categories.max())
    if len(assignment.families) == 1:
        model = assignment.families[0].model
        return log_prob(model, n_categories, parameters, theta[:, None])
    nothing = np.array(-np.inf)
    table = pt.full((theta.shape[0], assignment.n_items, n_categories), nothing)  # (Q, I, K)
    for family in assignment.families:
        part = parameters[family.places, : family.n_parameters]
        found = log_prob(family.model, family.n_categories, part, theta[:, None])
        table = table[:, family.places, : family.n_categories].set(found)
    return table


def scores(assignment: Assignment, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """S and t of each category of divide-by-total items, (I, D) -> (I, K) twice.

    The first category has zeros; one that an item does not have gets t = minus infinity.
    """
    shape = (assignment.n_items, int(assignment.n_categories.max()))
    absent = np.arange(shape[1]) >= assignment.n_categories[:, None]  # (I, K)
    s, t = pt.zeros(shape), pt.as_tensor_variable(np.where(absent, -np.inf, 0.0))
    for family in assignment.families:
        assert isinstance(family.model, DivideByTotal)
        part = parameters[family.places, : family.n_parameters]
        above = slice(1, family.n_categories)
        own = _scores(family.model, family.n_categories, part)
        s, t = s[family.places, above].set(own[0]), t[family.places, above].set(own[1])
    return s, t


def _scores(model: DivideByTotal, n_categories: int, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """S and t of the categories above the first, (..., D) -> (..., K - 1) twice."""
    if n_categories == 2:
        return parameters[..., :1], parameters[..., 1:2]
    s = pt.dot(parameters, model.score_map(n_categories).T)
    return s, pt.dot(parameters, model.intercept_map(n_categories).T)


def _divide_by_total(
    model: DivideByTotal, n_categories: int, parameters: Tensor, theta: Tensor
) -> Tensor:
    s, t = _scores(model, n_categories, parameters)
    z = s * theta[..., None] + t  # (..., K - 1)
    if n_categories == 2:
        return pt.concatenate([-pt.softplus(z), -pt.softplus(-z)], axis=-1)
    z = pt.concatenate([pt.zeros_like(z[..., :1]), z], axis=-1)  # (..., K)
    return pt.special.log_softmax(z, axis=-1)


def _graded(parameters: Tensor, theta: Tensor) -> Tensor:
    intercepts = parameters[..., 1:]
    z = (parameters[..., 0] * theta)[..., None] + intercepts  # (..., K - 1)
    end = pt.zeros_like(z[..., :1])
    upward = pt.concatenate([end, -pt.softplus(-z)], axis=-1)  # (..., K)
    downward = pt.concatenate([-pt.softplus(z), end], axis=-1)
    gap = pt.log1mexp(pt.diff(intercepts, axis=-1)) + pt.zeros_like(z[..., 1:])  # (..., K - 2)
    gap = pt.concatenate([end, gap, end], axis=-1)  # (..., K)
    return upward + downward + gap


def _asymptotes(parameters: Tensor, theta: Tensor, upper: bool) -> Tensor:
    z = parameters[..., 0] * theta + parameters[..., 1]
    high, low = -pt.softplus(-z), -pt.softplus(z)  # log F, log(1 - F)
    lower = parameters[..., 2]
    wrong, right = low - pt.softplus(lower), low - pt.softplus(-lower)
    if upper:
        wrong = pt.logaddexp(wrong, high - pt.softplus(parameters[..., 3]))
        right = pt.logaddexp(right, high - pt.softplus(-parameters[..., 3]))
    else:
        right = pt.logaddexp(right, high)
    return pt.stack([wrong, right], axis=-1)
