"""`prefix-cache-scorer`: endpoints that hold most of the prompt first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.prefix import BLOCK_BYTES
from epp.requests import InferenceRequest
from epp.scheduling.plugins.validation import more_than, within
from epp.scheduling.types import Values
from epp.scheduling.view import View

__all__ = ["PrefixCacheScorer", "matched_share"]


def matched_share(request: InferenceRequest, view: View) -> Values:
    """Share of the prompt's text that each candidate is believed to hold, 0 to 1; 0 without a prompt.

    The Go picker's ratio of blocks, with the last block in it that is not full, and as far as earlier matches there
    proved right. Media count neither in what is held nor in the whole: their tokens are guesses.
    """
    tokens = request.prompt_bytes / BLOCK_BYTES * view.features.tokens_per_block
    if tokens <= 0:
        return np.zeros(len(view))
    return np.minimum(1.0, view.matched_tokens / tokens)


@dataclass(slots=True)
class PrefixCacheScorer:
    """w * min(1, matched tokens / scale)^2 + (1 - w) * matched share. Source: llm-d-router `scorer/prefix`.

    Differs from the Go picker: matches count as far as an endpoint's cache proved to hold what was expected.
    """

    match_length_weight: float = 0.0
    """w, 0 to 1: how much the length of the match counts beside its share."""
    match_length_scale_tokens: int = 8192
    """Tokens from which on a longer match is no better."""
    prefix_match_info_producer_name: str = ""
    """Without effect: there is one prefix index."""
    lru_capacity_per_server: int | None = None
    """Old, as are the next: blocks that are remembered of a server whose capacity is not known. Write
    `epp.prefix.capacityTokens`."""
    hash_block_size: int | None = None
    """Old: bytes per block of `lruCapacityPerServer`. Blocks of the index are 256 bytes."""
    block_size: int | None = None
    """A later name of `hashBlockSize`, old likewise."""
    max_prefix_blocks_to_match: int | None = None
    """Old, without effect: a match costs next to nothing however long it is."""
    auto_tune: bool | None = None
    """Old, without effect: a server's capacity is taken from its metrics, where they tell."""

    OLD_BLOCK_BYTES = 64
    """The Go picker's old default."""

    @property
    def old_capacity_bytes(self) -> int | None:
        """Bytes of prompts that are remembered of a server whose capacity is not known; None when not given."""
        if self.lru_capacity_per_server is None:
            return None
        return self.lru_capacity_per_server * (self.hash_block_size or self.block_size or self.OLD_BLOCK_BYTES)

    def __post_init__(self) -> None:
        within("matchLengthWeight", self.match_length_weight, 0, 1)
        for key, value in (
            ("lruCapacityPerServer", self.lru_capacity_per_server),
            ("hashBlockSize", self.hash_block_size),
            ("blockSize", self.block_size),
        ):
            if value is not None:
                more_than(key, value, 0)
        if self.match_length_weight:
            more_than("matchLengthScaleTokens", self.match_length_scale_tokens, 0)

    def score(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,) in [0, 1]."""
        share = matched_share(request, view)
        if not self.match_length_weight:
            return share
        length = np.minimum(1.0, view.matched_tokens / self.match_length_scale_tokens)
        return self.match_length_weight * length**2 + (1.0 - self.match_length_weight) * share
