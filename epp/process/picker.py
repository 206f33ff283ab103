# ruff: noqa: TID251 - this file is an edge: it is the process
"""The picker as a process: made of settings, run until it is told to stop.

Start: ports open first (alive, not ready), then endpoints are read; with the first set it is ready. Stop: not ready at
once, picks go on for a while so that gateways can turn away, then streams under way may finish, then all ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import epp
from epp.config import (
    ConfigError,
    Loaded,
    Part,
    Problem,
    Reload,
    build_profile,
    effective_text,
    load,
    plan_reload,
)
from epp.config.flag_table import FlagValues
from epp.extproc import BodyBudget, ExtProcService
from epp.process.errors import StartError
from epp.process.feeds import Feeds
from epp.process.observing import CLOCK, Observing
from epp.process.reloading import watch_file
from epp.process.servers import GrpcPorts, http_server
from epp.router import Router
from epp.telemetry.debug_server import DebugPages, DebugServer
from epp.telemetry.lag_task import watch_lag
from epp.telemetry.logs import LogControl
from epp.telemetry.traces import TracingError

__all__ = ["PickerProcess", "Ports"]

log = logging.getLogger("epp")

_TURN_AWAY_S = 5.0
"""How long picks are still taken after readiness fails: health checks of gateways come every few seconds."""

_QUIET_S = 0.5
"""Without open streams for so long, nobody needs us any more."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports that are listened on."""

    extproc: int
    health: int
    http: int


