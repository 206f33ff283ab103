"""Which operation a request asks for, as far as its headers tell.

Gateways add prefixes to paths, and clients add queries, so a path is matched on whole segments from the right, and the
longest match wins. Some gateways send no path at all (NGINX Gateway Fabric): then only the body can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from epp.exchange import Headers
from epp.requests.types import Dialect, Operation

__all__ = ["BodyForm", "Route", "body_form", "dialect_of", "operation_of", "route_of"]


@dataclass(frozen=True, slots=True)
class Route:
    """What the headers say about a request."""

    operation: Operation | None
    """None when there is no path, so that the body must tell."""
    dialect: Dialect


_PATH_HEADERS = (":path", "x-original-path", "x-forwarded-path")

_KEPT, _KEPT_CHARS = 512, 256
"""Paths come from the network: how many are remembered, and how long they may be."""

_SEGMENTS = 3
"""Most segments in a key of the table below."""

_ROUTES: Mapping[str, Route] = {
    "chat/completions": Route(Operation.CHAT, Dialect.OPENAI),
    "chat/completions/render": Route(Operation.RENDER, Dialect.OPENAI),
    "completions": Route(Operation.COMPLETIONS, Dialect.OPENAI),
    "completions/render": Route(Operation.RENDER, Dialect.OPENAI),
    "responses": Route(Operation.RESPONSES, Dialect.OPENAI),
    "embeddings": Route(Operation.EMBEDDINGS, Dialect.OPENAI),
    "inference/v1/generate": Route(Operation.GENERATE, Dialect.OPENAI),
    "tokenize": Route(Operation.TOKENIZE, Dialect.OPENAI),
    "pooling": Route(Operation.POOLING, Dialect.OPENAI),
    "classify": Route(Operation.CLASSIFY, Dialect.OPENAI),
    "score": Route(Operation.SCORE, Dialect.OPENAI),
    "rerank": Route(Operation.RERANK, Dialect.OPENAI),
    "messages": Route(Operation.MESSAGES, Dialect.ANTHROPIC),
    "messages/count_tokens": Route(Operation.COUNT_TOKENS, Dialect.ANTHROPIC),
    "messages/render": Route(Operation.RENDER, Dialect.ANTHROPIC),
}

_BODILESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT"})
"""CORS preflights and lookups go to the same paths as POST and carry no document."""


class BodyForm(Enum):
    """What the headers say about the form of a body."""

    JSON = "json"
    """Declared as JSON, or not declared: the operations' paths take nothing else."""
    PERHAPS_JSON = "perhaps-json"
    """Declared as something that sloppy clients use for JSON, such as curl's default."""
    OTHER = "other"
    """Compressed, or declared as something else."""


def route_of(headers: Headers) -> Route:
    """Operation and dialect by path and method."""
    path = _path(headers)
    if path is None:
        return Route(None, _dialect_by_header(headers))
    match = _match(path)
    if match is None:
        return Route(Operation.OPAQUE, _dialect_by_header(headers))
    if headers.get(":method") in _BODILESS_METHODS:
        return Route(Operation.OPAQUE, match.dialect)
    return match


def operation_of(headers: Headers) -> Operation:
    """The operation that the path names; OPAQUE when it names none, or there is no path."""
    return route_of(headers).operation or Operation.OPAQUE


def dialect_of(headers: Headers) -> Dialect:
    """Whose errors the client understands."""
    return route_of(headers).dialect


def body_form(headers: Headers) -> BodyForm:
    """Form of the body by content-type and content-encoding."""
    encoding, content_type = headers.get("content-encoding"), headers.get("content-type") or ""
    if encoding is not None and encoding.strip().lower() not in ("identity", ""):
        return BodyForm.OTHER
    if content_type == "application/json":
        return BodyForm.JSON
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type or media_type.endswith(("/json", "+json")):
        return BodyForm.JSON
    if media_type in ("text/plain", "application/x-www-form-urlencoded"):
        return BodyForm.PERHAPS_JSON
    return BodyForm.OTHER


def _path(headers: Headers) -> str | None:
    for name in _PATH_HEADERS:
        if path := headers.get(name):
            return path
    return None


def _match(path: str) -> Route | None:
    path = path.partition("?")[0]
    return _looked_up(path) if len(path) <= _KEPT_CHARS else _looked_up.__wrapped__(path)


@lru_cache(maxsize=_KEPT)
def _looked_up(path: str) -> Route | None:
    segments = path.rstrip("/").rsplit("/", _SEGMENTS)[-_SEGMENTS:]
    for first in range(len(segments)):
        if match := _ROUTES.get("/".join(segments[first:])):
            return match
    return None


def _dialect_by_header(headers: Headers) -> Dialect:
    """Anthropic's clients always send their API version."""
    return Dialect.ANTHROPIC if "anthropic-version" in headers else Dialect.OPENAI
