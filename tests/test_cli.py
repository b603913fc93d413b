"""The command line: the whole chain, exit codes, refusals, and nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from irtkit.cli import cli, run
from irtkit.io import read_calibration, read_scale

DATA = Path(__file__).parents[1] / "data"
COMMANDS = sorted(cli.commands)
LALOR = ["--label-map", "e=entailment,n=neutral,c=contradiction", "--missing-as-wrong"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder to work in, holding simulated answers."""
    monkeypatch.chdir(tmp_path)
    made = run(["simulate", "--persons", "400", "--items", "8", "--seed", "3", "-o", "a.csv"])
    assert made == 0
    return tmp_path


def test_chain_from_simulated_answers_to_scores(work, capsys):
    assert run(["calibrate", "a.csv", "-o", "c.json"]) == 0
    assert read_calibration("c.json").converged
    assert run(["diagnose", "a.csv", "c.json", "-o", "tables"]) == 0
    assert names(work / "tables") == ["item_fit.csv", "items.csv", "local_dependence.csv"]
    assert run(["screen", "a.csv", "-o", "scale.json", "--log", "log.csv", "--name", "sim"]) == 0
    scale = read_scale("scale.json")
    assert scale.name == "sim"
    log = pd.read_csv("log.csv")
    assert set(log[log["rule"] == "end"]["item"]) == set(scale.items)
    rows = "".join(f"{item},1\n" for item in scale.items)
    (work / "best.csv").write_text("item,correct\n" + rows)
    capsys.readouterr()
    assert run(["score", "scale.json", "best.csv", "-o", "s.csv", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["scores"][0]["person"] == "best"
    assert printed["scores"][0]["at_ceiling"] is True
    written = pd.read_csv("s.csv")
    assert list(written.columns)[:4] == ["person", "theta", "standard_error", "percentile"]


def test_published_scale_from_the_raw_files(shared_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = shared_data / "lalor2016_snli_amt"
    answers, key = str(folder / "irt_file_5.csv"), str(folder / "group_5.txt")
    chosen = [answers, "--key", key, *LALOR, "--gold", "entailment"]
    assert run(["screen", *chosen, "-o", "5E.json", "--log", "5E.csv"]) == 0
    printed = capsys.readouterr()
    assert "first log-likelihood -6074.614" in printed.out
    assert "kept 28 of 30 items" in printed.out
    assert "3 missing answers counted as wrong" in printed.err
    items = [line.split()[0] for line in (folder / "group_5.txt").read_text().splitlines()]
    with open("all.csv", "w") as file:
        file.write("item,label\n" + "".join(f"{item},e\n" for item in items))
    assert run(["score", "5E.json", "all.csv", "--label-map", "e=entailment", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["scores"][0]
    assert row["theta"] == pytest.approx(0.67, abs=0.005)
    assert row["percentile"] == pytest.approx(74.7, abs=0.05)
    assert row["percentile_empirical"] == pytest.approx(60.6, abs=0.05)
    assert row["percentile_midrank"] == pytest.approx(80.3, abs=0.05)


def test_json_of_every_command_parses(work, capsys):
    capsys.readouterr()
    for arguments in (
        ["calibrate", "a.csv", "-o", "c.json", "--json"],
        ["diagnose", "a.csv", "c.json", "-o", "t", "--json"],
        ["screen", "a.csv", "-o", "s.json", "--json"],
    ):
        assert run(arguments) == 0
        assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_describes_its_options(command, capsys):
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: irtkit " + command in text
    assert len(text.splitlines()) > 5


REFUSALS = {
    "unknown command": (["calibrat"], 2, "No such command 'calibrat'"),
    "misspelt option": (["calibrate", "a.csv", "--ke", "k"], 2, "No such option"),
    "missing file": (["calibrate", "gone.csv", "-o", "c.json"], 4, "gone.csv does not exist"),
    "missing folder": (["calibrate", "a.csv", "-o", "no/c.json"], 4, "folder of no/c.json"),
    "existing output": (["calibrate", "a.csv", "-o", "a.csv"], 4, "--overwrite"),
    "bad label map": (["calibrate", "a.csv", "--label-map", "x", "-o", "c"], 2, "NAME=VALUE"),
    "keep without reason": (["screen", "a.csv", "--keep", "i1", "-o", "c"], 2, "ITEM=REASON"),
    "unknown item": (["screen", "a.csv", "--drop", "x=y", "-o", "c"], 2, "'x'"),
    "gold without key": (["calibrate", "a.csv", "--gold", "e", "-o", "c"], 2, "where a key"),
    "scale is no scale": (["score", "a.csv", "a.csv"], 2, "not complete JSON"),
    "wrong person column": (["calibrate", "a.csv", "--person", "w", "-o", "c"], 2, "column 'w'"),
    "long": (["calibrate", "a.csv", "--long", "-o", "c"], 2, "no column 'item'"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_has_its_exit_code_and_leaves_no_file(name, work, capsys):
    arguments, code, message = REFUSALS[name]
    before = names(work)
    capsys.readouterr()
    assert run(arguments) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert names(work) == before


def test_not_converged_leaves_the_last_state_and_code_3(work, capsys):
    assert run(["calibrate", "a.csv", "-o", "c.json", "--max-cycles", "1"]) == 3
    assert "did not converge" in capsys.readouterr().err
    assert names(work) == ["a.csv", "c.json.partial"]
    assert not read_calibration("c.json.partial").converged


def test_items_decisions_and_overwrite(work, capsys):
    (work / "items.txt").write_text("i1\ni2\n\ni3\ni4\n")
    (work / "d.csv").write_text("item,decision,reason\ni2,keep,needed\n")
    arguments = ["screen", "a.csv", "--items", "items.txt", "--decisions", "d.csv", "-o", "s.json"]
    assert run([*arguments, "--drop", "i4=unclear"]) == 0
    assert set(read_scale("s.json").items) <= {"i1", "i2", "i3"}
    assert run(arguments) == 4
    assert run([*arguments, "--overwrite"]) == 0


def test_frequencies_of_patterns_are_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = str(DATA / "lsat6" / "responses.csv")
    options = ["--no-person", "--weight", "frequency", "--json", "-o", "c.json"]
    assert run(["calibrate", table, *options]) == 0
    assert json.loads(capsys.readouterr().out)["log_likelihood"] == pytest.approx(
        -2466.653, abs=5e-4
    )


def test_simulation_repeats_and_tells_the_truth(work):
    more = ["simulate", "--persons", "400", "--items", "8", "--seed", "3", "-o", "b.csv"]
    assert run([*more, "--truth", "t.csv", "--missing", "0.2"]) == 0
    assert run([*more, "--overwrite"]) == 0
    assert (work / "a.csv").read_bytes() == (work / "b.csv").read_bytes()
    assert len(pd.read_csv("t.csv")) == 8


def test_export_writes_a_folder_and_refuses_what_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = DATA / "crowd_nli"
    items = pd.read_csv(data / "items.csv")
    chosen = items[items["scale"] == "garden"]
    chosen["item"].to_csv("list.txt", index=False, header=False)
    items[["item", "label"]].to_csv("key.csv", index=False)
    screened = ["screen", str(data / "answers.csv"), "--key", "key.csv", *LALOR[:2]]
    assert run([*screened, "--items", "list.txt", "-o", "garden.json"]) == 0
    texts = str(data / "items.csv")
    exported = ["export", "garden.json", "--texts", texts, "--target", "crowd"]
    assert run([*exported, "--format", "jsonl", "-o", "set"]) == 0
    assert names(tmp_path / "set") == ["README.md", "data"]
    assert run([*exported, "-o", "set.jsonl"]) == 0
    first = json.loads((tmp_path / "set.jsonl").read_text().splitlines()[0])
    assert sum(first["label_distribution"]) == pytest.approx(1.0)
    items.head(3).to_csv("few.csv", index=False)
    capsys.readouterr()
    assert run(["export", "garden.json", "--texts", "few.csv", "-o", "other"]) == 2
    assert "without a text" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_demo_finds_what_was_planted_and_replaces_only_its_own_folder(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run(["demo"]) == 0
    printed = capsys.readouterr().out
    assert "SIMULATED" in printed
    assert printed.count("flagged by ld_x2") == 2
    assert "not flagged" not in printed
    assert "office.scale.json" in names(tmp_path / "irtkit-demo")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    assert run(["demo", "-o", "mine"]) == 4
    assert names(tmp_path / "mine") == ["precious"]


def start(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "irtkit", *arguments], **options)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_with_their_code_and_no_output(tmp_path, sent, code):
    folder = tmp_path / "in"
    folder.mkdir()
    answers = folder / "a.csv"
    sizes = ["--persons", "20000", "--items", "150", "--seed", "1"]
    assert run(["simulate", *sizes, "-o", str(answers)]) == 0
    with start("calibrate", str(answers), "-o", str(folder / "c.json"), "--tolerance", "1e-300",
               stderr=subprocess.PIPE) as process:  # fmt: skip
        time.sleep(4)
        process.send_signal(sent)
        error = process.stderr.read().decode()
    assert process.returncode == code
    assert "Traceback" not in error
    assert names(folder) == ["a.csv"]


@pytest.mark.slow
def test_closed_output_is_quiet():
    with start("--help", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
def test_plain_locale_writes_the_same_bytes(work):
    for name, locale in (("one", "C"), ("two", "C.UTF-8")):
        environment = {**os.environ, "LC_ALL": locale, "COLUMNS": "30", "NO_COLOR": "1"}
        with start("calibrate", "a.csv", "-o", f"{name}.json", env=environment,
                   stdout=subprocess.DEVNULL) as process:  # fmt: skip
            pass
        assert process.returncode == 0
    assert (work / "one.json").read_bytes() == (work / "two.json").read_bytes()
