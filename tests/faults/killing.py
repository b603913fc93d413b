"""A program that writes, kills itself doing so again and again, and looks at what is left.

``python -m tests.faults.killing WRITER FOLDER KILLS SEED`` forks a child that writes the two
versions in turn, kills it after a random delay, and checks that one of them stands there whole.
It prints how many kills hit a child at work and how many left a temporary file.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from tests.faults.writers import WRITERS


def write_forever(writer, folder):
    while True:
        for version in (1, 0):
            writer.write(folder, version)


def visible(folder, writer):
    """What a reader sees: hidden leftovers apart."""
    if writer.seen is not None:
        return writer.seen(folder)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if not str(path.relative_to(folder)).startswith(".")
    }


def whole(writer, folder, versions):
    """Whether one version stands there; a backup is one of the two as well."""
    now = visible(folder, writer)
    if not writer.between:
        return now in versions
    contents = list(versions[0].values())[:1] + list(versions[1].values())[:1]
    return all(content in contents for content in now.values())


def main(name, folder, kills, seed):
    writer = next(writer for writer in WRITERS if writer.name == name)
    folder, drawn = Path(folder), random.Random(seed)
    versions = []
    for version in (0, 1, 0):
        started = time.monotonic()
        writer.write(folder, version)
        longest = 4 * (time.monotonic() - started)
        versions.append(visible(folder, writer))
    hit = leftovers = 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            write_forever(writer, folder)
        time.sleep(drawn.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        hit += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        leftovers += any(path.name.startswith(".") for path in folder.iterdir())
        if not whole(writer, folder, versions):
            sys.exit(f"torn: {visible(folder, writer)}")
    for version in (1, 0):
        writer.write(folder, version)
    left = [path.name for path in folder.rglob(".*")]
    print(hit, leftovers, len(left))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
