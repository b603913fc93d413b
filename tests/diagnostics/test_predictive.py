"""Posterior predictive checks: quiet where the model holds, loud where a fault was planted."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymc")
pytest.importorskip("nutpie")

import scipy.sparse as sp

from irtkit.diagnostics.classical import classical_table
from irtkit.diagnostics.predictive import (
    Cells,
    _log_odds_ratios,
    predictive_items,
    predictive_pairs,
    predictive_scores,
)
from irtkit.errors import ModelError
from irtkit.estimation.bayes import NUTS, sample_posterior
from irtkit.models import Graded, Rasch, TwoPL
from irtkit.simulate import simulate

QUICK = NUTS(draws=200, tune=300, chains=2)
DRAWS = 100
SMALLEST_P = 2.0 / (DRAWS + 1)


@lru_cache(maxsize=4)
def posterior(fault="", missing=0.0):
    drawn = simulate(TwoPL(), n_persons=600, n_items=10, missing=missing, seed=1)
    codes = drawn.responses.dense().copy()
    rng = np.random.default_rng(0)
    if fault == "copied":
        same = rng.random(600) < 0.4
        codes[same, 1] = codes[same, 0]
    if fault == "folded":
        chance = 1.0 / (1.0 + np.exp(1.5 * np.abs(drawn.theta) - 1.5))
        codes[:, 9] = rng.random(600) < chance
    if fault == "two groups":
        high = rng.random(600) < 0.5
        codes[high] = rng.random((int(high.sum()), 10)) < 0.95
        codes[~high] = rng.random((int((~high).sum()), 10)) < 0.15
    return sample_posterior(replace(drawn.responses, codes=codes), TwoPL(), sampler=QUICK)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_answers_of_the_model_raise_no_alarm(missing):
    found = posterior(missing=missing)
    items = predictive_items(found, n_draws=DRAWS)
    pairs = predictive_pairs(found, n_draws=DRAWS)
    scores = predictive_scores(found, n_draws=DRAWS)
    assert (items["p"] > 0.01).all()
    assert (items["p_item_rest"] > 0.05).all()
    assert (pairs["p"] <= 0.05).mean() < 0.1
    assert (scores["p"] > SMALLEST_P).all()
    assert items["item_rest"].to_numpy() == pytest.approx(
        classical_table(found.responses)["item_rest"].to_numpy()
    )
    assert scores["observed"].sum() == (found.responses.n_answered() > 0).sum()
    assert scores["expected"].sum() == pytest.approx(scores["observed"].sum(), rel=0.01)
    between = items["item_rest_low"] < items["item_rest_expected"]
    assert between.all()


def test_an_item_copied_from_another_is_the_worst_pair():
    pairs = predictive_pairs(posterior("copied"), n_draws=DRAWS)
    assert pairs.index[0] == ("i1", "i2")
    assert pairs.iloc[0]["p"] == pytest.approx(SMALLEST_P)
    assert pairs.iloc[0]["standardised"] > 4.0
    assert pairs.iloc[0]["log_odds_ratio"] > pairs.iloc[0]["high"]


def test_a_folded_item_does_not_follow_its_course():
    items = predictive_items(posterior("folded"), n_draws=DRAWS)
    assert items["misfit"].idxmax() == "i10"
    assert items.loc["i10", "p"] < 0.05


def test_two_groups_of_persons_have_other_scores():
    scores = predictive_scores(posterior("two groups"), n_draws=DRAWS)
    assert (scores["p"] <= SMALLEST_P + 1e-12).sum() >= 3


def test_complete_scores_are_counted_one_by_one():
    found = posterior()
    scores = predictive_scores(found, n_draws=20)
    counts = np.bincount(found.responses.dense().sum(axis=1), minlength=11)
    assert scores["observed"].tolist() == counts.tolist()
    assert scores.index.tolist() == pytest.approx((np.arange(11) / 10).tolist())


def test_odds_ratios_are_those_of_the_two_by_two_tables():
    responses = simulate(TwoPL(), n_persons=90, n_items=4, missing=0.2, seed=3).responses
    codes = responses.dense()
    mean = classical_table(responses)["mean_code"].to_numpy()
    found = _log_odds_ratios(Cells.of(responses), mean)
    both = (codes[:, 0] >= 0) & (codes[:, 2] >= 0)
    table = pd.crosstab(codes[both, 0], codes[both, 2]).to_numpy() + 0.5
    exact = np.log(table[0, 0] * table[1, 1] / table[0, 1] / table[1, 0])
    assert found[0, 2] == pytest.approx(exact)
    assert found == pytest.approx(found.T)


def test_sparse_answers_and_weights_give_the_same_observed_values():
    found = posterior(missing=0.3)
    codes = found.responses.dense()
    csr = replace(found.responses, codes=sp.csr_array((codes + 1).astype(np.int8)))
    sparse = replace(found, responses=csr)
    for function in (predictive_items, predictive_pairs, predictive_scores):
        one, two = function(found, n_draws=3), function(sparse, n_draws=3)
        first = one.columns[0]
        assert two[first].sort_index().to_numpy() == pytest.approx(
            one[first].sort_index().to_numpy()
        )
    doubled = replace(found, responses=replace(found.responses, weights=np.full(600, 2.0)))
    one, two = (predictive_scores(each, n_draws=3) for each in (found, doubled))
    assert two["observed"].to_numpy() == pytest.approx(2.0 * one["observed"].to_numpy())
    assert two["expected"].sum() == pytest.approx(2.0 * one["expected"].sum())


@pytest.mark.parametrize("model", [Rasch(), Graded()], ids=lambda m: m.name)
def test_other_models_are_checked_too(model):
    size = 3 if model.ordinal else 2
    drawn = simulate(model, n_persons=300, n_items=6, n_categories=size, seed=5).responses
    found = sample_posterior(drawn, model, sampler=NUTS(draws=100, tune=200, chains=2))
    items = predictive_items(found, n_draws=DRAWS)
    assert (items["p"] > 0.01).all()
    assert len(predictive_pairs(found, n_draws=5)) == 15
    scores = predictive_scores(found, n_draws=DRAWS)
    assert len(scores) == 6 * (size - 1) + 1
    assert (scores["p"] > SMALLEST_P).all()


def test_equal_seeds_give_equal_tables():
    found = posterior()
    one, two, three = (predictive_items(found, n_draws=5, seed=seed) for seed in (1, 1, 2))
    assert one.equals(two)
    assert not one.equals(three)


def test_too_many_items_for_all_pairs_are_refused(monkeypatch):
    monkeypatch.setattr("irtkit.diagnostics.predictive.MOST_PAIR_ITEMS", 9)
    with pytest.raises(ModelError, match="too many to replicate"):
        predictive_pairs(posterior())
