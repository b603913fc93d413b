"""The command line: every command, every exit code, and files that are whole or not there."""

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
from irtkit.datasets import load_items

ITEMS = 10
ROOT = Path(__file__).parents[1]


def command(*words):
    """Run the command line in this process."""
    return run([str(word) for word in words])


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Raw labels of the embedded kitchen items, their key and texts, and a scale of them."""
    folder = tmp_path_factory.mktemp("crowd")
    items = load_items("crowd_nli").query("scale == 'kitchen'").head(12)
    answers = pd.read_csv(ROOT / "data" / "crowd_nli" / "answers.csv")
    answers[["worker", *items["item"]]].to_csv(folder / "answers.csv", index=False)
    items[["item", "label"]].to_csv(folder / "key.csv", index=False)
    items[["item", "text", "text_pair"]].to_csv(folder / "texts.csv", index=False)
    items[["item", "label"]].to_json(folder / "all-right.jsonl", orient="records", lines=True)
    labels = "e=entailment,n=neutral,c=contradiction"
    given = ["--key", folder / "key.csv", "--label-map", labels, "--name", "kitchen"]
    assert command("screen", folder / "answers.csv", *given, "-o", folder / "scale.json") == 0
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Simulated answers and their calibration."""
    folder = tmp_path_factory.mktemp("drawn")
    size = ["--persons", 400, "--items", ITEMS, "--seed", 1]
    assert command("simulate", *size, "-o", folder / "answers.csv") == 0
    assert command("calibrate", folder / "answers.csv", "-o", folder / "items.json") == 0
    return folder


@pytest.fixture
def reads(capsys):
    """Return a function that runs a command and gives its exit code, output and errors."""

    def reads(*words):
        capsys.readouterr()
        code = command(*words)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return reads


def test_whole_chain_from_simulation_to_finetuning(tmp_path, crowd, reads):
    answers, truth = tmp_path / "answers.csv", tmp_path / "truth.csv"
    size = ["--persons", 400, "--items", ITEMS, "--seed", 1, "--missing", 0.1]
    code, out, _ = reads("simulate", *size, "-o", answers, "--truth", truth)
    assert (code, out) == (0, f"400 persons x 10 items written to {answers}\n")
    assert pd.read_csv(answers).shape == (400, ITEMS + 1)
    assert 0.05 < pd.read_csv(answers).iloc[:, 1:].isna().to_numpy().mean() < 0.15

    code, out, _ = reads("calibrate", answers, "-o", tmp_path / "items.json")
    assert code == 0
    assert "2pl calibration of 10 items" in out
    code, out, _ = reads("diagnose", answers, tmp_path / "items.json", "-o", tmp_path / "fit")
    assert code == 0
    fit = {path.stem: pd.read_csv(path) for path in (tmp_path / "fit").iterdir()}
    assert {name: len(table) for name, table in fit.items()} == {
        "items": ITEMS,
        "item_fit": ITEMS,
        "local_dependence": ITEMS * (ITEMS - 1) // 2,
        "person_fit": 400,
    }
    recovered = fit["items"].set_index("item")["difficulty"]
    planted = pd.read_csv(truth).set_index("item")["difficulty"]
    assert recovered.corr(planted) > 0.9

    scale, log = tmp_path / "scale.json", tmp_path / "log.csv"
    code, out, _ = reads("screen", answers, "-o", scale, "--log", log)
    assert code == 0
    kept = pd.read_csv(log).query("rule == 'end'")["item"].tolist()
    assert f"kept {len(kept)} of 10 items" in out
    assert "confirm it on new answers" in out

    model = tmp_path / "model.csv"
    model.write_text("item,correct\n" + "".join(f"{item},1\n" for item in kept))
    code, out, err = reads("score", scale, model, "-o", tmp_path / "scores.csv")
    assert code == 0
    assert err == f"note: {model}: a table of predictions.\n"
    assert "At the ceiling" in out
    (row,) = pd.read_csv(tmp_path / "scores.csv").to_dict("records")
    assert row["person"] == "model"
    assert row["n_answered"] == len(kept)
    assert row["percentile_low"] < row["percentile"] < row["percentile_high"] < 100

    given = ["export", crowd / "scale.json", "--texts", crowd / "texts.csv", "--target", "crowd"]
    code, out, _ = reads(*given, "-o", tmp_path / "set")
    assert code == 0
    assert "with crowd targets written" in out
    assert {"set/README.md", "set/data/train.parquet"} <= set(names(tmp_path))


