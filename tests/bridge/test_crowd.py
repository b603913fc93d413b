"""Crowd labels: the noun, its way to responses and back, hashed workers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from irtkit.arrays import same
from irtkit.bridge.crowd.aggregation import (
    aggregate,
)
from irtkit.bridge.crowd.counts import LabelCounts
from irtkit.bridge.crowd.labels import CrowdLabels, hash_workers
from irtkit.bridge.crowd.worker_models import DawidSkene
from irtkit.coding import Coding
from irtkit.errors import ResponseError
from irtkit.responses import Responses
from tests.bridge.crowds import GOLD, crowd_of


@pytest.fixture
def small():
    return crowd_of(gold=GOLD)


class TestNoun:
    def test_labels_are_numbered_in_order_and_sorted(self, small):
        assert small.workers == ("a", "b", "c")
        assert small.items == ("i1", "i2", "i3", "i4")
        assert small.label_set == ("maybe", "no", "yes")
        assert small.gold.tolist() == [2, 1, -1, 0]
        assert small.gold_labels() == GOLD

    def test_arrays_cannot_be_changed(self, small):
        with pytest.raises(ValueError, match="read-only"):
            small.label[0] = 1

    def test_worker_ids_do_not_show_when_printed(self):
        made = crowd_of(["secretperson i1 yes", "other i1 no"])
        assert "secretperson" not in repr(made)
        assert "secretperson" not in repr(aggregate(made, method=DawidSkene()))

    def test_counts_are_those_of_the_triples(self, small):
        counts = small.counts()
        assert counts.counts.tolist() == [[0, 1, 2], [0, 3, 0], [1, 0, 1], [1, 0, 2]]
        assert counts.n_answers().tolist() == [3, 3, 2, 3]

    def test_weights_count_workers_by_their_weight(self, small):
        counts = small.counts(np.array([2.0, 0.5, 1.0])).counts
        assert counts[0].tolist() == [0, 1.0, 2.5]

    def test_empty_labels_are_left_out_and_told(self):
        frame = pd.DataFrame({"worker": list("abc"), "item": ["x"] * 3, "label": ["1", None, " "]})
        made = CrowdLabels.from_frame(frame)
        assert len(made.label) == 1
        assert made.notes == ("2 rows without a label left out.",)

    def test_label_map_and_normalisation_apply_to_gold_too(self):
        coding = Coding(label_map={"e": "Entailment"}, normalise_labels=True)
        made = crowd_of(["a i1 e", "b i1 ENTAILMENT"], gold={"i1": "e"}, coding=coding)
        assert made.label_set == ("entailment",)
        assert made.gold_labels() == {"i1": "entailment"}

    @pytest.mark.parametrize(
        ("repeats", "label"), [("first", "yes"), ("last", "no")], ids=["first", "last"]
    )
    def test_a_repeated_label_is_kept_by_policy(self, repeats, label):
        made = crowd_of(["a i1 yes", "b i1 no", "a i1 no"], repeats=repeats)
        kept = made.label[made.worker == made.workers.index("a")]
        assert [made.label_set[place] for place in kept] == [label]
        assert "1 repeated label left out." in made.notes

    def test_a_repeated_label_is_refused_by_default(self):
        with pytest.raises(ResponseError, match=r"'a x i1'.*repeats='first'"):
            crowd_of(["a i1 yes", "a i1 yes"])

    @pytest.mark.parametrize(
        ("lines", "more", "message"),
        [
            (["a i1 yes"], {"repeats": "drop"}, "Unknown policy 'drop'"),
            (["a i1 yes"], {"gold": {"i9": "yes"}}, "No item with a gold label was labelled"),
            (["a i1 yes", "b i1 Yes"], {}, "differ only in case"),
            (["a i1 yes", "b i1 no"], {"gold": {"i1": "yess"}}, "was never answered"),
        ],
        ids=["policy", "gold-elsewhere", "case", "gold-typo"],
    )
    def test_what_has_no_single_meaning_is_refused(self, lines, more, message):
        with pytest.raises(ResponseError, match=message):
            crowd_of(lines, **more)

    @pytest.mark.parametrize("role", ["worker", "item"])
    def test_an_empty_id_is_refused(self, role):
        frame = pd.DataFrame({"worker": ["a", "b"], "item": ["x", "y"], "label": ["1", "0"]})
        frame.loc[1, role] = None
        with pytest.raises(ResponseError, match=f"1 label without a {role} id"):
            CrowdLabels.from_frame(frame)

    def test_a_missing_column_is_named(self):
        with pytest.raises(ResponseError, match="no column 'label'"):
            CrowdLabels.from_frame(pd.DataFrame({"worker": ["a"], "item": ["x"]}))

    def test_sequences_of_unequal_length_are_refused(self):
        with pytest.raises(ResponseError, match="2 workers, 1 items"):
            CrowdLabels.from_triples(["a", "b"], ["x"], ["1"])

    def test_positions_out_of_range_are_refused(self, small):
        with pytest.raises(ResponseError, match="names a label that is not among the 3"):
            replace(small, label=small.label + 1)

    def test_choosing_workers_keeps_all_items(self, small):
        some = small.select_workers(["c"])
        assert some.items == small.items
        assert some.counts().counts.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
        with pytest.raises(ResponseError, match="1 worker not among the labels: 'z'"):
            small.select_workers(["z"])

    def test_choosing_items_drops_idle_workers(self, small):
        some = small.select_items(["i3"])
        assert (some.workers, some.items) == (("a", "b"), ("i3",))
        assert some.counts().counts.tolist() == [[1, 0, 1]]

    def test_label_counts_check_what_they_hold(self):
        with pytest.raises(ResponseError, match="label 'n' on item 'x' is -1"):
            LabelCounts(("x",), ("e", "n"), np.array([[1.0, -1.0]]))
        with pytest.raises(ResponseError, match="every count is zero"):
            LabelCounts(("x",), ("e", "n"), np.zeros((1, 2)))
        with pytest.raises(ResponseError, match="1 gold label not among the labels: 'c'"):
            LabelCounts.from_frame(pd.DataFrame({"e": [1]}, index=["x"]), gold={"x": "c"})


class TestResponses:
    def test_labels_are_graded_by_gold(self, small):
        graded = small.to_responses()
        assert graded.items == ("i1", "i2", "i4")
        assert graded.dense().tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 0]]
        assert graded.key == ("yes", "no", "maybe")
        assert "i3" in " ".join(graded.notes)

    def test_a_key_may_come_from_aggregation(self, small):
        key = aggregate(small).labels()
        assert small.to_responses(key).items == small.items

    def test_without_gold_or_key_grading_is_refused(self):
        with pytest.raises(ResponseError, match="nothing says which label is right"):
            crowd_of().to_responses()

    def test_responses_and_crowd_labels_are_one(self, small):
        there = small.to_responses(dict.fromkeys(small.items, "yes"))
        back = CrowdLabels.from_responses(there)
        assert back.counts().counts.tolist() == small.counts().counts.tolist()
        again = back.to_responses()
        assert same(again.codes, there.codes)

    def test_sparse_labels_are_read_as_dense_ones(self, small, monkeypatch):
        monkeypatch.setattr("irtkit.storage.DENSE_CELLS", 0)
        monkeypatch.setattr("irtkit.storage.SPARSE_SHARE", 2.0)
        there = small.to_responses(dict.fromkeys(small.items, "yes"))
        assert not isinstance(there.labels, np.ndarray)
        back = CrowdLabels.from_responses(there)
        assert back.counts().counts.tolist() == small.counts().counts.tolist()

    def test_codes_without_labels_are_refused(self):
        with pytest.raises(ResponseError, match="came as codes"):
            CrowdLabels.from_responses(Responses.from_array([[0, 1], [1, 0]]))


class TestHashing:
    def test_the_same_salt_gives_the_same_ids_and_another_does_not(self, small):
        one, two = hash_workers(small, salt="s"), hash_workers(small, salt="s")
        other = hash_workers(small, salt="t")
        assert one.workers == two.workers
        assert not set(one.workers) & set(other.workers)
        assert len(set(one.workers)) == small.n_workers

    def test_without_a_salt_no_two_hashes_agree(self, small):
        assert not set(hash_workers(small).workers) & set(hash_workers(small).workers)

    def test_ids_are_gone_and_labels_stay(self, small):
        hashed = hash_workers(small, salt="s")
        assert not set(hashed.workers) & set(small.workers)
        assert same(hashed.label, small.label)

    def test_an_empty_salt_is_refused(self, small):
        with pytest.raises(ResponseError, match="salt is empty"):
            hash_workers(small, salt="")
