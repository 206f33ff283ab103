from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from epp.prefix import chain_of
from epp.scheduling.plugins.bounded_load_hash import BoundedLoadHashCost
from tests.scheduling.plugins.contract import chat, opaque
from tests.scheduling.scene import pool_of, view_of


def conversation(opening: int, rest: int = 0) -> bytes:
    """A prompt of 12 blocks, of which the opening is the first four."""
    return chain_of([f"{opening:>8}".encode() * 128, f"{rest:>8}".encode() * 256], 0)


def order(chain: bytes, count: int = 8, requests: Sequence[float] = (), **parameters: float) -> list[int]:
    """Endpoints by cost."""
    pool = pool_of(count, requests=requests or [0] * count)
    cost = BoundedLoadHashCost(**parameters).cost(chat(), view_of(pool, chain=chain))  # type: ignore[arg-type]
    return np.argsort(cost).tolist()


def test_prompts_that_begin_alike_go_to_one_endpoint() -> None:
    assert len({tuple(order(conversation(1, rest))) for rest in range(10)}) == 1


def test_the_key_is_as_long_as_it_is_set() -> None:
    assert len({order(conversation(1, rest), prefix_blocks=5)[0] for rest in range(20)}) > 1


def test_openings_spread_evenly() -> None:
    owners = Counter(order(conversation(opening))[0] for opening in range(1600))
    assert len(owners) == 8
    assert all(abs(count - 200) < 60 for count in owners.values())


def test_an_endpoint_that_leaves_moves_its_own_prompts_only() -> None:
    for opening in range(50):
        with_all = order(conversation(opening), 8)
        assert order(conversation(opening), 7) == [row for row in with_all if row != 7]


def test_a_short_prompt_is_hashed_as_far_as_it_goes() -> None:
    assert len({order(chain_of([str(n).encode() * 256], 0))[0] for n in range(50)}) > 4


def reference_choice(hash_order: list[int], requests: Sequence[float], load_factor: float) -> int:
    """The first in order within the bound; the first of all when nobody is."""
    bound = (sum(requests) + 1) / len(requests) * load_factor
    return next((row for row in hash_order if requests[row] <= bound), hash_order[0])


@pytest.mark.parametrize("load_factor", [1.0, 1.25, 3.0])
@pytest.mark.parametrize(
    "requests", [[0, 0, 0, 0], [6, 0, 0, 0], [6, 5, 5, 5], [0, 9, 9, 0], [1, 2, 3, 4], [1, 1, 1, 1], [2, 1, 0, 4]]
)
def test_the_bound_passes_a_request_on_in_the_hash_s_order(requests: list[float], load_factor: float) -> None:
    for opening in range(30):
        idle = order(conversation(opening), 4)
        chosen = order(conversation(opening), 4, requests, load_factor=load_factor)[0]
        assert chosen == reference_choice(idle, requests, load_factor)


def test_who_is_over_the_bound_comes_last_and_by_explanation() -> None:
    cost = BoundedLoadHashCost().cost(chat(), view_of(pool_of(3, requests=[9, 0, 0]), chain=conversation(1)))
    assert 1 <= cost[0] <= 2
    assert (cost[1:] <= 1).all()


def test_without_a_full_block_the_fewest_requests_decide() -> None:
    assert BoundedLoadHashCost().cost(opaque(), view_of(pool_of(2, requests=[2, 1]))).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"prefix_blocks": 0}, "prefixBlocks is 0; it must be more than 0"),
        ({"load_factor": 0.9}, "loadFactor is 0.9; it must be at least 1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoundedLoadHashCost(**parameters)  # type: ignore[arg-type]
