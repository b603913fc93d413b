"""Low effort: runs against key and crowd, chance level, rapid answers, the crowd of 2016."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import binom

from irtkit.coding import Coding
from irtkit.diagnostics.effort import (
    EffortThresholds,
    longest_runs,
    low_effort,
    run_probability,
)
from irtkit.diagnostics.response_times import medians
from irtkit.errors import ModelError, ResponseError
from irtkit.io import read_responses
from irtkit.models import Graded, TwoPL
from irtkit.responses import Responses
from irtkit.scoring import score
from irtkit.simulate import simulate
from tests.diagnostics.calibrations import true_calibration
from tests.diagnostics.test_residuals import mixed

LABELS = ("contradiction", "entailment", "neutral")
COLUMNS = [
    *("n_answered", "longest_run", "run_p", "same_label_share", "straight_lining"),
    *("proportion_right", "chance", "chance_p", "near_chance"),
    *("median_seconds", "rapid_share", "too_fast", "low_effort", "reason"),
]
SIGNS = ["straight_lining", "near_chance", "too_fast"]


def crowd(n_persons=200, n_items=60, seed=1, key=None, skill=0.8, missing=0.0):
    """Persons who give the gold label with probability `skill`, else any other."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 3, n_items) if key is None else np.asarray(key)
    slip = rng.integers(1, 3, (n_persons, n_items))
    right = rng.random((n_persons, n_items)) < skill
    labels = np.where(right, gold, (gold + slip) % 3).astype(np.int8)
    labels[rng.random(labels.shape) < missing] = -1
    return keyed(labels, gold)


def keyed(labels, gold):
    codes = np.where(labels < 0, -1, labels == gold).astype(np.int8)
    return Responses(
        codes,
        tuple(f"w{number}" for number in range(len(labels))),
        tuple(f"q{number}" for number in range(labels.shape[1])),
        categories=("wrong", "right"),
        key=tuple(LABELS[place] for place in gold),
        labels=labels,
        label_set=LABELS,
    )


def with_persons(responses, *rows):
    """Replace the first persons by others who gave these labels."""
    labels = responses.labels.copy()
    for place, row in enumerate(rows):
        labels[place] = row
    return keyed(labels, np.array([LABELS.index(label) for label in responses.key]))


def sparse(responses):
    return replace(
        responses,
        codes=sp.csr_array(responses.codes + np.int8(1)),
        labels=None if responses.labels is None else sp.csr_array(responses.labels + np.int8(1)),
    )


def test_an_honest_crowd_is_left_alone():
    table = low_effort(crowd())
    assert list(table.columns) == COLUMNS
    assert table.index.tolist() == [f"w{number}" for number in range(200)]
    assert table.index.name == "person"
    assert not table[[*SIGNS, "low_effort"]].any(axis=None)
    assert set(table["reason"]) == {""}


def test_a_straight_liner_is_named_with_the_reason():
    responses = with_persons(crowd(), np.full(60, 2))
    row = low_effort(responses).loc["w0"]
    assert (row["longest_run"], row["same_label_share"]) == (60, 1.0)
    assert row["straight_lining"]
    assert row["near_chance"]
    assert row["low_effort"]
    assert "60 of 60 answers in a row are the same label" in row["reason"]
    assert "not significantly better than chance" in row["reason"]


def test_an_expert_on_a_scale_of_one_gold_label_is_no_straight_liner():
    rows = np.ones(60), np.zeros(60), np.arange(60) % 3
    responses = with_persons(crowd(key=np.ones(60, int)), *rows)
    table = low_effort(responses)
    assert table.loc["w0", "longest_run"] == 60
    assert not table.loc["w0", "low_effort"]
    assert not table["straight_lining"].any()  # not even of who gives another label throughout
    assert not table["near_chance"].any()  # being right there is preferring the label


def test_a_run_that_the_key_has_too_is_no_sign():
    key = [1] * 30 + [0, 2] * 15
    expert = np.array(key)
    liner = np.ones(60)
    table = low_effort(with_persons(crowd(key=key, skill=0.5), expert, liner))
    assert table.loc["w0", "longest_run"] == 30
    assert table.loc["w0", "run_p"] < 1e-3  # improbable for the crowd, right by the key
    assert not table.loc["w0", "low_effort"]
    assert table.loc["w1", "straight_lining"]


