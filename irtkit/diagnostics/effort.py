r"""Who answered without effort? Runs of one label, chance level, rapid answers.

Three signs, each with a guard against accusing the careful:

- *Straight-lining.* A long run of one label is no sign where the key has it too: an expert on a
  scale of one gold label gives the same label all the time. It is claimed where the run is longer
  than any in the key of the items that the person answered, takes a good part of the answers, and
  is improbable for somebody who answers like the crowd. With :math:`\pi_{il}` the
  share of the crowd that gave label l to item i, a run of r or more has at most the probability

  .. math:: \sum_l \sum_s (1 - \pi_{s-1,l}) \prod_{i=s}^{s+r-1} \pi_{il}

  over the places s where it can begin. Persons who prefer one label have longer runs than the
  crowd although they read every item, so the length is asked for beside the probability. Ratings
  have no key; there :math:`\pi_{il}` is the model's at the person's own ability.
- *Chance level.* A binomial test of the number right against labels given without a look at the
  items. It counts only for persons who answered so much that somebody as good as the crowd would
  pass, and where most of the crowd does. On a scale of one gold label nobody can pass: being
  right there cannot be told from preferring the label.
- *Rapid answers*, if response times are known: see `response_times.py`.

Answers are taken in the order of the items: runs mean something only if that is the order in which
they were given. What the answers say under a model is in `person_fit.py`.

References
----------
Curran, P. G. (2016). Methods for the detection of carelessly invalid responses in survey data.
    Journal of Experimental Social Psychology, 66, 4-19.
Johnson, J. A. (2005). Ascertaining the validity of individual protocols from web-based personality
    inventories. Journal of Research in Personality, 39(1), 103-129.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.stats import binom

from irtkit.arrays import BoolArray, FloatArray, IntArray
from irtkit.coding import MISSING
from irtkit.diagnostics.response_times import rapid_answers
from irtkit.errors import ModelError
from irtkit.estimation.calibration import Calibration, matched
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.storage import Codes, category_counts

BLOCK_PERSONS = 8192
EVEN_CHANCE = 0.5  # of codes 0/1, if nothing is known of the labels behind them
PSEUDO_COUNT = 0.5  # persons who gave each label, beside those who did
NEVER = -750.0  # log of a share that rounds to zero

Shares = Callable[[IntArray, IntArray], FloatArray]


@dataclass(frozen=True, slots=True)
class EffortThresholds:
    """From where on an answer pattern is called effortless.

    Parameters
    ----------
    run_share : float
        Straight-lining: the longest run is at least this share of the answers. Curran (2016)
        suggests half; with the key and the crowd as guards a quarter is enough.
    run_p : float
        And at most this probable for somebody who answers like the crowd.
    chance_p : float
        Near chance: the binomial test has a larger p.
    chance_power : float
        Where somebody as good as the crowd passes that test with this probability.
    rapid_time : float
        Rapid: below this share of the item's median time (Wise & Ma 2012: a tenth) ...
    rapid_seconds : float
        ... but never above so many seconds (Wise & Ma 2012: ten).
    rapid_share : float
        Too fast: more than this share of the answers is rapid (Wise & Kong 2005: a tenth).
    """

    run_share: float = 0.25
    run_p: float = 0.001
    chance_p: float = 0.05
    chance_power: float = 0.9
    rapid_time: float = 0.1
    rapid_seconds: float = 10.0
    rapid_share: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            most = np.inf if field.name == "rapid_seconds" else 1.0
            if not 0.0 <= value <= most:
                raise ModelError(f"The threshold {field.name} is {value}; it lies in [0, {most}].")


def low_effort(
    responses: Responses,
    calibration: Calibration | None = None,
    *,
    seconds: pd.DataFrame | pd.Series | npt.ArrayLike | None = None,
    chance: float | None = None,
    thresholds: EffortThresholds | None = None,
) -> pd.DataFrame:
    """Look for persons who answered without effort.

    Parameters
    ----------
    responses : Responses
        Answers in the order in which the items were shown. Raw labels are used where there are
        any, the codes else; weights count as persons.
    calibration : Calibration, optional
        What to expect of ratings (codes of more than two categories): without it their runs are
        not judged, because a person at an end of the scale rightly gives one rating all along.
    seconds : DataFrame, Series or array, optional
        Response times, NaN where unknown, of each answer: a frame indexed by person with a column
        an item, an array (P, I); or of all a person's answers together: a series, an array (P,).
    chance : float, optional
        Share right of somebody who guesses. By default what each person's own labels would get
        right if dealt out blindly, which is one in the number of labels where the key holds all
        of them equally often; a half for codes 0/1 without labels.
    thresholds : EffortThresholds, optional

    Returns
    -------
    DataFrame
        Indexed by person. n_answered; longest_run of one label, run_p (the bound on its
        probability), same_label_share of the label given most, straight_lining; proportion_right,
        chance, chance_p, near_chance; median_seconds, rapid_share, too_fast; low_effort, any of
        the three; reason, a sentence for each. What cannot be known is NaN and no sign: the right
        answer and the meaning of a run without a key, and times that were not given.

    Raises
    ------
    ResponseError
        If the times fit neither persons nor items, or are negative.
    """
    limits = thresholds or EffortThresholds()
    if chance is not None and not 0.0 < chance < 1.0:
        raise ModelError(f"The share right by chance is {chance}; it lies between 0 and 1.")
    runs = _runs(responses, calibration, limits)
    right = _right(responses, chance, limits)
    own, rapid = rapid_answers(
        responses, seconds, share=limits.rapid_time, most=limits.rapid_seconds
    )
    table = pd.DataFrame(
        {"n_answered": responses.n_answered(), **runs, **right},
        index=pd.Index(responses.persons, name="person"),
    ).assign(
        median_seconds=own,
        rapid_share=rapid,
        too_fast=np.nan_to_num(rapid) > limits.rapid_share,
    )
    reasons = _reasons(table)
    return table.assign(low_effort=[bool(reason) for reason in reasons], reason=reasons)


def _runs(
    responses: Responses, calibration: Calibration | None, limits: EffortThresholds
) -> dict[str, FloatArray | BoolArray]:
    """Longest run, its probability, share of the commonest label, straight-lining; each (P,)."""
    chosen = responses.codes if responses.labels is None else responses.labels
    size = responses.n_categories if responses.labels is None else len(responses.label_set)
    expected = _expected(responses, calibration)
    longest, p, share = np.full((3, responses.n_persons), np.nan)
    lined = np.zeros(responses.n_persons, dtype=bool)
    for rows in _blocks(responses.n_persons):
        person, item, label = _cells(chosen[rows])
        n = np.bincount(person, minlength=rows.stop - rows.start)  # (B,)
        some = n > 0
        run = longest_runs(person, label, len(n))
        used = _label_counts(person, label, len(n), size)
        longest[rows][some] = run[some]
        share[rows][some] = used.max(axis=1)[some] / n[some]
        if expected is None:
            continue
        bound = run_probability(person, expected(rows.start + person, item), run)
        in_key = longest_runs(person, _gold(responses)[item], len(n)) if responses.key else 0
        p[rows][some] = bound[some]
        long = (run > in_key) & (run >= limits.run_share * n)
        lined[rows] = some & long & (bound <= limits.run_p)
    return {
        "longest_run": longest,
        "run_p": p,
        "same_label_share": share,
        "straight_lining": lined,
    }


def _expected(responses: Responses, calibration: Calibration | None) -> Shares | None:
    """What an attentive person chooses: (person, item) (n,) -> shares (n, L); None if unknown."""
    if responses.labels is not None:
        if responses.key is None:
            return None
        crowd = _crowd_shares(responses.labels, len(responses.label_set), responses.weights)
        return lambda person, item: crowd[item]
    if calibration is None or responses.n_categories == 2:
        return None
    known, part = matched(responses, calibration)
    theta = score(known, part).theta
    place = {name: number for number, name in enumerate(part.items)}
    column = np.array([place.get(name, -1) for name in responses.items])  # (I,)
    crowd = _crowd_shares(responses.codes, responses.n_categories, responses.weights)

    def of_the_model(person: IntArray, item: IntArray) -> FloatArray:
        shares = crowd[item]
        for family in part.assignment.families:
            own = np.arange(len(part.items))[family.places]
            cells = np.flatnonzero(np.isin(column[item], own))
            parameters = part.parameters[column[item[cells]], : family.n_parameters]
            log_prob = family.model.log_prob(parameters, theta[person[cells]])
            shares[cells] = 0.0
            shares[cells, : family.n_categories] = np.exp(log_prob)
        return shares

    return of_the_model


def _cells(codes: Codes) -> tuple[IntArray, IntArray, IntArray]:
    """Person, item and code of each answer, person by person in the order of the items."""
    if isinstance(codes, sp.csr_array):
        person = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
        return person, codes.indices.astype(np.int64), codes.data.astype(np.int64) - 1
    person, item = np.nonzero(codes != MISSING)
    return person, item, codes[person, item].astype(np.int64)


def longest_runs(person: IntArray, label: IntArray, n_persons: int) -> IntArray:
    """Length of each person's longest run of one label (B,), from answers (n,) in order."""
    longest = np.zeros(n_persons, dtype=np.int64)
    if len(person):
        new = np.append(True, (np.diff(person) != 0) | (np.diff(label) != 0))
        starts = np.flatnonzero(new)
        np.maximum.at(longest, person[starts], np.diff(np.append(starts, len(person))))
    return longest


