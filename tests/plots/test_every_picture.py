"""What holds of every picture: given axes, words with units, plain text, nothing clipped."""

import subprocess
import sys
from functools import partial
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from irtkit import plots
from irtkit.estimation.bayes.prior_draws import prior_draws
from irtkit.models import TwoPL
from irtkit.scoring import score, test_information
from tests.bayes.posteriors import given, well_mixed
from tests.plots import results
from tests.plots.reading import words

ROUNDING = 0.02  # inches that a text may reach beyond the edge
PIXEL = 2.0  # by which rows may touch


def posterior(names):
    """A posterior of three items, and a table as its own would be."""
    drawn = given(well_mixed(n_items=3))
    index = pd.MultiIndex.from_product(
        [["difficulty", "discrimination"], names], names=["parameter", "item"]
    )
    middle = np.linspace(-1.0, 1.0, len(index))
    columns = {"median": middle, "low": middle - 0.3, "high": middle + 0.4, "r_hat": 1.0}
    return drawn, pd.DataFrame(columns, index=index)


PICTURES = {
    "item_curve": lambda names, ax: plots.item_curve(
        results.calibrated(names)[1], names[3], observed=results.observed(names), ax=ax
    ),
    "category_curves": lambda names, ax: plots.category_curves(
        results.rated(names)[1], names[1], ax=ax
    ),
    "group_curves": lambda names, ax: plots.group_curves(results.grouped(names), names[0], ax=ax),
    "score_curve": lambda names, ax: plots.score_curve(results.by_score(names), names[2], ax=ax),
    "score_residuals": lambda names, ax: plots.score_residuals(
        results.by_score(names), names[2], ax=ax
    ),
    "information": lambda names, ax: plots.information(
        test_information(results.calibrated(names)[1]), ax=ax
    ),
    "wright_map": lambda names, ax: plots.wright_map(
        results.calibrated(names)[1], score(*results.calibrated(names)).theta, ax=ax
    ),
    "wright_map of thresholds": lambda names, ax: plots.wright_map(results.rated(names)[1], ax=ax),
    "ability_distribution": lambda names, ax: plots.ability_distribution(
        score(*results.calibrated(names)).theta, latent=results.calibrated()[1].latent, ax=ax
    ),
    "percentile_curve": lambda names, ax: plots.percentile_curve(
        results.scale(names), results.models(names), ax=ax
    ),
    "dependence_map": lambda names, ax: plots.dependence_map(results.pairs(names), ax=ax),
    "dependence_graph": lambda names, ax: plots.dependence_graph(results.pairs(names), ax=ax),
    "eigenvalues": lambda names, ax: plots.eigenvalues(results.eigen(), ax=ax),
    "screening_path": lambda names, ax: plots.screening_path(results.log(names), ax=ax),
    "screening_path of reliability": lambda names, ax: plots.screening_path(
        results.log(names), column="reliability_after", ax=ax
    ),
    "screening_path of many": lambda names, ax: plots.screening_path(
        results.log(names, 60), ax=ax
    ),
    "convergence": lambda names, ax: plots.convergence(results.calibrated(names)[1], ax=ax),
    "leaderboard": lambda names, ax: plots.leaderboard(results.models(names), ax=ax),
    "finetuning_curve": lambda names, ax: plots.finetuning_curve(results.tuned(names), ax=ax),
    "label_bars": lambda names, ax: plots.label_bars(
        results.scale(names).label_distribution(), gold=dict.fromkeys(names, "yes"), ax=ax
    ),
    "trace": lambda names, ax: plots.trace(posterior(names)[0], "discrimination", "i2", ax=ax),
    "forest": lambda names, ax: plots.forest(posterior(names)[1], "difficulty", ax=ax),
    "prior_curves": lambda names, ax: plots.prior_curves(prior_draws(TwoPL(), n_draws=5), ax=ax),
    "score_check": lambda names, ax: plots.score_check(results.predicted_scores(), ax=ax),
    "item_check": lambda names, ax: plots.item_check(results.predicted_items(names), ax=ax),
    "pair_check": lambda names, ax: plots.pair_check(results.predicted_pairs(names), ax=ax),
}
WITHOUT_LABELS = {"dependence_graph"}
WITHOUT_X = {"wright_map", "wright_map of thresholds"}
NAMED_ROWS = {
    *("screening_path", "screening_path of reliability", "leaderboard", "label_bars"),
    *("forest", "item_check", "pair_check"),
}