def test_json_of_every_command_parses_and_nothing_else_is_printed(drawn, crowd, tmp_path, reads):
    answers = drawn / "answers.csv"

    def parsed(*words):
        code, out, _ = reads(*words, "--json")
        assert code == 0
        return json.loads(out)

    made = parsed("calibrate", answers, "-o", tmp_path / "c.json")
    assert made["converged"] is True
    assert made["n_persons"] == 400
    assert [item["item"] for item in made["items"]] == [f"i{n}" for n in range(1, ITEMS + 1)]
    made = parsed("diagnose", answers, tmp_path / "c.json", "-o", tmp_path / "fit")
    assert len(made["item_fit"]) == ITEMS
    made = parsed("screen", answers, "-o", tmp_path / "s.json")
    assert {row["item"] for row in made["log"] if row["rule"] == "end"} == set(made["kept"])
    made = parsed("score", crowd / "scale.json", crowd / "all-right.jsonl")
    assert made["scale"] == "kitchen"
    assert made["scores"][0]["at_ceiling"] is True
    given = ["--texts", crowd / "texts.csv", "-o", tmp_path / "set.jsonl"]
    made = parsed("export", crowd / "scale.json", *given)
    assert made["n_examples"] == len((tmp_path / "set.jsonl").read_text("utf-8").splitlines())


def test_same_seed_writes_the_same_bytes(tmp_path):
    for name in ("a.csv", "b.csv"):
        size = ["--persons", 20, "--items", 4, "--seed", 5]
        assert command("simulate", *size, "-o", tmp_path / name) == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "pq"])
def test_simulated_answers_are_read_back_from_every_kind_of_table(tmp_path, drawn, ending, reads):
    path = tmp_path / f"answers.{ending}"
    assert command("simulate", "--persons", 400, "--items", ITEMS, "--seed", 1, "-o", path) == 0
    code, out, _ = reads("calibrate", path, "-o", tmp_path / "c.json", "--json")
    assert code == 0
    known = json.loads((drawn / "items.json").read_text("utf-8"))
    assert json.loads(out)["log_likelihood"] == known["log_likelihood"]


COMMANDS = [
    *("bradley-terry", "calibrate", "cift", "compare", "completion", "crowd", "demo"),
    *(
        "diagnose",
        "encoders",
        "environment",
        "export",
        "finetune",
        "leaderboard",
        "link",
        "mistakes",
        "pairs",
        "plan",
        "plot",
        "read",
        "report",
    ),
    *("score", "screen", "simulate"),
]


def test_every_command_is_listed(reads):
    assert sorted(cli.commands) == COMMANDS
    code, out, _ = reads("--help")
    assert code == 0
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert "130 interrupted, 143 terminated" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_names_its_output(name, reads):
    code, out, err = reads(name, "-h")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: irtkit {name} ")
    silent = ("completion", "environment", "plan")
    assert "-o, --output" in out or name in (*silent, "plot")  # write nothing; has commands


