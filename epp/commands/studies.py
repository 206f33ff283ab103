"""Runs of `epp simulate`: from what was asked for to jobs, and from jobs to results, with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from epp.commands.policies import load_policy
from epp.reports import Run
from epp.simulator.runner import Job, Runner
from epp.simulator.scenario import Scenario
from epp.workloads import Workload
from epp.workloads.files import load_workload
from epp.workloads.generators import generated

__all__ = ["Source", "Study"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a workload comes from: a file, or a generator, which makes another one for each seed."""

    trace: Path | None
    generator: str
    rate: float = 1.0
    first: int | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        return self.trace.name if self.trace else self.generator

    @property
    def changes_with_seeds(self) -> bool:
        """Whether each seed has requests of its own."""
        return self.trace is None

    def make(self, _name: str, seed: int) -> Workload:
        """The workload. Raises WorkloadError."""
        workload = load_workload(self.trace, most=self.first) if self.trace else generated(self.generator, seed)
        if self.first is not None:
            workload = workload.first(self.first)
        return workload if self.rate == 1.0 else workload.at_rate(self.rate)


@dataclass(frozen=True, slots=True)
class Study:
    """Policies side by side on one workload and one pool."""

    source: Source
    policies: Sequence[str]
    seeds: int
    processes: int

    def jobs(self, scenario: Scenario) -> list[Job]:
        """One per policy and seed; those of a seed together, because they share their workload."""
        return [
            Job(policy, "workload", seed if self.source.changes_with_seeds else 0, scenario, seed)
            for seed in range(1, self.seeds + 1)
            for policy in self.policies
        ]

    def run(self, scenario: Scenario, calls: int, console: Console) -> list[Run]:
        """All runs, by policy as they were asked for, then by seed. `calls`: of one run, about."""
        jobs = self.jobs(scenario)
        runner: Runner[Run] = Runner(self.source.make, load_policy, _whole)
        with _progress(console) as bar:
            task = bar.add_task("requests", total=len(jobs) * calls)
            done = dict(runner.run(jobs, self.processes, partial(bar.advance, task)))
        order = {policy: place for place, policy in enumerate(self.policies)}
        return [done[job] for job in sorted(jobs, key=lambda job: (order[job.policy], job.seed))]


def _whole(run: Run) -> Run:
    return run


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
