"""`NUTS` and `Pathfinder`: how a posterior is sampled or approximated; `Bayes`: a whole method."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from irtkit.errors import ModelError, listing
from irtkit.estimation.bayes.priors import BayesPriors

ENGINES = ("nutpie", "pymc")
FORMULATIONS = ("marginal", "joint")


@dataclass(frozen=True, slots=True)
class NUTS:
    """The no-U-turn sampler.

    Parameters
    ----------
    draws, tune : int
        Draws kept of each chain, and draws before them that tune the sampler.
    chains : int
        Independent chains; two or more, or nothing tells whether they agree.
    target_accept : float
        Between 0 and 1; higher takes smaller steps. Raise it if there are divergences.
    engine : str
        "nutpie", the faster, or "pymc", PyMC's own sampler.
    formulation : str
        "marginal": theta is summed over quadrature nodes, and only item parameters are sampled.
        "joint": every person's theta is sampled too.
    cores : int or None
        Chains that run at the same time; None for as many as the machine has cores.

    References
    ----------
    Hoffman, M. D., & Gelman, A. (2014). The No-U-Turn sampler: Adaptively setting path lengths in
        Hamiltonian Monte Carlo. Journal of Machine Learning Research, 15, 1593-1623.
    """

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    target_accept: float = 0.95
    engine: str = "nutpie"
    formulation: str = "marginal"
    cores: int | None = None

    def __post_init__(self) -> None:
        _check_counts(self, ("draws", "tune", "chains"))
        if not 0.0 < self.target_accept < 1.0:
            raise ModelError(f"target_accept {self.target_accept!r} is no share between 0 and 1.")
        if self.cores is not None and self.cores < 1:
            raise ModelError(f"{self.cores} cores: at least one chain must run.")
        if self.engine not in ENGINES:
            raise ModelError(f"Unknown engine '{self.engine}'; there is {listing(ENGINES)}.")
        _check_formulation(self.formulation)


@dataclass(frozen=True, slots=True)
class Pathfinder:
    """A quick, approximate look: normal approximations along the way to the posterior's mode.

    Each path follows L-BFGS from a random start, keeps the approximation with the best evidence
    bound, and the draws of all paths are resampled by their importance. Good for a first idea of
    means; intervals may be too narrow, and nothing that depends on tails should use it.

    Parameters
    ----------
    draws : int
        Draws kept.
    paths : int
        Independent paths.

    References
    ----------
    Zhang, L., Carpenter, B., Gelman, A., & Vehtari, A. (2022). Pathfinder: Parallel quasi-Newton
        variational inference. Journal of Machine Learning Research, 23(306), 1-49.
    """

    draws: int = 1000
    paths: int = 8

    def __post_init__(self) -> None:
        _check_counts(self, ("draws", "paths"))


Sampler = NUTS | Pathfinder


@dataclass(frozen=True, slots=True)
class Bayes:
    """Calibration by posterior means, for what takes a method: see `sample_posterior`.

    Parameters
    ----------
    priors : HierarchicalPriors, SignedPriors or FixedPriors, optional
        By default hierarchical and weakly informative.
    sampler : NUTS or Pathfinder
    seed : int
    """

    priors: BayesPriors | None = None
    sampler: Sampler = field(default_factory=NUTS)
    seed: int = 0


def _check_counts(method: Sampler, names: tuple[str, ...]) -> None:
    wrong = [
        f"{each.name}={getattr(method, each.name)!r}"
        for each in fields(method)
        if each.name in names
        and not (
            isinstance(getattr(method, each.name), int)
            and 1 <= getattr(method, each.name) < math.inf
        )
    ]
    if wrong:
        raise ModelError(
            f"{type(method).__name__}({', '.join(wrong)}): give a whole number of at least one."
        )


def _check_formulation(formulation: str) -> None:
    if formulation not in FORMULATIONS:
        raise ModelError(f"Unknown formulation '{formulation}'; there is {listing(FORMULATIONS)}.")
