"""Names for the prefixes of a prompt that is known by its segments: the hashes that caches and pickers would see.

Two prompts have one name for their first n tokens if, and but for collisions of 64-bit hashes only if, the segments
that make up these tokens are the same. So one prompt can be cut into a server's KV blocks, in tokens, and into a
picker's prefix blocks, in bytes, and prefix relations hold in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

from epp.mixing import mixed
from epp.workloads.types import Call, Segment, Workload

__all__ = ["call_names", "prefix_names", "reusable_tokens", "seed_of_names"]

Names = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xBF58476D1CE4E5B9)


def prefix_names(ids: Sequence[int], lengths: Sequence[int], unit: int, seed: int = 0) -> Names:
    """A name for each prefix of 1, 2, 3 ... whole units; what is left at the end has none.

    `ids` and `lengths` of the pieces, in the order in which they stand; lengths in any unit of length, `unit` in the
    same. Prompts with different seeds (model, adapter) share nothing.
    """
    sizes = np.asarray(lengths, np.int64)
    ends = np.cumsum(sizes)
    count = int(ends[-1]) // unit if len(ends) else 0
    positions = np.arange(1, count + 1, dtype=np.int64) * unit
    piece = np.searchsorted(ends, positions)  # the piece in which the last token of the prefix stands
    names = mixed(np.asarray(ids, np.uint64) + _GOLDEN)
    places = mixed(np.arange(len(sizes), dtype=np.uint64) * _GOLDEN)
    whole = mixed(names ^ mixed(sizes.astype(np.uint64))) * (places | np.uint64(1))
    before = np.concatenate((np.zeros(1, np.uint64), np.cumsum(whole[:-1], dtype=np.uint64)))
    offsets = (positions - (ends - sizes)[piece]).astype(np.uint64)
    return mixed(before[piece] + names[piece] * _ODD + offsets * _GOLDEN + np.uint64(seed))


def reusable_tokens(workload: Workload, block_tokens: int = 16) -> NDArray[np.int64]:
    """Prompt tokens of each call that a cache without bounds, shared by all servers, would hold: the ceiling.

    Whole blocks only, and never the last token of a prompt, which must be computed. Calls count in the workload's
    order, an answer from its call on.
    """
    seen: set[int] = set()
    reusable = np.zeros(len(workload.calls), np.int64)
    for index, call in enumerate(workload.calls):
        names = call_names(call, block_tokens).tolist()
        usable = names[: (call.prompt_tokens - 1) // block_tokens]
        reusable[index] = block_tokens * _leading(usable, seen)
        seen.update(names)
    return reusable


def call_names(call: Call, block_tokens: int) -> Names:
    """Names of the blocks of prompt and answer together, as a server's cache has them."""
    pieces: Iterable[Segment] = (*call.prompt, call.output)
    ids, lengths = zip(*((piece.id, piece.tokens) for piece in pieces), strict=True)
    return prefix_names(ids, lengths, block_tokens, seed_of_names(call.model, call.adapter))


def seed_of_names(model: str, adapter: str) -> int:
    """A seed for each pair of model and adapter."""
    return xxhash.xxh3_64_intdigest(f"{model}\0{adapter}".encode()) if model or adapter else 0


def _leading(names: Sequence[int], seen: set[int]) -> int:
    return next((place for place, name in enumerate(names) if name not in seen), len(names))
