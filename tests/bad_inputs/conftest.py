"""Prints the catalogue after its test: number, what it is, and the verdict."""

import contextlib
import importlib
from collections import defaultdict

import pytest

from tests.bad_inputs.catalogue import ABSENT
from tests.bad_inputs.titles import TITLES


def verdicts(reports):
    """Gather the verdicts of the cases of each entry."""
    found = defaultdict(dict)
    for report in reports:
        given = dict(report.user_properties)
        if "entry" in given:
            what = "FAILED" if report.failed else given["verdict"]
            what = "skipped" if report.skipped else what
            found[given["entry"]][what] = found[given["entry"]].get(what, 0) + 1
    return found


def pytest_terminal_summary(terminalreporter):
    """Print one line an entry."""
    with contextlib.suppress(pytest.skip.Exception):  # without the packages of development
        importlib.import_module("tests.bad_inputs.test_catalogue")  # fills the registry here too
    groups = ("passed", "failed", "skipped", "error")
    reports = [report for name in groups for report in terminalreporter.stats.get(name, [])]
    found = verdicts(report for report in reports if hasattr(report, "user_properties"))
    if not found:
        return
    terminalreporter.section("catalogue of bad inputs")
    for number, title in TITLES.items():
        words = [f"{what} ({n})" for what, n in sorted(found[number].items())]
        if number in ABSENT:
            words = [f"does not apply: {ABSENT[number]}"]
        terminalreporter.line(f"{number:3d}  {title:<58} {'; '.join(words) or 'not run'}")
