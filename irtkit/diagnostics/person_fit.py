r"""Does the model describe a person? Likelihood (lz, lz*) and mean squares of the answers.

lz standardises the log-likelihood of a person's answers at the estimated ability,

.. math:: l_z = \frac{l - M}{\sqrt V}, \quad l = \sum_i \log P_{i y_i}, \quad
          M = \sum_i \sum_k P_{ik} \log P_{ik}, \quad
          V = \sum_i \mathrm{Var}(\log P_{iy})

Low values are answers that the model calls unlikely. The ability was estimated from the same
answers, so that lz varies less than a standard normal variable and flags too few. lz* corrects
for that where the estimate solves :math:`\sum_i P'_{iy} / P_{iy} + r_0(\theta) = 0`,

.. math:: l_z^* = \frac{l - M + c\, r_0}{\sqrt{V - c^2 I}}, \quad
          c = \sum_i \sum_k P'_{ik} \log P_{ik} \,/\, I

with Fisher information I and :math:`r_0` 0 for maximum likelihood, :math:`J / (2 I)` for weighted
likelihood and the slope of the log-density of the prior for the posterior mode. The mean of a
posterior solves no such equation, so EAPs have no lz*.

References
----------
Drasgow, F., Levine, M. V., & Williams, E. A. (1985). Appropriateness measurement with
    polychotomous item response models and standardized indices. British Journal of Mathematical
    and Statistical Psychology, 38(1), 67-86.
Snijders, T. A. B. (2001). Asymptotic null distribution of person fit statistics with estimated
    person parameter. Psychometrika, 66(3), 331-342.
Sinharay, S. (2016). Asymptotically correct standardization of person-fit statistics beyond
    dichotomous items. Psychometrika, 81(4), 992-1013.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from irtkit import storage
from irtkit.arrays import FloatArray
from irtkit.coding import MISSING
from irtkit.diagnostics.residuals import (
    Answers,
    Cells,
    MeanSquares,
    Rows,
    answered,
    answers,
    mean_squares,
    over_blocks,
    terms,
)
from irtkit.errors import MOST_EXAMPLES, ModelError, count, listing, shown
from irtkit.estimation.calibration import Calibration, matched
from irtkit.latent import Normal
from irtkit.responses import Responses
from irtkit.scoring import Scores, score
from irtkit.scoring.modal import MODAL, person_slopes
from irtkit.simulate import answers as drawn_answers
from irtkit.storage import Codes
from irtkit.threads import one_thread_a_core

CHUNK_CELLS = 2_000_000
NOTHING_LEFT = 1e-9  # of the variance: all items say the same, so no pattern is odder than another
TIE = 1e-9  # the same answers give the same lz up to rounding
SOLVED = 1e-4  # units of theta from the root of the estimating equation


def person_fit(
    responses: Responses,
    calibration: Calibration,
    *,
    scores: Scores | None = None,
    method: str = "eap",
    n_draws: int = 0,
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """Measure how well the model describes each person's answers.

    Parameters
    ----------
    responses : Responses
        Answers to items of the calibration, complete or not.
    calibration : Calibration
    scores : Scores, optional
        Abilities of exactly these persons, estimated from these answers by `method`; estimated
        here if not given.
    method : str
        How abilities are estimated, as in `score`: "eap", "map", "ml", "wle" or "eapsum".
    n_draws : int
        Draw answers to the items that each person saw so often, at the estimated ability,
        estimate the ability anew and compare lz: a reference for short and easy scales, where
        lz and lz* are far from normal.
    seed : int or Generator
        For the draws.

    Returns
    -------
    DataFrame
        Indexed by person: theta, n_answered, lz, lz_star (NaN for EAPs, which solve no
        estimating equation), infit, outfit, infit_z, outfit_z, and p: the share of draws whose
        lz is at most the person's, the person counted among them (NaN without draws). Statistics
        of a person without answers are NaN, and of one with an infinite ability, because there
        the model expects exactly the answers given.

    Raises
    ------
    ModelError
        If the scores are of other persons, or are no estimates by `method`.
    """
    known, part = matched(responses, calibration)
    if n_draws < 0:
        raise ModelError(f"{n_draws} draws were asked for; give 0 for none.")
    if scores is None:
        scores = score(known, part, method=method)
    elif scores.persons != known.persons:
        raise ModelError(
            f"The scores are of {count(len(scores.persons), 'person')} ({listing(scores.persons)})"
            f", the answers of {count(known.n_persons, 'person')} ({listing(known.persons)}). "
            "Score these responses."
        )
    elif method in MODAL:
        _check_solved(known, part, scores.theta, method)
    theta = scores.theta
    sums = likelihood_sums(known, part, theta)
    lz = _ratio(sums[0] - sums[1], sums[2])
    lz_star = np.full_like(lz, np.nan)
    if method in MODAL:
        lz_star = _corrected(sums, *_equation(known, part, theta, method)[1:])
    p = np.full_like(lz, np.nan)
    if n_draws:
        p = _simulated_p(known, part, theta, lz, method, n_draws, np.random.default_rng(seed))
    squares = person_mean_squares(known, part, theta)
    return pd.DataFrame(
        {
            "theta": theta,
            "n_answered": known.n_answered(),
            "lz": lz,
            "lz_star": lz_star,
            "infit": squares.infit,
            "outfit": squares.outfit,
            "infit_z": squares.infit_z,
            "outfit_z": squares.outfit_z,
            "p": p,
        },
        index=pd.Index(known.persons, name="person"),
    )


def one_label_notes(responses: Responses, calibration: Calibration) -> list[str]:
    """Name, with their lz, persons who gave all items one label although the key has several.

    Parameters
    ----------
    responses : Responses
        Labels graded by a key; of other answers nothing is known.
    calibration : Calibration
    """
    if responses.labels is None or len(set(responses.key or ())) < 2:
        return []
    labels = storage.dense(responses.labels).astype(np.int64)  # (P, I)
    seen = labels != MISSING
    highest = labels.max(axis=1)
    same = highest == np.where(seen, labels, highest[:, None]).min(axis=1)
    rows = np.flatnonzero(same & (seen.sum(axis=1) > 1))[:MOST_EXAMPLES]
    if not len(rows):
        return []
    lz = person_fit(responses.select_persons(rows), calibration)["lz"]
    return [
        f"{shown(person)} gave every item the label {shown(responses.label_set[highest[row]])}; "
        f"its person fit lz is {lz[person]:.2f}."
        for row, person in zip(rows, lz.index, strict=True)
    ]


def person_mean_squares(
    responses: Responses, calibration: Calibration, theta: FloatArray
) -> MeanSquares:
    """Mean-square fit of each person's answers at theta (P,)."""

    def sums(part: Answers) -> FloatArray:
        return np.concatenate([part.by_person(terms(part)), part.by_person(answered(part))])

    total = _person_sums(sums, 6, responses, calibration, theta)
    return mean_squares(total[:5], total[5])


