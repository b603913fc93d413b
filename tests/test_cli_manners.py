"""How the command line behaves in a terminal: quiet, narrow, without colour, completing."""

import getpass
import io
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

from irtkit import terminal
from irtkit.cli import cli, run
from irtkit.environment import environment

PLAN = ["plan", "--items", "5", "--standard-error", "0.5"]
COLOURS = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}


def commands(group=cli, before=()):
    """Walk through all commands, those of groups too."""
    for name, command in sorted(group.commands.items()):
        yield " ".join((*before, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))


def in_a_process(*words, **variables):
    return subprocess.run(
        [sys.executable, "-m", "irtkit", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **variables},
        timeout=120,
    )


class Narrow(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self):
        return True


@pytest.fixture
def narrow(monkeypatch):
    """Return a function that draws a table on a terminal of some width and gives its lines."""

    def drawn(frame, width, title="A table"):
        screen = Narrow()
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        terminal.show_table(frame, title)
        return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()

    return drawn


TABLE = pd.DataFrame(
    {
        "theta": [1.234, -0.2],
        "standard_error": [0.31, 0.4],
        "percentile": [88.12, 2.0],
        "n_answered": [12, 1_200_000],
        "at_ceiling": [True, False],
    },
    index=pd.Index(["a model with quite a long name", "b"], name="model"),
)


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_each_command_can_be_quiet(name):
    command = dict(commands())[name]
    assert "--quiet" in {word for option in command.params for word in option.opts}


@pytest.mark.parametrize("words", [["-q", *PLAN], [*PLAN, "--quiet"]])
def test_a_quiet_command_prints_nothing_and_the_next_one_is_as_before(words, capsys):
    assert run(words) == 0
    assert capsys.readouterr() == ("", "")
    assert run(PLAN) == 0
    assert "persons are needed" in capsys.readouterr().out


def test_a_group_passes_quiet_on(tmp_path, capsys):
    size = ["--persons", "200", "--items", "5", "--seed", "1"]
    assert run(["simulate", *size, "-q", "-o", str(tmp_path / "a.csv")]) == 0
    assert run(["calibrate", str(tmp_path / "a.csv"), "-qo", str(tmp_path / "c.json")]) == 0
    pytest.importorskip("matplotlib")
    words = ["curves", str(tmp_path / "c.json"), "-o"]
    assert run(["plot", "-q", *words, str(tmp_path / "a.svg")]) == 0
    assert run(["plot", *words, str(tmp_path / "b.svg"), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["plot", *words, str(tmp_path / "c.svg")]) == 0
    assert capsys.readouterr().out


def test_quiet_still_prints_json_and_errors(capsys):
    assert run([*PLAN, "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["needed"] > 0
    assert run(["link", "-q", "no.json", "other.json", "-o", "x.json"]) == 4
    assert "no.json does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("width", [20, 40, 60, 200])
def test_a_narrow_terminal_never_cuts_a_number(narrow, width):
    lines = narrow(TABLE, width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    assert ("1.234" in text, "-0.2" in text) == (True, True)
    left_out = " ".join(text.split()).partition("not shown for lack of width: ")[2]
    for header, cell in (("SE", "0.31"), ("percentile", "88.1"), ("n", "1200000")):
        assert (cell in text) is not (header in left_out.split(", "))


def test_a_wide_terminal_shows_all_columns(narrow):
    assert "not shown" not in "\n".join(narrow(TABLE, 200))


def test_colours_are_there_on_demand_and_no_color_takes_them_away():
    coloured = in_a_process(*PLAN, **COLOURS)
    assert "\x1b[1m" in coloured.stdout
    plain = in_a_process(*PLAN, **{**COLOURS, "NO_COLOR": "1"})
    dumb = in_a_process(*PLAN, TERM="dumb")
    assert "\x1b[3" not in plain.stdout
    assert "\x1b" not in dumb.stdout


def test_environment_names_versions_and_nobody():
    found = environment()
    assert found["numpy"] == np.__version__
    assert found["Python"].startswith(platform.python_version())
    assert {"irtkit", "system", "linear algebra", "GPU", "locale", "torch", "pymc"} <= set(found)
    text = json.dumps(found)
    for secret in (str(Path.home()), platform.node(), str(Path(sys.prefix)), os.getcwd()):
        assert secret not in text
    assert getpass.getuser() not in text.split()


def test_a_package_that_is_absent_is_told(monkeypatch):
    monkeypatch.setattr("irtkit.environment._packages", lambda: ["no-such-package"])
    assert environment()["no-such-package"] == "not installed"


def test_environment_is_shown_as_a_table_and_as_json(capsys):
    assert run(["environment", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run(["environment"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell, capsys):
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_IRTKIT_COMPLETE={shell}_complete" in script


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("irtkit calib", "plain,calibrate"),
        ("irtkit screen --pre", "plain,--preset"),
        ("irtkit screen --preset l", "plain,lalor2016"),
        ("irtkit plot wri", "plain,wright"),
        ("irtkit score sc", "file,sc"),
        ("irtkit screen a.csv -o sc", "file,sc"),
    ],
)
def test_completion_offers_commands_options_values_and_files(typed, wanted):
    found = in_a_process(
        _IRTKIT_COMPLETE="bash_complete",
        COMP_WORDS=typed,
        COMP_CWORD=str(len(typed.split()) - 1),
    )
    assert wanted in found.stdout.splitlines()
    assert found.stderr == ""


def test_misspelt_commands_and_options_get_the_nearest_one(capsys):
    assert run(["calibrat"]) == 2
    assert "Did you mean 'calibrate'" in capsys.readouterr().err
    assert run(["calibrate", "--modle", "2pl"]) == 2
    assert "Did you mean one of: '--model'" in capsys.readouterr().err
