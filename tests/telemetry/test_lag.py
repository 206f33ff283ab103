import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.lag import BUSY_OFF, LagMonitor

PERIOD = 0.1


def feed(monitor: LagMonitor, lags: list[float], now: float = 0.0) -> float:
    for lag in lags:
        due = now + PERIOD
        now = due + lag
        monitor.woke(due, now, busy_s=0.0)
    return now


def work(monitor: LagMonitor, shares: list[float], late: frozenset[int] = frozenset()) -> None:
    """The thread is busy for these shares of its periods. It wakes 1 ms late, and a second after some of them."""
    now = busy_s = 0.0
    monitor.woke(now, now, busy_s)
    for number, share in enumerate(shares):
        due, before = now + PERIOD, now
        now = due + (1.0 if number in late else 0.001)
        busy_s += share * (now - before)
        monitor.woke(due, now, busy_s)


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


BUSY_CASES = {
    "half of the time": ([0.5] * 60, False),
    "a burst": ([0.5] * 20 + [1.0] * 5, False),
    "without rest": ([0.5] * 20 + [0.98] * 20, True),
    "near the limit from below": ([0.88] * 60, False),
    "not yet well below the limit": ([0.98] * 30 + [0.75] * 60, True),
    "over long ago": ([0.98] * 30 + [0.6] * 30, False),
    "nothing to go by": ([], False),
    "a count that goes back": ([0.5] * 20 + [-5.0], False),
}


@pytest.mark.parametrize(("shares", "overloaded"), BUSY_CASES.values(), ids=BUSY_CASES)
def test_overload_by_a_limit_of_nine_tenths_of_the_time(shares: list[float], overloaded: bool) -> None:
    monitor = LagMonitor(limit_s=0.05, busy_limit=0.9)
    work(monitor, shares)
    assert monitor.overloaded() is overloaded


@pytest.mark.parametrize(("share", "overloaded"), [(0.8, True), (0.6, False)], ids=["busy", "at rest"])
def test_overload_that_lag_began_ends_when_the_thread_is_at_rest_too(share: float, overloaded: bool) -> None:
    monitor = LagMonitor(limit_s=0.05, busy_limit=0.9)
    work(monitor, [0.8] * 60)
    assert not monitor.overloaded()
    monitor = LagMonitor(limit_s=0.05, busy_limit=0.9)
    work(monitor, [0.8] * 60 + [share] * 60, late=frozenset({59}))
    assert monitor.overloaded() is overloaded
    assert monitor.lag_s < 0.002


def test_a_limit_of_always_is_none() -> None:
    monitor = LagMonitor(limit_s=0.05, busy_limit=BUSY_OFF)
    work(monitor, [1.2] * 60)
    assert monitor.busy == pytest.approx(1.0, abs=1e-3)
    assert not monitor.overloaded()


def test_without_a_limit_for_it_a_busy_thread_does_not_prolong_overload() -> None:
    monitor = LagMonitor(limit_s=0.05, busy_limit=BUSY_OFF)
    work(monitor, [1.0] * 120, late=frozenset({59}))
    assert not monitor.overloaded()


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=50))
def test_smoothed_lag_stays_within_what_was_seen(lags: list[float]) -> None:
    monitor = LagMonitor()
    feed(monitor, lags)
    assert 0.0 <= monitor.lag_s <= max(lags) + 1e-9
    assert monitor.worst_s <= max(lags) + 1e-9
    assert "ms" in repr(monitor)
