# ruff: noqa: TID251 - an edge: HTTP requests
"""Asks the API server over HTTP. Every failure comes out as an `ApiError`."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from epp.discovery.kubernetes.access import Access, AccessError
from epp.discovery.kubernetes.answers import ApiError, Failing, Lines, refusal
from epp.discovery.kubernetes.credentials import Credentials, Presented
from epp.discovery.kubernetes.proxies import proxy_of

__all__ = ["ApiClient"]

CONNECT_S = 10.0
LIST_S = 60.0
"""For one page. The server's own limit for a request."""

QUIET_S = 150.0
"""A watch of which nothing is heard for longer is taken up anew. Bookmarks come about once a minute."""

LATE_S = 30.0
"""A server that has not ended a watch so long after its time is not there any more."""

MAX_PAGE_BYTES = 256 * 1024 * 1024
"""500 pods have 10 MB. Lists that change while they are read come in one piece."""

MAX_REFUSAL_BYTES = 64 * 1024

MAX_TEXT = 300
"""Characters of a failure's text."""

KEEP_ALIVE = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 15,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 5,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
}
"""A machine that vanishes without a word is noticed within half a minute: nothing is sent on a watch's connection."""


class ApiClient:
    """Connections to one API server. To be used as an async context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._credentials = Credentials(access)
        self._proxy = access.proxy or proxy_of(access.server, os.environ) or None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "endpoint-picker"},
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """The body of an answer. Raises ApiError."""
        limits = aiohttp.ClientTimeout(total=LIST_S, sock_connect=CONNECT_S)
        async with self._answer(path, query, limits) as response:
            with self._translating():
                return await _body(response, MAX_PAGE_BYTES)

    @asynccontextmanager
    async def watch(self, path: str, query: Mapping[str, str], timeout_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch that the server took. Raises ApiError, and the lines do so, too."""
        limits = aiohttp.ClientTimeout(total=timeout_s + LATE_S, sock_connect=CONNECT_S)
        async with self._answer(path, query, limits) as response:
            yield self._lines(response)

    @asynccontextmanager
    async def _answer(
        self, path: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer of 200. Raises ApiError."""
        with self._translating():
            response = await self._ask(path, query, limits)
        try:
            if response.status != 200:
                with self._translating():
                    body = await _body(response, MAX_REFUSAL_BYTES)
                raise refusal(response.status, body, response.headers.get("Retry-After"))
            yield response
        finally:
            response.close()

    async def _ask(self, path: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """An answer. Credentials that are refused are renewed once."""
        presented = await self._credentials.present()
        response = await self._send(path, query, limits, presented)
        if response.status != 401:
            return response
        try:
            self._credentials.refused()
            renewed = await self._credentials.present()
        except ApiError:
            response.close()
            raise
        if renewed == presented:
            return response
        response.close()
        return await self._send(path, query, limits, renewed)

    async def _send(
        self, path: str, query: Mapping[str, str], limits: aiohttp.ClientTimeout, presented: Presented
    ) -> aiohttp.ClientResponse:
        assert self._session, "used outside of its context"
        return await self._session.get(
            URL(self._access.server + path).with_query(query),
            headers=presented.headers,
            ssl=presented.tls if presented.tls is not None else True,
            server_hostname=self._access.server_name,
            proxy=self._proxy,
            timeout=limits,
            allow_redirects=False,
        )

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        _keep_alive(response)
        lines = Lines()
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    with self._translating():
                        data = await response.content.readany()
            except TimeoutError:
                return
            if not data:
                return
            for line in lines.feed(data):
                yield line

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raises what goes wrong inside as ApiError."""
        server = self._access.server
        try:
            yield
        except AccessError as error:  # of a file that was there at the start
            raise ApiError(Failing.UNAUTHORIZED, str(error)) from None
        except TimeoutError:
            raise ApiError(Failing.UNREACHABLE, f"{server}: no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, aiohttp.ClientSSLError):
                self._credentials.refused()  # a certificate may have expired
            text = " ".join((str(error) or type(error).__name__).split())[:MAX_TEXT]
            raise ApiError(Failing.UNREACHABLE, f"{server}: {text}") from None


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    transport = response.connection.transport if response.connection else None
    connected = transport.get_extra_info("socket") if transport else None
    if connected is not None and connected.family in (socket.AF_INET, socket.AF_INET6):
        for (level, option), value in KEEP_ALIVE.items():
            connected.setsockopt(level, option, value)


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Raises ApiError for a longer one."""
    chunks, size = [], 0
    while chunk := await response.content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise ApiError(Failing.BAD_ANSWER, f"more than {max_bytes} bytes")
    return b"".join(chunks)