@pytest.fixture(params=PICTURES)
def kind(request):
    return request.param


def test_every_public_picture_is_among_them():
    drawing = set(plots.__all__) - {"facets", "picture", "write_picture"}
    assert drawing == {name.split()[0] for name in PICTURES}


def test_a_picture_is_drawn_on_the_axes_given(kind):
    ax = Figure().add_subplot()
    assert PICTURES[kind](results.PLAIN, ax) is ax
    assert ax.has_data()


def test_a_picture_without_axes_gets_a_figure_of_its_own(kind):
    one, two = (PICTURES[kind](results.PLAIN, None) for _ in range(2))
    assert one.figure is not two.figure
    assert plots.picture(one).startswith(b"\x89PNG")


def test_axes_are_labelled_in_words(kind):
    ax = PICTURES[kind](results.PLAIN, None)
    if kind not in WITHOUT_LABELS:
        assert kind in WITHOUT_X or len(ax.get_xlabel()) > 3
        assert kind in NAMED_ROWS or len(ax.get_ylabel()) > 3
        assert "_" not in ax.get_xlabel() + ax.get_ylabel()


@pytest.mark.parametrize("names", [results.PLAIN, results.HOSTILE], ids=["plain", "hostile"])
def test_no_text_is_clipped(kind, names):
    figure = PICTURES[kind](names, None).figure
    figure.draw_without_rendering()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert min(drawn.x0, drawn.y0) > -ROUNDING
    assert drawn.x1 < page.x1 + ROUNDING
    assert drawn.y1 < page.y1 + ROUNDING


@pytest.mark.parametrize("names", [results.PLAIN, results.HOSTILE], ids=["plain", "hostile"])
def test_names_of_rows_do_not_overlap(kind, names):
    ax = PICTURES[kind](names, None)
    ax.figure.draw_without_rendering()
    boxes = sorted(
        (text.get_window_extent() for text in ax.get_yticklabels() if text.get_text()),
        key=lambda box: box.y0,
    )
    assert all(low.y1 <= high.y0 + PIXEL for low, high in pairwise(boxes))


def test_hostile_names_are_drawn_as_short_plain_text(kind, tmp_path):
    ax = PICTURES[kind](results.HOSTILE, None)
    plots.write_picture(ax, tmp_path / "a.svg")  # raises where a formula cannot be set
    ElementTree.parse(tmp_path / "a.svg")
    for text in words(ax.figure):
        plain = text.get_text()
        assert len(plain) <= 90
        assert plain.isprintable()
        assert "$" not in plain or not text.get_parse_math()


@pytest.mark.parametrize("form", plots.pictures.KINDS)
def test_the_same_picture_is_the_same_file(form):
    one, two = (
        plots.picture(PICTURES["group_curves"](results.PLAIN, None), form) for _ in range(2)
    )
    assert one == two


def test_tables_are_left_as_they_were():
    tables = {
        plots.leaderboard: results.models(),
        plots.finetuning_curve: results.tuned(),
        plots.screening_path: results.log(),
        plots.dependence_map: results.pairs(),
        plots.dependence_graph: results.pairs(),
        plots.item_check: results.predicted_items(),
        plots.pair_check: results.predicted_pairs(),
        plots.eigenvalues: results.eigen(),
        plots.label_bars: results.scale().label_distribution(),
        partial(plots.score_curve, item="q1"): results.by_score(),
    }
    for draw, table in tables.items():
        before = table.copy(deep=True)
        draw(table)
        pd.testing.assert_frame_equal(table, before)


def test_neither_the_package_nor_its_pictures_load_matplotlib_before_they_draw():
    program = "import sys, irtkit, irtkit.plots; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert run.stdout.strip() == b"False"


def test_drawing_leaves_global_settings_and_pyplot_alone():
    program = """
import sys, matplotlib
from irtkit import plots
from irtkit.models import TwoPL
from irtkit.estimation.bayes.prior_draws import prior_draws
before = matplotlib.rcParams.copy()
plots.picture(plots.prior_curves(prior_draws(TwoPL(), n_draws=3)), "svg")
print('matplotlib.pyplot' in sys.modules)
print([name for name in before if name != 'backend' and matplotlib.rcParams[name] != before[name]])
"""
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert run.stdout.split() == [b"False", b"[]"]
