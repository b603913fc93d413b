"""What no rival is made for: far more items than persons, a million persons, sparse answers.

Each fit runs in a process of its own, so that its peak memory is its own. Where the truth can be
compared, `recovery.py` judges; `likelihood.py` gives the log-likelihood.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import IRTKIT, Contender, mirt
from benchmarks.likelihood import log_likelihood
from benchmarks.processes import Tools, WorkerError
from benchmarks.recovery import recovery, regression
from benchmarks.rows import Row
from benchmarks.workloads import Workload, drawn, resized, stored

SIZES = (0.25, 0.5, 1.0)
SAME_SCORE = 1e-9


def fresh_fit(
    path: Path, contender: Contender, tools: Tools, *, scores: str = ""
) -> dict[str, Any]:
    """Load, fit and perhaps score in a new process; `scores` names the file for EAPs.

    Returns
    -------
    dict
        What the worker answered to the fit, with the seconds to build the responses, peak
        memory after the fit, and the files of parameters and scores.
    """
    parameters = path.with_name(f"{path.stem}-{contender.tool}.npz")
    with ExitStack() as stack:
        worker = tools.start(contender.tool, stack)
        loaded = worker.ask("load", path=str(path))
        answer = worker.ask("fit", save=str(parameters), **contender.arguments)
        answer |= {"building": loaded.get("seconds", 0.0), "parameters": str(parameters)}
        if scores:
            answer["scoring"] = worker.ask("score", method="eap", save=scores)["seconds"]
    return answer


def _row(workload: Workload, contender: Contender, answer: dict[str, Any], words: str) -> Row:
    return Row(
        workload=workload.name,
        tool=contender.tool,
        setting=contender.setting,
        seconds=answer["seconds"],
        peak_mb=answer["peak_mb"],
        remark=words,
        details=answer,
    )


def _failed(workload: Workload, contender: Contender, error: WorkerError) -> Row:
    return Row(workload.name, contender.tool, contender.setting, remark=f"failed: {error}")


def many_items(workload: Workload, folder: Path, tools: Tools, *, rivals: bool) -> list[Row]:
    """Fit more items than persons and compare with the truth."""
    codes, truth = drawn(workload)
    assert isinstance(codes, np.ndarray)
    path = stored(codes, folder, workload.name)
    regressed = regression(codes, truth.theta)
    rows: list[Row] = []
    known = np.ones(workload.n_items, dtype=bool)
    for contender in (IRTKIT, mirt(61)) if rivals else (IRTKIT,):
        scores = str(path.with_name(f"{workload.name}-{contender.tool}-eap.npy"))
        try:
            answer = fresh_fit(path, contender, tools, scores=scores)
        except WorkerError as error:
            rows.append(_failed(workload, contender, error))
            continue
        with np.load(answer["parameters"]) as found:
            slope, intercepts = found["slope"], found["intercepts"]
        if contender is IRTKIT:
            known = np.isfinite(slope)  # not the items that everybody answered alike
        slope = np.where(known, slope, np.nan)
        recovered = recovery(slope, intercepts[:, 0], truth, regressed)
        theta = np.load(scores)
        answer |= {
            "log_likelihood": log_likelihood(codes, slope, intercepts),
            "recovery": asdict(recovered),
            "distinct_eaps": len(np.unique(np.round(theta / SAME_SCORE))),
        }
        words = [f"{answer['cycles']} cycles", f"log-likelihood {answer['log_likelihood']:.2f}"]
        if "quadrature_change" in answer:
            words.append(f"quadrature change {answer['quadrature_change']:.2g}")
        rows.append(_row(workload, contender, answer, "; ".join(words)))
        distinct = f"{answer['distinct_eaps']} distinct EAPs of {workload.n_persons}"
        truthful = f"{distinct}; {recovered.words()}"
        rows.append(Row(workload.name, contender.tool, "against the truth", remark=truthful))
    return _with_ratios(rows)


def _with_ratios(rows: list[Row]) -> list[Row]:
    """Fill in ratios to irtkit's seconds, and shortfalls where there is more than one fit."""
    base = rows[0].seconds
    values = [row.details.get("log_likelihood", -np.inf) for row in rows]
    if base is None or sum(np.isfinite(values)) < 2:
        return rows
    return [
        row
        if row.seconds is None
        else replace(row, ratio=row.seconds / base, shortfall=max(values) - value)
        for row, value in zip(rows, values, strict=True)
    ]


def many_persons(workload: Workload, folder: Path, tools: Tools) -> list[Row]:
    """Fit a million persons once."""
    codes, _ = drawn(workload)
    path = stored(codes, folder, workload.name)
    del codes
    try:
        answer = fresh_fit(path, IRTKIT, tools)
    except WorkerError as error:
        return [_failed(workload, IRTKIT, error)]
    words = f"{answer['cycles']} cycles; responses built in {answer['building']:.2f} s"
    return [_row(workload, IRTKIT, answer, words)]


def sparse_growth(workload: Workload, folder: Path, tools: Tools) -> list[Row]:
    """Fit three sizes of sparse answers; the last row says how time grows with answers."""
    rows = []
    for share in SIZES:
        part = resized(workload, round(share * workload.n_persons))
        for row in many_persons(part, folder, tools):
            row.details["n_answers"] = part.n_persons * part.answers_each
            rows.append(replace(row, setting=f"{row.setting}, {part.n_persons:,} persons"))
    measured = [row for row in rows if row.seconds is not None]
    if len(measured) > 1:
        answers = np.log([row.details["n_answers"] for row in measured])
        total = np.log([row.details["seconds"] for row in measured])
        cycles = np.log([row.details["cycles"] for row in measured])
        slopes = [float(np.polyfit(answers, y, 1)[0]) for y in (total, total - cycles)]
        words = f"time grows as answers^{slopes[0]:.2f} in total, ^{slopes[1]:.2f} per EM cycle"
        details = {"growth_total": slopes[0], "growth_per_cycle": slopes[1]}
        rows.append(Row(workload.name, "irtkit", "growth", remark=words, details=details))
    return rows
