from dataclasses import replace

import pytest

from epp.workloads import Call, Segment, WorkloadError
from epp.workloads.timeline import TimedCall, workload_of

CALL = Call(0.0, (Segment(1, 10),), Segment(2, 5))


def named(session: int) -> Call:
    return replace(CALL, session=session)


def test_calls_are_put_in_order_and_begin_at_0() -> None:
    calls = workload_of("w", [TimedCall(107.0, named(1)), TimedCall(105.0, named(2))]).calls
    assert [(call.session, call.at_s) for call in calls] == [(2, 0.0), (1, 2.0)]


def test_a_call_that_follows_keeps_its_pause_and_comes_after() -> None:
    timed = [
        TimedCall(50.0, named(1)),
        TimedCall(20.0, named(2), follows=0, pause_s=1.5),  # its time is before that of the one it waits for
        TimedCall(40.0, named(3)),
    ]
    calls = workload_of("w", timed).calls
    assert [(call.session, call.at_s, call.after) for call in calls] == [(3, 0.0, None), (1, 10.0, None), (2, 1.5, 1)]


@pytest.mark.parametrize(
    ("models", "kept"),
    [(["a", "a"], ["", ""]), (["a", "b"], ["a", "b"]), (["a", ""], ["", ""]), (["", ""], ["", ""])],
)
def test_the_pools_model_is_left_out(models: list[str], kept: list[str]) -> None:
    calls = workload_of(
        "w", [TimedCall(float(at), replace(CALL, model=model)) for at, model in enumerate(models)]
    ).calls
    assert [call.model for call in calls] == kept


@pytest.mark.parametrize("timed", [[], [TimedCall(float("nan"), CALL)], [TimedCall(float("inf"), CALL)]])
def test_no_calls_or_no_times_are_refused(timed: list[TimedCall]) -> None:
    with pytest.raises(WorkloadError, match=r"^w: "):
        workload_of("w", timed)
