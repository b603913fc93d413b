r"""Differential item functioning by logistic regression on the matching score.

Three nested models of the answers: matching score x; x and group; x, group and their product.

.. math:: \mathrm{logit} P(y \ge k) = c_k + \beta x + \gamma_g + \delta_g x

Ordered categories have proportional odds: the graded model with a known predictor. All items are
fitted at once by Fisher scoring, over cells of group and score rather than persons, which is the
same likelihood.

References
----------
Swaminathan, H., & Rogers, H. J. (1990). Detecting differential item functioning using logistic
    regression procedures. Journal of Educational Measurement, 27(4), 361-370.
Nagelkerke, N. J. D. (1991). A note on a general definition of the coefficient of determination.
    Biometrika, 78(3), 691-692.
Zumbo, B. D. (1999). A handbook on the theory and methods of differential item functioning.
    Ottawa: Directorate of Human Resources Research and Evaluation.
Jodoin, M. G., & Gierl, M. J. (2001). Evaluating type I error and power rates using an effect size
    measure with the logistic regression procedure for DIF detection. Applied Measurement in
    Education, 14(4), 329-349.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from irtkit.arrays import BoolArray, FloatArray
from irtkit.diagnostics.dif_study import ChiSquare, Effect
from irtkit.models import Graded

MODERATE_R2, LARGE_R2 = 0.035, 0.070
MOST_STEPS = 50
MOST_HALVINGS = 20
NO_GAIN = 1e-10  # nats, relative
STEEPEST = 15.0  # logits per standard deviation of the score: no finite maximum
SINGULAR = 1e-9  # smallest eigenvalue of the information in units of its diagonal


@dataclass(frozen=True, slots=True, eq=False)
class Regressions:
    """Log-likelihoods of the nested models of each item, and which have a maximum.

    Attributes
    ----------
    log_likelihood : array, shape (n, 4)
        Without predictors, with the score, the group, and their product.
    persons : array, shape (n,)
    n_groups : int
    regular : array of bool, shape (n,)
        False where groups or scores separate the answers, or a group has one score only.
    """

    log_likelihood: FloatArray
    persons: FloatArray
    n_groups: int
    regular: BoolArray

    @property
    def both(self) -> ChiSquare:
        """Of group and product."""
        return self._between(1, 3)

    @property
    def uniform(self) -> ChiSquare:
        """Of the group alone."""
        return self._between(1, 2)

    @property
    def nonuniform(self) -> ChiSquare:
        """Of the product beyond the group."""
        return self._between(2, 3)

    def effect(self, level: float) -> Effect:
        """Nagelkerke's R2 of the largest model less that of the score alone, with its class."""
        r2 = self._nagelkerke(3) - self._nagelkerke(1)
        known = np.where(self.regular, r2, np.nan)
        words = np.where(r2 < LARGE_R2, "moderate", "large")
        classes = np.where((r2 < MODERATE_R2) | ~(self.both.p < level), "negligible", words)
        none = np.full(len(r2), np.nan)
        names = np.full(len(r2), "nagelkerke_r2")
        return Effect(names, known, none, none, np.where(self.regular, classes, ""))

    def _between(self, small: int, large: int) -> ChiSquare:
        gain = 2.0 * (self.log_likelihood[:, large] - self.log_likelihood[:, small])
        df = np.where(self.regular, (large - small) * (self.n_groups - 1.0), np.nan)
        return ChiSquare(np.where(self.regular, np.maximum(gain, 0.0), np.nan), df)

    def _nagelkerke(self, model: int) -> FloatArray:
        null = self.log_likelihood[:, 0]
        gain = self.log_likelihood[:, model] - null
        return np.asarray(
            np.expm1(-2.0 * gain / self.persons) / np.expm1(2.0 * null / self.persons)
        )


def logistic(counts: FloatArray, level: FloatArray) -> Regressions:
    """Fit the nested regressions of each item.

    Parameters
    ----------
    counts : array, shape (n, G, S, K)
    level : array, shape (n, G, S)
        The matching score of each cell.
    """
    n_items, n_groups, n_levels, n_categories = counts.shape
    cells = counts.reshape(n_items, -1, n_categories)  # (n, C, K)
    score = level.reshape(n_items, -1)
    persons = cells.sum(axis=2)  # (n, C)
    group = np.repeat(np.eye(n_groups)[:, 1:], n_levels, axis=0)  # (C, G - 1)
    score = _standardised(score, persons)[:, :, None]
    terms = [score, np.broadcast_to(group, (n_items, *group.shape)), score * group]
    found = np.empty((n_items, 4))
    regular = np.ones(n_items, dtype=bool)
    used = np.asarray((cells > 0).any(axis=1))  # (n, K)
    for size in np.unique(used.sum(axis=1)):
        here = np.flatnonzero(used.sum(axis=1) == size)
        kept = np.argsort(~used[here], axis=1, kind="stable")[:, None, :size]
        answers = np.take_along_axis(cells[here], kept, axis=2)  # categories that were chosen
        found[here], regular[here] = _nested(answers, [term[here] for term in terms])
    return Regressions(found, persons.sum(axis=1), n_groups, regular)


