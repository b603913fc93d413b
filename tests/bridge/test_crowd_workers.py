"""Dawid-Skene and one-coin against plain loops, and their laws."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.crowd.aggregation import (
    Vote,
    aggregate,
)
from irtkit.bridge.crowd.irt_votes import AbilityVote
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.bridge.crowd.worker_models import DawidSkene, OneCoin, full_confusion, tied_confusion
from irtkit.errors import ResponseError
from tests.bridge.crowds import CLOSE, EXACT, GOLD, crowd_of, drawn


@pytest.fixture
def small():
    return crowd_of(gold=GOLD)


def by_loops(crowd, smoothing, n_cycles, *, tie=False):
    """Dawid-Skene with plain loops over answers, confusion matrices in probabilities."""
    n_labels = crowd.n_labels
    answers = list(zip(crowd.worker, crowd.item, crowd.label, strict=True))
    chance = crowd.counts().counts / crowd.counts().n_answers()[:, None]

    def confused():
        table = np.full((crowd.n_workers, n_labels, n_labels), smoothing)
        for worker, item, label in answers:
            for truth in range(n_labels):
                table[worker, label, truth] += chance[item, truth]
        for worker in range(crowd.n_workers):
            if tie:
                right = sum(table[worker, c, c] for c in range(n_labels)) / table[worker].sum()
                table[worker] = (1 - right) / (n_labels - 1)
                for c in range(n_labels):
                    table[worker, c, c] = right
            else:
                table[worker] /= table[worker].sum(axis=0)
        return table

    prior, errors = chance.mean(axis=0), confused()
    for _ in range(n_cycles):
        chance = np.tile(prior, (crowd.n_items, 1))
        for worker, item, label in answers:
            for truth in range(n_labels):
                chance[item, truth] *= errors[worker, label, truth]
        chance /= chance.sum(axis=1, keepdims=True)
        prior, errors = chance.mean(axis=0), confused()
    return chance, errors


class TestWorkerModels:
    @pytest.mark.parametrize("n_cycles", [1, 4])
    @pytest.mark.parametrize("smoothing", [0.01, 1.0])
    def test_dawid_skene_equals_plain_loops(self, smoothing, n_cycles):
        crowd = drawn(8, 12, share=0.7)
        method = DawidSkene(smoothing=smoothing, tolerance=0.0, max_cycles=n_cycles)
        found = aggregate(crowd, method=method)
        chance, errors = by_loops(crowd, smoothing, n_cycles)
        assert found.probabilities == pytest.approx(chance, abs=CLOSE)
        assert found.confusion == pytest.approx(errors, abs=CLOSE)

    @pytest.mark.parametrize("n_cycles", [1, 4])
    def test_one_coin_equals_plain_loops_with_tied_confusion(self, n_cycles):
        crowd = drawn(8, 12, share=0.7)
        method = OneCoin(
            smoothing=0.2, tolerance=0.0, max_cycles=n_cycles, label_shares="estimated"
        )
        found = aggregate(crowd, method=method)
        chance, errors = by_loops(crowd, 0.2, n_cycles, tie=True)
        assert found.probabilities == pytest.approx(chance, abs=CLOSE)
        assert found.confusion == pytest.approx(errors, abs=CLOSE)

    def test_tied_confusion_has_one_number_a_worker(self):
        counts = np.random.default_rng(1).uniform(size=(4, 3, 3))
        matrix = np.exp(tied_confusion(counts, smoothing=0.0, floor=0.0))
        right = np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2))
        assert matrix.sum(axis=1) == pytest.approx(np.ones((4, 3)), abs=EXACT)
        for place in range(3):
            assert matrix[:, place, place] == pytest.approx(right, abs=EXACT)
        assert matrix[:, 0, 1] == pytest.approx((1 - right) / 2, abs=EXACT)

    @pytest.mark.parametrize("kind", [DawidSkene, OneCoin])
    @pytest.mark.parametrize("seed", range(3))
    def test_a_cycle_never_lowers_the_likelihood(self, kind, seed):
        crowd = drawn(12, 30, share=0.5, seed=seed)
        found = aggregate(crowd, method=kind(smoothing=0.0, tolerance=1e-10))
        assert found.converged
        assert (np.diff(found.log_likelihood) > -CLOSE).all()

    @pytest.mark.parametrize("kind", [DawidSkene, OneCoin])
    def test_probabilities_and_confusion_sum_to_one(self, kind):
        found = aggregate(drawn(12, 30, share=0.5), method=kind())
        assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(30), abs=EXACT)
        assert found.confusion.sum(axis=1) == pytest.approx(np.ones((12, 3)), abs=EXACT)

    @pytest.mark.parametrize(
        "method", [Vote(), DawidSkene(), OneCoin(), AbilityVote()], ids=lambda m: type(m).__name__
    )
    def test_order_of_workers_and_answers_does_not_matter(self, method):
        crowd = drawn(15, 25, share=0.8)
        order = np.random.default_rng(3).permutation(len(crowd.label))
        names = [
            np.array(ids, dtype=object)[places[order]]
            for ids, places in (
                (crowd.workers, crowd.worker),
                (crowd.items, crowd.item),
                (crowd.label_set, crowd.label),
            )
        ]
        other = aggregate(CrowdLabels.from_triples(*names), method=method)
        mine = aggregate(crowd, method=method)
        again = other.distribution().loc[list(crowd.items)].to_numpy()
        assert again == pytest.approx(mine.probabilities, abs=1e-7)
        if mine.workers is not None:
            skills = other.workers.loc[list(crowd.workers), "accuracy"]
            assert skills.to_numpy() == pytest.approx(
                mine.workers["accuracy"].to_numpy(), abs=1e-7
            )

    def test_names_of_labels_do_not_matter(self):
        crowd = drawn(12, 30, share=0.6)
        flipped = replace(
            crowd, label_set=("a", "b", "c"), label=2 - crowd.label, gold=2 - crowd.gold
        )
        mine, other = (aggregate(c, method=DawidSkene()) for c in (crowd, flipped))
        assert other.probabilities[:, ::-1] == pytest.approx(mine.probabilities, abs=CLOSE)

    def test_estimated_workers_beat_the_vote_where_they_differ_in_skill(self):
        crowd = drawn(7, 400, seed=4, worst=0.1)
        vote, skene = (aggregate(crowd, method=m).accuracy() for m in (Vote(), DawidSkene()))
        assert skene > vote + 0.02

    def test_known_labels_stay_and_teach(self):
        crowd = drawn(6, 40, share=0.6, seed=5)
        known = dict(list(crowd.gold_labels().items())[:20])
        found = aggregate(crowd, method=DawidSkene(known=known))
        assert {item: found.labels()[item] for item in known} == known
        free = aggregate(crowd, method=DawidSkene())
        assert found.log_likelihood[-1] != free.log_likelihood[-1]
        clear = int(free.probabilities.max(axis=1).argmax())  # a label that nobody would doubt
        other = (free.label[clear] + 1) % crowd.n_labels
        against = {crowd.items[clear]: crowd.label_set[other]}
        sure = aggregate(crowd, method=DawidSkene(known=against))
        assert sure.probabilities[clear].tolist() == np.eye(crowd.n_labels)[other].tolist()
        with pytest.raises(ResponseError, match="nobody labelled: 'zzz'"):
            aggregate(crowd, method=DawidSkene(known={"zzz": "l0"}))

    def test_a_worker_is_as_accurate_as_the_confusion_matrix_says(self):
        crowd = drawn(12, 30, share=0.5)
        found = aggregate(crowd, method=DawidSkene(smoothing=0.1))
        shares = found.probabilities.mean(axis=0)
        right = [sum(m[c, c] * shares[c] for c in range(3)) for m in found.confusion]
        assert found.workers["accuracy"].to_numpy() == pytest.approx(right, abs=CLOSE)

    def test_a_floor_raises_counts_of_labels_that_a_worker_used(self):
        used = np.array([[1.0, 1.0, 0.0]])
        counts = np.array([[[4.0, 0, 0], [0, 2.0, 0], [0, 0, 0]]])
        made = np.exp(full_confusion(counts, used=used, smoothing=0.0, floor=0.5))
        assert made[0, :, 0] == pytest.approx([4 / 4.5, 0.5 / 4.5, 0])
        assert made[0, :, 1] == pytest.approx([0.5 / 2.5, 2 / 2.5, 0])
        assert made[0, :, 2] == pytest.approx([0.5, 0.5, 0])

    def test_unfinished_cycles_are_told(self):
        found = aggregate(drawn(12, 30), method=DawidSkene(max_cycles=2, tolerance=0.0))
        assert not found.converged
        assert "stopped after 2 cycles" in found.notes[-1]

    def test_a_worker_who_never_met_a_label_answers_it_at_random(self):
        lines = [f"{w} {i} {y}" for w in "abc" for i, y in (("i1", "p"), ("i2", "q"))]
        crowd = crowd_of([*lines, "d i1 p"])
        found = aggregate(crowd, method=DawidSkene(smoothing=0.0))
        assert found.confusion[3, :, 1].tolist() == [0.5, 0.5]
        assert found.labels() == {"i1": "p", "i2": "q"}

    @pytest.mark.parametrize("method", [DawidSkene(), OneCoin(), AbilityVote()])
    def test_counts_without_workers_are_refused(self, method, small):
        with pytest.raises(ResponseError, match="without workers"):
            aggregate(small.counts(), method=method)

    def test_one_label_alone_is_no_accident(self):
        crowd = crowd_of(["a i1 yes", "b i1 yes"])
        for method in (Vote(), DawidSkene(), OneCoin()):
            assert aggregate(crowd, method=method).labels() == {"i1": "yes"}


def test_real_crowds_are_labelled_better_than_by_the_vote(shared_data):
    for name, least in (("bluebird", 0.12), ("dog", 0.02)):
        labels = pd.read_csv(shared_data / "crowd" / f"{name}_label.csv", dtype=str)
        truth = pd.read_csv(shared_data / "crowd" / f"{name}_truth.csv", dtype=str)
        gold = dict(zip(truth["item"], truth["truth"], strict=True))
        crowd = CrowdLabels.from_frame(labels, gold=gold)
        vote, skene = (aggregate(crowd, method=m).accuracy() for m in (Vote(), DawidSkene()))
        assert skene > vote + least
