"""KV blocks that were evicted to the host's memory."""

from __future__ import annotations

from collections import OrderedDict

from epp.simulator.blocks import BlockHash, BlockHashes

__all__ = ["HostTier"]


class HostTier:
    """The blocks that were evicted last; those that were neither evicted nor found for longest go first.

    Costs O(blocks) in each call, so it is only there where it is wanted.
    """

    def __init__(self, blocks: int) -> None:
        self._limit = blocks
        self._blocks: OrderedDict[BlockHash, None] = OrderedDict()
        """Least recently used first."""

    def add(self, hashes: BlockHashes, start: int, end: int) -> None:
        """Take in blocks from `start` to before `end` of a sequence with these hashes."""
        blocks = self._blocks
        for index in range(end - 1, start - 1, -1):  # the tail goes first here too
            block_hash = hashes[index]
            blocks[block_hash] = None
            blocks.move_to_end(block_hash)
        while len(blocks) > self._limit:
            blocks.popitem(last=False)

    def count(self, hashes: BlockHashes, start: int, end: int) -> int:
        """How many blocks from `start` on, up to before `end`, are here without a gap."""
        position = start
        while position < end and hashes[position] in self._blocks:
            position += 1
        return position - start

    def use(self, hashes: BlockHashes, start: int, end: int) -> None:
        """These were found and are loaded. They stay here too."""
        for index in range(end - 1, start - 1, -1):
            self._blocks.move_to_end(hashes[index])

    def __len__(self) -> int:
        return len(self._blocks)
