"""A workload as engines and pickers know it."""

from __future__ import annotations

import pytest

from epp.prefix import BLOCK_BYTES
from epp.prefix.index import HASH_BYTES
from epp.simulator.prepared import PreparedWorkload
from epp.workloads import Workload
from tests.simulator.plays import call, prepared

SHARED = (5, 1024)


def common(one: bytes, other: bytes) -> int:
    """Leading hashes that are equal."""
    pairs = zip(range(0, len(one), HASH_BYTES), range(0, len(other), HASH_BYTES), strict=False)
    return next(
        (n for n, (a, b) in enumerate(pairs) if one[a : a + HASH_BYTES] != other[b : b + HASH_BYTES]),
        min(len(one), len(other)) // HASH_BYTES,
    )


def test_calls_share_as_many_blocks_as_their_prompts_have_in_common() -> None:
    made = prepared(call(0, [SHARED, (6, 1024)]), call(1, [SHARED, (7, 1024)]), call(2, [(8, 1024), SHARED]))
    assert common(made.chain(0), made.chain(1)) == 1024 * 4 // BLOCK_BYTES
    assert common(made.chain(0), made.chain(2)) == 0
    first, second, third = (made.blocks(index, 16) for index in range(3))
    assert first[:64] == second[:64]
    assert first[64] != second[64]
    assert first[0] != third[0]


def test_an_answer_is_part_of_the_blocks_and_of_the_next_prompt() -> None:
    question = call(0, [SHARED], 512)
    answered = [SHARED, (question.output.id, 512), (9, 64)]
    made = prepared(question, call(1, answered))
    assert made.blocks(0, 16)[: (1024 + 512) // 16] == made.blocks(1, 16)[: (1024 + 512) // 16]
    assert list(made.reusable_tokens) == [0, 1024 + 512]


@pytest.mark.parametrize("size", [8, 16, 64])
def test_blocks_come_in_the_servers_size(size: int) -> None:
    made = prepared(call(0, 1000, 24))
    assert len(made.blocks(0, size)) == 1024 // size
    assert made.blocks(0, size) is made.blocks(0, size), "made once"
    assert made.chain(0) is made.chain(0)


def test_adapters_share_nothing_with_the_base_model() -> None:
    made = prepared(call(0, [SHARED]), call(1, [SHARED], adapter="a"), call(2, [SHARED], adapter="b"))
    chains = [made.chain(index) for index in range(3)]
    assert len(set(chains)) == 3
    assert made.blocks(0, 16)[0] != made.blocks(1, 16)[0]
    assert list(made.reusable_tokens) == [0, 0, 0]


def test_bytes_are_those_of_the_workloads_text() -> None:
    made = PreparedWorkload(Workload("dense", (call(0, 1000),), bytes_per_token=2.5))
    assert made.prompt_bytes == [2500]
    assert len(made.chain(0)) == 2500 // BLOCK_BYTES * HASH_BYTES


def test_followers_are_known_by_whom_they_wait_for() -> None:
    made = prepared(call(0, 64), call(1, 64, after=0), call(1, 64, after=0), call(1, 64, after=1))
    assert made.followers == [[1, 2], [3], [], []]
