"""Large inputs in a process with little memory; what needs minutes is for the night."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TWO_GB = 2_000  # MiB, less than two gigabytes
STREAM = 64  # MiB beyond the imports, for a log three times as large

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the limit of memory is that of Linux"
)


def loaded(name, folder, limit=0):
    """Run a load under a limit of memory in MiB; return what it printed."""
    words = [sys.executable, "-m", "tests.faults.loads", name, str(folder), str(limit)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_log_three_times_as_large_as_the_memory_is_streamed(tmp_path):
    loaded("log_of_long_documents", tmp_path)
    found = loaded("streaming", tmp_path, STREAM)
    assert found["items"] == 1000
    assert found["mib"] > 2.5 * STREAM


@pytest.mark.slow
@pytest.mark.parametrize(("name", "limit"), [("sparse_long_small", 300), ("dense_small", 300)])
def test_a_tenth_of_the_load_fits_a_tenth_of_the_memory(name, limit, tmp_path):
    loaded(name, tmp_path)  # the first call of a long format writes the file
    found = loaded(name, tmp_path, limit)
    assert found["converged"]


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["sparse_long", "dense"])
def test_the_whole_load_fits_two_gigabytes(name, tmp_path):
    loaded(name, tmp_path)
    found = loaded(name, tmp_path, TWO_GB - 300)  # the imports have taken the rest
    assert found["converged"]
    assert found["peak"] < TWO_GB
