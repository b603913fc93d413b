"""The worker of PyPI's mirt.

Its quadrature is Gauss-Hermite: one can choose the number of nodes, but not their range.
"""

from __future__ import annotations

from typing import Any

import mirt
import numpy as np

from benchmarks.workers.serving import serve, timed

FAMILIES = {"2pl": "2PL", "graded": "GRM"}


class Mirt:
    """Holds the answers and the last fit between commands."""

    def __init__(self) -> None:
        self.codes: np.ndarray
        self.result: Any

    def load(self, path: str) -> None:
        """Read the answers; mirt takes missing ones as negative codes, as they are stored."""
        self.codes = np.load(path)

    def fit(
        self,
        model: str = "2pl",
        n_quadpts: int = 21,
        accelerate: str = "none",
        tol: float = 1e-4,
        max_iter: int = 500,
        standard_errors: bool = False,
        save: str = "",
    ) -> dict[str, Any]:
        """Fit; `save` names the file for slopes and intercepts."""
        self.result, seconds = timed(
            lambda: mirt.fit_mirt(
                self.codes,
                model=FAMILIES[model],
                n_quadpts=n_quadpts,
                accelerate=accelerate,
                tol=tol,
                max_iter=max_iter,
                compute_standard_errors=standard_errors,
            )
        )
        found = self.result.model.parameters
        slope = found["discrimination"]
        difficulty = found["thresholds"] if model == "graded" else found["difficulty"][:, None]
        if save:
            np.savez(save, slope=slope, intercepts=-slope[:, None] * difficulty)
        return {
            "seconds": seconds,
            "cycles": int(self.result.n_iterations),
            "converged": bool(self.result.converged),
            "own_log_likelihood": float(self.result.log_likelihood),
        }

    def score(self, method: str, save: str = "") -> dict[str, Any]:
        """Score everybody: eap, map, ml or wle."""
        scores, seconds = timed(
            lambda: mirt.fscores(self.result, self.codes, method=method.upper())
        )
        if save:
            np.save(save, scores.theta.ravel())
        return {"seconds": seconds}

    def diagnose(self, what: str, save: str = "") -> dict[str, Any]:
        """One diagnostic as a whole call, abilities included where it wants them.

        `save` names the file for its statistics.
        """
        from mirt.diagnostics.ld import compute_ld_chi2

        model, codes = self.result.model, self.codes

        def abilities() -> np.ndarray:
            return mirt.fscores(self.result, codes, method="EAP").theta

        calls = {
            "S-X2": lambda: mirt.itemfit(self.result, codes, statistics=["S_X2"])["S_X2"],
            "infit and outfit": lambda: mirt.itemfit(
                self.result, codes, statistics=["infit", "outfit"]
            )["infit"],
            "Q3": lambda: mirt.Q3(model, codes, abilities()),
            "LD-X2": lambda: compute_ld_chi2(model, codes, abilities())[0],
            "M2": lambda: [mirt.compute_m2(self.result, codes)["M2"]],
            "person fit": lambda: mirt.personfit(self.result, codes),
        }
        found, seconds = timed(calls[what])
        if save:
            np.save(save, np.asarray(found, dtype=float))
        return {"seconds": seconds}

    def information(self, n_points: int) -> dict[str, Any]:
        """Test information over [-6, 6]."""
        theta = np.linspace(-6.0, 6.0, n_points)
        _, seconds = timed(lambda: mirt.testinfo(self.result.model, theta))
        return {"seconds": seconds}

    def version(self) -> dict[str, Any]:
        """Version of mirt."""
        return {"mirt": mirt.__version__}


if __name__ == "__main__":
    serve(Mirt())
