"""KV blocks of one engine: which are held, and what those that nobody holds still contain.

Blocks are counted, not numbered: what they contain is kept as a tree of extents, each a run of blocks that were always
held and let go of together. Every operation costs O(extents on one sequence's path), so a prompt of 750 blocks costs
no more than one of 10.

A block that nobody holds keeps its content until it is taken for something else. Such blocks stand in one queue and are
taken from its front: least recently used first, and of one sequence the tail before the root, because a tail is useless
without its root. So whatever is here, all that comes before it is here too. The rules are those of vLLM
(`v1/core/block_pool.py`), but for copies: vLLM keeps a second block for content that two sequences computed at the same
time, or that was computed anew because it ends a prompt; here the second block is free at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, Protocol

__all__ = ["BlockHash", "BlockHashes", "BlockPool", "Evicted", "Held", "Match"]

BlockHash = NewType("BlockHash", int)
"""Names a block's content together with all that comes before it."""


class BlockHashes(Protocol):
    """Hashes of a sequence's blocks, each chained to the one before, so that equal ones have equal predecessors.

    A pool looks at few of them and keeps a reference. A list is fastest; `array('Q')` and numpy arrays take less
    memory; one that computes its items will do too. Nothing may change in it.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> BlockHash: ...


class Evicted(Protocol):
    """Wants to know what is evicted."""

    def add(self, hashes: BlockHashes, start: int, end: int) -> None:
        """Blocks from `start` to before `end` of a sequence with these hashes are gone."""
        ...


class _Extent:
    """Blocks from `start` to before `end` of all sequences that have these hashes, or a run of blocks without content.

    It stands in the queue of the idle exactly while nobody holds it: then `before` and `after` are its neighbours.
    """

    __slots__ = ("after", "before", "children", "end", "hashes", "holders", "parent", "start")

    before: _Extent
    after: _Extent

    def __init__(self, hashes: BlockHashes | None, start: int, end: int, parent: _Extent | None, holders: int) -> None:
        self.hashes = hashes
        """Of any sequence that has these blocks. None: blocks without content, in the queue only."""
        self.start = start
        self.end = end
        self.parent = parent
        """What comes before it in the sequences. All that hold this hold the parent too."""
        self.children = 0
        self.holders = holders


@dataclass(frozen=True, slots=True)
class Match:
    """What was found of a sequence. Valid until the pool changes."""

    blocks: int
    """Leading blocks that are there."""
    idle: int
    """Those of them that nobody holds: holding them makes as many fewer available."""
    last: _Extent | None
    """Holds the last of them, and perhaps more."""


class Held:
    """The blocks of one sequence."""

    __slots__ = ("blocks", "last", "stored")

    def __init__(self) -> None:
        self.blocks = 0
        """All."""
        self.stored = 0
        """The first ones, which can be found by their hashes."""
        self.last: _Extent | None = None
        """Has the last one that is stored, and ends with it."""


class BlockPool:
    """Blocks of one engine."""

    def __init__(self, total: int, evicted: Evicted | None = None) -> None:
        self.total = total
        self.available = total
        """Blocks that can be taken: cached or free."""
        self.cached = 0
        """Blocks that nobody holds and that can be found by their hash."""
        self._evicted = evicted
        self._by_first: dict[BlockHash, _Extent] = {}
        """Extents by their first hash."""
        self._ends = _Extent(None, 0, 0, None, 0)
        """Joins both ends of the queue: what is `after` it is taken next. Extents leave it from anywhere, and a split
        puts one into its middle, which an OrderedDict cannot."""
        self.forget_all()

    @property
    def used(self) -> int:
        """Blocks that sequences hold."""
        return self.total - self.available

    def match(self, hashes: BlockHashes, limit: int) -> Match:
        """The longest run of blocks, from the first on and of at most `limit`, that are all there."""
        return self._match(hashes, 0, min(limit, len(hashes)))

    def _match(self, hashes: BlockHashes, start: int, limit: int) -> Match:
        by_first, position, idle, last = self._by_first, start, 0, None
        while position < limit:
            extent = by_first.get(hashes[position])
            if extent is None:
                break
            assert extent.start == position, "one hash stands at two positions: hashes must be chained"
            end = _common_end(extent, hashes, limit)
            if not extent.holders:
                idle += end - position
            position, last = end, extent
            if end < extent.end:
                break
        return Match(position - start, idle, last)

    def hold(self, match: Match) -> Held:
        """A sequence begins with the blocks that were found; they cannot be evicted until it releases them."""
        held = Held()
        extent = held.last = self._cut(match.last, match.blocks)
        held.blocks = held.stored = match.blocks
        while extent is not None:
            if not extent.holders:
                self._leave_queue(extent)
            extent.holders += 1
            extent = extent.parent
        return held

    def take(self, held: Held, count: int) -> None:
        """`count` more blocks for a sequence, evicting what they held. The caller has made sure of `available`."""
        assert count <= self.available, "took more blocks than there are"
        held.blocks += count
        self.available -= count
        ends = self._ends
        while count:
            extent = ends.after
            start = max(extent.end - count, extent.start)
            count -= extent.end - start
            if extent.hashes is not None:
                self._evict(extent, extent.hashes, start)
            extent.end = start
            if start == extent.start:
                ends.after, extent.after.before = extent.after, ends

    def _evict(self, extent: _Extent, hashes: BlockHashes, start: int) -> None:
        """Forget the content of an idle extent's blocks from `start` on."""
        self.cached -= extent.end - start
        if self._evicted is not None:
            self._evicted.add(hashes, start, extent.end)
        if start == extent.start:
            del self._by_first[hashes[start]]
            if extent.parent is not None:
                extent.parent.children -= 1

    def store(self, held: Held, hashes: BlockHashes, end: int) -> None:
        """A sequence's blocks to before `end` are complete: they can be found from now on."""
        end = min(end, len(hashes))
        if end <= held.stored:
            return
        if hashes[held.stored] in self._by_first:
            self._share(held, hashes, end)
        start, last = held.stored, held.last
        if start < end:
            if last is not None and last.holders == 1 and not last.children:
                last.hashes, last.end = hashes, end
            else:
                held.last = self._by_first[hashes[start]] = _Extent(hashes, start, end, last, 1)
                if last is not None:
                    last.children += 1
            held.stored = end

    def next_hash(self, held: Held, hashes: BlockHashes) -> BlockHash | None:
        """Of the block that a sequence completes next; None if it would not be found."""
        return hashes[held.stored] if held.stored < len(hashes) else None

    def knows(self, block_hash: BlockHash) -> bool:
        """Whether the next block of some sequence is here already."""
        return block_hash in self._by_first

    def _share(self, held: Held, hashes: BlockHashes, end: int) -> None:
        """Some of the blocks that a sequence completed are there already: it takes those and gives up its own."""
        match = self._match(hashes, held.stored, end)
        held.stored += match.blocks
        before, held.last = held.last, self._cut(match.last, held.stored)
        extent = held.last
        while extent is not before and extent is not None:
            size = extent.end - extent.start
            if extent.holders:
                self._queue_free(self._ends.after, size)
            else:  # the block that is given up takes the place in the queue of the one that is not idle any more
                self._queue_free(extent, size)
                self._leave_queue(extent)
            extent.holders += 1
            extent = extent.parent

    def release(self, held: Held) -> None:
        """A sequence lets go of all its blocks."""
        loose = held.blocks - held.stored
        if loose:
            self._queue_free(self._ends, loose)
        extent = held.last
        while extent is not None:
            extent.holders -= 1
            if not extent.holders:
                self._queue(self._ends, extent)
                size = extent.end - extent.start
                self.available += size
                self.cached += size
            extent = extent.parent
        held.blocks, held.stored, held.last = 0, 0, None

    def forget_all(self) -> None:
        """Forget all content. Nothing may be held."""
        assert not self.used, "content is still in use"
        self._by_first.clear()
        self._ends.before = self._ends.after = self._ends
        self.available = self.cached = 0
        self._queue_free(self._ends, self.total)

    def _cut(self, extent: _Extent | None, at: int) -> _Extent | None:
        """The extent that ends there: the one that is given, or a new one for what comes before in it."""
        if extent is None or extent.end == at:
            return extent
        assert extent.hashes is not None, "what is found has hashes"
        # What is held by its last extent must stay held by it, so it is the front that gets a new one.
        front = _Extent(extent.hashes, extent.start, at, extent.parent, extent.holders)
        front.children = 1
        extent.start, extent.parent = at, front
        self._by_first[extent.hashes[front.start]] = front
        self._by_first[extent.hashes[at]] = extent
        if not extent.holders:
            self._queue(extent.after, front)
        return front

    def _queue_free(self, place: _Extent, blocks: int) -> None:
        """Put blocks without content in front of a place in the queue."""
        self.available += blocks
        previous = place.before
        if previous.hashes is None and previous is not self._ends:
            previous.end += blocks
        else:
            self._queue(place, _Extent(None, 0, blocks, None, 0))

    @staticmethod
    def _queue(place: _Extent, extent: _Extent) -> None:
        extent.before, extent.after = place.before, place
        place.before.after = extent
        place.before = extent

    def _leave_queue(self, extent: _Extent) -> None:
        """An idle extent is held from now on."""
        extent.before.after, extent.after.before = extent.after, extent.before
        size = extent.end - extent.start
        self.available -= size
        self.cached -= size

    def __repr__(self) -> str:
        return f"<BlockPool {self.used} used, {self.cached} cached, {self.available - self.cached} free>"


def _common_end(extent: _Extent, hashes: BlockHashes, limit: int) -> int:
    """Up to where, and at most to `limit`, a sequence has an extent's blocks; it has the first one."""
    theirs = extent.hashes
    assert theirs is not None, "what is found has hashes"
    end = min(extent.end, limit)
    if hashes[end - 1] == theirs[end - 1]:
        return end
    known = extent.start + 1  # hashes are chained: those before are equal where one is equal
    while end - known > 1:
        middle = (known + end) // 2
        if hashes[middle - 1] == theirs[middle - 1]:
            known = middle
        else:
            end = middle
    return known
