"""Diagnostics on one workload: whole calls of irtkit against whole calls of mirt, in turns.

irtkit's `item_fit` gives S-X2, infit and outfit in one call, its `local_dependence` Q3, LD-X2 and
LD-G2; each is set against mirt's calls one by one and against their sum. Each tool works with its
own item parameters. Peak memory is that of M2 in a process of its own.
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.after_fit import RIVAL
from benchmarks.contenders import IRTKIT
from benchmarks.fits import Examination
from benchmarks.processes import Tools, Worker, WorkerError
from benchmarks.rows import Row
from benchmarks.workloads import Workload

AGAINST = {
    "item fit": ("S-X2", "infit and outfit"),
    "local dependence": ("Q3", "LD-X2"),
    "person fit": ("person fit",),
    "M2": ("M2",),
}


def diagnosed(workload: Workload, folder: Path, tools: Tools, *, repetitions: int) -> list[Row]:
    """Time each diagnostic of irtkit and what mirt has of the kind."""
    examination = Examination.of(workload, folder, tools)
    rows: list[Row] = []
    with ExitStack() as stack:
        workers = {
            contender.tool: examination.worker(contender.tool, stack)
            for contender in (IRTKIT, RIVAL)
        }
        for contender in (IRTKIT, RIVAL):
            examination.timed_fit(workers[contender.tool], contender)
        for what, parts in AGAINST.items():
            rows += _compared(workload, workers, what, parts, repetitions)
    return rows


def _compared(
    workload: Workload,
    workers: dict[str, Worker],
    what: str,
    parts: tuple[str, ...],
    repetitions: int,
) -> list[Row]:
    """One row for irtkit, one for each of mirt's calls, one for their sum; by turns."""
    asked = [("irtkit", what), *(("mirt", part) for part in parts)]
    seconds: dict[tuple[str, str], list[float]] = {one: [] for one in asked}
    failed: dict[tuple[str, str], str] = {}
    peaks: dict[tuple[str, str], float] = {}
    for number in range(repetitions + 1):  # the first round warms up
        for one in asked:
            if one in failed:
                continue
            try:
                answer = workers[one[0]].ask("diagnose", what=one[1])
            except WorkerError as error:
                failed[one] = str(error)
                continue
            peaks[one] = answer["peak_mb"]
            if number > 0:
                seconds[one].append(answer["seconds"])
    rows = []
    base = statistics.median(seconds[asked[0]]) if asked[0] not in failed else None
    for one in asked:
        given = seconds[one]
        median = statistics.median(given) if given and one not in failed else None
        rows.append(
            Row(
                workload=f"{workload.name} fit tests",
                tool=one[0],
                setting=one[1],
                seconds=median,
                ratio=None if median is None or base is None else median / base,
                quickest=min(given, default=None),
                slowest=max(given, default=None),
                peak_mb=peaks.get(one),
                remark=f"failed: {failed[one]}" if one in failed else "",
                details={"repetitions": given},
            )
        )
    if len(parts) > 1 and not failed and base is not None:
        together = float(np.sum([statistics.median(seconds["mirt", part]) for part in parts]))
        rows.append(
            Row(
                workload=f"{workload.name} fit tests",
                tool="mirt",
                setting=" + ".join(parts),
                seconds=together,
                ratio=together / base,
            )
        )
    return rows
