from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from epp.simulator.blocks import BlockHashes, BlockPool, Held


def chain(text: str) -> list[int]:
    """Hashes of a sequence whose blocks are named by letters."""
    return [hash(text[: end + 1]) for end in range(len(text))]


def stored(pool: BlockPool, text: str) -> Held:
    """A sequence that uses what is there of its blocks, and computed the others."""
    held = pool.hold(pool.match(chain(text), len(text)))
    pool.take(held, len(text) - held.blocks)
    pool.store(held, chain(text), len(text))
    return held


def loose(pool: BlockPool, count: int) -> Held:
    """A sequence that has blocks and no content in them."""
    held = Held()
    pool.take(held, count)
    return held


def found(pool: BlockPool, text: str) -> int:
    return pool.match(chain(text), len(text)).blocks


def test_a_released_block_is_found_until_it_is_taken() -> None:
    pool = BlockPool(2)
    pool.release(stored(pool, "ab"))
    assert (pool.used, pool.cached, pool.available) == (0, 2, 2)
    assert found(pool, "ab") == 2
    loose(pool, 2)
    assert found(pool, "ab") == 0


def test_what_is_found_ends_where_the_texts_differ_and_at_the_limit() -> None:
    pool = BlockPool(9)
    stored(pool, "abcdefg")
    assert [found(pool, text) for text in ("abcdefgh", "abxy", "abcdefx", "xb", "a", "")] == [7, 2, 6, 0, 1, 0]
    assert [pool.match(chain("abcdefg"), limit).blocks for limit in range(8)] == list(range(8))


def test_branches_are_found_whole() -> None:
    pool = BlockPool(9)
    for text in ("abcd", "abxy", "abcz", "q"):
        pool.release(stored(pool, text))
    assert [found(pool, text) for text in ("abcd", "abxy", "abcz", "q", "abcx")] == [4, 4, 4, 1, 3]
    assert pool.cached == 8


def test_blocks_that_were_never_used_go_first_then_the_oldest_and_of_a_sequence_its_tail() -> None:
    pool = BlockPool(6)
    pool.release(stored(pool, "ab"))
    pool.release(stored(pool, "xy"))
    left = []
    for _ in range(6):
        loose(pool, 1)
        left.append((found(pool, "ab"), found(pool, "xy")))
    assert left == [(2, 2), (2, 2), (1, 2), (0, 2), (0, 1), (0, 0)]


def test_a_hit_makes_a_block_the_most_recent() -> None:
    pool = BlockPool(2)
    pool.release(stored(pool, "a"))
    pool.release(stored(pool, "b"))
    pool.release(stored(pool, "a"))
    loose(pool, 1)
    assert (found(pool, "a"), found(pool, "b")) == (1, 0)


def test_a_held_block_is_never_taken() -> None:
    pool = BlockPool(3)
    first = stored(pool, "a")
    second = stored(pool, "a")
    pool.release(first)
    loose(pool, 2)
    assert pool.available == 0
    assert found(pool, "a") == 1
    pool.release(second)
    assert pool.available == 1


def test_holding_idle_blocks_makes_fewer_available() -> None:
    pool = BlockPool(3)
    pool.release(stored(pool, "ab"))
    assert pool.match(chain("ab"), 2).idle == 2
    stored(pool, "a")
    match = pool.match(chain("ab"), 2)
    assert (match.blocks, match.idle, pool.available) == (2, 1, 2)


def test_a_block_that_was_computed_twice_is_kept_once() -> None:
    pool = BlockPool(4)
    pool.release(stored(pool, "ab"))
    held = pool.hold(pool.match(chain("ab"), 1))
    pool.take(held, 1)
    assert (pool.used, pool.cached, pool.available) == (2, 1, 2)
    pool.store(held, chain("ab"), 2)
    assert (pool.used, pool.cached, pool.available) == (2, 0, 2)
    pool.release(held)
    assert (pool.used, pool.cached, pool.available) == (0, 2, 4)


def test_blocks_beyond_the_last_hash_are_never_found() -> None:
    pool = BlockPool(4)
    held = loose(pool, 3)
    pool.store(held, chain("a"), 3)
    assert (held.blocks, held.stored) == (3, 1)
    pool.release(held)
    assert (pool.used, pool.cached) == (0, 1)


def test_forgetting_all_leaves_free_blocks() -> None:
    pool = BlockPool(3)
    pool.release(stored(pool, "ab"))
    pool.forget_all()
    assert found(pool, "ab") == 0
    assert (pool.used, pool.cached, pool.available) == (0, 0, 3)


@pytest.mark.parametrize("make", [tuple, lambda hashes: np.array(hashes, dtype=np.uint64)], ids=["tuple", "numpy"])
def test_hashes_come_in_any_sequence(make: type[tuple[int, ...]]) -> None:
    pool, hashes = BlockPool(8), [7, 2**64 - 1, 5, 9]
    held = pool.hold(pool.match(make(hashes), 4))
    pool.take(held, 4)
    pool.store(held, make(hashes), 4)
    assert pool.match(hashes, 4).blocks == 4
    assert pool.match(make([*hashes[:3], 1]), 4).blocks == 3


