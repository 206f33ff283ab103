# ruff: noqa: TID251 - this file is the edge to HTTP: it awaits bodies and tokens, and reads the clock for timestamps
"""The HTTP face of one simulated pod: routes, and the way of a call through the pieces that decide.

A handler reads the body, lets `calls` and `frontend` make sequences of it, gives them to the driver and writes what
comes. When a client goes away its handler is cancelled, and its sequences leave the engine at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import msgspec
from aiohttp import web

from epp.endpoints.types import canonical_address
from epp.simulator.calls import (
    GenerateCall,
    parse_adapter,
    parse_chat,
    parse_completions,
    parse_embeddings,
    parse_messages,
    parse_tokenize,
)
from epp.simulator.driver import EngineDriver, Progress
from epp.simulator.errors import ApiError, engine_dead, unsupported_media_type
from epp.simulator.frontend import Frontend, Generation
from epp.simulator.metrics_page import MetricsPage
from epp.simulator.tokens import seed_of

__all__ = ["Faults", "PodServer"]

_LOG = logging.getLogger(__name__)

MAX_BODY_BYTES = 32 * 1024 * 1024
"""vLLM 0.33's limit (`VLLM_HTTP_MAX_REQUEST_BODY_SIZE`)."""

VERSION = "0.32.0"
"""The vLLM whose answers these are."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Faults:
    """What is wrong with a pod beside its engine."""

    unhealthy: bool = False
    """`/health` answers 503."""
    errors: bool = False
    """Every call that needs the engine answers 500."""
    frozen_page: bytes | None = None
    """`/metrics` answers this."""


class PodServer:
    """Handlers of one pod."""

    def __init__(
        self, frontend: Frontend, driver: EngineDriver, page: MetricsPage, faults: Faults, *, seed: int
    ) -> None:
        self._frontend = frontend
        self._driver = driver
        self._page = page
        self._faults = faults
        self._seed = seed
        self._reply_numbers = count()
        self._started_at = int(time.time())

    def application(self) -> web.Application:
        """The routes. Must run with `handler_cancellation`."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_translate_errors])
        app.on_response_prepare.append(_name_server)
        routes: list[tuple[str, str, _Handler]] = [
            ("POST", "/v1/chat/completions", self._generating(parse_chat)),
            ("POST", "/v1/completions", self._generating(parse_completions)),
            ("POST", "/v1/messages", self._generating(parse_messages)),
            ("POST", "/v1/embeddings", self._embeddings),
            ("POST", "/tokenize", self._tokenize),
            ("GET", "/v1/models", self._models),
            ("GET", "/health", self._health),
            ("GET", "/version", self._version),
            ("GET", "/metrics", self._metrics),
        ]
        if self._driver.engine.settings.max_loras:
            routes += [
                ("POST", "/v1/load_lora_adapter", self._load_adapter),
                ("POST", "/v1/unload_lora_adapter", self._unload_adapter),
            ]
        for method, path, handler in routes:
            app.router.add_route(method, path, handler)
        return app

    def metrics_page(self) -> bytes:
        """The page that `/metrics` answers now."""
        frozen = self._faults.frozen_page
        return self._page.render(self._driver.metrics()) if frozen is None else frozen

    def _generating(self, parse: Callable[[bytes], GenerateCall]) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            call = parse(await self._body(request))
            generation = self._frontend.generation(call, self._reply_id(request, call.request_id), int(time.time()))
            progress = self._driver.submit(generation.requests, every_token=call.stream)
            try:
                if call.stream:
                    return await _stream(request, generation, progress)
                return _json(await _whole(generation, progress))
            finally:
                self._driver.cancel(progress)

        return handle

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        call = parse_embeddings(await self._body(request))
        embeddings = self._frontend.embeddings(call, self._reply_id(request), int(time.time()))
        progress = self._driver.submit(embeddings.requests, every_token=False)
        try:
            await _completed(progress)
        finally:
            self._driver.cancel(progress)
        return _json(embeddings.body)

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        return _json(self._frontend.tokenized(parse_tokenize(await self._body(request))))

    async def _load_adapter(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._frontend.registry.load(parse_adapter(await self._body(request))))

    async def _unload_adapter(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._frontend.registry.unload(parse_adapter(await self._body(request))))

    async def _models(self, _request: web.Request) -> web.StreamResponse:
        return _json(self._frontend.registry.page(self._started_at, self._driver.engine.settings.max_model_len))

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        sick = self._faults.unhealthy or self._driver.engine.dead
        return web.Response(status=503 if sick else 200)

    async def _version(self, _request: web.Request) -> web.StreamResponse:
        return _json(msgspec.json.encode({"version": VERSION}))

    async def _metrics(self, _request: web.Request) -> web.StreamResponse:
        headers = {"content-type": "text/plain; version=1.0.0; charset=utf-8"}
        return web.Response(body=self.metrics_page(), headers=headers)

    async def _body(self, request: web.Request) -> bytes:
        """The JSON body of a call. Raises ApiError."""
        body = await request.read()
        if body and request.content_type != "application/json":
            raise unsupported_media_type()
        if self._faults.errors:
            raise engine_dead()
        return body

    def _reply_id(self, request: web.Request, chosen: str = "") -> str:
        """The id that the client chose, else one that is new on this server."""
        header = request.headers.get("x-request-id", "").encode("utf-8", "replace").decode()
        return header or chosen or f"{seed_of(('reply', str(next(self._reply_numbers))), self._seed):016x}"


