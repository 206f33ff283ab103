"""When endpoints are asked what. Time is a number here."""

import math

import numpy as np
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from epp.telemetry.schedule import SPACING_S, TURN_S, Kind, Probe, Schedule
from epp.telemetry.scrape_settings import ScrapeSettings

A = "10.0.0.1:8000"
METRICS, HEALTH, MODELS = (Probe(A, kind) for kind in Kind)


def schedule(*addresses: str, **settings: object) -> Schedule:
    made = Schedule(ScrapeSettings(**settings), np.random.default_rng(1))  # type: ignore[arg-type]
    made.add(addresses, 0.0)
    return made


def only_metrics(*addresses: str) -> Schedule:
    return schedule(*addresses, health_path="", models_path="")


def next_time(made: Schedule, probe: Probe) -> float:
    record = made.record(probe)
    assert record
    return record.next_at


def test_a_new_endpoint_is_asked_everything_at_once() -> None:
    assert schedule(A).due(0.0, 10) == [METRICS, HEALTH, MODELS]


def test_what_has_no_path_is_not_asked() -> None:
    assert only_metrics(A).due(0.0, 10) == [METRICS]


def test_those_that_answered_come_first_and_have_requests_of_their_own() -> None:
    addresses = [str(index) for index in range(20)]
    made = schedule(*addresses, health_path="", models_path="", max_requests=8)
    hanging = made.due(10.0, 8)
    assert len(hanging) == 6, "a quarter is kept"
    assert made.due(10.0, 2) == []
    made.succeeded(hanging[0], 10.0)
    assert len(made.due(10.0, 3)) == 1, "room for one that was never asked"
    assert made.wake_at() == pytest.approx(next_time(made, hanging[0]), abs=2 * TURN_S)
    assert made.due(12.0, 2) == hanging[:1], "the one that answered"
    made.succeeded(hanging[0], 12.0)
    for probe in hanging[1:4]:
        made.failed(probe, 12.0)
    assert len(made.due(12.0, 8)) == 3, "the next that were never asked"
    made.remove(hanging[4].address)
    assert len(made.due(12.0, 8)) == 1


def test_nothing_to_ask_is_nothing_to_wake_for() -> None:
    assert schedule().wake_at() == math.inf


@pytest.mark.parametrize(("count", "spread_s"), [(2, SPACING_S), (100, 99 * SPACING_S), (1000, 0.999)])
def test_a_crowd_of_new_endpoints_is_spread(count: int, spread_s: float) -> None:
    made = only_metrics(*map(str, range(count)))
    times = [next_time(made, Probe(str(index), Kind.METRICS)) for index in range(count)]
    assert times[0] == 0.0
    assert max(times) == pytest.approx(spread_s)


def run(made: Schedule, until: float, took_s: float = 0.0, failing: frozenset[str] = frozenset()) -> dict[str, list]:
    """Lets time pass; each request takes `took_s`. Returns when each address was asked."""
    asked: dict[str, list[float]] = {}
    under_way: list[tuple[float, Probe]] = []
    now = 0.0
    while now < until:
        for end, probe in [item for item in under_way if item[0] <= now]:
            under_way.remove((end, probe))
            (made.failed if probe.address in failing else made.succeeded)(probe, end)
        for probe in made.due(now, 10_000):
            asked.setdefault(probe.address, []).append(now)
            under_way.append((now + took_s, probe))
        now = min([made.wake_at(), *(end for end, _ in under_way)])
    return asked


def test_endpoints_are_asked_once_an_interval_and_stay_spread() -> None:
    asked = run(only_metrics(*map(str, range(200))), 20.0, took_s=0.03)
    for times in asked.values():
        steady = np.diff(times[1:])
        assert np.allclose(steady, 1.0, atol=2 * TURN_S)
    late = np.array([times[-1] % 1.0 for times in asked.values()])
    per_tenth, _ = np.histogram(late, bins=10, range=(0.0, 1.0))
    assert per_tenth.max() < 45  # 20 on average


def test_a_slow_endpoint_skips_turns_and_is_asked_once_at_a_time() -> None:
    asked = run(only_metrics(A), 20.0, took_s=1.3)
    gaps = np.diff(asked[A][1:])
    assert np.allclose(gaps, 2.0, atol=2 * TURN_S)


def test_a_failing_endpoint_is_asked_less_and_less() -> None:
    made, now, waits = only_metrics(A), 0.0, []
    for _ in range(10):
        made.due(now, 1)
        made.failed(METRICS, now)
        waits.append(next_time(made, METRICS) - now)
        now = next_time(made, METRICS)
    assert all(0 < wait <= 1.1 for wait in waits[:2])
    for wait, longest in zip(waits[2:], [2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0, 10.0], strict=True):
        assert 0.75 * longest <= wait <= longest


def test_one_success_ends_the_back_off() -> None:
    made, now = only_metrics(A), 0.0
    for _ in range(6):
        made.due(now, 1)
        made.failed(METRICS, now)
        now = next_time(made, METRICS)
    made.due(now, 1)
    made.succeeded(METRICS, now)
    assert next_time(made, METRICS) <= now + 1.01


