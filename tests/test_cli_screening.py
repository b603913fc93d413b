"""The commands about fit and screening: many scales at once, checks, groups, refusals."""

import json

import numpy as np
import pandas as pd
import pytest

from irtkit.cli import run
from irtkit.simulate import simulate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two files of labels with their keys, and one of 0/1 answers with groups."""
    from irtkit.models import TwoPL

    here = tmp_path_factory.mktemp("answers")
    for number in (1, 2):
        made = simulate(TwoPL(), n_persons=400, n_items=10, seed=number).responses
        gold = np.array(["yes", "no"])[np.arange(10) % 2]
        other = np.array(["no", "yes"])[np.arange(10) % 2]
        labels = np.where(made.dense() == 1, gold, other)
        names = [f"q{number}{place}" for place in range(10)]
        frame = pd.DataFrame(labels, columns=names)
        frame.insert(0, "person", made.persons)
        frame.to_csv(here / f"form{number}.csv", index=False)
        pd.DataFrame({"item": names, "label": gold}).to_csv(here / f"key{number}.csv", index=False)
    made = simulate(TwoPL(), n_persons=300, n_items=8, seed=3).responses
    frame = pd.DataFrame(made.dense(), columns=made.items)
    frame.insert(0, "person", made.persons)
    frame.to_csv(here / "answers.csv", index=False)
    groups = pd.DataFrame({"person": made.persons, "group": ["a", "b"] * 150})
    groups.to_csv(here / "groups.csv", index=False)
    return here


def command(*words):
    return run([str(word) for word in words])


def test_several_files_and_gold_labels_become_scales_in_one_go(folder, tmp_path, capsys):
    out = tmp_path / "scales"
    forms = [folder / "form1.csv", folder / "form2.csv"]
    keys = ["--key", folder / "key1.csv", "--key", folder / "key2.csv"]
    assert command("screen", *forms, *keys, "--each-gold", "--preset", "standard", "-o", out) == 0
    names = {f"form{n}-{label}" for n in (1, 2) for label in ("yes", "no")}
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.json" for name in names),
        *(f"{name}.log.csv" for name in names),
        "summary.csv",
    }
    summary = pd.read_csv(out / "summary.csv", index_col="scale")
    assert set(summary.index) == names
    assert (summary["n_items"] == 5).all()
    for name in names:
        scale = json.loads((out / f"{name}.json").read_text())
        log = pd.read_csv(out / f"{name}.log.csv")
        kept = set(log[log["rule"] == "end"]["item"])
        assert len(kept) == summary.loc[name, "n_kept"] == len(scale["items"])
    assert "4 scales" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--key", "{0}/key1.csv", "--key", "{0}/key2.csv"], "2 keys were given for 1 file"),
        (["--each-gold", "--log", "log.csv"], "for one scale"),
        (["{0}/form2.csv", "--name", "x"], "for one scale"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, tmp_path, capsys, words, message):
    given = [word.format(folder) for word in words]
    assert command("screen", folder / "form1.csv", *given, "-o", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_checks_of_a_screening_are_tables(folder, tmp_path):
    checks = tmp_path / "checks"
    given = ["--preset", "standard", "--standard-errors", "none", "--half-samples", 2]
    scale = tmp_path / "s.json"
    assert command("screen", folder / "answers.csv", *given, "-o", scale, "--checks", checks) == 0
    tables = {path.stem: pd.read_csv(path) for path in checks.iterdir()}
    assert set(tables) == {
        *("retention", "clusters", "overlap", "theta", "controls", "confirmation"),
        "before_and_after",
    }
    assert len(tables["overlap"]) == 2
    assert len(tables["retention"]) == 8


def test_diagnose_writes_what_is_asked_for(folder, tmp_path):
    answers, calibration = folder / "answers.csv", tmp_path / "c.json"
    assert command("calibrate", answers, "-o", calibration) == 0
    more = ["--dimensions", "--curves", "--q3-draws", 2, "--groups", folder / "groups.csv"]
    assert command("diagnose", answers, calibration, *more, "-o", tmp_path / "t") == 0
    assert {path.stem for path in (tmp_path / "t").iterdir()} == {
        *("items", "item_fit", "local_dependence", "model_fit", "person_fit"),
        *("item_curves", "dif", "dimensionality", "q3_reference"),
    }


def test_groups_must_name_every_person_once(folder, tmp_path, capsys):
    answers, calibration = folder / "answers.csv", tmp_path / "c.json"
    assert command("calibrate", answers, "-o", calibration) == 0
    groups = pd.read_csv(folder / "groups.csv")
    faults = {
        "gives no group to 1 person": groups.iloc[1:],
        "more than once": pd.concat([groups, groups.iloc[:1]]),
        "no column 'group'": groups.rename(columns={"group": "team"}),
    }
    for message, table in faults.items():
        table.to_csv(tmp_path / "g.csv", index=False)
        given = ["--groups", tmp_path / "g.csv", "-o", tmp_path / "t"]
        assert command("diagnose", answers, calibration, *given) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "t").exists()


def test_screening_that_keeps_nothing_still_writes_its_log(tmp_path, capsys):
    noise = pd.DataFrame(np.random.default_rng(1).integers(0, 2, (300, 6)), columns=list("abcdef"))
    noise.insert(0, "person", [f"p{n}" for n in range(300)])
    noise.to_csv(tmp_path / "a.csv", index=False)
    log = tmp_path / "log.csv"
    given = ["--preset", "standard", "-o", tmp_path / "s.json", "--log", log]
    assert command("screen", tmp_path / "a.csv", *given) == 2
    assert "Screening left" in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()
    assert (pd.read_csv(log)["decision"] == "drop").any()
