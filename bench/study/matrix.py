"""Runs a plan on all cores, keeps each run as it comes, and says how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf, isinf

from bench.study.plan import SLO, Plan, Run, run_of
from bench.study.results import Lines, this_commit
from epp.commands.policies import load_policy
from epp.reports import Record, record_of
from epp.simulator.runner import Job, Runner

__all__ = ["Pace", "missing", "run_matrix"]


@dataclass(slots=True)
class Pace:
    """How far a study is. Work is in seconds of one core as the plan expects them; only proportions matter."""

    began_at: float
    runs_left: int
    work_left: float
    runs_done: int = field(default=0, init=False)
    work_done: float = field(default=0.0, init=False)

    def over(self, work: float) -> None:
        """A run has ended."""
        self.runs_done += 1
        self.runs_left -= 1
        self.work_done += work
        self.work_left -= work

    def left_s(self, now: float) -> float:
        """Time left if the rest goes like what is done; infinite while nothing is."""
        return (now - self.began_at) / self.work_done * self.work_left if self.work_done else inf

    def text(self, now: float) -> str:
        """For people."""
        runs, left_s = self.runs_done + self.runs_left, self.left_s(now)
        left = "time left not known yet" if isinf(left_s) else f"{max(left_s, 0.0) / 60:.0f} min left"
        return f"{self.runs_done} of {runs} runs, {(now - self.began_at) / 60:.1f} min, {left}"


def missing(plan: Plan, known: Iterable[Run]) -> list[Job]:
    """The jobs of a plan that were not run yet."""
    there = frozenset(known)
    return [job for job in plan.jobs() if run_of(job) not in there]


def run_matrix(
    plan: Plan,
    jobs: Sequence[Job],
    lines: Lines,
    processes: int,
    clock: Callable[[], float],
    show: Callable[[Pace], None],
) -> None:
    """Runs jobs of a plan and appends each to `lines` as it comes. `show` is called after each run.

    Raises RunFailedError when a run breaks off.
    """
    pace = Pace(clock(), len(jobs), sum(map(plan.seconds, jobs)))
    runner: Runner[Record] = Runner(plan.make_workload(), load_policy, partial(record_of, slo=SLO))
    commit = this_commit()
    for job, record in runner.run(jobs, processes):
        lines.append(record, commit)
        pace.over(plan.seconds(job))
        show(pace)
