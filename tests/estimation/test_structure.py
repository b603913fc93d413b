"""The arrow-shaped Newton system against the same system written out."""

import numpy as np
import pytest

from irtkit.estimation.structure import Equal, Fixed, Structure
from irtkit.models import Assignment, Graded, OnePL, TwoPL

ITEMS = ("a", "b", "c", "d", "e")


def structures():
    two = Assignment.of([TwoPL()] * 5, [2] * 5)
    mixed = Assignment.of([TwoPL(), Graded(), Graded(), TwoPL(), Graded()], [2, 3, 4, 2, 3])
    return {
        "free": Structure.of(two, ITEMS),
        "one slope": Structure.of(Assignment.of([OnePL()] * 5, [2] * 5), ITEMS),
        "fixed": Structure.of(two, ITEMS, [Fixed("slope", 1.0, ("b",))]),
        "two ties": Structure.of(
            two, ITEMS, [Equal("slope", ("a", "b")), Equal("intercept", ("b", "d", "e"))]
        ),
        "mixed": Structure.of(mixed, ITEMS, [Equal("slope", ("a", "c", "e"))]),
    }


@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("holding", [False, True], ids=["plain", "held"])
def test_newtons_step_solves_the_whole_system(name, holding):
    structure = structures()[name]
    rng = np.random.default_rng(3)
    n_items, n_parameters = structure.index.shape
    roots = rng.normal(size=(n_items, n_parameters, n_parameters + 3))
    information = roots @ np.swapaxes(roots, 1, 2)
    gradient = rng.normal(size=(n_items, n_parameters))
    held = np.zeros(structure.index.shape, dtype=bool)
    if holding:
        held[3] = (structure.index[3] >= structure.n_shared) & (np.arange(n_parameters) == 1)
    moved = np.where(held, 0.7, 0.0)
    found = structure.newton(gradient, information, held, moved)

    cells = [(i, d) for i in range(n_items) for d in range(n_parameters)]
    whole = np.zeros((len(cells), len(cells)))
    for one, (i, d) in enumerate(cells):
        for other, (j, e) in enumerate(cells):
            if i == j:
                whole[one, other] = information[i, d, e]
    free = [structure.index[c] if not held[c] else -1 for c in cells]
    numbers = sorted(set(free) - {-1})
    design = np.array([[number == own for number in numbers] for own in free], dtype=float)
    pull = gradient.ravel() - whole @ moved.ravel()
    step = design @ np.linalg.solve(design.T @ whole @ design, design.T @ pull) + moved.ravel()
    assert found.ravel() == pytest.approx(step, abs=1e-6)


def test_free_parameters_are_counted_once():
    counts = {name: structure.n_free for name, structure in structures().items()}
    assert counts == {"free": 10, "one slope": 6, "fixed": 9, "two ties": 7, "mixed": 12}
    movable = {name: structure.movable for name, structure in structures().items()}
    assert movable == {
        "free": True,
        "one slope": True,
        "fixed": False,
        "two ties": False,
        "mixed": True,
    }
