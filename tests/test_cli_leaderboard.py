"""The commands `leaderboard` and `compare`, from logs to a page and tables."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import irtkit.cli.leaderboard  # noqa: F401
from irtkit.cli import run
from irtkit.models import TwoPL
from irtkit.simulate import simulate


def command(*words):
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of 30 models by 40 items, two of them dead, and the passages of the items."""
    here = tmp_path_factory.mktemp("logs")
    made = simulate(TwoPL(), n_persons=30, n_items=40, seed=6).responses
    codes = made.dense().copy()
    codes[:, :2] = 1
    frame = pd.DataFrame(codes, columns=made.items)
    frame.insert(0, "model", [f"model {row}" for row in range(30)])
    frame.to_csv(here / "models.csv", index=False)
    passages = [f"t{place // 4}" for place in range(40)]
    clusters = pd.DataFrame({"item": made.items, "cluster": passages})
    clusters.to_csv(here / "passages.csv", index=False)
    return here


@pytest.fixture(scope="module")
def done(folder):
    """One run with all outputs."""
    out = folder / "out"
    out.mkdir()
    code = command(
        *("leaderboard", folder / "models.csv", "-o", out / "page.html", "--item-draws", 5),
        *("--table", out / "models.csv", "--pairs", out / "pairs.csv", "--compared", 4),
        *("--scale-out", out / "scale.json", "--log", out / "log.csv", "--name", "quiz"),
    )
    assert code == 0
    return out


def test_one_command_goes_from_logs_to_page_tables_scale_and_log(done):
    standings = pd.read_csv(done / "models.csv", index_col="model")
    assert len(standings) == 30
    assert standings["rank"].iloc[0] == 1
    pairs = pd.read_csv(done / "pairs.csv", index_col=["model_1", "model_2"])
    assert len(pairs) == 6
    assert set(pairs.index.get_level_values(0)) <= set(standings.index[:4])
    log = pd.read_csv(done / "log.csv")
    assert {"i1", "i2"} <= set(log[log["rule"] == "dead"]["item"])
    scale = json.loads((done / "scale.json").read_text())
    assert scale["name"] == "quiz"
    page = (done / "page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert all(name in page for name in standings.index)


def test_a_scale_is_used_as_it_is(folder, done, tmp_path, capsys):
    words = ("--scale", done / "scale.json", "--item-draws", 0, "--json")
    assert command("leaderboard", folder / "models.csv", "-o", tmp_path / "a.html", *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["models"]) == 30
    assert told["n_items"] == len(json.loads((done / "scale.json").read_text())["items"])
    assert len(told["pairs"]) == 45
    drawn = pd.read_csv(done / "models.csv", index_col="model")
    for row in told["models"]:
        assert row["theta"] == pytest.approx(drawn.loc[row["model"], "theta"], abs=0.2)


def test_clusters_widen_what_is_written(folder, done, tmp_path, capsys):
    errors = []
    for number, words in enumerate(((), ("--clusters", folder / "passages.csv"))):
        output = tmp_path / f"{number}.csv"
        given = ("compare", done / "scale.json", folder / "models.csv", "-o", output, *words)
        assert command(*given, "--models", "model 1", "model 2") == 0
        errors.append(pd.read_csv(output)["accuracy_error"].iloc[0])
        assert "model 2" in capsys.readouterr().out
    assert errors[0] != errors[1]


def test_compare_takes_all_pairs_by_default(folder, done, capsys):
    assert command("compare", done / "scale.json", folder / "models.csv", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["pairs"]) == 30 * 29 // 2
    assert {"difference", "p_adjusted", "accuracy_difference"} <= set(told["pairs"][0])


def test_summary_names_what_was_dropped(folder, tmp_path, capsys):
    words = ("-o", tmp_path / "a.html", "--item-draws", 0)
    assert command("leaderboard", folder / "models.csv", *words) == 0
    out = capsys.readouterr().out
    assert re.search(r"kept \d+ of 40 items; dropped: \d+ dead", out)
    assert "pairs of the first models differ" in out
    assert f"page written to {tmp_path / 'a.html'}" in out


def test_with_a_scale_nothing_may_be_asked_about_the_calibration(folder, done, tmp_path, capsys):
    words = ("--scale", done / "scale.json", "--preset", "standard")
    assert command("leaderboard", folder / "models.csv", "-o", tmp_path / "a.html", *words) == 2
    assert "leave out --preset" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_checked_before_anything_is_read(tmp_path, capsys):
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert command("leaderboard", tmp_path / "none.csv", "-o", page) == 4
    assert "exists" in capsys.readouterr().err
    words = ("-o", tmp_path / "a.html", "--table", tmp_path / "a.html")
    assert command("leaderboard", tmp_path / "none.csv", *words) == 2
    assert page.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_models_that_are_not_there_are_refused(folder, done, capsys):
    words = ("--models", "model 1", "model 99")
    assert command("compare", done / "scale.json", folder / "models.csv", *words) == 2
    assert "'model 99'" in capsys.readouterr().err


def test_noise_leaves_a_log_and_no_page(tmp_path, capsys):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame((rng.random((20, 20)) < 0.5).astype(int)).add_prefix("q")
    frame.insert(0, "model", [f"m{row}" for row in range(20)])
    frame.to_csv(tmp_path / "noise.csv", index=False)
    words = ("-o", tmp_path / "a.html", "--log", tmp_path / "log.csv")
    assert command("leaderboard", tmp_path / "noise.csv", *words) == 2
    assert "Screening left" in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "log.csv")) > 0
    assert not (tmp_path / "a.html").exists()


def test_a_single_model_has_a_page_and_no_comparisons(folder, done, tmp_path, capsys):
    lines = (folder / "models.csv").read_text().splitlines()[:2]
    (tmp_path / "one.csv").write_text("\n".join(lines) + "\n")
    words = ("--scale", done / "scale.json", "--pairs", tmp_path / "pairs.csv", "--json")
    assert command("leaderboard", tmp_path / "one.csv", "-o", tmp_path / "a.html", *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["models"]), told["pairs"]) == (1, [])
    assert told["models"][0]["rank_low"] == told["models"][0]["rank_high"] == 1
    assert "There are no two models to compare." in (tmp_path / "a.html").read_text("utf-8")
