"""What comes after the fit, on one workload: standard errors, scores, the information function.

Each tool works with its own item parameters. Standard errors are what a fit with them costs more
than a fit without: neither tool has to be asked in a way that only it knows.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import IRTKIT, Contender, mirt
from benchmarks.fits import Examination
from benchmarks.processes import Tools, Worker, WorkerError
from benchmarks.rows import Row
from benchmarks.workloads import Workload

RIVAL = mirt(61, "squarem")
STANDARD_ERRORS = {"irtkit": "oakes", "mirt": True}  # mirt's own choice is Oakes, too
METHODS = ("eap", "map", "ml", "wle")
FAR = 5.0  # scores beyond are ends of a tool's range rather than estimates
POINTS = 1001

Ask = Callable[[Worker], dict[str, Any]]


def after_fit(workload: Workload, folder: Path, tools: Tools, *, repetitions: int) -> list[Row]:
    """Time each function of irtkit and mirt in turns."""
    examination = Examination.of(workload, folder, tools)
    with ExitStack() as stack:
        workers = {
            contender.tool: examination.worker(contender.tool, stack)
            for contender in (IRTKIT, RIVAL)
        }
        rows = _standard_errors(examination, workers, repetitions)
        for method in METHODS:
            rows += _scores(examination, workers, method, repetitions)
        rows += _paired(
            workload,
            "information",
            _turns(
                workers, lambda worker: worker.ask("information", n_points=POINTS), repetitions
            ),
        )
    return rows


def _standard_errors(
    examination: Examination, workers: dict[str, Worker], repetitions: int
) -> list[Row]:
    """Rows for the extra time of a fit with standard errors; leaves all tools fitted."""
    contenders = {contender.tool: contender for contender in (IRTKIT, RIVAL)}
    with_errors = {
        tool: Contender(
            tool,
            contender.setting,
            {**contender.arguments, "standard_errors": STANDARD_ERRORS[tool]},
        )
        for tool, contender in contenders.items()
    }
    longer = _turns(workers, lambda w: examination.timed_fit(w, with_errors[w.tool]), repetitions)
    shorter = _turns(workers, lambda w: examination.timed_fit(w, contenders[w.tool]), repetitions)
    extra = {tool: _longer_by(longer[tool], shorter[tool]) for tool in workers}
    return _paired(examination.workload, "standard errors (Oakes), extra", extra)


def _longer_by(longer: list[float] | str, shorter: list[float] | str) -> list[float] | str:
    """Seconds beyond the median of others; a failure stays one."""
    if isinstance(longer, str) or isinstance(shorter, str):
        return longer if isinstance(longer, str) else shorter
    return [seconds - statistics.median(shorter) for seconds in longer]


def _scores(
    examination: Examination, workers: dict[str, Worker], method: str, repetitions: int
) -> list[Row]:
    files = {
        tool: examination.path.with_name(f"{examination.workload.name}-{tool}-{method}.npy")
        for tool in workers
    }
    seconds = _turns(
        workers,
        lambda worker: worker.ask("score", method=method, save=str(files[worker.tool])),
        repetitions,
    )
    remark = ""
    if not any(isinstance(given, str) for given in seconds.values()):
        one, other = (np.load(file) for file in files.values())
        near = np.isfinite(one) & np.isfinite(other) & (np.abs(one) < FAR) & (np.abs(other) < FAR)
        remark = f"largest difference from irtkit {np.abs(one - other)[near].max():.2g}"
    return _paired(examination.workload, f"scores, {method.upper()}", seconds, remark)


def _turns(workers: dict[str, Worker], ask: Ask, repetitions: int) -> dict[str, list[float] | str]:
    """Seconds of each tool by turns after one untimed call, or its words if it failed."""
    seconds: dict[str, list[float] | str] = {tool: [] for tool in workers}
    for number in range(repetitions + 1):
        for tool, worker in workers.items():
            given = seconds[tool]
            if isinstance(given, str):
                continue
            try:
                answer = ask(worker)
            except WorkerError as error:
                seconds[tool] = str(error)
                continue
            if number > 0:
                given.append(answer["seconds"])
    return seconds


def _paired(
    workload: Workload, setting: str, seconds: dict[str, list[float] | str], remark: str = ""
) -> list[Row]:
    """One row a tool, with the ratio to irtkit's median."""
    medians = {
        tool: None if isinstance(given, str) else statistics.median(given)
        for tool, given in seconds.items()
    }
    base = medians["irtkit"]
    rows = []
    for tool, given in seconds.items():
        median = medians[tool]
        words = f"failed: {given}" if isinstance(given, str) else remark
        rows.append(
            Row(
                workload=f"{workload.name} after",
                tool=tool,
                setting=setting,
                seconds=median,
                ratio=None if median is None or base is None else median / base,
                quickest=None if isinstance(given, str) else min(given),
                slowest=None if isinstance(given, str) else max(given),
                remark=words if tool != "irtkit" or isinstance(given, str) else "",
                details={"repetitions": given},
            )
        )
    return rows