class PickerProcess:
    """One picker, of one pool."""

    def __init__(self, loaded: Loaded, flags: FlagValues, logs: LogControl) -> None:
        """`flags` are kept for reading the configuration again."""
        settings = loaded.settings
        self._loaded = loaded
        self._flags = flags
        self._logs = logs
        self._reload_error = ""
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
        self._feeds: Feeds | None = None
        self._grpc: GrpcPorts | None = None
        self._http: DebugServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Ports:
        """Opens the ports and begins to watch. Raises StartError, and leaves nothing behind then."""
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> Ports:
        settings = self._loaded.settings
        self._feeds = feeds = Feeds(self.router, settings.discovery, settings.scrape)
        self._observing.watch(self.router, feeds.statistics)
        self._http = http_server(settings, self._pages(feeds))
        try:
            await self._http.start()
        except OSError as error:
            message = f"cannot listen on metrics port {settings.http.port}: {error.strerror or error}"
            raise StartError(f"{message}. Choose another with --metrics-port") from error
        self._grpc = GrpcPorts(settings, self.service)
        await self._grpc.start()
        self._spawn(self.service.tick_forever())
        self._spawn(watch_lag(self._observing.lag, time.monotonic, self._observing.faults.tick))
        self._spawn(self._get_ready(feeds, self._grpc))
        path = self._flags.get("config-file")
        if isinstance(path, str):
            self._spawn(watch_file(Path(path), self.reload))
        feeds.start()
        ports = Ports(self._grpc.port, self._grpc.health_port, self._http.port)
        self._say_what_is_served(ports)
        return ports

    async def run(self, stop: asyncio.Event, *, drain: bool = True) -> None:
        """Serves until `stop` is set, then drains. Raises StartError when discovery cannot go on."""
        assert self._feeds is not None, "the process is started first"
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((stopped, self._feeds.failed), return_when=asyncio.FIRST_COMPLETED)
            if self._feeds.failed.done():
                self._feeds.failed.result()
            if drain:
                await self.drain()
        finally:
            stopped.cancel()

    async def wait_ready(self) -> None:
        """Returns when the endpoints were read once."""
        assert self._feeds is not None, "the process is started first"
        await self._feeds.known.wait()

    async def drain(self) -> None:
        """Turns gateways away and lets streams under way finish, within the drain time."""
        assert self._grpc is not None, "the process is started first"
        budget_s = self._loaded.settings.serving.drain_timeout_s
        ends = time.monotonic() + budget_s
        log.info("draining", extra={"open_streams": self.service.open_streams, "seconds": budget_s})
        await self._grpc.health.set_ready(ready=False)
        await self._wait_quiet(min(ends, time.monotonic() + _TURN_AWAY_S))
        await self._grpc.finish(max(0.0, ends - time.monotonic()))

    async def stop(self) -> None:
        """Ends everything. To be called once, whatever happened before."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._grpc:
            await self._grpc.stop()
        if self._feeds:
            await self._feeds.stop()
        if self._http:
            await self._http.stop()
        if self._observing.tracing:
            await asyncio.to_thread(self._observing.tracing.stop)

    async def reload(self) -> None:
        """Reads the configuration again. One that does not do is refused as a whole, and said why."""
        try:
            plan = plan_reload(self._loaded, load(self._flags, os.environ))
            await self._take(plan)
        except ConfigError as error:
            self._reload_error = str(error)
            self._observing.reloads.reloaded(ok=False, now=time.time())
            log.error("configuration refused, the one in use stays:\n%s", error)
            return
        self._reload_error = ""
        self._observing.reloads.reloaded(ok=True, now=time.time())
        log_problems(plan.loaded.warnings + plan.kept, logging.WARNING)
        log.info("configuration taken", extra={"changed": sorted(part.value for part in plan.parts)})

    async def _take(self, plan: Reload) -> None:
        """Exchanges what has changed. What can be refused comes first, so that a refusal changes nothing."""
        assert self._feeds is not None, "the process is started first"
        settings = plan.loaded.settings
        profile = self.router.profile
        if Part.PROFILE in plan.parts:
            before = self._loaded.settings, profile
            profile = build_profile(settings, self._observing.router, time.perf_counter, before=before)
        self.router.reconfigure(profile, settings.router.targets)
        self.service.settings = settings.exchange
        self._bodies.limit_bytes = settings.bodies_in_flight_bytes
        self._observing.lag.limit_s = settings.max_lag_s
        if Part.LOGGING in plan.parts:
            self._logs.set_level(settings.logging.level)
        if Part.SCRAPING in plan.parts:
            await self._feeds.exchange_scraping(settings.scrape)
        if Part.ENDPOINTS in plan.parts:
            await self._feeds.exchange_discovery(settings.discovery)
        self._loaded = plan.loaded

    def _pages(self, feeds: Feeds) -> DebugPages:
        return DebugPages(
            exposition=self._observing.exposition,
            pools=self._pools(),
            clock=CLOCK,
            config=self._config_page,
            log=self._logs,
            scraping=feeds.statistics,
        )

    def _pools(self) -> Mapping[str, Router]:
        return {self._loaded.settings.pool.name: self.router}

    def _config_page(self) -> str:
        text = effective_text(self._loaded)
        if not self._reload_error:
            return text
        refused = "".join(f"# {line}\n" for line in self._reload_error.splitlines())
        return f"# The last change of the configuration was refused:\n{refused}\n{text}"

    async def _get_ready(self, feeds: Feeds, grpc_ports: GrpcPorts) -> None:
        await feeds.known.wait()
        await grpc_ports.health.set_ready(ready=True)
        log.info("ready", extra={"endpoints": len(self.router.pool.table)})

    async def _wait_quiet(self, until: float) -> None:
        """Returns at `until`, or earlier when no stream has been open for a moment."""
        quiet_since = time.monotonic()
        while (now := time.monotonic()) < until and now - quiet_since < _QUIET_S:
            if self.service.open_streams:
                quiet_since = now
            await asyncio.sleep(0.05)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _say_what_is_served(self, ports: Ports) -> None:
        settings = self._loaded.settings
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


def log_problems(problems: tuple[Problem, ...], level: int) -> None:
    """Each problem on a line of its own."""
    for problem in problems:
        log.log(level, "%s", problem)
