import pytest

from epp.scheduling.plugins.least_uncached_work import LeastUncachedWorkCost
from tests.scheduling.plugins.contract import chat, costs, pool_with, view


def test_work_in_front_and_what_is_not_cached_add_up() -> None:
    pool = pool_with(4, prefill_tokens=[0, 500, 0, 1e6], requests=[0, 1, 300, 1], context_tokens=[0, 0, 9e9, 0])
    look = view(pool, blocks=[0, 10, 5, 100], prompt_tokens=640)
    assert costs(LeastUncachedWorkCost(), chat(), look) == [640, 500, 320, 1e6]


def test_matches_count_as_far_as_they_proved_right() -> None:
    look = view(pool_with(2, cache_trust=[1, 0.5]), blocks=[10, 10], prompt_tokens=640)
    assert costs(LeastUncachedWorkCost(), chat(), look) == [0, 320]


def test_others_requests_that_wait_count_too() -> None:
    pool = pool_with(2, foreign_waiting=[3, 0], foreign_requests=[5, 5])
    waiting, running = costs(LeastUncachedWorkCost(), chat(), view(pool, prompt_tokens=100))
    assert waiting - running == pytest.approx(3 * pool.estimates.mean_prompt_tokens)


def test_without_a_prompt_only_load_counts() -> None:
    assert costs(LeastUncachedWorkCost(), chat(), view(pool_with(2, prefill_tokens=[7, 0]))) == [7, 0]


def test_terms_are_explained() -> None:
    look = view(pool_with(1, prefill_tokens=[7]), prompt_tokens=100)
    LeastUncachedWorkCost().cost(chat(), look)
    assert look.trace.explain().candidates[0].terms == {"wait": 7, "prefill": 100}
