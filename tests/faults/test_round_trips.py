"""What is saved is what is loaded: answers, calibrations of every model, scales, backups."""

import json

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given

from irtkit.arrays import same
from irtkit.cli import run
from irtkit.errors import ResponseError, ScaleError
from irtkit.estimation import MML, calibrate
from irtkit.io import (
    read_calibration,
    read_responses,
    read_scale,
    write_calibration,
    write_scale,
    write_table,
)
from irtkit.io.documents import backup_of
from irtkit.models import MODELS
from irtkit.responses import Responses
from irtkit.simulate import simulate
from tests.faults import writers
from tests.faults.profiles import examples

NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=6)


@st.composite
def answers(draw):
    """Any small matrix of answers with any names."""
    items = draw(st.lists(NAMES, min_size=2, max_size=5, unique_by=str.casefold))
    persons = draw(st.lists(NAMES, min_size=2, max_size=6, unique_by=str.casefold))
    highest = draw(st.sampled_from([1, 1, 3]))
    size = len(items) * len(persons)
    codes = draw(st.lists(st.integers(-1, highest), min_size=size, max_size=size))
    codes = np.array(codes, dtype=np.int8).reshape(len(persons), len(items))
    assume((codes >= 0).any(axis=1).all())
    categories = tuple(str(code) for code in range(highest + 1))
    try:
        return Responses(codes, tuple(persons), tuple(items), categories)
    except ResponseError:  # names that only look different
        assume(False)


def frame_of(responses):
    codes = pd.DataFrame(responses.dense(), columns=list(responses.items)).astype("Int8")
    codes.index = pd.Index(responses.persons, name="person number")
    return codes.mask(codes < 0)


@examples(40)
@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
@given(made=answers())
def test_answers_survive_a_file(ending, made, tmp_path):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a.{ending}"
    write_table(frame_of(made), path)
    try:
        back = read_responses(path)
    except ResponseError:
        # What a name or a column of one value may look like is told, not guessed.
        return
    place = [back.items.index(_escaped(item, ending)) for item in made.items]
    rows = [back.persons.index(_escaped(person, ending)) for person in made.persons]
    now, then = back.dense()[np.ix_(rows, place)], made.dense()
    seen = [int(category) for category in back.categories]
    assert (now < 0).tolist() == (then < 0).tolist()
    assert [seen[code] for code in now[now >= 0]] == then[then >= 0].tolist()


def _escaped(name, ending):
    escape = ending != "parquet" and name.startswith(("=", "+", "-", "@"))
    return f"'{name}" if escape else name


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_calibrations_of_every_model_survive_a_file(name, seed, tmp_path):
    model = MODELS[name]
    made = simulate(model, n_persons=400, n_items=5, seed=seed, missing=0.1 * seed).responses
    method = MML(tolerance=1e-2, latent="histogram" if seed == 3 else "normal")
    found = calibrate(made, model, method=method)
    path = tmp_path / "c.json"
    write_calibration(found, path)
    content = path.read_bytes()
    assert same(read_calibration(path), found)
    write_calibration(read_calibration(path), path)
    assert path.read_bytes() == content


def test_scales_survive_a_file(tmp_path):
    path = tmp_path / "s.json"
    write_scale(writers.scale(0), path)
    assert same(read_scale(path), writers.scale(0))
    content = path.read_bytes()
    write_scale(read_scale(path), path)
    assert path.read_bytes() == content
    assert not backup_of(path).exists()  # nothing changed, so there is no version before


def test_the_version_before_is_kept_and_named_where_the_scale_is_damaged(tmp_path):
    path = tmp_path / "s.json"
    write_scale(writers.scale(0), path)
    write_scale(writers.scale(1), path)
    assert same(read_scale(backup_of(path)), writers.scale(0))
    assert backup_of(path) == tmp_path / "s.json.bak"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ScaleError, match=r"not complete JSON.*The version before it is .*\.bak\."):
        read_scale(path)
    write_scale(writers.scale(1), path)
    assert same(read_scale(backup_of(path)), writers.scale(0))  # never replaced by a damaged one
    backup_of(path).unlink()
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ScaleError) as refusal:
        read_scale(path)
    assert ".bak" not in str(refusal.value)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Answers to items, and a file for each of two halves."""
    folder = tmp_path_factory.mktemp("crowd")
    size = ["--persons", "400", "--items", "8", "--seed"]
    for name, seed in (("a", "1"), ("b", "2")):
        assert run(["simulate", *size, seed, "-o", str(folder / f"{name}.csv")]) == 0
    return folder


def test_an_unconverged_screening_leaves_its_state_under_another_name(crowd, tmp_path, capsys):
    output = tmp_path / "s.json"
    words = ["screen", str(crowd / "a.csv"), "--max-cycles", "3", "-o", str(output)]
    assert run(words) == 3
    said = capsys.readouterr().err
    assert f"The last state is in {output}.partial" in said
    assert [path.name for path in tmp_path.iterdir()] == ["s.json.partial"]
    state = read_calibration(f"{output}.partial")
    assert not state.converged
    assert state.n_cycles >= 3


def test_unconverged_parts_of_a_screening_are_left_beside_the_others(crowd, tmp_path, capsys):
    output = tmp_path / "out"
    words = ["screen", str(crowd / "a.csv"), str(crowd / "b.csv"), "-o", str(output)]
    assert run([*words, "--max-cycles", "3"]) == 3
    assert "Not converged: a, b" in capsys.readouterr().err
    names = sorted(path.name for path in output.iterdir())
    assert names == ["a.json.partial", "b.json.partial", "summary.csv"]
    assert not read_calibration(output / "a.json.partial").converged
    assert run([*words, "--preset", "standard", "--overwrite"]) == 0
    first = (output / "a.json").read_bytes()
    assert run([*words, "--preset", "lalor2016", "--name", "x", "--overwrite"]) == 2
    assert (output / "a.json").read_bytes() == first
    document = json.loads(first)
    assert document["sha256"]
    assert run([*words, "--preset", "standard", "--model", "1pl", "--overwrite"]) == 0
    assert (output / "a.json.bak").read_bytes() == first


def test_an_unconverged_calibration_of_a_leaderboard_is_left_too(tmp_path, capsys):
    rng = np.random.default_rng(1)
    rows = [(f"m{m}", f"i{n}", int(rng.random() < 0.5)) for m in range(60) for n in range(10)]
    logs = tmp_path / "models.csv"
    pd.DataFrame(rows, columns=["model", "item", "correct"]).to_csv(logs, index=False)
    page = tmp_path / "page.html"
    code = run(["leaderboard", str(logs), "-o", str(page)])
    capsys.readouterr()
    assert code in (0, 2, 3)
    assert page.exists() == (code == 0)
    assert (tmp_path / "page.html.partial").exists() == (code == 3)
