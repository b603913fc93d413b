"""What every worker does: read commands, time calls, answer.

A command is one line of JSON on the standard input, ``{"command": "fit", ...}``, and names a
method of the tool; its answer is one line on the standard output. Arrays travel as files. Nothing
here imports a tool, so that it runs in any environment with NumPy.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar("Value")


def serve(tool: Any) -> None:
    """Answer commands by the methods of `tool` until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the tool itself prints must not mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        command = request.pop("command")
        try:
            answer = getattr(tool, command)(**request) or {}
        except Exception as error:  # a rival may fail in any way; the table shows how
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps({**answer, "peak_mb": peak_memory()}) + "\n")
        answers.flush()


def timed(call: Callable[[], Value]) -> tuple[Value, float]:
    """Return what the call returns and its seconds, garbage collected before."""
    gc.collect()
    start = time.perf_counter()
    value = call()
    return value, time.perf_counter() - start


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB.

    `ru_maxrss` starts from the memory of the process that started this one, so Linux is asked
    for the peak of this program alone.
    """
    try:
        with open("/proc/self/status") as status:
            kilobytes = next(line for line in status if line.startswith("VmHWM")).split()[1]
        return int(kilobytes) / 1024
    except (OSError, StopIteration):
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
