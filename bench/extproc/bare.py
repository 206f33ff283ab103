"""A gRPC server that does nothing: what any picker on `grpc.aio` and uvloop costs at least.

    python -m bench.extproc.bare PORT

It reads every message and writes what a picker writes, but takes no message apart beyond its first lengths, and its
answers are ready-made: one destination, the body as it came, reply chunks as they came. Nothing is decoded, decided or
kept.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import lru_cache
from typing import Any, TypeAlias

import grpc
import uvloop

from epp.extproc.messages import MAX_PIECE_BYTES, headers_answer, set_destination, streamed_body
from epp.extproc.server import channel_options
from epp.protocol import DESTINATION, EXT_PROC_SERVICE

__all__ = ["process", "serve"]

Context: TypeAlias = Any
"""`grpc.aio.ServicerContext`, of which grpcio ships no types."""

_REPLY_HEADERS, _REQUEST_BODY, _REPLY_BODY = 0x1A, 0x22, 0x2A
"""First bytes of a ProcessingRequest: tags of its oneof."""

_END_OF_STREAM = b"\x10\x01"


def _pick() -> bytes:
    answer = headers_answer(reply=False, set_headers=((DESTINATION, "10.0.0.1:8000"),))
    set_destination(answer, ("10.0.0.1:8000",))
    return answer.SerializeToString()


_PICK = _pick()
_REPLY_GOES_ON = headers_answer(reply=True).SerializeToString()


async def process(_: object, context: Context) -> None:
    """One stream."""
    body = b""
    while (data := await context.read()) is not grpc.aio.EOF:
        kind = data[0]
        if kind == _REPLY_BODY:
            chunk, end = _body_of(data)
            await context.write(_echo(chunk, reply=True, end=end))
            if end:
                return
        elif kind == _REQUEST_BODY:
            chunk, end = _body_of(data)
            body = body + chunk if body else chunk
            if end:
                await context.write(_PICK)
                for start in range(0, len(body), MAX_PIECE_BYTES):
                    last = start + MAX_PIECE_BYTES >= len(body)
                    await context.write(_echo(body[start : start + MAX_PIECE_BYTES], reply=False, end=last))
                body = b""
        elif kind == _REPLY_HEADERS:
            await context.write(_REPLY_GOES_ON)


def _body_of(data: bytes) -> tuple[bytes, bool]:
    """Body of a message, and whether it is the last one."""
    _, at = _varint(data, 1)
    if data[at : at + 1] != b"\x0a":  # an empty body is left out
        return b"", data.startswith(_END_OF_STREAM, at)
    size, at = _varint(data, at + 1)
    return data[at : at + size], data.startswith(_END_OF_STREAM, at + size)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Protobuf's whole number at a position, and the position after it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _echo(data: bytes, *, reply: bool, end: bool) -> bytes:
    before, after = _around(len(data), reply, end)
    return b"".join((before, data, after))


@lru_cache(maxsize=4096)
def _around(size: int, reply: bool, end: bool) -> tuple[bytes, bytes]:  # noqa: FBT001 - a key of the cache
    """What stands before and after a body of that size in an answer."""
    body = b"\xff" * size
    answer = streamed_body(body, reply=reply, end=end)[0].SerializeToString()
    start = answer.rindex(body)
    return answer[:start], answer[start + size :]


async def serve(port: int) -> None:
    """Serves on loopback until SIGTERM."""
    server = grpc.aio.server(options=channel_options())
    method = grpc.stream_stream_rpc_method_handler(process)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(EXT_PROC_SERVICE, {"Process": method})])
    server.add_insecure_port(f"127.0.0.1:{port}")
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await server.start()
    await stopped.wait()
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
