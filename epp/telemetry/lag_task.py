# ruff: noqa: TID251 - this file is an edge: it sleeps to see how late it wakes, and asks for what its thread used
"""The task that feeds a `LagMonitor`, and gives what needs a regular call its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from epp.telemetry.lag import LagMonitor

__all__ = ["thread_busy_s", "watch_lag"]

PERIOD_S = 0.1
"""Costs 0.2 % of a core."""

_SCHEDULED = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds for which this thread ran, and for which it could have run but waited for a core, and a count. The
latter holds other processes on the core, and the throttling of a container at its CPU limit."""


def thread_busy_s() -> float:
    """For how long the calling thread ran or waited for a core. Where waiting is not told: for how long it ran."""
    try:
        ran_ns, waited_ns, _ = map(int, _SCHEDULED.read_bytes().split())
    except (OSError, ValueError):
        return time.thread_time()
    return (ran_ns + waited_ns) / 1e9 if ran_ns else time.thread_time()  # zeros: a kernel that does not count


async def watch_lag(
    monitor: LagMonitor,
    clock: Callable[[], float],
    each_period: Callable[[float], None] | None = None,
    *,
    busy_s: Callable[[], float] = thread_busy_s,
    period_s: float = PERIOD_S,
) -> None:
    """Runs until it is cancelled. `each_period` is called with the time after every sleep (`FaultLog.tick`).

    `busy_s` says for how long this thread had something to do.
    """
    while True:
        due = clock() + period_s
        await asyncio.sleep(period_s)
        now = clock()
        monitor.woke(due, now, busy_s())
        if each_period:
            each_period(now)
