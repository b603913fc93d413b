r"""What the largest Q3 of a test is under the calibrated model: a parametric bootstrap.

No fixed cutoff of Q3 is valid: its distribution depends on items, persons and the number of pairs.
`q3_reference` draws answers from the calibration with exactly the same missing pattern, calibrates
them with the same models, scores persons and takes the largest Q3 above its mean (Q3* of
Christensen, Makransky and Horton). Where the numbers of common persons differ, a pair with few of
them would often have the largest Q3; then the maximum is that of

.. math:: \sqrt{n_{ij} - 3}\,(z_{ij} - \bar z), \qquad z_{ij} = \operatorname{artanh} Q_{3,ij},

whose standard error is about 1 for all pairs; the mean is weighted by n - 3. As the reference is
that of the maximum over all pairs, it controls the family-wise error. Q3 itself is computed in
`pair_residuals.py`.

References
----------
Christensen, K. B., Makransky, G., & Horton, M. (2017). Critical values for Yen's Q3:
    identification of local dependence in the Rasch model using residual correlations. Applied
    Psychological Measurement, 41(3), 178-194. https://doi.org/10.1177/0146621616677520
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from irtkit.arrays import FloatArray, frozen
from irtkit.diagnostics.pair_residuals import q3_pairs
from irtkit.errors import ModelError, NotConverged, listing
from irtkit.estimation import MML, calibrate
from irtkit.estimation.calibration import Calibration, matched
from irtkit.latent import Histogram
from irtkit.models import ItemModel
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import replicated
from irtkit.threads import each

MOST_ITEMS = 1000
MOST_TRIES = 20
WORTH_THREADS = 1_000_000  # cells: below, threads mostly wait for the interpreter
LEVELS = (0.05, 0.01)


@dataclass(frozen=True, slots=True, eq=False)
class Q3Reference:
    """The largest Q3 of the answers beside those of answers drawn from the model.

    Attributes
    ----------
    observed : float
        Largest Q3 minus the mean of all; if `standardised`, in standard errors.
    maxima : array, shape (S,)
        The same of each draw.
    p : float
        Share of draws, the answers themselves counted as one, whose maximum is as large.
    critical : tuple of float
        What the maximum exceeds with chance .05 and .01 under the model; infinite if there are
        too few draws to tell.
    standardised : bool
        Whether each Q3 was divided by its standard error, because not all pairs of items have the
        same number of common persons.
    n_failed : int
        Draws that could not be calibrated and were drawn again.
    pairs : DataFrame
        Pairs beyond the critical value at .05, largest first, indexed by (item_1, item_2): q3,
        q3_adjusted, statistic (what was compared), p_max (share of draws, as for `p`).
    """

    observed: float
    maxima: FloatArray
    p: float
    critical: tuple[float, float]
    standardised: bool
    n_failed: int
    pairs: pd.DataFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "maxima", frozen(self.maxima))

    def table(self) -> pd.DataFrame:
        """Return one row: observed, p, critical_05, critical_01, standardised, draws, failed."""
        return pd.DataFrame(
            {
                "observed": [self.observed],
                "p": [self.p],
                "critical_05": [self.critical[0]],
                "critical_01": [self.critical[1]],
                "standardised": [self.standardised],
                "n_draws": [len(self.maxima)],
                "n_failed": [self.n_failed],
            }
        )


def q3_reference(
    responses: Responses,
    calibration: Calibration,
    *,
    n_draws: int = 200,
    seed: int | np.random.Generator = 1,
    method: MML | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Q3Reference:
    """Compare the largest Q3 with its distribution under the model, by drawing and refitting.

    Parameters
    ----------
    responses : Responses
        The answers that were calibrated.
    calibration : Calibration
    n_draws : int
        At least 19 for a test at .05, 99 at .01.
    seed : int or Generator
        The same seed gives the same draws on any number of threads.
    method : MML, optional
        How the answers were calibrated: a calibration does not tell its priors, constraints and
        tolerance, and the draws must be treated alike. By default `MML()` with a normal or
        histogram distribution as the calibration has; standard errors are never computed.
    progress : callable, optional
        Called with the number of draws done and of all draws.

    Returns
    -------
    Q3Reference

    Raises
    ------
    ModelError
        If a weight is not a whole number, no pair of items has enough common persons, there are
        more than 1,000 items, or a draw could not be calibrated in 20 attempts.
    """
    if n_draws < 1:
        raise ModelError(f"{n_draws} draws were asked for; there must be at least one.")
    known, part = matched(responses, calibration)
    if known.n_items > MOST_ITEMS:
        raise ModelError(
            f"{known.n_items:,} items would be calibrated {n_draws} times. Choose at most "
            f"{MOST_ITEMS:,} items (select_items), for example those of the leading pairs of "
            "dependence_search and some others."
        )
    q3, n_both = q3_pairs(known, part, score(known, part).theta)
    if np.isnan(q3).all():
        raise ModelError(
            "No two items were answered by enough of the same persons, so there is no Q3 to "
            "compare. Choose items that were answered together (select_items)."
        )
    unequal = bool((n_both != n_both[0]).any())
    drawer = _Drawer(known, part, _method(part, method), unequal)
    draws = _all_draws(drawer, np.random.default_rng(seed).spawn(n_draws), progress)
    maxima = np.array([maximum for maximum, _ in draws])
    statistic = deviations(q3, n_both, unequal)
    observed = float(np.nanmax(statistic))
    return Q3Reference(
        observed=observed,
        maxima=maxima,
        p=float(share_as_large(np.array([observed]), maxima)[0]),
        critical=(critical_value(maxima, LEVELS[0]), critical_value(maxima, LEVELS[1])),
        standardised=unequal,
        n_failed=sum(failed for _, failed in draws),
        pairs=_beyond(q3, statistic, maxima, known.items),
    )


def _method(calibration: Calibration, method: MML | None) -> MML:
    if method is not None:
        return replace(method, standard_errors=None)
    latent = "histogram" if isinstance(calibration.latent, Histogram) else "normal"
    return MML(latent=latent, standard_errors=None)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawer:
    """Draws answers like these, calibrates them and finds the largest Q3."""

    responses: Responses
    calibration: Calibration
    method: MML
    standardised: bool

    def __call__(self, rng: np.random.Generator) -> tuple[float, int]:
        """Return the largest deviation of Q3 and the number of failed attempts."""
        models: dict[str, ItemModel] = dict(
            zip(self.calibration.items, self.calibration.assignment.models, strict=True)
        )
        for attempt in range(MOST_TRIES):
            drawn = replicated(self.responses, self.calibration, seed=rng)
            try:
                made = calibrate(drawn, models, method=self.method)
            except (ModelError, NotConverged) as error:
                reason = str(error)
                continue
            if made.calibrated.all():
                q3, n_both = q3_pairs(drawn, made, score(drawn, made).theta)
                return float(np.nanmax(deviations(q3, n_both, self.standardised))), attempt
            lost = [i for i, known in zip(made.items, made.calibrated, strict=True) if not known]
            reason = f"items that all answered alike, or with an empty category: {listing(lost)}"
        raise ModelError(
            f"{MOST_TRIES} data sets drawn from the calibration could not be calibrated, the last "
            f"because of {reason}. Leave out very easy, very hard or hardly answered items, or "
            "give `method` the priors of the calibration."
        )


def _all_draws(
    drawer: _Drawer,
    rngs: list[np.random.Generator],
    progress: Callable[[int, int], None] | None,
) -> list[tuple[float, int]]:
    """Draw on all threads if the answers are many; the results are the same."""
    if drawer.responses.n_answered().sum() >= WORTH_THREADS:
        return each(drawer, rngs, progress)
    draws = []
    for rng in rngs:
        draws.append(drawer(rng))
        if progress is not None:
            progress(len(draws), len(rngs))
    return draws


def deviations(q3: FloatArray, n_both: FloatArray, standardise: bool) -> FloatArray:
    """Q3 (n,) minus its mean, in standard errors of Fisher's z if asked; NaN stays."""
    if not standardise:
        return q3 - np.nanmean(q3)
    known = ~np.isnan(q3)
    size = n_both - 3.0
    with np.errstate(divide="ignore"):
        z = np.arctanh(q3)  # infinite for two items that are one
    usable = known & np.isfinite(z)
    centre = np.average(z[usable], weights=size[usable]) if usable.any() else 0.0
    return np.where(known, np.sqrt(np.where(known, size, 0.0)) * (z - centre), np.nan)


