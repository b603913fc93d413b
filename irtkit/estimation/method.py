"""`MML`: the options of marginal maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from irtkit.arrays import Backend
from irtkit.errors import ModelError, listing
from irtkit.estimation.acceleration import Acceleration, Squarem
from irtkit.estimation.population import KINDS
from irtkit.estimation.priors import Priors
from irtkit.estimation.structure import Constraint

STANDARD_ERRORS = ("oakes", "cross_product", "sandwich")


@dataclass(frozen=True, slots=True)
class MML:
    """Marginal maximum likelihood, or with priors Bayes modal estimation, by the EM algorithm.

    Parameters
    ----------
    tolerance : float
        Stop when an EM step moves no parameter by more than this and no derivative of the
        log-likelihood, divided by the number of persons, is larger.
    max_cycles : int
        Give up after so many EM steps; a cycle that was begun is finished.
    acceleration : Acceleration
        `Squarem()` or `Plain()`.
    slope_bound : float
        Slopes stay within plus and minus this bound; an item that reaches it is "separating".
    priors : Priors
        Priors on item parameters; by default on asymptotes only.
    constraints : sequence of Fixed or Equal
        Parameters that are held at a value or share one.
    latent : str
        "normal" for N(0, 1); "free" for a normal distribution whose mean and SD are estimated,
        which needs items with fixed parameters; "histogram" for a distribution of any shape.
    standard_errors : str or None
        "oakes" for the observed information, "cross_product" of the persons' scores, "sandwich"
        of both; None to save the time.
    backend, device : str
        "numpy", or "torch" on its "cpu" or "cuda" device, for the E-step.
    """

    tolerance: float = 1e-6
    max_cycles: int = 5000
    acceleration: Acceleration = field(default_factory=Squarem)
    slope_bound: float = 20.0
    priors: Priors = field(default_factory=Priors)
    constraints: tuple[Constraint, ...] = ()
    latent: str = "normal"
    standard_errors: str | None = "oakes"
    backend: str = "numpy"
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraints", tuple(self.constraints))
        wrong = [
            f"{name} {value!r}"
            for name, value in (
                ("tolerance", self.tolerance),
                ("max_cycles", self.max_cycles),
                ("slope_bound", self.slope_bound),
            )
            if not (value > 0 and math.isfinite(value))
        ]
        if wrong:
            raise ModelError(f"MML with {', '.join(wrong)}: these must be positive numbers.")
        if self.latent not in KINDS:
            raise ModelError(f"Unknown latent distribution '{self.latent}': {listing(KINDS)}.")
        if self.standard_errors is not None and self.standard_errors not in STANDARD_ERRORS:
            raise ModelError(
                f"Unknown standard errors '{self.standard_errors}': {listing(STANDARD_ERRORS)}, "
                "or None."
            )
        problem = self.place().problem()
        if problem:
            raise ModelError(problem)

    def place(self) -> Backend:
        """Where the E-step's arrays live."""
        return Backend(self.backend, self.device)