def test_health_is_asked_at_its_own_pace_however_often_it_fails() -> None:
    made, now, waits = schedule(A), 0.0, []
    made.due(now, 3)
    for _ in range(10):
        made.failed(HEALTH, now)
        waits.append(next_time(made, HEALTH) - now)
        now = next_time(made, HEALTH)
        made.due(now, 9)
    assert np.allclose(waits[1:], 2.0)


def test_an_interval_longer_than_the_back_off_is_kept() -> None:
    made, now = schedule(A, interval_s=60.0, health_path="", models_path=""), 0.0
    for _ in range(5):
        made.due(now, 1)
        made.failed(METRICS, now)
        wait, now = next_time(made, METRICS) - now, next_time(made, METRICS)
    assert 45.0 <= wait <= 60.0


@pytest.mark.parametrize(("first", "second"), [(HEALTH, METRICS), (METRICS, HEALTH)], ids=["health", "metrics"])
def test_the_first_answer_after_a_failure_makes_the_rest_due(first: Probe, second: Probe) -> None:
    made = schedule(A)
    made.due(0.0, 3)
    made.succeeded(MODELS, 0.0)
    for probe in (first, second):
        made.failed(probe, 1.0)
    assert first in made.due(next_time(made, first), 9)
    now = next_time(made, first)
    made.succeeded(first, now)
    assert {MODELS} <= set(made.due(now, 9))
    assert next_time(made, second) <= now


def test_health_that_is_well_does_not_hurry_metrics_that_fail() -> None:
    made = schedule(A)
    made.due(0.0, 3)
    for _ in range(8):
        made.failed(METRICS, 0.0)
    before = next_time(made, METRICS)
    made.succeeded(HEALTH, 0.0)
    assert next_time(made, METRICS) == before > 7.0


def test_what_is_hurried_while_under_way_is_asked_once_more() -> None:
    made = schedule(A)
    made.due(0.0, 3)
    made.hurry(MODELS, 0.1)
    assert made.due(0.2, 9) == []
    made.succeeded(MODELS, 0.2)
    assert made.due(0.2, 9) == [MODELS]
    made.succeeded(MODELS, 0.3)
    assert made.due(0.4, 9) == []


def test_no_more_than_the_limit_is_started() -> None:
    made = only_metrics(*map(str, range(10)))
    assert len(made.due(9.0, 3)) == 3
    assert made.due(9.0, 0) == []
    assert len(made.due(9.0, 99)) == 7


def test_an_endpoint_that_left_is_asked_no_more() -> None:
    made = schedule(A)
    made.due(0.0, 1)
    made.remove(A)
    for probe in (METRICS, HEALTH):
        made.succeeded(probe, 1.0)
        made.failed(probe, 1.0)
        made.hurry(probe, 1.0)
    assert made.due(1e9, 99) == []
    assert made.wake_at() == math.inf
    made.add([A], 5.0)
    assert made.due(5.0, 99) == [METRICS, HEALTH, MODELS]


class Schedules(RuleBasedStateMachine):
    """Any order of events: a probe is under way once at a time, and due again within its longest wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.made = schedule(interval_s=1.0, health_interval_s=2.0, models_interval_s=5.0, max_backoff_s=4.0)
        self.known: set[str] = set()
        self.under_way: list[Probe] = []

    @rule(address=st.sampled_from("abc"))
    def added(self, address: str) -> None:
        self.made.add([address], self.now)
        self.known.add(address)

    @rule(address=st.sampled_from("abc"))
    def removed(self, address: str) -> None:
        self.made.remove(address)
        self.known.discard(address)
        self.under_way = [probe for probe in self.under_way if probe.address != address]

    @rule(delay=st.sampled_from([0.0, 0.001, 0.7, 3.0, 100.0]), limit=st.integers(0, 9))
    def waited(self, delay: float, limit: int) -> None:
        self.now += delay
        for probe in self.made.due(self.now, limit):
            assert probe.address in self.known
            assert probe not in self.under_way
            self.under_way.append(probe)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), well=st.booleans())
    def ended(self, data: st.DataObject, well: bool) -> None:
        probe = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(probe)
        (self.made.succeeded if well else self.made.failed)(probe, self.now)

    @rule(address=st.sampled_from("abc"), kind=st.sampled_from(Kind))
    def hurried(self, address: str, kind: Kind) -> None:
        self.made.hurry(Probe(address, kind), self.now)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        idle = [Probe(a, kind) for a in self.known for kind in Kind if Probe(a, kind) not in self.under_way]
        times = [next_time(self.made, probe) for probe in idle]
        assert all(time <= self.now + 5.1 for time in times)
        assert min(times, default=math.inf) <= self.made.wake_at() <= min(times, default=math.inf) + TURN_S + 1e-9


Schedules.TestCase.settings = hypothesis_settings(max_examples=80, stateful_step_count=40, deadline=None)
TestSchedules = Schedules.TestCase
