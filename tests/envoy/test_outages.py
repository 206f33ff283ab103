"""The picker goes and comes back under traffic: what clients see of it with each failure mode, and when it drains."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from epp.envoy import EnvoySettings, Routing
from tests.envoy.echo import EchoServer
from tests.envoy.http1 import Http1Call
from tests.envoy.test_bodies import CHAT, SMALL
from tests.envoy.world import PATIENCE_S, ServedPicker, exchange, running_envoy, until, until_told

pytestmark = pytest.mark.envoy

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass
class Traffic:
    """One request after the other, and what became of them."""

    address: str
    statuses: list[int] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            answer = await exchange(Http1Call, self.address, "POST", CHAT, body=SMALL)
            self.statuses.append(answer.status)
            self.servers.append(answer.json["server"] if answer.status == 200 else "")
            await asyncio.sleep(0.01)

    async def wait_all(self, status: int, number: int = 20) -> None:
        """Until so many in a row have that status."""
        await until(lambda: self.statuses[-number:] == [status] * number)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()


@dataclass(frozen=True)
class Site:
    envoy: str
    picker: ServedPicker
    echoes: list[EchoServer]


@asynccontextmanager
async def site(*, fail_open: bool) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        echoes = [await stack.enter_async_context(EchoServer()) for _ in range(2)]
        addresses = tuple(echo.address for echo in echoes)
        picker = await stack.enter_async_context(ServedPicker([f"--endpoint={address}" for address in addresses]))
        settings = EnvoySettings(
            routing=Routing.OVERRIDE_HOST if fail_open else Routing.ORIGINAL_DESTINATION,
            endpoints=addresses if fail_open else (),
            fail_open=fail_open,
            picker_address=picker.host,
            picker_port=picker.ports["extproc_port"],
            picker_health_port=picker.ports["health_port"],
            picker_tls=None,
        )
        envoy = await stack.enter_async_context(running_envoy(settings))
        yield Site(envoy.listener_address, picker, echoes)


async def test_failing_closed_refuses_while_the_picker_is_gone_and_recovers() -> None:
    async with site(fail_open=False) as here:
        traffic = Traffic(here.envoy)
        async with traffic.running():
            await traffic.wait_all(200)
            await here.picker.kill()
            await traffic.wait_all(500)
            await here.picker.start()
            await traffic.wait_all(200)
        assert set(traffic.statuses) <= {200, 500, 503}


async def test_failing_open_serves_while_the_picker_is_gone() -> None:
    async with site(fail_open=True) as here:
        traffic = Traffic(here.envoy)
        async with traffic.running():
            await traffic.wait_all(200)
            await here.picker.kill()
            # Until its health checks have found out, Envoy fails requests that have a body.
            await until(lambda: 500 in traffic.statuses or len(traffic.statuses) > 1000)
            await traffic.wait_all(200, 50)
            served = Counter(traffic.servers[-50:])
            assert served == {echo.address: 25 for echo in here.echoes}, "round robin"
            gone = len(traffic.statuses)
            await here.picker.start()
            await until_told(here.picker.metrics, lambda metrics: metrics["llm_d_epp_request_total"])
        assert set(traffic.statuses[gone:]) == {200}, "its return disturbs nobody"


async def test_failing_open_serves_while_the_picker_hangs() -> None:
    async with site(fail_open=True) as here:
        first = Traffic(here.envoy)
        async with first.running():
            await first.wait_all(200)
        os.kill(here.picker.pid, signal.SIGSTOP)
        try:
            # Requests that Envoy has handed to it hang with it, so there are several clients.
            async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:
                clients = []
                while not any(client.statuses[-20:] == [200] * 20 for client in clients):
                    clients.append(Traffic(here.envoy))
                    await stack.enter_async_context(clients[-1].running())
                    await asyncio.sleep(0.2)
        finally:
            os.kill(here.picker.pid, signal.SIGCONT)
        picks = (await here.picker.metrics())["llm_d_epp_request_total"]
        after = Traffic(here.envoy)
        async with after.running():
            await until_told(here.picker.metrics, lambda metrics: metrics["llm_d_epp_request_total"] > picks + 20)
        assert set(after.statuses) == {200}


async def test_a_picker_that_is_told_to_stop_lets_streams_finish() -> None:
    async with (
        site(fail_open=False) as here,
        await Http1Call.start(here.envoy, "POST", CHAT, [("x-echo", "events")], length=len(SMALL)) as call,
    ):
        await call.send(SMALL)
        await until(lambda: any(echo.waiting for echo in here.echoes))
        (echo,) = [echo for echo in here.echoes if echo.waiting]
        echo.events.put_nowait(b"data: 0\n\n")
        assert await call.read() == b"data: 0\n\n"
        here.picker.terminate()
        async with grpc.aio.insecure_channel(f"{here.picker.host}:{here.picker.ports['health_port']}") as channel:
            health = health_pb2_grpc.HealthStub(channel)

            async def is_ready() -> int:
                request = health_pb2.HealthCheckRequest(service="readiness")
                return (await health.Check(request, timeout=PATIENCE_S)).status

            await until_told(is_ready, lambda status: status != SERVING)
            answer = await exchange(Http1Call, here.envoy, "POST", CHAT, body=SMALL)
            assert answer.status == 200, "new requests are not yet turned away"
            for number in range(1, 20):
                event = b"data: %d\n\n" % number
                echo.events.put_nowait(event)
                assert await call.read() == event
            assert await is_ready() == NOT_SERVING
        echo.events.put_nowait(None)
        assert await call.read() == b""
        assert await here.picker.wait() == 0
