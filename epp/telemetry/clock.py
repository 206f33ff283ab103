"""Says monotonic times, in which everything here is kept, to the world outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

__all__ = ["Clock"]


@dataclass(frozen=True, slots=True)
class Clock:
    """The monotonic clock of the routers, and the wall clock of people."""

    monotonic: Callable[[], float]
    """Seconds from anywhere."""
    wall: Callable[[], float]
    """Seconds since 1970."""

    def since_1970(self, when: float) -> float:
        """Wall time of a monotonic time."""
        return self.wall() - (self.monotonic() - when)

    def at(self, when: float) -> str | None:
        """RFC 3339 of a monotonic time, in UTC; None for one that never was."""
        if not isfinite(when):
            return None
        moment = datetime.fromtimestamp(self.since_1970(when), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
