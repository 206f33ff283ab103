"""Reads what clients of the debug pages send: queries, log levels, requests to explain. All of it may be nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from epp.exchange import BodyState, Headers, RequestReady
from epp.telemetry.logs import Level, parse_level

__all__ = ["InputError", "choose", "count_from", "level_from", "request_from"]

MAX_HEADERS = 256
DEFAULT_PATH = "/v1/chat/completions"

T = TypeVar("T")


class InputError(ValueError):
    """The client's mistake; the message is for it."""


class _LevelChange(msgspec.Struct, forbid_unknown_fields=True):
    level: str | int


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    body: Raw
    path: str = DEFAULT_PATH
    headers: dict[str, str] = {}
    subset: tuple[str, ...] | None = None


def choose(name: str | None, pools: Mapping[str, T]) -> tuple[str, T]:
    """The pool of that name, or the only one. Raises InputError."""
    if name is None and len(pools) == 1:
        return next(iter(pools.items()))
    if name is not None and name in pools:
        return name, pools[name]
    names = ", ".join(sorted(pools)[:20]) or "none"
    raise InputError(f"there is no such pool; pools are: {names}" if name else f"say ?pool=; pools are: {names}")


def count_from(text: str | None, default: int, most: int) -> int:
    """A number from 1 on, cut to `most`. Raises InputError."""
    if text is None:
        return min(default, most)
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise InputError("last must be a whole number, 1 or more")
    return min(int(text), most)


def level_from(body: bytes) -> Level:
    """A level: `{"level": "debug"}`, `{"level": 4}` or plain text. Raises InputError."""
    text: str | int = body.decode("utf-8", "replace")
    if body.lstrip().startswith(b"{"):
        text = _decode(body, _LevelChange).level
    try:
        return parse_level(str(text))
    except ValueError as error:
        raise InputError(str(error)) from None


def request_from(document: bytes) -> RequestReady:
    """A request as the router takes it: `{"path": ..., "headers": {...}, "body": ..., "subset": [...]}`.

    A body that is a JSON string is the text in it, anything else stands for itself, byte by byte. Raises InputError.
    """
    asked = _decode(document, _Request)
    if len(asked.headers) > MAX_HEADERS:
        raise InputError(f"{len(asked.headers)} headers; at most {MAX_HEADERS} are taken")
    headers = {":method": "POST", ":path": asked.path, "content-type": "application/json", **asked.headers}
    body = bytes(asked.body)
    if body.startswith(b'"'):
        body = _decode(body, str).encode("utf-8", "surrogateescape")
    return RequestReady(Headers.of(headers), body, BodyState.COMPLETE, subset=asked.subset)


def _decode(document: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(document, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not what is expected: {str(error)[:200]}") from None
