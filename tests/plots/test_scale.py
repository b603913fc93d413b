"""Persons and items on the scale, models beside each other: the numbers on the axes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from irtkit import plots
from irtkit.errors import ModelError
from irtkit.latent import Normal
from irtkit.models import Nominal, Rasch
from irtkit.plots.style import ability_label
from irtkit.scoring import score, test_information
from irtkit.simulate import simulate
from tests.diagnostics.calibrations import given, true_calibration
from tests.plots import results
from tests.plots.reading import bars, curves, legend_words

N_NAMED = 26  # items that need a taller map


def test_information_and_its_standard_error_are_those_of_the_table():
    table = test_information(results.calibrated()[1])
    ax = plots.information(table)
    (information,) = curves(ax)
    np.testing.assert_array_equal(information[:, 0], table.index)
    np.testing.assert_array_equal(information[:, 1], table["information"])
    beside = next(other for other in ax.figure.axes if other is not ax)
    np.testing.assert_array_equal(curves(beside)[0][:, 1], table["standard_error"])
    assert "Standard error" in beside.get_ylabel()


def test_an_infinite_standard_error_does_not_stretch_the_axis():
    table = test_information(results.calibrated()[1])
    table.iloc[0, 1] = np.inf
    ax = plots.information(table)
    beside = next(other for other in ax.figure.axes if other is not ax)
    assert beside.get_ylim() == (0.0, 2.0)
    assert plots.picture(ax)


def markers(ax):
    return [line.get_xydata()[0] for line in ax.lines if len(line.get_xydata()) == 1]


def test_items_of_a_wright_map_stand_at_their_difficulties():
    _, known = results.calibrated()
    ax = plots.wright_map(known)
    difficulty = known.table()["difficulty"]
    written = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert {name: written[name] for name in known.items} == dict(difficulty)
    assert sorted(place for _, place in markers(ax)) == sorted(difficulty)


def test_thresholds_of_a_wright_map_are_numbered():
    _, known = results.rated()
    written = {text.get_text(): text.get_position()[1] for text in plots.wright_map(known).texts}
    table = known.table()
    for item in known.items:
        for number in (1, 2, 3):
            assert written[f"{item}.{number}"] == table.loc[item, f"threshold_{number}"]


def test_persons_of_a_wright_map_are_counted():
    answers, known = results.calibrated()
    theta = score(answers, known).theta
    ax = plots.wright_map(known, [*theta, np.inf, np.nan])
    widths = np.array([patch.get_width() for patch in ax.patches])
    counts = np.histogram(theta, len(widths))[0]
    np.testing.assert_allclose(widths, -counts / counts.max())
    assert f"Persons (longest bar {counts.max()})" in [text.get_text() for text in ax.texts]


def test_items_too_many_to_name_are_counted():
    known = true_calibration(simulate(Rasch(), n_persons=5, n_items=400, seed=1))
    ax = plots.wright_map(known)
    widths = np.array([patch.get_width() for patch in ax.patches if patch.get_width() > 0])
    most = int(next(t for t in ax.texts if "longest bar" in t.get_text()).get_text().split()[-1])
    assert round(widths.sum() * most) == 400
    assert not markers(ax)


def test_a_wright_map_grows_before_it_gives_up_on_names():
    heights = []
    for n_items in (10, N_NAMED):
        made = simulate(Rasch(), n_persons=5, n_items=n_items, seed=2)
        ax = plots.wright_map(true_calibration(made))
        assert len(markers(ax)) == n_items
        heights.append(ax.figure.get_figheight())
    assert heights[1] > heights[0]


def test_names_of_a_wright_map_do_not_overlap():
    made = simulate(Rasch(), n_persons=5, n_items=N_NAMED, seed=2)
    known = replace(
        true_calibration(made), items=tuple(f"question {number}" for number in range(N_NAMED))
    )
    ax = plots.wright_map(known)
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    for number, box in enumerate(boxes):
        for other in boxes[number + 1 :]:
            overlap = np.minimum(box.max, other.max) - np.maximum(box.min, other.min)
            assert (overlap < 2.0).any()


def test_items_without_difficulties_are_refused():
    from irtkit.models import Assignment

    known = given(Assignment.of([Nominal()] * 3, [3] * 3), np.ones((3, 4)))
    with pytest.raises(ModelError, match="no item has a difficulty"):
        plots.wright_map(known)


def test_the_distribution_of_abilities_counts_every_person():
    theta = np.array([-1.0, 0.0, 0.1, 0.2, 2.0, np.nan, -np.inf])
    ax = plots.ability_distribution(theta, latent=Normal())
    outline, heights = ax.patches[-1], [patch.get_height() for patch in ax.patches[:-1]]
    assert sum(heights) == pytest.approx(100.0)
    values, edges, _ = outline.get_data()
    np.testing.assert_allclose(values, 100.0 * np.diff(Normal().cdf(edges)))
    assert legend_words(ax) == ["5 persons", "population"]


@pytest.mark.parametrize("theta", [[], [np.nan, np.inf]])
def test_persons_without_abilities_are_refused(theta):
    with pytest.raises(ModelError, match="no person has a finite ability"):
        plots.ability_distribution(theta)
    with pytest.raises(ModelError, match="no person has a finite ability"):
        plots.wright_map(results.calibrated()[1], theta)


def test_models_stand_at_their_ability_and_percentile():
    scale, table = results.scale(), results.models()
    ax = plots.percentile_curve(scale, table)
    lines = curves(ax)
    np.testing.assert_array_equal(lines[0][:, 0], scale.norms.theta)
    np.testing.assert_array_equal(lines[0][:, 1], 100.0 * scale.norms.at_or_below)
    latent = scale.calibration.latent
    np.testing.assert_array_equal(lines[1][:, 1], 100.0 * latent.cdf(lines[1][:, 0]))
    np.testing.assert_array_equal(np.vstack(lines[2:]), table[["theta", "percentile"]])
    across, up = bars(ax)[::2], bars(ax)[1::2]
    np.testing.assert_array_equal(across[:, :, 0], table[["theta_low", "theta_high"]])
    np.testing.assert_array_equal(up[:, :, 1], table[["percentile_low", "percentile_high"]])
    assert legend_words(ax)[2] == "q1: 31 (10 to 60)"


def test_models_without_intervals_of_theta_have_none():
    table = results.models().drop(columns=["theta_low", "theta_high"])
    assert len(bars(plots.percentile_curve(results.scale(), table))) == 3


def test_a_leaderboard_is_sorted_and_keeps_models_without_numbers():
    table = results.models()
    table.loc["lost"] = np.nan
    ax = plots.leaderboard(table)
    order = ["q2", "q3", "q1", "lost"]
    assert [text.get_text() for text in ax.get_yticklabels()] == order
    np.testing.assert_array_equal(curves(ax)[0][:, 0], table.loc[order, "theta"])
    np.testing.assert_array_equal(
        bars(ax)[:, :, 0], table.loc[order[:3], ["theta_low", "theta_high"]]
    )
    assert "93 (70 to 99)" in [text.get_text() for text in ax.texts]


def test_too_many_models_are_refused_with_the_remedy():
    table = pd.concat([results.models()] * 14)
    with pytest.raises(ModelError, match=r"42 models are too many.*nlargest\(40"):
        plots.leaderboard(table)
    with pytest.raises(ModelError, match="at most 8"):
        plots.percentile_curve(results.scale(), table)


def test_percentiles_after_fine_tuning_stand_at_their_training_size():
    table = results.tuned()
    ax = plots.finetuning_curve(table)
    assert ax.get_xscale() == "log"
    assert legend_words(ax) == ["q1", "q3"]
    for method, line in zip(("q1", "q3"), curves(ax), strict=True):
        rows = table[table["method"] == method].sort_values("training_size")
        np.testing.assert_array_equal(line, rows[["training_size", "percentile"]])
    rows = table.sort_values(["method", "training_size"])
    np.testing.assert_array_equal(bars(ax)[:, :, 1], rows[["percentile_low", "percentile_high"]])
    low, high = ax.get_xlim()
    assert low < 10 < 1000 < high
    assert [text.get_text() for text in ax.get_xticklabels()] == ["10", "100", "1,000"]


def test_untrained_models_are_drawn_on_a_linear_axis():
    table = results.tuned().replace({"training_size": {10: 0}})
    assert plots.finetuning_curve(table).get_xscale() == "linear"


def test_scales_are_not_drawn_together():
    table = results.tuned(scales=2)
    with pytest.raises(ModelError, match=r"2 scales \('q1', 'q2'\), whose percentiles do not"):
        plots.finetuning_curve(table)
    ax = plots.finetuning_curve(table, scale="q2")
    assert sorted(curves(ax)[0][:, 1]) == [30.0, 43.0, 60.0]
    with pytest.raises(ModelError, match="no scale 'q9'"):
        plots.finetuning_curve(table, scale="q9")


def test_label_bars_lie_end_to_end():
    table = results.scale().label_distribution()
    ax = plots.label_bars(table, gold={"q1": "yes"})
    widths = np.array([patch.get_width() for patch in ax.patches]).reshape(3, 8).T
    np.testing.assert_allclose(widths, table)
    ends = [patch.get_x() + patch.get_width() for patch in ax.patches[-8:]]
    np.testing.assert_allclose(ends, 1.0)
    assert legend_words(ax) == ["no", "$maybe$", "yes"]
    assert [text.get_text() for text in ax.texts] == ["right answer", "yes"]


def test_too_many_labels_or_items_are_refused():
    table = results.scale().label_distribution()
    with pytest.raises(ModelError, match="9 labels are too many"):
        plots.label_bars(pd.DataFrame(np.ones((2, 9)) / 9))
    with pytest.raises(ModelError, match=r"48 items are too many.*distribution\.loc"):
        plots.label_bars(pd.concat([table] * 6))


def test_abilities_are_named_with_their_unit():
    _, known = results.calibrated()
    rasch = true_calibration(simulate(Rasch(), n_persons=5, n_items=3, seed=1))
    assert ability_label(known).endswith("(standard deviations of the population)")
    assert ability_label(replace(known, latent=Normal(0.3, 1.0))).endswith("(units of the scale)")
    assert ability_label(rasch).endswith("(logits)")
