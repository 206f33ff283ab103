"""Judges from a periodic task whether the event loop is overloaded. The task itself is in `lag_task`.

Two signs, because one is not enough: how late the task wakes, and how busy its thread is. Where each turn of the loop
is short, it wakes in time although more arrives than is done: what waits then waits in front of the loop. grpc.aio, for
one, accepts one new stream per turn: at twice what can be served, streams wait there for seconds, with lag below 50 ms.
"""

from __future__ import annotations

from collections import deque
from math import exp, inf

__all__ = ["BUSY_OFF", "LagMonitor"]

SMOOTHING_S = 0.3
"""A pause of garbage collection (some 50 ms, once) must not count as overload; a loop that is behind for some tenths of
a second must."""

BUSY_SMOOTHING_S = 0.5
"""A burst of a tenth of a second takes the whole core and is no overload. From half of a core to the limit it takes
about a second in which there is no rest."""

WORST_WINDOW_S = 1.0

LAG_RECOVERED = 0.5
"""Overload ends when lag is below this share of its limit, so that the state does not flap around the limit..."""

BUSY_RECOVERED = 0.8
"""...and the thread is busy for less than this share of its own. Less far down than lag: placing by load alone saves a
part of the work, while lag vanishes as soon as there is any rest."""

BUSY_OFF = 1.0
"""More than always nobody is busy: this limit is none."""


class LagMonitor:
    """Lag of one event loop, the time between when a task should have woken and when it did, and how busy it is."""

    def __init__(self, limit_s: float = inf, busy_limit: float = BUSY_OFF) -> None:
        self.limit_s = limit_s
        """Overload begins above it. May be changed at any time."""
        self.busy_limit = busy_limit
        """Likewise, share 0..1."""
        self.lag_s = 0.0
        """Mean with weights that fall by 1/e in `SMOOTHING_S`."""
        self.busy = 0.0
        """Share of the time for which the thread had something to do; likewise in `BUSY_SMOOTHING_S`."""
        self._overloaded = False
        self._woke_at: float | None = None
        self._busy_s = 0.0
        self._recent: deque[tuple[float, float]] = deque()  # falling lags, so that the first is the worst

    @property
    def worst_s(self) -> float:
        """Largest lag of the last second."""
        return self._recent[0][1] if self._recent else 0.0

    def woke(self, due: float, now: float, busy_s: float) -> None:
        """The task should have woken at `due` and did so `now`, both in monotonic seconds.

        `busy_s`: for how long its thread had something to do, since anywhen.
        """
        lag = max(0.0, now - due)
        elapsed = SMOOTHING_S if self._woke_at is None else max(0.0, now - self._woke_at)
        self.lag_s += (1.0 - exp(-elapsed / SMOOTHING_S)) * (lag - self.lag_s)
        if self._woke_at is not None and elapsed:
            share = min(1.0, max(0.0, (busy_s - self._busy_s) / elapsed))
            self.busy += (1.0 - exp(-elapsed / BUSY_SMOOTHING_S)) * (share - self.busy)
        self._woke_at, self._busy_s = now, busy_s
        self._overloaded = self._above_limits()
        while self._recent and self._recent[-1][1] <= lag:
            self._recent.pop()
        self._recent.append((now, lag))
        while self._recent[0][0] < now - WORST_WINDOW_S:
            self._recent.popleft()

    def overloaded(self) -> bool:
        """Lag or busy share is above its limit, or was and they are not yet both well below."""
        return self._overloaded

    def _above_limits(self) -> bool:
        lag_limit_s, busy_limit = self.limit_s, self.busy_limit if self.busy_limit < BUSY_OFF else inf
        if self._overloaded:
            lag_limit_s, busy_limit = lag_limit_s * LAG_RECOVERED, busy_limit * BUSY_RECOVERED
        return self.lag_s > lag_limit_s or self.busy > busy_limit

    def __repr__(self) -> str:
        state = "overloaded" if self._overloaded else "in time"
        return (
            f"<LagMonitor {state}, {self.lag_s * 1e3:.1f} ms, worst {self.worst_s * 1e3:.1f} ms, {self.busy:.0%} busy>"
        )