def run_probability(person: IntArray, shares: FloatArray, run: IntArray) -> FloatArray:
    """Bound the probability that a run is at least so long, if labels are given by `shares`.

    Parameters
    ----------
    person : array of int, shape (n,)
        Of each answer, in order.
    shares : array, shape (n, L)
        Probability of each label for each answer.
    run : array of int, shape (B,)
        Length of each person's run.

    Returns
    -------
    array, shape (B,)
        The sum over the places where such a run can begin, at most 1.
    """
    n_persons, n = len(run), len(person)
    stop = np.cumsum(np.bincount(person, minlength=n_persons))  # (B,)
    place = np.arange(n)
    first = np.append(True, np.diff(person) != 0) if n else np.zeros(0, dtype=bool)
    fits = np.flatnonzero(place + run[person] <= stop[person])
    logs = np.log(shares, out=np.full_like(shares, NEVER), where=shares > 0.0)
    log_upto = np.concatenate([np.zeros((1, shares.shape[1])), np.cumsum(logs, axis=0)])
    within = log_upto[fits + run[person[fits]]] - log_upto[fits]  # (m, L)
    other_before = np.where(first[fits, None], 1.0, 1.0 - shares[fits - 1])
    total = np.bincount(person[fits], (np.exp(within) * other_before).sum(axis=1), n_persons)
    return np.minimum(total, 1.0)


