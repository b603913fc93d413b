"""Panels, files and the command ``irtkit plot``."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

import irtkit.cli.plot  # noqa: F401
from irtkit import plots
from irtkit.cli import run
from irtkit.errors import FileError, ModelError
from irtkit.io import write_calibration, write_scale, write_table
from irtkit.plots import style
from tests.plots import results
from tests.plots.reading import words

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def curve(item, ax):
    _, known = results.calibrated()
    return plots.item_curve(known, item, observed=results.observed(), ax=ax)


def test_panels_show_one_item_each_on_the_same_scales():
    figure = plots.facets(curve, results.PLAIN)
    panels = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title("left") for ax in panels] == list(results.PLAIN)
    assert len({ax.get_xlim() for ax in panels}) == 1
    single = curve("q2", None).lines[0].get_ydata()
    np.testing.assert_array_equal(panels[1].lines[0].get_ydata(), single)


def test_what_all_panels_share_stands_once():
    figure = plots.facets(curve, results.PLAIN)
    found = [text.get_text() for text in words(figure)]
    assert found.count("Probability of a right answer") == 1
    assert found.count("observed, with 95% interval") == 1
    assert found.count("Ability θ (standard deviations of the population)") == 1


@pytest.mark.parametrize("n", [1, 4, 8])
def test_panels_are_not_clipped(n):
    figure = plots.facets(curve, results.PLAIN[:n])
    figure.draw_without_rendering()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert min(drawn.x0, drawn.y0) > -0.02
    assert drawn.x1 < page.x1 + 0.02
    assert drawn.y1 < page.y1 + 0.02


def test_panels_that_differ_keep_their_legends():
    figure = plots.facets(
        lambda item, ax: plots.category_curves(results.rated()[1], item, ax=ax), ["q1", "q2"]
    )
    assert len(figure.legends) == 1
    groups = results.grouped()
    both = {
        "q1": lambda ax: plots.group_curves(groups, "q1", ax=ax),
        "q2": lambda ax: plots.category_curves(results.rated()[1], "q2", ax=ax),
    }
    figure = plots.facets(lambda name, ax: both[name](ax), list(both))
    assert not figure.legends
    assert all(ax.get_legend() for ax in figure.axes)


def test_no_panels_and_too_many_are_refused():
    with pytest.raises(ModelError, match="no names"):
        plots.facets(curve, [])
    with pytest.raises(ModelError, match=r"25 panels are too many.*Choose 24"):
        plots.facets(curve, ["q1"] * 25)


@pytest.mark.parametrize("kind", STARTS)
def test_a_picture_is_written_as_its_name_says(kind, tmp_path):
    plots.write_picture(curve("q1", None), tmp_path / f"a.{kind.upper()}")
    assert (tmp_path / f"a.{kind.upper()}").read_bytes().startswith(STARTS[kind])


def test_other_kinds_of_pictures_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"does not end in \.png"):
        plots.write_picture(curve("q1", None), tmp_path / "a.gif")
    with pytest.raises(FileError, match="Unknown kind of picture 'gif'"):
        plots.picture(curve("q1", None), "gif")
    assert not list(tmp_path.iterdir())


def test_characters_that_no_font_has_do_no_harm():
    table = results.models().rename(index={"q1": "質問 \U0001f9ea"})
    assert plots.picture(plots.leaderboard(table))


def test_the_command_that_installs_matplotlib_is_told(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(style.importlib, "import_module", absent)
    with pytest.raises(ModelError, match=r"pip install .* 'irtkit\[plots\]'"):
        plots.leaderboard(results.models())


def test_names_are_written_on_one_short_line():
    assert style.named("two\n lines") == "two lines"
    assert style.named("bell\x07") == "bell\\x07"
    assert style.named("x" * 30) == "x" * 23 + "…"
    assert style.named(7) == "7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What other commands write."""
    here = tmp_path_factory.mktemp("plot")
    write_calibration(results.calibrated()[1], here / "calibration.json")
    write_scale(results.scale(), here / "scale.json")
    write_table(results.observed(), here / "curves.csv")
    write_table(results.pairs(), here / "pairs.csv")
    write_table(results.eigen(), here / "eigen.csv")
    write_table(results.log(), here / "log.csv")
    write_table(results.tuned(scales=2), here / "tuned.csv")
    write_table(results.models(), here / "models.csv")
    write_table(results.models().rename_axis("person"), here / "scores.csv")
    return here


@pytest.mark.parametrize(
    "line",
    [
        "curves calibration.json --observed curves.csv",
        "curves scale.json --item q3",
        "information calibration.json",
        "wright calibration.json --scores scores.csv",
        "wright scale.json",
        "percentiles scale.json --scores scores.csv",
        "labels scale.json --item q1 --item q2",
        "convergence calibration.json",
        "dependence pairs.csv --statistic q3",
        "dependence pairs.csv --top 5",
        "eigenvalues eigen.csv",
        "screening log.csv --path reliability_after",
        "leaderboard models.csv",
        "leaderboard scores.csv",
        "fine-tuning tuned.csv",
        "fine-tuning tuned.csv --scale q2",
    ],
)
def test_the_command_draws_what_others_wrote(line, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert run(["plot", *line.split(), "-o", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(STARTS["png"])
    assert "a.png written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("curves calibration.json --item q99", 2, "no item 'q99'"),
        ("curves pairs.csv", 2, "pairs.csv: It is not complete JSON"),
        ("curves calibration.json --observed log.csv", 2, "no columns 'category', 'theta'"),
        ("wright calibration.json --scores curves.csv -o a.gif", 4, "does not end in .png"),
        ("wright calibration.json --scores log.csv", 2, "no column 'theta'"),
        ("dependence log.csv", 2, "no column 'item_1', 'item_2'"),
        ("labels scale.json --item q99", 2, "no item 'q99'"),
        ("leaderboard log.csv", 2, "no column 'person'"),
        ("leaderboard nothing.csv", 4, "nothing.csv does not exist"),
        ("percentiles calibration.json", 2, "another kind of file"),
    ],
)
def test_the_command_says_what_cannot_be_drawn(
    line, code, message, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    words = line.split()
    if "-o" not in words:
        words += ["-o", str(tmp_path / "a.png")]
    assert run(["plot", *words]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


def test_the_command_replaces_nothing_unasked(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (tmp_path / "a.png").write_text("mine")
    words = ["plot", "eigenvalues", "eigen.csv", "-o", str(tmp_path / "a.png")]
    assert run(words) == 4
    assert (tmp_path / "a.png").read_text() == "mine"
    assert run([*words, "--overwrite"]) == 0


def test_the_command_takes_names_that_look_like_numbers(folder, tmp_path, monkeypatch):
    table = results.pairs().rename(index=lambda name: name[1:])
    write_table(table, tmp_path / "pairs.csv")
    frame = pd.read_csv(tmp_path / "pairs.csv")
    assert frame["item_1"].dtype.kind == "i"
    path = str(tmp_path / "a.svg")
    assert run(["plot", "dependence", str(tmp_path / "pairs.csv"), "-o", path]) == 0
