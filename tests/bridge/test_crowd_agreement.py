"""Agreement against loops over all pairs, and gold labels that look wrong."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest

from irtkit.bridge.crowd.agreement import (
    crowd_agreement,
    disagreement,
    entropy,
    fleiss_kappa,
    item_agreement,
    krippendorff_alpha,
)
from irtkit.bridge.crowd.label_errors import label_errors
from irtkit.bridge.crowd.labels import CrowdLabels
from irtkit.diagnostics.item_fit import item_fit
from irtkit.errors import ResponseError
from irtkit.estimation import MML, calibrate
from irtkit.models import Rasch, TwoPL
from tests.bridge.crowds import EXACT, GOLD, crowd_of, drawn


@pytest.fixture
def small():
    return crowd_of(gold=GOLD)


def alpha_by_pairs(counts, values, level):
    """Krippendorff's alpha by loops over all pairs of answers."""
    units = [np.repeat(np.arange(len(row)), row.astype(int)) for row in counts]
    units = [unit for unit in units if len(unit) > 1]
    pool = np.concatenate(units)
    margin = np.bincount(pool, minlength=counts.shape[1])

    def distance(a, b):
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (values[a] - values[b]) ** 2
        low, high = sorted((a, b))
        return (margin[low : high + 1].sum() - (margin[low] + margin[high]) / 2) ** 2 * (a != b)

    seen = sum(
        distance(a, b) / (len(unit) - 1)
        for unit in units
        for a, b in itertools.permutations(unit, 2)
    )
    expected = sum(distance(a, b) for a, b in itertools.permutations(pool, 2))
    return 1 - (seen / len(pool)) / (expected / (len(pool) * (len(pool) - 1)))


class TestAgreement:
    COUNTS = np.array([[3, 0, 1], [0, 2, 0], [1, 1, 1], [4, 0, 0], [0, 1, 3.0], [0, 2, 2]])
    VALUES = np.array([0.0, 1.0, 5.0])

    @pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
    def test_alpha_equals_loops_over_pairs(self, level):
        mine = krippendorff_alpha(self.COUNTS, self.VALUES, level)
        assert mine == pytest.approx(alpha_by_pairs(self.COUNTS, self.VALUES, level), abs=EXACT)

    @pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
    def test_alpha_equals_the_package(self, level):
        package = pytest.importorskip("krippendorff")
        counts = np.random.default_rng(8).integers(0, 4, size=(30, 5))
        counts = counts[counts.sum(axis=1) > 1].astype(float)
        values = np.array([0.0, 1.0, 2.0, 4.0, 9.0])
        theirs = package.alpha(
            value_counts=counts, value_domain=values, level_of_measurement=level
        )
        assert krippendorff_alpha(counts, values, level) == pytest.approx(theirs, abs=EXACT)

    def test_fleiss_kappa_is_that_of_his_example(self):
        # Wikipedia's worked example: 10 subjects, 14 raters, kappa 0.210
        counts = np.array(
            [
                [0, 0, 0, 0, 14],
                [0, 2, 6, 4, 2],
                [0, 0, 3, 5, 6],
                [0, 3, 9, 2, 0],
                [2, 2, 8, 1, 1],
                [7, 7, 0, 0, 0],
                [3, 2, 6, 3, 0],
                [2, 5, 3, 2, 2],
                [6, 5, 2, 1, 0],
                [0, 2, 2, 3, 7.0],
            ]
        )
        assert fleiss_kappa(counts) == pytest.approx(0.20993, abs=1e-5)

    def test_full_agreement_is_one_and_one_label_has_none(self):
        full = np.array([[3, 0], [0, 3], [3, 0.0]])
        assert fleiss_kappa(full) == pytest.approx(1.0)
        assert krippendorff_alpha(full, np.arange(2.0)) == pytest.approx(1.0)
        assert np.isnan(fleiss_kappa(full[:1]))

    def test_random_answers_agree_by_chance_alone(self):
        crowd = CrowdLabels.from_triples(
            *zip(
                *[
                    (f"w{w}", f"i{i}", f"l{y}")
                    for (w, i), y in zip(
                        itertools.product(range(8), range(400)),
                        np.random.default_rng(9).integers(3, size=3200),
                        strict=True,
                    )
                ],
                strict=True,
            )
        )
        table = crowd_agreement(crowd, n_draws=200, seed=1)
        assert table.loc["krippendorff_alpha", "value"] == pytest.approx(0.0, abs=0.02)
        kappa = table.loc["fleiss_kappa"]
        assert kappa["low"] < kappa["value"] < kappa["high"]

    def test_entropy_is_in_bits_and_disagreement_counts_pairs(self):
        counts = np.array([[2, 2, 0], [4, 0, 0], [1, 0, 0], [0, 0, 0.0]])
        assert entropy(counts)[:3].tolist() == [1.0, 0.0, 0.0]
        assert disagreement(counts)[:2].tolist() == pytest.approx([4 / 6, 0.0])
        assert np.isnan(disagreement(counts)[2:]).all()
        assert np.isnan(entropy(counts)[3])

    def test_items_are_described_by_their_ids(self, small):
        table = item_agreement(small)
        assert table.index.tolist() == list(small.items)
        assert table.loc["i1", ["n_answers", "n_labels"]].tolist() == [3, 2]
        assert table.loc["i1", "top_share"] == pytest.approx(2 / 3)

    def test_levels_need_numbers(self, small):
        with pytest.raises(ResponseError, match="needs numbers, but there is 'maybe'"):
            crowd_agreement(small, level="interval")
        with pytest.raises(ResponseError, match="Unknown level"):
            crowd_agreement(small, level="ratio")

    def test_numbers_are_ordered_as_numbers(self):
        lines = ["a i1 2", "b i1 10", "a i2 9", "b i2 10", "a i3 2", "b i3 2"]
        crowd = crowd_of(lines)
        mine = crowd_agreement(crowd, level="ordinal", n_draws=0).loc[
            "krippendorff_alpha", "value"
        ]
        counts = np.array([[1, 0, 1], [0, 1, 1], [2, 0, 0.0]])  # of 2, 9, 10
        assert mine == pytest.approx(alpha_by_pairs(counts, np.array([2.0, 9, 10]), "ordinal"))

    def test_single_answers_say_nothing(self):
        with pytest.raises(ResponseError, match="No item was labelled twice"):
            crowd_agreement(crowd_of(["a i1 yes", "b i2 no"]))