def _right(
    responses: Responses, chance: float | None, limits: EffortThresholds
) -> dict[str, FloatArray | BoolArray]:
    """Proportion right, its test against chance, and who is near chance; each (P,)."""
    n_persons = responses.n_persons
    proportion, level, p = np.full((3, n_persons), np.nan)
    near = np.zeros(n_persons, dtype=bool)
    graded = responses.labels is None or responses.key is not None
    if graded and responses.n_categories == 2:
        n = responses.n_answered()
        some = n > 0
        right, expected = _person_sums(responses)
        own, crowd = np.full((2, n_persons), EVEN_CHANCE if chance is None else chance)
        if chance is None and responses.labels is not None:
            own, crowd = _chance_levels(responses)
        proportion[some] = right[some] / n[some]
        level[some] = own[some]
        p[some] = binom.sf(right[some] - 1, n[some], own[some])
        fewest = binom.isf(limits.chance_p, n[some], crowd[some]) + 1  # right answers that pass
        power = binom.sf(fewest - 1, n[some], np.minimum(expected[some] / n[some], 1.0))
        strong = np.zeros(n_persons, dtype=bool)
        strong[some] = power >= limits.chance_power
        passed = strong & (p <= limits.chance_p)
        mostly = responses.weights @ passed > 0.5 * (responses.weights @ strong)
        near = strong & ~passed & mostly
    return {"proportion_right": proportion, "chance": level, "chance_p": p, "near_chance": near}


