import pytest

from epp.scheduling.plugins.prefix_cache import PrefixCacheScorer, matched_share
from tests.scheduling.plugins.contract import chat, opaque, pool_with, scored, view

BLOCK = 256


def go_formula(blocks: float, total: float, tokens_per_block: float, weight: float, scale: float) -> float:
    """With `total` blocks of which the last may be a part, and matched tokens that never exceed the prompt."""
    ratio = min(1.0, blocks / total) if total else 0.0
    length = min(1.0, min(blocks, total) * tokens_per_block / scale)
    return weight * length**2 + (1 - weight) * ratio


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("scale", [100, 8192])
@pytest.mark.parametrize("total", [1, 10, 2.5, 1e7])
def test_scores_follow_the_go_picker(weight: float, scale: int, total: float) -> None:
    blocks = [0, 1, 2, 10, 10_000_000]
    look = view(pool_with(5), blocks=blocks, prompt_tokens=total * 64, tokens_per_block=64)
    expected = [go_formula(matched, total, 64, weight, scale) for matched in blocks]
    request = chat(prompt_bytes=int(total * BLOCK))
    assert scored(PrefixCacheScorer(weight, scale), request, look) == pytest.approx(expected)


def test_matches_count_as_far_as_they_proved_right() -> None:
    look = view(pool_with(2, cache_trust=[1.0, 0.25]), blocks=[8, 8], prompt_tokens=640)
    assert scored(PrefixCacheScorer(), chat(prompt_bytes=10 * BLOCK), look) == pytest.approx([0.8, 0.2])


def test_a_short_prompt_is_not_held_by_all_that_share_its_first_block() -> None:
    look = view(pool_with(1), blocks=[1], prompt_tokens=120)
    assert matched_share(chat(prompt_bytes=480), look).tolist() == pytest.approx([256 / 480])


def test_media_count_neither_as_held_nor_as_missing() -> None:
    look = view(pool_with(1), blocks=[2], prompt_tokens=2 * 64 + 500)
    assert scored(PrefixCacheScorer(), chat(prompt_bytes=2 * BLOCK, media=[b"12345678"]), look) == [1.0]


def test_without_a_prompt_nobody_holds_any_of_it() -> None:
    assert scored(PrefixCacheScorer(0.5), opaque(), view(pool_with(2))) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((1.1, 8192), "matchLengthWeight is 1.1; it must be from 0 to 1"),
        ((-0.1, 8192), "matchLengthWeight is -0.1; it must be from 0 to 1"),
        ((0.5, 0), "matchLengthScaleTokens is 0; it must be more than 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: tuple[float, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrefixCacheScorer(*parameters)


def test_the_scale_does_not_matter_without_its_weight() -> None:
    PrefixCacheScorer(0.0, 0)
