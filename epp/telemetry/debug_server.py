# ruff: noqa: TID251 - this file is an edge: it serves HTTP
"""The HTTP server for metrics and debug pages. It reads requests and writes answers, and decides nothing.

    GET  /healthz                     200 while the process answers
    GET  /metrics                     Prometheus text, or OpenMetrics to who accepts it
    GET  /config                      the configuration in use
    GET  /endpoints                   ?pool= &endpoint=
    GET  /debug/decisions             ?pool= &last= &endpoint= &model=
    GET  /debug/decisions/{id}        ?pool=; the id of a decision or of a request
    POST /debug/explain               ?pool=; where a request would go now; nothing is placed
    GET  /debug/log-level             and PUT, to change it

Pages but the first two are for clients on this machine and for those with the token (`debug_access`). `?pool=` may be
left out while there is one pool.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

from epp.router import Router
from epp.telemetry.clock import Clock
from epp.telemetry.debug_access import AccessSettings, Visitor, may_see
from epp.telemetry.debug_input import InputError, choose, count_from, level_from, request_from
from epp.telemetry.debug_views import (
    decision_view,
    decisions_view,
    endpoints_view,
    find_decision,
    preview_view,
    to_json,
)
from epp.telemetry.exposition import Exposition
from epp.telemetry.logs import LogControl
from epp.telemetry.scraper import EndpointStatistics

__all__ = ["DebugPages", "DebugServer", "DebugSettings"]

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of a request to explain: two million tokens. Reading it holds up the picks that wait meanwhile, by some 50 ms."""

MAX_CONNECTIONS = 256
KEEPALIVE_S = 75.0

DEFAULT_LAST = 20

_FORWARDING = ("X-Forwarded-For", "Forwarded", "Via")
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

_LOG = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class DebugSettings:
    """Where the server listens, and for whom."""

    host: str = "127.0.0.1"
    port: int = 9090
    """0: any free one."""
    access: AccessSettings = AccessSettings()
    read_timeout_s: float = 10.0
    """For a request's body, and for a new connection's first request."""


@dataclass(frozen=True, slots=True)
class DebugPages:
    """What there is to show."""

    exposition: Exposition
    pools: Mapping[str, Router]
    """Looked at for each request, so pools may come and go."""
    clock: Clock
    config: Callable[[], str]
    """The configuration in use, without secrets."""
    log: LogControl
    scraping: Callable[[], Mapping[str, EndpointStatistics]] = dict
    """A scraper's statistics by address."""
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    """For ties in dry runs; never the routers' own."""