def test_key_and_crowd_are_those_of_the_items_that_a_person_saw():
    key = [1] * 20 + [0, 2] * 20
    responses = crowd(key=key, skill=0.9, missing=0.3)
    labels = responses.labels.copy()
    labels[0, :20], labels[0, 20:] = 1, -1  # saw the items of one label only
    table = low_effort(keyed(labels, np.array(key)))
    assert table.loc["w0", ["n_answered", "longest_run"]].tolist() == [20, 20]
    assert not table.loc["w0", "low_effort"]


def test_a_person_who_prefers_a_label_but_reads_is_no_straight_liner():
    responses = crowd(n_items=90)
    gold = np.array([LABELS.index(label) for label in responses.key])
    careful = np.where(np.arange(90) % 3 == 0, gold, 2)  # neutral unless quite sure
    table = low_effort(with_persons(responses, careful))
    assert table.loc["w0", "same_label_share"] > 0.7
    assert not table.loc["w0", "straight_lining"]


def test_who_labels_at_random_is_near_chance_and_not_where_the_crowd_is_too():
    noise = np.random.default_rng(5).integers(0, 3, (200, 60))
    table = low_effort(with_persons(crowd(), *noise[:5]))
    assert table["near_chance"].iloc[:5].all()
    assert not table["near_chance"].iloc[5:].any()
    assert table["chance"].iloc[5:].to_numpy() == pytest.approx(1 / 3, abs=0.05)
    everybody = low_effort(with_persons(crowd(), *noise))
    assert not everybody["near_chance"].any()  # then the items are at fault
    half = low_effort(with_persons(crowd(skill=0.99), *noise[:120]))
    assert not half["near_chance"].any()  # too many to be the exception
    fewer = low_effort(with_persons(crowd(skill=0.99), *noise[:80]))
    assert fewer["near_chance"].iloc[:80].mean() > 0.9


def test_too_few_answers_are_no_sign_of_chance():
    responses = with_persons(crowd(), *np.random.default_rng(5).integers(0, 3, (5, 60)))
    labels = responses.labels.copy()
    labels[0, 6:] = -1
    table = low_effort(keyed(labels, np.array([LABELS.index(x) for x in responses.key])))
    assert not table["near_chance"].iloc[0]
    assert table["near_chance"].iloc[1:5].all()


def test_answers_are_enough_where_the_crowds_labels_would_tell_it_from_chance():
    key = np.array([1, 1, 1, 0] * 15)  # three in four right by one label, so ten answers are few
    uniform = np.random.default_rng(3).permutation(np.arange(60) % 3)
    responses = with_persons(crowd(key=key, skill=0.97), uniform, uniform)
    labels = responses.labels.copy()
    labels[0, 10:] = -1
    table = low_effort(keyed(labels, key))
    assert (table["chance_p"].iloc[:2] > 0.05).all()
    assert table["near_chance"].iloc[:2].tolist() == [False, True]


def test_chance_is_what_a_persons_own_labels_get_right_blindly():
    key = np.array([1] * 45 + [0] * 15)
    lazy = np.ones(60)  # 75% right without looking
    blind = np.random.default_rng(3).permutation([1] * 40 + [0] * 20)
    table = low_effort(with_persons(crowd(key=key, skill=0.97), lazy, blind))
    assert table.loc["w0", "chance"] == pytest.approx(0.75)
    assert table.loc["w0", "proportion_right"] == pytest.approx(0.75)
    assert table.loc["w1", "chance"] == pytest.approx(40 / 60 * 0.75 + 20 / 60 * 0.25)
    for name in ("w0", "w1"):
        row = table.loc[name]
        right = round(row["proportion_right"] * 60)
        assert row["chance_p"] == pytest.approx(binom.sf(right - 1, 60, row["chance"]))
        assert row["near_chance"]
    assert not table["near_chance"].iloc[2:].any()


