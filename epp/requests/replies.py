"""Reads usage and failures from the first and last bytes of a reply, once, when it is over.

OpenAI's and vLLM's APIs report `usage` with `prompt_tokens` and `completion_tokens`, in a stream in its last event or
in all; the responses API has `input_tokens` and `output_tokens` inside `response`. Anthropic's streams report the input
in `message_start` and the output in `message_delta`, and `input_tokens` there leaves out what was read from or written
to a cache. vLLM fails within a 200 in three ways: an error object, `finish_reason` "abort" without a token, and a
stream that ends before its first event.

Bytes come from model servers that may be broken: nothing here raises for them. What matters stands at the end, so
replies are searched from the back: a usual stream costs some 20 us, whatever its length.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from epp.exchange import ReplyEnd
from epp.requests.fields import ABSENT
from epp.requests.scan import value_end
from epp.requests.types import Operation, ReplyFault, ReplyReport, Usage

__all__ = ["read_reply"]

_MAX_TOKENS = 2**31
_MAX_TRIES = 16
"""Places at which usage is looked for, from the back. Streams may say `"usage": null` in every event."""

_MAX_USAGE_BRACKETS = 64
"""Usage has six at most, as of vLLM 0.32."""

_FEW_EVENTS = 2
"""A stream that is aborted before its first token has one event, or two: the role and the abort."""

_OPENING_BYTES = 2 * 1024
_CLOSING_BYTES = 8 * 1024
"""Where the first and the last events of a stream are looked at one by one. An error ends its stream."""

_DONE = b"[DONE]"
_MARGIN_BYTES = 64
"""Room for `[DONE]` and blank lines at the end of a stream."""
_MARKERS = frozenset({b'"message_stop"', b'"ping"'})
"""Types of Anthropic's events that carry nothing. vLLM sends the first after an engine stream without data."""

_TELLING = (b'"error"', b'"response.failed"', b'"abort"', b'"message_delta"')
"""One of these is in every event that tells of a fault."""

_START = b'"message_start"'
"""Type of Anthropic's first event, which is the first or follows a ping."""

_USAGE_KEY = b'"usage"'
_USAGE_OBJECT = re.compile(rb'"usage"[ \t\n\r]*+:[ \t\n\r]*+(?=\{)')
_FIELD_OF_STREAM = re.compile(rb"(?:\xef\xbb\xbf)?(?::|(?:event|id|retry|data)(?::|$))")
"""Source: HTML, server-sent events. Lines that match nothing here show that this is no event stream, but compressed."""

_CLIENT_ERRORS = frozenset(
    {
        b'"invalid_request_error"',
        b'"authentication_error"',
        b'"permission_error"',
        b'"not_found_error"',
        b'"request_too_large"',
        b'"rate_limit_error"',
    }
)
"""Anthropic's error types that stand for a 4xx."""

_T = TypeVar("_T")


class _Message(msgspec.Struct):
    """A whole reply, or the data of an event. `response` and `message` hold one as it is under way."""

    type: Raw = ABSENT
    usage: Raw = ABSENT
    error: Raw = ABSENT
    choices: Raw = ABSENT
    response: Raw = ABSENT
    message: Raw = ABSENT
    delta: Raw = ABSENT
    stop_reason: Raw = ABSENT


class _Choice(msgspec.Struct):
    finish_reason: Raw = ABSENT


class _Delta(msgspec.Struct):
    stop_reason: Raw = ABSENT


class _Error(msgspec.Struct):
    type: Raw = ABSENT
    code: Raw = ABSENT


class _Details(msgspec.Struct):
    cached_tokens: Raw = ABSENT


class _Usage(msgspec.Struct):
    prompt_tokens: Raw = ABSENT
    completion_tokens: Raw = ABSENT
    prompt_tokens_details: Raw = ABSENT
    input_tokens: Raw = ABSENT
    output_tokens: Raw = ABSENT
    input_tokens_details: Raw = ABSENT
    cache_read_input_tokens: Raw = ABSENT
    cache_creation_input_tokens: Raw = ABSENT


