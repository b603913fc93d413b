"""`dif`: differential item functioning, items that differ between groups of the same ability.

Checks what can be compared, tests all items by one of four methods (`dif_observed.py`,
`dif_logistic.py`, `dif_model.py`), takes flagged items out of the anchors and tests again, until
the flags stay.

References
----------
Candell, G. L., & Drasgow, F. (1988). An iterative procedure for linking metrics and assessing item
    bias in item response theory. Applied Psychological Measurement, 12(3), 253-260.
Clauser, B., Mazor, K., & Hambleton, R. K. (1993). The effects of purification of matching
    criterion on the identification of DIF using the Mantel-Haenszel procedure. Applied Measurement
    in Education, 6(4), 269-279.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from irtkit.arrays import BoolArray, IntArray
from irtkit.diagnostics.dif_logistic import logistic
from irtkit.diagnostics.dif_matching import Matched, by_ability, by_score
from irtkit.diagnostics.dif_model import base_fit, model_tests
from irtkit.diagnostics.dif_observed import mantel_effect, mantel_haenszel
from irtkit.diagnostics.dif_study import (
    ChiSquare,
    DIFOptions,
    ItemTests,
    Study,
    WordArray,
    gathered,
)
from irtkit.diagnostics.multiplicity import adjust
from irtkit.errors import ModelError, count, listing, nearest, shown
from irtkit.estimation.calibration import CONSTANT, OK, UNANSWERED, check_categories
from irtkit.estimation.joint import Grouped, GroupFit
from irtkit.models import Assignment, Graded, ItemModel, TwoPL
from irtkit.responses import Responses
from irtkit.storage import category_counts

OBSERVED = ("mantel_haenszel", "logistic")
MODELLED = ("likelihood_ratio", "wald")
FEWEST_ANCHORS = 3
MOST_ROUNDS = 10
FEWEST_STRATA = 10  # with 4, groups of the same ability seem to differ in a quarter of items

ANCHOR = "anchor"
GROUP_UNANSWERED = "unanswered in a group"
GROUP_CATEGORIES = "categories not chosen in a group"
NO_OVERLAP = "no common scores"
SEPARATED = "separated"

Round = Callable[[BoolArray, GroupFit | None], tuple[ItemTests, GroupFit | None]]


def dif(
    responses: Responses,
    groups: Sequence[str] | Mapping[str, str],
    *,
    method: str = "mantel_haenszel",
    anchors: Sequence[str] | None = None,
    options: DIFOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Test each item for a difference between persons of the same ability in several groups.

    Parameters
    ----------
    responses : Responses
        Complete or not; missing answers are taken as ignorable.
    groups : sequence of str, or mapping of person to str
        The group of each person; the first that occurs is the reference, the others are focal.
    method : str
        "mantel_haenszel": chi-square over strata of the score, for a difference in the same
        direction at all of them; by Mantel for ordered categories. "logistic": regression of the
        answer on score, group and their product. "likelihood_ratio": item response models with
        the item's parameters the same or different. "wald": from the latter alone.
    anchors : sequence of str, optional
        Items known not to differ, at least three, which are not tested. By default each item is
        tested against all others that are not flagged.
    options : DIFOptions, optional
        Item model, parameters to compare, purification, level, adjustment.
    progress : callable, optional
        For the methods that estimate: called with the number of items done and of all, anew each
        round of purification.

    Returns
    -------
    DataFrame
        Indexed by item.

        - statistic, df, p, p_adjusted: of any difference that the method looks for;
        - effect, effect_size, effect_error, effect_class: the measure, negative where the item is
          harder for the focal group (which of several: the one that differs most), its standard
          error, and its class. `mh_d_dif`: -2.35 times the log odds ratio, in ETS classes A, B,
          C. `standardised_mean_difference`: of ordered categories, classes A, B, C beyond .17 and
          .25 SD of the item. `nagelkerke_r2`: without a sign, negligible, moderate or large
          beyond .035 and .070. `sids`: difference in expected score, averaged over the focal
          group's abilities, without classes;
        - effect_unsigned: `sids` with absolute differences;
        - statistic_uniform, p_uniform, statistic_nonuniform, p_nonuniform: the statistic's parts,
          of a difference in location and in slope, where the method tells them apart;
        - anchor, round_flagged: whether the item was an anchor in the end; if not, in which round
          of purification it left;
        - matching: "summed score" or "ability";
        - state: "ok", or why there is no test and the numbers are NaN, or what is odd about the
          item's parameters (as in `Calibration.table`).

    Raises
    ------
    ModelError
        If there are fewer than two groups, a person has none, or fewer than three anchors are
        left; or as `calibrate_groups`.
    NotConverged
        If the groups cannot be calibrated together.

    Notes
    -----
    Persons are matched on ability; `DIFOptions(matching="score")` matches them on the summed
    score, as is customary. Summed scores match groups of equal ability well, but raise false
    alarms where abilities differ, unless the items fit the Rasch model: at 20 items with unequal
    slopes, groups 1 SD apart and 1,000 persons each, .07 (Mantel-Haenszel) and .12 (logistic) of
    the items at level .05. See `dif_matching.py`.

    For the item parameters of each group: `calibrate_groups(..., free_items=...)`.
    """
    options = options or DIFOptions()
    _check(method, options)
    everybody = Grouped.of(responses, groups)
    states = _states(everybody, method)
    given = _given(responses, anchors, states)
    usable = np.flatnonzero(~np.isin(states, (CONSTANT, UNANSWERED)))
    known = responses.select_items([responses.items[place] for place in usable])
    study = Study(
        grouped=Grouped(known, everybody.names, everybody.codes),
        model=_model(options, known),
        tested=((states == OK) & ~given)[usable],
        options=options,
        progress=progress,
    )
    one_round = partial(_modelled if method in MODELLED else _observed, study, method)
    if method == "mantel_haenszel":
        one_round = partial(one_round, fewest=1 if anchors is None else FEWEST_STRATA)
    if anchors is None:
        tests, rounds = _purified(one_round, study)
        anchor = study.tested & (rounds == 0)
    else:
        tests, _ = one_round(given[usable], None)
        anchor, rounds = given[usable], np.zeros(len(usable), dtype=np.int64)
        states[given] = ANCHOR
    by_score = method in OBSERVED and _by_score(study, anchor)
    every = gathered([(usable, tests)], responses.n_items)
    return _table(every, responses.items, options).assign(
        anchor=np.isin(responses.items, np.array(known.items)[anchor]),
        round_flagged=pd.Series(rounds, known.items, dtype="Int64").replace(0, pd.NA),
        matching="summed score" if by_score else "ability",
        state=np.where(states == OK, every.states, states),
    )


