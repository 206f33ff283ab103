"""Small pools in virtual time: workloads of a few words, a clock that is easy to reckon with, and what became of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from epp.reports import Failure, Run
from epp.router import RouterSettings
from epp.scheduling import Profile, Slot
from epp.simulator import EngineSettings, Incident, IncidentKind, LinearCost, PickerSight, Scenario, SimulatedPod
from epp.simulator.prepared import PreparedWorkload
from epp.simulator.simulation import Policy, Simulation
from epp.workloads import Api, Call, Segment, Workload

__all__ = [
    "COST",
    "EMBEDDING",
    "ENGINE",
    "EXACT",
    "call",
    "failures",
    "incident",
    "killed",
    "play",
    "pool",
    "prepared",
    "simulation",
    "spread",
    "spread_by_name",
    "to_pod",
    "workload",
]

COST = LinearCost(
    step_s=0.01, decode_seq_s=0, decode_context_token_s=0, prefill_token_s=0.001, prefill_attention_s=0, arrival_s=0
)
"""A step takes 10 ms and 1 ms more for each token of a prompt."""

ENGINE = EngineSettings(num_gpu_blocks=1025, max_num_seqs=8, max_num_batched_tokens=1024, max_model_len=8192)

EMBEDDING = {"api": Api.EMBEDDINGS, "stream": False}

EXACT = PickerSight(decision_s=0, decision_per_mb_s=0, reply_delay_s=0.001, scrape_delay_s=0)
"""A picker that loses no time."""


def call(at_s: float, prompt: int | Sequence[tuple[int, int]], output: int = 11, **more: Any) -> Call:
    """`prompt`: tokens that nobody shares, or (segment, tokens) pairs."""
    segments = [(round(at_s * 1e6) + 10_000, prompt)] if isinstance(prompt, int) else prompt
    answer = Segment(10**12 + round(at_s * 1e6), output)
    return Call(at_s, tuple(Segment(name, tokens) for name, tokens in segments), answer, **more)


def workload(*calls: Call, name: str = "w") -> Workload:
    return Workload(name, calls)


def spread(count: int, every_s: float = 0.3, prompt: int = 640, **more: Any) -> Workload:
    """Calls at regular times, of which every third shares the first half of its prompt with others."""
    return workload(
        *(
            call(n * every_s, [(1 + n % 3, prompt // 2), (100 + n, prompt // 2)], 5 + n % 17, session=n % 4, **more)
            for n in range(count)
        )
    )


def prepared(*calls: Call) -> PreparedWorkload:
    return PreparedWorkload(workload(*calls))


def pool(
    pods: int = 2,
    *incidents: Incident,
    sight: PickerSight = EXACT,
    speeds: Sequence[float] | None = None,
    **engine: Any,
) -> Scenario:
    return Scenario(
        tuple(
            SimulatedPod(f"pod-{n}", replace(ENGINE, **engine), COST, speed)
            for n, speed in enumerate(speeds or [1.0] * pods)
        ),
        sight,
        incidents,
    )


def incident(at_s: float, pod: int, happens: IncidentKind, speed: float = 1.0) -> Incident:
    return Incident(at_s, pod, happens, speed)


class _Pod:
    """Keeps one endpoint."""

    def __init__(self, row: int) -> None:
        self._row = row

    def keep(self, request: object, view: Any) -> Any:
        return view.rows == self._row


def to_pod(row: int) -> Policy:
    """All calls to one pod; nobody when it must not be used."""
    settings = RouterSettings(kept_decisions=1)
    return Policy(f"to-{row}", lambda _: Profile(f"to-{row}", filters=[Slot("only", _Pod(row))]), settings)


def simulation(work: Workload, scenario: Scenario, policy: Policy, seed: int = 1) -> Simulation:
    return Simulation(PreparedWorkload(work), scenario, policy, seed)


def play(work: Workload, scenario: Scenario, policy: Policy, seed: int = 1) -> Run:
    return simulation(work, scenario, policy, seed).run()


def failures(run: Run) -> list[Failure]:
    return list(run.calls.failure)


def spread_by_name(name: str, seed: int) -> Workload:
    """For other processes, which can be given what has a name: 40 calls, `long` ones for many more."""
    if name == "broken":
        raise ValueError(f"no workload of seed {seed}")
    return replace(spread(20_000 if name == "long" else 40, 0.3), name=f"{name}-{seed}")


def killed(name: str) -> Policy:
    """Makes an end of the process, as a kernel without memory does."""
    os.kill(os.getpid(), signal.SIGKILL)
    return to_pod(0)