@pytest.fixture(scope="module")
def spoiled():
    """Forty workers, thirty items, the gold of three of them wrong."""
    crowd = drawn(40, 30, seed=11)
    gold = crowd.gold_labels()
    wrong = {"i3", "i8", "i20"}
    other = {"l0": "l1", "l1": "l2", "l2": "l0"}
    bad = {item: other[label] if item in wrong else label for item, label in gold.items()}
    return crowd.with_gold(bad), wrong, gold


class TestLabelErrors:
    def test_wrong_gold_labels_come_first(self, spoiled):
        crowd, wrong, gold = spoiled
        found = label_errors(crowd)
        assert set(found.index[:3]) == wrong
        assert all(found.loc[item, "suggested"] == gold[item] for item in wrong)
        assert found.loc["i3", "n_reasons"] >= 2

    def test_a_calibration_adds_its_reasons(self, spoiled):
        crowd, wrong, _ = spoiled
        calibration = calibrate(crowd.to_responses(), TwoPL(), method=MML(standard_errors=None))
        found = label_errors(crowd, calibration=calibration)
        assert set(found.index[:3]) == wrong
        assert all("negative slope" in found.loc[item, "reasons"] for item in wrong)
        assert {"s_x2", "p_adjusted", "discrimination"} <= set(found.columns)

    def test_misfit_is_a_reason_where_its_p_is_below_alpha(self, spoiled):
        crowd, _, _ = spoiled
        calibration = calibrate(crowd.to_responses(), Rasch(), method=MML(standard_errors=None))
        fit = item_fit(crowd.to_responses(), calibration)["p_adjusted"]
        alpha = float(fit.nsmallest(4).mean())  # some items below, some above
        found = label_errors(crowd, calibration=calibration, alpha=alpha)
        named = found.index[found["reasons"].str.contains("S-X2 rejects")]
        assert set(named) == set(fit.index[fit < alpha])
        assert 0 < len(named) < crowd.n_items

    def test_most_reasons_come_first_then_the_smallest_share(self):
        found = label_errors(drawn(12, 40, share=0.4, seed=12, worst=0.1))
        order = list(zip(-found["n_reasons"], found["share_gold"], strict=True))
        assert order == sorted(order)
        assert found["n_reasons"].nunique() > 1

    def test_confident_learning_marks_what_a_classifier_denies(self, spoiled):
        pytest.importorskip("cleanlab")
        crowd, wrong, gold = spoiled
        rows = [
            [0.9 if gold[item] == label else 0.05 for label in crowd.label_set]
            for item in crowd.items
        ]
        table = pd.DataFrame(rows, index=list(crowd.items), columns=list(crowd.label_set))
        found = label_errors(crowd, probabilities=table)
        marked = found.index[found["reasons"].str.contains("confident learning")]
        assert set(marked) == wrong
        assert found.loc["i3", "p_gold"] == pytest.approx(0.05)

    def test_without_cleanlab_one_command_is_named(self, spoiled, monkeypatch):
        crowd, _, _ = spoiled
        monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
        table = pd.DataFrame(
            np.full((30, 3), 1 / 3), index=list(crowd.items), columns=list(crowd.label_set)
        )
        with pytest.raises(ResponseError, match=r"irtkit\[labels\]"):
            label_errors(crowd, probabilities=table)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.iloc[:5], "25 items without predicted probabilities"),
            (lambda t: t.rename(columns={"l0": "x"}), "Give one column a label"),
            (lambda t: t * 3, "do not sum to 1"),
            (lambda t: t - 1, "negative or do not sum"),
            (lambda t: t * np.nan, "negative or do not sum"),
        ],
        ids=["items", "labels", "sum", "negative", "nan"],
    )
    def test_probabilities_that_are_none_are_refused(self, spoiled, change, message):
        crowd, _, _ = spoiled
        table = pd.DataFrame(
            np.full((30, 3), 1 / 3), index=list(crowd.items), columns=list(crowd.label_set)
        )
        with pytest.raises(ResponseError, match=message):
            label_errors(crowd, probabilities=change(table))

    def test_without_gold_there_is_nothing_to_judge(self):
        with pytest.raises(ResponseError, match="no gold labels"):
            label_errors(crowd_of())
