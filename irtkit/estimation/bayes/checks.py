"""Whether a posterior may be used: do the chains agree, are there draws enough, did any fail.

References
----------
Vehtari, A., Gelman, A., Simpson, D., Carpenter, B., & Buerkner, P.-C. (2021). Rank-normalization,
    folding, and localization: An improved R-hat for assessing convergence of MCMC. Bayesian
    Analysis, 16(2), 667-718. https://doi.org/10.1214/20-BA1221
Betancourt, M. (2016). Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo.
    arXiv:1604.00695.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irtkit.arrays import FloatArray
from irtkit.errors import count
from irtkit.estimation.bayes.extras import extra

LARGEST_R_HAT = 1.01
FEWEST_EFFECTIVE = 400.0
SMALLEST_E_BFMI = 0.3
USABLE, NOT_USABLE, APPROXIMATE = "usable", "not usable", "approximate"


@dataclass(frozen=True, slots=True)
class Checks:
    """What the draws say about themselves.

    Attributes
    ----------
    verdict : str
        "usable", "not usable", or "approximate" for draws that no sampler made.
    reasons : tuple of str
        Why not, in sentences.
    r_hat : float
        Largest rank-normalised split R-hat; 1 is agreement.
    ess_bulk, ess_tail : float
        Smallest effective number of draws, for means and for 5% tails.
    divergences : int
        Draws at which the sampler lost its way.
    e_bfmi : float
        Smallest estimated Bayesian fraction of missing information of a chain.
    """

    verdict: str
    reasons: tuple[str, ...]
    r_hat: float
    ess_bulk: float
    ess_tail: float
    divergences: int
    e_bfmi: float

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against the draws."""
        return self.verdict == USABLE


def diagnostics(draws: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """R-hat, bulk and tail effective sample size of draws (C, S, n), shape (n,) each.

    NaN for what does not vary.
    """
    arviz = extra("arviz")
    varies = np.isfinite(draws).all(axis=(0, 1)) & (np.ptp(draws, axis=(0, 1)) > 0)  # (n,)
    found = np.full((3, draws.shape[2]), np.nan)
    if varies.any():
        values = arviz.convert_to_dataset({"values": draws[..., varies]})
        for place, result in enumerate(
            (
                arviz.rhat(values, method="rank"),
                arviz.ess(values, method="bulk"),
                arviz.ess(values, method="tail"),
            )
        ):
            found[place, varies] = np.asarray(result["values"].values)
    return found[0], found[1], found[2]


def e_bfmi(energy: FloatArray) -> float:
    """Smallest over the chains of the energy's mean squared step over its variance; (C, S)."""
    steps = np.square(np.diff(energy, axis=1)).mean(axis=1)
    return float((steps / energy.var(axis=1)).min())


def checked(
    draws: FloatArray, statistics: dict[str, FloatArray], sums: FloatArray, *, approximate: bool
) -> Checks:
    """Check draws (C, S, n).

    Parameters
    ----------
    draws : array
        Everything that was sampled.
    statistics : dict
        "diverging" and "energy", each (C, S).
    sums : array, shape (C, S)
        Sum of the slopes of each draw: its sign is theta's.
    approximate : bool
        Whether the draws come from an approximation.
    """
    if approximate:
        reason = "The draws come from an approximation, which has no checks of its own."
        return Checks(APPROXIMATE, (reason,), np.nan, np.nan, np.nan, 0, np.nan)
    r_hat, bulk, tail = diagnostics(draws)
    worst = float(np.nanmax(r_hat)) if np.isfinite(r_hat).any() else np.nan
    fewest_bulk, fewest_tail = float(np.nanmin(bulk)), float(np.nanmin(tail))
    lost = int(statistics["diverging"].sum())
    missing = e_bfmi(statistics["energy"])
    reasons = []
    if draws.shape[0] < 2:
        reasons.append("A single chain cannot tell whether it has converged; run four.")
    if not worst <= LARGEST_R_HAT:
        reasons.append(
            f"The chains disagree: R-hat is up to {worst:.3f} (at most {LARGEST_R_HAT}). Tune "
            "longer, or look at the parameters with the largest R-hat in table()."
        )
    if not min(fewest_bulk, fewest_tail) >= FEWEST_EFFECTIVE:
        reasons.append(
            f"Too few effective draws: {fewest_bulk:.0f} for means and {fewest_tail:.0f} for "
            f"tails at the least (at least {FEWEST_EFFECTIVE:.0f}). Draw more."
        )
    if lost:
        reasons.append(
            f"{count(lost, 'draw')} diverged: parts of the posterior may not have been reached. "
            "Raise target_accept, or use tighter priors."
        )
    if not missing >= SMALLEST_E_BFMI:
        reasons.append(
            f"E-BFMI is {missing:.2f} (at least {SMALLEST_E_BFMI}): the sampler moves between "
            "levels of the density too slowly. Use tighter priors."
        )
    signs = np.sign(sums)
    if (signs != signs[0, 0]).any():
        reasons.append(
            "The sign of theta changes between draws: a test read backwards is as likely. Use "
            "positive slopes, or drop reverse-keyed items."
        )
    verdict = NOT_USABLE if reasons else USABLE
    return Checks(verdict, tuple(reasons), worst, fewest_bulk, fewest_tail, lost, missing)
