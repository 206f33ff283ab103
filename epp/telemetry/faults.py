"""Says once what goes wrong again and again: the first of a kind as it is, the others as a number every minute."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FaultLog", "OncePerKind", "Repeated"]

SUMMARY_S = 60.0

MAX_KINDS = 256
"""Kinds come from code and configuration. Beyond this number all others are one kind."""

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Repeated:
    """A kind that came again since it was last spoken of."""

    kind: str
    times: int


class OncePerKind:
    """Counts faults by kind. A kind of which nothing more came for one summary is new when it comes again."""

    def __init__(self, summary_s: float = SUMMARY_S, max_kinds: int = MAX_KINDS) -> None:
        self._summary_s = summary_s
        self._max_kinds = max_kinds
        self._again: dict[str, int] = {}
        self._next: float | None = None

    def is_new(self, kind: str, now: float) -> bool:
        """Counts a fault. True when it should be told now; `now` in monotonic seconds."""
        if kind not in self._again and len(self._again) >= self._max_kinds:
            kind = OTHER
        if kind in self._again:
            self._again[kind] += 1
            return False
        self._again[kind] = 0
        if self._next is None:
            self._next = now + self._summary_s
        return True

    def due(self, now: float) -> tuple[Repeated, ...]:
        """What came again since the last summary; nothing until one is due. Costs nothing while there are no faults."""
        if self._next is None or now < self._next:
            return ()
        repeated = tuple(Repeated(kind, times) for kind, times in self._again.items() if times)
        self._again = {one.kind: 0 for one in repeated}
        self._next = now + self._summary_s if repeated else None
        return repeated


class FaultLog:
    """Logs faults through `OncePerKind`."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._clock = clock
        self._once = OncePerKind()

    def note(
        self,
        kind: str,
        message: str,
        *,
        error: BaseException | None = None,
        level: int = logging.WARNING,
        **fields: object,
    ) -> None:
        """A fault happened. `kind` says what counts as the same; `error` adds its traceback to the first."""
        if self._once.is_new(kind, self._clock()):
            self._logger.log(level, message, exc_info=error, extra={"kind": kind, **fields})

    def tick(self, now: float) -> None:
        """Logs a summary when one is due. To be called every second or so."""
        for one in self._once.due(now):
            text = "happened again %d times since it was last reported"
            self._logger.warning(text, one.times, extra={"kind": one.kind})
