"""Calibrations whose parameters are given: those of R's mirt, or the truth of a simulation."""

import numpy as np

from irtkit.estimation.calibration import Calibration, Convergence
from irtkit.latent import Normal
from irtkit.models import (
    Assignment,
    GeneralizedPartialCredit,
    Graded,
    Nominal,
    PartialCredit,
    Rasch,
    TwoPL,
)
from irtkit.simulate import Simulation

R_MODELS = {
    "twopl": TwoPL(),
    "rasch": Rasch(),
    "graded": Graded(),
    "gpcm": GeneralizedPartialCredit(),
    "Rasch": PartialCredit(),
    "nominal": Nominal(),
}


def given(assignment: Assignment, parameters: np.ndarray, latent: Normal | None = None):
    """Return a calibration with these parameters, as if it had been estimated."""
    n_items, width = parameters.shape
    return Calibration(
        assignment=assignment,
        items=tuple(f"i{number}" for number in range(1, n_items + 1)),
        parameters=parameters,
        covariance=np.full((n_items, width, width), np.nan),
        states=("ok",) * n_items,
        latent=latent or Normal(),
        log_likelihood=0.0,
        log_prior=0.0,
        n_parameters=int(np.isfinite(parameters).sum()),
        n_persons=1.0,
        convergence=Convergence(
            converged=True,
            n_cycles=1,
            change=0.0,
            gradient=0.0,
            slowest_item="i1",
            n_nodes=61,
            quadrature_change=0.0,
            history=np.zeros((1, 2)),
            item_change=np.zeros(n_items),
            item_gradient=np.zeros(n_items),
        ),
        categories=tuple(str(code) for code in range(int(assignment.n_categories.max()))),
    )


def true_calibration(made: Simulation) -> Calibration:
    """Return the parameters that made the responses, as a calibration."""
    return given(made.assignment, made.parameters)


def r_calibration(block: dict, name: str) -> Calibration:
    """Return the calibration of a golden block (`twopl`, `rasch`, `graded`, ...) from R's mirt."""
    known = block["items"]["pars"]
    slope = np.array(known["a1"], dtype=float)
    if "d" in known:
        parameters, size = np.stack([slope, known["d"]], axis=1), 2
    else:
        size = 1 + sum(column in known for column in ("d1", "d2", "d3", "d4"))
        intercepts = np.array([known[f"d{k}"] for k in range(1, size)]).T
        slopes = slope[:, None]
        if name == "nominal":
            slopes = slopes * np.array([known[f"ak{k}"] for k in range(1, size)]).T
        parameters = np.concatenate([slopes, intercepts], axis=1)
    n_items = len(slope)
    variance = float(np.ravel(block["items"]["group_cov"])[0])
    latent = Normal(float(np.ravel(block["items"]["group_mean"])[0]), variance**0.5)
    assignment = Assignment.of([R_MODELS[name]] * n_items, np.full(n_items, size))
    return given(assignment, parameters, latent)
