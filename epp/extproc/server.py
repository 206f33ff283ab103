# ruff: noqa: TID251 - this file is the edge: it awaits the proxy's messages and reads the clock
"""The grpc.aio transport: one coroutine per stream feeds an `Exchange`, asks the router, and writes what comes back.

It decides nothing. What must hold here: every exchange that began ends exactly once at the router, whatever ends the
stream; a fault of ours or of the proxy becomes an HTTP answer as long as the client can still be given one; the
process stays up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import count
from typing import Any, Protocol, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from epp.exchange import Answer, EndCause, ExchangeId, Headers, Pick, Rejection, ReplyEvent, ReplyHeaders, RequestReady
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings
from epp.extproc.steps import ProxyProtocolError, Step
from epp.protocol import EXT_PROC_SERVICE
from epp.requests import dialect_of
from epp.router import Reason, Router, rejection

__all__ = ["MAX_MESSAGE_BYTES", "ExtProcService", "NullTransportObserver", "TransportObserver", "channel_options"]

MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""Longest message that gRPC takes from a proxy; beyond it the stream ends with a gRPC error. Far above what proxies
buffer (Envoy: 1 MiB by default), and above the limit for a body, so that one that is too long gets a 413."""

_EOF = grpc.aio.EOF

_MIN_PAUSE_S, _MAX_PAUSE_S = 0.02, 1.0
"""Between two ticks of the router; the longest also after a tick that failed. Where replies are not seen every request
has a time at which its prefill should be over: one tick for each would cost as much as a tenth of a decision."""

ServicerContext: TypeAlias = Any
"""`grpc.aio.ServicerContext`, of which grpcio ships no types; here it reads and writes bytes."""


def channel_options() -> list[tuple[str, int]]:
    """Options of the gRPC server, each with its reason.

    Envoy opens a stream per request and resets streams as a routine, so bursts must not be refused: with grpc's
    defaults about a hundred of 2,000 streams at once are. It also pings connections that are quiet for the length of
    a prefill, which by default ends in GOAWAY.
    """
    return [
        ("grpc.server.max_pending_requests", 100_000),
        ("grpc.server.max_pending_requests_hard_limit", 100_000),
        ("grpc.max_concurrent_streams", 100_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 0),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]


class TransportObserver(Protocol):
    """What the transport tells whoever keeps metrics and logs. Called on the way of every request: must be quick, and
    must not raise.
    """

    def began(self) -> None:
        """A stream was opened. `ended` follows in any case."""
        ...

    def ended(
        self, cause: EndCause, duration_s: float, reply_chunks: int, *, request_mode: str, reply_mode: str
    ) -> None:
        """A stream is over, after that many seconds and body messages of the reply.

        `request_mode` is one of `duplex`, `buffered`, `buffered_partial`, `streamed` and `none`; `reply_mode` one of
        these or `lean`. `Exchange.request_mode` and `Exchange.reply_mode` say what they mean.
        """
        ...

    def proxy_fault(self, error: ProxyProtocolError | DecodeError) -> None:
        """The proxy broke the protocol. The stream is over; a client that has no reply yet gets a 500."""
        ...

    def internal_error(self, error: Exception) -> None:
        """We failed: on a stream, which goes on if it can, or in the router's own time. To be logged once per kind."""
        ...


class NullTransportObserver:
    """Keeps nothing."""

    def began(self) -> None:
        """Nothing."""

    def ended(
        self, cause: EndCause, duration_s: float, reply_chunks: int, *, request_mode: str, reply_mode: str
    ) -> None:
        """Nothing."""

    def proxy_fault(self, error: ProxyProtocolError | DecodeError) -> None:
        """Nothing."""

    def internal_error(self, error: Exception) -> None:
        """Nothing."""


