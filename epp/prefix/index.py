"""Which endpoint holds which chains of prefix blocks.

A compressed radix tree: a node is a run of blocks that were always seen together, found by the hash of its first block
alone, because that hash names the whole prefix before it. So a match takes a few dictionary look-ups, whatever the
length of the prompt. A *holding* is one endpoint's share of one node: its first `count` blocks.

Order. Each endpoint's holdings form a list from least to most recently used, and within one touch from the tail of the
chain to its root. Invariants, which make the first of a list always a tail:
- an endpoint that holds any of a node holds all of the nodes above it;
- in an endpoint's list a node stands before (older than) every node above it.
The stock OrderedDict keeps such an order too, but cannot put an element next to another one, which splitting a node
needs; so the list is linked through the holdings themselves.

Bounds. An endpoint holds at most `capacity` blocks, what its server's cache can hold: an index that remembers more
predicts hits that are long gone. All endpoints together stay within `limit_bytes`, by the sizes below.

Late reuse tells whether caches are too small for what is asked: a block that is used again although half of its life
in a cache is over would have been missed had the cache been half as large. Ages are counted in insertions. The life of
a cache's blocks is the age of its oldest one (the characteristic time of Che, Tung and Wang, 2002); while the cache is
not full, the age that its oldest one will have when it is.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epp.prefix.hashing import HASH_BYTES, PrefixChain

__all__ = ["Insertion", "PrefixIndex"]

NODE_BYTES = 480
"""A node with its key, its dictionary of holders and their slots, measured by tracemalloc on CPython 3.11."""

HOLDING_BYTES = 200
"""A holding with its slot in the node's dictionary, likewise."""

_EVICTED_SHARE = 0.02
"""Once over the byte limit, this share is freed at one go, so that the search for the oldest is paid rarely."""

_LATE_LIFE = 0.5
"""Share of a block's life in a cache after which a use is late."""

_REUSE_MEMORY = 0.5
"""After this share of all caches' blocks, what was counted of reuse counts half."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """What one insertion did, so that it can be taken back."""

    chain: PrefixChain
    row: int
    kept: int
    """Blocks of the chain that the endpoint held before."""
    stamp: int
    """Names the insertion."""
    late: int = 0
    """Blocks of these that were last used long before."""


class _Holding:
    """One endpoint's share of a node, and a link of that endpoint's list."""

    __slots__ = ("count", "newer", "node", "older", "used")

    def __init__(self, node: _Node | None, count: int) -> None:
        self.node = node
        self.count = count
        self.used = 0
        self.older = self
        self.newer = self

    def unlink(self) -> None:
        self.older.newer, self.newer.older = self.newer, self.older

    def link_before(self, other: _Holding) -> None:
        """Stands next to `other`, on its older side."""
        self.older, self.newer = other.older, other
        other.older.newer = self
        other.older = self


class _Node:
    """A run of blocks and who holds how many of them, from the first on."""

    __slots__ = ("_arrays", "blocks", "holders")

    def __init__(self, blocks: bytes) -> None:
        self.blocks = blocks
        self.holders: dict[int, _Holding] = {}
        self._arrays: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.blocks) // HASH_BYTES

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and counts of the holders."""
        if self._arrays is None:
            size = len(self.holders)
            rows = np.fromiter(self.holders, np.int64, size)
            counts = np.fromiter((holding.count for holding in self.holders.values()), np.int64, size)
            self._arrays = rows, counts
        return self._arrays

    def changed(self) -> None:
        """Holders or counts are others than before."""
        self._arrays = None

    def common(self, chain: bytes, start: int) -> int:
        """Number of blocks that equal the chain's from block `start` on; at least one when the key was equal."""
        own, other = self.blocks, chain[start * HASH_BYTES : start * HASH_BYTES + len(self.blocks)]
        if own == other:
            return len(self)
        low, high = 0, min(len(own), len(other)) // HASH_BYTES
        while low < high:  # equal up to `low`, different beyond `high`
            middle = (low + high + 1) // 2
            if own[: middle * HASH_BYTES] == other[: middle * HASH_BYTES]:
                low = middle
            else:
                high = middle - 1
        return low


class _Holder:
    """One endpoint's list of holdings; the links run through a sentinel."""

    __slots__ = ("blocks", "capacity", "ends")

    def __init__(self) -> None:
        self.ends = _Holding(None, 0)
        self.blocks = 0
        self.capacity: int | None = None

    @property
    def oldest(self) -> _Holding | None:
        first = self.ends.newer
        return None if first is self.ends else first


