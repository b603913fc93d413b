"""Curves by summed score: shares by hand, expectations that S-X2 uses, refusals."""

import numpy as np
import pytest

from irtkit.diagnostics.item_fit import item_fit
from irtkit.diagnostics.score_curves import score_curves
from irtkit.errors import ModelError
from irtkit.estimation import calibrate
from irtkit.models import Graded, TwoPL
from irtkit.simulate import simulate

ITEMS = 5


@pytest.fixture(scope="module")
def known():
    responses = simulate(TwoPL(), n_persons=2000, n_items=ITEMS, seed=2).responses
    return responses, calibrate(responses, TwoPL())


def test_observed_shares_are_those_of_the_persons_with_that_score(known):
    responses, calibration = known
    table = score_curves(responses, calibration).set_index(["item", "score"])
    codes = responses.dense()
    total = codes.sum(axis=1)
    assert len(table) == ITEMS * (ITEMS - 1)
    for (item, score), row in table.iterrows():
        there = total == score
        assert row["n"] == there.sum()
        assert row["observed"] == codes[there, responses.items.index(item)].mean()
        assert row["low"] <= row["observed"] <= row["high"]
        assert row["low"] > 0 or row["high"] < 1


def test_squared_residuals_add_up_to_the_item_fit_where_no_scores_are_joined(known):
    responses, calibration = known
    table = score_curves(responses, calibration)
    total = (table["residual"] ** 2).groupby(table["item"], sort=False).sum()
    fewest = table["n"] * np.minimum(table["expected"], 1.0 - table["expected"])
    apart = fewest.groupby(table["item"], sort=False).min() >= 1.0
    assert apart.sum() >= 3
    expected = item_fit(responses, calibration)["s_x2"]
    np.testing.assert_allclose(total[apart], expected[apart], rtol=1e-9)


def test_expected_right_answers_at_a_score_add_up_to_it(known):
    table = score_curves(*known)
    total = table.groupby("score")["expected"].sum()
    np.testing.assert_allclose(total, total.index, rtol=1e-10)


def test_what_has_no_common_score_is_refused(known):
    responses, calibration = known
    codes = responses.dense().copy()
    codes[0, 0] = -1
    with pytest.raises(ModelError, match="left answers out"):
        score_curves(type(responses)(codes, responses.persons, responses.items), calibration)
    rated = simulate(Graded(), n_persons=200, n_items=3, seed=1).responses
    with pytest.raises(ModelError, match="right-or-wrong"):
        score_curves(rated, calibrate(rated, Graded()))
