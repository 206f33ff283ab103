from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.prefix import chain_of
from epp.scheduling import MaxScorePicker, RandomPicker, RendezvousPicker, WeightedRandomPicker
from tests.scheduling.scene import pool_of, view_of

PICKERS = [MaxScorePicker, RandomPicker, WeightedRandomPicker, RendezvousPicker]


@pytest.mark.parametrize("make", PICKERS)
@given(
    values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=12), wanted=st.integers(1, 15), seed=st.integers(0, 9)
)
def test_every_picker_gives_distinct_candidates_in_the_number_asked_for(make, values, wanted, seed) -> None:  # type: ignore[no-untyped-def]
    view = view_of(pool_of(len(values)), chain=b"x" * 8, seed=seed)
    order = make(max_num_of_endpoints=wanted).pick(np.array(values), view)
    assert len(order) == min(wanted, len(values))
    assert len(set(order.tolist())) == len(order)
    assert all(0 <= index < len(values) for index in order)


def test_the_highest_score_wins_and_equal_ones_share() -> None:
    view = view_of(pool_of(4))
    picked = Counter(int(MaxScorePicker().pick(np.array([0.2, 0.9, 0.9, 0.1]), view)[0]) for _ in range(2000))
    assert set(picked) == {1, 2}
    assert abs(picked[1] - picked[2]) < 300


def test_a_list_is_ordered_by_score() -> None:
    assert MaxScorePicker(3).pick(np.array([0.2, 0.9, 0.1, 0.5]), view_of(pool_of(4))).tolist() == [1, 3, 0]


def test_weights_are_proportions() -> None:
    view = view_of(pool_of(3))
    picked = Counter(int(WeightedRandomPicker().pick(np.array([3.0, 1.0, 0.0]), view)[0]) for _ in range(4000))
    assert set(picked) == {0, 1}
    assert picked[0] / 4000 == pytest.approx(0.75, abs=0.03)


def test_without_any_weight_the_choice_is_uniform() -> None:
    view = view_of(pool_of(3))
    picked = Counter(int(WeightedRandomPicker().pick(np.zeros(3), view)[0]) for _ in range(3000))
    assert all(abs(count - 1000) < 150 for count in picked.values())


def conversation(number: int, shared_blocks: int = 2) -> bytes:
    return chain_of([b"s" * 256 * shared_blocks, str(number).encode() * 200], 0)


def test_replicas_place_a_new_conversation_alike() -> None:
    values = np.zeros(8)
    for number in range(50):
        chain = conversation(number)
        picks = {
            int(RendezvousPicker().pick(values, view_of(pool_of(8), chain=chain, matched_blocks=[2] * 8, seed=seed))[0])
            for seed in range(3)
        }
        assert len(picks) == 1


def test_a_shared_system_prompt_does_not_draw_all_conversations_to_one_endpoint() -> None:
    values = np.zeros(8)
    picks = Counter(
        int(RendezvousPicker().pick(values, view_of(pool_of(8), chain=conversation(n), matched_blocks=[2] * 8))[0])
        for n in range(800)
    )
    assert len(picks) == 8
    assert max(picks.values()) < 160


def test_before_anybody_holds_the_system_prompt_its_first_block_decides() -> None:
    picks = {
        int(RendezvousPicker().pick(np.zeros(8), view_of(pool_of(8), chain=conversation(n)))[0]) for n in range(20)
    }
    assert len(picks) == 1


@pytest.mark.parametrize(
    ("costs", "candidates"),
    {
        "within one percent": ([1000, 1009, 1012], {0, 1}),
        "within one token": ([0, 1, 2], {0, 1}),
        "clearly better": ([500, 1000, 1000], {0}),
    }.values(),
)
def test_nearly_equal_costs_count_as_equal(costs: list[float], candidates: set[int]) -> None:
    values = -np.array(costs, float)
    picks = {int(RendezvousPicker().pick(values, view_of(pool_of(3), chain=conversation(n, 0)))[0]) for n in range(100)}
    assert picks == candidates


def test_requests_without_a_prompt_are_spread() -> None:
    view = view_of(pool_of(4))
    picks = Counter(int(RendezvousPicker().pick(np.zeros(4), view)[0]) for _ in range(2000))
    assert all(abs(count - 500) < 120 for count in picks.values())


def test_when_all_is_held_the_last_block_decides() -> None:
    chain = conversation(1)
    view = view_of(pool_of(4), chain=chain, matched_blocks=[len(chain) // 8] * 4)
    assert len(RendezvousPicker().pick(np.zeros(4), view)) == 1
