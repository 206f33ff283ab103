"""Request bodies, encoded before they are due: a long prompt takes milliseconds, which would make its call late."""

from __future__ import annotations

from epp.workloads.text import body_of
from epp.workloads.types import Workload

__all__ = ["Bodies"]

MAX_READY_BYTES = 256 * 1024 * 1024
"""Of bodies that wait to be sent."""


class Bodies:
    """Bodies of a workload's calls, made in the workload's order."""

    def __init__(self, workload: Workload, model: str) -> None:
        self._workload = workload
        self._model = model
        self._ready: dict[int, bytes] = {}
        self._ready_bytes = 0
        self._next = 0
        self._taken: set[int] = set()

    def prepare(self) -> bool:
        """Makes one more. False when there is nothing to make, or no room for it."""
        while self._next in self._taken:
            self._taken.discard(self._next)
            self._next += 1
        if self._next >= len(self._workload.calls) or self._ready_bytes >= MAX_READY_BYTES:
            return False
        body = self._ready[self._next] = self._make(self._next)
        self._ready_bytes += len(body)
        self._next += 1
        return True

    def prepare_all(self) -> None:
        """Makes as many as there is room for: about a second for each 200 MB."""
        while self.prepare():
            pass

    def take(self, index: int) -> bytes:
        """The body of a call, which is forgotten then."""
        body = self._ready.pop(index, None)
        if body is None:
            self._taken.add(index)
            return self._make(index)
        self._ready_bytes -= len(body)
        return body

    def _make(self, index: int) -> bytes:
        return body_of(self._workload.calls[index], self._model, self._workload.bytes_per_token)
