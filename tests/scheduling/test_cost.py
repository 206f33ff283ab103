"""The default cost against numbers worked out by hand: parameters are round ones, each table isolates one term."""

import numpy as np
import pytest

from epp.endpoints import ModelCard, Scrape
from epp.scheduling import LeastWorkCost
from tests.scheduling.scene import pool_of, request, view_of

PLAIN = LeastWorkCost(impact=0.0, request_tokens=0.0, context_share=0.0, eviction=0.0, speed_exponent=0.5)


def test_work_is_what_is_in_front_and_what_is_not_cached() -> None:
    view = view_of(pool_of(3, prefill_tokens=[0, 500, 100]), matched_blocks=[0, 10, 5], prompt_tokens=1000)
    assert PLAIN.cost(request(), view).tolist() == [1000, 500 + 360, 100 + 680]


def test_a_match_never_counts_for_more_than_the_prompt() -> None:
    view = view_of(pool_of(1), matched_blocks=[20], prompt_tokens=1000)
    assert PLAIN.cost(request(), view).tolist() == [0]


def test_matches_count_as_far_as_they_proved_right() -> None:
    view = view_of(pool_of(2, cache_trust=[1.0, 0.25]), matched_blocks=[10, 10], prompt_tokens=1000)
    assert PLAIN.cost(request(), view).tolist() == [360, 840]


def test_a_long_prefill_is_kept_away_from_busy_decodes() -> None:
    cost = LeastWorkCost(impact=0.1, request_tokens=0.0, context_share=0.0, eviction=0.0)
    view = view_of(pool_of(2, requests=[0, 10]), matched_blocks=[0, 4], prompt_tokens=1000)
    assert cost.cost(request(), view) == pytest.approx([1000, 744 + 0.1 * 744 * 10])


def test_a_copy_displaces_what_would_be_used_again_the_dearer_the_busier_all_are() -> None:
    cost = LeastWorkCost(impact=0.1, request_tokens=0.0, context_share=0.0, eviction=0.0, displacement=5.0)
    plain = LeastWorkCost(impact=0.1, request_tokens=0.0, context_share=0.0, eviction=0.0, displacement=0.0)
    view = view_of(pool_of(2, requests=[0, 4]), matched_blocks=[0, 10], prompt_tokens=1000, late_reuse=0.2)
    added = cost.cost(request(), view) - plain.cost(request(), view)
    assert added == pytest.approx([5 * 0.2 * 1000 * 1.2, 5 * 0.2 * 360 * 1.2])


def test_an_endpoint_that_claims_a_million_requests_does_not_decide_between_the_others() -> None:
    pool = pool_of(4, foreign_requests=[1_000_000, 40, 0, 2])
    view = view_of(pool, matched_blocks=[0, 10, 4, 0], prompt_tokens=1000, late_reuse=0.05)
    assert LeastWorkCost().cost(request(), view).argmin() == 2


@pytest.mark.parametrize(("matched", "late_reuse"), [([0, 10], 0.0), ([0, 0], 0.5)])
def test_without_late_reuse_or_any_copy_nothing_is_displaced(matched: list[int], late_reuse: float) -> None:
    view = view_of(pool_of(2), matched_blocks=matched, prompt_tokens=1000, late_reuse=late_reuse)
    LeastWorkCost().cost(request(), view)
    assert all("displacement" not in one.terms for one in view.trace.explain().candidates)


def test_foreign_requests_count_like_our_own() -> None:
    cost = LeastWorkCost(impact=0.0, request_tokens=20.0, context_share=0.0, eviction=0.0)
    pool = pool_of(2, requests=[3, 1], foreign_requests=[0, 2])
    assert cost.cost(request(), view_of(pool)).tolist() == [60, 60]


def test_context_in_the_batch_slows_decoding() -> None:
    cost = LeastWorkCost(impact=0.0, request_tokens=0.0, context_share=0.02, eviction=0.0)
    assert cost.cost(request(), view_of(pool_of(2, context_tokens=[0, 5000]))).tolist() == [0, 100]


