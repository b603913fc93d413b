"""``python -m benchmarks``: measure the chosen workloads, print one table, write JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine, scaling
from benchmarks.after_fit import after_fit
from benchmarks.diagnosed import diagnosed
from benchmarks.fits import compare
from benchmarks.large import many_items, many_persons, sparse_growth
from benchmarks.processes import Tools, confine, rivals_python
from benchmarks.rows import Row, table
from benchmarks.workloads import WORKLOADS

COMPARED = ("W1", "W2", "W3", "W4", "WG")
FURTHER = "W2"  # where functions after the fit and the machine's share are measured


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"from {' '.join(WORKLOADS)}; default all"
    )
    parser.add_argument("--repetitions", type=int, default=7, help="timed turns (7)")
    parser.add_argument("--threads", type=int, default=2, help="CPUs and threads a tool (2)")
    parser.add_argument("--environment", type=Path, help="folder of the rivals, kept for reuse")
    parser.add_argument("--output", type=Path, help="JSON file for all that was measured")
    parser.add_argument("--plot", type=Path, help="picture of time against persons")
    parser.add_argument(
        "--slow-rivals", action="store_true", help="girth beyond W1 too, one fit each"
    )
    given = parser.parse_args()
    unknown = [name for name in given.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"unknown {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    if given.repetitions < 1 or given.threads < 1:
        parser.error("repetitions and threads must be at least 1")
    return given


def measured(name: str, folder: Path, tools: Tools, given: argparse.Namespace) -> list[Row]:
    """Rows of one workload."""
    workload = WORKLOADS[name]
    say(workload.title)
    if name in COMPARED:
        rows = compare(
            workload,
            folder,
            tools,
            repetitions=given.repetitions,
            slow_rivals=given.slow_rivals,
        )
        if name == FURTHER:
            rows += after_fit(workload, folder, tools, repetitions=given.repetitions)
            rows += diagnosed(workload, folder, tools, repetitions=given.repetitions)
            rows += [machine.share_row(workload, rows[0], tools)] if rows[0].seconds else []
        return rows
    if workload.sparse:
        return sparse_growth(workload, folder, tools)
    if workload.n_items > workload.n_persons:
        return many_items(workload, folder, tools, rivals=name == "W5")
    return many_persons(workload, folder, tools)


def versions(tools: Tools) -> dict[str, Any]:
    """Versions of all tools, as they say themselves."""
    found: dict[str, Any] = {}
    for tool in ("irtkit", "mirt", "girth"):
        with ExitStack() as stack:
            answer = tools.start(tool, stack).ask("version")
        found |= {name: value for name, value in answer.items() if name != "peak_mb"}
    return found


def say(words: str) -> None:
    """Tell what is going on, apart from the results."""
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    """Run everything that was asked for."""
    given = arguments()
    confine(given.threads)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        folder = Path(temporary)
        say("preparing the rivals' environment")
        python = rivals_python(given.environment or folder / "rivals")
        tools = Tools(python.absolute(), given.threads)
        about = {**machine.description(tools), "versions": versions(tools)}
        rows: list[Row] = []
        for name in given.workloads or WORKLOADS:
            rows += measured(name, folder / "answers", tools, given)
        if given.plot:
            say("scaling")
            grown = scaling.growth(folder / "answers", tools, repetitions=given.repetitions)
            scaling.draw(grown, given.plot)
            rows += grown
    print(", ".join(f"{name} {value}" for name, value in about.items() if name != "versions"))
    print(", ".join(f"{name} {value}" for name, value in about["versions"].items()))
    print(f"medians of {given.repetitions} repetitions; ratio above 1: irtkit is faster\n")
    print(table(rows))
    if given.output:
        document = {"about": about, "rows": [asdict(row) for row in rows]}
        given.output.write_text(json.dumps(document, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
