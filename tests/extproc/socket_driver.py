"""Plays transcripts against the real transport: a gRPC client on one side, a scripted router on the other.

Nothing sleeps: after each input the driver waits for as many lines from the wire and from the router as the script
expects next, and at the end it checks that nothing more came.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import grpc

from epp.exchange import Answer, EndCause, ExchangeId, Pick, Rejection, ReplyEvent, ReplyHeaders, RequestReady
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import ExchangeSettings
from epp.extproc.server import ExtProcService, NullTransportObserver, channel_options
from epp.protocol import EXT_PROC_SERVICE
from tests.extproc.transcript import Proxy, check_bytes, decision, describe, describe_event, lines_of

PATIENCE_S = 30.0

T = TypeVar("T")


class ScriptedRouter:
    """Decides what the script says, when the script says it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.ends: asyncio.Queue[str] = asyncio.Queue()
        self.early: Pick | Rejection | None = None
        self.reply_headers: tuple[tuple[str, str], ...] = ()
        self.asked: ExchangeId | None = None
        self.ready: RequestReady | None = None

    def submit(self, exchange: ExchangeId, ready: RequestReady, now: float) -> list[Answer]:
        self.asked, self.ready = exchange, ready
        self.events.put_nowait(describe_event(ready))
        return [Answer(exchange, self.early)] if self.early else []

    def observe(self, exchange: ExchangeId, event: ReplyEvent, now: float) -> tuple[tuple[str, str], ...]:
        self.events.put_nowait(describe_event(event))
        return self.reply_headers if isinstance(event, ReplyHeaders) else ()

    def ended(self, exchange: ExchangeId, cause: EndCause, now: float) -> None:
        self.ends.put_nowait(cause.value)

    def tick(self, now: float) -> list[Answer]:
        return []

    def wake_at(self) -> float:
        return float("inf")


class Faults(NullTransportObserver):
    def __init__(self) -> None:
        self.seen: asyncio.Queue[str] = asyncio.Queue()

    def proxy_fault(self, error: Exception) -> None:
        self.seen.put_nowait(str(error))


@asynccontextmanager
async def serving(service: ExtProcService) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of that service. Leaving it checks that nothing is left of any stream."""
    server = grpc.aio.server(options=channel_options())
    server.add_generic_rpc_handlers(service.handlers())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
        assert (service.open_streams, service.budget.held_bytes, service.waiting) == (0, 0, {})
    finally:
        await server.stop(None)


def open_stream(channel: grpc.aio.Channel) -> grpc.aio.StreamStreamCall:
    return channel.stream_stream(f"/{EXT_PROC_SERVICE}/Process")()


async def soon(waiting: Awaitable[T]) -> T:
    """What is awaited; it must come within reason."""
    return await asyncio.wait_for(waiting, PATIENCE_S)


async def play_over_socket(script: str, *, early: bool = False) -> str:
    """The transcript as it comes out of a real server. `early`: the router answers within `submit`, not later."""
    router, faults = ScriptedRouter(), Faults()
    service = ExtProcService(
        router,  # type: ignore[arg-type]
        ExchangeSettings(),
        BodyBudget(1 << 30),
        clock=asyncio.get_running_loop().time,
        observer=faults,
    )
    async with serving(service) as channel:
        return await _converse(open_stream(channel), script, router, faults, service, early=early)


async def _converse(
    call: grpc.aio.StreamStreamCall,
    script: str,
    router: ScriptedRouter,
    faults: Faults,
    service: ExtProcService,
    *,
    early: bool,
) -> str:
    proxy, out, lines = Proxy(), [], lines_of(script)
    decisions = [decision(line[2:].split()) for line in lines if line[0] == "=" and not line.startswith("= reply")]
    router.early = decisions[0] if early and decisions else None

    async def read() -> str:
        response = wire.ProcessingResponse.FromString(await call.read())
        proxy.got(response)
        return describe(response)

    over = False
    for line in lines:
        words, said = line[2:].split(), line
        match line[0]:
            case ">" if words[0] == "half-close":
                await call.done_writing()
            case ">" if words[0] == "reset":
                call.cancel()
                over = True
            case ">":
                await call.write(proxy.message(words).SerializeToString())
            case "=" if words[0] == "reply":
                router.reply_headers = tuple(tuple(word.split("=", 1)) for word in words[1:])  # type: ignore[misc]
            case "=":
                if not early:
                    service.deliver([Answer(router.asked, decision(words))])
            case "<":
                said = f"< {await soon(read())}"
            case "!":
                said = f"! {await soon(router.events.get())}"
            case "x":
                said = f"x {await soon(faults.seen.get())}"
            case "-":
                assert await soon(call.read()) is grpc.aio.EOF, "the server closes the stream"
                assert await call.code() is grpc.StatusCode.OK
                over = True
            case ".":
                said = f". {await soon(router.ends.get())}"
        out.append(said)
    assert over
    assert (router.events.empty(), router.ends.empty(), faults.seen.empty()) == (True, True, True)
    with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        assert await call.read() is grpc.aio.EOF
    check_bytes(proxy, router.ready)
    return "\n".join(out)
