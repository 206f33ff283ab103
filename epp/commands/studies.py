"""Runs of `epp simulate`: from what was asked for to jobs, and from jobs to results, with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from epp.commands.policies import labels_of, load_policy
from epp.reports import Run
from epp.simulator.runner import Job, Runner
from epp.simulator.scenario import Scenario
from epp.workloads import Workload, WorkloadError
from epp.workloads.files import load_workload
from epp.workloads.generators import generated

__all__ = ["Source", "Study"]

_WORKLOAD = "workload"
"""A study has one; its seeds tell them apart."""


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
        """The workload. Raises WorkloadError, also for one without requests."""
        return _made(self, seed)


@lru_cache(maxsize=1)
def _made(source: Source, seed: int) -> Workload:
    """Kept, because what is said of a workload is said before it is run: reading a trace takes a while."""
    workload = load_workload(source.trace, most=source.first) if source.trace else generated(source.generator, seed)
    if source.first is not None:
        workload = workload.first(source.first)
    if not workload.calls:
        raise WorkloadError(f"{source.name}: there are no requests in it")
    return workload if source.rate == 1.0 else workload.at_rate(source.rate)


@dataclass(frozen=True, slots=True)
class Study:
    """Policies side by side on one workload and one pool."""

    source: Source
    policies: Sequence[str]
    """As they were asked for, each once."""
    seeds: int
    processes: int

    def sample(self) -> Workload:
        """The workload of the first seed. Raises WorkloadError."""
        return self.source.make(_WORKLOAD, self._workload_seed(1))

    def jobs(self, scenario: Scenario) -> list[Job]:
        """One per policy and seed; those of a seed together, because they share their workload."""
        return [
            Job(policy, _WORKLOAD, self._workload_seed(seed), scenario, seed)
            for seed in range(1, self.seeds + 1)
            for policy in self.policies
        ]

    def run(self, scenario: Scenario, calls: int, console: Console) -> list[Run]:
        """All runs, by policy as they were asked for, then by seed. `calls`: of one run, about.

        Raises RunFailedError.
        """
        jobs, labels = self.jobs(scenario), labels_of(self.policies)
        runner: Runner[Run] = Runner(self.source.make, load_policy, _whole)
        with _progress(console) as bar:
            task = bar.add_task("requests", total=len(jobs) * calls)
            done = dict(runner.run(jobs, self.processes, partial(bar.advance, task)))
        order = {policy: place for place, policy in enumerate(self.policies)}
        ordered = sorted(jobs, key=lambda job: (order[job.policy], job.seed))
        return [replace(done[job], policy=labels[job.policy]) for job in ordered]

    def _workload_seed(self, seed: int) -> int:
        return seed if self.source.changes_with_seeds else 0


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