def _standardised(score: FloatArray, persons: FloatArray) -> FloatArray:
    """Score with mean 0 and SD 1 over an item's persons, shape (n, C)."""
    share = persons / persons.sum(axis=1, keepdims=True)
    centred = score - (share * score).sum(axis=1, keepdims=True)
    sd = np.sqrt((share * centred**2).sum(axis=1, keepdims=True))
    return np.asarray(centred / np.where(sd > 0, sd, 1.0))


def _nested(answers: FloatArray, terms: list[FloatArray]) -> tuple[FloatArray, BoolArray]:
    """Log-likelihoods (n, 4) with no, one, two, three terms; whether all have a maximum."""
    chosen = answers.sum(axis=1)  # (n, K)
    share = chosen / chosen.sum(axis=1, keepdims=True)
    cuts = Graded().start(np.zeros(len(share)), share)[:, 1:]  # (n, K - 1)
    point = cuts
    found = [xlogy(chosen, share).sum(axis=1)]
    for n_terms in range(1, 4):
        design = np.concatenate(terms[:n_terms], axis=2)  # (n, C, D)
        more = np.zeros((len(point), terms[n_terms - 1].shape[2]))
        point = np.concatenate([point, more], axis=1)
        point, log_likelihood = _maximised(answers, design, point)
        found.append(log_likelihood)
    information = _derivatives(answers, design, point)[1]
    diagonal = np.sqrt(np.maximum(np.einsum("ndd->nd", information), 1e-300))
    scaled = information / (diagonal[:, :, None] * diagonal[:, None, :])
    smallest = np.linalg.eigvalsh(scaled)[:, 0]
    steepest = np.abs(point[:, cuts.shape[1] :]).max(axis=1)
    return np.stack(found, axis=1), (smallest > SINGULAR) & (steepest < STEEPEST)


def _maximised(
    answers: FloatArray, design: FloatArray, point: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Climb from `point` (n, D) by Fisher scoring; the point and its log-likelihood."""
    now = _log_likelihood(answers, design, point)
    for _ in range(MOST_STEPS):
        gradient, information = _derivatives(answers, design, point)
        step = np.einsum("nde,ne->nd", np.linalg.pinv(information, hermitian=True), gradient)
        before, length = now, np.ones(len(point))
        for _ in range(MOST_HALVINGS):
            trial = point + length[:, None] * step
            there = _log_likelihood(answers, design, trial)
            worse = ~(there >= before)
            if not worse.any():
                break
            length = np.where(worse, 0.5 * length, length)
        point = np.where(worse[:, None], point, trial)
        now = np.where(worse, before, there)
        if (now - before <= NO_GAIN * np.abs(before)).all():
            break
    return point, now


def _parameters(point: FloatArray, n_cuts: int) -> FloatArray:
    """Parameters of the graded model with slope 1 for the predictor, shape (n, 1, K)."""
    cuts = point[:, :n_cuts]
    return np.concatenate([np.ones((len(cuts), 1)), cuts], axis=1)[:, None]


def _log_likelihood(answers: FloatArray, design: FloatArray, point: FloatArray) -> FloatArray:
    """Log-likelihood of each item, minus infinity where the cuts do not fall; shape (n,)."""
    n_cuts = answers.shape[2] - 1
    parameters = _parameters(point, n_cuts)
    predictor = np.einsum("ncd,nd->nc", design, point[:, n_cuts:])
    log_prob = Graded().log_prob(parameters, predictor)  # (n, C, K)
    with np.errstate(invalid="ignore"):
        value = np.where(answers > 0, answers * log_prob, 0.0).sum(axis=(1, 2))
    return np.where(Graded().feasible(parameters)[:, 0], value, -np.inf)


def _derivatives(
    answers: FloatArray, design: FloatArray, point: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradient (n, D) and expected information (n, D, D) of each item's log-likelihood."""
    n_cuts = answers.shape[2] - 1
    parameters = _parameters(point, n_cuts)
    predictor = np.einsum("ncd,nd->nc", design, point[:, n_cuts:])
    by_cut = Graded().gradient(parameters, predictor)[..., 1:]  # (n, C, K, K - 1)
    chance = np.exp(Graded().log_prob(parameters, predictor))  # (n, C, K)
    by_predictor = by_cut.sum(axis=3, keepdims=True) * design[:, :, None]  # (n, C, K, D)
    slopes = np.concatenate([by_cut, by_predictor], axis=3)
    gradient = np.einsum("nck,nckd->nd", answers, slopes)
    expected = answers.sum(axis=2, keepdims=True) * chance
    weighted = slopes * expected[..., None]
    n, d = len(slopes), slopes.shape[3]
    return gradient, weighted.reshape(n, -1, d).swapaxes(1, 2) @ slopes.reshape(n, -1, d)