def test_version_is_shown(reads):
    code, out, _ = reads("--version")
    assert code == 0
    assert out.startswith("irtkit, version ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["calibrat"], "Did you mean 'calibrate'"),
        (["screen", "a.csv", "--outptu", "x"], "--output"),
        (["calibrate", "a.csv", "-o", "x", "--model", "5pl"], "'5pl' is not one of"),
        (["calibrate", "a.csv"], "Missing option"),
        (["score", "scale.json"], "Missing argument 'PREDICTIONS"),
        (["calibrate", "a.csv", "-o", "x", "--max-cycles", "0"], "x>=1"),
        (["calibrate", "a.csv", "-o", "x", "--tolerance", "-1"], "0<x<=1"),
        (["calibrate", "a.csv", "-o", "x", "--tolerance", "inf"], "0<x<=1"),
        (["calibrate", "a.csv", "-o", "x", "--label-map", "e"], "takes NAME=VALUE, not 'e'"),
        (["calibrate", "a.csv", "-o", "x", "--label-map", "e=1,e=0"], "gives 'e' two values"),
        (["calibrate", "a.csv", "-o", "x", "--weight", "n", "--long"], "does not go with --long"),
        (["calibrate", "a.csv", "-o", "x", "--no-person", "--person", "p"], "--no-person does"),
        (["screen", "a.csv", "-o", "x", "--keep", "i1"], "--keep takes ITEM=REASON, not 'i1'"),
        (["screen", "a.csv", "-o", "x", "--preset", "none"], "'none' is not"),
        (["simulate", "--persons", "1", "--items", "1", "--seed", "-1", "-o", "x"], "x>=0"),
        (["simulate", "--persons", "0", "--items", "1", "--seed", "1", "-o", "x"], "x>=1"),
        (
            ["simulate", "--persons", "9" * 20, "--items", "1", "--seed", "1", "-o", "x"],
            "At most 100,000,000 answers",
        ),
    ],
)
def test_wrong_options_are_refused(words, message, tmp_path, monkeypatch, reads):
    monkeypatch.chdir(tmp_path)
    code, out, err = reads(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert names(tmp_path) == []


def test_no_command_shows_the_help(reads):
    code, out, err = reads()
    assert code == 2
    assert "Commands:" in out + err


CONTENT = {
    "a third category": ("id,x,y,z\na,0,1,2\nb,2,1,0\nc,1,0,1\n", [], "knows 0 and 1 only"),
    "labels without a key": ("id,x,y,z\na,e,n,c\nb,e,e,e\n", [], "--key"),
    "one person": ("id,x,y,z\na,0,1,0\n", [], "fewer than two persons"),
    "a constant table": ("id,x,y,z\na,1,1,1\nb,1,1,1\n", [], "Only 0 usable items"),
    "gold without a key": ("id,x,y,z\na,0,1,0\nb,1,0,0\n", ["--gold", "x"], "where a key"),
    "a ragged row": ("id,x,y,z\na,0,1\nb,1,0,0\n", [], "Line 2 has 3 fields"),
    "an odd separator": ("id;x;y;z\na;0;1;0\n", [], "Say --sep ';'"),
    "a long table": ("person,item,answer\na,x,1\na,y,1\n", [], "Say --long"),
    "a bad encoding": ("id,x,y,z\na,0,1,0\n", ["--encoding", "utf-99"], "no encoding 'utf-99'"),
    "an odd codec": ("id,x,y,z\na,0,1,0\n", ["--encoding", "undefined"], "is not undefined"),
}


@pytest.mark.parametrize("name", CONTENT)
def test_unusable_answers_are_refused_and_nothing_is_written(name, tmp_path, reads):
    content, options, message = CONTENT[name]
    (tmp_path / "answers.csv").write_text(content)
    code, out, err = reads(
        "calibrate", tmp_path / "answers.csv", *options, "-o", tmp_path / "c.json"
    )
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert message in err
    assert names(tmp_path) == ["answers.csv"]


def test_unconverged_calibration_exits_3_and_leaves_the_last_state(drawn, tmp_path, reads):
    output = tmp_path / "c.json"
    code, out, err = reads("calibrate", drawn / "answers.csv", "--max-cycles", 1, "-o", output)
    assert (code, out) == (3, "")
    assert "did not converge" in err
    assert names(tmp_path) == ["c.json.partial"]
    partial = json.loads((tmp_path / "c.json.partial").read_text("utf-8"))
    assert partial["convergence"]["converged"] is False
    assert len(partial["items"]) == ITEMS


def test_unconverged_screening_exits_3_and_leaves_its_last_state_beside_the_name(
    drawn, tmp_path, reads
):
    output = tmp_path / "s.json"
    code, _, err = reads("screen", drawn / "answers.csv", "--max-cycles", 1, "-o", output)
    assert code == 3
    assert "did not converge" in err
    assert f"{output}.partial" in err
    assert names(tmp_path) == ["s.json.partial"]


def test_files_that_are_no_text_are_named_once(drawn, tmp_path, reads):
    noise = tmp_path / "noise.csv"
    noise.write_bytes(b"\x89\x16\xff\n")
    answers, output = drawn / "answers.csv", ["-o", tmp_path / "c.json"]
    for words in (
        ["calibrate", noise],
        ["calibrate", answers, "--key", noise],
        ["calibrate", answers, "--items", noise],
        ["screen", answers, "--decisions", noise],
    ):
        code, _, err = reads(*words, *output)
        assert code == 2
        assert err.startswith(
            f"error: {noise}: The bytes 89 16 ff 0a at offset 0 (line 1) are not"
        )
    assert names(tmp_path) == ["noise.csv"]


def test_missing_files_exit_4(drawn, crowd, tmp_path, reads):
    gone, output = tmp_path / "gone.csv", tmp_path / "out"
    answers, scale = drawn / "answers.csv", crowd / "scale.json"
    for words in (
        ["calibrate", gone, "-o", output],
        ["calibrate", answers, "--key", gone, "-o", output],
        ["calibrate", answers, "--items", gone, "-o", output],
        ["screen", answers, "--decisions", gone, "-o", output],
        ["diagnose", answers, gone, "-o", output],
        ["score", gone, answers],
        ["score", scale, gone],
        ["export", scale, "--texts", gone, "-o", output],
    ):
        code, out, err = reads(*words)
        assert (code, out) == (4, "")
        assert err == f"error: {gone} does not exist. Check the name.\n"
    assert names(tmp_path) == []


WRITERS = {
    "calibrate": ["calibrate", "{drawn}/answers.csv", "-o"],
    "screen": ["screen", "{drawn}/answers.csv", "-o"],
    "screen-log": ["screen", "{drawn}/answers.csv", "-o", "{here}/scale.json", "--log"],
    "diagnose": ["diagnose", "{drawn}/answers.csv", "{drawn}/items.json", "-o"],
    "score": ["score", "{crowd}/scale.json", "{crowd}/all-right.jsonl", "-o"],
    "export": ["export", "{crowd}/scale.json", "--texts", "{crowd}/texts.csv", "-o"],
    "simulate": ["simulate", "--persons", "9", "--items", "3", "--seed", "1", "-o"],
}
FOLDERS = ("diagnose", "export")


@pytest.fixture(params=WRITERS)
def writer(request, drawn, crowd, tmp_path):
    """Return the words of a command but for its output, and whether that is a folder."""
    places = {"drawn": drawn, "crowd": crowd, "here": tmp_path}
    words = [word.format(**places) for word in WRITERS[request.param]]
    return words, request.param in FOLDERS


def test_existing_output_is_refused_and_kept_unless_overwriting(writer, tmp_path, reads):
    words, is_folder = writer
    output = tmp_path / "output"
    assert command(*words, output) == 0
    (tmp_path / "scale.json").unlink(missing_ok=True)
    first = names(tmp_path)
    code, _, err = reads(*words, output)
    assert code == 4
    assert (
        err == f"error: {output} exists. Say --overwrite to replace it, or choose another name.\n"
    )
    assert names(tmp_path) == first
    assert command(*words, output, "--overwrite") == 0
    (tmp_path / "scale.json").unlink(missing_ok=True)
    assert names(tmp_path) == first
    assert output.is_dir() == is_folder


def test_output_of_the_other_kind_is_refused(writer, tmp_path, reads):
    words, is_folder = writer
    output = tmp_path / "output"
    output.touch() if is_folder else output.mkdir()
    code, _, err = reads(*words, output, "--overwrite")
    assert code == 4
    assert "a file, not a folder" in err if is_folder else "a folder, not a file" in err
    assert names(tmp_path) == ["output"]


def test_output_in_a_missing_folder_is_refused_before_reading(writer, tmp_path, reads):
    words, _ = writer
    words = [word.replace("answers.csv", "never-read.csv") for word in words]
    code, _, err = reads(*words, tmp_path / "gone" / "output")
    assert code == 4
    assert "does not exist. Make it first" in err
    assert names(tmp_path) == []


def test_output_with_too_long_a_name_is_refused(writer, tmp_path, reads):
    words, _ = writer
    code, out, err = reads(*words, tmp_path / ("x" * 300))
    assert (code, out) == (4, "")
    assert "File name too long" in err
    assert names(tmp_path) == []


def test_output_never_replaces_an_input_or_another_output(crowd, tmp_path, monkeypatch, reads):
    copies = {"a.csv": "answers.csv", "s.json": "scale.json", "k.csv": "key.csv"}
    for name, source in copies.items():
        (tmp_path / name).write_bytes((crowd / source).read_bytes())
    (tmp_path / "t.jsonl").write_text("{}\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in (
        "calibrate a.csv -o a.csv",
        "calibrate a.csv -o ./link/a.csv",
        "calibrate a.csv --key k.csv -o k.csv",
        "calibrate a.csv --items k.csv -o k.csv",
        "screen a.csv -o twice.csv --log twice.csv",
        "screen a.csv -o twice.csv --log a.csv",
        "screen a.csv -o twice.csv --decisions k.csv --log k.csv",
        "score s.json a.csv -o s.json",
        "score s.json a.csv -o a.csv",
        "export s.json --texts t.jsonl -o t.jsonl",
        "simulate --persons 9 --items 3 --seed 1 -o twice.csv --truth twice.csv",
    ):
        code, _, err = reads(*line.split(), "--overwrite")
        assert code == 2
        assert "is also read, or written twice" in err
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "twice.csv").exists()


