"""The posterior as a PyMC model, with theta summed over quadrature nodes or sampled.

The same coordinates as `density.py` with every block centred, built from PyMC's own
distributions and the PyTensor likelihood, for PyMC's own samplers, ADVI and everything else that
takes a PyMC model. Importing this file imports PyMC.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.sparse
import pytensor.tensor as pt
import scipy.sparse as sp

from irtkit.coding import MISSING
from irtkit.estimation.bayes.layout import FALLING, Layout
from irtkit.estimation.bayes.levels import Level, Levels
from irtkit.estimation.bayes.likelihood import Tensor, assignment_log_prob, log_prob
from irtkit.estimation.bayes.priors import Asymptote, BayesPriors
from irtkit.estimation.blocks import Rows
from irtkit.estimation.priors import Beta
from irtkit.latent import Nodes, Normal
from irtkit.models import DivideByTotal, ThreePL

THETA = "theta"


def pymc_model(
    layout: Layout, priors: BayesPriors, rows: Rows, *, nodes: Nodes | None = None
) -> pm.Model:
    """Build the model of some answers.

    Parameters
    ----------
    layout : Layout
    priors : BayesPriors
    rows : Rows
        The answers with their weights.
    nodes : Nodes, optional
        Quadrature nodes to sum theta over; without them each person's theta is a parameter, and
        weights must be one.

    Returns
    -------
    pm.Model
        With `parameters` (I, D) as a deterministic variable; cells that an item does not use are
        zero.
    """
    levels = Levels.of(priors, layout.shared)
    with pm.Model() as model:
        slopes, places = _slopes_and_places(layout, levels)
        logits = _logits(layout, priors)
        parameters = pm.Deterministic("parameters", _parameters(layout, slopes, places, logits))
        if nodes is not None:
            value = marginal_log_likelihood(layout, parameters, rows, nodes)
        else:
            theta = pm.Normal(THETA, 0.0, 1.0, shape=rows.codes.shape[0])
            value = joint_log_likelihood(layout, parameters, theta, rows)
        pm.Potential("log_likelihood", value)
    return model


def _slopes_and_places(layout: Layout, levels: Levels) -> tuple[Tensor, Tensor]:
    """Slopes (A,) and locations (L,) under their priors."""
    mean, sd = _level(levels.slope)
    values = pm.Normal("slopes", mean, sd, shape=layout.n_slopes)
    slopes = pt.exp(values) if levels.log_slopes else values
    place_mean, place_sd = _level(levels.place)
    if levels.difficulties:
        here = layout.slope_of[layout.item_of]  # (L,)
        rho: Any = 0.0
        if levels.correlated:
            rho = 2.0 * pm.Beta("half_correlation", 2.0, 2.0) - 1.0
            rho = pm.Deterministic("correlation", rho)
        pull = rho * place_sd * (values[here] - mean) / sd
        place_mean = -slopes[here] * (place_mean + pull)
        place_sd = slopes[here] * place_sd * pt.sqrt(1.0 - rho**2)
    place_mean, place_sd = (pt.zeros(layout.n_places) + each for each in (place_mean, place_sd))
    places = pt.zeros(layout.n_places)
    for number, family in enumerate(layout.assignment.families):
        here = layout.places(family)  # (i, K - 1)
        mean, sd = place_mean[here], place_sd[here]
        name = f"places_{number}"
        if layout.kinds[family.places][0] == FALLING:
            rising = np.linspace(-1.0, 1.0, here.shape[1])
            found = -pm.Normal(
                name,
                -mean,
                sd,
                shape=here.shape,
                transform=pm.distributions.transforms.ordered,
                initval=np.tile(rising, (len(here), 1)),
            )
        else:
            found = pm.Normal(name, mean, sd, shape=here.shape)
        places = places[here].set(found)
    return slopes, places


def _level(level: Level) -> tuple[Any, Any]:
    """Mean and SD of a level, as variables where they are estimated."""
    if not isinstance(level.mean, Normal):
        return level.mean, level.sd
    mean_name, sd_name = level.names
    kind = pm.TruncatedNormal if level.positive else pm.Normal
    bounds = {"lower": 0.0} if level.positive else {}
    mean = kind(mean_name, level.mean.mean, level.mean.standard_deviation, **bounds)
    return mean, pm.LogNormal(sd_name, *level.numbers()[2:])


def _logits(layout: Layout, priors: BayesPriors) -> Tensor:
    """Logits of the asymptotes, shape (I, 2), zero where there is none."""
    logits = pt.zeros((layout.assignment.n_items, 2))
    if not len(layout.lower):
        return logits
    lower = pm.Flat("lower_logit", shape=len(layout.lower))
    pm.Potential("lower_prior", _asymptote(priors.lower, lower))
    logits = logits[layout.lower, 0].set(lower)
    if len(layout.upper):
        gap = pm.Flat("log_gap", shape=len(layout.upper))
        upper = logits[layout.upper, 0] + pt.exp(gap)
        pm.Potential("upper_prior", _asymptote(priors.upper, upper) + gap.sum())
        logits = logits[layout.upper, 1].set(upper)
    return logits


def _asymptote(prior: Asymptote, logit: Tensor) -> Tensor:
    """Log-density of logits, summed."""
    if isinstance(prior, Beta):  # of the asymptote, times its derivative by the logit
        above, below = -pt.softplus(-logit), -pt.softplus(logit)
        return (prior.alpha * above + prior.beta * below).sum()
    return pm.logp(pm.Normal.dist(prior.mean, prior.standard_deviation), logit).sum()


def _parameters(layout: Layout, slopes: Tensor, places: Tensor, logits: Tensor) -> Tensor:
    """Item parameters (I, D), zero in unused cells; see `density.unfold`."""
    assignment = layout.assignment
    parameters = pt.zeros((assignment.n_items, assignment.n_parameters))
    parameters = parameters[:, 0].set(slopes[layout.slope_of])
    for family in assignment.families:
        block = places[layout.places(family)]  # (i, K - 1)
        if isinstance(family.model, DivideByTotal):
            block = pt.cumsum(block, axis=1)
        parameters = parameters[family.places, 1 : family.n_categories].set(block)
        if isinstance(family.model, ThreePL):
            n = family.n_parameters - 2
            own = logits[family.places, :n]
            parameters = parameters[family.places, 2 : family.n_parameters].set(own)
    return parameters


def marginal_log_likelihood(
    layout: Layout, parameters: Tensor, rows: Rows, nodes: Nodes
) -> Tensor:
    """Weighted sum of the persons' log marginal likelihoods."""
    table = assignment_log_prob(layout.assignment, parameters, pt.as_tensor(nodes.theta))
    total: Any = pt.as_tensor(nodes.log_weights)[:, None]
    for k in range(table.type.shape[2] or int(layout.assignment.n_categories.max())):
        here = pt.where(pt.isinf(table[:, :, k]), 0.0, table[:, :, k])  # (Q, I)
        total = total + _products(here, rows, k)
    largest = total.max(axis=0)  # (P,)
    log_marginal = largest + pt.log(pt.exp(total - largest).sum(axis=0))
    return (pt.as_tensor(rows.weights) * log_marginal).sum()


