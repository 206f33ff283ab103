import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.lag import LagMonitor

PERIOD = 0.1


def feed(monitor: LagMonitor, lags: list[float], now: float = 0.0) -> float:
    for lag in lags:
        due = now + PERIOD
        now = due + lag
        monitor.woke(due, now)
    return now


CASES = {
    "a quiet loop": ([0.001] * 40, False),
    "one pause": ([0.0] * 20 + [0.06] + [0.0] * 2, False),
    "always behind": ([0.0] * 20 + [0.06] * 30, True),
    "one pause that is very long": ([0.0] * 20 + [2.0], True),
    "over long ago": ([0.06] * 30 + [0.0] * 40, False),
    "not yet well below the limit": ([0.06] * 30 + [0.04] * 40, True),
    "near the limit from below": ([0.04] * 60, False),
    "a clock that goes back": ([-5.0, 0.0], False),
}


@pytest.mark.parametrize(("lags", "overloaded"), CASES.values(), ids=CASES)
def test_overload_by_a_limit_of_50_ms(lags: list[float], overloaded: bool) -> None:
    monitor = LagMonitor(limit_s=0.05)
    feed(monitor, lags)
    assert monitor.overloaded() is overloaded


def test_without_a_limit_there_is_no_overload() -> None:
    monitor = LagMonitor()
    feed(monitor, [10.0])
    assert not monitor.overloaded()


def test_the_worst_is_that_of_the_last_second() -> None:
    monitor = LagMonitor()
    assert monitor.worst_s == 0.0
    now = feed(monitor, [0.2, 0.3, 0.1])
    assert monitor.worst_s == pytest.approx(0.3)
    feed(monitor, [0.01] * 40, now)
    assert monitor.worst_s == pytest.approx(0.01)


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50))
def test_smoothed_lag_stays_within_what_was_seen(lags: list[float]) -> None:
    monitor = LagMonitor()
    feed(monitor, lags)
    assert 0.0 <= monitor.lag_s <= max(lags) + 1e-9
    assert monitor.worst_s <= max(lags) + 1e-9
    assert "ms" in repr(monitor)
