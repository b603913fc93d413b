"""The worker of the Gibbs sampler of PyPI's mirt: one run, its chains to a file."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from mirt.backends.rust.estimation import gibbs_sample_2pl


def main() -> None:
    """Run the chains in turn (the sampler itself uses all threads) and time them."""
    given = json.loads(sys.argv[1])
    answers = np.load(given["answers"])
    begun = time.perf_counter()
    found = [
        gibbs_sample_2pl(
            answers,
            n_iter=given["tune"] + given["draws"],
            burnin=given["tune"],
            seed=seed,
        )
        for seed in range(given["n_chains"])
    ]
    seconds = time.perf_counter() - begun
    slope, difficulty = (np.stack([np.asarray(chain[k]) for chain in found]) for k in (0, 1))
    np.savez(given["chains"], slope=slope, difficulty=difficulty, seconds=seconds)


if __name__ == "__main__":
    main()