class ExtProcService:
    """Serves `ExternalProcessor/Process` for one router."""

    def __init__(
        self,
        router: Router,
        settings: ExchangeSettings,
        budget: BodyBudget,
        *,
        clock: Callable[[], float],
        observer: TransportObserver | None = None,
        overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        """`clock` gives monotonic seconds. `overloaded` is asked at the start of every stream: hurry this one?"""
        self.router = router
        self.settings = settings
        self.budget = budget
        self.clock = clock
        self.observer: TransportObserver = observer or NullTransportObserver()
        self.overloaded = overloaded
        self.waiting: dict[ExchangeId, asyncio.Future[Pick | Rejection]] = {}
        """Streams whose pick the router owes."""
        self.open_streams = 0
        self._ids = count(1)

    def __repr__(self) -> str:
        return f"<ExtProcService {self.open_streams} streams, {len(self.waiting)} wait for a pick, {self.budget!r}>"

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """To be added to a grpc.aio server."""
        method = grpc.stream_stream_rpc_method_handler(self._process)
        return [grpc.method_handlers_generic_handler(EXT_PROC_SERVICE, {"Process": method})]

    async def tick_forever(self) -> None:
        """Gives the router its time, and late answers to those who wait for them. Goes on when the router fails."""
        while True:
            pause_s = self.tick()
            await asyncio.sleep(pause_s)

    def tick(self) -> float:
        """One tick of the router. Returns after how many seconds the next one is due."""
        try:
            self.deliver(self.router.tick(self.clock()))
            return max(_MIN_PAUSE_S, min(_MAX_PAUSE_S, self.router.wake_at() - self.clock()))
        except Exception as error:  # without ticks charges would stay and late answers would never come
            self.observer.internal_error(error)
            return _MAX_PAUSE_S

    def deliver(self, answers: Iterable[Answer]) -> None:
        """Hands late answers to the streams that wait for them; those that are over are passed over."""
        for answer in answers:
            waiting = self.waiting.pop(answer.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer.outcome)

    async def _process(self, _: AsyncIterator[bytes], context: ServicerContext) -> None:
        stream = _Stream(ExchangeId(next(self._ids)), context, self)
        self.open_streams += 1
        try:
            self.observer.began()
            await stream.run()
        finally:
            self.open_streams -= 1
            stream.close()


class _Stream:
    """One stream: an exchange, its name at the router, and the gRPC context."""

    def __init__(self, name: ExchangeId, context: ServicerContext, service: ExtProcService) -> None:
        self._id = name
        self._context = context
        self._service = service
        self._exchange = Exchange(service.settings, service.budget, hurried=service.overloaded())
        self._headers = Headers()
        self._began_at = service.clock()
        self._late: asyncio.Future[Pick | Rejection] | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self._at_eof = False

    async def run(self) -> None:
        """Talks until nothing more is to be said. What goes wrong is answered over HTTP while that is possible."""
        exchange, read = self._exchange, self._context.read
        try:
            while not exchange.finished:
                if self._late is not None:
                    await self._next_of_two(self._late)
                elif self._reading is not None:
                    await self._take(await self._finish_reading(self._reading))
                else:
                    await self._take(await read())
        except (ProxyProtocolError, DecodeError) as error:
            self._service.observer.proxy_fault(error)
            await self._refuse(Reason.PROXY_FAULT)
        except Exception as error:  # a fault of ours must not take the stream down without an answer
            if not self._context.done():
                self._service.observer.internal_error(error)
                await self._refuse(Reason.INTERNAL)

    def close(self) -> None:
        """Ends the exchange at the router, whatever ended the stream."""
        service, exchange, now = self._service, self._exchange, self._service.clock()
        service.waiting.pop(self._id, None)
        if self._reading:
            self._reading.cancel()
        cause = exchange.end()
        assert cause is not None, "a stream is closed once"
        try:
            service.router.ended(self._id, cause, now)
        except Exception as error:  # the client has what it came for
            service.observer.internal_error(error)
        service.observer.ended(
            cause,
            now - self._began_at,
            exchange.reply_chunks,
            request_mode=exchange.request_mode,
            reply_mode=exchange.reply_mode,
        )

    async def _next_of_two(self, late: asyncio.Future[Pick | Rejection]) -> None:
        """The router's answer or the proxy's next message, whatever comes first. After the last message: the answer."""
        pending: list[asyncio.Future[Pick | Rejection] | asyncio.Task[bytes]] = [late]
        if not self._at_eof:
            self._reading = self._reading or asyncio.ensure_future(self._context.read())
            pending.append(self._reading)
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if late.done():
            self._late = None
            await self._write(self._exchange.answer(late.result()))
        if self._reading is not None and self._reading.done():
            await self._take(await self._finish_reading(self._reading))

    async def _finish_reading(self, reading: asyncio.Task[bytes]) -> bytes:
        """What a reading that began earlier gives. It is cancelled with this coroutine."""
        data = await reading
        self._reading = None
        return data

    async def _take(self, data: bytes) -> None:
        if data is _EOF:
            self._at_eof = True
            self._exchange.half_close()
            return
        messages = self._handle(self._exchange.receive(wire.ProcessingRequest.FromString(data)))
        if messages:
            await self._write(messages)

    def _handle(self, steps: Iterable[Step]) -> list[wire.ProcessingResponse]:
        """Tells the router, and returns what is to be written after that: a proxy may reset the stream upon the last
        message that it waits for, and that must not hide the end of the reply.
        """
        messages: list[wire.ProcessingResponse] = []
        for step in steps:
            match step:
                case wire.ProcessingResponse():
                    messages.append(step)
                case RequestReady():
                    messages += self._ask(step)
                case ReplyHeaders():
                    messages += self._handle(self._answer_reply(step))
                case _:
                    self._tell(step)
        return messages

    def _ask(self, ready: RequestReady) -> list[wire.ProcessingResponse]:
        """The router's answer when it comes at once; then it may bring answers that others wait for."""
        service, own = self._service, None
        self._headers = ready.headers
        for answer in service.router.submit(self._id, ready, service.clock()):
            if answer.id == self._id:
                own = answer.outcome
            else:
                service.deliver((answer,))
        if own is not None:
            return self._exchange.answer(own)
        self._late = service.waiting[self._id] = asyncio.get_running_loop().create_future()
        return []

    def _answer_reply(self, event: ReplyHeaders) -> list[Step]:
        """What the router learns from a reply, and wants to say in it, must not cost the client the reply itself."""
        service = self._service
        try:
            return self._exchange.answer_reply(service.router.observe(self._id, event, service.clock()))
        except Exception as error:
            service.observer.internal_error(error)
            return self._exchange.answer_reply(None)

    def _tell(self, event: ReplyEvent) -> None:
        service = self._service
        try:
            service.router.observe(self._id, event, service.clock())
        except Exception as error:  # likewise
            service.observer.internal_error(error)

    async def _write(self, messages: Iterable[wire.ProcessingResponse]) -> None:
        for message in messages:
            await self._context.write(message.SerializeToString())
        self._exchange.written()

    async def _refuse(self, reason: Reason) -> None:
        if not self._context.done():
            await self._write(self._exchange.refuse(rejection(reason, dialect_of(self._headers))))
