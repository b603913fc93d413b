"""Fits compared: irtkit, the rivals' usual settings, and the quickest that reaches the optimum.

The optimum is the best log-likelihood of all runs by the judge (`likelihood.py`). A setting
*reaches* it within 0.01 (strict) or 0.5. Rivals' usual settings often do not, so `search` climbs
mirt's nodes and tolerances until one does; the quickest found is timed as well. All tools take
turns, repetition by repetition, so that a slower minute of the machine hits everybody.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import ALWAYS, GIRTH, IRTKIT, REFERENCE, Contender, ladder
from benchmarks.likelihood import log_likelihood
from benchmarks.processes import Tools, Worker, WorkerError
from benchmarks.rows import Row
from benchmarks.workloads import CodeArray, Workload, drawn, stored

STRICT, LOOSE = 0.01, 0.5
REACHED = (STRICT, LOOSE)
SOON = 3.0  # seconds
TOO_SLOW = 2.0  # a search stops at so many times the quickest setting that reaches


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """The answers of one workload, where they lie, and who is examined.

    Attributes
    ----------
    workload : Workload
    codes : array, shape (P, I)
    path : Path
        The same, for the workers.
    tools : Tools
    """

    workload: Workload
    codes: CodeArray
    path: Path
    tools: Tools

    @classmethod
    def of(cls, workload: Workload, folder: Path, tools: Tools) -> Examination:
        """Draw and store the answers."""
        codes, _ = drawn(workload)
        assert isinstance(codes, np.ndarray)
        return cls(workload, codes, stored(codes, folder, workload.name), tools)

    def worker(self, tool: str, stack: ExitStack) -> Worker:
        """Start a worker that has read the answers."""
        worker = self.tools.start(tool, stack)
        worker.ask("load", path=str(self.path))
        return worker

    def fit(self, worker: Worker, contender: Contender) -> dict[str, Any]:
        """Fit once; the answer tells the seconds and, by the judge, the log-likelihood."""
        answer = self.timed_fit(worker, contender, save=True)
        with np.load(self._file(contender)) as found:
            value = log_likelihood(self.codes, found["slope"], found["intercepts"])
        return {**answer, "log_likelihood": value}

    def timed_fit(
        self, worker: Worker, contender: Contender, *, save: bool = False
    ) -> dict[str, Any]:
        """Fit once without judging."""
        model = "2pl" if self.workload.n_categories == 2 else "graded"
        file = str(self._file(contender)) if save else ""
        return worker.ask("fit", model=model, save=file, **contender.arguments)

    def _file(self, contender: Contender) -> Path:
        return self.path.with_name(f"{self.workload.name}-{contender.tool}.npz")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A contender with its own worker and its first fit, which nobody times.

    Attributes
    ----------
    contender : Contender
    worker : Worker
    first : dict
        The worker's answer and the log-likelihood; empty if the tool failed.
    failure : str
        The tool's own words.
    """

    contender: Contender
    worker: Worker
    first: dict[str, Any]
    failure: str = ""

    @property
    def log_likelihood(self) -> float:
        """Of the first fit, by the judge; minus infinity if it failed or is not a number."""
        value = self.first.get("log_likelihood", -np.inf)
        return value if np.isfinite(value) else -np.inf

    def turn(self, examination: Examination, number: int) -> list[dict[str, Any]]:
        """Take one turn; a tool that is slow by an order of magnitude takes none but its first."""
        if self.failure:
            return []
        if self.contender is GIRTH and examination.workload.name != "W1":
            return [self.first] if number == 0 else []
        return [examination.timed_fit(self.worker, self.contender)]


def compare(
    workload: Workload, folder: Path, tools: Tools, *, repetitions: int, slow_rivals: bool
) -> list[Row]:
    """Time the fit call alone, without standard errors, of all contenders."""
    examination = Examination.of(workload, folder, tools)
    with ExitStack() as stack:
        entries = [_entered(examination, IRTKIT, stack)]
        trials = _search(examination, entries[0].log_likelihood)
        best = max([entries[0].log_likelihood, *(t["log_likelihood"] for t in trials)])
        contenders = _chosen(trials, best)
        if workload.name == "W1" or slow_rivals:
            contenders.append(GIRTH)
        entries += [_entered(examination, contender, stack) for contender in contenders]
        answers: list[list[dict[str, Any]]] = [[] for _ in entries]
        for number in range(repetitions):
            for entry, given in zip(entries, answers, strict=True):
                given += entry.turn(examination, number)
    best = max(best, *(entry.log_likelihood for entry in entries))
    return _rows(workload, entries, answers, trials, best)


