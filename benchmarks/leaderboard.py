"""How often intervals of a leaderboard cover, where the models themselves calibrate the items.

    python -m benchmarks.leaderboard [--replications 40] [--fields 20x100 50x100 50x500 100x200]

Models are N(0, 1); items have slopes lognormal(0, 0.5) and difficulties N(-0.5, 1). Coverage is of
true abilities relative to the field (mean 0 and SD 1 over its models), of differences of two
models, and of all ranks at once; "population" is coverage of the ability relative to the
population that the models were drawn from, which no field can tell.

- usual: small-sample priors as they are, items as known
- centred: priors centred on the field, items as known
- drawn: the same, with 100 draws of the items
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.bridge.ranking.ability_differences import Abilities, abilities
from irtkit.bridge.ranking.field import field_method
from irtkit.bridge.ranking.ranks import ranks
from irtkit.estimation import MML, Priors, calibrate
from irtkit.estimation.calibration import matched
from irtkit.models import TwoPL
from irtkit.responses import Responses

Z = 1.959964
DRAWS = 100


@dataclass(frozen=True)
class Field:
    """Drawn models with their answers."""

    theta: np.ndarray
    responses: Responses

    @classmethod
    def of(cls, n_models: int, n_items: int, rng: np.random.Generator) -> Field:
        """Draw models, items and answers."""
        slope = rng.lognormal(0.0, 0.5, n_items)
        difficulty = rng.normal(-0.5, 1.0, n_items)
        theta = rng.normal(size=n_models)
        chance = 1.0 / (1.0 + np.exp(-slope * (theta[:, None] - difficulty)))
        codes = (rng.random(chance.shape) < chance).astype(np.int8)
        return cls(theta, Responses.from_array(codes))

    @property
    def relative(self) -> np.ndarray:
        """True abilities in the unit of the field."""
        return (self.theta - self.theta.mean()) / self.theta.std()


def judged(field: Field, known: Abilities) -> dict[str, float]:
    """Shares of intervals that cover the truth, and how wide they are."""
    error, n_models = known.standard_error(), len(field.theta)
    one, other = np.triu_indices(n_models, 1)
    everyone = np.arange(n_models)
    spread = np.sqrt(known.variances(everyone, everyone)[one, other])
    gap = known.theta[one] - known.theta[other] - (field.relative[one] - field.relative[other])
    order = ranks(known.theta, known.variances)
    true_rank = 1 + (field.theta[:, None] < field.theta).sum(axis=1)
    inside = (order.low <= true_rank) & (true_rank <= order.high)
    return {
        "ability": float((np.abs(known.theta - field.relative) < Z * error).mean()),
        "population": float((np.abs(known.theta - field.theta) < Z * error).mean()),
        "difference": float((np.abs(gap) < Z * spread).mean()),
        "all_ranks": float(inside.all()),
        "rank_width": float((order.high - order.low).mean()),
        "mean_theta": float(known.theta.mean()),
        "sd_theta": float(known.theta.std()),
    }


def measured(n_models: int, n_items: int, replications: int) -> pd.DataFrame:
    """Mean over replications, a row a way of calibrating."""
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in range(replications):
        field = Field.of(n_models, n_items, np.random.default_rng([seed, n_models, n_items]))
        usual = MML(priors=Priors.small_sample())
        for name, method in (
            ("usual", usual),
            ("centred", field_method(field.responses, TwoPL(), usual)),
        ):
            calibration = calibrate(field.responses, TwoPL(), method=method)
            known, part = matched(field.responses, calibration)
            ways = {name: 0} | ({"drawn": DRAWS} if name == "centred" else {})
            for way, draws in ways.items():
                able = abilities(known, part, item_draws=draws, clusters=None, seed=seed)
                found[way].append(judged(field, able))
    return pd.DataFrame({way: pd.DataFrame(rows).mean() for way, rows in found.items()}).T


def main() -> None:
    """Measure each field and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    parser.add_argument("--replications", type=int, default=40)
    parser.add_argument("--fields", nargs="+", default=["20x100", "50x100", "50x500", "100x200"])
    given = parser.parse_args()
    for words in given.fields:
        n_models, n_items = (int(word) for word in words.split("x"))
        start = time.perf_counter()
        table = measured(n_models, n_items, given.replications)
        seconds = time.perf_counter() - start
        print(f"\n{words} (models x items), {given.replications} fields, {seconds:.0f} s")
        print(table.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
