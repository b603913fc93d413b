"""kill -9 at random moments of a loop of saves, a full disk, folders that take no file."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from irtkit.cli import run
from irtkit.errors import FileError
from irtkit.io.files import check_target, write_atomically
from tests.faults.injection import tree
from tests.faults.test_injected_faults import posterior_writer
from tests.faults.writers import WRITERS

ROOT = Path(__file__).parents[2]
KILLED = [
    w
    for w in WRITERS
    if w.name in ("bytes", "scale", "folder", "checkpoint", "training checkpoint")
]
SMALL_DISK = 64 * 1024

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits are those of POSIX")


def killed(writer, folder, kills):
    """Run the program of `killing.py`; return kills that hit, leftovers on the way, at the end."""
    words = [
        sys.executable,
        "-m",
        "tests.faults.killing",
        writer.name,
        str(folder),
        str(kills),
        "1",
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stderr
    return tuple(int(number) for number in done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("writer", KILLED, ids=lambda writer: writer.name)
def test_a_kill_at_any_moment_leaves_old_or_new_and_the_next_run_cleans_up(writer, tmp_path):
    hit, _, left = killed(writer, tmp_path, 20)
    assert hit == 20
    assert left == 0


@pytest.mark.nightly
@pytest.mark.parametrize("writer", KILLED, ids=lambda writer: writer.name)
def test_two_hundred_kills_leave_old_or_new(writer, tmp_path):
    hit, leftovers, left = killed(writer, tmp_path, 200)
    assert hit == 200
    assert left == 0
    if writer.name != "training checkpoint":  # its folders are not hidden
        assert leftovers > 0  # some kills hit between the first byte and the rename


def limited(write, most):
    """Run a function in a child whose files may have so many bytes; return what it said."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            write()
        except FileError as error:
            said = f"FileError {error}"
        except BaseException as error:
            said = f"{type(error).__name__} {error}"
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as pipe:
        return pipe.read()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_full_disk_leaves_the_old_version(writer, tmp_path):
    writer.write(tmp_path, 0)
    before = (writer.seen or tree)(tmp_path)
    if writer.name == "training checkpoint":
        pytest.skip("its large files are the trainer's; the seal alone is ours")
    said = limited(lambda: writer.write(tmp_path, 1), 1)
    assert said.startswith("FileError")
    assert "cannot be written: File too large" in said
    assert (writer.seen or tree)(tmp_path) == before
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("most", [0, 1000, 9000])
def test_a_full_disk_leaves_the_old_posterior(most, tmp_path):
    writer = posterior_writer()
    writer.write(tmp_path, 0)
    before = tree(tmp_path)
    said = limited(lambda: writer.write(tmp_path, 1), most)
    assert said.startswith("FileError"), said
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_a_small_disk_that_fills_up_keeps_the_old_version(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(tmp_path)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        path = tmp_path / "a"
        write_atomically(path, b"old" * 100)
        with pytest.raises(FileError, match="No space left"):
            write_atomically(path, b"new" * SMALL_DISK)
        assert tree(tmp_path) == {"a": b"old" * 100}
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def read_only(tmp_path):
    """A folder into which this process cannot write, by whatever means the system offers."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    bound = False
    if os.access(folder, os.W_OK):  # the superuser: mount it on itself, read-only
        words = ["mount", "--bind", "-o", "ro", str(folder), str(folder)]
        bound = subprocess.run(words, capture_output=True).returncode == 0
        if not bound or os.access(folder, os.W_OK):
            folder.chmod(0o755)
            pytest.skip("nothing is read-only for this user here")
    yield folder
    if bound:
        subprocess.run(["umount", str(folder)], check=True)
    folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(read_only, capsys):
    with pytest.raises(FileError, match="read-only"):
        check_target(read_only / "a")
    with pytest.raises(FileError, match="cannot be written"):
        write_atomically(read_only / "a", b"a")
    words = ["simulate", "--persons", "9", "--items", "3", "--seed", "1", "-o"]
    assert run([*words, str(read_only / "a.csv")]) == 4
    assert "read-only" in capsys.readouterr().err


def test_a_folder_of_the_system_that_takes_no_files_is_refused(capsys):
    target = Path("/proc/self/a.csv")
    if not target.parent.is_dir():
        pytest.skip("this system has no such folder")
    words = ["simulate", "--persons", "9", "--items", "3", "--seed", "1", "-o", str(target)]
    assert run(words) == 4
    assert "a.csv cannot be written" in capsys.readouterr().err
