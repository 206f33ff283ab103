# ruff: noqa: TID251 - an edge: tasks and timers around a Schedule
"""Asks all model servers of the process for metrics, health and models, and tells a sink what they say.

`Schedule` decides when, `parse_page` and `parse_models` read the answers, `HttpClient` gets them; this file is the
loop between. What an answer means:
- metrics: 200 with a page that tells of load is one; anything else is a failure. A page that is too large, or on which
  no metric is known, ages what was known of the load, and does not count against the server: it is there;
- health: 2xx is healthy. 404, 405 and 501 tell that there is no such probe, which is no sign of ill health (a line in
  the log says so once). Anything else, and no answer, is not. vLLM answers 503 when its engine is dead, while its
  metrics page stays at 200 with the last values;
- models: 200 with a list is one, another 4xx means that there is none to have, anything else is a failure.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from yarl import URL

from epp.endpoints.types import EndpointSpec
from epp.telemetry.endpoint_sink import EndpointSink
from epp.telemetry.engines import MetricNames
from epp.telemetry.http_client import FetchError, HttpClient, UnusableAnswerError
from epp.telemetry.model_list import ModelListError, parse_models
from epp.telemetry.pages import parse_page
from epp.telemetry.schedule import PATIENCE, Kind, Probe, Schedule
from epp.telemetry.scrape_settings import ScrapeSettings

__all__ = ["EndpointStatistics", "ProbeStatistics", "Scraper"]

_LOG = logging.getLogger(__name__)

MAX_HEALTH_BYTES = 65_536
_NO_SUCH_PROBE = (404, 405, 501)


@dataclass(frozen=True, slots=True)
class ProbeStatistics:
    """How one kind of request to an endpoint is doing."""

    last_ok_at: float | None
    failures: int
    """In a row."""
    next_at: float
    last_error: str
    """Of the last failure, also when it is over."""
    errors: int = 0
    """All failures of this endpoint, so far."""


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """How the requests to one endpoint are doing. Times are seconds of the scraper's clock."""

    spec: EndpointSpec
    probes: Mapping[Kind, ProbeStatistics]


@dataclass(slots=True, eq=False)
class _Endpoint:
    """An endpoint that is asked. A successor with the same address is another."""

    spec: EndpointSpec
    urls: Mapping[Kind, URL]
    engine: str
    names: MetricNames
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    errors: dict[Kind, str] = field(default_factory=dict)
    error_counts: Counter[Kind] = field(default_factory=Counter)
    start_time: float | None = None


