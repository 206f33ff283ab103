"""A Kubernetes API server for tests: lists and watches over real HTTP on loopback, and nothing that a real one has not.

What it does is what kube-apiserver 1.30 and later do with etcd behind them:
- one number counts all changes, and is the resourceVersion of lists and objects;
- a list comes in pages that all show the state of the first one, until that state is compacted away (410);
- a watch gives the changes after its version as lines of JSON, only those that concern its selectors: an object that
  stops matching is DELETED. A version that is compacted away is an ERROR event with code 410 within an answer of 200,
  or a status of 410. A version that is still to come brings nothing until then;
- bookmarks, `timeoutSeconds`, bearer tokens (401), permissions by verb (403), "404 page not found" as plain text for a
  group that is not installed, 429 with `Retry-After`, 400 for selectors that it does not know.

State outlives `kill` and `start`, as etcd does; the changes before it cannot be watched any more.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

__all__ = ["PODS", "POOLS", "ApiServer", "Kind", "running_api_server"]

Object = dict[str, Any]

TOKEN = "the-token"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects in namespaces."""

    group: str
    version: str
    plural: str
    name: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


PODS = Kind("", "v1", "pods", "Pod")
POOLS = Kind("inference.networking.k8s.io", "v1", "inferencepools", "InferencePool")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object."""

    version: int
    kind: Kind
    before: Object | None
    after: Object | None


@dataclass(slots=True)
class Refusals:
    """What the server does not do at the moment."""

    forbidden: set[tuple[str, str]] = field(default_factory=set)
    """(plural, verb)"""
    overloaded: int = 0
    """Requests that are answered 429."""
    broken: int = 0
    """Requests that are answered 500."""
    gone_as_status: bool = False
    """Whether a watch from an old version gets a status of 410, and not an ERROR event."""


class StatusError(Exception):
    """An answer that is a `metav1.Status`."""

    def __init__(self, code: int, reason: str, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s
        details = {"details": {"retryAfterSeconds": retry_after_s}} if retry_after_s else {}
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
            **details,
        }


class ApiServer:
    """The server. To be used in one event loop."""

    def __init__(self) -> None:
        self.kinds = {PODS, POOLS}
        self.refusals = Refusals()
        self.token = TOKEN
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        """Verb and plural, and the query, of all requests."""
        self.piece_bytes = 0
        """Watches write pieces of so many bytes; 0: a line at a time."""
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        """To be set before `start`."""
        self._objects: dict[tuple[Kind, str, str], Object] = {}
        self._changes: list[Change] = []
        self._version = 1000
        self._oldest = 1000  # changes up to here cannot be watched any more
        self._snapshots: dict[str, tuple[int, list[Object]]] = {}
        self._watches: dict[asyncio.Queue[Change | None], web.Request] = {}  # None asks for a bookmark
        self._runner: web.AppRunner | None = None

    @property
    def watching(self) -> int:
        """Watches that are open."""
        return len(self._watches)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens; on the same port as before, if it did."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.01, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def kill(self) -> None:
        """Ends as a process does that is killed. When it starts again, changes until then cannot be watched."""
        assert self._runner
        self.disconnect()
        await self._runner.cleanup()
        self._runner = None
        self.compact()

    def apply(self, kind: Kind, object: Object) -> None:  # noqa: A002 - what it is
        """Creates or replaces an object."""
        meta = object["metadata"]
        key = (kind, meta["namespace"], meta["name"])
        before = self._objects.get(key)
        self._version += 1
        after = copy.deepcopy(object)
        created = {"uid": f"uid-{self._version}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        kept = {name: before["metadata"][name] for name in created} if before else created
        after["metadata"] |= {**kept, "resourceVersion": str(self._version)}
        self._objects[key] = after
        self._changed(Change(self._version, kind, before, after))

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Deletes an object for good."""
        before = self._objects.pop((kind, namespace, name))
        self._version += 1
        self._changed(Change(self._version, kind, before, None))

    def install(self, kind: Kind) -> None:
        """Makes a kind known."""
        self.kinds.add(kind)

    def compact(self) -> None:
        """Forgets all changes so far, and the states that pages of lists show."""
        self._oldest = self._version
        self._changes.clear()
        self._snapshots.clear()

    def disconnect(self) -> None:
        """Cuts the connections of all watches."""
        for request in tuple(self._watches.values()):
            if request.transport:
                request.transport.abort()

    def send_bookmarks(self) -> None:
        """To all watches that asked for them."""
        for queue in self._watches:
            queue.put_nowait(None)

    def _changed(self, change: Change) -> None:
        self._changes.append(change)
        for queue in self._watches:
            queue.put_nowait(change)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authenticate(request)
            kind, namespace = self._route(request)
            verb = "watch" if request.query.get("watch") in ("true", "1") else "list"
            self.requests.append((f"{verb} {kind.plural}", dict(request.query)))
            self._authorise(kind, namespace, verb)
            selects = _selection(request.query)
            if verb == "list":
                return web.json_response(self._list(kind, namespace, selects, request.query))
            return await self._watch(request, kind, namespace, selects)
        except StatusError as error:
            headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
            return web.json_response(error.body, status=error.code, headers=headers)

    def _authenticate(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise StatusError(401, "Unauthorized", "Unauthorized")
        if self.refusals.overloaded:
            self.refusals.overloaded -= 1
            raise StatusError(429, "TooManyRequests", "too many requests, please try again later", 1)
        if self.refusals.broken:
            self.refusals.broken -= 1
            raise StatusError(500, "InternalError", "etcdserver: leader changed")

    def _route(self, request: web.Request) -> tuple[Kind, str]:
        for kind in self.kinds:
            root = f"apis/{kind.group}" if kind.group else "api"
            found = re.fullmatch(rf"{root}/{kind.version}/namespaces/([^/]+)/{kind.plural}", request.match_info["path"])
            if found:
                return kind, found[1]
        raise web.HTTPNotFound(text="404 page not found\n")

    def _authorise(self, kind: Kind, namespace: str, verb: str) -> None:
        if (kind.plural, verb) in self.refusals.forbidden:
            message = (
                f'{kind.plural}{"." if kind.group else ""}{kind.group} is forbidden: User "system:serviceaccount:'
                f'{namespace}:epp" cannot {verb} resource "{kind.plural}" in API group "{kind.group}" '
                f'in the namespace "{namespace}"'
            )
            raise StatusError(403, "Forbidden", message)

    def _list(self, kind: Kind, namespace: str, selects: _Selection, query: Mapping[str, str]) -> Object:
        if query.get("resourceVersion"):
            raise StatusError(400, "BadRequest", "this server lists the latest state only")
        token, start = query.get("continue", ""), 0
        if token:
            snapshot, start = json.loads(base64.urlsafe_b64decode(token))
            if snapshot not in self._snapshots:
                message = "The provided continue parameter is too old to display a consistent list result."
                raise StatusError(410, "Expired", message)
            version, items = self._snapshots[snapshot]
        else:
            version, snapshot = self._version, f"{self._version}/{len(self._snapshots)}"
            mine = {key: each for key, each in self._objects.items() if key[:2] == (kind, namespace)}
            items = [each for _, each in sorted(mine.items(), key=lambda pair: pair[0][2]) if selects(each)]
        limit = int(query.get("limit", 0)) or len(items)
        page = items[start : start + limit]
        meta: Object = {"resourceVersion": str(version)}
        if start + limit < len(items):
            self._snapshots[snapshot] = version, items
            meta["continue"] = base64.urlsafe_b64encode(json.dumps([snapshot, start + limit]).encode()).decode()
        unsaid = () if kind.group else ("kind", "apiVersion")  # as typed objects are listed
        listed = [{name: value for name, value in each.items() if name not in unsaid} for each in page]
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": meta, "items": listed}

    async def _watch(self, request: web.Request, kind: Kind, namespace: str, selects: _Selection) -> web.StreamResponse:
        query = request.query
        version = int(query.get("resourceVersion") or 0)
        assert version, "a watch from no version is not for this server"
        gone = StatusError(410, "Expired", f"too old resource version: {version} ({self._oldest})")
        if version < self._oldest and self.refusals.gone_as_status:
            raise gone
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if version < self._oldest:
            await self._write(response, {"type": "ERROR", "object": gone.body})
            return response
        backlog: asyncio.Queue[Change | None] = asyncio.Queue()
        for change in self._changes:
            backlog.put_nowait(change)
        self._watches[backlog] = request
        try:
            with suppress(ConnectionResetError):
                async for event in _events(backlog, _Seen(kind, namespace, selects, version), query):
                    await self._write(response, event)
        finally:
            del self._watches[backlog]
        return response

    async def _write(self, response: web.StreamResponse, event: Object) -> None:
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        size = self.piece_bytes or len(line)
        for start in range(0, len(line), size):
            await response.write(line[start : start + size])


class _Selection:
    """What a list or watch is narrowed down to."""

    def __init__(self, labels: Mapping[str, str], name: str) -> None:
        self._labels = labels
        self._name = name

    def __call__(self, object_: Object) -> bool:
        meta = object_["metadata"]
        labels = meta.get("labels") or {}
        return self._name in ("", meta["name"]) and all(labels.get(key) == value for key, value in self._labels.items())


def _selection(query: Mapping[str, str]) -> _Selection:
    labels = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
    field_, _, name = query.get("fieldSelector", "").partition("=")
    if field_ not in ("", "metadata.name"):
        raise StatusError(400, "BadRequest", f"field label not supported: {field_}")
    return _Selection(labels, name)


class _Seen:
    """What one watch sees of the changes."""

    def __init__(self, kind: Kind, namespace: str, selects: _Selection, version: int) -> None:
        self._kind = kind
        self._namespace = namespace
        self._selects = selects
        self._version = version

    def event(self, change: Change) -> Object | None:
        """The line for a change; None when there is none."""
        object_ = change.after or change.before
        assert object_
        if change.version <= self._version or change.kind != self._kind:
            return None
        self._version = change.version
        if object_["metadata"]["namespace"] != self._namespace:
            return None
        before = change.before if change.before and self._selects(change.before) else None
        after = change.after if change.after and self._selects(change.after) else None
        if after:
            return {"type": "MODIFIED" if before else "ADDED", "object": after}
        if before:
            gone = copy.deepcopy(before)
            gone["metadata"]["resourceVersion"] = str(change.version)
            return {"type": "DELETED", "object": gone}
        return None

    def bookmark(self) -> Object:
        """Says how far the watch is."""
        meta = {"resourceVersion": str(self._version), "creationTimestamp": None}
        return {
            "type": "BOOKMARK",
            "object": {"kind": self._kind.name, "apiVersion": self._kind.api_version, "metadata": meta},
        }


async def _events(news: asyncio.Queue[Change | None], seen: _Seen, query: Mapping[str, str]) -> AsyncIterator[Object]:
    """Until the watch's time is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + int(query.get("timeoutSeconds", 1800))
    bookmarks = query.get("allowWatchBookmarks") == "true"
    while True:
        try:
            async with asyncio.timeout_at(until):
                change = await news.get()
        except TimeoutError:
            if bookmarks:
                yield seen.bookmark()
            return
        if change is None and bookmarks:
            yield seen.bookmark()
        elif change and (event := seen.event(change)):
            yield event


@asynccontextmanager
async def running_api_server() -> AsyncIterator[ApiServer]:
    """A server that listens on a free port."""
    server = ApiServer()
    await server.start()
    try:
        yield server
    finally:
        if server._runner:
            await server.kill()
