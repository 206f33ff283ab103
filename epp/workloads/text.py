"""Text for workloads: what a segment reads like, and the bodies of requests that carry it.

The same segment is the same text everywhere, so prompts that begin with the same segments begin with the same bytes,
in the raw JSON too. What a server answers is its own affair: where a later prompt of a session quotes an answer, it
quotes the text that is made here of the answer's segment, not what the server said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from types import MappingProxyType

import msgspec
import numpy as np
import xxhash

from epp.workloads.types import DEFAULT_BYTES_PER_TOKEN, Api, Call, Role, Segment

__all__ = ["PATHS", "body_of", "text_bytes", "text_of"]

PATHS: Mapping[Api, str] = MappingProxyType(
    {Api.CHAT: "/v1/chat/completions", Api.COMPLETIONS: "/v1/completions", Api.EMBEDDINGS: "/v1/embeddings"}
)
"""Where a call's body is sent."""

_ROLES: Mapping[Role, str] = MappingProxyType(
    {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant", Role.TOOL: "user"}
)
"""What tools say is sent as the user's, as mini-swe-agent does: OpenAI's tool messages must name the call that they
answer, which chat templates check and a workload does not know."""

_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeio"
_SYLLABLES = tuple(consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS)
_NAME_SYLLABLES = 8  # of 6 bits each: two of a million segments have one name with probability 0.002

_ENGLISH = """
    the of and to in is that for it as was with on by at from this have or not are but had they which one you were
    all her she there would their we him been has when who will more no if out so said what up its about into than
    them can only other new some could time these two may then do first any my now such like our over man me even
    most made after also did many before must through back years where much your way well down should because each
    just those people how too little state good very make world still own see men work long get here between both
    life being
"""
_WORDS = _ENGLISH.split()
_PHRASES = 512  # a power of 2
_PHRASE_LETTERS = 24


def _phrase_book() -> tuple[str, ...]:
    """Phrases of nearly one length to write with: choosing words one by one takes six times as long."""
    picks = iter((np.random.PCG64(2024).random_raw(8 * _PHRASES) % np.uint64(len(_WORDS))).tolist())
    book = []
    for _ in range(_PHRASES):
        phrase = ""
        while len(phrase) < _PHRASE_LETTERS:
            phrase += _WORDS[next(picks)] + " "
        book.append(phrase)
    return tuple(book)


_BOOK = _phrase_book()
_PICK_BITS = np.uint64(64 - _PHRASES.bit_length() + 1)


def text_bytes(tokens: int, bytes_per_token: float = DEFAULT_BYTES_PER_TOKEN) -> int:
    """Length of the text of so many tokens; at least one byte for one token."""
    return max(1, round(tokens * bytes_per_token)) if tokens else 0


def text_of(segment: Segment, bytes_per_token: float = DEFAULT_BYTES_PER_TOKEN) -> str:
    """A segment's text: `text_bytes` letters and spaces, which JSON writes as they are.

    It opens with a word of 16 letters that names the segment, so texts of different segments differ early. The same in
    every process and version. Takes 20 us for 2 KB, 4 ms for 400 KB.
    """
    size = text_bytes(segment.tokens, bytes_per_token)
    digest = xxhash.xxh3_64_intdigest(segment.id.to_bytes(8, "little"))
    name = "".join(_SYLLABLES[digest >> shift & 63] for shift in range(0, 6 * _NAME_SYLLABLES, 6))
    if size <= len(name):
        return name[:size]
    # Multiples of an odd number: their upper bits walk through the book, on another way for each segment.
    steps = np.arange(1, (size - len(name)) // _PHRASE_LETTERS + 2, dtype=np.uint64) * np.uint64(digest | 1)
    return (name + " " + "".join([_BOOK[pick] for pick in (steps >> _PICK_BITS).tolist()]))[:size]


def body_of(call: Call, model: str = "", bytes_per_token: float = DEFAULT_BYTES_PER_TOKEN) -> bytes:
    """The JSON body of a call, for the path in `PATHS`. `model` is the base model, for calls that name none.

    A server of vLLM's kind answers with exactly `call.output.tokens` tokens. Neighbouring segments of one role make
    one message, as clients write them.
    """
    head: dict[str, object] = {"model": call.adapter or call.model or model}
    if call.api is Api.EMBEDDINGS:
        return msgspec.json.encode({**head, "input": _joined(call.prompt, bytes_per_token)})
    tokens = call.output.tokens
    head |= {"max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True, "stream": call.stream}
    if call.stream:
        head["stream_options"] = {"include_usage": True}
    if call.api is Api.COMPLETIONS:
        return msgspec.json.encode({**head, "prompt": _joined(call.prompt, bytes_per_token)})
    messages = [
        {"role": role, "content": _joined(segments, bytes_per_token)}
        for role, segments in groupby(call.prompt, key=lambda segment: _ROLES[segment.role])
    ]
    return msgspec.json.encode({**head, "messages": messages})


def _joined(segments: Iterable[Segment], bytes_per_token: float) -> str:
    return "".join(text_of(segment, bytes_per_token) for segment in segments)
