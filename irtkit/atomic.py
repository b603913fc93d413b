"""Replacing a file or a folder whole: at any moment the old one or the new one is there.

What is new is written beside its place under a hidden name, synced to the disk, and renamed. The
hidden name says which process on which machine writes there, so that what a killed process left
is found and removed by the next. Readers and writers of a format are elsewhere; those of bytes
are in `io/files.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irtkit.errors import FileError

HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
LONGEST = 150  # bytes of a file's name that a hidden name repeats; systems allow about 255
HERE = -100  # AT_FDCWD: paths are relative to the working folder
EXCHANGE = 2  # RENAME_EXCHANGE
NEW, OLD = "new", "old"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give an empty file beside `path` to fill; at the end it takes the place of `path`.

    A link stays, and the file that it names is replaced. A file that was there keeps its
    permissions.

    Yields
    ------
    Path
        The file to fill, closed.

    Raises
    ------
    FileError
        If it cannot be written; the old file is intact and no temporary file is left.
    """
    place = Path(os.path.realpath(path))
    temporary = hidden_name(place, NEW)
    try:
        mode = place.stat().st_mode & 0o777 if place.exists() else None
        remove_stale(place)
        first = 0o666 if mode is None else 0o600  # nobody reads a private file meanwhile
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, first))
        yield temporary
        sync_file(temporary, mode)
        os.replace(temporary, place)
        sync_folder(place.parent)
    except OSError as error:
        raise _told(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder` to fill; at the end it takes the place of `folder`.

    Raises
    ------
    FileError
        If it cannot be written; what stood there is intact.
    """
    temporary = hidden_name(folder, NEW)
    try:
        remove_stale(folder)
        os.mkdir(temporary)
        yield temporary
        for inside, _, _ in os.walk(temporary):
            sync_folder(Path(inside))
        _put_in_place(temporary, folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise _told(folder, error) from error
    finally:
        _discard(temporary)


def hidden_name(path: Path, what: str) -> Path:
    """Name a file beside `path` that this process may make."""
    mark = f"{HOST}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.parent / f".{_short(path.name)}.{mark}.{what}"


def remove_stale(path: Path) -> None:
    """Remove what processes of this machine that are gone left beside `path`.

    A folder that was moved aside, and whose successor never came, is put back.
    """
    pattern = re.compile(rf"\.{re.escape(_short(path.name))}\.{HOST}-(\d+)-[0-9a-f]{{8}}\.(\w+)")
    for name in os.listdir(path.parent):
        found = pattern.fullmatch(name)
        if found is None or is_alive(int(found[1])):
            continue
        left = path.parent / name
        with contextlib.suppress(OSError):
            if found[2] == OLD and not path.exists():
                os.rename(left, path)
            elif left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                os.unlink(left)


def is_alive(process: int) -> bool:
    """Whether a process of this machine runs; where the system does not say, it does."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sync_file(path: Path, mode: int | None = None) -> None:
    """Bring a file to the disk, after giving it permissions if there are any to give."""
    handle = os.open(path, os.O_RDWR)
    try:
        if mode is not None:
            os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make a rename last: POSIX wants the folder synced too."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reason_of(error: OSError) -> str:
    """Why a file could not be used, in the words of the system."""
    return error.strerror or str(error)


def _told(path: str | Path, error: OSError) -> FileError:
    if isinstance(error, FileError):
        return error
    return FileError(f"{path} cannot be written: {reason_of(error)}.")


def _short(name: str) -> str:
    """Cut a long name so that more can be added, and keep it apart from its like."""
    if len(os.fsencode(name)) <= LONGEST:
        return name
    return f"{name[:30]}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"


def _put_in_place(new: Path, folder: Path) -> None:
    """Give a folder its name; one that has the name already goes, or is put back."""
    if not folder.exists():
        os.rename(new, folder)
        return
    if exchanged(new, folder):
        return  # what is called new is the old one now, and removed by the caller
    aside = hidden_name(folder, OLD)
    os.rename(folder, aside)
    try:
        os.rename(new, folder)
    except BaseException:
        os.rename(aside, folder)
        raise
    _discard(aside)


def _discard(folder: Path) -> None:
    """Remove a folder, going on after an error or an interruption."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step, where the system can; otherwise change nothing."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return bool(rename(HERE, paths[0], HERE, paths[1], EXCHANGE) == 0)
