from itertools import product

import pytest

from epp.scheduling.plugins.prefix_cache_affinity import PrefixCacheAffinityFilter
from tests.scheduling.plugins.contract import chat, kept, opaque, pool_with, view

PROMPT = chat(prompt_bytes=10 * 256)


def go_formula(
    shares: list[float], tokens: list[float], threshold: float, penalty_ms: float, throughput: float
) -> list[int]:
    everyone = list(range(len(shares)))
    if len(shares) <= 1 or threshold <= 0:
        return everyone
    sticky = [row for row in everyone if shares[row] >= threshold]
    others = [row for row in everyone if shares[row] < threshold]
    if not sticky:
        return everyone
    if penalty_ms > 0 and others:
        ttft_ms = [token / throughput * 1000 for token in tokens]
        if min(ttft_ms[row] for row in sticky) - min(ttft_ms[row] for row in others) > penalty_ms:
            return everyone
    return sticky


@pytest.mark.parametrize("blocks", [[0], [10], [0, 0], [7, 10, 8], [10, 10], [8, 0, 9, 10]])
@pytest.mark.parametrize("threshold", [0.0, 0.8, 1.0])
@pytest.mark.parametrize(("penalty", "throughput"), [*product([0, 10, 18_000], [1.0, 15_928.0])])
def test_sticks_until_saturated_like_the_go_picker(
    blocks: list[int], threshold: float, penalty: float, throughput: float
) -> None:
    for tokens in ([0, 0, 0, 0], [500, 0, 100, 1e9], [1e9, 1e9, 0, 5]):
        pool = pool_with(len(blocks), prefill_tokens=tokens[: len(blocks)])
        plugin = PrefixCacheAffinityFilter(threshold, 0.0, penalty, peak_prefill_throughput=throughput)
        expected = go_formula([one / 10 for one in blocks], tokens, threshold, penalty, throughput)
        assert kept(plugin, PROMPT, view(pool, blocks=blocks, prompt_tokens=640)) == expected


def test_until_rates_are_learned_the_go_picker_s_default_counts() -> None:
    plugin = PrefixCacheAffinityFilter()
    for tokens, expected in ((18 * 15_928, [0]), (18 * 15_928 + 1, [0, 1])):
        pool = pool_with(2, prefill_tokens=[tokens, 0])
        assert kept(plugin, PROMPT, view(pool, blocks=[10, 0], prompt_tokens=640)) == expected


@pytest.mark.parametrize(
    ("rates", "expected"),
    [([1000, 1000], [0, 1]), ([2000, 1000], [0]), ([0, 1000], [0, 1]), ([0, 2000], [0])],
    ids=["slow", "fast", "unknown counts as the slow middle", "unknown counts as the fast middle"],
)
def test_learned_rates_count_where_none_is_given(rates: list[float], expected: list[int]) -> None:
    pool = pool_with(2, prefill_tokens=[19_000, 0], prefill_rate=rates)
    pool.rates.refresh(force=True)
    look = view(pool, blocks=[10, 0], prompt_tokens=640)
    assert kept(PrefixCacheAffinityFilter(), PROMPT, look) == expected
    assert kept(PrefixCacheAffinityFilter(peak_prefill_throughput=1e9), PROMPT, look) == [0]


def test_a_share_of_requests_explores() -> None:
    pool, plugin = pool_with(2), PrefixCacheAffinityFilter(exploration_probability=0.25)
    looks = [view(pool, blocks=[10, 0], prompt_tokens=640, seed=seed) for seed in range(400)]
    explored = sum(kept(plugin, PROMPT, look) == [0, 1] for look in looks)
    assert 60 <= explored <= 140


def test_without_a_prompt_all_are_kept() -> None:
    assert kept(PrefixCacheAffinityFilter(), opaque(), view(pool_with(2))) == [0, 1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"affinity_threshold": 1.5}, "affinityThreshold is 1.5; it must be from 0 to 1"),
        ({"exploration_probability": -1}, "explorationProbability is -1; it must be from 0 to 1"),
        ({"max_ttft_penalty_ms": -1}, "maxTTFTPenaltyMs is -1; it must be at least 0"),
        ({"ttft_source": "guess"}, "ttftSource is 'guess'; it must be prefillThroughput or latencyPredictor"),
        ({"peak_prefill_throughput": 0}, "peakPrefillThroughput is 0; it must be more than 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrefixCacheAffinityFilter(**parameters)  # type: ignore[arg-type]


def test_it_says_what_stands_in_for_the_latency_predictor() -> None:
    assert PrefixCacheAffinityFilter().remarks() == ()
    assert "there is none" in PrefixCacheAffinityFilter(ttft_source="latencyPredictor").remarks()[0]
