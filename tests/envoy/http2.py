"""HTTP/2 without TLS, one request and its reply per connection; the methods are those of `http1.Http1Call`."""

from __future__ import annotations

import asyncio
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

from tests.envoy.http1 import CallBrokenError, Fields, Head

__all__ = ["Http2Call"]


class Http2Call:
    """One request and its reply, on stream 1 of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_body: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._has_body = has_body
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._stream = 1
        self._head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Ends with an empty one; None when the stream broke."""
        self._window_grew = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())
        self.trailers: list[tuple[str, str]] = []

    @classmethod
    async def start(
        cls, address: str, method: str, path: str, headers: Fields = (), *, length: int | None = None
    ) -> Self:
        """Connects and sends the head. Methods other than POST have no body."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        call = cls(reader, writer, has_body=method == "POST")
        pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", address)]
        sized = [("content-length", str(length))] if length is not None else []
        call._http.initiate_connection()
        call._http.send_headers(call._stream, [*pseudo, *headers, *sized], end_stream=not call._has_body)
        call._flush()
        return call

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, data: bytes) -> None:
        """A piece of the body."""
        at = 0
        while at < len(data):
            room = min(self._http.local_flow_control_window(self._stream), self._http.max_outbound_frame_size)
            if not room:
                self._window_grew.clear()
                await self._window_grew.wait()
                continue
            self._http.send_data(self._stream, data[at : at + room])
            at += room
            self._flush()
            await self._writer.drain()

    async def finish(self, trailers: Fields = ()) -> None:
        """The request is complete."""
        if fields := list(trailers):
            self._http.send_headers(self._stream, fields, end_stream=True)
        elif self._has_body:
            self._http.end_stream(self._stream)
        self._flush()

    async def head(self) -> Head:
        """Waits for the head of the reply; its first line is the status. Raises CallBrokenError."""
        return await asyncio.shield(self._head)

    async def read(self) -> bytes:
        """The next piece of the reply, empty at its end. Raises CallBrokenError."""
        await self.head()
        piece = await self._pieces.get()
        if not piece:
            self._pieces.put_nowait(piece)  # the end stays
        if piece is None:
            raise CallBrokenError
        return piece

    async def abort(self) -> None:
        """Resets the stream; the connection stays."""
        self._http.reset_stream(self._stream, ErrorCodes.CANCEL)
        self._flush()

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.wait({self._listening})
        self._writer.transport.abort()
        if self._head.done():
            self._head.exception()  # nobody may have asked for it

    def _flush(self) -> None:
        self._writer.write(self._http.data_to_send())

    async def _listen(self) -> None:
        try:
            while data := await self._reader.read(256 * 1024):
                for event in self._http.receive_data(data):
                    self._take(event)
                self._flush()
        finally:
            self._break()

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                fields = [(str(name), str(value)) for name, value in event.headers]
                self._head.set_result(Head(fields[0][1], tuple(fields[1:])))
            case DataReceived():
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.data:
                    self._pieces.put_nowait(event.data)
            case TrailersReceived():
                self.trailers += [(str(name), str(value)) for name, value in event.headers]
            case StreamEnded():
                self._pieces.put_nowait(b"")
            case WindowUpdated():
                self._window_grew.set()
            case StreamReset() | ConnectionTerminated():
                self._break()
            case _:
                pass

    def _break(self) -> None:
        """What is waited for will not come; what came before it can still be read."""
        self._pieces.put_nowait(None)
        if not self._head.done():
            self._head.set_exception(CallBrokenError())
