"""The default cost: what placing a request on an endpoint costs it and everybody else there, in prefill tokens.

    wait    = (prefill in front + what others' queues hold) * slowness
    prefill = (prompt - matched) * slowness
    adapter = 0 if resident; a load if a slot is free; a load and the wait for a slot otherwise
    decode  = REQUEST * outstanding + CONTEXT * context
    impact  = IMPACT * (wait + prefill + adapter) * outstanding + EVICTION * tokens that do not fit into the cache
    displacement = DISPLACEMENT * late reuse * (prompt - matched) * (1 + IMPACT * mean outstanding)
    cost    = wait + prefill + adapter + decode + impact + displacement

Why these terms: sizes, not counts, because a queue's depth says nothing of one long prefill. All work that a request
meets and brings is held against everybody who is there: the product keeps long prefills away from busy decodes, and
gives way early where many requests want one cached prefix. Where caches are too small for all that is asked again,
each new copy pushes out another prefix, which will have to be computed in its turn: without the last term more load
means more copies, these more misses, and these more load. What others were tried: docs/policy.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import AdapterState
from epp.endpoints.rates import Rates
from epp.requests import InferenceRequest
from epp.scheduling.view import View

__all__ = ["LeastWorkCost"]

Values = NDArray[np.float64]

_MOST = 1e12
"""Whatever a broken server says of itself, a product stays a number."""


@dataclass(slots=True)
class LeastWorkCost:
    """The default cost. The parameters' defaults come from a study with emulated engines (docs/policy.md)."""

    impact: float = 0.25
    """How much it counts that a request under way shares the endpoint with this work: share of the work for each."""
    request_tokens: float = 20.0
    """Decode work of one more request in the batch."""
    context_share: float = 0.023
    """Decode work of one more token of context in the batch."""
    adapter_load_s: float = 2.0
    """What loading a LoRA adapter counts as: more than it takes, because the one that gives way is loaded again."""
    adapter_wait_s: float = 4.0
    """What waiting for a slot counts as, where all are in use."""
    eviction: float = 0.5
    """Cost of each token of context beyond the KV cache's capacity: it evicts or preempts others."""
    displacement: float = 10.0
    """Cost of each token that is computed, where all that it pushes out of a cache would have been used again."""
    speed_exponent: float = 1.0
    """How much speed counts: 0 not at all, 1 in plain seconds."""

    _speeds: tuple[Rates, int, Values] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.init and getattr(self, one.name) < 0:
                raise ValueError(f"{one.name} is {getattr(self, one.name)}; it must be at least 0")
        self._speeds = None

    def cost(self, request: InferenceRequest, view: View) -> Values:
        """Tokens of prefill work at the pool's median speed."""
        slowness, outstanding, uncached = self._slowness(view), view.outstanding, view.uncached_tokens
        wait, prefill = view.backlog_tokens, uncached
        if slowness is not None:
            wait, prefill = wait * slowness, prefill * slowness
        total = wait + prefill
        view.note("wait", wait)
        view.note("prefill", prefill)
        if request.adapter:
            adapter = self._adapter(request.adapter, view)
            view.note("adapter", adapter)
            total += adapter
        decode = outstanding * self.request_tokens + view.context_tokens * self.context_share
        impact = np.minimum(total, _MOST) * np.minimum(outstanding, _MOST)
        impact *= self.impact
        impact += self._eviction(view, uncached)
        view.note("decode", decode)
        view.note("impact", impact)
        total += decode
        total += impact
        if view.late_reuse and self.displacement and view.any_matched:
            displacement = uncached * (self.displacement * view.late_reuse * (1 + self.impact * _typical(outstanding)))
            view.note("displacement", displacement)
            total += displacement
        return total

    def _slowness(self, view: View) -> Values | None:
        """Work on an endpoint in work at the pool's median speed; None where nothing is known of any."""
        rates = view.pool.rates
        if rates.uniform:
            return None
        known = self._speeds
        if known is None or known[0] is not rates or known[1] != rates.version:
            powers = view.pool.table.columns.relative_slowness**self.speed_exponent
            known = self._speeds = rates, rates.version, powers
        return view.take(known[2])

    def _eviction(self, view: View, uncached: Values) -> Values:
        """What does not fit beside what is there already."""
        over = np.maximum(view.kv_tokens, view.context_tokens)
        over -= view.capacity_tokens
        over += uncached
        over += view.features.output_tokens
        np.maximum(over, 0.0, out=over)
        over *= self.eviction
        return over

    def _adapter(self, adapter: str, view: View) -> Values:
        rate = view.pool.rates.prefill_rate()
        load, wait = self.adapter_load_s * rate, self.adapter_wait_s * rate
        by_state = np.zeros(len(AdapterState))
        by_state[AdapterState.LOADABLE] = load
        by_state[AdapterState.QUEUED] = wait
        by_state[AdapterState.BUSY] = wait + load
        return by_state[view.adapter_states(adapter)]


def _typical(outstanding: Values) -> float:
    """The mean, to which no endpoint adds much more than the middle one has: servers say some of it themselves."""
    middle = float(np.median(outstanding))
    return float(np.minimum(outstanding, min(8 * middle + 64, _MOST)).mean())
