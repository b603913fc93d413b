"""Simulation-based calibration of the Bayesian engine: its posteriors must be posteriors.

    python -m benchmarks.bayes_calibration [--simulations 300] [--halved]

Items and abilities are drawn from the priors and answers from them; where the truth falls among
the posterior's draws must then be uniform (Talts et al., 2018). For every quantity the empirical
distribution of these ranks is held against its simultaneous 95% envelope. ``--halved`` plants a
fault: the sampler is given priors with half the standard deviations, which must be noticed.

The ranks of all items are put together. They hang together within a simulation, so the envelope
is that of as many ranks as there are simulations, which is on the safe side.

References
----------
Talts, S., Betancourt, M., Simpson, D., Vehtari, A., & Gelman, A. (2018). Validating Bayesian
    inference algorithms with simulation-based calibration. arXiv:1804.06788.
Saeilynoja, T., Buerkner, P.-C., & Vehtari, A. (2022). Graphical test for discrete uniformity and
    its applications in goodness-of-fit evaluation and multiple sample comparison. Statistics and
    Computing, 32, 32.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.bayes import (
    NUTS,
    FixedPriors,
    HierarchicalPriors,
    Posterior,
    prior_draws,
    sample_posterior,
)
from irtkit.estimation.bayes.priors import BayesPriors
from irtkit.estimation.priors import LogNormal
from irtkit.latent import Normal
from irtkit.models import ItemModel, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import answers

RANKS = 100  # draws among which the truth is placed
PERSONS = 3  # whose abilities are followed
ENVELOPES = 4000  # sets of uniform ranks that tell how far an ECDF strays
LEVEL = 0.95

NUMBERS = HierarchicalPriors(
    mean_log_slope=Normal(0.0, 0.3),
    sd_log_slope=LogNormal(-1.2, 0.5),
    mean_difficulty=Normal(0.0, 0.7),
    sd_difficulty=LogNormal(-0.2, 0.4),
)


@dataclass(frozen=True, slots=True)
class Study:
    """What is simulated.

    Attributes
    ----------
    n_persons, n_items : int
    model : ItemModel
    priors, sampled : BayesPriors
        Those that make the truth, and those that the sampler is given.
    sampler : NUTS
    """

    n_persons: int = 100
    n_items: int = 10
    model: ItemModel = field(default_factory=TwoPL)
    priors: BayesPriors = NUMBERS
    sampled: BayesPriors = NUMBERS
    sampler: NUTS = field(default_factory=lambda: NUTS(draws=1000, tune=500, chains=1))

    def ranks(self, seed: int) -> dict[str, FloatArray] | None:
        """Share of the posterior draws below the truth, by quantity; None if not sampled."""
        rng = np.random.default_rng(seed)
        truth = prior_draws(self.model, self.priors, n_items=self.n_items, n_draws=1, seed=rng)
        parameters = truth.parameters[0]
        theta = rng.standard_normal(self.n_persons)
        responses = Responses(
            codes=answers(truth.assignment, parameters, theta, rng),
            persons=tuple(f"p{number}" for number in range(self.n_persons)),
            items=tuple(f"i{number}" for number in range(self.n_items)),
        )
        try:
            posterior = sample_posterior(
                responses, self.model, priors=self.sampled, sampler=self.sampler, seed=rng
            )
        except ModelError:
            return None
        draws = posterior.standardised(RANKS)  # (S, I, D)
        abilities = posterior.ability_draws(RANKS, seed=rng)[:, :PERSONS]
        found = {
            "slope": _rank(draws[:, :, 0], parameters[:, 0]),
            "difficulty": _rank(
                -draws[:, :, 1] / draws[:, :, 0], -parameters[:, 1] / parameters[:, 0]
            ),
            "theta": _rank(abilities, theta[:PERSONS]),
            "log_likelihood": _likelihood_rank(posterior, parameters),
        }
        chosen = posterior.spaced(RANKS)
        for name, value in truth.hyperparameters.items():
            values = posterior.hyperparameters[name].ravel()[chosen]
            found[name] = _rank(values[:, None], value[:1])
        return found


def _rank(draws: FloatArray, truth: FloatArray) -> FloatArray:
    """Share of draws (S, n) below the truth (n,)."""
    return np.asarray((draws < truth).mean(axis=0))


def _likelihood_rank(posterior: Posterior, parameters: FloatArray) -> FloatArray:
    """Rank of the log-likelihood of all answers at the true parameters."""
    truth = replace(
        posterior,
        parameters=parameters[None, None],
        hyperparameters={},
        statistics={},
    )
    own = truth.log_marginals().sum(axis=1)  # (1,)
    return _rank(posterior.log_marginals(RANKS).sum(axis=1)[:, None], own)


def halved(priors: BayesPriors) -> BayesPriors:
    """The same priors with half the standard deviations, and SDs expected half as large."""
    changes: dict[str, object] = {}
    for each in fields(priors):
        value = getattr(priors, each.name)
        if each.name.startswith("sd_"):
            changes[each.name] = replace(value, mean=value.mean - math.log(2.0))
        elif isinstance(value, (Normal, LogNormal)):
            changes[each.name] = replace(value, standard_deviation=0.5 * value.standard_deviation)
    return replace(priors, **changes)  # type: ignore[arg-type]


def study(
    settings: Study,
    n_simulations: int,
    *,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, FloatArray], int]:
    """Ranks by quantity, shape (n, k) each, and how often nothing could be sampled."""
    found: dict[str, list[FloatArray]] = {}
    refused = 0
    for number in range(n_simulations):
        ranks = settings.ranks(seed * 1_000_003 + number)
        if ranks is None:
            refused += 1
            continue
        for name, values in ranks.items():
            found.setdefault(name, []).append(values)
        if progress is not None:
            progress(number + 1, n_simulations)
    return {name: np.stack(values) for name, values in found.items()}, refused


def envelope(n: int, level: float, *, seed: int = 0) -> float:
    """How many standard errors the ECDF of n uniform ranks strays at most, at this level."""
    rng = np.random.default_rng(seed)
    ranks = rng.integers(0, RANKS + 1, (ENVELOPES, n)) / RANKS
    return float(np.quantile([_deviation(each[:, None]) for each in ranks], level))


def _deviation(ranks: FloatArray) -> float:
    """Largest distance of the ECDF of ranks (n, k) from uniform, in standard errors of n."""
    places = np.arange(RANKS) / RANKS
    expected = (np.arange(RANKS) + 1.0) / (RANKS + 1.0)
    below = np.searchsorted(np.sort(ranks.ravel()), places + 1e-9, side="right") / ranks.size
    return float(
        (np.abs(below - expected) / np.sqrt(expected * (1 - expected) / len(ranks))).max()
    )


def judged(ranks: dict[str, FloatArray]) -> pd.DataFrame:
    """One row a quantity: how far its ECDF strays, the envelope, and whether it stays inside.

    `within_all` holds the quantities against the envelope that all of them stay in together.
    """
    n = len(next(iter(ranks.values())))
    alone = envelope(n, LEVEL)
    together = envelope(n, 1.0 - (1.0 - LEVEL) / len(ranks))
    rows = []
    for name, values in ranks.items():
        strays = _deviation(values)
        shares = ((values < 0.05) | (values > 0.95)).mean(), values.mean()
        rows.append((name, strays, alone, strays <= alone, strays <= together, *shares))
    columns = ["quantity", "strays", "envelope", "within", "within_all", "outer_tenth", "mean"]
    return pd.DataFrame(rows, columns=columns).set_index("quantity")


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--halved", action="store_true", help="plant the fault")
    parser.add_argument(
        "--fixed", action="store_true", help="fixed instead of hierarchical priors"
    )
    given = parser.parse_args()
    priors: BayesPriors = NUMBERS
    if given.fixed:
        priors = FixedPriors(LogNormal(0.0, 0.4), None, Normal(0.0, 1.0))
    sampled = halved(priors) if given.halved else priors
    begun = time.perf_counter()
    ranks, refused = study(Study(priors=priors, sampled=sampled), given.simulations)
    print(judged(ranks).round(3).to_string())
    print(f"{given.simulations} simulations in {time.perf_counter() - begun:.0f} s")
    print(f"{refused} of them had too few items that not everybody answered alike")


if __name__ == "__main__":
    main()
