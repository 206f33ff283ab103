import asyncio
import time
from itertools import chain, repeat
from pathlib import Path

import pytest

from epp.telemetry import lag_task as module
from epp.telemetry.lag import LagMonitor
from epp.telemetry.lag_task import thread_busy_s, watch_lag


async def test_lateness_and_use_are_measured_and_what_needs_time_gets_it() -> None:
    monitor, told = LagMonitor(), asyncio.Queue[float]()
    readings = chain((10.0, 10.25, 10.25), repeat(11.0))  # sleeps from 10 to 10.001, and wakes at 10.25
    clock, used = readings.__next__, chain((3.0,), repeat(3.75)).__next__
    task = asyncio.create_task(watch_lag(monitor, clock, told.put_nowait, busy_s=used, period_s=0.001))
    assert await told.get() == 10.25
    assert round(monitor.worst_s, 6) == 0.249
    assert monitor.busy == 0.0
    assert await told.get() == 11.0
    assert 0.5 < monitor.busy < 1.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_what_a_thread_does_makes_it_busy() -> None:
    before = thread_busy_s()
    spin(0.2)
    assert thread_busy_s() - before > 0.15  # Linux brings the number up to date at every tick of 1 to 10 ms


PAGES = {
    "ran and waited": (b"2000000000 500000000 17\n", 2.5),
    "a kernel that does not count": (b"0 0 0\n", None),
    "another form": (b"17\n", None),
    "not Linux": (None, None),
}


@pytest.mark.parametrize(("page", "busy_s"), PAGES.values(), ids=PAGES)
def test_where_waiting_for_a_core_is_not_told_the_thread_s_own_time_counts(
    page: bytes | None, busy_s: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "schedstat"
    if page is not None:
        path.write_bytes(page)
    monkeypatch.setattr(module, "_SCHEDULED", path)
    before = time.thread_time()
    read = thread_busy_s()
    assert read == busy_s if busy_s is not None else before <= read <= time.thread_time()
