"""How much of a pool a workload needs at least: its work when every reusable token is found in a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from epp.simulator.costs import LinearCost
from epp.workloads import Call, Workload

__all__ = ["PODS", "REFERENCE_BATCH", "offered_load", "work_s"]

PODS: Final = 8
"""Of the study's pool, each with the default engine and cost."""

REFERENCE_BATCH: Final = 64
"""Sequences that decode together on a pod at its limit: more would take over 50 ms per token."""

_TOKEN_S = 0.025
"""Assumed time per token of an answer, to place a session's calls in time."""

_COST = LinearCost()


def work_s(call: Call, found_tokens: int, cost: LinearCost = _COST) -> float:
    """Seconds of one pod that a call takes, when so many tokens of its prompt are in the cache."""
    tokens = call.prompt_tokens
    prefill_s = cost.prefill_token_s * (tokens - found_tokens)
    prefill_s += cost.prefill_attention_s * (tokens**2 - found_tokens**2)
    context = tokens + call.output_tokens / 2
    step_s = cost.step_s / REFERENCE_BATCH + cost.decode_seq_s + cost.decode_context_token_s * context
    return prefill_s + call.output_tokens * step_s


def offered_load(workload: Workload, found_tokens: Sequence[int], pods: int = PODS) -> float:
    """Share of the pool that is busy at least: an estimate, without the begin (caches fill) and the end.

    `found_tokens` are those of each call's prompt that are in a cache.
    """
    work = np.array([work_s(call, found) for call, found in zip(workload.calls, found_tokens, strict=True)])
    times = np.array(_expected_times(workload))
    begin, end = np.quantile(times, [0.2, 0.95])
    share: float = work[(times >= begin) & (times < end)].sum() / (end - begin) / pods
    return share


def _expected_times(workload: Workload) -> list[float]:
    times: list[float] = []
    for call in workload.calls:
        before = 0.0
        if call.after is not None:
            answered = workload.calls[call.after]
            before = times[call.after] + _COST.arrival_s + answered.output_tokens * _TOKEN_S
        times.append(before + call.at_s)
    return times
