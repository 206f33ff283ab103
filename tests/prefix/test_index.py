"""The radix index against a plain model: for each endpoint, block hashes in the order of their last use."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from epp.prefix import PrefixChain, PrefixIndex
from epp.prefix.index import HOLDING_BYTES, NODE_BYTES

ROWS = 4


def chain(*names: int) -> PrefixChain:
    """A chain whose block hashes name the whole prefix, as real ones do."""
    hashes, prefix = [], 0
    for name in names:
        prefix = hash((prefix, name)) & (2**64 - 1)
        hashes.append(prefix)
    return PrefixChain(np.array(hashes, np.uint64).tobytes())


class Model:
    """Endpoints as ordered lists of block hashes, least recently used first; tails before roots within one touch."""

    def __init__(self) -> None:
        self.held: dict[int, list[bytes]] = {row: [] for row in range(ROWS)}
        self.capacity: dict[int, int | None] = dict.fromkeys(range(ROWS))

    def insert(self, blocks: list[bytes], row: int) -> None:
        held = self.held[row]
        for block in reversed(blocks):
            if block in held:
                held.remove(block)
            held.append(block)
        self.fit(row)

    def fit(self, row: int) -> None:
        capacity = self.capacity[row]
        while capacity is not None and len(self.held[row]) > capacity:
            self.held[row].pop(0)

    def match(self, blocks: list[bytes], row: int) -> int:
        count = 0
        for block in blocks:
            if block not in self.held[row]:
                break
            count += 1
        return count


def matched(index: PrefixIndex, one: PrefixChain, rows: int) -> list[int]:
    found = index.match(one, rows)
    return [0] * rows if found is None else found.tolist()


def split(whole: bytes) -> list[bytes]:
    return [whole[i : i + 8] for i in range(0, len(whole), 8)]


chains = st.lists(st.integers(0, 2), min_size=1, max_size=7).map(lambda names: chain(*names))


class IndexMachine(RuleBasedStateMachine):
    """Whatever is inserted, evicted and forgotten: matches are those of the model."""

    @initialize()
    def start(self) -> None:
        self.index, self.model = PrefixIndex(), Model()

    @rule(one=chains, row=st.integers(0, ROWS - 1))
    def insert(self, one: PrefixChain, row: int) -> None:
        self.index.insert(one, row)
        self.model.insert(split(one), row)

    @rule(one=chains)
    def match(self, one: PrefixChain) -> None:
        expected = [self.model.match(split(one), row) for row in range(ROWS)]
        assert matched(self.index, one, ROWS) == expected

    @rule(row=st.integers(0, ROWS - 1), capacity=st.one_of(st.none(), st.integers(0, 12)))
    def limit(self, row: int, capacity: int | None) -> None:
        self.index.set_capacity(row, capacity)
        self.model.capacity[row] = capacity
        self.model.fit(row)

    @rule(row=st.integers(0, ROWS - 1))
    def forget(self, row: int) -> None:
        self.index.forget(row)
        self.model.held[row], self.model.capacity[row] = [], None

    @rule(one=chains, row=st.integers(0, ROWS - 1))
    def insert_and_undo(self, one: PrefixChain, row: int) -> None:
        """What was held before stays held; it only counts as used again."""
        if self.model.capacity[row] is not None:
            return
        kept = matched(self.index, one, ROWS)[row]
        insertion = self.index.insert(one, row)
        assert insertion.kept == kept
        self.index.undo(insertion)
        self.model.insert(split(one)[:kept], row)

    @invariant()
    def sizes_agree(self) -> None:
        assert self.index.entries == sum(map(len, self.model.held.values()))
        nodes = self.index.statistics()["nodes"]
        holdings = (self.index.used_bytes - nodes * NODE_BYTES) % HOLDING_BYTES
        assert holdings % 8 == 0
        if not self.index.entries:
            assert (nodes, self.index.used_bytes) == (0, 0)


TestIndex = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_prompt_of_all_endpoints_is_known_of_all() -> None:
    index = PrefixIndex()
    for row in range(ROWS):
        index.insert(chain(1, 2, 3, row), row)
    assert matched(index, chain(1, 2, 3, 9), ROWS) == [3] * ROWS
    assert matched(index, chain(1, 2, 3, 2), ROWS) == [3, 3, 4, 3]


def test_tails_are_evicted_before_roots() -> None:
    index = PrefixIndex()
    index.set_capacity(0, 4)
    index.insert(chain(1, 2, 3), 0)
    index.insert(chain(1, 8, 9), 0)
    assert matched(index, chain(1, 2, 3), 1) == [2]
    assert matched(index, chain(1, 8, 9), 1) == [3]


@pytest.mark.parametrize("capacity", range(7))
def test_a_chain_that_another_endpoint_s_chain_has_split_is_evicted_from_its_tail(capacity: int) -> None:
    index, model = PrefixIndex(), Model()
    for names in ((1, 2, 3, 4), (5, 6)):
        index.insert(chain(*names), 0)
        model.insert(split(chain(*names)), 0)
    index.insert(chain(1, 2, 9), 1)
    index.set_capacity(0, capacity)
    model.capacity[0] = capacity
    model.fit(0)
    for names in ((1, 2, 3, 4), (5, 6)):
        assert matched(index, chain(*names), ROWS)[0] == model.match(split(chain(*names)), 0)
    assert index.blocks_of(0) == capacity


def test_what_was_used_again_is_not_undone() -> None:
    index = PrefixIndex()
    insertion = index.insert(chain(1, 2, 3), 0)
    index.insert(chain(1, 2, 3, 4), 0)
    index.undo(insertion)
    assert matched(index, chain(1, 2, 3, 4), 1) == [4]


def test_the_byte_limit_holds_and_the_oldest_go_first() -> None:
    index = PrefixIndex(limit_bytes=100 * (NODE_BYTES + HOLDING_BYTES))
    for number in range(500):
        index.insert(chain(number, 1, 2), number % 3)
        assert index.used_bytes <= index.limit_bytes
    assert matched(index, chain(0, 1, 2), ROWS) == [0, 0, 0, 0]
    assert matched(index, chain(499, 1, 2), ROWS) == [0, 3, 0, 0]
    assert index.evicted_blocks > 0


@pytest.mark.parametrize("blocks", [1, 8, 64])
def test_the_sizes_that_bound_it_are_not_below_the_real_ones(blocks: int) -> None:
    """The limit is kept by constants; memory as Python counts it must not be more than they say."""
    made = [chain(number, *range(blocks - 1)) for number in range(20_000 // blocks)]
    tracemalloc.start()
    try:
        index = PrefixIndex(limit_bytes=1 << 40)
        for number, one in enumerate(made):
            index.insert(one, number % 50)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used <= index.used_bytes * 1.1


def cycled(documents: int, capacity: int | None, rounds: int = 20) -> float:
    """Late reuse after documents of two blocks were asked for in turn, on one endpoint."""
    index = PrefixIndex()
    index.set_capacity(0, capacity)
    for _ in range(rounds):
        for name in range(documents):
            index.insert(chain(name, 0), 0)
    return index.late_reuse


@pytest.mark.parametrize(
    ("documents", "capacity", "expected"),
    {
        "used again at once: a fraction of the cache would do": (4, 40, 0.0),
        "used again late: half the cache would not do": (16, 40, 1.0),
        "never found again: a cache of twice the size would do, this one does not": (30, 40, 0.0),
        "nothing is known of the cache": (16, None, 0.0),
    }.values(),
)
def test_late_reuse_tells_whether_less_cache_would_do(documents: int, capacity: int | None, expected: float) -> None:
    assert cycled(documents, capacity) == pytest.approx(expected, abs=0.05)


def test_late_reuse_is_the_share_of_what_is_used_again() -> None:
    """Half of the blocks come back after three quarters of a cache's life, the others never."""
    index = PrefixIndex()
    index.set_capacity(0, 40)
    for turn in range(200):
        index.insert(chain(turn), 0)
        index.insert(chain(turn - 15 if turn % 30 >= 15 else -turn - 1), 0)
    assert 0.2 < index.late_reuse < 0.4


def test_late_reuse_is_forgotten_when_the_load_changes() -> None:
    index = PrefixIndex()
    index.set_capacity(0, 40)
    for turn in range(400):
        index.insert(chain(turn % 16, 0), 0)
    assert index.late_reuse > 0.9
    for turn in range(200):
        index.insert(chain(1000 + turn), 0)
    assert index.late_reuse < 0.1


def test_what_is_taken_back_leaves_late_reuse_as_it_was() -> None:
    index = PrefixIndex()
    index.set_capacity(0, 40)
    for turn in range(400):
        index.insert(chain(turn % 16, 0), 0)
    before = index.late_reuse
    for turn in range(200):
        index.undo(index.insert(chain(1000 + turn), 0))
    assert index.late_reuse == pytest.approx(before, abs=0.05)
