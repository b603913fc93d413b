"""Screening: the loop, the analyst, the log; and the crowd data of 2016."""

from dataclasses import replace

import numpy as np
import pytest

from irtkit.errors import ModelError, NothingKept, ResponseError
from irtkit.estimation import MML, calibrate
from irtkit.models import TwoPL
from irtkit.responses import Responses
from irtkit.scale import build_scale
from irtkit.scoring import score
from irtkit.screening import (
    Communality,
    Decision,
    ItemFit,
    ItemStates,
    PairDependence,
    communality,
    preset,
    screen,
)
from irtkit.screening.objections import rules_among
from irtkit.simulate import simulate

RULES = preset("lalor2016")
ASKED = rules_among(RULES)


@pytest.fixture(scope="module")
def planted():
    """1,200 persons x 14 items; i3 reverse-keyed, i7 noise, i10 half copied from i4."""
    made = simulate(TwoPL(), n_persons=1200, n_items=14, seed=21, missing=0.05)
    rng = np.random.default_rng(4)
    codes = made.responses.dense().copy()
    codes[:, 2] = np.where(codes[:, 2] < 0, -1, 1 - codes[:, 2])
    codes[:, 6] = rng.integers(0, 2, len(codes))
    copied = rng.random(len(codes)) < 0.5
    codes[copied, 9] = codes[copied, 3]
    return replace(made.responses, codes=codes)


def test_planted_faults_are_dropped_each_by_its_rule(planted):
    result = screen(planted, TwoPL(), RULES)
    fate = dict(zip(result.dropped["item"], result.dropped["rule"], strict=True))
    assert fate.pop("i3") == "item_rest"
    assert fate.pop("i7") == "item_rest"
    reasons = result.dropped.set_index("item")["reason"]
    assert "key may be wrong" in reasons["i3"]
    assert "no evidence" in reasons["i7"]
    pair = {fate.pop("i4", None), fate.pop("i10", None)}  # one goes, for its fit or its partner
    assert pair in ({None, "ld_x2"}, {None, "s_x2"})
    flags = result.log[(result.log["step"] == 1) & (result.log["rule"] == "ld_x2")]
    assert {"i4", "i10"} & set(flags["item"])
    assert set(fate.values()) <= {"communality"}  # weak by the luck of the draw
    assert result.kept == [item for item in planted.items if item in result.kept]


def test_reversed_key_is_seen_before_communality_would_keep_it(planted):
    first = calibrate(planted, TwoPL())
    assert communality(first)["i3"] > 0.15
    assert ItemStates().flags(planted, first)[0].item == "i3"


def test_log_tells_flags_drops_and_what_was_kept(planted):
    result = screen(planted, TwoPL(), RULES)
    log = result.log
    columns = ["step", "item", "decision", "rule", "statistic", "df", "p", "p_adjusted", "reason"]
    state = ["items_before", "items_after", "reliability_before", "reliability_after"]
    assert list(log.columns) == columns + state
    assert log["step"].is_monotonic_increasing
    assert set(log[log["step"] == 1]["decision"]) == {"flag"}
    assert set(log[log["rule"] == "end"]["item"]) == set(result.kept)
    assert set(log[log["decision"] == "drop"]["item"]) == set(planted.items) - set(result.kept)
    assert log["reason"].str.endswith((".", ")")).all()


def test_drops_tell_the_state_before_and_after(planted):
    drops = screen(planted, TwoPL(), ASKED).dropped
    steps = drops.groupby("step")
    assert (steps["items_after"].first() == steps["items_before"].first() - steps.size()).all()
    assert drops["items_before"].iloc[0] == planted.n_items
    after = steps["reliability_after"].first().to_numpy()
    before = steps["reliability_before"].first().to_numpy()
    assert before[1:] == pytest.approx(after[:-1])  # nothing happens between two drops
    assert ((before > 0) & (before < 1)).all()


def test_observations_are_noted_before_and_after_and_drop_nothing(planted):
    result = screen(planted, TwoPL(), RULES)
    notes = result.log[result.log["decision"] == "note"]
    assert {"eigenvalues", "lower_asymptote", "m2"} <= set(notes["rule"])
    assert set(notes["step"]) == {0, result.log["step"].max()}
    assert result.kept == screen(planted, TwoPL(), ASKED).kept


def test_nothing_is_flagged_at_the_end(planted):
    result = screen(planted, TwoPL(), RULES)
    for rule in ASKED:
        assert rule.flags(result.responses, result.calibration) == []


def test_screening_twice_gives_the_same_log(planted):
    first, second = screen(planted, TwoPL(), RULES), screen(planted, TwoPL(), RULES)
    assert first.log.equals(second.log)


def test_analysts_decisions_win_and_are_logged(planted):
    decisions = [
        Decision("i7", "keep", "it stands in the published test"),
        Decision("i1", "drop", "its picture was missing"),
    ]
    result = screen(planted, TwoPL(), RULES, decisions=decisions)
    assert "i7" in result.kept
    assert "i1" not in result.kept
    log = result.log
    spared = log[(log["item"] == "i7") & (log["decision"] == "keep")]
    assert "published test" in spared["reason"].iloc[0]
    dropped = log[log["item"] == "i1"]
    assert dropped["rule"].tolist()[-1] == "analyst"
    assert "picture was missing" in dropped["reason"].iloc[-1]


