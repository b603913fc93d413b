"""The code blocks of a page, and how each kind of them is run.

The conventions of the pages:

- ```` ```python ```` and ```` ```bash ```` run, in the order of the page, in one folder that holds
  what `given.py` puts there. Of the shell only `irtkit` runs; the lines in `EXEMPT` install.
- A block whose first line is `# not run: WHY` does not run. `test_pages.py` counts them.
- ```` ```text ```` is what the block before it prints; a line `...` stands for any lines.
- An indented block is a formula or a file, never a command.
"""

import ast
import contextlib
import io
import itertools
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from irtkit.cli import run

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile(r"# not run: \w+")
EXEMPT = re.compile(
    r"(\.venv/bin/)?pip install|python -m venv|git clone|\.venv/bin/python -m pytest"
)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
LAST_DIGIT = 1.1  # units of the last digit shown: other libraries add in another order
SHARE = 0.02  # of a number shown: training repeats to a few digits only


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    kind: str
    code: str
    line: int

    @property
    def runs(self) -> bool:
        """Whether the block is code that is run."""
        return self.kind in ("python", "bash") and not self.excused

    @property
    def excused(self) -> bool:
        """Whether the page says that the block is not run."""
        return NOT_RUN.match(self.code) is not None


def text_of(page: str) -> str:
    """Text of a page of this repository."""
    return (ROOT / page).read_text("utf-8")


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks."""
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(text)
    ]


def run_python(block: Block, names: dict[str, object], page: str) -> None:
    """Execute a block as if it stood at its line of the page."""
    tree = ast.increment_lineno(ast.parse(block.code, page), block.line)
    exec(compile(tree, page, "exec"), names)


def commands_of(code: str) -> list[list[str]]:
    """Words of each command of a block that is to be run."""
    lines = code.replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in re.split(r"&&|&\s*$", line)]
    return [
        shlex.split(part, comments=True)
        for part in parts
        if part and not part.startswith("#") and not EXEMPT.match(part)
    ]


def run_command(words: list[str], given: set[Path]) -> None:
    """Run one command line; a file that was given makes room for a result of that name."""
    program, *rest = words
    assert program.removeprefix(".venv/bin/") == "irtkit", f"only irtkit is run: {words}"
    for option, value in itertools.pairwise(rest):
        output = Path(value).absolute()
        if option in ("-o", "--log") and output in given and rest.count(value) == 1:
            output.unlink()
    assert run(rest) == 0, f"{words} failed"


def run_page(page: str, names: dict[str, object], given: set[Path]) -> list[str]:
    """Run the blocks of a page; return where it shows other output than there was."""
    printed, wrong = None, []
    for block in blocks_of(text_of(page)):
        if block.runs:
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                try:
                    if block.kind == "python":
                        run_python(block, names, page)
                    else:
                        for words in commands_of(block.code):
                            run_command(words, given)
                except BaseException:
                    print(stream.getvalue(), file=sys.__stderr__)
                    raise
            printed = stream.getvalue()
        elif block.kind == "text" and printed is not None:
            if not same_output(block.code, printed):
                wrong.append(
                    f"{page}:{block.line} shows\n{block.code}\nbut printed was\n{printed}"
                )
        elif block.excused:
            printed = None
    return wrong


def same_output(shown: str, printed: str) -> bool:
    """Compare words exactly, blanks aside, and numbers as far as their digits are shown.

    A line `...` stands for any lines.
    """
    if "\n...\n" in shown:
        first, _, last = shown.partition("...\n")
        lines = printed.splitlines(keepends=True)
        start, end = first.count("\n"), len(lines) - last.count("\n")
        return (
            start <= end
            and same_output(first, "".join(lines[:start]))
            and same_output(last, "".join(lines[end:]))
        )
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (shown, printed)]
    numbers = [NUMBER.findall(text) for text in (shown, printed)]
    return words[0] == words[1] and all(
        close(one, other) for one, other in zip(*numbers, strict=True)
    )


def close(shown: str, printed: str) -> bool:
    """Whether two numbers differ by no more than their last digit, or hardly."""
    one, other = (float(number.replace(",", "")) for number in (shown, printed))
    digits = len(shown.partition(".")[2])
    if not digits:
        return one == other
    return abs(one - other) <= max(LAST_DIGIT * 10.0**-digits, SHARE * abs(one))
