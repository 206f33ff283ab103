"""Judges from how late a periodic task wakes whether the event loop is overloaded. The task itself is in `lag_task`."""

from __future__ import annotations

from collections import deque
from math import exp, inf

__all__ = ["LagMonitor"]

SMOOTHING_S = 0.3
"""A pause of garbage collection (some 50 ms, once) must not count as overload; a loop that is behind for some tenths of
a second must."""

WORST_WINDOW_S = 1.0

RECOVERED_SHARE = 0.5
"""Overload ends when lag is below this share of the limit, so that the state does not flap around the limit."""


class LagMonitor:
    """Lag of one event loop: the time between when a task should have woken and when it did."""

    def __init__(self, limit_s: float = inf) -> None:
        self.limit_s = limit_s
        """Overload begins above it. May be changed at any time."""
        self.lag_s = 0.0
        """Mean with weights that fall by 1/e in `SMOOTHING_S`."""
        self._overloaded = False
        self._woke_at: float | None = None
        self._recent: deque[tuple[float, float]] = deque()  # falling lags, so that the first is the worst

    @property
    def worst_s(self) -> float:
        """Largest lag of the last second."""
        return self._recent[0][1] if self._recent else 0.0

    def woke(self, due: float, now: float) -> None:
        """The task should have woken at `due` and did so `now`, both in monotonic seconds."""
        lag = max(0.0, now - due)
        elapsed = SMOOTHING_S if self._woke_at is None else max(0.0, now - self._woke_at)
        self._woke_at = now
        self.lag_s += (1.0 - exp(-elapsed / SMOOTHING_S)) * (lag - self.lag_s)
        self._overloaded = self.lag_s > self.limit_s * (RECOVERED_SHARE if self._overloaded else 1.0)
        while self._recent and self._recent[-1][1] <= lag:
            self._recent.pop()
        self._recent.append((now, lag))
        while self._recent[0][0] < now - WORST_WINDOW_S:
            self._recent.popleft()

    def overloaded(self) -> bool:
        """Lag is above the limit, or was and is not yet well below it."""
        return self._overloaded

    def __repr__(self) -> str:
        state = "overloaded" if self._overloaded else "in time"
        return f"<LagMonitor {state}, {self.lag_s * 1e3:.1f} ms, worst {self.worst_s * 1e3:.1f} ms>"
