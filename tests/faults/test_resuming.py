"""An estimation that is stopped anywhere and gone on with ends where an uninterrupted one does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from irtkit.arrays import same
from irtkit.cli import run
from irtkit.estimation import MML, Plain, Squarem, calibrate
from irtkit.io import read_calibration, read_checkpoint, write_checkpoint
from irtkit.models import GeneralizedPartialCredit, TwoPL
from irtkit.simulate import simulate

ROOT = Path(__file__).parents[2]
RESUMED = 1e-10
METHODS = {
    "plain": MML(acceleration=Plain(), tolerance=1e-5, standard_errors=None),
    "squarem": MML(acceleration=Squarem(), tolerance=1e-9, standard_errors=None),
}
HISTOGRAM = MML(latent="histogram", tolerance=1e-4, standard_errors=None)
ABOUT = 1e-3  # how well a histogram of few persons is determined; its likelihood is flat
# The checkpoint is written after every cycle, not every few seconds.
EAGER = """
import sys
import irtkit.method_options
irtkit.method_options.CHECKPOINT_SECONDS = 0.0
from irtkit.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [TwoPL(), GeneralizedPartialCredit()], ids=lambda m: m.name)
def test_a_run_stopped_after_any_cycle_ends_with_the_same_numbers(model, method, tmp_path):
    method = METHODS[method]
    responses = simulate(model, n_persons=250, n_items=5, seed=4).responses
    states = []
    whole = calibrate(responses, model, method=method, progress=states.append)
    assert len(states) >= (30 if isinstance(method.acceleration, Plain) else 5)
    path = tmp_path / "state.json"
    for state in states:
        write_checkpoint(state, path)
        read = read_checkpoint(path)
        assert same(read, state)
        resumed = calibrate(responses, model, method=method, resume=read)
        assert np.abs(resumed.parameters - whole.parameters).max() <= RESUMED
        assert resumed.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
        assert resumed.converged


def test_a_histogram_goes_on_to_where_the_likelihood_is_as_high():
    """Its likelihood is flat, so the last digit of a sum moves the place where it stops."""
    responses = simulate(TwoPL(), n_persons=800, n_items=10, seed=4).responses
    states = []
    whole = calibrate(responses, TwoPL(), method=HISTOGRAM, progress=states.append)
    for state in states[:: len(states) // 6]:
        resumed = calibrate(responses, TwoPL(), method=HISTOGRAM, resume=state)
        assert np.abs(resumed.parameters - whole.parameters).max() <= ABOUT
        assert resumed.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-8)


def test_a_run_stopped_many_times_ends_with_the_same_numbers():
    """Each run does one cycle more than the one before, as if killed each time."""
    responses = simulate(TwoPL(), n_persons=250, n_items=5, seed=4).responses
    method = METHODS["plain"]
    whole = calibrate(responses, TwoPL(), method=method)
    state, n_runs = None, 0

    class Stopped(Exception):
        """As if the process had been killed."""

    def stop(at):
        nonlocal state
        moved = state is None or at.n_cycles > state.n_cycles
        state = at
        if moved:
            raise Stopped

    while True:
        n_runs += 1
        try:
            found = calibrate(responses, TwoPL(), method=method, resume=state, progress=stop)
        except Stopped:
            continue
        break
    assert n_runs >= 40
    assert np.abs(found.parameters - whole.parameters).max() <= RESUMED


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_command_killed_again_and_again_ends_with_the_same_numbers(tmp_path):
    answers, state = tmp_path / "a.csv", tmp_path / "state.json"
    size = ["--persons", "4000", "--items", "60", "--seed", "2"]
    assert run(["simulate", "--model", "graded", *size, "-o", str(answers)]) == 0
    words = ["calibrate", str(answers), "--model", "graded", "--standard-errors", "none"]
    words += ["--tolerance", "1e-8"]
    assert run([*words, "-o", str(tmp_path / "whole.json")]) == 0
    whole = read_calibration(tmp_path / "whole.json")
    words += ["--checkpoint", str(state), "-o", str(tmp_path / "c.json")]
    seen = []
    for _ in range(3):
        command = [sys.executable, "-c", EAGER, *words]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as child:
            before = state.stat().st_mtime_ns if state.exists() else 0
            while child.poll() is None:
                if state.exists() and state.stat().st_mtime_ns > before:
                    child.send_signal(signal.SIGKILL)
                time.sleep(0.005)
        if not state.exists():
            break
        seen.append(read_checkpoint(state).n_cycles)
    assert len(seen) > 1
    assert seen == sorted(set(seen))  # each run went on from the one before
    assert run(words) == 0
    found = read_calibration(tmp_path / "c.json")
    assert np.abs(found.parameters - whole.parameters).max() <= RESUMED
    assert not state.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "c.json", "whole.json"]
