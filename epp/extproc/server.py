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

from epp.exchange import Answer, EndCause, ExchangeId, Headers, Pick, Rejection, ReplyHeaders, RequestReady
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings, ProxyProtocolError, Step
from epp.protocol import EXT_PROC_SERVICE
from epp.requests import dialect_of
from epp.router import Reason, Router, rejection

__all__ = ["ExtProcService", "NullTransportObserver", "TransportObserver", "channel_options"]

_MESSAGE_OVERHEAD_BYTES = 1024 * 1024

ServicerContext: TypeAlias = Any
"""`grpc.aio.ServicerContext`, of which grpcio ships no types; here it reads and writes bytes."""


def channel_options(max_body_bytes: int) -> list[tuple[str, int]]:
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
        ("grpc.max_receive_message_length", max_body_bytes + _MESSAGE_OVERHEAD_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]


class TransportObserver(Protocol):
    """What the transport tells whoever keeps metrics and logs."""

    def began(self) -> None:
        """A stream was opened."""
        ...

    def ended(self, cause: EndCause, duration_s: float, reply_chunks: int) -> None:
        """A stream is over."""
        ...

    def proxy_fault(self, error: ProxyProtocolError | DecodeError) -> None:
        """The proxy broke the protocol."""
        ...

    def internal_error(self, error: Exception) -> None:
        """We failed on a stream."""
        ...


class NullTransportObserver:
    """Keeps nothing."""

    def began(self) -> None:
        """Nothing."""

    def ended(self, cause: EndCause, duration_s: float, reply_chunks: int) -> None:
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

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """To be added to a grpc.aio server."""
        method = grpc.stream_stream_rpc_method_handler(self._process)
        return [grpc.method_handlers_generic_handler(EXT_PROC_SERVICE, {"Process": method})]

    async def tick_forever(self) -> None:
        """Gives the router its time, and late answers to those who wait for them."""
        while True:
            await asyncio.sleep(max(0.0, min(1.0, self.router.wake_at() - self.clock())))
            self.deliver(self.router.tick(self.clock()))

    def deliver(self, answers: Iterable[Answer]) -> None:
        """Hands late answers to the streams that wait for them; those that are over are passed over."""
        for answer in answers:
            waiting = self.waiting.pop(answer.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer.outcome)

    async def _process(self, _: AsyncIterator[bytes], context: ServicerContext) -> None:
        stream = _Stream(ExchangeId(next(self._ids)), context, self)
        self.open_streams += 1
        self.observer.began()
        try:
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

    async def run(self) -> None:
        """Talks until nothing more is to be said. What goes wrong is answered over HTTP while that is possible."""
        try:
            while not self._exchange.finished:
                await self._next()
        except (ProxyProtocolError, DecodeError) as error:
            self._service.observer.proxy_fault(error)
            await self._refuse(Reason.PROXY_FAULT)
        except Exception as error:  # a fault of ours must not take the stream down without an answer
            if not self._context.done():
                self._service.observer.internal_error(error)
                await self._refuse(Reason.INTERNAL)

    def close(self) -> None:
        """Ends the exchange at the router, whatever ended the stream."""
        service, now = self._service, self._service.clock()
        service.waiting.pop(self._id, None)
        if self._reading:
            self._reading.cancel()
        if cause := self._exchange.end():
            service.router.ended(self._id, cause, now)
            service.observer.ended(cause, now - self._began_at, self._exchange.reply_chunks)

    async def _next(self) -> None:
        """Handles what comes next: a message, its end, or the router's late answer."""
        if self._late is None and self._reading is None:
            await self._take(await self._context.read())
            return
        self._reading = self._reading or asyncio.ensure_future(self._context.read())
        pending = (self._reading,) if self._late is None else (self._reading, self._late)
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if self._late is not None and self._late.done():
            outcome, self._late = self._late.result(), None
            await self._write(self._exchange.answer(outcome))
        if self._reading.done():
            reading, self._reading = self._reading, None
            await self._take(reading.result())

    async def _take(self, data: bytes) -> None:
        if data is grpc.aio.EOF:
            self._exchange.half_close()
            return
        messages: list[wire.ProcessingResponse] = []
        for step in self._exchange.receive(wire.ProcessingRequest.FromString(data)):
            self._handle(step, messages)
        await self._write(messages)

    def _handle(self, step: Step, messages: list[wire.ProcessingResponse]) -> None:
        """Tells the router before anything is written: a proxy may reset the stream upon the last message that it
        waits for, and that must not hide the end of the reply.
        """
        router, now = self._service.router, self._service.clock()
        match step:
            case wire.ProcessingResponse():
                messages.append(step)
            case RequestReady():
                messages += self._ask(step, now)
            case ReplyHeaders():
                for following in self._exchange.answer_reply(router.observe(self._id, step, now)):
                    self._handle(following, messages)
            case _:
                router.observe(self._id, step, now)

    def _ask(self, ready: RequestReady, now: float) -> list[wire.ProcessingResponse]:
        self._headers = ready.headers
        for answer in self._service.router.submit(self._id, ready, now):
            if answer.id == self._id:
                return self._exchange.answer(answer.outcome)
        self._late = self._service.waiting[self._id] = asyncio.get_running_loop().create_future()
        return []

    async def _write(self, messages: Iterable[wire.ProcessingResponse]) -> None:
        for message in messages:
            await self._context.write(message.SerializeToString())
        self._exchange.written()

    async def _refuse(self, reason: Reason) -> None:
        await self._write(self._exchange.refuse(rejection(reason, dialect_of(self._headers))))
