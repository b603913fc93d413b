"""`Posterior`: draws of the item parameters and what can be read off them.

It holds plain arrays; `inference_data` shows them to ArviZ with named dimensions. Sampling is in
`sampling.py`, files in `files.py`, comparison of models in `comparison.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray, frozen
from irtkit.errors import ModelError
from irtkit.estimation.bayes.abilities import drawn_abilities, log_marginals
from irtkit.estimation.bayes.as_calibration import calibration_of
from irtkit.estimation.bayes.checks import Checks, checked, diagnostics
from irtkit.estimation.bayes.extras import extra
from irtkit.estimation.bayes.method import Pathfinder, Sampler
from irtkit.estimation.bayes.priors import BayesPriors
from irtkit.estimation.calibration import Calibration
from irtkit.latent import Nodes, Normal
from irtkit.models import Assignment
from irtkit.responses import Responses

THETA_SD = "theta_sd"
POPULATION = "(population)"  # in the place of an item
INTERVAL = (0.025, 0.5, 0.975)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How draws were made.

    Attributes
    ----------
    sampler : NUTS or Pathfinder
    priors : BayesPriors
    seed : int
        Given to the sampler; the same seed gives the same draws on one machine.
    n_nodes : int
        Quadrature nodes for theta.
    compile_seconds, seconds : float
        Time for compiling the density, and for sampling.
    versions : tuple of (str, str)
        Of the packages that made the draws.
    """

    sampler: Sampler
    priors: BayesPriors
    seed: int
    n_nodes: int
    compile_seconds: float
    seconds: float
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Draws of item parameters given some answers.

    Attributes
    ----------
    responses : Responses
        The answers, to all items.
    assignment : Assignment
        The model and number of categories of each item.
    states : tuple of str
        One word an item: ok, constant (right-or-wrong items are sampled all the same), or why it
        has no parameters.
    parameters : array, shape (C, S, I, D)
        C chains of S draws, in the order of each model's parameter names; NaN for items without
        parameters and in unused cells. The slope of Rasch and partial credit items is 1.
    hyperparameters : dict of str to array, shape (C, S)
        Those of the priors, and "theta_sd" for Rasch and partial credit.
    theta : array, shape (C, S, P), or None
        Abilities, where they were sampled.
    statistics : dict of str to array, shape (C, S)
        diverging, energy, n_steps and log_density of each draw; empty for an approximation.
    sampling : Sampling
    """

    responses: Responses
    assignment: Assignment
    states: tuple[str, ...]
    parameters: FloatArray
    hyperparameters: dict[str, FloatArray]
    theta: FloatArray | None
    statistics: dict[str, FloatArray]
    sampling: Sampling

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", frozen(self.parameters))
        for name in ("hyperparameters", "statistics"):
            arrays = {key: frozen(value) for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, arrays)
        if self.theta is not None:
            object.__setattr__(self, "theta", frozen(self.theta))

    @property
    def items(self) -> tuple[str, ...]:
        """All items, sampled or not."""
        return self.responses.items

    @property
    def theta_sd(self) -> float:
        """Posterior mean of theta's SD; 1 unless it was estimated."""
        return float(np.mean(self.hyperparameters.get(THETA_SD, 1.0)))

    @property
    def places(self) -> list[int]:
        """Which items were sampled."""
        return np.flatnonzero(np.isfinite(self.parameters[0, 0, :, 0])).tolist()

    @property
    def approximate(self) -> bool:
        """Whether the draws come from an approximation rather than a sampler."""
        return isinstance(self.sampling.sampler, Pathfinder)

    @property
    def n_draws(self) -> int:
        """Draws of all chains."""
        return self.parameters.shape[0] * self.parameters.shape[1]

    @property
    def inference_data(self) -> Any:
        """The draws as ArviZ takes them: InferenceData before ArviZ 1, DataTree since.

        Groups posterior (dimensions chain, draw, item, person) and sample_stats.
        """
        xarray, arviz = extra("xarray"), extra("arviz")
        groups = {
            "posterior": xarray.Dataset(*self.variables()),
            "sample_stats": xarray.Dataset(self.sample_stats()),
        }
        if hasattr(arviz, "from_datatree"):
            return arviz.InferenceData(**groups)
        return xarray.DataTree.from_dict(groups)

    def variables(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Named variables with their dimensions, and the coordinates of these."""
        n_chains, n_draws = self.parameters.shape[:2]
        found: dict[str, Any] = {
            name: (("chain", "draw", "item"), values) for name, values in self.by_name().items()
        }
        found |= {name: (("chain", "draw"), v) for name, v in self.hyperparameters.items()}
        coordinates: dict[str, Any] = {
            "chain": np.arange(n_chains),
            "draw": np.arange(n_draws),
            "item": np.array(self.items, dtype=object),
        }
        if self.theta is not None:
            found["theta"] = (("chain", "draw", "person"), self.theta)
            coordinates["person"] = np.array(self.responses.persons, dtype=object)
        return found, coordinates

    def sample_stats(self) -> dict[str, Any]:
        """Named statistics of the draws with their dimensions, as ArviZ takes them."""
        return {
            name: (("chain", "draw"), value > 0 if name == "diverging" else value)
            for name, value in self.statistics.items()
        }

    def by_name(self) -> dict[str, FloatArray]:
        """Draws of each item parameter under its model's name, shape (C, S, I) each."""
        found: dict[str, FloatArray] = {}
        for family in self.assignment.families:
            names = family.model.parameter_names(family.n_categories)
            for place, name in enumerate(names):
                whole = found.setdefault(name, np.full(self.parameters.shape[:3], np.nan))
                whole[..., family.places] = self.parameters[..., family.places, place]
        return found

    def table(self) -> pd.DataFrame:
        """Summarise each parameter.

        Returns
        -------
        DataFrame
            Indexed by parameter and item: mean, sd, low, median, high (ends and middle of the 95%
            interval), r_hat, ess_bulk, ess_tail. Parameters have the names of `Calibration.table`;
            those of the population stand under the item "(population)".
        """
        draws, names = self.natural()
        flat = draws.reshape(-1, draws.shape[2])
        low, median, high = np.quantile(flat, INTERVAL, axis=0)
        r_hat, bulk, tail = (
            (np.full(draws.shape[2], np.nan),) * 3 if self.approximate else diagnostics(draws)
        )
        return pd.DataFrame(
            {
                "mean": flat.mean(axis=0),
                "sd": flat.std(axis=0, ddof=1),
                "low": low,
                "median": median,
                "high": high,
                "r_hat": r_hat,
                "ess_bulk": bulk,
                "ess_tail": tail,
            },
            index=pd.MultiIndex.from_tuples(names, names=["parameter", "item"]),
        )

    def natural(self) -> tuple[FloatArray, list[tuple[str, str]]]:
        """Draws (C, S, n) of all parameters, and of each its name in the field and its item.

        Names are those of `table`; parameters of the population have the item "(population)".
        """
        columns: list[FloatArray] = []
        names: list[tuple[str, str]] = []
        for name, values in self.hyperparameters.items():
            columns.append(values)
            names.append((name, POPULATION))
        for family in self.assignment.families:
            places = np.arange(len(self.items))[family.places]
            places = places[np.isin(places, self.places)]
            model, own = family.model, self.parameters[..., places, : family.n_parameters]
            found: dict[str, FloatArray] = {}
            for place, name in enumerate(model.parameter_names(family.n_categories)):
                if not name.startswith("logit_"):
                    found["discrimination" if name == "slope" else name] = own[..., place]
            b = model.difficulties(own)  # (C, S, i, n)
            for k in range(b.shape[-1]):
                found["difficulty" if b.shape[-1] == 1 else f"threshold_{k + 1}"] = b[..., k]
            if family.n_categories == 2 and family.n_parameters > 2:
                ends = zip(("lower", "upper"), model.asymptotes(own), strict=True)
                found |= dict(list(ends)[: family.n_parameters - 2])
            for name, values in found.items():
                columns += [values[..., number] for number in range(len(places))]
                names += [(name, self.items[place]) for place in places]
        return np.stack(columns, axis=-1), names

    def checks(self) -> Checks:
        """Check the draws: R-hat, effective sample sizes, divergences, E-BFMI, sign of theta.

        Returns
        -------
        Checks
            With a verdict and its reasons. A posterior that is not usable should not be used.
        """
        shape = self.parameters.shape
        columns = [self.parameters.reshape(*shape[:2], -1)]
        columns += [values[..., None] for values in self.hyperparameters.values()]
        if self.theta is not None:
            columns.append(self.theta)
        draws = np.concatenate(columns, axis=2)
        return checked(
            draws[..., np.isfinite(draws[0, 0])],
            self.statistics,
            np.nansum(self.parameters[..., 0], axis=2),
            approximate=self.approximate,
        )

    def sampled(self) -> tuple[Responses, list[int]]:
        """The answers to the items that have parameters, and the places of these."""
        places = self.places
        return self.responses.select_items([self.items[place] for place in places]), places

    def standardised(self, n_draws: int | None = None) -> FloatArray:
        """Item parameters for theta on N(0, 1), evenly spaced draws, shape (S, I, D).

        Of the items that have parameters. Slopes of Rasch and partial credit are theta's SD.
        """
        n_draws = self.n_draws if n_draws is None else n_draws
        draws = self.item_draws(n_draws)[:, self.sampled()[1]]
        if THETA_SD in self.hyperparameters:
            sd = self.hyperparameters[THETA_SD].ravel()[self.spaced(n_draws)]
            draws = draws.copy()
            draws[:, :, 0] *= sd[:, None]
        return draws

    def item_draws(self, n_draws: int = 200) -> FloatArray:
        """Evenly spaced draws of all item parameters, shape (S, I, D), as `score` takes them."""
        chosen = self.spaced(n_draws)
        return self.parameters.reshape(-1, *self.parameters.shape[2:])[chosen]

    def spaced(self, n_draws: int | None) -> IntArray:
        """Places of evenly spaced draws among all of them, chain after chain."""
        if n_draws is not None and n_draws < 1:
            raise ModelError(f"{n_draws} draws were asked for; there must be at least one.")
        n = self.n_draws if n_draws is None else min(n_draws, self.n_draws)
        return np.linspace(0, self.n_draws - 1, n).round().astype(np.int64)

    def nodes(self) -> Nodes:
        """Quadrature nodes of the standard normal distribution."""
        return Normal().nodes(self.sampling.n_nodes)

    def log_marginals(self, n_draws: int | None = None) -> FloatArray:
        """Log marginal likelihood of each person, theta integrated out, shape (S, P)."""
        responses, places = self.sampled()
        assignment = self.assignment.at(places)
        return log_marginals(responses, assignment, self.standardised(n_draws), self.nodes())

    def ability_draws(
        self, n_draws: int = 1000, *, seed: int | np.random.Generator = 0
    ) -> FloatArray:
        """Draw abilities: the sampled ones, or one a person for each draw of the items.

        Returns
        -------
        array, shape (S, P)
            Their spread includes the uncertainty of the item parameters.
        """
        if self.theta is not None:
            return self.theta.reshape(-1, self.theta.shape[2])[self.spaced(n_draws)]
        responses, places = self.sampled()
        draws, rng = self.standardised(n_draws), np.random.default_rng(seed)
        theta = drawn_abilities(responses, self.assignment.at(places), draws, self.nodes(), rng)
        if THETA_SD in self.hyperparameters:
            theta *= self.hyperparameters[THETA_SD].ravel()[self.spaced(n_draws)][:, None]
        return theta

    def abilities(
        self, n_draws: int = 1000, *, seed: int | np.random.Generator = 0
    ) -> pd.DataFrame:
        """Ability of each person, with the uncertainty of the items in its interval.

        Returns
        -------
        DataFrame
            Indexed by person: theta (mean), standard_error (SD), theta_low, theta_high (95%
            interval), n_answered.
        """
        draws = self.ability_draws(n_draws, seed=seed)
        low, _, high = np.quantile(draws, INTERVAL, axis=0)
        return pd.DataFrame(
            {
                "theta": draws.mean(axis=0),
                "standard_error": draws.std(axis=0, ddof=1),
                "theta_low": low,
                "theta_high": high,
                "n_answered": self.sampled()[0].n_answered(),
            },
            index=pd.Index(self.responses.persons, name="person"),
        )

    def calibration(self) -> Calibration:
        """The posterior as a calibration: means, covariance of each item, latent distribution.

        Constant items, which were sampled, have no parameters here, as after `calibrate`.

        Returns
        -------
        Calibration
            `converged` says whether the draws are usable. In its convergence record `n_cycles` is
            the number of draws, `change` the largest R-hat minus 1 and `gradient` the largest
            Monte Carlo standard error, over all items and for each.
        """
        return calibration_of(self)
