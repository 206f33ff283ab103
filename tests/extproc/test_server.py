"""What the transport does when others fail: the router, its plugins, an observer, the proxy."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest

from epp.exchange import (
    Answer,
    EndCause,
    ExchangeId,
    Pick,
    Rejection,
    ReplyEnd,
    ReplyEvent,
    ReplyFirstData,
    ReplyHeaders,
    RequestReady,
)
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import ExchangeSettings
from epp.extproc.server import MAX_MESSAGE_BYTES, ExtProcService, NullTransportObserver
from epp.requests import Dialect
from epp.router import NullObserver, Reason, rejection
from epp.scheduling import Slot, default_profile
from tests.extproc.socket_driver import ScriptedRouter, open_stream, serving, soon
from tests.extproc.transcript import Proxy, describe
from tests.router.desk import Desk

A = "10.0.0.7:8000"
SETTINGS = ExchangeSettings()
PICK = Pick((A,))


class Observer(NullTransportObserver):
    def __init__(self) -> None:
        self.errors: asyncio.Queue[str] = asyncio.Queue()
        self.faults: asyncio.Queue[str] = asyncio.Queue()
        self.ends: asyncio.Queue[tuple[EndCause, int, str, str]] = asyncio.Queue()
        self.began_streams = 0

    def began(self) -> None:
        self.began_streams += 1

    def ended(self, cause: EndCause, duration_s: float, chunks: int, *, request_mode: str, reply_mode: str) -> None:
        assert duration_s >= 0
        self.ends.put_nowait((cause, chunks, request_mode, reply_mode))

    def proxy_fault(self, error: Exception) -> None:
        self.faults.put_nowait(repr(error))

    def internal_error(self, error: Exception) -> None:
        self.errors.put_nowait(repr(error))


def make(
    router: object,
    settings: ExchangeSettings = SETTINGS,
    observer: Observer | None = None,
    **more: Callable[[], bool],
) -> tuple[ExtProcService, Observer]:
    observer = observer or Observer()
    clock = asyncio.get_running_loop().time
    return (
        ExtProcService(router, settings, BodyBudget(1 << 30), clock=clock, observer=observer, **more),  # type: ignore[arg-type]
        observer,
    )


def picking(pick: Pick | Rejection = PICK) -> ScriptedRouter:
    router = ScriptedRouter()
    router.early = pick
    return router


class Talk:
    """A proxy at the other end of a stream."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.call = open_stream(channel)
        self.proxy = Proxy()

    async def say(self, words: str) -> None:
        await self.call.write(self.proxy.message(words.split()).SerializeToString())

    async def hear(self) -> str:
        data = await soon(self.call.read())
        if data is grpc.aio.EOF:
            return "closed"
        response = wire.ProcessingResponse.FromString(data)
        self.proxy.got(response)
        return describe(response)


WHOLE = f"headers dest={A} metadata={A}"


class FailingRouter(ScriptedRouter):
    """Picks, and raises at what it is told to raise at."""

    def __init__(self, *at: object) -> None:
        super().__init__()
        self.early = PICK
        self.at = at

    def observe(self, exchange: ExchangeId, event: ReplyEvent, now: float) -> tuple[tuple[str, str], ...]:
        if type(event) in self.at:
            raise RuntimeError(f"at {type(event).__name__}")
        return super().observe(exchange, event, now)

    def ended(self, exchange: ExchangeId, cause: EndCause, now: float) -> None:
        super().ended(exchange, cause, now)
        if "end" in self.at:
            raise RuntimeError("at the end")


@pytest.mark.parametrize("at", [ReplyHeaders, ReplyFirstData, ReplyEnd, "end"], ids=str)
async def test_a_router_that_fails_at_a_reply_costs_the_client_nothing(at: object) -> None:
    service, observer = make(FailingRouter(at))
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers duplex/duplex eos")
        assert await talk.hear() == WHOLE
        await talk.say("reply-headers 200")
        assert await talk.hear() == "reply-headers"
        await talk.say("reply-body 500")
        assert await talk.hear() == "reply-body 500 B"
        await talk.say("reply-body 7 eos")
        assert await talk.hear() == "reply-body 7 B eos"
        assert await talk.hear() == "closed"
        assert await talk.call.code() is grpc.StatusCode.OK
        assert talk.proxy.reply_received == talk.proxy.reply_sent
        assert "RuntimeError" in await soon(observer.errors.get())
        assert await soon(observer.ends.get()) == (EndCause.COMPLETE, 2, "duplex", "duplex")


UNUSABLE = {
    "a number": (("x-n", 1),),
    "no name": ((None, "x"),),
    "half a character": (("x-n", "\ud800"),),
    "not pairs": ("x",),
}


