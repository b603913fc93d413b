"""Every entry of the catalogue of bad inputs, tried; `conftest.py` prints the table."""

import re

import pytest

from tests.bad_inputs import (
    estimation,
    keys,
    manners,
    predictions,
    scale_files,
    table_content,
    table_files,
)
from tests.bad_inputs.catalogue import ABSENT, CASES, Bench, absent
from tests.bad_inputs.titles import TITLES

SECTIONS = (table_files, table_content, keys, scale_files, predictions, estimation, manners)
TRAINING = range(118, 129)
try:
    from tests.bad_inputs import training  # noqa: F401
except pytest.skip.Exception:
    for entry in set(TRAINING) - {case.number for case in CASES.values()}:
        absent(entry, "the extra ml is not installed")


@pytest.mark.parametrize("name", sorted(CASES))
def test_bad_input(name, tmp_path, capsys, monkeypatch, record_property):
    case = CASES[name]
    record_property("entry", case.number)
    record_property("verdict", case.verdict)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    case.check(Bench(folder, capsys, monkeypatch))


def test_every_entry_is_tried_or_does_not_apply():
    tried = {case.number for case in CASES.values()}
    assert tried | set(ABSENT) == set(TITLES) == set(range(1, 140))
    assert not tried & set(ABSENT)
    assert all(re.match(r"[a-z].*", reason) for reason in ABSENT.values())
