"""Request bodies of OpenAI's APIs, one JSON object per line.

A line is a body of `/v1/chat/completions`, `/v1/completions` or `/v1/embeddings`, or one of these inside a line of
OpenAI's batch input:

    {"messages": [{"role": "user", "content": "..."}], "max_tokens": 64, "timestamp": 12.5}
    {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"input": "..."}}

Both may have `timestamp` or `at`: seconds on any clock, or a date of ISO 8601. Either all lines have one or none; with
none, they come one second apart, in the order of the file (`Workload.at_rate` changes that).

Tools and each message become segments, named by role and content; a prompt or input that is one text is cut where
others part from it. What is no text (lists of token ids, parts of messages) counts as its JSON. The answer is
`max_completion_tokens` or `max_tokens` long, else `ASSUMED_OUTPUT_TOKENS`. Conversations that go on become sessions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, Raw, UnsetType

from epp.workloads.content import ASSUMED_OUTPUT_TOKENS, id_of, text_segment
from epp.workloads.formats.sessions import joined_sessions
from epp.workloads.lines import Line, TraceLines
from epp.workloads.shared_text import cut_points, pieces_of, units_of
from epp.workloads.timeline import TimedCall, workload_of
from epp.workloads.types import Api, Call, Role, Segment, Workload

__all__ = ["read_requests"]

_NULL = b"null"


class _Message(msgspec.Struct):
    role: str
    content: Raw = Raw(_NULL)
    tool_calls: Raw = Raw(b"")


class _Body(msgspec.Struct):
    messages: list[_Message] | UnsetType = UNSET
    prompt: Raw = Raw(_NULL)
    input: Raw = Raw(_NULL)
    tools: Raw = Raw(_NULL)
    model: str = ""
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    timestamp: float | str | None = None
    at: float | str | None = None


class _Item(_Body):
    """A body, or a line of batch input with a body in it."""

    body: _Body | UnsetType = UNSET


_DECODER = msgspec.json.Decoder(_Item)
_STRING = msgspec.json.Decoder(str)

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
"""All others speak as users."""


@dataclass(frozen=True, slots=True)
class _Request:
    line: Line
    at_s: float | None
    call: Call
    text: bytes = b""
    """Where it is not empty, it is the prompt, and the call has none yet."""


def read_requests(lines: TraceLines) -> Workload:
    """The requests' calls. Raises WorkloadError for a line that is no request, or when only some lines have a time."""
    requests = [_request(line) for line in lines]
    timeless = [request for request in requests if request.at_s is None]
    if timeless and len(timeless) < len(requests):
        raise timeless[0].line.fault("this line has no `timestamp` or `at`, but others have: give it to all or none")
    calls = _with_cut_texts(requests)
    times = [float(place) if request.at_s is None else request.at_s for place, request in enumerate(requests)]
    timed = sorted(map(TimedCall, times, calls), key=lambda item: item.at_s)
    return workload_of(lines.file, joined_sessions(timed))


def _request(line: Line) -> _Request:
    item = line.decoded(_DECODER)
    body = item if isinstance(item.body, UnsetType) else item.body
    time = next((value for value in (item.timestamp, item.at, body.timestamp, body.at) if value is not None), None)
    api, prompt, text = _prompt(body, line)
    if not prompt and not text:
        raise line.fault("the prompt is empty; take the line out")
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    tokens = line.tokens(ASSUMED_OUTPUT_TOKENS if limit is None else limit, "max_tokens")
    output = Segment(
        id_of("request output", line.number), 0 if api is Api.EMBEDDINGS else max(1, tokens), Role.ASSISTANT
    )
    call = Call(at_s=0.0, prompt=prompt, output=output, model=body.model, api=api, stream=bool(body.stream))
    return _Request(line, None if time is None else _seconds(time, line), call, text)


def _prompt(body: _Body, line: Line) -> tuple[Api, tuple[Segment, ...], bytes]:
    """What is asked for, with the prompt as segments or as text."""
    if not isinstance(body.messages, UnsetType):
        tools = bytes(body.tools)
        first = [text_segment(tools, Role.SYSTEM)] if tools != _NULL else []
        said = (text_segment(_text(each.content, line) + bytes(each.tool_calls), _role(each)) for each in body.messages)
        return Api.CHAT, (*first, *said), b""
    if body.prompt != Raw(_NULL):
        return Api.COMPLETIONS, (), _text(body.prompt, line)
    if body.input != Raw(_NULL):
        return Api.EMBEDDINGS, (), _text(body.input, line)
    raise line.fault("there is no `messages`, `prompt` or `input`: this is no request of OpenAI's APIs")


def _role(message: _Message) -> Role:
    return _ROLES.get(message.role, Role.USER)


def _text(raw: Raw, line: Line) -> bytes:
    """A string's value, and the JSON of anything else; nothing for null."""
    text = bytes(raw)
    if text.startswith(b'"'):
        return replace(line, text=text).decoded(_STRING).encode()
    return b"" if text == _NULL else text


def _seconds(time: float | str, line: Line) -> float:
    if isinstance(time, str):
        try:
            date = datetime.fromisoformat(time)
        except ValueError as error:
            raise line.fault(f"time {time!r} is neither a number of seconds nor a date of ISO 8601") from error
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(time):
        raise line.fault(f"time {time} is not finite")
    return time


def _with_cut_texts(requests: Sequence[_Request]) -> list[Call]:
    """The calls, with prompts for those that had a text only."""
    cuts = iter(cut_points([request.text for request in requests if request.text]))
    calls = []
    for request in requests:
        call = request.call
        if request.text:
            call = replace(call, prompt=pieces_of(request.text, 0, [*next(cuts), units_of(request.text)]))
        calls.append(call)
    return calls
