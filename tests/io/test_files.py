"""What writing leaves alone: permissions, links, devices, what leads out of a folder.

Faults at every call of every writer, and kills at any moment, are in `tests/faults/`.
"""

import errno
import os
import subprocess
import sys

import pandas as pd
import pytest

from irtkit.errors import FileError
from irtkit.io.files import write_atomically, write_folder_atomically
from irtkit.io.tables import read_table, write_table

OLD, NEW = b"old content\n" * 50, b"new content\n" * 70


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_short_writes_are_continued(tmp_path, monkeypatch):
    plain = os.write
    monkeypatch.setattr(os, "write", lambda handle, view: plain(handle, view[:7]))
    write_atomically(tmp_path / "a", NEW)
    assert (tmp_path / "a").read_bytes() == NEW


WRITER = """
import sys
from pathlib import Path
from irtkit.io.files import write_atomically
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for content in (b"old content\\n" * 50, b"new content\\n" * 70):
        write_atomically(path, content)
"""


def test_two_writers_leave_one_of_their_files_whole(tmp_path):
    path = tmp_path / "a"
    once = WRITER.replace("while True:", "for _ in range(60):")
    writers = [subprocess.Popen([sys.executable, "-c", once, str(path)]) for _ in range(2)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["a"]


def test_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"gone.*cannot be written: No such file"):
        write_atomically(tmp_path / "gone" / "a", NEW)


def test_permissions_of_the_old_file_stay(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(OLD)
    path.chmod(0o640)
    write_atomically(path, NEW)
    assert path.stat().st_mode & 0o777 == 0o640


def test_folder_is_complete_or_absent(tmp_path, monkeypatch):
    target = tmp_path / "set"

    def fault(handle, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fault)
    with pytest.raises(FileError, match="No space left"):
        write_folder_atomically(target, {"a": OLD, "in/b": NEW})
    monkeypatch.undo()
    assert names(tmp_path) == []
    write_folder_atomically(target, {"a": OLD, "in/b": NEW})
    assert (target / "in" / "b").read_bytes() == NEW
    with pytest.raises(FileError, match="--overwrite"):
        write_folder_atomically(target, {"a": NEW})
    write_folder_atomically(target, {"a": NEW}, overwrite=True)
    assert names(tmp_path) == ["set"]
    assert names(target) == ["a"]


def test_formulas_are_escaped_in_csv_and_numbers_are_not(tmp_path):
    frame = pd.DataFrame(
        {"item": ["=1+1", "-x", "@a", "+b", "\tc", "plain"], "value": [-1.5, 2, 3, 4, 5, None]}
    )
    write_table(frame, tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[1] == "'=1+1,-1.5"
    assert [line[0] for line in lines[2:6]] == ["'"] * 4
    assert lines[6] == "plain,"


def test_table_survives_csv_and_parquet(tmp_path):
    frame = pd.DataFrame({"a": [0.1, 1 / 3]}, index=pd.Index(["x", "y"], name="item"))
    write_table(frame, tmp_path / "t.csv")
    write_table(frame, tmp_path / "t.parquet")
    text, binary = read_table(tmp_path / "t.csv"), read_table(tmp_path / "t.parquet")
    assert [float(value) for value in text["a"]] == binary["a"].tolist() == frame["a"].tolist()
    assert list(text["item"]) == list(binary["item"]) == ["x", "y"]


def test_device_pipe_or_folder_is_never_replaced_by_a_file(tmp_path):
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        with pytest.raises(FileError, match=f"{path.name} is a .*, not a file"):
            write_atomically(path, NEW)
    assert pipe.is_fifo()
    assert names(tmp_path) == ["folder", "pipe"]


def test_link_stays_and_its_file_is_replaced(tmp_path):
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(OLD)
    link.symlink_to(path)
    write_atomically(link, NEW)
    assert link.is_symlink()
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("name", ["../a", "in/../../a", "{}/a"])
def test_no_file_of_a_folder_leads_out_of_it(tmp_path, name):
    name = name.format(tmp_path)
    with pytest.raises(FileError, match="leads out of the folder"):
        write_folder_atomically(tmp_path / "set", {"b": OLD, name: NEW})
    assert names(tmp_path) == []


def test_folder_does_not_replace_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(OLD)
    with pytest.raises(FileError, match="a is a link or a file, not a folder"):
        write_folder_atomically(path, {"b": NEW}, overwrite=True)
    assert path.read_bytes() == OLD


def test_index_is_written_whether_named_or_not(tmp_path):
    path = tmp_path / "t.csv"
    write_table(pd.DataFrame({"a": [1]}, index=["x"]), path)
    assert path.read_text() == "index,a\nx,1\n"
    write_table(pd.DataFrame({"a": [1]}), path)
    assert path.read_text() == "a\n1\n"
    with pytest.raises(FileError, match="already exists; rename the column"):
        write_table(pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="a")), path)
    assert path.read_text() == "a\n1\n"
