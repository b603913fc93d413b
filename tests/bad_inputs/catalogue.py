"""What a case of the catalogue is, how it is registered, run and judged.

A case is a function of a `Bench`, a folder with the command line beside it, under the number of
its entry. `refused` and `accepted` cases say the words of a command; what it may print and leave
behind is checked here, the same for all. `holds` is for what has no command: the function checks
by itself. `absent` entries do not apply, for a reason. Titles are in `titles.py`.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from irtkit.cli import run
from tests.bad_inputs.titles import TITLES

ROOT = Path(__file__).parents[2]


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class Bench:
    """A folder to make files in, and the command line to try them with."""

    folder: Path
    capsys: pytest.CaptureFixture
    patch: pytest.MonkeyPatch
    written: list[Path] = field(default_factory=list)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file; the first one is the one that messages must name."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.written.append(path)
        return path

    def run(self, *words) -> Ran:
        """Run a command in this process."""
        self.capsys.readouterr()
        code = run([str(word) for word in words])
        return Ran(code, *self.capsys.readouterr())

    def start(self, *words, **options) -> subprocess.Popen:
        """Start a command as a process of its own."""
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        given["env"] = {"PYTHONPATH": str(ROOT), **options.get("env", os.environ)}
        return subprocess.Popen([sys.executable, "-m", "irtkit", *map(str, words)], **given)

    def tree(self) -> dict[str, str]:
        """Say what stands in the folder: the hash of each file, hidden ones too."""
        return {
            path.relative_to(self.folder).as_posix(): _state(path)
            for path in sorted(self.folder.rglob("*"))
        }


def _state(path: Path) -> str:
    if path.is_symlink():
        return f"link to {os.readlink(path)}"
    if not path.is_file():
        return "no file"
    size = path.stat().st_size
    return hashlib.sha256(path.read_bytes()).hexdigest() if size < 2**24 else f"{size} bytes"


@dataclass(frozen=True)
class Case:
    """A way to meet an entry, and what comes of it."""

    number: int
    name: str
    verdict: str
    check: Callable[[Bench], None]


CASES: dict[str, Case] = {}
ABSENT: dict[int, str] = {}


def _register(number: int, name: str, verdict: str, check: Callable[[Bench], None]) -> None:
    label = f"{number:03d}-{name}"
    assert number in TITLES
    assert label not in CASES
    CASES[label] = Case(number, name, verdict, check)


def absent(number: int, reason: str) -> None:
    """Say why an entry does not apply."""
    ABSENT[number] = reason


def holds(number: int, verdict: str):
    """Register a function that checks by itself."""

    def register(function):
        _register(number, function.__name__, verdict, function)
        return function

    return register


def refused(number: int, message: str, *, code: int = 2, about: str | None = ".", leaves=()):
    """Register a function that gives the words of a command that must be refused.

    Parameters
    ----------
    number : int
    message : str
        Pattern of what is said.
    code : int
    about : str, optional
        What the message must name, by default the file that was written first.
    leaves : sequence of str
        Files that appear all the same.
    """

    def register(function):
        def check(bench: Bench) -> None:
            words = function(bench)
            before = bench.tree()
            ran = bench.run(*words)
            assert (ran.code, ran.out) == (code, "")
            check_refusal(ran.err, message)
            named = bench.written[0].name if about == "." and bench.written else about
            if named not in (None, "."):
                assert named in ran.err, f"{named} is not named in: {ran.err}"
            after = bench.tree()
            assert {name: after.get(name) for name in before} == before
            assert sorted(set(after) - set(before)) == sorted(leaves)

        _register(number, function.__name__, f"refused, exit {code}", check)
        return function

    return register


def check_refusal(err: str, message: str) -> None:
    """Check what a refusal says: one error, no traceback, its pattern."""
    assert "Traceback" not in err
    assert len(re.findall(r"^(?:error|Error): ", err, re.MULTILINE)) == 1, err
    assert re.search(message, err, re.DOTALL), f"{message!r} does not match: {err}"


def accepted(number: int, note: str = "", *, writes=("c.json",)):
    """Register a generator that yields the words of a command that must do its work.

    It is sent what the command printed, and checks what was written.

    Parameters
    ----------
    number : int
    note : str
        Pattern of the note on standard error; without one, nothing may be said there.
    writes : sequence of str
        The files that appear.
    """

    def register(function):
        def check(bench: Bench) -> None:
            steps = function(bench)
            words = next(steps)
            before = bench.tree()
            ran = bench.run(*words)
            assert ran.code == 0, ran.err
            assert "Traceback" not in ran.err
            assert bool(note) == ("note: " in ran.err), ran.err
            assert re.search(note, ran.err, re.DOTALL), f"{note!r} does not match: {ran.err}"
            after = bench.tree()
            assert {name: after.get(name) for name in before} == before
            assert sorted(set(after) - set(before)) == sorted(writes)
            with pytest.raises(StopIteration):
                steps.send(ran)

        _register(number, function.__name__, "accepted, noted" if note else "accepted", check)
        return function

    return register
