"""Runs many simulations on all cores, and hands out what is kept of each as it comes.

An edge: it starts processes. Each makes a workload once and keeps it for its next runs. Jobs, and the functions that a
process is given, must be picklable. However a study ends, none of its processes is left, even if it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext
from multiprocessing.sharedctypes import Synchronized
from typing import Any, Generic, TypeVar

from epp.reports import Run
from epp.simulator.prepared import PreparedWorkload
from epp.simulator.scenario import Scenario
from epp.simulator.simulation import Policy, simulate
from epp.workloads import Workload

__all__ = ["Job", "RunFailedError", "Runner"]

T = TypeVar("T")

_KEPT_WORKLOADS = 2
"""Per process. A prepared workload of 4,000 calls of 15,000 tokens takes 100 MB."""

_AHEAD = 4
"""Jobs that are handed out per process. Waiting for thousands at a time would take a third of a core."""

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """One run."""

    policy: str
    workload: str
    workload_seed: int
    """Names the workload together with its name; a trace is the same for all."""
    scenario: Scenario
    seed: int


class RunFailedError(Exception):
    """A run broke off. The message names the run and the fault, for people; the cause is the fault itself."""


@dataclass(frozen=True, slots=True)
class Runner(Generic[T]):
    """What the runs of one study have in common."""

    make_workload: Callable[[str, int], Workload]
    make_policy: Callable[[str], Policy]
    keep: Callable[[Run], T]
    """What is kept of a run; all of it would be 100 bytes per call."""

    def run(
        self, jobs: Sequence[Job], processes: int, progress: Callable[[int], None] | None = None
    ) -> Iterator[tuple[Job, T]]:
        """Results in the order in which they come. `progress` is told how many calls are over, now and then.

        Raises RunFailedError when a run breaks off; the others are then given up.
        """
        processes = min(processes, len(jobs))
        if processes <= 1:
            worker = _Worker(self, progress)
            for job in jobs:
                with _naming(job):
                    result = worker.run(job)
                yield job, result
            return
        context = multiprocessing.get_context("forkserver")
        over: Synchronized[int] = context.Value("q", 0)
        with _pool(context, processes, partial(_begin, self, over)) as pool:
            yield from _collect(pool, jobs, _AHEAD * processes, over, progress)


@contextmanager
def _pool(context: ForkServerContext, processes: int, begin: Callable[[], None]) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block. If it ends early, they are not asked: a run can take minutes."""
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(processes, context, initializer=begin) as pool:
        try:
            yield pool
        except BaseException:
            ours = set(multiprocessing.active_children()) - before
            for process in ours:
                process.terminate()
            pool.shutdown(cancel_futures=True)
            for process in ours:
                process.join()
            raise


def _collect(
    pool: ProcessPoolExecutor,
    jobs: Sequence[Job],
    ahead: int,
    over: Synchronized[int],
    progress: Callable[[int], None] | None,
) -> Iterator[tuple[Job, Any]]:
    told = 0
    to_come = iter(jobs)
    with _interrupts_later():  # the first job starts the processes
        waiting: dict[Future[Any], Job] = {pool.submit(_run, job): job for job in islice(to_come, ahead)}
    while waiting:
        done, _ = wait(waiting, _POLL_S, FIRST_COMPLETED)
        if progress is not None:
            told, before = over.value, told
            progress(told - before)
        for future in done:
            job = waiting.pop(future)
            waiting.update((pool.submit(_run, other), other) for other in islice(to_come, 1))
            with _naming(job):
                result = future.result()
            yield job, result


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits for the end of the block: a process that is interrupted while it starts would say so at length, and
    one that was not counted yet would be left.

    The handler keeps this process going, whichever thread gets the signal; the mask is what new processes inherit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupts: list[int] = []
    resource_tracker.ensure_running()  # lifts the mask for itself when it starts
    handler = signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if interrupts:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _naming(job: Job) -> Iterator[None]:
    """A fault in a run becomes an error that says which one."""
    try:
        yield
    except Exception as error:
        where = f"{job.policy} on {job.workload}, seed {job.seed}"
        if isinstance(error, BrokenProcessPool):
            what = "its process was killed from outside, perhaps because memory ran out: try fewer processes"
        else:
            what = f"{type(error).__name__}: {error}"
        raise RunFailedError(f"a run broke off ({where}): {what}") from error


class _Worker(Generic[T]):
    """Makes runs, one after the other."""

    def __init__(self, runner: Runner[T], progress: Callable[[int], None] | None) -> None:
        self._runner = runner
        self._progress = progress
        self._prepared: OrderedDict[tuple[str, int], PreparedWorkload] = OrderedDict()

    def run(self, job: Job) -> T:
        policy = self._runner.make_policy(job.policy)
        run = simulate(self._workload(job), job.scenario, policy, job.seed, self._progress)
        return self._runner.keep(run)

    def _workload(self, job: Job) -> PreparedWorkload:
        key = (job.workload, job.workload_seed)
        prepared = self._prepared.pop(key, None)
        if prepared is None:
            while len(self._prepared) >= _KEPT_WORKLOADS:
                self._prepared.popitem(last=False)
            prepared = PreparedWorkload(self._runner.make_workload(*key))
        self._prepared[key] = prepared
        return prepared


_workers: list[_Worker[Any]] = []
"""The one of this process, once it has begun."""


def _begin(runner: Runner[Any], over: Synchronized[int]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches all; the one that began them decides

    def add(calls: int) -> None:
        with over.get_lock():
            over.value += calls

    threading.Thread(target=_end_with_parent, daemon=True).start()
    _workers[:] = [_Worker(runner, add)]


def _end_with_parent() -> None:
    """Whoever began this process may be killed, and can then tell nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(job: Job) -> Any:
    return _workers[0].run(job)
