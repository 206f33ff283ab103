"""LoRA slots of one engine: which adapters are resident, which are in use, and what the metrics tell of them.

At most `max_loras` different adapters can be in one step. A resident adapter that no running sequence uses keeps its
slot until another one needs it, the least recently used first (vLLM `lora/worker_manager.py`).
"""

from __future__ import annotations

from collections import OrderedDict

from epp.simulator.sequences import LabelSet

__all__ = ["AdapterSlots", "LabelSets"]

MAX_LABEL_SETS = 1000
"""vLLM keeps every set for ever; here the ones that were not seen for longest go."""


class AdapterSlots:
    """Slots for adapters. The base model needs none."""

    def __init__(self, max_loras: int) -> None:
        self._max_loras = max_loras
        self._resident: OrderedDict[str, None] = OrderedDict()
        """Least recently used first."""
        self._running: dict[str, int] = {}
        """Sequences in the batch by adapter, in the order in which the adapters came in."""

    def admits(self, adapter: str) -> bool:
        """Whether a sequence with this adapter can join the batch."""
        return not adapter or adapter in self._running or len(self._running) < self._max_loras

    def start(self, adapter: str) -> bool:
        """A sequence joins the batch. Returns whether its adapter must be loaded first."""
        if not adapter:
            return False
        self._running[adapter] = self._running.get(adapter, 0) + 1
        if adapter in self._resident:
            self._resident.move_to_end(adapter)
            return False
        if len(self._resident) >= self._max_loras:
            idle = next(name for name in self._resident if name not in self._running)
            del self._resident[idle]
        self._resident[adapter] = None
        return True

    def stop(self, adapter: str) -> None:
        """A sequence leaves the batch."""
        if not adapter:
            return
        self._running[adapter] -= 1
        self._resident.move_to_end(adapter)
        if not self._running[adapter]:
            del self._running[adapter]

    @property
    def running(self) -> tuple[str, ...]:
        """Adapters of the sequences in the batch."""
        return tuple(self._running)

    @property
    def resident(self) -> tuple[str, ...]:
        """Adapters that need no loading."""
        return tuple(self._resident)


class LabelSets:
    """History behind `vllm:lora_requests_info`: every set of running adapters ever seen, with the time of the last."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def record(self, adapters: tuple[str, ...], now: float) -> None:
        """These run now."""
        self._seen[adapters] = now
        self._seen.move_to_end(adapters)
        if len(self._seen) > MAX_LABEL_SETS:
            self._seen.popitem(last=False)

    def snapshot(self) -> tuple[LabelSet, ...]:
        """All sets; the current one is the last."""
        return tuple(LabelSet(adapters, last_seen) for adapters, last_seen in self._seen.items())
