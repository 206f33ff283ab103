"""The search for the fewest pods."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.commands.finding_pods import MAX_PODS, Trial, fewest_pods


def trial(pods: int, kept: float, busy: float = 0.5) -> Trial:
    return Trial(pods, kept, 3.0 * pods, 1.0, busy)


@given(st.integers(1, MAX_PODS), st.integers(1, MAX_PODS))
def test_it_finds_the_fewest_wherever_it_starts_and_in_few_runs(needed: int, start: int) -> None:
    found, trials = fewest_pods(lambda pods: trial(pods, 0.99 if pods >= needed else 0.5), start, 0.95)
    assert found == trial(needed, 0.99)
    assert [one.pods for one in trials] == sorted({one.pods for one in trials}), "each once"
    assert len(trials) <= 2 * 11


def test_it_gives_up_where_no_number_it_may_try_is_enough() -> None:
    found, trials = fewest_pods(lambda pods: trial(pods, pods / 3000), 8, 0.95)
    assert found is None
    assert trials[-1].pods == MAX_PODS


def test_it_gives_up_at_once_where_idle_pods_are_not_enough() -> None:
    """An objective that a call alone on a pod misses."""
    found, trials = fewest_pods(lambda pods: trial(pods, 0.4, busy=0.6 / pods), 8, 0.95)
    assert found is None
    assert [one.pods for one in trials] == [8, 16]


def test_pods_that_are_busy_and_gain_nothing_may_still_be_too_few() -> None:
    def attempt(pods: int) -> Trial:
        return trial(pods, 0.99 if pods >= 40 else 0.0, busy=1.0 if pods < 40 else 0.9)

    assert fewest_pods(attempt, 4, 0.95)[0] == attempt(40)


@pytest.mark.parametrize("start", [1, 8])
def test_one_pod_can_be_enough(start: int) -> None:
    found, _ = fewest_pods(lambda pods: trial(pods, 1.0), start, 0.95)
    assert found == trial(1, 1.0)
