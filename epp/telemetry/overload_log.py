"""Says in the log when overload begins and when it is over."""

from __future__ import annotations

import logging

from epp.telemetry.lag import LagMonitor

__all__ = ["OverloadLog"]

CALM_S = 10.0
"""While more arrives than can be done, overload comes and goes every few seconds, because placing by load alone
relieves. What begins again within this time was not over."""


class OverloadLog:
    """Two lines for each time of overload, however often it comes and goes within."""

    def __init__(self, monitor: LagMonitor, logger: logging.Logger) -> None:
        self._monitor = monitor
        self._logger = logger
        self._began_at: float | None = None
        self._last_at = 0.0

    def tick(self, now: float) -> None:
        """To be called after every judgement of the monitor."""
        if self._monitor.overloaded():
            if self._began_at is None:
                self._began_at = now
                fields = {"lag_s": round(self._monitor.lag_s, 3), "busy": round(self._monitor.busy, 2)}
                self._logger.warning("overloaded: new requests are placed by load alone", extra=fields)
            self._last_at = now
        elif self._began_at is not None and now - self._last_at >= CALM_S:
            seconds = round(self._last_at - self._began_at, 1)
            self._logger.warning("no longer overloaded", extra={"lasted_s": seconds})
            self._began_at = None
