from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from epp.simulator.blocks import Block, BlockHash, BlockPool


def stored(pool: BlockPool, *hashes: int) -> list[Block]:
    """A sequence that holds blocks with these contents."""
    blocks = pool.take(len(hashes))
    for block, block_hash in zip(blocks, hashes, strict=True):
        pool.store(block, BlockHash(block_hash))
    return blocks


def found(pool: BlockPool, *hashes: int) -> int:
    return len(pool.match(map(BlockHash, hashes)))


def test_a_released_block_is_found_until_it_is_taken() -> None:
    pool = BlockPool(2)
    pool.release(stored(pool, 1, 2))
    assert (pool.used, pool.cached, pool.available) == (0, 2, 2)
    assert found(pool, 1, 2) == 2
    pool.take(2)
    assert found(pool, 1, 2) == 0


def test_a_run_of_hashes_ends_at_the_first_gap() -> None:
    pool = BlockPool(4)
    stored(pool, 1, 2, 4)
    assert found(pool, 1, 2, 3, 4) == 2
    assert found(pool, 3, 1) == 0


def test_blocks_that_were_never_used_go_first_then_the_oldest_and_of_a_sequence_its_tail() -> None:
    pool = BlockPool(6)
    pool.release(stored(pool, 1, 2))
    pool.release(stored(pool, 11, 12))
    pool.take(2)
    assert found(pool, 1, 2) == found(pool, 11, 12) == 2
    pool.take(1)
    assert (found(pool, 1, 2), found(pool, 11, 12)) == (1, 2)
    pool.take(1)
    assert (found(pool, 1), found(pool, 11, 12)) == (0, 2)
    pool.take(1)
    assert found(pool, 11, 12) == 1


def test_a_hit_makes_a_block_the_most_recent() -> None:
    pool = BlockPool(2)
    first, second = stored(pool, 1), stored(pool, 2)
    pool.release(first)
    pool.release(second)
    pool.hold(first)
    pool.release(first)
    pool.take(1)
    assert (found(pool, 1), found(pool, 2)) == (1, 0)


def test_a_held_block_is_never_taken() -> None:
    pool = BlockPool(3)
    shared = stored(pool, 1)
    pool.hold(shared)
    pool.release(shared)
    pool.take(2)
    assert pool.available == 0
    assert found(pool, 1) == 1
    pool.release(shared)
    assert pool.available == 1


def test_holding_idle_blocks_makes_fewer_available() -> None:
    pool = BlockPool(3)
    blocks = stored(pool, 1, 2)
    pool.release(blocks)
    assert pool.count_idle(blocks) == 2
    pool.hold(blocks[:1])
    assert pool.count_idle(blocks) == 1
    assert pool.available == 2


def test_copies_of_one_content_are_forgotten_one_by_one() -> None:
    pool = BlockPool(3)
    copies = [stored(pool, 7) for _ in range(3)]
    for copy in (copies[1], copies[2], copies[0]):
        pool.release(copy)
    for left in (2, 1, 0):
        pool.take(1)
        assert found(pool, 7) == min(left, 1)


def test_forgetting_all_leaves_free_blocks() -> None:
    pool = BlockPool(3)
    pool.release(stored(pool, 1, 1, 2))
    pool.forget_all()
    assert found(pool, 1) == 0
    assert (pool.used, pool.cached, pool.available) == (0, 0, 3)


class Pools(RuleBasedStateMachine):
    """A pool against a model of it: a list of (hash, holders) in the order of eviction."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(7)
        self.holders = dict.fromkeys(range(7), 0)
        self.content: dict[int, int | None] = dict.fromkeys(range(7))
        self.idle = list(range(7))
        self.sequences: list[list[Block]] = []

    @rule(count=st.integers(0, 4), hashes=st.lists(st.integers(1, 5), max_size=4))
    def take(self, count: int, hashes: list[int]) -> None:
        if count > self.pool.available:
            return
        expected, self.idle = self.idle[:count], self.idle[count:]
        blocks = self.pool.take(count)
        assert blocks == expected
        for block in blocks:
            self.holders[block], self.content[block] = 1, None
        for block, content in zip(blocks, hashes, strict=False):
            self.pool.store(block, BlockHash(content))
            self.content[block] = content
        self.sequences.append(blocks)

    @rule(hashes=st.lists(st.integers(1, 5), max_size=4))
    def hit(self, hashes: list[int]) -> None:
        blocks = self.pool.match(map(BlockHash, hashes))
        known = [content in self.content.values() for content in hashes]
        assert len(blocks) == (known.index(False) if False in known else len(known))
        assert [self.content[block] for block in blocks] == hashes[: len(blocks)]
        self.pool.hold(blocks)
        for block in blocks:
            self.holders[block] += 1
            if block in self.idle:
                self.idle.remove(block)
        self.sequences.append(blocks)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if not self.sequences:
            return
        blocks = self.sequences.pop(data.draw(st.integers(0, len(self.sequences) - 1)))
        self.pool.release(blocks)
        for block in reversed(blocks):
            self.holders[block] -= 1
            if not self.holders[block]:
                self.idle.append(block)

    @invariant()
    def the_states_add_up(self) -> None:
        used = sum(1 for holders in self.holders.values() if holders)
        cached = sum(1 for block in self.idle if self.content[block] is not None)
        assert (self.pool.used, self.pool.cached, self.pool.available) == (used, cached, len(self.idle))
        assert used + cached + (len(self.idle) - cached) == self.pool.total


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=60, deadline=None, stateful_step_count=30)


@given(st.lists(st.integers(1, 3), max_size=6))
def test_the_summary_counts_blocks(hashes: list[int]) -> None:
    pool = BlockPool(8)
    pool.release(stored(pool, *hashes))
    assert repr(pool) == f"<BlockPool 0 used, {len(hashes)} cached, {8 - len(hashes)} free>"
