"""When which call is due: open loop by the workload's times, closed loop by clients, sessions in both. No clock.

*Open loop*: calls come when the workload says so, whatever becomes of those before. *Closed loop*: each client takes a
conversation (a call, and all that wait for it), goes through it, and takes the next; a call that waits for none is due
when its client is free. In both, a call of a session is due when its pause after the end of the call that it waits for
is over, and that end may be a failure, so that every server is asked the same.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

from epp.workloads.types import Workload

__all__ = ["DueCall", "Schedule"]


@dataclass(frozen=True, slots=True, order=True)
class DueCall:
    """A call, and when it is to be sent."""

    due_s: float
    index: int


class Schedule:
    """All calls of a workload, each due once. Times are seconds from the begin."""

    def __init__(self, workload: Workload, clients: int | None = None) -> None:
        """`clients`: of a closed loop, at least 1; None: open loop. Raises ValueError."""
        if clients is not None and clients < 1:
            raise ValueError(f"there are {clients} clients; a closed loop needs at least 1")
        self._calls = workload.calls
        self._closed = clients is not None
        self._waiting: list[DueCall] = []
        self._followers: dict[int, list[int]] = {}
        self._conversation: list[int] = []
        self._left: dict[int, int] = {}
        self._roots: deque[int] = deque()
        self._under_way = 0
        for index, call in enumerate(self._calls):
            self._enter(index, call.after)
        for _ in range(min(clients or 0, len(self._roots))):
            self._push(self._roots.popleft(), 0.0)

    def _enter(self, index: int, after: int | None) -> None:
        root = index if after is None else self._conversation[after]
        self._conversation.append(root)
        self._left[root] = self._left.get(root, 0) + 1
        if after is not None:
            self._followers.setdefault(after, []).append(index)
        elif self._closed:
            self._roots.append(index)
        else:
            self._push(index, self._calls[index].at_s)

    @property
    def over(self) -> bool:
        """Nothing is due any more, and nothing is under way."""
        return not self._waiting and not self._under_way

    @property
    def next_at(self) -> float:
        """When the next call is due that is known; infinity: none, as long as no call ends."""
        return self._waiting[0].due_s if self._waiting else math.inf

    def take(self, now: float) -> list[DueCall]:
        """Calls that are due by now, the earliest first. They are under way from here on."""
        due = []
        while self._waiting and self._waiting[0].due_s <= now:
            due.append(heapq.heappop(self._waiting))
        self._under_way += len(due)
        return due

    def ended(self, index: int, now: float) -> None:
        """A call is over, however it ended."""
        self._under_way -= 1
        for follower in self._followers.get(index, ()):
            self._push(follower, now + self._calls[follower].at_s)
        root = self._conversation[index]
        self._left[root] -= 1
        if not self._left[root] and self._roots:
            self._push(self._roots.popleft(), now)

    def stop(self) -> None:
        """No more calls become due."""
        self._waiting.clear()
        self._roots.clear()
        self._followers.clear()

    def _push(self, index: int, due_s: float) -> None:
        heapq.heappush(self._waiting, DueCall(due_s, index))
