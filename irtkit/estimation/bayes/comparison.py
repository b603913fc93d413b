r"""Comparing models by how well they predict a person who was left out.

The unit is the person and theta is integrated out: leaving single answers out, or conditioning on
the person's own theta, would ask how well the model predicts answers of persons it has seen.

.. math:: \widehat{elpd} = \sum_p \log p(y_p \mid y_{-p})

`loo` approximates it by Pareto-smoothed importance sampling (ArviZ), `waic` by the variance of the
log-likelihood over the draws.

References
----------
Vehtari, A., Gelman, A., & Gabry, J. (2017). Practical Bayesian model evaluation using
    leave-one-out cross-validation and WAIC. Statistics and Computing, 27(5), 1413-1432.
Merkle, E. C., Furr, D., & Rabe-Hesketh, S. (2019). Bayesian comparison of latent variable models:
    Conditional versus marginal likelihoods. Psychometrika, 84(3), 802-829.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, frozen, logsumexp
from irtkit.errors import ModelError, shown
from irtkit.estimation.bayes.extras import extra
from irtkit.estimation.bayes.posterior import Posterior

MOST_PARETO_K = 0.7
DRAWS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class PredictiveAccuracy:
    """Expected log predictive density of persons who were not seen.

    Attributes
    ----------
    method : str
        "loo" or "waic".
    elpd, standard_error : float
        Sum over the persons (nats) and its standard error.
    p : float
        Effective number of parameters.
    pointwise : array, shape (P,)
        Each person's part, for a weight of one.
    pareto_k : array, shape (P,)
        Reliability of each part: above 0.7 the importance sampling failed. NaN for WAIC.
    """

    method: str
    elpd: float
    standard_error: float
    p: float
    pointwise: FloatArray
    pareto_k: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "pointwise", frozen(self.pointwise))
        object.__setattr__(self, "pareto_k", frozen(self.pareto_k))

    @property
    def n_unreliable(self) -> int:
        """Persons whose part cannot be trusted."""
        return int((self.pareto_k > MOST_PARETO_K).sum())


def loo(posterior: Posterior, *, n_draws: int = DRAWS) -> PredictiveAccuracy:
    """Leave-one-person-out cross-validation by Pareto-smoothed importance sampling.

    Parameters
    ----------
    posterior : Posterior
    n_draws : int
        Evenly spaced draws to use; each costs one pass over the answers.
    """
    log_likelihood = posterior.log_marginals(n_draws)  # (S, P)
    arviz = extra("arviz")
    data = _container(log_likelihood)
    with warnings.catch_warnings():  # of unreliable persons, who are counted in the result
        warnings.simplefilter("ignore")
        found = arviz.loo(data, pointwise=True, var_name="log_likelihood", reff=1.0)
    name = "elpd_i" if hasattr(found, "elpd_i") else "loo_i"
    pointwise = np.asarray(getattr(found, name), dtype=np.float64)
    full = logsumexp(log_likelihood, axis=0) - np.log(len(log_likelihood))
    pareto_k = np.asarray(found.pareto_k, dtype=np.float64)
    return _summed("loo", posterior, pointwise, full - pointwise, pareto_k)


def _container(log_likelihood: FloatArray) -> Any:
    """One chain of log-likelihoods (S, P) in ArviZ's container."""
    xarray, arviz = extra("xarray"), extra("arviz")
    dims = ("chain", "draw", "person")
    parts = {
        "posterior": xarray.Dataset(
            {"draw_number": (dims[:2], np.arange(len(log_likelihood))[None])}
        ),
        "log_likelihood": xarray.Dataset({"log_likelihood": (dims, log_likelihood[None])}),
    }
    if hasattr(arviz, "from_datatree"):
        return arviz.InferenceData(**parts)
    return xarray.DataTree.from_dict(parts)


def waic(posterior: Posterior, *, n_draws: int = DRAWS) -> PredictiveAccuracy:
    """The widely applicable information criterion, as an expected log predictive density."""
    log_likelihood = posterior.log_marginals(n_draws)
    full = logsumexp(log_likelihood, axis=0) - np.log(len(log_likelihood))
    penalty = log_likelihood.var(axis=0, ddof=1)
    return _summed("waic", posterior, full - penalty, penalty, np.full(len(full), np.nan))


def _summed(
    method: str,
    posterior: Posterior,
    pointwise: FloatArray,
    penalty: FloatArray,
    pareto_k: FloatArray,
) -> PredictiveAccuracy:
    weights = posterior.responses.weights
    return PredictiveAccuracy(
        method,
        float(weights @ pointwise),
        _standard_error(pointwise, weights),
        float(weights @ penalty),
        pointwise,
        pareto_k,
    )


def _standard_error(values: FloatArray, weights: FloatArray) -> float:
    """Standard error of a weighted sum over persons."""
    total = float(weights.sum())
    mean = float(weights @ values) / total
    return float(np.sqrt(total * (weights @ (values - mean) ** 2) / max(total - 1.0, 1.0)))


def compare_posteriors(
    posteriors: Mapping[str, Posterior], *, method: str = "loo", n_draws: int = DRAWS
) -> pd.DataFrame:
    """Rank models of the same answers by their predictive accuracy.

    Parameters
    ----------
    posteriors : mapping of name to Posterior
        All sampled from the same answers.
    method : str
        "loo" or "waic".
    n_draws : int

    Returns
    -------
    DataFrame
        Indexed by model, best first: elpd, standard_error, p, difference from the best and its
        standard error, n_unreliable. A difference within about two standard errors decides
        nothing.

    Raises
    ------
    ModelError
        If the method is unknown, or the answers differ.
    """
    if method not in ("loo", "waic"):
        raise ModelError(f"Unknown method '{method}'; there is 'loo', 'waic'.")
    if not posteriors:
        raise ModelError("There is nothing to compare: give at least one posterior.")
    first = next(iter(posteriors.values()))
    print_of = {name: _answers(posterior) for name, posterior in posteriors.items()}
    other = [name for name, found in print_of.items() if found != _answers(first)]
    if other:
        raise ModelError(
            f"The posterior {shown(other[0])} was sampled from other answers or items than the "
            "first. Only models of the same answers can be compared."
        )
    function = loo if method == "loo" else waic
    found = {name: function(each, n_draws=n_draws) for name, each in posteriors.items()}
    best = max(found.values(), key=lambda each: each.elpd)
    weights = first.responses.weights
    table = pd.DataFrame(
        {
            "elpd": {name: each.elpd for name, each in found.items()},
            "standard_error": {name: each.standard_error for name, each in found.items()},
            "p": {name: each.p for name, each in found.items()},
            "difference": {name: each.elpd - best.elpd for name, each in found.items()},
            "se_difference": {
                name: _standard_error(each.pointwise - best.pointwise, weights)
                for name, each in found.items()
            },
            "n_unreliable": {name: each.n_unreliable for name, each in found.items()},
        }
    ).rename_axis("model")
    return table.sort_values("elpd", ascending=False, kind="stable")


def _answers(posterior: Posterior) -> tuple[str, tuple[str, ...]]:
    """What two comparable posteriors share."""
    responses = posterior.sampled()[0]
    return responses.fingerprint(), responses.items
