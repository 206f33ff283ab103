import numpy as np
import pytest

from epp.endpoints import EndpointPool, EndpointSpec, PoolSettings, Row, Scrape

SETTLED = 100.0


class Caches:
    def __init__(self) -> None:
        self.lost: list[Row] = []
        self.sizes: list[tuple[Row, float | None]] = []

    def cache_lost(self, row: Row) -> None:
        self.lost.append(row)

    def cache_size_seen(self, row: Row, tokens: float | None) -> None:
        self.sizes.append((row, tokens))


def address(number: int) -> str:
    return f"10.0.0.{number}:8000"


def pool_of(*numbers: int) -> tuple[EndpointPool, Caches]:
    caches = Caches()
    pool = EndpointPool(PoolSettings(), caches)
    pool.replace([EndpointSpec(address(number)) for number in numbers], 0.0)
    pool.tick(SETTLED)
    return pool, caches


@pytest.mark.parametrize(
    ("first", "second", "lost"),
    {
        "the same start": ({"start_time": 1.0}, {"start_time": 1.0}, False),
        "another start": ({"start_time": 1.0}, {"start_time": 2.0}, True),
        "a counter that grows": ({"processed_tokens": 10.0}, {"processed_tokens": 20.0}, False),
        "a counter that fell": ({"processed_tokens": 20.0}, {"processed_tokens": 3.0}, True),
        "the start time knows better": (
            {"start_time": 1.0, "processed_tokens": 20.0},
            {"start_time": 1.0, "processed_tokens": 3.0},
            False,
        ),
        "a page that says nothing of it": ({"start_time": 1.0}, {}, False),
    }.values(),
)
def test_a_restart_empties_the_cache(first: dict[str, float], second: dict[str, float], lost: bool) -> None:
    pool, caches = pool_of(1)
    pool.scraped(address(1), Scrape(running=0, **first), 101.0, 101.0)
    pool.scraped(address(1), Scrape(running=0, **second), 102.0, 102.0)
    assert caches.lost == ([Row(0)] if lost else [])


def classes(pool: EndpointPool, allowed: list[bool] | None = None) -> list[list[int]]:
    mask = None if allowed is None else np.array(allowed)
    return [rows.tolist() for rows in pool.candidates(mask)]


def candidates(pool: EndpointPool, allowed: list[bool] | None = None) -> list[int]:
    return classes(pool, allowed)[0]


def test_the_best_class_of_endpoints_that_is_not_empty_is_chosen_from() -> None:
    pool, _ = pool_of(1, 2, 3, 4)
    columns = pool.table.columns
    assert candidates(pool) == [0, 1, 2, 3]
    columns.request_limit[3], columns.requests[3] = 1.0, 1.0
    assert candidates(pool) == [0, 1, 2], "within their limits"
    columns.usable[[0, 1, 2]] = False
    assert candidates(pool) == [3], "usable"
    columns.usable[3] = columns.reachable[3] = columns.reachable[2] = False
    assert candidates(pool) == [0, 1], "reachable"
    columns.reachable[[0, 1]] = False
    assert candidates(pool) == [0, 1, 2, 3], "any"
    columns.reachable[1] = True
    assert candidates(pool, [True, False, True, False]) == [0, 2], "within what is allowed"


def test_wider_classes_follow_for_filters_that_leave_nothing() -> None:
    pool, _ = pool_of(1, 2, 3, 4)
    columns = pool.table.columns
    columns.request_limit[1] = 0.0
    columns.usable[[2, 3]] = False
    columns.reachable[3] = False
    assert classes(pool) == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert classes(pool, [False, True, True, False]) == [[1], [1, 2]]
    assert classes(pool, [False] * 4) == []


def test_limits_of_slow_starters_do_not_drown_the_one_endpoint_without() -> None:
    pool, _ = pool_of(1, 2, 3)
    columns = pool.table.columns
    columns.request_limit[[1, 2]], columns.requests[:3] = 1.0, [3, 1, 1]
    assert candidates(pool) == [0]
    columns.requests[:3] = [50, 1, 1]
    assert candidates(pool) == [0, 1, 2]


def test_a_page_that_cannot_be_read_does_not_make_a_healthy_endpoint_unusable() -> None:
    pool, _ = pool_of(1, 2)
    for second in range(10):
        pool.scrape_failed(address(1), unreadable=True, now=SETTLED + second)
        pool.scrape_failed(address(2), now=SETTLED + second)
    assert pool.table.columns.usable[:2].tolist() == [True, False]
    assert pool.table.columns.reachable[:2].tolist() == [True, True]


def test_news_of_an_endpoint_that_left_is_ignored() -> None:
    pool, caches = pool_of(1)
    pool.scraped("10.9.9.9:1", Scrape(running=1), 1.0, 1.0)
    pool.scrape_failed("10.9.9.9:1", now=1.0)
    pool.health_seen("10.9.9.9:1", healthy=False, now=1.0)
    pool.models_seen("10.9.9.9:1", None, 1.0)
    assert caches.lost == []
