"""The command line of the engine: models, options, checkpoints, linking, planning."""

import json

import pandas as pd
import pytest

from irtkit.cli import run
from irtkit.estimation import MML, calibrate
from irtkit.io import read_calibration, read_checkpoint, read_responses, write_checkpoint
from irtkit.models import Graded, TwoPL

RESUMED = 1e-10


@pytest.fixture
def reads(capsys):
    """Return a function that runs a command and gives its exit code, output and errors."""

    def reads(*words):
        capsys.readouterr()
        code = run([str(word) for word in words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return reads


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two forms of the same simulated items, and rated answers."""
    made = tmp_path_factory.mktemp("answers")
    size = ["--items", "8", "--seed", "1"]
    for name, persons, model in (("a", "500", "2pl"), ("rated", "600", "graded")):
        words = ["--model", model, "--persons", persons, *size, "-o", str(made / f"{name}.csv")]
        assert run(["simulate", *words]) == 0
    answers = pd.read_csv(made / "a.csv")
    answers.iloc[:300].to_csv(made / "b.csv", index=False)
    for name in ("a", "b"):
        assert run(["calibrate", str(made / f"{name}.csv"), "-o", str(made / f"{name}.json")]) == 0
    return made


def test_rated_answers_are_calibrated_by_a_model_for_them(folder, tmp_path, reads):
    output = tmp_path / "items.json"
    code, out, _ = reads("calibrate", folder / "rated.csv", "--model", "graded", "-o", output)
    assert code == 0
    assert "graded calibration of 8 items" in out
    assert "threshold 4" in out
    found = read_calibration(output)
    assert set(found.assignment.models) == {Graded()}
    code, _, err = reads("calibrate", folder / "rated.csv", "-o", tmp_path / "other.json")
    assert code == 2
    assert "use a model for ordered categories" in err


def test_a_file_names_the_models_of_single_items(folder, tmp_path, reads):
    models = tmp_path / "models.csv"
    models.write_text("item,model\ni1,nominal\ni2,gpcm\n")
    output = tmp_path / "items.json"
    words = ["--model", "graded", "--models", models, "-o", output]
    code, _, _ = reads("calibrate", folder / "rated.csv", *words)
    assert code == 0
    names = [model.name for model in read_calibration(output).assignment.models]
    assert names == ["nominal", "gpcm", *["graded"] * 6]
    models.write_text("item,model\ni1,grated\n")
    code, _, err = reads("calibrate", folder / "rated.csv", *words, "--overwrite")
    assert code == 2
    assert "gives item 'i1' the model 'grated'" in err
    models.write_text("item,model\nj1,graded\n")
    code, _, err = reads("calibrate", folder / "rated.csv", *words, "--overwrite")
    assert code == 2
    assert "'j1', which was not answered" in err


def test_options_of_the_estimation_reach_it(folder, tmp_path, reads):
    output = tmp_path / "items.json"
    words = ["--small-sample", "--standard-errors", "sandwich", "--latent", "histogram"]
    words += ["--tolerance", "1e-3", "-o", output]
    code, _, err = reads("calibrate", folder / "a.csv", *words)
    assert code == 0
    assert "Priors: slope LogNormal" in err
    found = json.loads(output.read_text("utf-8"))
    assert found["latent"]["distribution"] == "histogram"
    assert found["standard_errors"].startswith("sandwich")
    assert found["log_prior"] != 0


def test_a_checkpoint_is_gone_on_from_and_removed_at_the_end(folder, tmp_path, reads):
    responses = read_responses(folder / "a.csv")
    states = []
    whole = calibrate(
        responses,
        {item: TwoPL() for item in responses.items},
        method=MML(),
        progress=states.append,
    )
    state, output = tmp_path / "state.json", tmp_path / "items.json"
    write_checkpoint(states[0], state)
    words = ["--checkpoint", state, "-o", output]
    code, _, err = reads("calibrate", folder / "a.csv", *words)
    assert code == 0
    assert f"{states[0].n_cycles} cycles are done" in err
    assert not state.exists()
    found = read_calibration(output)
    assert found.parameters == pytest.approx(whole.parameters, abs=RESUMED)
    write_checkpoint(states[0], state)
    code, _, err = reads("calibrate", folder / "b.csv", *words, "--overwrite")
    assert code == 2
    assert "belongs to other answers" in err
    assert read_checkpoint(state).n_cycles == states[0].n_cycles


def test_a_calibration_is_put_on_the_scale_of_another(folder, tmp_path, reads):
    output = tmp_path / "linked.json"
    words = [folder / "b.json", folder / "a.json", "-o", output]
    code, out, _ = reads("link", *words)
    assert code == 0
    assert "8 common items after stocking_lord linking" in out
    assert read_calibration(output).latent.mean != 0
    code, out, _ = reads("link", *words, "--method", "mean_sigma", "--overwrite", "--json")
    assert code == 0
    assert json.loads(out)["slope"] == pytest.approx(1.0, abs=0.3)


def test_a_plan_says_how_many_persons_are_needed(reads):
    words = ["--items", 8, "--standard-error", 0.3]
    code, out, _ = reads("plan", *words)
    assert code == 0
    assert "persons are needed" in out
    code, out, _ = reads("plan", *words, "--json")
    assert code == 0
    assert 50 < json.loads(out)["needed"] < 1000
