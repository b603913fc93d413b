"""The worker of crowd-kit: its Dawid-Skene and one-coin on a table of task, worker, label."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import pandas as pd
from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene

from benchmarks.workers.serving import serve, timed

NEVER = -1e9  # a tolerance that no cycle meets
METHODS = {"dawid-skene": DawidSkene, "one-coin": OneCoinDawidSkene}


class CrowdKit:
    """Holds the labels between commands."""

    def __init__(self) -> None:
        self.labels: pd.DataFrame

    def load(self, path: str) -> None:
        """Read the labels, all as text."""
        self.labels = pd.read_csv(path, dtype=str)

    def aggregate(self, method: str, n_cycles: int, save: str) -> dict[str, Any]:
        """Run so many cycles; `save` names the file for the label probabilities."""
        model = METHODS[method](n_iter=n_cycles, tol=NEVER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, seconds = timed(lambda: model.fit_predict_proba(self.labels))
        found.sort_index(axis=1).to_csv(save)
        return {"seconds": seconds}

    def version(self) -> dict[str, Any]:
        """Version of crowd-kit."""
        return {"crowd-kit": version("crowd-kit")}


if __name__ == "__main__":
    serve(CrowdKit())
