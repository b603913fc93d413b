"""`irtkit score` on logs of every format, and `irtkit read`."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from irtkit.bridge.logs import read_logs
from irtkit.cli.group import cli
from irtkit.cli.logs import read_command
from irtkit.cli.scales import score_command
from irtkit.errors import FileError, PredictionError
from irtkit.io import read_responses, write_scale
from irtkit.models import Rasch
from irtkit.responses import Responses
from irtkit.scale import build_scale
from irtkit.screening import ItemStates, screen
from irtkit.simulate import simulate
from tests.bridge import logs_made as made


def done(command, *words):
    """Run a command; its errors are raised as they are."""
    result = CliRunner().invoke(command, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def scale_of(items, folder):
    drawn = simulate(Rasch(), n_persons=300, n_items=len(items), seed=3).responses
    answers = Responses.from_array(drawn.dense(), items=items)
    path = folder / "scale.json"
    write_scale(build_scale(screen(answers, Rasch(), (ItemStates(),)), name="quiz"), path)
    return path


WRITERS = {
    "lm_eval": made.lm_eval,
    "inspect": lambda folder, who: made.zipped(folder / f"{who}.eval", made.inspect_members(who)),
    "helm": made.helm,
    "lighteval": made.lighteval,
    "every_eval_ever": made.every_eval_ever,
    "openai_evals": made.openai_evals,
}


@pytest.mark.parametrize("name", WRITERS)
def test_models_are_scored_from_their_logs(name, tmp_path):
    paths = [WRITERS[name](tmp_path, who) for who in made.RIGHT]
    read = read_logs(paths)
    scale = scale_of(read.items, tmp_path)
    out = done(score_command, scale, *paths, "--json")
    shown = json.loads(out.stdout)
    assert [row["person"] for row in shown["scores"]] == list(read.persons)
    assert [row["n_answered"] for row in shown["scores"]] == [4, 4]
    thetas = [row["theta"] for row in shown["scores"]]
    assert thetas[0] > thetas[1]
    assert "2 models, 4 items of 1 task" in out.stderr
    assert list(shown["found"].values()) == ["evaluation logs"]


def test_logs_of_one_model_count_together_beside_a_table(tmp_path):
    paths = [made.lm_eval(tmp_path, "a", task=f"quiz{n}") for n in (1, 2)]
    read = read_logs(paths)
    scale = scale_of(read.items, tmp_path)
    pd.DataFrame({"item": read.items, "correct": 1}).to_csv(tmp_path / "best.csv", index=False)
    shown = json.loads(done(score_command, scale, *paths, tmp_path / "best.csv", "--json").stdout)
    rows = {row["person"]: row for row in shown["scores"]}
    assert {name: row["n_answered"] for name, row in rows.items()} == {"best": 8, "org__a": 8}
    assert rows["best"]["at_ceiling"]


def test_options_of_logs_reach_the_reader(tmp_path):
    samples = [made.inspect_sample(f"s{n}", grade) for n, grade in enumerate("CPPI")]
    path = made.document(tmp_path / "log.json", made.inspect_log("a", samples))
    scale = scale_of([f"suite/quiz/s{n}" for n in range(4)], tmp_path)
    with pytest.raises(PredictionError, match="strictly between 0 and 1"):
        done(score_command, scale, path)
    out = done(score_command, scale, path, "--threshold", 0.5)
    assert "A score of at least 0.5 counts as right" in out.stderr
    assert done(score_command, scale, path, "--levels", 1).exit_code == 2


def test_what_is_read_is_what_is_written(tmp_path):
    paths = [WRITERS["inspect"](tmp_path, who) for who in made.RIGHT]
    out, texts = tmp_path / "answers.csv", tmp_path / "texts.csv"
    said = done(read_command, *paths, "-o", out, "--texts", texts)
    assert "8 answers of 2 models to 4 items" in said.stdout
    read = read_logs(paths)
    back = read_responses(out)
    assert (back.persons, back.items) == (read.persons, read.items)
    assert (back.dense() == read.dense()).all()
    table = pd.read_csv(texts)
    assert table["text"].tolist() == list(made.QUESTIONS.values())
    assert tuple(table["item"]) == read.items
    long = tmp_path / "long.csv"
    said = done(read_command, *paths, "-o", long, "--long", "--json")
    assert json.loads(said.stdout)["n_answers"] == 8
    assert read_logs(long).dense().tolist() == read.dense().tolist()
    assert read_logs(out).dense().tolist() == read.dense().tolist()


def test_missing_answers_are_empty_cells(tmp_path):
    samples = [made.inspect_sample("q1", "N"), made.inspect_sample("q2", "C")]
    paths = [
        made.document(tmp_path / "a.json", made.inspect_log("a", samples)),
        made.document(tmp_path / "b.json", made.inspect_log("b")),
    ]
    out = tmp_path / "answers.csv"
    done(read_command, *paths, "-o", out)
    table = pd.read_csv(out, index_col="person")
    assert np.array_equal(
        table.to_numpy(float), [[np.nan, 1, np.nan, np.nan], [0, 1, 0, 0]], equal_nan=True
    )


def test_nothing_is_written_where_something_stands_or_a_log_is_bad(tmp_path):
    path = made.document(tmp_path / "log.json", made.inspect_log("a"))
    with pytest.raises(FileError, match="exists"):
        done(read_command, path, "-o", path)
    bad = made.document(tmp_path / "bad.json", made.inspect_log("a", []))
    with pytest.raises(PredictionError):
        done(read_command, bad, "-o", tmp_path / "answers.csv")
    with pytest.raises(FileError, match="CSV, TSV or Parquet"):
        done(read_command, path, "-o", tmp_path / "answers.xlsx")
    assert {p.name for p in tmp_path.iterdir()} == {"log.json", "bad.json"}


def test_the_command_hangs_on_the_group():
    assert cli.commands["read"] is read_command