class Scraper:
    """One for the whole process. Endpoints may be set before and while `run` runs."""

    def __init__(
        self, sink: EndpointSink, settings: ScrapeSettings, clock: Callable[[], float], rng: np.random.Generator
    ) -> None:
        """`clock` gives monotonic seconds. Raises ValueError when the TLS files or the token cannot be used."""
        self._sink = sink
        self._settings = settings
        self._clock = clock
        self._schedule = Schedule(settings, rng)
        self._client = HttpClient(settings)
        self._endpoints: dict[str, _Endpoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._wakes_at = -math.inf  # when the loop will look at the schedule by itself
        self._told: set[str] = set()
        self._handlers: Mapping[Kind, tuple[int, Callable[[_Endpoint, int, bytes, float], None]]] = {
            Kind.METRICS: (settings.max_page_bytes, self._took_metrics),
            Kind.HEALTH: (MAX_HEALTH_BYTES, self._took_health),
            Kind.MODELS: (settings.max_models_bytes, self._took_models),
        }  # largest answer in bytes, and what takes it or raises FetchError when it is of no use

    def set_endpoints(self, specs: Iterable[EndpointSpec]) -> None:
        """Takes the complete set. Requests to endpoints that left are cancelled, and nothing is told of them."""
        wanted = {spec.address: spec for spec in specs}
        for address in self._endpoints.keys() - wanted.keys():
            self._drop(address)
        added = []
        for address, spec in wanted.items():
            known = self._endpoints.get(address)
            if known and known.spec == spec:
                continue
            endpoint = self._made(spec)
            if known and (known.urls, known.names) == (endpoint.urls, endpoint.names):
                known.spec, known.engine = spec, endpoint.engine
                continue
            if known:
                self._drop(address)
            self._endpoints[address] = endpoint
            added.append(address)
        self._schedule.add(added, self._clock())
        self._wake.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        async with self._client:
            try:
                while True:
                    self._wake.clear()
                    for probe in self._schedule.due(self._clock(), self._settings.max_requests - len(self._tasks)):
                        self._start(probe)
                    await self._wait()
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> Mapping[str, EndpointStatistics]:
        """By address."""
        return {address: self._statistics_of(endpoint) for address, endpoint in self._endpoints.items()}

    def __repr__(self) -> str:
        return f"<Scraper {len(self._endpoints)} endpoints, {len(self._tasks)} requests under way, {self._schedule!r}>"

    def _statistics_of(self, endpoint: _Endpoint) -> EndpointStatistics:
        probes = {}
        for kind in endpoint.urls:
            record = self._schedule.record(Probe(endpoint.spec.address, kind))
            if record:
                error, errors = endpoint.errors.get(kind, ""), endpoint.error_counts[kind]
                probes[kind] = ProbeStatistics(record.last_ok_at, record.failures, record.next_at, error, errors)
        return EndpointStatistics(endpoint.spec, probes)

    def _made(self, spec: EndpointSpec) -> _Endpoint:
        labels = self._settings.engine_labels
        engine = next((spec.labels[label] for label in labels if label in spec.labels), self._settings.engine)
        if engine not in self._settings.engines:
            known = ", ".join(self._settings.engines)
            self._tell_once("engine", f"{spec.label}: engine type {engine[:80]!r} is none of {known}; default taken")
            engine = self._settings.engine
        names = self._settings.engines[engine]
        try:
            urls = self._urls(spec, spec.metrics_address, names.path)
        except ValueError as error:
            self._tell_once("address", f"{spec.label}: metrics address is of no use: {error}; its own taken")
            urls = self._urls(spec, "", names.path)
        return _Endpoint(spec, urls, engine, names)

    def _urls(self, spec: EndpointSpec, metrics_address: str, metrics_path: str) -> Mapping[Kind, URL]:
        settings = self._settings
        if not metrics_address:
            host, _, port = spec.address.rpartition(":")
            metrics_address = f"{host}:{settings.metrics_port or port}"
        places = {
            Kind.METRICS: (metrics_address, settings.metrics_path or metrics_path),
            Kind.HEALTH: (spec.address, settings.health_path),
            Kind.MODELS: (spec.address, settings.models_path),
        }
        return {kind: URL(f"{settings.scheme}://{host}{path}") for kind, (host, path) in places.items() if path}

    def _drop(self, address: str) -> None:
        self._schedule.remove(address)
        for task in self._endpoints.pop(address).tasks:
            task.cancel()

    def _start(self, probe: Probe) -> None:
        endpoint = self._endpoints[probe.address]
        task = asyncio.create_task(self._ask(endpoint, probe))
        self._tasks.add(task)
        endpoint.tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(endpoint, probe, ended))

    def _ended(self, endpoint: _Endpoint, probe: Probe, task: asyncio.Task[None]) -> None:
        full = len(self._tasks) >= self._settings.max_requests
        self._tasks.discard(task)
        endpoint.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            if self._endpoints.get(probe.address) is endpoint:
                self._schedule.failed(probe, self._clock())
            if "fault" not in self._told:
                self._told.add("fault")
                _LOG.error("%s: taking the answer failed (not told again)", endpoint.spec.label, exc_info=error)
        if full or self._schedule.wake_at() < self._wakes_at:
            self._wake.set()

    async def _wait(self) -> None:
        """Waits until the schedule has something due, and there is room for it."""
        self._wakes_at = self._schedule.wake_at()
        delay_s = self._wakes_at - self._clock()
        full = len(self._tasks) >= self._settings.max_requests
        if delay_s <= 0.0 and not full:
            return
        timer = None
        if delay_s < math.inf and not full:
            timer = asyncio.get_running_loop().call_later(delay_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer:
                timer.cancel()

    async def _ask(self, endpoint: _Endpoint, probe: Probe) -> None:
        """One request and what follows from it."""
        limit, took = self._handlers[probe.kind]
        asked_at = self._clock()
        try:
            status, body = await self._client.get(endpoint.urls[probe.kind], limit)
            if self._endpoints.get(probe.address) is endpoint:
                took(endpoint, status, body, asked_at)
                self._succeeded(endpoint, probe)
        except FetchError as error:
            if self._endpoints.get(probe.address) is endpoint:
                self._failed(endpoint, probe, error)

    def _succeeded(self, endpoint: _Endpoint, probe: Probe) -> None:
        record = self._schedule.record(probe)
        if record and record.failures >= PATIENCE:
            _LOG.info("%s: %s answered again", endpoint.spec.label, probe.kind.value)
        self._schedule.succeeded(probe, self._clock())

    def _failed(self, endpoint: _Endpoint, probe: Probe, error: FetchError) -> None:
        now = self._clock()
        endpoint.errors[probe.kind] = str(error)
        endpoint.error_counts[probe.kind] += 1
        self._schedule.failed(probe, now)
        record = self._schedule.record(probe)
        if record and record.failures == PATIENCE:
            _LOG.warning("%s: %s failed %d times: %s", endpoint.spec.label, probe.kind.value, PATIENCE, error)
        if probe.kind is Kind.METRICS:
            self._sink.scrape_failed(probe.address, unreadable=isinstance(error, UnusableAnswerError), now=now)
        elif probe.kind is Kind.HEALTH:
            self._sink.health_seen(probe.address, healthy=False, now=now)

    def _took_metrics(self, endpoint: _Endpoint, status: int, page: bytes, asked_at: float) -> None:
        if status != 200:
            raise FetchError(f"HTTP {status}")
        scrape = parse_page(page, endpoint.names)
        if scrape.running is None and scrape.waiting is None and scrape.kv_usage is None:
            raise UnusableAnswerError(f"no known metric: is the engine type {endpoint.engine} right?")
        now, address = self._clock(), endpoint.spec.address
        if scrape.start_time is not None:
            if endpoint.start_time not in (None, scrape.start_time):
                self._schedule.hurry(Probe(address, Kind.MODELS), now)
            endpoint.start_time = scrape.start_time
        self._sink.scraped(address, scrape, asked_at, now)

    def _took_health(self, endpoint: _Endpoint, status: int, _body: bytes, _asked_at: float) -> None:
        if status in _NO_SUCH_PROBE:
            path = self._settings.health_path
            self._tell_once("health", f"{endpoint.spec.label}: HTTP {status} for {path}; taken for healthy")
        elif not 200 <= status < 300:
            raise FetchError(f"HTTP {status}")
        self._sink.health_seen(endpoint.spec.address, healthy=True, now=self._clock())

    def _took_models(self, endpoint: _Endpoint, status: int, body: bytes, _asked_at: float) -> None:
        cards = None
        if status == 200:
            try:
                cards = parse_models(body)
            except ModelListError as error:
                raise FetchError(str(error)) from None
        elif status in (401, 403):
            path = self._settings.models_path
            self._tell_once("token", f"{endpoint.spec.label}: HTTP {status} for {path}; set the servers' token")
        elif not 400 <= status < 500 or status in (408, 429):
            raise FetchError(f"HTTP {status}")
        self._sink.models_seen(endpoint.spec.address, cards, self._clock())

    def _tell_once(self, about: str, message: str) -> None:
        """Logs what many endpoints, or one again and again, would give cause for."""
        if about not in self._told:
            self._told.add(about)
            _LOG.warning("%s (not told again)", message)
