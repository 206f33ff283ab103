"""The queue of one engine: first come, first served, but nobody waits behind a request that lacks a LoRA slot."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from epp.simulator.sequences import LiveSequence, RequestId

__all__ = ["WaitingQueue"]

_Line = OrderedDict[RequestId, LiveSequence]


class WaitingQueue:
    """Sequences that wait.

    Those whose adapter had no slot when it was their turn stand apart, one line per adapter: a look at the front costs
    O(adapters), not O(queue).
    """

    def __init__(self) -> None:
        self._main: _Line = OrderedDict()
        self._deferred: dict[str, _Line] = {}

    def push(self, sequence: LiveSequence) -> None:
        """A new one, to the end."""
        self._main[sequence.request.id] = sequence

    def push_front(self, sequence: LiveSequence) -> None:
        """One that was preempted: its turn comes again first."""
        self.push(sequence)
        self._main.move_to_end(sequence.request.id, last=False)

    def front(self, admits: Callable[[str], bool]) -> LiveSequence | None:
        """The earliest one whose adapter is admitted. Those found lacking a slot on the way are deferred."""
        while self._main:
            sequence = next(iter(self._main.values()))
            adapter = sequence.request.adapter
            if admits(adapter):
                return self._earliest_deferred(admits, sequence)
            del self._main[sequence.request.id]
            self._deferred.setdefault(adapter, OrderedDict())[sequence.request.id] = sequence
        return self._earliest_deferred(admits, None)

    def _earliest_deferred(self, admits: Callable[[str], bool], best: LiveSequence | None) -> LiveSequence | None:
        for adapter, line in self._deferred.items():
            sequence = next(iter(line.values()))
            if (best is None or sequence.order < best.order) and admits(adapter):
                best = sequence
        return best

    def remove(self, sequence: LiveSequence) -> None:
        """Take one out, wherever it stands."""
        if self._main.pop(sequence.request.id, None) is not None:
            return
        adapter = sequence.request.adapter
        line = self._deferred[adapter]
        del line[sequence.request.id]
        if not line:
            del self._deferred[adapter]

    @property
    def deferred(self) -> int:
        """Those that were passed over for want of a LoRA slot."""
        return sum(map(len, self._deferred.values()))

    def __len__(self) -> int:
        return len(self._main) + self.deferred

    def __repr__(self) -> str:
        return f"<WaitingQueue {len(self._main)} in line, {self.deferred} deferred>"
