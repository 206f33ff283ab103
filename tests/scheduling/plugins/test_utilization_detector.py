import pytest

from epp.endpoints import Scrape
from epp.scheduling.plugins.utilization_detector import UtilizationDetector
from tests.scheduling.plugins.contract import chat, kept, pool_with, view


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [0, 1]),
        ({"queue_depth_threshold": 6}, [0, 1, 2]),
        ({"kv_cache_util_threshold": 0.5}, [0]),
        ({"headroom": 0.2}, [0, 1, 2, 3]),
        ({"queue_depth_threshold": 1000, "kv_cache_util_threshold": 1.0}, [0, 1, 2, 3]),
    ],
)
def test_keeps_what_is_below_both_limits(parameters: dict[str, float], expected: list[int]) -> None:
    pool = pool_with(5, waiting_base=[0, 4, 5, 0, 0], kv_usage_base=[0.0, 0.79, 0.3, 0.8, 1.0])
    assert kept(UtilizationDetector(**parameters), chat(), view(pool)) == expected  # type: ignore[arg-type]


def test_a_saturated_pool_is_used_all_the_same() -> None:
    pool = pool_with(2, waiting_base=[50, 60])
    assert kept(UtilizationDetector(), chat(), view(pool)) == [0, 1]


def test_old_metrics_do_not_stop_a_pool() -> None:
    pool = pool_with(2)
    for address, waiting in zip(pool.table.addresses, (0, 50), strict=True):
        pool.scraped(address, Scrape(waiting=waiting, running=1, kv_usage=0.1), 0.0, 0.0)
    assert kept(UtilizationDetector(), chat(), view(pool, now=1.0)) == [0]
    pool.tick(100.0)
    assert kept(UtilizationDetector(), chat(), view(pool, now=100.0)) == [0, 1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"queue_depth_threshold": 0}, "queueDepthThreshold is 0; it must be more than 0"),
        ({"kv_cache_util_threshold": 80}, "kvCacheUtilThreshold is 80; it must be more than 0 and at most 1"),
        ({"kv_cache_util_threshold": 0.0}, "kvCacheUtilThreshold is 0.0; it must be more than 0 and at most 1"),
        ({"metrics_staleness_threshold": "soon"}, "metricsStalenessThreshold is 'soon'; it must be a duration such as"),
        ({"metrics_staleness_threshold": "-1s"}, "metricsStalenessThreshold is -1.0; it must be more than 0"),
        ({"staleness_policy": "drop"}, "stalenessPolicy is 'drop'; it must be saturated or ignore"),
        ({"headroom": -0.5}, "headroom is -0.5; it must be at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UtilizationDetector(**parameters)  # type: ignore[arg-type]


def test_it_says_which_parameters_do_nothing() -> None:
    assert UtilizationDetector().remarks() == ()
    assert "no effect" in UtilizationDetector(metrics_staleness_threshold="1s").remarks()[0]
