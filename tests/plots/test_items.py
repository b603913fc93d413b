"""Curves of items: what is drawn is what the model and the table say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from irtkit import plots
from irtkit.errors import ModelError
from irtkit.estimation.calibration import restricted
from tests.plots import results
from tests.plots.reading import bars, curves, legend_words


def test_an_item_curve_is_the_models():
    _, known = results.calibrated()
    (curve,) = curves(plots.item_curve(known, "q3"))
    chance = np.exp(restricted(known, [2]).log_prob(curve[:, 0]))[:, 0, 1]
    np.testing.assert_array_equal(curve[:, 1], chance)
    assert (curve[0, 0], curve[-1, 0]) == (-4.0, 4.0)


def test_observed_shares_of_right_answers_stand_at_their_ability_with_their_interval():
    _, known = results.calibrated()
    table = results.observed()
    ax = plots.item_curve(known, "q3", observed=table)
    rows = table[(table["item"] == "q3") & (table["category"] == "1")]
    np.testing.assert_array_equal(curves(ax)[1], rows[["theta", "observed"]])
    np.testing.assert_array_equal(bars(ax)[:, :, 1], rows[["low", "high"]])
    np.testing.assert_array_equal(bars(ax)[:, 0, 0], rows["theta"])
    assert legend_words(ax) == ["model", "observed, with 95% interval"]


def test_each_category_has_its_curve_and_points():
    answers, known = results.rated()
    table = plots_table(answers, known)
    ax = plots.category_curves(known, "q2", observed=table)
    lines = curves(ax)
    chance = np.exp(restricted(known, [1]).log_prob(lines[0][:, 0]))[:, 0]  # (Q, K)
    for code in range(4):
        np.testing.assert_array_equal(lines[2 * code][:, 1], chance[:, code])
        rows = table[(table["item"] == "q2") & (table["category"] == str(code))]
        np.testing.assert_array_equal(lines[2 * code + 1], rows[["theta", "observed"]])
    assert legend_words(ax) == ["0", "1", "2", "3"]


def plots_table(answers, known):
    from irtkit.diagnostics.ability_groups import item_curves

    return item_curves(answers, known, n_groups=4)


def test_the_curve_of_an_item_with_categories_shows_them_all():
    _, known = results.rated()
    assert len(plots.item_curve(known, "q1").lines) == 4


def test_each_group_has_its_curve_and_its_points():
    groups = results.grouped()
    table = results.observed()
    ax = plots.group_curves(groups, "q1", observed={groups.groups[1]: table})
    lines = curves(ax)
    for place, part in enumerate(groups.calibrations):
        single = restricted(part, [0])
        curve = single.assignment.expected_score(single.parameters, lines[place][:, 0])[:, 0]
        np.testing.assert_array_equal(lines[place][:, 1], curve)
    rows = table[(table["item"] == "q1") & (table["category"] == "1")]
    np.testing.assert_array_equal(lines[2], rows[["theta", "observed"]])
    assert legend_words(ax) == list(groups.groups)
    assert not np.allclose(lines[0][:, 1], lines[1][:, 1])


def test_observed_answers_of_an_unknown_group_are_refused():
    with pytest.raises(ModelError, match="unknown groups: 'nobody'"):
        plots.group_curves(results.grouped(), "q1", observed={"nobody": results.observed()})


def test_scores_and_residuals_are_those_of_the_table():
    table = results.by_score()
    rows = table[table["item"] == "q4"]
    ax = plots.score_curve(table, "q4")
    np.testing.assert_array_equal(curves(ax)[0], rows[["score", "expected"]])
    np.testing.assert_array_equal(curves(ax)[1], rows[["score", "observed"]])
    np.testing.assert_array_equal(bars(ax)[:, :, 1], rows[["low", "high"]])
    ax = plots.score_residuals(table, "q4")
    np.testing.assert_array_equal(curves(ax)[-1], rows[["score", "residual"]])
    limits = [curve[0, 1] for curve in curves(ax)[1:3]]
    assert limits == [-1.96, 1.96]


def test_unknown_residuals_leave_a_gap_and_nothing_else():
    table = results.by_score()
    table.loc[table.index[3], "residual"] = np.nan
    ax = plots.score_residuals(table, "q1")
    assert np.isnan(curves(ax)[-1][3, 1])
    assert plots.picture(ax)


def test_an_unknown_item_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match=r"no item 'kitchn'.*Did you mean 'kitchen'"):
        plots.item_curve(
            replace(results.calibrated()[1], items=("kitchen", *results.PLAIN[1:])), "kitchn"
        )


def test_an_item_without_parameters_is_refused_with_its_state():
    _, known = results.calibrated()
    parameters = known.parameters.copy()
    parameters[1] = np.nan
    states = ("ok", "constant", *known.states[2:])
    with pytest.raises(ModelError, match=r"'q2' has no parameters \(constant\)"):
        plots.item_curve(replace(known, parameters=parameters, states=states), "q2")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"item": []}), "no columns 'category', 'theta'"),
        (results.by_score().iloc[:0], "no columns 'category', 'theta'"),
    ],
)
def test_a_table_of_another_kind_is_refused(table, message):
    with pytest.raises(ModelError, match=message):
        plots.item_curve(results.calibrated()[1], "q1", observed=table)


def test_an_empty_table_and_an_absent_item_are_refused():
    table = results.by_score()
    with pytest.raises(ModelError, match="nothing to draw: the table of score_curves has no rows"):
        plots.score_curve(table.iloc[:0], "q1")
    with pytest.raises(ModelError, match="no rows of the item 'q99'"):
        plots.score_curve(table, "q99")


def test_words_among_numbers_are_refused():
    table = results.by_score().astype({"observed": object})
    table.loc[0, "observed"] = "much"
    with pytest.raises(ModelError, match="'observed' should hold numbers; it holds 'much'"):
        plots.score_curve(table, "q1")