_MESSAGE = msgspec.json.Decoder(_Message)
_CHOICES = msgspec.json.Decoder(list[_Choice])
_DELTA = msgspec.json.Decoder(_Delta)
_ERROR = msgspec.json.Decoder(_Error)
_DETAILS = msgspec.json.Decoder(_Details)
_USAGE = msgspec.json.Decoder(_Usage)


def read_reply(
    end: ReplyEnd, *, status: int, event_stream: bool, operation: Operation = Operation.OPAQUE
) -> ReplyReport:
    """What the ends of a reply say. Faults are those of a reply whose status says success.

    A document can be at fault only where `operation` says what it must be. What is opaque may be any API, HEAD say, or
    one that has `error` in every reply. An event stream is a model server's, whatever is known of the request.
    """
    if status and not 200 <= status < 300:
        return ReplyReport()
    whole = len(end.head) + len(end.tail) == end.size_bytes
    if event_stream:
        return _read_stream(end, whole=whole, status=status)
    known = operation is not Operation.OPAQUE
    if not end.size_bytes:
        return ReplyReport(fault=ReplyFault.EMPTY if status == 200 and known else None)
    return _read_document(end, whole=whole, known=known)


def _read_document(end: ReplyEnd, *, whole: bool, known: bool) -> ReplyReport:
    if not whole:
        return ReplyReport(_last_usage(end.tail) or _last_usage(end.head) or Usage())
    reply = _decode(_MESSAGE, end.head + end.tail)
    if reply is None:
        return ReplyReport()
    usage = _usage_of(reply) or Usage()
    if not known:
        return ReplyReport(usage)
    if _is_engine_error(reply):
        return ReplyReport(usage, ReplyFault.ENGINE_ERROR)
    aborted = usage.completion_tokens == 0 and (_is_abort(reply) or _is_unexplained_stop(reply))
    return ReplyReport(usage, ReplyFault.ENGINE_ABORT if aborted else None)


def _read_stream(end: ReplyEnd, *, whole: bool, status: int) -> ReplyReport:
    text = end.head + end.tail if whole else end.head + b"\n" + end.tail
    count = max(0, end.data_events - text[-_MARGIN_BYTES:].rstrip().endswith(_DONE))
    if whole and status == 200 and count <= _FEW_EVENTS and _is_empty(text):
        return ReplyReport(fault=ReplyFault.EMPTY)
    usage = _with_start(_last_usage(text) or Usage(), text[:_OPENING_BYTES])
    nothing_generated = usage.completion_tokens == 0 or (usage.completion_tokens is None and count <= _FEW_EVENTS)
    return ReplyReport(usage, _fault_of(text[-_CLOSING_BYTES:], nothing_generated=nothing_generated), count)


def _events(text: bytes) -> list[bytes]:
    """The data of the events in a text. Each is one line, as all these APIs send them."""
    return [line[5:].strip() for line in text.splitlines() if line.startswith(b"data:")]


def _is_empty(text: bytes) -> bool:
    """Whether an event stream carries nothing. Text that is no event stream, compressed say, carries something."""
    if not all(_FIELD_OF_STREAM.match(line) for line in text.splitlines() if line):
        return False
    events = [event for event in _events(text) if event not in (_DONE, b"")]
    messages = [_decode(_MESSAGE, event) for event in events[: _FEW_EVENTS + 1]]
    return all(message is not None and bytes(message.type) in _MARKERS for message in messages)


def _with_start(usage: Usage, opening: bytes) -> Usage:
    """Adds what Anthropic's first event says. Its counts only grow, so of two the larger is right."""
    if _START not in opening:
        return usage
    start = next((event for event in _events(opening) if _START in event), None)
    message = _decode(_MESSAGE, start) if start is not None else None
    first = _usage_of(message) if message is not None else None
    if first is None:
        return usage
    return Usage(
        _larger(first.prompt_tokens, usage.prompt_tokens),
        _larger(first.cached_tokens, usage.cached_tokens),
        _larger(first.completion_tokens, usage.completion_tokens),
    )