@pytest.mark.parametrize("ending", ["xlsx", "jsonl", "csv.gz", "JSON"])
def test_tables_are_not_written_under_the_name_of_another_kind(
    drawn, crowd, tmp_path, ending, reads
):
    table = tmp_path / f"table.{ending}"
    size = ["--persons", 9, "--items", 3, "--seed", 1]
    for words in (
        ["simulate", *size, "-o", table],
        ["simulate", *size, "-o", tmp_path / "a.csv", "--truth", table],
        ["screen", drawn / "answers.csv", "-o", tmp_path / "s.json", "--log", table],
        ["score", crowd / "scale.json", crowd / "all-right.jsonl", "-o", table],
    ):
        code, out, err = reads(*words)
        assert (code, out) == (4, "")
        assert "tables are written as CSV, TSV or Parquet" in err
    assert names(tmp_path) == []


def test_export_never_deletes_other_files_of_a_folder(crowd, tmp_path, reads):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    words = ["export", crowd / "scale.json", "--texts", crowd / "texts.csv"]
    code, _, err = reads(*words, "-o", tmp_path / "thesis", "--overwrite")
    assert code == 4
    assert "also holds 'chapter.txt'" in err
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "precious"


LABELS = ["--label-map", "e=entailment,n=neutral,c=contradiction"]


