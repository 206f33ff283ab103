"""When calls are due."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.http.schedule import DueCall, Schedule
from epp.workloads.types import Call, Segment, Workload

PROMPT, ANSWER = (Segment(1, 4),), Segment(2, 4)


def workload(*times: tuple[float, int | None]) -> Workload:
    """Calls by their `at_s` and `after`."""
    return Workload("w", tuple(Call(at_s, PROMPT, ANSWER, after) for at_s, after in times))


def served(schedule: Schedule, takes_s: Callable[[int], float]) -> list[DueCall]:
    """Plays it with a server that takes so long for each call; time is made up. Gives calls as they were taken."""
    taken: list[DueCall] = []
    ends: list[tuple[float, int]] = []
    while not schedule.over:
        end_at = min(ends)[0] if ends else math.inf
        now = min(schedule.next_at, end_at)
        assert now < math.inf, "calls are under way, or due"
        if now == end_at:
            ends.remove(end := min(ends))
            schedule.ended(end[1], now)
            continue
        due = schedule.take(now)
        taken += due
        ends += [(now + takes_s(one.index), one.index) for one in due]
    return taken


def test_an_open_loop_keeps_the_times_whatever_servers_do() -> None:
    taken = served(Schedule(workload((0.0, None), (1.0, None), (1.5, None))), lambda _: 100.0)
    assert taken == [DueCall(0.0, 0), DueCall(1.0, 1), DueCall(1.5, 2)]


def test_a_late_client_still_knows_when_calls_were_due() -> None:
    schedule = Schedule(workload((1.0, None), (2.0, None), (9.0, None)))
    assert schedule.take(0.5) == []
    assert schedule.take(5.0) == [DueCall(1.0, 0), DueCall(2.0, 1)]
    assert schedule.next_at == 9.0


def test_a_session_goes_on_after_its_pause() -> None:
    taken = served(Schedule(workload((0.0, None), (0.5, 0), (1.0, None), (2.0, 1))), lambda index: 10.0 + index)
    assert taken == [DueCall(0.0, 0), DueCall(1.0, 2), DueCall(10.5, 1), DueCall(23.5, 3)]


def test_calls_may_wait_for_the_same_call() -> None:
    taken = served(Schedule(workload((0.0, None), (1.0, 0), (2.0, 0))), lambda _: 1.0)
    assert taken == [DueCall(0.0, 0), DueCall(2.0, 1), DueCall(3.0, 2)]


def test_a_closed_loop_keeps_its_clients_busy() -> None:
    taken = served(
        Schedule(workload(*((9.0, None) for _ in range(5))), clients=2), lambda index: 3.0 if index else 10.0
    )
    assert taken == [DueCall(0.0, 0), DueCall(0.0, 1), DueCall(3.0, 2), DueCall(6.0, 3), DueCall(9.0, 4)]


def test_a_client_of_a_closed_loop_ends_a_conversation_before_the_next() -> None:
    taken = served(Schedule(workload((0.0, None), (2.0, 0), (0.0, None)), clients=1), lambda _: 1.0)
    assert taken == [DueCall(0.0, 0), DueCall(3.0, 1), DueCall(4.0, 2)]


def test_more_clients_than_conversations() -> None:
    assert len(served(Schedule(workload((0.0, None)), clients=100), lambda _: 1.0)) == 1


@pytest.mark.parametrize("clients", [0, -1])
def test_a_closed_loop_needs_a_client(clients: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Schedule(workload((0.0, None)), clients)


def test_after_stop_nothing_becomes_due() -> None:
    schedule = Schedule(workload((0.0, None), (1.0, 0), (2.0, None)))
    schedule.take(0.0)
    schedule.stop()
    assert not schedule.over
    schedule.ended(0, 1.0)
    assert schedule.over
    assert schedule.take(99.0) == []


TIMES = st.lists(st.tuples(st.integers(0, 20), st.integers(-8, 30)), min_size=1, max_size=30)


@given(times=TIMES, clients=st.none() | st.integers(1, 6), takes=st.integers(0, 5))
def test_every_call_is_due_once_and_sessions_keep_their_order(
    times: list[tuple[int, int]], clients: int | None, takes: int
) -> None:
    calls = workload(
        *((at / 2, after % place if place and after >= 0 else None) for place, (at, after) in enumerate(times))
    )
    taken = served(Schedule(calls, clients), lambda index: (index * 7 + takes) % 5)
    assert sorted(one.index for one in taken) == list(range(len(times)))
    due = {one.index: one.due_s for one in taken}
    for index, call in enumerate(calls.calls):
        if call.after is not None:
            assert due[index] == due[call.after] + (call.after * 7 + takes) % 5 + call.at_s
        elif clients is None:
            assert due[index] == call.at_s