class PrefixIndex:
    """Maps chains of block hashes to endpoint rows. Rows are small integers that the caller gives and takes back.

    Cost: a match takes time in the number of nodes on the chain's path, not in blocks, and numpy handles the holders of
    a node at one go. So does an insertion, but where it leaves a node within, which then is split for all its holders.
    """

    def __init__(self, limit_bytes: int = 256 * 1024 * 1024) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.evicted_blocks = 0
        self._nodes: dict[bytes, _Node] = {}
        self._holders: dict[int, _Holder] = {}
        self._clock = 0
        self._capacity = 0
        self._late_blocks = 0.0
        self._new_blocks = 0.0

    @property
    def late_reuse(self) -> float:
        """Blocks that were used again late in their life, over these and new ones, lately: 0 to 1.

        About how much of what an insertion pushes out will be asked for. 0 where capacities are unknown.
        """
        seen = self._late_blocks + self._new_blocks
        return self._late_blocks / seen if seen else 0.0

    @property
    def entries(self) -> int:
        """Number of (block, endpoint) pairs that are remembered."""
        return sum(holder.blocks for holder in self._holders.values())

    def blocks_of(self, row: int) -> int:
        """Blocks that the endpoint is believed to hold."""
        holder = self._holders.get(row)
        return holder.blocks if holder else 0

    def set_capacity(self, row: int, blocks: int | None) -> None:
        """Blocks that the endpoint's cache can hold; None: not known, so bounded by the byte limit alone."""
        holder = self._holder(row)
        self._capacity += (blocks or 0) - (holder.capacity or 0)
        holder.capacity = blocks
        self._fit_capacity(row, holder)

    def match(self, chain: PrefixChain, rows: int) -> NDArray[np.int64] | None:
        """Leading blocks of the chain that each row holds, for rows 0 to `rows` - 1; None when none holds any."""
        node = self._nodes.get(chain[:HASH_BYTES])
        if node is None:
            return None
        matched = np.zeros(rows, np.int64)
        start, total = 0, len(chain) // HASH_BYTES
        while node is not None:
            common = node.common(chain, start)
            holders, counts = node.arrays()
            matched[holders] = start + np.minimum(counts, common)
            start += common
            if common < len(node) or start >= total:
                break
            node = self._nodes.get(chain[start * HASH_BYTES : (start + 1) * HASH_BYTES])
        return matched

    def insert(self, chain: PrefixChain, row: int) -> Insertion:
        """Notes that the endpoint was given the chain."""
        self._clock += 1
        holder = self._holder(row)
        path = self._path(chain)
        late = self._late_blocks_of(path, row, holder) if holder.capacity else 0
        kept = sum(self._touch(node, row, holder, count) for node, count in reversed(path))
        if holder.capacity:
            self._count_reuse(late, len(chain) // HASH_BYTES - kept)
        insertion = Insertion(chain, row, kept, self._clock, late)
        self._fit_capacity(row, holder)
        self._fit_bytes()
        return insertion

    def undo(self, insertion: Insertion) -> None:
        """Takes back what an insertion added: the request was served elsewhere, or not at all.

        What has been used again since is left alone.
        """
        chain, row, keep = insertion.chain, insertion.row, insertion.kept
        holder = self._holders.get(row)
        if holder is None:
            return
        if holder.capacity:
            self._late_blocks = max(0.0, self._late_blocks - insertion.late)
            self._new_blocks = max(0.0, self._new_blocks - (len(chain) // HASH_BYTES - keep))
        if keep * HASH_BYTES >= len(chain):
            return
        steps: list[tuple[_Node, int]] = []
        start = 0
        while node := self._nodes.get(chain[start * HASH_BYTES : (start + 1) * HASH_BYTES]):
            steps.append((node, start))
            common = node.common(chain, start)
            start += common
            if common < len(node):
                break
        for node, offset in reversed(steps):
            holding = node.holders.get(row)
            if holding is None:
                continue
            if holding.used != insertion.stamp or offset + holding.count <= keep:
                return
            self._trim(row, holder, holding, holding.count - max(0, keep - offset))

    def forget(self, row: int) -> None:
        """The endpoint is gone or restarted: its cache is empty."""
        holder = self._holders.pop(row, None)
        if holder is not None:
            self._capacity -= holder.capacity or 0
        while holder and (oldest := holder.oldest):
            self._trim(row, holder, oldest, oldest.count)

    def statistics(self) -> dict[str, int]:
        """Sizes, for metrics and for people."""
        return {
            "nodes": len(self._nodes),
            "entries": self.entries,
            "bytes": self.used_bytes,
            "limit_bytes": self.limit_bytes,
            "evicted_blocks": self.evicted_blocks,
        }

    def __repr__(self) -> str:
        return (
            f"<PrefixIndex {self.entries} entries in {len(self._nodes)} nodes, {self.used_bytes}/{self.limit_bytes} B>"
        )

    def _holder(self, row: int) -> _Holder:
        holder = self._holders.get(row)
        if holder is None:
            holder = self._holders[row] = _Holder()
        return holder

    def _path(self, chain: PrefixChain) -> list[tuple[_Node, int]]:
        """Nodes along the chain with the number of blocks used of each, split and added so that they end with it."""
        path: list[tuple[_Node, int]] = []
        start, total = 0, len(chain) // HASH_BYTES
        while start < total:
            key = chain[start * HASH_BYTES : (start + 1) * HASH_BYTES]
            node = self._nodes.get(key)
            if node is None:
                node = self._nodes[key] = _Node(chain[start * HASH_BYTES :])
                self.used_bytes += NODE_BYTES + len(node.blocks)
            common = node.common(chain, start)
            path.append((node, common))
            start += common
            if common < len(node) and start < total:
                self._split(node, common)
        return path

    def _split(self, node: _Node, at: int) -> None:
        """The chain leaves the node within: its first `at` blocks stay, the rest becomes a node of its own."""
        lower = _Node(node.blocks[at * HASH_BYTES :])
        node.blocks = node.blocks[: at * HASH_BYTES]
        self._nodes[lower.blocks[:HASH_BYTES]] = lower
        self.used_bytes += NODE_BYTES
        for row, holding in node.holders.items():
            if holding.count > at:
                rest = lower.holders[row] = _Holding(lower, holding.count - at)
                rest.used = holding.used
                rest.link_before(holding)
                holding.count = at
                self.used_bytes += HOLDING_BYTES
        node.changed()
        if not lower.holders:
            self._drop(lower)

    def _touch(self, node: _Node, row: int, holder: _Holder, count: int) -> int:
        """The endpoint now holds at least `count` blocks of the node, most recently used. Returns those it had."""
        holding = node.holders.get(row)
        if holding is None:
            holding = node.holders[row] = _Holding(node, 0)
            self.used_bytes += HOLDING_BYTES
        else:
            holding.unlink()
        holding.link_before(holder.ends)
        holding.used = self._clock
        had = min(count, holding.count)
        if count > had:
            holder.blocks += count - had
            holding.count = count
            node.changed()
        return had

    def _late_blocks_of(self, path: list[tuple[_Node, int]], row: int, holder: _Holder) -> int:
        """Blocks of the path that the endpoint holds, and that were last used in the first part of its blocks' life."""
        oldest = holder.oldest
        if oldest is None or not holder.capacity:
            return 0
        life = (self._clock - oldest.used) * holder.capacity / holder.blocks
        before = self._clock - _LATE_LIFE * life
        held = ((node.holders.get(row), count) for node, count in path)
        return sum(min(count, holding.count) for holding, count in held if holding and holding.used < before)

    def _count_reuse(self, late: int, new: int) -> None:
        self._late_blocks += late
        self._new_blocks += new
        if self._late_blocks + self._new_blocks > _REUSE_MEMORY * self._capacity:
            self._late_blocks /= 2
            self._new_blocks /= 2

    def _fit_capacity(self, row: int, holder: _Holder) -> None:
        while holder.capacity is not None and holder.blocks > holder.capacity and (oldest := holder.oldest):
            self._evict(row, holder, oldest, min(oldest.count, holder.blocks - holder.capacity))

    def _fit_bytes(self) -> None:
        """Frees the least recently used holdings, whosever they are, until the byte limit is kept."""
        if self.used_bytes <= self.limit_bytes:
            return
        target = self.limit_bytes * (1 - _EVICTED_SHARE)
        oldest = [(holder.oldest.used, row) for row, holder in self._holders.items() if holder.oldest]
        heapq.heapify(oldest)
        while oldest and self.used_bytes > target:
            _, row = heapq.heappop(oldest)
            holder = self._holders[row]
            first = holder.oldest
            assert first is not None
            self._evict(row, holder, first, first.count)
            if holder.oldest:
                heapq.heappush(oldest, (holder.oldest.used, row))

    def _evict(self, row: int, holder: _Holder, holding: _Holding, blocks: int) -> None:
        self.evicted_blocks += blocks
        self._trim(row, holder, holding, blocks)

    def _trim(self, row: int, holder: _Holder, holding: _Holding, blocks: int) -> None:
        """Takes the last `blocks` of a holding away, and with the last holder the node."""
        node = holding.node
        assert node is not None
        holding.count -= blocks
        holder.blocks -= blocks
        node.changed()
        if holding.count == 0:
            holding.unlink()
            del node.holders[row]
            self.used_bytes -= HOLDING_BYTES
        if not node.holders:
            self._drop(node)
        elif len(node.holders) == 1 and holding.count:
            self.used_bytes -= len(node.blocks) - holding.count * HASH_BYTES
            node.blocks = node.blocks[: holding.count * HASH_BYTES]

    def _drop(self, node: _Node) -> None:
        del self._nodes[node.blocks[:HASH_BYTES]]
        self.used_bytes -= NODE_BYTES + len(node.blocks)
