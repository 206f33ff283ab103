"""Many runs on several cores: the same results in whatever process, and no process left however it ends."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from epp.commands.policies import load_policy
from epp.reports import Record, Slo, record_of
from epp.simulator.runner import Job, RunFailedError, Runner, _interrupts_later
from epp.simulator.simulation import Policy
from tests.simulator.plays import killed, pool, spread_by_name

POOL = pool(2)

POLICIES = ("default", "round-robin")


def runner(make_policy: Callable[[str], Policy] = load_policy) -> Runner[Record]:
    return Runner(spread_by_name, make_policy, partial(record_of, slo=Slo()))


def jobs(workload: str = "w", policies: tuple[str, ...] = POLICIES) -> list[Job]:
    return [Job(policy, workload, seed, POOL, seed) for seed in (1, 2) for policy in policies]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def test_one_process_and_two_give_the_same_results() -> None:
    alone = dict(runner().run(jobs(), 1))
    assert list(alone) == jobs(), "in their order"
    assert repr(sorted(runner().run(jobs(), 2), key=str)) == repr(sorted(alone.items(), key=str))
    assert len({repr(record) for record in alone.values()}) == 4


def test_more_policies_change_nothing_for_the_others() -> None:
    one, both = (dict(runner().run(jobs(policies=names), 1)) for names in (POLICIES[:1], POLICIES))
    assert repr({job: both[job] for job in one}) == repr(one)


@pytest.mark.parametrize("processes", [1, 2])
def test_progress_adds_up(processes: int) -> None:
    told: list[int] = []
    list(runner().run(jobs(), processes, told.append))
    assert sum(told) == 4 * 40


def test_no_jobs_are_no_results() -> None:
    assert list(runner().run([], 2)) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_fault_in_a_run_says_which_and_ends_the_others(processes: int) -> None:
    with pytest.raises(
        RunFailedError, match=r"default on broken, seed [12]\): ValueError: no workload of seed [12]"
    ) as caught:
        list(runner().run([*jobs("broken"), *jobs("long")], processes))
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_process_that_is_killed_is_said() -> None:
    with pytest.raises(RunFailedError, match=r"killed from outside.*fewer processes"):
        list(runner(killed).run(jobs(), 2))


def test_who_is_interrupted_does_not_wait_for_runs_of_minutes() -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(runner().run(jobs("long"), 2, interrupt))


def test_who_wants_no_more_results_leaves_no_processes() -> None:
    results = runner().run([*jobs(), *jobs("long")], 2)
    next(results)
    results.close()


def test_ctrl_c_while_processes_start_counts_when_they_have_started() -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # others may have left theirs
    started: list[bool] = []
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted_start(started)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)
    assert started
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def interrupted_start(started: list[bool]) -> None:
    with _interrupts_later():
        signal.raise_signal(signal.SIGINT)
        started.append(True)


def test_who_ignores_interrupts_is_not_interrupted() -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    started: list[bool] = []
    try:
        interrupted_start(started)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert started
