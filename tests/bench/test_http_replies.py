"""What replies tell, and how they fail."""

from __future__ import annotations

import math

import pytest

from bench.http.replies import DROPPED_REASON, DocumentReader, Reply, StreamReader, failure_of_status
from epp.reports.runs import Failure

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":" a"}}]}\n\n'
USAGE = (
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":'
    b'{"cached_tokens":4}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"EngineCore encountered an issue","code":500}}\n\n'


def read_stream(*pieces: tuple[float, bytes], end: float = 9.0) -> Reply:
    reader = StreamReader()
    for now, data in pieces:
        reader.take(data, now)
    return reader.end(end)


def test_the_first_token_is_the_first_event_with_something_generated() -> None:
    reply = read_stream((1.0, ROLE), (2.0, TOKEN), (2.5, TOKEN), (4.0, USAGE + DONE))
    assert reply == Reply(Failure.NONE, "", 2.0, 9.0, (0.5,), 9, 2, 4)


GENERATED = {
    "text": b'{"choices":[{"index":0,"text":"a"}]}',
    "content": b'{"choices":[{"delta":{"content":"a"}}]}',
    "reasoning": b'{"choices":[{"delta":{"content":null,"reasoning":"hm"}}]}',
    "older reasoning": b'{"choices":[{"delta":{"reasoning_content":"hm"}}]}',
    "a tool call": b'{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}',
    "a second choice": b'{"choices":[{"delta":{}},{"delta":{"content":"a"}}]}',
}


@pytest.mark.parametrize("event", GENERATED.values(), ids=GENERATED)
def test_what_counts_as_generated(event: bytes) -> None:
    assert read_stream((3.0, b"data: " + event + b"\n\n" + DONE)).first_s == 3.0


def test_without_usage_events_stand_for_tokens() -> None:
    reply = read_stream((1.0, TOKEN + TOKEN), (2.0, TOKEN + DONE))
    assert (reply.prompt_tokens, reply.output_tokens, reply.cached_tokens) == (-1, 3, -1)
    assert reply.gaps_s == (0.0, 1.0)


STREAM_FAILURES = {
    "cut off": ([TOKEN], Failure.BROKEN, "without [DONE]"),
    "cut off within an event": ([TOKEN, TOKEN[:20]], Failure.BROKEN, "without [DONE]"),
    "nothing generated": ([ROLE, USAGE, DONE], Failure.BROKEN, "brought nothing"),
    "no JSON": ([TOKEN, b"data: {\n\n", DONE], Failure.BROKEN, "truncated"),
    "another shape": ([b'data: {"choices":7}\n\n', DONE], Failure.BROKEN, "array"),
    "the engine died": ([TOKEN, ERROR, DONE], Failure.LOST, "EngineCore"),
    "the first failure counts": ([TOKEN, ERROR], Failure.LOST, "EngineCore"),
}


@pytest.mark.parametrize(("pieces", "failure", "says"), STREAM_FAILURES.values(), ids=STREAM_FAILURES)
def test_a_stream_that_fails(pieces: list[bytes], failure: Failure, says: str) -> None:
    reply = read_stream(*((1.0, piece) for piece in pieces))
    assert reply.failure is failure
    assert says in reply.detail


DOCUMENTS = {
    "a completion": (
        b'{"choices":[{"index":0,"message":{"content":"a"}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}',
        Reply(Failure.NONE, "", 7.0, 7.0, (), 5, 1, -1),
    ),
    "embeddings": (b'{"data":[],"usage":{"prompt_tokens":5}}', Reply(Failure.NONE, "", 7.0, 7.0, (), 5, 0, -1)),
    "no usage": (b"{}", Reply(Failure.NONE, "", 7.0, 7.0)),
    "an absurd count": (b'{"usage":{"prompt_tokens":99999999999}}', Reply(Failure.NONE, "", 7.0, 7.0, (), -1, 0, -1)),
}


@pytest.mark.parametrize(("body", "reply"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_counts_when_it_is_complete(body: bytes, reply: Reply) -> None:
    reader = DocumentReader()
    reader.take(body[:5], 1.0)
    reader.take(body[5:], 2.0)
    assert str(reader.end(7.0)) == str(reply)  # NaN is not equal to itself


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"error":{"message":"no"}}'])
def test_a_document_that_fails(body: bytes) -> None:
    reader = DocumentReader()
    reader.take(body, 1.0)
    reply = reader.end(7.0)
    assert reply.failure is Failure.BROKEN
    assert reply.detail
    assert math.isnan(reply.first_s)


JSON = b'{"error":{"message":"busy"}}'
STATUSES = {
    "the picker has no endpoint": (503, {DROPPED_REASON: "rejected-no-endpoints"}, JSON, Failure.REFUSED),
    "the picker is saturated": (429, {DROPPED_REASON: "rejected-saturated"}, JSON, Failure.REFUSED),
    "the server's queue is full": (503, {}, JSON, Failure.BUSY),
    "the server limits rates": (429, {}, JSON, Failure.BUSY),
    "the gateway lost the server": (503, {}, b"upstream connect error", Failure.LOST),
    "the gateway's time-out": (504, {}, b"upstream request timeout", Failure.LOST),
    "the picker broke the protocol": (500, {DROPPED_REASON: "rejected-internal"}, JSON, Failure.STATUS),
    "our own fault": (400, {DROPPED_REASON: "rejected-malformed"}, JSON, Failure.STATUS),
    "no such model": (404, {}, JSON, Failure.STATUS),
}


@pytest.mark.parametrize(("status", "headers", "body", "failure"), STATUSES.values(), ids=STATUSES)
def test_who_refused(status: int, headers: dict[str, str], body: bytes, failure: Failure) -> None:
    found, detail = failure_of_status(status, headers, body)
    assert found is failure
    assert detail.startswith(f"{status}: ")
