"""The site builds without warnings and without the network, and its reference is complete."""

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import click
import pytest

import irtkit
from irtkit.cli import cli
from tests.documentation.blocks import PAGES, ROOT, text_of

REFERENCE = sorted((ROOT / "docs" / "reference" / "python").glob("*.md"))
LISTS = re.compile(r"^```\{names\} *([\w.]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BRIDGE = (
    *("crowd", "crowd_files", "finetuning", "training", "cift"),
    *("mistakes", "pairwise", "encoders", "logs"),
)
ROOMS = ("plots", "report", *(f"bridge.{room}" for room in BRIDGE))
CONSTANTS = {"CRITERIA", "DESIGNS", "FORMS"}  # told on how-to pages
COMMAND = re.compile(r"irtkit ((?:[a-z][\w-]* ?)+)([^`\n]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?!\w)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[\w-]+)?\)")
LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
ELSEWHERE = re.compile(r"^(https?:)?//")


def listed():
    """Names of the reference pages by module."""
    found = {}
    for path in REFERENCE:
        for module, names in LISTS.findall(path.read_text("utf-8")):
            found.setdefault(module or "irtkit", []).extend(names.split())
    return found


def commands(command=cli, words=()):
    """All commands below one, by their words."""
    found = {" ".join(words): command}
    for name, below in getattr(command, "commands", {}).items():
        found |= commands(below, (*words, name))
    return found


def options(command):
    given = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {flag for option in given for flag in (*option.opts, *option.secondary_opts)} | {
        "--help"
    }


def test_reference_has_every_public_name_once():
    assert sorted(listed()["irtkit"]) == sorted(irtkit.__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_reference_has_every_public_name_of_a_room(room):
    if room in ("plots", "report"):
        pytest.importorskip("matplotlib")
    module = importlib.import_module(f"irtkit.{room}")
    elsewhere = set(irtkit.__all__) if room != "plots" else set()
    expected = set(module.__all__) - elsewhere - CONSTANTS
    assert sorted(listed()[f"irtkit.{room}"]) == sorted(expected)


def test_every_command_stands_in_the_overview():
    text = text_of("docs/reference/command-line.md")
    for name in cli.commands:
        assert f"    irtkit {name} " in text, f"no synopsis of {name!r}"
        assert f"`{name}`" in text, f"{name!r} is not in the table"


def test_commands_and_options_that_pages_name_exist():
    known = commands()
    anywhere = set.union(*(options(command) for command in known.values()))
    for program in (ROOT / "benchmarks").rglob("*.py"):
        anywhere |= set(OPTION.findall(program.read_text("utf-8")))
    for page in PAGES:
        for found in COMMAND.finditer(text_of(page)):
            words = found[1].split()
            name = next((n for k in (2, 1) if (n := " ".join(words[:k])) in known), "")
            if "--" in found[2] and words[:1] != ["COMMAND"]:
                missing = set(OPTION.findall(found[2])) - options(known[name])
                assert not missing, f"{page}: irtkit {name} has no {missing}"
        for span in re.findall(r"`(--[a-z][^`]*)`", text_of(page)):
            others = set(OPTION.findall(span)) - anywhere
            assert not others, f"{page}: no command has {others}"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in LINK.findall(text_of(page)):
            if not re.match(r"[a-z]+:", target):
                assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_index_leads_to_every_page():
    linked = {f"docs/{target}" for target in LINK.findall(text_of("docs/index.md"))}
    reference = {f"docs/reference/python/{path.name}" for path in REFERENCE}
    overview = text_of("docs/reference/python.md")
    assert set(PAGES) - linked - reference == {"README.md", "docs/index.md"}
    assert all(f"](python/{path.name})" in overview for path in REFERENCE)


class Loads(HTMLParser):
    """Collects what a page loads by itself, anchors apart, and its styles."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        address = dict(attributes).get(LOADS.get(tag, ""))
        self.found += [address] if address else []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as `CONTRIBUTING.md` says; warnings are errors."""
    for name in ("sphinx", "myst_parser", "furo", "matplotlib"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("site")
    words = [
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "docs",
        str(folder / "html"),
    ]
    words += ["-d", str(folder / "trees")]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "no_proxy": "", "NO_COLOR": "1"}
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        environment[name] = "http://127.0.0.1:9"  # nobody answers there
    before = {path for path in ROOT.joinpath("docs").rglob("*")}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {path for path in ROOT.joinpath("docs").rglob("*")} == before
    return folder / "html"


@pytest.mark.slow
def test_pages_of_the_site_load_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for path in pages:
        loads = Loads()
        loads.feed(path.read_text("utf-8"))
        assert not [found for found in loads.found if ELSEWHERE.match(found)], path.name
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text("utf-8")), style


@pytest.mark.slow
def test_every_option_of_every_command_stands_on_the_site(site):
    text = site.joinpath("reference", "commands.html").read_text("utf-8")
    for words, command in commands().items():
        assert words in text
        for flag in options(command) - {"--help"}:
            assert f">{flag}" in text or f" {flag}" in text, f"{words} {flag}"


@pytest.mark.slow
def test_every_public_name_is_described_on_the_site(site):
    text = "".join(
        path.read_text("utf-8") for path in site.joinpath("reference", "python").glob("*.html")
    )
    for module, names in listed().items():
        for name in names:
            assert f'id="{module}.{name}"' in text, f"{module}.{name}"
