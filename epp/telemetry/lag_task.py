# ruff: noqa: TID251 - this file is an edge: it sleeps to see how late it wakes
"""The task that feeds a `LagMonitor`, and gives what needs a regular call its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from epp.telemetry.lag import LagMonitor

__all__ = ["watch_lag"]

PERIOD_S = 0.1
"""Costs 0.2 % of a core."""


async def watch_lag(
    monitor: LagMonitor,
    clock: Callable[[], float],
    each_period: Callable[[float], None] | None = None,
    *,
    period_s: float = PERIOD_S,
) -> None:
    """Runs until it is cancelled. `each_period` is called with the time after every sleep (`FaultLog.tick`)."""
    while True:
        due = clock() + period_s
        await asyncio.sleep(period_s)
        now = clock()
        monitor.woke(due, now)
        if each_period:
            each_period(now)
