"""A posterior in the form that scoring, diagnostics and scales read: a `Calibration`.

`Posterior.calibration` says what its fields mean there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import listing
from irtkit.estimation.bayes.abilities import log_marginals
from irtkit.estimation.bayes.checks import Checks, diagnostics
from irtkit.estimation.bayes.method import NUTS
from irtkit.estimation.bayes.priors import described
from irtkit.estimation.calibration import CONSTANT, OK, REVERSE_KEYED, Calibration, Convergence
from irtkit.estimation.structure import Structure
from irtkit.latent import Normal

if TYPE_CHECKING:
    from irtkit.estimation.bayes.posterior import Posterior


def calibration_of(posterior: Posterior) -> Calibration:
    """Posterior means with their covariance, item by item."""
    checks = posterior.checks()
    draws = posterior.parameters.reshape(posterior.n_draws, *posterior.parameters.shape[2:])
    mean = draws.mean(axis=0)  # (I, D)
    mean[[state != OK for state in posterior.states]] = np.nan
    error = np.nan_to_num(draws - mean)
    covariance = np.einsum("sid,sie->ide", error, error) / max(posterior.n_draws - 1, 1)
    unused = np.isnan(mean)
    covariance[unused[:, :, None] | unused[:, None, :]] = np.nan
    sd = posterior.theta_sd
    log_likelihood, change = _log_likelihood(posterior, mean, sd)
    responses = posterior.responses
    places = np.flatnonzero(~unused[:, 0])
    items = tuple(posterior.items[place] for place in places)
    return Calibration(
        assignment=posterior.assignment,
        items=posterior.items,
        parameters=mean,
        covariance=covariance,
        states=tuple(
            REVERSE_KEYED if state == OK and slope < 0 else state
            for state, slope in zip(posterior.states, mean[:, 0], strict=True)
        ),
        latent=Normal(0.0, sd),
        log_likelihood=log_likelihood,
        log_prior=0.0,
        n_parameters=Structure.of(posterior.assignment.at(places), items).n_free,
        n_persons=float(responses.weights[responses.n_answered() > 0].sum()),
        convergence=_record(posterior, checks, log_likelihood, change),
        categories=responses.categories,
        key=responses.key,
        label_set=responses.label_set,
        standard_errors="posterior standard deviations",
        notes=(*_notes(posterior), *checks.reasons),
    )


def _log_likelihood(posterior: Posterior, mean: FloatArray, sd: float) -> tuple[float, float]:
    """Log-likelihood at the posterior means; its change when the nodes are doubled."""
    places = np.flatnonzero(np.isfinite(mean[:, 0]))
    responses = posterior.responses.select_items([posterior.items[place] for place in places])
    one = mean[None, places].copy()
    one[:, :, 0] *= sd
    assignment, n_nodes = posterior.assignment.at(places), posterior.sampling.n_nodes
    values = [
        float(log_marginals(responses, assignment, one, Normal().nodes(n))[0] @ responses.weights)
        for n in (n_nodes, 2 * n_nodes - 1)
    ]
    return values[0], abs(values[1] - values[0])


def _record(
    posterior: Posterior, checks: Checks, log_likelihood: float, quadrature_change: float
) -> Convergence:
    """The convergence record of a sampled calibration."""
    shape = posterior.parameters.shape
    draws = posterior.parameters.reshape(*shape[:2], -1)
    r_hat, bulk = np.full((2, draws.shape[2]), np.nan)
    if not posterior.approximate:
        r_hat, bulk, _ = diagnostics(draws)
    error = draws.std(axis=(0, 1)) / np.sqrt(bulk)
    by_item = [np.reshape(each, shape[2:]) for each in (np.abs(r_hat - 1.0), error)]
    largest = [np.where(np.isnan(each), -1.0, each).max(axis=1) for each in by_item]
    item_change, item_error = (np.where(each < 0, np.nan, each) for each in largest)
    return Convergence(
        converged=checks.usable,
        n_cycles=posterior.n_draws,
        change=max(float(largest[0].max()), 0.0),
        gradient=max(float(largest[1].max()), 0.0),
        slowest_item=posterior.items[int(np.argmax(largest[0]))],
        n_nodes=posterior.sampling.n_nodes,
        quadrature_change=quadrature_change,
        history=np.array([[posterior.n_draws, log_likelihood]]),
        item_change=item_change,
        item_gradient=item_error,
    )


def _notes(posterior: Posterior) -> list[str]:
    sampler, shape = posterior.sampling.sampler, posterior.parameters.shape
    if isinstance(sampler, NUTS):
        how = (
            f"Posterior means of {shape[0]} chains of {shape[1]:,} draws by {sampler.engine} "
            f"({sampler.formulation} formulation)."
        )
    else:
        how = f"Means of {shape[1]:,} approximate draws (Pathfinder), not of a posterior."
    notes = [how, f"Priors: {described(posterior.sampling.priors)}."]
    constant = [
        posterior.items[place] for place in posterior.places if posterior.states[place] == CONSTANT
    ]
    if constant:
        notes.append(
            "Sampled, but without parameters here, because everybody answered alike: "
            f"{listing(constant)}."
        )
    return notes
