"""`Strengths`: what comparisons say of their items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, IntArray

OK, ANCHOR, ABOVE, BELOW = "ok", "anchor", "always above", "always below"


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """Strengths of compared items.

    Attributes
    ----------
    items : tuple of str
    strength : array, shape (N,)
        In the unit of gamma, with mean 0 over the items of finite strength unless some are
        known; infinite for items that won or lost every comparison.
    covariance : array, shape (N, N), or None
        NaN where there is none, 0 for known strengths. A difference of two strengths has the
        variance C_ii + C_jj - 2 C_ij.
    position : float
        Pull of the first position: positive favours the first. In logits, or of
        `gaussian_strengths` in probability.
    position_error : float
        Its standard error; NaN unless it was estimated with the strengths.
    states : tuple of str
        "ok", "anchor" (known), "always above", "always below".
    n_comparisons : array, shape (N,)
        In which each item took part.
    log_likelihood : float
        In nats: of the comparisons expected under their probabilities (`bradley_terry`), or of
        normal probabilities (`gaussian_strengths`).
    """

    items: tuple[str, ...]
    strength: FloatArray
    covariance: FloatArray | None
    position: float
    position_error: float
    states: tuple[str, ...]
    n_comparisons: IntArray
    log_likelihood: float

    def table(self) -> pd.DataFrame:
        """Lay them out: index item; strength, standard_error, n_comparisons, state."""
        nan = np.full(len(self.items), np.nan)
        spread = nan if self.covariance is None else np.sqrt(np.diag(self.covariance))
        return pd.DataFrame(
            {
                "strength": self.strength,
                "standard_error": spread,
                "n_comparisons": self.n_comparisons,
                "state": self.states,
            },
            index=pd.Index(self.items, name="item"),
        )
