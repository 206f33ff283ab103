import asyncio
import logging

import pytest

from epp.process import background
from epp.process.background import Background
from epp.telemetry.faults import FaultLog


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Background:
    monkeypatch.setattr(background, "PAUSE_S", 0.0)
    return Background(FaultLog(logging.getLogger("epp"), lambda: 0.0))


async def test_what_fails_is_told_once_and_started_again(tasks: Background, caplog: pytest.LogCaptureFixture) -> None:
    starts, lives = 0, asyncio.Event()

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts < 4:
            raise RuntimeError("broken")
        lives.set()
        await asyncio.Event().wait()

    tasks.keep("work", work)
    async with asyncio.timeout(10):
        await lives.wait()
    await tasks.stop()
    [told] = caplog.records
    assert (told.levelno, told.task) == (logging.ERROR, "work")  # type: ignore[attr-defined]
    assert told.exc_info is not None
    assert "broken" in str(told.exc_info[1])


async def test_what_is_cancelled_from_within_is_started_again(tasks: Background) -> None:
    starts, lives = 0, asyncio.Event()

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise asyncio.CancelledError
        lives.set()

    tasks.keep("work", work)
    async with asyncio.timeout(10):
        await lives.wait()
    await tasks.stop()


async def test_what_returns_is_over(tasks: Background) -> None:
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1

    tasks.keep("work", work)
    for _ in range(10):
        await asyncio.sleep(0)
    await tasks.end("work")
    assert starts == 1


async def test_one_is_ended_and_the_others_stay(tasks: Background) -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    for name in "abc":
        tasks.keep(name, lambda name=name: work(name))  # type: ignore[misc]
    await asyncio.sleep(0)
    await tasks.end("b")
    await tasks.end("nobody")
    assert (ended, repr(tasks)) == (["b"], "<Background a, c>")
    tasks.keep("b", lambda: work("b"))
    await asyncio.sleep(0)
    await tasks.stop()
    assert (sorted(ended), repr(tasks)) == (["a", "b", "b", "c"], "<Background nothing>")
