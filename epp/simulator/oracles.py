"""Policies that know the true state of every engine: what could be reached if pickers saw everything at once.

    own      = own arrival + wait for what is in front + own prefill + own decoding, in seconds
    imposed  = own prefill for everybody who is there, and slower decode steps for as long as they share the batch
    cost     = own + impact * imposed           impact 0: selfish; 0.1: marginal (design note, section 6)

They know the length of answers, too. They do not look ahead to requests that have not come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from epp.requests import InferenceRequest
from epp.scheduling import Profile, Slot
from epp.scheduling.pickers import MaxScorePicker
from epp.scheduling.view import View
from epp.simulator.costs import StepCost, StepWork
from epp.simulator.engine import Engine
from epp.simulator.replica import CallRequest
from epp.simulator.sequences import Outlook
from epp.simulator.simulation import Policy, Simulation

__all__ = ["ORACLES", "OracleCost"]

MARGINAL_IMPACT = 0.1

_NEVER_S = 1e9
"""What a dead engine takes."""


@dataclass(frozen=True, slots=True)
class _Task:
    """The call that is to be placed, on one engine."""

    missing_tokens: int
    prompt_tokens: int
    output_tokens: int

    @property
    def context_tokens(self) -> float:
        """What a step of its decoding looks back at, on average."""
        return self.prompt_tokens + self.output_tokens / 2

    @property
    def attention(self) -> int:
        """`StepWork.prefill_attention` of all of it."""
        return self.prompt_tokens**2 - (self.prompt_tokens - self.missing_tokens) ** 2


class OracleCost:
    """Seconds of the engines' true time. Rows of the table are the pods in their order."""

    def __init__(self, simulation: Simulation, impact: float) -> None:
        self._simulation = simulation
        self._impact = impact

    def cost(self, request: InferenceRequest, view: View) -> NDArray[np.float64]:
        """Float (n,)."""
        assert isinstance(request, CallRequest)
        return np.array([self._seconds(int(row), request.index, view.now) for row in view.rows])

    def _seconds(self, pod: int, index: int, now: float) -> float:
        prepared, entry = self._simulation.prepared, self._simulation.pods[pod]
        engine, call = entry.engine, prepared.calls[index]
        if engine.dead:
            return _NEVER_S
        prompt = prepared.prompt_tokens[index]
        outlook = engine.outlook(now)  # first: it brings the cache up to date
        hit = engine.cached_tokens(prepared.blocks(index, entry.block_tokens)[: (prompt - 1) // entry.block_tokens])
        task = _Task(prompt - hit, prompt, call.output_tokens)
        own, imposed = _times(engine, task, outlook)
        if call.adapter:
            loading = _adapter_s(engine, call.adapter, outlook)
            own, imposed = own + loading, imposed + loading * len(outlook.running)
        return (own + self._impact * imposed) / engine.speed


def _times(engine: Engine, task: _Task, outlook: Outlook) -> tuple[float, float]:
    """Seconds at a speed of 1: own until the end, and what the others lose together."""
    cost, settings = engine.cost, engine.settings
    decoding = outlook.context_tokens[outlook.running & (outlook.prefill_tokens == 0)]
    context = int(decoding.sum())
    usage = min(1.0, context / settings.capacity_tokens)
    batch = StepWork(decode_seqs=len(decoding), decode_context_tokens=context, kv_usage=usage)
    step, budget = cost.seconds(batch), max(1, settings.max_num_batched_tokens - len(decoding))
    in_front = int(outlook.prefill_tokens.sum())
    steps = -(-(in_front + task.missing_tokens) // budget)
    prefill = _prefill_s(cost, batch, task.missing_tokens, task.attention, budget)
    wait = _prefill_s(cost, batch, in_front, _attention(outlook), budget) + steps * step
    wait += _room_s(engine, task, outlook, step)
    per_sequence, per_token = _decode_rates(cost, usage)
    shared = np.minimum(outlook.output_tokens, task.output_tokens).astype(np.float64)
    theirs = float(shared @ (per_sequence + per_token * outlook.context_tokens))
    mean = int(task.context_tokens)
    fuller = min(1.0, (context + mean) / settings.capacity_tokens)
    alone = cost.seconds(StepWork(decode_seqs=1, decode_context_tokens=mean, kv_usage=fuller))
    decodes = max(0, task.output_tokens - 1)  # the first token comes out of the prefill
    own = cost.arrival_s + wait + prefill + decodes * alone + theirs
    imposed = prefill * len(shared) + float(shared.sum()) * (per_sequence + per_token * task.context_tokens)
    return own, imposed


def _attention(outlook: Outlook) -> int:
    """`StepWork.prefill_attention` of all that is in front: each prompt looks back at itself, and at no other."""
    end = outlook.context_tokens + outlook.prefill_tokens
    return int((end * end - outlook.context_tokens * outlook.context_tokens).sum())


def _prefill_s(cost: StepCost, batch: StepWork, tokens: int, attention: int, budget: int) -> float:
    """How much longer the steps of a batch take that compute so many prompt tokens beside it, `budget` in each.

    Attention is spread evenly over them, which makes two kinds of steps of a long queue's hundreds.
    """
    if tokens <= 0:
        return 0.0
    step = cost.seconds(batch)

    def longer(chunk: int) -> float:
        work = replace(batch, prefill_tokens=chunk, prefill_attention=attention * chunk // tokens)
        return cost.seconds(work) - step

    whole, rest = divmod(tokens, budget)
    return whole * longer(budget) + (longer(rest) if rest else 0.0)


def _decode_rates(cost: StepCost, usage: float) -> tuple[float, float]:
    """Seconds that one more sequence, and one more token of context, add to a step."""
    base = cost.seconds(StepWork(decode_seqs=8, decode_context_tokens=8000, kv_usage=usage))
    sequence = cost.seconds(StepWork(decode_seqs=9, decode_context_tokens=8000, kv_usage=usage)) - base
    token = cost.seconds(StepWork(decode_seqs=8, decode_context_tokens=9000, kv_usage=usage)) - base
    return sequence, token / 1000


def _room_s(engine: Engine, task: _Task, outlook: Outlook, step_s: float) -> float:
    """Until the batch has a place and the cache has room: those with the least left to say go first."""
    settings = engine.settings
    held = outlook.context_tokens + outlook.prefill_tokens
    missing = float(held.sum()) + task.prompt_tokens - settings.capacity_tokens
    surplus = len(held) + 1 - settings.max_num_seqs
    if missing <= 0 and surplus <= 0:
        return 0.0
    order = np.argsort(outlook.output_tokens)
    freed = np.cumsum(held[order])
    needed = max(int(np.searchsorted(freed, missing)) + 1 if missing > 0 else 0, surplus)
    return float(outlook.output_tokens[order[min(needed, len(order)) - 1]]) * step_s


def _adapter_s(engine: Engine, adapter: str, outlook: Outlook) -> float:
    """Loading the adapter, and before it the wait for a slot that nobody uses."""
    state = engine.adapters
    if adapter in state.resident:
        return 0.0
    load = engine.settings.lora_load_s
    if len(state.running) < engine.settings.max_loras:
        return load
    soonest = float(outlook.output_tokens.min()) if len(outlook.output_tokens) else 0.0
    return load + soonest * engine.cost.seconds(StepWork(decode_seqs=max(1, int(outlook.running.sum()))))


def _oracle(name: str, impact: float) -> Policy:
    def make(simulation: Simulation) -> Profile:
        cost = Slot(f"{name}-cost", OracleCost(simulation, impact))
        return Profile(name, cost=cost, picker=Slot("max-score-picker", MaxScorePicker()))

    return Policy(name, make)


ORACLES = {
    name: _oracle(name, impact) for name, impact in (("oracle-selfish", 0.0), ("oracle-marginal", MARGINAL_IMPACT))
}
"""By name. In the simulator only: no picker can know what they know."""
