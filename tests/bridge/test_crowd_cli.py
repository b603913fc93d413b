"""`irtkit crowd`: methods, tables, hashed workers, refusals."""

import json

import pandas as pd
import pytest

import irtkit.cli.crowd  # noqa: F401
from irtkit.bridge.crowd.aggregation import aggregate
from irtkit.bridge.crowd.worker_models import DawidSkene
from irtkit.bridge.crowd_files import read_crowd
from irtkit.cli import run

METHODS = ("majority", "dawid-skene", "one-coin", "irt", "mean")


@pytest.fixture
def labels(tmp_path):
    """Twelve workers label ten items; the last three answer without looking."""
    rows = ["worker,item,label,gold"]
    for worker in range(12):
        for item in range(10):
            right = "yes" if item % 2 else "no"
            lazy = worker > 8 or (worker + item) % 7 == 0
            rows.append(f"someone{worker},q{item},{'yes' if lazy else right},{right}")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def command(*words):
    return run([str(word) for word in words])


@pytest.mark.parametrize("method", METHODS)
def test_each_method_writes_a_label_and_a_distribution_an_item(labels, tmp_path, method, capsys):
    out = tmp_path / "out.csv"
    assert command("crowd", labels, "--method", method, "-o", out) == 0
    table = pd.read_csv(out, index_col="item")
    assert table[["p_no", "p_yes"]].sum(axis=1).tolist() == pytest.approx([1.0] * 10)
    assert (table["label"] == table["gold"]).all()
    shown = capsys.readouterr()
    assert "krippendorff_alpha" in shown.out
    assert "100.0% of the items with a gold label got it." in shown.out
    assert "read as a table with one row an answer" in shown.err


def test_numbers_are_those_of_the_functions(labels, tmp_path):
    out = tmp_path / "out.csv"
    options = ("--method", "dawid-skene", "--smoothing", "0.5")
    assert command("crowd", labels, *options, "-o", out) == 0
    found = aggregate(read_crowd(labels), method=DawidSkene(smoothing=0.5))
    table = pd.read_csv(out, index_col="item")
    assert table["p_yes"].to_numpy() == pytest.approx(found.distribution()["yes"].to_numpy())


def test_workers_are_written_with_hashed_ids(labels, tmp_path):
    paths = [tmp_path / f"w{n}.csv" for n in range(3)]
    for path, more in zip(paths, (["--salt", "s"], ["--salt", "s"], []), strict=True):
        assert command("crowd", labels, "--workers", path, *more) == 0
    texts = [path.read_text() for path in paths]
    assert not any("someone" in text for text in texts)
    assert texts[0] == texts[1] != texts[2]
    table = pd.read_csv(paths[0])
    assert table["gold_share"].between(0, 1).all()


def test_ids_are_written_only_when_asked_for(labels, tmp_path):
    path = tmp_path / "w.csv"
    assert command("crowd", labels, "--workers", path, "--keep-ids") == 0
    assert pd.read_csv(path)["worker"].tolist() == [f"someone{n}" for n in range(12)]


def test_nothing_written_or_shown_names_a_worker(labels, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert command("crowd", labels, "-o", out, "--json") == 0
    shown = capsys.readouterr()
    assert "someone" not in shown.out + shown.err + out.read_text()
    document = json.loads(shown.out)
    assert {"method", "labels", "agreement", "accuracy", "notes"} == set(document)


def test_several_files_and_a_key(labels, tmp_path):
    second, key, out = (tmp_path / name for name in ("more.csv", "key.csv", "out.csv"))
    second.write_text("worker,item,label\nother,q0,yes\nother,q99,yes\n")
    key.write_text("item,label\nq0,yes\n")
    assert command("crowd", labels, second, "--key", key, "-o", out) == 0
    table = pd.read_csv(out, index_col="item")
    assert table.loc["q0", "n_answers"] == 13
    assert table["gold"].notna().sum() == 1


def test_ratings_are_cut(tmp_path):
    path, out = tmp_path / "r.csv", tmp_path / "out.csv"
    path.write_text("worker,item,rating\na,x,10\nb,x,90\na,y,80\nb,y,95\n")
    cuts = ("--cuts", "50", "--cut-labels", "no,yes")
    assert command("crowd", path, *cuts, "-o", out) == 0
    assert pd.read_csv(out)["p_yes"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--method", "irt", "--smoothing", "1"], 2, "does not go with --method irt"),
        (["--cuts", "50"], 2, "go together"),
        (["--cuts", "x", "--cut-labels", "a,b"], 2, "takes numbers"),
        (["--method", "best"], 2, "is not one of"),
        (["--level", "interval"], 2, "needs numbers"),
        (["--item", "nothing"], 2, "no column 'nothing'"),
        (["-o", "out.xlsx"], 4, "written as CSV"),
    ],
)
def test_bad_options_are_refused_and_nothing_is_written(
    labels, tmp_path, monkeypatch, capsys, words, code, message
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    given = words if "-o" in words else [*words, "-o", "out.csv"]
    assert command("crowd", labels, *given) == code
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_output_that_exists_or_is_read_is_refused(labels, tmp_path, capsys):
    assert command("crowd", labels, "-o", labels) == 4
    assert command("crowd", labels, "-o", labels, "--overwrite") == 2
    assert "also read" in capsys.readouterr().err


def test_counts_have_no_workers_to_write_or_weigh(tmp_path, capsys):
    path = tmp_path / "c.jsonl"
    record = {"uid": "1", "label_counter": {"e": 60, "n": 40}, "example": {}}
    path.write_text(json.dumps(record))
    assert command("crowd", path) == 0
    assert command("crowd", path, "--workers", tmp_path / "w.csv") == 2
    assert command("crowd", path, "--method", "dawid-skene") == 2
    assert "without workers" in capsys.readouterr().err
