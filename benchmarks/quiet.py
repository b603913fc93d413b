"""Waiting until nothing else keeps the machine busy.

Threads of the tool before may spin on for work that never comes, and other programs may run. A
product by two threads that wait for each other suffers most, so rivals would look too slow.
"""

from __future__ import annotations

import time
from pathlib import Path

PAUSE = 0.3  # seconds, also how long the machine is watched
MOST_PAUSES = 20
BUSY = 0.1  # share of the CPUs' time
TIMES = Path("/proc/stat")


def wait_until_quiet() -> None:
    """Pause; where the system tells how busy it is, until it is not, or for six seconds."""
    for _ in range(MOST_PAUSES):
        before = _cpu_times()
        time.sleep(PAUSE)
        after = _cpu_times()
        if before is None or after is None:
            return
        busy, total = after[0] - before[0], after[1] - before[1]
        if busy <= BUSY * total:
            return


def _cpu_times() -> tuple[int, int] | None:
    """Busy and total time of all CPUs since the start, or None where that is not told."""
    try:
        words = TIMES.read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    times = [int(word) for word in words]
    idle = times[3] + times[4]
    return sum(times) - idle, sum(times)
