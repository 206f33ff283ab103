"""Stands in for model servers: many addresses of the loopback net, each with metrics, health and models.

    python -m bench.extproc.pages COUNT

Prints its port. It answers with ready-made bytes. The metrics page is a real one of vLLM whose buckets were left
out; they are put back, up to the 78 KB that such a page has. Of those lines a picker needs none.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import cast

import uvloop

from bench.extproc.exchanges import MODEL

__all__ = ["PAGE_BYTES", "address", "metrics_page", "serve"]

PAGE_BYTES = 78_000

_COUNT = re.compile(r"^(\S+)_count\{(.*)\} (\S+)$", re.MULTILINE)
"""The line of a histogram that follows its buckets."""

_REAL_PAGE = Path(__file__).parents[2] / "tests" / "data" / "metrics" / "idle.txt"


def address(number: int) -> str:
    """Loopback address of a server, counted from 0."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def metrics_page(size: int) -> bytes:
    """The real page, with as many buckets in its histograms as `size` bytes ask for."""
    page, bound = _REAL_PAGE.read_text(), 0
    while len(page) < size:
        bound += 1
        page = _COUNT.sub(rf'\1_bucket{{\2,le="{bound}.0"}} \3\n\g<0>', page)
    return page.encode()


def _answer(content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Pages(asyncio.Protocol):
    """Answers requests without bodies, one after the other."""

    def __init__(self, metrics: bytes, models: bytes) -> None:
        self._metrics, self._models = metrics, models
        self._healthy = _answer("text/plain", b"")
        self._transport: asyncio.WriteTransport | None = None
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None, "a connection is made first"
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            if request.startswith(b"GET /metrics"):
                self._transport.write(self._metrics)
            else:
                self._transport.write(self._models if request.startswith(b"GET /v1/models") else self._healthy)


async def serve(count: int) -> None:
    """Serves until SIGTERM."""
    metrics = _answer("text/plain; version=0.0.4; charset=utf-8", metrics_page(PAGE_BYTES))
    models = _answer("application/json", b'{"object":"list","data":[{"id":"%b","object":"model"}]}' % MODEL.encode())
    loop = asyncio.get_running_loop()
    first = await loop.create_server(lambda: _Pages(metrics, models), address(0), 0)
    port = first.sockets[0].getsockname()[1]
    for number in range(1, count):
        await loop.create_server(lambda: _Pages(metrics, models), address(number), port)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    print(port, flush=True)
    await stopped.wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
