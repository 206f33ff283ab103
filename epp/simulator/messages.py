"""Replies of Anthropic's Messages API in the form that vLLM gives them (`entrypoints/anthropic/serving.py`).

Input tokens do not include those that were read from the cache; the first event does not know them yet and tells the
whole prompt. So does a server that reports no cached tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from epp.simulator.errors import ApiError
from epp.simulator.replies import Choice, ReplyHead, ReplyStream, usage_of
from epp.simulator.sequences import Finish
from epp.simulator.tokens import TOKEN_BYTES

__all__ = ["messages_reply", "messages_stream"]

_STOP_REASON = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens"}

_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"'


def messages_reply(head: ReplyHead, choices: Sequence[Choice], cached_tokens: Sequence[int]) -> bytes:
    """A whole reply."""
    choice = choices[0]
    return msgspec.json.encode(
        {
            "id": head.id,
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": choice.text.decode()}],
            "model": head.model,
            "stop_reason": _STOP_REASON[choice.finish],
            "usage": _usage(head, choices, cached_tokens),
        }
    )


def messages_stream(head: ReplyHead, choices: Sequence[Choice]) -> ReplyStream:
    """The stream of a message."""
    return _MessagesStream(head, choices)


class _MessagesStream:
    def __init__(self, head: ReplyHead, choices: Sequence[Choice]) -> None:
        self._head = head
        self._choices = choices

    def tokens(self, choice: Choice, start: int, stop: int) -> bytes:
        """See ReplyStream."""
        events = [self._opening(choice)] if start == 0 else []
        for number in range(start, stop):
            text = choice.text[number * TOKEN_BYTES : (number + 1) * TOKEN_BYTES]
            events.append(_DELTA + text + b'"},"index":0}\n\n')
        return b"".join(events)

    def end(self, cached_tokens: Sequence[int]) -> bytes:
        """See ReplyStream."""
        delta = {"stop_reason": _STOP_REASON[self._choices[0].finish]}
        usage = _usage(self._head, self._choices, cached_tokens)
        return (
            _event({"type": "content_block_stop", "index": 0})
            + _event({"type": "message_delta", "delta": delta, "usage": usage})
            + _event({"type": "message_stop"})
        )

    def error(self, error: ApiError) -> bytes:
        """See ReplyStream."""
        return b"event: error\ndata: " + error.anthropic() + b"\n\n"

    def _opening(self, choice: Choice) -> bytes:
        message: dict[str, object] = {
            "id": self._head.id,
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": self._head.model,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": choice.prompt_tokens, "output_tokens": 0},
        }
        block = {"type": "content_block_start", "content_block": {"type": "text", "text": ""}, "index": 0}
        return _event({"type": "message_start", "message": message}) + _event(block)


def _event(fields: dict[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (str(fields["type"]).encode(), msgspec.json.encode(fields))


def _usage(head: ReplyHead, choices: Sequence[Choice], cached_tokens: Sequence[int]) -> dict[str, int]:
    usage = usage_of(choices, cached_tokens, head.block_size)
    if not head.reports_cached_tokens:
        return {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
    }
