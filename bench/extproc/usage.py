"""What a process has used, as Linux tells it.

CPU time is that of all threads, user and system together: the number that `/proc/<pid>/stat` gives in hundredths of a
second, read from the process's CPU clock, which counts nanoseconds.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

__all__ = ["cpu_s", "rss_bytes"]

_SCHEDULER_CLOCK = 2
"""`CPUCLOCK_SCHED` of linux/posix-timers.h: the precise one of a process's clocks."""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process since its start."""
    return time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK)


def rss_bytes(pid: int) -> int:
    """Memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
