import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from epp.simulator.calls import (
    AdapterCall,
    Api,
    parse_adapter,
    parse_chat,
    parse_completions,
    parse_embeddings,
    parse_messages,
    parse_tokenize,
)
from epp.simulator.errors import ApiError
from epp.simulator.tokens import tokens_of_ids, tokens_of_text

PARSERS: list[Callable[[bytes], object]] = [
    parse_chat,
    parse_completions,
    parse_messages,
    parse_embeddings,
    parse_tokenize,
    parse_adapter,
]

MESSAGES = [{"role": "user", "content": "hi"}]


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_a_chat_is_read() -> None:
    call = parse_chat(
        body(
            model="m",
            messages=MESSAGES,
            max_tokens=7,
            n=2,
            stream=True,
            stream_options={"include_usage": True, "continuous_usage_stats": True},
            cache_salt="s",
            request_id="r",
            top_p=0.5,
        )
    )
    assert (call.api, call.model, call.max_tokens, call.n, call.stream) == (Api.CHAT, "m", 7, 2, True)
    assert (call.include_usage, call.continuous_usage, call.cache_salt, call.request_id) == (True, True, "s", "r")
    assert len(call.prompts) == 1


def test_a_chat_without_options_has_defaults() -> None:
    call = parse_chat(body(messages=MESSAGES, tools=None))
    assert (call.model, call.max_tokens, call.n, call.stream, call.include_usage) == (None, None, 1, False, False)
    assert call.prompts == parse_chat(body(messages=MESSAGES, tools=[])).prompts


def test_max_completion_tokens_is_the_newer_name_and_wins() -> None:
    assert parse_chat(body(messages=MESSAGES, max_tokens=7, max_completion_tokens=3)).max_tokens == 3


def test_continuous_usage_needs_usage() -> None:
    options = {"continuous_usage_stats": True}
    assert not parse_chat(body(messages=MESSAGES, stream=True, stream_options=options)).continuous_usage


PROMPTS = {
    "a text": ("abcd", (tokens_of_text("abcd"),)),
    "texts": (["abcd", "e"], (tokens_of_text("abcd"), tokens_of_text("e"))),
    "token ids": ([1, 2], (tokens_of_ids([1, 2]),)),
    "lists of token ids": ([[1], [2, 3]], (tokens_of_ids([1]), tokens_of_ids([2, 3]))),
}


@pytest.mark.parametrize(("prompt", "prompts"), PROMPTS.values(), ids=PROMPTS)
def test_prompts_come_in_four_forms(prompt: object, prompts: tuple[bytes, ...]) -> None:
    assert parse_completions(body(prompt=prompt)).prompts == prompts
    assert parse_embeddings(body(input=prompt)).inputs == prompts


def test_a_completion_without_a_limit_has_sixteen_tokens() -> None:
    assert parse_completions(body(prompt="a")).max_tokens == 16
    assert parse_completions(body(prompt="a", max_tokens=None)).max_tokens is None


def test_a_message_is_a_chat_whose_system_prompt_stands_apart() -> None:
    call = parse_messages(body(model="m", max_tokens=3, messages=MESSAGES, system="be terse", stream=True))
    chat = parse_chat(body(messages=[{"role": "system", "content": "be terse"}, *MESSAGES]))
    assert (call.api, call.prompts, call.max_tokens, call.stream) == (Api.MESSAGES, chat.prompts, 3, True)


def test_embeddings_are_lists_or_base64() -> None:
    assert not parse_embeddings(body(input="a")).base64
    assert parse_embeddings(body(input="a", encoding_format="base64")).base64


def test_tokenize_takes_a_prompt_or_messages() -> None:
    assert parse_tokenize(body(prompt="abcde")).tokens == tokens_of_text("abcde")
    call = parse_tokenize(body(messages=MESSAGES, return_token_strs=True))
    assert call.tokens == parse_chat(body(messages=MESSAGES)).prompts[0]
    assert call.texts


def test_an_adapter_has_a_name_and_a_path() -> None:
    assert parse_adapter(body(lora_name="a", lora_path="/p", load_inplace=True)) == AdapterCall("a", "/p", True)
    assert parse_adapter(body(lora_name="a")) == AdapterCall("a", "", False)


