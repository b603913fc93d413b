"""Whose turn it is: locks that several processes on one machine respect.

A lock is held by a process and goes with it, however it ends, so that no stale lock is left. Where
the system has no such locks (Windows), every process gets its turn: share no folder there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]


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
    if fcntl is None:  # pragma: no cover
        yield True
        return
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)