def likelihood_sums(
    responses: Responses, calibration: Calibration, theta: FloatArray
) -> FloatArray:
    """Log-likelihood of each person's answers at theta (P,) and what the model expects of it.

    Returns
    -------
    array, shape (4, P)
        Log-likelihood l, its expectation M, its variance V, and its covariance with the slope
        of the log-likelihood at theta; NaN where theta is not finite.
    """
    return _person_sums(_likelihood_terms, 4, responses, calibration, theta)


def _likelihood_terms(part: Answers) -> FloatArray:
    log_prob, first, _ = part.family.model.theta_derivatives(part.parameters, part.theta)
    chance = np.exp(log_prob)  # (..., K)
    place = np.where(part.codes == MISSING, 0, part.codes).astype(np.int64)[..., None]
    mean = np.einsum("...k,...k->...", chance, log_prob)
    from_mean = log_prob - mean[..., None]  # (..., K)
    values = np.stack(
        [
            np.take_along_axis(log_prob, place, axis=-1)[..., 0],
            mean,
            np.einsum("...k,...k,...k->...", chance, from_mean, from_mean),
            np.einsum("...k,...k,...k->...", chance, from_mean, first),
        ]
    )
    return part.by_person(values if part.seen is None else values * part.seen)


def _person_sums(
    sums: Callable[[Answers], FloatArray],
    size: int,
    responses: Responses,
    calibration: Calibration,
    theta: FloatArray,
) -> FloatArray:
    """Add up `sums` over the families, (size, P); NaN where theta is not finite."""
    total = np.full((size, responses.n_persons), np.nan)
    assignment, parameters = calibration.assignment, calibration.parameters

    def fill(share: Sequence[Rows]) -> None:
        for rows in share:
            parts = answers(responses.codes[rows], assignment, parameters, theta[rows])
            total[:, rows] = sum(sums(part) for part in parts)

    with one_thread_a_core():
        over_blocks(fill, responses, theta)
    return total


def _ratio(gap: FloatArray, variance: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0.0, gap / np.sqrt(variance), np.nan)


