import pytest

from epp.scheduling.plugins.ramjet import RamjetCost
from tests.scheduling.plugins.contract import chat, costs, opaque, pool_with, view

ABSOLUTE = {
    # affinity blocks held (8 of ours), requests, prefill in front, score
    "idle and cold": (0, 0, 0, 0),
    "ten blocks": (10, 0, 0, 10),
    "the cap": (40, 0, 0, 32),
    "seven requests against the cap": (40, 7, 0, 32 - 4 * 7),
    "nine requests win against the cap": (40, 9, 0, 32 - 4 * 9),
    "prefill in front": (10, 1, 16_384, 10 - 4 * (1 + 2)),
    "one huge prompt counts for 8 at most": (0, 1, 1e6, -4 * 8),
    "and beside others, too": (0, 3, 1e6, -4 * (3 + 3 * 7)),
}


@pytest.mark.parametrize(("held", "requests", "prefill", "score"), ABSOLUTE.values(), ids=ABSOLUTE)
def test_costs_are_ramjet_s_scores_negated(held: int, requests: float, prefill: float, score: float) -> None:
    pool = pool_with(1, requests=[requests], prefill_tokens=[prefill])
    (cost,) = costs(RamjetCost(), chat(), view(pool, blocks=[8 * held], prompt_tokens=1e6))
    assert cost == pytest.approx(-score, abs=1e-6)


def ramjet_relative(overlap: int, warmest: int, cap: int = 32) -> int:
    return max(0, min(warmest, cap) - min(warmest - overlap, cap))


@pytest.mark.parametrize("held", [[0, 0], [90, 100], [10, 0, 4], [100, 68, 67], [32, 31]])
def test_the_relative_basis_keeps_differences_beyond_the_cap(held: list[int]) -> None:
    look = view(pool_with(len(held)), blocks=[8 * one for one in held], prompt_tokens=1e6)
    expected = [-ramjet_relative(one, max(held)) for one in held]
    assert costs(RamjetCost(basis="relative"), chat(), look) == pytest.approx(expected, abs=1e-6)


def test_the_basis_can_turn_a_choice() -> None:
    look = view(pool_with(2, requests=[1, 2]), blocks=[8 * 90, 8 * 100], prompt_tokens=1e6)
    first, second = costs(RamjetCost(), chat(), look)
    assert first < second
    first, second = costs(RamjetCost(basis="relative"), chat(), look)
    assert second < first


def test_parts_of_an_affinity_block_count_for_nothing() -> None:
    seven, eight = costs(RamjetCost(), chat(), view(pool_with(2), blocks=[7, 8], prompt_tokens=1000))
    assert (seven, eight) == pytest.approx((0, -1), abs=1e-6)


def test_of_equal_scores_the_deeper_match_wins_by_less_than_a_token_of_load() -> None:
    deep, shallow = costs(RamjetCost(), chat(), view(pool_with(2), blocks=[65_536, 8 * 32], prompt_tokens=1e7))
    assert deep < shallow < deep + 4 / 8192


def test_without_a_match_only_load_counts() -> None:
    assert costs(RamjetCost(), opaque(), view(pool_with(2, requests=[2, 0]))) == [8, 0]


def test_the_explanation_shows_both_sides() -> None:
    look = view(pool_with(1, requests=[2]), blocks=[24], prompt_tokens=1e6)
    RamjetCost().cost(chat(), look)
    assert look.trace.explain().candidates[0].terms == {"load": 8, "affinity": -3}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -1}, "alpha is -1; it must be at least 0"),
        ({"affinity_block_bytes": 0}, "affinityBlockBytes is 0; it must be more than 0"),
        ({"max_affinity_blocks": 0}, "maxAffinityBlocks is 0"),
        ({"load_unit_tokens": 0}, "loadUnitTokens is 0"),
        ({"max_load_units": 0}, "maxLoadUnits is 0; it must be at least 1"),
        ({"basis": "marginal"}, "basis is 'marginal'; it must be absolute or relative"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RamjetCost(**parameters)  # type: ignore[arg-type]
