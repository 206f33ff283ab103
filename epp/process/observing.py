# ruff: noqa: TID251 - this file is an edge: it reads the clocks of the process
"""Joins all that looks at the router and the transport: metrics, logs, the decision log, traces."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import epp
from epp.config import Settings
from epp.extproc import BodyBudget, TransportObserver
from epp.router import Router, RouterObserver
from epp.telemetry.clock import Clock
from epp.telemetry.collectors import PoolCollector, ProcessCollector, ReloadMetrics
from epp.telemetry.decision_log import DecisionLog, LineQueue
from epp.telemetry.decision_writer import DecisionWriter
from epp.telemetry.exposition import Exposition
from epp.telemetry.faults import FaultLog
from epp.telemetry.lag import LagMonitor
from epp.telemetry.log_observer import RequestLog, StreamLog
from epp.telemetry.metrics import RequestMetrics
from epp.telemetry.observers import ObserverFaults, RouterObservers, StreamObservers
from epp.telemetry.overload_log import OverloadLog
from epp.telemetry.rotating_file import RotatingFile
from epp.telemetry.scraper import EndpointStatistics
from epp.telemetry.stream_metrics import StreamMetrics
from epp.telemetry.traces import plan_tracing, start_tracing, unused_ratio

if TYPE_CHECKING:
    from epp.telemetry.otel import Tracing

__all__ = ["CLOCK", "Observing"]

CLOCK = Clock(time.monotonic, time.time)

log = logging.getLogger("epp")


@dataclass(slots=True)
class Observing:
    """Observers of one pool, and what they have in common with the process."""

    router: RouterObserver
    streams: TransportObserver
    exposition: Exposition
    faults: FaultLog
    lag: LagMonitor
    overload: OverloadLog
    reloads: ReloadMetrics
    tracing: Tracing | None
    decisions: DecisionWriter | None
    """Who writes the decision log; None when there is none."""
    _requests: RequestMetrics

    @classmethod
    def start(cls, settings: Settings, bodies: BodyBudget, open_streams: Callable[[], int]) -> Observing:
        """Makes all observers. Raises TracingError when traces are asked for and cannot be made."""
        pool, reloads = settings.pool.name, ReloadMetrics(time.time())
        lag = LagMonitor(settings.max_lag_s, settings.max_busy)
        faults = FaultLog(log, time.monotonic)
        observer_faults = ObserverFaults(faults)
        requests, streams = RequestMetrics(pool), StreamMetrics(pool, open_streams)
        tracing = _tracing(settings)
        router: list[RouterObserver] = [requests, RequestLog(pool, log, faults)]
        if tracing:
            from epp.telemetry.otel import RequestTraces  # noqa: PLC0415 - the extra `otel`, loaded where it is used

            router.append(RequestTraces(pool, tracing.tracer, CLOCK))
        decisions = _decision_log(settings, router, faults)
        process = ProcessCollector(version=epp.__version__, bodies=bodies, lag=lag, reloads=reloads)
        return cls(
            router=RouterObservers(router, observer_faults),
            streams=StreamObservers([streams, StreamLog(pool, faults)], observer_faults),
            exposition=Exposition([process, observer_faults, streams, *([decisions] if decisions else [])]),
            faults=faults,
            lag=lag,
            overload=OverloadLog(lag, log),
            reloads=reloads,
            tracing=tracing,
            decisions=decisions,
            _requests=requests,
        )

    def tick(self, now: float) -> None:
        """Says in the log what is due. To be called after every judgement of `lag`."""
        self.faults.tick(now)
        self.overload.tick(now)

    def watch(self, router: Router, scraping: Callable[[], Mapping[str, EndpointStatistics]]) -> None:
        """Shows the state of a router and of its endpoints' scraping on the metrics page."""
        collector = PoolCollector(router, self._requests, time.monotonic, scraping)
        self.exposition.sources.append(collector)


def _decision_log(settings: Settings, observers: list[RouterObserver], faults: FaultLog) -> DecisionWriter | None:
    """Adds the observer that makes lines, and returns who writes them."""
    chosen = settings.decision_log
    if chosen is None:
        return None
    queue = LineQueue()
    observers.append(DecisionLog(settings.pool.name, CLOCK, queue, chosen.block_stride))
    return DecisionWriter(queue, RotatingFile(chosen.path, chosen.max_file_bytes, chosen.keep), faults)


def _tracing(settings: Settings) -> Tracing | None:
    plan = plan_tracing(os.environ) if settings.tracing else None
    if plan is None:
        return None
    if fault := unused_ratio(os.environ):
        log.warning(fault)
    return start_tracing(plan)
