# ruff: noqa: TID251 - this file is an edge: it is the process
"""The picker as a process: made of settings, run until it is told to stop.

Start: ports open first (alive, not ready), then endpoints are read; with the first set it is ready. Drain: not ready at
once, picks go on for a while so that gateways can turn away, then streams under way may finish. Stop: all ends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import epp
from epp.config import Loaded, Part, Reload, Settings, build_profile
from epp.config.flag_table import FlagValues
from epp.extproc import BodyBudget, ExtProcService
from epp.process.background import Background
from epp.process.errors import StartError
from epp.process.feeds import Feeds
from epp.process.observing import CLOCK, Observing
from epp.process.reloading import Configuration
from epp.process.servers import GrpcPorts, start_http
from epp.process.sources import try_out
from epp.router import Router
from epp.telemetry.debug_server import DebugPages, DebugServer
from epp.telemetry.lag_task import watch_lag
from epp.telemetry.logs import LogControl
from epp.telemetry.traces import TracingError

__all__ = ["PickerProcess", "Ports"]

log = logging.getLogger("epp")

TURN_AWAY_S = 5.0
"""How long picks are still taken after readiness fails: health checks of gateways come every few seconds. At most half
of the drain time, the rest of which is for streams under way."""

QUIET_S = 0.5
"""Without open streams for so long, nobody needs us any more."""


READINESS = "readiness"


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports that are listened on."""

    extproc: int
    health: int
    http: int


