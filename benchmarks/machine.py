"""The machine: its matrix-product speed, and how much of it irtkit's EM cycles turn over.

``python -m benchmarks.machine`` prints the speed as JSON; it runs in a process of its own, with
the rivals' number of threads. The share is nominal: a cycle counts as two products of persons,
items and 61 nodes, 2 P I Q operations each. For complete answers irtkit's E-step does less than
that, so the share says how fast cycles are, not how busy the processor is.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.processes import ROOT, Tools
from benchmarks.rows import Row
from benchmarks.workloads import Workload

SQUARE = 2000
NODES = 61
ROUNDS = 9


def product_speed(rows: int, inner: int, columns: int) -> float:
    """GFLOP/s of a float64 product (rows, inner) @ (inner, columns), the best of several."""
    rng = np.random.default_rng(0)
    left, right = rng.random((rows, inner)), rng.random((inner, columns))
    target = np.empty((rows, columns))
    fastest = np.inf
    for _ in range(ROUNDS):
        start = time.perf_counter()
        np.matmul(left, right, out=target)
        fastest = min(fastest, time.perf_counter() - start)
    return 2.0 * rows * inner * columns / fastest / 1e9


def speeds(workload: Workload, tools: Tools) -> dict[str, float]:
    """Measure a square product and one shaped like the workload, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.machine"]
    shape = [str(workload.n_persons), str(workload.n_items)]
    variables = tools.surroundings("machine")
    done = subprocess.run(
        [*command, *shape], env=variables, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def description(tools: Tools) -> dict[str, Any]:
    """Processor, system and Python."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "threads": tools.threads,
        "date": time.strftime("%Y-%m-%d"),
    }


def share_row(workload: Workload, fit: Row, tools: Tools) -> Row:
    """Compare irtkit's EM cycles on a workload with the machine's matrix products."""
    measured = speeds(workload, tools)
    cycles = fit.details["cycles"]
    work = 2 * 2.0 * workload.n_persons * workload.n_items * NODES * cycles
    nominal = work / (fit.seconds or np.nan) / 1e9
    words = (
        f"nominal {nominal:.0f} GFLOP/s in {cycles} cycles = "
        f"{nominal / measured['square']:.0%} of {SQUARE} x {SQUARE} products "
        f"({measured['square']:.0f} GFLOP/s), {nominal / measured['shaped']:.0%} of "
        f"{workload.n_persons:,} x {workload.n_items} x {NODES} ({measured['shaped']:.0f}); "
        "its E-step for complete answers does less than the nominal work"
    )
    details = {**measured, "nominal": nominal, "cycles": cycles}
    return Row(f"{workload.name} speed", "irtkit", "EM cycles", remark=words, details=details)


if __name__ == "__main__":
    persons, items = (int(word) for word in sys.argv[1:])
    found = {
        "square": product_speed(SQUARE, SQUARE, SQUARE),
        "shaped": product_speed(persons, items, NODES),
    }
    print(json.dumps(found))
