"""What the router tells whoever keeps metrics, logs and traces. It owns the interface, and knows none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from epp.router.flights import DecisionRecord
from epp.router.outcomes import Reason
from epp.scheduling import Outcome

__all__ = ["NullObserver", "Phases", "RouterObserver"]


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds that the parts of one decision took."""

    parse_s: float
    prepare_s: float
    """Hashing of the prompt."""
    schedule_s: float
    charge_s: float


class RouterObserver(Protocol):
    """Called synchronously on the request path: must be quick and must not raise."""

    def placed(self, record: DecisionRecord, phases: Phases) -> None:
        """A request was placed."""
        ...

    def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:
        """A request was refused. `request_id`: its `x-request-id`, shortened, or empty."""
        ...

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        """A placed request is over."""
        ...

    def plugin_failed(self, name: str, error: Exception) -> None:
        """A plugin raised or returned nonsense; its value was neutral."""
        ...

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        """A plugin took longer than it may."""
        ...


class NullObserver:
    """Keeps nothing: for tests and for runs that look at decisions directly."""

    def placed(self, record: DecisionRecord, phases: Phases) -> None:
        """Nothing."""

    def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:
        """Nothing."""

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        """Nothing."""

    def plugin_failed(self, name: str, error: Exception) -> None:
        """Nothing."""

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        """Nothing."""