@pytest.mark.parametrize(
    ("rates", "expected"),
    {
        "nothing learned": ([0, 0, 0], [1000, 1000, 1000]),
        "all alike": ([500, 500, 500], [1000, 1000, 1000]),
        "four times as slow counts twice": ([4000, 4000, 1000], [1000, 1000, 2000]),
        "unknown counts as the middle": ([4000, 0, 1000], [1000 * 0.625**0.5, 1000, 1000 * 2.5**0.5]),
        "one odd measurement is bounded": ([1000, 1000, 1], [1000, 1000, 2000]),
    }.values(),
)
def test_speed_counts_by_its_square_root(rates: list[float], expected: list[float]) -> None:
    view = view_of(pool_of(3, prefill_rate=rates), prompt_tokens=1000)
    assert PLAIN.cost(request(), view) == pytest.approx(expected)


def test_what_does_not_fit_into_the_cache_costs_its_eviction() -> None:
    cost = LeastWorkCost(impact=0.0, request_tokens=0.0, context_share=0.0, eviction=0.5)
    pool = pool_of(3, capacity_tokens=[10_000, 10_000, float("inf")], kv_usage_base=[0.5, 0.95, 0.99])
    view = view_of(pool, prompt_tokens=1000, output_tokens=100)
    assert cost.cost(request(), view).tolist() == [1000, 1000 + 0.5 * 600, 1000]


def test_what_was_placed_since_the_scrape_fills_the_cache_too() -> None:
    cost = LeastWorkCost(impact=0.0, request_tokens=0.0, context_share=0.0, eviction=0.5)
    pool = pool_of(1, capacity_tokens=[10_000], kv_usage_base=[0.1], context_tokens=[9_500])
    assert cost.cost(request(), view_of(pool, prompt_tokens=1000)).tolist() == [1000 + 0.5 * 500]


def test_resident_adapters_are_preferred_then_free_slots_then_queues_then_busy_slots() -> None:
    pool = pool_of(4)
    for row in range(4):
        pool.scraped(f"10.0.0.{row + 1}:8000", Scrape(max_loras=2), 0.0, 0.0)
    pool.adapters.placed(0, "a")
    for name in ("x", "y", "a"):
        pool.adapters.placed(2, name)
    for name in ("x", "y"):
        pool.adapters.placed(3, name)
    costs = PLAIN.cost(request("a"), view_of(pool))
    assert costs[0] == 0
    assert costs[0] < costs[1] < costs[2] < costs[3]


def test_a_cold_adapter_under_load_spreads_to_a_second_endpoint() -> None:
    """The resident endpoint is preferred until its queue costs more than loading the adapter elsewhere."""
    pool = pool_of(2)
    pool.models.seen(0, [ModelCard("a", "base")])
    for row in range(2):
        pool.scraped(f"10.0.0.{row + 1}:8000", Scrape(max_loras=4), 0.0, 0.0)
    cost, chosen = LeastWorkCost(), []
    for _ in range(12):
        view = view_of(pool, prompt_tokens=500)
        row = int(np.argmin(cost.cost(request("a"), view)))
        pool.ledger.charge(row, 500, 700, 0.0)
        pool.adapters.placed(row, "a")
        chosen.append(row)
    assert chosen[0] == chosen[1]
    assert set(chosen) == {0, 1}


def test_terms_add_up_in_the_explanation() -> None:
    pool = pool_of(2, requests=[1, 2], prefill_tokens=[100, 0], context_tokens=[500, 900])
    view = view_of(pool, prompt_tokens=1000, matched_blocks=[3, 0], late_reuse=0.1)
    cost = LeastWorkCost().cost(request("a"), view)
    explained = view.trace.explain()
    for one, total in zip(sorted(explained.candidates, key=lambda c: c.address), cost, strict=True):
        assert set(one.terms) == {"wait", "prefill", "decode", "impact", "adapter", "displacement"}
        assert sum(one.terms.values()) == pytest.approx(total)
