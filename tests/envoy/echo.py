"""A model server that shows what reached it, and replies as the request asks it to.

The request header `x-echo` chooses the reply:

    (none)     200, a report of the request in JSON, with content-length
    chunked    the same report in three chunks, as text
    missing    404, the report
    events     an event stream: what a test puts into `events`, each as one chunk, until None
    hold       nothing, for ever

What pickers ask (`/health`, `/metrics`, `/v1/models`) is answered as a healthy server without a list of models would,
and is not remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

from tests.envoy.http1 import Head, read_body, read_head

__all__ = ["EchoServer", "Seen"]

T = TypeVar("T")

PAGES = {
    "/health": (200, b""),
    "/metrics": (200, b"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0\n"),
    "/v1/models": (404, b""),
}


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    server: str
    method: str
    path: str
    headers: list[tuple[str, str]]
    length: int
    sha256: str
    trailers: list[tuple[str, str]]

    def header(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field == name]


class _ClientGoneError(Exception):
    pass


class EchoServer:
    """Listens on a port of 127.0.0.1 that the system chooses."""

    def __init__(self) -> None:
        self.address = ""
        self.seen: list[Seen] = []
        self.bodies: list[bytes] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.waiting = 0
        """Replies under way that wait for the test."""
        self.abandoned = 0
        """Replies whose client went away before their end."""
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.break_off()
        if self._connections:
            await asyncio.wait(self._connections)

    def break_off(self) -> None:
        """Ends all connections in the middle of whatever they carry."""
        for task in self._connections:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, _ClientGoneError, asyncio.CancelledError):
                while True:
                    await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        method, path, _ = head.first.split(" ")
        trailers: list[tuple[str, str]] = []
        body = b"".join([piece async for piece in read_body(reader, head, trailers)])
        if path in PAGES:
            self._write(writer, *PAGES[path], "text/plain")
            return
        digest = hashlib.sha256(body).hexdigest()
        seen = Seen(self.address, method, path, list(head.fields), len(body), digest, trailers)
        self.seen.append(seen)
        self.bodies.append(body)
        await self._reply(head, seen, reader, writer)
        await writer.drain()

    async def _reply(self, head: Head, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        report = json.dumps(asdict(seen)).encode()
        match head.get("x-echo"):
            case "chunked":
                third = len(report) // 3
                self._begin(writer, "text/plain")
                for piece in (report[:third], report[third : 2 * third], report[2 * third :], b""):
                    self._chunk(writer, piece)
            case "missing":
                self._write(writer, 404, report)
            case "events":
                self._begin(writer, "text/event-stream")
                while event := await self._or_gone(self.events.get(), reader):
                    self._chunk(writer, event)
                self._chunk(writer, b"")
            case "hold":
                await self._or_gone(asyncio.Event().wait(), reader)
            case _:
                self._write(writer, 200, report, empty=seen.method == "HEAD")

    async def _or_gone(self, waiting: Coroutine[Any, Any, T], reader: asyncio.StreamReader) -> T:
        """What is waited for, unless the client goes away first: it sends nothing while it waits for a reply."""
        wanted, gone = asyncio.ensure_future(waiting), asyncio.ensure_future(reader.read(1))
        self.waiting += 1
        try:
            await asyncio.wait({wanted, gone}, return_when=asyncio.FIRST_COMPLETED)
            if wanted.done():
                return wanted.result()
            self.abandoned += 1
            raise _ClientGoneError
        finally:
            self.waiting -= 1
            wanted.cancel()
            gone.cancel()
            await asyncio.wait({wanted, gone})

    def _write(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        body: bytes,
        kind: str = "application/json",
        *,
        empty: bool = False,
    ) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + (b"" if empty else body))

    def _begin(self, writer: asyncio.StreamWriter, kind: str) -> None:
        writer.write(f"HTTP/1.1 200 X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    def _chunk(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
