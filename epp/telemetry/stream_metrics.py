"""Counts what happens to streams from the proxy: the transport's observer, one per pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from epp.exchange import EndCause
from epp.telemetry import catalogue
from epp.telemetry.families import Histogram, Page

__all__ = ["StreamMetrics"]


class StreamMetrics:
    """A `TransportObserver` that counts. `open_streams` is read at a scrape."""

    def __init__(self, pool: str, open_streams: Callable[[], int]) -> None:
        self.pool = pool
        self._open_streams = open_streams
        self._causes: Counter[EndCause] = Counter()
        self._modes: Counter[tuple[str, str]] = Counter()
        self._duration = Histogram(catalogue.STREAM_DURATION)
        self._reply_chunks = 0
        self._proxy_faults = 0
        self._internal_errors = 0

    def began(self) -> None:
        """A stream was opened. Open ones are known to the transport, so nothing is counted."""

    def ended(
        self, cause: EndCause, duration_s: float, reply_chunks: int, *, request_mode: str, reply_mode: str
    ) -> None:
        """A stream is over."""
        self._causes[cause] += 1
        self._modes[(request_mode, reply_mode)] += 1
        self._duration.observe(duration_s)
        self._reply_chunks += reply_chunks

    def proxy_fault(self, error: Exception) -> None:  # noqa: ARG002 - the interface's
        """The proxy broke the protocol."""
        self._proxy_faults += 1

    def internal_error(self, error: Exception) -> None:  # noqa: ARG002 - the interface's
        """We failed on a stream."""
        self._internal_errors += 1

    def collect(self, page: Page) -> None:
        """Adds all."""
        canceled = self._causes[EndCause.ABORTED]
        page.add(catalogue.STREAMS_OPEN, (self.pool,), self._open_streams())
        page.add(catalogue.STREAM_DURATION, (self.pool,), self._duration)
        page.add(catalogue.STREAMS, (self.pool, "OK"), self._causes.total() - canceled)
        page.add(catalogue.STREAMS, (self.pool, "Canceled"), canceled)
        for cause in EndCause:
            page.add(catalogue.EXCHANGE_ENDS, (self.pool, cause.value), self._causes[cause])
        for modes, count in self._modes.items():
            page.add(catalogue.EXCHANGES, (self.pool, *modes), count)
        page.add(catalogue.REPLY_CHUNKS, (self.pool,), self._reply_chunks)
        page.add(catalogue.PROXY_FAULTS, (self.pool,), self._proxy_faults)
        page.add(catalogue.INTERNAL_ERRORS, (self.pool,), self._internal_errors)
