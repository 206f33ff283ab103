import pytest

from epp.scheduling.plugins.utilization_filter import Condition, Metric, UtilizationFilter
from tests.scheduling.plugins.contract import chat, kept, pool_with, view

COLUMNS = {
    "requests": [0, 5, 1, 0],
    "requests_base": [0, 5, 1, 0],
    "foreign_requests": [0, 0, 0, 9],
    "running_base": [0, 3, 1, 9],
    "waiting_base": [0, 2, 0, 0],
    "kv_usage_base": [0.0, 0.5, 0.91, 1.0],
}

CASES: dict[str, tuple[list[tuple[Metric, float]], list[int]]] = {
    "a value at its cap passes": ([("waiting-queue", 2)], [0, 1, 2, 3]),
    "a value over its cap does not": ([("waiting-queue", 1.5)], [0, 2, 3]),
    "running": ([("running-requests", 1)], [0, 2]),
    "requests of others are active too": ([("active-requests", 1)], [0, 2]),
    "cache": ([("kv-cache-utilization", 0.9)], [0, 1]),
    "all must hold": ([("running-requests", 3), ("kv-cache-utilization", 0.9), ("waiting-queue", 0)], [0]),
    "none passes": ([("kv-cache-utilization", 0), ("running-requests", 0), ("active-requests", 0)], [0]),
}


@pytest.mark.parametrize(("caps", "expected"), CASES.values(), ids=CASES)
def test_keeps_what_is_within_all_caps(caps: list[tuple[Metric, float]], expected: list[int]) -> None:
    plugin = UtilizationFilter(tuple(Condition(*cap) for cap in caps))
    assert kept(plugin, chat(), view(pool_with(4, **COLUMNS))) == expected


@pytest.mark.parametrize(("fallback", "expected"), [(False, []), (True, [0, 1])])
def test_an_empty_result_falls_back_only_when_told_to(*, fallback: bool, expected: list[int]) -> None:
    plugin = UtilizationFilter((Condition("waiting-queue", 0),), fallback)
    assert kept(plugin, chat(), view(pool_with(2, waiting_base=[1, 1]))) == expected


@pytest.mark.parametrize(
    ("metric", "most", "message"),
    [
        ("queue", 1, "metric is 'queue'; it must be active-requests or running-requests or waiting-queue or kv-cache"),
        ("waiting-queue", -1, "maxValue is -1; it must be at least 0"),
        ("kv-cache-utilization", 80, "maxValue is 80; it must be from 0 to 1"),
        ("running-requests", float("nan"), "maxValue is nan"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(metric: Metric, most: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Condition(metric, most)


def test_conditions_are_required() -> None:
    with pytest.raises(ValueError, match="conditions is missing or empty; it is required"):
        UtilizationFilter()
