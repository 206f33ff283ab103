"""Where time is lost, on calls whose losses are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.reports import Failure, PodInfo
from epp.reports.losses import WORST, compute_rate, losses, turns
from tests.reports.made import calls_of, run_of

COLUMNS = {
    "due_s": [0.0, 10.0, 20.0, 30.0, 40.0, 50.0],
    "session": [7, -1, 7, 3, 7, -1],
    "prompt_tokens": [100, 200, 300, 400, 500, 600],
    "reusable_tokens": [0, 100, 240, 200, 490, 150],
}
BEST = run_of(calls_of(6, ttft_s=[1.0, 1, 1, 1, 1, np.nan], cached_tokens=50, pod=1, **COLUMNS), policy="best")
OTHER = run_of(
    calls_of(
        6,
        ttft_s=[2.0, 0.5, 6.0, np.nan, 1.0, 3.0],
        cached_tokens=[50, 50, 50, 50, 0, 50],
        failure=[Failure.NONE] * 3 + [Failure.BUSY] + [Failure.NONE] * 2,
        **COLUMNS,
    ),
    policy="other",
)


def test_losses_are_sums_over_calls_that_both_answered() -> None:
    best_failed = run_of(
        calls_of(6, ttft_s=[1.0, 1, 1, 1, 1, 1], failure=[*[Failure.NONE] * 5, Failure.LOST], **COLUMNS), policy="best"
    )
    (found,) = losses([best_failed, OTHER], "best")
    assert (found.policy, found.calls, found.failed_here) == ("other", 4, 1)
    assert found.lost_s == pytest.approx(1 - 0.5 + 5 + 0)


def test_bins() -> None:
    (found,) = losses([BEST, OTHER], "best")
    by = {
        bins.name: dict(zip(bins.labels, zip(bins.lost_s, bins.calls, strict=True), strict=True)) for bins in found.bins
    }
    assert by["turn of the session"] == {
        "1": (pytest.approx(0.5), 2),  # call 0, and call 1, which stands alone
        "2": (pytest.approx(5.0), 1),
        "3 to 5": (pytest.approx(0.0), 1),
        "6 to 10": (0.0, 0),
        "11 and on": (0.0, 0),
    }
    assert by["reusable share of the prompt"] == {
        "under 25 %": (pytest.approx(1.0), 1),
        "25 to 50 %": (0.0, 0),
        "50 to 75 %": (pytest.approx(-0.5), 1),
        "75 to 95 %": (pytest.approx(5.0), 1),
        "95 % and more": (pytest.approx(0.0), 1),
    }
    assert by["time in the run"]["20 to 30 s"] == (pytest.approx(5.0), 1)
    assert by["prompt tokens"]["300 to 400"] == (pytest.approx(5.0), 1)


def test_each_way_of_binning_holds_all_of_the_loss() -> None:
    (found,) = losses([BEST, OTHER], "best")
    for bins in found.bins:
        assert sum(bins.lost_s) == pytest.approx(found.lost_s)
        assert sum(bins.calls) == found.calls


def test_worst_calls_come_first_and_those_that_were_won_never() -> None:
    (found,) = losses([BEST, OTHER], "best")
    assert [(call.number, call.turn, call.pod, call.reference_pod) for call in found.worst] == [
        (2, 2, "a", "b"),
        (0, 1, "a", "b"),
    ]
    assert (found.worst[0].ttft_s, found.worst[0].reference_ttft_s) == (6.0, 1.0)


@pytest.mark.parametrize(("cached", "ttft", "reason"), [(0, 1.1, "computing"), (1000, 1.1, "waiting")])
def test_reason_of_a_loss(cached: int, ttft: float, reason: str) -> None:
    # a token takes 1 ms: ten calls without a wait say so
    quiet = {"prompt_tokens": 1000, "reusable_tokens": 0}
    others = run_of(calls_of(11, ttft_s=[0.1] + [1.0] * 10, cached_tokens=[900] + [0] * 10, **quiet), policy="best")
    ours = run_of(calls_of(11, ttft_s=[ttft] + [1.0] * 10, cached_tokens=[cached] + [0] * 10, **quiet))
    (found,) = losses([others, ours], "best")
    assert [call.reason for call in found.worst] == [reason]
    assert found.worst[0].wait_s == pytest.approx(ttft - (1000 - cached) * 1e-3, abs=1e-6)


def test_seeds_are_paired_and_lists_are_bounded() -> None:
    runs = [
        run_of(calls_of(20, ttft_s=1.0 + seed * (policy == "ours") + np.arange(20) * 0.01), policy=policy, seed=seed)
        for seed in (1, 2, 3)
        for policy in ("best", "ours")
    ]
    (found,) = losses(runs, "best")
    assert found.lost_s == pytest.approx(20 * (1 + 2 + 3))
    assert len(found.worst) == WORST
    assert {call.seed for call in found.worst} == {3}


def test_runs_that_cannot_be_paired_are_left_out() -> None:
    shorter = run_of(calls_of(3), policy="stopped")
    elsewhere = run_of(calls_of(6), policy="elsewhere", seed=9)
    assert losses([BEST, shorter, elsewhere], "best") == []
    assert losses([OTHER], "best") == []


def test_the_one_that_lost_most_comes_first() -> None:
    runs = [run_of(calls_of(2, ttft_s=value), policy=name) for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    assert [one.policy for one in losses(runs, "a")] == ["c", "b"]


def test_empty_runs_lose_nothing() -> None:
    (found,) = losses([run_of(calls_of(0), policy="best"), run_of(calls_of(0))], "best")
    assert (found.lost_s, found.calls, found.worst) == (0.0, 0, ())


def test_pods_that_are_not_known_have_no_name() -> None:
    runs = [
        run_of(calls_of(1, ttft_s=value, pod=-1), policy=name, pods=(PodInfo("a"),))
        for name, value in (("x", 1), ("y", 2))
    ]
    (found,) = losses(runs, "x")
    assert (found.worst[0].pod, found.worst[0].reference_pod) == ("", "")


def test_rate_is_not_known_without_times() -> None:
    assert compute_rate([]) == 0.0
    assert compute_rate([run_of(calls_of(2, failure=Failure.BUSY))]) == 0.0


@given(st.lists(st.integers(-1, 4), max_size=40))
def test_turns_count_within_sessions(sessions: list[int]) -> None:
    seen: dict[int, int] = {}
    expected = []
    for session in sessions:
        seen[session] = 1 if session < 0 else seen.get(session, 0) + 1
        expected.append(seen[session])
    assert turns(np.array(sessions, np.int64)).tolist() == expected
