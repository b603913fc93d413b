"""Running the no-U-turn sampler: nutpie on the hand-written density, or PyMC's models.

The marginal formulation under nutpie needs no PyMC model and no compilation: the sampler calls
`Density`. Everything else goes through `pymc_model.py`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import ModelError
from irtkit.estimation.bayes.extras import extra
from irtkit.estimation.bayes.method import NUTS

Progress = Callable[[int, int], None]
Evaluate = Callable[[FloatArray], tuple[float, FloatArray]]  # log-density and its gradient

JITTER = 0.5  # SD of the chains' starts around a rough estimate, in coordinates
MOST_STARTS = 20
STATISTICS = {  # ours: nutpie's, PyMC's
    "diverging": ("diverging", "diverging"),
    "energy": ("energy", "energy"),
    "n_steps": ("n_steps", "n_steps"),
    "log_density": ("logp", "lp"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a sampler returned.

    Attributes
    ----------
    values : dict of str to array, shape (C, S, ...)
        The sampled variables.
    statistics : dict of str to array, shape (C, S)
        diverging, energy, n_steps, log_density.
    compile_seconds, seconds : float
        Time for compiling the density, and for sampling.
    """

    values: dict[str, FloatArray]
    statistics: dict[str, FloatArray]
    compile_seconds: float
    seconds: float


def by_density(
    density: Evaluate, start: FloatArray, method: NUTS, seed: int, progress: Progress | None
) -> Trace:
    """Sample the coordinates of a density by nutpie; the variable is called "x"."""
    nutpie = extra("nutpie")
    pyfunc = extra("nutpie.compiled_pyfunc")
    begun = time.perf_counter()
    density(start)
    compiled = time.perf_counter()
    counted = _Counter(method, progress)
    model = pyfunc.from_pyfunc(
        len(start),
        lambda: density,
        lambda seed1, seed2, chain: counted.draw,
        [np.dtype(np.float64)],
        [(len(start),)],
        ["x"],
        make_initial_point_fn=lambda seed: jittered(density, start, seed),
    )
    found = _by_nutpie(nutpie, model, method, seed)
    return _trace(found, 0, (begun, compiled, time.perf_counter()))


def jittered(density: Evaluate, start: FloatArray, seed: int) -> FloatArray:
    """A start for one chain: near the rough estimate, and where the density is not zero."""
    rng = np.random.default_rng(seed)
    for attempt in range(MOST_STARTS):
        point = start + JITTER * 0.7**attempt * rng.standard_normal(len(start))
        if np.isfinite(density(point)[0]):
            return point
    raise ModelError(
        "The posterior density is zero around the start values, so no chain can begin. Look at "
        "the priors, and at items that almost everybody answered alike."
    )


class _Counter:
    """Hands the draws on and counts them."""

    def __init__(self, method: NUTS, progress: Progress | None) -> None:
        self.done, self.all = 0, method.chains * (method.draws + method.tune)
        self.progress = progress

    def draw(self, x: FloatArray) -> dict[str, FloatArray]:
        """One draw of one chain."""
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.all), self.all)
        return {"x": np.array(x)}


def by_pymc_model(model: Any, names: tuple[str, ...], method: NUTS, seed: int) -> Trace:
    """Sample a PyMC model by the method's engine and keep the named variables."""
    begun = compiled = time.perf_counter()
    if method.engine == "nutpie":
        nutpie = extra("nutpie")
        ready = nutpie.compile_pymc_model(model)
        compiled = time.perf_counter()
        trace = _trace(_by_nutpie(nutpie, ready, method, seed), 0, (begun, compiled, 0.0))
    else:
        trace = _trace(_by_pymc(model, method, seed), 1, (begun, compiled, 0.0))
    values = {name: trace.values[name] for name in names}
    return replace(trace, values=values, seconds=time.perf_counter() - compiled)


def _by_nutpie(nutpie: Any, model: Any, method: NUTS, seed: int) -> Any:
    sampler = nutpie.sample(
        model,
        draws=method.draws,
        tune=method.tune,
        chains=method.chains,
        cores=_cores(method),
        seed=seed,
        target_accept=method.target_accept,
        progress_bar=False,
        save_warmup=False,
        blocking=False,
    )
    try:
        found = sampler.wait()
    except BaseException:
        sampler.cancel()
        raise
    return found


def _by_pymc(model: Any, method: NUTS, seed: int) -> Any:
    pymc = extra("pymc")
    with _silent("pymc"):
        return pymc.sample(
            draws=method.draws,
            tune=method.tune,
            chains=method.chains,
            cores=_cores(method),
            random_seed=seed,
            target_accept=method.target_accept,
            nuts_sampler="pymc",
            progressbar=False,
            compute_convergence_checks=False,
            compile_kwargs={"mode": "NUMBA"},  # the C mode wants a BLAS to link to
            model=model,
        )


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep a library from writing to the terminal what its result says anyway."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _cores(method: NUTS) -> int:
    return min(method.chains, method.cores or os.cpu_count() or 1)


def _trace(found: Any, place: int, clock: tuple[float, float, float]) -> Trace:
    """Take the arrays out of ArviZ's container, of whatever version.

    `place` tells whose names the statistics have, `clock` when compiling and sampling began and
    sampling ended.
    """
    posterior, sampled = found["posterior"], found["sample_stats"]
    values = {str(name): np.asarray(posterior[name].values) for name in posterior.data_vars}
    statistics = {
        name: np.asarray(sampled[theirs[place]].values, dtype=np.float64)
        for name, theirs in STATISTICS.items()
    }
    begun, compiled, ended = clock
    return Trace(values, statistics, compiled - begun, ended - compiled)