def _check(method: str, options: DIFOptions) -> None:
    if method not in OBSERVED + MODELLED:
        known = listing(OBSERVED + MODELLED)
        raise ModelError(f"Unknown method {shown(method)}; there is {known}.")
    if options.parameters and method not in MODELLED:
        raise ModelError(
            f"Parameters are compared by the methods {listing(MODELLED)}; {shown(method)} knows "
            "none."
        )


def _states(grouped: Grouped, method: str) -> WordArray:
    """Say of each item "ok", or why groups cannot be compared, shape (I,)."""
    responses = grouped.responses
    size = responses.n_categories
    check_categories(
        responses,
        Assignment.of([Graded()] * responses.n_items, np.full(responses.n_items, size)),
    )
    counts = np.stack(
        [
            category_counts(responses.codes[here], size, responses.weights[here])
            for here in (grouped.codes == number for number in range(len(grouped.names)))
        ]
    )  # (G, I, K)
    chosen = counts > 0
    anybody = np.asarray(chosen.any(axis=0))  # (I, K)
    states = np.full(responses.n_items, OK, dtype=object)
    if method in MODELLED:
        states[(chosen != anybody).any(axis=(0, 2))] = GROUP_CATEGORIES
    states[~chosen.any(axis=2).all(axis=0)] = GROUP_UNANSWERED
    states[anybody.sum(axis=1) == 1] = CONSTANT
    states[~anybody.any(axis=1)] = UNANSWERED
    return states


def _given(responses: Responses, anchors: Sequence[str] | None, states: WordArray) -> BoolArray:
    """Which items were named as anchors, shape (I,)."""
    named = set(anchors or ())
    unknown = sorted(named - set(responses.items))
    if unknown:
        hint = nearest(unknown[0], responses.items)
        raise ModelError(f"{count(len(unknown), 'anchor')} unknown: {listing(unknown)}.{hint}")
    given = np.array([item in named for item in responses.items], dtype=bool)
    empty = given & np.isin(states, (CONSTANT, UNANSWERED, GROUP_UNANSWERED))
    if empty.any():
        names = [responses.items[place] for place in np.flatnonzero(empty)]
        raise ModelError(
            f"{count(len(names), 'anchor')} that everybody answered alike, or a group did not "
            f"answer: {listing(names)}. They do not link the groups; leave them out."
        )
    if anchors is not None and given.sum() < FEWEST_ANCHORS:
        raise ModelError(
            f"{count(int(given.sum()), 'anchor')} named; at least {FEWEST_ANCHORS} are needed to "
            "match persons. Name more, or none to test each item against all others."
        )
    if given.all():
        raise ModelError("All items are anchors, so none is left to test.")
    return given


def _model(options: DIFOptions, responses: Responses) -> ItemModel | Mapping[str, ItemModel]:
    """The model of each item to calibrate."""
    if isinstance(options.model, Mapping):
        return {i: options.model[i] for i in responses.items if i in options.model}
    if options.model is not None:
        return options.model
    if responses.n_categories == 2:
        return TwoPL()
    size = responses.n_categories
    counts = category_counts(responses.codes, size, responses.weights)
    two = np.asarray(~(counts[:, 2:] > 0).any(axis=1))
    return {
        item: TwoPL() if plain else Graded()
        for item, plain in zip(responses.items, two.tolist(), strict=True)
    }


