from epp.scheduling.plugins.longest_prefix import LongestPrefixCost
from tests.scheduling.plugins.contract import chat, costs, opaque, pool_with, view


def test_the_longest_match_is_cheapest_whatever_the_load() -> None:
    pool = pool_with(4, prefill_tokens=[0, 1e9, 0, 0], requests=[0, 1000, 0, 0])
    look = view(pool, blocks=[0, 7, 6, 100], prompt_tokens=640)
    assert costs(LongestPrefixCost(), chat(), look) == [640, 640 - 7 * 64, 640 - 6 * 64, 0]


def test_it_learns_nothing_from_matches_that_proved_wrong() -> None:
    look = view(pool_with(2, cache_trust=[0, 1]), blocks=[10, 9], prompt_tokens=640)
    assert costs(LongestPrefixCost(), chat(), look) == [0, 64]


def test_without_a_prompt_all_are_equal() -> None:
    assert costs(LongestPrefixCost(), opaque(), view(pool_with(2, requests=[5, 0]))) == [0, 0]
