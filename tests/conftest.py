"""Fixtures for all tests."""

import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import settings

# Of property tests that name no number of examples: few and always the same, or many new ones
# with `--hypothesis-profile=nightly`.
settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=10_000, deadline=None, print_blob=True)
settings.load_profile("quick")

# Tests run side by side: threads of the linear algebra below them would only wait for each other.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; tests of it need
# the usual handler.
ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
if ignored and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the optional folder of real data beside the checkout, or skip."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data are not beside this checkout")
    return folder
