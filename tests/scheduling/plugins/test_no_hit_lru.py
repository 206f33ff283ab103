import gc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scheduling.plugins.no_hit_lru import NoHitLruScorer
from tests.scheduling.plugins.contract import chat, place, pool_with, scored, spec, view


def go_formula(candidates: Sequence[str], used: Sequence[str]) -> list[float]:
    """`used`: endpoints that got cold requests, the one with the oldest last one first; candidates only."""
    if len(candidates) == 1:
        return [1.0]
    never = [name for name in candidates if name not in used]
    ranks = {name: rank for rank, name in enumerate([*never, *used])}
    return [1.0 - ranks[name] / (len(candidates) - 1) for name in candidates]


@pytest.mark.parametrize("order", [[], [0], [2], [0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 3, 1]])
def test_cold_requests_go_to_who_was_not_used_for_longest(order: list[int]) -> None:
    pool, scorer = pool_with(4), NoHitLruScorer()
    for row in order:
        request = chat()
        scorer.score(request, view(pool))
        place(scorer, request, pool, row)
    used = list(dict.fromkeys(pool.table.addresses[row] for row in reversed(order)))[::-1]
    assert scored(scorer, chat(), view(pool)) == pytest.approx(go_formula(pool.table.addresses, used))


def test_one_candidate_scores_all() -> None:
    assert scored(NoHitLruScorer(), chat(), view(pool_with(1))) == [1.0]


def test_a_request_with_a_hit_anywhere_is_neutral_and_leaves_no_trace() -> None:
    pool, scorer, request = pool_with(2), NoHitLruScorer(), chat()
    assert scored(scorer, request, view(pool, blocks=[0, 1], prompt_tokens=64)) == [0.5, 0.5]
    place(scorer, request, pool, 0)
    assert scored(scorer, chat(), view(pool)) == [1.0, 0.0]


def test_only_the_request_that_was_scored_counts() -> None:
    """Under overload requests are placed without asking scorers."""
    pool, scorer = pool_with(2), NoHitLruScorer()
    scorer.score(chat(), view(pool))
    place(scorer, chat(), pool, 0)
    assert scored(scorer, chat(), view(pool)) == [1.0, 0.0]


def test_a_placed_request_is_not_held_on_to() -> None:
    pool, scorer, request = pool_with(2), NoHitLruScorer(), chat()
    scorer.score(request, view(pool))
    assert any(held is request for held in gc.get_referents(scorer))
    place(scorer, request, pool, 0)
    assert not any(held is request for held in gc.get_referents(scorer))


def test_endpoints_that_left_do_not_press_down_those_that_stay() -> None:
    pool, scorer = pool_with(4), NoHitLruScorer()
    for row in range(4):
        request = chat()
        scorer.score(request, view(pool))
        place(scorer, request, pool, row)
    pool.replace([spec(2), spec(3)], now=1.0)
    assert scored(scorer, chat(), view(pool)) == [1.0, 0.0]


def test_a_row_s_next_owner_is_not_taken_for_the_last() -> None:
    pool, scorer, request = pool_with(2), NoHitLruScorer(), chat()
    scorer.score(request, view(pool))
    place(scorer, request, pool, 1)
    pool.replace([spec(0), spec(7)], now=1.0)
    request = chat()
    scorer.score(request, view(pool))
    place(scorer, request, pool, 0)
    assert pool.table.row_of(spec(7).address) == 1
    assert scored(scorer, chat(), view(pool)) == [0.0, 1.0]


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 4))
def test_memory_is_bounded_by_the_least_recently_used(rows: list[int], size: int) -> None:
    pool, scorer = pool_with(6), NoHitLruScorer(lru_size=size)
    for row in rows:
        request = chat()
        scorer.score(request, view(pool))
        place(scorer, request, pool, row)
    used = list(dict.fromkeys(pool.table.addresses[row] for row in reversed(rows)))[:size][::-1]
    assert scored(scorer, chat(), view(pool)) == pytest.approx(go_formula(pool.table.addresses, used))


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="lruSize is 0; it must be more than 0"):
        NoHitLruScorer(0)
