"""``python -m benchmarks.bayes``: effective draws per second, side by side.

The same answers to the 2PL go to irtkit's marginal formulation (theta summed over nodes), to its
joint one (every theta sampled, by nutpie on a PyMC model) and, with ``--environment FOLDER``, to
the Gibbs sampler of PyPI's mirt, installed there. What counts is the smallest bulk effective
sample size of a slope or an intercept, over all items, for each second of sampling; compilation
stands apart.

Answers: abilities N(0, 1), discriminations lognormal(0, 0.3), difficulties N(0, 1), fixed seeds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.processes import ROOT, rivals_python
from irtkit.arrays import FloatArray
from irtkit.estimation.bayes import NUTS, sample_posterior
from irtkit.estimation.bayes.checks import diagnostics
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate

SIZES = ("500x20", "2000x50")
SEED = 1
GIBBS_PER_DRAW = 5  # Gibbs steps are cheap and alike, so it is given more of them


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    Attributes
    ----------
    size, tool : str
    draws : int
        Kept, of all chains.
    compiling, sampling : float
        Seconds.
    slowest : float
        Smallest bulk effective sample size of a slope or intercept.
    r_hat : float
        Largest of them.
    divergences : int
    steps : float
        Evaluations of the density's gradient for each draw.
    """

    size: str
    tool: str
    draws: int
    compiling: float
    sampling: float
    slowest: float
    r_hat: float
    divergences: int = 0
    steps: float = float("nan")

    @property
    def rate(self) -> float:
        """Effective draws of the slowest item parameter per second of sampling."""
        return self.slowest / self.sampling

    def line(self, against: float) -> str:
        """One row of the table; `against` is the rate to compare with."""
        return (
            f"{self.size:>8}  {self.tool:<10} {self.draws:>6} {self.compiling:>9.1f} "
            f"{self.sampling:>9.1f} {self.slowest:>8.0f} {self.rate:>9.1f} "
            f"{self.rate / against:>6.2f} {self.r_hat:>6.3f} {self.divergences:>4} "
            f"{self.steps:>6.1f}"
        )


HEADINGS = (
    f"{'size':>8}  {'tool':<10} {'draws':>6} {'compile s':>9} {'sample s':>9} {'min ESS':>8} "
    f"{'ESS/s':>9} {'ratio':>6} {'R-hat':>6} {'div':>4} {'steps':>6}"
)


def by_irtkit(size: str, responses: Responses, sampler: NUTS) -> Measured:
    """Sample by irtkit, in the sampler's formulation."""
    posterior = sample_posterior(responses, TwoPL(), sampler=sampler, seed=SEED)
    slowest, r_hat = _agreement(posterior.parameters)
    return Measured(
        size,
        sampler.formulation if sampler.engine == "nutpie" else f"by {sampler.engine}",
        posterior.n_draws,
        posterior.sampling.compile_seconds,
        posterior.sampling.seconds,
        slowest,
        r_hat,
        int(posterior.statistics["diverging"].sum()),
        float(posterior.statistics["n_steps"].mean()),
    )


def by_gibbs(size: str, responses: Responses, sampler: NUTS, python: Path) -> Measured:
    """Sample by mirt's Gibbs sampler, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        answers, chains = Path(folder, "answers.npy"), Path(folder, "chains.npz")
        np.save(answers, responses.dense().astype(np.int32))
        given = {
            "answers": str(answers),
            "chains": str(chains),
            "n_chains": sampler.chains,
            "tune": sampler.tune * GIBBS_PER_DRAW,
            "draws": sampler.draws * GIBBS_PER_DRAW,
        }
        command = [str(python), "-m", "benchmarks.workers.of_gibbs", json.dumps(given)]
        subprocess.run(command, check=True, cwd=ROOT)
        with np.load(chains) as found:
            slope, difficulty = found["slope"], found["difficulty"]  # (C, S, I)
            seconds = float(found["seconds"])
    parameters = np.stack([slope, -slope * difficulty], axis=-1)
    slowest, r_hat = _agreement(parameters)
    return Measured(
        size, "mirt Gibbs", parameters.shape[0] * parameters.shape[1], 0.0, seconds, slowest, r_hat
    )


def _agreement(parameters: FloatArray) -> tuple[float, float]:
    """Smallest bulk effective sample size and largest R-hat of draws (C, S, I, 2)."""
    r_hat, bulk, _ = diagnostics(parameters.reshape(*parameters.shape[:2], -1))
    return float(np.nanmin(bulk)), float(np.nanmax(r_hat))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bayes")
    parser.add_argument("sizes", nargs="*", default=SIZES, help="persons x items: 500x20")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tune", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--pymc", action="store_true", help="PyMC's own sampler too, marginal")
    parser.add_argument("--environment", type=Path, help="folder of the rivals, kept for reuse")
    parser.add_argument("--output", type=Path, help="JSON file for all that was measured")
    given = parser.parse_args()
    rows: list[Measured] = []
    print(HEADINGS, flush=True)
    for size in given.sizes:
        persons, items = (int(number) for number in size.split("x"))
        responses = simulate(TwoPL(), n_persons=persons, n_items=items, seed=SEED).responses
        number = {"draws": given.draws, "tune": given.tune, "chains": given.chains}
        samplers = [
            NUTS(**number, cores=given.cores, formulation=formulation)
            for formulation in ("joint", "marginal")
        ]
        if given.pymc:
            samplers.append(NUTS(**number, cores=given.cores, engine="pymc"))
        found = [by_irtkit(size, responses, sampler) for sampler in samplers]
        if given.environment is not None:
            python = rivals_python(given.environment)
            found.append(by_gibbs(size, responses, samplers[0], python))
        for row in found:
            print(row.line(found[0].rate), flush=True)
        rows += found
    print("ratio: effective draws per second against the joint formulation")
    if given.output is not None:
        given.output.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