def _entered(examination: Examination, contender: Contender, stack: ExitStack) -> Entry:
    """Start a contender's own worker and let it warm up on a fit that the judge sees."""
    worker = examination.worker(contender.tool, stack)
    try:
        return Entry(contender, worker, examination.fit(worker, contender))
    except WorkerError as error:
        return Entry(contender, worker, {}, failure=str(error))


def _search(examination: Examination, best: float) -> list[dict[str, Any]]:
    """Try mirt's settings, quick ones first, until one of each kind reaches the optimum.

    Returns
    -------
    list of dict
        Contender, seconds and log-likelihood of every try.
    """
    trials: list[dict[str, Any]] = []
    quickest = np.inf
    with ExitStack() as stack:
        worker = examination.worker("mirt", stack)
        examination.timed_fit(worker, ALWAYS[0])  # the first call of a process is slower
        trials.append(_tried(examination, worker, REFERENCE))
        for contenders in (ladder("squarem"), ladder("none")):
            for contender in contenders:
                trial = _tried(examination, worker, contender)
                trials.append(trial)
                best = max([best, *(t["log_likelihood"] for t in trials)])
                if best - trial["log_likelihood"] <= STRICT:
                    quickest = min(quickest, trial["seconds"])
                    break
                if trial["seconds"] > TOO_SLOW * quickest:
                    break
    return trials


def _tried(examination: Examination, worker: Worker, contender: Contender) -> dict[str, Any]:
    """Fit and judge; twice if that is soon done, because the quicker one tells more."""
    trial = examination.fit(worker, contender)
    if trial["seconds"] < SOON:
        again = examination.timed_fit(worker, contender)["seconds"]
        trial["seconds"] = min(again, trial["seconds"])
    return {"contender": contender, **trial}


def _chosen(trials: Sequence[dict[str, Any]], best: float) -> list[Contender]:
    """The usual settings of mirt, and the quickest that reach the optimum."""
    chosen = list(ALWAYS)
    climbed = [trial for trial in trials if trial["contender"] is not REFERENCE]
    for limit in REACHED:
        reaching = [t for t in climbed if best - t["log_likelihood"] <= limit] or trials[:1]
        quickest = min(reaching, key=lambda trial: trial["seconds"])["contender"]
        chosen += [quickest] if quickest not in chosen else []
    return chosen


def _rows(
    workload: Workload,
    entries: list[Entry],
    answers: list[list[dict[str, Any]]],
    trials: list[dict[str, Any]],
    best: float,
) -> list[Row]:
    medians = [
        statistics.median(a["seconds"] for a in given) if given else None for given in answers
    ]
    rows = [
        _row(workload, entry, given, median, medians[0], best)
        for entry, given, median in zip(entries, answers, medians, strict=True)
    ]
    rows[0].details["search"] = [
        {
            "setting": trial["contender"].setting,
            "seconds": trial["seconds"],
            "shortfall": best - trial["log_likelihood"],
        }
        for trial in trials
    ]
    _crown(rows)
    return rows


def _row(
    workload: Workload,
    entry: Entry,
    given: list[dict[str, Any]],
    median: float | None,
    irtkit: float | None,
    best: float,
) -> Row:
    contender = entry.contender
    if median is None:
        failed = f"failed: {entry.failure}"
        return Row(workload.name, contender.tool, contender.setting, remark=failed)
    repetitions = [answer["seconds"] for answer in given]
    words = [f"{entry.first['cycles']} cycles"] if "cycles" in entry.first else []
    own = entry.first.get("own_log_likelihood", entry.log_likelihood) - entry.log_likelihood
    if abs(own) > STRICT:
        words.append(f"its own log-likelihood is off by {own:.2f}")
    return Row(
        workload=workload.name,
        tool=contender.tool,
        setting=contender.setting,
        seconds=median,
        ratio=None if irtkit is None else median / irtkit,
        shortfall=best - entry.log_likelihood,
        peak_mb=given[-1]["peak_mb"],
        quickest=min(repetitions),
        slowest=max(repetitions),
        remark="; ".join(words),
        details={**entry.first, "repetitions": repetitions, "call": contender.arguments},
    )


def _crown(rows: list[Row]) -> None:
    """Remark which rival is the quickest of those within each limit of the optimum."""
    crowns: dict[int, list[str]] = {}
    for limit in REACHED:
        reaching = [
            (row.seconds, place)
            for place, row in enumerate(rows)
            if row.tool != "irtkit" and row.seconds is not None and (row.shortfall or 0) <= limit
        ]
        if reaching:
            crowns.setdefault(min(reaching)[1], []).append(f"{limit:g}")
    for place, limits in crowns.items():
        words = [rows[place].remark, f"fastest rival within {' and '.join(limits)}"]
        rows[place] = replace(rows[place], remark="; ".join(filter(None, words)))
