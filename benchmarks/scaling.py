"""How time grows with the number of persons, measured and drawn."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contenders import IRTKIT, Contender, mirt
from benchmarks.fits import Examination
from benchmarks.processes import Tools
from benchmarks.rows import Row
from benchmarks.workloads import Workload

PERSONS = (1_000, 3_162, 10_000, 31_623, 100_000)
N_ITEMS = 100
SEED = 110
CONTENDERS = (IRTKIT, mirt(61, "squarem"), mirt(61))


def growth(folder: Path, tools: Tools, *, repetitions: int) -> list[Row]:
    """Time fits of 100 items by more and more persons."""
    rows = []
    for n_persons in PERSONS:
        workload = Workload(f"scaling-{n_persons}", n_persons, N_ITEMS, seed=SEED)
        examination = Examination.of(workload, folder, tools)
        seconds: dict[str, list[float]] = {}
        with ExitStack() as stack:
            workers = [(who, examination.worker(who.tool, stack)) for who in CONTENDERS]
            for number in range(repetitions + 1):
                for who, worker in workers:
                    answer = examination.timed_fit(worker, who)
                    if number > 0:
                        seconds.setdefault(_name(who), []).append(answer["seconds"])
        base = statistics.median(seconds[_name(IRTKIT)])
        for who in CONTENDERS:
            median = statistics.median(seconds[_name(who)])
            setting = f"{who.setting}, {n_persons:,} x {N_ITEMS}"
            details = {"n_persons": n_persons, "name": _name(who)}
            rows.append(Row("scaling", who.tool, setting, median, median / base, details=details))
    return rows


def _name(contender: Contender) -> str:
    return f"{contender.tool}, {contender.setting}"


def draw(rows: list[Row], path: Path) -> None:
    """Draw seconds against persons, both logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    for contender in CONTENDERS:
        name = _name(contender)
        own = [row for row in rows if row.details["name"] == name]
        axes.loglog(
            [row.details["n_persons"] for row in own],
            [row.seconds for row in own],
            "o-",
            label=name,
        )
    axes.set_xlabel("persons")
    axes.set_ylabel("seconds for a fit")
    axes.set_title(f"2PL, {N_ITEMS} items, no standard errors")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
