"""A tokenizer without a vocabulary, the hashes of token blocks, and the text that simulated models produce.

A token is four bytes of UTF-8 text, read as a little-endian number; so a common beginning of two texts is a common
beginning of their tokens, and about four bytes per token is what real tokenizers reach on English. The end of a text
is filled up with zero bytes. Special tokens start with byte 0xFF, which no text contains.

Generated text consists of words of four bytes each: when a client sends it back as part of a longer conversation, its
tokens are the ones that were generated, and their blocks are found in the cache, as with a real model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NewType

import numpy as np
import xxhash

from epp.simulator.blocks import BlockHash

__all__ = [
    "BEGIN",
    "END",
    "MAX_TOKEN_ID",
    "MEDIA",
    "ROLE",
    "TOKEN_BYTES",
    "TOOLS",
    "Tokens",
    "block_hashes",
    "count_tokens",
    "filler_text",
    "join_tokens",
    "media_tokens",
    "seed_of",
    "token_ids",
    "token_texts",
    "tokens_of_ids",
    "tokens_of_text",
]

Tokens = NewType("Tokens", bytes)
"""Four bytes per token."""

TOKEN_BYTES = 4
MAX_TOKEN_ID = 2**32 - 1

BEGIN, ROLE, END, TOOLS, MEDIA = (Tokens(bytes((0xFF, 0xFF, 0xFF, number))) for number in range(5))

_MEDIA_TOKENS = 256
"""Tokens of an image or another media item, whatever its size: an assumption, between the 64 to 1,500 that models use
for one image."""

_WORDS = np.frombuffer(
    b" the and for you all any can had her was one our out day get has"
    b" him his how man new now old see two way who did its let put say",
    dtype="S4",
)
"""Words of four bytes, the space included, that JSON needs not escape."""


def tokens_of_text(text: str | bytes) -> Tokens:
    """Tokens of a text. Half a surrogate pair is kept as it is."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return Tokens(data + bytes(-len(data) % TOKEN_BYTES))


def tokens_of_ids(ids: Sequence[int]) -> Tokens:
    """Tokens by their numbers, each at most `MAX_TOKEN_ID`."""
    return Tokens(np.array(ids, dtype="<u4").tobytes())


def media_tokens(content: bytes) -> Tokens:
    """Tokens that stand for an image or other media: equal for equal content."""
    digest = xxhash.xxh3_128_digest(content)
    return Tokens(MEDIA + digest * (_MEDIA_TOKENS * TOKEN_BYTES // len(digest)))


def join_tokens(parts: Iterable[Tokens]) -> Tokens:
    """One after the other."""
    return Tokens(b"".join(parts))


def count_tokens(tokens: Tokens) -> int:
    """How many there are."""
    return len(tokens) // TOKEN_BYTES


def token_ids(tokens: Tokens) -> list[int]:
    """The number of each."""
    ids: list[int] = np.frombuffer(tokens, dtype="<u4").tolist()
    return ids


def token_texts(tokens: Tokens) -> list[str]:
    """The text of each, as far as four bytes of UTF-8 are text."""
    return [
        tokens[start : start + TOKEN_BYTES].rstrip(b"\0").decode("utf-8", "replace")
        for start in range(0, len(tokens), TOKEN_BYTES)
    ]


def block_hashes(tokens: Tokens, block_size: int, seed: int) -> list[BlockHash]:
    """A chained hash for each whole block of `block_size` tokens. `seed` separates adapters and cache salts."""
    width = block_size * TOKEN_BYTES
    hashes: list[BlockHash] = []
    parent = seed
    for start in range(0, len(tokens) - width + 1, width):
        parent = xxhash.xxh3_64_intdigest(tokens[start : start + width], seed=parent)
        hashes.append(BlockHash(parent))
    return hashes


def seed_of(parts: Sequence[str | bytes], seed: int = 0) -> int:
    """A 64-bit number that differs whenever a part does."""
    raw = [part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass") for part in parts]
    return int(xxhash.xxh3_64_intdigest(b"".join(len(part).to_bytes(8, "little") + part for part in raw), seed=seed))


def filler_text(words: int, seed: int) -> Tokens:
    """Text of that many words, each of which is one token. ASCII; a longer text begins with a shorter one's words."""
    picks = np.random.Generator(np.random.PCG64(seed)).integers(0, len(_WORDS), size=words, dtype=np.int32)
    return Tokens(_WORDS[picks].tobytes())