def test_codes_without_labels_are_tested_against_a_half_or_what_is_given():
    made = simulate(TwoPL(), n_persons=300, n_items=50, seed=2)
    codes = made.responses.dense().copy()
    easy = np.random.default_rng(1).random(codes.shape) < 0.85
    codes[:, :] = easy
    codes[0] = np.arange(50) % 2
    codes[1] = 1
    responses = replace(made.responses, codes=codes)
    table = low_effort(responses)
    assert table["chance"].eq(0.5).all()
    assert table["chance_p"].iloc[0] == pytest.approx(binom.sf(24, 50, 0.5))
    assert table["near_chance"].tolist() == [True] + [False] * 299
    assert table["longest_run"].iloc[1] == 50
    assert table["run_p"].isna().all()  # right and wrong are not what was chosen
    assert not table["straight_lining"].any()
    assert not low_effort(responses, chance=0.3)["near_chance"].any()


def test_runs_of_ratings_are_judged_by_the_model_at_the_persons_ability(monkeypatch):
    monkeypatch.setattr("irtkit.diagnostics.effort.BLOCK_PERSONS", 70)
    made = simulate(Graded(), n_persons=300, n_items=40, seed=2)
    codes = made.responses.dense().copy()
    codes[0], codes[1] = 2, 4  # the middle of the scale, which no ability makes likely; its end
    responses = replace(made.responses, codes=codes)
    calibration = true_calibration(made)
    for answered in (responses, sparse(responses)):
        table = low_effort(answered, calibration)
        assert table["straight_lining"].tolist() == [True] + [False] * 299
        assert table[["proportion_right", "chance", "chance_p"]].isna().all(axis=None)
        assert not table["near_chance"].any()
    plain = low_effort(responses)
    assert plain["longest_run"].iloc[:2].tolist() == [40, 40]
    assert plain["run_p"].isna().all()
    assert not plain["low_effort"].any()


def test_expected_runs_of_ratings_are_the_models_whatever_the_order_of_the_items():
    responses, calibration, _ = mixed(n_persons=80, missing=0.1)
    order = [f"i{number}" for number in (4, 2, 12, 8, 1, 9, 3, 11, 5, 10, 6, 7)]
    turned = responses.select_items(order)
    table = low_effort(turned, calibration)
    theta = score(responses, calibration).theta
    chance = np.exp(calibration.log_prob(theta))  # (P, I, K)
    places = [responses.items.index(name) for name in order]
    for person in range(80):
        seen = [place for place in places if responses.dense()[person, place] >= 0]
        length = int(table["longest_run"].iloc[person])
        bound = 0.0
        for start in range(len(seen) - length + 1):
            for code in range(4):
                before = 1 - chance[person, seen[start - 1], code] if start else 1.0
                run = seen[start : start + length]
                bound += before * np.prod([chance[person, place, code] for place in run])
        assert table["run_p"].iloc[person] == pytest.approx(min(bound, 1.0), rel=1e-6)


def test_labels_without_a_key_tell_neither_runs_nor_right_from_wrong():
    responses = with_persons(crowd(), np.full(60, 2))
    plain = replace(responses, key=None, codes=responses.labels, categories=LABELS)
    table = low_effort(plain)  # a person may rightly say one thing all along
    assert table["longest_run"].iloc[0] == 60
    assert table[["run_p", "proportion_right"]].isna().all(axis=None)
    assert not table["low_effort"].any()