@pytest.mark.parametrize("headers", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("where", ["pick", "reply"])
async def test_reply_headers_that_cannot_be_written_are_left_out(where: str, headers: object) -> None:
    router = picking(Pick((A,), reply_headers=headers if where == "pick" else ()))  # type: ignore[arg-type]
    router.reply_headers = headers if where == "reply" else ()  # type: ignore[assignment]
    service, observer = make(router)
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers duplex/duplex eos")
        assert await talk.hear() == WHOLE
        await talk.say("reply-headers 200")
        assert await talk.hear() == "reply-headers"
        await talk.say("reply-body 7 eos")
        assert await talk.hear() == "reply-body 7 B eos"
        assert await soon(observer.ends.get()) == (EndCause.COMPLETE, 1, "duplex", "duplex")
        assert not observer.errors.empty()


class PlacedNonsense:
    def __init__(self, headers: object) -> None:
        self.headers = headers

    def placed(self, request: object, placement: object, now: float) -> object:
        return self.headers


class RepliedNonsense(PlacedNonsense):
    def placed(self, request: object, placement: object, now: float) -> None:
        return None

    def replied(self, placement: object, served: object) -> object:
        return self.headers


class Plugins(NullObserver):
    def __init__(self) -> None:
        self.failed: list[str] = []

    def plugin_failed(self, name: str, error: Exception) -> None:
        self.failed.append(name)


@pytest.mark.parametrize("hook", [PlacedNonsense, RepliedNonsense])
@pytest.mark.parametrize("headers", [["x"], {"x-n": 1}, {1: "x"}, 5], ids=str)
async def test_a_plugin_whose_headers_are_no_text_is_neutral(hook: type[PlacedNonsense], headers: object) -> None:
    plugins = Plugins()
    profile = default_profile()
    listeners = (*profile.listeners, Slot("bad", hook(headers)))  # type: ignore[arg-type]
    profile = replace(profile, listeners=listeners, faults=plugins)
    desk = Desk(profile=profile, observer=plugins)
    service, observer = make(desk.router)
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers duplex/duplex eos :path=/models")
        assert "dest=" in await talk.hear()
        await talk.say("reply-headers 200")
        assert await talk.hear() == "reply-headers"
        await talk.say("reply-body 7 eos")
        assert await talk.hear() == "reply-body 7 B eos"
        assert (await soon(observer.ends.get()))[0] is EndCause.COMPLETE
        assert observer.errors.empty()
    assert plugins.failed == ["bad"]


async def test_a_router_that_fails_at_a_request_gives_a_500() -> None:
    class Router(ScriptedRouter):
        def submit(self, exchange: ExchangeId, ready: RequestReady, now: float) -> list[Answer]:
            raise RuntimeError("at the request")

    service, observer = make(Router())
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers duplex/duplex eos")
        assert await talk.hear() == "immediate 500 x-llm-d-request-dropped-reason=rejected-internal"
        assert await talk.hear() == "closed"
        assert (await soon(observer.ends.get()))[0] is EndCause.REFUSED
        assert "at the request" in await soon(observer.errors.get())


async def test_bytes_that_are_no_message_are_the_proxys_fault() -> None:
    service, observer = make(picking())
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.call.write(b"\xff\xff\xff")
        assert await talk.hear() == "immediate 500 x-llm-d-request-dropped-reason=rejected-proxy-fault"
        assert await talk.hear() == "closed"
        assert "DecodeError" in await soon(observer.faults.get())
        assert await soon(observer.ends.get()) == (EndCause.REFUSED, 0, "none", "none")


async def test_an_observer_that_fails_at_the_beginning_is_told_the_end() -> None:
    class Failing(Observer):
        def began(self) -> None:
            raise RuntimeError("at the beginning")

    router = picking()
    service, observer = make(router, observer=Failing())
    async with serving(service) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await soon(open_stream(channel).read())
        assert (await soon(observer.ends.get()))[0] is EndCause.ABORTED
        assert await soon(router.ends.get()) == "aborted"


async def test_a_body_over_the_limit_in_one_message_is_413_and_no_grpc_error() -> None:
    limit = 1 << 20
    assert limit < MAX_MESSAGE_BYTES
    refusal = rejection(Reason.BODY_TOO_LARGE, Dialect.OPENAI)
    service, observer = make(router := picking(refusal), ExchangeSettings(max_body_bytes=limit))
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers buffered/buffered")
        assert await talk.hear() == "headers"
        await talk.say(f"body {8 * limit} eos")
        assert await talk.hear() == "immediate 413 x-llm-d-request-dropped-reason=rejected-body-too-large"
        assert await soon(router.events.get()) == "ready too-large 0 B"
        assert (await soon(observer.ends.get()))[0] is EndCause.REFUSED


class CountingContext:
    """A gRPC context whose reads are counted: messages, then the end, as often as it is asked for."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)
        self.reads = 0
        self.written: list[bytes] = []

    async def read(self) -> bytes:
        self.reads += 1
        return self.messages.pop(0) if self.messages else grpc.aio.EOF

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    def done(self) -> bool:
        return False


async def test_after_the_last_message_only_the_late_answer_is_waited_for() -> None:
    router = ScriptedRouter()
    service, observer = make(router)
    proxy = Proxy()
    context = CountingContext(*(proxy.message(line.split()).SerializeToString() for line in ("headers", "body 5 eos")))
    stream = asyncio.create_task(service._process(None, context))  # type: ignore[arg-type]
    assert await soon(router.events.get()) == "ready complete 5 B"
    for _ in range(100):
        await asyncio.sleep(0)
    assert context.reads == 3
    assert router.asked is not None
    service.deliver([Answer(router.asked, PICK)])
    await soon(stream)
    assert [describe(wire.ProcessingResponse.FromString(data)) for data in context.written] == [WHOLE, "body 5 B eos"]
    assert context.reads == 3
    assert await soon(observer.ends.get()) == (EndCause.NO_REPLY, 0, "duplex", "duplex")


async def test_one_request_can_bring_the_answer_that_another_waits_for() -> None:
    class Router(ScriptedRouter):
        first: ExchangeId | None = None

        def submit(self, exchange: ExchangeId, ready: RequestReady, now: float) -> list[Answer]:
            super().submit(exchange, ready, now)
            if self.first is None:
                self.first = exchange
                return []
            return [Answer(self.first, PICK), Answer(exchange, PICK)]

    router = Router()
    service, observer = make(router)
    async with serving(service) as channel:
        talks = [Talk(channel), Talk(channel)]
        for talk in talks:
            await talk.say("headers duplex/duplex eos")
            await soon(router.events.get())
        for talk in talks:
            assert await talk.hear() == WHOLE
            talk.call.cancel()
            await soon(observer.ends.get())


async def test_a_stream_that_is_reset_while_it_waits_is_over() -> None:
    router = ScriptedRouter()
    service, observer = make(router)
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers duplex/duplex eos")
        await soon(router.events.get())
        await talk.call.done_writing()
        talk.call.cancel()
        assert await soon(router.ends.get()) == "aborted"
        assert (await soon(observer.ends.get()))[0] is EndCause.ABORTED
        assert router.asked is not None
        service.deliver([Answer(router.asked, PICK)])


async def test_ticks_go_on_when_the_router_fails() -> None:
    class Router(ScriptedRouter):
        ticks = 0

        def tick(self, now: float) -> list[Answer]:
            self.ticks += 1
            if self.ticks == 1:
                raise RuntimeError("at a tick")
            return [Answer(self.asked, PICK)] if self.asked else []

        def wake_at(self) -> float:
            return 0.0

    router = Router()
    service, observer = make(router)
    assert service.tick() > 0, "what fails always must not use up a core"
    assert "at a tick" in observer.errors.get_nowait()
    ticking = asyncio.create_task(service.tick_forever())
    try:
        async with serving(service) as channel:
            talk = Talk(channel)
            await talk.say("headers duplex/duplex eos")
            assert await talk.hear() == WHOLE
            talk.call.cancel()
            await soon(observer.ends.get())
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    assert observer.errors.empty()


MODES = {
    "duplex/duplex": ("duplex", "duplex"),
    "buffered/streamed": ("buffered", "streamed"),
    "partial/partial": ("buffered_partial", "buffered_partial"),
    "streamed/buffered": ("streamed", "buffered"),
    "none/none": ("none", "lean"),
    "": ("duplex", "duplex"),
}


@pytest.mark.parametrize(("declared", "told"), MODES.items(), ids=MODES)
async def test_the_modes_of_an_exchange_are_told(declared: str, told: tuple[str, str]) -> None:
    service, observer = make(picking())
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say(f"headers eos {declared}")
        assert await talk.hear() == WHOLE
        await talk.call.done_writing()
        assert await talk.hear() == "closed"
        assert await soon(observer.ends.get()) == (EndCause.NO_REPLY, 0, *told)


WITHOUT_REPLY = {
    "close after pick": (PICK, ExchangeSettings(close_after_pick=True), False, EndCause.REQUEST_ONLY),
    "the pick closes": (Pick((A,), close=True), ExchangeSettings(), False, EndCause.REQUEST_ONLY),
    "in a hurry": (Pick((A,), close=True), ExchangeSettings(), True, EndCause.REQUEST_ONLY),
    "no reply phase": (PICK, ExchangeSettings(reply_phase=False), False, EndCause.REQUEST_ONLY),
}


@pytest.mark.parametrize(("pick", "settings", "hurried", "cause"), WITHOUT_REPLY.values(), ids=WITHOUT_REPLY)
async def test_an_exchange_that_ends_with_the_request_has_no_reply_mode(
    pick: Pick, settings: ExchangeSettings, hurried: bool, cause: EndCause
) -> None:
    service, observer = make(picking(pick), settings, overloaded=lambda: hurried)
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers duplex/duplex eos")
        assert await talk.hear() == WHOLE
        await talk.call.done_writing()
        assert await talk.hear() == "closed"
        assert await soon(observer.ends.get()) == (cause, 0, "duplex", "none")
        assert observer.began_streams == 1


async def test_a_gateway_without_a_reply_phase_that_shows_one_all_the_same_is_told_as_it_is() -> None:
    service, observer = make(picking(), ExchangeSettings(reply_phase=False))
    async with serving(service) as channel:
        talk = Talk(channel)
        await talk.say("headers duplex/streamed eos")
        assert await talk.hear() == WHOLE
        await talk.say("reply-headers 200 eos")
        assert await talk.hear() == "reply-headers"
        assert await soon(observer.ends.get()) == (EndCause.COMPLETE, 0, "duplex", "streamed")
