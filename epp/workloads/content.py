"""Ids of segments from what traces tell of their content, and what is assumed where they tell nothing."""

from __future__ import annotations

import xxhash

from epp.workloads.types import DEFAULT_BYTES_PER_TOKEN, Role, Segment

__all__ = ["ASSUMED_OUTPUT_TOKENS", "ASSUMED_TOKEN_S", "id_of", "pause_s", "text_segment", "tokens_of_bytes"]

_MAX_ID = 2**63 - 1

ASSUMED_OUTPUT_TOKENS = 256
"""Length of an answer where a trace does not tell it: about the mean of the Azure conversation trace (211)."""

ASSUMED_TOKEN_S = 0.012
"""Time that recorded answers took per token where a trace does not tell their end: about one step of an engine with a
few sequences (`epp.simulator.costs`)."""


def id_of(*parts: bytes | str | int) -> int:
    """An id for a segment: equal parts give equal ids, others different ones (63 bits)."""
    raw = [part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass") for part in parts]
    return xxhash.xxh3_64_intdigest(b"".join(len(part).to_bytes(8, "little") + part for part in raw)) & _MAX_ID


def tokens_of_bytes(size: int) -> int:
    """Tokens of a text of so many bytes, at least 1."""
    return max(1, round(size / DEFAULT_BYTES_PER_TOKEN))


def text_segment(text: bytes, role: Role) -> Segment:
    """The segment of a text that somebody said."""
    return Segment(id_of(text, role.value), tokens_of_bytes(len(text)), role)


def pause_s(start_s: float, previous_start_s: float, previous_output_tokens: int) -> float:
    """Pause before a session's next call where only starts were recorded: what is left after an assumed answer time."""
    return max(0.0, start_s - previous_start_s - previous_output_tokens * ASSUMED_TOKEN_S)