def critical_value(maxima: FloatArray, level: float) -> float:
    """The value that one more draw exceeds with a chance of at most `level`."""
    place = math.ceil(round((len(maxima) + 1) * (1.0 - level), 9))
    return float(np.sort(maxima)[place - 1]) if place <= len(maxima) else math.inf


def share_as_large(values: FloatArray, maxima: FloatArray) -> FloatArray:
    """Share of maxima, and one more, that are as large as each value (n,)."""
    below = np.searchsorted(np.sort(maxima), values, side="left")
    return np.asarray((1.0 + len(maxima) - below) / (len(maxima) + 1.0), dtype=np.float64)


def _beyond(
    q3: FloatArray, statistic: FloatArray, maxima: FloatArray, items: tuple[str, ...]
) -> pd.DataFrame:
    """The pairs beyond the critical value."""
    first, second = np.triu_indices(len(items), 1)
    places = np.flatnonzero(statistic > critical_value(maxima, LEVELS[0]))  # never a NaN
    places = places[np.argsort(-statistic[places], kind="stable")]
    codes = [first[places].tolist(), second[places].tolist()]
    index = pd.MultiIndex(levels=[items, items], codes=codes, names=["item_1", "item_2"])
    return pd.DataFrame(
        {
            "q3": q3[places],
            "q3_adjusted": q3[places] - np.nanmean(q3),
            "statistic": statistic[places],
            "p_max": share_as_large(statistic[places], maxima),
        },
        index=index,
    )