def _corrected(sums: FloatArray, pull: FloatArray, information: FloatArray) -> FloatArray:
    """lz* from the sums of `likelihood_sums`, r_0 and the information, each (P,)."""
    value, mean, variance, covariance = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = covariance / information
    left = variance - slope * covariance
    left[left <= NOTHING_LEFT * variance] = np.nan
    return _ratio(value - mean + slope * pull, left)


def _equation(
    responses: Responses, calibration: Calibration, theta: FloatArray, method: str
) -> FloatArray:
    """The terms l' and r_0 of the equation that theta (P,) solves, and the information, (3, P)."""
    found = np.full((3, responses.n_persons), np.nan)

    def fill(share: Sequence[Rows]) -> None:
        for rows in share:
            here = theta[rows]
            codes: Any = responses.codes[rows]
            slopes = person_slopes(codes, calibration, here, method == "wle")
            pull = np.zeros_like(here)
            if method == "map":
                pull = _prior_slope(calibration, here)
            elif method == "wle":
                with np.errstate(divide="ignore", invalid="ignore"):
                    pull = 0.5 * slopes.warm / slopes.expected
            found[:, rows] = np.stack([slopes.first, pull, slopes.expected])

    with one_thread_a_core():
        over_blocks(fill, responses, theta)
    return found


def _prior_slope(calibration: Calibration, theta: FloatArray) -> FloatArray:
    latent = calibration.latent
    if not isinstance(latent, Normal):
        raise ModelError("A histogram has no smooth density for MAP. Use 'eap', 'ml' or 'wle'.")
    return (latent.mean - theta) / latent.standard_deviation**2


def _check_solved(
    responses: Responses, calibration: Calibration, theta: FloatArray, method: str
) -> None:
    """Refuse abilities that do not solve the equation of their method."""
    slope, pull, information = _equation(responses, calibration, theta, method)
    wrong = np.flatnonzero(np.abs(slope + pull) > SOLVED * (1.0 + information))
    if len(wrong):
        who = listing([responses.persons[place] for place in wrong])
        raise ModelError(
            f"The abilities of {count(len(wrong), 'person')} ({who}) are no estimates by "
            f"'{method}' from these answers, so lz* would be wrong. Name the method that made "
            "the scores, or leave them out."
        )


def _simulated_p(
    responses: Responses,
    calibration: Calibration,
    theta: FloatArray,
    lz: FloatArray,
    method: str,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Share of draws at theta (P,), scored anew, whose lz is at most the observed, (P,).

    A draw whose ability is infinite is as likely as answers can be and counts as above.
    """
    ready = np.flatnonzero(np.isfinite(lz))
    n_rows, below = len(ready) * n_draws, np.zeros(len(lz))
    size = _chunk_persons(responses.codes)
    for start in range(0, n_rows, size):
        person = ready[np.arange(start, min(start + size, n_rows)) // n_draws]  # (n,)
        copies = Responses(
            codes=redrawn(responses.codes[person], calibration, theta[person], rng),
            persons=tuple(map(str, range(len(person)))),
            items=responses.items,
            categories=responses.categories,
        )
        found = score(copies, calibration, method=method).theta
        value, mean, variance, _ = likelihood_sums(copies, calibration, found)
        low = _ratio(value - mean, variance) <= lz[person] + TIE
        below += np.bincount(person, low, len(lz))
    return np.where(np.isfinite(lz), (1.0 + below) / (1.0 + n_draws), np.nan)


def _chunk_persons(codes: Codes) -> int:
    """Rows to draw at a time."""
    cells = codes.nnz / codes.shape[0] if isinstance(codes, sp.csr_array) else codes.shape[1]
    return max(1, round(CHUNK_CELLS / max(1.0, cells)))


def redrawn(
    codes: Codes, calibration: Calibration, theta: FloatArray, rng: np.random.Generator
) -> Codes:
    """Draw new codes where there are codes (B, I), of persons with abilities theta (B,)."""
    assignment, parameters = calibration.assignment, calibration.parameters
    if not isinstance(codes, sp.csr_array):
        drawn = drawn_answers(assignment, parameters, theta, rng)
        drawn[codes == MISSING] = MISSING
        return drawn
    data = np.empty_like(codes.data)
    for part in answers(codes, assignment, parameters, theta):
        assert isinstance(part, Cells)
        upto = np.cumsum(np.exp(part.family.model.log_prob(part.parameters, part.theta)), axis=-1)
        chance = rng.random((len(part.codes), 1))
        data[part.place] = 1 + (chance > upto[:, :-1]).sum(axis=-1)
    return sp.csr_array((data, codes.indices, codes.indptr), shape=codes.shape)
