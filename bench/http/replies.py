"""Reads replies of OpenAI's APIs: when tokens came, what was used, and how a call failed. No IO, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import msgspec
from msgspec import Raw

from bench.http.sse import EventStream
from epp.reports.runs import Failure

__all__ = ["DROPPED_REASON", "DocumentReader", "Reply", "ReplyReader", "StreamReader", "failure_of_status"]

DROPPED_REASON = "x-llm-d-request-dropped-reason"
"""Header of refusals, the Go picker's and ours."""

MAX_DETAIL = 200
"""Characters of what went wrong that are kept."""

_MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_BUSY = frozenset({429, 503})
_GATEWAY_LOST = frozenset({502, 503, 504})
_DONE = b"[DONE]"
_NULL = Raw(b"null")
_MAX_TOKENS = 2**31


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply brought. Times are on the clock of whoever read it; NaN where there is none, tokens then -1."""

    failure: Failure = Failure.NONE
    detail: str = ""
    """What went wrong, for people."""
    first_s: float = math.nan
    """The first event with something generated; of a document, its end."""
    end_s: float = math.nan
    gaps_s: tuple[float, ...] = ()
    """Between events with something generated. A server that sends several tokens at once has fewer of them."""
    prompt_tokens: int = -1
    output_tokens: int = -1
    cached_tokens: int = -1


class ReplyReader(Protocol):
    """Takes a reply's body as it comes."""

    def take(self, data: bytes, now: float) -> None:
        """Bytes that have arrived. Never raises."""
        ...

    def end(self, now: float) -> Reply:
        """The body is complete."""
        ...


class _Delta(msgspec.Struct):
    content: Raw = _NULL
    reasoning: Raw = _NULL
    reasoning_content: Raw = _NULL
    tool_calls: Raw = _NULL


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: Raw = _NULL


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Message(msgspec.Struct):
    """A whole reply, or the data of an event."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Raw = _NULL


_MESSAGE = msgspec.json.Decoder(_Message)
_EMPTY = frozenset({b"null", b'""', b"[]"})


class StreamReader:
    """Reads an event stream that ends with `[DONE]`."""

    def __init__(self) -> None:
        self._events = EventStream()
        self._usage: _Usage | None = None
        self._times: list[float] = []
        self._done = False
        self._failure, self._detail = Failure.NONE, ""

    def take(self, data: bytes, now: float) -> None:
        """See ReplyReader."""
        try:
            for event in self._events.feed(data):
                self._take_event(event, now)
        except ValueError as error:
            self._fail(Failure.BROKEN, str(error))

    def end(self, now: float) -> Reply:
        """See ReplyReader. A stream that stops before `[DONE]` is broken."""
        if not self._done:
            self._fail(Failure.BROKEN, "the stream ended without [DONE]")
        elif not self._times:
            self._fail(Failure.BROKEN, "the stream brought nothing")
        times = self._times
        gaps = tuple(after - before for before, after in pairwise(times))
        counts = _counts(self._usage, len(times))
        return Reply(self._failure, self._detail, times[0] if times else math.nan, now, gaps, *counts)

    def _take_event(self, event: bytes, now: float) -> None:
        if event == _DONE:
            self._done = True
            return
        message = _MESSAGE.decode(event)
        if bytes(message.error) not in _EMPTY:
            self._fail(Failure.LOST, _text(bytes(message.error)))
        self._usage = message.usage or self._usage
        if any(_generated(choice) for choice in message.choices):
            self._times.append(now)

    def _fail(self, failure: Failure, detail: str) -> None:
        """The first failure counts: others follow from it."""
        if self._failure is Failure.NONE:
            self._failure, self._detail = failure, detail[:MAX_DETAIL]


class DocumentReader:
    """Reads a reply that is one JSON document."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0

    def take(self, data: bytes, now: float) -> None:  # noqa: ARG002 - only its end has a time
        """See ReplyReader."""
        self._size += len(data)
        if self._size <= _MAX_DOCUMENT_BYTES:
            self._chunks.append(data)

    def end(self, now: float) -> Reply:
        """See ReplyReader."""
        if self._size > _MAX_DOCUMENT_BYTES:
            return Reply(Failure.BROKEN, f"the reply has more than {_MAX_DOCUMENT_BYTES} bytes", end_s=now)
        try:
            message = _MESSAGE.decode(b"".join(self._chunks))
        except ValueError as error:
            return Reply(Failure.BROKEN, str(error)[:MAX_DETAIL], end_s=now)
        if bytes(message.error) not in _EMPTY:
            return Reply(Failure.BROKEN, _text(bytes(message.error)), end_s=now)
        return Reply(Failure.NONE, "", now, now, (), *_counts(message.usage, 0))


def failure_of_status(status: int, headers: Mapping[str, str], body: bytes) -> tuple[Failure, str]:
    """What a reply whose status is no success says: who refused, and why. Header names are in small letters."""
    detail = f"{status}: {_text(body)}"[:MAX_DETAIL]
    if status in _BUSY and headers.get(DROPPED_REASON, "").startswith("rejected"):
        return Failure.REFUSED, detail
    if status in _BUSY and _is_json(body):
        return Failure.BUSY, detail
    if status in _GATEWAY_LOST:  # the gateway's own words: no connection, or reset before the reply
        return Failure.LOST, detail
    return Failure.STATUS, detail


def _generated(choice: _Choice) -> bool:
    if bytes(choice.text) not in _EMPTY:
        return True
    delta = choice.delta
    return delta is not None and any(
        bytes(part) not in _EMPTY
        for part in (delta.content, delta.reasoning, delta.reasoning_content, delta.tool_calls)
    )


def _counts(usage: _Usage | None, events: int) -> tuple[int, int, int]:
    """Prompt, output and cached tokens. Without usage, events stand for tokens."""
    if usage is None:
        return -1, events if events else -1, -1
    details = usage.prompt_tokens_details
    output = 0 if usage.completion_tokens is None else usage.completion_tokens
    return _count(usage.prompt_tokens), _count(output), _count(details.cached_tokens if details else None)


def _count(tokens: int | None) -> int:
    return tokens if tokens is not None and 0 <= tokens < _MAX_TOKENS else -1


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except ValueError:
        return False
    return True


def _text(raw: bytes) -> str:
    return " ".join(raw[:MAX_DETAIL].decode("utf-8", "replace").split())