@dataclass
class Row:
    """A sequence in the model."""

    text: str
    held: Held
    blocks: int = 0
    stored: int = 0


@dataclass
class Model:
    """What `BlockPool` is to do, block by block."""

    idle: list[str | None]
    """Contents of the blocks that nobody holds, the next to be taken first. A content is named by all up to it."""
    holders: dict[str, int] = field(default_factory=dict)
    evicted: list[str] = field(default_factory=list)

    def found(self, text: str) -> int:
        known = [text[: end + 1] in self.idle or text[: end + 1] in self.holders for end in range(len(text))]
        return known.index(False) if False in known else len(known)

    def hold(self, row: Row, count: int) -> None:
        row.blocks = row.stored = count
        for end in range(1, count + 1):
            if row.text[:end] in self.idle:
                self.idle.remove(row.text[:end])
            self.holders[row.text[:end]] = self.holders.get(row.text[:end], 0) + 1

    def take(self, row: Row, count: int) -> None:
        row.blocks += count
        taken, self.idle = self.idle[:count], self.idle[count:]
        self.evicted += (content for content in taken if content is not None)

    def store(self, row: Row, end: int) -> None:
        for content in (row.text[: each + 1] for each in range(row.stored, end)):
            if content in self.idle:
                self.idle[self.idle.index(content)] = None
            elif content in self.holders:
                self.idle.insert(0, None)
            self.holders[content] = self.holders.get(content, 0) + 1
        row.stored = max(row.stored, end)

    def release(self, row: Row) -> None:
        self.idle += [None] * (row.blocks - row.stored)
        for end in range(row.stored, 0, -1):
            self.holders[row.text[:end]] -= 1
            if not self.holders[row.text[:end]]:
                del self.holders[row.text[:end]]
                self.idle.append(row.text[:end])


class Log:
    """What was evicted, in this order."""

    def __init__(self) -> None:
        self.hashes: list[int] = []

    def add(self, hashes: BlockHashes, start: int, end: int) -> None:
        self.hashes += (hashes[index] for index in range(end - 1, start - 1, -1))


TEXTS = st.text("ab", min_size=1, max_size=7)


class Pools(RuleBasedStateMachine):
    """A pool against a model of single blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.pool = BlockPool(16, self.log)
        self.model = Model([None] * 16)
        self.rows: list[Row] = []

    @rule(text=TEXTS, limit=st.integers(0, 7))
    def begin(self, text: str, limit: int) -> None:
        match = self.pool.match(chain(text), limit)
        assert match.blocks == self.model.found(text[:limit])
        assert match.idle == sum(text[: end + 1] in self.model.idle for end in range(match.blocks))
        self.rows.append(Row(text, self.pool.hold(match)))
        self.model.hold(self.rows[-1], match.blocks)

    @rule(text=TEXTS, new=st.integers(0, 7))
    def compute(self, text: str, new: int) -> None:
        self.begin(text, len(text))
        self.grow(-1, new, 7)

    @rule(number=st.integers(0, 9), count=st.integers(0, 4), end=st.integers(0, 7))
    def grow(self, number: int, count: int, end: int) -> None:
        if not self.rows or count > self.pool.available:
            return
        row = self.rows[number % len(self.rows)]
        self.pool.take(row.held, count)
        self.model.take(row, count)
        end = min(end, row.held.blocks, len(row.text))
        self.pool.store(row.held, chain(row.text), end)
        self.model.store(row, end)

    @rule(number=st.integers(0, 9))
    def release(self, number: int) -> None:
        if self.rows:
            row = self.rows.pop(number % len(self.rows))
            self.pool.release(row.held)
            self.model.release(row)

    @invariant()
    def the_states_are_those_of_the_model(self) -> None:
        cached = sum(content is not None for content in self.model.idle)
        assert (self.pool.available, self.pool.cached) == (len(self.model.idle), cached)
        assert self.pool.used + self.pool.available == self.pool.total
        assert self.pool.used >= len(self.model.holders)

    @invariant()
    def the_order_of_eviction_is_that_of_the_model(self) -> None:
        assert self.log.hashes == [hash(content) for content in self.model.evicted]

    @invariant()
    def all_content_is_found(self) -> None:
        for content in (*self.model.holders, *self.model.idle):
            assert content is None or found(self.pool, content) == len(content)


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=150, deadline=None, stateful_step_count=40)


@given(TEXTS)
def test_the_summary_counts_blocks(text: str) -> None:
    pool = BlockPool(8)
    pool.release(stored(pool, text))
    assert repr(pool) == f"<BlockPool 0 used, {len(text)} cached, {8 - len(text)} free>"
