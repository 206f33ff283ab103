"""One workload, measured and simulated: what is kept of both, and the simulation of it. No IO."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bench.validation.results import Latencies
from epp.commands.policies import load_policy
from epp.reports.runs import Run
from epp.simulator.prepared import PreparedWorkload
from epp.simulator.scenario import Scenario
from epp.simulator.simulation import simulate
from epp.workloads.types import Api, Segment, Workload

__all__ = ["as_bytes", "as_on_the_wire", "latencies_of", "simulated", "with_other_texts"]

_DIGITS = 5
"""10 us."""

_FRESH_IDS = 2**62
"""Generators' ids are hashes: none lies just above this one, but once in 2**40 workloads."""

_OTHER_IDS = 2**60
"""Put into an id, it gives another one; two of them are as likely to meet as any two hashes."""


def latencies_of(run: Run) -> Latencies:
    """What is kept of a run."""
    calls, ok = run.calls, run.calls.ok
    return Latencies(
        ttft_s=_rounded(calls.ttft_s[ok]),
        tpot_s=_rounded(calls.tpot_s[ok]),
        e2e_s=_rounded(calls.e2e_s[ok]),
        prompt_tokens=int(calls.prompt_tokens[ok].sum()),
        cached_tokens=int(np.maximum(calls.cached_tokens[ok], 0).sum()),
        failed=int((~ok).sum()),
    )


def simulated(workload: Workload, scenario: Scenario, policy: str, seed: int = 1) -> Latencies:
    """The same workload in virtual time."""
    return latencies_of(simulate(PreparedWorkload(workload), scenario, load_policy(policy), seed))


def as_on_the_wire(workload: Workload) -> Workload:
    """The workload for the simulator: answers are found in no cache, since clients do not quote what servers said."""
    calls = (
        replace(call, output=Segment(_FRESH_IDS + index, call.output.tokens, call.output.role))
        for index, call in enumerate(workload.calls)
    )
    return replace(workload, calls=tuple(calls))


def as_bytes(workload: Workload) -> Workload:
    """The workload for a server whose tokens are bytes: plain prompts, one byte per token."""
    calls = (replace(call, api=Api.COMPLETIONS) for call in workload.calls)
    return replace(workload, calls=tuple(calls), bytes_per_token=1.0)


def with_other_texts(workload: Workload) -> Workload:
    """The same times, lengths and shared beginnings, and nothing that a server has seen before."""

    def other(segment: Segment) -> Segment:
        return replace(segment, id=segment.id ^ _OTHER_IDS)

    calls = (
        replace(call, prompt=tuple(other(segment) for segment in call.prompt), output=other(call.output))
        for call in workload.calls
    )
    return replace(workload, calls=tuple(calls))


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), _DIGITS) for value in values if value == value]
