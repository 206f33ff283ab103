"""Runs put together: what a policy achieved on a workload under a condition, over seeds.

A `Record` is a run without its calls, so that a matrix of thousands of runs fits into memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from epp.reports.figures import MEASURES, Figures, figures_of
from epp.reports.measures import Better
from epp.reports.runs import Run
from epp.reports.slo import Slo
from epp.reports.statistics import Comparison, Estimate, compare, estimate

__all__ = ["Case", "Record", "Summary", "badness", "best_of", "record_of", "summaries"]


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """What policies are compared on."""

    workload: str
    condition: str

    def __str__(self) -> str:
        return f"{self.workload}, {self.condition}" if self.condition else self.workload


@dataclass(frozen=True, slots=True)
class Record:
    """One run's figures."""

    policy: str
    case: Case
    seed: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Summary:
    """One policy on one case."""

    policy: str
    case: Case
    by_seed: Mapping[int, Figures]

    def values(self, measure: str) -> dict[int, float]:
        """The figure of each seed."""
        return {seed: figures.value(measure) for seed, figures in self.by_seed.items()}

    def estimate(self, measure: str) -> Estimate:
        """Mean and interval of a figure."""
        return estimate(self.values(measure).values())

    def compare(self, other: Summary, measure: str) -> Comparison:
        """A figure against another policy's, over common seeds."""
        return compare(self.values(measure), other.values(measure), lower_is_better=MEASURES[measure].lower_is_better)


def record_of(run: Run, slo: Slo) -> Record:
    """What is kept of a run when its calls are let go."""
    return Record(run.policy, Case(run.workload, run.condition), run.seed, figures_of(run, slo))


def summaries(records: Iterable[Record]) -> dict[Case, list[Summary]]:
    """Cases in the order in which they came, each with its policies by mean TTFT, best first.

    Raises ValueError when a policy has two records of one case and seed.
    """
    found: dict[Case, dict[str, dict[int, Figures]]] = {}
    for record in records:
        seeds = found.setdefault(record.case, {}).setdefault(record.policy, {})
        if record.seed in seeds:
            raise ValueError(f"two runs of {record.policy!r} on {record.case} with seed {record.seed}: one is expected")
        seeds[record.seed] = record.figures
    return {
        case: sorted((Summary(policy, case, seeds) for policy, seeds in policies.items()), key=_rank)
        for case, policies in found.items()
    }


def best_of(candidates: Sequence[Summary], measure: str) -> Summary | None:
    """The one with the best mean, the first of equals; None where no figure is known, or neither way is better."""
    if MEASURES[measure].better is Better.NEITHER:
        return None
    known = [one for one in candidates if math.isfinite(one.estimate(measure).mean)]
    return min(known, key=lambda one: badness(one, measure)) if known else None


def badness(summary: Summary, measure: str) -> float:
    """The figure's mean, turned so that less is better; NaN last."""
    mean = summary.estimate(measure).mean
    if math.isnan(mean):
        return math.inf
    return mean if MEASURES[measure].lower_is_better else -mean


def _rank(summary: Summary) -> tuple[float, str]:
    return badness(summary, "ttft_mean_s"), summary.policy