REFUSED: dict[str, tuple[Callable[[bytes], object], bytes, str, str | None, str]] = {
    # what: parser, body, type, param, part of the message
    "no body": (parse_chat, b"", "Bad Request", "body", "'type': 'missing'"),
    "no JSON": (parse_chat, b"{", "Bad Request", "body", "'type': 'json_invalid'"),
    "bytes after the JSON": (parse_chat, body(messages=MESSAGES) + b"x", "Bad Request", "body", "json_invalid"),
    "no UTF-8": (parse_completions, b'{"prompt":"\xff"}', "Bad Request", "body", "json_invalid"),
    "no object": (parse_chat, b"[]", "Bad Request", "body", "Expected `object`, got `array`"),
    "no messages": (parse_chat, b"{}", "Bad Request", "body.messages", "'msg': 'Field required'"),
    "no role": (
        parse_chat,
        body(messages=[{}]),
        "Bad Request",
        "body.messages[0].role",
        "'loc': 'body.messages[0].role'",
    ),
    "no prompt": (parse_completions, b"{}", "Bad Request", "body.prompt", "Field required"),
    "nothing to tokenize": (parse_tokenize, b"{}", "Bad Request", "body.prompt", "Field required"),
    "a wrong type": (parse_chat, body(messages=3), "Bad Request", "body.messages", "Expected `array`, got `int`"),
    "a wrong part": (
        parse_chat,
        body(messages=[{"role": "user", "content": [3]}]),
        "Bad Request",
        "body",
        "Expected `object`, got `int`",
    ),
    "max_tokens 0": (parse_chat, body(messages=MESSAGES, max_tokens=0), "BadRequestError", "max_tokens", "got 0."),
    "messages without max_tokens": (
        parse_messages,
        body(messages=MESSAGES),
        "Bad Request",
        "body.max_tokens",
        "Field required",
    ),
    "a negative temperature": (
        parse_chat,
        body(messages=MESSAGES, temperature=-1),
        "BadRequestError",
        "temperature",
        "temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)",
    ),
    "stream options without a stream": (
        parse_chat,
        body(messages=MESSAGES, stream_options={}),
        "BadRequestError",
        "stream_options",
        "Stream options can only be defined when `stream=True`. (parameter=stream_options)",
    ),
    "n 0": (parse_chat, body(messages=MESSAGES, n=0), "BadRequestError", "n", "n must be between 1 and 1024"),
    "n too large": (parse_chat, body(messages=MESSAGES, n=1025), "BadRequestError", "n", "got 1025"),
    "n times prompts too large": (parse_completions, body(prompt=["a", "b"], n=513), "BadRequestError", "n", "512"),
    "too many prompts": (parse_completions, body(prompt=["a"] * 1025), "BadRequestError", "prompt", "1025 items"),
    "an empty prompt": (parse_completions, body(prompt=""), "BadRequestError", "prompt", "non-empty"),
    "an empty list": (parse_completions, body(prompt=[]), "BadRequestError", "prompt", "non-empty"),
    "an empty text among others": (parse_embeddings, body(input=["a", ""]), "BadRequestError", "input", "non-empty"),
    "ids and texts mixed": (parse_completions, body(prompt=["a", 1]), "BadRequestError", "prompt", "must not mix"),
    "a negative id": (parse_completions, body(prompt=[-1]), "BadRequestError", None, "Token id -1"),
    "a huge id": (parse_completions, body(prompt=[[2**32]]), "BadRequestError", None, "Token id 4294967296"),
    "an unknown form of vectors": (
        parse_embeddings,
        body(input="a", encoding_format="hex"),
        "BadRequestError",
        "encoding_format",
        "'hex'",
    ),
}


@pytest.mark.parametrize(("parse", "data", "kind", "param", "message"), REFUSED.values(), ids=REFUSED)
def test_what_vllm_refuses_is_refused_in_its_words(
    parse: Callable[[bytes], object], data: bytes, kind: str, param: str | None, message: str
) -> None:
    with pytest.raises(ApiError) as caught:
        parse(data)
    error = caught.value
    assert (error.status, error.kind, error.param) == (400, kind, param)
    assert message in error.message
    assert json.loads(error.openai())["error"]["code"] == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["messages", "prompt", "input", "model", "max_tokens", "n", "stream", "stream_options", "tools", "lora_name"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(MESSAGES)))
@example({"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]})
def test_any_json_is_read_or_refused(fields: dict[str, object]) -> None:
    for parse in PARSERS:
        with suppress(ApiError):
            parse(json.dumps(fields).encode())


@settings(deadline=None)
@given(st.binary())
@example(b"[" * 100_000)
@example(b'{"messages":' + b"[" * 100_000)
@example(b'{"x":' * 100_000)
@example(b'{"prompt":"\\ud800"}')
@example(b'{"messages":[{"role":"user","content":[{"type":"text","x":' + b"[" * 100_000)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in PARSERS:
        with suppress(ApiError):
            parse(data)
