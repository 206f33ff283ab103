"""Which runs a study is made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from bench.study.conditions import CONDITIONS, HOMOGENEOUS, scenario
from bench.study.criteria import DEFAULT, GO_PROFILES, ORACLES, SIMPLE
from bench.workloads import ALL, HELD_OUT_SEEDS, TUNING, TUNING_SEEDS, workload
from epp.commands.policies import policy_names
from epp.reports import Case, Slo
from epp.simulator.runner import Job
from epp.workloads import Workload

__all__ = ["FULL", "PLANS", "QUICK", "SAMPLE", "SLO", "Part", "Plan", "Run", "run_of", "tuned"]

SLO = Slo(ttft_s=2.0, tpot_s=0.05)

_SECONDS_PER_CALL = 0.0007
"""Of one core, in a run of most policies: 8 pods, some 1,500 prompt tokens. It serves to tell beforehand how long a
study takes."""

_ORACLE_FACTOR = 3.0
"""Oracles look into every engine for every call."""

_OTHERS = (DEFAULT, *SIMPLE, *GO_PROFILES, "least-uncached-work")
"""Of the sample, where pools are not homogeneous: what the criteria there ask for."""


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """Names one run."""

    case: Case
    policy: str
    seed: int


@dataclass(frozen=True, slots=True)
class Part:
    """All combinations of some workloads, conditions and policies."""

    workloads: tuple[str, ...]
    conditions: tuple[str, ...]
    policies: tuple[str, ...]
    seeds: int
    """How many of each workload's own, from the first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs of a study."""

    name: str
    parts: tuple[Part, ...]
    most_calls: int | None = None
    """Of each workload; None: all."""

    def only(
        self, workloads: Collection[str] = (), conditions: Collection[str] = (), policies: Collection[str] = ()
    ) -> Plan:
        """The same without what is not named; empty: all of it."""
        parts = (
            replace(
                part,
                workloads=_chosen(part.workloads, workloads),
                conditions=_chosen(part.conditions, conditions),
                policies=_chosen(part.policies, policies),
            )
            for part in self.parts
        )
        return replace(self, parts=tuple(parts))

    def jobs(self) -> list[Job]:
        """Every run once. First all with the first seed, so that a study that is interrupted has seen every case."""
        rounds = range(max((part.seeds for part in self.parts), default=0))
        jobs = (job for turn in rounds for name in ALL for job in self._jobs(name, turn))
        return list(dict.fromkeys(jobs))

    def make_workload(self) -> partial[Workload]:
        """Makes a workload by name and seed; can be sent to processes."""
        return partial(_workload, most_calls=self.most_calls)

    def seconds(self, job: Job) -> float:
        """Of one core, about."""
        calls = min(ALL[job.workload].params.calls, self.most_calls or ALL[job.workload].params.calls)
        return calls * _SECONDS_PER_CALL * (_ORACLE_FACTOR if job.policy in ORACLES else 1.0)

    def _jobs(self, name: str, turn: int) -> list[Job]:
        parts = [part for part in self.parts if name in part.workloads and turn < part.seeds]
        if not parts:
            return []
        seed = _seeds(name)[turn]
        duration_s = self.make_workload()(name, seed).duration_s
        pools = {condition: scenario(condition, duration_s) for part in parts for condition in part.conditions}
        return [
            Job(policy, name, seed, pools[condition], seed)
            for part in parts
            for condition in part.conditions
            for policy in part.policies
        ]


def run_of(job: Job) -> Run:
    """The run that a job makes."""
    return Run(Case(job.workload, job.scenario.name), job.policy, job.seed)


def tuned(name: str) -> bool:
    """Whether policies may have been tuned on the workload."""
    return name in TUNING


def _seeds(name: str) -> tuple[int, ...]:
    return TUNING_SEEDS if tuned(name) else HELD_OUT_SEEDS


def _workload(name: str, seed: int, most_calls: int | None) -> Workload:
    made = workload(name, seed)
    return made if most_calls is None else made.first(most_calls)


def _chosen(names: tuple[str, ...], wanted: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not wanted or name in wanted)


_NOT_HOMOGENEOUS = tuple(name for name in CONDITIONS if name != HOMOGENEOUS)

FULL = Plan(
    "full",
    (
        Part(tuple(ALL), (HOMOGENEOUS,), policy_names(), seeds=4),
        Part(tuple(ALL), _NOT_HOMOGENEOUS, tuple(name for name in policy_names() if name not in ORACLES), seeds=4),
    ),
)
"""Everything, but oracles where pools are homogeneous only; an hour and a half on 2 cores."""

SAMPLE = Plan(
    "sample",
    (
        Part(tuple(ALL), (HOMOGENEOUS,), policy_names(), seeds=2),
        Part(tuple(ALL), _NOT_HOMOGENEOUS, _OTHERS, seeds=2),
    ),
    most_calls=1000,
)
"""Every workload and condition, and what every criterion needs, in less than 20 minutes on 2 cores. Cut short, crowded
workloads are hardly crowded."""

QUICK = Plan(
    "quick",
    (
        Part(
            ("shared-prompt", "tenants"),
            (HOMOGENEOUS, "lean mode"),
            (DEFAULT, "least-requests", "longest-prefix", "oracle-marginal"),
            seeds=2,
        ),
    ),
    most_calls=150,
)
"""Seconds. It shows that everything works, and little else."""

PLANS: Mapping[str, Plan] = MappingProxyType({plan.name: plan for plan in (FULL, SAMPLE, QUICK)})
