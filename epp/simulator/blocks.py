"""The KV cache: blocks that sequences hold, and what is remembered of those that nobody holds.

A block is in one of three states: *used* (some sequence holds it), *cached* (nobody does, but its content has a hash
and can be found again), *free* (its content is forgotten). `used + cached + free == total`, always. Blocks that nobody
holds, cached or free, wait in one queue and are taken from its front: least recently used first, and of one sequence
the tail before the root, because a tail is useless without its root. The rules are those of vLLM
(`v1/core/block_pool.py`), its duplicates included: two blocks may carry the same hash.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NewType

__all__ = ["Block", "BlockHash", "BlockPool"]

Block = NewType("Block", int)
"""Index of a block in its pool."""

BlockHash = NewType("BlockHash", int)
"""Names a block's content together with all that comes before it."""

_NONE = Block(-1)


class BlockPool:
    """Blocks of one engine. Every operation costs O(blocks named in the call), whatever the size of the cache."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._holders = [0] * total
        self._hashes: list[BlockHash | None] = [None] * total
        self._idle: OrderedDict[Block, None] = OrderedDict((Block(block), None) for block in range(total))
        """Blocks that nobody holds, the next to be taken first. A plain dict would search past its deleted front."""
        self._idle_hashed = 0
        self._by_hash: dict[BlockHash, Block] = {}
        """Newest block with the hash; older copies are chained behind it."""
        self._older: list[Block] = [_NONE] * total
        self._newer: list[Block] = [_NONE] * total

    @property
    def available(self) -> int:
        """Blocks that can be taken: cached or free."""
        return len(self._idle)

    @property
    def used(self) -> int:
        """Blocks that sequences hold."""
        return self.total - len(self._idle)

    @property
    def cached(self) -> int:
        """Blocks that nobody holds and that can be found by their hash."""
        return self._idle_hashed

    def match(self, hashes: Iterable[BlockHash]) -> list[Block]:
        """Blocks for the longest run of hashes, from the first on, that are all there."""
        found: list[Block] = []
        for block_hash in hashes:
            block = self._by_hash.get(block_hash)
            if block is None:
                break
            found.append(block)
        return found

    def count_idle(self, blocks: Iterable[Block]) -> int:
        """How many of these nobody holds: holding them makes as many fewer available."""
        return sum(1 for block in blocks if not self._holders[block])

    def hold(self, blocks: Iterable[Block]) -> None:
        """One more sequence holds these; they cannot be evicted until it releases them."""
        for block in blocks:
            if not self._holders[block]:
                del self._idle[block]
                self._idle_hashed -= self._hashes[block] is not None
            self._holders[block] += 1

    def take(self, count: int) -> list[Block]:
        """`count` blocks for one sequence, evicting what they held. The caller has made sure of `available`."""
        assert count <= len(self._idle), "took more blocks than there are"
        taken: list[Block] = []
        for _ in range(count):
            block, _none = self._idle.popitem(last=False)
            self._forget(block)
            self._holders[block] = 1
            taken.append(block)
        return taken

    def store(self, block: Block, block_hash: BlockHash) -> None:
        """The content of a held block is complete: it can be found from now on."""
        assert self._holders[block], "only a held block gets content"
        if self._hashes[block] is not None:
            return
        self._hashes[block] = block_hash
        older = self._by_hash.get(block_hash, _NONE)
        self._older[block] = older
        if older != _NONE:
            self._newer[older] = block
        self._by_hash[block_hash] = block

    def release(self, blocks: Sequence[Block]) -> None:
        """A sequence lets go of its blocks, given from its root to its tail."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            assert self._holders[block] >= 0, "released a block twice"
            if not self._holders[block]:
                self._idle[block] = None
                self._idle_hashed += self._hashes[block] is not None

    def forget_all(self) -> None:
        """Forget all content. Nothing may be held."""
        assert not self.used, "content is still in use"
        for block in list(self._idle):
            self._forget(block)

    def _forget(self, block: Block) -> None:
        block_hash = self._hashes[block]
        if block_hash is None:
            return
        older, newer = self._older[block], self._newer[block]
        if older != _NONE:
            self._newer[older] = newer
        if newer != _NONE:
            self._older[newer] = older
        elif older != _NONE:
            self._by_hash[block_hash] = older
        else:
            del self._by_hash[block_hash]
        self._hashes[block], self._older[block], self._newer[block] = None, _NONE, _NONE
        self._idle_hashed -= 1

    def __repr__(self) -> str:
        return f"<BlockPool {self.used} used, {self.cached} cached, {self.available - self.cached} free>"
