import pytest

from epp.scheduling.plugins.queue import QueueScorer
from tests.scheduling.plugins.contract import chat, pool_with, scored, view

QUEUES = {
    "one endpoint": [7],
    "all empty": [0, 0, 0],
    "all equal": [5, 5],
    "shortest first": [0, 5, 10],
    "large and close": [1_000_000, 1_000_001, 1_000_004],
    "huge": [0, 1e300, 5e299],
}


def go_formula(queues: list[float]) -> list[float]:
    most, least = max(queues), min(queues)
    return [1.0 if most == least else (most - queue) / (most - least) for queue in queues]


@pytest.mark.parametrize("queues", QUEUES.values(), ids=QUEUES)
def test_scores_follow_the_go_picker(queues: list[float]) -> None:
    look = view(pool_with(len(queues), waiting_base=queues))
    assert scored(QueueScorer(), chat(), look) == pytest.approx(go_formula(queues))


def test_what_was_placed_since_the_scrape_counts_as_queued() -> None:
    pool = pool_with(3, waiting_base=[2, 2, 0], requests=[8, 0, 8])
    assert scored(QueueScorer(), chat(), view(pool)) == pytest.approx(go_formula([10, 2, 8]))


def test_only_candidates_count() -> None:
    pool = pool_with(4, waiting_base=[100, 4, 2, 0])
    assert scored(QueueScorer(), chat(), view(pool, rows=[1, 2])) == [0, 1]
