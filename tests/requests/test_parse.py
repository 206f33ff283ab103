"""What requests are read as, and which few are refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.exchange import BodyState, Headers
from epp.requests import Dialect, InferenceRequest, Malformed, Operation, opaque, parse, replace_model
from tests.requests.hostile_json import body_texts

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


def request(path: str | None, body: bytes, state: BodyState = BodyState.COMPLETE, **fields: str) -> InferenceRequest:
    parsed = parse(headers(path, **fields), body, state)
    assert isinstance(parsed, InferenceRequest)
    assert parsed.size_bytes == len(body)
    return parsed


def headers(path: str | None, **fields: str) -> Headers:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return Headers.of(named if path is None else {":method": "POST", ":path": path} | named)


def encoded(**members: Any) -> bytes:
    return json.dumps(members).encode()


def test_a_chat_is_read_whole() -> None:
    body = (
        b'{"messages": [{"role":"user","content":"hi"}], "model":"tiny","stream":true,"max_tokens":5,'
        b'"tools":[{"type":"function"}],"cache_salt":"s\\u00e9","temperature":1e400}'
    )
    parsed = request(CHAT, body)
    assert parsed == InferenceRequest(
        operation=Operation.CHAT,
        dialect=Dialect.OPENAI,
        headers=parsed.headers,
        size_bytes=len(body),
        model="tiny",
        target_model="tiny",
        prompt=(b'[{"type":"function"}]', b'[{"role":"user","content":"hi"}]'),
        cache_salt="sé",
        stream=True,
        max_output_tokens=5,
        model_span=(body.index(b'"tiny"'), body.index(b'"tiny"') + 6),
        prompt_bytes=53,
    )


PROMPTS = {
    "chat: what templates take comes first": (
        CHAT,
        {
            "messages": ["m"],
            "tools": ["t"],
            "documents": ["d"],
            "chat_template_kwargs": {"k": 1},
            "chat_template": "c",
            "model": "x",
        },
        [b'"c"', b'{"k": 1}', b'["d"]', b'["t"]', b'["m"]'],
    ),
    "null is as good as absent": (CHAT, {"tools": None, "messages": ["m"]}, [b'["m"]']),
    "completion of a string": (COMPLETIONS, {"prompt": "say"}, [b'"say"']),
    "completion of strings": (COMPLETIONS, {"prompt": ["a", "b"]}, [b'["a", "b"]']),
    "responses": ("/v1/responses", {"input": "i", "instructions": "s", "tools": []}, [b"[]", b'"s"', b'"i"']),
    "responses without input": ("/v1/responses", {"previous_response_id": "r"}, []),
    "embeddings": ("/v1/embeddings", {"input": ["a"]}, [b'["a"]']),
    "embeddings of messages": ("/v1/embeddings", {"messages": ["m"]}, [b'["m"]']),
    "pooling": ("/pooling", {"input": "a"}, [b'"a"']),
    "classify": ("/classify", {"input": "a"}, [b'"a"']),
    "score of texts": ("/score", {"text_2": "b", "text_1": "a"}, [b'"a"', b'"b"']),
    "score of data": ("/score", {"data_1": "a", "data_2": ["b"]}, [b'"a"', b'["b"]']),
    "score of documents": ("/v1/score", {"documents": ["b"], "queries": "a"}, [b'"a"', b'["b"]']),
    "rerank": ("/v1/rerank", {"documents": ["b"], "query": "a"}, [b'"a"', b'["b"]']),
    "tokenize": ("/tokenize", {"prompt": "a"}, [b'"a"']),
    "tokenize messages": ("/tokenize", {"messages": ["m"], "tools": ["t"]}, [b'["t"]', b'["m"]']),
    "render": ("/v1/chat/completions/render", {"messages": ["m"]}, [b'["m"]']),
    "Anthropic": (
        "/v1/messages",
        {"messages": ["m"], "system": "s", "tools": ["t"], "max_tokens": 3},
        [b'["t"]', b'"s"', b'["m"]'],
    ),
    "Anthropic's count": ("/v1/messages/count_tokens", {"messages": ["m"], "system": "s"}, [b'"s"', b'["m"]']),
    "generate": ("/inference/v1/generate", {"token_ids": [1, 2]}, [b"[1, 2]"]),
    "messages that are no list": (CHAT, {"messages": {"role": "user"}}, [b'{"role": "user"}']),
    "no prompt at all": (CHAT, {"x": 1}, []),
    "no object": (CHAT, None, []),
}


@pytest.mark.parametrize(("path", "members", "prompt"), PROMPTS.values(), ids=PROMPTS)
def test_the_prompt_is_in_the_order_of_the_model(
    path: str, members: dict[str, Any] | None, prompt: list[bytes]
) -> None:
    parsed = request(path, json.dumps(members).encode())
    assert list(parsed.prompt) == prompt
    assert parsed.prompt_bytes == len(b"".join(prompt))


def test_a_longer_conversation_begins_with_the_shorter_one() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    shorter, longer = (b"".join(request(CHAT, encoded(messages=turns[:n])).prompt) for n in (1, 3))
    assert longer.startswith(shorter.removesuffix(b"]"))


TOKEN_IDS = {
    "a list": (COMPLETIONS, b'{"prompt":[1, 2,3]}', 3),
    "lists": (COMPLETIONS, b'{"prompt":[[1,2],[3]]}', 3),
    "one": ("/v1/embeddings", b'{"input":[7]}', 1),
    "an empty list": (COMPLETIONS, b'{"prompt":[]}', 0),
    "generate": ("/inference/v1/generate", b'{"token_ids":[5,6]}', 2),
    "text": (COMPLETIONS, b'{"prompt":"[1,2]"}', None),
    "texts": (COMPLETIONS, b'{"prompt":["1,2"]}', None),
    "a number": (COMPLETIONS, b'{"prompt":12}', None),
    "messages": (CHAT, b'{"messages":[1,2]}', None),
}


@pytest.mark.parametrize(("path", "body", "tokens"), TOKEN_IDS.values(), ids=TOKEN_IDS)
def test_token_ids_are_counted(path: str, body: bytes, tokens: int | None) -> None:
    assert request(path, body).prompt_tokens == tokens


LIMITS = {
    "chat": (CHAT, b'{"max_tokens":5}', 5),
    "chat, both": (CHAT, b'{"max_tokens":5,"max_completion_tokens":6}', 6),
    "chat, new one null": (CHAT, b'{"max_tokens":5,"max_completion_tokens":null}', 5),
    "completions": (COMPLETIONS, b'{"max_tokens":5,"max_completion_tokens":6}', 5),
    "responses": ("/v1/responses", b'{"max_output_tokens":7,"max_tokens":5}', 7),
    "Anthropic": ("/v1/messages", b'{"max_tokens":8}', 8),
    "generate": ("/inference/v1/generate", b'{"sampling_params":{"a":[1],"max_tokens":9},"max_tokens":5}', 9),
    "generate, nothing": ("/inference/v1/generate", b'{"sampling_params":[1]}', None),
    "none": (CHAT, b"{}", None),
    "a whole float": (CHAT, b'{"max_tokens":5.0}', 5),
    "text": (CHAT, b'{"max_tokens":"5"}', 5),
    "beyond floats": (CHAT, b'{"max_tokens":1e400}', None),
    "not a number": (CHAT, b'{"max_tokens":NaN}', 0),
    "negative": (CHAT, b'{"max_tokens":-1}', None),
    "of many digits": (CHAT, b'{"max_tokens":' + b"9" * 5000 + b"}", None),
    "nested": (CHAT, b'{"max_tokens":[5]}', None),
    "embeddings generate nothing": ("/v1/embeddings", b'{"max_tokens":5}', 0),
    "rendering generates nothing": ("/v1/chat/completions/render", b'{"max_tokens":5}', 0),
}


@pytest.mark.parametrize(("path", "body", "limit"), LIMITS.values(), ids=LIMITS)
def test_the_limit_of_output_is_taken_as_servers_take_it(path: str, body: bytes, limit: int | None) -> None:
    assert request(path, body).max_output_tokens == limit


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"tiny"', "tiny"),
        (b'"a\\/b\\u00e9"', "a/bé"),
        ('"модель"'.encode(), "модель"),
        (b'""', ""),
        (b"5", ""),
        (b"null", ""),
        (b'["tiny"]', ""),
        (b'"\\ud800"', ""),
        (b'"\xff"', ""),
        (b'"' + b"m" * 2000 + b'"', ""),
    ],
)
def test_a_model_is_a_string_of_sensible_length_or_none(value: bytes, expected: str) -> None:
    body = b'{"model": ' + value + b' ,"messages":[]}'
    parsed = request(CHAT, body)
    assert parsed.model == parsed.target_model == expected
    parsed.model.encode()
    assert parsed.model_span == (10, 10 + len(value))


@pytest.mark.parametrize("value", [b"5", b"null", b'["s"]', b'"\xff"'])
def test_a_salt_that_is_no_text_is_none(value: bytes) -> None:
    assert request(CHAT, b'{"cache_salt":' + value + b"}").cache_salt == ""


@pytest.mark.parametrize(
    ("value", "expected"), [(b"true", True), (b"false", False), (b"null", False), (b'"true"', False)]
)
def test_streaming_is_asked_for_by_true(value: bytes, expected: bool) -> None:
    assert request(CHAT, b'{"stream":' + value + b"}").stream is expected


def test_of_duplicate_keys_the_last_counts() -> None:
    parsed = request(CHAT, b'{"model":"a","messages":[1],"model":"b","messages":[2]}')
    assert (parsed.model, parsed.prompt) == ("b", (b"[2]",))


REFUSED = {
    "not JSON": (CHAT, b"{'model': 1}", {}),
    "cut short, and yet complete": (CHAT, b'{"model":"a', {}),
    "something after it": (CHAT, b"{} {}", {}),
    "empty": (CHAT, b"", {}),
    "blank": (CHAT, b" \n", {}),
    "declared": (CHAT, b"x", {"content_type": "application/json; charset=utf-8"}),
    "identity is no encoding": (CHAT, b"x", {"content_encoding": "identity"}),
    "another operation": ("/tokenize", b"x", {}),
}


@pytest.mark.parametrize(("path", "body", "fields"), REFUSED.values(), ids=REFUSED)
def test_a_complete_body_that_must_be_json_and_is_not_is_refused(
    path: str, body: bytes, fields: dict[str, str]
) -> None:
    refused = parse(headers(path, **fields), body, BodyState.COMPLETE)
    assert isinstance(refused, Malformed)
    assert refused.dialect is Dialect.OPENAI
    assert "JSON" in refused.message


def test_a_refusal_says_where_and_in_whose_dialect() -> None:
    refused = parse(headers("/v1/messages"), b'{"model":}', BodyState.COMPLETE)
    message = "the request body is not valid JSON: invalid character (byte 9)"
    assert refused == Malformed(message, Dialect.ANTHROPIC)


def test_a_request_without_a_body_is_refused_where_one_is_needed() -> None:
    refused = parse(headers(CHAT), b"", BodyState.ABSENT)
    assert refused == Malformed("the request has no body; this path needs JSON", Dialect.OPENAI)


OPAQUE = {
    "an unknown path": ("/v1/files", b"x", BodyState.COMPLETE, {}),
    "audio": ("/v1/audio/transcriptions", b"RIFF", BodyState.COMPLETE, {"content_type": "audio/wav"}),
    "multipart": (CHAT, b"--x", BodyState.COMPLETE, {"content_type": "multipart/form-data; boundary=x"}),
    "compressed": (CHAT, b"\x1f\x8b", BodyState.COMPLETE, {"content_encoding": "gzip"}),
    "compressed and cut": (CHAT, b'{"model":"m"', BodyState.CUT, {"content_encoding": "gzip"}),
    "unseen": (CHAT, b"", BodyState.UNSEEN, {}),
    "dropped": (CHAT, b"", BodyState.TOO_LARGE, {}),
    "nested beyond all readers": (CHAT, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", BodyState.COMPLETE, {}),
    "no JSON, and not said to be": (CHAT, b"model=x", BodyState.COMPLETE, {"content_type": "text/plain"}),
    "no path, and no JSON": (None, b"x", BodyState.COMPLETE, {}),
    "no path, and no body": (None, b"", BodyState.ABSENT, {}),
    "no path, and unknown members": (None, b'{"model":"x"}', BodyState.COMPLETE, {"content_type": "audio/wav"}),
    "a lookup": ("/v1/responses", b"", BodyState.ABSENT, {":method": "GET"}),
    "a preflight": (CHAT, b"", BodyState.ABSENT, {":method": "OPTIONS"}),
}


@pytest.mark.parametrize(("path", "body", "state", "fields"), OPAQUE.values(), ids=OPAQUE)
def test_what_cannot_be_read_is_opaque(path: str | None, body: bytes, state: BodyState, fields: dict[str, str]) -> None:
    parsed = request(path, body, state, **fields)
    assert parsed == InferenceRequest(Operation.OPAQUE, Dialect.OPENAI, parsed.headers, len(body))


def test_opaque_keeps_the_dialect_of_the_path() -> None:
    parsed = opaque(headers("/v1/messages"), 12)
    assert (parsed.operation, parsed.dialect, parsed.size_bytes) == (Operation.OPAQUE, Dialect.ANTHROPIC, 12)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_json_is_read_under_a_sloppy_content_type(content_type: str) -> None:
    assert request(CHAT, b'{"model":"m"}', content_type=content_type).model == "m"


SHAPES = {
    "messages": (b'{"messages":[]}', {}, Operation.CHAT),
    "messages, to Anthropic": (b'{"messages":[]}', {"anthropic_version": "2023-06-01"}, Operation.MESSAGES),
    "prompt": (b'{"prompt":""}', {}, Operation.COMPLETIONS),
    "input": (b'{"input":""}', {}, Operation.RESPONSES),
    "input to embed": (b'{"input":"","encoding_format":"float"}', {}, Operation.EMBEDDINGS),
    "token ids": (b'{"token_ids":[]}', {}, Operation.GENERATE),
    "query and documents": (b'{"query":"","documents":[]}', {}, Operation.RERANK),
    "two texts": (b'{"text_1":"","text_2":""}', {}, Operation.SCORE),
    "nothing known": (b'{"model":"m"}', {}, Operation.OPAQUE),
    "no object": (b"[]", {}, Operation.OPAQUE),
}


@pytest.mark.parametrize(("body", "fields", "expected"), SHAPES.values(), ids=SHAPES)
def test_without_a_path_the_members_tell_the_operation(
    body: bytes, fields: dict[str, str], expected: Operation
) -> None:
    assert request(None, body, **fields).operation is expected


def test_a_cut_body_is_read_as_far_as_it_goes_and_cannot_be_rewritten() -> None:
    whole = encoded(model="tiny", messages=[{"role": "user", "content": "x" * 500}], max_tokens=5)
    parsed = request(CHAT, whole[:400], BodyState.CUT)
    assert (parsed.operation, parsed.model, parsed.model_span) == (Operation.CHAT, "tiny", None)
    assert b"".join(request(CHAT, whole).prompt).startswith(b"".join(parsed.prompt))
    assert parsed.prompt_bytes > 300


def test_a_cut_model_is_no_model() -> None:
    assert request(CHAT, b'{"messages":[1],"model":"ti', BodyState.CUT).model == ""


@given(body_texts(), st.sampled_from(["/v1/chat/completions", "/v1/messages", "/v1/completions", None]), st.text())
def test_no_json_object_is_refused_and_its_model_can_be_replaced(text: str, path: str | None, name: str) -> None:
    body = text.encode()
    parsed = request(path, body)
    if parsed.model_span is None:
        assert "model" not in json.loads(text)
        return
    start, end = parsed.model_span
    changed = replace_model(body, parsed.model_span, name)
    assert json.dumps(json.loads(changed)) == json.dumps(json.loads(text) | {"model": name})
    assert changed.startswith(body[:start])
    assert changed.endswith(body[end:])


@given(st.binary(max_size=80), st.sampled_from(list(BodyState)), st.sampled_from([*("/v1/messages", CHAT), None]))
def test_any_bytes_are_taken(body: bytes, state: BodyState, path: str | None) -> None:
    parse(headers(path), body, state)
    parse(headers(path), b'{"messages":[' + body, state)
