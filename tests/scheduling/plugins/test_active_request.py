import pytest

from epp.scheduling.plugins.active_request import ActiveRequestScorer
from tests.scheduling.plugins.contract import chat, pool_with, scored, view


def go_formula(counts: list[float], idle: float, best: float) -> list[float]:
    most = max(counts)
    return [1.0 if count <= idle else (most - count) / most * best for count in counts]


@pytest.mark.parametrize("counts", [[0], [3], [0, 0], [5, 5], [0, 1, 4], [2, 3, 1e300]])
@pytest.mark.parametrize(("idle", "best"), [(0, 1.0), (2, 1.0), (0, 0.5), (10, 0.0)])
def test_scores_follow_the_go_picker(counts: list[float], idle: int, best: float) -> None:
    look = view(pool_with(len(counts), requests=counts))
    assert scored(ActiveRequestScorer(idle, best), chat(), look) == pytest.approx(go_formula(counts, idle, best))


def test_requests_of_others_count() -> None:
    look = view(pool_with(3, requests=[4, 0, 1], foreign_requests=[0, 2, 0]))
    assert scored(ActiveRequestScorer(), chat(), look) == pytest.approx([0.0, 0.5, 0.75])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"idle_threshold": -1}, "idleThreshold is -1; it must be at least 0"),
        ({"max_busy_score": 1.5}, "maxBusyScore is 1.5; it must be from 0 to 1"),
        ({"max_busy_score": float("nan")}, "maxBusyScore is nan; it must be from 0 to 1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ActiveRequestScorer(**parameters)  # type: ignore[arg-type]