def test_partner_goes_where_the_analyst_keeps_a_member_of_a_pair(planted):
    plain = screen(planted, TwoPL(), (PairDependence(),))
    gone = next(item for item in plain.dropped["item"] if item in ("i4", "i10"))
    other = {"i4": "i10", "i10": "i4"}[gone]
    result = screen(planted, TwoPL(), (PairDependence(),), decisions=[Decision(gone, "keep", "x")])
    assert gone in result.kept
    assert other not in result.kept
    both = [Decision(gone, "keep", "x"), Decision(other, "keep", "y")]
    assert {gone, other} <= set(screen(planted, TwoPL(), (PairDependence(),), decisions=both).kept)


def test_decisions_that_make_no_sense_are_refused(planted):
    with pytest.raises(ResponseError, match=r"'i99'.*not answered"):
        screen(planted, TwoPL(), RULES, decisions=[Decision("i99", "drop", "x")])
    twice = [Decision("i1", "drop", "x"), Decision("i1", "keep", "y")]
    with pytest.raises(ResponseError, match="two decisions"):
        screen(planted, TwoPL(), RULES, decisions=twice)
    with pytest.raises(ResponseError, match="no reason"):
        Decision("i1", "drop", " ")
    with pytest.raises(ResponseError, match="keep or drop"):
        Decision("i1", "maybe", "x")


def test_screening_that_leaves_too_few_items_says_so():
    noise = np.random.default_rng(1).integers(0, 2, (400, 6))
    with pytest.raises(NothingKept, match=r"Screening left \d items?\.") as refusal:
        screen(Responses.from_array(noise), TwoPL(), (ItemStates(), Communality(0.15)))
    assert (refusal.value.log["decision"] == "drop").any()


def test_duplicate_item_goes_and_its_twin_stays():
    made = simulate(TwoPL(), n_persons=500, n_items=8, seed=2)
    codes = made.responses.dense().copy()
    codes[:, 5] = codes[:, 1]
    result = screen(replace(made.responses, codes=codes), TwoPL(), (ItemStates(),))
    assert result.dropped["item"].tolist() == ["i6"]
    assert "i2" in result.kept


def test_clean_answers_lose_almost_nothing():
    lost = 0
    for seed in range(5):
        made = simulate(TwoPL(), n_persons=800, n_items=12, seed=100 + seed)
        lost += len(screen(made.responses, TwoPL(), (ItemFit(), PairDependence())).dropped)
    assert lost <= 2


def test_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match="Did you mean 'lalor2016'"):
        preset("lalor2106")


@pytest.fixture(scope="module")
def crowd(shared_data):
    from irtkit.coding import Coding
    from irtkit.io import read_responses

    folder = shared_data / "lalor2016_snli_amt"
    coding = Coding(
        label_map={"e": "entailment", "n": "neutral", "c": "contradiction"}, missing_as_wrong=True
    )

    def group(number, gold):
        answers = read_responses(
            folder / f"irt_file_{number}.csv", key=folder / f"group_{number}.txt", coding=coding
        )
        return answers.select_items(answers.items_with_gold(gold))

    return group


def test_crowd_group_5_entailment_gives_the_published_scale(crowd):
    answers = crowd(5, "entailment")
    assert (answers.n_persons, answers.n_items) == (983, 30)
    result = screen(answers, TwoPL(), RULES)
    assert result.first.log_likelihood == pytest.approx(-6074.61, abs=0.01)
    flags = result.log[result.log["decision"] == "flag"]
    assert {answers.items.index(item) + 1 for item in flags["item"]} == {1, 22}
    assert set(flags["rule"]) == {"communality"}
    assert len(result.kept) == 28
    scale = build_scale(result, name="5E")
    scores = score(result.responses, result.calibration)
    from irtkit.norms import percentiles

    placed = percentiles(scores, result.calibration.latent, scale.norms)
    right = result.responses.dense().sum(axis=1)
    best = int(np.argmax(right))
    assert scores.theta[best] == pytest.approx(0.67, abs=0.005)
    assert placed.percentile[best] == pytest.approx(74.7, abs=0.05)
    assert placed.percentile_empirical[best] == pytest.approx(60.6, abs=0.05)
    assert placed.percentile_midrank[best] == pytest.approx(80.3, abs=0.05)
    assert placed.percentile_low[best] == pytest.approx(24, abs=0.5)
    assert placed.percentile_high[best] == pytest.approx(99, abs=0.5)
    almost = right == 27
    assert almost.sum() == 285
    assert placed.percentile_empirical[almost].mean() == pytest.approx(45, abs=0.5)


def test_crowd_group_4_neutral_flags_two_pairs_and_passes_without_items_17_and_23(crowd):
    answers = crowd(4, "neutral")
    assert (answers.n_persons, answers.n_items) == (976, 30)
    by_eye = [Decision(answers.items[n - 1], "drop", "chosen by the authors") for n in (17, 23)]
    result = screen(answers, TwoPL(), RULES, decisions=by_eye)
    flags = result.log[result.log["decision"] == "flag"]
    pairs = flags[flags["rule"] == "ld_x2"]
    assert len(pairs) == len(flags) == 2
    assert (pairs["p_adjusted"] < 0.01).all()
    assert set(result.dropped["rule"]) == {"analyst"}
    assert len(result.kept) == 28
    assert score(result.responses, result.calibration).theta.max() == pytest.approx(
        1.47, abs=0.005
    )


def test_standard_errors_are_computed_once_at_the_end(planted):
    result = screen(planted, TwoPL(), RULES, method=MML())
    assert np.isnan(result.first.covariance).all()
    assert not np.isnan(result.calibration.covariance).any()
