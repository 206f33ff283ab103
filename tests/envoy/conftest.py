"""Gateways in all configurations that are shipped, with echo servers behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from epp.envoy import EnvoySettings, Observation, PickerTls, Routing
from tests.envoy.echo import EchoServer
from tests.envoy.http1 import Http1Call
from tests.envoy.http2 import Http2Call
from tests.envoy.world import Call, RunningPicker, running_envoy, running_picker

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "original-destination": {"routing": Routing.ORIGINAL_DESTINATION},
    "override-host": {"routing": Routing.OVERRIDE_HOST},
    "lean": {"routing": Routing.ORIGINAL_DESTINATION, "observation": Observation.LEAN},
}


@dataclass(frozen=True)
class Gateway:
    """An Envoy, its picker, and what is behind."""

    address: str
    picker: RunningPicker
    echoes: list[EchoServer]

    def echo(self, address: str) -> EchoServer:
        return next(echo for echo in self.echoes if echo.address == address)


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[(name, tls) for tls in (False, True) for name in CONFIGURATIONS],
    ids=[f"{name}-{transport}" for transport in ("h2c", "tls") for name in CONFIGURATIONS],
)
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    name, tls = request.param
    async with AsyncExitStack() as stack:
        echoes = [await stack.enter_async_context(EchoServer()) for _ in range(3)]
        addresses = tuple(echo.address for echo in echoes)
        config = {"epp": {"exchange": {"maxBodyBytes": "32MiB"}}}
        picker = await stack.enter_async_context(
            running_picker(addresses, config, secure_serving="true" if tls else "false")
        )
        settings = EnvoySettings(
            picker_port=picker.ports.extproc,
            picker_tls=PickerTls() if tls else None,
            endpoints=addresses if name == "override-host" else (),
            **CONFIGURATIONS[name],
        )
        envoy = await stack.enter_async_context(running_envoy(settings))
        yield Gateway(envoy.listener_address, picker, echoes)


@pytest.fixture(params=[Http1Call, Http2Call], ids=["http1", "http2"])
def client(request: pytest.FixtureRequest) -> Call:
    return request.param
