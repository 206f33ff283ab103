"""Reads metrics out of state when a page is asked for: endpoints, ledger, prefix index, bodies, lag, configuration.

Nothing here is on the request path. What a pool of 100 endpoints and 5 models shows
takes 6 ms to collect and write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from epp.endpoints import EndpointPool, Row
from epp.router import Router
from epp.telemetry import catalogue
from epp.telemetry.families import Family, Page
from epp.telemetry.lag import LagMonitor
from epp.telemetry.metrics import EndpointCounts, RequestMetrics
from epp.telemetry.schedule import Kind
from epp.telemetry.scraper import EndpointStatistics

__all__ = ["STATES", "BodyBudgetState", "PoolCollector", "ProcessCollector", "ReloadMetrics"]

STATES = ("serving", "slow start", "ejected", "half open", "asleep", "unhealthy", "unreachable")
"""What `Health.describe` says."""

_MEANS: tuple[tuple[str, Family, Family], ...] = (
    ("kv_usage_seen", catalogue.MEAN_KV_USAGE, catalogue.SPREAD_KV_USAGE),
    ("waiting_seen", catalogue.MEAN_QUEUE, catalogue.SPREAD_QUEUE),
    ("running_seen", catalogue.MEAN_RUNNING, catalogue.SPREAD_RUNNING),
)

_SEEN: tuple[tuple[str, Family], ...] = (
    ("running_seen", catalogue.SERVER_RUNNING),
    ("kv_usage_seen", catalogue.SERVER_KV_USAGE),
)

_LEARNED: tuple[tuple[str, Family], ...] = (
    ("prefill_rate", catalogue.PREFILL_RATE),
    ("token_interval", catalogue.TOKEN_INTERVAL),
)


SOURCE_TYPES: Mapping[Kind, str] = {
    Kind.METRICS: "metrics-data-source",
    Kind.MODELS: "models-data-source",
    Kind.HEALTH: "health-probe",
}
"""What the Go picker calls those that ask; it has no health probes."""


class _PollErrors:
    """Failures of all endpoints by kind, also of those that have left. Each endpoint's own count begins with it."""

    def __init__(self) -> None:
        self.totals: Counter[Kind] = Counter()
        self._seen: dict[tuple[str, Kind], int] = {}

    def take(self, scraping: Mapping[str, EndpointStatistics]) -> None:
        """Adds what happened since the last call."""
        counts = {
            (address, kind): probe.errors for address, one in scraping.items() for kind, probe in one.probes.items()
        }
        for key, count in counts.items():
            before = self._seen.get(key, 0)
            self.totals[key[1]] += count - before if count >= before else count
        self._seen = counts


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Labels of one endpoint."""

    row: Row
    address: str
    name: str
    """Unique within the pool."""
    namespace: str

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2]


class PoolCollector:
    """Shows one pool: its requests, and the state of its router."""

    def __init__(
        self,
        router: Router,
        requests: RequestMetrics,
        clock: Callable[[], float],
        scraping: Callable[[], Mapping[str, EndpointStatistics]] = dict,
    ) -> None:
        """`clock` is the one that the router's times come from, in seconds; `scraping` gives a scraper's statistics.

        From now on, `requests` asks the router which names of models are known.
        """
        self._router = router
        self._requests = requests
        self._clock = clock
        self._scraping = scraping
        self._poll_errors = _PollErrors()
        requests.models.known = self._is_known

    def collect(self, page: Page) -> None:
        """Adds all that belongs to the pool, but for its streams."""
        endpoints = tuple(_endpoints(self._router.pool))
        self._requests.forget_endpoints({endpoint.address for endpoint in endpoints})
        self._requests.collect(page)
        self._collect_state(page)
        self._collect_means(page)
        self._collect_health(page, endpoints)
        scraping = self._scraping()
        self._poll_errors.take(scraping)
        for kind, source_type in SOURCE_TYPES.items():
            page.add(catalogue.POLL_ERRORS, (self._requests.pool, source_type), self._poll_errors.totals[kind])
        for endpoint in endpoints:
            self._collect_endpoint(page, endpoint)
            if statistics := scraping.get(endpoint.address):
                self._collect_probes(page, endpoint, statistics)
            if counts := self._requests.endpoints.get(endpoint.address):
                self._collect_counts(page, endpoint, counts)

    def _is_known(self, name: str) -> bool:
        """Endpoints list the name, or a rule for models has it."""
        rules = self._router.settings.targets.rewrites
        return self._router.pool.models.lists(name) or any(
            name in rule.models or any(name == target.model for target in rule.targets) for rule in rules
        )

    def _collect_state(self, page: Page) -> None:
        pool, labels = self._router.pool, (self._requests.pool,)
        index = self._router.index.statistics()
        for family, value in (
            (catalogue.PREFIX_SIZE, index["entries"]),
            (catalogue.PREFIX_ENTRIES, index["entries"]),
            (catalogue.PREFIX_NODES, index["nodes"]),
            (catalogue.PREFIX_BYTES, index["bytes"]),
            (catalogue.PREFIX_LIMIT, index["limit_bytes"]),
            (catalogue.PREFIX_EVICTED, index["evicted_blocks"]),
            (catalogue.PREFIX_LATE_REUSE, self._router.index.late_reuse),
            (catalogue.LEDGER_OPEN, pool.ledger.open),
            (catalogue.LEDGER_EXPIRED, pool.ledger.expired),
            (catalogue.EJECTIONS, pool.health.ejections),
        ):
            page.add(family, labels, value)

    def _collect_means(self, page: Page) -> None:
        columns, live = self._router.pool.table.columns, self._router.pool.table.live_rows
        labels = (self._requests.pool, self._requests.pool)
        ready = live[columns.usable[live]]
        page.add(catalogue.READY, labels, len(ready))
        scraped = ready[np.isfinite(columns.scraped_at[ready])]
        if not scraped.size:
            return
        for name, mean, spread in _MEANS:
            values: NDArray[np.float64] = getattr(columns, name)[scraped]
            page.add(mean, labels, float(values.mean()))
            page.add(spread, labels, float(values.std()))

    def _collect_health(self, page: Page, endpoints: tuple[_Endpoint, ...]) -> None:
        health, pool = self._router.pool.health, self._requests.pool
        states: Counter[str] = Counter(dict.fromkeys(STATES, 0))
        for endpoint in endpoints:
            state = health.describe(endpoint.row)
            states[state] += 1
            page.add(catalogue.STATE, (pool, endpoint.address, endpoint.name, state), 1)
        for state, count in states.items():
            page.add(catalogue.ENDPOINTS, (pool, state), count)

    def _collect_endpoint(self, page: Page, endpoint: _Endpoint) -> None:
        columns, row, pool = self._router.pool.table.columns, endpoint.row, self._requests.pool
        labels = (pool, endpoint.address, endpoint.name)
        page.add(catalogue.USABLE, labels, int(columns.usable[row]))
        page.add(catalogue.PENDING_PREFILL, labels, columns.prefill_tokens[row])
        page.add(catalogue.CACHE_TRUST, labels, columns.cache_trust[row])
        page.add(catalogue.INFLIGHT_REQUESTS, (pool, endpoint.name, endpoint.namespace), columns.requests[row])
        page.add(catalogue.INFLIGHT_TOKENS, (pool, endpoint.name, endpoint.namespace), columns.context_tokens[row])
        for name, family in _LEARNED:
            if (value := getattr(columns, name)[row]) > 0:
                page.add(family, labels, value)
        if np.isfinite(columns.scraped_at[row]):
            page.add(catalogue.SCRAPE_AGE, labels, max(0.0, self._clock() - columns.scraped_at[row]))
            page.add(catalogue.QUEUE, (pool, pool, endpoint.name), columns.waiting_seen[row])
            for name, family in _SEEN:
                page.add(family, labels, getattr(columns, name)[row])

    def _collect_probes(self, page: Page, endpoint: _Endpoint, statistics: EndpointStatistics) -> None:
        for kind, probe in statistics.probes.items():
            labels = (self._requests.pool, endpoint.address, endpoint.name, kind.value)
            page.add(catalogue.PROBE_FAILURES, labels, probe.failures)
            page.add(catalogue.PROBE_ERRORS, labels, probe.errors)

    def _collect_counts(self, page: Page, endpoint: _Endpoint, counts: EndpointCounts) -> None:
        pool = self._requests.pool
        for target, count in counts.placed.items():
            labels = (pool, "success", target, endpoint.name, endpoint.namespace, endpoint.port)
            page.add(catalogue.SCHEDULED, labels, count)
        for (status, verdict), count in counts.replies.items():
            page.add(catalogue.REPLIES, (pool, endpoint.address, endpoint.name, status, verdict), count)


def _endpoints(pool: EndpointPool) -> Iterator[_Endpoint]:
    """Endpoints with their labels. Where several share a name (ports of one pod), the address is added to it."""
    specs = {Row(int(row)): pool.table.spec(int(row)) for row in pool.table.live_rows}
    times = Counter(spec.label for spec in specs.values())
    for row, spec in specs.items():
        alone = times[spec.label] == 1
        yield _Endpoint(row, spec.address, spec.label if alone else f"{spec.label}@{spec.address}", spec.namespace)


class BodyBudgetState(Protocol):
    """What is shown of the bound on bodies in flight (epp.extproc.BodyBudget)."""

    limit_bytes: int
    held_bytes: int
    refused: int


class ReloadMetrics:
    """Counts configurations that were read while running."""

    def __init__(self, loaded_at: float) -> None:
        """`loaded_at`, here and below: seconds since 1970."""
        self.loaded_at = loaded_at
        self.succeeded = 0
        self.failed = 0
        self.last_ok = True

    def reloaded(self, *, ok: bool, now: float) -> None:
        """A configuration was read and taken, or refused."""
        self.last_ok = ok
        if ok:
            self.succeeded += 1
            self.loaded_at = now
        else:
            self.failed += 1


class ProcessCollector:
    """Shows what belongs to the process and not to a pool."""

    def __init__(
        self,
        *,
        version: str,
        commit: str = "",
        bodies: BodyBudgetState | None = None,
        lag: LagMonitor | None = None,
        reloads: ReloadMetrics | None = None,
    ) -> None:
        self._info = (commit, version)
        self._bodies = bodies
        self._lag = lag
        self._reloads = reloads

    def collect(self, page: Page) -> None:
        """Adds all."""
        page.add(catalogue.INFO, self._info, 1)
        if self._bodies:
            page.add(catalogue.BODY_BYTES, (), self._bodies.held_bytes)
            page.add(catalogue.BODY_LIMIT, (), self._bodies.limit_bytes)
            page.add(catalogue.BODY_REFUSED, (), self._bodies.refused)
        if self._lag:
            page.add(catalogue.LAG, (), self._lag.lag_s)
            page.add(catalogue.LAG_WORST, (), self._lag.worst_s)
            page.add(catalogue.BUSY, (), self._lag.busy)
            page.add(catalogue.OVERLOADED, (), int(self._lag.overloaded()))
        if self._reloads:
            page.add(catalogue.RELOADS, ("success",), self._reloads.succeeded)
            page.add(catalogue.RELOADS, ("failure",), self._reloads.failed)
            page.add(catalogue.RELOAD_OK, (), int(self._reloads.last_ok))
            page.add(catalogue.RELOAD_TIME, (), self._reloads.loaded_at)
