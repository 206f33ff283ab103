"""A model server on loopback that answers what a test tells it to, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest


def reply(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP answer. Header names have underscores for hyphens."""
    fields = {"content_length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class ModelServer:
    """Replies by path, as raw bytes; None: no answer at all. A path that is not there is a 404."""

    reply = staticmethod(reply)

    def __init__(self) -> None:
        self.replies: dict[str, bytes | None] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.address = ""
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, ssl=tls)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname()[:2])

    async def stop(self) -> None:
        """Closes the port and all connections."""
        if self._server:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._server = None

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    async def wait_asked(self, path: str, times: int = 1) -> None:
        """Waits until the path was asked for so many times."""
        async with asyncio.timeout(20):
            while self.paths().count(path) < times:
                self._news.clear()
                await self._news.wait()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                path = lines[0].split(" ")[1]
                self.asked.append((path, dict(line.lower().split(": ", 1) for line in lines[1:] if line)))
                self._news.set()
                answer = self.replies.get(path, reply(status="404 Not Found"))
                if answer is None:
                    await reader.read()
                    return
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()


StartServer = Callable[..., Awaitable[ModelServer]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Starts servers, which end with the test."""
    async with AsyncExitStack() as stack:

        async def start(tls: ssl.SSLContext | None = None) -> ModelServer:
            server = ModelServer()
            await server.start(tls)
            stack.push_async_callback(server.stop)
            return server

        yield start


@pytest.fixture
async def server(start_server: StartServer) -> ModelServer:
    """One server without TLS."""
    return await start_server()