class PickerProcess:
    """One picker, of one pool. To be made, started and stopped in one event loop."""

    def __init__(self, loaded: Loaded, flags: FlagValues, logs: LogControl) -> None:
        """`flags` are kept for reading the configuration again.

        Raises ConfigError when a plugin cannot be made, StartError when traces are asked for and cannot be.
        """
        settings = loaded.settings
        self._logs = logs
        self._bodies = BodyBudget(settings.bodies_in_flight_bytes)
        try:
            self._observing = Observing.start(settings, self._bodies, lambda: self.service.open_streams)
        except TracingError as error:
            raise StartError(str(error)) from error
        self.router = Router(
            build_profile(settings, self._observing.router, time.perf_counter),
            settings.router,
            np.random.default_rng(),
            observer=self._observing.router,
            stopwatch=time.perf_counter,
            tag=secrets.token_hex(3),
        )
        self.service = ExtProcService(
            self.router,
            settings.exchange,
            self._bodies,
            clock=time.monotonic,
            observer=self._observing.streams,
            overloaded=self._observing.lag.overloaded,
        )
        self.configuration = Configuration(loaded, flags, self._observing.reloads, self._take)
        self._background = Background(self._observing.faults)
        self._feeds: Feeds | None = None
        self._grpc: GrpcPorts | None = None
        self._http: DebugServer | None = None

    async def start(self) -> Ports:
        """Opens the ports and begins to watch. Raises StartError, and leaves nothing behind then."""
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> Ports:
        settings = self.configuration.settings
        self._open_decision_log()
        self._feeds = feeds = Feeds(self.router, settings.discovery, settings.scrape, self._background)
        self._observing.watch(self.router, feeds.statistics)
        self._http = await start_http(settings, self._pages(feeds))
        self._grpc = GrpcPorts(settings, self.service)
        await self._grpc.start()
        ports = Ports(self._grpc.port, self._grpc.health_port, self._http.port)
        self._say_what_is_served(settings, ports)
        feeds.start()
        self._background.keep("time of the router", self.service.tick_forever)
        self._background.keep("lag of the event loop", self._watch_lag)
        self._background.keep(READINESS, self._get_ready)
        self._background.keep("configuration file", self.configuration.watch)
        return ports

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set. Raises StartError when it turns out that the endpoints cannot be read."""
        stopped = asyncio.create_task(stop.wait())
        known = asyncio.create_task(self.wait_ready())
        try:
            await asyncio.wait((stopped, known), return_when=asyncio.FIRST_COMPLETED)
            if known.done():
                known.result()
            await stopped
        finally:
            stopped.cancel()
            known.cancel()
            await asyncio.gather(stopped, known, return_exceptions=True)

    async def wait_ready(self) -> None:
        """Returns when the endpoints were read once. Raises StartError when they cannot be."""
        assert self._feeds is not None, "the process is started first"
        await self._feeds.wait_known()

    async def drain(self, *, patient: bool) -> None:
        """Turns gateways away and lets streams under way finish, within the drain time.

        New picks are taken meanwhile: for the whole time that gateways need when `patient`, else for as long as anybody
        asks.
        """
        assert self._grpc is not None, "the process is started first"
        budget_s = self.configuration.settings.serving.drain_timeout_s
        ends = time.monotonic() + budget_s
        log.info("draining", extra={"open_streams": self.service.open_streams, "seconds": budget_s})
        await self._background.end(READINESS)  # endpoints that are found only now must not make it ready again
        await self._grpc.health.set_ready(ready=False)
        turn_away_s = min(TURN_AWAY_S, budget_s / 2)
        if patient:
            await asyncio.sleep(turn_away_s)
        else:
            await self._wait_quiet(turn_away_s)
        await self._grpc.finish(max(0.0, ends - time.monotonic()))

    async def stop(self) -> None:
        """Ends everything. To be called once, whatever happened before."""
        await self._background.stop()
        if self._grpc:
            await self._grpc.stop()
        if self._http:
            await self._http.stop()
        if self._observing.decisions:
            await self._observing.decisions.finish()
        if self._observing.tracing:
            await asyncio.to_thread(self._observing.tracing.stop)

    async def reload(self) -> None:
        """Reads the configuration again. One that does not do is refused as a whole, and said why."""
        await self.configuration.reload()

    async def _take(self, plan: Reload) -> None:
        """Exchanges what has changed. What can be refused comes first, so that a refusal changes nothing."""
        assert self._feeds is not None, "the process is started first"
        assert self._grpc is not None, "the process is started first"
        settings, profile, scraper = plan.loaded.settings, self.router.profile, None
        if Part.PROFILE in plan.parts:
            before = self.configuration.settings, profile
            profile = build_profile(settings, self._observing.router, time.perf_counter, before=before)
        if Part.SCRAPING in plan.parts:
            scraper = self._feeds.new_scraper(settings.scrape)
        if Part.ENDPOINTS in plan.parts:
            await try_out(settings.discovery)
        self.router.reconfigure(profile, settings.router.targets)
        self.service.settings = settings.exchange
        self._bodies.limit_bytes = settings.bodies_in_flight_bytes
        self._observing.lag.limit_s, self._observing.lag.busy_limit = settings.max_lag_s, settings.max_busy
        if Part.LOGGING in plan.parts:
            self._logs.set_level(settings.logging.level)
            self._logs.set_encoder(settings.logging.encoder)
        if scraper:
            await self._feeds.exchange_scraping(settings.scrape, scraper)
        if Part.ENDPOINTS in plan.parts:
            await self._feeds.exchange_discovery(settings.discovery)

    def _open_decision_log(self) -> None:
        writer = self._observing.decisions
        if writer is None:
            return
        try:
            writer.open()
        except OSError as error:
            raise StartError(
                f"decision log: {writer.path}: cannot be written ({error.strerror or error}): correct the path "
                "(--decision-log or epp.decisions.log.path), make its directory or change its permissions"
            ) from error
        self._background.keep("decision log", writer.run)

    def _pages(self, feeds: Feeds) -> DebugPages:
        return DebugPages(
            exposition=self._observing.exposition,
            pools=self._pools(),
            clock=CLOCK,
            config=self.configuration.page,
            log=self._logs,
            scraping=feeds.statistics,
        )

    def _pools(self) -> Mapping[str, Router]:
        return {self.configuration.settings.pool.name: self.router}

    async def _get_ready(self) -> None:
        assert self._grpc is not None, "the ports are opened first"
        try:
            await self.wait_ready()
        except StartError:
            return  # who runs the process is told
        await self._grpc.health.set_ready(ready=True)
        log.info("ready", extra={"endpoints": len(self.router.pool.table)})

    async def _watch_lag(self) -> None:
        await watch_lag(self._observing.lag, time.monotonic, self._observing.tick)

    async def _wait_quiet(self, at_most_s: float) -> None:
        """Returns when no stream has been open for a moment."""
        now = quiet_since = time.monotonic()
        until = now + at_most_s
        while (now := time.monotonic()) < until and now - quiet_since < QUIET_S:
            if self.service.open_streams:
                quiet_since = now
            await asyncio.sleep(0.05)

    def _say_what_is_served(self, settings: Settings, ports: Ports) -> None:
        log.info(
            "serving",
            extra={
                "version": epp.__version__,
                "transport": "grpcio",
                "tls": settings.serving.tls is not None,
                "pool": settings.pool.name,
                "profile": settings.profile.name,
                "extproc_port": ports.extproc,
                "health_port": ports.health,
                "metrics_port": ports.http,
            },
        )
