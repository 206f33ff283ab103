"""The prompt of a request: the parts of its body that reach the model, in the order in which the model sees them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Raw

from epp.requests.fields import ABSENT, Fields
from epp.requests.media import MAX_MEDIA, WINDOW_BYTES, cut_media, digest_of, kind_named
from epp.requests.types import Dialect, Media, Operation

__all__ = ["MAX_BILLING_BLOCKS", "Prompt", "prompt_of"]

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

_BILLING = b'"x-anthropic-billing-header'
_BILLING_TEXT = re.compile(rb'"(?<!\\")' + _BILLING[1:] + rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""Claude Code puts a system block first whose text changes with every request. vLLM drops it, for else no prefix would
ever be found again (`AnthropicServingMessages._convert_system_message`); so do we."""

MAX_BILLING_BLOCKS = 16
"""In one prompt; Claude Code sends one. More stay in the text."""

_MAX_FEATURES_BYTES = 1024 * 1024
"""Of hashes, and of placeholders. A hash is some 64 characters, a placeholder some 30."""


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

    mm_hashes: Raw = ABSENT
    mm_placeholders: Raw = ABSENT


_FEATURES = msgspec.json.Decoder(_Features)
_HASHES = msgspec.json.Decoder(dict[str, list[str]])
_PLACEHOLDERS = msgspec.json.Decoder(dict[str, list[_Placeholder]])


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
            text = _without_billing(text)
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


def _without_billing(text: bytes) -> bytes:
    pieces: list[bytes] = []
    done, start = 0, -1
    for _ in range(MAX_BILLING_BLOCKS):
        start = text.find(_BILLING, start + 1)
        if start < 0:
            break
        if match := _BILLING_TEXT.match(text, start):
            pieces.append(text[done : start + 1])
            done = match.end()
    return b"".join([*pieces, memoryview(text)[done:]])


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
    parts: list[bytes] = []
    done = 0
    for (_, item), position in zip(items, _commas(token_ids, [offset for offset, _ in items]), strict=True):
        parts += (token_ids[done:position], item.digest)
        done = position
    parts.append(token_ids[done:])
    return parts, [item for _, item in items]


def _commas(token_ids: bytes, offsets: list[int]) -> list[int]:
    """Where the commas before the tokens of these rising offsets stand: 0 for the first, the last for those beyond."""
    found: list[int] = []
    seen = last = 0
    letters = np.frombuffer(token_ids, np.uint8)
    for start in range(0, len(letters), WINDOW_BYTES):
        commas = np.flatnonzero(letters[start : start + WINDOW_BYTES] == ord(","))
        reached = bisect_right(offsets, seen + len(commas))
        found += [start + int(commas[n - seen - 1]) if n > 0 else 0 for n in offsets[len(found) : reached]]
        if reached == len(offsets):
            break
        seen += len(commas)
        last = start + int(commas[-1]) if len(commas) else last
    return found + [last] * (len(offsets) - len(found))


def _media_at(features: Raw) -> Iterator[tuple[int, Media]]:
    try:
        raw = _FEATURES.decode(features)
        if max(len(bytes(raw.mm_hashes)), len(bytes(raw.mm_placeholders))) > _MAX_FEATURES_BYTES:
            return
        kinds = _HASHES.decode(raw.mm_hashes) if raw.mm_hashes is not ABSENT else {}
        places = _PLACEHOLDERS.decode(raw.mm_placeholders) if raw.mm_placeholders is not ABSENT else {}
    except (ValueError, RecursionError):
        return
    for kind, hashes in kinds.items():
        placeholders = places.get(kind, [])
        for index, text in enumerate(hashes):
            content = text.encode()
            offset = placeholders[index].offset if index < len(placeholders) else 0
            yield offset, Media(kind_named(kind) or "image", digest_of(content), len(content))
