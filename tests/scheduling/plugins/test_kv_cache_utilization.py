import pytest

from epp.scheduling.plugins.kv_cache_utilization import KvCacheUtilizationScorer
from tests.scheduling.plugins.contract import chat, pool_with, scored, view


def test_scores_follow_the_go_picker() -> None:
    look = view(pool_with(4, kv_usage_base=[0.0, 0.25, 0.999, 1.0]))
    assert scored(KvCacheUtilizationScorer(), chat(), look) == pytest.approx([1.0, 0.75, 0.001, 0.0])


def test_a_server_that_claims_more_than_all_scores_nothing() -> None:
    assert scored(KvCacheUtilizationScorer(), chat(), view(pool_with(2, kv_usage_base=[95.0, -1.0]))) == [0.0, 1.0]


def test_what_was_placed_since_the_scrape_counts_where_the_capacity_is_known() -> None:
    known = {"kv_usage_base": [0.1, 0.1, 0.1], "capacity_tokens": [10_000, float("inf"), 10_000]}
    look = view(pool_with(3, **known, context_tokens=[3000, 3000, 1000], context_at_scrape=[1000, 0, 2000]))
    assert scored(KvCacheUtilizationScorer(), chat(), look) == pytest.approx([0.7, 0.9, 0.9])
