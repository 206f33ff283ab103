"""What an engine is computing: one step, or a run of steps that differ only in how far their sequences have come."""

from __future__ import annotations

from epp.simulator.costs import StepSeries
from epp.simulator.scheduler import Chunk

__all__ = ["Steps"]


class Steps:
    """One step under way and those that follow it; all but the last are over sooner than `ends_at`."""

    __slots__ = ("_series", "_speed", "begun_at", "chunks", "count", "done", "ends_at", "is_run")

    def __init__(self, chunks: list[Chunk], begun_at: float, ends_at: float, *, is_run: bool) -> None:
        self.chunks = chunks
        self.begun_at = begun_at
        self.ends_at = ends_at
        self.is_run = is_run
        """Its driver does not ask for every token."""
        self.count = 1
        self.done = 0
        """Those whose effects can be seen. At least one is not."""
        self._series: StepSeries | None = None
        self._speed = 1.0

    def stretch(self, series: StepSeries, speed: float, count: int) -> None:
        """Make a run of it: as many steps of these durations at speed 1."""
        self._series, self._speed, self.count = series, speed, count
        self.ends_at = self.end_of(count)

    def end_of(self, steps: int) -> float:
        """When that many are over."""
        if self._series is None:
            return self.ends_at if steps else self.begun_at
        return self.begun_at + self._series.after_s(steps) / self._speed

    def over(self, now: float) -> int:
        """How many are over, the last one aside: its end is for the driver to say."""
        if self._series is None or self.count - self.done <= 1:
            return self.done
        return max(self.done, min(self._series.over((now - self.begun_at) * self._speed), self.count - 1))

    def cut(self, at: float) -> None:
        """Let no step begin at that time or later, but for the one that is under way."""
        if self._series is None or self.count - self.done <= 1:
            return
        elapsed_s = (at - self.begun_at) * self._speed
        count = self._series.over(elapsed_s)
        if self._series.after_s(count) < elapsed_s:
            count += 1
        count = max(count, self.done + 1)
        if count < self.count:
            self.count = count
            self.ends_at = self.end_of(count)
