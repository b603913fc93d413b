"""Pairs of items, the course of screenings and estimations, posteriors: numbers on the axes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from irtkit import plots
from irtkit.errors import ModelError
from irtkit.estimation.bayes.prior_draws import prior_draws
from irtkit.models import TwoPL
from tests.bayes.posteriors import given, well_mixed
from tests.plots import results
from tests.plots.reading import bars, curves, legend_words


def test_cells_of_a_dependence_map_are_those_of_the_table():
    table = results.pairs()
    ax = plots.dependence_map(table, statistic="cramer_v")
    matrix = ax.images[0].get_array().filled(np.nan)
    for (one, two), value in table["cramer_v"].items():
        cells = int(one[1:]) - 1, int(two[1:]) - 1
        assert matrix[cells] == matrix[cells[::-1]] == value
    assert np.isnan(np.diag(matrix)).all()
    low, high = ax.images[0].get_clim()
    assert low == -high == -table["cramer_v"].abs().max()


def test_significant_pairs_of_a_dependence_map_have_a_dot_on_both_sides():
    table = results.pairs().assign(p_adjusted=1.0)
    table.loc[("q2", "q5"), "p_adjusted"] = 0.01
    dots = plots.dependence_map(table).collections[0].get_offsets()
    assert sorted(map(tuple, np.asarray(dots))) == [(1.0, 4.0), (4.0, 1.0)]


def test_pairs_without_answers_stay_empty():
    table = results.pairs().copy()
    table.loc[("q1", "q2"), "q3_adjusted"] = np.nan
    matrix = plots.dependence_map(table).images[0].get_array().filled(np.nan)
    assert np.isnan(matrix[0, 1])
    assert np.isfinite(matrix[0, 2])


def test_a_dependence_graph_shows_the_strongest_pairs():
    table = results.pairs()
    ax = plots.dependence_graph(table, statistic="q3", n_top=3)
    strongest = table["q3"].abs().nlargest(3)
    edges = [line for line in ax.lines if len(line.get_xydata()) == 2]
    widths = [line.get_linewidth() for line in edges]
    np.testing.assert_allclose(widths, 1.0 + 5.0 * strongest / strongest.max())
    signs = [line.get_linestyle() == "-" for line in edges]
    assert signs == [bool(table["q3"][pair] > 0) for pair in strongest.index]
    named = {text.get_text() for text in ax.texts}
    assert {item for pair in strongest.index for item in pair} <= named
    values = {
        f"{table['q3'][pair]:.2g}".replace("-", "\N{MINUS SIGN}") for pair in strongest.index
    }
    assert values <= named


def test_the_ends_of_a_graphs_lines_are_the_places_of_their_items():
    table = results.pairs()
    ax = plots.dependence_graph(table, n_top=2)
    dots = {tuple(line.get_xydata()[0]) for line in ax.lines if len(line.get_xydata()) == 1}
    ends = {
        tuple(end) for line in ax.lines if len(line.get_xydata()) == 2 for end in line.get_xydata()
    }
    assert ends == dots


def test_tables_that_hold_no_pairs_are_refused():
    table = results.pairs()
    with pytest.raises(ModelError, match="not indexed by pairs"):
        plots.dependence_map(table.reset_index())
    with pytest.raises(ModelError, match="no rows"):
        plots.dependence_graph(table.iloc[:0])
    with pytest.raises(ModelError, match="no pair has a known q3"):
        plots.dependence_graph(table.assign(q3=np.nan), statistic="q3")
    with pytest.raises(ModelError, match="31 pairs are too many"):
        plots.dependence_graph(table, n_top=31)


def test_too_many_items_for_a_map_are_refused_with_the_remedy():
    names = [f"q{number}" for number in range(302)]
    index = pd.MultiIndex.from_tuples([(names[0], name) for name in names[1:]])
    with pytest.raises(ModelError, match=r"302 items are too many.*dependence_graph"):
        plots.dependence_map(pd.DataFrame({"q3_adjusted": 0.1}, index=index))


@pytest.mark.parametrize("n", [4, 60])
@pytest.mark.parametrize("column", ["items_after", "reliability_after"])
def test_a_screening_path_shows_what_was_left_after_each_drop(n, column):
    log = results.log(n=n)
    drops = log[log["decision"] == "drop"]
    lines = curves(plots.screening_path(log, column=column))
    if n == 4:
        before = drops[column.replace("after", "before")].iloc[0]
        np.testing.assert_array_equal(lines[0][:, 0], [before, *drops[column]])
    else:
        np.testing.assert_array_equal(lines[0][:, 1], drops[column])
        assert sum(len(line) for line in lines[1:]) == n


def test_a_screening_path_says_the_rule_and_its_statistic():
    log = results.log()
    ax = plots.screening_path(log)
    assert [text.get_text() for text in ax.texts] == [
        "9",
        "8 · item-rest correlation 12.5",
        "7 · communality 13.5",
        "6 · S-X² 14.5",
        "5 · analyst",
    ]
    rows = [text.get_text() for text in ax.get_yticklabels()]
    assert rows == ["all items", "q1", "q2", "q3", "q4"]


def test_a_last_calibration_that_failed_is_unknown_and_drawn():
    log = results.log()
    log.loc[log.index[-1], "reliability_after"] = np.nan
    texts = plots.screening_path(log, column="reliability_after").texts
    assert texts[-1].get_text() == "unknown · analyst"


def test_a_screening_without_drops_is_refused():
    log = results.log()
    with pytest.raises(ModelError, match="dropped no item"):
        plots.screening_path(log[log["decision"] == "note"])
    with pytest.raises(ModelError, match="no path of 'p'"):
        plots.screening_path(log, column="p")


def test_eigenvalues_stand_beside_their_reference_and_retained_ones_are_filled():
    table = results.eigen()
    observed, reference, kept = curves(plots.eigenvalues(table))
    np.testing.assert_array_equal(observed[:, 1], table["eigenvalue"])
    np.testing.assert_array_equal(reference[:, 1], table["reference"])
    np.testing.assert_array_equal(kept, [[1.0, 5.0]])


def test_only_the_first_components_are_drawn_and_it_says_so():
    table = pd.concat([results.eigen()] * 8, ignore_index=True)
    table.index = pd.RangeIndex(1, 33)
    ax = plots.eigenvalues(table)
    assert len(curves(ax)[0]) == 20
    assert ax.get_xlabel() == "Component (the first 20 of 32)"


def test_convergence_shows_the_history():
    _, known = results.calibrated()
    ax = plots.convergence(known)
    np.testing.assert_array_equal(curves(ax)[0], known.convergence.history)
    assert ax.get_title("left") == f"Converged after {known.n_cycles} cycles"
    lost = replace(known.convergence, converged=False, history=np.empty((0, 2)))
    with pytest.raises(ModelError, match="kept no history"):
        plots.convergence(replace(known, convergence=lost))


def test_a_trace_shows_every_draw_of_every_chain():
    posterior = given(well_mixed(n_chains=3, n_draws=50))
    ax = plots.trace(posterior, "intercept", "i2")
    draws = posterior.by_name()["intercept"][..., 1]
    for chain, line in zip(draws, curves(ax), strict=True):
        np.testing.assert_array_equal(line[:, 1], chain)
    assert legend_words(ax) == ["chain 1", "chain 2", "chain 3"]


def test_a_trace_marks_divergences_and_takes_parameters_of_the_population():
    lost = np.zeros((4, 600))
    lost[1, 7] = 1.0
    sd = np.random.default_rng(1).normal(size=(4, 600))
    statistics = {"diverging": lost, "energy": sd}
    posterior = given(well_mixed(), {"theta_sd": sd}, statistics)
    ax = plots.trace(posterior, "theta_sd")
    np.testing.assert_array_equal(curves(ax)[-1], [[8.0, sd[1, 7]]])
    assert legend_words(ax)[-1] == "divergence"
    assert ax.get_ylabel() == "Theta sd"


@pytest.mark.parametrize(
    ("parameter", "item", "message"),
    [
        ("difculty", "i1", "no parameter 'difculty'.*Did you mean 'difficulty'"),
        ("difficulty", "i9", "no item 'i9'"),
    ],
)
def test_unknown_parameters_and_items_are_refused(parameter, item, message):
    with pytest.raises(ModelError, match=message):
        plots.trace(given(well_mixed(n_draws=5)), parameter, item)


def intervals(n=3):
    index = pd.MultiIndex.from_product([["difficulty"], [f"i{k}" for k in range(n)]])
    middle = np.linspace(-1, 1, n)
    r_hat = np.where(np.arange(n) == 1, 1.2, 1.0)
    table = {"median": middle, "low": middle - 0.2, "high": middle + 0.3, "r_hat": r_hat}
    return pd.DataFrame(table, index=index.set_names(["parameter", "item"]))


def test_a_forest_shows_intervals_and_opens_what_did_not_converge():
    table = intervals()
    ax = plots.forest(table, "difficulty")
    np.testing.assert_array_equal(bars(ax)[:, :, 0], table[["low", "high"]])
    filled, opened = ax.lines
    np.testing.assert_array_equal(filled.get_xdata(), table["median"].iloc[[0, 2]])
    np.testing.assert_array_equal(opened.get_xdata(), table["median"].iloc[[1]])
    assert opened.get_markerfacecolor() == "white" != filled.get_markerfacecolor()


def test_a_forest_of_too_many_items_or_an_unknown_parameter_is_refused():
    with pytest.raises(ModelError, match="41 items are too many"):
        plots.forest(intervals(41), "difficulty")
    with pytest.raises(ModelError, match=r"no parameter 'difficult'.*'difficulty'"):
        plots.forest(intervals(), "difficult")


def test_curves_from_the_prior_are_those_of_its_draws():
    prior = prior_draws(TwoPL(), n_draws=4, n_items=2)
    lines = curves(plots.prior_curves(prior, n_curves=3))
    assert len(lines) == 3
    for draw, line in enumerate(lines):
        slope, intercept = prior.parameters[draw, 0]
        np.testing.assert_allclose(line[:, 1], 1 / (1 + np.exp(-slope * line[:, 0] - intercept)))


def test_predicted_scores_are_those_of_the_table():
    table = results.predicted_scores()
    ax = plots.score_check(table)
    np.testing.assert_array_equal(curves(ax)[0][:, 1], table["expected"])
    np.testing.assert_array_equal(curves(ax)[1][:, 1], table["observed"])
    edge = ax.collections[0].get_paths()[0].vertices
    assert set(table["low"]) | set(table["high"]) <= set(edge[:, 1])


def test_predicted_items_and_pairs_mark_what_is_improbable():
    table = results.predicted_items()
    ax = plots.item_check(table)
    np.testing.assert_array_equal(bars(ax)[:, :, 0], table[["item_rest_low", "item_rest_high"]])
    middle, usual, odd = curves(ax)
    np.testing.assert_array_equal(middle[:, 0], table["item_rest_expected"])
    np.testing.assert_array_equal(odd, [[table["item_rest"].iloc[2], 2.0]])
    assert len(usual) == len(table) - 1
    table = results.predicted_pairs()
    ax = plots.pair_check(table, n_top=5)
    np.testing.assert_array_equal(bars(ax)[:, :, 0], table[["low", "high"]].head(5))
    assert sorted(np.vstack(curves(ax)[1:])[:, 0]) == sorted(table["log_odds_ratio"].head(5))
    assert ax.get_yticklabels()[0].get_text() == "q2 / q1"