async def _whole(generation: Generation, progress: Progress) -> bytes:
    await _completed(progress)
    return generation.reply(progress.cached_tokens)


async def _completed(progress: Progress) -> None:
    """Wait for the last token. Raises ApiError if the engine died before."""
    while not progress.over:
        await progress.changed()
    if progress.failed:
        raise engine_dead()


async def _stream(request: web.Request, generation: Generation, progress: Progress) -> web.StreamResponse:
    """Headers go out at once, as vLLM's do; the first event comes with the first token."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    with suppress(ConnectionResetError):  # the client is gone, which aiohttp may not have told yet
        await response.prepare(request)
        await _write_events(response, generation, progress)
        await response.write_eof()
    return response


async def _write_events(response: web.StreamResponse, generation: Generation, progress: Progress) -> None:
    stream = generation.stream()
    written = [0] * len(generation.choices)
    over = False
    while not over:
        await progress.changed()
        over, events = progress.over, []  # tokens go on coming while these are written
        for choice, tokens in zip(generation.choices, progress.tokens, strict=True):
            if tokens > written[choice.index]:
                events.append(stream.tokens(choice, written[choice.index], tokens))
                written[choice.index] = tokens
        if over:
            events.append(stream.error(engine_dead()) if progress.failed else stream.end(progress.cached_tokens))
        await response.write(b"".join(events))


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"content-type": "application/json"})


@web.middleware
async def _translate_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """The one place where what goes wrong becomes a reply, in the form of the path's API."""
    try:
        return await handler(request)
    except ApiError as error:
        body = error.anthropic() if request.path == "/v1/messages" else error.openai()
        return _json(body, error.status)
    except web.HTTPException as error:
        allow = {"allow": error.headers["allow"]} if "allow" in error.headers else {}
        response = _json(msgspec.json.encode({"detail": error.reason}), error.status)
        response.headers.update(allow)
        return response
    except ConnectionError:
        raise  # the client is gone: nobody reads an answer
    except Exception:
        _LOG.exception("a request broke the simulated server")
        return _json(ApiError(500, "Internal server error", "Internal Server Error").openai(), 500)


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    """Say which pod answered: the address at which the client reached it."""
    sockname = request.transport.get_extra_info("sockname") if request.transport is not None else None
    if sockname:
        response.headers["x-served-by"] = canonical_address(sockname[0], sockname[1])