def _products(table: Tensor, rows: Rows, k: int) -> Tensor:
    """Sum a table (Q, I) over the items where each person chose category k, shape (Q, P)."""
    if isinstance(rows.codes, sp.csr_array):
        chosen = rows.codes.copy()
        chosen.data = (chosen.data == k + 1).astype(np.float64)
        chosen.eliminate_zeros()
        matrix = pytensor.sparse.as_sparse_variable(sp.csr_matrix(chosen))
        return pytensor.sparse.structured_dot(matrix, table.T).T
    return pt.dot(table, pt.as_tensor((rows.codes == k).astype(np.float64).T))


def joint_log_likelihood(layout: Layout, parameters: Tensor, theta: Tensor, rows: Rows) -> Tensor:
    """Log-likelihood of the answers given theta (P,), over the answered cells."""
    codes = rows.codes
    if isinstance(codes, sp.csr_array):
        person = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
        item, answer = codes.indices.astype(np.int64), codes.data.astype(np.int64) - 1
    else:
        person, item = np.nonzero(codes != MISSING)
        answer = codes[person, item].astype(np.int64)
    total: Any = 0.0
    family_of = np.empty(layout.assignment.n_items, dtype=np.int64)
    for number, family in enumerate(layout.assignment.families):
        family_of[family.places] = number
    for number, family in enumerate(layout.assignment.families):
        cells = np.flatnonzero(family_of[item] == number)
        ability, own = theta[person[cells]], parameters[item[cells], : family.n_parameters]
        if isinstance(family.model, DivideByTotal) and family.n_categories == 2:
            sign = np.where(answer[cells] > 0, -1.0, 1.0)
            total -= pt.softplus(sign * (own[:, 0] * ability + own[:, 1])).sum()
            continue
        table = log_prob(family.model, family.n_categories, own, ability)  # (n, K)
        total += table[np.arange(len(cells)), answer[cells]].sum()
    return total
