"""Replies of the OpenAI APIs, byte for byte in vLLM's form (captured from 0.32), as a whole and as streams.

A stream writes one event per token. Its fixed parts are encoded once, and the generated text needs no escaping, so an
event is three joined byte strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from epp.simulator.errors import ApiError
from epp.simulator.sequences import Finish
from epp.simulator.tokens import TOKEN_BYTES, Tokens, count_tokens

__all__ = [
    "Choice",
    "ReplyHead",
    "ReplyStream",
    "ReplyUsage",
    "chat_reply",
    "chat_stream",
    "completion_reply",
    "completion_stream",
    "usage_of",
]

FINGERPRINT = "vllm-0.32.0-simulated"

_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """What all parts of one reply have in common."""

    id: str
    model: str
    """As the client named it."""
    created: int
    """Unix seconds."""
    block_size: int
    include_usage: bool = False
    continuous_usage: bool = False
    reports_cached_tokens: bool = True
    """Usage has details of the prompt; else they are null, and missing in streams."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One sequence of a reply. What it will say is known from the start; only when is not."""

    index: int
    prompt_index: int
    prompt_tokens: int
    text: Tokens
    finish: Finish

    @property
    def tokens(self) -> int:
        """Length of the text."""
        return count_tokens(self.text)


@dataclass(frozen=True, slots=True)
class ReplyUsage:
    """What a reply cost, in tokens. A prompt counts once, however many sequences it has."""

    prompt_tokens: int
    cached_tokens: int
    created_cache_tokens: int
    """Whole blocks of the prompt that were not in the cache before."""
    completion_tokens: int


class ReplyStream(Protocol):
    """Writes the events of one streamed reply."""

    def tokens(self, choice: Choice, start: int, stop: int) -> bytes:
        """Events for the tokens of a choice from `start` up to `stop`; what comes before and after them included."""
        ...

    def end(self, cached_tokens: Sequence[int]) -> bytes:
        """What follows the last token of the last choice. `cached_tokens` are those of each choice."""
        ...

    def error(self, error: ApiError) -> bytes:
        """What ends the stream when the engine failed."""
        ...


def usage_of(choices: Sequence[Choice], cached_tokens: Sequence[int], block_size: int) -> ReplyUsage:
    """Usage of a complete reply. `cached_tokens` are those of each choice."""
    first_of_prompt: dict[int, Choice] = {}
    for choice in choices:
        first_of_prompt.setdefault(choice.prompt_index, choice)
    prompts = [(choice.prompt_tokens, cached_tokens[choice.index]) for choice in first_of_prompt.values()]
    return ReplyUsage(
        prompt_tokens=sum(tokens for tokens, _ in prompts),
        cached_tokens=sum(cached for _, cached in prompts),
        created_cache_tokens=sum(tokens // block_size * block_size - cached for tokens, cached in prompts),
        completion_tokens=sum(choice.tokens for choice in choices),
    )


@dataclass(frozen=True, slots=True)
class _Form:
    """Where chat and completions differ in a stream: pieces of JSON around the usage and the text."""

    kind: str
    before_text: bytes
    after_text: bytes
    after_last_text: bytes
    """With a place for the reason why it ended."""
    opening: tuple[bytes, bytes] | None
    """Event before the first token: what stands before and after the usage."""
    created_cache_tokens: bool
    """Whether usage tells them."""


_CHAT = _Form(
    kind="chat.completion.chunk",
    before_text=b'"delta":{"content":"',
    after_text=b'"},"logprobs":null,"finish_reason":null,"token_ids":null}]',
    after_last_text=b'"},"logprobs":null,"finish_reason":"%s","stop_reason":null,"token_ids":null}]',
    opening=(
        b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]',
        b',"prompt_token_ids":null,"prompt_text":null}\n\n',
    ),
    created_cache_tokens=True,
)

_COMPLETION = _Form(
    kind="text_completion",
    before_text=b'"text":"',
    after_text=(
        b'","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]'
    ),
    after_last_text=(
        b'","logprobs":null,"finish_reason":"%s","stop_reason":null,"prompt_token_ids":null,"token_ids":null}]'
    ),
    opening=None,
    created_cache_tokens=False,
)


