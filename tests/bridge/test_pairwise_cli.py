"""The commands `pairs` and `bradley-terry`, from files to files."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from irtkit.cli import pairwise as commands  # registers them
from irtkit.cli import run

assert commands


@pytest.fixture
def scores(tmp_path):
    """Return a file of 12 scores, and the scores."""
    values = pd.Series(np.linspace(-2, 2, 12).round(2), index=[f"q{n}" for n in range(12)])
    path = tmp_path / "scores.csv"
    values.rename_axis("item").rename("score").to_csv(path)
    return str(path), values


def test_pairs_and_strengths_bring_the_scores_back(scores, tmp_path, capsys):
    path, values = scores
    pairs, out = str(tmp_path / "pairs.csv"), str(tmp_path / "strengths.csv")
    assert run(["pairs", path, "-o", pairs, "--gamma", "0.5"]) == 0
    table = pd.read_csv(pairs)
    assert list(table.columns) == ["item_1", "item_2", "probability", "weight"]
    difference = table["item_1"].map(values) - table["item_2"].map(values)
    assert table["probability"].to_numpy() == pytest.approx(expit(difference / 0.5))
    assert len(table) == 48
    command = ["bradley-terry", pairs, "--gamma", "0.5", "-o", out, "--truth", path]
    assert run(command) == 0
    found = pd.read_csv(out, index_col="item")
    assert list(found.columns) == ["strength", "standard_error", "n_comparisons", "state"]
    assert (found["strength"] + values.mean()).to_dict() == pytest.approx(values.to_dict())
    assert "Agreement with" in capsys.readouterr().out


def test_designs_and_numbers_of_pairs_are_options(scores, tmp_path, capsys):
    path, _ = scores
    pairs = str(tmp_path / "pairs.csv")
    for options, number in (
        (["--design", "all"], 66),
        (["--pairs", "30", "--design", "greedy"], 30),
        (["--pairs", "26", "--design", "symmetric", "--seed", "7"], 26),
    ):
        assert run(["pairs", path, "-o", pairs, "--overwrite", "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["n_pairs"] == number
        assert len(pd.read_csv(pairs)) == number


def test_known_strengths_positions_and_errors_are_options(scores, tmp_path, capsys):
    _, values = scores
    known = tmp_path / "known.csv"
    known.write_text("item,score\nq0,-2\nq1,-1.64\nunused,0\n")
    p = expit(values["q5"] - values["q0"] + 0.3), expit(values["q1"] - values["q5"] + 0.3)
    table = tmp_path / "table.csv"
    table.write_text(f"item_1,item_2,probability\nq5,q0,{p[0]:.17f}\nq1,q5,{p[1]:.17f}\n")
    command = ["bradley-terry", str(table), "--known", str(known), "--json"]
    assert run([*command, "--position", "joint", "--standard-errors", "none"]) == 0
    shown = json.loads(capsys.readouterr().out)
    rows = {row["item"]: row for row in shown["strengths"]}
    assert rows["q5"]["strength"] == pytest.approx(values["q5"])
    assert rows["q5"]["standard_error"] is None
    assert rows["q0"]["state"] == "anchor"
    assert shown["position"] == pytest.approx(0.3)
    assert shown["agreement"] is None


def test_hard_comparisons_are_winners_and_losers(tmp_path, capsys):
    table = tmp_path / "games.csv"
    table.write_text("winner,loser\na,b\nb,c\nc,a\na,d\n")
    assert run(["bradley-terry", str(table), "--json"]) == 0
    rows = {row["item"]: row for row in json.loads(capsys.readouterr().out)["strengths"]}
    assert rows["d"]["state"] == "always below"
    assert rows["d"]["strength"] is None
    assert rows["a"]["strength"] == pytest.approx(0.0, abs=1e-9)
    assert run(["bradley-terry", str(table), "--ridge", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["strengths"]
    assert all(row["state"] == "ok" for row in rows)


def test_what_cannot_be_used_is_refused_and_nothing_written(scores, tmp_path, capsys):
    path, _ = scores
    bad = tmp_path / "bad.csv"
    bad.write_text("item_1,item_2,probability\na,b,0.5\nc,d,0.5\n")
    out = tmp_path / "out.csv"
    for command, code, message in (
        (["bradley-terry", str(bad), "-o", str(out)], 2, "2 unconnected groups"),
        (["bradley-terry", path, "-o", str(out)], 2, "no column 'item_1'"),
        (["bradley-terry", str(bad), "--known", str(bad)], 2, "it should hold item and score"),
        (["pairs", str(bad), "-o", str(out)], 2, "it should hold item and score"),
        (["pairs", path, "-o", path], 4, "exists"),
        (["pairs", path, "-o", path, "--overwrite"], 2, "also read"),
        (["pairs", path, "-o", str(out), "--pairs", "5"], 2, "at least 11 are needed"),
        (["pairs", path, "-o", str(out), "--gamma", "-1"], 2, "--gamma"),
        (["pairs", str(tmp_path / "absent.csv"), "-o", str(out)], 4, "absent"),
    ):
        assert run(command) == code
        assert message in capsys.readouterr().err
        assert not out.exists()
