"""The prompt of a request: the parts of its body that reach the model, in the order in which the model sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Raw

from epp.requests.fields import ABSENT, Fields
from epp.requests.media import MAX_MEDIA, cut_media, digest_of, kind_named
from epp.requests.types import Dialect, Media, Operation

__all__ = ["Prompt", "prompt_of"]

_TEMPLATE = ("chat_template", "chat_template_kwargs", "documents", "tools")
"""What chat templates take besides messages, and put first."""

_FIELDS: Mapping[Operation, tuple[str, ...]] = {
    Operation.CHAT: (*_TEMPLATE, "messages"),
    Operation.COMPLETIONS: ("prompt",),
    Operation.RESPONSES: ("chat_template_kwargs", "tools", "instructions", "input"),
    Operation.EMBEDDINGS: (*_TEMPLATE, "messages", "input"),
    Operation.GENERATE: ("token_ids",),
    Operation.RENDER: (*_TEMPLATE, "system", "messages", "prompt"),
    Operation.TOKENIZE: (*_TEMPLATE, "messages", "prompt"),
    Operation.POOLING: (*_TEMPLATE, "messages", "input"),
    Operation.CLASSIFY: (*_TEMPLATE, "messages", "input"),
    Operation.SCORE: ("text_1", "data_1", "queries", "text_2", "data_2", "items", "documents"),
    Operation.RERANK: ("query", "documents"),
    Operation.MESSAGES: ("chat_template_kwargs", "tools", "system", "messages"),
    Operation.COUNT_TOKENS: ("chat_template_kwargs", "tools", "system", "messages"),
    Operation.OPAQUE: (),
}

_WITH_MEDIA = frozenset({"messages", "input", "documents", "query", "queries", "items", "data_1", "data_2"})
_WITH_TOKEN_IDS = frozenset({"prompt", "input", "token_ids"})

_BILLING = b"x-anthropic-billing-header"
_BILLING_TEXT = re.compile(rb'"(?<!\\")' + _BILLING + rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""Claude Code puts a system block first whose text changes with every request. vLLM drops it, for else no prefix would
ever be found again (`AnthropicServingMessages._convert_system_message`); so do we."""


class Prompt(NamedTuple):
    """A prompt as bytes to hash, and its sizes."""

    parts: tuple[bytes, ...] = ()
    """Text, with digests where media were."""
    media: tuple[Media, ...] = ()
    text_bytes: int = 0
    """Length of the parts without the digests."""
    tokens: int | None = None
    """Where the client sent token ids."""


class _Placeholder(msgspec.Struct):
    offset: int


class _Features(msgspec.Struct):
    """Multi-modal part of `/inference/v1/generate` (vLLM `MultiModalFeatures`): by kind, hashes and token positions."""

    mm_hashes: dict[str, list[str]] = {}
    mm_placeholders: dict[str, list[_Placeholder]] = {}


_FEATURES = msgspec.json.Decoder(_Features)


def prompt_of(operation: Operation, dialect: Dialect, fields: Fields) -> Prompt:
    """The prompt of an operation, from whatever of its fields is there. Any shape will do."""
    parts: list[bytes] = []
    media: list[Media] = []
    tokens: int | None = None
    for name in _FIELDS[operation]:
        raw: Raw = getattr(fields, name)
        if raw is ABSENT or (text := bytes(raw)) == b"null":
            continue
        if name == "system" and text.startswith(b"[") and _BILLING in text:
            text = _BILLING_TEXT.sub(b'"', text)
        if name in _WITH_TOKEN_IDS:
            tokens = _count_token_ids(text)
        if name in _WITH_MEDIA and not text.startswith(b'"') and tokens is None:
            pieces, items = cut_media(text, dialect)
            parts += pieces
            media += items
        else:
            parts.append(text)
    if operation is Operation.GENERATE and parts and fields.features is not ABSENT:
        parts, media = _with_features(parts[0], fields.features)
    digests = sum(len(item.digest) for item in media)
    return Prompt(tuple(parts), tuple(media), sum(map(len, parts)) - digests, tokens)


def _count_token_ids(text: bytes) -> int | None:
    """Number of token ids in a list of them or in a list of lists, None for anything else.

    Such a text has no quotes, and a comma between any two ids.
    """
    if not text.startswith(b"[") or b'"' in text or b"{" in text:
        return None
    return text.count(b",") + 1 if any(digit in text for digit in b"0123456789") else 0


def _with_features(token_ids: bytes, features: Raw) -> tuple[list[bytes], list[Media]]:
    """Puts the digest of each media item before its first placeholder token: placeholders of different images are the
    same tokens. Items without a position come first.
    """
    items = sorted(islice(_media_at(features), MAX_MEDIA), key=lambda item: item[0])
    if not items:
        return [token_ids], []
    commas = np.flatnonzero(np.frombuffer(token_ids, np.uint8) == ord(","))
    parts: list[bytes] = []
    done = 0
    for offset, item in items:
        position = int(commas[min(offset, len(commas)) - 1]) if offset > 0 and len(commas) else 0
        parts += (token_ids[done:position], item.digest)
        done = position
    parts.append(token_ids[done:])
    return parts, [item for _, item in items]


def _media_at(features: Raw) -> Iterator[tuple[int, Media]]:
    try:
        decoded = _FEATURES.decode(features)
    except (ValueError, RecursionError):
        return
    for kind, hashes in decoded.mm_hashes.items():
        placeholders = decoded.mm_placeholders.get(kind, [])
        for index, text in enumerate(hashes):
            content = text.encode()
            offset = placeholders[index].offset if index < len(placeholders) else 0
            yield offset, Media(kind_named(kind) or "image", digest_of(content), len(content))
