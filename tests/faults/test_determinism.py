"""Twice on one machine the same bytes, with other threads the same decisions, and metamorphoses.

Hash seeds differ between the two runs, so that an order taken from a set would show.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from irtkit.estimation import MML, calibrate
from irtkit.io import read_calibration, read_scale
from irtkit.models import MODELS, TwoPL
from irtkit.responses import Responses
from irtkit.simulate import simulate
from tests.faults.injection import tree

ROOT = Path(__file__).parents[2]
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
LOG_LIKELIHOOD = 1e-12  # relative, with another number of threads
PARAMETERS = 1e-8
TABLES = 1e-6  # relative: standard errors and statistics are differences of larger numbers
EXACT = MML(tolerance=1e-12, standard_errors=None, max_cycles=50_000)


def chain(folder, *, threads, hash_seed):
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    environment["PYTHONHASHSEED"] = str(hash_seed)
    words = [sys.executable, "-m", "tests.faults.everything", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return chain(tmp_path_factory.mktemp("first") / "f", threads=1, hash_seed=1)


@pytest.mark.slow
def test_the_same_commands_write_the_same_bytes(first, tmp_path):
    again = chain(tmp_path / "f", threads=1, hash_seed=2)
    old, new = tree(first), tree(again)
    assert old.keys() == new.keys()
    assert [name for name in old if old[name] != new[name]] == []
    assert len(old) >= 15


@pytest.mark.slow
def test_another_number_of_threads_changes_no_decision_and_hardly_a_digit(first, tmp_path):
    again = chain(tmp_path / "f", threads=2, hash_seed=1)
    for model in ("2pl", "graded"):
        one, two = (read_calibration(path / model / "c.json") for path in (first, again))
        assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=LOG_LIKELIHOOD)
        assert np.nanmax(np.abs(two.parameters - one.parameters)) <= PARAMETERS
        one, two = (read_scale(path / model / "scale.json") for path in (first, again))
        assert one.items == two.items
    for path in sorted(first.rglob("*.csv")):
        name = path.relative_to(first)
        one, two = pd.read_csv(path), pd.read_csv(again / name)
        numbers = one.select_dtypes("number").columns
        words = [column for column in one.columns if column not in numbers]
        if name.name == "log.csv":
            words.remove("reason")  # tells numbers
        assert one[words].equals(two[words]), name
        for column in numbers:
            assert two[column].to_numpy(float) == pytest.approx(
                one[column].to_numpy(float), rel=TABLES, abs=TABLES, nan_ok=True
            ), (name, column)


@pytest.fixture(scope="module", params=["rasch", "2pl", "3pl", "graded", "gpcm", "nominal"])
def fitted(request):
    """Answers to a model and where the estimation ends, to the last digits."""
    model = MODELS[request.param]
    size = {"n_persons": 2000, "n_items": 7}
    made = simulate(model, **size, seed=12, missing=0.1).responses
    return model, made, calibrate(made, model, method=EXACT)


def distance(found, expected):
    """Largest difference of a parameter, item by item."""
    place = [found.items.index(item) for item in expected.items]
    gap = np.abs(found.parameters[place] - expected.parameters)
    return np.nanmax(gap)


def test_an_order_of_persons_and_items_is_no_information(fitted):
    model, responses, whole = fitted
    rng = np.random.default_rng(0)
    persons = responses.select_persons(rng.permutation(responses.n_persons))
    assert distance(calibrate(persons, model, method=EXACT), whole) <= PARAMETERS
    items = [responses.items[n] for n in rng.permutation(responses.n_items)]
    moved = calibrate(responses.select_items(items), model, method=EXACT)
    assert distance(moved, whole) <= PARAMETERS


def test_rows_that_repeat_are_weights(fitted):
    model, responses, _ = fitted
    few = responses.select_persons(np.arange(500))
    weights = np.arange(500) % 3 + 1
    rows = np.repeat(np.arange(500), weights)
    names = tuple(f"p{n}" for n in range(len(rows)))
    repeated = Responses(few.dense()[rows], names, few.items, few.categories)
    weighted = replace(few, weights=weights.astype(float))
    try:
        one, two = (calibrate(given, model, method=EXACT) for given in (weighted, repeated))
    except RuntimeError:
        pytest.skip("so few answers do not identify this model")
    assert distance(one, two) <= PARAMETERS
    assert one.log_likelihood == pytest.approx(two.log_likelihood, rel=LOG_LIKELIHOOD)


def test_names_of_persons_and_items_are_no_information(fitted):
    model, responses, whole = fitted
    renamed = replace(
        responses,
        persons=tuple(f"{n:05d}" for n in range(responses.n_persons))[::-1],
        items=tuple(f"q {n}" for n in range(responses.n_items))[::-1],
    )
    found = calibrate(renamed, model, method=EXACT)
    assert np.nanmax(np.abs(found.parameters - whole.parameters)) == 0


def test_labels_graded_by_a_key_are_their_grades():
    codes = simulate(TwoPL(), n_persons=900, n_items=6, seed=3).responses
    whole = calibrate(codes, TwoPL(), method=EXACT)
    wide = pd.DataFrame(codes.dense(), columns=list(codes.items))
    key = {item: "ABC"[n % 3] for n, item in enumerate(codes.items)}
    labels = {
        item: [key[item] if c else "DEFG"[n % 4] for n, c in enumerate(wide[item])]
        for item in wide
    }
    frame = pd.DataFrame({"person": list(codes.persons), **labels})
    found = calibrate(Responses.from_frame(frame, key=key), TwoPL(), method=EXACT)
    assert np.abs(found.parameters - whole.parameters).max() == 0


def test_turning_every_answer_turns_the_scale():
    codes = simulate(TwoPL(), n_persons=900, n_items=6, seed=3).responses
    whole = calibrate(codes, TwoPL(), method=EXACT)
    turned = calibrate(replace(codes, codes=1 - codes.dense()), TwoPL(), method=EXACT)
    assert turned.parameters[:, 0] == pytest.approx(whole.parameters[:, 0], abs=PARAMETERS)
    assert turned.parameters[:, 1] == pytest.approx(-whole.parameters[:, 1], abs=PARAMETERS)