@pytest.mark.parametrize("times", ["frame", "array"])
def test_rapid_answers_are_below_a_tenth_of_the_items_median(times):
    responses = crowd(missing=0.2)
    rng = np.random.default_rng(3)
    seconds = rng.lognormal(2.5, 0.4, responses.codes.shape) * np.linspace(0.5, 2, 60)
    seconds[responses.codes < 0] = np.nan
    seconds[0] *= 0.05  # reads nothing
    seconds[1, :4] *= 0.02  # clicked through the first four
    given = seconds
    if times == "frame":
        given = pd.DataFrame(seconds, index=responses.persons, columns=responses.items)
        given = given.sample(frac=1.0, random_state=1)[list(responses.items[::-1])]
    table = low_effort(responses, seconds=given)
    assert table["too_fast"].tolist() == [True] + [False] * 199
    assert table["rapid_share"].iloc[0] > 0.9
    seen = np.isfinite(seconds[1, :4]).sum()
    assert table["rapid_share"].iloc[1] == pytest.approx(seen / np.isfinite(seconds[1]).sum())
    own = np.sort(seconds[5][np.isfinite(seconds[5])])
    assert table["median_seconds"].iloc[5] == own[(len(own) - 1) // 2]
    assert "came too fast to be read" in table["reason"].iloc[0]


def test_long_readings_do_not_raise_the_threshold_above_ten_seconds():
    responses = crowd(n_persons=50)
    seconds = np.full(responses.codes.shape, 300.0)
    seconds[0], seconds[1] = 9.0, 11.0
    table = low_effort(responses, seconds=seconds)
    assert table["too_fast"].tolist() == [True] + [False] * 49
    higher = EffortThresholds(rapid_seconds=20.0)
    assert low_effort(responses, seconds=seconds, thresholds=higher)["too_fast"].sum() == 2


def test_one_time_a_person_is_shared_out_over_the_answers():
    responses = crowd(n_persons=50, missing=0.3)
    n = responses.n_answered()
    total = 8.0 * n
    total[0] = 0.5 * n[0]
    total[1] = np.nan
    series = pd.Series(total, index=responses.persons)
    for given in (total, series, series.sample(frac=1.0, random_state=2)):
        table = low_effort(responses, seconds=given)
        assert table["too_fast"].tolist() == [True] + [False] * 49
        assert table["median_seconds"].iloc[[0, 2]].tolist() == pytest.approx([0.5, 8.0])
        assert np.isnan(table["median_seconds"].iloc[1])


def test_times_that_do_not_fit_are_refused():
    responses = crowd(n_persons=20, n_items=5)
    with pytest.raises(ResponseError, match=r"shape \(20, 4\); give \(20, 5\)"):
        low_effort(responses, seconds=np.ones((20, 4)))
    frame = pd.DataFrame(np.ones((20, 5)), index=responses.persons, columns=responses.items)
    with pytest.raises(ResponseError, match="lack 2 person or items: 'w3', 'q1'"):
        low_effort(responses, seconds=frame.drop(index="w3", columns="q1"))
    frame.iloc[2, 3] = -1.0
    with pytest.raises(ResponseError, match="below zero, first of person 'w2'"):
        low_effort(responses, seconds=frame)
    with pytest.raises(ModelError, match=r"by chance is 1\.5"):
        low_effort(responses, chance=1.5)
    with pytest.raises(ModelError, match="run_share is 2"):
        EffortThresholds(run_share=2.0)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_sparse_answers_give_what_dense_ones_give(missing, monkeypatch):
    responses = with_persons(crowd(missing=missing), np.full(60, 2))
    before = responses.fingerprint()
    dense = low_effort(responses)
    monkeypatch.setattr("irtkit.diagnostics.effort.BLOCK_PERSONS", 17)
    for answered in (responses, sparse(responses)):
        found = low_effort(answered)
        pd.testing.assert_frame_equal(found, dense, rtol=1e-9)
    assert responses.fingerprint() == before


def test_persons_without_answers_are_kept_and_not_accused():
    responses = crowd(n_persons=30)
    labels = responses.labels.copy()
    labels[4] = -1
    gold = np.array([LABELS.index(label) for label in responses.key])
    for answered in (keyed(labels, gold), sparse(keyed(labels, gold))):
        row = low_effort(answered, seconds=np.ones(30)).iloc[4]
        assert row["n_answered"] == 0
        assert pd.isna(row[["longest_run", "run_p", "proportion_right", "chance_p"]]).all()
        assert not row["low_effort"]


def test_weights_count_as_persons():
    responses = crowd(n_persons=60, skill=0.6)
    weights = np.random.default_rng(2).integers(1, 4, 60)
    rows = np.repeat(np.arange(60), weights)
    gold = np.array([LABELS.index(label) for label in responses.key])
    copies = low_effort(keyed(responses.labels[rows], gold))
    heavy = low_effort(replace(responses, weights=weights.astype(float)))
    first = np.unique(rows, return_index=True)[1]
    # the pseudo-count stands for persons too, so both crowds are the same
    pd.testing.assert_frame_equal(
        copies.iloc[first].reset_index(drop=True), heavy.reset_index(drop=True), rtol=1e-9
    )
    values, heavy_weights = np.array([[3.0], [1.0], [np.nan], [2.0]]), np.array([5.0, 1, 9, 1])
    assert medians(values, heavy_weights).tolist() == [3.0]


def test_longest_runs_are_those_of_the_loop():
    rng = np.random.default_rng(4)
    labels = rng.integers(-1, 2, (50, 12))
    person, item = np.nonzero(labels >= 0)
    found = longest_runs(person, labels[person, item], 50)
    for row, length in zip(labels, found, strict=True):
        groups = itertools.groupby(row[row >= 0])
        assert length == max((len(list(group)) for _, group in groups), default=0)


def test_run_probability_bounds_the_sum_over_all_sequences():
    rng = np.random.default_rng(6)
    shares = rng.dirichlet([1.0, 1.0, 2.0], 7)
    exact = np.zeros(8)
    for sequence in itertools.product(range(3), repeat=7):
        longest = max(len(list(group)) for _, group in itertools.groupby(sequence))
        exact[: longest + 1] += np.prod(shares[range(7), sequence])
    for length in range(1, 8):
        both = np.concatenate([shares, shares[::-1]])  # a second person after the first
        person = np.repeat([0, 1], 7)
        bound = run_probability(person, both, np.array([length, length]))
        assert bound[0] == pytest.approx(bound[1], rel=1e-9)
        assert bound[0] >= exact[length] - 1e-12
        if length > 3:  # two such runs do not fit, so the sum is exact
            assert bound[0] == pytest.approx(exact[length], rel=1e-9)


def lalor(shared_data, group):
    folder = shared_data / "lalor2016_snli_amt"
    coding = Coding(label_map={"e": "entailment", "n": "neutral", "c": "contradiction"})
    return read_responses(
        folder / f"irt_file_{group}.csv", key=folder / f"group_{group}.txt", coding=coding
    )


@pytest.mark.parametrize(("group", "lined", "near", "low"), [(4, 2, 11, 12), (5, 2, 9, 10)])
def test_few_workers_of_the_published_crowd_are_named(shared_data, group, lined, near, low):
    responses = lalor(shared_data, group)
    table = low_effort(responses)
    assert table["straight_lining"].sum() == lined
    assert table["near_chance"].sum() == near
    assert table["low_effort"].sum() == low
    assert (table.loc[table["straight_lining"], "same_label_share"] > 0.75).all()
    assert (table.loc[table["near_chance"], "proportion_right"] < 0.42).all()


@pytest.mark.parametrize("group", [4, 5])
@pytest.mark.parametrize("label", LABELS)
def test_nobody_of_the_published_crowd_is_accused_on_a_scale_of_one_label(
    shared_data, group, label
):
    responses = lalor(shared_data, group)
    scale = responses.select_items(responses.items_with_gold(label))
    assert not low_effort(scale)["low_effort"].any()


@pytest.mark.slow
def test_false_accusations_are_rare_and_planted_ones_found():
    accused = []
    for seed in range(20):
        responses = crowd(n_persons=500, n_items=30, seed=seed, skill=0.75, missing=0.1)
        rng = np.random.default_rng(100 + seed)
        noise = [rng.integers(0, 3, 30) for _ in range(10)] + [np.full(30, 2)] * 5
        table = low_effort(with_persons(responses, *noise))
        accused.append(table["low_effort"].iloc[15:].mean())
        assert table["straight_lining"].iloc[10:15].all()
        assert table["near_chance"].iloc[:10].sum() >= 7
    assert np.mean(accused) < 0.005
