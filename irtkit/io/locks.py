"""Locks that processes respect: one output has one writer, and parts of a run have turns.

`claimed` refuses a second run at once and names the first; `turn` says whether it is one's turn.
The system lets go of a lock when its process ends, however it ends. Where it has no such locks, a
claim goes by the process that the lock's file names, and every process gets its turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from irtkit.atomic import is_alive, reason_of
from irtkit.errors import FileError, shown

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]

MOST_BYTES = 1000  # of what a lock says of its holder


@contextmanager
def claimed(path: str | Path) -> Iterator[None]:
    """Hold the right to write a file or folder while the body runs.

    A hidden file beside it names this process and machine, and is removed at the end. The lock
    of a process that is gone is taken over.

    Raises
    ------
    FileError
        If another process holds it; the message names process and machine.
    """
    lock = lock_of(path)
    held: list[int] = []
    try:
        _take(lock, path, held)
        yield
    finally:  # also if interrupted while it is taken
        for handle in held:
            _release(lock, handle)


def lock_of(path: str | Path) -> Path:
    """Name the lock of an output; all links to it have the same."""
    place = Path(os.path.realpath(path))
    return place.parent / f".{place.name}.lock"


@contextmanager
def turn(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock while the body runs.

    Parameters
    ----------
    path : path
        A file that is made for it and stays, or a folder that is there.
    wait : bool
        Until others have let go of it.

    Yields
    ------
    bool
        Whether the lock is held; without waiting another process may have it.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o666)
    try:
        yield _locked(handle, wait=wait) is not False
    finally:
        os.close(handle)


def _locked(handle: int, *, wait: bool) -> bool | None:
    """Lock an open file; False if another process has it, None if the system has no locks."""
    if fcntl is None:  # pragma: no cover
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # pragma: no cover - some network file systems
        return None
    return True


def _take(lock: Path, path: str | Path, held: list[int]) -> None:
    """Lock the file, say in it who holds it, and note its handle from when it is open."""
    while True:
        try:
            held[:] = [os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)]
            _refuse_held(_locked(held[0], wait=False), _holder(held[0]), lock, path)
            if _is_there(lock, held[0]):
                _sign(held[0])
                return
        except OSError as error:
            while held:  # it is another's, or none
                os.close(held.pop())
            if isinstance(error, FileError):
                raise
            raise FileError(f"{path} cannot be written: {reason_of(error)}.") from error
        os.close(held.pop())  # its holder removed it just now: try again


def _release(lock: Path, handle: int) -> None:
    """Remove the lock while it is held, so that nobody's new one is removed."""
    if os.name == "posix":
        if _locked(handle, wait=False) is not False:
            _removed(lock)
        os.close(handle)
    else:  # pragma: no cover
        os.close(handle)
        _removed(lock)


def _refuse_held(
    locked: bool | None, holder: dict[str, Any], lock: Path, path: str | Path
) -> None:
    host, process = holder.get("host"), holder.get("process")
    elsewhere = host is not None and host != platform.node()
    named = isinstance(process, int) and is_alive(process)
    if (locked and not elsewhere) or (locked is None and not elsewhere and not named):
        return
    who = "another process"
    if host is not None and process is not None:
        who = f"process {process} on {shown(host)} since {holder.get('since')}"
    remedy = f" If that process is gone, remove {lock}." if elsewhere else ""
    raise FileError(
        f"{path} is being written by {who}. Wait until it is done, or choose another name.{remedy}"
    )


def _holder(handle: int) -> dict[str, Any]:
    """What a lock says of its holder; nothing if it is new or damaged."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(handle, MOST_BYTES))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_there(lock: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(lock), os.fstat(handle))
    except FileNotFoundError:
        return False


def _sign(handle: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    holder = {"process": os.getpid(), "host": platform.node(), "since": since}
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(holder).encode())


def _removed(lock: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(lock)
