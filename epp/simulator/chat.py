"""How a conversation becomes tokens: the chat template of the simulated model.

Each message is a role and a content between special tokens, tools come first, and a last role token asks the model to
go on. A conversation that goes on begins with the tokens of what it was, reply included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from epp.simulator.tokens import BEGIN, END, ROLE, TOOLS, Tokens, join_tokens, media_tokens, tokens_of_text

__all__ = ["Content", "Message", "chat_tokens"]

Content = str | list[msgspec.Raw] | None
"""Text, or parts of which each is a JSON object."""

_MEDIA_TYPES = frozenset(("image_url", "input_audio", "audio_url", "video_url", "image", "document"))


class Message(msgspec.Struct, frozen=True):
    """One message, as OpenAI and Anthropic have them; what else it may carry is ignored."""

    role: str
    content: Content = None
    tool_calls: msgspec.Raw = msgspec.Raw()


class _Part(msgspec.Struct, frozen=True):
    type: str = "text"
    text: str | None = None


def chat_tokens(messages: Sequence[Message], tools: bytes = b"") -> Tokens:
    """The prompt. `tools` is their JSON as the client wrote it. Raises msgspec.ValidationError for a malformed part."""
    parts = [BEGIN]
    if tools:
        parts += TOOLS, tokens_of_text(tools), END
    for message in messages:
        parts += ROLE, tokens_of_text(message.role)
        parts += _content_tokens(message.content)
        if message.tool_calls:
            parts.append(tokens_of_text(bytes(message.tool_calls)))
        parts.append(END)
    parts += ROLE, tokens_of_text("assistant")
    return join_tokens(parts)


def _content_tokens(content: Content) -> Iterable[Tokens]:
    if content is None:
        return
    if isinstance(content, str):
        yield tokens_of_text(content)
        return
    for raw in content:
        part = msgspec.json.decode(raw, type=_Part)
        if part.type in _MEDIA_TYPES:
            yield media_tokens(bytes(raw))
        else:
            yield tokens_of_text(bytes(raw) if part.text is None else part.text)
