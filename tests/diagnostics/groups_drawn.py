"""Answers of several groups, drawn with and without items that differ."""

from collections.abc import Mapping

import numpy as np

from irtkit.models import Assignment, ItemModel, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import answers, item_parameters


def two_groups(
    seed: int,
    *,
    n_persons: int = 400,
    n_items: int = 8,
    model: ItemModel | None = None,
    n_categories: int = 2,
    impact: float = 0.0,
    missing: float = 0.0,
    harder: Mapping[int, float] | None = None,
    parameters: np.ndarray | None = None,
    n_groups: int = 2,
) -> tuple[Responses, list[str]]:
    """Draw `n_persons` a group; focal groups lie lower by `impact`, some items are harder."""
    rng = np.random.default_rng(seed)
    model = model or TwoPL()
    if parameters is None:
        parameters = item_parameters(model, n_items, n_categories, rng)
    n_items = len(parameters)
    assignment = Assignment.of([model] * n_items, np.full(n_items, n_categories))
    parts, groups = [], []
    for group in range(n_groups):
        own = parameters.copy()
        for item, shift in (harder or {}).items():
            own[item, 1:] -= own[item, 0] * shift * (group > 0)
        theta = rng.normal(-impact * (group > 0), 1.0, n_persons)
        parts.append(answers(assignment, own, theta, rng))
        groups += ["reference" if group == 0 else f"focal{group}"] * n_persons
    codes = np.concatenate(parts)
    if missing:
        codes[rng.random(codes.shape) < missing] = -1
    responses = Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(1, len(codes) + 1)),
        items=tuple(f"i{number}" for number in range(1, n_items + 1)),
        categories=tuple(str(code) for code in range(n_categories)),
    )
    return responses, groups
