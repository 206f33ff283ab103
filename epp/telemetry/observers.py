"""Joins observers, so that the router and the transport know one each.

What fails in an observer must not fail a request: it is counted, reported once per kind, and the others are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from epp.exchange import EndCause
from epp.router import DecisionRecord, Phases, Reason, RouterObserver
from epp.scheduling import Outcome
from epp.telemetry import catalogue
from epp.telemetry.families import Page
from epp.telemetry.faults import FaultLog

__all__ = ["ObserverFaults", "RouterObservers", "StreamObserver", "StreamObservers"]


class StreamObserver(Protocol):
    """What the transport tells (the same as epp.extproc.TransportObserver, which rooms beside it cannot import)."""

    def began(self) -> None:
        """A stream was opened."""
        ...

    def ended(
        self, cause: EndCause, duration_s: float, reply_chunks: int, *, request_mode: str, reply_mode: str
    ) -> None:
        """A stream is over. The modes say how the proxy showed the bodies."""
        ...

    def proxy_fault(self, error: Exception) -> None:
        """The proxy broke the protocol."""
        ...

    def internal_error(self, error: Exception) -> None:
        """We failed on a stream."""
        ...


class ObserverFaults:
    """Counts and reports what fails in observers. One for the process."""

    def __init__(self, log: FaultLog) -> None:
        self._log = log
        self._counts: Counter[str] = Counter()

    def failed(self, observer: object, error: Exception) -> None:
        """An observer raised."""
        name = type(observer).__name__
        self._counts[name] += 1
        self._log.note(f"observer {name}: {type(error).__name__}", "an observer failed", error=error)

    def collect(self, page: Page) -> None:
        """Adds the counts."""
        for name, count in self._counts.items():
            page.add(catalogue.OBSERVER_FAULTS, (name,), count)


class RouterObservers:
    """A `RouterObserver` that tells several."""

    def __init__(self, observers: Sequence[RouterObserver], faults: ObserverFaults) -> None:
        self._observers = tuple(observers)
        self._failed = faults.failed

    def placed(self, record: DecisionRecord, phases: Phases) -> None:
        """A request was placed."""
        for observer in self._observers:
            try:
                observer.placed(record, phases)
            except Exception as error:
                self._failed(observer, error)

    def rejected(self, reason: Reason, model: str, size_bytes: int, request_id: str) -> None:
        """A request was refused."""
        for observer in self._observers:
            try:
                observer.rejected(reason, model, size_bytes, request_id)
            except Exception as error:
                self._failed(observer, error)

    def finished(self, record: DecisionRecord, outcome: Outcome) -> None:
        """A placed request is over."""
        for observer in self._observers:
            try:
                observer.finished(record, outcome)
            except Exception as error:
                self._failed(observer, error)

    def plugin_failed(self, name: str, error: Exception) -> None:
        """A plugin raised or returned nonsense."""
        for observer in self._observers:
            try:
                observer.plugin_failed(name, error)
            except Exception as fault:
                self._failed(observer, fault)

    def plugin_slow(self, name: str, seconds: float, *, switched_off: bool) -> None:
        """A plugin took longer than it may."""
        for observer in self._observers:
            try:
                observer.plugin_slow(name, seconds, switched_off=switched_off)
            except Exception as error:
                self._failed(observer, error)


class StreamObservers:
    """A `StreamObserver` that tells several."""

    def __init__(self, observers: Sequence[StreamObserver], faults: ObserverFaults) -> None:
        self._observers = tuple(observers)
        self._failed = faults.failed

    def began(self) -> None:
        """A stream was opened."""
        for observer in self._observers:
            try:
                observer.began()
            except Exception as error:
                self._failed(observer, error)

    def ended(
        self, cause: EndCause, duration_s: float, reply_chunks: int, *, request_mode: str, reply_mode: str
    ) -> None:
        """A stream is over."""
        for observer in self._observers:
            try:
                observer.ended(cause, duration_s, reply_chunks, request_mode=request_mode, reply_mode=reply_mode)
            except Exception as error:
                self._failed(observer, error)

    def proxy_fault(self, error: Exception) -> None:
        """The proxy broke the protocol."""
        for observer in self._observers:
            try:
                observer.proxy_fault(error)
            except Exception as fault:
                self._failed(observer, fault)

    def internal_error(self, error: Exception) -> None:
        """We failed on a stream."""
        for observer in self._observers:
            try:
                observer.internal_error(error)
            except Exception as fault:
                self._failed(observer, fault)
