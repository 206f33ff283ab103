"""What clients send, read as far as a simulated server needs it. Fields that it does not know are ignored.

Every `parse_*` takes a body and raises `ApiError` for one that vLLM would refuse too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import msgspec

from epp.simulator.chat import Content, Message, chat_tokens
from epp.simulator.errors import ApiError, bad_request, field_missing, invalid_field, invalid_json
from epp.simulator.tokens import MAX_TOKEN_ID, Tokens, count_tokens, tokens_of_ids, tokens_of_text

__all__ = [
    "AdapterCall",
    "Api",
    "EmbeddingsCall",
    "GenerateCall",
    "TokenizeCall",
    "parse_adapter",
    "parse_chat",
    "parse_completions",
    "parse_embeddings",
    "parse_messages",
    "parse_tokenize",
]

MAX_SEQUENCES = 1024
"""Sequences of one call, prompts times `n` (vLLM's limit for prompts, `VLLM_MAX_COMPLETION_PROMPTS`)."""

_COMPLETION_MAX_TOKENS = 16
"""Default of `max_tokens` in completions (OpenAI's, and vLLM's)."""

_T = TypeVar("_T")


class Api(Enum):
    """In whose form a reply is written."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class GenerateCall:
    """A call that generates text."""

    api: Api
    model: str | None
    """None: the base model."""
    prompts: tuple[Tokens, ...]
    max_tokens: int | None
    """None: until the model stops."""
    n: int = 1
    """Sequences per prompt."""
    stream: bool = False
    include_usage: bool = False
    continuous_usage: bool = False
    cache_salt: str = ""
    request_id: str = ""
    """Chosen by the client in the body."""


@dataclass(frozen=True, slots=True)
class EmbeddingsCall:
    """A call for vectors."""

    model: str | None
    inputs: tuple[Tokens, ...]
    base64: bool
    """Vectors as base64 of little-endian float32, not as lists."""


@dataclass(frozen=True, slots=True)
class TokenizeCall:
    """A call for tokens."""

    model: str | None
    tokens: Tokens
    texts: bool
    """The text of each token is wanted too."""


@dataclass(frozen=True, slots=True)
class AdapterCall:
    """A call to load or unload an adapter."""

    name: str
    path: str
    in_place: bool


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class _Common(msgspec.Struct, frozen=True, kw_only=True):
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = None
    n: int | None = None
    cache_salt: str | None = None
    request_id: str | None = None


class _Chat(_Common, frozen=True, kw_only=True):
    messages: list[Message]
    tools: msgspec.Raw = msgspec.Raw()
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


_Prompt = str | list[str | int | list[int]]


class _Completion(_Common, frozen=True, kw_only=True):
    prompt: _Prompt
    max_tokens: int | None = _COMPLETION_MAX_TOKENS


class _Messages(msgspec.Struct, frozen=True):
    messages: list[Message]
    max_tokens: int
    model: str | None = None
    system: Content = None
    tools: msgspec.Raw = msgspec.Raw()
    stream: bool | None = None
    temperature: float | None = None


class _Embeddings(msgspec.Struct, frozen=True):
    input: _Prompt
    model: str | None = None
    encoding_format: str | None = None


class _Tokenize(msgspec.Struct, frozen=True):
    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    tools: msgspec.Raw = msgspec.Raw()
    return_token_strs: bool | None = None


class _Adapter(msgspec.Struct, frozen=True):
    lora_name: str = ""
    lora_path: str = ""
    load_inplace: bool = False


def parse_chat(body: bytes) -> GenerateCall:
    """A body of `/v1/chat/completions`."""

    def read() -> GenerateCall:
        call = msgspec.json.decode(body, type=_Chat)
        limit = call.max_completion_tokens if call.max_completion_tokens is not None else call.max_tokens
        return _generate(Api.CHAT, call, (chat_tokens(call.messages, _tools(call.tools)),), limit)

    return _checked(body, read)


def parse_completions(body: bytes) -> GenerateCall:
    """A body of `/v1/completions`."""

    def read() -> GenerateCall:
        call = msgspec.json.decode(body, type=_Completion)
        return _generate(Api.COMPLETIONS, call, _prompts(call.prompt, "prompt"), call.max_tokens)

    return _checked(body, read)


def parse_messages(body: bytes) -> GenerateCall:
    """A body of `/v1/messages`."""

    def read() -> GenerateCall:
        call = msgspec.json.decode(body, type=_Messages)
        _check_limits(call.max_tokens, call.temperature)
        system = [Message("system", call.system)] if call.system else []
        prompt = chat_tokens([*system, *call.messages], _tools(call.tools))
        return GenerateCall(Api.MESSAGES, call.model, (prompt,), call.max_tokens, stream=bool(call.stream))

    return _checked(body, read)


def parse_embeddings(body: bytes) -> EmbeddingsCall:
    """A body of `/v1/embeddings`."""

    def read() -> EmbeddingsCall:
        call = msgspec.json.decode(body, type=_Embeddings)
        form = call.encoding_format or "float"
        if form not in ("float", "base64"):
            raise bad_request(f"encoding_format must be float or base64, got {form!r}.", "encoding_format", form)
        return EmbeddingsCall(call.model, _prompts(call.input, "input"), form == "base64")

    return _checked(body, read)


def parse_tokenize(body: bytes) -> TokenizeCall:
    """A body of `/tokenize`, with a prompt or with messages."""

    def read() -> TokenizeCall:
        call = msgspec.json.decode(body, type=_Tokenize)
        if call.messages is not None:
            tokens = chat_tokens(call.messages, _tools(call.tools))
        elif call.prompt is not None:
            tokens = tokens_of_text(call.prompt)
        else:
            raise field_missing("prompt")
        return TokenizeCall(call.model, tokens, bool(call.return_token_strs))

    return _checked(body, read)


def parse_adapter(body: bytes) -> AdapterCall:
    """A body of `/v1/load_lora_adapter` or `/v1/unload_lora_adapter`."""

    def read() -> AdapterCall:
        call = msgspec.json.decode(body, type=_Adapter)
        return AdapterCall(call.lora_name, call.lora_path, call.load_inplace)

    return _checked(body, read)


def _checked(body: bytes, read: Callable[[], _T]) -> _T:
    """Run a reader and translate what is wrong with the JSON."""
    if not body:
        raise field_missing()
    try:
        return read()
    except msgspec.ValidationError as error:
        raise _shape_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise invalid_json(str(error)) from None


_SHAPE_ERROR = re.compile(r"(?P<reason>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)


def _shape_error(message: str) -> ApiError:
    match = _SHAPE_ERROR.fullmatch(message)
    reason, path = (match["reason"], match["path"] or "") if match else (message, "")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", reason)
    if missing:
        return field_missing(f"{path}.{missing[1]}" if path else missing[1])
    return invalid_field(f"body.{path}" if path else "body", reason)


def _generate(api: Api, call: _Common, prompts: tuple[Tokens, ...], max_tokens: int | None) -> GenerateCall:
    options = call.stream_options
    if options is not None and not call.stream:
        raise bad_request("Stream options can only be defined when `stream=True`.", "stream_options")
    _check_limits(max_tokens, call.temperature)
    n = 1 if call.n is None else call.n
    if not 1 <= n * len(prompts) <= MAX_SEQUENCES:
        raise bad_request(f"n must be between 1 and {MAX_SEQUENCES // len(prompts)} here, got {n}.", "n", n)
    return GenerateCall(
        api=api,
        model=call.model,
        prompts=prompts,
        max_tokens=max_tokens,
        n=n,
        stream=bool(call.stream),
        include_usage=bool(options and options.include_usage),
        continuous_usage=bool(options and options.include_usage and options.continuous_usage_stats),
        cache_salt=call.cache_salt or "",
        request_id=call.request_id or "",
    )


def _check_limits(max_tokens: int | None, temperature: float | None) -> None:
    if max_tokens is not None and max_tokens < 1:
        raise bad_request(f"max_tokens must be at least 1, got {max_tokens}.", "max_tokens", max_tokens)
    if temperature is not None and temperature < 0:
        raise bad_request(f"temperature must be non-negative, got {temperature}.", "temperature", temperature)


def _tools(raw: msgspec.Raw) -> bytes:
    text = bytes(raw)
    return b"" if text in (b"null", b"[]") else text


def _prompts(prompt: _Prompt, name: str) -> tuple[Tokens, ...]:
    """A text, a list of token ids, or a list of either."""
    prompts: list[Tokens] = []
    if isinstance(prompt, str):
        prompts.append(tokens_of_text(prompt))
    elif prompt and all(isinstance(item, int) for item in prompt):
        prompts.append(_ids([item for item in prompt if isinstance(item, int)]))
    else:
        for item in prompt:
            if isinstance(item, int):
                raise bad_request(f"{name} must not mix token ids with texts or lists.", name)
            prompts.append(tokens_of_text(item) if isinstance(item, str) else _ids(item))
    if not prompts or not all(map(count_tokens, prompts)):
        raise bad_request(f"{name} must be non-empty.", name)
    if len(prompts) > MAX_SEQUENCES:
        raise bad_request(f"{name} has {len(prompts)} items; at most {MAX_SEQUENCES} are allowed.", name)
    return tuple(prompts)


def _ids(ids: Sequence[int]) -> Tokens:
    wrong = next((number for number in ids if not 0 <= number <= MAX_TOKEN_ID), None)
    if wrong is not None:
        raise bad_request(f"Token id {wrong} is out of vocabulary")
    return tokens_of_ids(ids)
