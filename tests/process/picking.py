"""A whole picker in this process, with what proxies, probes and operators ask of it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from epp.config import load
from epp.config.flag_table import FlagValues
from epp.endpoints.types import canonical_address
from epp.extproc import wire_pb2 as wire
from epp.process import PickerProcess
from epp.process.picker import Ports
from epp.protocol import DESTINATION, EXT_PROC_SERVICE
from epp.telemetry.logs import Encoder, Level, LogControl, LogSettings, start_logging

__all__ = ["PATIENCE_S", "READINESS", "SERVING", "Picker", "Proxy", "flags_of", "logging_to", "running_picker", "until"]

PATIENCE_S = 30.0
"""For what must happen, on a machine that may be busy; what is awaited takes milliseconds."""

SERVING = health_pb2.HealthCheckResponse.SERVING
READINESS = ("", "readiness", EXT_PROC_SERVICE, "inference-extension")

NOWHERE = ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
"""Endpoints where nobody listens: enough to be picked."""


async def until(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - about what sets no event
            await asyncio.sleep(0.01)


def flags_of(**flags: str | tuple[str, ...]) -> dict[str, str | tuple[str, ...]]:
    """Flags of a picker on free ports of loopback, without TLS."""
    ports = dict.fromkeys(("grpc-port", "grpc-health-port", "metrics-port"), "0")
    given = {name.replace("_", "-"): value for name, value in flags.items()}
    return {"bind": "127.0.0.1", "secure-serving": "false", **ports, **given}


class Proxy:
    """One stream of a proxy that sends whole bodies (full duplex)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = channel.stream_stream(f"/{EXT_PROC_SERVICE}/Process")()

    async def ask(self, body: bytes, **headers: str) -> wire.ProcessingResponse:
        """Sends a request, and returns the first answer."""
        message = wire.ProcessingRequest()
        fields = {":method": "POST", ":path": "/v1/completions", "content-type": "application/json"}
        for name, value in (fields | {name.replace("_", "-"): value for name, value in headers.items()}).items():
            header = message.request_headers.headers.headers.add()
            header.key, header.raw_value = name.encode(), value.encode()
        message.protocol_config.request_body_mode = wire.FULL_DUPLEX_STREAMED
        message.protocol_config.response_body_mode = wire.FULL_DUPLEX_STREAMED
        await self._call.write(message.SerializeToString())
        message = wire.ProcessingRequest()
        message.request_body.body, message.request_body.end_of_stream = body, True
        await self._call.write(message.SerializeToString())
        return await self._read()

    async def reply(self) -> None:
        """The rest of the request is answered, and a whole reply goes through."""
        await self._read()
        message = wire.ProcessingRequest()
        header = message.response_headers.headers.headers.add()
        header.key, header.raw_value = b":status", b"200"
        message.response_headers.end_of_stream = True
        await self._call.write(message.SerializeToString())
        assert (await self._read()).HasField("response_headers")
        await self._call.done_writing()

    async def ended(self) -> grpc.StatusCode:
        """How the picker closed the stream, once it has."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(grpc.aio.AioRpcError):
                while await self._call.read() is not grpc.aio.EOF:
                    pass
            code: grpc.StatusCode = await self._call.code()
            return code

    def reset(self) -> None:
        """Gives the stream up."""
        self._call.cancel()

    async def _read(self) -> wire.ProcessingResponse:
        async with asyncio.timeout(PATIENCE_S):
            return wire.ProcessingResponse.FromString(await self._call.read())


@dataclass(frozen=True)
class Picker:
    """A picker that runs."""

    process: PickerProcess
    ports: Ports
    host: str
    stream: io.StringIO
    channel: grpc.aio.Channel
    health_channel: grpc.aio.Channel
    http: aiohttp.ClientSession

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log so far."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def said(self, message: str) -> list[dict[str, Any]]:
        """Lines of the log with this message."""
        return [line for line in self.log if line["msg"].startswith(message)]

    def proxy(self) -> Proxy:
        """A new stream."""
        return Proxy(self.channel)

    async def pick(self, body: bytes = b'{"model": "m", "prompt": "hello"}', **headers: str) -> str:
        """Where a request goes; empty when it is refused. The stream is given up afterwards."""
        proxy = self.proxy()
        answer = await proxy.ask(body, **headers)
        proxy.reset()
        return destination(answer)

    async def health(self, name: str) -> int:
        """State of a health name."""
        stub = health_pb2_grpc.HealthStub(self.health_channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_S)).status)

    async def readiness(self) -> set[bool]:
        """Whether its names of readiness are serving."""
        return {await self.health(name) == SERVING for name in READINESS}

    async def page(self, path: str) -> str:
        """A page of the metrics port."""
        address = canonical_address(self.host, self.ports.http)
        async with self.http.get(f"http://{address}{path}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async def metric(self, name: str) -> float:
        """A sample of the metrics page, by its name with labels."""
        lines = (line.rpartition(" ") for line in (await self.page("/metrics")).splitlines())
        return next(float(value) for sample, _, value in lines if sample == name)

    def addresses(self) -> set[str]:
        """Endpoints that the router knows."""
        table = self.process.router.pool.table
        return {table.addresses[row] for row in table.live_rows}


def destination(answer: wire.ProcessingResponse) -> str:
    """What a pick names; empty when it is none."""
    fields = answer.request_headers.response.header_mutation.set_headers
    return next((field.header.raw_value.decode() for field in fields if field.header.key == DESTINATION.encode()), "")


def logging_to(stream: io.StringIO) -> LogControl:
    """Logs as JSON lines."""
    return start_logging(LogSettings(Level.INFO, Encoder.JSON), stream)


@asynccontextmanager
async def running_picker(
    config: Path | None = None, endpoints: Sequence[str] = NOWHERE, **flags: str
) -> AsyncIterator[Picker]:
    """A picker with this configuration file, from before it is ready until it is stopped."""
    all_flags: FlagValues = flags_of(
        **({"endpoint": tuple(endpoints)} if endpoints else {}),
        **({"config-file": str(config)} if config else {}),
        **flags,
    )
    stream = io.StringIO()
    logs = logging_to(stream)
    try:
        process = PickerProcess(load(all_flags, {}), all_flags, logs)
        ports = await process.start()
        host = str(all_flags["bind"]) or "127.0.0.1"
        channel = grpc.aio.insecure_channel(canonical_address(host, ports.extproc))
        health = grpc.aio.insecure_channel(canonical_address(host, ports.health))
        try:
            async with channel, health, aiohttp.ClientSession() as http:
                yield Picker(process, ports, host, stream, channel, health, http)
        finally:
            await process.stop()
    finally:
        logs.stop()
