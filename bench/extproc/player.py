"""Plays exchanges against a server, over several connections on one event loop, and notes how long picks took.

*Bursts*: a number of exchanges is always under way, and what can be sent together goes out in one write: the server is
never idle and reads many messages at once. *Paced*: exchanges begin by Poisson arrivals and each message is written by
itself, reply chunks some time apart: the server wakes up for nearly every message. Production lies between the two.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count, cycle
from typing import cast

from bench.extproc.exchanges import Exchange, Message
from bench.extproc.http2 import Connection, request_headers
from bench.extproc.runs import Fate, Run, Tally
from epp.protocol import EXT_PROC_SERVICE

__all__ = ["Wire", "connected", "play_bursts", "play_paced"]

_PATH = f"/{EXT_PROC_SERVICE}/Process"

_NUMBERS = count()
"""Numbers of prompts: none comes twice in a process, so that no prompt was ever seen before."""

REPLY_DELAY_S = 0.01
"""Between a pick and the reply's headers, in paced play."""

CHUNK_INTERVAL_S = 0.02
"""Between chunks of a reply, in paced play: 50 tokens per second."""


class Wire(asyncio.Protocol):
    """A connection on a socket."""

    def __init__(self, authority: str) -> None:
        self.connection = Connection(request_headers(_PATH, authority))
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the preface."""
        self._transport = cast("asyncio.Transport", transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Takes what came, and writes at one go all that this gave rise to."""
        self.connection.take(data)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        """Fails what was under way."""
        self.connection.lose()
        self._lost.set_result(None)

    def flush(self) -> None:
        """Writes what is to be written."""
        if self._transport and (out := self.connection.outgoing()):
            self._transport.write(out)

    async def close(self) -> None:
        """Ends the connection."""
        if self._transport:
            self._transport.close()
            await self._lost


@asynccontextmanager
async def connected(port: int, connections: int) -> AsyncIterator[list[Wire]]:
    """Connections to a server on loopback."""
    loop = asyncio.get_running_loop()
    authority = f"127.0.0.1:{port}"
    wires = [(await loop.create_connection(lambda: Wire(authority), "127.0.0.1", port))[1] for _ in range(connections)]
    try:
        yield wires
    finally:
        for wire in wires:
            await wire.close()


async def play_bursts(
    wires: Sequence[Wire],
    exchange: Exchange,
    *,
    outstanding: int,
    seconds: float = float("inf"),
    total: int | None = None,
) -> Tally:
    """Keeps exchanges under way until the time is over or so many have begun, then waits for those under way."""
    play = _Bursts(exchange, time.perf_counter() + seconds, total)
    at_once = outstanding if total is None else min(outstanding, total)
    for _, wire in zip(range(at_once), cycle(wires), strict=False):
        play.begin(wire.connection)
    for wire in wires:
        wire.flush()
    await play.finished
    return play.tally


class _Bursts:
    """Begins an exchange whenever one ends. The wire writes after everything that it took."""

    def __init__(self, exchange: Exchange, until: float, total: int | None) -> None:
        self.tally = Tally()
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._exchange = exchange
        self._reply = (exchange.reply_headers, *exchange.reply_body)
        self._until = until
        self._total = total

    def begin(self, connection: Connection) -> None:
        self.tally.begun += 1
        run = Run(connection, self._exchange, next(_NUMBERS), self, time.perf_counter())
        run.send(self._exchange.request)

    def picked(self, run: Run) -> None:
        self.tally.pick_s.append(time.perf_counter() - run.began_at)
        run.send(self._reply)

    def ended(self, run: Run, fate: Fate) -> None:
        tally = self.tally
        tally.fates[fate] += 1
        more = time.perf_counter() < self._until if self._total is None else tally.begun < self._total
        if more and run.connection.usable:
            self.begin(run.connection)
        elif tally.ended == tally.begun and not self.finished.done():
            self.finished.set_result(None)


async def play_paced(
    wires: Sequence[Wire],
    exchange: Exchange,
    *,
    per_s: float,
    seconds: float,
    rng: random.Random,
    patience_s: float = 30.0,
) -> Tally:
    """Begins exchanges by Poisson arrivals, whatever becomes of them, and waits at most `patience_s` for the last."""
    play = _Paced(exchange)
    turns = cycle(wires)
    loop = asyncio.get_running_loop()
    now = start = loop.time()
    while (now := now + rng.expovariate(per_s)) < start + seconds:
        if (wait := now - loop.time()) > 0:
            await asyncio.sleep(wait)
        play.begin(next(turns))
    play.all_begun = True
    if play.tally.ended < play.tally.begun:
        await asyncio.wait((play.finished,), timeout=patience_s)
    return play.tally


class _Paced:
    """Writes each message by itself."""

    def __init__(self, exchange: Exchange) -> None:
        self.tally = Tally()
        self.all_begun = False
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._exchange = exchange
        self._wires: dict[Connection, Wire] = {}

    def begin(self, wire: Wire) -> None:
        self.tally.begun += 1
        self._wires[wire.connection] = wire
        run = Run(wire.connection, self._exchange, next(_NUMBERS), self, time.perf_counter())
        self._send(run, self._exchange.request, 0, 0.0)

    def picked(self, run: Run) -> None:
        self.tally.pick_s.append(time.perf_counter() - run.began_at)
        reply = (self._exchange.reply_headers, *self._exchange.reply_body)
        self._loop.call_later(REPLY_DELAY_S, self._send, run, reply, 0, CHUNK_INTERVAL_S)

    def ended(self, run: Run, fate: Fate) -> None:  # noqa: ARG002 - the interface's
        self.tally.fates[fate] += 1
        if self.all_begun and self.tally.ended == self.tally.begun and not self.finished.done():
            self.finished.set_result(None)

    def _send(self, run: Run, messages: Sequence[Message], index: int, interval_s: float) -> None:
        """Sends one message, and the next one later: after the interval, or in the loop's next round."""
        run.send(messages[index : index + 1])
        self._wires[run.connection].flush()
        if index + 1 < len(messages) and not run.over:
            self._loop.call_later(interval_s, self._send, run, messages, index + 1, interval_s)
