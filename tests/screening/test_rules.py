"""Each rule alone: what it objects to, what it lets pass, and in which order."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from irtkit.errors import ModelError
from irtkit.estimation import MML, Priors, calibrate
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from irtkit.screening import (
    PRESETS,
    DeadItems,
    InfitRange,
    ItemFit,
    ItemRest,
    LowerAsymptotes,
    LowInformation,
    PairDependence,
    TwinItems,
    WholeModel,
    preset,
)
from irtkit.screening.objections import Observation, Rule
from irtkit.simulate import simulate

QUICK = MML(standard_errors=None)


@pytest.fixture(scope="module")
def sound():
    made = simulate(TwoPL(), n_persons=1000, n_items=12, seed=3)
    return made.responses, calibrate(made.responses, TwoPL(), method=QUICK)


def changed(responses, item, answers):
    codes = responses.dense().copy()
    codes[:, item] = answers
    made = replace(responses, codes=codes)
    return made, calibrate(made, TwoPL(), method=QUICK)


def names(flags):
    return [flag.item for flag in flags]


def test_dead_items_have_too_small_a_minority(sound):
    answers = np.ones(1000, dtype=np.int8)
    answers[7] = 0
    responses, calibration = changed(sound[0], 4, answers)
    assert names(DeadItems().flags(responses, calibration)) == ["i5"]
    assert DeadItems(fewest=1.0).flags(responses, calibration) == []


def test_twins_are_flagged_only_where_chance_does_not_explain_them(sound):
    responses, calibration = changed(sound[0], 9, sound[0].dense()[:, 2])
    flags = TwinItems().flags(responses, calibration)
    assert [(flag.item, flag.partner) for flag in flags] == [("i10", "i3")]
    assert TwinItems().flags(*sound) == []


def test_noise_has_no_item_rest_evidence(sound):
    noise = np.random.default_rng(1).integers(0, 2, 1000).astype(np.int8)
    responses, calibration = changed(sound[0], 6, noise)
    flags = ItemRest().flags(responses, calibration)
    assert names(flags) == ["i7"]
    assert flags[0].p_adjusted >= 0.05
    assert ItemRest().flags(*sound) == []


def test_items_far_from_the_population_tell_little(sound):
    answers = np.zeros(1000, dtype=np.int8)
    answers[::200] = 1  # five persons, whoever they are
    responses, calibration = changed(sound[0], 1, answers)
    assert "i2" in names(LowInformation(0.05).flags(responses, calibration))
    smallest = [flag.statistic for flag in LowInformation(1.0).flags(*sound)]
    assert smallest == sorted(smallest)


def folded(responses, item):
    codes = responses.dense()
    able = np.delete(codes, item, axis=1).sum(axis=1) > 6
    return changed(responses, item, np.where(able, 1 - codes[:, item], codes[:, item]))


def test_misfit_must_be_significant_large_and_tested(sound):
    responses, calibration = folded(sound[0], 5)
    assert names(ItemFit().flags(responses, calibration))[0] == "i6"
    assert ItemFit(fewest_answers=1001).flags(responses, calibration) == []
    largest = max(
        names(ItemFit(smallest_rmsea=cut).flags(responses, calibration)) != [] and cut
        for cut in (0.01, 0.05, 0.5)
    )
    assert largest in (0.01, 0.05)  # no item misfits by .5
    assert len(ItemFit().flags(*sound)) <= 1


def test_infit_far_from_one_is_flagged_the_farthest_first(sound):
    responses, calibration = folded(sound[0], 5)
    flags = InfitRange(0.97, 1.03).flags(responses, calibration)
    away = [abs(np.log(flag.statistic)) for flag in flags]
    assert away == sorted(away, reverse=True)
    assert InfitRange(0.1, 10.0).flags(responses, calibration) == []


@pytest.fixture(scope="module")
def dependent(sound):
    """i4 copies half of i3, and i9 of i8."""
    rng = np.random.default_rng(2)
    codes = sound[0].dense().copy()
    for twin, item in ((3, 2), (8, 7)):
        copied = rng.random(1000) < 0.6
        codes[copied, twin] = codes[copied, item]
    made = replace(sound[0], codes=codes)
    return made, calibrate(made, TwoPL(), method=QUICK)


def test_share_of_pairs_goes_at_once_but_each_item_once(dependent):
    one = PairDependence()
    flags = one.flags(*dependent)
    pairs = {frozenset((flag.item, flag.partner)) for flag in flags}
    assert {frozenset(("i3", "i4")), frozenset(("i8", "i9"))} <= pairs
    assert len(one.step(flags)) == 1
    together = PairDependence(share=1.0).step(flags)
    assert len(together) >= 2
    members = [name for flag in together for name in (flag.item,)]
    assert len(set(members)) == len(members)


def test_tie_by_order_drops_the_later_member(dependent):
    for flag in PairDependence(tie="order").flags(*dependent):
        order = dependent[0].items.index
        shared = [
            f for f in PairDependence().flags(*dependent) if flag.item in (f.item, f.partner)
        ]
        if len(shared) == 1:
            assert order(flag.item) > order(flag.partner)


def test_weak_or_rare_dependence_passes(dependent):
    assert PairDependence(smallest_v=0.9).flags(*dependent) == []
    assert PairDependence(fewest_common=1001).flags(*dependent) == []


def test_guessing_is_noted_by_its_likelihood_ratio():
    made = simulate(TwoPL(), n_persons=4000, n_items=10, seed=5)
    rng = np.random.default_rng(1)
    codes = made.responses.dense().copy()
    codes[:, 3] = rng.random(4000) < 0.3 + 0.7 * expit(2.5 * (made.theta - 0.8))
    guessed = replace(made.responses, codes=codes)
    calibration = calibrate(guessed, TwoPL(), method=QUICK)
    notes = LowerAsymptotes().notes(guessed, calibration, QUICK)
    assert "i4" in names(notes)
    assert all(note.p_adjusted < 0.05 for note in notes)
    clean = simulate(TwoPL(), n_persons=1000, n_items=6, seed=5)
    calibration = calibrate(clean.responses, TwoPL(), method=QUICK)
    note = LowerAsymptotes().notes(clean.responses, calibration, QUICK)[0]
    assert note.item == ""
    assert "No item needs" in note.reason


def test_model_fit_is_noted_or_said_to_be_unavailable(sound):
    note = WholeModel().notes(*sound, QUICK)[0]
    assert note.df == 54  # 78 moments less 24 parameters
    assert "RMSEA" in note.reason
    short = simulate(TwoPL(), n_persons=300, n_items=3, seed=1).responses
    note = WholeModel().notes(short, calibrate(short, TwoPL(), method=QUICK), QUICK)[0]
    assert note.reason.startswith("No M2.")


def test_graded_answers_are_screened_too():
    from irtkit.screening import screen

    made = simulate(Graded(), n_persons=800, n_items=8, seed=6)
    codes = made.responses.dense().copy()
    codes[:, 2] = np.random.default_rng(1).integers(0, 5, 800)
    result = screen(replace(made.responses, codes=codes), Graded(), preset("standard"))
    assert "i3" in set(result.dropped["item"])
    assert len(result.kept) >= 5


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_hold_rules_with_names_and_leave_sound_items_alone(name, sound):
    from irtkit.screening import screen

    rules = preset(name)
    assert all(isinstance(rule, Rule | Observation) for rule in rules)
    assert len({rule.name for rule in rules}) == len(rules)
    result = screen(sound[0], TwoPL(), rules, method=QUICK)
    weak = {"lalor2016", "strict"}  # they drop items of small communality on purpose
    assert len(result.kept) >= (7 if name in weak else 10)


def test_few_language_models_keep_items_with_evidence():
    made = simulate(TwoPL(), n_persons=60, n_items=300, seed=8)
    from irtkit.screening import screen

    method = MML(standard_errors=None, priors=Priors.small_sample())
    result = screen(made.responses, TwoPL(), preset("leaderboard"), method=method)
    assert len(result.kept) > 150
    order = np.random.default_rng(1).permuted(made.responses.dense(), axis=0)
    noise = Responses.from_array(order)
    try:
        kept = screen(noise, TwoPL(), preset("leaderboard"), method=method).kept
    except ModelError:
        kept = []
    assert len(kept) <= 0.05 * 300
