"""The gRPC port itself under what proxies do to it: bursts, resets by the thousand, pings on quiet connections."""

from __future__ import annotations

import asyncio
import random
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, PingAckReceived, StreamEnded

from epp.extproc import wire_pb2 as wire
from epp.protocol import DESTINATION, EXT_PROC_SERVICE
from tests.envoy.echo import EchoServer
from tests.envoy.test_bodies import CHAT, SMALL
from tests.envoy.world import PATIENCE_S, ServedPicker, running_picker, until, until_told

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

METHOD = f"/{EXT_PROC_SERVICE}/Process"

Stream = grpc.aio.StreamStreamCall


def request_headers() -> bytes:
    message = wire.ProcessingRequest()
    message.protocol_config.request_body_mode = wire.FULL_DUPLEX_STREAMED
    message.protocol_config.response_body_mode = wire.FULL_DUPLEX_STREAMED
    for name, value in ((":method", "POST"), (":path", CHAT), ("content-type", "application/json")):
        message.request_headers.headers.headers.add(key=name.encode(), raw_value=value.encode())
    return message.SerializeToString()


def request_body(data: bytes, *, end_of_stream: bool) -> bytes:
    message = wire.ProcessingRequest()
    message.request_body.body = data
    message.request_body.end_of_stream = end_of_stream
    return message.SerializeToString()


def reply_headers() -> bytes:
    message = wire.ProcessingRequest()
    for name, value in ((":status", "200"), ("content-type", "text/event-stream")):
        message.response_headers.headers.headers.add(key=name.encode(), raw_value=value.encode())
    return message.SerializeToString()


def reply_body(data: bytes, *, end_of_stream: bool) -> bytes:
    message = wire.ProcessingRequest()
    message.response_body.body = data
    message.response_body.end_of_stream = end_of_stream
    return message.SerializeToString()


HEADERS = request_headers()
CUT, WHOLE = request_body(SMALL[:500], end_of_stream=False), request_body(SMALL, end_of_stream=True)
REPLY = reply_headers()
EVENT, END = reply_body(b"data: 1\n\n", end_of_stream=False), reply_body(b"", end_of_stream=True)


async def read(stream: Stream) -> wire.ProcessingResponse:
    return wire.ProcessingResponse.FromString(await stream.read())


async def pick(stream: Stream) -> str:
    """Sends a whole request. Returns where it is to go."""
    await stream.write(HEADERS)
    await stream.write(WHOLE)
    answer = await read(stream)
    assert await read(stream), "the body comes back"
    headers = answer.request_headers.response.header_mutation.set_headers
    return next(h.header.raw_value.decode() for h in headers if h.header.key == DESTINATION.encode())


async def serve(stream: Stream) -> None:
    """A request and its reply, to the end."""
    await pick(stream)
    for message in (REPLY, EVENT, END):
        await stream.write(message)
        assert await read(stream)
    await stream.done_writing()
    assert await stream.code() is grpc.StatusCode.OK


async def leave_after_headers(stream: Stream) -> None:
    await stream.write(HEADERS)


async def leave_in_the_body(stream: Stream) -> None:
    await stream.write(HEADERS)
    await stream.write(CUT)


async def leave_in_the_reply(stream: Stream) -> None:
    await pick(stream)
    await stream.write(REPLY)
    await stream.write(EVENT)
    assert await read(stream)


async def leave_after_the_pick(stream: Stream) -> None:
    await pick(stream)


WAYS: list[Callable[[Stream], Awaitable[object]]] = [
    leave_after_headers,
    leave_in_the_body,
    leave_after_the_pick,
    leave_in_the_reply,
]


