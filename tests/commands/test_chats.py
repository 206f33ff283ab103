"""Chats against simulated pods, and against servers that fail."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from epp.commands.chats import Call, ChatSettings, run_chats, share_cached
from epp.simulator import SimServerSettings, serve

FEW = ChatSettings(people=3, teams=2, turns=2, rules=4, answer_tokens=3)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def test_every_turn_is_answered_and_the_cache_shows() -> None:
    done: list[int] = []
    async with serve(SimServerSettings(pods=1, port=0, speeds=(1000.0,))) as pods:
        calls = await run_chats(f"http://{pods.addresses[0]}", FEW, lambda: done.append(1))
        assert len(calls) == len(done) == 6
        assert all(not call.failure and call.served_by == pods.addresses[0] for call in calls)
        assert all(0 < call.first_token_s <= call.total_s and call.prompt_tokens > 20 for call in calls)
        assert 0 < share_cached(calls) < 1


def test_of_no_tokens_none_are_cached() -> None:
    assert share_cached([]) == share_cached([Call(failure="no")]) == 0.0


async def answered_by(handler: Handler) -> str:
    """How a call fails."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    async with TestServer(app) as server:
        one = ChatSettings(people=1, turns=1, rules=1)
        [call] = await run_chats(str(server.make_url("")).rstrip("/"), one, lambda: None)
        return call.failure


async def _refuse(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text="no endpoint")


async def _break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
    return response


async def _fail_late(request: web.Request) -> web.StreamResponse:
    response = await _break_off(request)
    assert isinstance(response, web.StreamResponse)
    await response.write(b'data: {"error": {"message": "engine dead"}}\n\ndata: [DONE]\n\n')
    return response


async def _reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


FAILURES: dict[str, tuple[Handler, str]] = {
    "refused": (_refuse, "HTTP 503: no endpoint"),
    "cut off": (_break_off, "the answer was cut off"),
    "failed in the middle": (_fail_late, "engine dead"),
    "reset": (_reset, "Error"),
}


@pytest.mark.parametrize(("handler", "why"), FAILURES.values(), ids=FAILURES)
async def test_what_goes_wrong_is_said(handler: Handler, why: str) -> None:
    assert why in await answered_by(handler)
