from dataclasses import dataclass

import numpy as np
import pytest

from epp.endpoints import EndpointSpec, Row, Scrape, Verdict
from epp.telemetry.collectors import STATES, PoolCollector, ProcessCollector, ReloadMetrics
from epp.telemetry.lag import LagMonitor
from epp.telemetry.metrics import RequestMetrics
from epp.telemetry.schedule import Kind
from epp.telemetry.scraper import EndpointStatistics, ProbeStatistics
from tests.router.desk import Desk, address
from tests.telemetry.samples import Samples, samples_of, value

P = "llm_d_epp_"


def read(desk: Desk, **more: object) -> Samples:
    return samples_of(PoolCollector(desk.router, RequestMetrics("pool-a"), lambda: desk.now, **more))  # type: ignore[arg-type]


def test_means_are_over_usable_endpoints_that_were_scraped() -> None:
    desk = Desk(4)
    for number, running in ((1, 2.0), (2, 4.0), (3, 90.0)):
        desk.scrape(number, running=running, waiting=running, kv_usage=running / 100)
    desk.router.pool.health_seen(address(3), healthy=False, now=desk.now)
    desk.router.pool.health_seen(address(3), healthy=False, now=desk.now)
    samples = read(desk)
    for name in ("running_requests", "queue_size"):
        assert value(samples, P + "average_" + name, name="pool-a") == 3
        assert value(samples, P + "std_dev_" + name) == 1
    assert value(samples, P + "average_kv_cache_utilization") == pytest.approx(0.03)
    assert value(samples, P + "std_dev_kv_cache_utilization") == pytest.approx(0.01)
    assert value(samples, P + "ready_endpoints") == 3


def test_an_empty_pool_has_no_means() -> None:
    samples = read(Desk(0))
    assert value(samples, P + "ready_endpoints") == 0
    assert value(samples, P + "average_queue_size") is None
    assert value(samples, "epp_endpoints") == 0


def test_what_is_not_known_of_an_endpoint_is_missing() -> None:
    samples = read(Desk(1))
    for name in ("scrape_age_seconds", "running_requests", "prefill_rate_tokens_per_second", "token_interval_seconds"):
        assert value(samples, "epp_endpoint_" + name) is None, name
    assert value(samples, P + "per_endpoint_queue_size") is None
    assert value(samples, "epp_endpoint_usable", endpoint=address(1)) == 1


def test_what_is_known_of_an_endpoint_is_shown() -> None:
    desk = Desk(1)
    desk.scrape(1, running=3.0, waiting=2.0, kv_usage=0.25)
    desk.wait(1.5)
    desk.router.pool.table.columns.prefill_rate[0] = 9000.0
    samples = read(desk)
    assert value(samples, "epp_endpoint_scrape_age_seconds", endpoint=address(1)) == 1.5
    assert value(samples, "epp_endpoint_running_requests") == 3
    assert value(samples, "epp_endpoint_kv_cache_utilization") == 0.25
    assert value(samples, "epp_endpoint_prefill_rate_tokens_per_second") == 9000
    assert value(samples, P + "per_endpoint_queue_size", model_server_endpoint=address(1), name="pool-a") == 2


def test_states_are_counted_and_say_why() -> None:
    desk = Desk(3)
    desk.router.pool.health_seen(address(1), healthy=False, now=desk.now)
    desk.router.pool.health_seen(address(1), healthy=False, now=desk.now)
    desk.router.pool.scraped(address(2), Scrape(asleep=True), desk.now, desk.now)
    samples = read(desk)
    assert value(samples, "epp_endpoints", state="unhealthy") == 1
    assert value(samples, "epp_endpoints", state="asleep") == 1
    assert value(samples, "epp_endpoints", state="ejected") == 0
    assert value(samples, "epp_endpoint_state", endpoint=address(1), state="unhealthy") == 1
    assert value(samples, "epp_endpoint_usable", endpoint=address(1)) == 0


def test_states_are_those_of_health() -> None:
    desk = Desk(2)
    pool, row, seen = desk.router.pool, Row(0), set()

    def look() -> None:
        seen.add(pool.health.describe(row))

    look()
    desk.wait(60)
    look()
    for _ in range(3):
        pool.health.replied(row, Verdict.FAILED, desk.now)
    look()
    desk.wait(10.5)
    look()
    desk.wait(60)
    pool.scraped(address(1), Scrape(asleep=True), desk.now, desk.now)
    look()
    for _ in range(3):
        pool.scrape_failed(address(1), now=desk.now)
    pool.scraped(address(1), Scrape(), desk.now, desk.now)
    for _ in range(3):
        pool.scrape_failed(address(1), now=desk.now)
    look()
    for _ in range(2):
        pool.health_seen(address(1), healthy=False, now=desk.now)
    look()
    assert seen == set(STATES)


