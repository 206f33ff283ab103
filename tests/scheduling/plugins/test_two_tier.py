from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scheduling.plugins.two_tier import TwoTierCost
from tests.scheduling.plugins.contract import chat, opaque
from tests.scheduling.scene import pool_of, view_of

TEN_BLOCKS = bytes(range(80))


def cheapest(
    plugin: TwoTierCost, requests: Sequence[float], blocks: Sequence[int], chain: bytes = TEN_BLOCKS
) -> set[int]:
    look = view_of(pool_of(len(requests), requests=requests), matched_blocks=blocks, chain=chain, prompt_tokens=640)
    cost = plugin.cost(chat(), look)
    return set(np.flatnonzero(cost == cost.min()).tolist())


ROWS = {
    "the cache wins over load": ([0, 4], [0, 6], {1}),
    "half of the prompt is not more than half": ([0, 4], [0, 5], {0}),
    "the least loaded of those that hold the most": ([0, 9, 3], [5, 8, 8], {2}),
    "nobody holds anything": ([3, 1, 1], [0, 0, 0], {1, 2}),
    "a difference of 32 is even": ([0, 32], [0, 10], {1}),
    "more is not": ([0, 33], [0, 10], {0}),
    "both conditions must hold: the ratio does not": ([640, 704], [0, 10], {1}),
    "and with one more it does": ([640, 705], [0, 10], {0}),
    "one candidate": ([99], [0], {0}),
}


@pytest.mark.parametrize(("requests", "blocks", "expected"), ROWS.values(), ids=ROWS)
def test_the_cheapest_is_who_dynamo_s_port_of_sglang_picks(
    requests: list[float], blocks: list[int], expected: set[int]
) -> None:
    assert cheapest(TwoTierCost(), requests, blocks) == expected


def test_thresholds_can_be_set() -> None:
    assert cheapest(TwoTierCost(cache_threshold=0.2), [0, 4], [0, 3]) == {1}
    assert cheapest(TwoTierCost(balance_abs_threshold=3), [0, 4], [0, 10]) == {0}
    assert cheapest(TwoTierCost(balance_abs_threshold=3, balance_rel_threshold=1.5), [10, 14], [0, 10]) == {1}


def sglang_choice(plugin: TwoTierCost, requests: list[float], blocks: list[int]) -> set[int]:
    most, least = max(requests), min(requests)
    everyone = range(len(requests))
    if most - least > plugin.balance_abs_threshold and most > plugin.balance_rel_threshold * least:
        able = list(everyone)
    elif max(blocks) / 10 > plugin.cache_threshold:
        able = [row for row in everyone if blocks[row] == max(blocks)]
    else:
        able = list(everyone)
    fewest = min(requests[row] for row in able)
    return {row for row in able if requests[row] == fewest}


@given(
    rows=st.lists(st.tuples(st.integers(0, 60).map(float), st.integers(0, 10)), min_size=1, max_size=6),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
def test_any_pool_is_decided_as_by_the_rules(rows: list[tuple[float, int]], threshold: float) -> None:
    requests, blocks = [list(column) for column in zip(*rows, strict=True)]
    plugin = TwoTierCost(cache_threshold=threshold)
    assert cheapest(plugin, requests, blocks) == sglang_choice(plugin, requests, blocks)  # type: ignore[arg-type]


def test_without_a_prompt_only_load_counts() -> None:
    look = view_of(pool_of(2, requests=[2, 1]))
    assert TwoTierCost().cost(opaque(), look).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cache_threshold": 1.5}, "cacheThreshold is 1.5; it must be from 0 to 1"),
        ({"balance_abs_threshold": -1}, "balanceAbsThreshold is -1; it must be at least 0"),
        ({"balance_rel_threshold": 0.9}, "balanceRelThreshold is 0.9; it must be at least 1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TwoTierCost(**parameters)
