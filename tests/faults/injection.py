"""Faults at the calls of the operating system that writers make, one after the other."""

import errno
import os
import shutil

import irtkit.atomic

CALLS = ("open", "write", "fchmod", "fsync", "close", "mkdir", "listdir", "replace", "rename")
CODES = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EINTR", "EACCES")}
MOST_CALLS = 200


class Injector:
    """Makes the call with a certain number fail; counts all of them."""

    def __init__(self, monkeypatch, *, number=None, fault=None, exchange=True):
        self.number, self.fault, self.calls = number, fault, []
        for name in CALLS:
            monkeypatch.setattr(os, name, self.watched(name, getattr(os, name)))
        rmtree = shutil.rmtree
        monkeypatch.setattr(shutil, "rmtree", lambda *given, **_: self.removed(rmtree, *given))
        if exchange:
            plain = irtkit.atomic.exchanged
            monkeypatch.setattr(irtkit.atomic, "exchanged", self.watched("exchange", plain))
        else:
            monkeypatch.setattr(irtkit.atomic, "exchanged", lambda one, other: False)

    def watched(self, name, plain):
        """Wrap one call. Nothing is really synced: no test here cuts the power."""

        def call(*given, **named):
            self.calls.append(name)
            fails = len(self.calls) == self.number
            if fails and name == "close":
                plain(*given)  # a failing close closes all the same
            if fails:
                raise self.fault()
            return None if name == "fsync" else plain(*given, **named)

        return call

    def removed(self, plain, folder, *_):
        """Remove a folder as one call, which here always ignores errors of the system."""
        calls, self.calls = [*self.calls, "rmtree"], [None] * MOST_CALLS
        if len(calls) != self.number:
            plain(folder, ignore_errors=True)
        self.calls = calls
        if len(calls) == self.number and not isinstance(self.fault(), OSError):
            raise self.fault()

    @property
    def fired(self):
        return self.number is not None and len(self.calls) >= self.number


def system_fault(code):
    return lambda: OSError(code, os.strerror(code))


def tree(folder):
    """Map the name of every file below a folder, and of every empty folder, to its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[name] = None
    return found