def test_endpoints_with_one_name_are_told_apart() -> None:
    desk = Desk(0)
    specs = [EndpointSpec("10.0.0.1:8000", name="pod"), EndpointSpec("10.0.0.1:8001", name="pod")]
    desk.router.replace_endpoints([*specs, EndpointSpec("[fd00::1]:8000", name="six")], desk.now)
    samples = read(desk)
    for name in ("pod@10.0.0.1:8000", "pod@10.0.0.1:8001", "six"):
        assert value(samples, P + "inflight_requests", endpoint_name=name, namespace="default") == 0


def test_failures_of_scraping_are_shown() -> None:
    probes = {Kind.METRICS: ProbeStatistics(None, 4, 0.0, "refused")}
    statistics = {address(1): EndpointStatistics(EndpointSpec(address(1)), probes)}
    samples = read(Desk(2), scraping=lambda: statistics)
    assert value(samples, "epp_endpoint_probe_failures", endpoint=address(1), probe="metrics") == 4
    assert value(samples, "epp_endpoint_probe_failures") == 4


def test_errors_of_scraping_are_counted_also_of_endpoints_that_have_left() -> None:
    def probed(endpoint: int, kind: Kind, errors: int) -> dict[str, EndpointStatistics]:
        probes = {kind: ProbeStatistics(None, 0, 0.0, "refused", errors)}
        return {address(endpoint): EndpointStatistics(EndpointSpec(address(endpoint)), probes)}

    desk = Desk(2)
    statistics: dict[str, EndpointStatistics] = {}
    collector = PoolCollector(desk.router, RequestMetrics("pool-a"), lambda: desk.now, lambda: statistics)

    def total(source_type: str) -> float | None:
        return value(samples_of(collector), P + "datalayer_poll_errors_total", source_type=source_type)

    assert total("metrics-data-source") == total("models-data-source") == total("health-probe") == 0
    statistics |= {**probed(1, Kind.METRICS, 3), **probed(2, Kind.HEALTH, 2)}
    assert (total("metrics-data-source"), total("health-probe")) == (3, 2)
    assert value(samples_of(collector), "epp_endpoint_probe_errors_total", endpoint=address(1), probe="metrics") == 3
    statistics |= probed(1, Kind.METRICS, 5)
    assert total("metrics-data-source") == 5
    del statistics[address(1)]
    assert total("metrics-data-source") == 5
    statistics |= probed(1, Kind.METRICS, 1)  # it came back and is counted anew
    assert total("metrics-data-source") == 6


def test_two_pools_show_side_by_side() -> None:
    one, two = Desk(1), Desk(2)
    samples = samples_of(
        PoolCollector(one.router, RequestMetrics("a"), lambda: 0.0),
        PoolCollector(two.router, RequestMetrics("b"), lambda: 0.0),
    )
    assert value(samples, P + "ready_endpoints", inference_pool="a") == 1
    assert value(samples, P + "ready_endpoints", inference_pool="b") == 2


def test_a_page_does_not_change_what_it_shows() -> None:
    desk = Desk(3)
    desk.place()
    before = {name: np.array(getattr(desk.router.pool.table.columns, name)) for name in ("requests", "usable")}
    assert read(desk) == read(desk)
    for name, values in before.items():
        assert (getattr(desk.router.pool.table.columns, name) == values).all()


@dataclass
class Budget:
    limit_bytes: int = 100
    held_bytes: int = 40
    refused: int = 2


def test_the_process_shows_bodies_lag_and_reloads() -> None:
    lag, reloads = LagMonitor(limit_s=0.1), ReloadMetrics(loaded_at=1000.0)
    lag.woke(-100.0, -97.0, busy_s=0.0)
    lag.woke(1.0, 3.0, busy_s=25.0)
    reloads.reloaded(ok=True, now=2000.0)
    reloads.reloaded(ok=False, now=3000.0)
    samples = samples_of(ProcessCollector(version="1.2", commit="abc", bodies=Budget(), lag=lag, reloads=reloads))
    expected = {
        "epp_body_bytes_in_flight": 40,
        "epp_body_bytes_limit": 100,
        "epp_bodies_refused_total": 2,
        "epp_event_loop_lag_worst_seconds": 2,
        "epp_event_loop_busy_ratio": 0.25,
        "epp_overloaded": 1,
        "epp_config_reloads_total": 2,
        "epp_config_last_reload_successful": 0,
        "epp_config_last_load_timestamp_seconds": 2000,
    }
    assert {name: value(samples, name) for name in expected} == expected
    assert value(samples, P + "info", commit="abc", build_ref="1.2") == 1
    assert value(samples, "epp_config_reloads_total", result="failure") == 1


def test_a_process_without_parts_shows_what_it_has() -> None:
    samples = samples_of(ProcessCollector(version="1.2"))
    assert {name for name, _ in samples} == {P + "info"}
