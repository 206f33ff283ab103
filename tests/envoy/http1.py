"""HTTP/1.1 by hand, for what client libraries hide: trailers, one chunk at a time, connections that end in the middle.

`read_head` and `read_body` read messages of either side; `Http1Call` is one request and its reply, on a connection of
its own. `http2.Http2Call` has the same methods.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Self

__all__ = ["CallBrokenError", "Fields", "Head", "Http1Call", "read_body", "read_head"]

Fields = Iterable[tuple[str, str]]

_PIECE_BYTES = 256 * 1024


class CallBrokenError(Exception):
    """The connection or the stream ended before the reply did."""


@dataclass(frozen=True)
class Head:
    """First line and fields of a message, names in lower case."""

    first: str
    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Raises IncompleteReadError when the connection ends, with nothing partial if it ended between messages."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    return Head(lines[0], tuple(map(_field, filter(None, lines[1:]))))


async def read_body(reader: asyncio.StreamReader, head: Head, trailers: list[tuple[str, str]]) -> AsyncIterator[bytes]:
    """The body in pieces: the chunks as they were sent, if it is chunked. Then the trailers are in the list."""
    if head.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        while (line := await reader.readline()) not in (b"\r\n", b""):
            trailers.append(_field(line.decode("latin-1").rstrip("\r\n")))
        return
    left = int(head.get("content-length") or 0)
    while left:
        data = await reader.read(min(left, _PIECE_BYTES))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(data)
        yield data


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


class Http1Call:
    """One request and its reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, *, sized: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._method = method
        self._sized = sized
        self._head: Head | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self.trailers: list[tuple[str, str]] = []

    @classmethod
    async def start(
        cls, address: str, method: str, path: str, headers: Fields = (), *, length: int | None = None
    ) -> Self:
        """Connects and sends the head. Without a length a POST is chunked, and other methods have no body."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        call = cls(reader, writer, method, sized=length is not None or method != "POST")
        framing = [("content-length", str(length))] if length is not None else []
        if not call._sized:
            framing = [("transfer-encoding", "chunked")]
        fields = [("host", address), *headers, *framing]
        writer.write(f"{method} {path} HTTP/1.1\r\n".encode())
        writer.write("".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1") + b"\r\n")
        return call

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, data: bytes) -> None:
        """A piece of the body."""
        if not self._sized:
            data = f"{len(data):x}\r\n".encode() + data + b"\r\n"
        self._writer.write(data)
        await self._writer.drain()

    async def finish(self, trailers: Fields = ()) -> None:
        """The request is complete."""
        if not self._sized:
            lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
            self._writer.write(f"0\r\n{lines}\r\n".encode())
        await self._writer.drain()

    async def head(self) -> Head:
        """Waits for the head of the reply; its first line is the status. Raises CallBrokenError."""
        if self._head is None:
            try:
                read = await read_head(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise CallBrokenError from error
            self._head = Head(read.first.split(" ")[1], read.fields)
        return self._head

    async def read(self) -> bytes:
        """The next piece of the reply, empty at its end. Raises CallBrokenError."""
        head = await self.head()
        if self._method == "HEAD":
            return b""
        self._pieces = self._pieces or read_body(self._reader, head, self.trailers)
        try:
            return await anext(self._pieces, b"")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise CallBrokenError from error

    async def abort(self) -> None:
        """Goes away without a word."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.transport.abort()
