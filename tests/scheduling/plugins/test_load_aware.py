import pytest

from epp.scheduling.plugins.load_aware import LoadAwareScorer
from tests.scheduling.plugins.contract import chat, pool_with, scored, view


def go_formula(waiting: float, threshold: float) -> float:
    return 0.5 if waiting == 0 else 0.5 * (1.0 - min(waiting, threshold) / threshold)


@pytest.mark.parametrize("threshold", [1, 10, 128])
def test_scores_follow_the_go_picker(threshold: int) -> None:
    queues = [0, 1, 64, 128, 129, 1e300]
    look = view(pool_with(len(queues), waiting_base=queues))
    expected = [go_formula(queue, threshold) for queue in queues]
    assert scored(LoadAwareScorer(threshold), chat(), look) == pytest.approx(expected)


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_threshold_that_divides_by_nothing_is_refused(threshold: int) -> None:
    with pytest.raises(ValueError, match=f"threshold is {threshold}; it must be more than 0"):
        LoadAwareScorer(threshold)
