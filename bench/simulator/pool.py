"""What a simulated pool costs: `python -m bench.simulator.pool`.

Eight pods and one picker, four calls per second of 12,000 prompt tokens, of which one of forty shared prefixes is half,
and 300 tokens of output. CPU time of one core, without hashing the workload: that is done once for all that is
compared. The rounds go by turns and the best of each policy counts, because a shared machine only ever adds to it.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence

import numpy as np

from epp.commands.policies import load_policy
from epp.commands.pool_files import default_pool
from epp.reports import Run
from epp.simulator.prepared import PreparedWorkload
from epp.simulator.simulation import Policy, simulate
from epp.workloads import Call, Segment, Workload

PODS = 8
PER_S = 4.0
PREFIXES, PREFIX_TOKENS = 40, 6000
OWN_TOKENS, OUTPUT_TOKENS = 6000, 300
POLICIES = ("default", "least-requests", "oracle-marginal")


def workload(count: int, per_s: float, seed: int) -> Workload:
    """Poisson arrivals."""
    rng = np.random.default_rng(seed)
    due_s, prefixes = np.cumsum(rng.exponential(1 / per_s, count)), rng.integers(PREFIXES, size=count)
    calls = [
        Call(
            float(at_s),
            (Segment(int(prefix), PREFIX_TOKENS), Segment(1000 + number, OWN_TOKENS)),
            Segment(10**9 + number, OUTPUT_TOKENS),
        )
        for number, (at_s, prefix) in enumerate(zip(due_s, prefixes, strict=True))
    ]
    return Workload("pool", tuple(calls))


def measure(prepared: PreparedWorkload, policy: Policy) -> tuple[float, Run]:
    """CPU seconds of a run, and the run."""
    gc.collect()
    begun_s = time.process_time()
    run = simulate(prepared, default_pool().with_pods(PODS), policy, seed=1)
    return time.process_time() - begun_s, run


def line(policy: str, cpu_s: Sequence[float], run: Run) -> str:
    """A policy's figures."""
    best, calls = min(cpu_s), run.calls
    hits = calls.cached_tokens[calls.ok].sum() / calls.prompt_tokens[calls.ok].sum()
    return (
        f"{policy:20} {best / len(calls) * 1e6:6.0f} us per call {run.duration_s / best:8,.0f} x real time   "
        f"mean TTFT {np.nanmean(calls.ttft_s):.3f} s, {hits:.0%} hits"
    )


def main() -> None:
    """Print what each policy's simulation costs."""
    parser = argparse.ArgumentParser(description="Measure what a simulated pool costs.")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--per-s", type=float, default=PER_S)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--policy", action="append", help=f"repeatable; by default {', '.join(POLICIES)}")
    chosen = parser.parse_args()
    prepared = PreparedWorkload(workload(chosen.calls, chosen.per_s, seed=1))
    policies = {name: load_policy(name) for name in chosen.policy or POLICIES}
    for policy in policies.values():
        measure(prepared, policy)  # makes the hashes
    cpu_s: dict[str, list[float]] = {name: [] for name in policies}
    runs: dict[str, Run] = {}
    for _ in range(chosen.rounds):
        for name, policy in policies.items():
            took_s, runs[name] = measure(prepared, policy)
            cpu_s[name].append(took_s)
    for name in policies:
        print(line(name, cpu_s[name], runs[name]))


if __name__ == "__main__":
    main()
