"""All code of the pages runs, and prints what the pages show."""

import re

import pytest

from tests.documentation.blocks import (
    EXEMPT,
    PAGES,
    ROOT,
    Block,
    blocks_of,
    commands_of,
    run_page,
    same_output,
    text_of,
)
from tests.documentation.given import NEEDS, given

NOT_RUN = {  # blocks that a page excuses, each with its reason in the page
    "docs/explanation/performance.md": 1,
    "docs/explanation/screening-real-answers.md": 3,
}
KINDS = {"python", "bash", "text", "json"}
COMMAND = re.compile(r"^    \$? ?(irtkit|pip|python|git) ", re.MULTILINE)
SYNOPSES = "docs/reference/command-line.md"


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.runs for b in blocks_of(text_of(p)))])
def test_code_of_a_page_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch):
    for name in NEEDS.get(page, ()):
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    names = given(page, tmp_path)
    assert not run_page(page, names, set(tmp_path.iterdir()))


def test_blocks_that_do_not_run_are_counted():
    excused = {page: [b for b in blocks_of(text_of(page)) if b.excused] for page in PAGES}
    assert {page: len(found) for page, found in excused.items() if found} == NOT_RUN


def test_blocks_are_of_a_known_kind():
    for page in PAGES:
        for block in blocks_of(text_of(page)):
            assert block.kind in KINDS or block.kind.startswith("{"), f"{page}:{block.line}"


def test_output_stands_after_the_code_that_prints_it():
    for page in PAGES:
        found = blocks_of(text_of(page))
        for before, block in zip([None, *found], found, strict=False):
            if block.kind == "text":
                assert before is not None, f"{page}:{block.line}"
                assert before.runs or before.excused, f"{page}:{block.line}"


def test_no_command_hides_in_an_indented_block():
    hiding = [page for page in PAGES if COMMAND.search(text_of(page))]
    assert hiding == [SYNOPSES]


def test_other_words_and_other_numbers_are_other_output():
    assert same_output("item  0.31\n", "item 0.32\n")
    assert not same_output("item  0.31\n", "item 0.35\n")
    assert not same_output("item  0.31\n", "items 0.31\n")
    assert not same_output("12 items", "13 items")
    assert not same_output("1 2", "1")
    assert same_output("a\n...\nz\n", "a\nb\nc\nz\n")
    assert not same_output("a\n...\nz\n", "a\nb\nc\ny\n")


def test_only_irtkit_and_installations_are_commands():
    code = "pip install x && irtkit demo -o 'a b' &\n# a comment\nirtkit \\\n  plan\n"
    assert commands_of(code) == [["irtkit", "demo", "-o", "a b"], ["irtkit", "plan"]]
    assert EXEMPT.match("rm -rf x") is None
    assert Block("bash", "# not run: hours\nirtkit", 1).excused