def _person_sums(responses: Responses) -> FloatArray:
    """Right answers of each person, and of somebody like the crowd to the same items, (2, P)."""
    counts = category_counts(responses.codes, 2, responses.weights)  # (I, 2)
    with np.errstate(invalid="ignore"):
        easy = counts[:, 1] / counts.sum(axis=1)  # (I,)
    sums = np.zeros((2, responses.n_persons))
    for rows in _blocks(responses.n_persons):
        person, item, code = _cells(responses.codes[rows])
        for total, value in zip(sums, (code, easy[item]), strict=True):
            total[rows] = np.bincount(person, value, rows.stop - rows.start)
    return sums


def _chance_levels(responses: Responses) -> FloatArray:
    """Share right if a person's labels, or the crowd's, were dealt out blindly, (2, P).

    The sum over the labels of the share of the label among the answers times its share in the key
    of the items answered: one in the number of labels where the key holds all equally often.
    """
    assert responses.labels is not None
    size = len(responses.label_set)
    gold, crowd = _gold(responses), _crowd_shares(responses.labels, size, responses.weights)
    levels = np.full((2, responses.n_persons), np.nan)
    for rows in _blocks(responses.n_persons):
        person, item, label = _cells(responses.labels[rows])
        n = np.maximum(np.bincount(person, minlength=rows.stop - rows.start), 1)[:, None]
        own, key = (_label_counts(person, part, len(n), size) / n for part in (label, gold[item]))
        like = np.stack([np.bincount(person, part, len(n)) for part in crowd[item].T], axis=1) / n
        levels[:, rows] = (own * key).sum(axis=1), (like * key).sum(axis=1)
    return levels


def _gold(responses: Responses) -> IntArray:
    """Place of each item's gold label in the label set, shape (I,); -1 if nobody knows it."""
    place = {label: number for number, label in enumerate(responses.label_set)}
    return np.array([place.get(label, -1) for label in responses.key or ()], dtype=np.int64)


def _crowd_shares(labels: Codes, size: int, weights: FloatArray) -> FloatArray:
    """Share of the crowd that gave each label to each item, never zero, shape (I, L)."""
    counts = category_counts(labels, size, weights) + PSEUDO_COUNT
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _label_counts(person: IntArray, label: IntArray, n_persons: int, size: int) -> IntArray:
    """How often each person has each label, shape (B, L); a label of -1 counts nowhere."""
    known = label >= 0
    cell = person[known] * size + label[known]
    return np.bincount(cell, minlength=n_persons * size).reshape(n_persons, size)


def _blocks(n_persons: int) -> list[slice]:
    starts = range(0, n_persons, BLOCK_PERSONS)
    return [slice(start, min(start + BLOCK_PERSONS, n_persons)) for start in starts]


def _reasons(table: pd.DataFrame) -> list[str]:
    """Say in a sentence for each sign why a person is named; empty for the others."""
    reasons = [""] * len(table)
    signs = table["straight_lining"] | table["near_chance"] | table["too_fast"]
    for place in np.flatnonzero(signs):
        row = table.iloc[place]
        found = []
        if row["straight_lining"]:
            found.append(
                f"{row['longest_run']:.0f} of {row['n_answered']} answers in a row are the same "
                f"label (p = {row['run_p']:.2g} for answers like the crowd's)."
            )
        if row["near_chance"]:
            found.append(
                f"{row['proportion_right']:.0%} right is not significantly better than chance, "
                f"{row['chance']:.0%} (p = {row['chance_p']:.2g})."
            )
        if row["too_fast"]:
            found.append(f"{row['rapid_share']:.0%} of the answers came too fast to be read.")
        reasons[place] = " ".join(found)
    return reasons
