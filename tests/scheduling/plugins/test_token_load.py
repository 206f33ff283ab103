import pytest

from epp.scheduling.plugins.token_load import TokenLoadScorer
from tests.scheduling.plugins.contract import chat, pool_with, scored, view


def go_formula(tokens: float, threshold: float) -> float:
    return 1.0 if tokens <= 0 else 1.0 - min(tokens, threshold) / threshold


@pytest.mark.parametrize("threshold", [1, 1000, 4_194_304])
def test_scores_follow_the_go_picker(threshold: int) -> None:
    in_flight, matched_blocks = [0, 0, 500, 1e300, 100], [10, 0, 5, 0, 100]
    pool = pool_with(5, prefill_tokens=in_flight)
    look = view(pool, blocks=matched_blocks, prompt_tokens=640, tokens_per_block=64)
    uncached = [640 - min(640, 64 * blocks) for blocks in matched_blocks]
    expected = [go_formula(load + own, threshold) for load, own in zip(in_flight, uncached, strict=True)]
    assert scored(TokenLoadScorer(threshold), chat(), look) == pytest.approx(expected)


def test_others_requests_that_wait_count_too() -> None:
    pool = pool_with(3, foreign_waiting=[3, 0, 0], foreign_requests=[5, 5, 0])
    waiting, idle, alone = scored(TokenLoadScorer(100_000), chat(), view(pool, prompt_tokens=100))
    assert waiting < idle == alone == 1.0 - 100 / 100_000


def test_without_a_prompt_only_load_counts() -> None:
    look = view(pool_with(2, prefill_tokens=[0, 250]))
    assert scored(TokenLoadScorer(1000), chat(), look) == [1.0, 0.75]


def test_a_threshold_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="queueThresholdTokens is 0; it must be more than 0"):
        TokenLoadScorer(0)