def _fault_of(closing: bytes, *, nothing_generated: bool) -> ReplyFault | None:
    words = [word for word in _TELLING if word in closing]
    for event in _events(closing) if words else ():
        if not any(word in event for word in words):
            continue
        message = _decode(_MESSAGE, event)
        if message is not None and _is_engine_error(message):
            return ReplyFault.ENGINE_ERROR
        if message is not None and nothing_generated and (_is_abort(message) or _is_unexplained_stop(message)):
            return ReplyFault.ENGINE_ABORT
    return None


def _is_engine_error(message: _Message) -> bool:
    """Whether this is an error that a client did not cause: vLLM repeats the status as `code`, Anthropic has types."""
    response = _decode(_MESSAGE, message.response) if bytes(message.type) == b'"response.failed"' else None
    raw = message.error if response is None else response.error
    if not _says_something(raw):
        return bytes(message.type) in (b'"error"', b'"response.failed"')
    error = _decode(_ERROR, raw)
    if error is None:
        return True
    code = _count(error.code)
    return not (code is not None and 400 <= code < 500) and bytes(error.type) not in _CLIENT_ERRORS


def _says_something(error: Raw) -> bool:
    """Whether this is an object or a text, and not empty. Some APIs have `"error": false` in replies that went well."""
    text = bytes(error)
    return text.startswith((b"{", b'"')) and bool(text[1:-1].strip())


def _is_abort(message: _Message) -> bool:
    choices = _decode(_CHOICES, message.choices) or []
    return any(bytes(choice.finish_reason) == b'"abort"' for choice in choices)


def _is_unexplained_stop(message: _Message) -> bool:
    """An end of an Anthropic message without a reason: what vLLM makes of an abort there."""
    match bytes(message.type):
        case b'"message"':
            return bytes(message.stop_reason) in (b"", b"null")
        case b'"message_delta"':
            delta = _decode(_DELTA, message.delta)
            return delta is not None and bytes(delta.stop_reason) in (b"", b"null")
        case _:
            return False


def _usage_of(message: _Message) -> Usage | None:
    """Usage of a message, or of the one that it holds."""
    usage = _decode(_USAGE, message.usage)
    for raw in (message.response, message.message):
        if usage is None and (inner := _decode(_MESSAGE, raw)) is not None:
            usage = _decode(_USAGE, inner.usage)
    return None if usage is None else _tokens(usage)


def _tokens(usage: _Usage) -> Usage:
    prompt = _count(usage.prompt_tokens)
    completion = _count(usage.completion_tokens)
    read, created = _count(usage.cache_read_input_tokens), _count(usage.cache_creation_input_tokens)
    details = _decode(_DETAILS, usage.prompt_tokens_details) or _decode(_DETAILS, usage.input_tokens_details)
    cached = _count(details.cached_tokens) if details is not None else read
    if prompt is None and (uncached := _count(usage.input_tokens)) is not None:
        prompt = uncached + (read or 0) + (created or 0)
    return Usage(prompt, cached, _count(usage.output_tokens) if completion is None else completion)


def _last_usage(text: bytes) -> Usage | None:
    """Usage by the last key of that name whose object is whole. Inside a string the key's quote has a backslash."""
    position = len(text)
    for _ in range(_MAX_TRIES):
        position = text.rfind(_USAGE_KEY, 0, position)
        if position < 0:
            return None
        match = _USAGE_OBJECT.match(text, position)
        if match is None or text[position - 1 : position] == b"\\":
            continue
        end = value_end(text, match.end(), _MAX_USAGE_BRACKETS)
        usage = _decode(_USAGE, text[match.end() : end]) if end is not None else None
        if usage is not None:
            return _tokens(usage)
    return None


def _decode(decoder: msgspec.json.Decoder[_T], raw: Raw | bytes) -> _T | None:
    if raw is ABSENT:
        return None
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return None


def _count(raw: Raw) -> int | None:
    text = bytes(raw)
    return int(text) if text.isdigit() and len(text) < 11 and int(text) < _MAX_TOKENS else None


def _larger(first: int | None, second: int | None) -> int | None:
    return max((count for count in (first, second) if count is not None), default=None)