def calibrated(path):
    document = json.loads(path.read_text("utf-8"))
    return {row["item"]: row["parameters"] for row in document["items"]}


def test_gold_and_items_choose_items(crowd, tmp_path):
    key = pd.read_csv(crowd / "key.csv").set_index("item")["label"]
    given = ["calibrate", crowd / "answers.csv", "--key", crowd / "key.csv", *LABELS]
    assert command(*given, "--gold", "neutral", "-o", tmp_path / "gold.json") == 0
    assert list(calibrated(tmp_path / "gold.json")) == list(key[key == "neutral"].index)
    chosen = list(key.index[[5, 1, 8, 3]])
    (tmp_path / "items.txt").write_text("\n".join([*chosen, ""]))
    assert command(*given, "--items", tmp_path / "items.txt", "-o", tmp_path / "some.json") == 0
    assert list(calibrated(tmp_path / "some.json")) == chosen


def test_unknown_items_and_gold_labels_are_refused(crowd, tmp_path, reads):
    given = ["calibrate", crowd / "answers.csv", "--key", crowd / "key.csv", *LABELS]
    (tmp_path / "items.txt").write_text("kitchen-01\nkitchen-99\n")
    output = ["-o", tmp_path / "c.json"]
    code, _, err = reads(*given, "--items", tmp_path / "items.txt", *output)
    assert code == 2
    assert "1 item not among the answers: 'kitchen-99'" in err
    (tmp_path / "items.txt").write_text("\n")
    code, _, err = reads(*given, "--items", tmp_path / "items.txt", *output)
    assert code == 2
    assert "items.txt is empty: it names nothing" in err
    code, _, err = reads(*given, "--gold", "maybe", *output)
    assert code == 2
    assert "No item has the gold label 'maybe'" in err
    assert names(tmp_path) == ["items.txt"]