class _OpenAIStream:
    """A stream of `/v1/chat/completions` or `/v1/completions`."""

    def __init__(self, form: _Form, head: ReplyHead, choices: Sequence[Choice]) -> None:
        self._form = form
        self._head = head
        self._choices = choices
        fields = msgspec.json.encode({"id": head.id, "object": form.kind, "created": head.created, "model": head.model})
        self._start = b"data: " + fields[:-1] + b',"choices":['
        self._fingerprint = b',"system_fingerprint":"' + FINGERPRINT.encode() + b'"'

    def tokens(self, choice: Choice, start: int, stop: int) -> bytes:
        """See ReplyStream."""
        form, events = self._form, []
        before = self._start + b'{"index":%d,' % choice.index
        if start == 0 and form.opening is not None:
            events.append(before + form.opening[0] + self._usage_so_far(choice, 0) + form.opening[1])
        before += form.before_text
        for number in range(start, min(stop, choice.tokens - 1)):
            text = choice.text[number * TOKEN_BYTES : (number + 1) * TOKEN_BYTES]
            events.append(before + text + form.after_text + self._usage_so_far(choice, number + 1) + b"}\n\n")
        if stop == choice.tokens:
            after = form.after_last_text % choice.finish.value.encode() + self._usage_so_far(choice, stop)
            after += b"" if self._head.include_usage else self._fingerprint
            events.append(before + choice.text[-TOKEN_BYTES:] + after + b"}\n\n")
        return b"".join(events)

    def end(self, cached_tokens: Sequence[int]) -> bytes:
        """See ReplyStream."""
        if not self._head.include_usage:
            return _DONE
        usage = usage_of(self._choices, cached_tokens, self._head.block_size)
        details = {"cached_tokens": usage.cached_tokens}
        if self._form.created_cache_tokens:
            details["created_cache_tokens"] = usage.created_cache_tokens
        shown = {"prompt_tokens_details": details} if self._head.reports_cached_tokens else {}
        encoded = msgspec.json.encode(_counts(usage) | shown)
        return self._start + b'],"usage":' + encoded + self._fingerprint + b"}\n\n" + _DONE

    def error(self, error: ApiError) -> bytes:
        """See ReplyStream."""
        return b"data: " + error.openai() + b"\n\n" + _DONE

    def _usage_so_far(self, choice: Choice, tokens: int) -> bytes:
        if not self._head.continuous_usage:
            return b""
        usage = _counts(ReplyUsage(choice.prompt_tokens, 0, 0, tokens))
        return b',"usage":' + msgspec.json.encode(usage | {"completion_tokens_details": None})


def chat_stream(head: ReplyHead, choices: Sequence[Choice]) -> ReplyStream:
    """The stream of a chat."""
    return _OpenAIStream(_CHAT, head, choices)


def completion_stream(head: ReplyHead, choices: Sequence[Choice]) -> ReplyStream:
    """The stream of a completion."""
    return _OpenAIStream(_COMPLETION, head, choices)


def chat_reply(head: ReplyHead, choices: Sequence[Choice], cached_tokens: Sequence[int]) -> bytes:
    """A whole chat reply."""
    usage = usage_of(choices, cached_tokens, head.block_size)
    return msgspec.json.encode(
        {
            **_top(head, "chat.completion", [_chat_choice(choice) for choice in choices]),
            "usage": _whole_usage(head, usage, usage.created_cache_tokens),
            **dict.fromkeys(("prompt_logprobs", "prompt_token_ids", "prompt_text")),
            **dict.fromkeys(("kv_transfer_params", "ec_transfer_params", "metrics")),
        }
    )


def completion_reply(head: ReplyHead, choices: Sequence[Choice], cached_tokens: Sequence[int]) -> bytes:
    """A whole completion reply."""
    usage = usage_of(choices, cached_tokens, head.block_size)
    return msgspec.json.encode(
        {
            **_top(head, "text_completion", [_completion_choice(choice) for choice in choices]),
            "usage": _whole_usage(head, usage, None),
            **dict.fromkeys(("kv_transfer_params", "ec_transfer_params", "metrics")),
        }
    )


def _top(head: ReplyHead, kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
    }


def _chat_choice(choice: Choice) -> dict[str, object]:
    message = {"role": "assistant", "content": choice.text.decode()}
    return {
        "index": choice.index,
        "message": message | dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning")),
        "logprobs": None,
        "finish_reason": choice.finish.value,
        **dict.fromkeys(("stop_reason", "token_ids", "routed_experts")),
    }


def _completion_choice(choice: Choice) -> dict[str, object]:
    return {
        "index": choice.index,
        "text": choice.text.decode(),
        "logprobs": None,
        "finish_reason": choice.finish.value,
        **dict.fromkeys(("stop_reason", "token_ids", "prompt_logprobs", "prompt_token_ids", "routed_experts")),
    }


def _counts(usage: ReplyUsage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "completion_tokens": usage.completion_tokens,
    }


def _whole_usage(head: ReplyHead, usage: ReplyUsage, created_cache_tokens: int | None) -> dict[str, object]:
    details = {
        "cached_tokens": usage.cached_tokens,
        "created_cache_tokens": created_cache_tokens,
        "multimodal_tokens": None,
    }
    shown = details if head.reports_cached_tokens else None
    return {**_counts(usage), "prompt_tokens_details": shown, "completion_tokens_details": None}
