"""The driver with a real loop; engines whose steps take no time worth waiting for, or so much that they never end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from epp.simulator import Engine, EngineSettings, RequestId, SimRequest
from epp.simulator.driver import EngineDriver, Progress
from epp.simulator.errors import ApiError

FAST, STUCK = 1e6, 1e-6

SETTINGS = EngineSettings(max_num_seqs=4, max_queued_requests=5)


@asynccontextmanager
async def driving(speed: float) -> AsyncIterator[EngineDriver]:
    driver = EngineDriver(lambda now: Engine(SETTINGS, now, speed=speed))
    try:
        yield driver
    finally:
        await driver.stop()


def requests(*numbers: int, output: int = 5) -> list[SimRequest]:
    return [SimRequest(RequestId(number), 20, output, range(1)) for number in numbers]


async def ended(progress: Progress) -> Progress:
    while not progress.over:
        await progress.changed()
    return progress


async def test_all_tokens_of_all_sequences_come() -> None:
    async with driving(FAST) as driver:
        progress = await ended(driver.submit(requests(1, 2), every_token=True))
        assert (progress.tokens, progress.cached_tokens, progress.failed) == ([5, 5], [0, 16], False)
        assert driver.engine.requests == 0


async def test_who_waits_for_the_end_is_not_woken_before() -> None:
    async with driving(FAST) as driver:
        progress = driver.submit(requests(1, output=50), every_token=False)
        await progress.changed()
        assert (progress.over, progress.tokens) == (True, [50])


async def test_an_idle_driver_does_nothing_until_there_is_work() -> None:
    async with driving(FAST) as driver:
        await ended(driver.submit(requests(1), every_token=False))
        await asyncio.sleep(0)
        before = driver.metrics().counters.generation_tokens
        await ended(driver.submit(requests(2), every_token=False))
        assert driver.metrics().counters.generation_tokens == before + 5


async def test_a_call_that_nobody_waits_for_leaves_the_engine_at_once() -> None:
    async with driving(STUCK) as driver:
        progress = driver.submit(requests(1, 2), every_token=True)
        driver.cancel(progress)
        assert driver.engine.requests == 0
        driver.cancel(progress)


async def test_a_call_is_refused_as_a_whole() -> None:
    async with driving(STUCK) as driver:
        driver.submit(requests(1, 2, 3), every_token=True)
        with pytest.raises(ApiError) as caught:
            driver.submit(requests(4, 5, 6), every_token=True)
        assert (caught.value.status, driver.engine.requests) == (503, 3)


async def test_a_dead_engine_fails_those_who_wait_and_those_who_come() -> None:
    async with driving(STUCK) as driver:
        progress = driver.submit(requests(1), every_token=False)
        await asyncio.sleep(0)
        driver.fail()
        await progress.changed()
        assert (progress.over, progress.failed) == (True, True)
        with pytest.raises(ApiError, match="EngineCore encountered an issue"):
            driver.submit(requests(2), every_token=False)


async def test_a_sleeping_engine_goes_on_when_it_wakes() -> None:
    async with driving(FAST) as driver:
        driver.sleep()
        progress = driver.submit(requests(1), every_token=False)
        for _ in range(20):
            await asyncio.sleep(0)
        assert progress.tokens == [0]
        driver.wake()
        await ended(progress)


async def test_stopping_fails_those_who_wait() -> None:
    async with driving(STUCK) as driver:
        progress = driver.submit(requests(1), every_token=False)
    assert progress.failed


async def test_requests_that_come_one_by_one_are_batched() -> None:
    async with driving(FAST) as driver:
        waiting = []
        for number in range(1, 5):
            waiting.append(driver.submit(requests(number, output=200), every_token=True))
            await waiting[-1].changed()
        assert driver.metrics().running > 1
        for progress in waiting:
            await ended(progress)
        assert [progress.tokens for progress in waiting] == [[200]] * 4


async def test_an_engine_that_breaks_fails_those_who_wait(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Engine):
        def begin_step(self, now: float) -> float | None:
            if self.requests:
                raise RuntimeError("broken")
            return super().begin_step(now)

    driver = EngineDriver(lambda now: Broken(SETTINGS, now))
    progress = driver.submit(requests(1), every_token=False)
    await progress.changed()
    assert progress.failed
    assert "the simulated engine broke" in caplog.text
    await driver.stop()