def test_label_map_may_be_repeated_and_a_wrong_one_is_noticed(crowd, tmp_path, reads):
    given = ["calibrate", crowd / "answers.csv", "--key", crowd / "key.csv", "--json"]
    _, one, _ = reads(*given, *LABELS, "-o", tmp_path / "1.json")
    parts = [f"--label-map={part}" for part in LABELS[1].split(",")]
    _, two, _ = reads(*given, *parts, "-o", tmp_path / "2.json")
    assert json.loads(one)["items"] == json.loads(two)["items"]
    code, _, err = reads(*given, "-o", tmp_path / "3.json")
    assert code == 2
    assert "was never answered on any item, while the answers 'c', 'e', 'n'" in err


def test_decisions_on_the_line_and_in_a_file_do_the_same(crowd, tmp_path):
    given = ["screen", crowd / "answers.csv", "--key", crowd / "key.csv", *LABELS]
    (tmp_path / "decisions.csv").write_text(
        "item,decision,reason\nkitchen-02,drop,bad picture\nkitchen-03,keep,published\n"
    )
    chosen = ["--drop", "kitchen-02=bad picture", "--keep", "kitchen-03=published"]
    by_file = ["--decisions", tmp_path / "decisions.csv"]
    for number, words in enumerate((chosen, by_file)):
        output = ["-o", tmp_path / f"{number}.json", "--log", tmp_path / f"{number}.csv"]
        assert command(*given, "--name", "n", *words, *output) == 0
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    log = pd.read_csv(tmp_path / "0.csv")
    (dropped,) = log.query("rule == 'analyst'").to_dict("records")
    assert dropped["item"] == "kitchen-02"
    assert "bad picture" in dropped["reason"]
    assert "kitchen-03" in set(log.query("rule == 'end'")["item"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("item,decision\nkitchen-02,drop\n", "no column 'reason'"),
        ("item,decision,reason\nkitchen-02,perhaps,x\n", "write keep or drop"),
        ("item,decision,reason\nkitchen-02,drop,\n", "has no reason"),
        ("item,decision,reason\nkitchen-77,drop,x\n", "which was not answered"),
        ("item,decision,reason\nkitchen-02,drop,x\nkitchen-02,keep,y\n", "two decisions"),
    ],
)
def test_decisions_with_a_fault_are_refused(content, message, crowd, tmp_path, reads):
    (tmp_path / "d.csv").write_text(content)
    given = ["screen", crowd / "answers.csv", "--key", crowd / "key.csv", *LABELS]
    code, _, err = reads(*given, "--decisions", tmp_path / "d.csv", "-o", tmp_path / "s.json")
    assert code == 2
    assert message in err
    assert names(tmp_path) == ["d.csv"]


def test_long_layout_gives_what_the_wide_one_gives(drawn, tmp_path):
    wide = pd.read_csv(drawn / "answers.csv")
    long = wide.melt("person", var_name="question", value_name="mark")
    long.to_csv(tmp_path / "long.csv", index=False)
    given = ["--long", "--item", "question", "--answer", "mark"]
    assert command("calibrate", tmp_path / "long.csv", *given, "-o", tmp_path / "c.json") == 0
    assert calibrated(tmp_path / "c.json") == calibrated(drawn / "items.json")


def test_frequencies_of_patterns_count_as_persons(tmp_path, reads):
    answers = ROOT / "data" / "lsat6" / "responses.csv"
    given = ["--no-person", "--weight", "frequency", "-o", tmp_path / "c.json", "--json"]
    code, out, _ = reads("calibrate", answers, *given)
    made = json.loads(out)
    assert code == 0
    assert made["n_persons"] == 1000
    assert len(made["items"]) == 5
    code, _, err = reads("calibrate", answers, "--no-person", "-o", tmp_path / "d.json")
    assert code == 2
    assert "frequency" in err


def test_missing_words_and_missing_as_wrong_are_obeyed(tmp_path, drawn):
    wide = pd.read_csv(drawn / "answers.csv", dtype=str)
    wide.iloc[::3, 4] = "skipped"
    wide.to_csv(tmp_path / "a.csv", index=False)
    given = ["calibrate", tmp_path / "a.csv", "--missing", "skipped,refused"]
    assert command(*given, "-o", tmp_path / "missing.json") == 0
    assert command(*given, "--missing-as-wrong", "-o", tmp_path / "wrong.json") == 0
    wide.replace("skipped", "0").to_csv(tmp_path / "zero.csv", index=False)
    assert command("calibrate", tmp_path / "zero.csv", "-o", tmp_path / "zero.json") == 0
    assert calibrated(tmp_path / "wrong.json") == calibrated(tmp_path / "zero.json")
    assert calibrated(tmp_path / "missing.json") != calibrated(tmp_path / "zero.json")