async def abort_many(port: str, number: int) -> None:
    """Streams that are reset at some point, fifty at a time."""
    async with grpc.aio.insecure_channel(port) as channel:
        open_stream = channel.stream_stream(METHOD)
        left = iter(range(number))

        async def client() -> None:
            for turn in left:
                stream = open_stream()
                await WAYS[turn % len(WAYS)](stream)
                stream.cancel()
                with suppress(asyncio.CancelledError):
                    await stream.code()

        async with asyncio.timeout(3 * PATIENCE_S):
            await asyncio.gather(*(client() for _ in range(50)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServedPicker]:
    async with AsyncExitStack() as stack:
        echoes = [await stack.enter_async_context(EchoServer()) for _ in range(2)]
        flags = [f"--endpoint={echo.address}" for echo in echoes]
        yield await stack.enter_async_context(ServedPicker(flags))


def address_of(picker: ServedPicker) -> str:
    return f"{picker.host}:{picker.ports['extproc_port']}"


def resident_bytes(picker: ServedPicker) -> int:
    status = Path(f"/proc/{picker.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


LEFT = (
    "epp_ledger_open_charges",
    "epp_endpoint_pending_prefill_tokens",
    "llm_d_epp_extproc_streams_inflight",
    "llm_d_epp_inflight_requests",
    "llm_d_epp_inflight_tokens",
    "llm_d_epp_request_running",
)
"""Metrics of the picker that say what is under way."""


async def wait_nothing_left(picker: ServedPicker) -> None:
    await until_told(picker.metrics, lambda metrics: not any(metrics[name] for name in LEFT))


async def test_aborted_streams_leave_no_charge_and_no_memory(server: ServedPicker) -> None:
    await abort_many(address_of(server), 5_000)  # fills what is kept of the last ones, and the allocator's pools
    await wait_nothing_left(server)
    before = resident_bytes(server)
    await abort_many(address_of(server), 15_000)
    await wait_nothing_left(server)
    assert resident_bytes(server) - before < 15_000 * 500, "less than any object per stream would take"
    async with grpc.aio.insecure_channel(address_of(server)) as channel:
        await serve(channel.stream_stream(METHOD)())


async def test_aborted_streams_leave_no_task() -> None:
    async with EchoServer() as echo, running_picker([echo.address]) as picker:
        before = len(asyncio.all_tasks())
        await abort_many(f"127.0.0.1:{picker.ports.extproc}", 1_000)
        await until(lambda: picker.process.service.open_streams == 0)
        await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_two_thousand_streams_at_once_are_answered(server: ServedPicker) -> None:
    async with grpc.aio.insecure_channel(address_of(server)) as channel:
        open_stream = channel.stream_stream(METHOD)
        streams = [open_stream() for _ in range(2_000)]
        async with asyncio.timeout(PATIENCE_S):
            picked = await asyncio.gather(*(pick(stream) for stream in streams))
        counts = [picked.count(address) for address in set(picked)]
        assert sum(counts) == 2_000
        assert max(counts) - min(counts) < 200, counts
        held = await server.metrics()
        assert held["llm_d_epp_extproc_streams_inflight"] == held["epp_ledger_open_charges"] == 2_000
        for stream in streams:
            stream.cancel()
        await wait_nothing_left(server)


async def test_pings_on_a_quiet_connection_are_no_offence(server: ServedPicker) -> None:
    """A proxy pings while a prefill of many seconds keeps its streams quiet."""
    host, _, port = address_of(server).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ping_and_pick(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def ping_and_pick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    http = H2Connection(H2Configuration(client_side=True))
    http.initiate_connection()
    grpc_request = [
        *((":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "picker")),
        *(("content-type", "application/grpc"), ("te", "trailers")),
    ]
    http.send_headers(1, grpc_request)
    answered: list[bytes] = []
    data = b""

    async def take(enough: Callable[[], bool]) -> None:
        nonlocal data
        while not enough():
            writer.write(http.data_to_send())
            received = await reader.read(65536)
            assert received, "the connection was closed"
            for event in http.receive_data(received):
                assert not isinstance(event, ConnectionTerminated | StreamEnded), event
                if isinstance(event, PingAckReceived):
                    answered.append(event.ping_data)
                if isinstance(event, DataReceived):
                    data += event.data

    pings = [random.Random(number).randbytes(8) for number in range(1_000)]
    for ping in pings:
        http.ping(ping)
        await take(lambda ping=ping: ping in answered[-1:])
    assert answered == pings
    for message in (HEADERS, WHOLE):
        http.send_data(1, struct.pack(">BI", 0, len(message)) + message)
    await take(lambda: DESTINATION.encode() in data)
