"""Policies that know the true state of every engine: what could be reached if pickers saw everything at once.

    own      = wait for what is in front + own prefill + own decoding, in seconds
    imposed  = own prefill for everybody who is there, and slower decode steps for as long as they share the batch
    cost     = own + impact * imposed           impact 0: selfish; 0.1: marginal (design note, section 6)

They know the length of answers, too. They do not look ahead to requests that have not come.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        prompt = prepared.prompt_tokens[index]
        hit = engine.cached_tokens(prepared.blocks(index, entry.block_tokens)[: (prompt - 1) // entry.block_tokens])
        task = _Task(prompt - hit, prompt, call.output_tokens)
        outlook = engine.outlook(now)
        own, imposed = _times(engine, task, outlook)
        if call.adapter:
            loading = _adapter_s(engine, call.adapter, outlook)
            own, imposed = own + loading, imposed + loading * len(outlook.running)
        return (own + self._impact * imposed) / engine.speed


def _times(engine: Engine, task: _Task, outlook: Outlook) -> tuple[float, float]:
    """Seconds at a speed of 1: own until the end, and what the others lose together."""
    cost, settings = engine.cost, engine.settings
    decoding = int(outlook.running.sum())
    in_front = int(outlook.prefill_tokens.sum())
    budget = max(1, settings.max_num_batched_tokens - decoding)
    context = int(outlook.context_tokens[outlook.running].sum())
    usage = min(1.0, context / settings.capacity_tokens)
    step = cost.seconds(StepWork(decode_seqs=decoding, decode_context_tokens=context, kv_usage=usage))
    steps = -(-(in_front + task.missing_tokens) // budget)
    prefill = _prefill_s(cost, task.missing_tokens, task.prompt_tokens, budget)
    wait = _prefill_s(cost, in_front, in_front, budget) + steps * step + _room_s(engine, task, outlook, step)
    per_sequence, per_token = _decode_rates(cost, usage)
    shared = np.minimum(outlook.output_tokens, task.output_tokens).astype(np.float64)
    theirs = float(shared @ (per_sequence + per_token * outlook.context_tokens))
    alone = cost.seconds(StepWork(decode_seqs=1, decode_context_tokens=int(task.context_tokens), kv_usage=usage))
    own = wait + prefill + task.output_tokens * alone + theirs
    imposed = prefill * len(shared) + float(shared.sum()) * (per_sequence + per_token * task.context_tokens)
    return own, imposed


def _prefill_s(cost: StepCost, new: int, end: int, budget: int) -> float:
    """Computing the last `new` of `end` tokens in steps of `budget`, without what each step costs anyway."""
    if new <= 0:
        return 0.0
    nothing = cost.seconds(StepWork(decode_seqs=1)) - cost.seconds(StepWork(decode_seqs=2))
    nothing += cost.seconds(StepWork(decode_seqs=1))
    whole, rest = divmod(new, budget)
    total, start = 0.0, end - new
    for tokens in [budget] * whole + ([rest] if rest else []):
        attention = (start + tokens) ** 2 - start**2
        total += cost.seconds(StepWork(prefill_tokens=tokens, prefill_attention=attention)) - max(0.0, nothing)
        start += tokens
    return max(0.0, total)


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
