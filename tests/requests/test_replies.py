"""Usage and faults are read from the ends of replies: captured from vLLM, made up, and broken."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.exchange import ReplyEnd
from epp.requests import Operation, ReplyFault, ReplyReport, Usage, read_reply
from tests.requests.hostile_json import value_texts

HEAD, TAIL = 16 * 1024, 64 * 1024

CAPTURED: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "data" / "vllm" / "http_replies.json").read_text()
)


def ends_of(body: bytes) -> ReplyEnd:
    rest = body[HEAD:]
    return ReplyEnd(body[:HEAD], rest[-TAIL:] if rest else b"", len(body), (b"\n" + body).count(b"\ndata:"))


def read(body: bytes, *, event_stream: bool = False, status: int = 200) -> ReplyReport:
    return read_reply(ends_of(body), status=status, event_stream=event_stream, operation=Operation.CHAT)


def stream(*events: Any, done: bool = True) -> bytes:
    lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def named(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


USAGE_OF_CAPTURES = {
    "chat non-stream, X-Request-Id: my-req-1": (Usage(107, 0, 8), 0),
    "same again -> cached_tokens": (Usage(107, 96, 8), 0),
    "chat stream include_usage": (Usage(99, 0, 5), 7),
    "chat stream no usage": (Usage(), 4),
    "chat stream continuous_usage_stats": (Usage(99, 96, 3), 5),
    "completion non-stream": (Usage(95, 0, 6), 0),
    "completion stream": (Usage(95, 64, 4), 5),
    "responses": (Usage(99, 96, 4), 0),
    "anthropic messages": (Usage(6, 0, 3), 0),
    "inference generate": (Usage(4, 0, 3), 0),
    "tokenize chat": (Usage(), 0),
    "completion render": (Usage(), 0),
    "404 model chat": (Usage(), 0),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_replies_of_vllm(name: str) -> None:
    reply = CAPTURED[name]
    usage, events = USAGE_OF_CAPTURES[name]
    report = read(reply["body"].encode(), event_stream="event-stream" in reply["content_type"], status=reply["status"])
    assert report == ReplyReport(usage, None, events)


ANTHROPIC_START = {
    "type": "message_start",
    "message": {
        "type": "message",
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 200,
            "cache_creation_input_tokens": 30,
            "output_tokens": 1,
        },
    },
}


def anthropic_end(reason: str | None, **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


TEXT = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 'an "error", "usage": {}'}}
STOP = {"type": "message_stop"}

RESPONSES_USAGE = {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 32}, "output_tokens": 7}

STREAMS = {
    "Anthropic": (named(ANTHROPIC_START, TEXT, anthropic_end("end_turn", output_tokens=9), STOP), Usage(240, 200, 9)),
    "Anthropic, counts again at the end": (
        named(
            ANTHROPIC_START,
            anthropic_end("end_turn", input_tokens=10, cache_read_input_tokens=200, output_tokens=9),
        ),
        Usage(240, 200, 9),
    ),
    "Anthropic, counts only at the end": (
        named(
            {"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}},
            anthropic_end("end_turn", input_tokens=6, output_tokens=3),
        ),
        Usage(6, None, 3),
    ),
    "Anthropic, given up early": (named(ANTHROPIC_START, TEXT), Usage(240, 200, 1)),
    "responses": (
        named(
            {"type": "response.created", "response": {"usage": None}},
            {"type": "response.completed", "response": {"output": ["x"], "usage": RESPONSES_USAGE}},
        ),
        Usage(50, 32, 7),
    ),
    "responses, with a long last event": (
        named({"type": "response.completed", "response": {"output": ["x" * 100_000], "usage": RESPONSES_USAGE}}),
        Usage(50, 32, 7),
    ),
    "null until the end": (
        stream({"usage": None}, {"usage": None}, {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        Usage(3, None, 1),
    ),
    "null to the end": (stream({"usage": None}, {"usage": None}), Usage()),
    "in every event, cut off": (
        stream(*({"usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in range(1, 4)), done=False)[:-20],
        Usage(3, None, 2),
    ),
    "no JSON": (stream("hello", "{", "[1]"), Usage()),
    "counts that are none": (
        stream({"usage": {"prompt_tokens": -3, "completion_tokens": 1e99, "prompt_tokens_details": 5}}),
        Usage(),
    ),
}


@pytest.mark.parametrize(("body", "usage"), STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("filler", [0, 60_000, 200_000])
def test_usage_of_streams(body: bytes, usage: Usage, newline: bytes, filler: int) -> None:
    """Also when so much comes in between that most of the stream was not kept."""
    first, blank, rest = body.partition(b"\n\n")
    between = b": keep-alive\n\n" * (filler // 14)
    report = read((first + blank + between + rest).replace(b"\n", newline), event_stream=True)
    if filler and b"message_start" not in first:
        assert report.usage in (usage, Usage())
    else:
        assert report.usage == usage
    assert report.fault is None


def role(reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": reason}]}


def text(content: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}, "finish_reason": reason}]}


def error(code: Any, **more: Any) -> dict[str, Any]:
    return {"error": {"message": "EngineCore encountered an issue", "type": "InternalServerError", "code": code} | more}


def used(completion_tokens: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": completion_tokens}}


ERROR, ABORT, EMPTY = ReplyFault.ENGINE_ERROR, ReplyFault.ENGINE_ABORT, ReplyFault.EMPTY

STREAM_FAULTS = {
    "an engine that dies": (stream(role(), text("a"), error(500)), ERROR),
    "an engine that dies at once": (stream(error(500)), ERROR),
    "an error that a client caused": (stream(role(), error(400)), None),
    "an error without a code": (stream(role(), error(None)), ERROR),
    "an error that is text": (stream({"error": "broken"}), ERROR),
    "no error": (stream(role(), text("a") | {"error": None}), None),
    "no error: false": (stream(role(), text("a") | {"error": False}), None),
    "text about errors": (stream(role(), text('{"error": 1}')), None),
    "Anthropic's error": (named({"type": "error", "error": {"type": "api_error", "message": "x"}}), ERROR),
    "Anthropic's error of a client": (
        named({"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}),
        None,
    ),
    "a failed response": (
        named({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}}),
        ERROR,
    ),
    "an abort before the first token": (stream(role(), text("", "abort")), ABORT),
    "an abort before the first token, counted": (stream(role(), text("", "abort"), used(0)), ABORT),
    "an abort later": (stream(role(), text("a"), text("b"), text("", "abort")), None),
    "an abort later, counted": (stream(role(), text("b", "abort"), used(1)), None),
    "Anthropic's abort": (named(ANTHROPIC_START | {"message": {}}, anthropic_end(None, output_tokens=0), STOP), ABORT),
    "an answer without words": (named(ANTHROPIC_START, anthropic_end("end_turn", output_tokens=0), STOP), None),
    "nothing but the end": (stream(), EMPTY),
    "nothing": (b"", EMPTY),
    "nothing but comments": (b": ping\n\n: ping\n\n", EMPTY),
    "nothing but an empty event": (b"event: x\nid: 1\nretry: 5\ndata:\n\n", EMPTY),
    "nothing, from Anthropic's side": (named({"type": "ping"}, STOP) + stream(), EMPTY),
    "compressed": (b"\x1f\x8b\x08\x00", None),
    "something": (stream("x"), None),
}


@pytest.mark.parametrize(("body", "fault"), STREAM_FAULTS.values(), ids=STREAM_FAULTS)
def test_faults_of_streams(body: bytes, fault: ReplyFault | None) -> None:
    assert read(body, event_stream=True).fault is fault


DOCUMENTS = {
    "an abort": ({"choices": [{"finish_reason": "abort"}]} | {"usage": {"completion_tokens": 0}}, ABORT),
    "an abort later": ({"choices": [{"finish_reason": "abort"}]} | {"usage": {"completion_tokens": 4}}, None),
    "a stop": ({"choices": [{"finish_reason": "stop"}]} | {"usage": {"completion_tokens": 0}}, None),
    "Anthropic's abort": ({"type": "message", "content": [], "usage": {"output_tokens": 0}}, ABORT),
    "Anthropic's stop": ({"type": "message", "stop_reason": "end_turn", "usage": {"output_tokens": 0}}, None),
    "an error": (error(500), ERROR),
    "a client's error": (error(400), None),
    "a response that went well": ({"object": "response", "error": None, "usage": {"output_tokens": 0}}, None),
    "no error: null": ({"error": None}, None),
    "no error: false": ({"error": False}, None),
    "no error: 0": ({"error": 0}, None),
    "no error: empty text": ({"error": ""}, None),
    "no error: an empty object": ({"error": {}}, None),
    "no error: an empty list": ({"error": []}, None),
    "an error that is text": ({"error": "broken"}, ERROR),
    "an error of which only the message is told": ({"error": {"message": "broken"}}, ERROR),
    "Anthropic's error without words": ({"type": "error", "error": {}}, ERROR),
    "a list": ([1], None),
}


@pytest.mark.parametrize(("document", "fault"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_faults_of_documents(document: Any, fault: ReplyFault | None) -> None:
    assert read(json.dumps(document).encode()).fault is fault


@pytest.mark.parametrize(
    ("status", "operation", "fault"),
    [
        (200, Operation.CHAT, EMPTY),
        (200, Operation.OPAQUE, None),
        (204, Operation.CHAT, None),
        (0, Operation.CHAT, None),
        (500, Operation.CHAT, None),
    ],
)
def test_an_empty_document_is_a_fault_where_there_must_be_one(
    status: int, operation: Operation, fault: ReplyFault | None
) -> None:
    assert read_reply(ReplyEnd(), status=status, event_stream=False, operation=operation) == ReplyReport(fault=fault)


@pytest.mark.parametrize("document", [document for document, fault in DOCUMENTS.values() if fault])
def test_no_document_is_a_fault_on_a_path_that_is_not_known(document: Any) -> None:
    end = ends_of(json.dumps(document).encode())
    assert read_reply(end, status=200, event_stream=False, operation=Operation.OPAQUE).fault is None


def test_usage_is_read_on_a_path_that_is_not_known() -> None:
    end = ends_of(json.dumps(error(500) | used(3)).encode())
    report = read_reply(end, status=200, event_stream=False, operation=Operation.OPAQUE)
    assert report == ReplyReport(Usage(5, None, 3))


def test_an_event_with_an_error_is_a_fault_on_any_path() -> None:
    """Requests whose body is not shown are opaque, too, and streams are where engines fail within a 200."""
    report = read_reply(ends_of(stream(error(500))), status=200, event_stream=True, operation=Operation.OPAQUE)
    assert report.fault is ERROR


@pytest.mark.parametrize("body", [stream(error(500)), stream(), b""])
def test_a_reply_whose_status_is_an_error_has_no_further_fault(body: bytes) -> None:
    assert read(body, event_stream=True, status=500) == ReplyReport()


LONG = {
    "usage last": ('{"choices":["%s"],"usage":{"prompt_tokens":9,"completion_tokens":2}}', Usage(9, None, 2)),
    "usage first": ('{"usage" : {"prompt_tokens":9,"completion_tokens":2},"choices":["%s"]}', Usage(9, None, 2)),
    "usage null after it": (
        '{"a":{"usage":{"prompt_tokens":9,"completion_tokens":2}},"choices":["%s"],"usage":null}',
        Usage(9, None, 2),
    ),
    "text about it after it": (
        r'{"choices":["%s"],"usage":{"prompt_tokens":9},"x":"\"usage\":{\"prompt_tokens\":1}"}',
        Usage(9),
    ),
    "none": ('{"choices":["%s"]}', Usage()),
}


@pytest.mark.parametrize(("body", "usage"), LONG.values(), ids=LONG)
def test_of_a_long_document_the_last_usage_counts(body: str, usage: Usage) -> None:
    assert read((body % ("x" * 200_000)).encode()) == ReplyReport(usage)


@given(st.binary(max_size=80) | value_texts.map(str.encode), st.booleans(), st.sampled_from([0, 200, 204, 500]))
def test_any_bytes_are_taken(body: bytes, event_stream: bool, status: int) -> None:
    wraps = (b"%s", b"data: %s\n\n", b'data: {"error":%s}\n\n', b'{"usage":%s}', b'data: {"choices":%s, "x":"abort"}\n')
    for wrap in wraps:
        read(wrap.replace(b"%s", body), event_stream=event_stream, status=status)


@given(st.binary(max_size=40), st.binary(max_size=40), st.booleans())
def test_ends_need_not_fit_together(head: bytes, tail: bytes, event_stream: bool) -> None:
    end = ReplyEnd(b'{"usage":' + head, tail + b'"usage":{"prompt_tokens":1}', 10**6, 3)
    read_reply(end, status=200, event_stream=event_stream)


def test_nesting_does_not_matter() -> None:
    deep = b"[" * 60_000
    for body in (b'{"usage":' + deep, b'{"choices":' + deep, b"data: " + b'{"error":' + deep):
        assert read(body, event_stream=body.startswith(b"data")).fault is None
