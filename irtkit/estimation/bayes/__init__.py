"""The Bayesian engine: the same models, their full posterior instead of one best point.

`sample_posterior` is the verb, `Posterior` its result. PyMC, ArviZ, nutpie and Numba are imported
when something is sampled or judged, not before.
"""

from irtkit.estimation.bayes.checks import Checks
from irtkit.estimation.bayes.comparison import PredictiveAccuracy, compare_posteriors, loo, waic
from irtkit.estimation.bayes.files import read_posterior, write_posterior
from irtkit.estimation.bayes.method import NUTS, Bayes, Pathfinder
from irtkit.estimation.bayes.posterior import Posterior, Sampling
from irtkit.estimation.bayes.prior_draws import PriorDraws, prior_draws
from irtkit.estimation.bayes.priors import FixedPriors, HierarchicalPriors, SignedPriors
from irtkit.estimation.bayes.sampling import sample_posterior

__all__ = [
    "NUTS",
    "Bayes",
    "Checks",
    "FixedPriors",
    "HierarchicalPriors",
    "Pathfinder",
    "Posterior",
    "PredictiveAccuracy",
    "PriorDraws",
    "Sampling",
    "SignedPriors",
    "compare_posteriors",
    "loo",
    "prior_draws",
    "read_posterior",
    "sample_posterior",
    "waic",
    "write_posterior",
]