def _purified(one_round: Round, study: Study) -> tuple[ItemTests, IntArray]:
    """Test, take the flagged items out of the anchors, test again, until the flags stay.

    An item that is not flagged any more comes back. If the flags go round in a circle, what was
    flagged anywhere on it stays out. Returns the last tests, and in which round each item left.
    """
    options, candidates = study.options, study.tested
    flagged = np.zeros(len(candidates), dtype=bool)
    rounds = np.zeros(len(candidates), dtype=np.int64)
    seen: list[BoolArray] = []
    start, circle = None, False
    _check_anchors(study, flagged)
    for number in range(1, MOST_ROUNDS + 1):
        tests, start = one_round(candidates & ~flagged, start)
        now = tests.both.p < options.level
        if not options.purify or circle or (now == flagged).all():
            break
        seen.append(flagged)
        again = [place for place, old in enumerate(seen) if (old == now).all()]
        if again:
            now, circle = np.any(seen[again[0] :], axis=0), True
        if number < MOST_ROUNDS:
            _check_anchors(study, now)
            rounds = np.where(now, np.where(flagged, rounds, number), 0)
            flagged = now
    return tests, rounds


def _check_anchors(study: Study, flagged: BoolArray) -> None:
    left = int((study.tested & ~flagged).sum())
    if left >= FEWEST_ANCHORS:
        return
    if not flagged.any():
        raise ModelError(
            f"Groups can be compared on {count(left, 'item')} only, answered by every group and "
            f"not by everybody alike; at least {FEWEST_ANCHORS} are needed to match persons."
        )
    items = [
        item
        for item, out in zip(study.grouped.responses.items, flagged.tolist(), strict=True)
        if out
    ]
    raise ModelError(
        f"{count(len(items), 'item')} differ between the groups ({listing(items)}), so that "
        f"{left} would be left as anchors, fewer than {FEWEST_ANCHORS}. Name anchors that are "
        "known not to differ (anchors=...), or compare without purification "
        "(DIFOptions(purify=False)); with scores of groups that differ in ability, match by "
        "ability (DIFOptions(matching='ability'))."
    )


def _modelled(
    study: Study, method: str, anchors: BoolArray, start: GroupFit | None
) -> tuple[ItemTests, GroupFit | None]:
    return model_tests(study, method, study.tested & ~anchors, start)


def _observed(
    study: Study, method: str, anchors: BoolArray, start: GroupFit | None, *, fewest: int = 1
) -> tuple[ItemTests, GroupFit | None]:
    if _by_score(study, anchors):
        portions = by_score(study.grouped, anchors, study.tested)
    else:
        start = base_fit(study, study.tested & ~anchors, start)
        portions = by_ability(study.grouped, start, anchors, study.tested)
    test = _mantel_haenszel if method == "mantel_haenszel" else _logistic
    parts = []
    for found in portions:
        n_strata = found.level.shape[2]
        if start is not None and n_strata < fewest:
            raise ModelError(
                f"{count(int(anchors.sum()), 'anchor')} part the persons into {n_strata} strata "
                "of ability only, too coarse for Mantel-Haenszel. Name more anchors, or choose "
                "the method logistic, likelihood_ratio or wald."
            )
        parts.append((found.places, test(found, study.options.level)))
    return gathered(parts, len(study.tested)), start


def _by_score(study: Study, anchors: BoolArray) -> bool:
    """Whether persons are matched on summed scores: everybody answered all items that count."""
    if study.options.matching == "ability":
        return False
    responses = study.grouped.responses
    needed = np.flatnonzero(study.tested | anchors)
    known = responses.select_items([responses.items[place] for place in needed])
    return bool((known.n_answered() == len(needed)).all())


def _mantel_haenszel(found: Matched, level: float) -> ItemTests:
    both, none = mantel_haenszel(found.counts), ChiSquare.none(len(found.places))
    states = np.where(np.isnan(both.statistic), NO_OVERLAP, OK)
    return ItemTests(both, none, none, mantel_effect(found.counts, both.p, level), states)


def _logistic(found: Matched, level: float) -> ItemTests:
    fits = logistic(found.counts, found.level)
    states = np.where(fits.regular, OK, SEPARATED)
    return ItemTests(fits.both, fits.uniform, fits.nonuniform, fits.effect(level), states)


def _table(tests: ItemTests, items: tuple[str, ...], options: DIFOptions) -> pd.DataFrame:
    p, effect = tests.both.p, tests.effect
    return pd.DataFrame(
        {
            "statistic": tests.both.statistic,
            "df": tests.both.df,
            "p": p,
            "p_adjusted": adjust(p, options.adjustment),
            "effect": effect.names,
            "effect_size": effect.size,
            "effect_error": effect.error,
            "effect_class": effect.classes,
            "effect_unsigned": effect.unsigned,
            "statistic_uniform": tests.uniform.statistic,
            "p_uniform": tests.uniform.p,
            "statistic_nonuniform": tests.nonuniform.statistic,
            "p_nonuniform": tests.nonuniform.p,
        },
        index=pd.Index(items, name="item"),
    )
