# ruff: noqa: TID251 - an edge: HTTP requests
"""Asks model servers over HTTP: bounded in time and size, with every failure told in one line of text."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from epp.telemetry.bearer_token import BearerToken
from epp.telemetry.scrape_settings import ScrapeSettings, TlsSettings

__all__ = ["FetchError", "HttpClient", "UnusableAnswerError", "tls_context"]

KEEP_ALIVE_S = 75.0
"""How long an unused connection is kept. Servers close them earlier (uvicorn after 5 s), which costs one retry."""

MAX_ERROR = 300
"""Characters of an error's text, which may quote the server."""

_TEXTS: Mapping[type[BaseException], str] = {
    aiohttp.ServerDisconnectedError: "the server closed the connection",
    aiohttp.ClientConnectorCertificateError: "certificate refused",
    aiohttp.ClientConnectorSSLError: "no TLS connection",
    aiohttp.ClientConnectorError: "no connection",
    aiohttp.ClientPayloadError: "the body ended early",
    aiohttp.ClientResponseError: "not HTTP",
    aiohttp.ClientError: "request failed",
    OSError: "connection failed",
    ValueError: "request failed",
}
"""What a failure is called; the first class that fits counts."""


class FetchError(Exception):
    """A request that brought no answer; the text says why."""


class UnusableAnswerError(FetchError):
    """There is an answer, so the server is there, but it is of no use."""


class HttpClient:
    """Connections to all endpoints. To be used as an async context manager."""

    def __init__(self, settings: ScrapeSettings) -> None:
        """Raises ValueError when the TLS files cannot be used."""
        self._timeout_s = settings.timeout_s
        self._token = BearerToken(settings.token_file)
        self._tls = tls_context(settings.tls) if settings.scheme == "https" else None
        self._server_name = settings.tls.server_name if self._tls else None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=self._tls if self._tls is not None else True
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "endpoint-picker"},  # gzip would cost the server CPU
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, url: URL, max_bytes: int) -> tuple[int, bytes]:
        """Status and body. Redirects are not followed: an endpoint speaks for itself only. Raises FetchError."""
        assert self._session, "used outside of its context"
        try:
            async with asyncio.timeout(self._timeout_s):
                headers = self._token.headers(asyncio.get_running_loop().time())
                async with self._session.get(
                    url, allow_redirects=False, headers=headers, server_hostname=self._server_name
                ) as response:
                    return response.status, await _body(response, max_bytes)
        except TimeoutError:
            raise FetchError(f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = next(text for kind, text in _TEXTS.items() if isinstance(error, kind))
            raise FetchError(f"{text}: {' '.join(str(error).split())}"[:MAX_ERROR]) from None


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise FetchError("the server compressed its answer, which it was not asked to")
    chunks = []
    size = response.content_length or 0
    received = 0
    while size <= max_bytes and (chunk := await response.content.readany()):
        chunks.append(chunk)
        received += len(chunk)
        size = max(size, received)
    if size > max_bytes:
        raise UnusableAnswerError(f"the answer has more than {max_bytes} bytes")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for https. Raises ValueError when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{settings.ca_file}: no certificates of authorities can be read: {error}") from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            files = f"{settings.cert_file}, {settings.key_file or settings.cert_file}"
            raise ValueError(f"{files}: no certificate with its key can be read: {error}") from None
    return context
