"""Whatever ends a request, its charge is gone at once: the end of the reply, or a client that leaves at any point.

Each request asks for so many tokens that a charge that waited for its predicted end would stay for an hour.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from epp.envoy import EnvoySettings, Observation
from tests.envoy.conftest import Gateway
from tests.envoy.echo import EchoServer
from tests.envoy.http1 import Http1Call
from tests.envoy.http2 import Http2Call
from tests.envoy.test_bodies import CHAT
from tests.envoy.world import Call, exchange, running_envoy, running_picker, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

REQUEST = json.dumps(
    {
        "model": "m",
        "messages": [{"role": "user", "content": "Count! " * 2000}],
        "max_tokens": 100_000,
        "stream": True,
    }
).encode()

AT_ONCE_S = 5.0
"""It takes some milliseconds; the rest is for a busy machine."""


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[Observation.FULL, Observation.LEAN],
    ids=["full", "lean"],
)
async def observed(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        echoes = [await stack.enter_async_context(EchoServer()) for _ in range(2)]
        picker = await stack.enter_async_context(running_picker([echo.address for echo in echoes]))
        settings = EnvoySettings(observation=request.param, picker_port=picker.ports.extproc, picker_tls=None)
        envoy = await stack.enter_async_context(running_envoy(settings))
        if request.param is Observation.LEAN:
            # Modes do not tell a lean gateway from one without a reply phase; the first reply does.
            await exchange(Http1Call, envoy.listener_address, "POST", CHAT, body=REQUEST)
        yield Gateway(envoy.listener_address, picker, echoes)


async def wait_quiet(gateway: Gateway) -> None:
    """Until no charge is left; it must not take long."""
    started = time.monotonic()
    await until(lambda: gateway.picker.quiet)
    assert time.monotonic() - started < AT_ONCE_S


async def wait_serving(gateway: Gateway, requests: int = 1) -> EchoServer:
    """The endpoint at which the requests are. Each has its charge there."""
    await until(lambda: sum(echo.waiting for echo in gateway.echoes) == requests)
    charges = {echo.address: echo.waiting for echo in gateway.echoes if echo.waiting}
    assert gateway.picker.charges == charges
    return gateway.echo(next(iter(charges)))


async def begin(gateway: Gateway, client: Call, reply: str) -> Http1Call | Http2Call:
    call = await client.start(gateway.address, "POST", CHAT, [("x-echo", reply)], length=len(REQUEST))
    await call.send(REQUEST)
    await call.finish()
    return call


async def test_the_end_of_a_reply_releases(observed: Gateway, client: Call) -> None:
    async with await begin(observed, client, "events") as call:
        echo = await wait_serving(observed)
        for event in (b"data: 1\n\n", b"data: [DONE]\n\n", None):
            echo.events.put_nowait(event)
        while await call.read():
            pass
        await wait_quiet(observed)


async def test_a_client_that_leaves_during_its_body_leaves_nothing(observed: Gateway, client: Call) -> None:
    async with await client.start(observed.address, "POST", CHAT, length=len(REQUEST)) as call:
        await call.send(REQUEST[: len(REQUEST) // 2])
        budget = observed.picker.process.service.budget
        await until(lambda: budget.held_bytes >= len(REQUEST) // 2)
        await call.abort()
        await wait_quiet(observed)


async def test_a_client_that_leaves_during_prefill_releases(observed: Gateway, client: Call) -> None:
    async with await begin(observed, client, "hold") as call:
        echo = await wait_serving(observed)
        before = echo.abandoned
        await call.abort()
        await wait_quiet(observed)
        await until(lambda: echo.abandoned == before + 1)


async def test_a_client_that_leaves_in_the_middle_of_a_stream_releases(observed: Gateway, client: Call) -> None:
    async with await begin(observed, client, "events") as call:
        echo = await wait_serving(observed)
        for number in range(3):
            event = b"data: %d\n\n" % number
            echo.events.put_nowait(event)
            assert await call.read() == event
        assert observed.picker.charges == {echo.address: 1}
        before = echo.abandoned
        await call.abort()
        await wait_quiet(observed)
        await until(lambda: echo.abandoned == before + 1)


async def test_many_that_leave_together_release(observed: Gateway, client: Call) -> None:
    async with AsyncExitStack() as stack:
        begun = await asyncio.gather(*(begin(observed, client, ("hold", "events")[n % 2]) for n in range(60)))
        calls = [await stack.enter_async_context(call) for call in begun]
        await wait_serving(observed, 60)
        for call in calls:
            await call.abort()
        await wait_quiet(observed)


async def test_a_model_server_that_breaks_off_releases(observed: Gateway, client: Call) -> None:
    async with await begin(observed, client, "events") as call:
        echo = await wait_serving(observed)
        echo.events.put_nowait(b"data: 1\n\n")
        assert await call.read() == b"data: 1\n\n"
        echo.break_off()
        await wait_quiet(observed)
