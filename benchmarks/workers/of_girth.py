"""The worker of girth: marginal maximum likelihood at its default options."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import girth
import numpy as np

from benchmarks.workers.serving import serve, timed


class Girth:
    """Holds the answers between commands."""

    def __init__(self) -> None:
        self.codes: np.ndarray

    def load(self, path: str) -> None:
        """Read the answers; girth wants items in rows and its own number for missing ones."""
        codes = np.load(path).T.astype(np.int64)
        self.codes = girth.tag_missing_data(codes, list(range(int(codes.max()) + 1)))

    def fit(self, model: str = "2pl", save: str = "") -> dict[str, Any]:
        """Fit; `save` names the file for slopes and intercepts."""
        method = girth.grm_mml if model == "graded" else girth.twopl_mml
        found, seconds = timed(lambda: method(self.codes))
        slope = np.asarray(found["Discrimination"])
        difficulty = np.asarray(found["Difficulty"]).reshape(len(slope), -1)
        if save:
            np.savez(save, slope=slope, intercepts=-slope[:, None] * difficulty)
        return {"seconds": seconds}

    def version(self) -> dict[str, Any]:
        """Version of girth."""
        return {"girth": version("girth")}


if __name__ == "__main__":
    serve(Girth())
