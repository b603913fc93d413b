"""One label an item: votes, averages, votes weighed by ability, and what is said of workers."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.crowd.aggregation import (
    SoftMean,
    Vote,
    aggregate,
    label_distribution,
)
from irtkit.bridge.crowd.irt_votes import AbilityVote, expected_share
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.bridge.crowd.worker_models import DawidSkene, OneCoin
from irtkit.bridge.crowd.workers import worker_table
from irtkit.bridge.finetuning import labelled_set
from irtkit.errors import ResponseError
from irtkit.estimation import MML, calibrate
from irtkit.models import Rasch
from irtkit.simulate import simulate
from tests.bridge.crowds import CLOSE, EXACT, GOLD, crowd_of, drawn


@pytest.fixture
def small():
    return crowd_of(gold=GOLD)


class TestVote:
    def test_shares_are_those_counted_by_hand(self, small):
        table = label_distribution(small)
        assert table.loc["i1"].tolist() == pytest.approx([0, 1 / 3, 2 / 3], abs=EXACT)
        assert table.index.name == "item"

    def test_smoothing_is_an_imagined_answer_to_each_label(self, small):
        table = label_distribution(small, smoothing=0.5)
        assert table.loc["i3"].tolist() == pytest.approx([1.5 / 3.5, 0.5 / 3.5, 1.5 / 3.5])
        assert table.sum(axis=1).tolist() == pytest.approx([1.0] * 4)

    def test_workers_can_be_chosen(self, small):
        table = label_distribution(small, workers=["c"])
        assert table.loc["i1"].tolist() == [0, 1, 0]
        assert table.loc["i3"].isna().all()

    def test_counts_have_no_workers_to_choose(self, small):
        with pytest.raises(ResponseError, match="without workers"):
            label_distribution(small.counts(), workers=["a"])

    def test_ties_go_to_the_first_label_or_to_none(self, small):
        first, none = aggregate(small), aggregate(small, method=Vote(ties="none"))
        assert first.labels()["i3"] == "maybe"
        assert "i3" not in none.labels()
        assert first.tied.tolist() == none.tied.tolist() == [False, False, True, False]
        assert "1 item with equally probable labels" in first.notes[0]

    def test_an_unlabelled_item_has_no_label(self, small):
        found = aggregate(small.select_workers(["c"]))
        assert found.label[2] == -1
        assert np.isnan(found.probabilities[2]).all()
        assert "1 item that nobody labelled: 'i3'" in found.notes[0]
        assert pd.isna(found.table().loc["i3", "probability"])

    def test_the_table_says_label_gold_and_disagreement(self, small):
        table = aggregate(small).table()
        assert table["label"].tolist() == ["yes", "no", "maybe", "yes"]
        assert table.loc[["i1", "i4"], "gold"].tolist() == ["yes", "maybe"]
        assert pd.isna(table.loc["i3", "gold"])
        assert table.loc["i1", "p_yes"] == pytest.approx(2 / 3)
        assert aggregate(small).accuracy() == pytest.approx(2 / 3)
        assert aggregate(crowd_of()).accuracy() is None

    def test_rows_are_ready_for_fine_tuning(self, small):
        texts = pd.DataFrame({"item": list(small.items), "text": list("pqrs")})
        rows = aggregate(replace(small, texts=texts)).rows()
        assert list(rows.columns) == ["item", "text", "label", "label_distribution"]
        assert rows["label_distribution"][0] == pytest.approx([0, 1 / 3, 2 / 3])
        assert rows["text"].tolist() == list("pqrs")
        examples = labelled_set("crowd", rows, small.label_set)
        assert examples.target == "crowd"
        assert examples.rows["label"].tolist() == [2, 1, 0, 2]

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Vote(smoothing=-1.0),
            lambda: Vote(ties="random"),
            lambda: SoftMean((Vote(),)),
            lambda: SoftMean((Vote(), Vote()), (1.0,)),
            lambda: SoftMean((Vote(), Vote()), (1.0, 0.0)),
            lambda: DawidSkene(smoothing=math.nan),
            lambda: DawidSkene(floor=0.5),
            lambda: DawidSkene(tolerance=-1.0),
            lambda: OneCoin(max_cycles=0),
            lambda: OneCoin(label_shares="some"),
            lambda: AbilityVote(key="truth"),
            lambda: AbilityVote(weights="theta"),
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, make):
        with pytest.raises(ResponseError):
            make()

    def test_an_average_is_the_weighted_mean(self, small):
        methods = (Vote(), DawidSkene())
        found = aggregate(small, method=SoftMean(methods, (3.0, 1.0)))
        one, two = (aggregate(small, method=m).probabilities for m in methods)
        assert found.probabilities == pytest.approx(0.75 * one + 0.25 * two, abs=EXACT)


class TestAbilityVote:
    def test_the_posterior_is_the_product_over_workers(self):
        crowd = drawn(10, 20, seed=2)
        found = aggregate(crowd, method=AbilityVote())
        right = found.workers["accuracy"].to_numpy()
        chance = np.ones((crowd.n_items, crowd.n_labels))
        for worker, item, label in zip(crowd.worker, crowd.item, crowd.label, strict=True):
            for place in range(crowd.n_labels):
                wrong = (1 - right[worker]) / (crowd.n_labels - 1)
                chance[item, place] *= right[worker] if place == label else wrong
        chance /= chance.sum(axis=1, keepdims=True)
        assert found.probabilities == pytest.approx(chance, abs=CLOSE)

    def test_odds_weigh_each_vote_by_exp_theta(self):
        crowd = drawn(10, 20, seed=2)
        found = aggregate(crowd, method=AbilityVote(weights="odds"))
        weights = np.exp(found.workers["theta"].to_numpy())
        total = crowd.counts(weights).counts
        share = total / total.sum(axis=1, keepdims=True)
        assert found.probabilities == pytest.approx(share, abs=CLOSE)

    def test_workers_are_ranked_as_by_their_skill(self):
        crowd = drawn(30, 60)
        found = aggregate(crowd, method=AbilityVote())
        gold = worker_table(found)
        assert gold["theta"].corr(gold["gold_share"], method="spearman") > 0.9

    def test_gold_alone_can_place_the_workers(self):
        crowd = drawn(30, 60, seed=6)
        some = dict(list(crowd.gold_labels().items())[:30])
        found = aggregate(crowd.with_gold(some), method=AbilityVote(key="gold"))
        rest = [item for item in crowd.items if item not in some]
        right = [found.labels()[item] == crowd.gold_labels()[item] for item in rest]
        assert np.mean(right) > 0.9
        with pytest.raises(ResponseError, match="no gold labels"):
            aggregate(crowd.with_gold({}), method=AbilityVote(key="gold"))

    def test_a_worker_without_graded_items_has_the_mean_ability(self):
        crowd = drawn(20, 20)
        more = CrowdLabels.from_triples(
            [crowd.workers[w] for w in crowd.worker] + ["new"],
            [crowd.items[i] for i in crowd.item] + ["extra"],
            [crowd.label_set[y] for y in crowd.label] + ["l0"],
        )
        key = {item: label for item, label in crowd.gold_labels().items() if item != "extra"}
        found = aggregate(more, method=AbilityVote(key=key))
        assert found.workers.loc["new", "theta"] == pytest.approx(0.0, abs=1e-6)
        assert found.labels()["extra"] == "l0"

    def test_a_worker_without_any_answer_has_the_mean_ability(self):
        crowd = drawn(20, 20)
        found = aggregate(replace(crowd, workers=(*crowd.workers, "idle")), method=AbilityVote())
        assert found.workers.loc["idle", "theta"] == pytest.approx(0.0, abs=1e-6)
        assert found.workers.loc["idle", "standard_error"] == pytest.approx(1.0, abs=0.3)

    def test_expected_share_is_the_mean_over_items(self):
        made = simulate(Rasch(), n_persons=200, n_items=5, seed=3).responses
        calibration = calibrate(made, Rasch(), method=MML(standard_errors=None))
        theta = np.linspace(-2, 2, 150)
        by_hand = np.exp(calibration.log_prob(theta))[:, :, 1].mean(axis=1)
        assert expected_share(calibration, theta) == pytest.approx(by_hand, abs=EXACT)


class TestWorkers:
    def test_measures_are_those_counted_by_hand(self, small):
        table = worker_table(aggregate(small))
        assert table["n_answers"].tolist() == [4, 4, 3]
        # a: i1 1 of 2 others, i2 2 of 2, i3 0 of 1, i4 1 of 2
        assert table.loc["a", "agreement"] == pytest.approx((0.5 + 1 + 0 + 0.5) / 4)
        assert table.loc["a", "gold_share"] == pytest.approx(2 / 3)
        assert table["n_gold"].tolist() == [3, 3, 3]
        assert table.loc["b", "label_share"] == pytest.approx(2 / 4)

    def test_times_and_estimates_join(self, small):
        timed = replace(small, seconds=np.arange(11.0) ** 2)
        table = worker_table(aggregate(timed, method=DawidSkene()))
        assert table.loc["a", "seconds"] == np.median([0, 9, 36, 81])
        assert table["accuracy"].between(0, 1).all()
