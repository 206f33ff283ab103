import asyncio
from itertools import chain, repeat

from epp.telemetry.lag import LagMonitor
from epp.telemetry.lag_task import watch_lag


async def test_lateness_is_measured_and_what_needs_time_gets_it() -> None:
    monitor, told = LagMonitor(), asyncio.Queue[float]()
    readings = chain((10.0, 10.25, 10.25), repeat(11.0))  # sleeps from 10 to 10.001, and wakes at 10.25
    clock = readings.__next__
    task = asyncio.create_task(watch_lag(monitor, clock, told.put_nowait, period_s=0.001))
    assert await told.get() == 10.25
    assert round(monitor.worst_s, 6) == 0.249
    assert await told.get() == 11.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
