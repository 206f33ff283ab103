# ruff: noqa: TID251 - this file is the edge that starts and stops servers: it awaits sockets and signals
"""Simulated pods in one process: start them, break them in the ways in which pods break, stop them.

`serve` is an async context that gives running pods: `pods[0].address` says where, `await pods[0].kill()` breaks one.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvloop
from aiohttp import web

from epp.endpoints.types import canonical_address
from epp.simulator.driver import EngineDriver
from epp.simulator.engine import Engine
from epp.simulator.frontend import Frontend
from epp.simulator.hardware import STEP_COSTS
from epp.simulator.metrics_page import MetricsPage
from epp.simulator.models import ModelRegistry
from epp.simulator.sequences import EngineMetrics
from epp.simulator.server import Faults, PodServer
from epp.simulator.settings import PodSettings, SimServerSettings

__all__ = ["SimPod", "SimPods", "run_sim_server", "serve"]

_DRAIN_S = 1.0
"""How long a pod that is stopped waits for its last replies to be written."""

_BACKLOG = 1024
"""Connections not yet accepted; load tests open many at once."""


@dataclass(frozen=True, slots=True)
class _Live:
    """What exists while a pod runs."""

    driver: EngineDriver
    server: PodServer
    runner: web.AppRunner


class SimPod:
    """One simulated vLLM server. All methods must be called in the loop in which it was started."""

    def __init__(self, settings: PodSettings) -> None:
        self.settings = settings
        self._port = settings.port
        self._faults = Faults()
        self._live: _Live | None = None

    @property
    def address(self) -> str:
        """`ip:port`. Stays the same over restarts. Raises ValueError before the first start if the port was free."""
        return canonical_address(self.settings.host, self._port)

    @property
    def running(self) -> bool:
        """It listens."""
        return self._live is not None

    async def start(self) -> None:
        """Listen, with an empty cache and no faults. Raises OSError if the address is taken."""
        assert self._live is None, "it runs already"
        settings, self._faults = self.settings, Faults()
        driver = EngineDriver(
            lambda now: Engine(settings.engine, now, cost=STEP_COSTS[settings.cost], speed=settings.speed)
        )
        frontend = Frontend(
            ModelRegistry(settings.model, settings.adapters),
            settings.engine,
            seed=settings.seed,
            mean_output_tokens=settings.mean_output_tokens,
            reports_cached_tokens=settings.reports_cached_tokens,
        )
        offset_s = time.time() - asyncio.get_running_loop().time()
        page = MetricsPage(settings.model, settings.engine, offset_s, settings.shows_start_time)
        server = PodServer(frontend, driver, page, self._faults, seed=settings.seed)
        runner = web.AppRunner(
            server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=_DRAIN_S
        )
        try:
            await runner.setup()
            await web.TCPSite(runner, settings.host, self._port, backlog=_BACKLOG).start()
        except BaseException:
            await driver.stop()
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
        self._live = _Live(driver, server, runner)

    async def stop(self) -> None:
        """End as vLLM does on SIGTERM: replies under way end with an error, then all connections are closed."""
        if self._live is not None:
            live, self._live = self._live, None
            await live.driver.stop()
            await live.runner.cleanup()

    async def kill(self) -> None:
        """End as a lost pod does: connections are reset in the middle of replies, new ones are refused."""
        if self._live is None:
            return
        live, self._live = self._live, None
        for site in live.runner.sites:
            await site.stop()
        for connection in live.runner.server.connections if live.runner.server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        await live.runner.cleanup()
        await live.driver.stop()

    async def restart(self) -> None:
        """Kill it if it runs, and start anew at the same address with an empty cache."""
        await self.kill()
        await self.start()

    def slow_down(self, factor: float) -> None:
        """Run that many times slower than its settings say, from the next step on; 1 ends it. More than 0."""
        self._running_live.driver.set_speed(self.settings.speed / factor)

    def set_health(self, *, healthy: bool) -> None:
        """Let `/health` answer 200 or 503."""
        self._faults.unhealthy = not healthy

    def answer_errors(self, *, errors: bool) -> None:
        """Let every call answer 500, or serve again. `/health` and `/metrics` are not touched."""
        self._faults.errors = errors

    def freeze_metrics(self, *, frozen: bool) -> None:
        """Let `/metrics` answer what it would answer now, until it is unfrozen."""
        self._faults.frozen_page = None
        if frozen:
            self._faults.frozen_page = self._running_live.server.metrics_page()

    def fail_engine(self) -> None:
        """Let the engine die and the server live: replies under way end with an error, `/health` says 503, calls 500.

        `/metrics` keeps its last values, as vLLM's does.
        """
        self.freeze_metrics(frozen=True)
        self._running_live.driver.fail()

    def sleep(self) -> None:
        """Let the engine sleep: calls hang, `/health` is 200, the gauges show no requests."""
        self._running_live.driver.sleep()

    def wake(self) -> None:
        """Wake the engine."""
        self._running_live.driver.wake()

    def metrics(self) -> EngineMetrics:
        """State of the engine."""
        return self._running_live.driver.metrics()

    @property
    def _running_live(self) -> _Live:
        assert self._live is not None, "the pod does not run"
        return self._live

    def __repr__(self) -> str:
        state = "down" if self._live is None else repr(self._live.driver.engine)
        return f"<SimPod {self.settings.host}:{self._port} {state}>"


class SimPods:
    """Pods that are started and stopped together."""

    def __init__(self, settings: Iterable[PodSettings]) -> None:
        self._pods = tuple(SimPod(each) for each in settings)

    async def start(self) -> None:
        """Start all, or none. Raises OSError if an address is taken."""
        try:
            for pod in self._pods:
                await pod.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop those that run."""
        await asyncio.gather(*(pod.stop() for pod in self._pods))

    @property
    def addresses(self) -> tuple[str, ...]:
        """`ip:port` of each."""
        return tuple(pod.address for pod in self._pods)

    def __len__(self) -> int:
        return len(self._pods)

    def __getitem__(self, index: int) -> SimPod:
        return self._pods[index]

    def __iter__(self) -> Iterator[SimPod]:
        return iter(self._pods)


@asynccontextmanager
async def serve(settings: SimServerSettings | Iterable[PodSettings]) -> AsyncIterator[SimPods]:
    """Pods that run as long as the context lasts. Raises OSError if an address is taken."""
    pods = SimPods(settings.pod_settings() if isinstance(settings, SimServerSettings) else settings)
    await pods.start()
    try:
        yield pods
    finally:
        await pods.stop()


def run_sim_server(settings: SimServerSettings, announce: Callable[[Sequence[str]], None]) -> None:
    """Run pods until SIGINT or SIGTERM. `announce` gets their addresses once all of them listen.

    Raises OSError if an address is taken.
    """

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serve(settings) as pods:
            announce(pods.addresses)
            await stop.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
