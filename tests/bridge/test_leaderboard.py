"""Many models on one scale: ranks with intervals, the unit of the field, broken items."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.arrays import same
from irtkit.bridge.ranking.field import field_method, field_moments, screen_field
from irtkit.bridge.ranking.leaderboard import leaderboard
from irtkit.bridge.ranking.ranks import critical_distance, ranks
from irtkit.errors import ModelError, NothingKept, PredictionError, ResponseError
from irtkit.estimation import MML, Priors, calibrate
from irtkit.models import Rasch, TwoPL
from irtkit.responses import Responses
from irtkit.scale import build_scale, scale_score
from irtkit.scoring import score
from irtkit.screening import Decision, preset, screen
from irtkit.simulate import simulate

EXACT = 1e-10  # the same formula, summed in another order
SMALL = MML(priors=Priors.small_sample())


def of(codes, items=None):
    """Answers of models m1, m2, ..."""
    persons = tuple(f"m{row}" for row in range(1, len(codes) + 1))
    items = items or [f"i{place}" for place in range(1, codes.shape[1] + 1)]
    return Responses(codes=codes, persons=persons, items=tuple(items), categories=("0", "1"))


@pytest.fixture(scope="module")
def answers():
    codes = simulate(TwoPL(), n_persons=40, n_items=50, seed=4).responses.dense().copy()
    codes[5, 10:20] = -1
    codes[6] = 1
    return of(codes)


@pytest.fixture(scope="module")
def scale(answers):
    return build_scale(screen(answers, TwoPL(), (), method=SMALL), name="quiz")


def test_ranks_are_those_of_the_obvious_count():
    rng = np.random.default_rng(1)
    theta = np.round(rng.normal(size=12), 1)  # with ties
    error = rng.uniform(0.05, 0.4, 12)
    found = ranks(theta, lambda one, other: error[one, None] ** 2 + error[other] ** 2)
    far = critical_distance(12)
    for model in range(12):
        gaps = theta - theta[model]
        margin = far * np.hypot(error, error[model])
        others = np.arange(12) != model
        assert found.rank[model] == 1 + (gaps > 0).sum()
        assert found.low[model] == 1 + ((gaps > margin) & others).sum()
        assert found.high[model] == 12 - ((gaps < -margin) & others).sum()
    assert (found.low <= found.rank).all()
    assert (found.rank <= found.high).all()


def test_ranks_in_blocks_are_those_at_once(monkeypatch):
    theta = np.random.default_rng(2).normal(size=30)

    def variances(one, other):
        return np.full((len(one), len(other)), 0.02)

    whole = ranks(theta, variances)
    monkeypatch.setattr("irtkit.bridge.ranking.ranks.BLOCK_CELLS", 70)
    assert same(ranks(theta, variances), whole)


def test_two_abilities_differ_from_the_usual_two_sided_distance_on():
    assert critical_distance(2) == pytest.approx(1.959964, abs=1e-5)
    assert critical_distance(1) == np.inf


def test_critical_distance_is_the_quantile_of_the_range():
    """20,000 draws: the .95 quantile of the range of 20 normals is known to about 0.02."""
    drawn = np.random.default_rng(3).normal(size=(20_000, 20))
    expected = np.quantile(np.ptp(drawn, axis=1), 0.95) / np.sqrt(2.0)
    assert critical_distance(20) == pytest.approx(expected, abs=0.03)


def test_rank_intervals_hold_for_all_models_at_once():
    """All true ranks are covered in .95 of the fields at least (300 fields, unequal errors)."""
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(300):
        truth = np.zeros(8) if rng.random() < 0.5 else np.arange(8) * 0.02
        error = rng.uniform(0.5, 2.0, 8)
        theta = truth + error * rng.normal(size=8)
        found = ranks(theta, lambda a, b, e=error: e[a, None] ** 2 + e[b] ** 2)
        best = 1 + (truth[:, None] < truth).sum(axis=1)
        worst = (truth[:, None] <= truth).sum(axis=1)
        held += bool(((found.low <= worst) & (best <= found.high)).all())
    assert held >= 300 * 0.91  # exact binomial 99.9% limit below .95


def test_leaderboard_says_what_scoring_says(answers, scale):
    table = leaderboard(answers, scale)
    placed = scale_score(answers, scale).table().loc[table.index]
    for name in ("theta", "standard_error", "percentile", "percentile_low", "percentile_high"):
        assert table[name].to_numpy() == pytest.approx(placed[name].to_numpy(), abs=EXACT)
    for name in ("percentile_empirical", "n_answered", "at_ceiling", "at_floor"):
        assert table[name].tolist() == placed[name].tolist()
    assert table.index.name == "model"
    assert table.index[0] == "m7"
    assert table["at_ceiling"].sum() == 1
    assert (table["rank"].diff().dropna() >= 0).all()
    assert (table["theta"].diff().dropna() <= 0).all()
    codes = answers.dense()
    seen = codes >= 0
    accuracy = pd.Series((codes * seen).sum(axis=1) / seen.sum(axis=1), index=answers.persons)
    assert table["accuracy"].to_numpy() == pytest.approx(accuracy[table.index].to_numpy())
    assert table.loc["m6", "n_answered"] == 40
    one = codes[0].astype(float)
    assert table.loc["m1", "accuracy_error"] == pytest.approx(one.std(ddof=1) / np.sqrt(50))


def test_models_in_another_order_keep_their_rows(answers, scale):
    order = np.random.default_rng(1).permutation(answers.n_persons)
    table = leaderboard(answers, scale)
    other = leaderboard(answers.select_persons(order), scale)
    pd.testing.assert_frame_equal(table, other.loc[table.index], rtol=1e-9)


def test_items_off_the_scale_are_ignored(answers, scale):
    more = of(np.hstack([answers.dense(), answers.dense()[:, :1]]), [*answers.items, "other"])
    pd.testing.assert_frame_equal(leaderboard(answers, scale), leaderboard(more, scale))
    strange = of(answers.dense(), [f"x{place}" for place in range(50)])
    with pytest.raises(PredictionError, match="None of the 50 predicted items"):
        leaderboard(strange, scale)


def test_raw_labels_are_graded_by_the_key_of_the_scale(answers):
    gold = {item: "ab"[place % 2] for place, item in enumerate(answers.items)}
    words = [
        [
            "" if code < 0 else gold[item] if code else "c"
            for item, code in zip(gold, row, strict=True)
        ]
        for row in answers.dense()
    ]
    frame = pd.DataFrame(words, columns=list(gold)).replace("", None)
    frame.insert(0, "model", answers.persons)
    labels = Responses.from_frame(frame, key=gold)
    scale = build_scale(screen(labels, TwoPL(), (), method=SMALL), name="labels")
    raw = Responses(
        codes=labels.labels,
        persons=labels.persons,
        items=labels.items,
        categories=labels.label_set,
        labels=labels.labels,
        label_set=labels.label_set,
    )
    pd.testing.assert_frame_equal(leaderboard(raw, scale), leaderboard(labels, scale))


def test_drawn_items_widen_errors_and_ranks(answers, scale):
    plain = leaderboard(answers, scale)
    drawn = leaderboard(answers, scale, item_draws=60, seed=2).loc[plain.index]
    assert (drawn["standard_error"] > plain["standard_error"]).mean() > 0.9
    width = [(table["rank_high"] - table["rank_low"]).sum() for table in (plain, drawn)]
    assert width[1] > width[0]
    again = leaderboard(answers, scale, item_draws=60, seed=2).loc[plain.index]
    pd.testing.assert_frame_equal(drawn, again)


def test_share_of_the_field_below_does_not_move_with_drawn_items(answers, scale):
    """The norms are of EAPs without draws: the ablest of the field is not above itself."""
    plain = leaderboard(answers, scale)["percentile_empirical"]
    drawn = leaderboard(answers, scale, item_draws=20)["percentile_empirical"]
    assert drawn[plain.index].tolist() == plain.tolist()
    assert plain.max() == pytest.approx(100 * 39 / 40)


def test_clusters_of_dependent_answers_widen_all_intervals():
    made = simulate(TwoPL(), n_persons=30, n_items=15, seed=9)
    codes = np.repeat(made.responses.dense(), 4, axis=1)
    copies = of(codes, [f"i{place // 4}-{place % 4}" for place in range(60)])
    scale = build_scale(screen(copies, TwoPL(), (), method=SMALL), name="copies")
    clusters = {item: item.split("-")[0] for item in copies.items}
    plain = leaderboard(copies, scale)
    wide = leaderboard(copies, scale, clusters=clusters).loc[plain.index]
    ratio = wide["standard_error"] / plain["standard_error"]
    assert 1.4 < ratio.median() < 2.6  # about 2 for four copies
    assert (ratio > 1 - EXACT).all()
    for end in ("low", "high"):
        half = (wide[f"theta_{end}"] - wide["theta"]) / (plain[f"theta_{end}"] - plain["theta"])
        assert half.to_numpy() == pytest.approx(ratio.to_numpy(), abs=1e-9)
        assert ((wide[f"percentile_{end}"] - plain[f"percentile_{end}"]).abs() > 0).mean() > 0.8
    assert (wide["accuracy_error"] / plain["accuracy_error"]).median() == pytest.approx(2, rel=0.1)
    assert (wide["rank_high"] - wide["rank_low"]).sum() > (
        plain["rank_high"] - plain["rank_low"]
    ).sum()
    with pytest.raises(ResponseError, match="60 items without a cluster"):
        leaderboard(copies, scale, clusters={"q": "r"})


def test_inputs_stay_as_they_are(answers, scale):
    before = answers.fingerprint(), scale.calibration.parameters.copy()
    leaderboard(answers, scale, item_draws=3)
    assert answers.fingerprint() == before[0]
    assert np.array_equal(scale.calibration.parameters, before[1])


@pytest.fixture(scope="module")
def few():
    """Twenty-five models and 250 items that most of them solve."""
    rng = np.random.default_rng(7)
    slope, difficulty = rng.lognormal(0.4, 0.4, 250), rng.normal(-1.2, 1.0, 250)
    theta = rng.normal(size=25)
    chance = 1 / (1 + np.exp(-slope * (theta[:, None] - difficulty)))
    return of((rng.random(chance.shape) < chance).astype(np.int8)), theta


def test_priors_are_centred_until_the_field_has_mean_0_and_sd_1(few):
    codes, _ = few
    usual = field_moments(codes, calibrate(codes, TwoPL(), method=SMALL))
    assert abs(usual[0]) > 0.3 or abs(usual[1] - 1) > 0.15  # what is to be cured
    method = field_method(codes, TwoPL())
    centred = field_moments(codes, calibrate(codes, TwoPL(), method=method))
    assert centred == pytest.approx((0.0, 1.0), abs=0.03)
    assert method.priors.slope.standard_deviation == SMALL.priors.slope.standard_deviation
    assert method.priors.difficulty.mean != 0


def test_priors_that_do_not_pull_stay():
    made = simulate(TwoPL(), n_persons=1500, n_items=15, seed=2)
    method = field_method(made.responses, TwoPL())
    assert method.priors == SMALL.priors


def test_rasch_keeps_its_unit_and_its_mean(few):
    codes, _ = few
    method = field_method(codes, Rasch())
    mean, spread = field_moments(codes, calibrate(codes, Rasch(), method=method))
    assert (mean, spread) == pytest.approx((0.0, 1.0), abs=0.03)


def test_methods_without_priors_to_centre_are_refused(few):
    codes, _ = few
    for method in (MML(), replace(SMALL, latent="histogram")):
        with pytest.raises(ModelError, match="Priors can be moved only where"):
            field_method(codes, TwoPL(), method)


@pytest.fixture(scope="module")
def broken():
    """Sixty models; dead items, a copy, a wrong key and noise among 60 sound items."""
    made = simulate(TwoPL(), n_persons=60, n_items=60, seed=12)
    codes = made.responses.dense()
    rng = np.random.default_rng(3)
    hard = np.zeros((60, 2), dtype=np.int8)
    noise = (rng.random((60, 5)) < 0.5).astype(np.int8)
    order = np.argsort(codes.sum(axis=1))
    wrong = np.zeros((60, 1), dtype=np.int8)
    wrong[order[:30]] = 1
    names = [*(f"i{place}" for place in range(60)), "dead1", "dead2", "wrong"]
    names += [f"noise{place}" for place in range(5)]
    return of(np.hstack([codes, hard, wrong, noise]), names)


def test_broken_items_are_dropped_with_their_reasons(broken):
    found = screen_field(broken, TwoPL(), preset("leaderboard"))
    rules = found.dropped.set_index("item")["rule"]
    reasons = found.dropped.set_index("item")["reason"]
    assert rules["dead1"] == rules["dead2"] == "dead"
    assert "key may be wrong" in reasons["wrong"]
    assert sum(name.startswith("noise") for name in rules.index) >= 4
    assert len(found.kept) >= 40
    assert not [name for name in found.kept if not name.startswith(("i", "noise"))]
    assert field_moments(found.responses, found.calibration) == pytest.approx((0, 1), abs=0.05)
    assert build_scale(found, name="field").norms.n_persons == 60


def test_an_analyst_may_keep_an_item(broken):
    choice = Decision("noise0", "keep", "It counts.")
    found = screen_field(broken, TwoPL(), preset("leaderboard"), decisions=[choice])
    assert "noise0" in found.kept


def test_models_that_tell_nothing_apart_leave_no_scale():
    rng = np.random.default_rng(8)
    noise = of((rng.random((20, 30)) < 0.5).astype(np.int8))
    with pytest.raises(NothingKept) as caught:
        screen_field(noise, TwoPL(), preset("leaderboard"))
    assert len(caught.value.log)


def test_real_models_stand_in_the_unit_of_their_field(shared_data):
    """Forty-four models on GSM8K: with the usual priors their mean ability was 2.2."""
    from irtkit.bridge.logs import read_logs

    codes = read_logs(shared_data / "llm_matrices" / "zeroeval_gsm_binary.csv")
    codes = codes.select_items(codes.items[:150])
    found = screen_field(codes, TwoPL(), preset("leaderboard"))
    assert field_moments(found.responses, found.calibration) == pytest.approx((0, 1), abs=0.05)
    table = leaderboard(codes, build_scale(found, name="gsm"), item_draws=10)
    by_accuracy = table["accuracy"].rank(ascending=False)
    assert by_accuracy.corr(table["rank"]) > 0.95
    assert (table["rank_low"] <= table["rank"]).all()
    assert (table["rank"] <= table["rank_high"]).all()


@pytest.mark.slow
def test_intervals_cover_in_the_unit_of_the_field():
    """Thirty models by 150 items, 15 fields: 450 intervals; usual priors cover far less."""
    covered = {"usual": [], "centred": [], "drawn": []}
    ranked = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        slope, difficulty = rng.lognormal(0.2, 0.4, 150), rng.normal(-0.5, 1.0, 150)
        theta = rng.normal(size=30)
        chance = 1 / (1 + np.exp(-slope * (theta[:, None] - difficulty)))
        codes = of((rng.random(chance.shape) < chance).astype(np.int8))
        truth = (theta - theta.mean()) / theta.std()
        usual = score(codes, calibrate(codes, TwoPL(), method=SMALL))
        method = field_method(codes, TwoPL())
        scale = build_scale(screen(codes, TwoPL(), (), method=method), name="field")
        for name, draws in (("centred", 0), ("drawn", 40)):
            table = leaderboard(codes, scale, item_draws=draws).loc[list(codes.persons)]
            inside = (table["theta_low"] < truth) & (truth < table["theta_high"])
            covered[name].append(inside.mean())
        covered["usual"].append(((usual.low < truth) & (truth < usual.high)).mean())
        true_rank = 1 + (theta[:, None] < theta).sum(axis=1)
        within = (table["rank_low"] <= true_rank) & (true_rank <= table["rank_high"])
        ranked.append(bool(within.all()))
    mean = {name: float(np.mean(values)) for name, values in covered.items()}
    assert mean["usual"] < 0.85, mean
    assert mean["centred"] > 0.88, mean
    assert mean["drawn"] >= mean["centred"], mean
    assert all(ranked)
