import pytest

from epp.scheduling.plugins.running_requests import RunningRequestsSizeScorer
from tests.scheduling.plugins.contract import chat, pool_with, scored, view

BATCHES = {
    "one endpoint": ([3], [1.0]),
    "all idle": ([0, 0], [1.0, 1.0]),
    "smallest first": ([4, 2, 0, 3], [0.0, 0.5, 1.0, 0.25]),
    "huge": ([1e300, 0], [0.0, 1.0]),
}


@pytest.mark.parametrize(("running", "expected"), BATCHES.values(), ids=BATCHES)
def test_scores_follow_the_go_picker(running: list[float], expected: list[float]) -> None:
    look = view(pool_with(len(running), running_base=running))
    assert scored(RunningRequestsSizeScorer(), chat(), look) == pytest.approx(expected)


def test_what_was_placed_or_ended_since_the_scrape_counts() -> None:
    pool = pool_with(3, running_base=[4, 4, 4], requests=[6, 4, 0], requests_base=[4, 4, 2])
    assert scored(RunningRequestsSizeScorer(), chat(), view(pool)) == [0.0, 0.5, 1.0]