class DebugServer:
    """Serves from `start` to `stop`."""

    def __init__(self, settings: DebugSettings, pages: DebugPages, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._pages = pages
        self._tls = tls
        self._listener: asyncio.Server | None = None
        self._silent: set[asyncio.BaseProtocol] = set()
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=1.0,
            auto_decompress=False,
        )

    @property
    def port(self) -> int:
        """Port that is listened on, once started."""
        assert self._listener is not None, "the server is not started"
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def start(self, listener: socket.socket | None = None) -> None:
        """Begins to serve: on a socket that listens already, or where the settings say. Raises OSError."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        where: dict[str, Any] = {"sock": listener}
        if listener is None:
            where = {"host": self._settings.host, "port": self._settings.port}
        try:
            self._listener = await loop.create_server(self._protocol, ssl=self._tls, **where)
        except OSError:
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """Ends open connections, and listens no more."""
        if self._listener:
            self._listener.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None, "the runner is set up before the listener"
        if len(server.connections) >= MAX_CONNECTIONS:
            return _TurnedAway()
        protocol = server()
        self._silent.add(protocol)
        asyncio.get_running_loop().call_later(self._settings.read_timeout_s, self._close_if_silent, protocol)
        return protocol

    def _close_if_silent(self, protocol: web.RequestHandler) -> None:
        """Connections that ask for nothing must not use up the limit."""
        if protocol in self._silent:
            self._silent.discard(protocol)
            protocol.force_close()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/metrics", self._metrics),
                web.get("/config", self._config),
                web.get("/endpoints", self._endpoints),
                web.get("/debug/decisions", self._decisions),
                web.get("/debug/decisions/{id:.+}", self._decision),
                web.post("/debug/explain", self._explain),
                web.get("/debug/log-level", self._log_level),
                web.put("/debug/log-level", self._set_log_level),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets in who may see the page, and makes an answer of whatever goes wrong."""
        self._silent.discard(request.protocol)
        if not may_see(request.path, _visitor(request), self._settings.access):
            _LOG.debug("debug page refused", extra={"path": request.path, "peer": request.remote})
            return _refusal(has_token=bool(self._settings.access.token))
        try:
            return await handler(request)
        except InputError as error:
            return _error(400, str(error))
        except web.HTTPException as error:
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _error(error.status, error.reason, allowed)
        except TimeoutError:
            return _error(408, f"the request did not come within {self._settings.read_timeout_s:g} s")
        except Exception:
            _LOG.exception("a debug page failed", extra={"path": request.path})
            return _error(500, "the page failed; the log says why")

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=_HEADERS)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """Lets the event loop go on between the pieces of a large page."""
        content_type, pieces = self._pages.exposition.page(request.headers.get("Accept", ""))
        headers = {**_HEADERS, "Content-Type": content_type}
        if request.method == "HEAD":  # what a stream writes would be taken for the next answer
            return web.Response(headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    async def _config(self, _: web.Request) -> web.Response:
        return web.Response(text=self._pages.config(), headers=_HEADERS)

    async def _endpoints(self, request: web.Request) -> web.Response:
        name, router = self._pool(request)
        pages, endpoint = self._pages, request.query.get("endpoint", "")
        view = endpoints_view(router, pages.clock, pages.scraping(), endpoint=endpoint)
        return _json({"pool": name, **view})

    async def _decisions(self, request: web.Request) -> web.Response:
        name, router = self._pool(request)
        query = request.query
        view = decisions_view(
            router,
            self._pages.clock,
            last=count_from(query.get("last"), DEFAULT_LAST, most=router.settings.kept_decisions),
            endpoint=query.get("endpoint", ""),
            model=query.get("model", ""),
        )
        return _json({"pool": name, **view})

    async def _decision(self, request: web.Request) -> web.Response:
        name, router = self._pool(request)
        record = find_decision(router.decisions, request.match_info["id"])
        if record is None:
            return _error(404, f"no such decision; the last {router.settings.kept_decisions} are kept")
        return _json({"pool": name, **decision_view(record, self._pages.clock)})

    async def _explain(self, request: web.Request) -> web.Response:
        name, router = self._pool(request)
        ready = request_from(await self._body(request))
        outcome = router.preview(ready, self._pages.rng, self._pages.clock.monotonic())
        return _json({"pool": name, **preview_view(ready, outcome)})

    async def _log_level(self, _: web.Request) -> web.Response:
        return _json({"level": self._pages.log.level.name.lower()})

    async def _set_log_level(self, request: web.Request) -> web.Response:
        level = level_from(await self._body(request))
        self._pages.log.set_level(level)
        _LOG.warning("log level changed", extra={"to": level.name.lower(), "peer": request.remote})
        return _json({"level": level.name.lower()})

    async def _body(self, request: web.Request) -> bytes:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise InputError("compressed bodies are not taken")
        async with asyncio.timeout(self._settings.read_timeout_s):
            return await request.read()

    def _pool(self, request: web.Request) -> tuple[str, Router]:
        return choose(request.query.get("pool"), self._pages.pools)


class _TurnedAway(asyncio.Protocol):
    """A connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _visitor(request: web.Request) -> Visitor:
    headers = request.headers
    return Visitor(
        address=request.remote or "",
        host=headers.get("Host", ""),
        authorization=headers.get("Authorization", ""),
        forwarded=any(name in headers for name in _FORWARDING),
        cross_origin="Origin" in headers or headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"),
    )


def _refusal(*, has_token: bool) -> web.Response:
    if has_token:
        return _error(401, "this page needs the bearer token", {"WWW-Authenticate": 'Bearer realm="epp"'})
    return _error(403, "this page is for clients on the same machine; configure a token for others")


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json({"error": message}, status=status, headers=headers)


def _json(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = to_json(value)
    return web.Response(
        body=body, status=status, content_type="application/json", headers={**_HEADERS, **(headers or {})}
    )