def test_several_models_are_scored_and_none_twice(crowd, tmp_path, reads):
    lazy = tmp_path / "lazy.csv"
    key = pd.read_csv(crowd / "key.csv")
    key.assign(label="e").to_csv(lazy, index=False)
    given = ["score", crowd / "scale.json", crowd / "all-right.jsonl"]
    code, _, _ = reads(*given, lazy, *LABELS, "-o", tmp_path / "scores.parquet")
    assert code == 0
    assert pd.read_parquet(tmp_path / "scores.parquet")["person"].tolist() == ["all-right", "lazy"]
    code, _, err = reads(*given, crowd / "all-right.jsonl")
    assert code == 2
    assert "Two predictions are named 'all-right'" in err


def test_answers_to_items_without_parameters_do_not_count(crowd, tmp_path, reads):
    """One item is answered alike by all and kept by the analyst: it measures nothing."""
    answers = pd.read_csv(crowd / "answers.csv")
    key = pd.read_csv(crowd / "key.csv")
    constant = key["item"].iloc[0]
    answers[constant] = key["label"].iloc[0][0]
    answers.to_csv(tmp_path / "a.csv", index=False)
    given = ["--key", crowd / "key.csv", *LABELS, "--keep", f"{constant}=published"]
    assert command("screen", tmp_path / "a.csv", *given, "-o", tmp_path / "s.json") == 0
    key.head(3).to_csv(tmp_path / "three.csv", index=False)
    key.head(4).to_csv(tmp_path / "four.csv", index=False)
    code, _, err = reads("score", tmp_path / "s.json", tmp_path / "three.csv")
    assert code == 2
    assert "'three' answered fewer than 3" in err
    code, out, _ = reads("score", tmp_path / "s.json", tmp_path / "four.csv", "--json")
    assert code == 0
    assert json.loads(out)["scores"][0]["n_answered"] == 3
    given = ["--texts", crowd / "texts.csv", "-o", tmp_path / "set.jsonl"]
    assert command("export", tmp_path / "s.json", *given) == 0
    rows = [json.loads(line) for line in (tmp_path / "set.jsonl").read_text("utf-8").splitlines()]
    assert [row["item"] for row in rows if row["difficulty"] is None] == [constant]


def test_notes_go_to_standard_error_with_the_name_of_the_file(crowd, tmp_path, reads):
    few = tmp_path / "few.csv"
    pd.read_csv(crowd / "key.csv").head(4).to_csv(few, index=False)
    code, out, err = reads("score", crowd / "scale.json", few)
    assert code == 0
    assert err.startswith(f"note: {few}: ")
    assert "note:" not in out


def test_control_characters_of_ids_are_shown_escaped(drawn, tmp_path, reads):
    text = (drawn / "answers.csv").read_text().replace("i1,", "\x1b[31mred,", 1)
    (tmp_path / "a.csv").write_text(text)
    drop = ["--drop", "\x1b[31mred=odd"]
    for words in (
        ["screen", tmp_path / "a.csv", *drop, "-o", tmp_path / "s.json"],
        ["calibrate", tmp_path / "a.csv", "--missing", "0", "-o", tmp_path / "c.json"],
    ):
        _, out, err = reads(*words)
        assert "\x1b" not in out + err
        assert "\\x1b[31mred" in out + err


def test_formulas_in_ids_are_disarmed_in_tables(drawn, tmp_path):
    text = (drawn / "answers.csv").read_text().replace("i1,", "=cmd,", 1)
    (tmp_path / "a.csv").write_text(text)
    output = ["-o", tmp_path / "s.json", "--log", tmp_path / "log.csv"]
    assert command("screen", tmp_path / "a.csv", *output) == 0
    assert "'=cmd" in set(pd.read_csv(tmp_path / "log.csv")["item"])


def test_line_separators_inside_json_text_are_no_line_ends(crowd, tmp_path, reads):
    texts = pd.read_csv(crowd / "texts.csv").assign(text="one\u2028two\u0085three")
    lines = [json.dumps(row, ensure_ascii=False) for row in texts.to_dict("records")]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    given = ["--texts", tmp_path / "texts.jsonl", "-o", tmp_path / "set.jsonl"]
    code, _, err = reads("export", crowd / "scale.json", *given)
    assert (code, err) == (0, "")
    first = json.loads((tmp_path / "set.jsonl").read_bytes().split(b"\n")[0])
    assert first["text"] == "one\u2028two\u0085three"


