"""A fault at every call that a writer makes leaves the old thing or the new one, whole.

For each writer the first call fails, then the second, until a run makes no more calls. Nothing
hidden may be left, and the error is one of irtkit's, or the interruption itself.
"""

import os
import shutil

import pytest

import irtkit.atomic
from irtkit.errors import FileError
from tests.faults.injection import CODES, MOST_CALLS, Injector, system_fault, tree
from tests.faults.writers import WRITERS, Writer

FAULTS = {name: (system_fault(code), FileError) for name, code in CODES.items()}
FAULTS["Ctrl-C"] = (KeyboardInterrupt, KeyboardInterrupt)
OFTEN = ("ENOSPC", "Ctrl-C")  # the other codes of the system take the same path
EACH = [
    name if name in OFTEN else pytest.param(name, marks=pytest.mark.nightly) for name in FAULTS
]


def posterior_writer():
    """The netCDF of a posterior; HDF5 stamps no times, but its bytes are not promised equal."""
    for name in ("pymc", "h5netcdf", "h5py"):
        pytest.importorskip(name)
    from irtkit.estimation.bayes import read_posterior, write_posterior
    from tests.bayes.posteriors import given, well_mixed

    made = [given(well_mixed(1, size)) for size in (10, 20)]
    return Writer(
        "posterior",
        lambda folder, version: write_posterior(made[version], folder / "p.nc"),
        lambda folder: (
            read_posterior(folder / "p.nc").parameters.shape
            if (folder / "p.nc").exists()
            else None
        ),
    )


def states(writer, folder):
    """What a reader sees before anything is written, of the old version and of the new one."""
    seen = writer.seen or tree
    folder.mkdir()
    found = [seen(folder)]
    for version in (0, 1):
        writer.write(folder, version)
        found.append(seen(folder))
    shutil.rmtree(folder)
    return found


def allowed(writer, now, before, after):
    """Whether what is seen is one of two states, files that may run ahead apart."""
    if now in (before, after):
        return True
    if not writer.between:
        return False
    ahead = {name: after[name] for name in writer.between if name in after}
    return now == {**before, **ahead}


def check_every_call(writer, folder, monkeypatch, fault, *, exchange=True):
    """Fail each call in turn, over nothing and over an old version; return how many failed."""
    make, expected = fault
    empty, old, new = states(writer, folder)
    n_faults = 0
    for before, after, version in ((empty, old, 0), (old, new, 1)):
        for number in range(1, MOST_CALLS):
            folder.mkdir()
            if version:
                writer.write(folder, 0)
            error = None
            with monkeypatch.context() as patch:
                at = Injector(patch, number=number, fault=make, exchange=exchange)
                try:
                    writer.write(folder, version)
                except BaseException as raised:
                    error = raised
            assert error is None or type(error) is expected, (number, at.calls, error)
            now, left = (writer.seen or tree)(folder), list(folder.rglob(".*"))
            assert allowed(writer, now, before, after), (number, at.calls)
            assert left == [], (number, at.calls)
            if error is None:
                assert now == after, (number, at.calls)
            shutil.rmtree(folder)
            n_faults += at.fired
            if not at.fired:
                break
        else:
            raise AssertionError("the writer never came to an end")
    return n_faults


@pytest.mark.parametrize("fault", EACH)
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_fault_at_any_call_leaves_old_or_new(
    writer, fault, tmp_path, monkeypatch, record_property
):
    n_faults = check_every_call(writer, tmp_path / "f", monkeypatch, FAULTS[fault])
    assert n_faults >= 10
    record_property("n_faults", n_faults)


@pytest.mark.parametrize("fault", EACH)
def test_a_folder_survives_where_names_cannot_be_exchanged(fault, tmp_path, monkeypatch):
    writer = next(writer for writer in WRITERS if writer.name == "folder")
    check_every_call(writer, tmp_path / "f", monkeypatch, FAULTS[fault], exchange=False)


@pytest.mark.parametrize("fault", OFTEN)
def test_a_posterior_survives_a_fault_at_any_call(fault, tmp_path, monkeypatch):
    check_every_call(posterior_writer(), tmp_path / "f", monkeypatch, FAULTS[fault])


@pytest.mark.skipif(os.name != "posix", reason="the system keeps folders by itself")
@pytest.mark.parametrize(
    "writer", [w for w in WRITERS if w.name in ("bytes", "scale", "scores")], ids=lambda w: w.name
)
def test_files_are_synced_before_the_rename_and_folders_after(writer, tmp_path, monkeypatch):
    order, sync, rename = [], os.fsync, os.replace

    def note_sync(handle):
        target = os.readlink(f"/proc/self/fd/{handle}")
        order.append(("folder" if os.path.isdir(target) else "file", target))
        sync(handle)

    def note_rename(source, target):
        order.append(("rename", str(source)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    writer.write(tmp_path, 0)
    kinds = [kind for kind, _ in order]
    assert kinds == ["file", "rename", "folder"] * (len(kinds) // 3)
    assert all(
        order[place][1] == order[place + 1][1] and order[place + 2][1] == str(tmp_path)
        for place in range(0, len(order), 3)
    )


def test_a_folder_is_exchanged_in_one_step_where_the_system_can(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not irtkit.atomic.exchanged(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this system cannot exchange two names")
    assert tree(tmp_path) == {"one/other": b"", "other/one": b""}
    assert not irtkit.atomic.exchanged(tmp_path / "one", tmp_path / "absent")


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_what_a_killed_process_left_is_removed_by_the_next(what, tmp_path):
    dead = 2**22 + 5  # beyond the largest process id
    host = irtkit.atomic.HOST
    names = {
        f".a.{host}-{dead}-01234567.new": False,
        f".a.{host}-{os.getpid()}-01234567.new": True,  # somebody is still writing it
        f".a.ffffffff-{dead}-01234567.new": True,  # of another machine
        f".b.{host}-{dead}-01234567.new": True,  # of another output
        ".a.mine": True,
    }
    for name in names:
        (tmp_path / name).mkdir() if what == "a folder" else (tmp_path / name).touch()
    if what == "a folder":
        with irtkit.atomic.replacing_folder(tmp_path / "a") as new:
            (new / "content").touch()
    else:
        with irtkit.atomic.replacing(tmp_path / "a"):
            pass
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name for name, stays in names.items() if stays} | {"a"}


def test_a_folder_that_was_moved_aside_when_its_process_died_is_put_back(tmp_path):
    aside = tmp_path / f".a.{irtkit.atomic.HOST}-{2**22 + 5}-01234567.old"
    aside.mkdir()
    (aside / "content").write_text("precious")
    with pytest.raises(ZeroDivisionError), irtkit.atomic.replacing_folder(tmp_path / "a"):
        raise ZeroDivisionError
    assert tree(tmp_path) == {"a/content": b"precious"}


def test_long_names_are_written_too(tmp_path):
    for name in ("n" * 250, "項" * 80, "\N{GRINNING FACE}" * 60):
        with irtkit.atomic.replacing(tmp_path / name) as new:
            new.write_text("x")
        assert (tmp_path / name).read_text() == "x"
    with pytest.raises(FileError, match="cannot be written"):
        irtkit.atomic.replacing(tmp_path / ("n" * 300)).__enter__()


def test_a_private_file_is_never_open_to_others(tmp_path):
    path = tmp_path / "a"
    path.touch(mode=0o600)
    with irtkit.atomic.replacing(path) as new:
        assert new.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o777 == 0o600
