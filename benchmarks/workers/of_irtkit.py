"""The worker of irtkit: public functions only, all at their defaults."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

import irtkit as irt
from benchmarks.workers.serving import serve, timed


class Irtkit:
    """Holds the responses and the last calibration between commands."""

    def __init__(self) -> None:
        self.responses: irt.Responses
        self.calibration: irt.Calibration

    def load(self, path: str) -> dict[str, Any]:
        """Read the answers and make `Responses` of them."""
        if path.endswith(".npz"):
            matrix = sp.load_npz(path)
            self.responses, seconds = timed(lambda: irt.Responses.from_sparse(matrix))
            return {"seconds": seconds}
        codes = np.load(path)
        codes.setflags(write=False)  # else `Responses` would have to copy them
        self.responses, seconds = timed(lambda: _responses(codes))
        return {"seconds": seconds}

    def fit(
        self, model: str = "2pl", standard_errors: str | None = None, save: str = ""
    ) -> dict[str, Any]:
        """Calibrate; `save` names the file for slopes and intercepts."""
        family = irt.Graded() if model == "graded" else irt.TwoPL()
        method = irt.MML(standard_errors=standard_errors)
        self.calibration, seconds = timed(
            lambda: irt.calibrate(self.responses, family, method=method)
        )
        parameters = np.asarray(self.calibration.parameters)
        if save:
            np.savez(save, slope=parameters[:, 0], intercepts=parameters[:, 1:])
        record = self.calibration.convergence
        return {
            "seconds": seconds,
            "cycles": int(record.n_cycles),
            "converged": bool(record.converged),
            "n_nodes": int(record.n_nodes),
            "quadrature_change": float(record.quadrature_change),
            "own_log_likelihood": float(self.calibration.log_likelihood),
        }

    def score(self, method: str, save: str = "") -> dict[str, Any]:
        """Score everybody: eap, map, ml or wle."""
        scores, seconds = timed(lambda: irt.score(self.responses, self.calibration, method=method))
        if save:
            np.save(save, scores.theta)
        return {"seconds": seconds}

    def diagnose(self, what: str, save: str = "") -> dict[str, Any]:
        """One diagnostic as a whole call; `save` names the file for its statistics."""
        given = (self.responses, self.calibration)
        calls = {
            "item fit": (irt.item_fit, "s_x2"),
            "local dependence": (irt.local_dependence, "ld_x2"),
            "local dependence, search": (irt.dependence_search, ""),
            "M2": (irt.model_fit, "m2"),
            "person fit": (irt.person_fit, "lz"),
        }
        function, column = calls[what]
        found, seconds = timed(lambda: function(*given))
        if save:
            np.save(save, found[column].to_numpy())
        return {"seconds": seconds}

    def information(self, n_points: int) -> dict[str, Any]:
        """Test information over [-6, 6]."""
        theta = np.linspace(-6.0, 6.0, n_points)
        _, seconds = timed(lambda: irt.test_information(self.calibration, theta))
        return {"seconds": seconds}

    def version(self) -> dict[str, Any]:
        """Versions of irtkit and NumPy."""
        from importlib.metadata import version

        return {"irtkit": version("irtkit"), "numpy": np.__version__}


def _responses(codes: np.ndarray) -> irt.Responses:
    n_persons, n_items = codes.shape
    return irt.Responses(
        codes=codes,
        persons=tuple(f"p{number}" for number in range(n_persons)),
        items=tuple(f"i{number}" for number in range(n_items)),
        categories=tuple(str(code) for code in range(int(codes.max()) + 1)),
    )


if __name__ == "__main__":
    serve(Irtkit())
