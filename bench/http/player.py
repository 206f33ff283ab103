"""Sends a workload's calls when they are due, over kept connections, and notes what comes back. The edge: it awaits.

One event loop does everything. Between calls it encodes the bodies that come next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from bench.http.bodies import Bodies
from bench.http.replies import DocumentReader, Reply, ReplyReader, StreamReader, failure_of_status
from bench.http.results import CallRecord
from bench.http.schedule import Schedule
from epp.reports.runs import Failure
from epp.workloads.text import PATHS
from epp.workloads.types import Workload

__all__ = ["Player", "Target"]

SERVER_HEADERS = ("x-epp-endpoint", "x-gateway-destination-endpoint-served", "x-served-by")
"""Who tells which pod served, the first that is there counts: our picker (`epp.decisions.headers`), gateways that copy
what they know into a header, simulated pods."""

DECISION_HEADER = "x-epp-decision-id"

_MAX_ERROR_BYTES = 64 * 1024
_PREPARE_MARGIN_S = 0.005
"""Bodies are made only while the next call is further away than this: one of 400 KB takes 3 ms."""

_CONNECT_TIMEOUT_S = 10.0
_MAX_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked."""

    url: str
    """`http://HOST:PORT`, with a path before `/v1` where there is one."""
    model: str
    """Base model, for calls that name none."""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 600.0
    """For one call, from the moment when it is sent."""
    run_id: str = "bench"
    """Begins the `x-request-id` of each call; should differ between runs."""


class Player:
    """Plays one workload once. To be used as an async context manager."""

    def __init__(self, target: Target, workload: Workload, schedule: Schedule) -> None:
        self.records: list[CallRecord] = []
        """Calls that have become due, in that order."""
        self.ended = 0
        """How many of them are over."""
        self.failed = 0
        self._target = target
        self._workload = workload
        self._schedule = schedule
        self._bodies = Bodies(workload, target.model)
        self._urls = {api: URL(target.url.rstrip("/") + path) for api, path in PATHS.items()}
        self._clock = time.perf_counter  # the loop's own clock has milliseconds, and stands still within a round
        self._begin = 0.0
        self._changed = asyncio.Event()
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=75.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"content-type": "application/json", "accept-encoding": "identity", **target.headers},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            auto_decompress=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    @property
    def now(self) -> float:
        """Seconds since the begin."""
        return self._clock() - self._begin

    def stop(self) -> None:
        """Ends the run: nothing more is sent, and what is under way is given up, as unfinished."""
        self._stopped = True
        self._schedule.stop()
        self._changed.set()

    async def play(self) -> None:
        """Returns when all calls are over, or after `stop`."""
        self._bodies.prepare_all()
        self._begin = self._clock()
        while not (self._stopped or self._schedule.over):
            self._changed.clear()
            for due in self._schedule.take(self.now):
                self._start(CallRecord(due.index, due.due_s, f"{self._target.run_id}-{due.index}"))
            await self._wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, record: CallRecord) -> None:
        self.records.append(record)
        task = asyncio.create_task(self._call(record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self) -> None:
        """Until the next call is due, or something has changed. Uses the time to make bodies."""
        while self._schedule.next_at - self.now > _PREPARE_MARGIN_S and not self._changed.is_set():
            if not self._bodies.prepare():
                break
            await asyncio.sleep(0)
        left_s = min(self._schedule.next_at - self.now, _MAX_WAIT_S)
        if left_s <= 0:
            await asyncio.sleep(0)
            return
        timer = asyncio.get_running_loop().call_later(left_s, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    async def _call(self, record: CallRecord) -> None:
        try:
            async with asyncio.timeout(self._target.timeout_s):
                record.reply = await self._exchange(record)
        except TimeoutError:
            record.reply = self._failed(Failure.TIMEOUT, f"not over within {self._target.timeout_s:g} s")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            record.reply = self._failed(Failure.CONNECT, str(error))
        except aiohttp.ClientConnectionError as error:
            record.reply = self._failed(Failure.LOST, str(error))
        except (aiohttp.ClientError, OSError) as error:
            broken = isinstance(error, aiohttp.ClientPayloadError | OSError)
            record.reply = self._failed(Failure.LOST if broken else Failure.BROKEN, f"{type(error).__name__}: {error}")
        self.ended += 1
        self.failed += record.reply.failure is not Failure.NONE
        self._schedule.ended(record.index, self.now)
        self._changed.set()

    async def _exchange(self, record: CallRecord) -> Reply:
        call = self._workload.calls[record.index]
        body = self._bodies.take(record.index)
        record.sent_s = self.now
        headers = {"x-request-id": record.request_id}
        async with self._session.post(self._urls[call.api], data=body, headers=headers) as response:
            record.server = next((response.headers[name] for name in SERVER_HEADERS if name in response.headers), "")
            record.decision_id = response.headers.get(DECISION_HEADER, "")
            if response.status != 200:
                said = await response.content.read(_MAX_ERROR_BYTES)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return self._failed(*failure_of_status(response.status, lower, said))
            streams = response.content_type == "text/event-stream"
            return await self._read(response, StreamReader() if streams else DocumentReader())

    async def _read(self, response: aiohttp.ClientResponse, reader: ReplyReader) -> Reply:
        async for data in response.content.iter_any():
            reader.take(data, self.now)
        return reader.end(self.now)

    def _failed(self, failure: Failure, detail: str) -> Reply:
        return replace(Reply(failure, detail), end_s=self.now)
