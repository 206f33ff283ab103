import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.faults import MAX_KINDS, FaultLog, OncePerKind, Repeated


def test_the_first_of_a_kind_is_told_and_the_others_are_counted() -> None:
    once = OncePerKind(summary_s=60)
    assert [once.is_new(kind, 0.0) for kind in ("a", "a", "b", "a")] == [True, False, True, False]
    assert once.due(59.9) == ()
    assert once.due(60.0) == (Repeated("a", 2),)


def test_a_kind_that_goes_on_is_summed_up_again_and_not_told_anew() -> None:
    once = OncePerKind(summary_s=60)
    once.is_new("a", 0.0)
    once.is_new("a", 1.0)
    once.due(60.0)
    assert not once.is_new("a", 61.0)
    assert once.due(120.0) == (Repeated("a", 1),)


def test_a_kind_that_was_quiet_is_new_again() -> None:
    once = OncePerKind(summary_s=60)
    once.is_new("a", 0.0)
    assert once.due(60.0) == ()
    assert once.is_new("a", 61.0)
    assert once.due(120.0) == ()
    assert once.due(121.0) == ()


def test_kinds_are_bounded() -> None:
    once = OncePerKind()
    told = [once.is_new(str(number), 0.0) for number in range(MAX_KINDS + 10)]
    assert told == [True] * (MAX_KINDS + 1) + [False] * 9
    assert once.due(60.0) == (Repeated("other", 9),)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40)), max_size=60))
def test_every_fault_is_told_or_counted_in_a_summary(faults: list[tuple[str, float]]) -> None:
    once, now, told, summed = OncePerKind(summary_s=60), 0.0, 0, 0
    for kind, pause in faults:
        now += pause
        summed += sum(one.times for one in once.due(now))
        told += once.is_new(kind, now)
    summed += sum(one.times for one in once.due(now + 60))
    assert told + summed == len(faults)


def test_faults_are_logged_with_their_kind(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = FaultLog(logging.getLogger("epp.test"), lambda: now)
    for _ in range(3):
        log.note("disk", "the disk is full", error=OSError("no space"), path="/x")
    log.tick(61.0)
    first, summary = caplog.records
    assert (first.getMessage(), vars(first)["kind"], vars(first)["path"]) == ("the disk is full", "disk", "/x")
    assert first.exc_info is not None
    assert summary.getMessage() == "happened again 2 times since it was last reported"
    assert vars(summary)["kind"] == "disk"
