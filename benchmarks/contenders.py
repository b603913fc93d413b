"""Who takes part in a comparison of fits, and with which settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NODES = (21, 31, 41, 61, 81, 121)
TOLERANCES = (1e-4, 1e-6, 1e-8)
DEFAULT_TOLERANCE = 1e-4
MANY_ITERATIONS = 5000


@dataclass(frozen=True, slots=True)
class Contender:
    """A tool and what its `fit` is called with.

    Attributes
    ----------
    tool : str
    setting : str
        For the table.
    arguments : dict
        Of the worker's `fit`.
    """

    tool: str
    setting: str
    arguments: dict[str, Any] = field(default_factory=dict)


IRTKIT = Contender("irtkit", "default")
GIRTH = Contender("girth", "default")


def mirt(
    n_quadpts: int, accelerate: str = "none", tolerance: float = DEFAULT_TOLERANCE
) -> Contender:
    """Mirt with so many nodes; tighter tolerances may take as many iterations as they need."""
    arguments: dict[str, Any] = {"n_quadpts": n_quadpts, "accelerate": accelerate}
    words = [f"{n_quadpts} nodes"] + ([accelerate] if accelerate != "none" else [])
    if tolerance != DEFAULT_TOLERANCE:
        arguments |= {"tol": tolerance, "max_iter": MANY_ITERATIONS}
        words.append(f"tol {tolerance:g}")
    if (n_quadpts, accelerate, tolerance) == (NODES[0], "none", DEFAULT_TOLERANCE):
        words.append("(its default)")
    return Contender("mirt", ", ".join(words).replace(", (", " ("), arguments)


ALWAYS = (mirt(21), mirt(61), mirt(61, "squarem"))
REFERENCE = mirt(121, "squarem", 1e-8)


def ladder(accelerate: str) -> list[Contender]:
    """Settings of mirt from the quickest to the most exact: more nodes, then tighter."""
    return [mirt(nodes, accelerate, tolerance) for tolerance in TOLERANCES for nodes in NODES]