def test_published_crowd_data_give_the_published_scale(shared_data, tmp_path, reads):
    folder = shared_data / "lalor2016_snli_amt"
    given = ["--key", folder / "group_5.txt", *LABELS, "--missing-as-wrong"]
    given += ["--gold", "entailment", "-o", tmp_path / "5E.json", "--json"]
    code, out, _ = reads("screen", folder / "irt_file_5.csv", *given)
    assert code == 0
    kept = json.loads(out)["kept"]
    assert len(kept) == 28
    rows = "".join(f"{item},entailment\n" for item in kept)
    (tmp_path / "yes.csv").write_text(f"item,label\n{rows}")
    code, out, _ = reads("score", tmp_path / "5E.json", tmp_path / "yes.csv", "--json")
    assert code == 0
    (row,) = json.loads(out)["scores"]
    assert row["theta"] == pytest.approx(0.67, abs=0.005)
    assert row["percentile"] == pytest.approx(74.7, abs=0.05)
    assert row["percentile_empirical"] == pytest.approx(60.6, abs=0.05)
    assert row["percentile_midrank"] == pytest.approx(80.3, abs=0.05)


@pytest.mark.slow
def test_demo_tells_what_was_planted_and_found_and_replaces_only_its_own_folder(tmp_path, reads):
    stranger = tmp_path / "mine"
    stranger.mkdir()
    code, _, err = reads("demo", "-o", stranger)
    assert code == 4
    assert "was not made by a demo" in err
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "made-by-irtkit-demo.txt").touch()
    (folder / "old.scale.json").touch()
    code, out, err = reads("demo", "-o", folder)
    assert (code, err) == (0, "")
    assert "SIMULATED" in out
    assert "Planted and found" in out
    assert "flagged by ld_x2" in out
    assert "all-right" in out
    made = names(folder)
    assert "old.scale.json" not in made
    assert sum(name.endswith(".scale.json") for name in made) == 5
    assert "kitchen-finetuning/data/train.jsonl" in made
    assert names(stranger) == []


def test_demo_into_a_file_is_refused(tmp_path, reads):
    (tmp_path / "file").write_text("mine")
    code, _, err = reads("demo", "-o", tmp_path / "file")
    assert code == 4
    assert "exists and was not made by a demo" in err
    assert (tmp_path / "file").read_text() == "mine"


def started(*words, **options):
    """Start the command line as a process of its own."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-m", "irtkit", *map(str, words)], **given)


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "")]
)
def test_stopped_command_leaves_no_file(number, code, words, drawn, tmp_path):
    text = (drawn / "answers.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace(",0", ", 0", 1))  # makes a note after reading
    endless = ["--tolerance", "1e-300", "--max-cycles", 10**9]
    process = started("calibrate", tmp_path / "a.csv", *endless, "-o", tmp_path / "c.json")
    assert process.stderr.readline().startswith("note: ")
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_closed_pipe_ends_quietly(options, crowd):
    reader, pipe = os.pipe()
    os.close(reader)
    process = started(
        "score", crowd / "scale.json", crowd / "all-right.jsonl", *options, stdout=pipe
    )
    os.close(pipe)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [line for line in err.splitlines() if not line.startswith("note: ")] == []


def test_output_is_plain_where_the_encoding_lacks_a_character(drawn, tmp_path):
    text = (drawn / "answers.csv").read_text("utf-8").replace("i1,", "项目,", 1)
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    given = ["calibrate", tmp_path / "a.csv", "--overwrite", "-o", tmp_path / "c.json"]
    for options in ([], ["--json"]):
        process = started(*given, *options, env=plain)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert "\\u9879\\u76ee" in out
    assert json.loads(out)["items"][0]["item"] == "项目"


def test_undecodable_name_of_a_file_is_no_traceback(tmp_path):
    process = started("calibrate", os.fsdecode(b"bad\xff.csv"), "-o", tmp_path / "c.json")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (4, "")
    assert err == "error: bad\\udcff.csv does not exist. Check the name.\n"
