# ruff: noqa: TID251 - this file is the edge between an engine and real time: it awaits and reads the loop's clock
"""Drives an engine in real time: one task that sleeps until the step under way ends, and sleeps when nothing is to do.

A step that ends late, because the process had other work or steps are shorter than the timer's grain, does not make
the engine slower: the next one begins when this one should have ended. Only beyond `MAX_LAG_S` time is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from epp.simulator.engine import Engine
from epp.simulator.errors import busy, engine_dead
from epp.simulator.sequences import EngineMetrics, Refusal, RequestId, SimRequest, StepResult

__all__ = ["EngineDriver", "Progress"]

_LOG = logging.getLogger(__name__)

MAX_LAG_S = 0.1
"""How far the engine may be behind the clock and still catch up."""


class Progress:
    """How far the sequences of one call have come. Indices are those of the call's sequences."""

    def __init__(self, requests: Sequence[SimRequest], *, every_token: bool) -> None:
        self.ids = tuple(request.id for request in requests)
        self.tokens = [0] * len(requests)
        self.cached_tokens = [0] * len(requests)
        self.failed = False
        """The engine died; nothing more will come."""
        self._unfinished = len(requests)
        self._every_token = every_token
        self._news = asyncio.Event()

    @property
    def over(self) -> bool:
        """All sequences are complete, or the engine died."""
        return self.failed or not self._unfinished

    async def changed(self) -> None:
        """Wait for news since the last call: the next tokens, or only the end if tokens are not waited for."""
        await self._news.wait()
        self._news.clear()

    def token(self, index: int) -> None:
        """A sequence has one more token."""
        self.tokens[index] += 1
        if self._every_token:
            self._news.set()

    def finished(self) -> None:
        """A sequence is complete."""
        self._unfinished -= 1
        if not self._unfinished:
            self._news.set()

    def fail(self) -> None:
        """The engine died."""
        self.failed = True
        self._news.set()


class EngineDriver:
    """One engine, one task, and those who wait for its tokens."""

    def __init__(self, make_engine: Callable[[float], Engine]) -> None:
        """`make_engine` gets the time of the loop's clock."""
        self._clock = asyncio.get_running_loop().time
        self.engine = make_engine(self._clock())
        self._waiters: dict[RequestId, tuple[Progress, int]] = {}
        self._work = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="simulated engine")

    def submit(self, requests: Sequence[SimRequest], *, every_token: bool) -> Progress:
        """Start all sequences of a call. Raises ApiError if the engine does not take them."""
        progress = Progress(requests, every_token=every_token)
        for index, request in enumerate(requests):
            refusal = self.engine.submit(request, self._now())
            if refusal is not None:
                self.cancel(progress)
                raise busy() if refusal is Refusal.BUSY else engine_dead()
            self._waiters[request.id] = (progress, index)
        self._work.set()
        return progress

    def cancel(self, progress: Progress) -> None:
        """Nobody waits for a call any more: drop what is left of it."""
        for request_id in progress.ids:
            if self._waiters.pop(request_id, None) is not None:
                self.engine.abort(request_id, self._now())

    def fail(self) -> None:
        """Let the engine die."""
        self._lose(self.engine.fail(self._now()))

    def sleep(self) -> None:
        """Put the engine to sleep."""
        self.engine.sleep(self._now())

    def metrics(self) -> EngineMetrics:
        """State of the engine."""
        return self.engine.metrics(self._now())

    def set_speed(self, speed: float) -> None:
        """Let the engine run at another speed."""
        self.engine.set_speed(speed, self._now())

    def wake(self) -> None:
        """Wake the engine."""
        self.engine.wake()
        self._work.set()

    async def stop(self) -> None:
        """End the task. Those who still wait see a dead engine."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self.fail()

    def _now(self) -> float:
        """Time by which the engine lives: it stands still at the end of a step that is late."""
        now = self._clock()
        ends_at = self.engine.next_event_at() if self.engine.stepping else None
        return now if ends_at is None else min(now, ends_at)

    async def _run(self) -> None:
        try:
            await self._drive()
        except Exception:
            _LOG.exception("the simulated engine broke")
            self.fail()

    async def _drive(self) -> None:
        begin_at = self._clock()
        while True:
            ends_at = self.engine.begin_step(begin_at)
            if ends_at is None:
                await self._wait_for_work(self.engine.next_event_at())
                begin_at = self._clock()
                continue
            await asyncio.sleep(max(0.0, ends_at - self._clock()))
            result = self.engine.end_step(ends_at)
            if result is not None:
                self._deliver(result)
            now = self._clock()
            begin_at = ends_at if now - ends_at < MAX_LAG_S else now

    async def _wait_for_work(self, until: float | None) -> None:
        self._work.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._work.wait()

    def _deliver(self, result: StepResult) -> None:
        for first in result.first:
            progress, index = self._waiters[first.id]
            progress.cached_tokens[index] = first.cached_tokens
        for request_id in result.tokens:
            progress, index = self._waiters[request_id]
            progress.token(index)
        for finished in result.finished:
            progress, _ = self._waiters.pop(finished.id)
            progress.finished()

    def _lose(self, request_ids: Iterable[RequestId]) -> None:
        for request_id in request_ids:
            progress, _ = self._waiters.pop(request_id)
            progress.fail()
