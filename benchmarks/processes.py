"""One process a tool: starting it, asking it, ending it; and the rivals' environment.

Rivals are never imported here: each lives in its worker (`workers/`), with the same number of
threads for all. A worker stays alive between repetitions, so importing is never timed, and its
peak memory is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.quiet import wait_until_quiet

RIVALS = ("mirt[pandas]==1.2.0", "girth==0.8.0")
ROOT = Path(__file__).absolute().parents[1]
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class WorkerError(Exception):
    """A tool could not do what it was asked; the message is the tool's own."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the tools are and how many threads each may use.

    Attributes
    ----------
    rivals : Path
        The Python of the rivals' environment.
    threads : int
    """

    rivals: Path
    threads: int

    def start(self, tool: str, stack: ExitStack) -> Worker:
        """Start a tool's worker, which ends with the stack."""
        python = Path(sys.executable) if tool == "irtkit" else self.rivals
        command = [str(python), "-m", f"benchmarks.workers.of_{tool}"]
        return stack.enter_context(Worker(tool, command, self.surroundings(tool)))

    def surroundings(self, tool: str) -> dict[str, str]:
        """Environment variables of a tool: threads are set for rivals, irtkit decides itself.

        All are confined to the same CPUs (`confine`), so that nobody can use more.
        """
        variables = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES}
        variables["PYTHONPATH"] = str(ROOT)
        if tool != "irtkit":
            variables.update(dict.fromkeys(THREAD_VARIABLES, str(self.threads)))
        return variables


class Worker:
    """A running worker; `ask` waits until the machine is quiet, and then for the answer."""

    def __init__(self, tool: str, command: list[str], variables: dict[str, str]) -> None:
        self.tool = tool
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=variables,
            cwd=ROOT,
        )

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return the answer.

        Raises
        ------
        WorkerError
            If the tool failed or its process died.
        """
        wait_until_quiet()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.tool} ended with exit status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def confine(threads: int) -> None:
    """Keep this program and all it starts on so many CPUs, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def rivals_python(folder: Path) -> Path:
    """Make the rivals' environment in `folder`, unless it is there; return its Python."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *RIVALS], check=True)
    return python
