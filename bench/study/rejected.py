"""Ideas for the default cost that were tried and not taken, as policies, so that their numbers can be made again.

    python -m bench.study.rejected            prints the table of docs/policy.md
    python -m bench.study.rejected --write    puts it there

Each differs from the default in one thing, and runs on the workloads that policies may be tuned on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.extproc.tables import Table, with_tables
from bench.study.conditions import scenario
from bench.study.criteria import mean_ratio
from bench.study.plan import SLO
from bench.workloads import TUNING, TUNING_SEEDS, workload
from epp.reports import Record, record_of, summaries
from epp.requests import InferenceRequest
from epp.router import RouterSettings
from epp.scheduling import Cost, Picker, Profile, Slot
from epp.scheduling.cost import LeastWorkCost
from epp.scheduling.pickers import MaxScorePicker, RendezvousPicker
from epp.scheduling.view import View
from epp.simulator.runner import Job, Runner
from epp.simulator.simulation import Policy, Simulation

__all__ = ["IDEAS", "policy", "table"]

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
DEFAULT = "the default"
_CONDITIONS = ("homogeneous", "mixed speeds 3:1")
_SEEDS = 2

Values = NDArray[np.float64]


@dataclass(slots=True)
class PrefillImpactCost(LeastWorkCost):
    """The default before: a tenth of the own prefill for each request that is there, and no more than that."""

    impact: float = 0.1
    displacement: float = 0.0
    adapter_load_s: float = 0.25
    adapter_wait_s: float = 2.0
    speed_exponent: float = 0.5
    above_least: bool = False
    """Only requests beyond those of the least busy endpoint count."""

    def cost(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,), in tokens."""
        slowness, outstanding, uncached = self._slowness(view), view.outstanding, view.uncached_tokens
        work = view.backlog_tokens + uncached
        total = work if slowness is None else work * slowness
        total = total + outstanding * self.request_tokens + view.context_tokens * self.context_share
        others = outstanding - outstanding.min() if self.above_least else outstanding
        total += uncached * self.impact * others + self._eviction(view, uncached)
        return total + self._adapter(request.adapter, view) if request.adapter else total


@dataclass(slots=True)
class SteadyDisplacementCost(LeastWorkCost):
    """As if caches were as crowded everywhere and at all times."""

    late_reuse: float = 0.2

    def cost(self, request: InferenceRequest, view: View) -> Values:
        """Float (n,), in tokens."""
        view.late_reuse = self.late_reuse
        return LeastWorkCost.cost(self, request, view)


@dataclass(frozen=True, slots=True)
class Idea:
    """A variant, and what it would have been good for."""

    why: str
    make: Callable[[], Cost]
    picker: Callable[[], Picker] = field(default=RendezvousPicker)


IDEAS: Mapping[str, Idea] = {
    DEFAULT: Idea("", LeastWorkCost),
    "the default before": Idea("an oracle liked a tenth of the delay imposed on others", PrefillImpactCost),
    "the same, above the least busy": Idea(
        "a load that all share says nothing about where to go", partial(PrefillImpactCost, impact=0.3, above_least=True)
    ),
    "no impact": Idea("least work left, and decoding", partial(LeastWorkCost, impact=0.0)),
    "impact 0.5": Idea("twice as much", partial(LeastWorkCost, impact=0.5)),
    "impact 1": Idea("LMetric's product", partial(LeastWorkCost, impact=1.0)),
    "decoding counts in full": Idea(
        "150 steps of others that take 0.4 ms longer are 1,000 tokens", partial(LeastWorkCost, request_tokens=1000.0)
    ),
    "decoding counts for nothing": Idea(
        "first tokens do not wait for it", partial(LeastWorkCost, request_tokens=0.0, context_share=0.0)
    ),
    "speed by its square root": Idea(
        "in plain seconds all run after the fast", partial(LeastWorkCost, speed_exponent=0.5)
    ),
    "speed does not count": Idea("queues tell of it", partial(LeastWorkCost, speed_exponent=0.0)),
    "copies displace nothing": Idea("least work now", partial(LeastWorkCost, displacement=0.0)),
    "copies displace as much everywhere": Idea("caches are full sooner or later", SteadyDisplacementCost),
    "displacement 40": Idea("four times as much", partial(LeastWorkCost, displacement=40.0)),
    "an adapter's load as it is": Idea(
        "0.5 s is what it takes", partial(LeastWorkCost, adapter_load_s=0.5, adapter_wait_s=2.0)
    ),
    "ties at random": Idea("hashing is for replicas only", LeastWorkCost, MaxScorePicker),
}
"""By name, the default first."""


def policy(name: str) -> Policy:
    """The policy of an idea."""
    idea = IDEAS[name]

    def make(simulation: Simulation) -> Profile:  # noqa: ARG001 - they see what pickers see
        return Profile(name, cost=Slot("cost", idea.make()), picker=Slot("picker", idea.picker()))

    return Policy(name, make, RouterSettings(kept_decisions=1))


def records(processes: int, tell: Callable[[str], None]) -> list[Record]:
    """All runs: every idea on every workload."""
    jobs = [
        Job(name, case, seed, scenario(condition, workload(case, seed).duration_s), seed)
        for case in TUNING
        for seed in TUNING_SEEDS[:_SEEDS]
        for condition in _CONDITIONS
        for name in IDEAS
    ]
    runner: Runner[Record] = Runner(workload, policy, partial(record_of, slo=SLO))
    made: list[Record] = []
    for _, record in runner.run(jobs, processes):
        made.append(record)
        if len(made) % 50 == 0:
            tell(f"{len(made)} of {len(jobs)} runs")
    return made


def table(made: Sequence[Record]) -> Table:
    """Each idea against the default: geometric means over all cases, and the case where it is worst."""
    cases = summaries(made)
    rows = []
    for name, idea in list(IDEAS.items())[1:]:
        ratios = [mean_ratio(cases, name, DEFAULT, m) for m in ("ttft_mean_s", "ttft_p90_s", "e2e_mean_s")]
        each = {case: mean_ratio({case: found}, name, DEFAULT, "ttft_p90_s") for case, found in cases.items()}
        worst = max(each, key=lambda case: each[case])
        rows.append((name, idea.why, *(f"{ratio:.2f}" for ratio in ratios), f"{each[worst]:.2f} ({worst})"))
    head = ("instead", "because", "TTFT mean", "TTFT p90", "end-to-end", "worst TTFT p90")
    return Table("study-rejected", "ideas against the default", head, tuple(rows))


def main() -> int:
    """Does what the command line asks for. The exit status."""
    flags = argparse.ArgumentParser(prog="python -m bench.study.rejected", description=__doc__.splitlines()[0])
    flags.add_argument("--write", action="store_true", help="put the table into docs/policy.md")
    flags.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    options = flags.parse_args()
    made = table(records(options.jobs, lambda text: print(text, file=sys.stderr, flush=True)))
    if options.write:
        PAGE.write_text(with_tables(PAGE.read_text(), [made]))
    print(made.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
