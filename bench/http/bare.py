"""A server that costs next to nothing, to measure the client with: `python -m bench.http.bare PORT`.

Every request is answered with the same stream: 20 events, 10 ms apart, the first after 20 ms.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

__all__ = ["EVENTS", "BareServer"]

EVENTS = 20
FIRST_S, INTERVAL_S = 0.02, 0.01

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b'data: {"id":"bare","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" the"}}]}\n\n'
_USAGE = b'{"prompt_tokens":100,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":0}}' % EVENTS
_END = b'data: {"choices":[],"usage":%s}\n\ndata: [DONE]\n\n' % _USAGE


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class BareServer(asyncio.Protocol):
    """One connection, with one request at a time whose body has a length."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps it."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers when a request is complete."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
        length = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
        if len(body) >= length:
            self._received = body[length:]
            self._write(_HEAD)
            self._later(FIRST_S, 0)

    def _send(self, number: int) -> None:
        if number < EVENTS:
            self._write(_chunk(_EVENT))
            self._later(INTERVAL_S, number + 1)
        else:
            self._write(_chunk(_END) + b"0\r\n\r\n")

    def _later(self, seconds: float, number: int) -> None:
        asyncio.get_running_loop().call_later(seconds, self._send, number)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(BareServer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
